/* Files written whole and safely. */
#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

static enum error_code code_of(int number)
{
	return number == ENOSPC || number == EDQUOT ? ERR_FULL : ERR_IO;
}

int fs_write_all(int fd, const void *bytes, size_t size, struct error *err)
{
	const char *next = bytes;

	while (size > 0) {
		ssize_t written = write(fd, next, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return error_set_errno(err, code_of(errno), errno,
			                       "write");
		next += written;
		size -= (size_t)written;
	}
	return 0;
}

int fs_sync_directory(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	if (fd < 0)
		return error_set_errno(err, ERR_IO, errno, "%s", path);
	if (fsync(fd))
		result =
		    error_set_errno(err, ERR_IO, errno, "fsync of %s", path);
	(void)close(fd);
	return result;
}

/* The directory that path lies in, freed by the caller. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_copy_string(".");
	return mem_copy_bytes(path, slash == path ? 1 : (size_t)(slash - path));
}

static int sync_parent(const char *path, struct error *err)
{
	char *parent = parent_of(path);
	int result = fs_sync_directory(parent, err);

	free(parent);
	return result;
}

/*
 * What root makes in somebody's directory is given to him, as SQLite does with
 * its log: a command of the administrator would leave files else that the
 * daemon cannot open. fd is of the new file or directory at path.
 */
static int give_to_owner(int fd, const char *path)
{
	struct stat above;
	char *parent;
	int result;

	if (geteuid() != 0)
		return 0;
	parent = parent_of(path);
	result = stat(parent, &above);
	free(parent);
	if (!result && (above.st_uid || above.st_gid))
		result = fchown(fd, above.st_uid, above.st_gid);
	return result;
}

int fs_open_private(const char *path, int flags)
{
	int fd = open(path, flags | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int number;

	if (fd < 0 && errno == EEXIST && !(flags & O_EXCL))
		return open(path, flags | O_CLOEXEC);
	if (fd < 0 || !give_to_owner(fd, path))
		return fd;
	number = errno;
	(void)unlink(path);
	(void)close(fd);
	errno = number;
	return -1;
}

/* Fills the new file and closes it, synced. */
static int fill_file(int fd, const char *path, const void *bytes, size_t size,
                     unsigned mode, struct error *err)
{
	int result = fs_write_all(fd, bytes, size, err);

	if (!result && (fchmod(fd, (mode_t)mode) || fsync(fd)))
		result =
		    error_set_errno(err, code_of(errno), errno, "%s", path);
	if (close(fd) && !result)
		result = error_set_errno(err, code_of(errno), errno,
		                         "close of %s", path);
	return result;
}

int fs_replace_file(const char *path, const void *bytes, size_t size,
                    unsigned mode, struct error *err)
{
	char *beside = mem_format("%s.XXXXXX", path);
	int fd = mkostemp(beside, O_CLOEXEC), result;

	if (fd < 0) {
		result =
		    error_set_errno(err, code_of(errno), errno, "%s", beside);
		goto out;
	}
	result = fill_file(fd, beside, bytes, size, mode, err);
	if (!result && rename(beside, path))
		result = error_set_errno(err, code_of(errno), errno,
		                         "rename to %s", path);
	if (result)
		(void)unlink(beside);
	else
		result = sync_parent(path, err);
out:
	free(beside);
	return result;
}

/* Reads fd to its end. */
static int read_to_end(int fd, const char *path, struct buffer *buffer,
                       struct error *err)
{
	char block[16384];
	ssize_t got;

	for (;;) {
		got = read(fd, block, sizeof(block));
		if (got == 0)
			return 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, ERR_IO, errno, "%s", path);
		if (buffer_append(buffer, block, (size_t)got))
			return error_set(err, ERR_LIMIT,
			                 "%s: larger than %zu bytes", path,
			                 buffer->maximum);
	}
}

int fs_read_file(const char *path, struct buffer *buffer, struct error *err)
{
	struct buffer content;
	int fd = open(path, O_RDONLY | O_CLOEXEC), result;

	if (fd < 0)
		return error_set_errno(err,
		                       errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
		                       errno, "%s", path);
	buffer_init(&content, buffer->maximum);
	result = read_to_end(fd, path, &content, err);
	(void)close(fd);
	if (result) {
		buffer_release(&content);
		return result;
	}
	buffer_release(buffer);
	*buffer = content;
	return 0;
}

static int give_directory(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = 0;

	if (fd < 0 || give_to_owner(fd, path))
		result = error_set_errno(err, ERR_IO, errno, "%s", path);
	if (fd >= 0)
		(void)close(fd);
	return result;
}

/* Makes one directory; its parent must be there. */
static int make_one(const char *path, struct error *err)
{
	struct stat status;
	int result;

	if (mkdir(path, 0700) == 0) {
		result = give_directory(path, err);
		return result ? result : sync_parent(path, err);
	}
	if (errno != EEXIST)
		return error_set_errno(err, ERR_IO, errno, "%s", path);
	if (stat(path, &status) || !S_ISDIR(status.st_mode))
		return error_set(err, ERR_IO, "%s: not a directory", path);
	return 0;
}

int fs_make_directory(const char *path, struct error *err)
{
	size_t length = strlen(path);
	char *part = mem_copy_string(path), *slash;
	int result = 0;

	while (length > 1 && part[length - 1] == '/')
		part[--length] = '\0';
	for (slash = strchr(part + (*part == '/'), '/'); slash && !result;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		result = make_one(part, err);
		*slash = '/';
	}
	if (!result)
		result = make_one(part, err);
	free(part);
	return result;
}

int fs_lock_file(const char *path, struct error *err)
{
	int fd = fs_open_private(path, O_RDWR), number;

	if (fd < 0)
		return error_set_errno(err, ERR_IO, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	number = errno;
	(void)close(fd);
	if (number == EWOULDBLOCK)
		return error_set(err, ERR_EXISTS,
		                 "%s is locked: another process uses it", path);
	return error_set_errno(err, ERR_IO, number, "lock on %s", path);
}

bool fs_is_open_to_others(const char *path)
{
	struct stat info;

	return !stat(path, &info) && S_ISREG(info.st_mode) &&
	       (info.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

#define CERTIFICATES_MAXIMUM (8 << 20)

int fs_check_certificates(const char *path, struct error *err)
{
	struct buffer file;
	int result;

	buffer_init(&file, CERTIFICATES_MAXIMUM);
	result = fs_read_file(path, &file, err);
	if (!result && !strstr(buffer_text(&file), "-----BEGIN "))
		result = error_set(err, ERR_INVALID,
		                   "%s: there is no certificate in it", path);
	buffer_release(&file);
	return result;
}
