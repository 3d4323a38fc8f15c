/* Sending through libesmtp to smarthosts that lie, drop and stall. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/mail/smarthost.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/mem.h"
#include "tests/support/smtp-script.h"
#include "tests/support/suite.h"

#define SAY(text)                                                              \
	{                                                                      \
		SCRIPT_SAY, text "\r\n"                                        \
	}
#define RAW(text)                                                              \
	{                                                                      \
		SCRIPT_SAY, text                                               \
	}
#define HEAR(text)                                                             \
	{                                                                      \
		SCRIPT_HEAR, text                                              \
	}
#define BODY                                                                   \
	{                                                                      \
		SCRIPT_BODY, NULL                                              \
	}
#define STALL                                                                  \
	{                                                                      \
		SCRIPT_STALL, NULL                                             \
	}
#define RESET                                                                  \
	{                                                                      \
		SCRIPT_RESET, NULL                                             \
	}
#define TLS(name)                                                              \
	{                                                                      \
		SCRIPT_TLS, name                                               \
	}

#define OPENING SAY("220 hi"), HEAR("EHLO"), SAY("250 peer")
#define ENVELOPE                                                               \
	HEAR("MAIL FROM:<>"), SAY("250 ok"), HEAR("RCPT TO:<a@b.example>"),    \
	    SAY("250 ok")
#define GOOD                                                                   \
	ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY, SAY("250 queued"),        \
	    HEAR("QUIT"), SAY("221 bye")
#define TLS_OPENING                                                            \
	SAY("220 hi"), HEAR("EHLO"), SAY("250-peer"), SAY("250 STARTTLS"),     \
	    HEAR("STARTTLS")

static const char message[] = "From: c@cloud.test\r\nTo: a@b.example\r\n"
                              "Date: Sat, 21 Nov 2026 08:00:00 +0000\r\n"
                              "Message-ID: <1@cloud.test>\r\n\r\n"
                              "One\r\n..Two\r\n.\r\nThree\r\n";

static const struct row {
	const char *what;
	bool tls;
	struct script_step steps[28];
	enum smarthost_outcome outcome;
	int code;
	const char *enhanced;
} rows[] = {
    {"good", false, {OPENING, GOOD}, SMARTHOST_SENT, 250, ""},
    {"good, HELO",
     false,
     {SAY("220 hi"), HEAR("EHLO"), SAY("502 what"), HEAR("HELO"),
      SAY("250 peer"), GOOD},
     SMARTHOST_SENT,
     250,
     ""},
    {"good, pipelined",
     false,
     {SAY("220 hi"), HEAR("EHLO"), SAY("250-peer"), SAY("250 PIPELINING"),
      HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"), HEAR("DATA"),
      RAW("250 ok\r\n354 go\r\n"), BODY, SAY("250 2.0.0 queued"), HEAR("QUIT"),
      SAY("221 bye")},
     SMARTHOST_SENT,
     250,
     "2.0.0"},
    {"good, gone before QUIT's answer",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY, SAY("250 ok")},
     SMARTHOST_SENT,
     250,
     ""},

    /* RFC 3030: what offers CHUNKING takes DATA as well. */
    {"good, CHUNKING offered",
     false,
     {SAY("220 hi"), HEAR("EHLO"), SAY("250-peer"), SAY("250-CHUNKING"),
      SAY("250 SIZE"), GOOD},
     SMARTHOST_SENT,
     250,
     ""},
    {"CHUNKING in pieces, in small letters, last",
     false,
     {SAY("220 hi"), HEAR("EHLO"), RAW("250-peer CCHUN\r\n250-PIPELI"),
      RAW("NING\r\n250 ch"), RAW("unkin"), RAW("g\r\n"), HEAR("MAIL"),
      SAY("250 ok"), HEAR("RCPT"), HEAR("DATA"), RAW("250 ok\r\n354 go\r\n"),
      BODY, SAY("250 2.0.0 queued"), HEAR("QUIT"), SAY("221 bye")},
     SMARTHOST_SENT,
     250,
     "2.0.0"},
    {"CHUNKING offered, message later",
     false,
     {SAY("220 hi"), HEAR("EHLO"), SAY("250-peer"), SAY("250 CHUNKING"),
      ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY, SAY("451 4.3.0 later")},
     SMARTHOST_DEFERRED,
     451,
     "4.3.0"},
    {"CHUNKING offered, recipient refused",
     false,
     {SAY("220 hi"), HEAR("EHLO"), SAY("250-peer"), SAY("250-PIPELINING"),
      SAY("250 CHUNKING"), HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      HEAR("DATA"), RAW("550 5.1.1 unknown\r\n554 none\r\n")},
     SMARTHOST_REFUSES_RECIPIENT,
     550,
     "5.1.1"},

    {"closes at once", false, {{0}}, SMARTHOST_DEFERRED, 0, ""},
    {"resets at once", false, {RESET}, SMARTHOST_DEFERRED, 0, ""},
    {"greets with 554", false, {SAY("554 no")}, SMARTHOST_REFUSES_US, 554, ""},
    {"greets with 421", false, {SAY("421 busy")}, SMARTHOST_DEFERRED, 421, ""},
    {"is no SMTP server",
     false,
     {SAY("HTTP/1.1 200 OK")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"an endless line",
     false,
     {{SCRIPT_FLOOD, "220"}},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"an endless answer",
     false,
     {{SCRIPT_FLOOD, "220-hi\r\n"}},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"EHLO and HELO refused",
     false,
     {SAY("220 hi"), HEAR("EHLO"), SAY("502 no"), HEAR("HELO"), SAY("550 no")},
     SMARTHOST_REFUSES_US,
     550,
     ""},
    {"drops after EHLO",
     false,
     {SAY("220 hi"), HEAR("EHLO")},
     SMARTHOST_DEFERRED,
     0,
     ""},

    {"sender refused",
     false,
     {OPENING, HEAR("MAIL"), SAY("550 no")},
     SMARTHOST_REFUSES_US,
     550,
     ""},
    {"sender later",
     false,
     {OPENING, HEAR("MAIL"), SAY("451 later")},
     SMARTHOST_DEFERRED,
     451,
     ""},
    {"wants AUTH",
     false,
     {OPENING, HEAR("MAIL"), SAY("530 5.7.0 authenticate")},
     SMARTHOST_REFUSES_US,
     530,
     "5.7.0"},
    {"nobody there",
     false,
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      SAY("550 5.1.1 unknown")},
     SMARTHOST_REFUSES_RECIPIENT,
     550,
     "5.1.1"},
    {"nobody there, 354 all the same",
     false,
     {SAY("220 hi"), HEAR("EHLO"), SAY("250-peer"), SAY("250 PIPELINING"),
      HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"), HEAR("DATA"),
      RAW("550 5.1.1 unknown\r\n354 go\r\n"), HEAR("."), SAY("250 queued")},
     SMARTHOST_REFUSES_RECIPIENT,
     550,
     "5.1.1"},
    {"recipient later",
     false,
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"), SAY("450 4.2.1 x")},
     SMARTHOST_DEFERRED,
     450,
     "4.2.1"},
    {"drops after RCPT",
     false,
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT")},
     SMARTHOST_DEFERRED,
     0,
     ""},

    {"DATA refused",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("554 no")},
     SMARTHOST_REFUSES_MESSAGE,
     554,
     ""},
    {"250 in place of 354",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("250 queued")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"354 and 250 at once",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), RAW("354 go\r\n250 queued\r\n")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"two answers to RCPT",
     false,
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      RAW("250 ok\r\n354 go\r\n")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"all answers in advance",
     false,
     {RAW("220 hi\r\n250 peer\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"drops in the message",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), RESET},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"drops after the dot",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"message refused",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY,
      SAY("550 5.7.1 spam")},
     SMARTHOST_REFUSES_US,
     550,
     "5.7.1"},
    {"message later",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY, SAY("451 later")},
     SMARTHOST_DEFERRED,
     451,
     ""},
    {"half a final answer",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY, RAW("250 o")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"codes that differ",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY,
      RAW("250-ok\r\n550 no\r\n")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"a final 354",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY, SAY("354 more")},
     SMARTHOST_DEFERRED,
     0,
     ""},

    {"too large",
     false,
     {OPENING, HEAR("MAIL"), SAY("552 5.3.4 too large")},
     SMARTHOST_REFUSES_MESSAGE,
     552,
     "5.3.4"},
    {"relaying refused",
     false,
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      SAY("554 5.7.1 <a@b.example>: Relay access denied")},
     SMARTHOST_REFUSES_US,
     554,
     "5.7.1"},
    {"our sender refused",
     false,
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      SAY("550 5.1.8 <c@cloud.test>: Sender address rejected")},
     SMARTHOST_REFUSES_US,
     550,
     "5.1.8"},

    {"stalls at the greeting", false, {STALL}, SMARTHOST_DEFERRED, 0, ""},
    {"stalls at MAIL",
     false,
     {OPENING, HEAR("MAIL"), STALL},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"stalls at DATA",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), STALL},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"stalls after the dot",
     false,
     {OPENING, ENVELOPE, HEAR("DATA"), SAY("354 go"), BODY, STALL},
     SMARTHOST_DEFERRED,
     0,
     ""},

    {"TLS",
     true,
     {TLS_OPENING, SAY("220 go"), TLS("localhost"), HEAR("EHLO"),
      SAY("250 peer"), GOOD},
     SMARTHOST_SENT,
     250,
     ""},
    {"TLS and CHUNKING",
     true,
     {TLS_OPENING, SAY("220 go"), TLS("localhost"), HEAR("EHLO"),
      SAY("250-peer"), SAY("250 CHUNKING"), GOOD},
     SMARTHOST_SENT,
     250,
     ""},
    {"TLS and AUTH",
     true,
     {TLS_OPENING, SAY("220 go"), TLS("localhost"), HEAR("EHLO"),
      SAY("250-peer"), SAY("250 AUTH PLAIN"),
      HEAR("AUTH PLAIN AG1lAGdlaGVpbQ=="), SAY("235 welcome"), GOOD},
     SMARTHOST_SENT,
     250,
     ""},
    {"AUTH refused",
     true,
     {TLS_OPENING, SAY("220 go"), TLS("localhost"), HEAR("EHLO"),
      SAY("250-peer"), SAY("250 AUTH PLAIN"), HEAR("AUTH PLAIN"),
      SAY("535 5.7.8 no"), HEAR("MAIL"), SAY("530 5.7.0 authenticate")},
     SMARTHOST_REFUSES_US,
     530,
     "5.7.0"},
    {"TLS not offered", true, {OPENING}, SMARTHOST_DEFERRED, 0, ""},
    {"TLS refused",
     true,
     {TLS_OPENING, SAY("454 not now")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"TLS with another name",
     true,
     {TLS_OPENING, SAY("220 go"), TLS("other.example"), HEAR("EHLO"),
      SAY("250 peer"), GOOD},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"an answer smuggled in before the handshake",
     true,
     {TLS_OPENING, RAW("220 go\r\n250 injected\r\n"), TLS("localhost"),
      HEAR("EHLO"), SAY("250 peer"), GOOD},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"a whole session smuggled in",
     true,
     {TLS_OPENING,
      RAW("220 go\r\n250 peer\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"),
      TLS("localhost")},
     SMARTHOST_DEFERRED,
     0,
     ""},
    {"no handshake after 220",
     true,
     {TLS_OPENING, SAY("220 go"), STALL},
     SMARTHOST_DEFERRED,
     0,
     ""},
};

