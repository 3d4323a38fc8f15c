/* Conformance of the registry: challenges, claims of their mails, senders. */
#include "tests/conformance/registry/fixture.h"

START_TEST(challenge_reads_back)
{
	struct registry_challenge found, challenge = challenge_of(3, 7);

	challenge.attempts = 2;
	challenge.code_serial = 4;
	challenge.mail_next_ms = NOW + 9;
	challenge.client_hash[0] = 3;
	challenge.domain_hash[31] = 4;
	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_challenge_read(registry, &challenge.id, &found, E));
	ck_assert(id_equal(&found.id, &challenge.id));
	ck_assert(id_equal(&found.tenant, &challenge.tenant));
	ck_assert(id_equal(&found.message, &challenge.message));
	ck_assert_mem_eq(found.sender_hash, challenge.sender_hash, 32);
	ck_assert_mem_eq(found.token_hash, challenge.token_hash, 32);
	ck_assert_int_eq(found.state, CHALLENGE_STATE_OPEN);
	ck_assert_int_eq(found.created_ms, NOW);
	ck_assert_int_eq(found.expires_ms, NOW + 1000);
	ck_assert_int_eq(found.changed_ms, NOW);
	ck_assert_str_eq(found.sender, "stranger@example.org");
	ck_assert_str_eq(found.code, "ABCDEF");
	ck_assert_int_eq(found.attempts, 2);
	ck_assert_int_eq(found.code_serial, 4);
	ck_assert_int_eq(found.mail, MAIL_STATE_PENDING);
	ck_assert_int_eq(found.mail_attempts, 0);
	ck_assert_int_eq(found.mail_next_ms, NOW + 9);
	ck_assert_str_eq(found.mail_owner, "");
	ck_assert_int_eq(found.mail_lease_ms, 0);
	ck_assert_str_eq(found.mail_reply, "");
	ck_assert_str_eq(found.end_reason, "");
	ck_assert_mem_eq(found.client_hash, challenge.client_hash, 32);
	ck_assert_mem_eq(found.domain_hash, challenge.domain_hash, 32);
	registry_challenge_release(&found);
	fails(ERR_NOT_FOUND,
	      registry_challenge_read(registry, &no_id, &found, NULL));
}
END_TEST

START_TEST(one_is_open_for_a_sender)
{
	struct registry_challenge first = challenge_of(3, 7);
	struct registry_challenge second = challenge_of(4, 7);
	struct registry_challenge other = challenge_of(5, 8);
	struct id existing = no_id;

	fails(ERR_NOT_FOUND,
	      find_one(registry, first.sender_hash, &existing, NULL));
	ok(open_one(registry, &first, &existing, E));
	ck_assert(id_is_none(&existing));
	ok(find_one(registry, first.sender_hash, &existing, E));
	ck_assert(id_equal(&existing, &first.id));
	existing = no_id;
	second.tenant = tenant_b;
	fails(ERR_EXISTS, open_one(registry, &second, &existing, NULL));
	ck_assert(id_equal(&existing, &first.id));
	ok(open_one(registry, &other, &existing, E));
	ok(registry_challenge_move(registry, &first.id, CHALLENGE_STATE_OPEN,
	                           CHALLENGE_STATE_EXPIRED, NOW, E));
	fails(ERR_NOT_FOUND,
	      find_one(registry, first.sender_hash, &existing, NULL));
	ok(open_one(registry, &second, &existing, E));
	/* The id of a closed one is taken too. */
	ok(registry_challenge_move(registry, &second.id, CHALLENGE_STATE_OPEN,
	                           CHALLENGE_STATE_SOLVED, NOW, E));
	fails(ERR_EXISTS, open_one(registry, &second, &existing, NULL));
	ck_assert(id_equal(&existing, &second.id));
	fails(ERR_EXISTS, open_one(registry, &second, NULL, NULL));
}
END_TEST

