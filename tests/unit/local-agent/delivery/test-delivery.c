/* Tests of delivery: bytes, connections, claims, memory, and a store that is
 * away. */
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cases.h"
#include "tests/support/smtp-script.h"
#include "tests/unit/local-agent/delivery/delivery-hop.h"
#include "tests/unit/local-agent/delivery/delivery-lab.h"

/* Bytes that tempt a client to change them. */
static const char *const bodies[] = {
    "A: b\r\n\r\n.\r\n",
    "A: b\r\n\r\n..\r\n.x\r\n\r\n\r\n",
    ".leading: dot\r\n\r\n\r\n",
    "From x\r\nReturn-Path: <a@b>\r\nBcc: c@d\r\n\r\n\xff\x80 8bit\r\n",
    "\r\n",
    "A: \tb\r\n \t folded  \r\n\r\ntrailing blanks   \r\n\t\r\n",
};

static void add_body(const char *body, size_t size, enum spool_state state)
{
	struct spool_message message = fixture_message(1, state);

	message.size = (int64_t)size;
	message.eight_bit = true;
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, body, size)),
	    0);
	spool_message_release(&message);
}

/* What follows the agent's own headers is what was received. */
static void check_body(unsigned index, const char *body, size_t size)
{
	const char *text = hop.messages[index];
	const char *verdict = strstr(text, "\r\nX-Turing-Verdict:");
	const char *rest;

	ck_assert_ptr_nonnull(verdict);
	ck_assert_int_eq(strncmp(text, "Received: from ", 15), 0);
	rest = strstr(verdict + 2, "\r\n") + 2;
	ck_assert_uint_eq(hop.sizes[index] - (size_t)(rest - text), size);
	ck_assert_int_eq(memcmp(rest, body, size), 0);
}

/* First lines that would join with our header, and one that would not. */
static const char *const blank_bodies[] = {
    "   indented first line\r\nsecond line\r\n",
    "\tfirst line by a tab\r\n",
    " \r\nA: b\r\n\r\nx\r\n",
};

/* An empty line stands before them; the rest is as it was received. */
static void check_separated(const char *body)
{
	char separated[200];

	hop_start(0);
	add_body(body, strlen(body), SPOOL_QUEUED);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(hop_read(&hop.count) == 1);
	stop();
	(void)snprintf(separated, sizeof(separated), "\r\n%s", body);
	check_body(0, separated, strlen(separated));
	hop_stop();
}

START_TEST(first_line_stays_in_the_body)
{
	check_separated(blank_bodies[_i]);
}
END_TEST

static void play_shape(const json_t *item, void *context)
{
	(void)context;
	check_separated(case_text(item, "in", "data", NULL));
}

START_TEST(cases_of_the_shape)
{
	(void)cases_each("shape-of-the-message", play_shape, NULL);
}
END_TEST

/* A NUL goes on as it came. */
START_TEST(nul_is_delivered)
{
	static const char body[] = "A: b\r\n\r\nhel\0lo\0\r\n";

	hop_start(0);
	add_body(body, sizeof(body) - 1, SPOOL_QUEUED);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(hop_read(&hop.count) == 1);
	stop();
	check_body(0, body, sizeof(body) - 1);
	hop_stop();
}
END_TEST

START_TEST(bytes_are_sacred)
{
	hop_start(0);
	add_body(bodies[_i], strlen(bodies[_i]), SPOOL_QUEUED);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(hop_read(&hop.count) == 1);
	stop();
	check_body(0, bodies[_i], strlen(bodies[_i]));
	hop_stop();
}
END_TEST

