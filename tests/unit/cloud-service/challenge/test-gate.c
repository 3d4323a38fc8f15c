/* Who may be challenged now: marks of dead senders, and caps. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/challenge/gate.h"
#include "cloud-service/decide/register.h"
#include "cloud-service/decide/settle.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/cases.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/registry-one.h"
#include "tests/support/suite.h"

#define HOUR ((int64_t)60 * 60 * 1000)

static struct cloud_fixture fixture;
static struct id other_tenant;

static void uncap(struct cloud_config *config)
{
	memset(config->cap_hour, 0, sizeof(config->cap_hour));
	memset(config->cap_day, 0, sizeof(config->cap_day));
}

static void set_up(void)
{
	cloud_fixture_open(&fixture, NULL);
	uncap(&fixture.config);
	other_tenant = cloud_fixture_tenant(&fixture, "beta", "beta.test");
}

static void tear_down(void)
{
	cloud_fixture_close(&fixture);
}

static struct registry_message message_to(const struct id *tenant,
                                          const char *sender)
{
	return cloud_fixture_message(tenant, sender,
	                             id_equal(tenant, &other_tenant)
	                                 ? "bob@beta.test"
	                                 : "bob@acme.test");
}

static void register_it(struct registry_message *message)
{
	ck_assert_int_eq(cloud_fixture_register(&fixture, message),
	                 REGISTER_NEW);
}

/* --- dead senders --------------------------------------------------------- */

/* Marks gone@example.org by a challenge of the fixture's tenant, so long ago;
 * had counts the challenges he had, this one too. */
static void make_dead(int64_t ago_ms, int had)
{
	struct registry_dead_sender mark = {.marked_ms =
	                                        clock_wall_ms() - ago_ms};
	struct error err = {0};

	for (int i = 0; i < had; i++) {
		struct registry_message message =
		    message_to(&fixture.tenant, "gone@example.org");
		struct registry_challenge challenge;

		register_it(&message);
		challenge =
		    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
		memcpy(mark.hash, challenge.sender_hash, sizeof(mark.hash));
		mark.challenge = challenge.id;
		ck_assert_int_eq(registry_challenge_end(
		                     fixture.cloud.registry, &challenge.id,
		                     CHALLENGE_STATE_BOUNCED, "5.1.1",
		                     clock_wall_ms(), &err),
		                 0);
		registry_challenge_release(&challenge);
		registry_message_release(&message);
	}
	ck_assert_int_eq(
	    registry_sender_mark(fixture.cloud.registry, &mark, &err), 0);
}

static const struct row {
	const char *what;
	int had;
	int64_t marked_ago, received_ago;
	bool other, no_pass;
	bool dead;
} rows[] = {
    {"a new mail at the tenant", 1, HOUR, 0, false, false, false},
    {"at once", 1, 1000, 0, false, false, false},
    {"received before the mark", 1, HOUR, HOUR + 60000, false, false, true},
    {"without a pass", 1, HOUR, 0, false, true, true},
    {"at another tenant", 1, HOUR / 2, 0, true, false, true},
    {"at another tenant, received before", 1, 2 * HOUR, HOUR + 60000, true,
     false, true},
    {"at another tenant, later", 1, 2 * HOUR, 0, true, false, false},
    {"bounced twice", 2, HOUR / 2, 0, false, false, true},
    {"bounced twice, later", 2, 2 * HOUR, 0, false, false, false},
    {"bounced four times", 4, 3 * HOUR, 0, false, false, true},
    {"bounced four times, later", 4, 5 * HOUR, 0, false, false, false},
};

