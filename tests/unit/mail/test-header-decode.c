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
    {"=?utf-7?q?caf+AOk-?=", "caf\u00e9"},
    {"=?utf-16be?q?=00c=00=E9?=", "c\u00e9"},
    {"=?big5?B?o+H51g==?=", "\u20ac\u7881"},
    {"=?big5-hkscs?q?=87K?=", "\u3b95"},
    {"=?../../x?q?a?=", "=?../../x?q?a?="},
    {"=?UTF-8//TRANSLIT?q?a?=", "=?UTF-8//TRANSLIT?q?a?="},
    /* bytes that are no UTF-8: windows-1252 */
    {"caf\xe9", "caf\u00e9"},
    {"D\xe9j\xe0 =?utf-8?q?vu=C3=A9?=", "D\u00e9j\u00e0 vu\u00e9"},
    {"\x93"
     "x\x94 \x80",
     "\u201cx\u201d \u20ac"},
    {"\xc3", "\u00c3"},
    /* cut within its last letter */
    {"caf\xc3\xa9 \xe2\x82", "caf\u00e9 " BAD BAD},
    {"\xed\xa0\x80", "\u00ed\u00a0\u20ac"},
    {"\xc0\xaf", "\u00c0\u00af"},
    {"\xf4\x90\x80\x80", "\u00f4" BAD "\u20ac\u20ac"},
    {"=?utf-8?q?=ED=A0=80?=", BAD BAD BAD},
    /* labels that iconv does not know */
    {"=?ks_c_5601-1987?B?yLjAxyC+yLO7?=", "\ud68c\uc758 \uc548\ub0b4"},
    {"=?KSC5601?B?vsizuw==?=", "\uc548\ub0b4"},
    {"=?iso-8859-8-i?q?=F9=EC=E5=ED?=", "\u05e9\u05dc\u05d5\u05dd"},
    {"=?ISO-8859-6-i?B?5dHNyMc=?=", "\u0645\u0631\u062d\u0628\u0627"},
    {"=?x-sjis?B?k/qWew==?=", "\u65e5\u672c"},
    {"=?x-mac-roman?q?=83t=8E?=", "\u00c9t\u00e9"},
    {"=?windows1251?q?=CF?=", "\u041f"},
    {"=?x-cp1250?q?=8A?=", "\u0160"},
    {"=?iso8859-2?q?=A9?=", "\u0160"},
    {"=?iso-8859-12?q?a?=", "=?iso-8859-12?q?a?="},
    {"=?unknown-8bit?q?caf=E9?=", "caf\u00e9"},
    {"=?unknown-8bit?q?caf=C3=A9?=", "caf\u00e9"},
    {"=?us-ascii?q?caf=E9?=", "caf\u00e9"},
    {"=?us-ascii?q?caf=C3=A9?=", "caf\u00e9"},
    /* labels that say less than is meant */
    {"=?iso-8859-1?q?We=92ve_=96_=80?=", "We\u2019ve \u2013 \u20ac"},
    {"=?iso-8859-9?q?=80=FD?=", "\u20ac\u0131"},
    {"=?gb2312?B?6UY=?=", "\u9555"},
    {"=?shift_jis?B?h0D7/A==?=", "\u2460\u9ad9"},
    {"=?tis-620?q?=80=A1?=", "\u20ac\u0e01"},
    {"=?euc-kr?B?jGM=?=", "\ub620"},
    {"=?iso-2022-jp?B?GyRCLSEtahsoQiBvaw==?=", "\u2460\u3231 ok"},
    {"=?iso-2022-jp?B?GyhJMTIbKEI=?=", "\uff71\uff72"},
    {"=?iso-2022-kr?B?GyQpQw5IOEBHDw==?=", "\ud68c\uc758"},
    {"=?hz-gb-2312?q?~{Dc:C~}_~~?=", "\u4f60\u597d ~"},
    /* the last letter, and two words of one text */
    {"=?windows-1255?q?=F9=EC=E5=ED?= (2)", "\u05e9\u05dc\u05d5\u05dd (2)"},
    {"=?windows-1258?q?Hanoi?=", "Hanoi"},
    {"=?windows-1255?q?=E0=E1?= =?WINDOWS-1255?q?=E2=E3?=",
     "\u05d0\u05d1\u05d2\u05d3"},
    {"=?iso-2022-jp?B?GyRCRnw=?= =?iso-2022-jp?B?S1wbKEI=?=", "\u65e5\u672c"},
    {"=?gb2312?q?=C4?= =?gb2312?q?=E3?=", "\u4f60"},
    /* an encoded word that spells one */
    {"=?utf-8?B?PT91dGYtOD9CP2MyVmpiMjVrPz0=?=", "=?utf-8?B?c2Vjb25k?="},
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
