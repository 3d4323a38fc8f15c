/* Templates, the texts in them, and outside text made fit to be shown. */
#include "cloud-service/text/template.h"

#include "cloud-service/text/display.h"
#include "cloud-service/text/text.h"
#include "tests/support/suite.h"

static const struct template_value values[] = {
    {"name", "Zoe"},
    {"empty", ""},
    {"null", NULL},
    {"script", "<script>alert('x\"&')</script>"},
    {"braces", "{{name}}{{#name}}"},
    {NULL, NULL},
};

static const char *find_text(void *context, const char *name)
{
	(void)context;
	if (strcmp(name, "t.hello") == 0)
		return "Hello {{name}}, <you>";
	if (strcmp(name, "t.hostile") == 0)
		return "Hello {{script}}";
	if (strcmp(name, "t.loop") == 0)
		return "{{t.loop}}";
	return NULL;
}

#define ESCAPED "&lt;script&gt;alert(&#39;x&#34;&amp;&#39;)&lt;/script&gt;"

static const struct {
	const char *template_text;
	enum template_form form;
	int result;
	const char *out; /* NULL: not looked at */
} rows[] = {
    {"", TEMPLATE_HTML, 0, ""},
    {"plain & <b>", TEMPLATE_HTML, 0, "plain & <b>"},
    {"a{{name}}b", TEMPLATE_HTML, 0, "aZoeb"},
    {"{{script}}", TEMPLATE_HTML, 0, ESCAPED},
    {"{{script}}", TEMPLATE_TEXT, 0, "<script>alert('x\"&')</script>"},
    {"{{{script}}}", TEMPLATE_HTML, 0, "<script>alert('x\"&')</script>"},
    {"{{braces}}", TEMPLATE_HTML, 0, "{{name}}{{#name}}"},
    {"{{t.hello}}", TEMPLATE_HTML, 0, "Hello Zoe, &lt;you&gt;"},
    {"{{t.hello}}", TEMPLATE_TEXT, 0, "Hello Zoe, <you>"},
    {"{{t.hostile}}", TEMPLATE_HTML, 0, "Hello " ESCAPED},
    {"{{null}}{{empty}}.", TEMPLATE_HTML, 0, "."},
    {"{{#name}}yes {{name}}{{/name}}!", TEMPLATE_HTML, 0, "yes Zoe!"},
    {"{{#empty}}{{nobody}}{{/empty}}!", TEMPLATE_HTML, 0, "!"},
    {"{{^empty}}none{{/empty}}!", TEMPLATE_HTML, 0, "none!"},
    {"{{^name}}none{{/name}}!", TEMPLATE_HTML, 0, "!"},
    {"{{#null}}x{{/null}}", TEMPLATE_HTML, 0, ""},
    {"a { b } c {", TEMPLATE_HTML, 0, "a { b } c {"},
    {"{{nobody}}", TEMPLATE_HTML, ERR_NOT_FOUND, NULL},
    {"{{#nobody}}{{/nobody}}", TEMPLATE_HTML, ERR_NOT_FOUND, NULL},
    {"{{t.loop}}", TEMPLATE_HTML, ERR_NOT_FOUND, NULL},
    {"{{name", TEMPLATE_HTML, ERR_INVALID, NULL},
    {"{{name}", TEMPLATE_HTML, ERR_INVALID, NULL},
    {"{{{name}}", TEMPLATE_HTML, ERR_INVALID, NULL},
    {"{{}}", TEMPLATE_HTML, ERR_INVALID, NULL},
    {"{{", TEMPLATE_HTML, ERR_INVALID, NULL},
    {"{{#empty}}", TEMPLATE_HTML, ERR_INVALID, NULL},
    {"{{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}",
     TEMPLATE_HTML, ERR_INVALID, NULL},
};

START_TEST(templates_render)
{
	struct template_data data = {values, find_text, NULL};
	struct buffer out;
	struct error err = {0};
	buffer_init(&out, 1000);
	/* A copy of its own size, so that a sanitizer sees each overrun. */
	size_t size = strlen(rows[_i].template_text);
	char *copy = malloc(size + !size);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, rows[_i].template_text, size);
	int r = template_render(copy, size, rows[_i].form, &data, &out, &err);
	ck_assert_msg(r == rows[_i].result, "%s: %d %s", rows[_i].template_text,
	              r, err.text);
	if (rows[_i].out)
		ck_assert_str_eq(buffer_text(&out), rows[_i].out);
	free(copy);
	buffer_release(&out);
}
END_TEST

START_TEST(a_full_buffer_is_an_error)
{
	struct template_data data = {values, find_text, NULL};
	for (size_t room = 0; room < 20; room++) {
		struct buffer out;
		static const char text[] = "ab{{name}}cd{{script}}";
		buffer_init(&out, room);
		ck_assert_int_eq(template_render(text, sizeof(text) - 1,
		                                 TEMPLATE_HTML, &data, &out,
		                                 NULL),
		                 ERR_LIMIT);
		ck_assert_uint_le(out.length, room);
		buffer_release(&out);
	}
}
END_TEST

