/*
 * Deferred requests: what runs beside them, which begins next, what finds no
 * room, keys that are looked up, and the server's end while they run.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/http/server.h"
#include "common/log.h"
#include "common/metrics.h"
#include "tests/support/http-peer.h"
#include "tests/support/suite.h"

#define H       "Host: a\r\n"
#define WORKERS 4  /* three for tenants, one a tenant; two for others */
#define ROOM    16 /* four a tenant */
#define NAMES   64

static struct http_server *server;
static _Atomic int value, calls;
static _Atomic bool wake_inside;

/* What was begun, in order, and what may go on, by name. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char begun[NAMES][16], released[NAMES][16];
	size_t begun_count, released_count;
	bool all_released;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .changed = PTHREAD_COND_INITIALIZER};

static bool is_in(char list[NAMES][16], size_t count, const char *name)
{
	while (count > 0)
		if (!strcmp(list[--count], name))
			return true;
	return false;
}

static void put(char list[NAMES][16], size_t *count, const char *name)
{
	ck_assert_uint_lt(*count, NAMES);
	(void)snprintf(list[(*count)++], 16, "%s", name);
	(void)pthread_cond_broadcast(&gate.changed);
}

/* Stands still until name is released. */
static void stand(const char *name)
{
	(void)pthread_mutex_lock(&gate.lock);
	put(gate.begun, &gate.begun_count, name);
	while (!gate.all_released &&
	       !is_in(gate.released, gate.released_count, name))
		(void)pthread_cond_wait(&gate.changed, &gate.lock);
	(void)pthread_mutex_unlock(&gate.lock);
}

static void release(const char *name)
{
	(void)pthread_mutex_lock(&gate.lock);
	if (name)
		put(gate.released, &gate.released_count, name);
	gate.all_released = gate.all_released || !name;
	(void)pthread_cond_broadcast(&gate.changed);
	(void)pthread_mutex_unlock(&gate.lock);
}

/* Waits until so many were begun, the last of them this one. */
static void await_begun(size_t count, const char *last)
{
	char seen[16];

	(void)pthread_mutex_lock(&gate.lock);
	while (gate.begun_count < count)
		(void)pthread_cond_wait(&gate.changed, &gate.lock);
	ck_assert_uint_eq(gate.begun_count, count);
	memcpy(seen, gate.begun[count - 1], sizeof(seen));
	(void)pthread_mutex_unlock(&gate.lock);
	ck_assert_str_eq(seen, last);
}

static void say(struct http_request *request, void *context)
{
	(void)context;
	http_reply(request, 200, "text/plain", "direct", 6);
}

static void hold(struct http_request *request, void *context)
{
	const char *name = http_parameter(request, "name");

	(void)context;
	stand(name);
	http_add_header(request, "X-Name", name);
	http_reply(request, 200, "text/plain", name, strlen(name));
}

static void take(struct http_request *request, void *context)
{
	size_t size;
	const char *body = http_body(request, &size);

	(void)context;
	http_reply(request, 200, "text/plain", body, size);
}

/* Waits until value is above ?after, for ?wait ms. */
static void poll_value(struct http_request *request, void *context)
{
	uint64_t ticket = http_wait_ticket(http_request_server(request), "k");
	int64_t after, wait_ms;
	char text[16];
	int now = value;

	(void)context;
	calls++;
	(void)http_query_integer(request, "after", 0, 0, 1000000, &after, NULL);
	(void)http_query_integer(request, "wait", 20000, 0, 60000, &wait_ms,
	                         NULL);
	/* The change and its wake come after the look. */
	if (atomic_exchange(&wake_inside, false)) {
		value++;
		http_wake(http_request_server(request), "k");
	}
	if (now > after) {
		(void)snprintf(text, sizeof(text), "%d", now);
		http_reply(request, 200, "text/plain", text, strlen(text));
	} else if (http_wait_over(request)) {
		http_reply_empty(request);
	} else {
		http_wait(request, "k", ticket,
		          http_request_start_ms(request) + wait_ms);
	}
}

/*
 * A key that begins with "?" is looked up, by standing still under it; one
 * with "!" in it is refused, one with "#" never decided on. Without a key all
 * is anonymous.
 */
