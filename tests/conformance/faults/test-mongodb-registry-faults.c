/*
 * A registry in MongoDB whose connection is hurt at every exchange in turn:
 * what was acknowledged is there, no decision is taken twice, no challenge is
 * opened twice, every error says that it may be tried again, and the registry
 * goes on without being opened anew.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/conformance/registry/fixture.h"
#include "tests/support/fault-control.h"

#define RETRIES 8
#define STALL   0.9 /* seconds: more than the client waits for an answer */

static struct registry *direct; /* past the proxy, to look at */
static int refused[2];          /* ERR_UNAVAILABLE, ERR_UNCERTAIN */
static int64_t longest_ms;
static unsigned number; /* of the workload; its records have it */

/* Whether a call is to be tried again; notes how it ended. */
static bool again(int code, int64_t started_ms, bool *doubt)
{
	int64_t took_ms = clock_monotonic_ms() - started_ms;

	if (took_ms > longest_ms)
		longest_ms = took_ms;
	if (code != ERR_UNAVAILABLE && code != ERR_UNCERTAIN &&
	    code != ERR_TIMEOUT)
		return false;
	refused[code == ERR_UNCERTAIN]++;
	*doubt = *doubt || code == ERR_UNCERTAIN;
	return true;
}

/* A call as a daemon makes it: again while nothing is known. allowed is what
 * it may say where an earlier try was in doubt. */
