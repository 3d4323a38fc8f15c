/* Whose fault a refusal is, in rows; and how long a smarthost that refuses us
 * is left alone. */
#include <check.h>

#include "cloud-service/mail/breaker.h"
#include "cloud-service/mail/smarthost-refusal.h"
#include "tests/support/suite.h"

static const struct {
	enum dialogue_command verb;
	int code;
	const char *enhanced, *text;
	enum refusal refusal;
} rows[] = {
    {DIALOGUE_GREETING, 421, "4.3.2", "busy", REFUSAL_FOR_NOW},
    {DIALOGUE_GREETING, 554, "", "no service", REFUSAL_OF_US},
    {DIALOGUE_HELLO, 550, "5.7.1", "HELO rejected", REFUSAL_OF_US},
    {DIALOGUE_MAIL, 421, "4.7.0", "too many", REFUSAL_FOR_NOW},
    {DIALOGUE_MAIL, 450, "4.1.8", "Domain not found", REFUSAL_FOR_NOW},
    {DIALOGUE_MAIL, 550, "", "no", REFUSAL_OF_US},
    {DIALOGUE_MAIL, 550, "5.1.1", "no such user", REFUSAL_OF_US},
    {DIALOGUE_MAIL, 553, "5.1.7", "syntax", REFUSAL_OF_US},
    {DIALOGUE_MAIL, 530, "5.7.0", "authenticate", REFUSAL_OF_US},
    {DIALOGUE_MAIL, 552, "5.3.4", "too large", REFUSAL_OF_MESSAGE},
    {DIALOGUE_MAIL, 552, "", "too large", REFUSAL_OF_MESSAGE},

    {DIALOGUE_RCPT, 450, "4.1.1", "unverified", REFUSAL_FOR_NOW},
    {DIALOGUE_RCPT, 550, "5.1.1", "unknown", REFUSAL_NOBODY_THERE},
    {DIALOGUE_RCPT, 550, "5.1.1", "no such sender", REFUSAL_NOBODY_THERE},
    {DIALOGUE_RCPT, 550, "5.1.2", "no such host", REFUSAL_NOBODY_THERE},
    {DIALOGUE_RCPT, 550, "5.1.10", "null MX", REFUSAL_NOBODY_THERE},
    {DIALOGUE_RCPT, 550, "5.1.0", "rejected", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "5.1.0", "Sender rejected", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 501, "5.1.3", "bad syntax", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "5.1.7", "bad sender", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 550, "5.1.8", "no such domain", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 550, "5.1.11", "odd", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "5.1.100", "odd", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "5.2.1", "disabled", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 552, "5.2.2", "full", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "5.4.4", "unrouteable", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 503, "5.5.1", "MAIL first", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 503, "", "bad sequence", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 554, "5.7.1", "Relay access denied", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 550, "5.7.26", "unauthenticated", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 550, "", "relay not permitted", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 550, "", "550 Relaying denied", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 550, "", "Sender verify failed", REFUSAL_OF_US},
    {DIALOGUE_RCPT, 554, "", "Service unavailable; Client host [x] blocked",
     REFUSAL_OF_US},
    {DIALOGUE_RCPT, 550, "", "Unrouteable address", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "", "no such user", REFUSAL_OF_RECIPIENT},
    /* What an address spells says nothing. */
    {DIALOGUE_RCPT, 550, "", "550 <relay@b.example>: unknown",
     REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "", "sender@relay.example unknown",
     REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "", "<sender", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_RCPT, 550, "", "", REFUSAL_OF_RECIPIENT},

    {DIALOGUE_DATA, 550, "5.1.8", "sender refused", REFUSAL_OF_US},
    {DIALOGUE_DATA, 554, "", "no", REFUSAL_OF_MESSAGE},
    {DIALOGUE_DOT, 451, "4.3.0", "later", REFUSAL_FOR_NOW},
    {DIALOGUE_DOT, 554, "5.7.1", "looks like spam", REFUSAL_OF_US},
    {DIALOGUE_DOT, 550, "5.1.1", "nobody", REFUSAL_OF_RECIPIENT},
    {DIALOGUE_DOT, 550, "5.1.7", "sender", REFUSAL_OF_US},
    {DIALOGUE_DOT, 552, "5.3.4", "too large", REFUSAL_OF_MESSAGE},
    {DIALOGUE_DOT, 554, "5.6.0", "bad content", REFUSAL_OF_MESSAGE},
    {DIALOGUE_DOT, 554, "", "spam", REFUSAL_OF_MESSAGE},
};

START_TEST(refusals)
{
	ck_assert_msg(
	    refusal_judge(rows[_i].verb, rows[_i].code, rows[_i].enhanced,
	                  rows[_i].text) == rows[_i].refusal,
	    "%d %s %s", rows[_i].code, rows[_i].enhanced, rows[_i].text);
}
END_TEST

START_TEST(long_text_is_read_to_its_end)
{
	char text[2000];

	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = "<a b@c> x"[i % 9];
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(refusal_judge(DIALOGUE_RCPT, 550, "", text),
	                 REFUSAL_OF_RECIPIENT);
}
END_TEST

START_TEST(pauses_grow_and_end)
{
	struct breaker breaker;

	breaker_init(&breaker, 100, 350);
	ck_assert_int_eq(breaker_pause_ms(&breaker, 1000), 0);
	ck_assert(!breaker_refused(&breaker, false, 1000));
	ck_assert_int_eq(breaker_pause_ms(&breaker, 1000), 100);
	ck_assert_int_eq(breaker_pause_ms(&breaker, 1099), 1);
	ck_assert_int_eq(breaker_pause_ms(&breaker, 1100), 0);
	(void)breaker_refused(&breaker, false, 1100);
	ck_assert_int_eq(breaker_pause_ms(&breaker, 1100), 200);
	(void)breaker_refused(&breaker, false, 2000);
	ck_assert_int_eq(breaker_pause_ms(&breaker, 2000), 350);
	breaker_taken(&breaker);
	ck_assert_int_eq(breaker_pause_ms(&breaker, 2000), 0);
	ck_assert(breaker_refused(&breaker, false, 3000));
	ck_assert_int_eq(breaker_pause_ms(&breaker, 3000), 100);
	breaker_release(&breaker);
}
END_TEST

/* One mail that is refused for what is in it stops no other. */
START_TEST(one_doubtful_refusal_is_no_pause)
{
	struct breaker breaker;

	breaker_init(&breaker, 100, 350);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(breaker_refused(&breaker, true, 1000), i > 0);
		ck_assert_int_eq(breaker_pause_ms(&breaker, 1000), 0);
		breaker_taken(&breaker);
	}
	(void)breaker_refused(&breaker, true, 1000);
	ck_assert(!breaker_refused(&breaker, true, 1000));
	ck_assert_int_eq(breaker_pause_ms(&breaker, 1000), 100);
	breaker_release(&breaker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-smarthost-refusal");
	TCase *tcase = tcase_create("refusals");

	tcase_add_loop_test(tcase, refusals, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tcase, long_text_is_read_to_its_end);
	tcase_add_test(tcase, pauses_grow_and_end);
	tcase_add_test(tcase, one_doubtful_refusal_is_no_pause);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
