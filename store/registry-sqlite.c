/* The registry in SQLite: opening, closing, reading and writing. */
#include "store/registry-sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "store/sqlite-checkpoint.h"
#include "store/sqlite-pool.h"

#define READERS 4

#define OPEN_WAIT_MS 10000

/* The most writes that share one commit. */
#define SHARED_WRITES 64

/* A write that waits for its turn, on the stack of its thread. */
struct registry_write {
	registry_sqlite_job job;
	void *context;
	struct error *err;
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

static int run_savepoint(struct sqlite_db *db, struct registry_write *write)
{
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
	return sqlite_run(sqlite_query(db, "RELEASE write"), write->err);
}

/* Runs every write; *changed tells whether one succeeded. */
static int run_writes(struct sqlite_db *db, struct registry_write *first,
                      bool *changed, struct error *err)
{
	for (struct registry_write *write = first; write; write = write->next) {
		struct error detail = {0};
		struct error *wanted = write->err;
		int error;

		write->err = &detail;
		error = run_savepoint(db, write);
		write->err = wanted;
		if (error)
			return error_set(err, (enum error_code)error, "%s",
			                 detail.text);
		if (write->result && wanted)
			*wanted = detail;
		*changed = *changed || !write->result;
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

/* One transaction for all writes from first on. */
static int transact(struct registry_sqlite *sqlite,
                    struct registry_write *first, struct error *err)
{
	bool changed = false;
	int error = sqlite->failure;

	if (!error)
		error = sqlite_checkpointer_failure(sqlite->checkpointer);
	if (error)
		return error_set(err, (enum error_code)error,
		                 "the registry failed before and must be "
		                 "opened anew");
	if ((error = sqlite_db_begin(sqlite->writer, err)))
		return error;
	error = run_writes(sqlite->writer, first, &changed, err);
	if (error || !changed) {
		sqlite_db_rollback(sqlite->writer);
		return error;
	}
	if ((error = commit(sqlite, err)))
		return error;
	registry_sqlite_changed(sqlite);
	return 0;
}

int registry_sqlite_write(struct registry *registry, registry_sqlite_job job,
                          void *context, struct error *err)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;
	struct registry_write mine = {
	    .job = job, .context = context, .err = err};
	struct registry_write *first, *next;
	struct error detail = {0};

	enqueue(sqlite, &mine);
	(void)pthread_mutex_lock(&sqlite->writer_mutex);
	while (!mine.done) {
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
	return mine.result;
}

int registry_sqlite_read(struct registry *registry, registry_sqlite_job job,
                         void *context, struct error *err)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;
	struct sqlite_db *db;
	int error = sqlite_pool_take(sqlite->readers, &db, err);

	if (error)
		return error;
	error = sqlite_db_begin_read(db, err);
	if (!error)
		error = job(db, context, err);
	sqlite_pool_give(sqlite->readers, db);
	return error;
}

/* The file is made here, so that SQLite's own files get its mode too. */
static int make_file(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, ERR_IO, errno, "%s", path);
	(void)close(fd);
	return 0;
}

static int need_registry(struct sqlite_db *db, const char *path,
                         struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, "PRAGMA application_id");
	int result = sqlite_step(query, err);
	bool ours = result > 0 && !strcmp(sqlite_column_text(query, 0),
	                                  REGISTRY_SQLITE_APPLICATION);

	sqlite_reset(query);
	if (result < 0)
		return result;
	return ours ? 0
	            : error_set(err, ERR_CORRUPT, "%s: not a registry", path);
}

/*
 * Of several processes that make the file at once, SQLite tells all but one at
 * once that it is locked, without waiting: the switch to the log is a change
 * of lock that could end in a deadlock.
 */
static int open_writer(struct registry_sqlite *sqlite,
                       const struct sqlite_db_options *options,
                       struct error *err)
{
	int64_t end_ms = clock_monotonic_ms() + OPEN_WAIT_MS;
	int error;

	while ((error = sqlite_db_open(&sqlite->writer, options, err)) ==
	           ERR_UNAVAILABLE &&
	       clock_monotonic_ms() < end_ms)
		(void)usleep(1000 + random_below(20000));
	return error;
}

static int open_connections(struct registry_sqlite *sqlite, const char *path,
                            struct error *err)
{
	struct sqlite_db_options options = {.path = path, .create = true};
	int error;

	if ((error = open_writer(sqlite, &options, err)) ||
	    (error =
	         sqlite_db_migrate(sqlite->writer, registry_sqlite_migrations,
	                           registry_sqlite_version, err)) ||
	    (error = need_registry(sqlite->writer, path, err)) ||
	    (error = sqlite_db_data_version(sqlite->writer,
	                                    &sqlite->data_version, err)) ||
	    (error = sqlite_checkpointer_start(&sqlite->checkpointer, path,
	                                       &sqlite->writer_mutex, err)) ||
	    (error = sqlite_pool_open(&sqlite->readers, path, READERS, err)))
		return error;
	sqlite_checkpointer_watch(sqlite->checkpointer, sqlite->writer);
	return 0;
}

