/*
 * Tests of the intake, the writer and the housekeeping on a store that goes
 * away: senders are told so at once, and all recover by themselves.
 */
#include "local-agent/queue/disowned.h"
#include "local-agent/queue/maintenance.h"
#include "tests/support/failing-spool.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/intake/intake-lab.h"

#define ENVELOPE "MAIL FROM:<%s>\r\nRCPT TO:<a@ours.test>\r\n"
#define MESSAGE  "DATA\r\nFrom: s@x.test\r\n\r\nhello\r\n.\r\n"

static struct spool_fixture store;
static struct failing_spool failing;
static struct disowned *disowned;
static struct maintenance *maintenance;

static void setup(void)
{
	struct writer_options writing = {.maximum_requests = 100,
	                                 .maximum_bytes = 1 << 20,
	                                 .pause_maximum_ms = 200};
	struct intake_options options = {.config = &config};

	lab_init();
	fixture_open(&store);
	failing_spool_init(&failing, store.spool);
	lab_config(&config, 1, LAB_POLICY);
	writing.spool = &failing.spool;
	ck_assert_int_eq(writer_start(&writer, &writing, NULL), 0);
	replica = replica_new();
	disowned = disowned_new();
	options.spool = &failing.spool;
	options.writer = writer;
	options.replica = replica;
	options.disowned = disowned;
	intake = intake_new(&options);
	give_policy();
	listen_for_mail();
}

static void teardown(void)
{
	failing_spool_away(&failing, 0);
	smtp_listener_stop(listener, 2000);
	maintenance_stop(maintenance);
	maintenance = NULL;
	writer_stop(writer);
	loop_stop(loop);
	intake_free(intake);
	disowned_free(disowned);
	replica_free(replica);
	agent_config_release(&config);
	failing_spool_release(&failing);
	fixture_close(&store);
}

static void keep_house(void)
{
	struct maintenance_options options = {.config = &config,
	                                      .spool = &failing.spool,
	                                      .writer = writer,
	                                      .disowned = disowned};

	ck_assert_int_eq(maintenance_start(&maintenance, &options, NULL), 0);
}

static void expect_reply(const char *sender, const char *wanted)
{
	char text[512], reply[256];

	(void)snprintf(text, sizeof(text), ENVELOPE MESSAGE, sender);
	last_reply(text, reply);
	ck_assert_msg(strncmp(reply, wanted, strlen(wanted)) == 0, "%s", reply);
}

/* The only message in the store. */
static void read_only_one(struct spool_message *message)
{
	struct spool_query query = {.limit = 10};
	struct spool_page page = {0};
	struct id id;

	ck_assert_int_eq(spool_list(store.spool, &query, &page, NULL), 0);
	ck_assert_uint_eq(page.count, 1);
	id = page.messages[0].id;
	spool_page_release(&page);
	ck_assert_int_eq(spool_read(store.spool, &id, message, NULL), 0);
}

static const struct {
	int code;
	const char *reply;
	bool away; /* refused before its body is sent, from then on */
} codes[] = {
    {ERR_UNAVAILABLE, "451 4.3.0", true}, {ERR_TIMEOUT, "451 4.3.0", true},
    {ERR_UNCERTAIN, "451 4.3.0", true},   {ERR_DENIED, "451 4.3.0", true},
    {ERR_FULL, "452 4.3.1", false},
};

