/* The spool's contract: leases, and who wins when several want the same. */
#include <pthread.h>

#include "common/mem.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define THREADS  8
#define MESSAGES 200
#define LEASE_MS 1000

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

/* Claims and returns how many recipients it got. */
static size_t claim(const char *owner, int64_t now_ms, size_t limit)
{
	struct spool_page page = {.count = 0};
	struct error err = {.text = ""};
	size_t got = 0;

	ck_assert_msg(!spool_claim(fixture.spool, owner, now_ms, LEASE_MS,
	                           limit, &page, &err),
	              "%s", err.text);
	ck_assert_uint_le(page.count, limit);
	for (size_t i = 0; i < page.count; i++)
		for (size_t r = 0; r < page.messages[i].recipient_count; r++) {
			const struct spool_recipient *recipient =
			    &page.messages[i].recipients[r];

			got += !strcmp(recipient->lease_owner, owner) &&
			       recipient->lease_until_ms == now_ms + LEASE_MS;
		}
	spool_page_release(&page);
	return got;
}

START_TEST(only_what_is_due)
{
	struct id id = fixture_add(&fixture, 3, SPOOL_QUEUED);
	struct spool_page page = {.count = 0};
	struct error err;

	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	(void)fixture_add(&fixture, 1, SPOOL_DELIVERED);
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_DEFERRED), 0);
	ck_assert_uint_eq(claim("a", FIXTURE_NOW_MS - 1, 10), 0);
	/* The message comes whole, with the recipient that is not due. */
	ck_assert_int_eq(spool_claim(fixture.spool, "a", FIXTURE_NOW_MS + 6,
	                             LEASE_MS, 10, &page, &err),
	                 0);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_uint_eq(page.messages[0].recipient_count, 3);
	ck_assert_str_eq(page.messages[0].recipients[0].lease_owner, "a");
	ck_assert_str_eq(page.messages[0].recipients[1].lease_owner, "");
	ck_assert_str_eq(page.messages[0].recipients[2].lease_owner, "a");
	spool_page_release(&page);
	ck_assert_uint_eq(claim("a", FIXTURE_NOW_MS + 7, 10), 1);
}
END_TEST

START_TEST(leases_end)
{
	(void)fixture_add(&fixture, 2, SPOOL_QUEUED);
	ck_assert_uint_eq(claim("a", FIXTURE_NOW_MS, 10), 2);
	ck_assert_uint_eq(claim("b", FIXTURE_NOW_MS + LEASE_MS - 1, 10), 0);
	ck_assert_uint_eq(claim("b", FIXTURE_NOW_MS + LEASE_MS, 10), 2);
	ck_assert_uint_eq(claim("a", FIXTURE_NOW_MS + LEASE_MS, 10), 0);
}
END_TEST

START_TEST(only_the_owner_moves)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct spool_change change = fixture_move_change(id, 0, SPOOL_DEFERRED);

	change.move.lease_owner = "a";
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_CONFLICT);
	ck_assert_uint_eq(claim("b", FIXTURE_NOW_MS, 10), 1);
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_CONFLICT);
	change.move.lease_owner = "b";
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	/* The move dropped the lease. */
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_CONFLICT);
	ck_assert_uint_eq(claim("a", FIXTURE_NOW_MS + 7, 10), 1);
	change.move.lease_owner = NULL;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
}
END_TEST

START_TEST(open_drops_the_owners_leases)
{
	struct id mine = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct id other;

	ck_assert_uint_eq(claim(FIXTURE_OWNER, FIXTURE_NOW_MS, 10), 1);
	other = fixture_add(&fixture, 1, SPOOL_QUEUED);
	ck_assert_uint_eq(claim("agent-2", FIXTURE_NOW_MS, 10), 1);
	fixture_reopen(&fixture);
	ck_assert_uint_eq(claim("agent-3", FIXTURE_NOW_MS, 10), 1);
	ck_assert_int_eq(fixture_state(&fixture, mine, 0), SPOOL_QUEUED);
	ck_assert_int_eq(fixture_state(&fixture, other, 0), SPOOL_QUEUED);
}
END_TEST

/* Whoever adds mail may deliver it at once, without a claim. */
START_TEST(added_claimed)
{
	struct spool_message message = fixture_message(2, SPOOL_QUEUED);
	struct spool_recipient *first = &message.recipients[0];
	int64_t due_ms = 0;
	struct spool_change change;
	struct error err;

	first->lease_owner = mem_copy_string("a");
	first->lease_until_ms = FIXTURE_NOW_MS + LEASE_MS;
	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&message, "x", 1)), 0);
	ck_assert_uint_eq(claim("b", FIXTURE_NOW_MS, 10), 1);
	ck_assert_int_eq(spool_next_due(fixture.spool, &due_ms, &err), 0);
	ck_assert(due_ms == INT64_MAX);
	change = fixture_move_change(message.id, 0, SPOOL_DELIVERED);
	change.move.lease_owner = "b";
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_CONFLICT);
	change.move.lease_owner = "a";
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	spool_message_release(&message);
}
END_TEST

