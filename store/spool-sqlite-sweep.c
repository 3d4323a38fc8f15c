/* What a crash can leave in the spool's directories, removed at open. */
#include "store/spool-sqlite-private.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

/* 1 when a row has this file, 0 when none has. */
static int is_used(struct spool_sqlite *spool, const char *name,
                   struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(spool->db, "SELECT 1 FROM body WHERE file = ?1");
	int result;

	sqlite_bind_text(query, 1, name);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	return result;
}

static int sweep_entry(struct spool_sqlite *spool, int directory,
                       const char *name, bool all, struct error *err)
{
	int used = 0;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (!all)
		used = is_used(spool, name, err);
	if (used)
		return used < 0 ? used : 0;
	if (unlinkat(directory, name, 0) && errno != ENOENT)
		return error_set_errno(err, ERR_IO, errno, "%s", name);
	return 0;
}

/* Removes all files of a directory, or those that no row has. */
static int sweep_directory(struct spool_sqlite *spool, const char *path,
                           bool all, struct error *err)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	int result = 0;

	if (!directory)
		return error_set_errno(err, ERR_IO, errno, "%s", path);
	while (!result && (entry = readdir(directory)))
		result = sweep_entry(spool, dirfd(directory), entry->d_name,
		                     all, err);
	(void)closedir(directory);
	return result;
}

int spool_sqlite_sweep(struct spool_sqlite *spool, struct error *err)
{
	int result = sweep_directory(spool, spool->incoming, true, err);

	return result < 0 ? result
	                  : sweep_directory(spool, spool->bodies, false, err);
}