static enum http_admission admit(struct http_request *request, bool may_block,
                                 void *context)
{
	const char *key = http_header(request, "Authorization");

	(void)context;
	if (!key)
		return HTTP_ANONYMOUS;
	if (*key == '?') {
		if (!may_block)
			return HTTP_UNDECIDED;
		stand(key);
	}
	if (strchr(key, '#'))
		return HTTP_UNDECIDED;
	if (strchr(key, '!')) {
		http_reply_problem(request, 401, "unauthorized", "No.");
		return HTTP_REFUSED;
	}
	http_set_owner(request, key);
	return HTTP_AUTHORISED;
}

static const struct http_route routes[] = {
    {"GET", "/direct", say, 0, HTTP_DIRECT},
    {"GET", "/hold/{name}", hold, 0, HTTP_DEFERRED},
    {"GET", "/poll", poll_value, 0, HTTP_DEFERRED},
    {"POST", "/take", take, 1 << 20, HTTP_DEFERRED},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

static void start(void)
{
	const struct http_server_options options = {
	    .address = "127.0.0.1",
	    .threads = 1,
	    .workers = WORKERS,
	    .deferred = ROOM,
	    .maximum_connections = 1000,
	    .idle_timeout_ms = 10000,
	    .routes = routes,
	    .authorise = admit,
	    .log_id = "http",
	};
	struct error err;

	ck_assert_int_eq(crypto_init(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	value = 0;
	calls = 0;
	wake_inside = false;
	gate.begun_count = gate.released_count = 0;
	gate.all_released = false;
	ck_assert_msg(!http_server_start(&server, &options, &err), "%s",
	              err.text);
}

static void *run_stop(void *argument)
{
	(void)argument;
	http_server_stop(server);
	return NULL;
}

static void stop(void)
{
	release(NULL);
	http_server_stop(server);
	server = NULL;
}

/* Asks for path as owner, NULL: nobody. The descriptor. */
static int ask(const char *path, const char *owner)
{
	int fd = peer_connect(http_server_port(server));
	char request[300];

	(void)snprintf(request, sizeof(request),
	               "GET %s HTTP/1.1\r\n" H "%s%s%s\r\n", path,
	               owner ? "Authorization: " : "", owner ? owner : "",
	               owner ? "\r\n" : "");
	ck_assert_int_eq(peer_send_text(fd, request), 0);
	return fd;
}

static void expect_open(int fd, const char *what)
{
	char answer[1000];

	(void)peer_read_answer(fd, answer, sizeof(answer), 10000);
	ck_assert_msg(strstr(answer, what) != NULL, "no %s but: %s", what,
	              answer);
}

static void expect(int fd, const char *what)
{
	expect_open(fd, what);
	(void)close(fd);
}

static void await_gauge(const char *name, int64_t count)
{
	int i;

	for (i = 0; i < 10000; i++) {
		if (metric_value(metric_gauge(name, "", "")) == count)
			return;
		(void)usleep(1000);
	}
	ck_assert_int_eq(metric_value(metric_gauge(name, "", "")), count);
}

static void await_waiting(int64_t count)
{
	await_gauge("turing_http_deferred_waiting", count);
}

static void await_parked(int64_t count)
{
	await_gauge("turing_http_waiting", count);
}

/* Parks so many polls of b, one by one: b has a share of the room alone. */
static void park(int *fds, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		fds[i] = ask("/poll", "b");
		await_parked(i + 1);
	}
}

/* All workers stand still, and the event thread serves on. */
START_TEST(test_beside)
{
	int fds[WORKERS] = {ask("/hold/a", "a"), ask("/hold/b", "b"),
	                    ask("/hold/c", "c"), ask("/hold/d", NULL)};
	int i;

	await_gauge("turing_http_workers_busy", WORKERS);
	for (i = 0; i < 10; i++)
		expect(ask("/direct", NULL), "direct");
	expect(ask("/direct", "a"), "direct");
	expect(ask("/nothing", NULL), " 404 ");
	release(NULL);
	for (i = 0; i < WORKERS; i++)
		expect(fds[i], "X-Name: ");
	await_gauge("turing_http_workers_busy", 0);
}
END_TEST

/* A tenant's second request waits while another's begins, and each tenant's
 * are begun in the order in which they came. */
START_TEST(test_round_robin)
{
	int fds[8];

	fds[0] = ask("/hold/a1", "a");
	await_begun(1, "a1");
	fds[1] = ask("/hold/a2", "a");
	await_waiting(1);
	fds[2] = ask("/hold/b1", "b");
	await_begun(2, "b1");
	fds[3] = ask("/hold/c1", "c");
	await_begun(3, "c1");
	fds[4] = ask("/hold/a3", "a");
	await_waiting(2);
	fds[5] = ask("/hold/d1", "d");
	await_waiting(3);
	fds[6] = ask("/hold/d2", "d");
	await_waiting(4);
	fds[7] = ask("/hold/e1", "e");
	await_waiting(5);
	release("a1");
	await_begun(4, "d1");
	release("b1");
	await_begun(5, "e1");
	release("c1");
	await_begun(6, "a2");
	release("d1");
	await_begun(7, "d2");
	release("a2");
	await_begun(8, "a3");
	release(NULL);
	expect(fds[0], "X-Name: a1");
	expect(fds[1], "X-Name: a2");
	expect(fds[2], "X-Name: b1");
	expect(fds[3], "X-Name: c1");
	expect(fds[4], "X-Name: a3");
	expect(fds[5], "X-Name: d1");
	expect(fds[6], "X-Name: d2");
	expect(fds[7], "X-Name: e1");
}
END_TEST

/* Tenants leave a worker to those without a key, and those one to tenants,
 * however many there are. */
START_TEST(test_kinds)
{
	char path[32], owner[8];
	int fds[8], others[3], i;

	for (i = 0; i < 8; i++) {
		(void)snprintf(path, sizeof(path), "/hold/t%d", i);
		(void)snprintf(owner, sizeof(owner), "t%d", i);
		fds[i] = ask(path, owner);
	}
	await_waiting(5);
	others[0] = ask("/hold/x", NULL);
	await_gauge("turing_http_workers_busy", WORKERS);
	/* One client has one worker, whatever is free. */
	others[1] = ask("/hold/y", NULL);
	others[2] = ask("/hold/z", NULL);
	await_waiting(7);
	release(NULL);
	for (i = 0; i < 8; i++)
		expect(fds[i], "X-Name: t");
	for (i = 0; i < 3; i++)
		expect(others[i], "X-Name: ");
}
END_TEST

/* One tenant has a quarter of the room, all of them three. */
START_TEST(test_full)
{
	int fds[32], count = 0, i, refused;
	char path[32], owner[8];

	fds[count++] = ask("/hold/a", "a");
	await_begun(1, "a");
	for (i = 0; i < ROOM / 4; i++)
		fds[count++] = ask("/hold/a", "a");
	await_waiting(ROOM / 4);
	refused = ask("/hold/a", "a");
	expect_open(refused, "Retry-After: 5");
	/* Its connection serves on. */
	ck_assert_int_eq(
	    peer_send_text(refused, "GET /direct HTTP/1.1\r\n" H "\r\n"), 0);
	expect(refused, "direct");
	for (i = 0; i < 2 + ROOM / 2; i++) {
		(void)snprintf(path, sizeof(path), "/hold/t%d", i);
		(void)snprintf(owner, sizeof(owner), "t%d", i);
		fds[count++] = ask(path, owner);
		if (i < 2)
			await_begun((size_t)i + 2, owner);
	}
	await_waiting(ROOM - ROOM / 4);
	expect(ask("/hold/u", "u"), " 503 ");
	fds[count++] = ask("/hold/x", NULL);
	release(NULL);
	for (i = 0; i < count; i++)
		expect(fds[i], "X-Name: ");
	expect(ask("/hold/a", "a"), "X-Name: a");
}
END_TEST

/* More that wait than there are workers and room: all are told. */
START_TEST(test_parked)
{
	int fds[4 * ROOM], i, held = ask("/hold/a", "a");

	await_begun(1, "a");
	park(fds, 4 * ROOM);
	await_gauge("turing_http_workers_busy", 1);
	value = 1;
	http_wake(server, "k");
	for (i = 0; i < 4 * ROOM; i++)
		expect(fds[i], "\r\n\r\n1");
	/* One that waits in vain, and one whose client left meanwhile. */
	fds[0] = ask("/poll?after=1&wait=100", "b");
	fds[1] = ask("/poll?after=1&wait=50", "b");
	(void)close(fds[1]);
	expect(fds[0], " 204 ");
	await_parked(0);
	release(NULL);
	expect(held, "X-Name: a");
}
END_TEST

START_TEST(test_lost_wake)
{
	char path[64];
	int i;

	for (i = 0; i < 50; i++) {
		(void)snprintf(path, sizeof(path), "/poll?after=%d",
		               (int)value);
		wake_inside = true;
		expect(ask(path, "a"), " 200 ");
	}
	ck_assert_int_eq(calls, 100);
}
END_TEST

static void *raise_value(void *argument)
{
	const int *times = argument;
	int i;

	for (i = 0; i < *times; i++) {
		value++;
		http_wake(server, "k");
		if (i % 16 == 0)
			(void)usleep(200);
	}
	return NULL;
}

/* Wakes that come all the time: the last state is seen by everybody. */
START_TEST(test_race)
{
	int times = 2000, fds[8], seen[8] = {0}, i, running = 8;
	char request[100], answer[1000];
	pthread_t thread;

	for (i = 0; i < 8; i++)
		fds[i] = ask("/poll?after=0", i % 2 ? "a" : "b");
	ck_assert_int_eq(pthread_create(&thread, NULL, raise_value, &times), 0);
	while (running > 0) {
		for (i = 0; i < 8; i++) {
			if (seen[i] == times)
				continue;
			(void)peer_read_answer(fds[i], answer, sizeof(answer),
			                       10000);
			ck_assert_msg(strstr(answer, " 200 ") != NULL,
			              "seen %d, but: %s", seen[i], answer);
			seen[i] = (int)strtol(strstr(answer, "\r\n\r\n") + 4,
			                      NULL, 10);
			running -= seen[i] == times;
			(void)snprintf(request, sizeof(request),
			               "GET /poll?after=%d HTTP/1.1\r\n" H
			               "Authorization: %s\r\n\r\n",
			               seen[i], i % 2 ? "a" : "b");
			if (seen[i] != times)
				ck_assert_int_eq(
				    peer_send_text(fds[i], request), 0);
		}
	}
	(void)pthread_join(thread, NULL);
	for (i = 0; i < 8; i++)
		(void)close(fds[i]);
}
END_TEST

/* Clients that leave while theirs runs, or waits for a worker. */
START_TEST(test_client_leaves)
{
	int fds[4], i;

	fds[0] = ask("/hold/a", "a");
	await_begun(1, "a");
	for (i = 1; i < 4; i++)
		fds[i] = ask("/hold/b", "a");
	await_waiting(3);
	for (i = 0; i < 4; i++)
		(void)close(fds[i]);
	release(NULL);
	await_begun(4, "b");
	expect(ask("/hold/c", "a"), "X-Name: c");
}
END_TEST

static const struct {
	const char *key, *headers, *early, *answer;
	bool closed;
} lookups[] = {
    {"?good", "Content-Length: 3\r\n", "", "\r\n\r\nabc", false},
    {"?good", "Content-Length: 3\r\nExpect: 100-continue\r\n", "",
     "\r\n\r\nabc", false},
    {"?good", "Content-Length: 3\r\n", "abc", "\r\n\r\nabc", false},
    {"?bad!", "Content-Length: 3\r\n", "", " 401 ", true},
    {"?bad!", "Content-Length: 900000000\r\n", "", " 401 ", true},
    {"?bad!", "Transfer-Encoding: chunked\r\n", "", " 401 ", true},
    {"?bad!", "Content-Length: 3\r\nExpect: 100-continue\r\n", "", " 401 ",
     true},
    {"?mute#", "Content-Length: 3\r\n", "", " 500 ", true},
    {"?good", "Content-Length: 900000000\r\n", "", " 413 ", true},
};

/*
 * While a key is looked up nothing is answered, not even that the body may
 * come, and others are served; a refused one is answered without its body.
 */
START_TEST(test_lookup)
{
	int fd = peer_connect(http_server_port(server));
	char request[400], answer[1000];

	(void)snprintf(request, sizeof(request),
	               "POST /take HTTP/1.1\r\n" H "Authorization: %s\r\n%s"
	               "\r\n%s",
	               lookups[_i].key, lookups[_i].headers, lookups[_i].early);
	ck_assert_int_eq(peer_send_text(fd, request), 0);
	await_begun(1, lookups[_i].key);
	expect(ask("/direct", "a"), "direct");
	expect(ask("/poll?after=0&wait=0", "a"), " 204 ");
	ck_assert_uint_eq(peer_read(fd, answer, sizeof(answer), 50), 0);
	release(lookups[_i].key);
	if (strstr(lookups[_i].answer, "abc") && strstr(request, "Expect"))
		expect_open(fd, " 100 ");
	if (strstr(lookups[_i].answer, "abc") && !*lookups[_i].early)
		ck_assert_int_eq(peer_send_text(fd, "abc"), 0);
	expect_open(fd, lookups[_i].answer);
	ck_assert_int_eq(peer_is_closed(fd, lookups[_i].closed ? 2000 : 50),
	                 lookups[_i].closed);
	(void)close(fd);
}
END_TEST

/* One client's look-ups have one worker, and a quarter of the room. */
START_TEST(test_lookups_share)
{
	int fds[1 + ROOM / 4], i;

	fds[0] = ask("/direct", "?x!");
	await_begun(1, "?x!");
	for (i = 1; i < 1 + ROOM / 4; i++)
		fds[i] = ask("/direct", "?x!");
	await_waiting(ROOM / 4);
	expect(ask("/direct", "?x!"), " 503 ");
	expect(ask("/poll?after=0&wait=0", "a"), " 204 ");
	expect(ask("/poll?after=0&wait=0", NULL), " 204 ");
	release(NULL);
	for (i = 0; i < 1 + ROOM / 4; i++)
		expect(fds[i], " 401 ");
}
END_TEST

/* All that waits is answered; what runs is let finish. */
START_TEST(test_stop)
{
	int held[4], polls[3 * ROOM], i;
	pthread_t thread;

	park(polls, 3 * ROOM);
	for (i = 0; i < 4; i++)
		held[i] = ask("/hold/a", "a");
	await_waiting(3);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_stop, NULL), 0);
	for (i = 0; i < 3 * ROOM; i++)
		expect(polls[i], " 204 ");
	release(NULL);
	for (i = 0; i < 4; i++)
		expect(held[i], "X-Name: a");
	(void)pthread_join(thread, NULL);
	await_gauge("turing_http_workers_busy", 0);
	await_waiting(0);
}
END_TEST