/* Of several that are opened at once one alone is open for a sender, the
 * others know which. */
START_TEST(several_are_opened_at_once)
{
	struct registry_challenge challenges[] = {
	    challenge_of(3, 7), challenge_of(4, 7), challenge_of(5, 8),
	    challenge_of(6, 9), challenge_of(6, 10)};
	struct registry_challenge before = challenge_of(2, 8);
	struct registry_opened existing[5], found[2];
	uint8_t hashes[2][CRYPTO_HASH_SIZE];
	const struct id ids[] = {id_of(2), id_of(99), id_of(3)};
	int results[5], states[3];

	before.message = id_of(77);
	ok(open_one(registry, &before, NULL, E));
	for (unsigned i = 0; i < 5; i++)
		challenges[i].message = id_of(100 + i);
	ok(registry_challenge_open(registry, challenges, 5, results, existing,
	                           E));
	ck_assert_int_eq(results[0] + results[1], ERR_EXISTS);
	ck_assert_int_eq(results[2], ERR_EXISTS);
	ck_assert_int_eq(results[3] + results[4], ERR_EXISTS);
	for (unsigned i = 0; i < 2; i++) {
		if (!results[i])
			continue;
		ck_assert(id_equal(&existing[i].id, &challenges[!i].id));
		ck_assert(
		    id_equal(&existing[i].message, &challenges[!i].message));
	}
	ck_assert(id_equal(&existing[2].id, &before.id));
	ck_assert(id_equal(&existing[2].message, &before.message));
	for (unsigned i = 3; i < 5; i++)
		if (results[i])
			ck_assert(id_equal(&existing[i].id, &challenges[i].id));
	memset(hashes[0], 30, CRYPTO_HASH_SIZE);
	memset(hashes[1], 8, CRYPTO_HASH_SIZE);
	ok(registry_challenge_find(
	    registry, (const uint8_t(*)[CRYPTO_HASH_SIZE])hashes, 2, found, E));
	ck_assert(id_is_none(&found[0].id));
	ck_assert(id_equal(&found[1].id, &before.id));
	ck_assert(id_equal(&found[1].message, &before.message));
	ok(registry_challenge_move(registry, &before.id, CHALLENGE_STATE_OPEN,
	                           CHALLENGE_STATE_EXPIRED, NOW, E));
	ok(registry_challenge_states(registry, ids, 3, states, E));
	ck_assert_int_eq(states[0], CHALLENGE_STATE_EXPIRED);
	ck_assert_int_eq(states[1], -1);
	ck_assert_int_eq(states[2], results[0] ? -1 : CHALLENGE_STATE_OPEN);
	/* One that cannot be opened keeps the others out. */
	challenges[0] = challenge_of(7, 20);
	challenges[1] = challenge_of(8, 21);
	challenges[1].sender = NULL;
	fails(ERR_INVALID, registry_challenge_open(registry, challenges, 2,
	                                           results, existing, NULL));
	fails(ERR_NOT_FOUND,
	      find_one(registry, challenges[0].sender_hash, &before.id, NULL));
}
END_TEST

START_TEST(challenge_is_checked)
{
	struct registry_challenge good = challenge_of(3, 7), bad = good;

	bad.id = no_id;
	fails(ERR_INVALID, open_one(registry, &bad, NULL, NULL));
	bad = good;
	bad.tenant = no_id;
	fails(ERR_INVALID, open_one(registry, &bad, NULL, NULL));
	bad = good;
	bad.sender = NULL;
	fails(ERR_INVALID, open_one(registry, &bad, NULL, NULL));
	bad = good;
	bad.state = CHALLENGE_STATE_SOLVED;
	fails(ERR_INVALID, open_one(registry, &bad, NULL, NULL));
	bad = good;
	bad.mail = (enum registry_mail_state)9;
	fails(ERR_INVALID, open_one(registry, &bad, NULL, NULL));
}
END_TEST

#define STATES 5

