/* The spool in SQLite: opening, recovery, closing, failures that end it. */
#include "store/spool/sqlite/private.h"

#include <unistd.h>

#include "common/fs.h"

#define READERS          4
#define WRITER_CACHE_KIB 32768
/* Of the agent, whose senders wait: other processes lock the file briefly. */
#define LOCKED_TIMEOUT_MS 2000
/* A row holds less than 1 GB, and memory is to be bounded. */
#define LARGE_BODY_MAXIMUM (64 << 20)

char *spool_sqlite_join(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static int set_paths(struct spool_sqlite *spool, const char *location,
                     struct error *err)
{
	spool->path = spool_sqlite_join(location, "spool.db");
	spool->incoming = spool_sqlite_join(location, "incoming");
	spool->bodies = spool_sqlite_join(location, "bodies");
	spool->reserve = spool_sqlite_join(location, "reserve");
	if (!spool->path || !spool->incoming || !spool->bodies ||
	    !spool->reserve)
		return error_set(err, ERR_MEMORY, "out of memory");
	return 0;
}

/* Makes the directories, durably, and takes the lock. */
static int prepare_location(struct spool_sqlite *spool, const char *location,
                            struct error *err)
{
	char *lock = spool_sqlite_join(location, "lock");
	char *parent = spool_sqlite_join(location, "..");
	int result = 0;

	if (!lock || !parent)
		result = error_set(err, ERR_MEMORY, "out of memory");
	if (!result)
		result = fs_make_directory(spool->incoming, err);
	if (!result)
		result = fs_make_directory(spool->bodies, err);
	if (!result)
		result = fs_sync_directory(location, err);
	if (!result)
		result = fs_sync_directory(parent, err);
	if (!result) {
		result = fs_lock_file(lock, err);
		if (result >= 0) {
			spool->lock_fd = result;
			result = 0;
		}
	}
	free(parent);
	free(lock);
	return result;
}

static int open_database(struct spool_sqlite *spool, bool shared,
                         struct error *err)
{
	int timeout_ms = shared ? 0 : LOCKED_TIMEOUT_MS;
	struct sqlite_db_options options = {.path = spool->path,
	                                    .create = !shared,
	                                    .busy_timeout_ms = timeout_ms,
	                                    .cache_kib = WRITER_CACHE_KIB};
	struct sqlite_db_options lazy = {.path = spool->path,
	                                 .busy_timeout_ms = timeout_ms,
	                                 .lazy_sync = true};
	int result = sqlite_db_open(&spool->db, &options, err);

	if (!result && shared)
		result = sqlite_db_expect_version(spool->db,
		                                  spool_sqlite_version, err);
	if (!result && !shared)
		result = sqlite_db_migrate(spool->db, spool_sqlite_steps,
		                           spool_sqlite_version, err);
	if (!result)
		result = sqlite_db_open(&spool->lazy, &lazy, err);
	if (!result)
		result = sqlite_pool_open(&spool->readers, spool->path, READERS,
		                          0, err);
	return result;
}

static int start_checkpointer(struct spool_sqlite *spool, struct error *err)
{
	int result =
	    sqlite_checkpointer_start(&spool->checkpointer, spool->path,
	                              spool->reserve, &spool->writer, err);

	if (result < 0)
		return result;
	sqlite_checkpointer_watch(spool->checkpointer, spool->db);
	sqlite_checkpointer_watch(spool->checkpointer, spool->lazy);
	return 0;
}

static int recover(struct spool_sqlite *spool, const char *owner,
                   struct error *err)
{
	struct sqlite_query *query;
	int result = spool_sqlite_begin(spool, spool->db, err);

	if (result < 0)
		return result;
	query = sqlite_query(spool->db,
	                     "UPDATE recipient SET lease_owner = '',"
	                     " lease_until_ms = 0, due_ms = next_attempt_ms"
	                     " WHERE due_ms IS NOT NULL AND lease_owner = ?1");
	sqlite_bind_text(query, 1, owner);
	result = sqlite_run(query, err);
	result = spool_sqlite_end(spool, spool->db, result, err);
	return result < 0 ? result : spool_sqlite_sweep(spool, err);
}

static void close_spool(struct spool *base)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;

	sqlite_checkpointer_stop(spool->checkpointer);
	sqlite_pool_close(spool->readers);
	/* What a failed sync left is not to be written again. */
	if (spool->failure && spool->db)
		sqlite_db_abandon(spool->db);
	if (spool->failure && spool->lazy)
		sqlite_db_abandon(spool->lazy);
	sqlite_db_close(spool->lazy);
	sqlite_db_close(spool->db);
	if (spool->lock_fd >= 0)
		(void)close(spool->lock_fd);
	(void)pthread_mutex_destroy(&spool->writer);
	free(spool->path);
	free(spool->incoming);
	free(spool->reserve);
	free(spool->bodies);
	free(spool);
}

