/* Deletes from the spool what is over and told. */
#include "store/spool-sqlite-private.h"

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
	    sqlite_query(db, "SELECT state FROM recipient WHERE message = ?1");
	int result;

	sqlite_bind_id(query, 1, id);
	while ((result = sqlite_step(query, err)) > 0) {
		int64_t state = sqlite_column_int(query, 0);

		if (state >= 0 && state < SPOOL_STATE_COUNT)
			delta->recipients[state]--;
	}
	return result;
}

/* Its body went when it ended. */
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
		result =
		    run_with(db, "DELETE FROM message WHERE id = ?1", id, err);
	return result;
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

static int delete_over(struct sqlite_db *db, const struct over *over,
                       struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "DELETE FROM ended WHERE at_ms = ?1 AND message = ?2");

	sqlite_bind_int(query, 1, over->at_ms);
	sqlite_bind_id(query, 2, &over->id);
	return sqlite_run(query, err);
}

static int purge(struct sqlite_db *db, int64_t before_ms, size_t limit,
                 struct over *over, size_t *count, struct error *err)
{
	struct spool_totals delta = {.unregistered = 0};
	int result = find_over(db, before_ms, limit, over, count, err);

	for (size_t i = 0; i < *count && !result; i++) {
		result = delete_message(db, &over[i].id, &delta, err);
		if (!result)
			result = delete_over(db, &over[i], err);
	}
	return result < 0 ? result : spool_sqlite_totals_add(db, &delta, err);
}

int spool_sqlite_purge(struct spool *base, int64_t before_ms, size_t limit,
                       size_t *deleted, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct over *over = calloc(limit, sizeof(*over));
	size_t count = 0;
	int result;

	if (!over)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = spool_sqlite_begin(spool, spool->db, err);
	if (!result) {
		result = purge(spool->db, before_ms, limit, over, &count, err);
		result = spool_sqlite_end(spool, spool->db, result, err);
	}
	if (!result)
		*deleted = count;
	free(over);
	return result;
}
