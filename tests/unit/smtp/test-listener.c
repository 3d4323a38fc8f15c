/* Tests of the SMTP listener over real sockets on loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/smtp/listener.h"
#include "tests/support/suite.h"

#define PATIENCE_MS 5000
#define HELLO       "EHLO me\r\n"
#define ENVELOPE    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"

/* The server under test. */
static struct loop *loops[2];
static struct smtp_listener *listener;
static _Atomic unsigned sessions_made, sessions_freed, resets, messages;
static _Atomic size_t body_bytes;
/* A session whose answer is owed, where the test asked for that. */
static _Atomic bool answers_later;
static struct smtp_server *_Atomic owed;
static struct loop *_Atomic owed_loop;

static void on_mail(struct smtp_server *server, void *context,
                    const struct smtp_mail *mail, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)mail;
	(void)reply;
}

static void on_rcpt(struct smtp_server *server, void *context,
                    const char *recipient, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)recipient;
	(void)reply;
}

static void on_data(struct smtp_server *server, void *context,
                    struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)reply;
}

static void on_body(struct smtp_server *server, void *context,
                    const char *bytes, size_t size)
{
	(void)server;
	(void)context;
	(void)bytes;
	atomic_fetch_add(&body_bytes, size);
}

static void answer(void *argument)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, 250, "2.0.0", "stored");
	smtp_server_finish(argument, &reply);
}

static void on_end(struct smtp_server *server, void *context)
{
	atomic_fetch_add(&messages, 1);
	if (atomic_load(&answers_later)) {
		atomic_store(&owed_loop, *(struct loop **)context);
		atomic_store(&owed, server);
	} else {
		answer(server);
	}
}

static void on_reset(struct smtp_server *server, void *context)
{
	(void)server;
	(void)context;
	atomic_fetch_add(&resets, 1);
}

static const struct smtp_server_policy policy = {
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .body = on_body,
    .end = on_end,
    .reset = on_reset,
};

static void *session_new(void *context, struct loop *loop)
{
	struct loop **session = malloc(sizeof(struct loop *));

	ck_assert_ptr_eq(context, &listener);
	ck_assert(loop_is_current(loop));
	*session = loop;
	atomic_fetch_add(&sessions_made, 1);
	return session;
}

static void session_free(void *session)
{
	atomic_fetch_add(&sessions_freed, 1);
	free(session);
}

static struct smtp_listener_options standard_options(void)
{
	return (struct smtp_listener_options){
	    .address = "127.0.0.1",
	    .loops = loops,
	    .loop_count = 2,
	    .command_timeout_ms = 60000,
	    .data_timeout_ms = 60000,
	    .session_timeout_ms = 60000,
	    .smtp = {.hostname = "mx.example",
	             .maximum_message = 1000000,
	             .policy = &policy},
	    .session_new = session_new,
	    .session_free = session_free,
	    .context = &listener,
	};
}

static void start(const struct smtp_listener_options *options)
{
	struct error err = {0};

	atomic_store(&sessions_made, 0);
	atomic_store(&sessions_freed, 0);
	atomic_store(&resets, 0);
	atomic_store(&messages, 0);
	atomic_store(&answers_later, false);
	atomic_store(&owed, NULL);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(loop_start(&loops[i], "smtp", &err), 0);
	ck_assert_msg(smtp_listener_start(&listener, options, &err) == 0, "%s",
	              err.text);
}

/* Stops; every session that was made must be freed then. */
static void stop(int64_t timeout_ms)
{
	smtp_listener_stop(listener, timeout_ms);
	for (int i = 0; i < 2; i++)
		loop_stop(loops[i]);
	ck_assert_uint_eq(atomic_load(&sessions_made),
	                  atomic_load(&sessions_freed));
}

/* A client's socket, connected. */
static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_port = htons(smtp_listener_port(listener));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ge(fd, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	                 sizeof(patience));
	ck_assert_int_eq(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL),
	                 (ssize_t)strlen(text));
}