START_TEST(large_message_from_its_file)
{
	size_t size = 300000, i;
	char *body = mem_alloc(size + 1);

	for (i = 0; i < size; i++)
		body[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : '.';
	hop_start(0);
	add_body(body, size, SPOOL_QUEUED);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(hop_read(&hop.count) == 1);
	stop();
	check_body(0, body, size);
	hop_stop();
	free(body);
}
END_TEST

START_TEST(connections_are_used_again)
{
	int i;

	hop_start(0);
	for (i = 0; i < 30; i++)
		(void)fixture_add(&store, 2, SPOOL_QUEUED);
	start(smtp_listener_port(hop.listener),
	      "connections = 2; messages_per_connection = 10;");
	LAB_AWAIT(hop_read(&hop.count) == 30);
	stop();
	ck_assert_uint_ge(hop.sessions, 3);
	ck_assert_uint_le(hop.sessions, 6);
	ck_assert_uint_eq(hop.transactions, 30);
	hop_stop();
}
END_TEST

START_TEST(released_mail_is_noticed)
{
	struct id id = fixture_add(&store, 1, SPOOL_HELD);

	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	(void)poll(NULL, 0, 50);
	ck_assert_uint_eq(hop_read(&hop.count), 0);
	ck_assert_int_eq(fixture_move(&store, id, 0, SPOOL_QUEUED), 0);
	delivery_wake(delivery);
	LAB_AWAIT(hop_read(&hop.count) == 1);
	LAB_AWAIT(fixture_state(&store, id, 0) == SPOOL_DELIVERED);
	LAB_AWAIT(atomic_load(&ends) == 1);
	stop();
	hop_stop();
}
END_TEST

static const char fresh_body[] = "A: b\r\n\r\nfresh\r\n";

/* Adds mail that was received at received_ms and is claimed from the start,
 * and hands it over, as the intake does. */
static struct id hand_over(int64_t received_ms)
{
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);
	struct id id = message.id;

	message.registered = true;
	message.size = sizeof(fresh_body) - 1;
	message.received_ms = received_ms;
	free(message.recipients[0].lease_owner);
	message.recipients[0].lease_owner = mem_copy_string("agent-1");
	message.recipients[0].lease_until_ms =
	    message.received_ms + config.queue_lease_ms;
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, fresh_body,
	                                              sizeof(fresh_body) - 1)),
	    0);
	ck_assert(delivery_reserve(delivery, 1000));
	delivery_take(delivery, &message,
	              mem_copy_bytes(fresh_body, sizeof(fresh_body) - 1),
	              sizeof(fresh_body) - 1, 1000);
	return id;
}

START_TEST(fresh_mail_is_handed_over)
{
	struct id id;

	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	id = hand_over(clock_wall_ms());
	LAB_AWAIT(fixture_state(&store, id, 0) == SPOOL_DELIVERED);
	stop();
	ck_assert_uint_eq(hop.count, 1);
	check_body(0, fresh_body, sizeof(fresh_body) - 1);
	/* The cloud never heard of it and is told nothing. */
	ck_assert_uint_eq(atomic_load(&ends), 0);
	hop_stop();
}
END_TEST

/* Its claim could end while it is sent: it is claimed anew first. */
START_TEST(mail_that_waited_too_long_is_given_back)
{
	struct spool_message message;
	struct id id;

	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	id = hand_over(clock_wall_ms() - config.queue_lease_ms * 2 / 3 - 1000);
	LAB_AWAIT(fixture_state(&store, id, 0) == SPOOL_DELIVERED);
	stop();
	ck_assert_uint_eq(hop.count, 1);
	ck_assert_int_eq(spool_read(store.spool, &id, &message, NULL), 0);
	ck_assert_uint_eq(message.recipients[0].attempts, 1);
	/* From the spool, not from memory: not known to be fresh. */
	ck_assert_uint_eq(atomic_load(&ends), 1);
	spool_message_release(&message);
	hop_stop();
}
END_TEST

#define SHORT_LEASE_MS 300

/* How many messages another agent gets. */
static size_t claim_as_another(void)
{
	struct spool_page page = {0};
	size_t count;

	ck_assert_int_eq(spool_claim(store.spool, "agent-2", clock_wall_ms(),
	                             60000, 10, &page, NULL),
	                 0);
	count = page.count;
	spool_page_release(&page);
	return count;
}

/* Adds two messages, the first of which the next hop has and does not answer,
 * while the other waits. */
static void start_stalled(struct id ids[2])
{
	hop_start(0);
	atomic_store(&hop.stall, true);
	for (int i = 0; i < 2; i++)
		ids[i] = fixture_add(&store, 1, SPOOL_QUEUED);
	lease_of_test_ms = SHORT_LEASE_MS;
	start(smtp_listener_port(hop.listener), "connections = 1;");
	LAB_AWAIT(hop_read(&hop.count) == 1);
}

