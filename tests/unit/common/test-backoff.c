/* Tests of the schedule of retries. */
#include <limits.h>

#include "common/backoff.h"
#include "tests/support/suite.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)

static const struct backoff standard = {5 * MINUTE_MS, 4 * HOUR_MS,
                                        5 * 24 * HOUR_MS};

static const struct {
	unsigned attempts;
	int64_t minutes;
} delays[] = {
    {0, 5},  {1, 5},   {2, 10},  {3, 20},   {4, 40},
    {5, 80}, {6, 160}, {7, 240}, {40, 240}, {4000000000U, 240},
};

START_TEST(delay_doubles_up_to_the_maximum)
{
	ck_assert_int_eq(backoff_delay_ms(&standard, delays[_i].attempts),
	                 delays[_i].minutes * MINUTE_MS);
}
END_TEST

START_TEST(gives_up_after_five_days)
{
	int64_t spent_ms = 0;
	unsigned attempts = 0;

	do
		spent_ms += backoff_delay_ms(&standard, ++attempts);
	while (spent_ms < standard.give_up_ms);
	ck_assert(!backoff_exhausted(&standard, 0));
	ck_assert(!backoff_exhausted(&standard, attempts - 1));
	ck_assert(backoff_exhausted(&standard, attempts));
	ck_assert(backoff_exhausted(&standard, 4000000000U));
	ck_assert_uint_eq(attempts, 35);
}
END_TEST

START_TEST(extremes_do_not_overflow)
{
	struct backoff wide = {1, INT64_MAX, INT64_MAX};
	struct backoff equal = {7, 7, 7}, none = {0, 7, 7};

	ck_assert_int_eq(backoff_delay_ms(&wide, 63), INT64_C(1) << 62);
	ck_assert_int_eq(backoff_delay_ms(&wide, 64), INT64_MAX);
	ck_assert_int_eq(backoff_delay_ms(&wide, 1000), INT64_MAX);
	ck_assert(backoff_exhausted(&wide, 1000));
	ck_assert_int_eq(backoff_delay_ms(&equal, 3), 7);
	ck_assert(backoff_exhausted(&equal, 1));
	ck_assert_int_eq(backoff_delay_ms(&none, UINT_MAX), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backoff");
	TCase *tests = tcase_create("schedule");

	tcase_add_loop_test(tests, delay_doubles_up_to_the_maximum, 0,
	                    (int)(sizeof(delays) / sizeof(delays[0])));
	tcase_add_test(tests, gives_up_after_five_days);
	tcase_add_test(tests, extremes_do_not_overflow);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
