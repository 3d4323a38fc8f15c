/* Sending challenge mails: claims, outcomes, backoff. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/mail/leases.h"
#include "cloud-service/mail/worker.h"
#include "cloud-service/decide/settle.h"
#include "cloud-service/mail/smarthost.h"
#include "common/clock.h"
#include "common/condition.h"
#include "common/mem.h"
#include "tests/support/await.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/smtp-script.h"
#include "tests/support/suite.h"

#define SAY(text)                                                              \
	{                                                                      \
		SCRIPT_SAY, text "\r\n"                                        \
	}
#define HEAR(text)                                                             \
	{                                                                      \
		SCRIPT_HEAR, text                                              \
	}
#define OPENING SAY("220 hi"), HEAR("EHLO"), SAY("250 peer")

static const struct row {
	const char *what;
	struct script_step steps[16];
	int64_t attempts_allowed;
	enum registry_mail_state mail;
	enum registry_challenge_state state;
	bool dead;
	int64_t attempts;
	const char *end_reason;
} rows[] = {
    {"sent",
     {OPENING,
      HEAR("MAIL FROM:<bounce+"),
      SAY("250 ok"),
      HEAR("RCPT TO:<person@example.org>"),
      SAY("250 ok"),
      HEAR("DATA"),
      SAY("354 go"),
      {SCRIPT_BODY, NULL},
      SAY("250 queued")},
     8,
     MAIL_STATE_SENT,
     CHALLENGE_STATE_OPEN,
     false,
     1,
     ""},
    {"deferred",
     {OPENING, HEAR("MAIL"), SAY("451 later")},
     8,
     MAIL_STATE_PENDING,
     CHALLENGE_STATE_OPEN,
     false,
     1,
     ""},
    {"given up",
     {OPENING, HEAR("MAIL"), SAY("451 later")},
     1,
     MAIL_STATE_FAILED,
     CHALLENGE_STATE_EXPIRED,
     false,
     1,
     "451 later"},
    {"refuses us",
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      SAY("550 5.7.1 policy")},
     1,
     MAIL_STATE_PENDING,
     CHALLENGE_STATE_OPEN,
     false,
     0,
     ""},
    {"recipient refused",
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      SAY("550 5.2.1 disabled")},
     8,
     MAIL_STATE_FAILED,
     CHALLENGE_STATE_BOUNCED,
     false,
     1,
     "550 5.2.1 disabled"},
    {"message refused",
     {OPENING, HEAR("MAIL"), SAY("552 5.3.4 too large")},
     8,
     MAIL_STATE_FAILED,
     CHALLENGE_STATE_EXPIRED,
     false,
     1,
     "552 5.3.4 too large"},
    {"nobody there",
     {OPENING, HEAR("MAIL"), SAY("250 ok"), HEAR("RCPT"),
      SAY("550 5.1.1 unknown")},
     8,
     MAIL_STATE_FAILED,
     CHALLENGE_STATE_BOUNCED,
     true,
     1,
     "550 5.1.1 unknown"},
    {"away", {{0}}, 8, MAIL_STATE_PENDING, CHALLENGE_STATE_OPEN, false, 1, ""},
};

static struct cloud_fixture fixture;

static void open_with(const struct smtp_script *script, int64_t attempts)
{
	char *more = mem_format(
	    "smarthost { address = \"127.0.0.1:%u\"; timeout = 2s }\n"
	    "challenge { return_path = verp; bounce_domain = \"b.test\";\n"
	    "mail_attempts = %d }\n",
	    (unsigned)smtp_script_port(script), (int)attempts);

	signal(SIGPIPE, SIG_IGN);
	cloud_fixture_open(&fixture, more);
	free(more);
}

static void challenge_person(void)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");

	(void)cloud_fixture_register(&fixture, &message);
	registry_message_release(&message);
}

static bool step(struct smarthost *smarthost, struct mail_leases *leases)
{
	struct error err = {0};
	bool worked;

	ck_assert_msg(!mail_worker_step(fixture.cloud.mail_options, smarthost,
	                                leases, "test", &worked, &err),
	              "%s", err.text);
	return worked;
}

static struct mail_leases *start_leases(int64_t lease_ms)
{
	struct mail_leases *leases = NULL;
	struct error err = {0};

	ck_assert_msg(
	    !mail_leases_start(&leases, fixture.cloud.registry, lease_ms, &err),
	    "%s", err.text);
	return leases;
}

START_TEST(outcomes)
{
	const struct row *row = &rows[_i];
	struct smtp_script *script = smtp_script_start(row->steps);
	struct registry_challenge challenge;
	struct smtp_script_report report;
	struct smarthost *smarthost = NULL;
	struct mail_leases *leases = NULL;
	struct error err = {0};

	open_with(script, row->attempts_allowed);
	leases = start_leases(MAIL_LEASE_MS);
	ck_assert_int_eq(smarthost_new(&smarthost, &fixture.config, &err), 0);
	ck_assert(!step(smarthost, leases));
	challenge_person();
	ck_assert(step(smarthost, leases));
	ck_assert(!step(smarthost, leases));
	smtp_script_stop(script, &report);
	challenge = cloud_fixture_challenge(&fixture, row->state);
	ck_assert_msg(challenge.mail == row->mail, "%s: %d, %s", row->what,
	              (int)challenge.mail, challenge.mail_reply);
	ck_assert_int_eq(challenge.mail_attempts, row->attempts);
	ck_assert_msg(*challenge.mail_reply, "%s: no reply", row->what);
	ck_assert_str_eq(challenge.end_reason, row->end_reason);
	if (row->mail == MAIL_STATE_PENDING && row->attempts)
		ck_assert_int_gt(challenge.mail_next_ms,
		                 clock_wall_ms() + 50000);
	ck_assert_int_eq(cloud_fixture_is_dead(&fixture, challenge.sender_hash),
	                 row->dead);
	ck_assert_int_eq(report.message_whole, row->mail == MAIL_STATE_SENT);
	registry_challenge_release(&challenge);
	mail_leases_stop(leases);
	smarthost_free(smarthost);
	cloud_fixture_close(&fixture);
}
END_TEST

/* How many mails owner could claim now. */
static size_t claim(const char *owner, int64_t lease_ms, struct id *id)
{
	struct registry_challenges page = {0};
	struct error err = {0};
	size_t count;

	ck_assert_msg(!registry_challenge_claim_mail(fixture.cloud.registry,
	                                             owner, clock_wall_ms(),
	                                             lease_ms, 10, &page, &err),
	              "%s", err.text);
	count = page.count;
	if (count)
		*id = page.challenges[0].id;
	registry_challenges_release(&page);
	return count;
}

