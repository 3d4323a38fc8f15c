/* Tests of the syntax in SMTP commands: paths, xtext, parameters. */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/smtp/smtp-syntax.h"
#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))
#define L63         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct path_row {
	char kind; /* 'r' reverse, 'f' forward */
	const char *input;
	const char *path; /* NULL: refused */
	const char *rest;
};

static const struct path_row path_rows[] = {
    {'r', "<>", "", ""},
    {'f', "<>", NULL, ""},
    {'r', "<> SIZE=1", "", " SIZE=1"},
    {'r', "<#@[]>", "#@[]", ""},
    {'f', "<#@[]>", NULL, ""},
    {'f', "<postmaster>", "postmaster", ""},
    {'f', "<PostMaster>", "PostMaster", ""},
    {'r', "<postmaster>", NULL, ""},
    {'r', "<a@b>", "a@b", ""},
    {'r', "<A.b+c=d@Example.ORG>", "A.b+c=d@Example.ORG", ""},
    {'r', "<a..b.@example.org>", "a..b.@example.org", ""},
    {'r', "<a@b> X", "a@b", " X"},
    {'r', "<a@b>X", NULL, ""},
    {'r', "a@b", NULL, ""},
    {'r', "<a@b", NULL, ""},
    {'r', "<a>", NULL, ""},
    {'r', "<@b>", NULL, ""},
    {'r', "<a@>", NULL, ""},
    {'r', "<a b@c>", NULL, ""},
    {'r', "<a@b c>", NULL, ""},
    {'r', "<a@b@c>", NULL, ""},
    {'r', "<<a@b>>", NULL, ""},
    {'r', "<a\x01@b>", NULL, ""},
    {'r', "<a@b..c>", NULL, ""},
    {'r', "<a@.b>", NULL, ""},
    {'r', "<a@b.>", NULL, ""},
    {'r', "<a@b_c.example>", "a@b_c.example", ""},
    {'r', "<a@" L63 ".org>", "a@" L63 ".org", ""},
    {'r', "<a@" L63 "a.org>", NULL, ""},
    {'f', "<@one,@two.example:a@b>", "a@b", ""},
    {'f', "<@one:a@b>", "a@b", ""},
    {'f', "<@one,a@b>", NULL, ""},
    {'f', "<@one:>", NULL, ""},
    {'f', "<@one>", NULL, ""},
    {'f', "<@[192.0.2.1]:a@b>", "a@b", ""},
    {'f', "<\"a b\"@c>", "\"a b\"@c", ""},
    {'f', "<\"a>b\"@c>", "\"a>b\"@c", ""},
    {'f', "<\"a\\\"b\"@c>", "\"a\\\"b\"@c", ""},
    {'f', "<\"a\\\\\"@c>", "\"a\\\\\"@c", ""},
    {'f', "<\"a@c>", NULL, ""},
    {'f', "<\"a\"b@c>", NULL, ""},
    {'f', "<\"\x01\"@c>", NULL, ""},
    {'f', "<a@[192.0.2.1]>", "a@[192.0.2.1]", ""},
    {'f', "<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", ""},
    {'f', "<a@[192.0.2.256]>", NULL, ""},
    {'f', "<a@[192.0.2.1>", NULL, ""},
    {'f', "<a@[]>", NULL, ""},
    {'f', "<a@[2001:db8::1]>", NULL, ""},
    {'f', "<" L63 L63 L63 L63 "@b>", L63 L63 L63 L63 "@b", ""},
    {'f', "<" L63 L63 L63 L63 L63 "@b>", NULL, ""},
    {'f', "<a@" L63 "." L63 "." L63 "." L63 ">",
     "a@" L63 "." L63 "." L63 "." L63, ""},
    {'f', "<a@" L63 "." L63 "." L63 "." L63 ".b>", NULL, ""},
    {'f', "<\xc3\xa9@b>", NULL, ""},
    {'f', "", NULL, ""},
    {'f', "<", NULL, ""},
    {'f', "<\"", NULL, ""},
    {'f', "<\"\\", NULL, ""},
    {'f', "<@", NULL, ""},
};

static enum smtp_path_kind kind_of(const struct path_row *row)
{
	return row->kind == 'r' ? SMTP_REVERSE_PATH : SMTP_FORWARD_PATH;
}

