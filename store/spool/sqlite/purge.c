/* Deletes from the spool what is over and told, in steps that delay nobody. */
#include "store/spool/sqlite/private.h"

#include <time.h>

/* Messages of a transaction: a commit waits for no more than one of them. */
#define STEP 32

static int run_with(struct sqlite_db *db, const char *sql, const struct id *id,
                    struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, sql);

	sqlite_bind_id(query, 1, id);
	return sqlite_run(query, err);
}

static int count_states(struct sqlite_db *db, const struct id *id,
                        struct spool_totals *delta, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT state, hold_until_ms IS NOT NULL"
	                     " FROM recipient WHERE message = ?1");
	int result;

	sqlite_bind_id(query, 1, id);
	while ((result = sqlite_step(query, err)) > 0) {
		int64_t state = sqlite_column_int(query, 0);

		if (state >= 0 && state < SPOOL_STATE_COUNT)
			delta->recipients[state]--;
		if (state == SPOOL_FAILED)
			delta->kept -= sqlite_column_int(query, 1);
	}
	return result;
}

/* All but its body and its place among those that are over. */
static int delete_message(struct sqlite_db *db, const struct id *id,
                          struct spool_totals *delta, struct error *err)
{
	int result = count_states(db, id, delta, err);

	if (!result)
		result = run_with(
		    db, "DELETE FROM recipient WHERE message = ?1", id, err);
	if (!result)
		result = run_with(
		    db, "DELETE FROM unregistered WHERE message = ?1", id, err);
	if (!result)
		delta->unregistered -= sqlite_db_changes(db);
	if (!result)
		result = run_with(db, "DELETE FROM refusal WHERE message = ?1",
		                  id, err);
	if (!result)
		result =
		    run_with(db, "DELETE FROM message WHERE id = ?1", id, err);
	return result;
}

int spool_sqlite_delete(struct spool_sqlite_batch *batch, const struct id *id,
                        struct error *err)
{
	int result = run_with(batch->db,
	                      "DELETE FROM ended WHERE message = ?1 AND at_ms ="
	                      " (SELECT max(changed_ms) FROM recipient"
	                      " WHERE message = ?1)",
	                      id, err);

	if (!result)
		result = spool_sqlite_body_drop(batch, id, err);
	return result < 0 ? result
	                  : delete_message(batch->db, id, &batch->delta, err);
}

/* A message that is over, as the table of them has it. */
struct over {
	struct id id;
	int64_t at_ms;
};

/* Reads the oldest that are over, at most limit of them. */
static int find_over(struct sqlite_db *db, int64_t before_ms, size_t limit,
                     struct over *over, size_t *count, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT message, at_ms FROM ended WHERE at_ms < ?1"
	        " AND NOT EXISTS (SELECT 1 FROM recipient AS r"
	        "  WHERE r.message = ended.message AND r.event_pending = 1)"
	        " ORDER BY at_ms LIMIT ?2");
	int result;

	sqlite_bind_int(query, 1, before_ms);
	sqlite_bind_int(query, 2, (int64_t)limit);
	while ((result = sqlite_step(query, err)) > 0) {
		over[*count].id = sqlite_column_id(query, 0);
		over[*count].at_ms = sqlite_column_int(query, 1);
		(*count)++;
	}
	return result;
}

/* As find_over(), before any writer has to wait. */
static int look(struct spool_sqlite *spool, int64_t before_ms, size_t limit,
                struct over *over, size_t *count, struct error *err)
{
	struct sqlite_db *db = NULL;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (!result)
		result = find_over(db, before_ms, limit, over, count, err);
	sqlite_pool_give(spool->readers, db);
	return result;
}

/* Deletes it if it is still over; *deleted counts it then. */
static int delete_over(struct sqlite_db *db, const struct over *over,
                       struct spool_totals *delta, size_t *deleted,
                       struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "DELETE FROM ended WHERE at_ms = ?1 AND message = ?2"
	        " AND NOT EXISTS (SELECT 1 FROM recipient AS r"
	        "  WHERE r.message = ?2 AND r.event_pending = 1)");
	int result;

	sqlite_bind_int(query, 1, over->at_ms);
	sqlite_bind_id(query, 2, &over->id);
	result = sqlite_run(query, err);
	if (result < 0 || !sqlite_db_changes(db))
		return result;
	(*deleted)++;
	return delete_message(db, &over->id, delta, err);
}

/*
 * One transaction. It waits for no sync: what a power cut brings back is
 * purged again.
 */
static int purge_step(struct spool_sqlite *spool, const struct over *over,
                      size_t count, size_t *deleted, struct error *err)
{
	struct spool_totals delta = {.unregistered = 0};
	int result = spool_sqlite_begin(spool, spool->lazy, err);

	if (result < 0)
		return result;
	for (size_t i = 0; i < count && !result; i++)
		result =
		    delete_over(spool->lazy, &over[i], &delta, deleted, err);
	if (!result)
		result = spool_sqlite_totals_add(spool->lazy, &delta, err);
	return spool_sqlite_end(spool, spool->lazy, result, err);
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A mutex is not fair: those who waited would wait again without a pause. */
static void give_way(int64_t us)
{
	struct timespec pause = {.tv_sec = us / 1000000,
	                         .tv_nsec = us % 1000000 * 1000};

	(void)nanosleep(&pause, NULL);
}

static int purge(struct spool_sqlite *spool, const struct over *over,
                 size_t count, size_t *deleted, struct error *err)
{
	int64_t took_us = 0;
	int result = 0;

	for (size_t done = 0; done < count && !result; done += STEP) {
		size_t left = count - done;
		int64_t start_us;

		if (done)
			give_way(took_us);
		start_us = now_us();
		result = purge_step(spool, over + done,
		                    left < STEP ? left : STEP, deleted, err);
		took_us = now_us() - start_us;
	}
	return result;
}

int spool_sqlite_purge(struct spool *base, int64_t before_ms, size_t limit,
                       size_t *deleted, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct over *over = calloc(limit, sizeof(*over));
	size_t count = 0, gone = 0;
	int result;

	if (!over)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = look(spool, before_ms, limit, over, &count, err);
	if (!result)
		result = purge(spool, over, count, &gone, err);
	if (!result)
		*deleted = gone;
	free(over);
	return result;
}
