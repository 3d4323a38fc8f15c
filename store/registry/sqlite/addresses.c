/* The addresses of messages: read from their rows, written to their table. */
#include "store/registry/sqlite/addresses.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "store/registry/sqlite/addresses-waiting.h"
#include "store/sqlite/db.h"

/* Entries that wait, 24 bytes each: 65,000 messages of one recipient. */
#define MOST_WAITING 131072
/* Rows read within one write: some 16 ms. */
#define ROWS_AT_ONCE 8192
/* More rows than that are written when the registry is opened, in portions. */
#define ROWS_LEFT    MOST_WAITING
#define ROWS_PORTION 32768

/* --- keys ---------------------------------------------------------------- */

int32_t registry_sqlite_address_key(
    const struct registry_sqlite_addresses *addresses, enum address_kind kind,
    const char *address)
{
	uint64_t hash = crypto_short_hash(addresses->secrets[kind], address,
	                                  strlen(address));

	return (int32_t)(uint32_t)hash;
}

int64_t registry_sqlite_address_stamp(const struct id *id)
{
	uint64_t bytes;

	memcpy(&bytes, id->bytes, sizeof(bytes));
	return (int64_t)(be64toh(bytes) ^ (UINT64_C(1) << 63));
}

/* --- a message's addresses ----------------------------------------------- */

/* Called for each address of a message, the sender's first. */
typedef int (*each_place)(const struct address_place *place, void *context,
                          struct error *err);

/* The row's addresses: its sender's too where it is the message's first. */
static int visit_row(const struct registry_sqlite_addresses *addresses,
                     struct sqlite_query *query, int64_t *last_row,
                     each_place each, void *context, struct error *err)
{
	struct id id = sqlite_column_id(query, 1);
	struct address_place place = {.stamp =
	                                  registry_sqlite_address_stamp(&id),
	                              .row = sqlite_column_int(query, 0)};
	int error = 0;

	if (place.row != *last_row) {
		place.key = registry_sqlite_address_key(
		    addresses, ADDRESS_OF_SENDER, sqlite_column_text(query, 2));
		error = each(&place, context, err);
	}
	*last_row = place.row;
	if (error || sqlite_column_is_null(query, 3))
		return error;
	place.key = registry_sqlite_address_key(addresses, ADDRESS_OF_RECIPIENT,
	                                        sqlite_column_text(query, 3));
	return each(&place, context, err);
}

/* Visits the addresses of all messages with rows in (after, last]. */
static int visit_rows(const struct registry_sqlite_addresses *addresses,
                      struct sqlite_db *db, int64_t after, int64_t last,
                      each_place each, void *context, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT m.row, m.id, m.sender_normal, r.address"
	        " FROM message m LEFT JOIN recipient r ON r.message = m.id"
	        " WHERE m.row > ?1 AND m.row <= ?2 ORDER BY m.row");
	int64_t last_row = 0;
	int result;

	sqlite_bind_int(query, 1, after);
	sqlite_bind_int(query, 2, last);
	while ((result = sqlite_step(query, err)) > 0) {
		result =
		    visit_row(addresses, query, &last_row, each, context, err);
		if (result) {
			sqlite_reset(query);
			return result;
		}
	}
	return result;
}

static int read_last_row(struct sqlite_db *db, int64_t *row, struct error *err)
{
	return registry_sqlite_number(
	    sqlite_query(db, "SELECT ifnull(max(row), 0) FROM message"), row,
	    err);
}

static int read_written_row(struct sqlite_db *db, int64_t *row,
                            struct error *err)
{
	return registry_sqlite_number(
	    sqlite_query(db, "SELECT written FROM address_state"), row, err);
}

/* --- reading what waits, under the mutex ---------------------------------- */

static int let_wait(const struct address_place *place, void *context,
                    struct error *err)
{
	return registry_sqlite_waiting_add(context, place, err);
}

/*
 * Lets the addresses of rows that were not read yet wait, of so many rows at
 * most. On failure those that were read may be there twice: the table takes
 * each once.
 */
static int read_rows(struct registry_sqlite_addresses *addresses,
                     struct sqlite_db *db, int64_t rows, struct error *err)
{
	int64_t last = 0;
	int error = read_last_row(db, &last, err);

	if (error || last <= addresses->read_row)
		return error;
	if (last - addresses->read_row > rows)
		last = addresses->read_row + rows;
	error = visit_rows(addresses, db, addresses->read_row, last, let_wait,
	                   addresses, err);
	if (!error)
		addresses->read_row = last;
	return error;
}

/* Where another process does the writing, what it wrote need not wait. */
static int forget_written(struct registry_sqlite_addresses *addresses,
                          struct sqlite_db *db, struct error *err)
{
	int64_t written = 0;
	int error;

