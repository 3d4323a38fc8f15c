/* The totals that the spool keeps with every change, and their check. */
#include "store/spool/sqlite/private.h"

#include <unistd.h>

int spool_sqlite_totals_add(struct sqlite_db *db,
                            const struct spool_totals *delta, struct error *err)
{
	static const struct spool_totals nothing;
	struct sqlite_query *query;

	if (!memcmp(delta, &nothing, sizeof(nothing)))
		return 0;
	query = sqlite_query(
	    db, "UPDATE total SET held = held + ?1, queued = queued + ?2,"
	        " deferred = deferred + ?3, delivered = delivered + ?4,"
	        " failed = failed + ?5, discarded = discarded + ?6,"
	        " expired = expired + ?7, quarantined = quarantined + ?8,"
	        " unregistered = unregistered + ?9,"
	        " body_bytes = body_bytes + ?10, kept = kept + ?11");
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		sqlite_bind_int(query, i + 1, delta->recipients[i]);
	sqlite_bind_int(query, 9, delta->unregistered);
	sqlite_bind_int(query, 10, delta->body_bytes);
	sqlite_bind_int(query, 11, delta->kept);
	return sqlite_run(query, err);
}

int spool_sqlite_totals_read(struct sqlite_db *db, struct spool_totals *totals,
                             struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT held, queued, deferred, delivered, failed, discarded,"
	        " expired, quarantined, unregistered, body_bytes, kept"
	        " FROM total");
	int result = sqlite_step(query, err);

	if (!result)
		return error_set(err, ERR_CORRUPT, "the totals are gone");
	if (result < 0)
		return result;
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		totals->recipients[i] = sqlite_column_int(query, i);
	totals->unregistered = sqlite_column_int(query, 8);
	totals->body_bytes = sqlite_column_int(query, 9);
	totals->kept = sqlite_column_int(query, 10);
	sqlite_reset(query);
	return 0;
}

int spool_sqlite_count(struct spool *base, struct spool_totals *totals,
                       struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (!result)
		result = spool_sqlite_totals_read(db, totals, err);
	sqlite_pool_give(spool->readers, db);
	return result;
}

static int recount_recipients(struct sqlite_db *db, struct spool_totals *totals,
                              struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT state, count(*) FROM recipient GROUP BY state");
	int result;

	while ((result = sqlite_step(query, err)) > 0) {
		int64_t state = sqlite_column_int(query, 0);

		if (state < 0 || state >= SPOOL_STATE_COUNT) {
			sqlite_reset(query);
			return error_set(err, ERR_CORRUPT,
			                 "a recipient in state %lld",
			                 (long long)state);
		}
		totals->recipients[state] = sqlite_column_int(query, 1);
	}
	return result;
}

static int read_number(struct sqlite_db *db, const char *sql, int64_t *number,
                       struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, sql);
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	*number = result ? sqlite_column_int(query, 0) : 0;
	sqlite_reset(query);
	return 0;
}

static int check_totals(struct sqlite_db *db, struct error *err)
{
	struct spool_totals kept = {.unregistered = 0};
	struct spool_totals found = {.unregistered = 0};
	int result = spool_sqlite_totals_read(db, &kept, err);

	if (!result)
		result = recount_recipients(db, &found, err);
	if (!result)
		result = read_number(db, "SELECT count(*) FROM unregistered",
		                     &found.unregistered, err);
	if (!result)
		result = read_number(db, "SELECT sum(size) FROM body",
		                     &found.body_bytes, err);
	if (!result)
		result = read_number(db,
		                     "SELECT count(*) FROM recipient WHERE"
		                     " state = 4 AND hold_until_ms IS NOT NULL",
		                     &found.kept, err);
	if (!result && memcmp(&kept, &found, sizeof(kept)) != 0)
		result = error_set(err, ERR_CORRUPT,
		                   "the totals are not what is stored");
	return result;
}

/* Rows that point at no message, or a message that none points at. */
static int check_links(struct sqlite_db *db, struct error *err)
{
	int64_t wrong = 0;
	int result = read_number(
	    db,
	    "SELECT (SELECT count(*) FROM recipient WHERE message NOT IN"
	    " (SELECT id FROM message)) + (SELECT count(*) FROM body WHERE"
	    " message NOT IN (SELECT seq FROM message)) + (SELECT count(*)"
	    " FROM message WHERE NOT EXISTS (SELECT 1 FROM recipient"
	    " WHERE recipient.message = message.id)) + (SELECT count(*)"
	    " FROM refusal WHERE message NOT IN (SELECT id FROM message))",
	    &wrong, err);

	if (!result && wrong)
		result = error_set(err, ERR_CORRUPT,
		                   "%lld records without their message or "
		                   "recipients",
		                   (long long)wrong);
	return result;
}

static int check_file(struct spool_sqlite *spool, const char *name,
                      struct error *err)
{
	char *path = spool_sqlite_join(spool->bodies, name);
	int result = 0;

	if (!path)
		return error_set(err, ERR_MEMORY, "out of memory");
	if (access(path, R_OK))
		result = error_set(err, ERR_CORRUPT, "%s is missing", path);
	free(path);
	return result;
}

/* With all writers shut out, so that no file is dropped meanwhile. */
static int check_files(struct spool_sqlite *spool, struct error *err)
{
	struct sqlite_query *query;
	int result;

	(void)pthread_mutex_lock(&spool->writer);
	result = sqlite_db_begin(spool->db, err);
	query = sqlite_query(spool->db,
	                     "SELECT file FROM body WHERE file IS NOT NULL");
	if (!result)
		result = sqlite_step(query, err);
	while (result > 0) {
		result = check_file(spool, sqlite_column_text(query, 0), err);
		if (!result)
			result = sqlite_step(query, err);
	}
	sqlite_db_rollback(spool->db);
	(void)pthread_mutex_unlock(&spool->writer);
	return result;
}

int spool_sqlite_check(struct spool *base, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (!result)
		result = sqlite_db_begin_read(db, err);
	if (!result)
		result = sqlite_db_check(db, err);
	if (!result)
		result = check_totals(db, err);
	if (!result)
		result = check_links(db, err);
	sqlite_pool_give(spool->readers, db);
	return result < 0 ? result : check_files(spool, err);
}
