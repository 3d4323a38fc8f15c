/* The spool's contract: failed mail that is kept, and its DSNs. */
#include "common/mem.h"
#include "tests/support/same-message.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define KEEP_MS      5000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

/* Fails a recipient, kept, with a DSN due or not. */
static void fail_kept(struct id id, size_t recipient, bool dsn)
{
	struct spool_change change =
	    fixture_move_change(id, recipient, SPOOL_FAILED);

	change.move.reply = "550 5.1.1 no such user";
	change.move.keep_until_ms = FIXTURE_NOW_MS + KEEP_MS;
	change.move.dsn = dsn;
	change.move.event = true;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
}

static int set_dsn(struct id id, size_t recipient, enum spool_dsn from,
                   enum spool_dsn to, struct id dsn_id)
{
	return fixture_commit(
	    &fixture, (struct spool_change){.kind = SPOOL_DSN,
	                                    .dsn = {.id = id,
	                                            .recipient = recipient,
	                                            .from = from,
	                                            .to = to,
	                                            .dsn_id = dsn_id}});
}

static bool has_body(struct id id)
{
	struct spool_message message = fixture_read(&fixture, id);
	bool present = message.body_present;

	spool_message_release(&message);
	return present;
}

static size_t count(struct spool_query query)
{
	return fixture_count(&fixture, query);
}

static int64_t kept(void)
{
	struct spool_totals totals = {.kept = 0};

	ck_assert_int_eq(spool_count(fixture.spool, &totals, NULL), 0);
	return totals.kept;
}

START_TEST(body_is_kept_until_the_end)
{
	static const enum spool_state ends[] = {SPOOL_DISCARDED, SPOOL_EXPIRED,
	                                        SPOOL_QUEUED};

	for (size_t i = 0; i < COUNT(ends); i++) {
		struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);
		struct spool_message message;

		fail_kept(id, 0, false);
		fixture_reopen(&fixture);
		message = fixture_read(&fixture, id);
		ck_assert(message.body_present);
		ck_assert_int_eq(message.recipients[0].state, SPOOL_FAILED);
		ck_assert_int_eq(message.recipients[0].keep_until_ms,
		                 FIXTURE_NOW_MS + KEEP_MS);
		ck_assert(message.recipients[0].event_pending);
		spool_message_release(&message);
		ck_assert_int_eq(kept(), 1);
		ck_assert_int_eq(fixture_move(&fixture, id, 0, ends[i]), 0);
		ck_assert_int_eq(kept(), 0);
		ck_assert_int_eq(has_body(id), ends[i] == SPOOL_QUEUED);
	}
}
END_TEST

START_TEST(what_is_not_kept_is_over)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);

	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_FAILED), 0);
	ck_assert(!has_body(id));
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_QUEUED),
	                 ERR_INVALID);
	ck_assert_int_eq(kept(), 0);
}
END_TEST

/* Another recipient may wait for long, or be kept for longer. */
START_TEST(the_last_recipient_drops_the_body)
{
	struct id id = fixture_add(&fixture, 3, SPOOL_QUEUED);
	size_t deleted = 0;

	fail_kept(id, 0, false);
	fail_kept(id, 1, false);
	ck_assert_int_eq(fixture_move(&fixture, id, 2, SPOOL_DELIVERED), 0);
	ck_assert(has_body(id));
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_EXPIRED), 0);
	ck_assert(has_body(id));
	ck_assert_int_eq(
	    spool_purge(fixture.spool, FIXTURE_NOW_MS + 99, 10, &deleted, NULL),
	    0);
	ck_assert_uint_eq(deleted, 0);
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_DISCARDED), 0);
	ck_assert(!has_body(id));
	ck_assert_int_eq(
	    spool_purge(fixture.spool, FIXTURE_NOW_MS + 99, 10, &deleted, NULL),
	    0);
	ck_assert_uint_eq(deleted, 1);
}
END_TEST

