/* The streaming header: where it ends, what its fields are, what is hostile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/header.h"
#include "common/mem.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* A message given by its size, so that it can hold a NUL. */
#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t size;
	bool complete;
	const char *fields; /* "name=value|name=value|" */
} rows[] = {
    {BYTES("From: a@b\r\nTo: c@d\r\n\r\nbody: no\r\n"), true,
     "From=a@b|To=c@d|"},
    {BYTES("From: a@b\nTo: c@d\n\nbody: no\n"), true, "From=a@b|To=c@d|"},
    {BYTES("From: a@b\r\nTo: c@d\n\r\nbody: no\n"), true, "From=a@b|To=c@d|"},
    {BYTES("From: a@b\r\nTo: c@d\r\n"), false, "From=a@b|To=c@d|"},
    {BYTES("From: a@b\r\nTo: c@d"), false, "From=a@b|To=c@d|"},
    {BYTES(""), false, ""},
    {BYTES("\r\nFrom: body\r\n"), true, ""},
    {BYTES("\nFrom: body\n"), true, ""},
    {BYTES("\r"), false, ""},
    {BYTES("Subject: one\r\n two\r\n\tthree \r\n\r\n"), true,
     "Subject=one two\tthree|"},
    {BYTES("Subject:\r\n one\r\n\r\n"), true, "Subject=one|"},
    {BYTES("Subject: a\r\n \r\n b\r\n\r\n"), true, "Subject=a  b|"},
    {BYTES("Subject:\r\n\r\n"), true, "Subject=|"},
    {BYTES("Subject:   \t \r\n\r\n"), true, "Subject=|"},
    {BYTES("Subject:no space\r\n\r\n"), true, "Subject=no space|"},
    {BYTES("Subject : obsolete\r\n\r\n"), true, "Subject=obsolete|"},
    {BYTES("a: b: c\r\n\r\n"), true, "a=b: c|"},
    {BYTES("From x@y Mon Jan 1 00:00:00 2001\nFrom: a@b\n\n"), true,
     "From=a@b|"},
    {BYTES(">From x@y Mon Jan 1 00:00:00 2001\nFrom: a@b\n\n"), true,
     "From=a@b|"},
    {BYTES("no field here\r\nFrom: a@b\r\n\r\n"), true, "From=a@b|"},
    {BYTES("no field\r\n with more: x\r\nFrom: a@b\r\n\r\n"), true,
     "From=a@b|"},
    {BYTES(" leading: fold\r\nFrom: a@b\r\n\r\n"), true, "From=a@b|"},
    {BYTES(": no name\r\nFrom: a@b\r\n\r\n"), true, "From=a@b|"},
    {BYTES("N\xc3\xa4me: x\r\nFrom: a@b\r\n\r\n"), true, "From=a@b|"},
    {BYTES("Na\0me: x\r\nFrom: a@b\r\n\r\n"), true, "From=a@b|"},
    {BYTES("Subject: a\0b\r\nFrom: a@b\r\n\r\n"), true,
     "Subject=a b|From=a@b|"},
    {BYTES("Auto-Submitted:\0auto-replied\r\n\r\n"), true,
     "Auto-Submitted=auto-replied|"},
    {BYTES("Subject: \xff\xfe raw\r\n\r\n"), true, "Subject=\xff\xfe raw|"},
    {BYTES("Subject: a\rb\r\n\r\n"), true, "Subject=a\rb|"},
    {BYTES("Subject: a\r\r\n\r\n"), true, "Subject=a|"},
    {BYTES("Subject: a\r\n\r\r\nTo: b\r\n\r\n"), true, "Subject=a|To=b|"},
    {BYTES("Subject: a\n\rTo: b\n\n"), true, "Subject=a|"},
};

/* Feeds the row in two pieces, cut at byte cut, or byte by byte. */
static void feed(struct mail_header *header, int row, size_t cut)
{
	size_t i;

	mail_header_init(header);
	if (cut <= rows[row].size) {
		mail_header_feed(header, rows[row].bytes, cut);
		mail_header_feed(header, rows[row].bytes + cut,
		                 rows[row].size - cut);
	} else {
		for (i = 0; i < rows[row].size; i++)
			mail_header_feed(header, rows[row].bytes + i, 1);
	}
	mail_header_parse(header);
}

START_TEST(fields)
{
	size_t cut, i;

	for (cut = 0; cut <= rows[_i].size + 1; cut++) {
		struct mail_header header;
		struct buffer text;

		feed(&header, _i, cut);
		buffer_init(&text, 1 << 16);
		for (i = 0; i < header.field_count; i++)
			(void)buffer_append_format(&text, "%s=%s|",
			                           header.fields[i].name,
			                           header.fields[i].value);
		ck_assert_str_eq(buffer_text(&text), rows[_i].fields);
		ck_assert_msg(header.complete == rows[_i].complete,
		              "row %d cut at %zu", _i, cut);
		ck_assert(!header.truncated);
		buffer_release(&text);
		mail_header_release(&header);
	}
}
END_TEST

