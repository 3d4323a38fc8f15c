/* Zone files: the system's beside libc, rules of the footer, broken files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "common/zone.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define HOUR         3600

static char folder[64];

static void setup(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/turing-zone-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
	(void)remove_tree(folder);
}

static const char *const names[] = {
    "Europe/Paris",        "Europe/Dublin",       "America/New_York",
    "America/Sao_Paulo",   "Australia/Lord_Howe", "Pacific/Apia",
    "Asia/Kathmandu",      "Africa/Casablanca",   "America/Nuuk",
    "Antarctica/Troll",    "Etc/GMT+5",           "UTC",
    "America/Scoresbysund"};

/* Twice a day in the years past and to come, as libc has it. */
START_TEST(as_libc)
{
	struct zone *zone = NULL;
	struct error err = {0};

	ck_assert_msg(!zone_read(&zone, ZONE_DIRECTORY, names[_i], &err), "%s",
	              err.text);
	ck_assert_int_eq(setenv("TZ", names[_i], 1), 0);
	tzset();
	for (int64_t t = 0; t < 4102444800LL; t += 11 * HOUR + 1) {
		time_t seconds = (time_t)t;
		struct tm tm;

		ck_assert_ptr_nonnull(localtime_r(&seconds, &tm));
		ck_assert_msg(zone_offset(zone, t) == tm.tm_gmtoff,
		              "%s at %lld: %d, not %ld", names[_i],
		              (long long)t, (int)zone_offset(zone, t),
		              tm.tm_gmtoff);
	}
	ck_assert_int_eq(zone_offset(zone, -5000000000LL),
	                 zone_offset(zone, -6000000000LL));
	zone_free(zone);
}
END_TEST

/* --- files of our own
 * --------------------------------------------------------- */