#define surely(allowed, call)                                                  \
	do {                                                                   \
		bool doubt_ = false;                                           \
		int code_ = 0;                                                 \
		for (int i_ = 0; i_ < RETRIES; i_++) {                         \
			int64_t started_ms_ = clock_monotonic_ms();            \
			code_ = (call);                                        \
			if (!again(code_, started_ms_, &doubt_))               \
				break;                                         \
		}                                                              \
		ck_assert_msg(!code_ || (doubt_ && code_ == (allowed)),        \
		              "%s: %s", #call, error_name(code_));             \
	} while (0)

/* Its result of one record counts as its own. */
static int add_message(const struct registry_message *message)
{
	int result = 0;
	int code = registry_message_add(registry, message, 1, &result, NULL);

	return code ? code : result;
}

static void add_messages(void)
{
	struct registry_recipient recipients[2] = {{.address = (char *)"r@a"},
	                                           {.address = (char *)"q@a"}};
	struct registry_message message = {.id = id_of(number),
	                                   .tenant = tenant_a,
	                                   .expires_ms = NOW + 1000,
	                                   .recipients = recipients,
	                                   .recipient_count = 2};

	surely(ERR_EXISTS, add_message(&message));
}

static void put_entry(void)
{
	char *value = mem_format("s%u@x.example", number);
	struct entry entry = entry_of(number, value);

	surely(0, registry_entry_put(registry, &tenant_a, &entry, NULL, NULL));
	free(value);
}

/* --- the challenge ------------------------------------------------------ */

static int claim_mail(const struct id *id, int64_t now_ms)
{
	struct registry_challenges page = {.count = 0};
	int code = registry_challenge_claim_mail(registry, "w", now_ms, 1000,
	                                         100, &page, NULL);
	bool found = false;

	for (size_t i = 0; !code && i < page.count; i++)
		if (!memcmp(&page.challenges[i].id, id, sizeof(*id)))
			found = true;
	registry_challenges_release(&page);
	return code ? code : found ? 0 : ERR_UNAVAILABLE;
}

/* A claim in doubt ends, and is taken again. */
static void mail_it(const struct id *id)
{
	int64_t now_ms = NOW;

	surely(0, claim_mail(id, now_ms += 2000));
	surely(0, registry_challenge_mail_renew(registry, id, "w",
	                                        now_ms + 9000, NULL));
	surely(ERR_CONFLICT,
	       registry_challenge_mail_done(registry, id, "w", MAIL_STATE_SENT,
	                                    0, true, "250", NULL));
}

static void challenge_all(void)
{
	struct registry_challenge challenge = challenge_of(number, 0);
	struct id existing;

	memcpy(challenge.sender_hash, &number, sizeof(number));
	memcpy(challenge.token_hash, &number, sizeof(number));
	surely(ERR_EXISTS, open_one(registry, &challenge, &existing, NULL));
	mail_it(&challenge.id);
	surely(ERR_CONFLICT, registry_challenge_recode(registry, &challenge.id,
	                                               0, true, "NEW", NULL));
	surely(ERR_CONFLICT, registry_challenge_solve(registry, &challenge.id,
	                                              1, NOW + 9, NULL));
	surely(ERR_CONFLICT, registry_challenge_move(registry, &challenge.id,
	                                             CHALLENGE_STATE_SOLVED,
	                                             CHALLENGE_STATE_SETTLED,
	                                             NOW + 10, NULL));
}

static void expect_challenge(void)
{
	struct id id = id_of(number);
	struct registry_challenge found;

	ok(registry_challenge_read(direct, &id, &found, E));
	ck_assert_msg(found.state == CHALLENGE_STATE_SETTLED, "lost: state %d",
	              (int)found.state);
	ck_assert_msg(found.code_serial == 1 && found.attempts == 1,
	              "a wrong answer counted %d times", (int)found.attempts);
	ck_assert_int_eq(found.mail, MAIL_STATE_SENT);
	registry_challenge_release(&found);
}

/* --- the log ------------------------------------------------------------ */

/* Sequences without a gap, and each decision once. */
static void expect_decisions(void)
{
	struct registry_decisions page = {.count = 0};
	unsigned found = 0;
	int64_t after = 0;
	bool more = true;

	while (more) {
		ok(registry_decision_list(direct, &tenant_a, after, 1000, &page,
		                          E));
		for (size_t i = 0; i < page.count; i++) {
			ck_assert_int_eq(page.decisions[i].sequence, ++after);
			found += !memcmp(page.decisions[i].message.bytes,
			                 id_of(number).bytes, 16);
		}
		more = page.more;
		registry_decisions_release(&page);
	}
	ck_assert_msg(found == 2, "%u decisions instead of 2", found);
	ck_assert_int_eq(after, 2 * (int64_t)number);
}

static void expect_message(void)
{
	struct registry *mine = registry;

	registry = direct;
	ck_assert_int_eq(state_of(&tenant_a, number, "r@a"),
	                 REGISTRY_DELIVERED);
	ck_assert_int_eq(state_of(&tenant_a, number, "q@a"),
	                 REGISTRY_DISCARDED);
	registry = mine;
}

static void expect_entry(void)
{
	struct registry_entries page = {.count = 0};
	struct id after = id_of(number - 1);

	ok(registry_entry_list(direct, &tenant_a, &after, 10, &page, E));
	ck_assert_uint_eq(page.count, 1);
	registry_entries_release(&page);
}

static int list_decisions(void)
{
	struct registry_decisions page = {.count = 0};
	int code =
	    registry_decision_list(registry, &tenant_a, 0, 10, &page, NULL);

	registry_decisions_release(&page);
	return code;
}

static void workload(void)
{
	struct registry_audit line = {.id = id_of(number + 1),
	                              .tenant = tenant_a,
	                              .actor = (char *)"cli",
	                              .action = (char *)"x"};
	struct id id;

	id = id_of(++number);
	add_messages();
	surely(ERR_CONFLICT,
	       decide(&tenant_a, number, "r@a", REGISTRY_RELEASE));
	surely(ERR_CONFLICT,
	       decide(&tenant_a, number, "q@a", REGISTRY_DISCARD));
	put_entry();
	challenge_all();
	surely(0, registry_message_event(registry, &tenant_a, &id, "r@a",
	                                 REGISTRY_DELIVERED, NOW + 8, "250",
	                                 NULL));
	surely(0, registry_lease(registry, "job", "w", NOW, 1000, NULL));
	surely(ERR_EXISTS, registry_audit_add(registry, &line, NULL));
	surely(0, list_decisions());
	expect_message();
	expect_decisions();
	expect_challenge();
	expect_entry();
}

static void open_direct(void)
{
	char *uri = fault_direct_uri(location);
	struct registry_options options = {"mongodb", uri};

	ok(registry_open(&direct, &options, E));
	free(uri);
}

START_TEST(every_exchange_is_hurt)
{
	const char *fault = fault_names[_i];
	int exchanges, hurt = 0;

	open_direct();
	workload();
	fault_reset();
	workload();
	exchanges = fault_exchanges();
	for (int at = 1; at <= exchanges;
	     at += strncmp(fault, "st", 2) ? 1 : 3) {
		fault_arm(fault, at, STALL);
		workload();
		hurt += fault_disarm();
	}
	ok(registry_check(direct, E));
	(void)printf(
	    "told: registry, %s: %d of %d exchanges hurt, 0 lost, 0 "
	    "done twice, %d unavailable, %d uncertain, at most %d ms\n",
	    fault, hurt, exchanges, refused[0], refused[1], (int)longest_ms);
	(void)fflush(stdout);
	ck_assert_int_ge(hurt, exchanges / 4);
	registry_close(direct);
}
END_TEST

START_TEST(server_is_away)
{
	int64_t started_ms;
	int code;

	open_direct();
	fault_set_down(true);
	started_ms = clock_monotonic_ms();
	code = registry_lease(registry, "job", "w", NOW, 1000, NULL);
	ck_assert_msg(code == ERR_UNAVAILABLE || code == ERR_UNCERTAIN ||
	                  code == ERR_TIMEOUT,
	              "%s", error_name(code));
	(void)printf("told: registry, server away: refused after %d ms\n",
	             (int)(clock_monotonic_ms() - started_ms));
	fault_set_down(false);
	started_ms = clock_monotonic_ms();
	surely(0, registry_lease(registry, "job", "w", NOW, 1000, NULL));
	(void)printf("told: registry, server back: works after %d ms\n",
	             (int)(clock_monotonic_ms() - started_ms));
	(void)fflush(stdout);
	workload();
	registry_close(direct);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-registry-faults");
	TCase *tcase;

	if (!mongodb_fixture_present() || !fault_control_present())
		return 0;
	(void)setenv("TURING_TEST_BACKEND", "mongodb", 1);
	tcase = case_in(suite, "faults");
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, every_exchange_is_hurt, 0, fault_count);
	tcase_add_test(tcase, server_is_away);
	return suite_main(suite, NULL);
}
