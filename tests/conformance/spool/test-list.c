/* The spool's contract: what is listed, page by page, and counted. */
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

static struct spool_page list(const struct spool_query *query)
{
	struct spool_page page = {.count = 0};
	struct error err = {.text = ""};

	ck_assert_msg(!spool_list(fixture.spool, query, &page, &err), "%s",
	              err.text);
	return page;
}

static size_t count(struct spool_query query)
{
	return fixture_count(&fixture, query);
}

/* Walks all pages; checks the order and that every id comes once. */
static size_t walk(struct spool_query query, size_t *pages)
{
	size_t found = 0;
	bool more = true;

	*pages = 0;
	while (more) {
		struct spool_page page = list(&query);

		ck_assert_uint_le(page.count, query.limit);
		for (size_t i = 0; i < page.count; i++) {
			ck_assert_int_gt(memcmp(&page.messages[i].id,
			                        &query.after,
			                        sizeof(query.after)),
			                 0);
			query.after = page.messages[i].id;
		}
		found += page.count;
		more = page.more;
		(*pages)++;
		spool_page_release(&page);
	}
	return found;
}

static struct id pick(unsigned first)
{
	struct id id = id_new();

	id.bytes[0] = (uint8_t)first;
	return id;
}

/* Ids need not grow in the order of adding. */
static void add_shuffled(enum spool_state state)
{
	for (unsigned i = 0; i < 23; i++) {
		struct spool_message message = fixture_message(2, state);

		message.id = pick(i * 37);
		ck_assert_int_eq(
		    fixture_commit(&fixture,
		                   fixture_add_change(&message, "x", 1)),
		    0);
		spool_message_release(&message);
	}
}

START_TEST(paging)
{
	static const struct {
		enum spool_state state;
		struct spool_query query;
	} rows[] = {
	    {SPOOL_HELD, {.limit = 5}},
	    {SPOOL_HELD, {.states = SPOOL_IN(SPOOL_HELD), .limit = 5}},
	    {SPOOL_HELD,
	     {.states = SPOOL_IN(SPOOL_HELD),
	      .expired_before_ms = FIXTURE_NOW_MS + 1001,
	      .limit = 5}},
	    {SPOOL_HELD, {.unregistered = true, .limit = 5}},
	    {SPOOL_QUEUED, {.states = SPOOL_IN(SPOOL_QUEUED), .limit = 5}},
	    {SPOOL_EXPIRED, {.states = SPOOL_IN(SPOOL_EXPIRED), .limit = 5}},
	};
	const size_t index = (size_t)_i;
	size_t pages;

	add_shuffled(rows[index].state);
	ck_assert_uint_eq(walk(rows[index].query, &pages), 23);
	ck_assert_uint_eq(pages, 5);
}
END_TEST

START_TEST(exact_page_has_no_more)
{
	struct spool_query query = {.limit = 3};
	struct spool_page page;

	page = list(&query);
	ck_assert_uint_eq(page.count, 0);
	ck_assert(!page.more);
	spool_page_release(&page);
	for (int i = 0; i < 3; i++)
		(void)fixture_add(&fixture, 1, SPOOL_HELD);
	page = list(&query);
	ck_assert_uint_eq(page.count, 3);
	ck_assert(!page.more);
	spool_page_release(&page);
	spool_page_release(&page);
}
END_TEST

START_TEST(expiry)
{
	const struct spool_query due = {.states = SPOOL_IN(SPOOL_HELD),
	                                .expired_before_ms =
	                                    FIXTURE_NOW_MS + 1001};
	struct spool_query query = due;
	struct id id = fixture_add(&fixture, 2, SPOOL_HELD);

	(void)fixture_add(&fixture, 1, SPOOL_QUARANTINED);
	(void)fixture_add(&fixture, 1, SPOOL_QUEUED);
	ck_assert_uint_eq(count(due), 1);
	query.expired_before_ms--; /* before, not at */
	ck_assert_uint_eq(count(query), 0);
	query = due;
	query.states |= SPOOL_IN(SPOOL_QUARANTINED);
	ck_assert_uint_eq(count(query), 2);
	query.states = 0; /* what is queued does not wait */
	ck_assert_uint_eq(count(query), 2);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_EXPIRED), 0);
	ck_assert_uint_eq(count(due), 1);
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_QUEUED), 0);
	ck_assert_uint_eq(count(due), 0);
}
END_TEST

