/* Files: whole, replaced, locked, and the errors of full media. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"

static char folder[] = "/tmp/turing-test-XXXXXX";

static void start(void)
{
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void stop(void)
{
	/* Only what the cases make. */
	static const char *const names[] = {"file", "lock", "a/b/c",
	                                    "a/b",  "a",    "plain"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = mem_format("%s/%s", folder, names[i]);

		(void)remove(path);
		free(path);
	}
	/* Fails when a temporary file was left behind. */
	ck_assert_int_eq(rmdir(folder), 0);
}

static char *path_of(const char *name)
{
	return mem_format("%s/%s", folder, name);
}

START_TEST(test_replace)
{
	char *path = path_of("file");
	struct buffer content;
	struct stat status;
	struct error err;

	buffer_init(&content, 100);
	ck_assert_int_eq(fs_read_file(path, &content, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(fs_replace_file(path, "one", 3, 0640, &err), 0);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0640);
	ck_assert_int_eq(fs_read_file(path, &content, &err), 0);
	ck_assert_str_eq(buffer_text(&content), "one");
	ck_assert_int_eq(fs_replace_file(path, "", 0, 0600, &err), 0);
	ck_assert_int_eq(fs_read_file(path, &content, &err), 0);
	ck_assert_uint_eq(content.length, 0);
	/* The content of a failed read is what it was before. */
	ck_assert_int_eq(fs_replace_file(path, "a\0b", 3, 0600, &err), 0);
	ck_assert_int_eq(fs_read_file(path, &content, &err), 0);
	buffer_release(&content);
	buffer_init(&content, 2);
	ck_assert_int_eq(fs_read_file(path, &content, &err), ERR_LIMIT);
	ck_assert_uint_eq(content.length, 0);
	buffer_release(&content);
	free(path);
}
END_TEST

START_TEST(test_replace_fails)
{
	char *path = path_of("none/file"), *plain = path_of("plain");
	struct buffer content;
	struct error err;

	buffer_init(&content, 100);
	ck_assert_int_eq(fs_replace_file(path, "x", 1, 0600, &err), ERR_IO);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	/* A directory in the way: the rename fails, nothing stays behind. */
	ck_assert_int_eq(fs_make_directory(plain, &err), 0);
	ck_assert_int_eq(fs_replace_file(plain, "x", 1, 0600, &err), ERR_IO);
	ck_assert_int_eq(fs_read_file(plain, &content, &err), ERR_IO);
	buffer_release(&content);
	free(plain);
	free(path);
}
END_TEST

START_TEST(test_full)
{
	char *path = path_of("file");
	static char block[100000];
	struct rlimit limit = {1000, 1000};
	struct buffer content;
	struct error err;
	int fd = open("/dev/full", O_WRONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fs_write_all(fd, "x", 1, &err), ERR_FULL);
	ck_assert_int_eq(fs_write_all(fd, "", 0, &err), 0);
	(void)close(fd);
	ck_assert_int_eq(fs_write_all(fd, "x", 1, &err), ERR_IO);
	/* A write that comes short: the old file stands. */
	ck_assert_int_eq(fs_replace_file(path, "old", 3, 0600, &err), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(
	    fs_replace_file(path, block, sizeof(block), 0600, &err), ERR_IO);
	buffer_init(&content, 100);
	ck_assert_int_eq(fs_read_file(path, &content, &err), 0);
	ck_assert_str_eq(buffer_text(&content), "old");
	buffer_release(&content);
	free(path);
}
END_TEST

/* A pipe takes a little at a time: every byte arrives all the same. */
START_TEST(test_short_writes)
{
	static char block[1 << 20], got[1 << 16];
	int ends[2], status, i;
	size_t total = 0;
	struct error err;
	pid_t child;
	ssize_t size;

	for (i = 0; i < (int)sizeof(block); i++)
		block[i] = (char)(i * 7);
	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		(void)close(ends[0]);
		_exit(fs_write_all(ends[1], block, sizeof(block), &err) != 0);
	}
	(void)close(ends[1]);
	while ((size = read(ends[0], got, sizeof(got))) > 0) {
		ck_assert_mem_eq(got, block + total, (size_t)size);
		total += (size_t)size;
	}
	ck_assert_uint_eq(total, sizeof(block));
	(void)waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
	(void)close(ends[0]);
}
END_TEST

START_TEST(test_directories)
{
	char *path = path_of("a/b/c"), *slashes = path_of("a//b/c//");
	char *plain = path_of("plain"), *below = path_of("plain/d");
	struct stat status;
	struct error err;

	ck_assert_int_eq(fs_make_directory(path, &err), 0);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert(S_ISDIR(status.st_mode));
	ck_assert_uint_eq(status.st_mode & 0777, 0700);
	ck_assert_int_eq(fs_make_directory(path, &err), 0);
	ck_assert_msg(!fs_make_directory(slashes, &err), "%s", err.text);
	ck_assert_int_eq(fs_make_directory("/", &err), 0);
	ck_assert_int_eq(fs_sync_directory(path, &err), 0);
	ck_assert_int_eq(fs_replace_file(plain, "x", 1, 0600, &err), 0);
	ck_assert_int_eq(fs_make_directory(plain, &err), ERR_IO);
	ck_assert_int_eq(fs_make_directory(below, &err), ERR_IO);
	ck_assert_int_eq(fs_sync_directory(plain, &err), ERR_IO);
	free(below);
	free(plain);
	free(slashes);
	free(path);
}
END_TEST

static void check_private(const char *path, unsigned mode, uid_t owner)
{
	struct stat status;

	ck_assert_msg(lstat(path, &status) == 0, "%s", path);
	ck_assert_uint_eq(status.st_mode & 07777, mode);
	ck_assert_uint_eq(status.st_uid, owner);
}

/* Whatever the mask; and what root makes belongs to the directory's owner. */
START_TEST(test_private)
{
	uid_t owner = geteuid() ? geteuid() : 4242;
	char *directory = path_of("owned"), *file = path_of("owned/file");
	char *below = path_of("owned/below/x"), *lock = path_of("owned/lock");
	char *link = path_of("owned/link");
	struct error err;
	int fd;

	(void)umask(0);
	ck_assert_int_eq(mkdir(directory, 0755), 0);
	if (owner != geteuid())
		ck_assert_int_eq(chown(directory, owner, owner), 0);
	fd = fs_open_private(file, O_WRONLY | O_EXCL);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	check_private(file, 0600, owner);
	ck_assert_int_eq(fs_open_private(file, O_WRONLY | O_EXCL), -1);
	ck_assert_int_eq(errno, EEXIST);
	/* One that is there stays as it is. */
	ck_assert_int_eq(chmod(file, 0640), 0);
	fd = fs_open_private(file, O_RDWR);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	check_private(file, 0640, owner);
	ck_assert_int_eq(fs_make_directory(below, &err), 0);
	check_private(below, 0700, owner);
	fd = fs_lock_file(lock, &err);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	check_private(lock, 0600, owner);
	ck_assert_int_eq(symlink("file", link), 0);
	ck_assert_int_eq(fs_open_private(link, O_WRONLY | O_NOFOLLOW), -1);
	ck_assert_int_eq(fs_open_private("/nowhere/file", O_WRONLY), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(remove_tree(directory), 0);
	free(link);
	free(lock);
	free(below);
	free(file);
	free(directory);
}
END_TEST

START_TEST(test_lock)
{
	char *path = path_of("lock");
	struct error err;
	int first = fs_lock_file(path, &err), status;
	pid_t child;

	ck_assert_int_ge(first, 0);
	child = fork();
	if (child == 0)
		_exit(fs_lock_file(path, &err) == ERR_EXISTS &&
		              strstr(err.text, "another process")
		          ? 0
		          : 1);
	(void)waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(fs_lock_file(path, &err), ERR_EXISTS);
	(void)close(first);
	first = fs_lock_file(path, &err);
	ck_assert_int_ge(first, 0);
	(void)close(first);
	ck_assert_int_eq(fs_lock_file("/nowhere/lock", &err), ERR_IO);
	free(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fs");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, start, stop);
	tcase_add_test(cases, test_replace);
	tcase_add_test(cases, test_replace_fails);
	tcase_add_test(cases, test_full);
	tcase_add_test(cases, test_short_writes);
	tcase_add_test(cases, test_directories);
	tcase_add_test(cases, test_private);
	tcase_add_test(cases, test_lock);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