/* Brings an open challenge into a state by the allowed ways. */
static void bring(const struct id *id, enum registry_challenge_state state)
{
	if (state == CHALLENGE_STATE_SETTLED)
		bring(id, CHALLENGE_STATE_SOLVED);
	if (state == CHALLENGE_STATE_SETTLED)
		ok(registry_challenge_move(registry, id, CHALLENGE_STATE_SOLVED,
		                           CHALLENGE_STATE_SETTLED, NOW, E));
	else if (state != CHALLENGE_STATE_OPEN)
		ok(registry_challenge_move(registry, id, CHALLENGE_STATE_OPEN,
		                           state, NOW, E));
}

/* Every (state, from, to): what is allowed, and moves only when it is from. */
START_TEST(challenge_moves_where_allowed)
{
	static const bool allowed[STATES][STATES] = {
	    [CHALLENGE_STATE_OPEN] = {[CHALLENGE_STATE_SOLVED] = true,
	                              [CHALLENGE_STATE_EXPIRED] = true,
	                              [CHALLENGE_STATE_BOUNCED] = true},
	    [CHALLENGE_STATE_SOLVED] = {[CHALLENGE_STATE_SETTLED] = true},
	};
	int state = _i / (STATES * STATES), from = _i / STATES % STATES,
	    to = _i % STATES;
	struct registry_challenge found, challenge = challenge_of(3, 7);
	int wanted = !allowed[from][to] ? ERR_INVALID
	             : state != from    ? ERR_CONFLICT
	                                : 0;

	ok(open_one(registry, &challenge, NULL, E));
	bring(&challenge.id, (enum registry_challenge_state)state);
	fails(wanted,
	      registry_challenge_move(
	          registry, &challenge.id, (enum registry_challenge_state)from,
	          (enum registry_challenge_state)to, NOW + 3, NULL));
	ok(registry_challenge_read(registry, &challenge.id, &found, E));
	ck_assert_int_eq(found.state, wanted ? state : to);
	ck_assert_int_eq(found.changed_ms, wanted ? NOW : NOW + 3);
	registry_challenge_release(&found);
}
END_TEST

START_TEST(unknown_challenge_is_not_found)
{
	struct id id = id_of(9);

	fails(ERR_NOT_FOUND,
	      registry_challenge_move(registry, &id, CHALLENGE_STATE_OPEN,
	                              CHALLENGE_STATE_SOLVED, NOW, NULL));
	fails(ERR_NOT_FOUND,
	      registry_challenge_recode(registry, &id, 0, true, "X", NULL));
	fails(ERR_NOT_FOUND,
	      registry_challenge_solve(registry, &id, 0, NOW, NULL));
	fails(ERR_NOT_FOUND,
	      registry_challenge_mail_done(registry, &id, "w", MAIL_STATE_SENT,
	                                   0, true, "", NULL));
}
END_TEST

START_TEST(code_changes_with_its_serial)
{
	struct registry_challenge found, challenge = challenge_of(3, 7);
	const struct id *id = &challenge.id;

	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_challenge_recode(registry, id, 0, true, "ONE", E));
	fails(ERR_CONFLICT,
	      registry_challenge_recode(registry, id, 0, true, "TWO", NULL));
	ok(registry_challenge_recode(registry, id, 1, false, "THREE", E));
	fails(ERR_INVALID,
	      registry_challenge_recode(registry, id, 2, false, "", NULL));
	ok(registry_challenge_read(registry, id, &found, E));
	ck_assert_str_eq(found.code, "THREE");
	ck_assert_int_eq(found.attempts, 1);
	ck_assert_int_eq(found.code_serial, 2);
	registry_challenge_release(&found);
	bring(id, CHALLENGE_STATE_SOLVED);
	fails(ERR_CONFLICT,
	      registry_challenge_recode(registry, id, 2, true, "FOUR", NULL));
}
END_TEST