static void load(struct cloud_config *config, const struct smtp_script *script,
                 bool tls)
{
	struct error err = {0};
	char *text = mem_format(
	    "store { location = \"/nowhere\" }\n"
	    "challenge { from = \"c@cloud.test\" }\n"
	    "smarthost { address = \"localhost:%u\"; timeout = 1s; %s%s%s }\n",
	    (unsigned)smtp_script_port(script),
	    tls ? "user = me; password = geheim; "
	          "starttls = required; ca_file = \""
	        : "",
	    tls ? smtp_script_ca_file(script) : "", tls ? "\";" : "");

	ck_assert_msg(!cloud_config_load_text("test", text, config, &err), "%s",
	              err.text);
	free(text);
}

static enum smarthost_outcome send_to(const struct smtp_script *script,
                                      bool tls, const char *sender,
                                      const char *recipient,
                                      struct smarthost_reply *reply)
{
	struct smarthost *smarthost = NULL;
	enum smarthost_outcome outcome;
	struct cloud_config config;
	struct error err = {0};

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(crypto_init(), 0);
	load(&config, script, tls);
	ck_assert_msg(!smarthost_new(&smarthost, &config, &err), "%s",
	              err.text);
	outcome = smarthost_send(smarthost, sender, recipient, message,
	                         sizeof(message) - 1, reply);
	smarthost_free(smarthost);
	cloud_config_release(&config);
	return outcome;
}

