/* Tests of SMTP replies: filled in, printed, parsed whole and in pieces. */
#include <stdlib.h>
#include <string.h>

#include "common/smtp/reply.h"
#include "tests/support/suite.h"

struct parse_row {
	const char *input;
	int result; /* 1 whole, 0 not whole, or ERR_PROTOCOL */
	int code;
	const char *enhanced, *text;
	size_t taken;
};

static const struct parse_row parse_rows[] = {
    {"250 ok\r\n", 1, 250, "", "ok", 8},
    {"250 ok\r\n250 next\r\n", 1, 250, "", "ok", 8},
    {"250\r\n", 1, 250, "", "", 5},
    {"250 ok\n", 1, 250, "", "ok", 7},
    {"250 2.1.5 ok\r\n", 1, 250, "2.1.5", "ok", 14},
    {"250-2.0.0 one\r\n250 2.0.0 two\r\n", 1, 250, "2.0.0", "one\ntwo", 30},
    {"250-one\r\n250-two\r\n250 three\r\n", 1, 250, "", "one\ntwo\nthree", 29},
    {"550 5.7.1\r\n", 1, 550, "5.7.1", "", 11},
    {"550 4.7.1 class differs\r\n", 1, 550, "", "4.7.1 class differs", 25},
    {"550 5.7.1234 no code\r\n", 1, 550, "", "5.7.1234 no code", 22},
    {"250 a\tb\x01\r\n", 1, 250, "", "a?b?", 10},
    {"250 ok", 0, 0, "", "", 6},
    {"250-ok\r\n", 0, 250, "", "ok", 8},
    {"", 0, 0, "", "", 0},
    {"250-a\r\n251 b\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {"25 a\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {"2500 a\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {"150 a\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {"650 a\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {"hello\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {"\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {" 250 a\r\n", ERR_PROTOCOL, 0, "", "", 0},
    {"250_a\r\n", ERR_PROTOCOL, 0, "", "", 0},
};

static void check_parsed(const struct parse_row *row,
                         struct smtp_reply_parser *parser, int taken, int whole)
{
	if (row->result < 0) {
		ck_assert_msg(taken == row->result, "%s", row->input);
		return;
	}
	ck_assert_msg(taken == (int)row->taken, "%s: %d", row->input, taken);
	ck_assert_int_eq(whole, row->result);
	if (!whole)
		return;
	ck_assert_int_eq(parser->reply.code, row->code);
	ck_assert_str_eq(parser->reply.enhanced, row->enhanced);
	ck_assert_str_eq(parser->reply.text, row->text);
}

START_TEST(parses_whole)
{
	const struct parse_row *row = &parse_rows[_i];
	struct smtp_reply_parser parser = {0};
	int whole = 0;
	int taken =
	    smtp_reply_parse(&parser, row->input, strlen(row->input), &whole);

	check_parsed(row, &parser, taken, whole);
}
END_TEST

START_TEST(parses_byte_by_byte)
{
	const struct parse_row *row = &parse_rows[_i];
	struct smtp_reply_parser parser = {0};
	int whole = 0, taken = 0;

	for (const char *at = row->input; *at && !whole; at++) {
		int result = smtp_reply_parse(&parser, at, 1, &whole);

		if (result < 0) {
			taken = result;
			break;
		}
		taken += result;
	}
	check_parsed(row, &parser, taken, whole);
}
END_TEST

START_TEST(refuses_what_is_too_long)
{
	struct smtp_reply_parser parser = {0};
	char line[1200];
	int whole = 0, result = 0;

	memset(line, 'a', sizeof(line));
	memcpy(line, "250 ", 4);
	ck_assert_int_eq(smtp_reply_parse(&parser, line, sizeof(line), &whole),
	                 ERR_PROTOCOL);
	smtp_reply_parser_reset(&parser);
	for (int i = 0; i < 128; i++) {
		result = smtp_reply_parse(&parser, "250-a\r\n", 7, &whole);
		ck_assert_int_eq(result, 7);
	}
	result = smtp_reply_parse(&parser, "250 a\r\n", 7, &whole);
	ck_assert_int_eq(result, ERR_PROTOCOL);
}
END_TEST

START_TEST(starts_again_after_a_reset)
{
	struct smtp_reply_parser parser = {0};
	int whole = 0;

	ck_assert_int_eq(smtp_reply_parse(&parser, "550-no\r\n55", 10, &whole),
	                 10);
	smtp_reply_parser_reset(&parser);
	ck_assert_int_eq(smtp_reply_parse(&parser, "250 yes\r\n", 9, &whole),
	                 9);
	ck_assert_int_eq(whole, 1);
	ck_assert_int_eq(parser.reply.code, 250);
	ck_assert_str_eq(parser.reply.text, "yes");
}
END_TEST

struct print_row {
	int code;
	const char *enhanced, *text, *wire;
};

static const struct print_row print_rows[] = {
    {250, "2.0.0", "ok", "250 2.0.0 ok\r\n"},
    {250, "", "ok", "250 ok\r\n"},
    {250, "", "", "250 \r\n"},
    {250, "2.0.0", "", "250 2.0.0\r\n"},
    {250, "", "a\nb\nc", "250-a\r\n250-b\r\n250 c\r\n"},
    {550, "5.7.1", "a\nb", "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
    {250, "", "a\r\tb", "250 a??b\r\n"},
};

START_TEST(prints)
{
	const struct print_row *row = &print_rows[_i];
	struct smtp_reply reply;
	struct buffer out;

	buffer_init(&out, 10000);
	smtp_reply_set(&reply, row->code, row->enhanced, "%s", row->text);
	ck_assert_int_eq(smtp_reply_print(&reply, &out), 0);
	ck_assert_str_eq(buffer_text(&out), row->wire);
	buffer_release(&out);
}
END_TEST

START_TEST(breaks_long_lines)
{
	struct smtp_reply reply;
	struct smtp_reply_parser parser = {0};
	struct buffer out;
	char text[600];
	int whole = 0;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	buffer_init(&out, 10000);
	smtp_reply_set(&reply, 250, "2.0.0", "%s", text);
	ck_assert_uint_eq(strlen(reply.text), SMTP_REPLY_TEXT_SIZE - 1);
	ck_assert_int_eq(smtp_reply_print(&reply, &out), 0);
	for (char *line = out.data; *line; line = strchr(line, '\n') + 1)
		ck_assert_int_le(strchr(line, '\n') - line, 511);
	ck_assert_int_eq(
	    smtp_reply_parse(&parser, out.data, out.length, &whole),
	    (int)out.length);
	ck_assert_int_eq(whole, 1);
	buffer_release(&out);
}
END_TEST

START_TEST(tells_a_full_buffer)
{
	struct smtp_reply reply;
	struct buffer out;

	buffer_init(&out, 5);
	smtp_reply_set(&reply, 250, "", "too long for it");
	ck_assert_int_eq(smtp_reply_print(&reply, &out), ERR_LIMIT);
}
END_TEST

/* Rows: a reply, and how it stands in one line. */
static const struct {
	int code;
	const char *enhanced, *text, *line;
} line_rows[] = {
    {550, "5.1.1", "nobody", "550 5.1.1 nobody"},
    {550, "", "nobody", "550 nobody"},
    {421, "4.3.2", "shutting\ndown\n", "421 4.3.2 shutting down "},
    {250, "", "", "250 "},
    {0, "", "cannot connect", "cannot connect"},
};

START_TEST(stands_in_one_line)
{
	struct smtp_reply reply;
	char *line;

	smtp_reply_set(&reply, line_rows[_i].code, line_rows[_i].enhanced, "%s",
	               line_rows[_i].text);
	line = smtp_reply_line(&reply);
	ck_assert_str_eq(line, line_rows[_i].line);
	free(line);
}
END_TEST

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
	Suite *suite = suite_create("smtp-reply");
	TCase *tests = tcase_create("all");

	tcase_add_loop_test(tests, parses_whole, 0, COUNT(parse_rows));
	tcase_add_loop_test(tests, parses_byte_by_byte, 0, COUNT(parse_rows));
	tcase_add_test(tests, refuses_what_is_too_long);
	tcase_add_test(tests, starts_again_after_a_reset);
	tcase_add_loop_test(tests, prints, 0, COUNT(print_rows));
	tcase_add_loop_test(tests, stands_in_one_line, 0, COUNT(line_rows));
	tcase_add_test(tests, breaks_long_lines);
	tcase_add_test(tests, tells_a_full_buffer);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
