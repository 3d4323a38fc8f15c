/* Requests that wait: woken, timed out, stopped, and never lost a wake. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/http/server.h"
#include "common/log.h"
#include "common/metrics.h"
#include "tests/support/await.h"
#include "tests/support/http-peer.h"
#include "tests/support/suite.h"

#define H "Host: a\r\n"

static struct http_server *server;
static _Atomic int value, calls;
static _Atomic bool wake_inside;
static const char *_Atomic inside_key; /* what that wakes; NULL: all */

/* Waits until value is above ?after, for ?wait ms, under the key ?key. */
static void poll_value(struct http_request *request, void *context)
{
	struct http_server *of = http_request_server(request);
	const char *named = http_query(request, "key");
	const char *key = named ? named : "k";
	uint64_t ticket = http_wait_ticket(of, key);
	int64_t after, wait_ms;
	struct error err;
	char text[16];
	int now;

	(void)context;
	calls++;
	if (http_query_integer(request, "after", 0, 0, 1000000, &after, &err) ||
	    http_query_integer(request, "wait", 5000, 0, 60000, &wait_ms,
	                       &err)) {
		http_reply_problem(request, 400, "bad", "%s", err.text);
		return;
	}
	now = value;
	/* The race: the change and its wake come after the look. */
	if (atomic_exchange(&wake_inside, false)) {
		value++;
		http_wake(of, inside_key);
	}
	if (now > after) {
		(void)snprintf(text, sizeof(text), "%d", now);
		http_reply(request, 200, "text/plain", text, strlen(text));
	} else if (http_wait_over(request)) {
		http_reply_empty(request);
	} else {
		http_wait(request, key, ticket,
		          http_request_start_ms(request) + wait_ms);
	}
}

/* Waits again although it was told that the wait is over. */
static void wait_forever(struct http_request *request, void *context)
{
	(void)context;
	calls++;
	http_wait(request, "k", http_wait_ticket(server, "k"),
	          http_request_start_ms(request) + 100);
}

static int64_t count_waiting(void)
{
	return metric_value(metric_gauge("turing_http_waiting", "", ""));
}

/* Is busy until the stop has ended every wait. */
static void slow(struct http_request *request, void *context)
{
	(void)context;
	calls++;
	await(count_waiting() == 0);
	http_reply(request, 200, "text/plain", "slow", 4);
}

static void echo(struct http_request *request, void *context)
{
	size_t size;
	const char *body = http_body(request, &size);

	(void)context;
	calls++;
	if (http_wait_over(request) || value > 0)
		http_reply(request, 200, "text/plain", body, size);
	else
		http_wait(request, "k", http_wait_ticket(server, "k"),
		          http_request_start_ms(request) + 5000);
}