START_TEST(smarthost_rows)
{
	const struct row *row = &rows[_i];
	struct smtp_script *script = smtp_script_start(row->steps);
	struct smtp_script_report report;
	struct smarthost_reply reply;
	enum smarthost_outcome outcome;
	int64_t start = clock_monotonic_ms();

	outcome = send_to(script, row->tls, "", "a@b.example", &reply);
	smtp_script_stop(script, &report);
	ck_assert_msg(outcome == row->outcome, "%s: outcome %d, %s; heard %s",
	              row->what, (int)outcome, reply.text, report.heard);
	ck_assert_msg(reply.code == row->code, "%s: %d %s", row->what,
	              reply.code, reply.text);
	ck_assert_msg(!strcmp(reply.enhanced, row->enhanced), "%s: %s",
	              row->what, reply.enhanced);
	ck_assert_msg(outcome != SMARTHOST_SENT || report.message_whole,
	              "%s: a message that never came is told as sent",
	              row->what);
	ck_assert_msg(!row->tls || outcome == SMARTHOST_SENT ||
	                  !report.message_whole,
	              "%s: the message went out", row->what);
	ck_assert_msg(reply.text[0], "%s: no text", row->what);
	ck_assert_msg(clock_monotonic_ms() - start < 6000, "%s: too slow",
	              row->what);
}
END_TEST