/* A transaction, and what waits behind it, may take longer than a lease. */
START_TEST(claims_outlast_their_lease)
{
	struct id ids[2];

	start_stalled(ids);
	for (int i = 0; i < 8; i++) {
		(void)poll(NULL, 0, SHORT_LEASE_MS / 3);
		ck_assert_uint_eq(claim_as_another(), 0);
	}
	atomic_store(&hop.stall, false);
	LAB_AWAIT(fixture_state(&store, ids[0], 0) == SPOOL_DELIVERED);
	LAB_AWAIT(fixture_state(&store, ids[1], 0) == SPOOL_DELIVERED);
	stop();
	ck_assert_uint_eq(hop.count, 2);
	hop_stop();
}
END_TEST

/* Codes of the next hop, and the state when another has the claim by then. */
static const struct {
	int code;
	enum spool_state state;
} late_answers[] = {
    {451, SPOOL_QUEUED}, {550, SPOOL_QUEUED}, {250, SPOOL_DELIVERED}};

/*
 * Claims that could not be prolonged are another's: what waits is not begun,
 * and no outcome but a delivery is written over the other's.
 */
START_TEST(lost_claims_are_let_go)
{
	struct spool_message message;
	struct id ids[2], sent, waited;

	start_stalled(ids);
	hop.code = late_answers[_i].code;
	failing_spool_commits(&failing, ERR_UNAVAILABLE, false);
	(void)poll(NULL, 0, SHORT_LEASE_MS + 100);
	ck_assert_uint_eq(claim_as_another(), 2);
	failing_spool_commits(&failing, 0, false);
	/* The writer finds out that the store is back. */
	LAB_AWAIT(writer_away(writer) == 0);
	atomic_store(&hop.stall, false);
	(void)poll(NULL, 0, 2 * SHORT_LEASE_MS);
	stop();
	ck_assert_uint_eq(hop.count, 1);
	sent = ids[0];
	waited = ids[1];
	ck_assert_int_eq(spool_read(store.spool, &sent, &message, NULL), 0);
	ck_assert_int_eq(message.recipients[0].state, late_answers[_i].state);
	ck_assert_str_eq(message.recipients[0].lease_owner,
	                 late_answers[_i].code == 250 ? "" : "agent-2");
	spool_message_release(&message);
	ck_assert_int_eq(spool_read(store.spool, &waited, &message, NULL), 0);
	ck_assert_str_eq(message.recipients[0].lease_owner, "agent-2");
	spool_message_release(&message);
	hop_stop();
}
END_TEST

/* A claim of our own that ended is not begun a second time beside itself. */
START_TEST(own_claims_that_ended)
{
	struct id ids[2];

	start_stalled(ids);
	failing_spool_commits(&failing, ERR_UNAVAILABLE, false);
	(void)poll(NULL, 0, SHORT_LEASE_MS + 100);
	delivery_wake(delivery);
	(void)poll(NULL, 0, SHORT_LEASE_MS);
	failing_spool_commits(&failing, 0, false);
	LAB_AWAIT(writer_away(writer) == 0);
	atomic_store(&hop.stall, false);
	LAB_AWAIT(fixture_state(&store, ids[0], 0) == SPOOL_DELIVERED);
	LAB_AWAIT(fixture_state(&store, ids[1], 0) == SPOOL_DELIVERED);
	stop();
	ck_assert_uint_eq(hop.count, 2);
	hop_stop();
}
END_TEST

START_TEST(memory_is_bounded)
{
	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	ck_assert(delivery_reserve(delivery, 1 << 19));
	ck_assert(!delivery_reserve(delivery, (1 << 19) + 1));
	ck_assert(delivery_reserve(delivery, 1 << 19));
	ck_assert(!delivery_reserve(delivery, 1));
	delivery_unreserve(delivery, 1 << 19);
	ck_assert(delivery_reserve(delivery, 1));
	delivery_unreserve(delivery, 1);
	delivery_unreserve(delivery, 1 << 19);
	stop();
	hop_stop();
}
END_TEST

