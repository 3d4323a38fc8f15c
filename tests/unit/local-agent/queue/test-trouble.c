/* Failures of the store: which pass, how often they are told, their end. */
#include "common/clock.h"
#include "common/condition.h"
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"
#include "local-agent/queue/trouble.h"
#include "tests/support/suite.h"

static struct trouble trouble;

static void setup(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	trouble = (struct trouble){.part = "test"};
}

static int64_t count_of(const char *labels)
{
	return metric_value(
	    metric_counter("turing_agent_store_errors_total", labels, ""));
}

static const struct {
	int code;
	bool passing;
} codes[] = {
    {ERR_UNAVAILABLE, true}, {ERR_TIMEOUT, true},  {ERR_UNCERTAIN, true},
    {ERR_FULL, true},        {ERR_DENIED, true},   {ERR_PROTOCOL, true},
    {ERR_LIMIT, true},       {ERR_MEMORY, true},   {ERR_IO, false},
    {ERR_CORRUPT, false},    {ERR_INVALID, false}, {0, false},
};

START_TEST(test_passing)
{
	ck_assert(trouble_is_passing(codes[_i].code) == codes[_i].passing);
}
END_TEST

/* Each is counted; one line a period is told of each kind. */
START_TEST(test_told_once_a_period)
{
	int64_t before = count_of("error=\"unavailable\"");
	int i;

	trouble_note(&trouble, ERR_UNAVAILABLE, "commit", "away");
	ck_assert(trouble.announced);
	ck_assert_uint_eq(trouble.untold, 0);
	for (i = 0; i < 3; i++)
		trouble_note(&trouble, ERR_UNAVAILABLE, "commit", "away");
	ck_assert_uint_eq(trouble.untold, 3);
	condition_move_clock_ms(TROUBLE_PERIOD_MS - 1000);
	trouble_tell(&trouble, ERR_UNAVAILABLE, "commit", "away");
	ck_assert_uint_eq(trouble.untold, 4);
	/* Another kind is told at once, with the number of what was not. */
	trouble_tell(&trouble, ERR_FULL, "commit", "full");
	ck_assert_uint_eq(trouble.untold, 0);
	trouble_tell(&trouble, ERR_UNAVAILABLE, "commit", "away");
	ck_assert_uint_eq(trouble.untold, 1);
	condition_move_clock_ms(1000);
	trouble_tell(&trouble, ERR_UNAVAILABLE, "commit", "away");
	ck_assert_uint_eq(trouble.untold, 0);
	/* What trouble_tell() tells was counted by somebody else. */
	ck_assert_int_eq(count_of("error=\"unavailable\"") - before, 4);
}
END_TEST

/* A code that no kind has room for is told among those of 0. */
START_TEST(test_unknown_code)
{
	trouble_tell(&trouble, -TROUBLE_KINDS, "commit", "odd");
	ck_assert_int_gt(trouble.silent_until_ms[0], clock_monotonic_ms());
	trouble_tell(&trouble, 7, "commit", "odd");
	ck_assert_uint_eq(trouble.untold, 1);
}
END_TEST

START_TEST(test_over)
{
	trouble_over(&trouble);
	ck_assert_int_eq(trouble.since_ms, 0);
	trouble_tell(&trouble, ERR_TIMEOUT, "read", "late");
	ck_assert_int_gt(trouble.since_ms, 0);
	trouble_over(&trouble);
	ck_assert_int_eq(trouble.since_ms, 0);
	ck_assert(!trouble.announced);
	/* The period goes on: a store that comes and goes fills no log. */
	trouble_tell(&trouble, ERR_TIMEOUT, "read", "late");
	ck_assert(!trouble.announced);
	ck_assert_uint_eq(trouble.untold, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trouble");
	TCase *tests = tcase_create("trouble");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_loop_test(tests, test_passing, 0,
	                    (int)(sizeof(codes) / sizeof(codes[0])));
	tcase_add_test(tests, test_told_once_a_period);
	tcase_add_test(tests, test_unknown_code);
	tcase_add_test(tests, test_over);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