/* Reads until a line that begins with text has come whole. */
static void expect(int fd, const char *text)
{
	char line[2000] = "";
	size_t length = 0;

	for (;;) {
		ck_assert_msg(recv(fd, line + length, 1, 0) == 1,
		              "no '%s' but '%s'", text, line);
		if (line[length++] != '\n')
			continue;
		line[length] = '\0';
		if (!strncmp(line, text, strlen(text)))
			return;
		length = 0;
	}
}

static void expect_end(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	ck_assert_msg(got == 0 || (got < 0 && errno == ECONNRESET), "%zd %d",
	              got, errno);
	(void)close(fd);
}

/* Waits until an atomic number is what it should be. */
static void await(const _Atomic unsigned *number, unsigned value)
{
	int64_t until = clock_monotonic_ms() + PATIENCE_MS;

	while (atomic_load(number) != value && clock_monotonic_ms() < until)
		(void)poll(NULL, 0, 2);
	ck_assert_uint_eq(atomic_load(number), value);
}

START_TEST(takes_messages)
{
	struct smtp_listener_options options = standard_options();
	int fd;

	start(&options);
	ck_assert_uint_ne(smtp_listener_port(listener), 0);
	fd = dial();
	expect(fd, "220 mx.example");
	say(fd, HELLO ENVELOPE);
	expect(fd, "354");
	say(fd, "one\r\n.\r\n" ENVELOPE);
	expect(fd, "250 2.0.0 stored");
	expect(fd, "354");
	say(fd, "two\r\n.\r\nQUIT\r\n");
	expect(fd, "250 2.0.0 stored");
	expect(fd, "221");
	expect_end(fd);
	ck_assert_uint_eq(atomic_load(&messages), 2);
	ck_assert_uint_eq(atomic_load(&resets), 2);
	await(&sessions_freed, 1);
	ck_assert_uint_eq(smtp_listener_sessions(listener), 0);
	stop(PATIENCE_MS);
}
END_TEST

START_TEST(answers_late)
{
	struct smtp_listener_options options = standard_options();
	int fd;

	start(&options);
	atomic_store(&answers_later, true);
	fd = dial();
	say(fd, HELLO ENVELOPE "one\r\n.\r\nNOOP\r\nQUIT\r\n");
	expect(fd, "354");
	await(&messages, 1);
	while (!atomic_load(&owed))
		(void)poll(NULL, 0, 1);
	loop_post(atomic_load(&owed_loop), answer, atomic_load(&owed));
	expect(fd, "250 2.0.0 stored");
	expect(fd, "250 2.0.0 OK");
	expect(fd, "221");
	expect_end(fd);
	stop(PATIENCE_MS);
}
END_TEST

START_TEST(survives_a_client_that_leaves)
{
	struct smtp_listener_options options = standard_options();
	int fd;

	start(&options);
	fd = dial();
	say(fd, HELLO ENVELOPE "half");
	expect(fd, "354");
	(void)close(fd);
	await(&resets, 1);
	await(&sessions_freed, 1);
	/* Gone while its answer is owed: noticed when it is given. */
	atomic_store(&answers_later, true);
	fd = dial();
	say(fd, HELLO ENVELOPE "one\r\n.\r\n");
	expect(fd, "354");
	await(&messages, 1);
	while (!atomic_load(&owed))
		(void)poll(NULL, 0, 1);
	(void)close(fd);
	loop_post(atomic_load(&owed_loop), answer, atomic_load(&owed));
	await(&sessions_freed, 2);
	stop(PATIENCE_MS);
}
END_TEST

static bool is_listed(const char *address, void *context)
{
	(void)context;
	return strcmp(address, "127.0.0.1") == 0;
}

START_TEST(limits_the_sessions)
{
	struct smtp_listener_options options = standard_options();
	int first, second;

	/* Of all, of an address, of one that is listed. */
	options.maximum_sessions = _i == 0 ? 1 : 0;
	options.maximum_sessions_per_address = _i == 1 ? 1 : 0;
	options.maximum_sessions_per_listed = _i == 2 ? 1 : 0;
	options.smtp.is_listed = _i == 2 ? is_listed : NULL;
	start(&options);
	first = dial();
	expect(first, "220");
	second = dial();
	expect(second, _i == 0 ? "421 4.3.2" : "421 4.7.0");
	expect_end(second);
	say(first, "QUIT\r\n");
	expect(first, "221");
	expect_end(first);
	await(&sessions_freed, 1);
	second = dial();
	expect(second, "220");
	(void)close(second);
	stop(PATIENCE_MS);
}
END_TEST

