/*
 * A library to preload: makes one chosen call on files of one folder fail.
 *
 * TURING_FAULT_CONTROL names a file of the layout of struct control, shared
 * with the test, which arms it while the program runs. Calls on other files,
 * sockets and pipes are left alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the test writes; countdown 1 fails the next matching call. */
struct control {
	char call[16];
	int32_t error;
	_Atomic int32_t countdown;
	_Atomic int32_t fired;
	char folder[256];
	_Atomic int32_t loaded; /* set here: this library is in the program */
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
	const char *path = getenv("TURING_FAULT_CONTROL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED,
	            fd, 0);
	(void)close(fd);
	if (page == MAP_FAILED)
		return;
	control = page;
	atomic_store(&control->loaded, 1);
}

static int in_folder(const char *path)
{
	return strncmp(path, control->folder, strlen(control->folder)) == 0;
}

static int is_ours(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return 0;
	path[length] = '\0';
	return in_folder(path);
}

/* Whether this call is the one; sets errno. path NULL: look at fd. */
static int fails(const char *call, int fd, const char *path)
{
	if (!control || atomic_load(&control->countdown) <= 0 ||
	    strcmp(control->call, call) != 0)
		return 0;
	if (path ? !in_folder(path) : !is_ours(fd))
		return 0;
	if (atomic_fetch_sub(&control->countdown, 1) != 1)
		return 0;
	atomic_store(&control->fired, 1);
	errno = control->error;
	return 1;
}

#define NEXT(name)                                                             \
	static __typeof__(&name) next;                                         \
	next = next ? next : (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t size)
{
	NEXT(write);
	return fails("write", fd, NULL) ? -1 : next(fd, bytes, size);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
	NEXT(pwrite64);
	return fails("pwrite", fd, NULL) ? -1 : next(fd, bytes, size, offset);
}

int fsync(int fd)
{
	NEXT(fsync);
	return fails("fsync", fd, NULL) ? -1 : next(fd);
}

int fdatasync(int fd)
{
	NEXT(fdatasync);
	return fails("fdatasync", fd, NULL) ? -1 : next(fd);
}

int ftruncate64(int fd, off64_t length)
{
	NEXT(ftruncate64);
	return fails("ftruncate", fd, NULL) ? -1 : next(fd, length);
}

int rename(const char *from, const char *to)
{
	NEXT(rename);
	return fails("rename", -1, to) ? -1 : next(from, to);
}
