/* The registry in SQLite: its connections, and the operations it has. */
#include "store/registry/sqlite/private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/fs.h"
#include "store/registry/sqlite/addresses.h"
#include "store/sqlite/backup.h"
#include "store/sqlite/checkpoint.h"
#include "store/sqlite/pool.h"

#define READERS 4
/*
 * The inner pages of a million messages' indexes. A writer's cache is small: in
 * a file below 1 GiB SQLite looks through all of it at each commit that split a
 * page (the split borrows the number of the lock's page, far behind the last
 * one, and the commit looks for what is behind it), 0.5 ms in 128 MiB.
 */
#define WRITER_CACHE_KIB (8 * 1024)
#define READER_CACHE_KIB (32 * 1024)

#define OPEN_WAIT_MS 10000

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

static int open_connections(struct registry_sqlite *sqlite, struct error *err)
{
	const char *path = sqlite->path;
	struct sqlite_db_options options = {
	    .path = path, .create = true, .cache_kib = WRITER_CACHE_KIB};
	int error;

	if ((error = open_writer(sqlite, &options, err)) ||
	    (error =
	         sqlite_db_migrate(sqlite->writer, registry_sqlite_migrations,
	                           registry_sqlite_version, err)) ||
	    (error = need_registry(sqlite->writer, path, err)) ||
	    (error = sqlite_db_data_version(sqlite->writer,
	                                    &sqlite->data_version, err)) ||
	    (error = registry_sqlite_read_changes(sqlite->writer,
	                                          &sqlite->changes, err)) ||
	    (error =
	         sqlite_checkpointer_start(&sqlite->checkpointer, path, NULL,
	                                   &sqlite->writer_mutex, err)) ||
	    (error = sqlite_pool_open(&sqlite->readers, path, READERS,
	                              READER_CACHE_KIB, err)))
		return error;
	sqlite_checkpointer_watch(sqlite->checkpointer, sqlite->writer);
	return registry_sqlite_addresses_open(&sqlite->addresses,
	                                      sqlite->writer, err);
}

static void registry_sqlite_close(struct registry *registry)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;

	sqlite_pool_close(sqlite->readers);
	sqlite_db_close(sqlite->writer);
	registry_sqlite_addresses_close(sqlite->addresses);
	sqlite_checkpointer_stop(sqlite->checkpointer);
	(void)pthread_mutex_destroy(&sqlite->writer_mutex);
	(void)pthread_mutex_destroy(&sqlite->queue_mutex);
	(void)pthread_mutex_destroy(&sqlite->watch_mutex);
	(void)pthread_cond_destroy(&sqlite->changed);
	free(sqlite->path);
	free(sqlite);
}

static struct registry_sqlite *make(void)
{
	struct registry_sqlite *sqlite = calloc(1, sizeof(*sqlite));

	if (!sqlite)
		return NULL;
	sqlite->registry.backend = &registry_sqlite_backend;
	sqlite->version = 1;
	sqlite->polled_ms = clock_monotonic_ms();
	(void)pthread_mutex_init(&sqlite->writer_mutex, NULL);
	(void)pthread_mutex_init(&sqlite->queue_mutex, NULL);
	(void)pthread_mutex_init(&sqlite->watch_mutex, NULL);
	condition_init(&sqlite->changed);
	return sqlite;
}

static char *file_in(const char *directory)
{
	char *path;

	return asprintf(&path, "%s/registry.db", directory) < 0 ? NULL : path;
}

/* Made by sqlite_backup_file(), so that it is there whole or not at all. */
int registry_sqlite_backup(struct registry *registry, const char *directory,
                           const struct store_progress *progress,
                           struct error *err)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;
	char *target = file_in(directory);
	bool made;
	int error;

	if (!target)
		return error_set(err, ERR_MEMORY, "out of memory");
	error = sqlite_backup_prepare(directory, &made, err);
	if (!error) {
		error = sqlite_backup_file(sqlite->path, target, progress, err);
		error = sqlite_backup_finish(directory, made, error, err);
	}
	free(target);
	return error;
}

static const char *registry_sqlite_engine(const struct registry *registry)
{
	(void)registry;
	return sqlite_db_engine();
}

static int registry_sqlite_open(struct registry **registry,
                                const struct registry_options *options,
                                struct error *err)
{
	struct registry_sqlite *sqlite = make();
	int error;

	if (!sqlite || !(sqlite->path = file_in(options->location)))
		error = error_set(err, ERR_MEMORY, "out of memory");
	else
		error = fs_make_directory(options->location, err);
	if (!error)
		error = open_connections(sqlite, err);
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
    .engine = registry_sqlite_engine,
    .watch = registry_sqlite_watch,
    .watch_cancel = registry_sqlite_watch_cancel,
    .lease = registry_sqlite_lease,
    .secret = registry_sqlite_secret,
    .check = registry_sqlite_check,
    .backup = registry_sqlite_backup,
    .tenant_add = registry_sqlite_tenant_add,
    .tenant_find = registry_sqlite_tenant_find,
    .tenant_read = registry_sqlite_tenant_read,
    .tenant_change = registry_sqlite_tenant_change,
    .tenant_usage = registry_sqlite_tenant_usage,
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
    .user_each = registry_sqlite_user_each,
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
    .challenge_find = registry_sqlite_challenge_find,
    .challenge_states = registry_sqlite_challenge_states,
    .challenge_read = registry_sqlite_challenge_read,
    .challenge_move = registry_sqlite_challenge_move,
    .challenge_recode = registry_sqlite_challenge_recode,
    .challenge_solve = registry_sqlite_challenge_solve,
    .challenge_claim_mail = registry_sqlite_challenge_claim_mail,
    .challenge_mail_renew = registry_sqlite_challenge_mail_renew,
    .challenge_mail_done = registry_sqlite_challenge_mail_done,
    .challenge_due = registry_sqlite_challenge_due,
    .challenge_count = registry_sqlite_challenge_count,
    .sender_mark = registry_sqlite_sender_mark,
    .sender_read = registry_sqlite_sender_read,
    .sender_marked = registry_sqlite_sender_marked,
    .sender_clear = registry_sqlite_sender_clear,
    .audit_add = registry_sqlite_audit_add,
    .audit_each = registry_sqlite_audit_each,
    .count = registry_sqlite_count,
    .purge = registry_sqlite_purge,
    .export_page = registry_sqlite_export,
    .import = registry_sqlite_import,
};