/* A byte now and then does not help against the command's deadline. */
START_TEST(cuts_a_slow_drip)
{
	struct smtp_listener_options options = standard_options();
	int64_t started = clock_monotonic_ms();
	int fd;

	options.command_timeout_ms = 300;
	start(&options);
	fd = dial();
	expect(fd, "220");
	for (int i = 0; i < 20; i++) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};

		if (poll(&ready, 1, 50) > 0)
			break;
		(void)send(fd, "N", 1, MSG_NOSIGNAL);
	}
	expect(fd, "421 4.4.2");
	ck_assert_int_lt(clock_monotonic_ms() - started, 900);
	(void)close(fd);
	stop(PATIENCE_MS);
}
END_TEST

START_TEST(cuts_a_slow_message)
{
	struct smtp_listener_options options = standard_options();
	int fd;

	options.data_timeout_ms = 200;
	start(&options);
	fd = dial();
	say(fd, HELLO ENVELOPE);
	expect(fd, "354");
	for (int i = 0; i < 20; i++) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};

		if (poll(&ready, 1, 50) > 0)
			break;
		(void)send(fd, "x", 1, MSG_NOSIGNAL);
	}
	expect(fd, "421 4.4.2");
	(void)close(fd);
	await(&resets, 1);
	stop(PATIENCE_MS);
}
END_TEST

/* Commands in time do not help against the session's deadline. */
START_TEST(cuts_a_long_session)
{
	struct smtp_listener_options options = standard_options();
	int64_t until = clock_monotonic_ms() + 2000;
	char reply[1000];
	int fd;

	options.session_timeout_ms = 300;
	start(&options);
	fd = dial();
	expect(fd, "220");
	while (clock_monotonic_ms() < until) {
		ssize_t got = recv(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT);

		reply[got > 0 ? got : 0] = '\0';
		if (strstr(reply, "421 4.4.2"))
			break;
		(void)send(fd, "NOOP\r\n", 6, MSG_NOSIGNAL);
		(void)poll(NULL, 0, 20);
	}
	ck_assert_int_lt(clock_monotonic_ms(), until);
	(void)close(fd);
	stop(PATIENCE_MS);
}
END_TEST

/* Sends commands for ever and never reads a reply. */
START_TEST(cuts_a_client_that_does_not_read)
{
	struct smtp_listener_options options = standard_options();
	static char commands[60000];
	int64_t until = clock_monotonic_ms() + PATIENCE_MS;
	bool cut = false;
	int fd;

	for (size_t i = 0; i + 6 <= sizeof(commands); i += 6)
		memcpy(commands + i, "NOOP\r\n", 6);
	options.command_timeout_ms = 300;
	start(&options);
	fd = dial();
	while (!cut && clock_monotonic_ms() < until) {
		ssize_t sent = send(fd, commands, sizeof(commands),
		                    MSG_NOSIGNAL | MSG_DONTWAIT);

		cut = sent < 0 && errno != EAGAIN;
		(void)poll(NULL, 0, 1);
	}
	ck_assert(cut);
	await(&sessions_freed, 1);
	(void)close(fd);
	stop(PATIENCE_MS);
}
END_TEST

/* Reading stops while an answer is owed: the kernel holds the client back. */
START_TEST(holds_a_client_back)
{
	struct smtp_listener_options options = standard_options();
	static char much[65536];
	size_t taken = 0;
	int fd;

	start(&options);
	atomic_store(&answers_later, true);
	fd = dial();
	say(fd, HELLO ENVELOPE "one\r\n.\r\n");
	expect(fd, "354");
	await(&messages, 1);
	while (!atomic_load(&owed))
		(void)poll(NULL, 0, 1);
	memset(much, 'x', sizeof(much));
	for (int idle = 0; idle < 50 && taken < 64u << 20;) {
		ssize_t sent =
		    send(fd, much, sizeof(much), MSG_NOSIGNAL | MSG_DONTWAIT);

		taken += sent > 0 ? (size_t)sent : 0;
		idle = sent > 0 ? 0 : idle + 1;
		if (sent <= 0)
			(void)poll(NULL, 0, 2);
	}
	ck_assert_uint_lt(taken, 64u << 20);
	loop_post(atomic_load(&owed_loop), answer, atomic_load(&owed));
	expect(fd, "250 2.0.0 stored");
	expect(fd, "500");
	(void)close(fd);
	stop(PATIENCE_MS);
}
END_TEST