	if (addresses->writing || addresses->count <= 4 * addresses->most)
		return 0;
	if (!(error = read_written_row(db, &written, err)))
		registry_sqlite_waiting_drop(addresses, written);
	return error;
}

int registry_sqlite_addresses_find(struct registry_sqlite_addresses *addresses,
                                   struct sqlite_db *db, int32_t key,
                                   int64_t stamp, struct address_places *found,
                                   struct error *err)
{
	int error;

	/* Nothing is taken away between the first statement, from which on
	 * the transaction sees what it sees, and the look at what waits. */
	(void)pthread_mutex_lock(&addresses->mutex);
	error = read_rows(addresses, db, INT64_MAX, err);
	if (!error)
		error = forget_written(addresses, db, err);
	if (!error)
		error = registry_sqlite_waiting_find(addresses, key, stamp,
		                                     found, err);
	(void)pthread_mutex_unlock(&addresses->mutex);
	return error;
}

/* --- writing ------------------------------------------------------------- */

/* As many rows as one statement takes; those left free are NULL. */
#define PUT_AT_ONCE 8

static int put_places(struct sqlite_db *db, const struct address_place *places,
                      size_t count, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT OR IGNORE INTO message_address (key, stamp, row)"
	        " SELECT * FROM (VALUES (?1, ?2, ?3), (?4, ?5, ?6),"
	        " (?7, ?8, ?9), (?10, ?11, ?12), (?13, ?14, ?15),"
	        " (?16, ?17, ?18), (?19, ?20, ?21), (?22, ?23, ?24))"
	        " WHERE column3 NOTNULL AND NOT EXISTS"
	        " (SELECT 1 FROM address_gone WHERE row = column3)");

	for (size_t i = 0; i < count; i++) {
		sqlite_bind_int(query, (int)i * 3 + 1, places[i].key);
		sqlite_bind_int(query, (int)i * 3 + 2, places[i].stamp);
		sqlite_bind_int(query, (int)i * 3 + 3, places[i].row);
	}
	return sqlite_run(query, err);
}

/* What another process has written, or deleted since, is left out. */
static int put_taken(struct sqlite_db *db, struct address_places *taken,
                     struct error *err)
{
	int64_t written = 0;
	int error = read_written_row(db, &written, err);
	size_t count = 0;

	for (size_t i = 0; i < taken->count; i++)
		if (taken->places[i].row > written)
			taken->places[count++] = taken->places[i];
	for (size_t i = 0; i < count && !error; i += PUT_AT_ONCE)
		error = put_places(
		    db, &taken->places[i],
		    count - i < PUT_AT_ONCE ? count - i : PUT_AT_ONCE, err);
	return error;
}

/* Where the round stands; done_row is not 0 where one has ended. */
static int note_round(const struct registry_sqlite_addresses *addresses,
                      struct sqlite_db *db, int64_t done_row, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE address_state SET written = max(written, ?1),"
	        " round = ?2, next = ?3");
	int error;

	sqlite_bind_int(query, 1, done_row);
	sqlite_bind_int(query, 2, addresses->round_row);
	sqlite_bind_int(query, 3, (int64_t)addresses->next);
	if ((error = sqlite_run(query, err)) || !done_row)
		return error;
	return sqlite_run(sqlite_query(db,
	                               "DELETE FROM address_gone WHERE row <="
	                               " (SELECT written FROM address_state)"),
	                  err);
}

/* Writes up to wanted places, and how far that came. */
static int write_places(struct registry_sqlite_addresses *addresses,
                        struct sqlite_db *db, size_t wanted, struct error *err)
{
	struct address_places taken = {0};
	int64_t done_row = 0;
	int error;

	(void)pthread_mutex_lock(&addresses->mutex);
	error = registry_sqlite_waiting_take(addresses, wanted, &taken,
	                                     &done_row, err);
	(void)pthread_mutex_unlock(&addresses->mutex);
	if (!error)
		error = put_taken(db, &taken, err);
	free(taken.places);
	return error ? error : note_round(addresses, db, done_row, err);
}

/* Reads what came; *wanted is how much is to be written for it, once all that
 * was there when the registry was opened has been read. */
static int read_share(struct registry_sqlite_addresses *addresses,
                      struct sqlite_db *writer, size_t *wanted,
                      struct error *err)
{
	int error = read_rows(addresses, writer, ROWS_AT_ONCE, err);

	if (error || addresses->read_row < addresses->opened_row)
		return error;
	if (addresses->count > addresses->most)
		*wanted = addresses->count - addresses->most;
	if (*wanted > 2 * addresses->fresh)
		*wanted = 2 * addresses->fresh;
	addresses->shared = addresses->fresh;
	addresses->fresh = 0;
	return 0;
}

