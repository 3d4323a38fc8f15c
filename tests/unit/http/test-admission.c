/* Who may go on when the headers are complete, and room for those with a key.
 */
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

#define H           "Host: a\r\n"
#define KEY         "Authorization: Bearer good\r\n"
#define CONNECTIONS 100

static struct http_server *server;
static _Atomic int handled;

static void say(struct http_request *request, void *context)
{
	(void)context;
	handled++;
	http_reply(request, 200, "text/plain", "hello", 5);
}

static void wait_long(struct http_request *request, void *context)
{
	(void)context;
	if (http_wait_over(request))
		http_reply_empty(request);
	else if (http_wait_share(request, "k", http_query(request, "owner"), 2))
		http_wait(request, "k", http_wait_ticket(server, "k"),
		          http_request_start_ms(request) + 4000);
	else
		http_reply_problem(request, 429, "too-many", "Enough.");
}

static enum http_admission admit(struct http_request *request, bool may_block,
                                 void *context)
{
	const char *key = http_header(request, "Authorization");

	(void)context;
	(void)may_block;
	if (!strncmp(http_path(request), "/open", 5))
		return HTTP_ANONYMOUS;
	if (key && !strcmp(key, "Bearer good"))
		return HTTP_AUTHORISED;
	http_reply_problem(request, 401, "unauthorized", "No.");
	return HTTP_REFUSED;
}

/* Says by itself what is wrong below /page. */
static bool explain(struct http_request *request, unsigned status,
                    void *context)
{
	(void)context;
	if (strncmp(http_path(request), "/page", 5) != 0)
		return false;
	http_reply(request, status == 400 ? 404 : status, "text/html", "<p>",
	           3);
	return true;
}

