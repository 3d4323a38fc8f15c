/*
 * Conformance of the registry: what a purge deletes of each kind, to the
 * millisecond and to the limit, and what outlives it.
 */
#include "tests/conformance/registry/fixture.h"

#define DAY INT64_C(86400000)

/* What is deleted of a kind before a time. */
static size_t purge(enum registry_kind kind, int64_t before, size_t limit)
{
	size_t deleted = 99999;

	ok(registry_purge(registry, kind, before, limit, &deleted, E));
	ck_assert_uint_le(deleted, limit);
	ok(registry_check(registry, E));
	return deleted;
}

/* How many records of a kind there are. */
static size_t records_of(enum registry_kind kind)
{
	struct registry_records page;
	size_t count;

	ok(registry_export(registry, kind, NULL, 1000, &page, E));
	ck_assert(!page.more);
	count = page.count;
	registry_records_release(&page);
	return count;
}

/* --- boundaries --------------------------------------------------------- */

/* A message that expires at NOW + number, with one recipient, decided. */
static void put_ended(unsigned number)
{
	ck_assert_int_eq(
	    put_message(&tenant_a, number, "s@x.example", "r@a.example", NULL),
	    0);
	ck_assert_int_eq(
	    decide(&tenant_a, number, "r@a.example", REGISTRY_RELEASE), 0);
}

/* A challenge that came to a state at NOW + 7. */
static void put_challenge(unsigned number, enum registry_challenge_state state)
{
	struct registry_challenge challenge =
	    challenge_of(number, (uint8_t)number);
	enum registry_challenge_state first =
	    state == CHALLENGE_STATE_SETTLED ? CHALLENGE_STATE_SOLVED : state;

	ok(open_one(registry, &challenge, NULL, E));
	if (state != CHALLENGE_STATE_OPEN)
		ok(registry_challenge_move(registry, &challenge.id,
		                           CHALLENGE_STATE_OPEN, first, NOW + 7,
		                           E));
	if (state == CHALLENGE_STATE_SETTLED)
		ok(registry_challenge_move(registry, &challenge.id,
		                           CHALLENGE_STATE_SOLVED, state,
		                           NOW + 7, E));
}

static void put_dead(unsigned number, int64_t at)
{
	struct registry_dead_sender dead = {.marked_ms = at};

	memset(dead.hash, (int)number, sizeof(dead.hash));
	ok(registry_sender_mark(registry, &dead, E));
}

static void put_line(const struct id *tenant, unsigned number, int64_t at)
{
	struct registry_audit line = {.id = id_of(number),
	                              .tenant = *tenant,
	                              .at_ms = at,
	                              .actor = (char *)"cli",
	                              .action = (char *)"tenant-add"};

	ok(registry_audit_add(registry, &line, E));
}

static void make_message(void)
{
	put_ended(7);
}

static void make_discarded(void)
{
	ck_assert_int_eq(
	    put_message(&tenant_a, 7, "s@x", "r@a.example", "q@a.example"), 0);
	ck_assert_int_eq(decide(&tenant_a, 7, "r@a.example", REGISTRY_DISCARD),
	                 0);
	ck_assert_int_eq(decide(&tenant_a, 7, "q@a.example", REGISTRY_EXPIRE),
	                 0);
}

static void make_held(void)
{
	ck_assert_int_eq(put_message(&tenant_a, 7, "s@x", "r@a.example", NULL),
	                 0);
}

static void make_partly_held(void)
{
	ck_assert_int_eq(
	    put_message(&tenant_a, 7, "s@x", "r@a.example", "q@a.example"), 0);
	ck_assert_int_eq(decide(&tenant_a, 7, "r@a.example", REGISTRY_RELEASE),
	                 0);
}

/* The agent's word ends it too, without a decision. */
static void make_ended_by_event(void)
{
	struct id id = id_of(7);

	make_held();
	ok(registry_message_event(registry, &tenant_a, &id, "r@a.example",
	                          REGISTRY_DELIVERED, NOW, "250", E));
}

static void make_open(void)
{
	put_challenge(1, CHALLENGE_STATE_OPEN);
}

static void make_solved(void)
{
	put_challenge(1, CHALLENGE_STATE_SOLVED);
}

static void make_settled(void)
{
	put_challenge(1, CHALLENGE_STATE_SETTLED);
}

