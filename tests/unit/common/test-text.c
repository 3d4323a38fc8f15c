/* Hex digits and UTF-8, well-formed and not; what of a word is shown. */
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tests/support/suite.h"

START_TEST(test_hex)
{
	static const char digits[] = "0123456789abcdef";
	int i, c, found = 0;

	for (i = 0; i < 16; i++)
		ck_assert_int_eq(text_hex_value(digits[i]), i);
	ck_assert_int_eq(text_hex_value('A'), 10);
	ck_assert_int_eq(text_hex_value('F'), 15);
	for (c = -128; c < 128; c++)
		found += text_hex_value((char)c) >= 0;
	ck_assert_int_eq(found, 22);
}
END_TEST

static const struct {
	const char *bytes;
	size_t size, length;
	uint32_t code;
} rows[] = {
    {"", 0, 0, 0},
    {"\0", 1, 1, 0},
    {"a", 1, 1, 'a'},
    {"\x7f", 1, 1, 0x7f},
    {"\xc2\x80", 2, 2, 0x80},
    {"\xc3\xa9", 2, 2, 0xe9},
    {"\xdf\xbf", 2, 2, 0x7ff},
    {"\xe0\xa0\x80", 3, 3, 0x800},
    {"\xed\x9f\xbf", 3, 3, 0xd7ff},
    {"\xee\x80\x80", 3, 3, 0xe000},
    {"\xef\xbf\xbf", 3, 3, 0xffff},
    {"\xf0\x90\x80\x80", 4, 4, 0x10000},
    {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
    {"\x80", 1, 0, 0}, /* goes on with nothing */
    {"\xbf", 1, 0, 0},
    {"\xc0\x80", 2, 0, 0}, /* overlong */
    {"\xc1\xbf", 2, 0, 0},
    {"\xe0\x9f\xbf", 3, 0, 0},
    {"\xf0\x8f\xbf\xbf", 4, 0, 0},
    {"\xed\xa0\x80", 3, 0, 0}, /* surrogates */
    {"\xed\xbf\xbf", 3, 0, 0},
    {"\xf4\x90\x80\x80", 4, 0, 0}, /* above the last character */
    {"\xf5\x80\x80\x80", 4, 0, 0},
    {"\xff", 1, 0, 0},
    {"\xc3", 1, 0, 0}, /* cut short */
    {"\xe2\x82", 2, 0, 0},
    {"\xf0\x9f\x98", 3, 0, 0},
    {"\xc3"
     "a",
     2, 0, 0}, /* goes on with another */
    {"\xe2\x82"
     "a",
     3, 0, 0},
    {"\xc3\xc3", 2, 0, 0},
};

START_TEST(test_read)
{
	/* Exactly as large, so that a sanitizer sees one byte too many. */
	char *bytes = malloc(rows[_i].size ? rows[_i].size : 1);
	uint32_t code = 0x1234567;
	size_t length;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, rows[_i].bytes, rows[_i].size);
	length = text_utf8_read(bytes, rows[_i].size, &code);
	free(bytes);
	ck_assert_uint_eq(length, rows[_i].length);
	ck_assert_uint_eq(code, length ? rows[_i].code : 0x1234567);
}
END_TEST

START_TEST(test_every_character_survives)
{
	char bytes[TEXT_UTF8_SIZE];
	uint32_t code, read;
	size_t length;

	for (code = 0; code <= 0x10ffff; code++) {
		length = text_utf8_write(code, bytes);
		if (code >= 0xd800 && code <= 0xdfff)
			continue;
		read = ~code;
		if (text_utf8_read(bytes, length, &read) != length ||
		    read != code)
			ck_abort_msg("U+%04X", (unsigned)code);
	}
}
END_TEST

static const struct {
	const char *word;
	int shown;
} words[] = {
    {"", 0},
    {"acme", 4},
    {"a=b", 3},
    {"--limit", 7},
    {"--limit=5", 7},
    {"--to-location=mongodb://user:pa55word@db", 13},
    {"-lmongodb://user:pa55word@db", 12},
    {"mongodb://user:pa55word@db", 10},
    {"a://b://c", 4},
};

START_TEST(test_no_password_is_shown)
{
	ck_assert_int_eq(text_shown_length(words[_i].word), words[_i].shown);
}
END_TEST

START_TEST(ascii)
{
	ck_assert(text_is_ascii(""));
	ck_assert(text_is_ascii("a\x7f"));
	ck_assert(!text_is_ascii("a\x80"));
	ck_assert(!text_is_ascii("\xc3\xa9"));
}
END_TEST

static const struct {
	const char *text;
	size_t maximum, length;
} cut_rows[] = {
    {"", 0, 0},
    {"", 5, 0},
    {"abc", 3, 3},
    {"abc", 2, 2},
    {"a\xc3\xa9", 3, 3},
    {"a\xc3\xa9", 2, 1},
    {"\xc3\xa9", 1, 0},
    {"\xf0\x9f\x98\x80x", 4, 4},
    {"\xf0\x9f\x98\x80x", 3, 0},
    {"\xe2\x82\xac\xe2\x82\xac", 5, 3},
};

START_TEST(cuts_between_characters)
{
	ck_assert_uint_eq(
	    text_utf8_cut(cut_rows[_i].text, cut_rows[_i].maximum),
	    cut_rows[_i].length);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, ascii);
	tcase_add_loop_test(cases, cuts_between_characters, 0,
	                    sizeof(cut_rows) / sizeof(*cut_rows));
	tcase_add_test(cases, test_hex);
	tcase_add_loop_test(cases, test_read, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_loop_test(cases, test_no_password_is_shown, 0,
	                    (int)(sizeof(words) / sizeof(words[0])));
	tcase_add_test(cases, test_every_character_survives);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