START_TEST(solved_with_its_serial_alone)
{
	struct registry_challenge found, challenge = challenge_of(3, 7);
	const struct id *id = &challenge.id;

	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_challenge_recode(registry, id, 0, true, "ONE", E));
	fails(ERR_CONFLICT,
	      registry_challenge_solve(registry, id, 0, NOW + 1, NULL));
	ok(registry_challenge_solve(registry, id, 1, NOW + 2, E));
	fails(ERR_CONFLICT,
	      registry_challenge_solve(registry, id, 1, NOW + 3, NULL));
	ok(registry_challenge_read(registry, id, &found, E));
	ck_assert_int_eq(found.state, CHALLENGE_STATE_SOLVED);
	ck_assert_int_eq(found.changed_ms, NOW + 2);
	ck_assert_int_eq(found.code_serial, 1);
	registry_challenge_release(&found);
}
END_TEST

/* Claims as owner at a time after NOW; the ids' last digits into numbers. */
static void claim(const char *owner, int64_t after, size_t limit, char *numbers)
{
	struct registry_challenges page = {0};

	ok(registry_challenge_claim_mail(registry, owner, NOW + after, 100,
	                                 limit, &page, E));
	ck_assert_uint_le(page.count, limit);
	for (size_t i = 0; i < page.count; i++) {
		ck_assert_str_eq(page.challenges[i].mail_owner, owner);
		ck_assert_int_eq(page.challenges[i].mail_lease_ms,
		                 NOW + after + 100);
		numbers[i] = (char)('0' + page.challenges[i].id.bytes[15]);
	}
	numbers[page.count] = '\0';
	registry_challenges_release(&page);
}

static void open_due(unsigned number, int64_t due)
{
	struct registry_challenge challenge =
	    challenge_of(number, (uint8_t)number);

	challenge.mail_next_ms = NOW + due;
	ok(open_one(registry, &challenge, NULL, E));
}

START_TEST(mail_is_claimed_when_due)
{
	struct registry_challenge sent = challenge_of(4, 4);
	struct id id = id_of(1), closed = id_of(5);
	char got[16];

	open_due(1, 0);
	open_due(2, 10);
	open_due(3, 11);
	sent.mail = MAIL_STATE_SENT;
	ok(open_one(registry, &sent, NULL, E));
	open_due(5, 0);
	bring(&closed, CHALLENGE_STATE_EXPIRED);
	claim("w1", 10, 1, got);
	ck_assert_str_eq(got, "1");
	claim("w2", 10, 9, got);
	ck_assert_str_eq(got, "2");
	claim("w1", 10, 9, got);
	ck_assert_str_eq(got, "");
	/* The leases end at 110, exactly. */
	claim("w3", 109, 9, got);
	ck_assert_str_eq(got, "3");
	fails(ERR_CONFLICT,
	      registry_challenge_mail_done(registry, &id, "w2", MAIL_STATE_SENT,
	                                   0, true, "250", NULL));
	claim("w4", 110, 9, got);
	ck_assert_uint_eq(strlen(got), 2);
	fails(ERR_CONFLICT,
	      registry_challenge_mail_done(registry, &id, "w1", MAIL_STATE_SENT,
	                                   0, true, "250", NULL));
	ok(registry_challenge_mail_done(registry, &id, "w4", MAIL_STATE_SENT, 0,
	                                true, "250", E));
}
END_TEST

static const struct {
	enum registry_mail_state state;
	int64_t next;      /* after NOW */
	const char *later; /* what a claim at 500 gets */
} ends[] = {
    {MAIL_STATE_SENT, 0, ""},
    {MAIL_STATE_FAILED, 0, ""},
    {MAIL_STATE_PENDING, 500, "1"},
    {MAIL_STATE_PENDING, 501, ""},
};

