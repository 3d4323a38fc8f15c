/* Tests of delivery to a next hop that is away, another one than configured,
 * or one that ends its sessions. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "local-agent/delivery/claim.h"
#include "tests/support/http-peer.h"
#include "tests/support/smtp-script.h"
#include "tests/unit/local-agent/delivery/delivery-hop.h"
#include "tests/unit/local-agent/delivery/delivery-lab.h"

/* A message whose first recipient goes to this port. */
static struct id add_elsewhere(size_t count, uint16_t port)
{
	struct spool_message message = fixture_message(count, SPOOL_QUEUED);
	struct id id = message.id;

	free(message.recipients[0].next_hop);
	message.recipients[0].next_hop = mem_format("127.0.0.1:%u", port);
	message.recipients[0].next_attempt_ms = CLAIM_ELSEWHERE_MS;
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "body\r\n", 6)),
	    0);
	spool_message_release(&message);
	return id;
}

/* The configured next hop is away: only the admin's other one is tried. */
START_TEST(elsewhere_beside_an_absent_next_hop)
{
	struct id waits = fixture_add(&store, 1, SPOOL_QUEUED);
	uint16_t port;
	struct id id;

	hop_start(0);
	port = smtp_listener_port(hop.listener);
	hop_stop(); /* where nobody listens now */
	start(port, "");
	LAB_AWAIT(fixture_state(&store, waits, 0) == SPOOL_DEFERRED);
	hop_start(0);
	id = add_elsewhere(2, smtp_listener_port(hop.listener));
	LAB_AWAIT(fixture_state(&store, id, 0) == SPOOL_DELIVERED);
	ck_assert_uint_eq(hop_read(&hop.count), 1);
	ck_assert(fixture_state(&store, id, 1) == SPOOL_QUEUED ||
	          fixture_state(&store, id, 1) == SPOOL_DEFERRED);
	ck_assert_int_eq(fixture_state(&store, waits, 0), SPOOL_DEFERRED);
	stop();
	hop_stop();
}
END_TEST

/* Nobody is at the other one: it is deferred as after a 4xx. */
START_TEST(elsewhere_is_absent)
{
	struct spool_message message;
	struct id id;

	hop_start(0);
	id = add_elsewhere(1, smtp_listener_port(hop.listener));
	hop_stop();
	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	LAB_AWAIT(fixture_state(&store, id, 0) == SPOOL_DEFERRED);
	ck_assert_int_eq(spool_read(store.spool, &id, &message, NULL), 0);
	ck_assert_uint_eq(message.recipients[0].attempts, 1);
	ck_assert_ptr_nonnull(
	    strstr(message.recipients[0].reply, "cannot connect"));
	spool_message_release(&message);
	ck_assert_uint_eq(hop_read(&hop.count), 0);
	stop();
	hop_stop();
}
END_TEST

/* Stopped while the other one says nothing: the mail is in the spool. */
START_TEST(elsewhere_is_cut)
{
	const struct script_step steps[] = {{SCRIPT_STALL, NULL},
	                                    {SCRIPT_END, NULL}};
	struct smtp_script *script = smtp_script_start(steps);
	struct id id = add_elsewhere(1, smtp_script_port(script));
	struct smtp_script_report report;

	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	(void)poll(NULL, 0, 300);
	stop();
	hop_stop();
	ck_assert_int_ne(fixture_state(&store, id, 0), SPOOL_DELIVERED);
	smtp_script_stop(script, &report);
}
END_TEST

