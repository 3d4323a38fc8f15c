/* Registration: lists, challenges, and repeating after any failure. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/challenge/gate.h"
#include "cloud-service/decide/register.h"
#include "cloud-service/challenge/token.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/registry-one.h"
#include "tests/support/suite.h"

static struct cloud_fixture fixture;

static void set_up(void)
{
	cloud_fixture_open(&fixture, NULL);
}

static void tear_down(void)
{
	cloud_fixture_close(&fixture);
}

static enum register_status register_it(struct registry_message *message)
{
	return cloud_fixture_register(&fixture, message);
}

static struct registry_message copy_of(const struct registry_message *message)
{
	struct registry_message copy = cloud_fixture_message(
	    &message->tenant, message->sender, message->recipients[0].address);

	copy.id = message->id;
	return copy;
}

/* Why no challenge is sent; NULL: one is opened. */
static const struct reason_row {
	const char *sender;
	const char *given_reason; /* the agent's */
	enum auth_result spf, dmarc;
	const char *reason;
} reason_rows[] = {
    {"person@example.org", "", AUTH_PASS, AUTH_NONE, NULL},
    {"person@example.org", "", AUTH_PASS, AUTH_PASS, NULL},
    /* no statement of the MX: the agent's own affair */
    {"person@example.org", "", AUTH_NONE, AUTH_NONE, NULL},
    {"", "", AUTH_PASS, AUTH_NONE, "null-sender"},
    {"mailer-daemon@example.org", "", AUTH_PASS, AUTH_NONE, "null-sender"},
    {"postmaster@example.org", "", AUTH_PASS, AUTH_NONE, "null-sender"},
    /* Odd, and an address all the same; then what nobody can write to. */
    {"ann..bee@outside.example", "", AUTH_PASS, AUTH_NONE, NULL},
    {"\"a b\"@outside.example", "", AUTH_PASS, AUTH_NONE, NULL},
    {"v\xc3\xa9@outside.example", "", AUTH_PASS, AUTH_NONE,
     "unwritable-sender"},
    {"noreply@example.org", "", AUTH_PASS, AUTH_NONE, "role-sender"},
    {"no-reply@example.org", "", AUTH_PASS, AUTH_NONE, "role-sender"},
    {"bounce+1@example.org", "", AUTH_PASS, AUTH_NONE, "role-sender"},
    {"person@example.org", "", AUTH_FAIL, AUTH_NONE, "unauthenticated"},
    {"person@example.org", "", AUTH_PASS, AUTH_FAIL, "unauthenticated"},
    {"boss@acme.test", "", AUTH_PASS, AUTH_PASS, "own-domain"},
    {"person@example.org", "list", AUTH_PASS, AUTH_PASS, "list"},
    {"person@example.org", "of-the-future", AUTH_PASS, AUTH_PASS,
     "of-the-future"},
};

START_TEST(opens_only_where_allowed)
{
	const struct reason_row *row = &reason_rows[_i];
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, row->sender, "bob@acme.test");

	free(message.challenge_reason);
	message.challenge_reason = mem_copy_string(row->given_reason);
	message.auth.spf = row->spf;
	message.auth.dmarc = row->dmarc;
	ck_assert_int_eq(register_it(&message), REGISTER_NEW);
	ck_assert_int_eq(message.recipients[0].state, REGISTRY_HELD);
	ck_assert_str_eq(message.challenge_reason,
	                 row->reason ? row->reason : "");
	ck_assert_int_eq(id_is_none(&message.challenge), row->reason != NULL);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN),
	    row->reason ? 0 : 1);
	registry_message_release(&message);
}
END_TEST

START_TEST(challenge_is_well_made)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "prvs=1234567890=Person@Example.ORG",
	    "bob@acme.test");
	struct registry_challenge challenge;
	char text[TOKEN_TEXT_SIZE];
	uint8_t hash[CRYPTO_HASH_SIZE];

	register_it(&message);
	challenge = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	/* It goes to the address as given: that one is authenticated. */
	ck_assert_str_eq(challenge.sender,
	                 "prvs=1234567890=Person@Example.ORG");
	challenge_sender_hash(fixture.cloud.sender_key, "person@example.org",
	                      hash);
	ck_assert_mem_eq(challenge.sender_hash, hash, sizeof(hash));
	token_make(fixture.cloud.token_key, TOKEN_CHALLENGE, &challenge.id,
	           challenge.expires_ms, text, hash);
	ck_assert_mem_eq(challenge.token_hash, hash, sizeof(hash));
	ck_assert_uint_eq(strlen(challenge.code), 6);
	ck_assert_int_eq(challenge.mail, MAIL_STATE_PENDING);
	ck_assert(id_equal(&challenge.id, &message.challenge));
	registry_challenge_release(&challenge);
	registry_message_release(&message);
}
END_TEST

