/* A folder of one process alone, and what is left of those of killed ones. */
#include "common/private-folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANDOM "XXXXXX"
#define TRIES  10
#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* --- what is in a folder ------------------------------------------------ */

static bool is_plain_file(int folder, const char *name)
{
	struct stat status;

	return !fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) &&
	       S_ISREG(status.st_mode) && status.st_uid == geteuid();
}

/* What cannot be removed keeps the folder. */
static bool remove_file(int folder, const char *name)
{
	(void)unlinkat(folder, name, 0);
	return true;
}

/* Whether visit gave true for everything in the folder; ends with the first
 * that it did not. */
static bool each_file(int folder, bool (*visit)(int folder, const char *name))
{
	int fd = openat(folder, ".", FOLDER);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool all = directory != NULL;

	if (!directory && fd >= 0)
		(void)close(fd);
	while (all && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			all = visit(folder, entry->d_name);
	if (directory)
		(void)closedir(directory);
	return all;
}

/* --- made and removed --------------------------------------------------- */

/*
 * Between the making and the lock somebody's sweep may find the folder: then
 * it is gone, or about to go. Where a file system has no such locks no sweep
 * gets one either.
 */
static bool keep(int fd, const char *path)
{
	struct stat opened, there;

	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return false;
	return !fstat(fd, &opened) && !lstat(path, &there) &&
	       opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

/* One try: the descriptor, or -1 with *again where a sweep was faster. */
static int make_one(char *path, bool *again)
{
	int fd, number;

	*again = false;
	if (!mkdtemp(path))
		return -1;
	fd = open(path, FOLDER);
	if (fd >= 0 && keep(fd, path))
		return fd;
	number = errno;
	*again = fd >= 0 || number == ENOENT;
	if (fd >= 0)
		(void)close(fd);
	else
		(void)rmdir(path);
	errno = number;
	return -1;
}

int private_folder_make(const char *parent, const char *prefix, char **path,
                        struct error *err)
{
	bool again = true;
	int result = 0;

	for (int i = 0; again && i < TRIES; i++) {
		char *made;
		int fd;

		if (asprintf(&made, "%s/%s-" RANDOM, parent, prefix) < 0)
			return error_set(err, ERR_MEMORY, "out of memory");
		fd = make_one(made, &again);
		if (fd >= 0) {
			*path = made;
			return fd;
		}
		result = error_set_errno(err, ERR_UNAVAILABLE, errno,
		                         "a folder in %s", parent);
		free(made);
	}
	return result;
}

void private_folder_remove(const char *path, int lock)
{
	(void)each_file(lock, remove_file);
	(void)rmdir(path);
	(void)close(lock);
}

/* --- swept -------------------------------------------------------------- */

static bool has_our_name(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(name, prefix, length) == 0 && name[length] == '-' &&
	       strlen(name + length + 1) == strlen(RANDOM);
}

/* Nobody else can have put anything in there. */
static bool is_ours(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISDIR(status.st_mode) &&
	       status.st_uid == geteuid() && !(status.st_mode & 077);
}

static void sweep_one(int parent, const char *name)
{
	int fd = openat(parent, name, FOLDER);

	if (fd < 0)
		return;
	if (is_ours(fd) && !flock(fd, LOCK_EX | LOCK_NB) &&
	    each_file(fd, is_plain_file) && each_file(fd, remove_file))
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	(void)close(fd);
}

void private_folder_sweep(const char *parent, const char *prefix)
{
	DIR *directory = opendir(parent);
	const struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory)))
		if (has_our_name(entry->d_name, prefix))
			sweep_one(dirfd(directory), entry->d_name);
	(void)closedir(directory);
}