static void make_expired(void)
{
	put_challenge(1, CHALLENGE_STATE_EXPIRED);
}

static void make_bounced(void)
{
	put_challenge(1, CHALLENGE_STATE_BOUNCED);
}

static void make_dead(void)
{
	put_dead(1, NOW + 7);
}

static void make_line(void)
{
	put_line(&tenant_a, 1, NOW + 7);
}

/* Of the cloud as a whole. */
static void make_cloud_line(void)
{
	put_line(&no_id, 1, NOW + 7);
}

/* The one record's time is NOW + last; 0: no purge ever takes it. */
static const struct {
	const char *what;
	enum registry_kind kind;
	void (*make)(void);
	int64_t last;
} boundaries[] = {
    {"released", REGISTRY_MESSAGES, make_message, 7},
    {"discarded, expired", REGISTRY_MESSAGES, make_discarded, 7},
    {"ended by its agent", REGISTRY_MESSAGES, make_ended_by_event, 7},
    {"held", REGISTRY_MESSAGES, make_held, 0},
    {"partly held", REGISTRY_MESSAGES, make_partly_held, 0},
    {"decision", REGISTRY_DECISIONS, make_message, 5},
    {"open", REGISTRY_CHALLENGES, make_open, 0},
    {"solved", REGISTRY_CHALLENGES, make_solved, 0},
    {"settled", REGISTRY_CHALLENGES, make_settled, 7},
    {"expired", REGISTRY_CHALLENGES, make_expired, 7},
    {"bounced", REGISTRY_CHALLENGES, make_bounced, 7},
    {"dead sender", REGISTRY_DEAD_SENDERS, make_dead, 7},
    {"line", REGISTRY_AUDIT, make_line, 7},
    {"line of the cloud", REGISTRY_AUDIT, make_cloud_line, 7},
};

START_TEST(purge_is_exact)
{
	enum registry_kind kind = boundaries[_i].kind;
	int64_t last = boundaries[_i].last;

	boundaries[_i].make();
	ck_assert_uint_eq(records_of(kind), 1);
	ck_assert_uint_eq(purge(kind, NOW + last, 10), 0);
	ck_assert_msg(records_of(kind) == 1, "%s", boundaries[_i].what);
	if (!last) {
		ck_assert_uint_eq(purge(kind, NOW + 1000 * DAY, 10), 0);
		ck_assert_msg(records_of(kind) == 1, "%s", boundaries[_i].what);
		return;
	}
	ck_assert_uint_eq(purge(kind, NOW + last + 1, 10), 1);
	ck_assert_msg(records_of(kind) == 0, "%s", boundaries[_i].what);
	ck_assert_uint_eq(purge(kind, NOW + last + 1, 10), 0);
}
END_TEST

/* A purge of one kind takes nothing of another, however old. */
START_TEST(purge_takes_its_own_kind)
{
	static const enum registry_kind kinds[] = {
	    REGISTRY_MESSAGES, REGISTRY_DECISIONS, REGISTRY_CHALLENGES,
	    REGISTRY_DEAD_SENDERS, REGISTRY_AUDIT};
	struct entry entry = entry_of(1, "s@x.example");
	size_t before[REGISTRY_KIND_COUNT];

	make_message();
	make_settled();
	make_dead();
	make_line();
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	ok(registry_domain_add(registry, &tenant_a, "a.example", E));
	for (int kind = 0; kind < REGISTRY_KIND_COUNT; kind++)
		before[kind] = records_of((enum registry_kind)kind);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		ck_assert_uint_eq(purge(kinds[i], NOW + DAY, 10), 1);
		before[kinds[i]]--;
		for (int kind = 0; kind < REGISTRY_KIND_COUNT; kind++)
			ck_assert_uint_eq(records_of((enum registry_kind)kind),
			                  before[kind]);
	}
}
END_TEST

/* --- limits ------------------------------------------------------------- */

#define LINES 230

static void make_lines(void)
{
	for (unsigned i = 0; i < LINES; i++)
		put_line(i % 3 ? &tenant_a : &no_id, 1 + i, NOW);
}

static void make_messages(void)
{
	for (unsigned i = 0; i < 60; i++)
		put_ended(1 + i);
	ck_assert_int_eq(put_message(&tenant_a, 99, "s@x", "r@a.example", NULL),
	                 0);
}

