/* Prepared statements that a connection keeps, their bindings and columns. */
#include "store/sqlite/db.h"

#include "common/crypto.h"
#include "store/sqlite/private.h"

#define FIRST_SLOTS 64

static size_t slot_of(const struct sqlite_db *db, const char *sql)
{
	/* The pointer: a statement's text is one literal of the program. */
	return crypto_table_hash(0, &sql, sizeof(sql)) & (db->slots - 1);
}

static struct sqlite_query **find_slot(const struct sqlite_db *db,
                                       const char *sql)
{
	size_t slot = slot_of(db, sql);

	while (db->queries[slot] && db->queries[slot]->sql != sql)
		slot = (slot + 1) & (db->slots - 1);
	return &db->queries[slot];
}

static bool grow(struct sqlite_db *db)
{
	struct sqlite_query **old = db->queries;
	size_t old_slots = db->slots;
	size_t slots = old_slots ? old_slots * 2 : FIRST_SLOTS;
	struct sqlite_query **queries =
	    calloc(slots, sizeof(struct sqlite_query *));

	if (!queries)
		return false;
	db->queries = queries;
	db->slots = slots;
	for (size_t i = 0; i < old_slots; i++)
		if (old[i])
			*find_slot(db, old[i]->sql) = old[i];
	free(old);
	return true;
}

static struct sqlite_query *broken(struct sqlite_db *db, int code)
{
	db->broken.handle = NULL;
	db->broken.code = code;
	return &db->broken;
}

static struct sqlite_query *prepare(struct sqlite_db *db, const char *sql)
{
	struct sqlite_query *query;
	sqlite3_stmt *handle = NULL;
	int code;

	if (db->query_count * 2 >= db->slots && !grow(db))
		return broken(db, SQLITE_NOMEM);
	code = sqlite3_prepare_v3(db->handle, sql, -1,
	                          SQLITE_PREPARE_PERSISTENT, &handle, NULL);
	if (code != SQLITE_OK)
		return broken(db, code);
	query = calloc(1, sizeof(*query));
	if (!query) {
		(void)sqlite3_finalize(handle);
		return broken(db, SQLITE_NOMEM);
	}
	query->db = db;
	query->handle = handle;
	query->sql = sql;
	*find_slot(db, sql) = query;
	db->query_count++;
	return query;
}

struct sqlite_query *sqlite_query(struct sqlite_db *db, const char *sql)
{
	struct sqlite_query *query = db->slots ? *find_slot(db, sql) : NULL;

	if (!query)
		return prepare(db, sql);
	query->code = SQLITE_OK;
	(void)sqlite3_reset(query->handle);
	(void)sqlite3_clear_bindings(query->handle);
	return query;
}

void sqlite_queries_release(struct sqlite_db *db)
{
	for (size_t i = 0; i < db->slots; i++) {
		if (!db->queries[i])
			continue;
		(void)sqlite3_finalize(db->queries[i]->handle);
		free(db->queries[i]);
	}
	free(db->queries);
	db->queries = NULL;
	db->slots = db->query_count = 0;
}

void sqlite_queries_reset(struct sqlite_db *db)
{
	for (size_t i = 0; i < db->slots; i++)
		if (db->queries[i])
			(void)sqlite3_reset(db->queries[i]->handle);
}

/* Keeps the first failure of binding. */
static void note(struct sqlite_query *query, int code)
{
	if (query->code == SQLITE_OK)
		query->code = code;
}

void sqlite_bind_int(struct sqlite_query *query, int index, int64_t value)
{
	if (query->handle)
		note(query, sqlite3_bind_int64(query->handle, index, value));
}

void sqlite_bind_text(struct sqlite_query *query, int index, const char *text)
{
	if (query->handle && text)
		note(query, sqlite3_bind_text(query->handle, index, text, -1,
		                              SQLITE_STATIC));
}

void sqlite_bind_blob(struct sqlite_query *query, int index, const void *bytes,
                      size_t size)
{
	if (query->handle)
		note(query, sqlite3_bind_blob64(query->handle, index,
		                                size ? bytes : "", size,
		                                SQLITE_STATIC));
}

void sqlite_bind_id(struct sqlite_query *query, int index, const struct id *id)
{
	sqlite_bind_blob(query, index, id->bytes, sizeof(id->bytes));
}

int sqlite_step(struct sqlite_query *query, struct error *err)
{
	int code = query->code;
	int result;

	if (code == SQLITE_OK)
		code = sqlite3_step(query->handle);
	if (code == SQLITE_ROW)
		return 1;
	/* The text of the failure goes with the reset. */
	result = code == SQLITE_DONE ? 0 : sqlite_fail(query->db, code, err);
	(void)sqlite3_reset(query->handle);
	return result;
}

int sqlite_run(struct sqlite_query *query, struct error *err)
{
	int result;

	do
		result = sqlite_step(query, err);
	while (result > 0);
	return result;
}

void sqlite_reset(struct sqlite_query *query)
{
	(void)sqlite3_reset(query->handle);
}

int64_t sqlite_column_int(struct sqlite_query *query, int index)
{
	return sqlite3_column_int64(query->handle, index);
}

bool sqlite_column_is_null(struct sqlite_query *query, int index)
{
	return sqlite3_column_type(query->handle, index) == SQLITE_NULL;
}

const char *sqlite_column_text(struct sqlite_query *query, int index)
{
	const char *text =
	    (const char *)sqlite3_column_text(query->handle, index);

	return text ? text : "";
}

const void *sqlite_column_blob(struct sqlite_query *query, int index,
                               size_t *size)
{
	const void *bytes = sqlite3_column_blob(query->handle, index);
	int length = sqlite3_column_bytes(query->handle, index);

	*size = length > 0 ? (size_t)length : 0;
	return bytes;
}

struct id sqlite_column_id(struct sqlite_query *query, int index)
{
	struct id id = {{0}};
	size_t size;
	const void *bytes = sqlite_column_blob(query, index, &size);

	if (bytes && size == sizeof(id.bytes))
		memcpy(id.bytes, bytes, size);
	return id;
}

int sqlite_column_copy(struct sqlite_query *query, int index, char **text)
{
	char *copy = strdup(sqlite_column_text(query, index));

	if (!copy)
		return ERR_MEMORY;
	free(*text);
	*text = copy;
	return 0;
}