START_TEST(dead_sender_writes_again)
{
	const struct row *row = &rows[_i];
	struct registry_message message;
	uint8_t hash[CRYPTO_HASH_SIZE];

	make_dead(row->marked_ago, row->had);
	message = message_to(row->other ? &other_tenant : &fixture.tenant,
	                     "gone@example.org");
	message.received_ms -= row->received_ago;
	if (row->no_pass) {
		message.auth.spf = AUTH_NEUTRAL;
		message.auth.aligned = false;
	}
	register_it(&message);
	ck_assert_msg(
	    !strcmp(message.challenge_reason, row->dead ? "dead-sender" : ""),
	    "%s: %s", row->what, message.challenge_reason);
	ck_assert(id_is_none(&message.challenge) == row->dead);
	challenge_sender_hash(fixture.cloud.sender_key, "gone@example.org",
	                      hash);
	ck_assert_msg(cloud_fixture_is_dead(&fixture, hash) == row->dead, "%s",
	              row->what);
	registry_message_release(&message);
}
END_TEST

START_TEST(solution_clears_the_mark)
{
	struct registry_message message =
	    message_to(&fixture.tenant, "gone@example.org");
	struct registry_dead_sender mark = {.marked_ms = clock_wall_ms() - 5};
	struct registry_challenge challenge;
	struct error err = {0};

	register_it(&message);
	challenge = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	memcpy(mark.hash, challenge.sender_hash, sizeof(mark.hash));
	ck_assert_int_eq(
	    registry_sender_mark(fixture.cloud.registry, &mark, &err), 0);
	ck_assert_int_eq(registry_challenge_solve(fixture.cloud.registry,
	                                          &challenge.id, 0,
	                                          clock_wall_ms(), &err),
	                 0);
	challenge.state = CHALLENGE_STATE_SOLVED;
	ck_assert_msg(
	    !settle_challenge(fixture.cloud.settler, &challenge, &err), "%s",
	    err.text);
	ck_assert(!cloud_fixture_is_dead(&fixture, mark.hash));
	registry_challenge_release(&challenge);
	registry_message_release(&message);
}
END_TEST

/* --- caps ----------------------------------------------------------------- */

/* Registers a mail from sender by client; whether it got a challenge. */
static bool opens(const struct id *tenant, const char *sender,
                  const char *client)
{
	struct registry_message message = message_to(tenant, sender);
	bool opened;

	free(message.client_address);
	message.client_address = mem_copy_string(client);
	register_it(&message);
	opened = !id_is_none(&message.challenge);
	ck_assert_str_eq(message.challenge_reason, opened ? "" : "rate-cap");
	registry_message_release(&message);
	return opened;
}

/* Puts the digit in the place of each "#". */
static char *fill(const char *pattern, int digit)
{
	char *text = mem_copy_string(pattern), *at;

	for (at = text; (at = strchr(at, '#'));)
		*at = (char)('0' + digit);
	return text;
}

/* How many of ten mails open one; "#" in sender and client is their number. */
static int count_opened(const char *sender, const char *client, bool tenants)
{
	int opened = 0;

	for (int i = 0; i < 10; i++) {
		char *from = fill(sender, i), *at = fill(client, i);

		opened +=
		    opens(tenants && i % 2 ? &other_tenant : &fixture.tenant,
		          from, at);
		free(from);
		free(at);
	}
	return opened;
}

