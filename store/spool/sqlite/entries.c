/* The spool's named values and its replica of the lists. */
#include "store/spool/sqlite/private.h"

int spool_sqlite_get(struct spool *base, const char *name, char **value,
                     struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	struct sqlite_query *query;
	char *copy = NULL;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (result < 0)
		return result;
	query = sqlite_query(db, "SELECT value FROM value WHERE name = ?1");
	sqlite_bind_text(query, 1, name);
	result = sqlite_step(query, err);
	if (!result)
		result = error_set(err, ERR_NOT_FOUND, "no value \"%s\"", name);
	else if (result > 0 && (result = sqlite_column_copy(query, 0, &copy)))
		result = error_set(err, ERR_MEMORY, "out of memory");
	sqlite_pool_give(spool->readers, db);
	if (!result)
		*value = copy;
	return result;
}

int spool_sqlite_values_each(struct spool *base,
                             void (*each)(const char *, const char *, void *),
                             void *context, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	struct sqlite_query *query;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (result < 0)
		return result;
	query = sqlite_query(db, "SELECT name, value FROM value ORDER BY name");
	while ((result = sqlite_step(query, err)) > 0)
		each(sqlite_column_text(query, 0), sqlite_column_text(query, 1),
		     context);
	sqlite_pool_give(spool->readers, db);
	return result;
}

static int delete_entry(struct sqlite_db *db, const struct id *id,
                        struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "DELETE FROM entry WHERE id = ?1");

	sqlite_bind_id(query, 1, id);
	return sqlite_run(query, err);
}

static int put_entry(struct sqlite_db *db, const struct entry *entry,
                     struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3,"
	                     " ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");

	sqlite_bind_id(query, 1, &entry->id);
	sqlite_bind_int(query, 2, entry->scope);
	sqlite_bind_int(query, 3, entry->colour);
	sqlite_bind_int(query, 4, entry->kind);
	sqlite_bind_int(query, 5, entry->origin);
	sqlite_bind_int(query, 6, entry->demand);
	sqlite_bind_int(query, 7, entry->expires_ms);
	sqlite_bind_int(query, 8, entry->created_ms);
	sqlite_bind_int(query, 9, entry->revision);
	sqlite_bind_text(query, 10,
	                 entry->scope_value ? entry->scope_value : "");
	sqlite_bind_text(query, 11, entry->value ? entry->value : "");
	sqlite_bind_text(query, 12, entry->note ? entry->note : "");
	return sqlite_run(query, err);
}

static int apply_entries(struct sqlite_db *db, bool clear,
                         const struct entry *entries, size_t count,
                         int64_t revision, struct error *err)
{
	char text[32];
	int result = 0;

	if (clear)
		result = sqlite_run(sqlite_query(db, "DELETE FROM entry"), err);
	for (size_t i = 0; i < count && !result; i++)
		result = entries[i].deleted
		             ? delete_entry(db, &entries[i].id, err)
		             : put_entry(db, &entries[i], err);
	(void)snprintf(text, sizeof(text), "%lld", (long long)revision);
	return result < 0 ? result
	                  : spool_sqlite_set(db, "policy.revision", text, err);
}

int spool_sqlite_entries_apply(struct spool *base, bool clear,
                               const struct entry *entries, size_t count,
                               int64_t revision, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	int result = spool_sqlite_begin(spool, spool->db, err);

	if (result < 0)
		return result;
	result = apply_entries(spool->db, clear, entries, count, revision, err);
	return spool_sqlite_end(spool, spool->db, result, err);
}

/* Whether the row is one that this program can have written. */
static bool is_sound(struct sqlite_query *query)
{
	int64_t scope = sqlite_column_int(query, 1);
	int64_t colour = sqlite_column_int(query, 2);
	int64_t kind = sqlite_column_int(query, 3);
	int64_t origin = sqlite_column_int(query, 4);
	int64_t demand = sqlite_column_int(query, 5);

	return scope >= 0 && scope <= ENTRY_SCOPE_MAILBOX && colour >= 0 &&
	       colour <= ENTRY_BLACK && kind >= 0 && kind <= ENTRY_ADDRESS &&
	       origin >= 0 && origin <= ENTRY_FROM_OUTBOUND && demand >= 0 &&
	       demand <= MAIL_PASS_DMARC;
}

/* The row as an entry whose strings are borrowed from the query. */
static struct entry entry_of(struct sqlite_query *query)
{
	return (struct entry){
	    .id = sqlite_column_id(query, 0),
	    .scope = (enum entry_scope)sqlite_column_int(query, 1),
	    .colour = (enum entry_colour)sqlite_column_int(query, 2),
	    .kind = (enum entry_kind)sqlite_column_int(query, 3),
	    .origin = (enum entry_origin)sqlite_column_int(query, 4),
	    .demand = (enum mail_pass)sqlite_column_int(query, 5),
	    .expires_ms = sqlite_column_int(query, 6),
	    .created_ms = sqlite_column_int(query, 7),
	    .revision = sqlite_column_int(query, 8),
	    .scope_value = (char *)sqlite_column_text(query, 9),
	    .value = (char *)sqlite_column_text(query, 10),
	    .note = (char *)sqlite_column_text(query, 11)};
}

int spool_sqlite_entries_each(struct spool *base,
                              void (*each)(const struct entry *, void *),
                              void *context, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	struct sqlite_query *query;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (result < 0)
		return result;
	query = sqlite_query(
	    db, "SELECT id, scope, colour, kind, origin, demands_pass,"
	        " expires_ms, created_ms, revision, scope_value, value, note"
	        " FROM entry ORDER BY id");
	while ((result = sqlite_step(query, err)) > 0) {
		struct entry entry;

		if (!is_sound(query)) {
			result = error_set(err, ERR_CORRUPT, "an entry");
			break;
		}
		entry = entry_of(query);
		each(&entry, context);
	}
	sqlite_pool_give(spool->readers, db);
	return result;
}