static void write_file(const void *bytes, size_t size)
{
	char *path = mem_format("%s/Zone", folder);
	FILE *file = fopen(path, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
	free(path);
}

/* Writes a file with one type, UTC, no changes, and this footer. */
static void write_zone(const char *footer)
{
	static const char head[44] = "TZif2";
	char bytes[400] = {0};
	size_t length = 0;

	for (int i = 0; i < 2; i++) {
		memcpy(bytes + length, head, 44);
		bytes[length + 39] = 1; /* one type, ... */
		bytes[length + 43] = 4; /* ... and four letters */
		memcpy(bytes + length + 44 + 6, "UTC", 4);
		length += 44 + 6 + 4;
	}
	length += (size_t)snprintf(bytes + length, sizeof(bytes) - length,
	                           "\n%s\n", footer);
	write_file(bytes, length);
}

/* 2026: 1 January is a Thursday; seconds of a day of it. */
#define AT(day, hour) ((20454LL + (day)) * 86400 + (hour)*HOUR)

static const struct {
	const char *footer;
	int64_t seconds;
	int32_t offset;
} rule_rows[] = {
    {"", AT(0, 0), 0},
    {"UTC0", AT(0, 0), 0},
    {"EST5", AT(0, 0), -5 * HOUR},
    {"<+0330>-3:30", AT(0, 0), 12600},
    {"<-00>-0:00:30", AT(0, 0), 30},
    {"CET-1CEST,M3.5.0,M10.5.0/3", AT(87, 0), HOUR},
    {"CET-1CEST,M3.5.0,M10.5.0/3", AT(87, 1), 2 * HOUR},
    {"CET-1CEST,M3.5.0,M10.5.0/3", AT(297, 0), 2 * HOUR},
    {"CET-1CEST,M3.5.0,M10.5.0/3", AT(297, 1), HOUR},
    {"NZST-12NZDT,M9.5.0,M4.1.0/3", AT(0, 0), 13 * HOUR},
    {"NZST-12NZDT,M9.5.0,M4.1.0/3", AT(180, 0), 12 * HOUR},
    {"IST-1GMT0,M10.5.0,M3.5.0/1", AT(0, 0), 0},
    {"IST-1GMT0,M10.5.0,M3.5.0/1", AT(180, 0), HOUR},
    {"A0B,J60/0,J61/0", AT(59, 0), HOUR},
    {"AAA0BBB,J60/0,J61/0", AT(59, 0), HOUR},
    {"AAA0BBB,59/0,60/0", AT(59, 0), HOUR},
    {"AAA0BBB,59/0,60/0", AT(60, 0), 0},
    /* hours of another day */
    {"AAA0BBB,M3.4.4/50,M10.4.4/50", AT(86, 1), 0},
    {"AAA0BBB,M3.4.4/50,M10.4.4/50", AT(86, 2), HOUR},
    {"AAA0BBB,M3.5.0/-1,M10.5.0", AT(86, 23), HOUR},
    /* the whole year */
    {"EST5EDT,0/0,J365/25", AT(0, 12), -4 * HOUR},
};

START_TEST(rules)
{
	struct zone *zone = NULL;
	int result;

	write_zone(rule_rows[_i].footer);
	result = zone_read(&zone, folder, "Zone", NULL);
	/* "A" is too short for a name. */
	ck_assert_int_eq(result, strncmp(rule_rows[_i].footer, "A0", 2) == 0
	                             ? ERR_INVALID
	                             : 0);
	if (!result)
		ck_assert_int_eq(zone_offset(zone, rule_rows[_i].seconds),
		                 rule_rows[_i].offset);
	zone_free(zone);
}
END_TEST

static const char *const broken[] = {"CET",
                                     "CET-25",
                                     "CET-1CEST",
                                     "CET-1CEST,M3.5.0",
                                     "<CET-1",
                                     "CET-1CEST,M13.5.0,M10.5.0",
                                     "CET-1CEST,0,366",
                                     "CET-1CEST,M3.6.0,M10.5.0",
                                     "CET-1CEST,M3.5.7,M10.5.0",
                                     "CET-1CEST,J0,J1",
                                     "CET-1CEST,M3.5.0,M10.5.0x",
                                     "CET-1CEST,M3.5.0/168,M10.5.0"};

START_TEST(broken_rules)
{
	struct zone *zone = NULL;

	write_zone(broken[_i]);
	ck_assert_int_eq(zone_read(&zone, folder, "Zone", NULL), ERR_INVALID);
}
END_TEST

static const struct {
	const char *name;
	int code;
} name_rows[] = {
    {"", ERR_INVALID},
    {"../../etc/passwd", ERR_INVALID},
    {"/etc/localtime", ERR_INVALID},
    {"Europe/Paris ", ERR_INVALID},
    {"tzdata.zi", ERR_INVALID},
    {"Europe/Atlantis", ERR_NOT_FOUND},
    {"Europe", ERR_INVALID},
};

START_TEST(bad_names)
{
	struct zone *zone = NULL;
	struct error err = {0};
	int result = zone_read(&zone, ZONE_DIRECTORY, name_rows[_i].name, &err);

	if (strcmp(name_rows[_i].name, "Europe") == 0)
		ck_assert_int_lt(result, 0); /* a folder */
	else
		ck_assert_int_eq(result, name_rows[_i].code);
	ck_assert_str_ne(err.text, "");
}
END_TEST

/* A real file, cut anywhere and with each byte changed: no read outside. */
START_TEST(damaged_files)
{
	struct buffer whole;

	buffer_init(&whole, 100000);
	ck_assert_int_eq(
	    fs_read_file(ZONE_DIRECTORY "/Europe/Paris", &whole, NULL), 0);
	for (size_t i = 0; i < whole.length; i += 7) {
		struct zone *zone = NULL;
		char kept = whole.data[i];

		write_file(whole.data, i);
		if (!zone_read(&zone, folder, "Zone", NULL))
			(void)zone_offset(zone, AT(0, 0));
		zone_free(zone);
		zone = NULL;
		whole.data[i] = (char)0xff;
		write_file(whole.data, whole.length);
		if (!zone_read(&zone, folder, "Zone", NULL))
			for (int year = 0; year < 60; year++)
				(void)zone_offset(zone, AT(365 * year, 0));
		zone_free(zone);
		whole.data[i] = kept;
	}
	buffer_release(&whole);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zone");
	TCase *tests = tcase_create("zone");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, as_libc, 0, COUNT(names));
	tcase_add_loop_test(tests, rules, 0, COUNT(rule_rows));
	tcase_add_loop_test(tests, broken_rules, 0, COUNT(broken));
	tcase_add_loop_test(tests, bad_names, 0, COUNT(name_rows));
	tcase_add_test(tests, damaged_files);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
