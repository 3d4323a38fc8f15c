/* Locations, progress and findings of copies on a command line. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "store/copy/cli.h"
#include "tests/support/suite.h"

#define SECRET "mongodb://user:pa55word@host/db"

/* Reads the argument, with what is on standard input; NULL on failure. */
static char *read_location(char *argument, const char *input, int *result)
{
	FILE *in = fmemopen((void *)(uintptr_t)input, strlen(input), "r");
	struct error err = {.text = ""};
	char *location = NULL;

	*result = copy_location_read(argument, in, &location, &err);
	ck_assert_ptr_null(strstr(err.text, "pa55word"));
	fclose(in);
	return location;
}

START_TEST(locations_from_standard_input)
{
	char dash[] = "-";
	int result;
	char *location = read_location(dash, SECRET "\r\nmore\n", &result);

	ck_assert_int_eq(result, 0);
	ck_assert_str_eq(location, SECRET);
	copy_location_release(location);
	location = read_location(dash, " \t" SECRET " ", &result);
	ck_assert_str_eq(location, SECRET);
	copy_location_release(location);
	ck_assert_ptr_null(read_location(dash, "\n", &result));
	ck_assert_int_eq(result, ERR_INVALID);
	ck_assert_ptr_null(read_location(dash, "  \n", &result));
	ck_assert_int_eq(result, ERR_INVALID);
}
END_TEST

START_TEST(locations_from_a_file)
{
	char path[] = "/tmp/turing-location-XXXXXX", missing[] = "@/no/such";
	int fd = mkstemp(path), result;
	char *argument = mem_format("@%s", path), *location;

	ck_assert_int_eq(write(fd, SECRET, strlen(SECRET)),
	                 (ssize_t)strlen(SECRET));
	(void)close(fd);
	location = read_location(argument, "x", &result);
	ck_assert_int_eq(result, 0);
	ck_assert_str_eq(location, SECRET);
	copy_location_release(location);
	(void)unlink(path);
	ck_assert_ptr_null(read_location(argument, "x", &result));
	ck_assert_int_eq(result, ERR_IO);
	ck_assert_ptr_null(read_location(missing, "x", &result));
	free(argument);
}
END_TEST

START_TEST(a_uri_is_blotted_out)
{
	char uri[] = SECRET, path[] = "/var/lib/x", nothing[] = "";
	int result;
	char *location = read_location(uri, "x", &result);

	ck_assert_str_eq(location, SECRET);
	ck_assert_ptr_null(strstr(uri, "pa55word"));
	copy_location_release(location);
	location = read_location(path, "x", &result);
	ck_assert_str_eq(location, "/var/lib/x");
	ck_assert_str_eq(path, "/var/lib/x");
	copy_location_release(location);
	ck_assert_ptr_null(read_location(nothing, "x", &result));
	ck_assert_int_eq(result, ERR_INVALID);
}
END_TEST

START_TEST(one_store_under_two_names)
{
	ck_assert(copy_location_same("sqlite", "/tmp", "sqlite", "/tmp/."));
	ck_assert(!copy_location_same("sqlite", "/tmp", "sqlite", "/usr"));
	ck_assert(!copy_location_same("sqlite", "/tmp", "mongodb", "/tmp"));
	ck_assert(copy_location_same("sqlite", "/no/x", "sqlite", "/no/x"));
}
END_TEST

START_TEST(a_file_gets_a_line_a_part)
{
	struct copy_display display;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct store_progress progress = copy_display_progress(&display, out);

	store_progress_tell(&progress, "messages", 1, 3);
	store_progress_tell(&progress, "messages", 3, 3);
	store_progress_tell(&progress, "messages", 3, 3);
	store_progress_tell(&progress, "values", 1, -1);
	store_progress_tell(&progress, "values", 2, 2);
	copy_display_end(&display);
	fclose(out);
	ck_assert_str_eq(text, "messages: 3\nvalues: 2\n");
	free(text);
}
END_TEST

START_TEST(a_terminal_gets_one_line_a_part)
{
	struct copy_display display;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct store_progress progress = copy_display_progress(&display, out);

	display.terminal = true;
	for (int64_t i = 0; i < 1000; i++) /* within a second */
		store_progress_tell(&progress, "messages", i, 1000);
	display.told_ms -= 2000;
	store_progress_tell(&progress, "messages", 500, 1000);
	store_progress_tell(&progress, "messages", 1000, 1000);
	store_progress_tell(&progress, "values", 2, 2);
	copy_display_end(&display);
	copy_display_end(&display);
	fclose(out);
	ck_assert_str_eq(text, "\rmessages: 500 of 1000 (50%)\x1b[K"
	                       "\rmessages: 1000\x1b[K\n"
	                       "\rvalues: 2\x1b[K\n");
	free(text);
}
END_TEST

/* What is told of a part with these counts. */
static char *explain(struct copy_part compared, int64_t refused)
{
	struct copy_report copy = {.count = 1}, comparison = {.count = 1};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	compared.name = "messages";
	copy.parts[0].name = "messages";
	copy.parts[0].refused = refused;
	comparison.parts[0] = compared;
	copy_report_explain(&copy, &comparison, out);
	fclose(out);
	return text;
}

static const struct {
	struct copy_part part;
	int64_t refused;
	const char *told[3];
} rows[] = {
    {{.only_destination = 3, .source.count = 1},
     0,
     {"messages differ: 3 records are only in the destination\n",
      "left as it is"}},
    {{.only_source = 1, .different = 2, .source.count = 1},
     0,
     {"messages differ: 1 record is only in the source, 2 records are not "
      "the same\n",
      "the source changed while it was copied: run it again"}},
    {{.only_source = 1, .source.count = 1},
     1,
     {"1 record is only in the source", "1 record was refused"}},
};

START_TEST(differences_are_told)
{
	char *text = explain(rows[_i].part, rows[_i].refused);

	for (size_t i = 0; i < 3 && rows[_i].told[i]; i++)
		ck_assert_msg(strstr(text, rows[_i].told[i]) != NULL, "%s",
		              text);
	free(text);
}
END_TEST

START_TEST(nothing_is_told_of_equals)
{
	char *text = explain((struct copy_part){.source.count = 0}, 0);

	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("copy-cli");
	TCase *tcase = tcase_create("texts");

	tcase_add_test(tcase, locations_from_standard_input);
	tcase_add_test(tcase, locations_from_a_file);
	tcase_add_test(tcase, a_uri_is_blotted_out);
	tcase_add_test(tcase, one_store_under_two_names);
	tcase_add_test(tcase, a_file_gets_a_line_a_part);
	tcase_add_test(tcase, a_terminal_gets_one_line_a_part);
	tcase_add_loop_test(tcase, differences_are_told, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tcase, nothing_is_told_of_equals);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