/* One recipient has to have it all: state, address, event. */
START_TEST(filters)
{
	struct id id = fixture_add(&fixture, 2, SPOOL_HELD);
	struct spool_change change =
	    fixture_move_change(id, 1, SPOOL_DISCARDED);
	static const struct {
		struct spool_query query;
		size_t found;
	} rows[] = {
	    {{.states = 0}, 1},
	    {{.sender = "stranger@"}, 1},
	    {{.sender = "ELSEWHERE"}, 1},
	    {{.sender = "%"}, 0},
	    {{.sender = "' OR 1=1 --"}, 0},
	    {{.sender = "user0"}, 0},
	    {{.recipient = "USER1@"}, 1},
	    {{.recipient = "user2@"}, 0},
	    {{.recipient = "user1@", .states = SPOOL_IN(SPOOL_HELD)}, 0},
	    {{.recipient = "user0@", .states = SPOOL_IN(SPOOL_HELD)}, 1},
	    {{.recipient = "user1@", .states = SPOOL_IN(SPOOL_DISCARDED)}, 1},
	    {{.states = SPOOL_IN(SPOOL_QUEUED)}, 0},
	    {{.states = SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_HELD)}, 1},
	    {{.event_pending = true}, 1},
	    {{.event_pending = true, .recipient = "user0"}, 0},
	    {{.event_pending = true, .states = SPOOL_IN(SPOOL_HELD)}, 0},
	    {{.unregistered = true}, 1},
	    {{.unregistered = true, .sender = "nobody"}, 0},
	};

	change.move.event = true;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(count(rows[i].query) == rows[i].found, "row %zu",
		              i);
}
END_TEST

START_TEST(unregistered)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct spool_change registered = {.kind = SPOOL_REGISTERED,
	                                  .mark = {.id = id}};
	struct spool_query query = {.unregistered = true};

	(void)fixture_add(&fixture, 1, SPOOL_QUEUED);
	ck_assert_uint_eq(count(query), 2);
	ck_assert_int_eq(fixture_commit(&fixture, registered), 0);
	ck_assert_uint_eq(count(query), 1);
}
END_TEST

START_TEST(counts)
{
	struct spool_totals totals;
	struct error err;

	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		for (int n = 0; n <= i; n++)
			(void)fixture_add(&fixture, 1, (enum spool_state)i);
	ck_assert_int_eq(spool_count(fixture.spool, &totals, &err), 0);
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		ck_assert_int_eq(totals.recipients[i], i + 1);
	ck_assert_int_eq(totals.unregistered, 36);
	ck_assert_int_eq(totals.body_bytes, 6 * (1 + 2 + 3 + 8));
}
END_TEST

START_TEST(next_due)
{
	struct id id;
	struct spool_page page = {.count = 0};
	struct error err;
	int64_t due_ms = 5;

	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	ck_assert_int_eq(spool_next_due(fixture.spool, &due_ms, &err), 0);
	ck_assert(due_ms == INT64_MAX);
	id = fixture_add(&fixture, 2, SPOOL_QUEUED);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DEFERRED), 0);
	ck_assert_int_eq(spool_next_due(fixture.spool, &due_ms, &err), 0);
	ck_assert_int_eq(due_ms, FIXTURE_NOW_MS);
	ck_assert_int_eq(spool_claim(fixture.spool, "a", FIXTURE_NOW_MS, 1000,
	                             10, &page, &err),
	                 0);
	spool_page_release(&page);
	ck_assert_int_eq(spool_next_due(fixture.spool, &due_ms, &err), 0);
	ck_assert_int_eq(due_ms, FIXTURE_NOW_MS + 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-list");
	TCase *tests = tcase_create("list");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, paging, 0, 6);
	tcase_add_test(tests, exact_page_has_no_more);
	tcase_add_test(tests, expiry);
	tcase_add_test(tests, filters);
	tcase_add_test(tests, unregistered);
	tcase_add_test(tests, counts);
	tcase_add_test(tests, next_due);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