START_TEST(lists_decide_first)
{
	static const struct {
		enum entry_colour colour;
		enum registry_state state;
	} rows[] = {{ENTRY_WHITE, REGISTRY_RELEASED},
	            {ENTRY_BLACK, REGISTRY_DISCARDED}};
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "friend@example.org", "bob@acme.test");

	cloud_fixture_entry(&fixture, &fixture.tenant, rows[_i].colour,
	                    "friend@example.org");
	register_it(&message);
	ck_assert_int_eq(message.recipients[0].state, rows[_i].state);
	ck_assert_str_eq(message.recipients[0].by, "list");
	ck_assert_int_eq(
	    cloud_fixture_state(&fixture, &fixture.tenant, &message.id),
	    rows[_i].state);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 0);
	registry_message_release(&message);
}
END_TEST

START_TEST(white_entry_is_no_door_for_a_forger)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "friend@example.org", "bob@acme.test");

	cloud_fixture_entry(&fixture, &fixture.tenant, ENTRY_WHITE,
	                    "friend@example.org");
	message.auth.spf = AUTH_FAIL;
	register_it(&message);
	ck_assert_int_eq(message.recipients[0].state, REGISTRY_HELD);
	ck_assert_str_eq(message.challenge_reason, "unauthenticated");
	registry_message_release(&message);
}
END_TEST

START_TEST(second_message_joins_the_open_challenge)
{
	struct id other = cloud_fixture_tenant(&fixture, "other", "other.test");
	struct registry_message first = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");
	struct registry_message second = cloud_fixture_message(
	    &fixture.tenant, "PERSON@example.org", "eve@acme.test");
	struct registry_message foreign =
	    cloud_fixture_message(&other, "person@example.org", "x@other.test");

	register_it(&first);
	register_it(&second);
	register_it(&foreign);
	ck_assert_str_eq(first.challenge_reason, "");
	ck_assert_str_eq(second.challenge_reason, "open-challenge");
	ck_assert_str_eq(foreign.challenge_reason, "open-challenge");
	ck_assert(id_equal(&first.challenge, &second.challenge));
	ck_assert(id_equal(&first.challenge, &foreign.challenge));
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
	registry_message_release(&first);
	registry_message_release(&second);
	registry_message_release(&foreign);
}
END_TEST

/* More than are written at once; each kind of sender once in a round. */
#define BATCH 150

static const struct {
	const char *sender; /* "#" is the round's number */
	const char *reason;
	bool is_released, joins;
} batch_rows[] = {
    {"new#@example.org", "", false, true},
    {"new#@example.org", "open-challenge", false, true},
    {"same@example.org", "open-challenge", false, true},
    {"noreply#@example.org", "role-sender", false, false},
    {"friend@example.org", "", true, false},
};
#define BATCH_ROWS (sizeof(batch_rows) / sizeof(*batch_rows))

static void make_batch(struct registry_message *messages)
{
	for (size_t i = 0; i < BATCH; i++) {
		const char *pattern = batch_rows[i % BATCH_ROWS].sender;
		const char *at = strchr(pattern, '#');
		char *sender = at ? mem_format("%.*s%zu%s", (int)(at - pattern),
		                               pattern, i / BATCH_ROWS, at + 1)
		                  : mem_copy_string(pattern);

		messages[i] = cloud_fixture_message(&fixture.tenant, sender,
		                                    "bob@acme.test");
		free(sender);
	}
}

static void register_batch(struct registry_message *messages,
                           enum register_status wanted)
{
	struct tenant_domains domains = {0};
	enum register_status statuses[BATCH];
	struct error err = {0};

	ck_assert(!tenant_domains_load(&domains, fixture.cloud.registry,
	                               &fixture.tenant, &err));
	ck_assert_msg(!register_messages(&fixture.cloud, &domains, messages,
	                                 BATCH, statuses, &err),
	              "%s", err.text);
	tenant_domains_release(&domains);
	for (size_t i = 0; i < BATCH; i++)
		ck_assert_int_eq(statuses[i], wanted);
}

static void check_batch(const struct registry_message *messages)
{
	for (size_t i = 0; i < BATCH; i++) {
		const struct registry_message *message = &messages[i];
		const char *reason = batch_rows[i % BATCH_ROWS].reason;

		/* The first of them opened it. */
		if (i < BATCH_ROWS && i % BATCH_ROWS == 2)
			reason = "";
		ck_assert_msg(!strcmp(message->challenge_reason, reason),
		              "%zu: %s", i, message->challenge_reason);
		ck_assert(id_is_none(&message->challenge) !=
		          batch_rows[i % BATCH_ROWS].joins);
		ck_assert_int_eq(message->recipients[0].state,
		                 batch_rows[i % BATCH_ROWS].is_released
		                     ? REGISTRY_RELEASED
		                     : REGISTRY_HELD);
	}
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN),
	    BATCH / BATCH_ROWS + 1);
}

