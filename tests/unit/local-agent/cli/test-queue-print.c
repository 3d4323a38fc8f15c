/* What "turing-agent queue" prints of a message, its history included. */
#include "local-agent/cli/queue-print.h"

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
static char *capture_message(void (*print)(const struct spool_message *),
                             const struct spool_message *message)
{
	FILE *file = tmpfile();
	char *text = mem_alloc(20000);
	int saved = dup(STDOUT_FILENO);
	size_t length;

	ck_assert_ptr_nonnull(file);
	(void)fflush(stdout);
	ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
	print(message);
	(void)fflush(stdout);
	ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
	(void)close(saved);
	rewind(file);
	length = fread(text, 1, 19999, file);
	text[length] = '\0';
	(void)fclose(file);
	return text;
}

/* Whether print writes the text of this message; never a raw escape. */
static bool prints(void (*print)(const struct spool_message *),
                   const struct spool_message *message, const char *wanted)
{
	char *text = capture_message(print, message);
	bool found = strstr(text, wanted) != NULL;

	ck_assert_ptr_null(strchr(text, 0x1b));
	free(text);
	return found;
}

/* The same of a delivered message with this history. */
static char *capture(void (*print)(const struct spool_message *),
                     const char *history)
{
	struct spool_message message = fixture_message(1, SPOOL_DELIVERED);
	char *text;

	free(message.recipients[0].lease_owner);
	message.recipients[0].lease_owner = mem_copy_string("");
	message.recipients[0].history = mem_copy_string(history);
	text = capture_message(print, &message);
	spool_message_release(&message);
	return text;
}

/* What the cloud refused is shown with its text, how often, and until when. */
START_TEST(refusals_are_shown)
{
	struct spool_message message = fixture_message(0, SPOOL_HELD);

	ck_assert(!prints(cli_print_message, &message, "refused"));
	free(message.registration_refusal);
	message.registration_refusal = mem_copy_string("not a\x1b address");
	message.registration_attempts = 3;
	message.registration_retry_ms = FIXTURE_NOW_MS;
	ck_assert(
	    prints(cli_print_message, &message, "cloud refused:    not a"));
	ck_assert(prints(cli_print_message, &message, "refused so often: 3"));
	ck_assert(prints(cli_print_message, &message, "2026-11-21T08:00:00"));
	ck_assert(
	    prints(cli_print_json, &message, "\"registration_attempts\":3"));
	spool_message_release(&message);
}
END_TEST

/* Failed mail that is kept says why, in the list too, and until when. */
START_TEST(failures_are_shown)
{
	struct spool_message message = fixture_message(1, SPOOL_FAILED);
	struct spool_recipient *recipient = &message.recipients[0];

	recipient->lease_owner = mem_copy_string("");
	recipient->history = mem_copy_string("");
	free(recipient->reply);
	recipient->reply = mem_copy_string("550 5.1.1 \x1bnobody");
	ck_assert(!prints(cli_print_line, &message, "nobody"));
	recipient->keep_until_ms = FIXTURE_NOW_MS;
	recipient->dsn = SPOOL_DSN_QUEUED;
	recipient->dsn_id = message.id;
	ck_assert(
	    prints(cli_print_line, &message, " [550 5.1.1 \\x1bnobody]\n"));
	ck_assert(prints(cli_print_message, &message,
	                 "  kept until:     2026-11-21T08:00:00.000Z"));
	ck_assert(prints(cli_print_message, &message,
	                 "  sender told:    DSN queued, "));
	ck_assert(prints(cli_print_json, &message,
	                 "\"kept_until\":\"2026-11-21T08:00:00.000Z\""));
	ck_assert(prints(cli_print_json, &message, "\"dsn\":\"queued\""));
	spool_message_release(&message);
}
END_TEST

/* Why the MX's word was not taken stands below what was taken of it. */
START_TEST(what_is_odd_of_the_stamps_is_shown)
{
	struct spool_message message = fixture_message(0, SPOOL_HELD);

	free(message.auth_notice);
	message.auth_notice = mem_copy_string("as \"other\x1b.example\"");
	ck_assert(prints(cli_print_message, &message,
	                 "MX's stamps:      as \"other"));
	ck_assert(prints(cli_print_json, &message, "\"auth_notice\":\"as "));
	message.auth_notice[0] = '\0';
	ck_assert(!prints(cli_print_message, &message, "MX's stamps"));
	spool_message_release(&message);
}
END_TEST

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

	tcase_add_test(tests, refusals_are_shown);
	tcase_add_test(tests, failures_are_shown);
	tcase_add_test(tests, what_is_odd_of_the_stamps_is_shown);
	tcase_add_loop_test(tests, show_has_every_line, 0, count);
	tcase_add_loop_test(tests, json_has_it_as_a_list, 0, count);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