static void cut_file(const char *directory)
{
	DIR *folder = opendir(directory);
	struct dirent *entry;
	char path[400];

	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", directory,
		               entry->d_name);
		ck_assert_int_eq(truncate(path, 100000), 0);
	}
	(void)closedir(folder);
}

/* Bytes that the medium lost must not make a shorter message look whole. */
START_TEST(body_cut_short_is_not_delivered)
{
	size_t size = 300000;
	char *body = mem_alloc(size + 1), bodies_directory[100];
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);
	struct id id = message.id;

	message.size = (int64_t)size;
	for (size_t i = 0; i + 1 < size; i += 2)
		memcpy(body + i, "\r\n", 2);
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, body, size)),
	    0);
	spool_message_release(&message);
	(void)snprintf(bodies_directory, sizeof(bodies_directory), "%s/bodies",
	               store.directory);
	cut_file(bodies_directory);
	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(is_over(&id, 0));
	stop();
	ck_assert_int_eq(fixture_state(&store, id, 0), SPOOL_DEFERRED);
	ck_assert_uint_eq(hop.count, 0);
	hop_stop();
	free(body);
	/* The spool's own check would find the file too short. */
	ck_assert_int_eq(fixture_move(&store, id, 0, SPOOL_DISCARDED), 0);
}
END_TEST

/* Stopped while mail waits: it goes back to the spool, due at once. */
START_TEST(stop_gives_mail_back)
{
	static const struct script_step steps[] = {{SCRIPT_STALL, NULL},
	                                           {SCRIPT_END, NULL}};
	struct smtp_script *script = smtp_script_start(steps);
	struct smtp_script_report report;
	struct id id = fixture_add(&store, 1, SPOOL_QUEUED);
	struct spool_message message;

	start(smtp_script_port(script), "");
	(void)poll(NULL, 0, 200);
	stop();
	smtp_script_stop(script, &report);
	ck_assert(report.connected);
	ck_assert_int_eq(spool_read(store.spool, &id, &message, NULL), 0);
	ck_assert_str_eq(message.recipients[0].lease_owner, "");
	ck_assert_uint_eq(message.recipients[0].attempts, 0);
	ck_assert_int_le(message.recipients[0].next_attempt_ms,
	                 clock_wall_ms());
	ck_assert(message.body_present);
	spool_message_release(&message);
}
END_TEST

/* What was delivered is recorded once the store is back; no more is sent. */
START_TEST(store_that_is_away_is_waited_for)
{
	struct id first, second;

	hop_start(0);
	first = fixture_add(&store, 1, SPOOL_QUEUED);
	failing_spool_commits(&failing, ERR_TIMEOUT, false);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(writer_away(writer) != 0);
	ck_assert_uint_eq(hop_read(&hop.count), 1);
	ck_assert_int_eq(fixture_state(&store, first, 0), SPOOL_QUEUED);
	second = fixture_add(&store, 1, SPOOL_QUEUED);
	delivery_wake(delivery);
	(void)poll(NULL, 0, 700);
	ck_assert_uint_eq(hop_read(&hop.count), 1);
	ck_assert_uint_lt(failing_spool_commit_count(&failing), 20);
	failing_spool_commits(&failing, 0, false);
	LAB_AWAIT(is_over(&first, 0) && is_over(&second, 0));
	stop();
	ck_assert_int_eq(fixture_state(&store, first, 0), SPOOL_DELIVERED);
	ck_assert_int_eq(fixture_state(&store, second, 0), SPOOL_DELIVERED);
	ck_assert_uint_eq(hop_read(&hop.count), 2);
	hop_stop();
}
END_TEST

static int64_t delivered_count(void)
{
	struct spool_totals totals;

	ck_assert_int_eq(spool_count(store.spool, &totals, NULL), 0);
	return totals.recipients[SPOOL_DELIVERED];
}