#define LEASE_MS 40000

/* Whether the challenge's mail is claimed for LEASE_MS and no shorter. */
static bool is_claimed_anew(void)
{
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	int64_t left_ms = challenge.mail_lease_ms - clock_wall_ms();

	registry_challenge_release(&challenge);
	return left_ms > LEASE_MS - LEASE_MS / 3;
}

/* What is kept stays one's own beyond the lease, what is dropped does not. */
START_TEST(leases_are_prolonged)
{
	struct mail_leases *leases;
	struct mail_lease lease = {.owner = "one"};
	struct mail_lease lost = {.challenge = id_new(), .owner = "one"};
	struct id id;

	cloud_fixture_open(&fixture, NULL);
	challenge_person();
	ck_assert_uint_eq(claim("one", LEASE_MS, &lease.challenge), 1);
	leases = start_leases(LEASE_MS);
	ck_assert(mail_leases_keep(leases, &lost));
	ck_assert(mail_leases_keep(leases, &lease));
	for (int i = 0; i < 8; i++) {
		condition_move_clock_ms(LEASE_MS / 2);
		await(is_claimed_anew());
		ck_assert_uint_eq(claim("two", LEASE_MS, &id), 0);
	}
	mail_leases_drop(leases, &lease);
	mail_leases_drop(leases, &lost);
	condition_move_clock_ms(LEASE_MS + 1);
	ck_assert_uint_eq(claim("two", LEASE_MS, &id), 1);
	ck_assert(id_equal(&id, &lease.challenge));
	mail_leases_stop(leases);
	cloud_fixture_close(&fixture);
}
END_TEST

/* At a stop, a mail that was claimed and not begun is another's at once. */
START_TEST(what_is_not_begun_is_given_back)
{
	struct smtp_script *script = smtp_script_start(rows[0].steps);
	struct smtp_script_report report;
	struct smarthost *smarthost = NULL;
	struct mail_leases *leases;
	struct error err = {0};
	struct id id;

	open_with(script, 8);
	ck_assert_int_eq(smarthost_new(&smarthost, &fixture.config, &err), 0);
	leases = start_leases(MAIL_LEASE_MS);
	challenge_person();
	mail_leases_close(leases);
	ck_assert(step(smarthost, leases));
	ck_assert_uint_eq(claim("two", 1000, &id), 1);
	smtp_script_stop(script, &report);
	ck_assert(!report.message_whole);
	mail_leases_stop(leases);
	smarthost_free(smarthost);
	cloud_fixture_close(&fixture);
}
END_TEST

/*
 * A registration that opens a challenge behind another of its sender that was
 * solved meanwhile: no mail while that one is being settled, and none once what
 * was held is released.
 */