static const struct cap_row {
	const char *what;
	enum registry_challenge_group group;
	bool day, tenants;
	const char *sender, *client;
	int opened;
} cap_rows[] = {
    {"one client", CHALLENGES_OF_CLIENT, false, false, "a@s#.example",
     "198.51.100.7", 4},
    {"its network", CHALLENGES_OF_CLIENT, false, false, "a@s#.example",
     "198.51.100.#", 4},
    {"others", CHALLENGES_OF_CLIENT, false, false, "a@s#.example", "198.51.#.7",
     10},
    {"an IPv6 network", CHALLENGES_OF_CLIENT, false, false, "a@s#.example",
     "2001:db8:0:7:#::1", 4},
    {"other IPv6 networks", CHALLENGES_OF_CLIENT, false, false, "a@s#.example",
     "2001:db8:0:#::1", 10},
    {"an unknown client", CHALLENGES_OF_CLIENT, false, false, "a@s#.example",
     "", 10},
    {"within a day", CHALLENGES_OF_CLIENT, true, false, "a@s#.example",
     "198.51.100.7", 4},
    {"a client at several tenants", CHALLENGES_OF_CLIENT, false, true,
     "a@s#.example", "198.51.100.7", 4},
    {"one domain", CHALLENGES_OF_DOMAIN, false, false, "a#@one.example",
     "198.51.#.7", 4},
    {"below one domain", CHALLENGES_OF_DOMAIN, false, false, "a@s#.one.example",
     "198.51.#.7", 4},
    {"one public suffix", CHALLENGES_OF_DOMAIN, false, false, "a@s#.co.uk",
     "198.51.#.7", 10},
    {"customers of a provider", CHALLENGES_OF_DOMAIN, false, false,
     "a@s#.github.io", "198.51.#.7", 10},
    {"customers of a mailbox provider", CHALLENGES_OF_DOMAIN, false, false,
     "a#@gmail.com", "198.51.100.7", 10},
    {"the provider's client", CHALLENGES_OF_CLIENT, false, false, "a#@Free.FR",
     "198.51.100.7", 10},
    {"the provider's senders in all", CHALLENGES_OF_ALL, false, false,
     "a#@gmail.com", "198.51.100.7", 4},
    {"one tenant", CHALLENGES_OF_TENANT, false, false, "a@s#.example",
     "198.51.#.7", 4},
    {"two tenants", CHALLENGES_OF_TENANT, false, true, "a@s#.example",
     "198.51.#.7", 8},
    {"all", CHALLENGES_OF_ALL, false, true, "a@s#.example", "198.51.#.7", 4},
};

START_TEST(caps)
{
	const struct cap_row *row = &cap_rows[_i];
	struct cloud_config *config = &fixture.config;

	(row->day ? config->cap_day : config->cap_hour)[row->group] = 4;
	ck_assert_msg(count_opened(row->sender, row->client, row->tenants) ==
	                  row->opened,
	              "%s", row->what);
	uncap(config);
	ck_assert_int_eq(opens(&fixture.tenant, "z@z.example", "198.51.100.7"),
	                 1);
}
END_TEST

/* Those of one batch count, too; a sender's second mail joins the first's. */
START_TEST(batch_is_capped)
{
	struct registry_message messages[10];
	enum register_status statuses[10];
	struct tenant_domains domains = {0};
	struct error err = {0};

	(_i ? fixture.config.cap_day
	    : fixture.config.cap_hour)[CHALLENGES_OF_DOMAIN] = 3;
	for (int i = 0; i < 10; i++) {
		char *sender = fill("a#@one.example", i / 2);

		messages[i] = message_to(&fixture.tenant, sender);
		free(sender);
	}
	ck_assert(!register_messages(&fixture.cloud, &domains, messages, 10,
	                             statuses, &err));
	for (int i = 0; i < 10; i++) {
		ck_assert_str_eq(messages[i].challenge_reason,
		                 i >= 6  ? "rate-cap"
		                 : i % 2 ? "open-challenge"
		                         : "");
		registry_message_release(&messages[i]);
	}
}
END_TEST

