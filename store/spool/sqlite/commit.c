/* One batch of changes to the spool as one transaction with one sync. */
#include "store/spool/sqlite/private.h"

#include "store/spool/input.h"

static void free_batch(struct spool_sqlite_batch *batch)
{
	free(batch->bodies);
	free(batch->ended);
}

static int init_batch(struct spool_sqlite_batch *batch,
                      struct spool_sqlite *spool, struct spool_change *changes,
                      size_t count, struct error *err)
{
	*batch = (struct spool_sqlite_batch){.spool = spool,
	                                     .db = spool->db,
	                                     .changes = changes,
	                                     .count = count};
	batch->bodies = calloc(count, sizeof(*batch->bodies));
	batch->ended = calloc(count, sizeof(*batch->ended));
	if (!batch->bodies || !batch->ended) {
		free_batch(batch);
		return error_set(err, ERR_MEMORY, "out of memory");
	}
	return 0;
}

int spool_sqlite_set(struct sqlite_db *db, const char *name, const char *value,
                     struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "INSERT OR REPLACE INTO value VALUES (?1, ?2)");

	sqlite_bind_text(query, 1, name);
	sqlite_bind_text(query, 2, value);
	return sqlite_run(query, err);
}

static int apply(struct spool_sqlite_batch *batch, size_t index,
                 struct error *err)
{
	struct spool_change *change = &batch->changes[index];

	if (change->result < 0)
		return 0;
	switch (change->kind) {
	case SPOOL_ADD:
	case SPOOL_COPY:
		return spool_sqlite_add(batch, change, &batch->bodies[index],
		                        err);
	case SPOOL_MOVE:
		return spool_sqlite_move(batch, change, err);
	case SPOOL_RENEW:
		return spool_sqlite_renew(batch, change, err);
	case SPOOL_DSN:
		return spool_sqlite_dsn(batch, change, err);
	case SPOOL_REGISTERED:
	case SPOOL_REPORTED:
		return spool_sqlite_mark(batch, change, err);
	case SPOOL_REFUSED:
		return spool_sqlite_refuse(batch, change, err);
	default:
		return spool_sqlite_set(batch->db, change->set.name,
		                        change->set.value, err);
	}
}

static int apply_all(struct spool_sqlite_batch *batch, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < batch->count && !result; i++)
		result = apply(batch, i, err);
	for (size_t i = 0; i < batch->ended_count && !result; i++)
		result = spool_sqlite_settle(batch, &batch->ended[i], err);
	if (!result)
		result = spool_sqlite_totals_add(batch->db, &batch->delta, err);
	return result;
}

static int transact(struct spool_sqlite_batch *batch, struct error *err)
{
	int result = spool_sqlite_begin(batch->spool, batch->db, err);

	if (result < 0)
		return result;
	result = apply_all(batch, err);
	return spool_sqlite_end(batch->spool, batch->db, result, err);
}

int spool_sqlite_commit(struct spool *base, struct spool_change *changes,
                        size_t count, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct error local = {.text = ""};
	struct spool_sqlite_batch batch;
	int result = init_batch(&batch, spool, changes, count, &local);

	for (size_t i = 0; i < count; i++)
		changes[i].result = spool_change_check(&changes[i]);
	if (!result) {
		result = spool_sqlite_bodies_prepare(&batch, &local);
		if (!result)
			result = transact(&batch, &local);
		for (size_t i = 0; i < count && result < 0; i++)
			changes[i].result = result;
		spool_sqlite_bodies_finish(&batch, result);
		free_batch(&batch);
	}
	if (result < 0)
		(void)error_set(err, (enum error_code)result, "%s", local.text);
	return result;
}