START_TEST(claim_ends)
{
	struct registry_challenge found;
	struct id id = id_of(1);
	char got[16];

	open_due(1, 0);
	claim("w", 0, 9, got);
	ok(registry_challenge_mail_done(registry, &id, "w", ends[_i].state,
	                                NOW + ends[_i].next, true, "451 later",
	                                E));
	ok(registry_challenge_read(registry, &id, &found, E));
	ck_assert_int_eq(found.mail, ends[_i].state);
	ck_assert_int_eq(found.mail_attempts, 1);
	ck_assert_str_eq(found.mail_reply, "451 later");
	ck_assert_str_eq(found.mail_owner, "");
	ck_assert_int_eq(found.mail_lease_ms, 0);
	registry_challenge_release(&found);
	fails(ERR_CONFLICT,
	      registry_challenge_mail_done(registry, &id, "w", MAIL_STATE_SENT,
	                                   0, true, "", NULL));
	claim("w", 500, 9, got);
	ck_assert_str_eq(got, ends[_i].later);
}
END_TEST

/* The answer of the smarthost is kept though the page was solved meanwhile. */
START_TEST(claim_ends_after_solving)
{
	struct id id = id_of(1);
	char got[16];

	open_due(1, 0);
	claim("w", 0, 9, got);
	bring(&id, CHALLENGE_STATE_SOLVED);
	ok(registry_challenge_mail_done(registry, &id, "w", MAIL_STATE_SENT, 0,
	                                true, "250", E));
	claim("w", 500, 9, got);
	ck_assert_str_eq(got, "");
}
END_TEST

START_TEST(claim_is_checked)
{
	struct registry_challenges page = {0};
	struct id id = id_of(1);

	fails(ERR_INVALID, registry_challenge_claim_mail(registry, "", NOW, 1,
	                                                 1, &page, NULL));
	fails(ERR_INVALID, registry_challenge_claim_mail(registry, "w", NOW, 0,
	                                                 1, &page, NULL));
	fails(ERR_INVALID, registry_challenge_claim_mail(registry, "w", NOW, 1,
	                                                 0, &page, NULL));
	fails(ERR_INVALID,
	      registry_challenge_mail_done(registry, &id, NULL, MAIL_STATE_SENT,
	                                   0, true, "", NULL));
}
END_TEST

static void expect_due(enum registry_challenge_state state, int64_t before,
                       size_t limit, const char *wanted)
{
	struct registry_challenges page = {0};
	char got[16] = "";

	ok(registry_challenge_due(registry, state, NOW + before, limit, &page,
	                          E));
	for (size_t i = 0; i < page.count; i++)
		got[i] = (char)('0' + page.challenges[i].id.bytes[15]);
	ck_assert_str_eq(got, wanted);
	registry_challenges_release(&page);
}

START_TEST(due_lists_by_time)
{
	static const int64_t expiry[] = {40, 20, 30};
	struct registry_challenges page = {0};
	struct id id = id_of(2);

	for (unsigned i = 0; i < 3; i++) {
		struct registry_challenge challenge =
		    challenge_of(i + 1, (uint8_t)(i + 1));

		challenge.expires_ms = NOW + expiry[i];
		ok(open_one(registry, &challenge, NULL, E));
	}
	expect_due(CHALLENGE_STATE_OPEN, 20, 9, "");
	expect_due(CHALLENGE_STATE_OPEN, 21, 9, "2");
	expect_due(CHALLENGE_STATE_OPEN, 40, 9, "23");
	expect_due(CHALLENGE_STATE_OPEN, 99, 9, "231");
	expect_due(CHALLENGE_STATE_OPEN, 99, 2, "23");
	expect_due(CHALLENGE_STATE_SOLVED, 99, 9, "");
	ok(registry_challenge_move(registry, &id, CHALLENGE_STATE_OPEN,
	                           CHALLENGE_STATE_SOLVED, NOW + 50, E));
	expect_due(CHALLENGE_STATE_OPEN, 99, 9, "31");
	expect_due(CHALLENGE_STATE_SOLVED, 50, 9, "");
	expect_due(CHALLENGE_STATE_SOLVED, 51, 9, "2");
	fails(ERR_INVALID,
	      registry_challenge_due(registry, (enum registry_challenge_state)7,
	                             NOW, 9, &page, NULL));
}
END_TEST

