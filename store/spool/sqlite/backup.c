/*
 * A copy of the whole spool beside those who write it. The database is copied
 * as it is at one moment; the files of bodies come and go meanwhile, so they
 * are linked before, during and after that, and what the copied database does
 * not name is taken away. One that it names may be gone before it was linked:
 * then all begins again.
 */
#include "store/spool/sqlite/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "store/sqlite/backup.h"

#define TRIES      20
#define COPY_BYTES 65536

struct backup {
	struct spool_sqlite *spool;
	const struct store_progress *progress;
	char *path, *bodies; /* of the copy */
	bool linked;         /* since its database was begun */
};

static int fail(struct error *err, const char *what)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	return error_set_errno(err, full ? ERR_FULL : ERR_IO, errno, "%s",
	                       what);
}

static int copy_bytes(int from, int to, const char *name, struct error *err)
{
	char bytes[COPY_BYTES];
	ssize_t got;

	while ((got = read(from, bytes, sizeof(bytes))) != 0) {
		int result;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(err, name);
		result = fs_write_all(to, bytes, (size_t)got, err);
		if (result < 0)
			return result;
	}
	return fsync(to) ? fail(err, name) : 0;
}

/* Where a link is not possible: another file system, say. */
static int copy_file(int from, int to, const char *name, struct error *err)
{
	int result;
	int target;
	int source = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (source < 0)
		return errno == ENOENT ? 0 : fail(err, name);
	target =
	    openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (target < 0) {
		result = errno == EEXIST ? 0 : fail(err, name);
	} else {
		result = copy_bytes(source, target, name, err);
		(void)close(target);
	}
	(void)close(source);
	return result;
}

/* One that is there already, or gone from the spool, is no failure. */
static int keep_file(int from, int to, const char *name, struct error *err)
{
	if (!linkat(from, name, to, name, 0))
		return 0;
	switch (errno) {
	case EEXIST:
	case ENOENT:
		return 0;
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EROFS:
		return fail(err, name);
	default:
		return copy_file(from, to, name, err);
	}
}

/* Links every body that the spool has now. */
static int keep_bodies(struct backup *backup, struct error *err)
{
	DIR *directory = opendir(backup->spool->bodies);
	const struct dirent *entry;
	int64_t count = 0;
	int result = 0;
	int to;

	if (!directory)
		return fail(err, backup->spool->bodies);
	to = open(backup->bodies, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		result = fail(err, backup->bodies);
	while (!result && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		result = keep_file(dirfd(directory), to, entry->d_name, err);
		if (++count % 1000 == 0)
			store_progress_tell(backup->progress, "bodies", count,
			                    -1);
	}
	if (to >= 0)
		(void)close(to);
	(void)closedir(directory);
	if (!result)
		store_progress_tell(backup->progress, "bodies", count, count);
	return result;
}

/* While the database is copied: most of what it names is still there. */
static void on_progress(void *context, const char *what, int64_t done,
                        int64_t total)
{
	struct backup *backup = context;

	store_progress_tell(backup->progress, what, done, total);
	if (backup->linked)
		return;
	backup->linked = true;
	/* The pass after it meets the same failure. */
	(void)keep_bodies(backup, NULL);
}

/* ERR_CONFLICT when a body that the database names is not in the copy. */
static int expect_bodies(const struct backup *backup, struct sqlite_db *db,
                         struct error *err)
{
	int to = open(backup->bodies, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sqlite_query *query;
	int result;

	if (to < 0)
		return fail(err, backup->bodies);
	query =
	    sqlite_query(db, "SELECT file FROM body WHERE file IS NOT NULL");
	while ((result = sqlite_step(query, err)) > 0) {
		if (faccessat(to, sqlite_column_text(query, 0), R_OK, 0)) {
			result = error_set(err, ERR_CONFLICT,
			                   "bodies come and go too fast");
			sqlite_reset(query);
			break;
		}
	}
	(void)close(to);
	return result;
}

/* Makes the copy's files those that its database names. */
static int match_bodies(const struct backup *backup, struct error *err)
{
	struct sqlite_db_options options = {.path = backup->path};
	struct sqlite_db *db = NULL;
	int result = sqlite_db_open(&db, &options, err);

	if (!result)
		result = expect_bodies(backup, db, err);
	if (!result)
		result = spool_sqlite_sweep_files(db, backup->bodies, err);
	sqlite_db_close(db);
	return result;
}

static int copy_once(struct backup *backup, struct error *err)
{
	const struct store_progress pages = {.tell = on_progress,
	                                     .context = backup};
	int result = keep_bodies(backup, err);

	backup->linked = false;
	if (!result)
		result = sqlite_backup_file(backup->spool->path, backup->path,
		                            &pages, err);
	if (!result)
		result = keep_bodies(backup, err);
	if (!result)
		result = match_bodies(backup, err);
	if (result == ERR_CONFLICT && unlink(backup->path))
		result = fail(err, backup->path);
	return result;
}

static int copy_all(struct backup *backup, struct error *err)
{
	int result = ERR_CONFLICT;

	if (mkdir(backup->bodies, 0700))
		return fail(err, backup->bodies);
	for (int i = 0; i < TRIES && result == ERR_CONFLICT; i++)
		result = copy_once(backup, err);
	if (result == ERR_CONFLICT)
		return error_set(err, ERR_UNAVAILABLE,
		                 "bodies come and go too fast: try again");
	return result < 0 ? result : fs_sync_directory(backup->bodies, err);
}

/* Takes away what a backup that failed has made. */
static void clear(const struct backup *backup)
{
	static const char *const ends[] = {"", "-wal", "-shm"};

	(void)spool_sqlite_sweep_files(NULL, backup->bodies, NULL);
	(void)rmdir(backup->bodies);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char *path = NULL;

		if (asprintf(&path, "%s%s", backup->path, ends[i]) < 0)
			continue;
		(void)unlink(path);
		free(path);
	}
}

int spool_sqlite_backup(struct spool *base, const char *directory,
                        const struct store_progress *progress,
                        struct error *err)
{
	struct backup backup = {
	    .spool = (struct spool_sqlite *)base,
	    .progress = progress,
	    .path = spool_sqlite_join(directory, "spool.db"),
	    .bodies = spool_sqlite_join(directory, "bodies")};
	bool made = false;
	int result = 0;

	if (!backup.path || !backup.bodies)
		result = error_set(err, ERR_MEMORY, "out of memory");
	if (!result)
		result = sqlite_backup_prepare(directory, &made, err);
	if (!result) {
		result = copy_all(&backup, err);
		if (result < 0)
			clear(&backup);
		result = sqlite_backup_finish(directory, made, result, err);
	}
	free(backup.path);
	free(backup.bodies);
	return result;
}
