/* Copies of a database file, made while others read and write it. */
#include "store/sqlite/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "store/sqlite/private.h"

/* Pages of one step, synced at once: a large sync would hold up others'. */
#define STEP_PAGES 64
#define PAUSE_US   2000 /* behind a step, for others' syncs */

struct copying {
	struct sqlite_db *source;
	struct sqlite_db copy; /* its handle and path alone */
	int fd;                /* of the copy, for syncing */
	const struct store_progress *progress;
};

/* The copy counts only once it is synced: it needs no journal of its own. */
static int open_copy(struct copying *copying, struct error *err)
{
	int code;

	copying->fd = fs_open_private(copying->copy.path, O_RDWR | O_EXCL);
	if (copying->fd < 0)
		return error_set_errno(err, errno == ENOSPC ? ERR_FULL : ERR_IO,
		                       errno, "%s", copying->copy.path);
	code =
	    sqlite3_open_v2(copying->copy.path, &copying->copy.handle,
	                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK) {
		(void)sqlite3_extended_result_codes(copying->copy.handle, 1);
		code = sqlite3_exec(
		    copying->copy.handle,
		    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL,
		    NULL, NULL);
	}
	return code == SQLITE_OK ? 0 : sqlite_fail(&copying->copy, code, err);
}

/* What is read from here on is one state of the file. */
static int fix_snapshot(struct sqlite_db *source, struct error *err)
{
	int result = sqlite_db_begin_read(source, err);

	if (result < 0)
		return result;
	return sqlite_run(
	    sqlite_query(source, "SELECT count(*) FROM sqlite_schema"), err);
}

static int sync_copy(const struct copying *copying, struct error *err)
{
	if (!fdatasync(copying->fd))
		return 0;
	return error_set_errno(
	    err, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO, errno,
	    "%s", copying->copy.path);
}

static int copy_pages(struct copying *copying, sqlite3_backup *backup,
                      struct error *err)
{
	int code;

	do {
		int total, result;

		code = sqlite3_backup_step(backup, STEP_PAGES);
		if (code != SQLITE_OK && code != SQLITE_DONE)
			return error_set(
			    err, (enum error_code)sqlite_error_code(code),
			    "%s: %s (SQLite %d)", copying->copy.path,
			    sqlite3_errstr(code), code);
		if ((result = sync_copy(copying, err)))
			return result;
		total = sqlite3_backup_pagecount(backup);
		store_progress_tell(copying->progress, "pages",
		                    total - sqlite3_backup_remaining(backup),
		                    total);
		if (code != SQLITE_DONE)
			(void)usleep(PAUSE_US);
	} while (code != SQLITE_DONE);
	return 0;
}

static int copy_database(struct copying *copying, struct error *err)
{
	sqlite3_backup *backup;
	int result, code;

	if ((result = open_copy(copying, err)) ||
	    (result = fix_snapshot(copying->source, err)))
		return result;
	backup = sqlite3_backup_init(copying->copy.handle, "main",
	                             copying->source->handle, "main");
	if (!backup)
		return sqlite_fail(
		    &copying->copy,
		    sqlite3_extended_errcode(copying->copy.handle), err);
	result = copy_pages(copying, backup, err);
	code = sqlite3_backup_finish(backup);
	if (!result && code != SQLITE_OK)
		result = sqlite_fail(&copying->copy, code, err);
	return result;
}

/* Whether the copy can be read back, by a connection as the stores use. */
static int check_copy(const char *path, struct error *err)
{
	struct sqlite_db_options options = {.path = path};
	struct sqlite_db *db;
	struct sqlite_query *query;
	int result = sqlite_db_open(&db, &options, err);

	if (result < 0)
		return result;
	query = sqlite_query(db, "PRAGMA quick_check(1)");
	result = sqlite_step(query, err);
	if (result > 0)
		result = strcmp(sqlite_column_text(query, 0), "ok") == 0
		             ? 0
		             : error_set(err, ERR_CORRUPT, "%s: %s", path,
		                         sqlite_column_text(query, 0));
	sqlite_reset(query);
	sqlite_db_close(db);
	return result;
}