int registry_sqlite_addresses_write(struct registry_sqlite_addresses *addresses,
                                    struct sqlite_db *writer, struct error *err)
{
	size_t wanted = 0;
	int error;

	(void)pthread_mutex_lock(&addresses->mutex);
	error = read_share(addresses, writer, &wanted, err);
	(void)pthread_mutex_unlock(&addresses->mutex);
	if (error || !wanted)
		return error;
	return write_places(addresses, writer, wanted, err);
}

void registry_sqlite_addresses_end(struct registry_sqlite_addresses *addresses,
                                   bool committed)
{
	(void)pthread_mutex_lock(&addresses->mutex);
	registry_sqlite_waiting_end(addresses, committed);
	if (!committed)
		addresses->fresh += addresses->shared;
	addresses->shared = 0;
	(void)pthread_mutex_unlock(&addresses->mutex);
}

/* --- forgetting ---------------------------------------------------------- */

/* address_key(kind, address) and id_stamp(id) for the writer's SQL. */
static void sql_address_key(sqlite3_context *context, int count,
                            sqlite3_value **values)
{
	const unsigned char *address = sqlite3_value_text(values[1]);

	(void)count;
	sqlite3_result_int(context,
	                   registry_sqlite_address_key(
	                       sqlite3_user_data(context),
	                       (enum address_kind)sqlite3_value_int(values[0]),
	                       address ? (const char *)address : ""));
}

static void sql_id_stamp(sqlite3_context *context, int count,
                         sqlite3_value **values)
{
	struct id id = {{0}};

	(void)count;
	if (sqlite3_value_bytes(values[0]) == (int)sizeof(id.bytes))
		memcpy(id.bytes, sqlite3_value_blob(values[0]),
		       sizeof(id.bytes));
	sqlite3_result_int64(context, registry_sqlite_address_stamp(&id));
}

static int register_functions(struct registry_sqlite_addresses *addresses,
                              struct sqlite_db *writer, struct error *err)
{
	int error = sqlite_db_function(writer, "address_key", 2,
	                               sql_address_key, addresses, err);

	return error ? error
	             : sqlite_db_function(writer, "id_stamp", 1, sql_id_stamp,
	                                  NULL, err);
}

static int delete_place(struct sqlite_db *db, const struct address_place *place,
                        struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "DELETE FROM message_address"
	                     " WHERE key = ?1 AND stamp = ?2 AND row = ?3");

	sqlite_bind_int(query, 1, place->key);
	sqlite_bind_int(query, 2, place->stamp);
	sqlite_bind_int(query, 3, place->row);
	return sqlite_run(query, err);
}

/* Its addresses may wait, here or in another process. */
static int note_gone(struct sqlite_db *db, const struct id *message,
                     struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT OR IGNORE INTO address_gone SELECT row FROM message"
	        " WHERE id = ?1 AND row > (SELECT written FROM address_state)");

	sqlite_bind_id(query, 1, message);
	return sqlite_run(query, err);
}

int registry_sqlite_addresses_forget(struct sqlite_db *writer,
                                     const struct id *message,
                                     struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    writer, "SELECT address_key(0, sender_normal), id_stamp(id), row"
	            " FROM message WHERE id = ?1 UNION ALL"
	            " SELECT address_key(1, r.address), id_stamp(m.id), m.row"
	            " FROM message m CROSS JOIN recipient r"
	            " ON r.message = m.id WHERE m.id = ?1");
	int result, error = note_gone(writer, message, err);

	if (error)
		return error;
	sqlite_bind_id(query, 1, message);
	while ((result = sqlite_step(query, err)) > 0) {
		struct address_place place = {
		    .key = (int32_t)sqlite_column_int(query, 0),
		    .stamp = sqlite_column_int(query, 1),
		    .row = sqlite_column_int(query, 2)};

		if ((error = delete_place(writer, &place, err))) {
			sqlite_reset(query);
			return error;
		}
	}
	return result;
}

/* --- checking ------------------------------------------------------------ */

static int expect_place(const struct address_place *place, void *context,
                        struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    context, "SELECT 1 FROM message_address"
	             " WHERE key = ?1 AND stamp = ?2 AND row = ?3");
	int result;

	sqlite_bind_int(query, 1, place->key);
	sqlite_bind_int(query, 2, place->stamp);
	sqlite_bind_int(query, 3, place->row);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	if (!result)
		return error_set(err, ERR_CORRUPT,
		                 "a message is not found by its addresses");
	return result < 0 ? result : 0;
}

