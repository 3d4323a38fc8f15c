/* Folders of one process: what a killed one left goes, nothing else does. */
#include "common/private-folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"

#define NOBODY       65534
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char parent[32];

static void start(void)
{
	(void)strncpy(parent, "/tmp/turing-test-XXXXXX", sizeof(parent));
	ck_assert_ptr_nonnull(mkdtemp(parent));
}

static void stop(void)
{
	ck_assert_int_eq(remove_tree(parent), 0);
}

/* Of a name below the parent; the next call but three reuses it. */
static const char *at(const char *name)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", parent, name);
	return path;
}

static bool exists(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

static void make_file(const char *path)
{
	ck_assert_int_eq(fs_replace_file(path, "mail", 4, 0600, NULL), 0);
}

static void make_inside(const char *folder, const char *name)
{
	char *path = mem_format("%s/%s", folder, name);

	make_file(path);
	free(path);
}

static int count_entries(void)
{
	DIR *directory = opendir(parent);
	int count = 0;

	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		count++;
	(void)closedir(directory);
	return count - 2;
}

START_TEST(made_used_and_removed)
{
	struct stat status;
	char *path = NULL;
	int lock = private_folder_make(parent, "mine", &path, NULL);

	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(strncmp(path, at("mine-"), strlen(at("mine-"))), 0);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0700);
	ck_assert_int_eq(fcntl(lock, F_GETFD), FD_CLOEXEC);
	make_inside(path, "one");
	make_inside(path, ".two");
	private_folder_sweep(parent, "mine");
	ck_assert(exists(path));
	private_folder_remove(path, lock);
	ck_assert_int_eq(count_entries(), 0);
	ck_assert_int_eq(fcntl(lock, F_GETFD), -1);
	free(path);
}
END_TEST

START_TEST(no_parent)
{
	struct error err = {.text = ""};
	char *path = NULL;

	ck_assert_int_eq(private_folder_make(at("none"), "x", &path, &err),
	                 ERR_UNAVAILABLE);
	ck_assert_ptr_null(path);
	ck_assert_ptr_nonnull(strstr(err.text, "none"));
	private_folder_sweep(at("none"), "x");
}
END_TEST

/* A process that has a folder with a file in it, until it is killed. */
static pid_t start_user(void)
{
	char told;
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char *path;

		if (private_folder_make(parent, "mine", &path, NULL) < 0)
			_exit(1);
		make_inside(path, "half-received");
		if (write(ends[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(ends[0], &told, 1), 1);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return pid;
}

static void kill_user(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(killed_ones_are_swept)
{
	pid_t killed = start_user(), alive = start_user();

	kill_user(killed);
	ck_assert_int_eq(count_entries(), 2);
	private_folder_sweep(parent, "other");
	ck_assert_int_eq(count_entries(), 2);
	private_folder_sweep(parent, "mine");
	ck_assert_int_eq(count_entries(), 1);
	kill_user(alive);
	private_folder_sweep(parent, "mine");
	ck_assert_int_eq(count_entries(), 0);
}
END_TEST

static void empty_one(const char *path)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void with_file(const char *path)
{
	empty_one(path);
	make_inside(path, "x");
}

static void with_folder(const char *path)
{
	char *inner = mem_format("%s/inner", path);

	with_file(path);
	empty_one(inner);
	free(inner);
}

static void with_link(const char *path)
{
	char *link = mem_format("%s/link", path);

	with_file(path);
	ck_assert_int_eq(symlink("x", link), 0);
	free(link);
}

static void with_pipe(const char *path)
{
	char *inner = mem_format("%s/pipe", path);

	with_file(path);
	ck_assert_int_eq(mkfifo(inner, 0600), 0);
	free(inner);
}

static void open_to_group(const char *path)
{
	with_file(path);
	ck_assert_int_eq(chmod(path, 0710), 0);
}

static void of_another(const char *path)
{
	with_file(path);
	ck_assert_int_eq(chown(path, NOBODY, NOBODY), 0);
}

static void with_anothers_file(const char *path)
{
	char *inner = mem_format("%s/x", path);

	with_file(path);
	ck_assert_int_eq(chown(inner, NOBODY, NOBODY), 0);
	free(inner);
}

static void a_link(const char *path)
{
	with_file(at("target"));
	ck_assert_int_eq(symlink("target", path), 0);
}

static void a_pipe(const char *path)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
}

/* What is there, and whether a sweep for "mine" takes it away. */
static const struct {
	const char *name;
	void (*make)(const char *path);
	bool swept;
	bool needs_root;
} found[] = {
    {"mine-abcdef", empty_one, true, false},
    {"mine-AB01cd", with_file, true, false},
    {"mine-abcde", with_file, false, false},
    {"mine-abcdefg", with_file, false, false},
    {"mine-", with_file, false, false},
    {"mine", with_file, false, false},
    {"minexabcdef", with_file, false, false},
    {"Mine-abcdef", with_file, false, false},
    {".mine-abcde", with_file, false, false},
    {"mine-abcdef", with_folder, false, false},
    {"mine-abcdef", with_link, false, false},
    {"mine-abcdef", with_pipe, false, false},
    {"mine-abcdef", open_to_group, false, false},
    {"mine-abcdef", a_link, false, false},
    {"mine-abcdef", a_pipe, false, false},
    {"mine-abcdef", make_file, false, false},
    {"mine-abcdef", of_another, false, true},
    {"mine-abcdef", with_anothers_file, false, true},
};

START_TEST(others_stay)
{
	char *path = mem_copy_string(at(found[_i].name));
	char *inside = mem_format("%s/x", path);
	bool had_file;

	if (!found[_i].needs_root || geteuid() == 0) {
		found[_i].make(path);
		had_file = exists(inside);
		private_folder_sweep(parent, "mine");
		ck_assert_int_eq(exists(path), !found[_i].swept);
		/* What stays, stays whole. */
		ck_assert_int_eq(exists(inside), had_file && !found[_i].swept);
	}
	free(inside);
	free(path);
}
END_TEST

/* Makes folders while the others sweep; NULL when each stayed its maker's. */
static void *make_and_sweep(void *argument)
{
	for (int i = 0; i < 300; i++) {
		struct stat status;
		char *path;
		int lock = private_folder_make(parent, "mine", &path, NULL);
		bool there;

		if (lock < 0)
			return argument;
		private_folder_sweep(parent, "mine");
		there = stat(path, &status) == 0;
		private_folder_remove(path, lock);
		free(path);
		if (!there)
			return argument;
	}
	return NULL;
}

START_TEST(no_sweep_takes_what_was_just_made)
{
	pthread_t threads[4];
	void *failed;
	int i, one = 1;

	for (i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, make_and_sweep, &one), 0);
	for (i = 0; i < COUNT(threads); i++) {
		ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
	ck_assert_int_eq(count_entries(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("private folder");
	TCase *tests = tcase_create("folders");

	tcase_add_checked_fixture(tests, start, stop);
	tcase_add_test(tests, made_used_and_removed);
	tcase_add_test(tests, no_parent);
	tcase_add_test(tests, killed_ones_are_swept);
	tcase_add_loop_test(tests, others_stay, 0, COUNT(found));
	tcase_add_test(tests, no_sweep_takes_what_was_just_made);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