static int renew(struct id id, size_t recipient, const char *owner,
                 int64_t until_ms)
{
	struct spool_change change = {.kind = SPOOL_RENEW};

	change.renew.id = id;
	change.renew.recipient = recipient;
	change.renew.lease_owner = owner;
	change.renew.until_ms = until_ms;
	return fixture_commit(&fixture, change);
}

/* Nobody else gets what is prolonged, however long it takes. */
START_TEST(renewed_leases_last)
{
	struct id id = fixture_add(&fixture, 2, SPOOL_QUEUED);
	int64_t now_ms = FIXTURE_NOW_MS;
	struct spool_message message;
	struct spool_change done;

	ck_assert_uint_eq(claim("a", now_ms, 10), 2);
	for (int i = 0; i < 5; i++) {
		now_ms += LEASE_MS - 1;
		ck_assert_int_eq(renew(id, 0, "a", now_ms + LEASE_MS), 0);
		ck_assert_int_eq(renew(id, 1, "a", now_ms + LEASE_MS), 0);
		ck_assert_uint_eq(claim("b", now_ms + LEASE_MS - 1, 10), 0);
	}
	ck_assert_int_eq(spool_read(fixture.spool, &id, &message, NULL), 0);
	ck_assert_int_eq(message.recipients[1].lease_until_ms,
	                 now_ms + LEASE_MS);
	ck_assert_str_eq(message.recipients[1].history, "");
	ck_assert_int_eq(message.recipients[1].next_attempt_ms, FIXTURE_NOW_MS);
	spool_message_release(&message);
	/* One of them alone; a reopened spool drops it all the same. */
	ck_assert_int_eq(renew(id, 0, "a", now_ms + 2 * LEASE_MS), 0);
	ck_assert_uint_eq(claim("b", now_ms + LEASE_MS, 10), 1);
	ck_assert_uint_eq(claim("b", now_ms + 2 * LEASE_MS, 10), 2);
	done = fixture_move_change(id, 0, SPOOL_DELIVERED);
	done.move.lease_owner = "b";
	ck_assert_int_eq(fixture_commit(&fixture, done), 0);
	ck_assert_int_eq(renew(id, 0, "b", INT64_MAX / 2), ERR_CONFLICT);
}
END_TEST

/* A lease that ended is still its owner's until another takes it. */
START_TEST(renewing_what_is_lost)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct id held = fixture_add(&fixture, 1, SPOOL_HELD);
	struct id none = id_new();
	int64_t end_ms = FIXTURE_NOW_MS + LEASE_MS;
	struct spool_change done;
	int64_t due_ms = 0;
	struct error err;

	ck_assert_int_eq(renew(id, 0, "a", end_ms), ERR_CONFLICT);
	ck_assert_uint_eq(claim("a", FIXTURE_NOW_MS, 10), 1);
	ck_assert_int_eq(renew(id, 0, "b", end_ms), ERR_CONFLICT);
	ck_assert_int_eq(renew(id, 1, "a", end_ms), ERR_NOT_FOUND);
	ck_assert_int_eq(renew(none, 0, "a", end_ms), ERR_NOT_FOUND);
	ck_assert_int_eq(renew(held, 0, "a", end_ms), ERR_CONFLICT);
	ck_assert_int_eq(renew(held, 0, "", end_ms), ERR_INVALID);
	ck_assert_int_eq(renew(id, 0, NULL, end_ms), ERR_INVALID);
	/* An earlier end changes nothing. */
	ck_assert_int_eq(renew(id, 0, "a", end_ms - 1), 0);
	ck_assert_uint_eq(claim("b", end_ms - 1, 10), 0);
	/* It has ended, at no one's harm. */
	ck_assert_int_eq(renew(id, 0, "a", end_ms + LEASE_MS), 0);
	ck_assert_uint_eq(claim("b", end_ms, 10), 0);
	ck_assert_uint_eq(claim("b", end_ms + LEASE_MS, 10), 1);
	ck_assert_int_eq(renew(id, 0, "a", end_ms + 5 * LEASE_MS),
	                 ERR_CONFLICT);
	/* What the loser found out does not touch the winner's claim. */
	done = fixture_move_change(id, 0, SPOOL_FAILED);
	done.move.lease_owner = "a";
	ck_assert_int_eq(fixture_commit(&fixture, done), ERR_CONFLICT);
	ck_assert_int_eq(fixture_state(&fixture, id, 0), SPOOL_QUEUED);
	ck_assert_int_eq(spool_next_due(fixture.spool, &due_ms, &err), 0);
	ck_assert(due_ms == INT64_MAX);
}
END_TEST