START_TEST(dead_sender_is_known)
{
	struct registry_dead_sender found, mark = {.hash = {1},
	                                           .marked_ms = NOW,
	                                           .challenge = id_of(3),
	                                           .reason = (char *)"550"};
	uint8_t other[CRYPTO_HASH_SIZE] = {2};
	bool dead = true;

	ok(registry_sender_is_dead(registry, mark.hash, &dead, E));
	ck_assert(!dead);
	fails(ERR_NOT_FOUND,
	      registry_sender_read(registry, mark.hash, &found, NULL));
	ok(registry_sender_mark(registry, &mark, E));
	mark.marked_ms = NOW + 1;
	mark.challenge = id_of(4);
	mark.reason = (char *)"5.1.1 caf\xe9";
	ok(registry_sender_mark(registry, &mark, E));
	ok(registry_sender_is_dead(registry, mark.hash, &dead, E));
	ck_assert(dead);
	ok(registry_sender_read(registry, mark.hash, &found, E));
	ck_assert_mem_eq(found.hash, mark.hash, sizeof(mark.hash));
	ck_assert_int_eq(found.marked_ms, NOW + 1);
	ck_assert(id_equal(&found.challenge, &mark.challenge));
	ck_assert_str_eq(found.reason, mark.reason);
	registry_dead_sender_release(&found);
	ok(registry_sender_is_dead(registry, other, &dead, E));
	ck_assert(!dead);
}
END_TEST

/* A mark that was made later than what clears it stays. */
START_TEST(mark_is_cleared)
{
	struct registry_dead_sender mark = {.hash = {1}, .marked_ms = NOW};
	bool cleared = true, dead;

	ok(registry_sender_clear(registry, mark.hash, NOW, &cleared, E));
	ck_assert(!cleared);
	ok(registry_sender_mark(registry, &mark, E));
	mark.hash[0] = 2;
	ok(registry_sender_mark(registry, &mark, E));
	ok(registry_sender_clear(registry, mark.hash, NOW - 1, &cleared, E));
	ck_assert(!cleared);
	ok(registry_sender_clear(registry, mark.hash, NOW, &cleared, E));
	ck_assert(cleared);
	ok(registry_sender_is_dead(registry, mark.hash, &dead, E));
	ck_assert(!dead);
	mark.hash[0] = 1;
	ok(registry_sender_is_dead(registry, mark.hash, &dead, E));
	ck_assert(dead);
	ok(registry_sender_clear(registry, mark.hash, INT64_MAX, NULL, E));
	ok(registry_sender_is_dead(registry, mark.hash, &dead, E));
	ck_assert(!dead);
}
END_TEST

START_TEST(ending_keeps_the_reason)
{
	struct registry_challenge found, challenge = challenge_of(3, 7);

	ok(open_one(registry, &challenge, NULL, E));
	fails(ERR_INVALID,
	      registry_challenge_end(registry, &challenge.id,
	                             CHALLENGE_STATE_SOLVED, "", NOW, NULL));
	ok(registry_challenge_end(registry, &challenge.id,
	                          CHALLENGE_STATE_BOUNCED, "550 5.1.1 caf\xe9",
	                          NOW + 5, E));
	fails(ERR_CONFLICT, registry_challenge_end(registry, &challenge.id,
	                                           CHALLENGE_STATE_EXPIRED,
	                                           "late", NOW, NULL));
	ok(registry_challenge_read(registry, &challenge.id, &found, E));
	ck_assert_int_eq(found.state, CHALLENGE_STATE_BOUNCED);
	ck_assert_int_eq(found.changed_ms, NOW + 5);
	ck_assert_str_eq(found.end_reason, "550 5.1.1 caf\xe9");
	registry_challenge_release(&found);
}
END_TEST

