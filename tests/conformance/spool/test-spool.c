/* The spool's contract: adding, reading, results of a batch, bad input. */
#include "common/mem.h"
#include "tests/support/same-message.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

START_TEST(names_and_states)
{
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		ck_assert_int_eq(
		    spool_state_parse(spool_state_name((enum spool_state)i)),
		    i);
	ck_assert_str_eq(spool_state_name(SPOOL_HELD), "held");
	ck_assert_str_eq(spool_state_name(SPOOL_QUARANTINED), "quarantined");
	ck_assert_ptr_nonnull(spool_state_name((enum spool_state)99));
	ck_assert_int_eq(spool_state_parse("Held"), -1);
	ck_assert_int_eq(spool_state_parse(""), -1);
	ck_assert(!spool_state_is_final(SPOOL_QUARANTINED));
	ck_assert(!spool_state_is_final(SPOOL_DEFERRED));
	ck_assert(spool_state_is_final(SPOOL_DELIVERED));
	ck_assert(spool_state_is_final(SPOOL_EXPIRED));
	ck_assert(spool_state_is_final(SPOOL_FAILED));
	for (int i = 0; i < SPOOL_DSN_COUNT; i++)
		ck_assert_int_eq(
		    spool_dsn_parse(spool_dsn_name((enum spool_dsn)i)), i);
	ck_assert_int_eq(spool_dsn_parse(""), -1);
	ck_assert_ptr_nonnull(spool_dsn_name((enum spool_dsn)99));
}
END_TEST

static void compare_recipients(const struct spool_recipient *a,
                               const struct spool_recipient *b)
{
	ck_assert_str_eq(a->address, b->address);
	ck_assert_int_eq(a->state, b->state);
	ck_assert_int_eq(a->changed_ms, b->changed_ms);
	ck_assert_str_eq(a->by, b->by);
	ck_assert_str_eq(a->why, b->why);
	ck_assert_str_eq(a->reply, b->reply);
	ck_assert_uint_eq(a->attempts, b->attempts);
	ck_assert_str_eq(b->lease_owner, "");
	ck_assert_int_eq(b->lease_until_ms, 0);
	ck_assert_int_eq(a->event_pending, b->event_pending);
}

START_TEST(what_is_added_is_read)
{
	struct spool_message message = fixture_message(3, SPOOL_HELD);
	struct spool_message got = {.recipient_count = 0};
	struct error err;

	message.recipients[1].state = SPOOL_QUEUED;
	message.recipients[2].state = SPOOL_DISCARDED;
	message.recipients[2].event_pending = true;
	ck_assert_int_eq(fixture_commit(&fixture, fixture_add_change(
	                                              &message, "body\r\n", 6)),
	                 0);
	fixture_reopen(&fixture);
	ck_assert_int_eq(spool_read(fixture.spool, &message.id, &got, &err), 0);
	message.body_present = true;
	expect_same_head(&message, &got);
	ck_assert_uint_eq(got.recipient_count, 3);
	for (size_t i = 0; i < 3; i++)
		compare_recipients(&message.recipients[i], &got.recipients[i]);
	ck_assert_int_eq(got.recipients[1].next_attempt_ms, FIXTURE_NOW_MS);
	spool_message_release(&got);
	spool_message_release(&message);
}
END_TEST

START_TEST(missing_texts_read_as_empty)
{
	struct spool_recipient recipient = {.address =
	                                        (char *)"a@customer.example"};
	struct spool_message message = {.id = id_new(),
	                                .registered = true,
	                                .recipients = &recipient,
	                                .recipient_count = 1};
	struct spool_message got = {.recipient_count = 0};
	struct error err;

	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&message, NULL, 0)), 0);
	ck_assert_int_eq(spool_read(fixture.spool, &message.id, &got, &err), 0);
	ck_assert(got.registered && got.body_present);
	ck_assert_str_eq(got.sender, "");
	ck_assert_str_eq(got.subject, "");
	ck_assert_str_eq(got.recipients[0].by, "");
	ck_assert_str_eq(got.recipients[0].reply, "");
	spool_message_release(&got);
}
END_TEST

