/* The cases of dead senders, played against the cloud without its daemon. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/mail/bounce.h"
#include "cloud-service/decide/settle.h"
#include "cloud-service/challenge/gate.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/condition.h"
#include "common/mem.h"
#include "tests/support/cases.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"

static struct cloud_fixture fixture;
static struct id other_tenant;

/* Registers a mail with a pass; the caller releases it. */
static struct registry_message write_to(const struct id *tenant,
                                        const char *sender)
{
	struct registry_message message = cloud_fixture_message(
	    tenant, sender,
	    id_equal(tenant, &other_tenant) ? "bob@beta.test"
	                                    : "bob@acme.test");

	(void)cloud_fixture_register(&fixture, &message);
	return message;
}

static struct registry_challenge read_challenge(const struct id *id)
{
	struct registry_challenge challenge;
	struct error err = {0};

	ck_assert_msg(!registry_challenge_read(fixture.cloud.registry, id,
	                                       &challenge, &err),
	              "%s", err.text);
	return challenge;
}

static void solve(const struct id *id)
{
	struct registry_challenge challenge;
	struct error err = {0};

	ck_assert_int_eq(registry_challenge_solve(fixture.cloud.registry, id, 0,
	                                          clock_wall_ms(), &err),
	                 0);
	challenge = read_challenge(id);
	ck_assert_int_eq(
	    settle_challenge(fixture.cloud.settler, &challenge, &err), 0);
	registry_challenge_release(&challenge);
}

static bool is_dead(const char *sender)
{
	uint8_t hash[CRYPTO_HASH_SIZE];

	challenge_sender_hash(fixture.cloud.sender_key, sender, hash);
	return cloud_fixture_is_dead(&fixture, hash);
}

static void append_filled(struct buffer *mail, const char *text,
                          const char *sender)
{
	const char *at;

	while ((at = strstr(text, "{sender}"))) {
		(void)buffer_append(mail, text, (size_t)(at - text));
		(void)buffer_append_text(mail, sender);
		text = at + strlen("{sender}");
	}
	(void)buffer_append_text(mail, text);
}

static void bounce(const struct id *challenge, const char *name,
                   const char *sender)
{
	char line[2000];
	struct buffer mail;
	struct error err = {0};
	FILE *file = fopen(name, "r");

	ck_assert_msg(file != NULL, "%s", name);
	buffer_init(&mail, 100000);
	while (fgets(line, sizeof(line), file))
		append_filled(&mail, line, sender);
	(void)fclose(file);
	ck_assert_msg(!bounce_apply(fixture.cloud.registry, challenge,
	                            mail.data, mail.length, &err),
	              "%s", err.text);
	buffer_release(&mail);
}

/* A control of "5.1.1" for the cases that are told in steps. */
static const char report[] =
    "Content-Type: multipart/report; report-type=delivery-status;"
    " boundary=q\r\n\r\n--q\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; {sender}\r\n"
    "Action: failed\r\nStatus: 5.1.1\r\n\r\n--q--\r\n";

static void mark_and_write(const struct id *challenge, const char *sender)
{
	struct registry_message again;
	struct buffer mail;
	struct error err = {0};

	buffer_init(&mail, 100000);
	append_filled(&mail, report, sender);
	ck_assert_int_eq(bounce_apply(fixture.cloud.registry, challenge,
	                              mail.data, mail.length, &err),
	                 0);
	ck_assert(is_dead(sender));
	buffer_release(&mail);
	/* The next mail comes later than the mark. */
	condition_move_clock_ms(2);
	again = write_to(&fixture.tenant, sender);
	registry_message_release(&again);
}

static void play(const json_t *item, void *context)
{
	const char *id = case_text(item, "id", NULL);
	const char *eml = case_text(item, "in", "bounce", "eml", NULL);
	const char *elsewhere =
	    case_text(item, "right", "at_another_tenant", NULL);
	const json_t *right = json_object_get(item, "right");
	const json_t *before = json_object_get(item, "before");
	char *sender = mem_format("%s@stranger.example", id);
	struct registry_message first = write_to(&fixture.tenant, sender);
	struct registry_message other;
	struct registry_challenge challenge;

	(void)context;
	ck_assert(!id_is_none(&first.challenge));
	if (json_object_get(before, "solved"))
		solve(&first.challenge);
	if (*eml) {
		char *name = mem_format("%s/%s", cases_folder(), eml);

		bounce(&first.challenge, name, sender);
		free(name);
	} else {
		mark_and_write(&first.challenge, sender);
	}
	ck_assert_msg(is_dead(sender) ==
	                  json_is_true(json_object_get(right, "marked_dead")),
	              "%s", id);
	challenge = read_challenge(&first.challenge);
	if (!strcmp(case_text(item, "right", "challenge", NULL), "open"))
		ck_assert_msg(challenge.state == CHALLENGE_STATE_OPEN, "%s",
		              id);
	other = write_to(&other_tenant, sender);
	if (*elsewhere)
		ck_assert_msg(!strcmp(other.challenge_reason, "dead-sender") ==
		                  !strcmp(elsewhere, "dead-sender"),
		              "%s: %s", id, other.challenge_reason);
	registry_challenge_release(&challenge);
	registry_message_release(&other);
	registry_message_release(&first);
	free(sender);
}

START_TEST(cases)
{
	cloud_fixture_open(&fixture, NULL);
	memset(fixture.config.cap_hour, 0, sizeof(fixture.config.cap_hour));
	memset(fixture.config.cap_day, 0, sizeof(fixture.config.cap_day));
	other_tenant = cloud_fixture_tenant(&fixture, "beta", "beta.test");
	(void)cases_each("dead-sender", play, NULL);
	cloud_fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-cases-dead-sender");
	TCase *tcase = tcase_create("cases");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, cases);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