START_TEST(limit_is_of_messages)
{
	for (int i = 0; i < 5; i++)
		(void)fixture_add(&fixture, 4, SPOOL_QUEUED);
	ck_assert_uint_eq(claim("a", FIXTURE_NOW_MS, 2), 8);
	ck_assert_uint_eq(claim("b", FIXTURE_NOW_MS, 2), 8);
	ck_assert_uint_eq(claim("c", FIXTURE_NOW_MS, 2), 4);
	ck_assert_uint_eq(claim("d", FIXTURE_NOW_MS, 2), 0);
}
END_TEST

struct worker {
	pthread_t thread;
	char owner[8];
	size_t got;
	size_t conflicts;
	struct id id;
};

static void *claim_until_empty(void *context)
{
	struct worker *worker = context;
	size_t got;

	while ((got = claim(worker->owner, FIXTURE_NOW_MS, 7)) > 0)
		worker->got += got;
	return NULL;
}

static void run_workers(struct worker *workers, void *(*run)(void *))
{
	for (int i = 0; i < THREADS; i++) {
		(void)snprintf(workers[i].owner, sizeof(workers[i].owner),
		               "w%d", i);
		ck_assert_int_eq(
		    pthread_create(&workers[i].thread, NULL, run, &workers[i]),
		    0);
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
}

START_TEST(each_is_claimed_once)
{
	struct worker workers[THREADS] = {{.got = 0}};
	size_t got = 0;

	for (int i = 0; i < MESSAGES; i++)
		(void)fixture_add(&fixture, 2, SPOOL_QUEUED);
	run_workers(workers, claim_until_empty);
	for (int i = 0; i < THREADS; i++)
		got += workers[i].got;
	ck_assert_uint_eq(got, 2 * MESSAGES);
}
END_TEST

/* All release the same held recipients; each also reads and lists. */
static void *release_all(void *context)
{
	struct worker *worker = context;

	for (size_t i = 0; i < 100; i++) {
		struct spool_change change =
		    fixture_move_change(worker->id, i, SPOOL_QUEUED);
		struct spool_query query = {.limit = 2};
		struct spool_page page = {.count = 0};
		struct error err;
		int result;

		change.move.from = SPOOL_IN(SPOOL_HELD);
		change.move.by = worker->owner;
		result = fixture_commit(&fixture, change);
		worker->got += result == 0;
		worker->conflicts += result == ERR_CONFLICT;
		ck_assert_int_eq(spool_list(fixture.spool, &query, &page, &err),
		                 0);
		ck_assert_uint_eq(page.count, 1);
		spool_page_release(&page);
	}
	return NULL;
}

START_TEST(exactly_one_wins)
{
	struct worker workers[THREADS] = {{.got = 0}};
	struct id id = fixture_add(&fixture, 100, SPOOL_HELD);
	size_t won = 0;
	size_t lost = 0;

	for (int i = 0; i < THREADS; i++)
		workers[i].id = id;
	run_workers(workers, release_all);
	for (int i = 0; i < THREADS; i++) {
		won += workers[i].got;
		lost += workers[i].conflicts;
	}
	ck_assert_uint_eq(won, 100);
	ck_assert_uint_eq(lost, 100 * (THREADS - 1));
}
END_TEST

/* The life of mail on many threads at once: nothing is lost or doubled. */
static void *live(void *context)
{
	struct worker *worker = context;

	for (int i = 0; i < 30; i++) {
		struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
		struct spool_body *body = NULL;
		struct error err;
		char bytes[16];

		ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_QUEUED),
		                 0);
		worker->conflicts += claim(worker->owner, FIXTURE_NOW_MS, 1);
		ck_assert_int_eq(
		    spool_body_open(fixture.spool, &id, &body, &err), 0);
		ck_assert_int_eq(spool_body_read(body, bytes, sizeof(bytes)),
		                 6);
		spool_body_close(body);
		ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DELIVERED),
		                 0);
		worker->got++;
	}
	return NULL;
}

START_TEST(many_lives_at_once)
{
	struct worker workers[THREADS] = {{.got = 0}};
	struct spool_totals totals;
	struct error err;

	run_workers(workers, live);
	ck_assert_int_eq(spool_count(fixture.spool, &totals, &err), 0);
	ck_assert_int_eq(totals.recipients[SPOOL_DELIVERED], THREADS * 30);
	ck_assert_int_eq(totals.body_bytes, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-claims");
	TCase *tests = tcase_create("claims");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, only_what_is_due);
	tcase_add_test(tests, leases_end);
	tcase_add_test(tests, only_the_owner_moves);
	tcase_add_test(tests, open_drops_the_owners_leases);
	tcase_add_test(tests, added_claimed);
	tcase_add_test(tests, renewed_leases_last);
	tcase_add_test(tests, renewing_what_is_lost);
	tcase_add_test(tests, limit_is_of_messages);
	tcase_add_test(tests, each_is_claimed_once);
	tcase_add_test(tests, exactly_one_wins);
	tcase_add_test(tests, many_lives_at_once);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