START_TEST(same_id_twice_leaves_the_first)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	struct spool_message other = fixture_message(2, SPOOL_QUEUED);
	struct spool_totals totals;
	struct error err;
	size_t size;
	char *body;

	other.id = message.id;
	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&message, "one", 3)),
	    0);
	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&other, "two!", 4)),
	    ERR_EXISTS);
	body = fixture_body(&fixture, message.id, &size);
	ck_assert_uint_eq(size, 3);
	ck_assert_mem_eq(body, "one", 3);
	ck_assert_int_eq(spool_count(fixture.spool, &totals, &err), 0);
	ck_assert_int_eq(totals.recipients[SPOOL_HELD], 1);
	ck_assert_int_eq(totals.recipients[SPOOL_QUEUED], 0);
	ck_assert_int_eq(totals.unregistered, 1);
	ck_assert_int_eq(totals.body_bytes, 3);
	free(body);
	spool_message_release(&message);
	spool_message_release(&other);
}
END_TEST

/* A write whose answer was lost is made again: one record in the end. */
START_TEST(repeat_after_an_uncertain_outcome)
{
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);
	struct spool_change add = fixture_add_change(&message, "body", 4);
	struct spool_change move =
	    fixture_move_change(message.id, 0, SPOOL_DEFERRED);
	struct spool_query query = {.limit = 10};
	struct spool_page page;
	struct error err;

	move.move.from = SPOOL_IN(SPOOL_QUEUED);
	ck_assert_int_eq(fixture_commit(&fixture, add), 0);
	fixture_reopen(&fixture);
	ck_assert_int_eq(fixture_commit(&fixture, add), ERR_EXISTS);
	ck_assert_int_eq(fixture_commit(&fixture, move), 0);
	ck_assert_int_eq(fixture_commit(&fixture, move), ERR_CONFLICT);
	ck_assert_int_eq(spool_list(fixture.spool, &query, &page, &err), 0);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_uint_eq(page.messages[0].recipients[0].attempts, 0);
	spool_page_release(&page);
	spool_message_release(&message);
}
END_TEST

/* Good and bad changes in one batch: each has its own result, in order. */
START_TEST(mixed_batch)
{
	struct id known = fixture_add(&fixture, 2, SPOOL_HELD);
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	struct spool_message none = fixture_message(0, SPOOL_HELD);
	struct id unknown = id_new();
	struct spool_change changes[] = {
	    fixture_add_change(&message, "x", 1),
	    fixture_add_change(&message, "y", 1),
	    fixture_add_change(&none, "z", 1),
	    fixture_move_change(known, 0, SPOOL_QUEUED),
	    fixture_move_change(known, 1, SPOOL_DELIVERED),
	    fixture_move_change(known, 2, SPOOL_QUEUED),
	    fixture_move_change(unknown, 0, SPOOL_QUEUED),
	    fixture_move_change(message.id, 0, SPOOL_QUEUED),
	    fixture_move_change(message.id, 0, SPOOL_DELIVERED),
	    {.kind = SPOOL_REGISTERED, .mark = {.id = known}},
	    {.kind = SPOOL_REGISTERED, .mark = {.id = known}},
	    {.kind = SPOOL_REGISTERED, .mark = {.id = unknown}},
	    {.kind = SPOOL_REPORTED, .mark = {.id = message.id}},
	    {.kind = SPOOL_REPORTED, .mark = {.id = known, .recipient = 9}},
	    {.kind = SPOOL_SET, .set = {.name = "cursor", .value = "1"}},
	    {.kind = SPOOL_SET, .set = {.name = "", .value = "1"}},
	    {.kind = SPOOL_SET, .set = {.name = "cursor", .value = "2"}},
	    {.kind = (enum spool_change_kind)77}};
	static const int expected[] = {0,
	                               ERR_EXISTS,
	                               ERR_INVALID,
	                               0,
	                               ERR_INVALID,
	                               ERR_NOT_FOUND,
	                               ERR_NOT_FOUND,
	                               0,
	                               0,
	                               0,
	                               0,
	                               ERR_NOT_FOUND,
	                               0,
	                               ERR_NOT_FOUND,
	                               0,
	                               ERR_INVALID,
	                               0,
	                               ERR_INVALID};
	const size_t count = sizeof(changes) / sizeof(changes[0]);
	struct error err;
	char *value = NULL;

	ck_assert_uint_eq(count, sizeof(expected) / sizeof(expected[0]));
	ck_assert_int_eq(spool_commit(fixture.spool, changes, count, &err), 0);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(changes[i].result == expected[i],
		              "change %zu: %s", i,
		              error_name(changes[i].result));
	ck_assert_int_eq(fixture_state(&fixture, known, 0), SPOOL_QUEUED);
	ck_assert_int_eq(fixture_state(&fixture, known, 1), SPOOL_HELD);
	ck_assert_int_eq(fixture_state(&fixture, message.id, 0),
	                 SPOOL_DELIVERED);
	ck_assert_int_eq(spool_get(fixture.spool, "cursor", &value, &err), 0);
	ck_assert_str_eq(value, "2");
	free(value);
	spool_message_release(&message);
	spool_message_release(&none);
}
END_TEST