/* What a crash would deliver again is bounded, whatever the store does. */
START_TEST(little_is_sent_that_is_not_recorded)
{
	hop_start(0);
	for (int i = 0; i < 100; i++)
		(void)fixture_add(&store, 1, SPOOL_QUEUED);
	failing_spool_commits(&failing, ERR_FULL, false);
	start(smtp_listener_port(hop.listener), "connections = 4;");
	LAB_AWAIT(hop_read(&hop.transactions) >= 4);
	(void)poll(NULL, 0, 300);
	ck_assert_uint_eq(hop_read(&hop.transactions), 4);
	failing_spool_commits(&failing, 0, false);
	LAB_AWAIT(delivered_count() == 100);
	ck_assert_uint_eq(hop_read(&hop.transactions), 100);
	/* More may be under way now that all went well. */
	failing_spool_commits(&failing, ERR_FULL, false);
	for (int i = 0; i < 100; i++)
		(void)fixture_add(&store, 1, SPOOL_QUEUED);
	delivery_wake(delivery);
	LAB_AWAIT(hop_read(&hop.transactions) >= 108);
	(void)poll(NULL, 0, 300);
	ck_assert_uint_eq(hop_read(&hop.transactions), 108);
	failing_spool_commits(&failing, 0, false);
	LAB_AWAIT(delivered_count() == 200);
	stop();
	hop_stop();
}
END_TEST

/* A body that cannot be read for now costs no attempt. */
START_TEST(body_of_a_store_that_is_away)
{
	struct id id;
	struct spool_message message;
	unsigned reads;

	hop_start(0);
	id = fixture_add(&store, 1, SPOOL_HELD);
	start(smtp_listener_port(hop.listener), "");
	(void)poll(NULL, 0, 100);
	failing_spool_reads(&failing, ERR_UNAVAILABLE);
	ck_assert_int_eq(fixture_move(&store, id, 0, SPOOL_QUEUED), 0);
	reads = failing_spool_read_count(&failing);
	delivery_wake(delivery);
	(void)poll(NULL, 0, 500);
	ck_assert_uint_lt(failing_spool_read_count(&failing), reads + 5);
	ck_assert_uint_eq(hop_read(&hop.count), 0);
	failing_spool_reads(&failing, 0);
	stop();
	ck_assert_int_eq(spool_read(store.spool, &id, &message, NULL), 0);
	ck_assert_uint_eq(message.recipients[0].attempts, 0);
	spool_message_release(&message);
	hop_stop();
}
END_TEST

/* Its sender was answered 451 and keeps it. */
START_TEST(disowned_mail_is_not_sent)
{
	struct id other, id;

	hop_start(0);
	id = fixture_add(&store, 1, SPOOL_QUEUED);
	disowned_add(disowned, &id);
	other = fixture_add(&store, 1, SPOOL_QUEUED);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(is_over(&other, 0));
	stop();
	ck_assert_uint_eq(hop_read(&hop.count), 1);
	ck_assert_int_eq(fixture_state(&store, id, 0), SPOOL_QUEUED);
	hop_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent delivery");
	TCase *tests = tcase_create("mail");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, bytes_are_sacred, 0, LAB_COUNT(bodies));
	tcase_add_loop_test(tests, first_line_stays_in_the_body, 0,
	                    sizeof(blank_bodies) / sizeof(*blank_bodies));
	tcase_add_test(tests, cases_of_the_shape);
	tcase_add_test(tests, nul_is_delivered);
	tcase_add_test(tests, large_message_from_its_file);
	tcase_add_test(tests, connections_are_used_again);
	tcase_add_test(tests, released_mail_is_noticed);
	tcase_add_test(tests, fresh_mail_is_handed_over);
	tcase_add_test(tests, mail_that_waited_too_long_is_given_back);
	tcase_add_test(tests, claims_outlast_their_lease);
	tcase_add_loop_test(tests, lost_claims_are_let_go, 0,
	                    LAB_COUNT(late_answers));
	tcase_add_test(tests, own_claims_that_ended);
	tcase_add_test(tests, memory_is_bounded);
	tcase_add_test(tests, body_cut_short_is_not_delivered);
	tcase_add_test(tests, stop_gives_mail_back);
	tcase_add_test(tests, store_that_is_away_is_waited_for);
	tcase_add_test(tests, little_is_sent_that_is_not_recorded);
	tcase_add_test(tests, body_of_a_store_that_is_away);
	tcase_add_test(tests, disowned_mail_is_not_sent);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}