START_TEST(look_up)
{
	static const char text[] = "A: 1\r\nB: 2\r\na: 3\r\nAB: 4\r\n\r\n";
	struct mail_header header;

	mail_header_init(&header);
	mail_header_feed(&header, text, sizeof(text) - 1);
	mail_header_parse(&header);
	ck_assert_str_eq(mail_header_get(&header, "a"), "1");
	ck_assert_str_eq(mail_header_get(&header, "ab"), "4");
	ck_assert_ptr_null(mail_header_get(&header, "abc"));
	ck_assert_ptr_null(mail_header_get(&header, ""));
	ck_assert_int_eq(mail_header_find(&header, "A", 0), 0);
	ck_assert_int_eq(mail_header_find(&header, "A", 1), 2);
	ck_assert_int_eq(mail_header_find(&header, "A", 3), -1);
	ck_assert_int_eq(mail_header_find(&header, "A", 99), -1);
	mail_header_release(&header);
	ck_assert_ptr_null(mail_header_get(&header, "a"));
}
END_TEST

START_TEST(without_parsing)
{
	struct mail_header header;

	mail_header_init(&header);
	mail_header_feed(&header, "A: 1\r\n", 6);
	ck_assert_ptr_null(mail_header_get(&header, "A"));
	mail_header_release(&header);
	mail_header_release(&header);
}
END_TEST

/* Nothing of a body is kept, however large its pieces are. */
START_TEST(body_is_ignored)
{
	static char body[1 << 20];
	struct mail_header header;

	memset(body, 'x', sizeof(body));
	memcpy(body, "A: 1\r\n\r\n", 8);
	mail_header_init(&header);
	mail_header_feed(&header, body, sizeof(body));
	ck_assert(header.complete);
	ck_assert_uint_eq(header.raw.length, 6);
	ck_assert_uint_lt(header.raw.capacity, 16384);
	mail_header_feed(&header, "B: 2\r\n", 6);
	mail_header_parse(&header);
	ck_assert_uint_eq(header.field_count, 1);
	mail_header_release(&header);
}
END_TEST

/* A field of 10 MB: bounded memory, what came before it is there. */
START_TEST(endless_line)
{
	static char piece[65536];
	struct mail_header header;
	int i;

	memset(piece, 'x', sizeof(piece));
	mail_header_init(&header);
	mail_header_feed(&header, "A: 1\r\nB: ", 9);
	for (i = 0; i < 160; i++)
		mail_header_feed(&header, piece, sizeof(piece));
	ck_assert(header.truncated);
	ck_assert(!header.complete);
	ck_assert_uint_le(header.raw.length, MAIL_HEADER_MAXIMUM);
	mail_header_parse(&header);
	ck_assert_uint_eq(header.field_count, 2);
	ck_assert_str_eq(mail_header_get(&header, "A"), "1");
	ck_assert_uint_eq(strlen(mail_header_get(&header, "B")),
	                  MAIL_HEADER_MAXIMUM - 9);
	mail_header_release(&header);
}
END_TEST

/* A header of exactly the maximum is whole; one byte more is not. */
START_TEST(at_the_limit)
{
	char *text = mem_alloc(MAIL_HEADER_MAXIMUM + 8);
	size_t extra;

	for (extra = 0; extra < 2; extra++) {
		size_t size = MAIL_HEADER_MAXIMUM + extra;
		struct mail_header header;

		memset(text, 'x', size);
		text[1] = ':';
		memcpy(text + size - 4, "\r\n\r\n", 4);
		mail_header_init(&header);
		mail_header_feed(&header, text, size);
		ck_assert(header.complete == (extra == 0));
		ck_assert(header.truncated == (extra == 1));
		mail_header_release(&header);
	}
	free(text);
}
END_TEST

/* 100,000 fields: those within the limit are found, in little time. */
START_TEST(many_fields)
{
	struct mail_header header;
	int i;

	mail_header_init(&header);
	for (i = 0; i < 100000; i++)
		mail_header_feed(&header, "a:\n", 3);
	mail_header_feed(&header, "B: 1\n\n", 6);
	ck_assert(header.truncated);
	mail_header_parse(&header);
	ck_assert_uint_ge(header.field_count, MAIL_HEADER_MAXIMUM / 3);
	for (i = 0; i < 100; i++)
		ck_assert_ptr_null(mail_header_get(&header, "B"));
	mail_header_release(&header);
}
END_TEST

START_TEST(all_line_ends)
{
	struct mail_header header;
	char nuls[5000] = {0};

	mail_header_init(&header);
	mail_header_feed(&header, nuls, sizeof(nuls));
	mail_header_feed(&header, "\nA: 1\n\n", 7);
	mail_header_parse(&header);
	ck_assert_uint_eq(header.field_count, 1);
	mail_header_release(&header);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("header");
	TCase *tests = tcase_create("header");

	tcase_add_loop_test(tests, fields, 0, COUNT(rows));
	tcase_add_test(tests, look_up);
	tcase_add_test(tests, without_parsing);
	tcase_add_test(tests, body_is_ignored);
	tcase_add_test(tests, endless_line);
	tcase_add_test(tests, at_the_limit);
	tcase_add_test(tests, many_fields);
	tcase_add_test(tests, all_line_ends);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
