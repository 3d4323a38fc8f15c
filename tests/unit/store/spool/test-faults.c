/*
 * The spool on a medium that fails: every write and every sync of a commit in
 * turn, with a full disk, an I/O error and a damaged page; the renaming and
 * syncing of bodies' files; and a file that another process has locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/fault-vfs.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define BATCH 6

/* The calls on bodies' files that can be made to fail. */
enum call { CALL_NONE, CALL_RENAME, CALL_SYNC_FILE, CALL_SYNC_DIRECTORY };

static struct {
	enum call call;
	int skip, number; /* of the error */
	bool happened;
} plan;

static bool fails(enum call call)
{
	if (plan.call != call || plan.skip-- > 0)
		return false;
	plan.call = CALL_NONE;
	plan.happened = true;
	errno = plan.number;
	return true;
}

/* In the place of the C library's. */
int rename(const char *from, const char *to)
{
	return fails(CALL_RENAME) ? -1 : renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* Likewise. */
int fsync(int fd)
{
	struct stat info;
	bool directory = !fstat(fd, &info) && S_ISDIR(info.st_mode);

	return fails(directory ? CALL_SYNC_DIRECTORY : CALL_SYNC_FILE)
	           ? -1
	           : (int)syscall(SYS_fsync, fd);
}

static struct spool_fixture fixture;

static void setup(void)
{
	fault_vfs_install();
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

struct batch {
	struct spool_message messages[BATCH];
	struct spool_change changes[BATCH];
	char *body;
};

/* Small and large bodies. */
static void fill(struct batch *batch)
{
	batch->body = mem_alloc(20000);
	for (size_t i = 0; i < BATCH; i++) {
		batch->messages[i] = fixture_message(1, SPOOL_HELD);
		batch->changes[i] = fixture_add_change(
		    &batch->messages[i], batch->body, i % 3 ? 3000 : 20000);
	}
}

static void release(struct batch *batch)
{
	for (size_t i = 0; i < BATCH; i++)
		spool_message_release(&batch->messages[i]);
	free(batch->body);
}

static int commit(struct batch *batch)
{
	struct error err = {.text = ""};
	int result = spool_commit(fixture.spool, batch->changes, BATCH, &err);

	ck_assert_int_eq(result < 0, *err.text != '\0');
	return result;
}

/* Whether the messages are there: all or none. */
static bool is_there(const struct batch *batch)
{
	size_t found = 0;

	for (size_t i = 0; i < BATCH; i++) {
		struct spool_body *body = NULL;
		struct error err;
		int result = spool_body_open(
		    fixture.spool, &batch->messages[i].id, &body, &err);

		ck_assert_msg(!result || result == ERR_NOT_FOUND, "%s",
		              err.text);
		found += !result;
		spool_body_close(body);
	}
	ck_assert(found == 0 || found == BATCH);
	return found == BATCH;
}

static void expect_results(const struct batch *batch, int result)
{
	for (size_t i = 0; i < BATCH; i++)
		ck_assert_int_eq(batch->changes[i].result, result);
}

START_TEST(full_disk_at_every_write)
{
	struct batch kept;
	int skip = 0;
	bool happened = true;

	fill(&kept);
	ck_assert_int_eq(commit(&kept), 0);
	for (; happened; skip++) {
		struct batch batch;
		int result;

		fill(&batch);
		fault_vfs_arm(FAULT_WRITE, skip, SQLITE_FULL);
		result = commit(&batch);
		happened = fault_vfs_disarm();
		ck_assert_int_eq(result, happened ? ERR_FULL : 0);
		expect_results(&batch, result);
		ck_assert_int_eq(is_there(&batch), !happened);
		ck_assert_int_eq(commit(&batch), 0);
		expect_results(&batch, happened ? 0 : ERR_EXISTS);
		ck_assert(is_there(&batch) && is_there(&kept));
		release(&batch);
	}
	ck_assert_int_gt(skip, 10);
	ck_assert_uint_eq(fixture_count_files(&fixture, "bodies"),
	                  2 * (size_t)(skip + 1));
	release(&kept);
}
END_TEST

static const struct {
	enum fault fault;
	int code, result;
} failures[] = {
    {FAULT_WRITE, SQLITE_IOERR_WRITE, ERR_IO},
    {FAULT_SYNC, SQLITE_IOERR_FSYNC, ERR_IO},
};

/* One failure ends all writing; opened anew, nothing acknowledged is lost. */
static bool fail_once(size_t row, int skip)
{
	struct batch kept, batch;
	bool happened;
	int result;

	fill(&kept);
	fill(&batch);
	ck_assert_int_eq(commit(&kept), 0);
	fault_vfs_arm(failures[row].fault, skip, failures[row].code);
	result = commit(&batch);
	happened = fault_vfs_disarm();
	ck_assert_int_eq(result, happened ? failures[row].result : 0);
	expect_results(&batch, result);
	if (happened) {
		struct spool_page page = {.count = 0};
		struct error err;

		ck_assert_int_eq(commit(&batch), failures[row].result);
		ck_assert_int_eq(
		    spool_claim(fixture.spool, "a", 0, 1, 1, &page, &err),
		    failures[row].result);
		ck_assert(is_there(&kept) && !is_there(&batch));
		fixture_reopen(&fixture);
		ck_assert_int_eq(commit(&batch), 0);
	}
	ck_assert(is_there(&kept) && is_there(&batch));
	release(&kept);
	release(&batch);
	return happened;
}

START_TEST(failure_at_every_step)
{
	int skip = 0;

	while (fail_once((size_t)_i, skip))
		skip++;
	ck_assert_int_ge(skip, 1);
}
END_TEST

START_TEST(damage_ends_writing)
{
	struct batch batch;
	struct error err;

	fill(&batch);
	(void)fixture_add(&fixture, 1, SPOOL_QUEUED);
	fault_vfs_arm(FAULT_WRITE, 0, SQLITE_CORRUPT_VTAB);
	ck_assert_int_eq(commit(&batch), ERR_CORRUPT);
	(void)fault_vfs_disarm();
	ck_assert_int_eq(commit(&batch), ERR_CORRUPT);
	ck_assert_int_eq(
	    spool_entries_apply(fixture.spool, true, NULL, 0, 1, &err),
	    ERR_CORRUPT);
	fixture_reopen(&fixture);
	ck_assert_int_eq(commit(&batch), 0);
	release(&batch);
}
END_TEST

/* What the thread behind the log cannot sync ends the writing too. */
START_TEST(failed_checkpoint_ends_writing)
{
	struct id first = fixture_add(&fixture, 1, SPOOL_HELD);
	int result = 0;

	fault_vfs_arm_others(FAULT_SYNC, 0, SQLITE_IOERR_FSYNC);
	for (int i = 0; i < 5000 && !result; i++) {
		struct batch batch;

		fill(&batch);
		result = commit(&batch);
		release(&batch);
	}
	ck_assert_int_eq(result, ERR_IO);
	ck_assert(fault_vfs_disarm());
	fixture_reopen(&fixture);
	ck_assert_int_eq(fixture_state(&fixture, first, 0), SPOOL_HELD);
}
END_TEST

/* The other writers stop as well, and leave nothing half done. */
START_TEST(claim_purge_and_entries_fail_whole)
{
	struct spool_page page = {.count = 0};
	size_t deleted = 7;
	struct error err;

	(void)fixture_add(&fixture, 1, SPOOL_QUEUED);
	(void)fixture_add(&fixture, 1, SPOOL_EXPIRED);
	fault_vfs_arm(FAULT_WRITE, 0, SQLITE_FULL);
	ck_assert_int_eq(spool_claim(fixture.spool, "a", FIXTURE_NOW_MS, 1000,
	                             1, &page, &err),
	                 ERR_FULL);
	ck_assert_uint_eq(page.count, 0);
	fault_vfs_arm(FAULT_WRITE, 0, SQLITE_FULL);
	ck_assert_int_eq(
	    spool_purge(fixture.spool, FIXTURE_NOW_MS + 1, 10, &deleted, &err),
	    ERR_FULL);
	ck_assert_uint_eq(deleted, 7);
	fault_vfs_arm(FAULT_WRITE, 0, SQLITE_FULL);
	ck_assert_int_eq(
	    spool_entries_apply(fixture.spool, true, NULL, 0, 1, &err),
	    ERR_FULL);
	(void)fault_vfs_disarm();
	ck_assert_int_eq(spool_claim(fixture.spool, "a", FIXTURE_NOW_MS, 1000,
	                             1, &page, &err),
	                 0);
	ck_assert_uint_eq(page.count, 1);
	spool_page_release(&page);
}
END_TEST

static const struct {
	enum call call;
	int number, result;
} calls[] = {
    {CALL_RENAME, EIO, ERR_IO},         {CALL_RENAME, ENOSPC, ERR_FULL},
    {CALL_RENAME, EDQUOT, ERR_FULL},    {CALL_SYNC_FILE, EIO, ERR_IO},
    {CALL_SYNC_FILE, ENOSPC, ERR_FULL}, {CALL_SYNC_DIRECTORY, EIO, ERR_IO},
};

/* One call on a body's file fails: false once there was none more to fail. */
static bool fail_call(size_t row, int skip, const struct batch *kept,
                      size_t *files)
{
	struct batch batch;
	int result;

	fill(&batch);
	plan.skip = skip;
	plan.number = calls[row].number;
	plan.happened = false;
	plan.call = calls[row].call;
	result = commit(&batch);
	plan.call = CALL_NONE;
	ck_assert_int_eq(result, plan.happened ? calls[row].result : 0);
	expect_results(&batch, result);
	if (result == ERR_IO) {
		/* What a failed sync leaves is not synced again. */
		ck_assert_int_eq(commit(&batch), ERR_IO);
		fixture_reopen(&fixture);
	}
	ck_assert_int_eq(is_there(&batch), !plan.happened);
	ck_assert(is_there(kept));
	ck_assert_uint_eq(fixture_count_files(&fixture, "bodies"),
	                  *files + (plan.happened ? 0 : 2));
	if (plan.happened)
		ck_assert_int_eq(commit(&batch), 0);
	ck_assert(is_there(&batch));
	*files += 2;
	release(&batch);
	return plan.happened;
}

START_TEST(files_of_bodies_at_every_step)
{
	struct batch kept;
	size_t files = 2;
	int skip = 0;

	fill(&kept);
	ck_assert_int_eq(commit(&kept), 0);
	while (fail_call((size_t)_i, skip, &kept, &files))
		skip++;
	ck_assert_int_eq(skip, calls[_i].call == CALL_SYNC_DIRECTORY ? 1 : 2);
	release(&kept);
}
END_TEST

/* Another program: it locks the database and waits for its end. */
static int hold_lock(const char *path)
{
	sqlite3 *db = NULL;

	if (sqlite3_open(path, &db) ||
	    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL))
		return 1;
	if (write(STDOUT_FILENO, "!", 1) != 1)
		return 1;
	for (;;)
		(void)pause();
}

static pid_t start_holder(void)
{
	char *path = mem_format("%s/spool.db", fixture.directory);
	int ends[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execl("/proc/self/exe", "test-spool-faults", "--hold",
		            path, (char *)NULL);
		_exit(1);
	}
	(void)close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	(void)close(ends[0]);
	free(path);
	return pid;
}

/* Nothing was done, nothing is broken, and it goes on by itself. */
START_TEST(another_process_has_it_locked)
{
	struct batch batch;
	size_t deleted;
	pid_t holder = start_holder();

	fill(&batch);
	ck_assert_int_eq(commit(&batch), ERR_UNAVAILABLE);
	ck_assert(!is_there(&batch));
	ck_assert_uint_eq(fixture_count_files(&fixture, "bodies"), 0);
	ck_assert_int_eq(kill(holder, SIGKILL), 0);
	ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
	ck_assert_int_eq(commit(&batch), 0);
	ck_assert(is_there(&batch));
	ck_assert_int_eq(
	    spool_purge(fixture.spool, FIXTURE_NOW_MS, 10, &deleted, NULL), 0);
	release(&batch);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tests;

	if (argc == 3 && strcmp(argv[1], "--hold") == 0)
		return hold_lock(argv[2]);
	suite = suite_create("spool-faults");
	tests = tcase_create("faults");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, full_disk_at_every_write);
	tcase_add_loop_test(tests, failure_at_every_step, 0, 2);
	tcase_add_test(tests, damage_ends_writing);
	tcase_add_test(tests, failed_checkpoint_ends_writing);
	tcase_add_test(tests, claim_purge_and_entries_fail_whole);
	tcase_add_loop_test(tests, files_of_bodies_at_every_step, 0,
	                    sizeof(calls) / sizeof(calls[0]));
	tcase_add_test(tests, another_process_has_it_locked);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