START_TEST(mail_is_refused_and_then_taken_again)
{
	char reply[256];
	int i;

	failing_spool_commits(&failing, codes[_i].code, false);
	expect_reply("s@x.test", codes[_i].reply);
	ck_assert(!writer_is_broken(writer));
	ck_assert_int_eq(writer_failure(writer), codes[_i].code);
	ck_assert_int_eq(writer_away(writer) != 0, codes[_i].away);
	last_reply("MAIL FROM:<s@x.test>\r\n", reply);
	ck_assert_int_eq(strncmp(reply, "451 4.3.0", 9) == 0, codes[_i].away);
	/* It is asked now and then, however much is refused. */
	for (i = 0; i < 20; i++)
		last_reply("MAIL FROM:<s@x.test>\r\n", reply);
	ck_assert_uint_lt(failing_spool_commit_count(&failing), 20);
	/* And by itself, with no mail at all. */
	failing_spool_commits(&failing, 0, false);
	LAB_AWAIT(!writer_failure(writer));
	ck_assert_int_eq(writer_away(writer), 0);
	expect_reply("s@x.test", "250 2.0.0");
}
END_TEST

START_TEST(what_happened_waits_and_is_told)
{
	struct id id = fixture_add(&store, 1, SPOOL_HELD);
	struct spool_change change = fixture_move_change(id, 0, SPOOL_EXPIRED);
	unsigned before;

	failing_spool_commits(&failing, ERR_UNAVAILABLE, false);
	expect_reply("s@x.test", "451 4.3.0");
	before = failing_spool_commit_count(&failing);
	ck_assert_int_eq(writer_commit(writer, &change, 1), ERR_UNAVAILABLE);
	ck_assert_uint_le(failing_spool_commit_count(&failing), before + 3);
	failing_spool_commits(&failing, 0, false);
	LAB_AWAIT(!writer_failure(writer));
	ck_assert_int_eq(writer_commit(writer, &change, 1), 0);
	ck_assert_int_eq(change.result, 0);
	ck_assert_int_eq(fixture_state(&store, id, 0), SPOOL_EXPIRED);
}
END_TEST

/* No sender is told that it is stored, and no second copy goes out. */
static const char *const senders[] = {"s@x.test", "white@x.test"};

START_TEST(what_was_stored_after_all_is_discarded)
{
	struct spool_message message;

	failing_spool_commits(&failing, ERR_UNCERTAIN, true);
	expect_reply(senders[_i], "451 4.3.0");
	failing_spool_away(&failing, ERR_UNAVAILABLE);
	ck_assert_uint_eq(disowned_count(disowned), 1);
	read_only_one(&message);
	ck_assert(disowned_has(disowned, &message.id));
	ck_assert_int_eq(message.recipients[0].state,
	                 _i ? SPOOL_QUEUED : SPOOL_HELD);
	spool_message_release(&message);
	keep_house();
	(void)poll(NULL, 0, 100);
	ck_assert_uint_eq(disowned_count(disowned), 1);
	failing_spool_away(&failing, 0);
	LAB_AWAIT(disowned_count(disowned) == 0);
	read_only_one(&message);
	ck_assert_int_eq(message.recipients[0].state, SPOOL_DISCARDED);
	ck_assert_str_eq(message.recipients[0].by, "agent");
	ck_assert_str_eq(message.recipients[0].why,
	                 "answered 451: the sender keeps it");
	ck_assert(!message.body_present);
	spool_message_release(&message);
}
END_TEST

static int settle(void)
{
	struct error err = {.text = ""};
	int result = disowned_settle(disowned, &failing.spool, writer,
	                             FIXTURE_OWNER, &err);

	ck_assert_int_eq(result < 0, *err.text != '\0');
	return result;
}

/* A message in each state in which it may be found, and what becomes of it. */
static const struct {
	enum spool_state state;
	const char *lease;
	enum spool_state after;
} found[] = {
    {SPOOL_HELD, "", SPOOL_DISCARDED},
    {SPOOL_QUARANTINED, "", SPOOL_DISCARDED},
    {SPOOL_QUEUED, "", SPOOL_DISCARDED},
    {SPOOL_QUEUED, FIXTURE_OWNER, SPOOL_DISCARDED},
    {SPOOL_QUEUED, "another", SPOOL_QUEUED},
    {SPOOL_DELIVERED, "", SPOOL_DELIVERED},
    {SPOOL_DISCARDED, "", SPOOL_DISCARDED},
};

