/* The challenge mail: its fields, its parts, and hostile facts in it. */
#include "cloud-service/mail/challenge-mail.h"

#include "cloud-service/mail/encode.h"
#include "tests/support/suite.h"

static const uint8_t key[TOKEN_KEY_SIZE] = {5};
static struct registry_recipient recipients[3];
static struct registry_message message;
static struct registry_challenge challenge;
static struct registry_tenant tenant;
static struct challenge_mail mail;
static struct buffer out;

static void setup(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	recipients[0].address = (char *)"claire@town.example";
	recipients[1].address = (char *)"hidden@town.example";
	message = (struct registry_message){
	    .received_ms = 1795248000000LL,
	    .subject = (char *)"Plan of Thursday",
	    .message_id = (char *)"<one.2@sender.example>",
	    .recipients = recipients,
	    .recipient_count = 1};
	challenge =
	    (struct registry_challenge){.id = {{1, 2, 3}},
	                                .sender = (char *)"jean@sender.example",
	                                .code = (char *)"ACE234",
	                                .expires_ms = 1795852800000LL};
	tenant = (struct registry_tenant){.name = (char *)"town",
	                                  .language = (char *)"en"};
	mail = (struct challenge_mail){.challenge = &challenge,
	                               .message = &message,
	                               .tenant = &tenant,
	                               .from = "challenge@gate.example",
	                               .from_name = "Town mail",
	                               .public_url = "https://mail.example",
	                               .token_key = key,
	                               .now_ms = 1795248000000LL};
	buffer_init(&out, 65536);
}

static void teardown(void)
{
	buffer_release(&out);
}