START_TEST(named_values)
{
	char *large = mem_alloc((1 << 20) + 2);
	struct spool_change change = {.kind = SPOOL_SET,
	                              .set = {.name = "a", .value = large}};
	struct error err;
	char *value = NULL;

	memset(large, 'v', 1 << 20);
	ck_assert_int_eq(spool_get(fixture.spool, "a", &value, &err),
	                 ERR_NOT_FOUND);
	ck_assert_ptr_null(value);
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	fixture_reopen(&fixture);
	ck_assert_int_eq(spool_get(fixture.spool, "a", &value, &err), 0);
	ck_assert_str_eq(value, large);
	free(value);
	large[1 << 20] = 'v';
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_INVALID);
	change.set.value = "'); DROP TABLE value; --";
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_int_eq(spool_get(fixture.spool, "a", &value, &err), 0);
	ck_assert_str_eq(value, change.set.value);
	ck_assert_int_eq(spool_get(fixture.spool, "A", &value, &err),
	                 ERR_NOT_FOUND);
	free(value);
	free(large);
}
END_TEST

START_TEST(bad_changes_are_refused)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct id none = {{0}};
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	struct spool_message no_id = message;
	struct spool_message negative = message;
	struct spool_recipient nobody = {.address = (char *)""};
	struct spool_recipient no_state = {.address = (char *)"a@b",
	                                   .state = SPOOL_STATE_COUNT};
	struct spool_message empty_address = message;
	struct spool_message bad_state = message;
	struct spool_change rows[11];
	size_t count = 0;

	no_id.id = none;
	negative.size = -1;
	empty_address.recipients = &nobody;
	bad_state.recipients = &no_state;
	rows[count++] = fixture_add_change(NULL, "x", 1);
	rows[count++] = fixture_add_change(&no_id, "x", 1);
	rows[count++] = fixture_add_change(&negative, "x", 1);
	rows[count++] = fixture_add_change(&empty_address, "x", 1);
	rows[count++] = fixture_add_change(&bad_state, "x", 1);
	rows[count++] = fixture_add_change(&message, NULL, 5);
	rows[count] = fixture_add_change(&message, "x", 1);
	rows[count++].add.body.path = "/nowhere";
	rows[count] = fixture_move_change(id, 0, SPOOL_QUEUED);
	rows[count++].move.from = 0;
	rows[count] = fixture_move_change(id, 0, SPOOL_QUEUED);
	rows[count++].move.from = SPOOL_IN(SPOOL_STATE_COUNT);
	rows[count++] = fixture_move_change(id, 0, SPOOL_STATE_COUNT);
	rows[count++] = fixture_move_change(none, 0, SPOOL_QUEUED);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(fixture_commit(&fixture, rows[i]) == ERR_INVALID,
		              "row %zu", i);
	spool_message_release(&message);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	struct spool_options options = fixture.options;
	struct spool_query query = {.limit = 0};
	struct spool_page page = {.count = 0};
	struct spool *other = NULL;
	struct error err;

	ck_assert_int_eq(spool_list(fixture.spool, &query, &page, &err),
	                 ERR_INVALID);
	query.limit = 1001;
	ck_assert_int_eq(spool_list(fixture.spool, &query, &page, &err),
	                 ERR_INVALID);
	query = (struct spool_query){.limit = 1, .states = 1U << 31};
	ck_assert_int_eq(spool_list(fixture.spool, &query, &page, &err),
	                 ERR_INVALID);
	ck_assert_int_eq(spool_claim(fixture.spool, "", 0, 1, 1, &page, &err),
	                 ERR_INVALID);
	ck_assert_int_eq(spool_claim(fixture.spool, "a", 0, 0, 1, &page, &err),
	                 ERR_INVALID);
	ck_assert_int_eq(spool_claim(fixture.spool, "a", 0, 1, 0, &page, &err),
	                 ERR_INVALID);
	options.backend = "no-such";
	ck_assert_int_eq(spool_open(&other, &options, &err), ERR_INVALID);
	options = fixture.options;
	options.owner = "";
	ck_assert_int_eq(spool_open(&other, &options, &err), ERR_INVALID);
	ck_assert_ptr_null(other);
	ck_assert_int_eq(spool_commit(fixture.spool, NULL, 0, &err), 0);
}
END_TEST