START_TEST(only_what_nobody_delivers_is_discarded)
{
	struct spool_message message = fixture_message(2, found[_i].state);
	int i;

	for (i = 0; i < 2; i++) {
		message.recipients[i].lease_owner =
		    mem_copy_string(found[_i].lease);
		message.recipients[i].lease_until_ms = FIXTURE_NOW_MS + 1000;
	}
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "b\r\n", 3)),
	    0);
	disowned_add(disowned, &message.id);
	ck_assert_int_eq(settle(), 0);
	ck_assert_uint_eq(disowned_count(disowned), 0);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(fixture_state(&store, message.id, (size_t)i),
		                 found[_i].after);
	spool_message_release(&message);
}
END_TEST

START_TEST(what_is_not_found_is_looked_for_again)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	unsigned reads;

	disowned_add(disowned, &message.id);
	failing_spool_reads(&failing, ERR_TIMEOUT);
	ck_assert_int_eq(settle(), ERR_TIMEOUT);
	failing_spool_reads(&failing, 0);
	ck_assert_int_eq(settle(), 0);
	ck_assert_uint_eq(disowned_count(disowned), 1);
	reads = failing_spool_read_count(&failing);
	ck_assert_int_eq(settle(), 0); /* not yet */
	ck_assert_uint_eq(failing_spool_read_count(&failing), reads);
	/* The server did late what it had begun. */
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "b\r\n", 3)),
	    0);
	(void)poll(NULL, 0, 1050);
	ck_assert_int_eq(settle(), 0);
	ck_assert_uint_eq(disowned_count(disowned), 0);
	ck_assert_int_eq(fixture_state(&store, message.id, 0), SPOOL_DISCARDED);
	spool_message_release(&message);
}
END_TEST

START_TEST(the_list_is_bounded)
{
	struct id first = id_new(), last = first;
	int i;

	disowned_add(disowned, &first);
	for (i = 0; i < DISOWNED_MAXIMUM; i++) {
		last = id_new();
		disowned_add(disowned, &last);
	}
	ck_assert_uint_eq(disowned_count(disowned), DISOWNED_MAXIMUM);
	ck_assert(!disowned_has(disowned, &first));
	ck_assert(disowned_has(disowned, &last));
	ck_assert(!disowned_has(NULL, &last));
}
END_TEST

/* Nothing turns in circles, and what was to be done is done afterwards. */
START_TEST(housekeeping_goes_on_afterwards)
{
	struct id id = fixture_add(&store, 1, SPOOL_HELD);
	bool more = true;
	struct error err = {.text = ""};

	failing_spool_away(&failing, ERR_UNAVAILABLE);
	keep_house();
	(void)poll(NULL, 0, 500);
	ck_assert_uint_lt(failing_spool_read_count(&failing), 10);
	failing_spool_away(&failing, 0);
	ck_assert_int_eq(maintenance_expire(&failing.spool, writer,
	                                    FIXTURE_NOW_MS + 5000, &more, &err),
	                 0);
	ck_assert(!more);
	ck_assert_int_eq(fixture_state(&store, id, 0), SPOOL_EXPIRED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent without its store");
	TCase *tests = tcase_create("away");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, mail_is_refused_and_then_taken_again, 0,
	                    LAB_COUNT(codes));
	tcase_add_test(tests, what_happened_waits_and_is_told);
	tcase_add_loop_test(tests, what_was_stored_after_all_is_discarded, 0,
	                    LAB_COUNT(senders));
	tcase_add_loop_test(tests, only_what_nobody_delivers_is_discarded, 0,
	                    LAB_COUNT(found));
	tcase_add_test(tests, what_is_not_found_is_looked_for_again);
	tcase_add_test(tests, the_list_is_bounded);
	tcase_add_test(tests, housekeeping_goes_on_afterwards);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