static const struct http_route routes[] = {
    {"GET", "/poll", poll_value, 0, HTTP_DIRECT},
    {"GET", "/forever", wait_forever, 0, HTTP_DIRECT},
    {"GET", "/slow", slow, 0, HTTP_DIRECT},
    {"POST", "/echo", echo, 1000, HTTP_DIRECT},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

static void start(void)
{
	const struct http_server_options options = {
	    .address = "127.0.0.1",
	    .maximum_connections = 12000,
	    .idle_timeout_ms = 1000,
	    .routes = routes,
	    .log_id = "http",
	};
	struct error err;

	ck_assert_int_eq(crypto_init(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	value = 0;
	calls = 0;
	wake_inside = false;
	inside_key = "k";
	ck_assert_msg(!http_server_start(&server, &options, &err), "%s",
	              err.text);
}

static void stop(void)
{
	http_server_stop(server);
	server = NULL;
}

static int ask(const char *target)
{
	int fd = peer_connect(http_server_port(server));
	char request[200];

	(void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" H "\r\n",
	               target);
	ck_assert_int_eq(peer_send_text(fd, request), 0);
	return fd;
}

static void expect(int fd, const char *status, int timeout_ms)
{
	char answer[1000];

	(void)peer_read_answer(fd, answer, sizeof(answer), timeout_ms);
	ck_assert_msg(strstr(answer, status) != NULL, "no %s but: %s", status,
	              answer);
}

static void await_waiting(int64_t count)
{
	await(count_waiting() == count);
}

START_TEST(test_wake)
{
	int fd = ask("/poll"), other = ask("/poll?key=other");
	int64_t begin;

	await_waiting(2);
	ck_assert_int_eq(calls, 2);
	begin = clock_monotonic_ms();
	value = 1;
	http_wake(server, "k");
	expect(fd, " 200 ", 1000);
	ck_assert_int_lt(clock_monotonic_ms() - begin, 200);
	ck_assert_int_eq(count_waiting(), 1);
	ck_assert_int_eq(calls, 3);
	http_wake(server, NULL);
	expect(other, " 200 ", 1000);
	/* The connections serve on. */
	ck_assert_int_eq(peer_send_text(fd, "GET /poll HTTP/1.1\r\n" H "\r\n"),
	                 0);
	expect(fd, " 200 ", 1000);
	(void)close(fd);
	(void)close(other);
}
END_TEST

/* A wake that changes nothing parks the request again until its deadline. */
START_TEST(test_idle_wakes)
{
	int64_t begin = clock_monotonic_ms();
	int i, fd = ask("/poll?wait=400");

	for (i = 1; i <= 3; i++) {
		await_waiting(1);
		http_wake(server, "k");
		await(calls >= i + 1);
	}
	expect(fd, " 204 ", 2000);
	ck_assert_int_ge(clock_monotonic_ms() - begin, 390);
	ck_assert_int_lt(clock_monotonic_ms() - begin, 800);
	(void)close(fd);
}
END_TEST

START_TEST(test_deadlines)
{
	static const struct {
		const char *target;
		int64_t least_ms, most_ms;
	} deadlines[] = {
	    {"/poll?wait=600", 590, 900}, {"/poll?wait=200", 190, 500},
	    {"/poll?wait=400", 390, 700}, {"/poll?wait=0", 0, 200},
	    {"/forever", 90, 400},
	};
	int64_t begin = clock_monotonic_ms(), took;
	int fds[5], order[] = {3, 4, 1, 2, 0};
	size_t i;

	for (i = 0; i < 5; i++)
		fds[i] = ask(deadlines[i].target);
	for (i = 0; i < 5; i++) {
		expect(fds[order[i]], " 204 ", 2000);
		took = clock_monotonic_ms() - begin;
		ck_assert_int_ge(took, deadlines[order[i]].least_ms);
		ck_assert_int_lt(took, deadlines[order[i]].most_ms);
		(void)close(fds[order[i]]);
	}
	ck_assert_int_eq(count_waiting(), 0);
}
END_TEST

/* A wait longer than the idle timeout is not cut. */
START_TEST(test_outlasts_idle_timeout)
{
	int fd = ask("/poll?wait=2600");

	expect(fd, " 204 ", 4000);
	(void)close(fd);
}
END_TEST

START_TEST(test_lost_wake)
{
	int i, fd = ask("/poll?wait=5000&after=0");
	int64_t begin;

	await_waiting(1);
	wake_inside = true;
	begin = clock_monotonic_ms();
	http_wake(server, "k");
	expect(fd, " 200 ", 1000);
	ck_assert_int_lt(clock_monotonic_ms() - begin, 500);
	(void)close(fd);
	for (i = 0; i < 50; i++) {
		char target[64];

		(void)snprintf(target, sizeof(target),
		               "/poll?wait=5000&after=%d", (int)value);
		wake_inside = true;
		fd = ask(target);
		expect(fd, " 200 ", 1000);
		(void)close(fd);
	}
}
END_TEST

/* Between ticket and parking, a wake of its key alone calls a handler again. */
START_TEST(test_wakes_of_others)
{
	int fd;

	inside_key = "elsewhere";
	wake_inside = true;
	fd = ask("/poll?after=5");
	await_waiting(1);
	ck_assert_int_eq(calls, 1);
	value = 6;
	http_wake(server, "k");
	expect(fd, " 200 ", 1000);
	(void)close(fd);
	/* A wake of all keys is one of its key, too. */
	calls = 0;
	inside_key = NULL;
	wake_inside = true;
	fd = ask("/poll?after=20&wait=300");
	expect(fd, " 204 ", 1000);
	ck_assert_int_eq(calls, 3);
	(void)close(fd);
}
END_TEST

static void *raise_value(void *argument)
{
	const int *times = argument;
	int i;

	for (i = 0; i < *times; i++) {
		value++;
		http_wake(server, i % 2 ? "k" : "elsewhere");
		http_wake(server, "k");
		if (i % 16 == 0)
			(void)sched_yield();
	}
	return NULL;
}

/* Followers of a value that changes all the time see its last state. */
START_TEST(test_race)
{
	int times = 3000, fds[8], seen[8] = {0}, i, running = 8;
	char request[100], answer[1000];
	pthread_t thread;

	for (i = 0; i < 8; i++)
		fds[i] = ask("/poll?after=0");
	ck_assert_int_eq(pthread_create(&thread, NULL, raise_value, &times), 0);
	while (running > 0) {
		for (i = 0; i < 8; i++) {
			if (seen[i] == times)
				continue;
			(void)peer_read_answer(fds[i], answer, sizeof(answer),
			                       2000);
			ck_assert_msg(strstr(answer, " 200 ") != NULL,
			              "seen %d, but: %s", seen[i], answer);
			seen[i] = atoi(strstr(answer, "\r\n\r\n") + 4);
			if (seen[i] == times) {
				running--;
				continue;
			}
			(void)snprintf(request, sizeof(request),
			               "GET /poll?after=%d HTTP/1.1\r\n" H
			               "\r\n",
			               seen[i]);
			ck_assert_int_eq(peer_send_text(fds[i], request), 0);
		}
	}
	(void)pthread_join(thread, NULL);
	for (i = 0; i < 8; i++)
		(void)close(fds[i]);
}
END_TEST

/* The body and the headers are there at every call. */
START_TEST(test_body_survives)
{
	int fd = peer_connect(http_server_port(server));
	char answer[1000];

	ck_assert_int_eq(peer_send_text(fd, "POST /echo HTTP/1.1\r\n" H
	                                    "Content-Length: 3\r\n\r\nabc"),
	                 0);
	await_waiting(1);
	value = 1;
	http_wake(server, "k");
	(void)peer_read_answer(fd, answer, sizeof(answer), 1000);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nabc"));
	ck_assert_int_eq(calls, 2);
	(void)close(fd);
}
END_TEST

START_TEST(test_peer_leaves)
{
	int i;

	for (i = 0; i < 20; i++)
		(void)close(ask("/poll?wait=200"));
	await(calls >= 20);
	value = 1;
	http_wake(server, "k");
	await_waiting(0);
	expect(ask("/poll"), " 200 ", 1000);
}
END_TEST

START_TEST(test_stop)
{
	int fds[50], i, busy;
	int64_t begin;

	for (i = 0; i < 50; i++)
		fds[i] = ask("/poll?wait=30000");
	await_waiting(50);
	busy = ask("/slow");
	await(calls >= 51);
	begin = clock_monotonic_ms();
	stop();
	ck_assert_int_lt(clock_monotonic_ms() - begin, 2000);
	expect(busy, " 200 ", 100);
	(void)close(busy);
	for (i = 0; i < 50; i++) {
		expect(fds[i], " 204 ", 100);
		ck_assert(peer_is_closed(fds[i], 100));
		(void)close(fds[i]);
	}
	ck_assert_int_eq(count_waiting(), 0);
}
END_TEST

/* All is served, but nothing waits long and every connection ends. */
START_TEST(test_drain)
{
	int fds[20], i;
	int64_t begin;

	for (i = 0; i < 20; i++)
		fds[i] = ask(i % 2 ? "/poll?wait=30000" : "/poll?wait=5000");
	await_waiting(20);
	begin = clock_monotonic_ms();
	http_server_drain(server);
	for (i = 0; i < 20; i++) {
		expect(fds[i], " 204 ", 1000);
		ck_assert(peer_is_closed(fds[i], 1000));
		(void)close(fds[i]);
	}
	ck_assert_int_lt(clock_monotonic_ms() - begin, 500);
	/* Not at once, or pollers would spin until they are sent elsewhere. */
	begin = clock_monotonic_ms();
	fds[0] = ask("/poll?wait=30000");
	fds[1] = ask("/poll?wait=100");
	expect(fds[1], " 204 ", 600);
	expect(fds[0], " 204 ", 3000);
	ck_assert_int_ge(clock_monotonic_ms() - begin, 900);
	ck_assert_int_lt(clock_monotonic_ms() - begin, 2000);
	ck_assert(peer_is_closed(fds[0], 1000));
	(void)close(fds[0]);
	(void)close(fds[1]);
	/* Waits are still ended by what they wait for. */
	fds[0] = ask("/poll?wait=30000");
	await_waiting(1);
	value = 1;
	http_wake(server, "k");
	expect(fds[0], "Connection: close", 500);
	(void)close(fds[0]);
}
END_TEST

/* More than there are threads by far; TURING_TEST_WAITS raises it. */
START_TEST(test_many)
{
	const char *wanted = getenv("TURING_TEST_WAITS");
	int i, count = wanted ? atoi(wanted) : 400;
	int *fds = calloc((size_t)count, sizeof(*fds));
	int64_t begin;

	for (i = 0; i < count; i++)
		fds[i] = ask("/poll?wait=30000");
	await_waiting(count);
	begin = clock_monotonic_ms();
	value = 7;
	http_wake(server, "k");
	for (i = 0; i < count; i++)
		expect(fds[i], " 200 ", 5000);
	if (wanted)
		printf("%d answers %lld ms after the wake\n", count,
		       (long long)(clock_monotonic_ms() - begin));
	for (i = 0; i < count; i++)
		(void)close(fds[i]);
	free(fds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http wait");
	TCase *cases = tcase_create("cases");
	TCase *end = tcase_create("end");

	tcase_add_checked_fixture(cases, start, stop);
	tcase_set_timeout(cases, 30);
	tcase_add_test(cases, test_wake);
	tcase_add_test(cases, test_idle_wakes);
	tcase_add_test(cases, test_deadlines);
	tcase_add_test(cases, test_outlasts_idle_timeout);
	tcase_add_test(cases, test_lost_wake);
	tcase_add_test(cases, test_wakes_of_others);
	tcase_add_test(cases, test_race);
	tcase_add_test(cases, test_body_survives);
	tcase_add_test(cases, test_peer_leaves);
	tcase_add_test(cases, test_drain);
	tcase_add_test(cases, test_many);
	suite_add_tcase(suite, cases);
	tcase_add_checked_fixture(end, start, NULL);
	tcase_add_test(end, test_stop);
	suite_add_tcase(suite, end);
	return suite_main(suite, NULL);
}
