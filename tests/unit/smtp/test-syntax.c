/* Tests of the syntax in SMTP commands: paths, xtext, parameters. */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/smtp/syntax.h"
#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))
#define L63         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct path_row {
	char kind; /* 'r' reverse, 'f' forward */
	const char *input;
	const char *path; /* NULL: refused */
	const char *rest;
	enum smtp_path_rule rule;
};

static const struct path_row path_rows[] = {
    {'r', "<>", "", "", SMTP_PATH_ASCII},
    {'f', "<>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<> SIZE=1", "", " SIZE=1", SMTP_PATH_ASCII},
    {'r', "<#@[]>", "#@[]", "", SMTP_PATH_ASCII},
    {'f', "<#@[]>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<postmaster>", "postmaster", "", SMTP_PATH_ASCII},
    {'f', "<PostMaster>", "PostMaster", "", SMTP_PATH_ASCII},
    {'r', "<postmaster>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@b>", "a@b", "", SMTP_PATH_ASCII},
    {'r', "<A.b+c=d@Example.ORG>", "A.b+c=d@Example.ORG", "", SMTP_PATH_ASCII},
    {'r', "<a..b.@example.org>", "a..b.@example.org", "", SMTP_PATH_ASCII},
    {'r', "<a@b> X", "a@b", " X", SMTP_PATH_ASCII},
    {'r', "<a@b>X", NULL, "", SMTP_PATH_ASCII},
    {'r', "a@b", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@b", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<@b>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a b@c>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@b c>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@b@c>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<<a@b>>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a\x01@b>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@b..c>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@.b>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@b.>", NULL, "", SMTP_PATH_ASCII},
    {'r', "<a@b_c.example>", "a@b_c.example", "", SMTP_PATH_ASCII},
    {'r', "<a@" L63 ".org>", "a@" L63 ".org", "", SMTP_PATH_ASCII},
    {'r', "<a@" L63 "a.org>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<@one,@two.example:a@b>", "a@b", "", SMTP_PATH_ASCII},
    {'f', "<@one:a@b>", "a@b", "", SMTP_PATH_ASCII},
    {'f', "<@one,a@b>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<@one:>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<@one>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<@[192.0.2.1]:a@b>", "a@b", "", SMTP_PATH_ASCII},
    {'f', "<\"a b\"@c>", "\"a b\"@c", "", SMTP_PATH_ASCII},
    {'f', "<\"a>b\"@c>", "\"a>b\"@c", "", SMTP_PATH_ASCII},
    {'f', "<\"a\\\"b\"@c>", "\"a\\\"b\"@c", "", SMTP_PATH_ASCII},
    {'f', "<\"a\\\\\"@c>", "\"a\\\\\"@c", "", SMTP_PATH_ASCII},
    {'f', "<\"a@c>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<\"a\"b@c>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<\"\x01\"@c>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<a@[192.0.2.1]>", "a@[192.0.2.1]", "", SMTP_PATH_ASCII},
    {'f', "<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "",
     SMTP_PATH_ASCII},
    {'f', "<a@[192.0.2.256]>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<a@[192.0.2.1>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<a@[]>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<a@[2001:db8::1]>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<" L63 L63 L63 L63 "@b>", L63 L63 L63 L63 "@b", "", SMTP_PATH_ASCII},
    {'f', "<" L63 L63 L63 L63 L63 "@b>", L63 L63 L63 L63 L63 "@b", "",
     SMTP_PATH_ASCII},
    {'f', "<" L63 L63 L63 L63 L63 L63 "@b>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<a@" L63 "." L63 "." L63 "." L63 ">",
     "a@" L63 "." L63 "." L63 "." L63, "", SMTP_PATH_ASCII},
    {'f', "<a@" L63 "." L63 "." L63 "." L63 ".b>", NULL, "", SMTP_PATH_ASCII},
    {'f', "<\xc3\xa9@b>", NULL, "", SMTP_PATH_ASCII},
    /* With SMTPUTF8. */
    {'f', "<\xc3\xa9@b> X", "\xc3\xa9@b", " X", SMTP_PATH_UTF8},
    {'r', "<\"\xc3\xa9 \"@\xc3\xa9.b>", "\"\xc3\xa9 \"@\xc3\xa9.b", "",
     SMTP_PATH_UTF8},
    {'r', "<\xe9@b>", NULL, "", SMTP_PATH_UTF8},
    {'r', "<\xc2\x85@b>", NULL, "", SMTP_PATH_UTF8},
    {'r', "<\"a\x01\"@b>", NULL, "", SMTP_PATH_UTF8},
    /* Of a listed peer. */
    {'r', "<>", "", "", SMTP_PATH_ANY},
    {'r', "<\"a\x01\"@b> SIZE=1", "\"a\x01\"@b", " SIZE=1", SMTP_PATH_ANY},
    {'r', "<\"a > b\x7f\\\"\"@b>", "\"a > b\x7f\\\"\"@b", "", SMTP_PATH_ANY},
    {'r', "<\xe9@b>", "\xe9@b", "", SMTP_PATH_ANY},
    {'r', "<user>", "user", "", SMTP_PATH_ANY},
    {'f', "<" L63 L63 L63 L63 L63 L63 "@b>", L63 L63 L63 L63 L63 L63 "@b", "",
     SMTP_PATH_ANY},
    {'f', "<a@b..c>", "a@b..c", "", SMTP_PATH_ANY},
    {'f', "<\"a@b>", "\"a@b", "", SMTP_PATH_ANY},
    {'f', "<>", NULL, "", SMTP_PATH_ANY},
    {'f', "<a b@c>", NULL, "", SMTP_PATH_ANY},
    {'f', "<a@b", NULL, "", SMTP_PATH_ANY},
    {'f', "<<a@b>", NULL, "", SMTP_PATH_ANY},
    {'f', "<@b>", NULL, "", SMTP_PATH_ANY},
    {'f', "", NULL, "", SMTP_PATH_ASCII},
    {'f', "<", NULL, "", SMTP_PATH_ASCII},
    {'f', "<\"", NULL, "", SMTP_PATH_ASCII},
    {'f', "<\"\\", NULL, "", SMTP_PATH_ASCII},
    {'f', "<@", NULL, "", SMTP_PATH_ASCII},
};

static enum smtp_path_kind kind_of(const struct path_row *row)
{
	return row->kind == 'r' ? SMTP_REVERSE_PATH : SMTP_FORWARD_PATH;
}

START_TEST(parses_paths)
{
	const struct path_row *row = &path_rows[_i];
	const char *text = row->input, *why = NULL;
	char path[SMTP_PATH_SIZE];
	int result =
	    smtp_path_parse(kind_of(row), row->rule, &text, path, &why);

	if (!row->path) {
		ck_assert_msg(result == ERR_INVALID, "%s", row->input);
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
    {"a..b@c", true},       {"\"a\x01\"@b", true},
    {"\xe9@b", true},       {"\"a@b> X\"@c\r\n", false},
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
