/* What waits too long expires, held or kept after a failure; no other mail. */
#include "local-agent/queue/maintenance.h"

#include <stdlib.h>

#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/lab.h"

static struct spool_fixture store;
static struct writer *writer;

static void setup(void)
{
	lab_init();
	fixture_open(&store);
	writer = lab_writer(store.spool);
}

static void teardown(void)
{
	writer_stop(writer);
	fixture_close(&store);
}

static struct id add(enum spool_state state, int64_t keep_until_ms)
{
	struct spool_message message = fixture_message(2, state);
	struct id id = message.id;

	message.recipients[0].keep_until_ms = keep_until_ms;
	message.recipients[1].state = SPOOL_QUEUED;
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "body\r\n", 6)),
	    0);
	spool_message_release(&message);
	return id;
}

static void expire(int64_t now_ms)
{
	struct error err = {.text = ""};
	bool more = true;

	while (more)
		ck_assert_msg(!maintenance_expire(store.spool, writer, now_ms,
		                                  &more, &err),
		              "%s", err.text);
}

/* Fixture messages are held until FIXTURE_NOW_MS + 1000. */
static const struct {
	enum spool_state state;
	int64_t keep_until_ms;
	enum spool_state after;
} rows[] = {
    {SPOOL_HELD, 0, SPOOL_EXPIRED},
    {SPOOL_QUARANTINED, 0, SPOOL_QUARANTINED},
    {SPOOL_FAILED, FIXTURE_NOW_MS + 1500, SPOOL_EXPIRED},
    {SPOOL_FAILED, FIXTURE_NOW_MS + 2500, SPOOL_FAILED},
    {SPOOL_FAILED, 0, SPOOL_FAILED},
    {SPOOL_DEFERRED, 0, SPOOL_DEFERRED},
};

START_TEST(what_waits_too_long_expires)
{
	struct id id = add(rows[_i].state, rows[_i].keep_until_ms);
	struct spool_message message;

	expire(FIXTURE_NOW_MS + 2000);
	ck_assert_int_eq(fixture_state(&store, id, 0), rows[_i].after);
	ck_assert_int_eq(fixture_state(&store, id, 1), SPOOL_QUEUED);
	ck_assert_int_eq(spool_read(store.spool, &id, &message, NULL), 0);
	/* That it failed the cloud knows. */
	ck_assert_int_eq(message.recipients[0].event_pending,
	                 rows[_i].state == SPOOL_HELD);
	ck_assert(message.body_present);
	spool_message_release(&message);
}
END_TEST

START_TEST(page_after_page)
{
	struct spool_totals totals;

	for (int i = 0; i < 450; i++)
		(void)add(i % 2 ? SPOOL_HELD : SPOOL_FAILED,
		          FIXTURE_NOW_MS + 1);
	expire(FIXTURE_NOW_MS + 2000);
	ck_assert_int_eq(spool_count(store.spool, &totals, NULL), 0);
	ck_assert_int_eq(totals.recipients[SPOOL_EXPIRED], 450);
	ck_assert_int_eq(totals.kept, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent maintenance");
	TCase *tests = tcase_create("expiry");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, what_waits_too_long_expires, 0,
	                    LAB_COUNT(rows));
	tcase_add_test(tests, page_after_page);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