/* Challenges that are older than the window do not count. */
START_TEST(windows_slide)
{
	struct cloud_config *config = &fixture.config;
	struct registry_message message =
	    message_to(&fixture.tenant, "a@s.example");
	struct challenge_origin origin;
	struct error err = {0};

	config->cap_hour[CHALLENGES_OF_CLIENT] = 1;
	config->cap_day[CHALLENGES_OF_CLIENT] = 3;
	challenge_origin_read(fixture.cloud.sender_key, &fixture.config,
	                      &message, &origin);
	for (int i = 0; i < 3; i++) {
		struct registry_challenge challenge = {
		    .id = id_new(),
		    .tenant = fixture.tenant,
		    .message = message.id,
		    .created_ms = clock_wall_ms() - (i ? 2 : 25) * HOUR,
		    .sender = message.sender,
		    .code = message.sender};

		challenge.sender_hash[0] = (uint8_t)(i + 1);
		memcpy(challenge.client_hash, origin.client,
		       sizeof(origin.client));
		ck_assert_int_eq(
		    open_one(fixture.cloud.registry, &challenge, NULL, &err),
		    0);
	}
	ck_assert(opens(&fixture.tenant, "b@s.example", "192.0.2.1"));
	ck_assert(!opens(&fixture.tenant, "c@s.example", "192.0.2.1"));
	config->cap_hour[CHALLENGES_OF_CLIENT] = 9;
	ck_assert(!opens(&fixture.tenant, "d@s.example", "192.0.2.1"));
	registry_message_release(&message);
}
END_TEST

/* What may not be challenged anew joins the challenge that is open. */
START_TEST(open_challenge_is_joined_beyond_a_cap)
{
	struct registry_message message;

	fixture.config.cap_hour[CHALLENGES_OF_SENDER] = 1;
	ck_assert(opens(&fixture.tenant, "a@s.example", "192.0.2.1"));
	message = message_to(&other_tenant, "a@s.example");
	register_it(&message);
	ck_assert_str_eq(message.challenge_reason, "open-challenge");
	ck_assert(!id_is_none(&message.challenge));
	registry_message_release(&message);
}
END_TEST

/* "{n}" in text replaced; the caller frees it. */
static char *numbered(const char *text, int number)
{
	const char *at = strstr(text, "{n}");

	if (!at)
		return mem_copy_string(text);
	return mem_format("%.*s%d%s", (int)(at - text), text, number, at + 3);
}

/* All mails of a case within a moment, with the caps that are standard. */
static void play(const json_t *item, void *context)
{
	const json_t *in = json_object_get(item, "in");
	json_int_t mails = json_integer_value(json_object_get(in, "mails"));
	int64_t cap = *(const int64_t *)context;
	size_t before =
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN);
	size_t opened;

	for (int i = 0; i < mails; i++) {
		char *sender =
		    numbered(case_text(item, "in", "mail_from", NULL), i);
		char *client =
		    numbered(case_text(item, "in", "client", NULL), i % 250);

		(void)opens(&fixture.tenant, sender, client);
		free(sender);
		free(client);
	}
	opened =
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN) - before;
	ck_assert_msg(opened <= (size_t)cap && mails > cap, "%s: %zu",
	              case_text(item, "id", NULL), opened);
}

START_TEST(cases)
{
	int64_t cap;

	cloud_fixture_close(&fixture);
	cloud_fixture_open(&fixture, NULL);
	cap = fixture.config.cap_hour[CHALLENGES_OF_DOMAIN];
	ck_assert_int_gt(cap, 0);
	(void)cases_each("rate-cap", play, &cap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-challenge-gate");
	TCase *dead = tcase_create("dead"), *capped = tcase_create("caps");

	tcase_add_checked_fixture(dead, set_up, tear_down);
	tcase_set_timeout(dead, 60);
	tcase_add_loop_test(dead, dead_sender_writes_again, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(dead, solution_clears_the_mark);
	suite_add_tcase(suite, dead);
	tcase_add_checked_fixture(capped, set_up, tear_down);
	tcase_set_timeout(capped, 60);
	tcase_add_loop_test(capped, caps, 0,
	                    (int)(sizeof(cap_rows) / sizeof(cap_rows[0])));
	tcase_add_loop_test(capped, batch_is_capped, 0, 2);
	tcase_add_test(capped, windows_slide);
	tcase_add_test(capped, open_challenge_is_joined_beyond_a_cap);
	tcase_add_test(capped, cases);
	suite_add_tcase(suite, capped);
	return suite_main(suite, NULL);
}
