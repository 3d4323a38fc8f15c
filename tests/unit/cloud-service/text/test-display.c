/* Text from outside on pages and in mails, and the cases of it. */
#include <stdlib.h>

#include "cloud-service/challenge/facts.h"
#include "cloud-service/mail/challenge-mail.h"
#include "cloud-service/text/display.h"
#include "common/mail/header.h"
#include "tests/support/cases.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *text, *shown;
} clean_rows[] = {
    {NULL, ""},
    {"  a\r\n\tb  ", "a b"},
    {"a\u200bb\u202ec\u2066d\ufeff", "abcd"},
    {"a\xff", "a\ufffd"},
    /* joiners within words that are written with them, and nowhere else */
    {"\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
     "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"},
    {"\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"},
    {"\u0645\u06cc\u200c\u200c\u062e", "\u0645\u06cc\u200c\u062e"},
    {"\u0645\u200c \u062e\u200c", "\u0645 \u062e"},
    {"pay\u200cpal \u200d\u0645", "paypal \u0645"},
    {"a\u200c\u0645", "a\u0645"},
    {"\u0d28\u0d4d\u200d x", "\u0d28\u0d4d\u200d x"},
    /* emoji */
    {"\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"},
    {"\u2764\ufe0f\u200d\U0001f525", "\u2764\ufe0f\u200d\U0001f525"},
    {"a\ufe0fb", "ab"},
};

START_TEST(cleaning)
{
	char out[401], cut[29];

	ck_assert_str_eq(display_clean(clean_rows[_i].text, 100, out),
	                 clean_rows[_i].shown);
	display_clean(clean_rows[_i].text, 7, cut);
}
END_TEST

static const struct {
	const char *text;
	bool links;
} link_rows[] = {
    {"", false},
    {"Plan of Thursday", false},
    {"Offer no. 12. Thank you.", false},
    {"Meeting at 14:05, room 3.2", false},
    {"Version 1.2.3", false},
    {"Invoice of 2026-12-01", false},
    {"Facture du 01.12.2026", false},
    {"Season 2026/2027", false},
    {"12/1/2026 14:05", false},
    {"It costs 1.200,50 euros", false},
    {"\u5831\u50f9\u3002\u8acb\u770b", false},
    {"http://evil.example/now", true},
    {"WWW.evil.example", true},
    {"win at shop-evil.example/now today", true},
    {"evil\u3002example", true},
    {"evil\uff0eexample", true},
    {"evil\uff61example", true},
    {"\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", true},
    {"write to a@b", true},
    {"mailto:a", true},
    {"call +33 9 99 99 99 99", true},
    {"URGENT 0999999999", true},
    {"(099) 999-9999", true},
    {"\uff10\uff19\uff19-9999-9999", true},
    {"at 192.0.2.1 now", true},
    {"\\\\server\\share", true},
};

START_TEST(links)
{
	ck_assert_msg(display_holds_link(link_rows[_i].text) ==
	                  link_rows[_i].links,
	              "%s", link_rows[_i].text);
}
END_TEST

static const struct {
	const char *address, *shown;
} sender_rows[] = {
    {"Ann@Bank.example", "Ann@Bank.example"},
    {"prvs=8391f0a0df=Ann.Bee@bank.example", "Ann.Bee@bank.example"},
    {"prvs=Ann=0123456789@bank.example", "Ann@bank.example"},
    {"btv1==7390a1b2c3d==ann@bank.example", "ann@bank.example"},
    {"prvs=odd@bank.example", "prvs=odd@bank.example"},
    {"SRS0=ab=cd=b.example=ann@f.example",
     "SRS0=ab=cd=b.example=ann@f.example"},
};

START_TEST(senders)
{
	struct registry_challenge challenge = {
	    .sender = (char *)sender_rows[_i].address};
	struct challenge_facts facts;

	challenge_facts_fill(&facts, TEXT_EN, NULL, &challenge, NULL);
	ck_assert_str_eq(facts.sender, sender_rows[_i].shown);
}
END_TEST

/* --- cases ------------------------------------------------------------------
 */

static struct registry_message message;
static struct registry_challenge challenge;

/* The plain part and the HTML part, quoted-printable and all. */
static void expect_not_in_mail(const char *id, const char *word)
{
	static const uint8_t key[TOKEN_KEY_SIZE] = {5};
	static const struct registry_tenant tenant = {.name = (char *)"acme",
	                                              .language = (char *)"en"};
	struct challenge_mail mail = {.challenge = &challenge,
	                              .message = &message,
	                              .tenant = &tenant,
	                              .from = "challenge@gate.example",
	                              .public_url = "https://mail.example",
	                              .token_key = key};
	struct buffer out;

	buffer_init(&out, 65536);
	ck_assert_int_eq(challenge_mail_render(&mail, &out, NULL), 0);
	ck_assert_msg(!strstr(buffer_text(&out), word), "%s: %s", id, word);
	buffer_release(&out);
}

/* The field as the agent reads it. */
static void read_subject(const char *encoded, char *subject, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
	                             "pqrstuvwxyz0123456789+/";
	struct mail_header header;
	unsigned bits = 0, count = 0;

	mail_header_init(&header);
	mail_header_feed(&header, "Subject: ", 9);
	for (; *encoded && *encoded != '='; encoded++) {
		bits =
		    bits << 6 | (unsigned)(strchr(digits, *encoded) - digits);
		count += 6;
		if (count >= 8) {
			char byte = (char)(bits >> (count -= 8));

			mail_header_feed(&header, &byte, 1);
		}
	}
	mail_header_feed(&header, "\r\n\r\n", 4);
	mail_header_parse(&header);
	mail_header_decode(mail_header_get(&header, "Subject"), subject, size);
	mail_header_release(&header);
}

static void play(const json_t *item, void *context)
{
	const char *id = case_text(item, "id", NULL);
	const char *encoded =
	    case_text(item, "in", "subject_field_base64", NULL);
	const char *sender = case_text(item, "in", "mail_from", NULL);
	const char *plain = case_text(item, "in", "subject", NULL);
	struct registry_recipient recipient = {.address =
	                                           (char *)"jean@acme.example"};
	struct challenge_facts facts;
	char subject[1001];

	(void)context;
	message = (struct registry_message){
	    .recipients = &recipient, .recipient_count = 1, .subject = subject};
	challenge = (struct registry_challenge){
	    .sender = (char *)(*sender ? sender : "ann@outside.example")};
	(void)snprintf(subject, sizeof(subject), "%s", plain);
	if (*encoded)
		read_subject(encoded, subject, sizeof(subject));
	challenge_facts_fill(&facts, TEXT_EN, NULL, &challenge, &message);
	if (*encoded)
		ck_assert_msg(
		    !strcmp(facts.subject,
		            case_text(item, "right",
		                      "page, challenge mail, queue list",
		                      NULL)),
		    "%s: %s", id, facts.subject);
	if (*sender)
		ck_assert_msg(!strcmp(facts.sender,
		                      case_text(item, "right",
		                                "page and mail show", NULL)),
		              "%s: %s", id, facts.sender);
	if (*plain) {
		ck_assert_msg(display_holds_link(facts.subject), "%s", id);
		expect_not_in_mail(id, plain);
	}
}

START_TEST(cases)
{
	cases_each("display", play, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("display");
	TCase *tests = tcase_create("display");

	tcase_add_loop_test(tests, cleaning, 0, COUNT(clean_rows));
	tcase_add_loop_test(tests, links, 0, COUNT(link_rows));
	tcase_add_loop_test(tests, senders, 0, COUNT(sender_rows));
	tcase_add_test(tests, cases);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
