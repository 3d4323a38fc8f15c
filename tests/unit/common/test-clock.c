/* Times and their texts. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "tests/support/suite.h"

static const struct {
	int64_t ms;
	const char *rfc3339, *rfc5322;
} texts[] = {
    {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 +0000"},
    {1795248000123, "2026-11-21T08:00:00.123Z",
     "Sat, 21 Nov 2026 08:00:00 +0000"},
    {951782400999, "2000-02-29T00:00:00.999Z",
     "Tue, 29 Feb 2000 00:00:00 +0000"},
    {-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 +0000"},
    {-1000, "1969-12-31T23:59:59.000Z", "Wed, 31 Dec 1969 23:59:59 +0000"},
    {253402300799999, "9999-12-31T23:59:59.999Z",
     "Fri, 31 Dec 9999 23:59:59 +0000"},
};

START_TEST(test_formats)
{
	char text[CLOCK_TEXT_SIZE];
	int64_t ms;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_str_eq(clock_format_rfc3339(texts[i].ms, text),
		                 texts[i].rfc3339);
		ck_assert_int_eq(clock_parse_rfc3339(text, &ms), 0);
		ck_assert_int_eq(ms, texts[i].ms);
		ck_assert_str_eq(clock_format_rfc5322(texts[i].ms, text),
		                 texts[i].rfc5322);
	}
	/* Whatever comes, it stays in its room. */
	ck_assert_uint_lt(strlen(clock_format_rfc3339(INT64_MAX, text)),
	                  CLOCK_TEXT_SIZE);
	ck_assert_uint_lt(strlen(clock_format_rfc5322(INT64_MIN, text)),
	                  CLOCK_TEXT_SIZE);
}
END_TEST

static const struct {
	const char *text;
	int64_t ms;
} right[] = {
    {"2026-11-21T08:00:00Z", 1795248000000},
    {"2026-11-21t08:00:00z", 1795248000000},
    {"2026-11-21 08:00:00Z", 1795248000000},
    {"2026-11-21T09:30:00+01:30", 1795248000000},
    {"2026-11-21T00:00:00-08:00", 1795248000000},
    {"2026-11-21T08:00:00.5Z", 1795248000500},
    {"2026-11-21T08:00:00.1239999999999Z", 1795248000123},
    {"2016-12-31T23:59:60Z", 1483228800000},
    {"2024-02-29T00:00:00Z", 1709164800000},
};

static const char *const wrong[] = {
    "",
    "now",
    "2026-11-21",
    "2026-11-21T08:00:00",
    "2026-11-21T08:00Z",
    "2026-11-21T08:00:00ZZ",
    "2026-11-21T08:00:00Z ",
    " 2026-11-21T08:00:00Z",
    "2026-11-21T08:00:00.Z",
    "2026-11-21T08:00:00+0100",
    "2026-11-21T08:00:00+1:00",
    "2026-11-21T08:00:00+24:00",
    "2026-11-21T08:00:00+01:60",
    "2026-11-21T08:00:00x01:00",
    "2026-11-21T24:00:00Z",
    "2026-11-21T08:60:00Z",
    "2026-11-21T08:00:61Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026- 1-01T00:00:00Z",
    "2026-+1-01T00:00:00Z",
    "+026-01-01T00:00:00Z",
    "2026-01-01T0 :00:00Z",
    "2026-01-01T-1:00:00Z",
    "02026-01-01T00:00:00Z",
    "2026/01/01T00:00:00Z",
};

START_TEST(test_parse)
{
	int64_t ms;
	size_t i;

	for (i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		ck_assert_msg(!clock_parse_rfc3339(right[i].text, &ms), "%s",
		              right[i].text);
		ck_assert_msg(ms == right[i].ms, "%s: %lld", right[i].text,
		              (long long)ms);
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ms = 7;
		ck_assert_msg(clock_parse_rfc3339(wrong[i], &ms) == ERR_INVALID,
		              "%s", wrong[i]);
		ck_assert_int_eq(ms, 7);
	}
}
END_TEST

START_TEST(test_clocks)
{
	int64_t before = clock_monotonic_ms(), i;

	ck_assert_int_gt(clock_wall_ms(), 1700000000000);
	for (i = 0; i < 1000; i++)
		ck_assert_int_ge(clock_monotonic_ms(), before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, test_formats);
	tcase_add_test(cases, test_parse);
	tcase_add_test(cases, test_clocks);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