START_TEST(found_by_what_is_kept)
{
	const struct spool_query waits = {.states = SPOOL_IN(SPOOL_HELD) |
	                                            SPOOL_IN(SPOOL_FAILED),
	                                  .kept = true};
	struct spool_query ends = {.states = SPOOL_IN(SPOOL_FAILED),
	                           .kept = true,
	                           .expired_before_ms =
	                               FIXTURE_NOW_MS + KEEP_MS};
	struct id id = fixture_add(&fixture, 2, SPOOL_QUEUED);

	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	(void)fixture_add(&fixture, 1, SPOOL_FAILED);
	(void)fixture_add(&fixture, 1, SPOOL_DELIVERED);
	ck_assert_uint_eq(count(waits), 1);
	fail_kept(id, 1, false);
	ck_assert_uint_eq(count(waits), 2);
	ck_assert_uint_eq(
	    count((struct spool_query){.states = SPOOL_IN(SPOOL_FAILED)}), 2);
	ck_assert_uint_eq(count(ends), 0); /* before, not at */
	ends.expired_before_ms++;
	ck_assert_uint_eq(count(ends), 1);
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_EXPIRED), 0);
	ck_assert_uint_eq(count(ends), 0);
	ck_assert_uint_eq(count(waits), 1);
}
END_TEST

START_TEST(a_dsn_is_due_once)
{
	const struct spool_query open = {.dsn = true};
	struct id id = fixture_add(&fixture, 2, SPOOL_QUEUED);
	struct id first = id_new(), second = id_new(), none = {{0}};
	struct spool_message message;

	ck_assert_uint_eq(count(open), 0);
	fail_kept(id, 1, true);
	ck_assert_uint_eq(count(open), 1);
	ck_assert_int_eq(set_dsn(id, 1, SPOOL_DSN_DUE, SPOOL_DSN_QUEUED, first),
	                 0);
	/* The second of two agents. */
	ck_assert_int_eq(
	    set_dsn(id, 1, SPOOL_DSN_DUE, SPOOL_DSN_QUEUED, second),
	    ERR_CONFLICT);
	ck_assert_int_eq(
	    set_dsn(id, 1, SPOOL_DSN_QUEUED, SPOOL_DSN_SENT, second),
	    ERR_CONFLICT);
	ck_assert_int_eq(set_dsn(id, 1, SPOOL_DSN_QUEUED, SPOOL_DSN_SENT, none),
	                 ERR_INVALID);
	ck_assert_uint_eq(count(open), 1);
	message = fixture_read(&fixture, id);
	ck_assert_int_eq(message.recipients[1].dsn, SPOOL_DSN_QUEUED);
	ck_assert(id_equal(&message.recipients[1].dsn_id, &first));
	ck_assert_int_eq(message.recipients[0].dsn, SPOOL_DSN_NONE);
	ck_assert(id_is_none(&message.recipients[0].dsn_id));
	spool_message_release(&message);
	/* Tried again and failed again: it is queued still. */
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_QUEUED), 0);
	ck_assert_uint_eq(count(open), 1);
	fail_kept(id, 1, true);
	ck_assert_int_eq(
	    set_dsn(id, 1, SPOOL_DSN_QUEUED, SPOOL_DSN_SENT, first), 0);
	ck_assert_uint_eq(count(open), 0);
	ck_assert_int_eq(kept(), 0);
	ck_assert(has_body(id)); /* the other recipient's */
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_QUEUED),
	                 ERR_INVALID);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DELIVERED), 0);
	ck_assert(!has_body(id));
	ck_assert_int_eq(set_dsn(id, 9, SPOOL_DSN_NONE, SPOOL_DSN_DUE, none),
	                 ERR_NOT_FOUND);
	ck_assert_int_eq(set_dsn(first, 0, SPOOL_DSN_NONE, SPOOL_DSN_DUE, none),
	                 ERR_NOT_FOUND);
}
END_TEST

