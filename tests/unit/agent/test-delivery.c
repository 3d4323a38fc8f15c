/* Tests of delivery: bytes, connections, memory, and a next hop that is away.
 */
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/smtp/smtp-listener.h"
#include "tests/support/cases.h"
#include "tests/support/http-peer.h"
#include "tests/support/smtp-script.h"
#include "tests/unit/agent/delivery-lab.h"

struct hop {
	struct smtp_listener *listener;
	struct loop *loop;
	pthread_mutex_t lock;
	char *messages[64];
	size_t sizes[64];
	unsigned count;
	unsigned sessions, transactions;
	_Atomic bool stall; /* no answer to the final dot for now */
	int code;           /* of that answer; 0: 250 */
};

static struct hop hop;

struct hop_session {
	struct buffer body;
};

static void hop_mail(struct smtp_server *server, void *context,
                     const struct smtp_mail *mail, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)mail;
	(void)pthread_mutex_lock(&hop.lock);
	hop.transactions++;
	(void)pthread_mutex_unlock(&hop.lock);
	smtp_reply_set(reply, 250, "2.1.0", "Ok");
}

static void hop_rcpt(struct smtp_server *server, void *context,
                     const char *recipient, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)recipient;
	smtp_reply_set(reply, 250, "2.1.5", "Ok");
}

static void hop_data(struct smtp_server *server, void *context,
                     struct smtp_reply *reply)
{
	struct hop_session *session = context;

	(void)server;
	buffer_reset(&session->body);
	smtp_reply_set(reply, 354, "", "go");
}

static void hop_body(struct smtp_server *server, void *context,
                     const char *bytes, size_t size)
{
	struct hop_session *session = context;

	(void)server;
	ck_assert_int_eq(buffer_append(&session->body, bytes, size), 0);
}

static void hop_end(struct smtp_server *server, void *context)
{
	struct hop_session *session = context;
	struct smtp_reply reply;

	(void)pthread_mutex_lock(&hop.lock);
	if (hop.count < 64) {
		hop.sizes[hop.count] = session->body.length;
		hop.messages[hop.count++] = buffer_take(&session->body);
	}
	(void)pthread_mutex_unlock(&hop.lock);
	while (atomic_load(&hop.stall))
		(void)poll(NULL, 0, 2);
	smtp_reply_set(&reply, hop.code ? hop.code : 250, "", "judged");
	smtp_server_finish(server, &reply);
}

static void hop_reset(struct smtp_server *server, void *context)
{
	(void)server;
	(void)context;
}

static void *hop_session_new(void *context, struct loop *session_loop)
{
	struct hop_session *session = mem_alloc(sizeof(*session));

	(void)context;
	(void)session_loop;
	hop.sessions++;
	buffer_init(&session->body, 1 << 24);
	return session;
}

static void hop_session_free(void *context)
{
	struct hop_session *session = context;

	buffer_release(&session->body);
	free(session);
}

static void hop_start(uint16_t port)
{
	static const struct smtp_server_policy policy = {
	    hop_mail, hop_rcpt, hop_data, hop_body, hop_end, hop_reset};
	struct smtp_listener_options options = {
	    .address = "127.0.0.1",
	    .port = port,
	    .loops = &hop.loop,
	    .loop_count = 1,
	    .maximum_sessions = 20,
	    .command_timeout_ms = 10000,
	    .data_timeout_ms = 10000,
	    .session_timeout_ms = 60000,
	    .smtp = {.hostname = "hop.test",
	             .maximum_message = 1 << 24,
	             .policy = &policy},
	    .session_new = hop_session_new,
	    .session_free = hop_session_free,
	};

	hop = (struct hop){.lock = PTHREAD_MUTEX_INITIALIZER};
	ck_assert_int_eq(loop_start(&hop.loop, "hop", NULL), 0);
	ck_assert_int_eq(smtp_listener_start(&hop.listener, &options, NULL), 0);
}

static void hop_stop(void)
{
	smtp_listener_stop(hop.listener, 1000);
	loop_stop(hop.loop);
	while (hop.count > 0)
		free(hop.messages[--hop.count]);
}

/* One of its numbers, while it runs. */
static unsigned hop_read(const unsigned *number)
{
	unsigned read;

	(void)pthread_mutex_lock(&hop.lock);
	read = *number;
	(void)pthread_mutex_unlock(&hop.lock);
	return read;
}

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

/* A message whose first recipient goes to the hop of the test. */
static struct id add_elsewhere(size_t count)
{
	struct spool_message message = fixture_message(count, SPOOL_QUEUED);
	struct id id = message.id;

	free(message.recipients[0].next_hop);
	message.recipients[0].next_hop =
	    mem_format("127.0.0.1:%u", smtp_listener_port(hop.listener));
	message.recipients[0].next_attempt_ms = DELIVERY_ELSEWHERE_MS;
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
	id = add_elsewhere(2);
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
	id = add_elsewhere(1);
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
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);
	struct smtp_script_report report;

	free(message.recipients[0].next_hop);
	message.recipients[0].next_hop =
	    mem_format("127.0.0.1:%u", smtp_script_port(script));
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "body\r\n", 6)),
	    0);
	hop_start(0);
	start(smtp_listener_port(hop.listener), "");
	(void)poll(NULL, 0, 300);
	stop();
	hop_stop();
	ck_assert_int_ne(fixture_state(&store, message.id, 0), SPOOL_DELIVERED);
	spool_message_release(&message);
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

/* A session that had gone is no failure of the message that met it. */
START_TEST(stale_connection_costs_no_attempt)
{
	struct id ids[2];
	struct spool_message message;
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
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(
		    spool_read(store.spool, &ids[i], &message, NULL), 0);
		ck_assert_uint_eq(message.recipients[0].attempts, 1);
		spool_message_release(&message);
	}
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

static unsigned attempts_of(const struct id *id)
{
	struct spool_message message;
	unsigned attempts;

	ck_assert_int_eq(spool_read(store.spool, id, &message, NULL), 0);
	attempts = message.recipients[0].attempts;
	spool_message_release(&message);
	return attempts;
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
	TCase *tests = tcase_create("next hop");

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
	tcase_add_test(tests, absent_next_hop_is_waited_for);
	tcase_add_test(tests, elsewhere_beside_an_absent_next_hop);
	tcase_add_test(tests, elsewhere_is_absent);
	tcase_add_test(tests, elsewhere_is_cut);
	tcase_add_test(tests, stale_connection_costs_no_attempt);
	tcase_add_loop_test(tests, goodbye_costs_no_attempt, 0,
	                    (int)(sizeof(goodbyes) / sizeof(goodbyes[0])));
	tcase_add_loop_test(tests, goodbye_in_a_new_session, 0,
	                    (int)(sizeof(goodbyes) / sizeof(goodbyes[0])));
	tcase_add_test(tests, body_cut_short_is_not_delivered);
	tcase_add_test(tests, stop_gives_mail_back);
	tcase_add_test(tests, store_that_is_away_is_waited_for);
	tcase_add_test(tests, little_is_sent_that_is_not_recorded);
	tcase_add_test(tests, body_of_a_store_that_is_away);
	tcase_add_test(tests, disowned_mail_is_not_sent);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