/* What outlasts the grace of a stop is waited for; what was not begun by then
 * is turned away. */
START_TEST(test_stop_outlasted)
{
	int first = ask("/hold/a", "a"), second, look_up;
	pthread_t thread;

	await_begun(1, "a");
	look_up = ask("/direct", "?b");
	await_begun(2, "?b");
	second = ask("/hold/c", "a");
	await_waiting(1);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_stop, NULL), 0);
	/* The queue is given up when the grace is over. */
	await_waiting(0);
	expect(ask("/hold/d", "d"), " 503 ");
	release(NULL);
	expect(first, "X-Name: a");
	expect(second, "urn:turing:problem:stopping");
	(void)pthread_join(thread, NULL);
	await_begun(2, "?b");
	(void)close(look_up);
}
END_TEST

/* Everything is served, and what waits is told. */
START_TEST(test_drain)
{
	int fds[2 * ROOM], i, held = ask("/hold/a", "a");

	await_begun(1, "a");
	park(fds, 2 * ROOM);
	http_server_drain(server);
	for (i = 0; i < 2 * ROOM; i++)
		expect(fds[i], " 204 ");
	release("a");
	expect(held, "Connection: close");
	expect(ask("/poll?after=0&wait=0", "b"), "Connection: close");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http defer");
	TCase *cases = tcase_create("cases");
	TCase *end = tcase_create("end");

	tcase_add_checked_fixture(cases, start, stop);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, test_beside);
	tcase_add_test(cases, test_round_robin);
	tcase_add_test(cases, test_kinds);
	tcase_add_test(cases, test_full);
	tcase_add_test(cases, test_parked);
	tcase_add_test(cases, test_lost_wake);
	tcase_add_test(cases, test_race);
	tcase_add_test(cases, test_client_leaves);
	tcase_add_loop_test(cases, test_lookup, 0,
	                    sizeof(lookups) / sizeof(lookups[0]));
	tcase_add_test(cases, test_lookups_share);
	tcase_add_test(cases, test_drain);
	suite_add_tcase(suite, cases);
	tcase_add_checked_fixture(end, start, NULL);
	tcase_set_timeout(end, 60);
	tcase_add_test(end, test_stop);
	tcase_add_test(end, test_stop_outlasted);
	suite_add_tcase(suite, end);
	return suite_main(suite, NULL);
}