START_TEST(stops_gracefully)
{
	struct smtp_listener_options options = standard_options();
	int idle, waiting;

	start(&options);
	atomic_store(&answers_later, true);
	idle = dial();
	expect(idle, "220");
	waiting = dial();
	say(waiting, HELLO ENVELOPE "one\r\n.\r\n");
	expect(waiting, "354");
	await(&messages, 1);
	while (!atomic_load(&owed))
		(void)poll(NULL, 0, 1);
	/* Behind the shut-down that stop posts to the same loop? Either way
	 * the answer comes first. */
	loop_post(atomic_load(&owed_loop), answer, atomic_load(&owed));
	stop(PATIENCE_MS);
	expect(idle, "421 4.3.2");
	expect_end(idle);
	expect(waiting, "250 2.0.0 stored");
	expect(waiting, "421 4.3.2");
	expect_end(waiting);
}
END_TEST

START_TEST(cuts_what_does_not_end)
{
	struct smtp_listener_options options = standard_options();
	int fd;

	start(&options);
	atomic_store(&answers_later, true);
	fd = dial();
	say(fd, HELLO ENVELOPE "one\r\n.\r\n");
	expect(fd, "354");
	await(&messages, 1);
	stop(100);
	ck_assert_uint_eq(atomic_load(&resets), 1);
	expect_end(fd);
}
END_TEST

START_TEST(names_a_port_that_is_taken)
{
	struct smtp_listener_options options = standard_options();
	struct smtp_listener *second = NULL;
	struct error err = {0};
	char port[16];

	start(&options);
	options.port = smtp_listener_port(listener);
	ck_assert_int_eq(smtp_listener_start(&second, &options, &err),
	                 ERR_UNAVAILABLE);
	ck_assert_ptr_null(second);
	(void)snprintf(port, sizeof(port), "%u", options.port);
	ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(err.text, port));
	options.address = "localhost";
	ck_assert_int_eq(smtp_listener_start(&second, &options, &err),
	                 ERR_INVALID);
	stop(PATIENCE_MS);
}
END_TEST

/* Without descriptors clients are turned away, and the next ones served. */
START_TEST(lives_without_descriptors)
{
	struct smtp_listener_options options = standard_options();
	struct rlimit limit, low;
	int fds[4], lowest;

	start(&options);
	for (int i = 0; i < 3; i++) {
		fds[i] = dial();
		expect(fds[i], "220");
	}
	/* Room for the client's own socket, and none for the server's. */
	lowest = open("/dev/null", O_RDONLY);
	(void)close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)lowest + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	fds[3] = dial();
	expect(fds[3], "421 4.3.2");
	expect_end(fds[3]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	fds[3] = dial();
	expect(fds[3], "220");
	for (int i = 0; i < 4; i++)
		(void)close(fds[i]);
	stop(PATIENCE_MS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smtp-listener");
	TCase *tests = tcase_create("all");

	tcase_set_timeout(tests, 20);
	tcase_add_test(tests, takes_messages);
	tcase_add_test(tests, answers_late);
	tcase_add_test(tests, survives_a_client_that_leaves);
	tcase_add_loop_test(tests, limits_the_sessions, 0, 3);
	tcase_add_test(tests, cuts_a_slow_drip);
	tcase_add_test(tests, cuts_a_slow_message);
	tcase_add_test(tests, cuts_a_long_session);
	tcase_add_test(tests, cuts_a_client_that_does_not_read);
	tcase_add_test(tests, holds_a_client_back);
	tcase_add_test(tests, stops_gracefully);
	tcase_add_test(tests, cuts_what_does_not_end);
	tcase_add_test(tests, names_a_port_that_is_taken);
	tcase_add_test(tests, lives_without_descriptors);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
