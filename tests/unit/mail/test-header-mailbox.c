/* Mailboxes of From, To and Cc, in every form that mail has them in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/mail/header.h"
#include "common/mem.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *value, *addresses; /* "a@b|c@d|" */
} rows[] = {
    {"a@b", "a@b|"},
    {"<a@b>", "a@b|"},
    {"Alice <a@b>", "a@b|"},
    {"Alice<a@b>", "a@b|"},
    {"\"Alice, of B\" <a@b>", "a@b|"},
    {"\"c@d\" <a@b>", "a@b|"},
    {"c@d <a@b>", "a@b|"},
    {"\"quo\\\"ted <c@d>\" <a@b>", "a@b|"},
    {"a@b (Alice)", "a@b|"},
    {"a@b (Alice <c@d>, e@f)", "a@b|"},
    {"(c) a (c) @ (c) b (c)", "a@b|"},
    {"a@b (((deep) er) \\) still)", "a@b|"},
    {"a@b (open <c@d>", "a@b|"},
    {"a @ b . c", "a@b.c|"},
    {"\"a b\"@c", "\"a b\"@c|"},
    {"<\"a b\"@c>", "\"a b\"@c|"},
    {"a@b, c@d", "a@b|c@d|"},
    {"a@b,c@d,", "a@b|c@d|"},
    {",,a@b,, ,c@d", "a@b|c@d|"},
    {"A <a@b>, C <c@d>", "a@b|c@d|"},
    {"friends: a@b, C <c@d>;", "a@b|c@d|"},
    {"friends: a@b;, c@d", "a@b|c@d|"},
    {"a@b, friends:;, c@d", "a@b|c@d|"},
    {"undisclosed-recipients:;", ""},
    {"undisclosed-recipients:", ""},
    {"<@x,@y:a@b>", "a@b|"},
    {"A <@x:a@b>, c@d", "a@b|c@d|"},
    {"<mailto:a@b>", "a@b|"},
    {"a@[192.0.2.1]", "a@[192.0.2.1]|"},
    {"a@[192.0.2.1], c@d", "a@[192.0.2.1]|c@d|"},
    {"", ""},
    {"   ", ""},
    {"Alice", ""},
    {"<>", ""},
    {"MAILER-DAEMON <>", ""},
    {"<a>", ""},
    {"@", ""},
    {"a@", ""},
    {"@b", ""},
    {"<@b>", ""},
    {"<", ""},
    {">", ""},
    {"<<a@b>>", "a@b|"},
    {"<a@b> <c@d>", "a@b|"},
    {"Alice <a@b", "a@b|"},
    {"Alice <a@b, C <c@d>", "a@b|c@d|"},
    {"Alice a@b", "a@b|"},
    {"a@b Alice", "a@b|"},
    {"J. Random Hacker a@b", "a@b|"},
    {"\"open <a@b>", "a@b|"},
    {"a\x01@b", ""},
    {"a@b\x7f", ""},
    {"=?utf-8?q?Al=2C?= <a@b>", "a@b|"},
    {"\xc3\xa9@\xc3\xa9.example", "\xc3\xa9@\xc3\xa9.example|"},
    {"\xff\xfe <a@b>", "a@b|"},
    {"a@b\\", "a@b\\|"},
    {"(", ""},
    {"\"", ""},
    {"[", ""},
    {"a@[", "a@[|"},
    {"a@b; c@d", "a@b|c@d|"},
};

static bool append(const char *address, void *context)
{
	(void)buffer_append_format(context, "%s|", address);
	return true;
}

START_TEST(every_mailbox)
{
	char address[321] = "untouched", first[400];
	struct buffer text;
	int result;

	buffer_init(&text, 1 << 16);
	mail_header_each_mailbox(rows[_i].value, append, &text);
	ck_assert_str_eq(buffer_text(&text), rows[_i].addresses);
	result = mail_header_mailbox(rows[_i].value, address, sizeof(address));
	if (*rows[_i].addresses) {
		(void)snprintf(first, sizeof(first), "%.*s",
		               (int)strcspn(rows[_i].addresses, "|"),
		               rows[_i].addresses);
		ck_assert_int_eq(result, 0);
		ck_assert_str_eq(address, first);
	} else {
		ck_assert_int_eq(result, ERR_INVALID);
		ck_assert_str_eq(address, "untouched");
	}
	buffer_release(&text);
}
END_TEST

static const struct {
	const char *value, *addresses;
} shown_rows[] = {
    {"a@b c@d", "a@b|c@d|"},
    {"a@b <>", "a@b|"},
    {"<>a@b", "a@b|"},
    {"a@b@c", "a@b|b@c|"},
    {"=?utf-8?q?The_boss_=3Ca=40b=3E?=", "a@b|"},
    {"=?utf-8?b?YUBi?=", "a@b|"},
    {"\"a@b\" <c>", "a@b|"},
    {"@", ""},
    {"a@ @b", ""},
    {"Alice", ""},
    {"", ""},
};

START_TEST(shown)
{
	struct buffer text;

	buffer_init(&text, 1 << 16);
	mail_header_each_shown(shown_rows[_i].value, append, &text);
	ck_assert_str_eq(buffer_text(&text), shown_rows[_i].addresses);
	buffer_release(&text);
}
END_TEST

START_TEST(too_small)
{
	char address[9] = "x";

	ck_assert_int_eq(mail_header_mailbox("alice@b.c", address, 9),
	                 ERR_INVALID);
	ck_assert_str_eq(address, "x");
	ck_assert_int_eq(mail_header_mailbox("alic@b.c", address, 9), 0);
	ck_assert_str_eq(address, "alic@b.c");
	ck_assert_int_eq(mail_header_mailbox("a@b", address, 0), ERR_INVALID);
}
END_TEST

static bool count(const char *address, void *context)
{
	(void)address;
	return ++*(unsigned *)context < 5000;
}

static bool stop_at_three(const char *address, void *context)
{
	(void)address;
	return ++*(unsigned *)context < 3;
}

/* Fills size bytes with the unit, over and over. */
static char *repeated(const char *unit, size_t size)
{
	size_t length = strlen(unit), i;
	char *text = mem_alloc(size + 1);

	for (i = 0; i < size; i++)
		text[i] = unit[i % length];
	return text;
}

START_TEST(bounds)
{
	char *text = repeated("a@b,", 256 * 1024);
	unsigned told = 0;

	mail_header_each_mailbox(text, count, &told);
	ck_assert_uint_eq(told, 1000);
	told = 0;
	mail_header_each_mailbox(text, stop_at_three, &told);
	ck_assert_uint_eq(told, 3);
	free(text);
}
END_TEST

/* What takes a square of its length elsewhere; the suite has four seconds. */
static const char *const floods[] = {
    "(",    "((a)",   "\"", "\\",   "\"\\", "[",  "<",    "<[",  ",",
    ":",    ";",      "@",  "a@b ", "a.",   "<a", "\"(",  "a@b", "(\"",
    "<\"@", "\"a\"@", ")",  "<>",   "[]",   "a ", "\\\"", "=?"};

START_TEST(flood)
{
	char *text = repeated(floods[_i], 256 * 1024);
	unsigned told = 0;

	mail_header_each_mailbox(text, count, &told);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("header mailbox");
	TCase *tests = tcase_create("mailbox");

	tcase_add_loop_test(tests, every_mailbox, 0, COUNT(rows));
	tcase_add_loop_test(tests, shown, 0, COUNT(shown_rows));
	tcase_add_test(tests, too_small);
	tcase_add_test(tests, bounds);
	tcase_add_loop_test(tests, flood, 0, COUNT(floods));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