static const struct {
	const char *sender, *recipient;
} bad_addresses[] = {
    {"", "a@b.example\r\nRCPT TO:<x@y.example>"},
    {"", "a b@example.org"},
    {"", "<a@b.example>"},
    {"", "a>@b.example"},
    {"", "\"a b\"@example.org"},
    {"", "\"a\"@example.org"},
    {"", ""},
    {"", "a"},
    {"", "a@"},
    {"", "@b.example"},
    {"", "a\x01@b.example"},
    {"", "a\x7f@b.example"},
    {"", "\xc3\xa9@b.example"},
    {"a b@c.example", "a@b.example"},
    {"x@y.example>\r\nDATA\r\n", "a@b.example"},
};

START_TEST(unusual_addresses_are_never_sent)
{
	const struct script_step steps[] = {OPENING, GOOD, {SCRIPT_END, NULL}};
	struct smtp_script *script = smtp_script_start(steps);
	struct smtp_script_report report;
	struct smarthost_reply reply;

	ck_assert_int_eq(send_to(script, false, bad_addresses[_i].sender,
	                         bad_addresses[_i].recipient, &reply),
	                 SMARTHOST_REFUSES_MESSAGE);
	smtp_script_stop(script, &report);
	ck_assert(!report.connected);
}
END_TEST