static size_t count_of(enum registry_challenge_group group, uint8_t byte,
                       int64_t since_ms, size_t limit)
{
	struct registry_challenge_query query = {.group = group,
	                                         .tenant =
	                                             byte ? tenant_b : tenant_a,
	                                         .since_ms = NOW + since_ms,
	                                         .limit = limit};
	size_t count = 99;

	query.hash[0] = byte;
	ok(registry_challenge_count(registry, &query, 1, &count, E));
	return count;
}

/* Ten of two clients, five domains, two tenants; one sender closed a few. */
START_TEST(challenges_are_counted)
{
	for (unsigned i = 0; i < 10; i++) {
		struct registry_challenge challenge =
		    challenge_of(i + 1, (uint8_t)(i + 1));

		challenge.created_ms = NOW + i;
		challenge.tenant = i < 3 ? tenant_b : tenant_a;
		challenge.client_hash[0] = (uint8_t)(i % 2);
		challenge.domain_hash[0] = (uint8_t)(i % 5);
		memset(challenge.sender_hash, 0, sizeof(challenge.sender_hash));
		challenge.sender_hash[0] = i < 4 ? 1 : (uint8_t)(i + 1);
		ok(open_one(registry, &challenge, NULL, E));
		ok(registry_challenge_end(registry, &challenge.id,
		                          CHALLENGE_STATE_EXPIRED, "", NOW, E));
	}
	ck_assert_uint_eq(count_of(CHALLENGES_OF_ALL, 0, 0, 99), 10);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_ALL, 0, 0, 10), 10);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_ALL, 0, 0, 4), 4);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_ALL, 0, 7, 99), 3);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_TENANT, 1, 0, 99), 3);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_TENANT, 0, 4, 99), 6);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_CLIENT, 1, 0, 99), 5);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_CLIENT, 1, 0, 1), 1);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_CLIENT, 7, 0, 99), 0);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_DOMAIN, 2, 3, 99), 1);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_SENDER, 1, 0, 99), 4);
	ck_assert_uint_eq(count_of(CHALLENGES_OF_SENDER, 1, 3, 99), 1);
}
END_TEST

/* Several queries are counted as each alone, also where they have a group or a
 * hash in common. */
START_TEST(queries_are_counted_together)
{
	static const struct {
		enum registry_challenge_group group;
		uint8_t client;
		int64_t since_ms;
		size_t limit, count;
	} rows[] = {
	    {CHALLENGES_OF_CLIENT, 1, 0, 99, 3},
	    {CHALLENGES_OF_CLIENT, 2, 0, 99, 3},
	    {CHALLENGES_OF_CLIENT, 1, 2, 99, 2},
	    {CHALLENGES_OF_CLIENT, 1, 0, 2, 2},
	    {CHALLENGES_OF_CLIENT, 3, 0, 99, 0},
	    {CHALLENGES_OF_ALL, 0, 0, 99, 6},
	    {CHALLENGES_OF_ALL, 0, 4, 99, 2},
	    {CHALLENGES_OF_TENANT, 0, 0, 5, 5},
	    {CHALLENGES_OF_SENDER, 3, 0, 5, 1},
	};
	enum { COUNT = sizeof(rows) / sizeof(*rows) };
	struct registry_challenge_query queries[COUNT];
	size_t counts[COUNT];

	for (unsigned i = 0; i < 6; i++) {
		struct registry_challenge challenge =
		    challenge_of(i + 1, (uint8_t)i);

		challenge.created_ms = NOW + i;
		memset(challenge.client_hash, i % 2 ? 2 : 1,
		       sizeof(challenge.client_hash));
		ok(open_one(registry, &challenge, NULL, E));
	}
	for (size_t i = 0; i < COUNT; i++) {
		queries[i] = (struct registry_challenge_query){
		    .group = rows[i].group,
		    .tenant = tenant_a,
		    .since_ms = NOW + rows[i].since_ms,
		    .limit = rows[i].limit};
		memset(queries[i].hash, rows[i].client,
		       sizeof(queries[i].hash));
	}
	ok(registry_challenge_count(registry, queries, COUNT, counts, E));
	for (size_t i = 0; i < COUNT; i++)
		ck_assert_msg(counts[i] == rows[i].count, "%zu: %zu", i,
		              counts[i]);
}
END_TEST