static void registry_sqlite_close(struct registry *registry)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;

	sqlite_pool_close(sqlite->readers);
	sqlite_db_close(sqlite->writer);
	sqlite_checkpointer_stop(sqlite->checkpointer);
	(void)pthread_mutex_destroy(&sqlite->writer_mutex);
	(void)pthread_mutex_destroy(&sqlite->queue_mutex);
	(void)pthread_mutex_destroy(&sqlite->watch_mutex);
	(void)pthread_cond_destroy(&sqlite->changed);
	free(sqlite);
}

static struct registry_sqlite *make(void)
{
	struct registry_sqlite *sqlite = calloc(1, sizeof(*sqlite));
	pthread_condattr_t clock;

	if (!sqlite)
		return NULL;
	sqlite->registry.backend = &registry_sqlite_backend;
	sqlite->version = 1;
	sqlite->polled_ms = clock_monotonic_ms();
	(void)pthread_mutex_init(&sqlite->writer_mutex, NULL);
	(void)pthread_mutex_init(&sqlite->queue_mutex, NULL);
	(void)pthread_mutex_init(&sqlite->watch_mutex, NULL);
	(void)pthread_condattr_init(&clock);
	(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&sqlite->changed, &clock);
	(void)pthread_condattr_destroy(&clock);
	return sqlite;
}

static int registry_sqlite_open(struct registry **registry,
                                const struct registry_options *options,
                                struct error *err)
{
	struct registry_sqlite *sqlite = make();
	char *path = NULL;
	int error;

	if (!sqlite || asprintf(&path, "%s/registry.db", options->location) < 0)
		error = error_set(err, ERR_MEMORY, "out of memory");
	else if ((error = fs_make_directory(options->location, err)) ||
	         (error = make_file(path, err)))
		;
	else
		error = open_connections(sqlite, path, err);
	free(path);
	if (error && sqlite)
		registry_sqlite_close(&sqlite->registry);
	if (!error)
		*registry = &sqlite->registry;
	return error;
}

const struct registry_backend registry_sqlite_backend = {
    .name = "sqlite",
    .open = registry_sqlite_open,
    .close = registry_sqlite_close,
    .watch = registry_sqlite_watch,
    .watch_cancel = registry_sqlite_watch_cancel,
    .lease = registry_sqlite_lease,
    .secret = registry_sqlite_secret,
    .check = registry_sqlite_check,
    .tenant_add = registry_sqlite_tenant_add,
    .tenant_find = registry_sqlite_tenant_find,
    .tenant_read = registry_sqlite_tenant_read,
    .tenant_each = registry_sqlite_tenant_each,
    .domain_add = registry_sqlite_domain_add,
    .domain_remove = registry_sqlite_domain_remove,
    .domain_each = registry_sqlite_domain_each,
    .key_add = registry_sqlite_key_add,
    .key_find = registry_sqlite_key_find,
    .key_revoke = registry_sqlite_key_revoke,
    .key_each = registry_sqlite_key_each,
    .user_add = registry_sqlite_user_add,
    .user_find = registry_sqlite_user_find,
    .entry_put = registry_sqlite_entry_put,
    .entry_remove = registry_sqlite_entry_remove,
    .entry_list = registry_sqlite_entry_list,
    .entry_changes = registry_sqlite_entry_changes,
    .policy_revision = registry_sqlite_policy_revision,
    .entry_match = registry_sqlite_entry_match,
    .message_add = registry_sqlite_message_add,
    .message_read = registry_sqlite_message_read,
    .message_attach = registry_sqlite_message_attach,
    .message_list = registry_sqlite_message_list,
    .decide = registry_sqlite_decide,
    .decision_list = registry_sqlite_decision_list,
    .decision_last = registry_sqlite_decision_last,
    .message_event = registry_sqlite_message_event,
    .challenge_open = registry_sqlite_challenge_open,
    .challenge_read = registry_sqlite_challenge_read,
    .challenge_move = registry_sqlite_challenge_move,
    .challenge_recode = registry_sqlite_challenge_recode,
    .challenge_claim_mail = registry_sqlite_challenge_claim_mail,
    .challenge_mail_done = registry_sqlite_challenge_mail_done,
    .challenge_due = registry_sqlite_challenge_due,
    .sender_set_dead = registry_sqlite_sender_set_dead,
    .sender_is_dead = registry_sqlite_sender_is_dead,
    .audit_add = registry_sqlite_audit_add,
    .audit_each = registry_sqlite_audit_each,
    .count = registry_sqlite_count,
};