int registry_sqlite_addresses_check(
    const struct registry_sqlite_addresses *addresses, struct sqlite_db *db,
    struct error *err)
{
	int64_t written = 0;
	int result = read_written_row(db, &written, err);

	if (!result)
		result = visit_rows(addresses, db, 0, written, expect_place, db,
		                    err);
	if (result)
		return result;
	result = sqlite_step(
	    sqlite_query(db, "SELECT 1 FROM message_address a WHERE NOT EXISTS"
	                     " (SELECT 1 FROM message m WHERE m.row = a.row)"
	                     " LIMIT 1"),
	    err);
	return result > 0
	           ? error_set(err, ERR_CORRUPT,
	                       "an address of a message that is not there")
	           : result;
}

/* --- opening ------------------------------------------------------------- */

static int read_state(struct registry_sqlite_addresses *addresses,
                      struct sqlite_db *db, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT secret, written, round, next FROM address_state");
	const void *bytes = NULL;
	size_t size = 0;
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	if (result)
		bytes = sqlite_column_blob(query, 0, &size);
	addresses->read_row = sqlite_column_int(query, 1);
	addresses->known_row = sqlite_column_int(query, 2);
	addresses->known_next = (size_t)sqlite_column_int(query, 3);
	result = size != sizeof(addresses->secrets) ||
	                 addresses->known_next >= ADDRESS_BUCKETS
	             ? error_set(err, ERR_CORRUPT, "no state of the addresses")
	             : 0;
	if (!result)
		memcpy(addresses->secrets, bytes, size);
	sqlite_reset(query);
	addresses->round_row = addresses->known_row;
	addresses->next = addresses->known_next;
	return result;
}

/* One portion of what waits; *left tells whether there is more. */
static int write_portion(struct registry_sqlite_addresses *addresses,
                         struct sqlite_db *writer, bool *left,
                         struct error *err)
{
	int64_t last = 0, written = 0;
	int error;

	if ((error = read_last_row(writer, &last, err)) ||
	    (error = read_written_row(writer, &written, err)))
		return error;
	*left = last - written > ROWS_LEFT;
	if (!*left)
		return 0;
	addresses->read_row = written;
	error = read_rows(addresses, writer, ROWS_PORTION, err);
	return error ? error : write_places(addresses, writer, SIZE_MAX, err);
}

static int write_most(struct registry_sqlite_addresses *addresses,
                      struct sqlite_db *writer, struct error *err)
{
	bool left = true;
	int error = 0;

	while (left && !error) {
		if ((error = sqlite_db_begin(writer, err)))
			return error;
		error = write_portion(addresses, writer, &left, err);
		if (!error)
			error = sqlite_db_commit(writer, err);
		else
			sqlite_db_rollback(writer);
		registry_sqlite_waiting_end(addresses, !error);
	}
	return error;
}

/* Writes what waits of very many rows, from the first bucket on. */
static int write_old(struct registry_sqlite_addresses *addresses,
                     struct sqlite_db *writer, struct error *err)
{
	int error;

	addresses->next = addresses->known_next = 0;
	error = write_most(addresses, writer, err);
	/* A full or busy disk can wait: searches read what is not written. */
	if (error && error != ERR_FULL && error != ERR_UNAVAILABLE)
		return error;
	return read_written_row(writer, &addresses->read_row, err);
}

static int open_addresses(struct registry_sqlite_addresses *addresses,
                          struct sqlite_db *writer, struct error *err)
{
	int error;

	if ((error = read_state(addresses, writer, err)) ||
	    (error = register_functions(addresses, writer, err)) ||
	    (error = read_last_row(writer, &addresses->opened_row, err)))
		return error;
	return addresses->opened_row - addresses->read_row > ROWS_LEFT
	           ? write_old(addresses, writer, err)
	           : 0;
}

int registry_sqlite_addresses_open(struct registry_sqlite_addresses **addresses,
                                   struct sqlite_db *writer, struct error *err)
{
	struct registry_sqlite_addresses *opened = calloc(1, sizeof(*opened));
	int error;

	if (!opened)
		return error_set(err, ERR_MEMORY, "out of memory");
	(void)pthread_mutex_init(&opened->mutex, NULL);
	opened->most = MOST_WAITING;
	if ((error = open_addresses(opened, writer, err)))
		registry_sqlite_addresses_close(opened);
	else
		*addresses = opened;
	return error;
}

void registry_sqlite_addresses_close(
    struct registry_sqlite_addresses *addresses)
{
	if (!addresses)
		return;
	registry_sqlite_waiting_release(addresses);
	explicit_bzero(addresses->secrets, sizeof(addresses->secrets));
	(void)pthread_mutex_destroy(&addresses->mutex);
	free(addresses);
}