static const struct http_route routes[] = {
    {"GET", "/closed", say, 0, HTTP_DIRECT},
    {"POST", "/closed", say, 1 << 20, HTTP_DIRECT},
    {"GET", "/open", say, 0, HTTP_DIRECT},
    {"POST", "/open", say, 1 << 20, HTTP_DIRECT},
    {"GET", "/page", say, 0, HTTP_DIRECT},
    {"GET", "/waiting", wait_long, 0, HTTP_DIRECT},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

static void start(void)
{
	const struct http_server_options options = {
	    .address = "127.0.0.1",
	    .threads = 1,
	    .maximum_connections = CONNECTIONS,
	    .idle_timeout_ms = 1000,
	    .routes = routes,
	    .authorise = admit,
	    .explain = explain,
	    .log_id = "http",
	};
	struct error err;

	ck_assert_int_eq(crypto_init(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	handled = 0;
	ck_assert_msg(!http_server_start(&server, &options, &err), "%s",
	              err.text);
}

static void stop(void)
{
	http_server_stop(server);
}

static const struct row {
	const char *request;
	const char *begins;
	bool closed; /* after the answer */
} rows[] = {
    {"GET /closed HTTP/1.1\r\n" H KEY "\r\n", "HTTP/1.1 200 ", false},
    {"GET /closed HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 401 ", true},
    {"GET /closed HTTP/1.1\r\n" H "Authorization: Bearer bad\r\n\r\n",
     "HTTP/1.1 401 ", true},
    {"GET /open HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", false},
    {"HEAD /closed HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 401 ", true},
    {"POST /closed HTTP/1.1\r\n" H KEY "Content-Length: 1\r\n\r\nx",
     "HTTP/1.1 200 ", false},
    /* Answered though its body never comes. */
    {"POST /closed HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\n", "HTTP/1.1 401 ",
     true},
    {"POST /closed HTTP/1.1\r\n" H "Content-Length: 900000000\r\n\r\n",
     "HTTP/1.1 401 ", true},
    {"POST /closed HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
     "HTTP/1.1 401 ", true},
    {"POST /closed HTTP/1.1\r\n" H "Expect: 100-continue\r\n"
     "Content-Length: 9\r\n\r\n",
     "HTTP/1.1 401 ", true},
    /* Too long, by what it says itself. */
    {"POST /closed HTTP/1.1\r\n" H KEY "Content-Length: 9000000\r\n\r\n",
     "HTTP/1.1 413 ", true},
    {"POST /open HTTP/1.1\r\n" H "Content-Length: 9000000\r\n\r\n",
     "HTTP/1.1 413 ", true},
    /* Explained by somebody else: broken target, no route, wrong method. */
    {"GET /page/%ff?x=1 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ", true},
    {"GET /page/none HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ", false},
    {"PUT /page HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 ", false},
    {"GET /%ff HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", true},
    /* What could be read in two ways is not. */
    {"GET /page HTTP/1.1\r\n" H H "\r\n", "HTTP/1.1 400 ", true},
    /* What is not there is nobody's. */
    {"GET /nothing HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ", false},
};

START_TEST(test_rows)
{
	int fd = peer_connect(http_server_port(server));
	char answer[4096];

	ck_assert_int_eq(peer_send_text(fd, rows[_i].request), 0);
	(void)peer_read_answer(fd, answer, sizeof(answer), 10000);
	ck_assert_msg(
	    !strncmp(answer, rows[_i].begins, strlen(rows[_i].begins)),
	    "row %d: %s", _i, answer);
	ck_assert_msg(peer_is_closed(fd, rows[_i].closed ? 10000 : 50) ==
	                  rows[_i].closed,
	              "row %d", _i);
	(void)close(fd);
}
END_TEST

/* How many ms an authorised request takes. */
static int64_t time_request(void)
{
	int64_t start_ms = clock_monotonic_ms();
	char answer[4096];

	(void)peer_exchange(http_server_port(server),
	                    "GET /closed HTTP/1.1\r\n" H KEY
	                    "Connection: close\r\n\r\n",
	                    answer, sizeof(answer), 5000);
	ck_assert_msg(!strncmp(answer, "HTTP/1.1 200 ", 13), "%s", answer);
	return clock_monotonic_ms() - start_ms;
}

static int64_t count_waiting(void)
{
	return metric_value(metric_gauge("turing_http_waiting", "", ""));
}

/* What those without a key leave unfinished. */
static const char *const idlers[] = {
    "",
    "GET /clo",
    "POST /open HTTP/1.1\r\n" H "Content-Length: 500000\r\n\r\n",
    "GET /open HTTP/1.1\r\n" H "\r\n",
};

START_TEST(test_room_for_keys)
{
	int fds[3 * CONNECTIONS], waiting, i;
	char answer[4096];

	waiting = peer_connect(http_server_port(server));
	ck_assert_int_eq(
	    peer_send_text(waiting,
	                   "GET /waiting?owner=a HTTP/1.1\r\n" H KEY "\r\n"),
	    0);
	await(count_waiting() == 1);
	for (i = 0; i < 3 * CONNECTIONS; i++) {
		fds[i] = peer_connect(http_server_port(server));
		(void)peer_send_text(fds[i], idlers[_i]);
		if (i % 50 == 0)
			ck_assert_int_lt(time_request(), 5000);
	}
	for (i = 0; i < 5; i++)
		ck_assert_int_lt(time_request(), 5000);
	/* The one that showed its key still waits. */
	ck_assert(!peer_is_closed(waiting, 50));
	http_wake(server, NULL);
	for (i = 0; i < 3 * CONNECTIONS; i++)
		(void)close(fds[i]);
	(void)peer_read_answer(waiting, answer, sizeof(answer), 5000);
	ck_assert_msg(!strncmp(answer, "HTTP/1.1 204 ", 13), "%s", answer);
	(void)close(waiting);
}
END_TEST

static int ask_to_wait(const char *owner)
{
	int fd = peer_connect(http_server_port(server));
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "GET /waiting?owner=%s HTTP/1.1\r\n" H KEY "\r\n",
	               owner);
	ck_assert_int_eq(peer_send_text(fd, text), 0);
	return fd;
}

/* Whether the owner is let in to wait, on *fd; its connection is closed when
 * it is refused. */
static bool waits(const char *owner, int *fd)
{
	char answer[4096];

	*fd = ask_to_wait(owner);
	(void)peer_read_answer(*fd, answer, sizeof(answer), 150);
	if (*answer)
		(void)close(*fd);
	return !*answer;
}

START_TEST(test_share_of_waits)
{
	static const struct {
		const char *owner, *begins;
	} askers[] = {{"a", ""},
	              {"a", ""},
	              {"a", "HTTP/1.1 429 "},
	              {"b", ""},
	              {"b", ""},
	              {"a", "HTTP/1.1 429 "},
	              {"b", "HTTP/1.1 429 "}};
	int fds[7], i, wait = 0;
	char answer[4096];

	for (i = 0; i < 7; i++) {
		fds[i] = ask_to_wait(askers[i].owner);
		if (!*askers[i].begins) {
			wait++;
			await(count_waiting() == wait);
			continue;
		}
		(void)peer_read_answer(fds[i], answer, sizeof(answer), 5000);
		ck_assert_msg(!strncmp(answer, askers[i].begins,
		                       strlen(askers[i].begins)),
		              "asker %d: %s", i, answer);
	}
	/* Woken, those who wait may wait on. */
	http_wake(server, "k");
	for (i = 0; i < 2; i++) {
		(void)peer_read_answer(fds[i], answer, sizeof(answer), 150);
		ck_assert_str_eq(answer, "");
	}
	/* Whoever leaves makes room. */
	(void)close(fds[0]);
	http_wake(server, "k");
	await(waits("a", &fds[0]));
	for (i = 0; i < 7; i++)
		(void)close(fds[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http admission");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, start, stop);
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, test_rows, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_loop_test(cases, test_room_for_keys, 0,
	                    (int)(sizeof(idlers) / sizeof(idlers[0])));
	tcase_add_test(cases, test_share_of_waits);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
