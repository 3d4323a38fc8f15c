/* Writing to the registry in SQLite: waiting writes share a commit. */
#include "store/registry/sqlite/private.h"

#include "store/registry/sqlite/addresses.h"
#include "store/sqlite/checkpoint.h"

/* The most writes that share one commit. */
#define SHARED_WRITES 64

/* A write that waits for its turn, on the stack of its thread. */
struct registry_write {
	registry_sqlite_job job;
	void *context;
	struct error *err;
	bool quiet; /* of no interest to those who watch */
	int result;
	bool done; /* under the writer's mutex */
	struct registry_write *next;
};

static void enqueue(struct registry_sqlite *sqlite,
                    struct registry_write *write)
{
	(void)pthread_mutex_lock(&sqlite->queue_mutex);
	if (sqlite->last_write)
		sqlite->last_write->next = write;
	else
		sqlite->first_write = write;
	sqlite->last_write = write;
	(void)pthread_mutex_unlock(&sqlite->queue_mutex);
}

/* Takes the writes that wait off the queue, the oldest first. */
static struct registry_write *dequeue(struct registry_sqlite *sqlite)
{
	struct registry_write *first, *last;

	(void)pthread_mutex_lock(&sqlite->queue_mutex);
	first = last = sqlite->first_write;
	for (int i = 1; last && last->next && i < SHARED_WRITES; i++)
		last = last->next;
	if (last) {
		sqlite->first_write = last->next;
		last->next = NULL;
	}
	if (!sqlite->first_write)
		sqlite->last_write = NULL;
	(void)pthread_mutex_unlock(&sqlite->queue_mutex);
	return first;
}

/* Whether a failure concerns the file and not what one write asked for. */
static bool spoils_transaction(int result)
{
	return result == ERR_IO || result == ERR_FULL ||
	       result == ERR_CORRUPT || result == ERR_MEMORY ||
	       result == ERR_UNAVAILABLE;
}

/* How many rows this connection has changed so far. */
static int64_t rows_changed(struct sqlite_db *db)
{
	struct sqlite_query *query = sqlite_query(db, "SELECT total_changes()");
	int64_t rows = -1;

	if (sqlite_step(query, NULL) > 0)
		rows = sqlite_column_int(query, 0);
	sqlite_reset(query);
	return rows;
}

/* What the writes of one transaction came to. */
struct outcome {
	bool changed; /* there is something to commit */
	bool loud;    /* and to tell */
};

static int run_savepoint(struct sqlite_db *db, struct registry_write *write,
                         struct outcome *outcome)
{
	int64_t rows = rows_changed(db);
	int error;

	if ((error =
	         sqlite_run(sqlite_query(db, "SAVEPOINT write"), write->err)))
		return error;
	write->result = write->job(db, write->context, write->err);
	if (spoils_transaction(write->result))
		return write->result;
	if (write->result &&
	    (error =
	         sqlite_run(sqlite_query(db, "ROLLBACK TO write"), write->err)))
		return error;
	if (!write->result && rows_changed(db) != rows) {
		outcome->changed = true;
		outcome->loud = outcome->loud || !write->quiet;
	}
	return sqlite_run(sqlite_query(db, "RELEASE write"), write->err);
}

static int run_writes(struct sqlite_db *db, struct registry_write *first,
                      struct outcome *outcome, struct error *err)
{
	for (struct registry_write *write = first; write; write = write->next) {
		struct error detail = {0};
		struct error *wanted = write->err;
		int error;

		write->err = &detail;
		error = run_savepoint(db, write, outcome);
		write->err = wanted;
		if (error)
			return error_set(err, (enum error_code)error, "%s",
			                 detail.text);
		if (write->result && wanted)
			*wanted = detail;
	}
	return 0;
}

static int commit(struct registry_sqlite *sqlite, struct error *err)
{
	int error = sqlite_db_commit(sqlite->writer, err);

	if (error == ERR_IO || error == ERR_CORRUPT) {
		/* A failed sync is never tried again, and what was written
		 * before it may yet be found by a recovery. */
		sqlite->failure = error;
		sqlite_db_abandon(sqlite->writer);
		if (err)
			err->code = ERR_UNCERTAIN;
		return ERR_UNCERTAIN;
	}
	return error;
}

/* Runs the writes and, where they are to be told, counts the change. */
static int change(struct registry_sqlite *sqlite, struct registry_write *first,
                  struct outcome *outcome, int64_t *changes, struct error *err)
{
	int error = run_writes(sqlite->writer, first, outcome, err);

	if (error || !outcome->loud)
		return error;
	return registry_sqlite_number(
	    sqlite_query(sqlite->writer,
	                 "UPDATE counter SET value = value + 1"
	                 " WHERE name = 'changes' RETURNING value"),
	    changes, err);
}

/* The writes within the transaction that was begun, and its end. */
static int run_transaction(struct registry_sqlite *sqlite,
                           struct registry_write *first,
                           struct outcome *outcome, struct error *err)
{
	int64_t changes = sqlite->changes;
	int error = registry_sqlite_addresses_write(sqlite->addresses,
	                                            sqlite->writer, err);

	if (!error)
		error = change(sqlite, first, outcome, &changes, err);
	if (error || !outcome->changed) {
		sqlite_db_rollback(sqlite->writer);
		return error;
	}
	error = commit(sqlite, err);
	if (!error)
		sqlite->changes = changes;
	return error;
}

/* One transaction for all writes from first on. */
static int transact(struct registry_sqlite *sqlite,
                    struct registry_write *first, struct error *err)
{
	struct outcome outcome = {0};
	int error = sqlite->failure;

	if (!error)
		error = sqlite_checkpointer_failure(sqlite->checkpointer);
	if (error)
		return error_set(err, (enum error_code)error,
		                 "the registry failed before and must be "
		                 "opened anew");
	if ((error = sqlite_db_begin(sqlite->writer, err)))
		return error;
	error = run_transaction(sqlite, first, &outcome, err);
	registry_sqlite_addresses_end(sqlite->addresses,
	                              !error && outcome.changed);
	if (!error && outcome.loud)
		registry_sqlite_changed(sqlite);
	return error;
}

/* Waits for this thread's turn, or for another thread that took it along. */
static int write_or_wait(struct registry_sqlite *sqlite,
                         struct registry_write *mine)
{
	struct registry_write *first, *next;
	struct error detail = {0};

	enqueue(sqlite, mine);
	sqlite_checkpointer_give_way(sqlite->checkpointer);
	(void)pthread_mutex_lock(&sqlite->writer_mutex);
	while (!mine->done) {
		int error;

		first = dequeue(sqlite);
		error = transact(sqlite, first, &detail);
		for (; first; first = next) {
			next = first->next;
			if (error)
				first->result = error;
			if (error && first->err)
				*first->err = detail;
			first->done = true;
		}
	}
	(void)pthread_mutex_unlock(&sqlite->writer_mutex);
	return mine->result;
}

int registry_sqlite_write(struct registry *registry, registry_sqlite_job job,
                          void *context, struct error *err)
{
	struct registry_write mine = {
	    .job = job, .context = context, .err = err};

	return write_or_wait((struct registry_sqlite *)registry, &mine);
}

int registry_sqlite_write_quietly(struct registry *registry,
                                  registry_sqlite_job job, void *context,
                                  struct error *err)
{
	struct registry_write mine = {
	    .job = job, .context = context, .err = err, .quiet = true};

	return write_or_wait((struct registry_sqlite *)registry, &mine);
}
