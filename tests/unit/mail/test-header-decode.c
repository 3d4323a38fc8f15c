/* Encoded words: charsets, cuts, and what must not reach a terminal. */
#include <stdlib.h>
#include <string.h>

#include "common/mail/header.h"
#include "common/mem.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define BAD          "\xef\xbf\xbd" /* U+FFFD */

static const struct {
	const char *value, *text;
} rows[] = {
    {"", ""},
    {"plain", "plain"},
    {"a=b =? c ?=", "a=b =? c ?="},
    {"=?utf-8?q?caf=C3=A9?=", "caf\xc3\xa9"},
    {"=?UTF-8?Q?caf=c3=a9_au_lait?=", "caf\xc3\xa9 au lait"},
    {"=?utf-8?B?Y2Fmw6k=?=", "caf\xc3\xa9"},
    {"=?utf-8?b?Y2Fmw6k?=", "caf\xc3\xa9"},
    {"=?iso-8859-1?q?caf=E9?=", "caf\xc3\xa9"},
    {"=?ISO-8859-15?Q?=A4?=", "\xe2\x82\xac"},
    {"=?windows-1252?q?=80?=", "\xe2\x82\xac"},
    {"=?koi8-r?b?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1"
                              "\x82"},
    {"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
    {"=?gb2312?b?xOO6ww==?=", "\xe4\xbd\xa0\xe5\xa5\xbd"},
    {"=?us-ascii*en?q?lang?=", "lang"},
    {"Re: =?utf-8?q?a?= b", "Re: a b"},
    {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
    {"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
    {"=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "a\xc3\xa9"},
    {"=?utf-8?q?a?==?utf-8?q?b?=", "ab"},
    /* one character cut between two words */
    {"=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "caf\xc3\xa9"},
    {"=?utf-8?b?w6k=?= x", "\xc3\xa9 x"},
    /* broken, but seen */
    {"=?utf-8?q?a b?=", "a b"},
    {"=?utf-8?q?a=?=", "a="},
    {"=?utf-8?q?a=4?=", "a=4"},
    {"=?utf-8?q?a=zz?=", "a=zz"},
    {"=?utf-8?b?Y2F!mw6k=?=", "caf\xc3\xa9"},
    {"=?utf-8?q?open", "=?utf-8?q?open"},
    {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
    {"=?utf-8?q", "=?utf-8?q"},
    {"=?utf-8?", "=?utf-8?"},
    {"=?utf-8", "=?utf-8"},
    {"=??q?a?=", "=??q?a?="},
    {"=?", "=?"},
    {"=", "="},
    {"=?nonsense?q?a?=", "=?nonsense?q?a?="},
    {"=?utf-7?q?+ADw-?=", "=?utf-7?q?+ADw-?="},
    {"=?../../x?q?a?=", "=?../../x?q?a?="},
    {"=?UTF-8//TRANSLIT?q?a?=", "=?UTF-8//TRANSLIT?q?a?="},
    /* bytes that are no UTF-8 */
    {"caf\xe9", "caf" BAD},
    {"\xc3", BAD},
    {"\xed\xa0\x80", BAD BAD BAD},
    {"\xc0\xaf", BAD BAD},
    {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
    {"=?utf-8?q?=FF?=", BAD},
    {"=?gb2312?q?=C4?=", BAD},
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    /* controls */
    {"a\x1b[31mb", "a [31mb"},
    {"=?utf-8?q?a=0D=0AX-Evil:_b?=", "a  X-Evil: b"},
    {"=?utf-8?q?=1B]0;x=07?=", " ]0;x "},
    {"=?utf-8?q?a=00b?=", "a b"},
    {"=?utf-8?q?=C2=9B?=", " "},
    {"=?utf-8?q?=E2=80=AEexe.doc?=", " exe.doc"},
    {"a\tb", "a b"},
};

START_TEST(decode)
{
	char text[200];

	ck_assert_ptr_eq(mail_header_decode(rows[_i].value, text, sizeof(text)),
	                 text);
	ck_assert_str_eq(text, rows[_i].text);
}
END_TEST

/* Every size cuts at a character, and writes nothing behind the end. */
START_TEST(cuts)
{
	static const char value[] =
	    "a\xc3\xa9 =?utf-8?q?=E2=82=AC=F0=9F=98=80?=";
	static const char full[] = "a\xc3\xa9 \xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t lengths[] = {0, 0, 1, 1, 3, 4, 4,
	                                 4, 7, 7, 7, 7, 11};
	size_t size;

	for (size = 1; size < COUNT(lengths); size++) {
		char *text = mem_alloc(size);

		(void)mail_header_decode(value, text, size);
		ck_assert_uint_eq(strlen(text), lengths[size]);
		ck_assert(strncmp(text, full, lengths[size]) == 0);
		free(text);
	}
	(void)mail_header_decode(value, NULL, 0);
}
END_TEST

static const char *const floods[] = {
    "=?",
    "=?a?b?",
    "=?utf-8?q?",
    "=?utf-8?q?\?= ",
    "=?gb2312?q?=C4?= ",
    "=?iso-2022-jp?q?=1B$B?= =?gb2312?q?=C4?= ",
    "=?iso-2022-jp?q?=1B?= ",
    "\xf0\x9f",
    "=?euc-jp?b?jg?=",
    "=?big5?q?=A4?= =?utf-8?q?=A4?="};

START_TEST(flood)
{
	size_t size = 256 * 1024, length = strlen(floods[_i]), i;
	char *value = mem_alloc(size + 1), *text = mem_alloc(size);

	for (i = 0; i < size; i++)
		value[i] = floods[_i][i % length];
	(void)mail_header_decode(value, text, size);
	(void)mail_header_decode(value, text, 512);
	ck_assert_uint_lt(strlen(text), 512);
	free(value);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("header decode");
	TCase *tests = tcase_create("decode");

	tcase_add_loop_test(tests, decode, 0, COUNT(rows));
	tcase_add_test(tests, cuts);
	tcase_add_loop_test(tests, flood, 0, COUNT(floods));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