/* Away, then there: nothing is lost, nothing is doubled. */
START_TEST(absent_next_hop_is_waited_for)
{
	struct id ids[5];
	uint16_t port;
	int i;

	hop_start(0);
	port = smtp_listener_port(hop.listener);
	hop_stop();
	for (i = 0; i < 5; i++)
		ids[i] = fixture_add(&store, 1, SPOOL_QUEUED);
	start(port, "");
	LAB_AWAIT(!delivery_reserve(delivery, 0) ||
	          (delivery_unreserve(delivery, 0), false));
	for (i = 0; i < 5; i++)
		LAB_AWAIT(fixture_state(&store, ids[i], 0) == SPOOL_DEFERRED);
	hop_start(port);
	for (i = 0; i < 5; i++)
		LAB_AWAIT(fixture_state(&store, ids[i], 0) == SPOOL_DELIVERED);
	ck_assert_uint_eq(hop_read(&hop.count), 5);
	ck_assert(delivery_reserve(delivery, 0));
	delivery_unreserve(delivery, 0);
	stop();
	hop_stop();
}
END_TEST

/* A next hop that takes one message, closes the session when the next begins,
 * and is honest in its second session. */
static void *close_at_the_second(void *argument)
{
	static const char replies[] = "250 hop\r\n";
	int listening = *(int *)argument, session;

	for (session = 0; session < 2; session++) {
		int fd = accept(listening, NULL, NULL), mails = 0;
		FILE *lines = fdopen(fd, "r");
		char line[1200];
		bool body = false;

		(void)peer_send_text(fd, "220 hop\r\n");
		while (lines && fgets(line, sizeof(line), lines)) {
			if (body && strcmp(line, ".\r\n") != 0)
				continue;
			body = strncmp(line, "DATA", 4) == 0;
			mails += strncmp(line, "MAIL", 4) == 0;
			if (session == 0 && mails == 2)
				break;
			(void)peer_send_text(fd, body ? "354 go\r\n" : replies);
		}
		if (lines)
			(void)fclose(lines);
	}
	return NULL;
}

static unsigned attempts_of(const struct id *id)
{
	struct spool_message message;
	unsigned attempts;

	ck_assert_int_eq(spool_read(store.spool, id, &message, NULL), 0);
	attempts = message.recipients[0].attempts;
	spool_message_release(&message);
	return attempts;
}

/* A session that had gone is no failure of the message that met it. */
START_TEST(stale_connection_costs_no_attempt)
{
	struct id ids[2];
	pthread_t thread;
	uint16_t port;
	int i, listening = peer_listen(&port);

	ck_assert_int_eq(
	    pthread_create(&thread, NULL, close_at_the_second, &listening), 0);
	ids[0] = fixture_add(&store, 1, SPOOL_QUEUED);
	start(port, "connections = 1;");
	LAB_AWAIT(fixture_state(&store, ids[0], 0) == SPOOL_DELIVERED);
	ids[1] = fixture_add(&store, 1, SPOOL_QUEUED);
	delivery_wake(delivery);
	LAB_AWAIT(fixture_state(&store, ids[1], 0) == SPOOL_DELIVERED);
	stop();
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(listening);
	for (i = 0; i < 2; i++)
		ck_assert_uint_eq(attempts_of(&ids[i]), 1);
}
END_TEST

/* Where a next hop ends a session that it has taken a message in. */
static const struct goodbye {
	const char *verb; /* "" stands for the dot */
	const char *reply;
	bool closes;
	bool again; /* at once, or later as after any 4xx */
} goodbyes[] = {
    {"MAIL", "421 4.7.0 Too many messages on this connection\r\n", true, true},
    {"MAIL", "421\r\n", true, true},
    {"MAIL", "421 4.7.0 slow down\r\n", false, true},
    {"RCPT", "421-4.3.2 shutting\r\n421 4.3.2 down\r\n", true, true},
    {"RCPT", "421 4.3.2 shutting down\r\n", false, true},
    {"DATA", "421 4.3.2 shutting down\r\n", true, true},
    {"DATA", "421 4.3.2 shutting down\r\n", false, true},
    {"", "421 4.3.2 shutting down\r\n", true, false},
    {"MAIL", "451 4.3.2 later\r\n", false, false},
};

struct leaving_hop {
	const struct goodbye *goodbye;
	int listening;
	bool always; /* in a first message too */
};

