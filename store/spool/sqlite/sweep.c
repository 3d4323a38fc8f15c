/* What a crash can leave in the spool's directories, removed at open. */
#include "store/spool/sqlite/private.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

/* 1 when a row has this file, 0 when none has. */
static int is_used(struct sqlite_db *db, const char *name, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT 1 FROM body WHERE file = ?1");
	int result;

	sqlite_bind_text(query, 1, name);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	return result;
}

/* db: NULL removes all. */
static int sweep_entry(struct sqlite_db *db, int directory, const char *name,
                       struct error *err)
{
	int used = 0;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (db)
		used = is_used(db, name, err);
	if (used)
		return used < 0 ? used : 0;
	if (unlinkat(directory, name, 0) && errno != ENOENT)
		return error_set_errno(err, ERR_IO, errno, "%s", name);
	return 0;
}

static int sweep_directory(struct sqlite_db *db, const char *path,
                           struct error *err)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	int result = 0;

	if (!directory)
		return error_set_errno(err, ERR_IO, errno, "%s", path);
	while (!result && (entry = readdir(directory)))
		result = sweep_entry(db, dirfd(directory), entry->d_name, err);
	(void)closedir(directory);
	return result;
}

int spool_sqlite_sweep_files(struct sqlite_db *db, const char *path,
                             struct error *err)
{
	return sweep_directory(db, path, err);
}

int spool_sqlite_sweep(struct spool_sqlite *spool, struct error *err)
{
	int result = sweep_directory(NULL, spool->incoming, err);

	return result < 0 ? result
	                  : sweep_directory(spool->db, spool->bodies, err);
}
