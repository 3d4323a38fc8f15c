/* Tests of the SMTP dialer over real sockets, against played servers. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/smtp/dialer.h"
#include "tests/support/suite.h"

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))
#define PATIENCE_MS 5000
#define EHLO_REPLY  "250-mx\r\n250-PIPELINING\r\n250 SIZE\r\n"
#define STEPS       8
#define ALL         "250 m\r\n250 r\r\n354 go\r\n"

/* What the dialer's owner does and was told; on the loop's thread. */
struct owner {
	struct loop *loop;
	struct smtp_dialer_options options;
	struct smtp_dialer *dialer;
	struct smtp_transaction transaction;
	size_t size, read_at; /* of the message */
	unsigned wanted;      /* transactions still to begin */
	bool free_when_ready;
	int slow_ms; /* the first read of the message takes so long */
	char outcomes[8], why[512], reply[SMTP_REPLY_TEXT_SIZE];
	unsigned told;
	_Atomic unsigned readies, dones, closes, frees;
};

static const char *const recipients[] = {"c@d"};

/* Lines of a's, with a dot at the start of each, up to the size. */
static long read_message(void *context, char *bytes, size_t size)
{
	struct owner *owner = context;
	size_t count = 0;

	if (owner->slow_ms)
		(void)poll(NULL, 0, owner->slow_ms);
	owner->slow_ms = 0;
	for (; count < size && owner->read_at < owner->size; count++) {
		size_t place = owner->read_at++ % 50;

		bytes[count] = place == 0    ? '.'
		               : place == 48 ? '\r'
		               : place == 49 ? '\n'
		                             : 'a';
	}
	return (long)count;
}

static void on_recipient(void *context, size_t index, enum smtp_outcome outcome,
                         const struct smtp_reply *reply)
{
	struct owner *owner = context;

	(void)index;
	if (owner->told < sizeof(owner->outcomes) - 1)
		owner->outcomes[owner->told++] = "DTRU"[outcome];
	(void)snprintf(owner->reply, sizeof(owner->reply), "%s", reply->text);
}

static void on_done(void *context)
{
	struct owner *owner = context;

	atomic_fetch_add(&owner->dones, 1);
}

static void on_ready(void *context)
{
	struct owner *owner = context;

	atomic_fetch_add(&owner->readies, 1);
	if (owner->free_when_ready) {
		smtp_dialer_free(owner->dialer);
		owner->dialer = NULL;
		atomic_fetch_add(&owner->frees, 1);
		return;
	}
	if (!owner->wanted) {
		smtp_dialer_quit(owner->dialer);
		return;
	}
	owner->wanted--;
	owner->read_at = 0;
	ck_assert_int_eq(smtp_dialer_begin(owner->dialer, &owner->transaction),
	                 0);
}

static void on_closed(void *context, const char *why)
{
	struct owner *owner = context;

	(void)snprintf(owner->why, sizeof(owner->why), "%s", why);
	smtp_dialer_free(owner->dialer);
	owner->dialer = NULL;
	atomic_fetch_add(&owner->closes, 1);
}

static void open_dialer(void *argument)
{
	struct owner *owner = argument;

	owner->dialer = smtp_dialer_new(owner->loop, &owner->options);
}

static void init_owner(struct owner *owner, uint16_t port, size_t size)
{
	struct error err;

	*owner = (struct owner){
	    .options = {.address = "127.0.0.1",
	                .port = port,
	                .connect_timeout_ms = PATIENCE_MS,
	                .timeout_scale_percent = 100,
	                .smtp = {.hostname = "me"},
	                .ready = on_ready,
	                .closed = on_closed,
	                .context = owner},
	    .transaction = {.sender = "a@b",
	                    .recipients = recipients,
	                    .recipient_count = 1,
	                    .source = {.read = read_message,
	                               .context = owner,
	                               .size = (int64_t)size},
	                    .recipient = on_recipient,
	                    .done = on_done,
	                    .context = owner},
	    .size = size,
	    .wanted = 1,
	};
	ck_assert_int_eq(loop_start(&owner->loop, "dialer", &err), 0);
}

/* A listening socket on any free port. */
static int open_server(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length),
	                 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static int accept_client(int server)
{
	const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	struct pollfd ready = {.fd = server, .events = POLLIN};
	int fd;

	ck_assert_int_eq(poll(&ready, 1, PATIENCE_MS), 1);
	fd = accept(server, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	                 sizeof(patience));
	return fd;
}

/* Reads until the text has come, or the end; false at the end. */
static bool read_until(int fd, const char *text)
{
	size_t matched = 0;
	char byte;

	while (text[matched]) {
		if (recv(fd, &byte, 1, 0) != 1)
			return false;
		matched = byte == text[matched] ? matched + 1
		                                : (size_t)(byte == text[0]);
	}
	return true;
}