/* One session: whether the next one is to be served. */
static bool serve_and_leave(const struct leaving_hop *hop_of_test, int fd)
{
	const struct goodbye *goodbye = hop_of_test->goodbye;
	FILE *lines = fdopen(fd, "r");
	char line[1200];
	bool body = false, spoke = false;
	int mails = hop_of_test->always;

	(void)peer_send_text(fd, "220 hop\r\n");
	while (lines && fgets(line, sizeof(line), lines)) {
		bool dot = body && strcmp(line, ".\r\n") == 0;
		const char *verb = dot ? "" : goodbye->verb;

		if (body && !dot)
			continue;
		mails += strncmp(line, "MAIL", 4) == 0;
		body = strncmp(line, "DATA", 4) == 0;
		spoke = true;
		if (mails == 2 && strcmp(verb, goodbye->verb) == 0 &&
		    (dot || (*verb && strncmp(line, verb, 4) == 0))) {
			(void)peer_send_text(fd, goodbye->reply);
			body = false;
			if (goodbye->closes)
				break;
		} else {
			(void)peer_send_text(fd, body ? "354 go\r\n"
			                              : "250 hop\r\n");
		}
	}
	if (lines)
		(void)fclose(lines);
	return spoke;
}

/* Until it is told the end by a connection that says nothing. */
static void *leave_at_the_second(void *argument)
{
	const struct leaving_hop *hop_of_test = argument;

	while (serve_and_leave(hop_of_test,
	                       accept(hop_of_test->listening, NULL, NULL)))
		;
	return NULL;
}

static void connect_once(uint16_t port)
{
	(void)close(peer_connect(port));
}

/* A 421 in a session that was used speaks of the session. */
START_TEST(goodbye_costs_no_attempt)
{
	struct leaving_hop leaving = {.goodbye = &goodbyes[_i]};
	enum spool_state expected =
	    leaving.goodbye->again ? SPOOL_DELIVERED : SPOOL_DEFERRED;
	struct id ids[2];
	pthread_t thread;
	uint16_t port;

	leaving.listening = peer_listen(&port);
	ck_assert_int_eq(
	    pthread_create(&thread, NULL, leave_at_the_second, &leaving), 0);
	ids[0] = fixture_add(&store, 1, SPOOL_QUEUED);
	start(port, "connections = 1;");
	LAB_AWAIT(fixture_state(&store, ids[0], 0) == SPOOL_DELIVERED);
	ids[1] = fixture_add(&store, 1, SPOOL_QUEUED);
	delivery_wake(delivery);
	LAB_AWAIT(fixture_state(&store, ids[1], 0) == expected);
	ck_assert_uint_eq(attempts_of(&ids[1]), 1);
	stop();
	connect_once(port);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(leaving.listening);
}
END_TEST

/* A new session that ends by a 421 too is no reason to try for ever. */
START_TEST(goodbye_in_a_new_session)
{
	struct leaving_hop leaving = {.goodbye = &goodbyes[_i], .always = true};
	struct id id = fixture_add(&store, 1, SPOOL_QUEUED);
	pthread_t thread;
	uint16_t port;

	leaving.listening = peer_listen(&port);
	ck_assert_int_eq(
	    pthread_create(&thread, NULL, leave_at_the_second, &leaving), 0);
	start(port, "");
	LAB_AWAIT(fixture_state(&store, id, 0) == SPOOL_DEFERRED);
	ck_assert_uint_eq(attempts_of(&id), 1);
	stop();
	connect_once(port);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(leaving.listening);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent delivery next hop");
	TCase *tests = tcase_create("next hop");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, absent_next_hop_is_waited_for);
	tcase_add_test(tests, elsewhere_beside_an_absent_next_hop);
	tcase_add_test(tests, elsewhere_is_absent);
	tcase_add_test(tests, elsewhere_is_cut);
	tcase_add_test(tests, stale_connection_costs_no_attempt);
	tcase_add_loop_test(tests, goodbye_costs_no_attempt, 0,
	                    LAB_COUNT(goodbyes));
	tcase_add_loop_test(tests, goodbye_in_a_new_session, 0,
	                    LAB_COUNT(goodbyes));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
