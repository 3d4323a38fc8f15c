/* What "turing-agent queue" prints of a message, its history included. */
#include "local-agent/cli-queue-print.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define HELD   "2026-11-21T08:00:00.000Z held policy: no entry"
#define QUEUED "2026-11-21T08:00:01.000Z queued captcha: solved"

/* Rows: a history, its lines. */
static const struct {
	const char *history;
	const char *lines[4];
} rows[] = {
    {"", {NULL}},
    {HELD "\n", {HELD}},
    {HELD "\n" QUEUED "\n", {HELD, QUEUED}},
    {HELD "\n...\n" QUEUED "\n", {HELD, "...", QUEUED}},
    /* As only damage can leave it. */
    {HELD, {HELD}},
    {"\n\n", {"", ""}},
    {HELD "\x1b[2J\n", {HELD "\x1b[2J"}},
};

/* What print writes to standard output, on the heap. */
static char *capture(void (*print)(const struct spool_message *),
                     const char *history)
{
	struct spool_message message = fixture_message(1, SPOOL_DELIVERED);
	FILE *file = tmpfile();
	char *text = mem_alloc(20000);
	int saved = dup(STDOUT_FILENO);
	size_t length;

	free(message.recipients[0].lease_owner);
	message.recipients[0].lease_owner = mem_copy_string("");
	message.recipients[0].history = mem_copy_string(history);
	ck_assert_ptr_nonnull(file);
	(void)fflush(stdout);
	ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
	print(&message);
	(void)fflush(stdout);
	ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
	(void)close(saved);
	rewind(file);
	length = fread(text, 1, 19999, file);
	text[length] = '\0';
	(void)fclose(file);
	spool_message_release(&message);
	return text;
}

START_TEST(show_has_every_line)
{
	char *text = capture(cli_print_message, rows[_i].history);
	const char *at = strstr(text, "  before:");

	ck_assert_ptr_nonnull(strstr(text, "  state:          delivered"));
	ck_assert_ptr_null(strchr(text, 0x1b));
	if (!rows[_i].lines[0])
		ck_assert_ptr_null(at);
	for (size_t i = 0; i < 4 && rows[_i].lines[i]; i++) {
		char expected[200];
		size_t length = strcspn(rows[_i].lines[i], "\x1b");

		(void)snprintf(expected, sizeof(expected), "%-17s %.*s",
		               i ? "" : "  before:", (int)length,
		               rows[_i].lines[i]);
		ck_assert_ptr_nonnull(at);
		ck_assert(!strncmp(at, expected, strlen(expected)));
		at = strchr(at, '\n') + 1;
	}
	free(text);
}
END_TEST

START_TEST(json_has_it_as_a_list)
{
	char *text = capture(cli_print_json, rows[_i].history);
	json_t *object = json_loads(text, 0, NULL);
	const json_t *recipient =
	    json_array_get(json_object_get(object, "recipients"), 0);
	const json_t *history = json_object_get(recipient, "history");
	size_t i;

	ck_assert(json_is_array(history));
	for (i = 0; i < 4 && rows[_i].lines[i]; i++)
		ck_assert_str_eq(json_string_value(json_array_get(history, i)),
		                 rows[_i].lines[i]);
	ck_assert_uint_eq(json_array_size(history), i);
	json_decref(object);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent queue print");
	TCase *tests = tcase_create("history");
	int count = (int)(sizeof(rows) / sizeof(rows[0]));

	tcase_add_loop_test(tests, show_has_every_line, 0, count);
	tcase_add_loop_test(tests, json_has_it_as_a_list, 0, count);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