START_TEST(unknown_ids)
{
	struct id id = id_new();
	struct spool_message message = {.recipient_count = 0};
	struct spool_body *body = NULL;
	struct error err;

	ck_assert_int_eq(spool_read(fixture.spool, &id, &message, &err),
	                 ERR_NOT_FOUND);
	ck_assert_ptr_null(message.sender);
	ck_assert_int_eq(spool_body_open(fixture.spool, &id, &body, &err),
	                 ERR_NOT_FOUND);
	ck_assert_ptr_null(body);
	spool_body_close(NULL);
	spool_close(NULL);
}
END_TEST

/* A thousand recipients of one message, delivered one by one. */
START_TEST(many_recipients)
{
	struct id id = fixture_add(&fixture, 1000, SPOOL_QUEUED);
	struct spool_message message = {.recipient_count = 0};
	static struct spool_change changes[1000];
	struct error err;

	for (size_t i = 0; i < 1000; i++)
		changes[i] = fixture_move_change(id, i, SPOOL_DELIVERED);
	ck_assert_int_eq(spool_commit(fixture.spool, changes, 999, &err), 0);
	ck_assert_int_eq(spool_read(fixture.spool, &id, &message, &err), 0);
	ck_assert_uint_eq(message.recipient_count, 1000);
	ck_assert_str_eq(message.recipients[999].address,
	                 "User999@customer.example");
	ck_assert(message.body_present);
	spool_message_release(&message);
	ck_assert_int_eq(spool_commit(fixture.spool, &changes[999], 1, &err),
	                 0);
	ck_assert_int_eq(spool_read(fixture.spool, &id, &message, &err), 0);
	ck_assert(!message.body_present);
	spool_message_release(&message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool");
	TCase *tests = tcase_create("contract");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, names_and_states);
	tcase_add_test(tests, what_is_added_is_read);
	tcase_add_test(tests, missing_texts_read_as_empty);
	tcase_add_test(tests, same_id_twice_leaves_the_first);
	tcase_add_test(tests, repeat_after_an_uncertain_outcome);
	tcase_add_test(tests, mixed_batch);
	tcase_add_test(tests, named_values);
	tcase_add_test(tests, bad_changes_are_refused);
	tcase_add_test(tests, bad_arguments_are_refused);
	tcase_add_test(tests, unknown_ids);
	tcase_add_test(tests, many_recipients);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
