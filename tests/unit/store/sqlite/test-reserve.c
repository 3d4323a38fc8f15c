/* Space set aside, given back on a full file system, and set aside again. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "store/sqlite/reserve.h"
#include "tests/support/suite.h"

static char directory[] = "/tmp/turing-reserve-XXXXXX";
static char *path, *filler;
static struct sqlite_reserve reserve;

static void start(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	path = mem_format("%s/reserve", directory);
	filler = mem_format("%s/filler", directory);
	reserve = (struct sqlite_reserve){.path = path};
}

static void stop(void)
{
	(void)unlink(path);
	(void)rmdir(directory);
	free(path);
	free(filler);
}

static int64_t reserved(void)
{
	struct stat info = {0};

	return stat(path, &info) == 0 ? (int64_t)info.st_blocks * 512 : -1;
}

START_TEST(set_aside_once)
{
	struct sqlite_reserve none = {.path = NULL};

	ck_assert(!sqlite_reserve_watch(&none));
	ck_assert(!sqlite_reserve_watch(&reserve));
	ck_assert_int_ge(reserved(), 2 << 20);
	ck_assert(!sqlite_reserve_watch(&reserve));
	ck_assert_int_lt(reserved(), 3 << 20);
}
END_TEST

START_TEST(no_directory)
{
	struct sqlite_reserve lost = {.path = "/nowhere/reserve"};

	ck_assert(!sqlite_reserve_watch(&lost));
}
END_TEST

/* Writes until the file system is full; returns the bytes. */
static int64_t fill(void)
{
	static const char bytes[65536];
	int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int64_t total = 0;
	ssize_t written;

	while ((written = write(fd, bytes, sizeof(bytes))) > 0)
		total += written;
	(void)close(fd);
	return total;
}

START_TEST(given_back_when_full)
{
	if (mount("none", directory, "tmpfs", 0, "size=16m") != 0) {
		puts("told: mounting needs root: not on a full file system");
		return;
	}
	ck_assert(!sqlite_reserve_watch(&reserve));
	ck_assert_int_gt(fill(), 10 << 20);
	/* Those who use up the space have time to see that it is gone. */
	ck_assert(sqlite_reserve_watch(&reserve));
	ck_assert_int_ge(reserved(), 2 << 20);
	ck_assert(sqlite_reserve_watch(&reserve));
	ck_assert_int_eq(reserved(), 0);
	/* 2 MiB are no plenty: they are not taken back at once. */
	ck_assert(sqlite_reserve_watch(&reserve));
	ck_assert_int_eq(reserved(), 0);
	ck_assert_int_eq(unlink(filler), 0);
	ck_assert(!sqlite_reserve_watch(&reserve));
	ck_assert_int_ge(reserved(), 2 << 20);
	ck_assert_int_eq(umount2(directory, MNT_DETACH), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sqlite-reserve");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, start, stop);
	tcase_add_test(cases, set_aside_once);
	tcase_add_test(cases, no_directory);
	tcase_add_test(cases, given_back_when_full);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