/* The sender is told of one that is on its way again by an admin's hand. */
START_TEST(a_dsn_that_is_sent_drops_the_body)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct id retried = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct id dsn = id_new();

	fail_kept(id, 0, true);
	fail_kept(retried, 0, true);
	ck_assert_int_eq(set_dsn(id, 0, SPOOL_DSN_DUE, SPOOL_DSN_QUEUED, dsn),
	                 0);
	ck_assert(has_body(id));
	ck_assert_int_eq(set_dsn(id, 0, SPOOL_DSN_QUEUED, SPOOL_DSN_SENT, dsn),
	                 0);
	ck_assert(!has_body(id));
	ck_assert_int_eq(
	    set_dsn(retried, 0, SPOOL_DSN_DUE, SPOOL_DSN_QUEUED, dsn), 0);
	ck_assert_int_eq(fixture_move(&fixture, retried, 0, SPOOL_QUEUED), 0);
	ck_assert_int_eq(
	    set_dsn(retried, 0, SPOOL_DSN_QUEUED, SPOOL_DSN_SENT, dsn), 0);
	ck_assert(has_body(retried));
	ck_assert_int_eq(fixture_state(&fixture, retried, 0), SPOOL_QUEUED);
	/* Told already: nothing more is due. */
	fail_kept(retried, 0, true);
	ck_assert_uint_eq(count((struct spool_query){.dsn = true}), 0);
}
END_TEST

START_TEST(copies_have_it_all)
{
	struct spool_message message = fixture_message(2, SPOOL_FAILED);
	struct spool_change change =
	    fixture_add_change(&message, "body\r\n", 6);
	struct spool_message got;

	message.body_present = true;
	message.dsn_of = id_new();
	for (size_t i = 0; i < 2; i++) {
		struct spool_recipient *recipient = &message.recipients[i];

		recipient->keep_until_ms = FIXTURE_NOW_MS + 7;
		recipient->dsn = i ? SPOOL_DSN_QUEUED : SPOOL_DSN_NONE;
		recipient->next_attempt_ms = 0;
		recipient->history = mem_copy_string("");
		free(recipient->next_hop);
		recipient->next_hop = mem_copy_string(i ? "192.0.2.9:25" : "");
	}
	message.recipients[1].dsn_id = id_new();
	change.kind = SPOOL_COPY;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_int_eq(kept(), 2);
	got = fixture_read(&fixture, message.id);
	expect_same_message(&message, &got);
	spool_message_release(&got);
	/* In the place of itself, with one that is kept no longer. */
	message.recipients[0].keep_until_ms = 0;
	change.add.replace = true;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_int_eq(kept(), 1);
	spool_message_release(&message);
}
END_TEST

START_TEST(another_next_hop)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct spool_change change = fixture_move_change(id, 0, SPOOL_QUEUED);
	struct spool_message message;

	change.move.next_hop = "192.0.2.9:25";
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DEFERRED), 0);
	message = fixture_read(&fixture, id);
	ck_assert_str_eq(message.recipients[0].next_hop, "192.0.2.9:25");
	spool_message_release(&message);
	change.move.next_hop = "";
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	message = fixture_read(&fixture, id);
	ck_assert_str_eq(message.recipients[0].next_hop, "");
	spool_message_release(&message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-failed");
	TCase *tests = tcase_create("failed");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, body_is_kept_until_the_end);
	tcase_add_test(tests, what_is_not_kept_is_over);
	tcase_add_test(tests, the_last_recipient_drops_the_body);
	tcase_add_test(tests, found_by_what_is_kept);
	tcase_add_test(tests, a_dsn_is_due_once);
	tcase_add_test(tests, a_dsn_that_is_sent_drops_the_body);
	tcase_add_test(tests, copies_have_it_all);
	tcase_add_test(tests, another_next_hop);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