static const char *render(void)
{
	struct error err = {0};
	buffer_reset(&out);
	int r = challenge_mail_render(&mail, &out, &err);
	ck_assert_msg(r == 0, "%d %s", r, err.text);
	return buffer_text(&out);
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Undoes quoted-printable in place. */
static void decode(char *text)
{
	char *to = text;
	for (; *text; text++) {
		if (strncmp(text, "=\r\n", 3) == 0) {
			text += 2;
		} else if (*text == '=') {
			*to++ = (char)(hex(text[1]) << 4 | hex(text[2]));
			text += 2;
		} else if (*text != '\r') {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* The decoded part of this type; freed by the caller. */
static char *part(const char *type)
{
	char marker[64];
	snprintf(marker, sizeof(marker), "Content-Type: text/%s;", type);
	const char *start = strstr(buffer_text(&out), marker);
	ck_assert_ptr_nonnull(start);
	start = strstr(start, "\r\n\r\n");
	ck_assert_ptr_nonnull(start);
	const char *end = strstr(start, "\r\n--=_");
	ck_assert_ptr_nonnull(end);
	char *text = strndup(start + 4, (size_t)(end - start - 4));
	ck_assert_ptr_nonnull(text);
	decode(text);
	return text;
}

/* The names of the header's fields, each followed by a comma. */
static void field_names(char *names, size_t size)
{
	const char *line = buffer_text(&out);
	names[0] = '\0';
	while (*line != '\r') {
		size_t used = strlen(names);
		int length = (int)strcspn(line, ":");
		if (*line != ' ')
			snprintf(names + used, size - used, "%.*s,", length,
			         line);
		line = strstr(line, "\r\n");
		ck_assert_ptr_nonnull(line);
		line += 2;
	}
}

static void check_lines(void)
{
	const char *line = buffer_text(&out), *end;
	ck_assert_uint_eq(strlen(line), out.length);
	while ((end = strpbrk(line, "\r\n"))) {
		ck_assert_msg(strncmp(end, "\r\n", 2) == 0, "a bare CR or LF");
		ck_assert_msg(end - line <= 78, "too long: %.*s",
		              (int)(end - line), line);
		line = end + 2;
	}
	ck_assert_str_eq(line, "");
	for (size_t i = 0; i < out.length; i++)
		ck_assert_int_lt((unsigned char)out.data[i], 0x7f);
}

#define FIELDS                                                                 \
	"From,To,Subject,Date,Message-ID,In-Reply-To,References,"              \
	"Auto-Submitted,X-Auto-Response-Suppress,Content-Language,"            \
	"MIME-Version,Content-Type,"
#define FIELDS_ALONE                                                           \
	"From,To,Subject,Date,Message-ID,Auto-Submitted,"                      \
	"X-Auto-Response-Suppress,Content-Language,MIME-Version,Content-Type,"

START_TEST(a_mail_says_what_it_must)
{
	static const char *const lines[] = {
	    "From: Town mail\r\n <challenge@gate.example>\r\n",
	    "\r\nTo: <jean@sender.example>\r\n",
	    "\r\nSubject: Your message to claire@town.example is waiting for "
	    "one step\r\n",
	    "\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n",
	    "\r\nMessage-ID: <challenge.01020300-0000-0000-0000-000000000000@"
	    "gate.example>\r\n",
	    "\r\nIn-Reply-To: <one.2@sender.example>\r\n",
	    "\r\nReferences: <one.2@sender.example>\r\n",
	    "\r\nAuto-Submitted: auto-replied\r\n",
	    "\r\nX-Auto-Response-Suppress: All\r\n",
	};
	const char *text = render();
	char names[512];
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(strstr(text, lines[i]) != NULL, "missing: %s",
		              lines[i]);
	check_lines();
	field_names(names, sizeof(names));
	ck_assert_str_eq(names, FIELDS);
}
END_TEST

START_TEST(both_parts_hold_the_link_and_both_languages)
{
	char token[TOKEN_TEXT_SIZE], link[256], needle[300];
	token_make(key, TOKEN_CHALLENGE, &challenge.id, challenge.expires_ms,
	           token, NULL);
	snprintf(link, sizeof(link), "https://mail.example/c/%s", token);
	render();
	char *plain = part("plain"), *html = part("html");
	snprintf(needle, sizeof(needle), "\n%s\n", link);
	ck_assert_ptr_nonnull(strstr(plain, needle));
	snprintf(needle, sizeof(needle), "href=\"%s\"", link);
	ck_assert_ptr_nonnull(strstr(html, needle));
	for (int i = 0; i < 2; i++) {
		const char *text = i ? html : plain;
		const char *english = strstr(text, "Hello,");
		const char *french = strstr(text, "Bonjour,");
		ck_assert(english && french && english < french);
		ck_assert_ptr_nonnull(strstr(text, "Plan of Thursday"));
		ck_assert_ptr_nonnull(strstr(text, "claire@town.example"));
		ck_assert_ptr_null(strstr(text, "hidden@"));
		/* Nothing is loaded, nothing tells who opened the mail. */
		ck_assert_ptr_null(strstr(text, "<img"));
		ck_assert_ptr_null(strstr(text, "src="));
		ck_assert_ptr_null(strstr(text, "url("));
		ck_assert_ptr_null(strstr(text, "{{"));
	}
	free(plain);
	free(html);
}
END_TEST

START_TEST(the_tenants_language_comes_first)
{
	tenant.language = (char *)"fr";
	const char *text = render();
	check_lines();
	ck_assert_ptr_nonnull(strstr(text, "\r\nSubject: =?utf-8?B?"));
	ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Language: fr, en\r\n"));
	char *plain = part("plain");
	ck_assert(strstr(plain, "Bonjour,") < strstr(plain, "Hello,"));
	free(plain);
	char *again = strdup(text);
	ck_assert_str_eq(render(), again);
	free(again);
}
END_TEST

/* What strangers are shown of the tenant. */
START_TEST(the_tenants_name_zone_and_from)
{
	tenant.display_name = (char *)"H\u00f4tel d\u2019Acme";
	tenant.time_zone = (char *)"Europe/Paris";
	tenant.from_name = (char *)"Acme reception";
	const char *text = render();
	check_lines();
	ck_assert_int_eq(strncmp(text, "From: Acme reception\r\n", 22), 0);
	ck_assert_ptr_null(strstr(text, "Town mail"));
	char *plain = part("plain"), *html = part("html");
	for (int i = 0; i < 2; i++) {
		const char *body = i ? html : plain;
		ck_assert_ptr_nonnull(
		    strstr(body, "at H\u00f4tel d\u2019Acme"));
		ck_assert_ptr_nonnull(
		    strstr(body, "chez H\u00f4tel d\u2019Acme"));
		ck_assert_ptr_nonnull(strstr(
		    body, "Saturday 21 November 2026, 09:00 (Europe/Paris)"));
		ck_assert_ptr_null(strstr(body, "UTC"));
	}
	free(plain);
	free(html);
}
END_TEST

/* What an inbox shows beside the subject; and nothing that is not so. */
START_TEST(the_first_line_and_the_words)
{
	static const char *const absent[] = {"release", "lib\u00e9rer",
	                                     "machine", "d\u2019acme",
	                                     "de acme", "In doubt"};
	recipients[0].address = (char *)"jean@acme.example";
	for (int i = 0; i < 2; i++) {
		tenant.language = (char *)(i ? "fr" : "en");
		render();
		char *plain = part("plain");
		const char *first =
		    i ? "Confirmez une seule fois que vous \u00eates une "
		        "personne, et"
		      : "Please confirm that you are a person, and your";
		ck_assert_int_eq(strncmp(plain, first, strlen(first)), 0);
		ck_assert_ptr_nonnull(strstr(plain, "chez acme.example"));
		ck_assert_ptr_nonnull(strstr(plain, "at acme.example"));
		for (size_t j = 0; j < sizeof(absent) / sizeof(*absent); j++)
			ck_assert_msg(!strstr(plain, absent[j]), "%s",
			              absent[j]);
		free(plain);
	}
}
END_TEST

#define LONG10  "0123456789"
#define LONG100 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10
#define LONG1000                                                               \
	LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100

/* Facts from outside; forbidden must stand in no part, decoded. */
static const struct {
	const char *subject, *recipient, *message_id, *from_name;
	const char *forbidden, *names;
} hostile[] = {
    {"<script>alert(1)</script>", "a@b.example", "<a@b>", "x", "\001", FIELDS},
    {"a\r\nBcc: victim@x.example\r\n\r\nbody", "a@b.example", "<a@b>", "x",
     "\nBcc:", FIELDS},
    {"a\nBcc: v@x.example", "a@b.example\r\nBcc: v@x.example", "<a@b>", "x",
     "\nBcc:", FIELDS},
    {"x", "a@b.example", "<a@b>\r\nBcc: v@x.example", "x",
     "\nBcc:", FIELDS_ALONE},
    {"x", "a@b.example", "<a@b> <c@d>", "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", "<a@b", "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", "a@b", "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", "<@b>", "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", "<a\xc3\xa9@b>", "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", "<" LONG1000 "@b>", "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", "", "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", NULL, "x", "\001", FIELDS_ALONE},
    {"x", "a@b.example", "<a@b>", "a\r\nBcc: v@x.example", "\nBcc:", FIELDS},
    {"x", "a@b.example", "<a@b>", "\"evil\" <e@x.example>, other", "\001",
     FIELDS},
    {"x", "a@b.example", "<a@b>", "", "\001", FIELDS},
    {"x", "a@b.example", "<a@b>", NULL, "\001", FIELDS},
    {"Win at http://evil.example/now", "a@b.example", "<a@b>", "x",
     "evil.example", FIELDS},
    {"Win at WWW.evil.example", "a@b.example", "<a@b>", "x", "evil.example",
     FIELDS},
    {"win at shop-evil.example/now", "a@b.example", "<a@b>", "x", "evil",
     FIELDS},
    {"URGENT, call +33 9 99 99 99 99", "a@b.example", "<a@b>", "x", "99",
     FIELDS},
    {"abc\xe2\x80\xae"
     "cod.exe",
     "a@b.example", "<a@b>", "x", "\xe2\x80\xae", FIELDS},
    {"\xff\xfe\xc3 \xed\xa0\x80", "\xff@\xfe.example", "<a@b>", "\xff\xc0",
     "\xff", FIELDS},
    {LONG1000, LONG1000 "@b.example", "<a@b>", LONG1000, LONG1000, FIELDS},
    {"--=_01020300-0000-0000-0000-000000000000--", "a@b.example", "<a@b>", "x",
     "\001", FIELDS},
    {"{{link}}{{#subject}}", "{{{link}}}@b.example", "<a@b>", "{{link}}",
     "\001", FIELDS},
    {".", "a@b.example", "<a@b>", ".", "\001", FIELDS},
};

START_TEST(hostile_facts_change_nothing_else)
{
	char names[512];
	message.subject = (char *)hostile[_i].subject;
	message.message_id = (char *)hostile[_i].message_id;
	recipients[0].address = (char *)hostile[_i].recipient;
	message.recipient_count = 3;
	recipients[2].address = (char *)"c@d.example";
	mail.from_name = hostile[_i].from_name;
	render();
	check_lines();
	field_names(names, sizeof(names));
	ck_assert_str_eq(names, hostile[_i].names);
	char *plain = part("plain"), *html = part("html");
	ck_assert_ptr_null(strstr(plain, hostile[_i].forbidden));
	ck_assert_ptr_null(strstr(html, hostile[_i].forbidden));
	ck_assert_ptr_null(strstr(html, "<script"));
	ck_assert_ptr_nonnull(strstr(html, "</html>"));
	free(plain);
	free(html);
}
END_TEST

static const struct {
	const char *sender, *from, *public_url;
} refused[] = {
    {"", "c@g.example", "https://m.example"},
    {"a@b>\r\nBcc: <v@x", "c@g.example", "https://m.example"},
    {"a b@c.example", "c@g.example", "https://m.example"},
    {"<a@b.example>", "c@g.example", "https://m.example"},
    {"j\xc3\xa9@b.example", "c@g.example", "https://m.example"},
    {"a@b.example", "", "https://m.example"},
    {"a@b.example", "c@g.example\r\nX: y", "https://m.example"},
    {"a@b.example", "c@g.example", "https://m.example\r\n"},
    {"a@b.example", "c@g.example", "https://m.example/ /"},
    {"a@b.example", "c@g.example", "https://" LONG1000 LONG100 LONG100 "/"},
};

START_TEST(what_is_no_address_is_refused)
{
	challenge.sender = (char *)refused[_i].sender;
	mail.from = refused[_i].from;
	mail.public_url = refused[_i].public_url;
	ck_assert_int_lt(challenge_mail_render(&mail, &out, NULL), 0);
	ck_assert_uint_eq(out.length, 0);
}
END_TEST

START_TEST(a_small_buffer_is_an_error)
{
	buffer_release(&out);
	buffer_init(&out, 2000);
	ck_assert_int_eq(challenge_mail_render(&mail, &out, NULL), ERR_LIMIT);
}
END_TEST

static const struct {
	const char *text, *encoded;
} printable[] = {
    {"", ""},
    {"plain", "plain\r\n"},
    {"a=b\n", "a=3Db\r\n"},
    {"end \nx\t", "end=20\r\nx=09\r\n"},
    {"\xc3\xa9", "=C3=A9\r\n"},
    {".\n..\nFrom me\nFrom\n", "=2E\r\n=2E.\r\n=46rom me\r\nFrom\r\n"},
    {"\r", "=0D\r\n"},
    {LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 "0123456",
     LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 "01234=\r\n56\r\n"},
};

START_TEST(quoted_printable)
{
	ck_assert_int_eq(mail_encode_quoted_printable(printable[_i].text, &out),
	                 0);
	ck_assert_str_eq(buffer_text(&out), printable[_i].encoded);
}
END_TEST

static const struct {
	const char *text;
	enum mail_encode_kind kind;
	const char *encoded;
} words[] = {
    {"plain text", MAIL_ENCODE_TEXT, "plain text"},
    {"a, b.", MAIL_ENCODE_TEXT, "a, b."},
    {"a, b.", MAIL_ENCODE_PHRASE, "=?utf-8?B?YSwgYi4=?="},
    {"=?x", MAIL_ENCODE_TEXT, "=?utf-8?B?PT94?="},
    {"\xc3\xa9", MAIL_ENCODE_TEXT, "=?utf-8?B?w6k=?="},
    {"\xc3\xa9t\xc3\xa9", MAIL_ENCODE_PHRASE, "=?utf-8?B?w6l0w6k=?="},
    /* 36 bytes in the first line: the 18 characters stay whole */
    {"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
     "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
     "\xc3\xa9",
     MAIL_ENCODE_TEXT,
     "=?utf-8?B?w6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOp?=\r\n "
     "=?utf-8?B?w6k=?="},
};

START_TEST(encoded_words)
{
	ck_assert_int_eq(
	    mail_encode_words(words[_i].text, words[_i].kind, 9, &out), 0);
	ck_assert_str_eq(buffer_text(&out), words[_i].encoded);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
	Suite *suite = suite_create("challenge-mail");
	TCase *all = tcase_create("challenge-mail");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, the_tenants_name_zone_and_from);
	tcase_add_test(all, the_first_line_and_the_words);
	tcase_add_test(all, a_mail_says_what_it_must);
	tcase_add_test(all, both_parts_hold_the_link_and_both_languages);
	tcase_add_test(all, the_tenants_language_comes_first);
	tcase_add_loop_test(all, hostile_facts_change_nothing_else, 0,
	                    ROWS(hostile));
	tcase_add_loop_test(all, what_is_no_address_is_refused, 0,
	                    ROWS(refused));
	tcase_add_test(all, a_small_buffer_is_an_error);
	tcase_add_loop_test(all, quoted_printable, 0, ROWS(printable));
	tcase_add_loop_test(all, encoded_words, 0, ROWS(words));
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}