/* Each message of a batch comes to what it would come to alone, and so it does
 * when the batch is repeated after a crash that came between any steps. */
START_TEST(batch_is_registered)
{
	struct registry_message messages[BATCH], again[BATCH];
	struct registry_attachment lost[BATCH];
	struct error err = {0};

	memset(fixture.config.cap_hour, 0, sizeof(fixture.config.cap_hour));
	memset(fixture.config.cap_day, 0, sizeof(fixture.config.cap_day));
	cloud_fixture_entry(&fixture, &fixture.tenant, ENTRY_WHITE,
	                    "friend@example.org");
	make_batch(messages);
	register_batch(messages, REGISTER_NEW);
	check_batch(messages);
	for (size_t i = 0; i < BATCH; i++) {
		again[i] = copy_of(&messages[i]);
		lost[i] = (struct registry_attachment){
		    .message = messages[i].id, .reason = ""};
	}
	ck_assert(!registry_message_attach(
	    fixture.cloud.registry, &fixture.tenant, lost, BATCH / 2, &err));
	register_batch(again, REGISTER_KNOWN);
	check_batch(again);
	for (size_t i = 0; i < BATCH; i++) {
		registry_message_release(&messages[i]);
		registry_message_release(&again[i]);
	}
}
END_TEST

START_TEST(registering_again_changes_nothing)
{
	struct registry_message first = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");
	struct registry_message again = copy_of(&first);
	struct registry_message third = copy_of(&first);

	ck_assert_int_eq(register_it(&first), REGISTER_NEW);
	ck_assert_int_eq(register_it(&again), REGISTER_KNOWN);
	cloud_fixture_reopen(&fixture);
	ck_assert_int_eq(register_it(&third), REGISTER_KNOWN);
	ck_assert_str_eq(third.challenge_reason, "");
	ck_assert(id_equal(&first.challenge, &third.challenge));
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
	registry_message_release(&first);
	registry_message_release(&again);
	registry_message_release(&third);
}
END_TEST

START_TEST(another_tenants_id_is_refused)
{
	struct id other = cloud_fixture_tenant(&fixture, "other", "other.test");
	struct registry_message first = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");
	struct registry_message theft =
	    cloud_fixture_message(&other, "x@example.org", "x@other.test");

	theft.id = first.id;
	register_it(&first);
	ck_assert_int_eq(register_it(&theft), REGISTER_REFUSED);
	ck_assert_str_eq(theft.sender, "x@example.org");
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
	registry_message_release(&first);
	registry_message_release(&theft);
}
END_TEST

/* Stores the message alone, as a crash right after would leave it. */
static void store_only(const struct registry_message *message)
{
	struct error err = {0};
	int result = -1;

	ck_assert_msg(!registry_message_add(fixture.cloud.registry, message, 1,
	                                    &result, &err),
	              "%s", err.text);
	ck_assert_int_eq(result, 0);
}

START_TEST(crash_after_storing_is_mended)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");

	store_only(&message);
	cloud_fixture_reopen(&fixture);
	ck_assert_int_eq(register_it(&message), REGISTER_KNOWN);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
	ck_assert(!id_is_none(&message.challenge));
	registry_message_release(&message);
}
END_TEST

/* Takes the message off its challenge, as a crash between opening and
 * attaching would leave it. */
static void detach(const struct registry_message *message)
{
	const struct id none = {{0}};
	struct error err = {0};

	ck_assert_msg(!attach_one(fixture.cloud.registry, &message->tenant,
	                          &message->id, &none, "", &err),
	              "%s", err.text);
}

START_TEST(crash_after_opening_is_mended)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");
	struct registry_message again = copy_of(&message);

	register_it(&message);
	detach(&message);
	ck_assert_int_eq(register_it(&again), REGISTER_KNOWN);
	/* It is the message that opened it, not one that joined. */
	ck_assert_str_eq(again.challenge_reason, "");
	ck_assert(id_equal(&again.challenge, &message.challenge));
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
	registry_message_release(&message);
	registry_message_release(&again);
}
END_TEST

static void move(const struct id *challenge, enum registry_challenge_state from,
                 enum registry_challenge_state to)
{
	struct error err = {0};

	ck_assert_msg(!registry_challenge_move(fixture.cloud.registry,
	                                       challenge, from, to,
	                                       clock_wall_ms(), &err),
	              "%s", err.text);
}

/* The challenge was solved and settled while the message was being attached:
 * whoever settled it did not see it. */