START_TEST(parses_paths)
{
	const struct path_row *row = &path_rows[_i];
	const char *text = row->input, *why = NULL;
	char path[SMTP_PATH_SIZE] = "untouched";
	int result = smtp_path_parse(kind_of(row), &text, path, &why);

	if (!row->path) {
		ck_assert_msg(result == ERR_INVALID, "%s", row->input);
		ck_assert_str_eq(path, "untouched");
		ck_assert_ptr_nonnull(why);
		return;
	}
	ck_assert_msg(result == 0, "%s: %s", row->input, why);
	ck_assert_str_eq(path, row->path);
	ck_assert_str_eq(text, row->rest);
	ck_assert(smtp_address_valid(kind_of(row), path));
}
END_TEST

struct address_row {
	const char *address;
	bool valid;
};

static const struct address_row address_rows[] = {
    {"a@b", true},          {"\"a b\"@c", true},
    {"postmaster", true},   {"", false},
    {"a@b\r\nDATA", false}, {"a\r\n@b", false},
    {"\"a\r\n\"@b", false}, {"a@b> SIZE=1", false},
    {"<a@b>", false},       {"a b@c", false},
    {"@route:a@b", false},  {"a@b ", false},
};

START_TEST(judges_addresses)
{
	const struct address_row *row = &address_rows[_i];

	ck_assert_msg(smtp_address_valid(SMTP_FORWARD_PATH, row->address) ==
	                  row->valid,
	              "%s", row->address);
}
END_TEST

struct xtext_row {
	const char *xtext;
	int result;
	const char *text;
};

static const struct xtext_row xtext_rows[] = {
    {"plain", 0, "plain"},
    {"a+2Bb", 0, "a+b"},
    {"a+2bb", 0, "a+b"},
    {"+5BUNAVAILABLE+5D", 0, "[UNAVAILABLE]"},
    {"", 0, ""},
    {"+", ERR_INVALID, ""},
    {"+2", ERR_INVALID, ""},
    {"+zz", ERR_INVALID, ""},
    {"123456789", ERR_LIMIT, ""},
    {"12345678901234567890123456789", ERR_LIMIT, ""},
};

START_TEST(decodes_xtext)
{
	const struct xtext_row *row = &xtext_rows[_i];
	char small[9], large[64];
	bool is_small = row->result == ERR_LIMIT;
	char *text = is_small ? small : large;
	int result =
	    smtp_xtext_decode(row->xtext, strlen(row->xtext), text,
	                      is_small ? sizeof(small) : sizeof(large));

	ck_assert_int_eq(result, row->result);
	if (!result)
		ck_assert_str_eq(text, row->text);
}
END_TEST

START_TEST(reads_parameters)
{
	const char *text = "  SIZE=12 BODY=  X-Y  ";
	struct smtp_parameter one;

	ck_assert_int_eq(smtp_parameter_next(&text, &one), 1);
	ck_assert(smtp_parameter_is(&one, "size"));
	ck_assert(!smtp_parameter_is(&one, "siz"));
	ck_assert_uint_eq(one.value_length, 2);
	ck_assert_int_eq(smtp_parameter_next(&text, &one), 1);
	ck_assert_ptr_nonnull(one.value);
	ck_assert_uint_eq(one.value_length, 0);
	ck_assert_int_eq(smtp_parameter_next(&text, &one), 1);
	ck_assert(smtp_parameter_is(&one, "X-Y"));
	ck_assert_ptr_null(one.value);
	ck_assert_int_eq(smtp_parameter_next(&text, &one), 0);
	text = "=x";
	ck_assert_int_eq(smtp_parameter_next(&text, &one), ERR_INVALID);
	text = "a\tb";
	ck_assert_int_eq(smtp_parameter_next(&text, &one), ERR_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smtp-syntax");
	TCase *tests = tcase_create("all");

	tcase_add_loop_test(tests, parses_paths, 0, COUNT(path_rows));
	tcase_add_loop_test(tests, judges_addresses, 0, COUNT(address_rows));
	tcase_add_loop_test(tests, decodes_xtext, 0, COUNT(xtext_rows));
	tcase_add_test(tests, reads_parameters);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
