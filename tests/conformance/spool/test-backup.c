/*
 * The spool's contract: a backup is a spool of its own with all that there was,
 * or is refused in words where the server has tools for that.
 */
#include <unistd.h>

#include "common/mem.h"
#include "store/copy/spool.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

static struct spool_fixture fixture;
static char *saved;

static void setup(void)
{
	fixture_open(&fixture);
	saved = mem_format("%s/saved", fixture.directory);
}

static void teardown(void)
{
	free(saved);
	fixture_close(&fixture);
}

/* A message in each state, a value, and one whose end is to be told. */
static void fill(void)
{
	struct spool_change set = {
	    .kind = SPOOL_SET,
	    .set = {.name = "cursor", .value = "caf\xc3\xa9 \xff"}};
	struct spool_change told;

	for (int state = 0; state < SPOOL_STATE_COUNT; state++)
		(void)fixture_add(&fixture, 2, (enum spool_state)state);
	told = fixture_move_change(fixture_add(&fixture, 1, SPOOL_QUEUED), 0,
	                           SPOOL_FAILED);
	told.move.event = true;
	ck_assert_int_eq(fixture_commit(&fixture, told), 0);
	ck_assert_int_eq(fixture_commit(&fixture, set), 0);
}

static void expect_saved(void)
{
	struct spool_options options = fixture.options;
	struct copy_report report = {.count = 0};
	struct spool *opened = NULL;
	struct error err = {.text = ""};

	options.location = saved;
	options.incoming = NULL;
	ck_assert_msg(!spool_open_shared(&opened, &options, &err), "%s",
	              err.text);
	ck_assert_msg(!spool_check(opened, &err), "%s", err.text);
	ck_assert_msg(
	    !spool_compare(fixture.spool, opened, NULL, &report, &err), "%s",
	    err.text);
	ck_assert(copy_report_equal(&report));
	spool_close(opened);
}

START_TEST(backup_is_a_spool)
{
	struct error err = {.text = ""};

	fill();
	if (!fixture_is_sqlite()) {
		ck_assert_int_eq(spool_backup(fixture.spool, saved, NULL, &err),
		                 ERR_INVALID);
		ck_assert_str_ne(err.text, "");
		ck_assert_int_ne(access(saved, F_OK), 0);
		return;
	}
	ck_assert_msg(!spool_backup(fixture.spool, saved, NULL, &err), "%s",
	              err.text);
	expect_saved();
	ck_assert_int_eq(spool_backup(fixture.spool, saved, NULL, &err),
	                 ERR_EXISTS);
	ck_assert_str_ne(err.text, "");
	expect_saved();
}
END_TEST

START_TEST(backups_need_a_place)
{
	struct error err = {.text = ""};

	ck_assert_int_eq(spool_backup(fixture.spool, "", NULL, &err),
	                 ERR_INVALID);
	ck_assert_str_ne(err.text, "");
	ck_assert_int_eq(spool_backup(fixture.spool, NULL, NULL, &err),
	                 ERR_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-backup");
	TCase *tests = tcase_create("backup");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, backup_is_a_spool);
	tcase_add_test(tests, backups_need_a_place);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