START_TEST(late_message_takes_the_solution)
{
	struct id other = cloud_fixture_tenant(&fixture, "other", "other.test");
	struct registry_message first = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");
	struct registry_message late =
	    cloud_fixture_message(&other, "person@example.org", "x@other.test");
	struct registry_message again = copy_of(&late);

	register_it(&first);
	register_it(&late);
	move(&first.challenge, CHALLENGE_STATE_OPEN, CHALLENGE_STATE_SOLVED);
	if (_i)
		move(&first.challenge, CHALLENGE_STATE_SOLVED,
		     CHALLENGE_STATE_SETTLED);
	register_it(&again);
	ck_assert_int_eq(again.recipients[0].state, REGISTRY_RELEASED);
	ck_assert_str_eq(again.recipients[0].by, "captcha");
	/* The other tenant's mail is his own affair. */
	ck_assert_int_eq(
	    cloud_fixture_state(&fixture, &fixture.tenant, &first.id),
	    REGISTRY_HELD);
	registry_message_release(&first);
	registry_message_release(&late);
	registry_message_release(&again);
}
END_TEST

START_TEST(after_an_expired_challenge_comes_another)
{
	struct registry_message first = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");
	struct registry_message again = copy_of(&first);
	struct registry_message second = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");

	register_it(&first);
	move(&first.challenge, CHALLENGE_STATE_OPEN, CHALLENGE_STATE_EXPIRED);
	/* Not for the same message: it had its mail. */
	register_it(&again);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 0);
	register_it(&second);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
	ck_assert(!id_equal(&first.challenge, &second.challenge));
	registry_message_release(&first);
	registry_message_release(&again);
	registry_message_release(&second);
}
END_TEST

START_TEST(dead_sender_is_left_alone)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "gone@example.org", "bob@acme.test");
	struct registry_dead_sender dead = {.marked_ms = clock_wall_ms()};
	struct error err = {0};

	challenge_sender_hash(fixture.cloud.sender_key, "gone@example.org",
	                      dead.hash);
	ck_assert_int_eq(
	    registry_sender_mark(fixture.cloud.registry, &dead, &err), 0);
	register_it(&message);
	ck_assert_str_eq(message.challenge_reason, "dead-sender");
	ck_assert(id_is_none(&message.challenge));
	registry_message_release(&message);
}
END_TEST

START_TEST(kill_switch_opens_none)
{
	struct registry_message message = cloud_fixture_message(
	    &fixture.tenant, "person@example.org", "bob@acme.test");

	fixture.config.challenge_enabled = false;
	register_it(&message);
	ck_assert_str_eq(message.challenge_reason, "rate-cap");
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 0);
	registry_message_release(&message);
}
END_TEST

START_TEST(hash_differs_between_clouds)
{
	uint8_t one[CRYPTO_HASH_SIZE], two[CRYPTO_HASH_SIZE];
	struct cloud_fixture other;

	cloud_fixture_open(&other, NULL);
	challenge_sender_hash(fixture.cloud.sender_key, "a@example.org", one);
	challenge_sender_hash(other.cloud.sender_key, "a@example.org", two);
	ck_assert_mem_ne(one, two, sizeof(one));
	cloud_fixture_close(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-register");
	TCase *flow = tcase_create("flow");
	TCase *repair = tcase_create("repair");

	tcase_add_checked_fixture(flow, set_up, tear_down);
	tcase_add_checked_fixture(repair, set_up, tear_down);
	tcase_add_loop_test(
	    flow, opens_only_where_allowed, 0,
	    (int)(sizeof(reason_rows) / sizeof(reason_rows[0])));
	tcase_add_test(flow, challenge_is_well_made);
	tcase_add_loop_test(flow, lists_decide_first, 0, 2);
	tcase_add_test(flow, white_entry_is_no_door_for_a_forger);
	tcase_add_test(flow, second_message_joins_the_open_challenge);
	tcase_add_test(flow, another_tenants_id_is_refused);
	tcase_add_test(flow, dead_sender_is_left_alone);
	tcase_add_test(flow, kill_switch_opens_none);
	tcase_add_test(flow, hash_differs_between_clouds);
	tcase_add_test(repair, batch_is_registered);
	tcase_add_test(repair, registering_again_changes_nothing);
	tcase_add_test(repair, crash_after_storing_is_mended);
	tcase_add_test(repair, crash_after_opening_is_mended);
	tcase_add_loop_test(repair, late_message_takes_the_solution, 0, 2);
	tcase_add_test(repair, after_an_expired_challenge_comes_another);
	suite_add_tcase(suite, flow);
	suite_add_tcase(suite, repair);
	return suite_main(suite, NULL);
}
