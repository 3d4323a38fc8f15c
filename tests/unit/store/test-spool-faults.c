/*
 * The spool on a medium that fails: every write and every sync of a commit in
 * turn, with a full disk, an I/O error and a damaged page.
 */
#include <sqlite3.h>

#include "common/mem.h"
#include "tests/support/fault-vfs.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define BATCH 6

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

int main(void)
{
	Suite *suite = suite_create("spool-faults");
	TCase *tests = tcase_create("faults");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, full_disk_at_every_write);
	tcase_add_loop_test(tests, failure_at_every_step, 0, 2);
	tcase_add_test(tests, damage_ends_writing);
	tcase_add_test(tests, failed_checkpoint_ends_writing);
	tcase_add_test(tests, claim_purge_and_entries_fail_whole);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