static void make_challenges(void)
{
	for (unsigned i = 0; i < 30; i++)
		put_challenge(1 + i, (enum registry_challenge_state)(i % 5));
}

static void make_dead_ones(void)
{
	for (unsigned i = 0; i < 12; i++)
		put_dead(1 + i, NOW + 11 - i);
}

/* How many can go, by a limit that divides none of the backends' own steps. */
static const struct {
	enum registry_kind kind;
	void (*make)(void);
	size_t all, limit, left;
} limits[] = {
    {REGISTRY_AUDIT, make_lines, LINES, 101, 0},
    {REGISTRY_AUDIT, make_lines, LINES, LINES, 0},
    {REGISTRY_MESSAGES, make_messages, 60, 47, 1},
    {REGISTRY_DECISIONS, make_messages, 60, 7, 0},
    {REGISTRY_CHALLENGES, make_challenges, 18, 7, 12},
    {REGISTRY_DEAD_SENDERS, make_dead_ones, 12, 1, 0},
};

START_TEST(purge_keeps_to_its_limit)
{
	enum registry_kind kind = limits[_i].kind;
	size_t limit = limits[_i].limit, sum = 0, got;

	limits[_i].make();
	do {
		got = purge(kind, NOW + DAY, limit);
		sum += got;
		/* Fewer than the limit: there are no more. */
		ck_assert(got == limit || sum == limits[_i].all);
	} while (got == limit);
	ck_assert_uint_eq(sum, limits[_i].all);
	ck_assert_uint_eq(records_of(kind), limits[_i].left);
}
END_TEST

/* Only what is before goes, however many others there are. */
START_TEST(purge_leaves_the_younger)
{
	for (unsigned i = 0; i < 20; i++) {
		put_line(&tenant_a, 1 + i, NOW + i);
		put_dead(1 + i, NOW + i);
		put_ended(1 + i);
	}
	ck_assert_uint_eq(purge(REGISTRY_AUDIT, NOW + 5, 100), 5);
	ck_assert_uint_eq(purge(REGISTRY_DEAD_SENDERS, NOW + 5, 100), 5);
	ck_assert_uint_eq(purge(REGISTRY_MESSAGES, NOW + 5, 100), 4);
	ck_assert_uint_eq(records_of(REGISTRY_AUDIT), 15);
	ck_assert_uint_eq(records_of(REGISTRY_DEAD_SENDERS), 15);
	ck_assert_uint_eq(records_of(REGISTRY_MESSAGES), 16);
	ck_assert_int_eq(state_of(&tenant_a, 5, "r@a.example"),
	                 REGISTRY_RELEASED);
}
END_TEST

/* --- what outlives it ---------------------------------------------------- */

static void expect_log(const struct id *tenant, int64_t last, size_t count)
{
	struct registry_decisions page;
	int64_t sequence = -1;

	ok(registry_decision_last(registry, tenant, &sequence, E));
	ck_assert_int_eq(sequence, last);
	ok(registry_decision_list(registry, tenant, 0, 100, &page, E));
	ck_assert_uint_eq(page.count, count);
	if (count)
		ck_assert_int_eq(page.decisions[count - 1].sequence, last);
	registry_decisions_release(&page);
}

static void start_anew(void)
{
	registry_close(registry);
	registry = open_again();
}

/* An agent's cursor is never behind a number that is given out twice. */
START_TEST(sequences_go_on)
{
	for (unsigned i = 1; i <= 3; i++)
		put_ended(i);
	ck_assert_int_eq(put_message(&tenant_b, 9, "s@x", "r@b.example", NULL),
	                 0);
	ck_assert_int_eq(decide(&tenant_b, 9, "r@b.example", REGISTRY_EXPIRE),
	                 0);
	ck_assert_uint_eq(purge(REGISTRY_DECISIONS, NOW + DAY, 100), 4);
	ck_assert_uint_eq(purge(REGISTRY_MESSAGES, NOW + DAY, 100), 4);
	expect_log(&tenant_a, 3, 0);
	start_anew();
	expect_log(&tenant_a, 3, 0);
	put_ended(4);
	expect_log(&tenant_a, 4, 1);
	expect_log(&tenant_b, 1, 0);
	ck_assert_uint_eq(purge(REGISTRY_DECISIONS, NOW + DAY, 100), 1);
	ck_assert_uint_eq(purge(REGISTRY_DECISIONS, NOW + DAY, 100), 0);
	start_anew();
	put_ended(5);
	expect_log(&tenant_a, 5, 1);
}
END_TEST