static int open_spool(struct spool **base, const struct spool_options *options,
                      bool shared, struct error *err)
{
	struct spool_sqlite *spool = calloc(1, sizeof(*spool));
	int result;

	if (!spool)
		return error_set(err, ERR_MEMORY, "out of memory");
	spool->base.backend = &spool_sqlite_backend;
	spool->large_body_bytes = options->large_body_bytes;
	if (spool->large_body_bytes > LARGE_BODY_MAXIMUM)
		spool->large_body_bytes = LARGE_BODY_MAXIMUM;
	spool->lock_fd = -1;
	(void)pthread_mutex_init(&spool->writer, NULL);
	result = set_paths(spool, options->location, err);
	if (!result && !shared)
		result = prepare_location(spool, options->location, err);
	if (!result)
		result = open_database(spool, shared, err);
	if (!result && !shared)
		result = start_checkpointer(spool, err);
	if (!result && !shared)
		result = recover(spool, options->owner, err);
	if (result < 0) {
		close_spool(&spool->base);
		return result;
	}
	*base = &spool->base;
	return 0;
}

static const char *engine(const struct spool *base)
{
	(void)base;
	return sqlite_db_engine();
}

static const char *incoming_directory(const struct spool *base)
{
	return ((const struct spool_sqlite *)base)->incoming;
}

void spool_sqlite_note(struct spool_sqlite *spool, int result,
                       const struct error *err)
{
	if (spool->failure || (result != ERR_IO && result != ERR_CORRUPT))
		return;
	spool->failure = result;
	(void)snprintf(spool->failure_text, sizeof(spool->failure_text), "%s",
	               err->text);
}

/* Refuses when the spool has failed. The writer is locked. */
static int check_failure(struct spool_sqlite *spool, struct error *err)
{
	int failure = spool->checkpointer
	                  ? sqlite_checkpointer_failure(spool->checkpointer)
	                  : 0;
	struct error found = {.text = "moving the log into the database"};

	if (failure)
		spool_sqlite_note(spool, failure, &found);
	if (!spool->failure)
		return 0;
	return error_set(err, (enum error_code)spool->failure,
	                 "the spool has failed: %.400s", spool->failure_text);
}

int spool_sqlite_begin(struct spool_sqlite *spool, struct sqlite_db *db,
                       struct error *err)
{
	struct error local = {.text = ""};
	int result;

	sqlite_checkpointer_give_way(spool->checkpointer);
	(void)pthread_mutex_lock(&spool->writer);
	result = check_failure(spool, &local);
	if (!result) {
		result = sqlite_db_begin(db, &local);
		spool_sqlite_note(spool, result, &local);
	}
	if (result < 0) {
		(void)pthread_mutex_unlock(&spool->writer);
		(void)error_set(err, local.code, "%s", local.text);
	}
	return result;
}

int spool_sqlite_end(struct spool_sqlite *spool, struct sqlite_db *db,
                     int result, struct error *err)
{
	struct error local = {.text = "writing"};

	if (result < 0) {
		if (err)
			local = *err;
		sqlite_db_rollback(db);
	} else {
		result = sqlite_db_commit(db, &local);
		if (result < 0)
			(void)error_set(err, local.code, "%s", local.text);
	}
	spool_sqlite_note(spool, result, &local);
	(void)pthread_mutex_unlock(&spool->writer);
	return result;
}

const struct spool_backend spool_sqlite_backend = {
    .name = "sqlite",
    .open = open_spool,
    .close = close_spool,
    .engine = engine,
    .incoming_directory = incoming_directory,
    .commit = spool_sqlite_commit,
    .read = spool_sqlite_read,
    .body_open = spool_sqlite_body_open,
    .claim = spool_sqlite_claim,
    .next_due = spool_sqlite_next_due,
    .list = spool_sqlite_list,
    .count = spool_sqlite_count,
    .purge = spool_sqlite_purge,
    .get = spool_sqlite_get,
    .values_each = spool_sqlite_values_each,
    .entries_apply = spool_sqlite_entries_apply,
    .entries_each = spool_sqlite_entries_each,
    .check = spool_sqlite_check,
    .backup = spool_sqlite_backup,
};
