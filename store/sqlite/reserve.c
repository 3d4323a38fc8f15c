/* Space set aside for the time when the file system is full. */
#include "store/sqlite/reserve.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/fs.h"

/* More than the log holds before it is moved: the database may grow by that. */
#define RESERVE_BYTES (INT64_C(2) << 20)
#define FULL_BYTES    (INT64_C(1) << 20)
/* Never set aside where that would bring a full file system near. */
#define PLENTY_BYTES (INT64_C(8) << 20)
#define LOOKS        2

static bool is_held(int fd)
{
	struct stat info;

	return fstat(fd, &info) == 0 &&
	       (int64_t)info.st_blocks * 512 >= RESERVE_BYTES;
}

static int64_t free_bytes(int fd)
{
	struct statvfs space;

	return fstatvfs(fd, &space) == 0
	           ? (int64_t)space.f_bavail * (int64_t)space.f_frsize
	           : 0;
}

bool sqlite_reserve_watch(struct sqlite_reserve *reserve)
{
	int fd = reserve->path
	             ? fs_open_private(reserve->path, O_WRONLY | O_NOFOLLOW)
	             : -1;
	int64_t bytes;
	bool held;

	if (fd < 0)
		return false;
	bytes = free_bytes(fd);
	held = is_held(fd);
	reserve->full_looks = bytes < FULL_BYTES ? reserve->full_looks + 1 : 0;
	if (held && reserve->full_looks >= LOOKS)
		held = ftruncate(fd, 0) != 0;
	else if (!held && bytes >= PLENTY_BYTES)
		held = posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
	(void)close(fd);
	return !held || reserve->full_looks > 0;
}
