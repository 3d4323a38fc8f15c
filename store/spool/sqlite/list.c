/* Pages of messages of the spool: what spool_list() looks for. */
#include "store/spool/sqlite/private.h"

#define WAITING (SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED))
#define QUEUE   (SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED))

/*
 * All statements have the same parameters and differ in where candidates come
 * from, so that each periodic job walks the index made for it.
 */
/* clang-format off */
#define FAILED "4"
_Static_assert(SPOOL_FAILED == 4, "the number in the statements");
#define FILTER \
	" (?2 IS NULL OR instr(lower(m.sender), lower(?2)))" \
	" AND (?4 = 0 OR EXISTS (SELECT 1 FROM unregistered AS n" \
	"  WHERE n.message = m.id))" \
	" AND (?9 = 0 OR NOT EXISTS (SELECT 1 FROM refusal AS f" \
	"  WHERE f.message = m.id AND f.retry_ms > ?9))" \
	" AND EXISTS (SELECT 1 FROM recipient AS r WHERE r.message = m.id" \
	"  AND (?5 = 0 OR ((1 << r.state) & ?5))" \
	"  AND (?6 IS NULL OR instr(lower(r.address), lower(?6)))" \
	"  AND (?3 = 0 OR r.hold_until_ms < ?3)" \
	"  AND (?7 = 0 OR r.event_pending = 1)" \
	"  AND (?10 = 0 OR r.state <> " FAILED " OR" \
	"   r.hold_until_ms IS NOT NULL)" \
	"  AND (?11 = 0 OR r.dsn IN (1, 2)))"
#define FROM_RECIPIENT(index, condition) \
	"SELECT c.message FROM recipient AS c INDEXED BY " index \
	" CROSS JOIN message AS m ON m.id = c.message" \
	" WHERE " condition " AND c.message > ?1 AND" FILTER \
	" GROUP BY c.message ORDER BY c.message LIMIT ?8"

static const char list_all[] =
	"SELECT m.id FROM message AS m WHERE m.id > ?1 AND" FILTER
	" ORDER BY m.id LIMIT ?8";
static const char list_unregistered[] =
	"SELECT c.message FROM unregistered AS c"
	" CROSS JOIN message AS m ON m.id = c.message"
	" WHERE c.message > ?1 AND" FILTER
	" ORDER BY c.message LIMIT ?8";
static const char list_events[] =
	FROM_RECIPIENT("recipient_event", "c.event_pending = 1");
static const char list_dsn[] =
	FROM_RECIPIENT("recipient_dsn", "c.dsn IN (1, 2)");
static const char list_expired[] =
	FROM_RECIPIENT("recipient_hold", "c.hold_until_ms < ?3");
static const char list_waiting[] =
	FROM_RECIPIENT("recipient_hold", "c.hold_until_ms IS NOT NULL");
static const char list_queue[] =
	FROM_RECIPIENT("recipient_due", "c.due_ms IS NOT NULL");
/* clang-format on */

static const char *choose(const struct spool_query *query)
{
	unsigned kept = query->kept ? SPOOL_IN(SPOOL_FAILED) : 0;
	bool waiting = query->states && !(query->states & ~(WAITING | kept));
	bool queue = query->states && !(query->states & ~QUEUE);

	if (query->unregistered)
		return list_unregistered;
	if (query->event_pending)
		return list_events;
	if (query->dsn)
		return list_dsn;
	if (waiting)
		return query->expired_before_ms > 0 ? list_expired
		                                    : list_waiting;
	return queue ? list_queue : list_all;
}

static void bind(struct sqlite_query *statement,
                 const struct spool_query *query)
{
	sqlite_bind_id(statement, 1, &query->after);
	sqlite_bind_text(statement, 2, query->sender);
	sqlite_bind_int(statement, 3,
	                query->expired_before_ms > 0 ? query->expired_before_ms
	                                             : 0);
	sqlite_bind_int(statement, 4, query->unregistered);
	sqlite_bind_int(statement, 5, query->states);
	sqlite_bind_text(statement, 6, query->recipient);
	sqlite_bind_int(statement, 7, query->event_pending);
	sqlite_bind_int(statement, 8, (int64_t)query->limit + 1);
	sqlite_bind_int(statement, 9,
	                query->unregistered ? query->retry_until_ms : 0);
	sqlite_bind_int(statement, 10, query->kept);
	sqlite_bind_int(statement, 11, query->dsn);
}

/* Reads one id more than the limit, to know whether there are more. */
static int find_ids(struct sqlite_db *db, const struct spool_query *query,
                    struct id *ids, size_t *count, bool *more,
                    struct error *err)
{
	struct sqlite_query *statement = sqlite_query(db, choose(query));
	int result;

	bind(statement, query);
	while ((result = sqlite_step(statement, err)) > 0) {
		if (*count == query->limit) {
			*more = true;
			sqlite_reset(statement);
			return 0;
		}
		ids[(*count)++] = sqlite_column_id(statement, 0);
	}
	return result;
}

int spool_sqlite_list(struct spool *base, const struct spool_query *query,
                      struct spool_page *page, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct id *ids = calloc(query->limit, sizeof(*ids));
	struct sqlite_db *db = NULL;
	size_t count = 0;
	bool more = false;
	int result = 0;

	if (!ids)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = sqlite_pool_take(spool->readers, &db, err);
	if (!result)
		result = sqlite_db_begin_read(db, err);
	if (!result)
		result = find_ids(db, query, ids, &count, &more, err);
	if (!result)
		result =
		    spool_sqlite_load_page(db, ids, count, more, page, err);
	sqlite_pool_give(spool->readers, db);
	free(ids);
	return result;
}
