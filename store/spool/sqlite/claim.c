/* Leases on recipients of the spool that are due for delivery: taken,
 * prolonged.
 */
#include "store/spool/sqlite/private.h"

static bool contains(const struct id *ids, size_t count, const struct id *id)
{
	/* One message's recipients mostly follow each other. */
	for (size_t i = count; i > 0; i--)
		if (id_equal(&ids[i - 1], id))
			return true;
	return false;
}

/* The messages with a recipient due, the longest due first. */
static int find_due(struct sqlite_db *db, int64_t now_ms, size_t limit,
                    struct id *ids, size_t *count, bool *more,
                    struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT message FROM recipient"
	                     " WHERE due_ms <= ?1 ORDER BY due_ms");
	int result;

	sqlite_bind_int(query, 1, now_ms);
	while ((result = sqlite_step(query, err)) > 0) {
		struct id id = sqlite_column_id(query, 0);

		if (contains(ids, *count, &id))
			continue;
		if (*count == limit) {
			*more = true;
			sqlite_reset(query);
			return 0;
		}
		ids[(*count)++] = id;
	}
	return result;
}

static int lease(struct sqlite_db *db, const struct id *id, const char *owner,
                 int64_t now_ms, int64_t until_ms, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "UPDATE recipient SET lease_owner = ?2,"
	                     " lease_until_ms = ?3, due_ms = ?3"
	                     " WHERE message = ?1 AND due_ms <= ?4");

	sqlite_bind_id(query, 1, id);
	sqlite_bind_text(query, 2, owner);
	sqlite_bind_int(query, 3, until_ms);
	sqlite_bind_int(query, 4, now_ms);
	return sqlite_run(query, err);
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

/* What is done within the transaction. */
static int claim(struct sqlite_db *db, const char *owner, int64_t now_ms,
                 int64_t until_ms, size_t limit, struct id *ids,
                 struct spool_page *page, struct error *err)
{
	size_t count = 0;
	bool more = false;
	int result = find_due(db, now_ms, limit, ids, &count, &more, err);

	for (size_t i = 0; i < count && !result; i++)
		result = lease(db, &ids[i], owner, now_ms, until_ms, err);
	if (result < 0)
		return result;
	qsort(ids, count, sizeof(*ids), by_id);
	return spool_sqlite_load_page(db, ids, count, more, page, err);
}

int spool_sqlite_claim(struct spool *base, const char *owner, int64_t now_ms,
                       int64_t lease_ms, size_t limit, struct spool_page *page,
                       struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct spool_page claimed = {.count = 0};
	struct id *ids = calloc(limit, sizeof(*ids));
	int result;

	if (!ids)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = spool_sqlite_begin(spool, spool->lazy, err);
	if (!result) {
		result = claim(spool->lazy, owner, now_ms, now_ms + lease_ms,
		               limit, ids, &claimed, err);
		result = spool_sqlite_end(spool, spool->lazy, result, err);
	}
	free(ids);
	if (result < 0)
		spool_page_release(&claimed);
	else
		*page = claimed;
	return result;
}

static int prolong(struct sqlite_db *db, const struct spool_change *change,
                   struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "UPDATE recipient SET lease_until_ms = ?3,"
	                     " due_ms = max(?3, next_attempt_ms)"
	                     " WHERE message = ?1 AND position = ?2");

	sqlite_bind_id(query, 1, &change->renew.id);
	sqlite_bind_int(query, 2, (int64_t)change->renew.recipient);
	sqlite_bind_int(query, 3, change->renew.until_ms);
	return sqlite_run(query, err);
}

/* What has a lease is queued or deferred: every move drops it. */
int spool_sqlite_renew(struct spool_sqlite_batch *batch,
                       struct spool_change *change, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    batch->db, "SELECT lease_owner = ?3, lease_until_ms"
	               " FROM recipient WHERE message = ?1 AND position = ?2");
	bool mine;
	int64_t until_ms;
	int result;

	sqlite_bind_id(query, 1, &change->renew.id);
	sqlite_bind_int(query, 2, (int64_t)change->renew.recipient);
	sqlite_bind_text(query, 3, change->renew.lease_owner);
	result = sqlite_step(query, err);
	if (result < 0)
		return result;
	mine = result && sqlite_column_int(query, 0) == 1;
	until_ms = result ? sqlite_column_int(query, 1) : 0;
	sqlite_reset(query);
	if (!mine) {
		change->result = result ? ERR_CONFLICT : ERR_NOT_FOUND;
		return 0;
	}
	return until_ms >= change->renew.until_ms
	           ? 0
	           : prolong(batch->db, change, err);
}

int spool_sqlite_next_due(struct spool *base, int64_t *due_ms,
                          struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	struct sqlite_query *query;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (result < 0)
		return result;
	query = sqlite_query(db, "SELECT due_ms FROM recipient"
	                         " WHERE due_ms IS NOT NULL"
	                         " AND lease_owner = ''"
	                         " ORDER BY due_ms LIMIT 1");
	result = sqlite_step(query, err);
	if (result >= 0)
		*due_ms = result ? sqlite_column_int(query, 0) : INT64_MAX;
	sqlite_pool_give(spool->readers, db);
	return result < 0 ? result : 0;
}