/* A message that is gone takes no decision and no challenge with it, and they
 * take no message with them. */
START_TEST(references_may_outlive_each_other)
{
	struct registry_message message;
	struct registry_challenge challenge;
	struct id id = id_of(7), of_challenge = id_of(1);

	make_message();
	make_settled();
	ok(attach_one(registry, &tenant_a, &id, &of_challenge, "", E));
	ck_assert_uint_eq(purge(REGISTRY_CHALLENGES, NOW + DAY, 10), 1);
	ok(registry_message_read(registry, &tenant_a, &id, &message, E));
	ck_assert(id_equal(&message.challenge, &of_challenge));
	registry_message_release(&message);
	fails(ERR_NOT_FOUND, registry_challenge_read(registry, &of_challenge,
	                                             &challenge, NULL));
	ck_assert_uint_eq(purge(REGISTRY_MESSAGES, NOW + DAY, 10), 1);
	expect_log(&tenant_a, 1, 1);
	fails(ERR_NOT_FOUND,
	      registry_message_read(registry, &tenant_a, &id, &message, NULL));
	fails(ERR_NOT_FOUND,
	      decide(&tenant_a, 7, "r@a.example", REGISTRY_RELEASE));
	fails(ERR_NOT_FOUND,
	      registry_message_event(registry, &tenant_a, &id, "r@a.example",
	                             REGISTRY_DELIVERED, NOW, "", NULL));
	expect_log(&tenant_a, 1, 1);
}
END_TEST

/* The sender of a purged challenge may get another one, and one who is dead no
 * more is not found dead. */
START_TEST(purged_keys_are_free)
{
	struct registry_challenge challenge = challenge_of(1, 1);
	bool dead = true;

	make_expired();
	make_dead();
	make_message();
	make_line();
	ck_assert_uint_eq(purge(REGISTRY_CHALLENGES, NOW + DAY, 10), 1);
	ck_assert_uint_eq(purge(REGISTRY_DEAD_SENDERS, NOW + DAY, 10), 1);
	ck_assert_uint_eq(purge(REGISTRY_MESSAGES, NOW + DAY, 10), 1);
	ck_assert_uint_eq(purge(REGISTRY_AUDIT, NOW + DAY, 10), 1);
	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_sender_is_dead(registry, challenge.sender_hash, &dead, E));
	ck_assert(!dead);
	make_held();
	make_line();
	ck_assert_int_eq(state_of(&tenant_a, 7, "r@a.example"), REGISTRY_HELD);
}
END_TEST

/* A sender that is marked again counts from then. */
START_TEST(mark_is_renewed)
{
	put_dead(1, NOW);
	put_dead(1, NOW + 50);
	ck_assert_uint_eq(purge(REGISTRY_DEAD_SENDERS, NOW + 50, 10), 0);
	ck_assert_uint_eq(purge(REGISTRY_DEAD_SENDERS, NOW + 51, 10), 1);
}
END_TEST

START_TEST(totals_follow_a_purge)
{
	struct registry_totals totals;

	make_messages();
	ck_assert_uint_eq(purge(REGISTRY_MESSAGES, NOW + DAY, 100), 60);
	ok(registry_count(registry, &totals, E));
	ck_assert_int_eq(totals.messages, 1);
	ck_assert_int_eq(totals.recipients_held, 1);
	ck_assert_int_eq(totals.tenants, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-purge");
	TCase *tcase = case_in(suite, "boundaries");

	tcase_add_loop_test(tcase, purge_is_exact, 0,
	                    sizeof(boundaries) / sizeof(*boundaries));
	tcase_add_test(tcase, purge_takes_its_own_kind);
	tcase = case_in(suite, "limits");
	tcase_add_loop_test(tcase, purge_keeps_to_its_limit, 0,
	                    sizeof(limits) / sizeof(*limits));
	tcase_add_test(tcase, purge_leaves_the_younger);
	tcase = case_in(suite, "survivors");
	tcase_add_test(tcase, sequences_go_on);
	tcase_add_test(tcase, references_may_outlive_each_other);
	tcase_add_test(tcase, purged_keys_are_free);
	tcase_add_test(tcase, mark_is_renewed);
	tcase_add_test(tcase, totals_follow_a_purge);
	return suite_main(suite, NULL);
}