static void await(const _Atomic unsigned *number, unsigned value)
{
	int64_t until = clock_monotonic_ms() + PATIENCE_MS;

	while (atomic_load(number) != value && clock_monotonic_ms() < until)
		(void)poll(NULL, 0, 2);
	ck_assert_uint_eq(atomic_load(number), value);
}

static void say(int fd, const char *text)
{
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The connection that the owner opens, greeted, its EHLO answered so. */
static int greet(struct owner *owner, int server, const char *reply)
{
	int fd;

	loop_post(owner->loop, open_dialer, owner);
	fd = accept_client(server);
	say(fd, "220 mx\r\n");
	ck_assert(read_until(fd, "EHLO me\r\n"));
	say(fd, reply);
	return fd;
}

static void take_envelope(int fd)
{
	ck_assert(read_until(fd, "DATA\r\n"));
	say(fd, ALL);
}

/* Until the owner knows that the connection is over. */
static void end(struct owner *owner, int fd, int server)
{
	await(&owner->closes, 1);
	loop_stop(owner->loop);
	(void)close(fd);
	(void)close(server);
}

/* A step: waits for text from the client, then says reply. */
struct step {
	const char *await, *say;
};

struct row {
	const char *name;
	struct step steps[STEPS];
	const char *outcomes, *why;
	bool stalls; /* in the end, instead of closing */
	int64_t scale_percent;
};

#define HELLO                                                                  \
	{"", "220 mx\r\n"},                                                    \
	{                                                                      \
		"EHLO me\r\n", "250-mx\r\n250 PIPELINING\r\n"                  \
	}
#define ENVELOPE                                                               \
	{                                                                      \
		"DATA\r\n", ALL                                                \
	}

static const struct row rows[] = {
    {.name = "honest",
     .steps = {HELLO,
               ENVELOPE,
               {"\r\n.\r\n", "250 ok\r\n"},
               {"QUIT\r\n", "221 bye\r\n"}},
     .outcomes = "D",
     .why = "QUIT"},
    {.name = "closes before the greeting", .outcomes = "", .why = "closed"},
    {.name = "refuses",
     .steps = {{"", "554 no\r\n"}},
     .outcomes = "",
     .why = "554"},
    {.name = "closes after MAIL",
     .steps = {HELLO, {"MAIL", ""}},
     .outcomes = "T",
     .why = "closed"},
    {.name = "closes after the dot",
     .steps = {HELLO, ENVELOPE, {"\r\n.\r\n", ""}},
     .outcomes = "U",
     .why = "closed"},
    {.name = "the final answer with 354",
     .steps = {HELLO, {"DATA\r\n", ALL "250 ok\r\n"}},
     .outcomes = "T",
     .why = "out of step"},
    {.name = "QUIT is not answered",
     .steps = {HELLO, ENVELOPE, {"\r\n.\r\n", "250 ok\r\n"}, {"QUIT\r\n", ""}},
     .outcomes = "D",
     .why = "closed"},
    {.name = "speaks after the final answer",
     .steps = {HELLO, ENVELOPE, {"\r\n.\r\n", "250 ok\r\n250 ok\r\n"}},
     .outcomes = "D",
     .why = "out of step"},
    {.name = "stalls at DATA",
     .steps = {HELLO, {"DATA\r\n", "250 m\r\n250 r\r\n"}},
     .outcomes = "T",
     .why = "in time",
     .stalls = true,
     .scale_percent = 1},
};

START_TEST(plays)
{
	const struct row *row = &rows[_i];
	static struct owner owner;
	uint16_t port;
	int server = open_server(&port), fd;

	init_owner(&owner, port, 100);
	if (row->scale_percent)
		owner.options.timeout_scale_percent = row->scale_percent;
	loop_post(owner.loop, open_dialer, &owner);
	fd = accept_client(server);
	for (int i = 0; i < STEPS && row->steps[i].say; i++) {
		ck_assert_msg(read_until(fd, row->steps[i].await), "%s: %d",
		              row->name, i);
		say(fd, row->steps[i].say);
	}
	if (!row->stalls)
		(void)shutdown(fd, SHUT_WR);
	end(&owner, fd, server);
	ck_assert_msg(!strcmp(owner.outcomes, row->outcomes), "%s: %s (%s)",
	              row->name, owner.outcomes, owner.why);
	ck_assert_msg(strstr(owner.why, row->why), "%s: %s", row->name,
	              owner.why);
	ck_assert_uint_eq(atomic_load(&owner.dones), row->outcomes[0] ? 1 : 0);
}
END_TEST

/* The extra answer is in the socket before the body is sent: not a success,
 * however slowly the client looks. */
START_TEST(sees_what_came_before_its_command)
{
	static struct owner owner;
	uint16_t port;
	int server = open_server(&port), fd;

	init_owner(&owner, port, 3000000);
	fd = greet(&owner, server, EHLO_REPLY);
	take_envelope(fd);
	/* The body is under way, and the client cannot send it all at once. */
	ck_assert(read_until(fd, "aaa"));
	say(fd, "250 queued\r\n");
	while (read_until(fd, "aaaa"))
		continue;
	end(&owner, fd, server);
	ck_assert_str_eq(owner.outcomes, "T");
	ck_assert_ptr_nonnull(strstr(owner.reply, "queued"));
}
END_TEST

/* The same with a small message, which a slow disk holds up. */
START_TEST(looks_once_more_before_the_dot)
{
	static struct owner owner;
	uint16_t port;
	int server = open_server(&port), fd;

	init_owner(&owner, port, 100);
	owner.slow_ms = 200;
	fd = greet(&owner, server, EHLO_REPLY);
	take_envelope(fd);
	(void)poll(NULL, 0, 50);
	say(fd, "250 queued\r\n");
	end(&owner, fd, server);
	ck_assert_str_eq(owner.outcomes, "T");
	ck_assert_ptr_nonnull(strstr(owner.reply, "queued"));
}
END_TEST

START_TEST(cannot_connect)
{
	static struct owner owner;
	uint16_t port;
	int server = open_server(&port);

	(void)close(server);
	init_owner(&owner, port, 10);
	if (_i)
		owner.options.address = "mail.example";
	loop_post(owner.loop, open_dialer, &owner);
	await(&owner.closes, 1);
	loop_stop(owner.loop);
	ck_assert_uint_eq(atomic_load(&owner.readies), 0);
	ck_assert_ptr_nonnull(
	    strstr(owner.why, _i ? "numeric" : "Connection refused"));
}
END_TEST

START_TEST(frees_from_within_and_without)
{
	static struct owner owner;
	uint16_t port;
	int server = open_server(&port), fd;

	init_owner(&owner, port, 10);
	owner.free_when_ready = true;
	fd = greet(&owner, server, "250 mx\r\n");
	await(&owner.frees, 1);
	ck_assert(!read_until(fd, "x"));
	loop_stop(owner.loop);
	ck_assert_uint_eq(atomic_load(&owner.closes), 0);
	(void)close(fd);
	(void)close(server);
}
END_TEST

/* Several large messages over one session, each as it should be. */
START_TEST(reuses_the_session_for_large_messages)
{
	static struct owner owner;
	uint16_t port;
	int server = open_server(&port), fd;

	init_owner(&owner, port, 5000000);
	owner.wanted = 3;
	fd = greet(&owner, server, EHLO_REPLY);
	for (int i = 0; i < 3; i++) {
		char bytes[65536];
		size_t got = 0;
		/* A dot more for each of the 100,000 lines; and the end. */
		const size_t size = 5000000 + 100000 + 3;

		ck_assert(read_until(fd, "SIZE=5000000\r\n"));
		take_envelope(fd);
		while (got < size) {
			size_t most = size - got < sizeof(bytes)
			                  ? size - got
			                  : sizeof(bytes);
			ssize_t more = recv(fd, bytes, most, 0);

			ck_assert_int_gt(more, 0);
			got += (size_t)more;
			if (got == size)
				ck_assert(
				    !memcmp(bytes + more - 3, ".\r\n", 3));
		}
		say(fd, "250 ok\r\n");
	}
	ck_assert(read_until(fd, "QUIT\r\n"));
	say(fd, "221 bye\r\n");
	end(&owner, fd, server);
	ck_assert_str_eq(owner.outcomes, "DDD");
	ck_assert_uint_eq(atomic_load(&owner.readies), 4);
}
END_TEST

/* A server that never reads: the block's deadline ends it. */
START_TEST(gives_up_on_a_server_that_does_not_read)
{
	static struct owner owner;
	uint16_t port;
	int server = open_server(&port), fd;

	init_owner(&owner, port, 100000000);
	owner.options.timeout_scale_percent = 1;
	fd = greet(&owner, server, EHLO_REPLY);
	take_envelope(fd);
	end(&owner, fd, server);
	ck_assert_str_eq(owner.outcomes, "T");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("smtp-dialer");
	TCase *tests = tcase_create("all");

	tcase_set_timeout(tests, 20);
	tcase_add_loop_test(tests, plays, 0, COUNT(rows));
	tcase_add_test(tests, sees_what_came_before_its_command);
	tcase_add_test(tests, looks_once_more_before_the_dot);
	tcase_add_loop_test(tests, cannot_connect, 0, 2);
	tcase_add_test(tests, frees_from_within_and_without);
	tcase_add_test(tests, reuses_the_session_for_large_messages);
	tcase_add_test(tests, gives_up_on_a_server_that_does_not_read);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