START_TEST(no_mail_for_what_another_solution_releases)
{
	struct smtp_script *script = smtp_script_start(rows[0].steps);
	struct smtp_script_report report;
	struct registry_challenge solved, second;
	struct smarthost *smarthost = NULL;
	struct mail_leases *leases;
	struct error err = {0};
	struct id id;

	open_with(script, 8);
	ck_assert_int_eq(smarthost_new(&smarthost, &fixture.config, &err), 0);
	leases = start_leases(MAIL_LEASE_MS);
	challenge_person();
	ck_assert_uint_eq(claim("one", 60000, &id), 1);
	ck_assert_int_eq(registry_challenge_solve(fixture.cloud.registry, &id,
	                                          0, clock_wall_ms(), &err),
	                 0);
	challenge_person();
	ck_assert(step(smarthost, leases));
	second = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	ck_assert_int_eq(second.mail, MAIL_STATE_PENDING);
	ck_assert(!id_equal(&second.id, &id));
	solved = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_SOLVED);
	ck_assert_msg(!settle_challenge(fixture.cloud.settler, &solved, &err),
	              "%s", err.text);
	if (clock_wall_ms() <= second.mail_next_ms)
		condition_move_clock_ms(second.mail_next_ms + 1 -
		                        clock_wall_ms());
	ck_assert(step(smarthost, leases));
	registry_challenge_release(&second);
	second = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_EXPIRED);
	ck_assert_int_eq(second.mail, MAIL_STATE_FAILED);
	smtp_script_stop(script, &report);
	ck_assert(!report.message_whole);
	registry_challenge_release(&second);
	registry_challenge_release(&solved);
	mail_leases_stop(leases);
	smarthost_free(smarthost);
	cloud_fixture_close(&fixture);
}
END_TEST

/* The message that opened it is released, but another waits for it too. */
START_TEST(mail_for_what_joined)
{
	struct smtp_script *script = smtp_script_start(rows[0].steps);
	struct smtp_script_report report;
	struct registry_challenge challenge;
	struct smarthost *smarthost = NULL;
	struct mail_leases *leases;
	struct registry_decision decision = {.recipient =
	                                         (char *)"bob@acme.test",
	                                     .verdict = REGISTRY_RELEASE,
	                                     .by = (char *)"admin",
	                                     .why = (char *)"",
	                                     .decided_ms = clock_wall_ms()};
	struct error err = {0};

	open_with(script, 8);
	ck_assert_int_eq(smarthost_new(&smarthost, &fixture.config, &err), 0);
	leases = start_leases(MAIL_LEASE_MS);
	challenge_person();
	challenge_person();
	challenge = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	decision.message = challenge.message;
	ck_assert_int_eq(registry_decide(fixture.cloud.registry,
	                                 &fixture.tenant, &decision, &err),
	                 0);
	ck_assert(step(smarthost, leases));
	smtp_script_stop(script, &report);
	ck_assert(report.message_whole);
	registry_challenge_release(&challenge);
	mail_leases_stop(leases);
	smarthost_free(smarthost);
	cloud_fixture_close(&fixture);
}
END_TEST

START_TEST(backoff_doubles_up_to_its_limit)
{
	struct cloud_config config = {.mail_retry_min_ms = 1000,
	                              .mail_retry_max_ms = 10000};

	ck_assert_int_eq(mail_worker_backoff_ms(&config, 1), 1000);
	ck_assert_int_eq(mail_worker_backoff_ms(&config, 2), 2000);
	ck_assert_int_eq(mail_worker_backoff_ms(&config, 4), 8000);
	ck_assert_int_eq(mail_worker_backoff_ms(&config, 5), 10000);
	ck_assert_int_eq(mail_worker_backoff_ms(&config, 1000000), 10000);
}
END_TEST

/* The threads send it without being asked twice, and stop. */
static bool is_sent(void)
{
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	bool sent = challenge.mail == MAIL_STATE_SENT;

	registry_challenge_release(&challenge);
	return sent;
}

START_TEST(threads_send)
{
	struct smtp_script *script = smtp_script_start(rows[0].steps);
	struct smtp_script_report report;
	struct error err = {0};

	open_with(script, 8);
	ck_assert_int_eq(mail_worker_start(&fixture.cloud.mail_worker,
	                                   fixture.cloud.mail_options, &err),
	                 0);
	challenge_person();
	await(is_sent());
	smtp_script_stop(script, &report);
	ck_assert(report.message_whole);
	cloud_fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-mail-worker");
	TCase *tcase = tcase_create("worker");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, outcomes, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tcase, no_mail_for_what_another_solution_releases);
	tcase_add_test(tcase, mail_for_what_joined);
	tcase_add_test(tcase, backoff_doubles_up_to_its_limit);
	tcase_add_test(tcase, threads_send);
	tcase_add_test(tcase, leases_are_prolonged);
	tcase_add_test(tcase, what_is_not_begun_is_given_back);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