/* While it refuses us it is left alone. */
START_TEST(refusal_of_us_makes_a_pause)
{
	const struct script_step steps[] = {
	    OPENING, HEAR("MAIL"), SAY("550 5.7.1 no"), {SCRIPT_END, NULL}};
	struct smtp_script *script = smtp_script_start(steps);
	struct smtp_script_report report;
	struct smarthost *smarthost = NULL;
	struct smarthost_reply reply;
	struct cloud_config config;
	struct error err = {0};

	ck_assert_int_eq(crypto_init(), 0);
	load(&config, script, false);
	ck_assert_int_eq(smarthost_new(&smarthost, &config, &err), 0);
	ck_assert_int_eq(smarthost_pause_ms(smarthost), 0);
	ck_assert_int_eq(smarthost_send(smarthost, "", "a@b.example", message,
	                                sizeof(message) - 1, &reply),
	                 SMARTHOST_REFUSES_US);
	ck_assert(!reply.others_pass);
	ck_assert_int_gt(smarthost_pause_ms(smarthost), 3000);
	ck_assert_int_le(smarthost_pause_ms(smarthost), 5000);
	smtp_script_stop(script, &report);
	smarthost_free(smarthost);
	cloud_config_release(&config);
}
END_TEST

START_TEST(verp_sender_is_used)
{
	const struct script_step steps[] = {
	    OPENING,        HEAR("MAIL FROM:<bounce+1@b.test>"),
	    SAY("250 ok"),  HEAR("RCPT TO:<a@b.example>"),
	    SAY("250 ok"),  HEAR("DATA"),
	    SAY("354 go"),  BODY,
	    SAY("250 ok"),  HEAR("QUIT"),
	    SAY("221 bye"), {SCRIPT_END, NULL}};
	struct smtp_script *script = smtp_script_start(steps);
	struct smtp_script_report report;
	struct smarthost_reply reply;

	ck_assert_int_eq(
	    send_to(script, false, "bounce+1@b.test", "a@b.example", &reply),
	    SMARTHOST_SENT);
	smtp_script_stop(script, &report);
	ck_assert(!report.off_script);
	ck_assert_ptr_nonnull(strstr(report.heard, "EHLO cloud.test\r\n"));
}
END_TEST

START_TEST(nobody_listens)
{
	const struct script_step steps[] = {{SCRIPT_END, NULL}};
	struct smtp_script *script = smtp_script_start(steps);
	struct smtp_script_report report;
	struct smarthost_reply reply;
	struct smarthost *smarthost = NULL;
	struct cloud_config config;
	struct error err = {0};

	ck_assert_int_eq(crypto_init(), 0);
	load(&config, script, false);
	smtp_script_stop(script, &report);
	ck_assert_int_eq(smarthost_new(&smarthost, &config, &err), 0);
	ck_assert_int_eq(smarthost_send(smarthost, "", "a@b.example", message,
	                                sizeof(message) - 1, &reply),
	                 SMARTHOST_DEFERRED);
	ck_assert_ptr_nonnull(strstr(reply.text, "refused"));
	smarthost_free(smarthost);
	cloud_config_release(&config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-smarthost");
	TCase *hostile = tcase_create("hostile");
	TCase *own = tcase_create("own");

	tcase_set_timeout(hostile, 30);
	tcase_add_loop_test(hostile, smarthost_rows, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_loop_test(
	    own, unusual_addresses_are_never_sent, 0,
	    (int)(sizeof(bad_addresses) / sizeof(bad_addresses[0])));
	tcase_add_test(own, refusal_of_us_makes_a_pause);
	tcase_add_test(own, verp_sender_is_used);
	tcase_add_test(own, nobody_listens);
	suite_add_tcase(suite, hostile);
	suite_add_tcase(suite, own);
	return suite_main(suite, NULL);
}
