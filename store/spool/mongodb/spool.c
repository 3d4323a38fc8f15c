/* The spool in MongoDB: opening, recovery, closing, its folder for bodies. */
#include "store/spool/mongodb/private.h"

#include <dirent.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/private-folder.h"

#define DATABASE      "turing_spool" /* where the URI names none */
#define PROGRAM       "turing-agent"
#define FOLDER_PARENT "/var/tmp"
#define FOLDER_PREFIX "turing-incoming"
#define LOCK_NAME     ".lock"
#define ORPHAN_AGE_MS (60 * 60 * 1000)

static int out_of_memory(struct error *err)
{
	return error_set(err, ERR_MEMORY, "out of memory");
}

/* --- the folder for bodies on their way -------------------------------- */

/* Empties the folder; it is this process's alone. */
static void empty_folder(const char *path)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, LOCK_NAME) != 0)
			(void)unlinkat(dirfd(directory), entry->d_name, 0);
	(void)closedir(directory);
}

/* The folder that was configured, locked unless another may use it too. */
static int take_folder(struct spool_mongodb *spool, const char *path,
                       bool shared, struct error *err)
{
	char *lock = NULL;
	int result;

	spool->incoming = strdup(path);
	if (!spool->incoming || asprintf(&lock, "%s/%s", path, LOCK_NAME) < 0)
		return out_of_memory(err);
	result = fs_make_directory(path, err);
	if (!result && !shared) {
		result = fs_lock_file(lock, err);
		if (result >= 0) {
			spool->lock_fd = result;
			result = 0;
			empty_folder(path);
		}
	}
	free(lock);
	return result;
}

/* One of our own, where none was configured. A start removes what killed ones
 * left. */
static int make_folder(struct spool_mongodb *spool, bool shared,
                       struct error *err)
{
	int lock;

	if (!shared)
		private_folder_sweep(FOLDER_PARENT, FOLDER_PREFIX);
	lock = private_folder_make(FOLDER_PARENT, FOLDER_PREFIX,
	                           &spool->incoming, err);
	if (lock < 0)
		return lock;
	spool->lock_fd = lock;
	spool->incoming_is_ours = true;
	return 0;
}

static void leave_folder(struct spool_mongodb *spool)
{
	if (spool->incoming_is_ours)
		private_folder_remove(spool->incoming, spool->lock_fd);
	else if (spool->lock_fd >= 0)
		(void)close(spool->lock_fd);
}

/* --- opening ----------------------------------------------------------- */

static int connect_to(struct spool_mongodb *spool, const char *uri,
                      struct error *err)
{
	const struct mongodb_options options = {
	    .uri = uri, .database = DATABASE, .program = PROGRAM};
	int result = mongodb_db_open(&spool->db, &options, err);

	if (!result)
		result = mongodb_need_own(spool->db, "spool", err);
	if (!result)
		result =
		    mongodb_migrate(spool->db, "spool", spool_mongodb_steps,
		                    spool_mongodb_version, err);
	return result;
}

/* What a crash of this agent left. */
static int recover(struct spool_mongodb *spool, struct error *err)
{
	int result = spool_mongodb_make_indexes(spool->db, err);

	if (!result)
		result = spool_mongodb_drop_leases(spool, err);
	if (!result)
		result = spool_mongodb_finish_apply(spool, err);
	return result < 0 ? result
	                  : spool_mongodb_sweep(spool, ORPHAN_AGE_MS, err);
}

static void close_spool(struct spool *base)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;

	mongodb_db_close(spool->db);
	leave_folder(spool);
	(void)pthread_mutex_destroy(&spool->replica);
	(void)pthread_mutex_destroy(&spool->counting);
	free(spool->incoming);
	free(spool->owner);
	free(spool);
}

static int open_parts(struct spool_mongodb *spool,
                      const struct spool_options *options, bool shared,
                      struct error *err)
{
	int result = 0;

	spool->owner = strdup(options->owner);
	if (!spool->owner)
		return out_of_memory(err);
	result = options->incoming
	             ? take_folder(spool, options->incoming, shared, err)
	             : make_folder(spool, shared, err);
	if (!result)
		result = connect_to(spool, options->location, err);
	if (!result && !shared)
		result = recover(spool, err);
	return result;
}

static int open_spool(struct spool **base, const struct spool_options *options,
                      bool shared, struct error *err)
{
	struct spool_mongodb *spool = calloc(1, sizeof(*spool));
	int result;

	if (!spool)
		return out_of_memory(err);
	spool->base.backend = &spool_mongodb_backend;
	spool->large_body_bytes = options->large_body_bytes;
	spool->lock_fd = -1;
	(void)pthread_mutex_init(&spool->replica, NULL);
	(void)pthread_mutex_init(&spool->counting, NULL);
	result = open_parts(spool, options, shared, err);
	if (result < 0) {
		close_spool(&spool->base);
		return result;
	}
	*base = &spool->base;
	return 0;
}

static const char *engine(const struct spool *base)
{
	return mongodb_db_engine(((const struct spool_mongodb *)base)->db);
}

static const char *incoming_directory(const struct spool *base)
{
	return ((const struct spool_mongodb *)base)->incoming;
}

const struct spool_backend spool_mongodb_backend = {
    .name = "mongodb",
    .commits_at_once = true,
    .open = open_spool,
    .close = close_spool,
    .engine = engine,
    .incoming_directory = incoming_directory,
    .commit = spool_mongodb_commit,
    .read = spool_mongodb_read,
    .body_open = spool_mongodb_body_open,
    .claim = spool_mongodb_claim,
    .next_due = spool_mongodb_next_due,
    .list = spool_mongodb_list,
    .count = spool_mongodb_count,
    .purge = spool_mongodb_purge,
    .get = spool_mongodb_get,
    .values_each = spool_mongodb_values_each,
    .entries_apply = spool_mongodb_entries_apply,
    .entries_each = spool_mongodb_entries_each,
    .check = spool_mongodb_check,
};