static const struct {
	const char *in;
	size_t characters;
	const char *out;
} shown[] = {
    {"plain", 10, "plain"},
    {NULL, 10, ""},
    {"", 10, ""},
    {"  a \t\r\n b  ", 10, "a b"},
    {"a\x01\x7f\x1b[31mb", 20, "a [31mb"},
    {"exactly-10", 10, "exactly-10"},
    {"longer-than", 10, "longer-..."},
    {"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 4, "\xc3\xa9..."},
    {"abc", 2, "ab"},
    /* RTL override, isolates, marks, zero width, byte order mark */
    {"exe.\xe2\x80\xaegpj", 20, "exe.gpj"},
    {"\xe2\x81\xa6"
     "a\xe2\x81\xa9\xe2\x80\x8f\xe2\x80\x8b\xef\xbb\xbf",
     20, "a"},
    {"a\xe2\x80\xa8"
     "b\xc2\x85"
     "c",
     20, "a b c"},
    {"a\xf3\xa0\x81\x81z", 20, "az"}, /* a tag character */
    /* invalid: alone, cut, too long a form, surrogate, beyond the last */
    {"\xff", 20, "\xef\xbf\xbd"},
    {"a\xc3", 20, "a\xef\xbf\xbd"},
    {"a\xe2\x82", 20, "a\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xc0\xaf", 20, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xe0\x80\xaf", 20, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xed\xa0\x80", 20, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x90\x80\x80", 20,
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf0\x9f\x98\x80", 20, "\xf0\x9f\x98\x80"},
};

START_TEST(outside_text_is_cleaned)
{
	size_t size = 4 * shown[_i].characters + 1;
	char *out = malloc(size);
	ck_assert_ptr_nonnull(out);
	display_clean(shown[_i].in, shown[_i].characters, out);
	ck_assert_str_eq(out, shown[_i].out);
	free(out);
}
END_TEST

static const struct {
	const char *asked, *accept;
	enum text_language standard, chosen;
} languages[] = {
    {NULL, NULL, TEXT_EN, TEXT_EN},
    {NULL, NULL, TEXT_FR, TEXT_FR},
    {"fr", NULL, TEXT_EN, TEXT_FR},
    {"fr", "en", TEXT_EN, TEXT_FR},
    {"xx", "en", TEXT_FR, TEXT_EN},
    {"", "fr-CH, en;q=0.9", TEXT_EN, TEXT_FR},
    {NULL, "en;q=0.8, fr;q=0.9", TEXT_EN, TEXT_FR},
    {NULL, "en;q=0.85,fr;q=0.849", TEXT_FR, TEXT_EN},
    {NULL, "de, es;q=0.9", TEXT_FR, TEXT_FR},
    {NULL, "FR-be", TEXT_EN, TEXT_FR},
    {NULL, "fr;q=0", TEXT_EN, TEXT_EN},
    {NULL, "fr;q=", TEXT_EN, TEXT_EN},
    {NULL, "fr;x=1", TEXT_EN, TEXT_EN},
    {NULL, "frz", TEXT_EN, TEXT_EN},
    {NULL, ",,;;,;q=;,\xff\xfe;q=0.,", TEXT_FR, TEXT_FR},
    {NULL, "fr;q=0.99999999999999999999", TEXT_EN, TEXT_FR},
};

START_TEST(the_language_is_chosen)
{
	ck_assert_int_eq(text_language_choose(languages[_i].asked,
	                                      languages[_i].accept,
	                                      languages[_i].standard),
	                 languages[_i].chosen);
}
END_TEST

START_TEST(dates_read_well)
{
	char text[TEXT_DATE_SIZE];
	ck_assert_str_eq(text_date(TEXT_EN, 1795248000000LL, "", text),
	                 "Saturday 21 November 2026, 08:00 UTC");
	ck_assert_str_eq(text_date(TEXT_FR, 1795248000000LL, "", text),
	                 "samedi 21 novembre 2026 à 08:00 UTC");
	ck_assert_str_eq(text_date(TEXT_FR, 0, NULL, text),
	                 "jeudi 1er janvier 1970 à 00:00 UTC");
	/* By the clock of the zone, summer and winter. */
	ck_assert_str_eq(
	    text_date(TEXT_FR, 1795248000000LL, "Europe/Paris", text),
	    "samedi 21 novembre 2026 à 09:00 (Europe/Paris)");
	ck_assert_str_eq(
	    text_date(TEXT_EN, 1781992800000LL, "Europe/Paris", text),
	    "Sunday 21 June 2026, 00:00 (Europe/Paris)");
	ck_assert_str_eq(
	    text_date(TEXT_FR, 0, "America/New_York", text),
	    "mercredi 31 décembre 1969 à 19:00 (America/New_York)");
	ck_assert_str_eq(text_date(TEXT_EN, 1795248000000LL, "No/Where", text),
	                 "Saturday 21 November 2026, 08:00 UTC");
	/* No time of a person: empty or short, never too long. */
	ck_assert_uint_lt(strlen(text_date(TEXT_FR, INT64_MAX, NULL, text)),
	                  TEXT_DATE_SIZE);
	ck_assert_uint_lt(
	    strlen(text_date(TEXT_EN, INT64_MIN, "Europe/Paris", text)),
	    TEXT_DATE_SIZE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("template");
	TCase *all = tcase_create("template");
	tcase_add_loop_test(all, templates_render, 0,
	                    sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(all, a_full_buffer_is_an_error);
	tcase_add_loop_test(all, outside_text_is_cleaned, 0,
	                    sizeof(shown) / sizeof(shown[0]));
	tcase_add_loop_test(all, the_language_is_chosen, 0,
	                    sizeof(languages) / sizeof(languages[0]));
	tcase_add_test(all, dates_read_well);
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}
