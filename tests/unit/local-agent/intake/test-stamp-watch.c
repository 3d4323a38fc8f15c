/* The count of readings, and how often one of them is told. */
#include "local-agent/intake/stamp-watch.h"
#include "tests/support/suite.h"

START_TEST(once_a_period)
{
	struct stamp_watch watch;
	int64_t now = 1000;

	stamp_watch_init(&watch);
	ck_assert_uint_eq(stamp_watch_count(&watch, MAIL_AUTH_ABSENT, now), 1);
	ck_assert_uint_eq(stamp_watch_count(&watch, MAIL_AUTH_ABSENT, now), 0);
	/* Each kind has a period of its own. */
	ck_assert_uint_eq(stamp_watch_count(&watch, MAIL_AUTH_FOREIGN, now), 1);
	now += STAMP_WATCH_PERIOD_MS - 1;
	ck_assert_uint_eq(stamp_watch_count(&watch, MAIL_AUTH_ABSENT, now), 0);
	ck_assert_uint_eq(stamp_watch_count(&watch, MAIL_AUTH_ABSENT, now + 1),
	                  3);
	ck_assert_uint_eq(stamp_watch_count(&watch, MAIL_AUTH_ABSENT, now + 1),
	                  0);
	stamp_watch_release(&watch);
}
END_TEST

START_TEST(all_are_counted)
{
	struct stamp_watch watch;
	int64_t before;
	int i;

	stamp_watch_init(&watch);
	before = metric_value(watch.read[MAIL_AUTH_TRUSTED]);
	for (i = 0; i < 5; i++)
		ck_assert_uint_eq(
		    stamp_watch_count(&watch, MAIL_AUTH_TRUSTED, 1000), 0);
	ck_assert_int_eq(metric_value(watch.read[MAIL_AUTH_TRUSTED]),
	                 before + 5);
	before = metric_value(watch.read[MAIL_AUTH_ECHOED]);
	stamp_watch_note(&watch, MAIL_AUTH_ECHOED, "a line of the test", "x");
	stamp_watch_note(&watch, MAIL_AUTH_ECHOED, "not written", "x");
	ck_assert_int_eq(metric_value(watch.read[MAIL_AUTH_ECHOED]),
	                 before + 2);
	stamp_watch_release(&watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stamp watch");
	TCase *tests = tcase_create("counts");

	tcase_add_test(tests, once_a_period);
	tcase_add_test(tests, all_are_counted);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