static int make_copy(struct copying *copying, struct error *err)
{
	int result = copy_database(copying, err);
	int code = sqlite3_close(copying->copy.handle);

	if (!result && code != SQLITE_OK)
		result = error_set(
		    err, (enum error_code)sqlite_error_code(code), "%s: %s",
		    copying->copy.path, sqlite3_errstr(code));
	if (!result)
		result = check_copy(copying->copy.path, err);
	if (!result)
		result = sync_copy(copying, err);
	if (copying->fd >= 0 && close(copying->fd) && !result)
		result = error_set_errno(err, ERR_IO, errno, "%s",
		                         copying->copy.path);
	return result;
}

/* With what SQLite keeps beside it. */
static void unlink_partial(const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		char *name;

		if (asprintf(&name, "%s%s", path, ends[i]) < 0)
			continue;
		(void)unlink(name);
		free(name);
	}
}

static int sync_folder_of(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *folder =
	    slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int result;

	if (!folder)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = fs_sync_directory(folder, err);
	free(folder);
	return result;
}

static int publish(const char *partial, const char *target, struct error *err)
{
	int result;

	if (rename(partial, target))
		return error_set_errno(err, ERR_IO, errno, "%s", target);
	result = sync_folder_of(target, err);
	if (result < 0)
		(void)unlink(target);
	return result;
}

int sqlite_backup_file(const char *source, const char *target,
                       const struct store_progress *progress, struct error *err)
{
	struct sqlite_db_options options = {.path = source, .read_only = true};
	struct copying copying = {.fd = -1, .progress = progress};
	int result;

	if (!access(target, F_OK))
		return error_set(err, ERR_EXISTS, "%s: there already", target);
	result = sqlite_db_open(&copying.source, &options, err);
	if (result < 0)
		return result;
	if (asprintf(&copying.copy.path, "%s.partial", target) < 0) {
		sqlite_db_close(copying.source);
		return error_set(err, ERR_MEMORY, "out of memory");
	}
	unlink_partial(copying.copy.path); /* of a run that was killed */
	result = make_copy(&copying, err);
	sqlite_db_close(copying.source);
	if (!result)
		result = publish(copying.copy.path, target, err);
	if (result < 0)
		unlink_partial(copying.copy.path);
	free(copying.copy.path);
	return result;
}

/* 0 when the directory holds nothing, ERR_NOT_FOUND, ERR_EXISTS or ERR_IO. */
static int expect_empty(const char *directory, struct error *err)
{
	DIR *entries = opendir(directory);
	const struct dirent *entry;
	bool empty = true;

	if (!entries && errno == ENOENT)
		return ERR_NOT_FOUND;
	if (!entries && errno == ENOTDIR)
		return error_set(err, ERR_EXISTS, "%s: not a directory",
		                 directory);
	if (!entries)
		return error_set_errno(err, ERR_IO, errno, "%s", directory);
	while (empty && (entry = readdir(entries)))
		empty =
		    !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	(void)closedir(entries);
	return empty ? 0
	             : error_set(err, ERR_EXISTS, "%s: not empty", directory);
}

int sqlite_backup_prepare(const char *directory, bool *made, struct error *err)
{
	int result = expect_empty(directory, err);

	*made = result == ERR_NOT_FOUND;
	return *made ? fs_make_directory(directory, err) : result;
}

int sqlite_backup_finish(const char *directory, bool made, int result,
                         struct error *err)
{
	char *parent;

	if (!result && asprintf(&parent, "%s/..", directory) < 0)
		result = error_set(err, ERR_MEMORY, "out of memory");
	else if (!result) {
		result = fs_sync_directory(directory, err);
		if (!result)
			result = fs_sync_directory(parent, err);
		free(parent);
	}
	if (result < 0 && made)
		(void)rmdir(directory);
	return result;
}