START_TEST(marks_are_found_together)
{
	const uint8_t hashes[3][CRYPTO_HASH_SIZE] = {{1}, {2}, {3}};
	struct registry_dead_sender mark = {.marked_ms = NOW};
	bool marked[3];

	memcpy(mark.hash, hashes[1], sizeof(mark.hash));
	ok(registry_sender_mark(registry, &mark, E));
	ok(registry_sender_marked(registry, hashes, 3, marked, E));
	ck_assert(!marked[0] && marked[1] && !marked[2]);
}
END_TEST

START_TEST(counting_is_checked)
{
	struct registry_challenge_query query = {.group = CHALLENGES_OF_ALL};
	size_t count;

	fails(ERR_INVALID,
	      registry_challenge_count(registry, &query, 1, &count, NULL));
	query.limit = 1;
	query.group = (enum registry_challenge_group)5;
	fails(ERR_INVALID,
	      registry_challenge_count(registry, &query, 1, &count, NULL));
}
END_TEST

/* What was not tried does not count as an attempt. */
START_TEST(attempt_is_taken_back)
{
	struct registry_challenge found, challenge = challenge_of(3, 7);
	struct registry_challenges page = {.count = 0};

	ok(open_one(registry, &challenge, NULL, E));
	for (int i = 0; i < 2; i++) {
		ok(registry_challenge_claim_mail(registry, "w", NOW, 9, 9,
		                                 &page, E));
		ck_assert_uint_eq(page.count, 1);
		registry_challenges_release(&page);
		ok(registry_challenge_mail_done(registry, &challenge.id, "w",
		                                MAIL_STATE_PENDING, NOW, i > 0,
		                                "554 relay", E));
		ok(registry_challenge_read(registry, &challenge.id, &found, E));
		ck_assert_int_eq(found.mail_attempts, i);
		registry_challenge_release(&found);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-challenges");
	TCase *tcase = case_in(suite, "challenges");

	tcase_add_test(tcase, challenge_reads_back);
	tcase_add_test(tcase, one_is_open_for_a_sender);
	tcase_add_test(tcase, several_are_opened_at_once);
	tcase_add_test(tcase, challenge_is_checked);
	tcase_add_loop_test(tcase, challenge_moves_where_allowed, 0,
	                    STATES * STATES * STATES);
	tcase_add_test(tcase, unknown_challenge_is_not_found);
	tcase_add_test(tcase, code_changes_with_its_serial);
	tcase_add_test(tcase, solved_with_its_serial_alone);
	tcase_add_test(tcase, due_lists_by_time);
	tcase_add_test(tcase, dead_sender_is_known);
	tcase_add_test(tcase, mark_is_cleared);
	tcase_add_test(tcase, ending_keeps_the_reason);
	tcase_add_test(tcase, challenges_are_counted);
	tcase_add_test(tcase, queries_are_counted_together);
	tcase_add_test(tcase, marks_are_found_together);
	tcase_add_test(tcase, counting_is_checked);
	tcase_add_test(tcase, attempt_is_taken_back);
	tcase = case_in(suite, "mails");
	tcase_add_test(tcase, mail_is_claimed_when_due);
	tcase_add_loop_test(tcase, claim_ends, 0, sizeof(ends) / sizeof(*ends));
	tcase_add_test(tcase, claim_ends_after_solving);
	tcase_add_test(tcase, claim_is_checked);
	return suite_main(suite, NULL);
}
