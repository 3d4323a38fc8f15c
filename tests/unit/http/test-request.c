/* The HTTP server against raw requests: rows of honest and hostile ones. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/http/server.h"
#include "common/log.h"
#include "tests/support/http-peer.h"
#include "tests/support/suite.h"

static struct http_server *server;
static _Atomic int smuggled;

static void say_hello(struct http_request *request, void *context)
{
	(void)context;
	http_reply(request, 200, "text/plain", "hello", 5);
}

static void say_item(struct http_request *request, void *context)
{
	(void)context;
	http_add_header(request, "Cache-Control", "max-age=60");
	http_add_header(request, "Set-Cookie", "a=1");
	http_add_header(request, "Set-Cookie", "b=2");
	http_reply(request, 200, "text/plain", http_parameter(request, "id"),
	           strlen(http_parameter(request, "id")));
}

static void say_body(struct http_request *request, void *context)
{
	size_t size;
	const char *body = http_body(request, &size);

	(void)context;
	http_reply(request, 200, "text/plain", body, size);
}

static void count_smuggled(struct http_request *request, void *context)
{
	(void)context;
	smuggled++;
	http_reply_empty(request);
}

static void say_nothing(struct http_request *request, void *context)
{
	(void)request;
	(void)context;
}

static void say_twice(struct http_request *request, void *context)
{
	(void)context;
	http_reply(request, 200, "text/plain", "one", 3);
	http_reply(request, 200, "text/plain", "two", 3);
}

static const struct http_route routes[] = {
    {"GET", "/hello", say_hello, 0, HTTP_DIRECT},
    {"GET", "/items/{id}", say_item, 0, HTTP_DIRECT},
    {"DELETE", "/items/{id}", say_item, 0, HTTP_DIRECT},
    {"POST", "/body", say_body, 1000, HTTP_DIRECT},
    {"PUT", "/large", say_body, 4 << 20, HTTP_DIRECT},
    {"GET", "/smuggled", count_smuggled, 0, HTTP_DIRECT},
    {"GET", "/nothing", say_nothing, 0, HTTP_DIRECT},
    {"GET", "/twice", say_twice, 0, HTTP_DIRECT},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

static void start(void)
{
	const struct http_server_options options = {
	    .address = "127.0.0.1",
	    .maximum_connections = 200,
	    .idle_timeout_ms = 1000,
	    .routes = routes,
	    .log_id = "http",
	};
	struct error err;

	ck_assert_int_eq(crypto_init(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	smuggled = 0;
	ck_assert_msg(!http_server_start(&server, &options, &err), "%s",
	              err.text);
}

static void stop(void)
{
	http_server_stop(server);
}

#define H "Host: a\r\n"

/* Requests, and how their answer begins and what it contains. */
static const struct row {
	const char *request;
	const char *begins;
	const char *contains;
} rows[] = {
    {"GET /hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "\r\n\r\nhello"},
    {"GET /hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ",
     "X-Content-Type-Options: nosniff"},
    {"GET /hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ",
     "Cache-Control: no-store"},
    {"GET /hello?x=1 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "hello"},
    {"GET /items/a%20b HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "a b"},
    {"GET /items/a%2Fb HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "a/b"},
    {"GET /items/a+b HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "a+b"},
    {"GET /items/7 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ",
     "Cache-Control: max-age=60"},
    {"GET /items/7 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ",
     "Set-Cookie: a=1\r\nSet-Cookie: b=2"},
    {"GET /h%65llo HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "hello"},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
     "HTTP/1.1 200 ", "\r\n\r\nabc"},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "HTTP/1.1 200 ",
     "Content-Length: 0"},
    {"POST /body HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
     "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     "HTTP/1.1 200 ", "\r\n\r\nabc"},
    /* Nothing there, or not by this method. */
    {"GET / HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ",
     "urn:turing:problem:not-found"},
    {"GET /hello/ HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ",
     "application/problem+json"},
    {"GET /items/ HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ", ""},
    {"GET /items/a/b HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ", ""},
    {"GET //hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ", ""},
    {"GET /items/../hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 404 ", ""},
    {"POST /hello HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
     "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n"},
    {"POST /items/7 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 ",
     "Allow: GET, HEAD, DELETE\r\n"},
    {"GET /body HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 ", "Allow: POST\r\n"},
    {"BREW /hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 ", "Allow: GET"},
    {"OPTIONS /hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 ", "Allow: GET"},
    {"get /hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 ", "Allow: GET"},
    /* Bodies that are too large, declared or not. */
    {"GET /hello HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
     "HTTP/1.1 413 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: 99999999999\r\n\r\nabc",
     "HTTP/1.1 413 ", "1000 bytes at most"},
    /* What two parsers could read in two ways. */
    {"POST /body HTTP/1.1\r\n" H
     "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H
     "Content-Length: 0\r\nContent-Length: 40\r\n\r\n"
     "GET /smuggled HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H
     "Content-Length: 40\r\nContent-Length: 0\r\n\r\n"
     "GET /smuggled HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Content-Length : 40\r\n\r\n"
     "GET /smuggled HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Content-Length\t: 40\r\n\r\n"
     "GET /smuggled HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: 40\r\n"
     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
     "GET /smuggled HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
     "Content-Length: 5\r\n\r\n0\r\n\r\n"
     "GET /smuggled HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
     "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"
     "0\r\n\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"
     "GET /smuggled HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 400 ", "Connection: close"},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc",
     "HTTP/1.1 400 ", ""},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", "HTTP/1.1 400 ",
     ""},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc",
     "HTTP/1.1 400 ", ""},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc",
     "HTTP/1.1 400 ", ""},
    {"POST /body HTTP/1.1\r\n" H "Content-Length: \r\n\r\n", "HTTP/1.1 400 ",
     ""},
    {"POST /body HTTP/1.1\r\n" H
     "Content-Length: 99999999999999999999999\r\n\r\nabc",
     "HTTP/1.1 4", ""},
    {"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 ",
     "more than one Host"},
    {"GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", "HTTP/1.1 400 ", ""},
    {"GET /hello HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", ""},
    {"GET /hello HTTP/1.1\r\n" H "a b: c\r\n\r\n", "HTTP/1.1 400 ", ""},
    {"GET /hello HTTP/1.1\r\n" H "X-A: b\001c\r\n\r\n", "HTTP/1.1 400 ", ""},
    /* Targets. */
    {"GET /items/%00 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "UTF-8"},
    {"GET /items/%zz HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "UTF-8"},
    {"GET /items/%4 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "UTF-8"},
    {"GET /items/%c0%af HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "UTF-8"},
    {"GET /items/%ed%a0%80 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "UTF-8"},
    {"GET /hello?a=%ff HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "hello"},
    {"GET /%ff?a=b HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "UTF-8"},
    {"GET /items/\xc3\xa9 HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "malformed"},
    {"GET http://a/hello HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "slash"},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "slash"},
    /* Handlers that do not keep their contract. */
    {"GET /nothing HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 500 ", "no-answer"},
    {"GET /twice HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 ", "one"},
};

START_TEST(test_rows)
{
	const struct row *row = &rows[_i];
	char answer[4096];
	int fd = peer_connect(http_server_port(server));

	log_set_level(LOG_LEVEL_ERROR);
	ck_assert_int_eq(peer_send_text(fd, row->request), 0);
	(void)peer_read(fd, answer, sizeof(answer), 60);
	ck_assert_msg(!strncmp(answer, row->begins, strlen(row->begins)),
	              "%s\n-- got:\n%s", row->request, answer);
	ck_assert_msg(strstr(answer, row->contains) != NULL,
	              "%s\n-- lacks %s:\n%s", row->request, row->contains,
	              answer);
	if (strstr(row->contains, "Connection: close"))
		ck_assert_msg(peer_is_closed(fd, 300), "%s", row->request);
	ck_assert_int_eq(smuggled, 0);
	(void)close(fd);
}
END_TEST

START_TEST(test_malformed_lines)
{
	static const char *const requests[] = {
	    "\r\n\r\n\r\n",
	    "GET\r\n\r\n",
	    "GET /hello\r\n\r\n",
	    "GET /hello HTTP/9.9\r\n\r\n",
	    "\001\002\003\r\n\r\n",
	    "GET /hello HTTP/1.1\r\nno colon\r\n\r\n",
	    "GET /hello HTTP/1.1\r\n: empty\r\n\r\n",
	};
	char answer[4096];
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		(void)peer_exchange(http_server_port(server), requests[i],
		                    answer, sizeof(answer), 60);
		ck_assert_msg(strncmp(answer, "HTTP/1.1 200", 12) != 0, "%s",
		              requests[i]);
	}
	/* The server is as well as before. */
	(void)peer_exchange(http_server_port(server), rows[0].request, answer,
	                    sizeof(answer), 60);
	ck_assert_ptr_nonnull(strstr(answer, "hello"));
}
END_TEST

START_TEST(test_head)
{
	char answer[4096];

	(void)peer_exchange(http_server_port(server),
	                    "HEAD /hello HTTP/1.1\r\n" H
	                    "Connection: close\r\n\r\n",
	                    answer, sizeof(answer), 1000);
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 200 "));
	ck_assert_ptr_nonnull(strstr(answer, "Content-Length: 5\r\n"));
	ck_assert_ptr_null(strstr(answer, "hello"));
}
END_TEST

START_TEST(test_keep_alive)
{
	char answer[4096];
	int i, fd = peer_connect(http_server_port(server));

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(peer_send_text(fd, rows[i].request), 0);
		(void)peer_read_answer(fd, answer, sizeof(answer), 1000);
		ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nhello"));
	}
	/* A 404 does not end the connection. */
	ck_assert_int_eq(peer_send_text(fd, "GET /none HTTP/1.1\r\n" H "\r\n"),
	                 0);
	(void)peer_read_answer(fd, answer, sizeof(answer), 1000);
	ck_assert_ptr_nonnull(strstr(answer, " 404 "));
	ck_assert_int_eq(peer_send_text(fd, rows[0].request), 0);
	(void)peer_read_answer(fd, answer, sizeof(answer), 1000);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nhello"));
	(void)close(fd);
}
END_TEST

START_TEST(test_pipelined)
{
	char answer[4096];

	(void)peer_exchange(http_server_port(server),
	                    "GET /items/1 HTTP/1.1\r\n" H "\r\n"
	                    "GET /items/2 HTTP/1.1\r\n" H
	                    "Connection: close\r\n\r\n",
	                    answer, sizeof(answer), 1000);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\n1HTTP/1.1 200"));
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\n2"));
}
END_TEST

/* Sends a head and size bytes of body; reads the answer. */
static void upload(const char *head, size_t size, char *answer,
                   size_t answer_size)
{
	char *body = calloc(1, size + 1);
	int fd = peer_connect(http_server_port(server));

	memset(body, 'x', size);
	ck_assert_int_eq(peer_send_text(fd, head), 0);
	(void)peer_send(fd, body, size);
	(void)peer_read_answer(fd, answer, answer_size, 2000);
	free(body);
	(void)close(fd);
}

START_TEST(test_large_bodies)
{
	static char answer[5 << 20];

	upload("PUT /large HTTP/1.1\r\n" H "Content-Length: 4194304\r\n\r\n",
	       4194304, answer, sizeof(answer));
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 200 "));
	ck_assert_uint_ge(strlen(answer), 4194304);
	/* Over the route's maximum, read to its end for the answer's sake. */
	upload("POST /body HTTP/1.1\r\n" H "Content-Length: 500000\r\n\r\n",
	       500000, answer, sizeof(answer));
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 413 "));
	/* A chunk of 0x186a0 bytes, nothing declared. */
	upload("POST /body HTTP/1.1\r\n" H
	       "Transfer-Encoding: chunked\r\n\r\n186a0\r\n",
	       100000, answer, sizeof(answer));
	/* Its end is missing: no answer yet, and none must come. */
	ck_assert_ptr_null(strstr(answer, "HTTP/1.1 200 "));
}
END_TEST

START_TEST(test_endless_chunks)
{
	static char chunk[0x10000 + 9];
	int i, fd = peer_connect(http_server_port(server)), sent = 0;

	memcpy(chunk, "10000\r\n", 7);
	memset(chunk + 7, 'x', 0x10000);
	memcpy(chunk + 7 + 0x10000, "\r\n", 2);
	ck_assert_int_eq(peer_send_text(fd, "POST /body HTTP/1.1\r\n" H
	                                    "Transfer-Encoding: chunked\r\n"
	                                    "\r\n"),
	                 0);
	for (i = 0; i < 500 && !sent; i++)
		sent = peer_send(fd, chunk, sizeof(chunk));
	/* Cut off long before 32 MiB. */
	ck_assert_int_eq(sent, -1);
	(void)close(fd);
}
END_TEST

START_TEST(test_expect_continue)
{
	char answer[4096];
	int fd = peer_connect(http_server_port(server));

	ck_assert_int_eq(peer_send_text(fd, "POST /body HTTP/1.1\r\n" H
	                                    "Content-Length: 3\r\n"
	                                    "Expect: 100-continue\r\n\r\n"),
	                 0);
	(void)peer_read_answer(fd, answer, sizeof(answer), 1000);
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 100 "));
	ck_assert_int_eq(peer_send_text(fd, "abc"), 0);
	(void)peer_read_answer(fd, answer, sizeof(answer), 1000);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nabc"));
	(void)close(fd);
}
END_TEST

START_TEST(test_large_head)
{
	static char request[100000];
	char answer[4096];

	(void)snprintf(request, sizeof(request),
	               "GET /hello HTTP/1.1\r\n" H "X-Long: %090000d\r\n\r\n",
	               0);
	(void)peer_exchange(http_server_port(server), request, answer,
	                    sizeof(answer), 200);
	ck_assert_ptr_null(strstr(answer, "HTTP/1.1 200 "));
}
END_TEST

/* A byte now and then, in the head or in the body, holds no connection. */
START_TEST(test_slow_peers)
{
	static const char *const begins[] = {
	    "GET /hello HTTP/1.1\r\nX: ",
	    "POST /body HTTP/1.1\r\n" H "Content-Length: 900\r\n\r\n",
	    "POST /body HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "384\r\n",
	    "POST /none HTTP/1.1\r\n" H "Content-Length: 900\r\n\r\n",
	};
	int fds[4], cut[4] = {0}, i, turn;

	for (i = 0; i < 4; i++) {
		fds[i] = peer_connect(http_server_port(server));
		ck_assert_int_eq(peer_send_text(fds[i], begins[i]), 0);
	}
	for (turn = 1; turn < 80; turn++)
		for (i = 0; i < 4; i++)
			if (!cut[i] && (peer_is_closed(fds[i], 12) ||
			                peer_send_text(fds[i], "x") < 0))
				cut[i] = turn;
	for (i = 0; i < 4; i++) {
		/* After twice the idle timeout, and not before it. */
		ck_assert_msg(cut[i] > 20, "row %d: turn %d", i, cut[i]);
		(void)close(fds[i]);
	}
}
END_TEST

START_TEST(test_silent_peer)
{
	int silent = peer_connect(http_server_port(server));
	int mute = peer_connect(http_server_port(server));

	ck_assert_int_eq(peer_send_text(silent, "GET /hello HT"), 0);
	ck_assert(peer_is_closed(silent, 3000));
	ck_assert(peer_is_closed(mute, 3000));
	(void)close(silent);
	(void)close(mute);
}
END_TEST

START_TEST(test_port_taken)
{
	const struct http_server_options options = {
	    .address = "127.0.0.1",
	    .port = http_server_port(server),
	    .routes = routes};
	const struct http_server_options bad = {.address = "localhost",
	                                        .routes = routes};
	struct http_server *other = NULL;
	char port[16];
	struct error err;

	ck_assert_int_eq(http_server_start(&other, &options, &err),
	                 ERR_UNAVAILABLE);
	(void)snprintf(port, sizeof(port), "%u",
	               (unsigned)http_server_port(server));
	ck_assert_ptr_nonnull(strstr(err.text, port));
	ck_assert_int_eq(http_server_start(&other, &bad, &err), ERR_INVALID);
	ck_assert_ptr_null(other);
	http_server_stop(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http request");
	TCase *shared = tcase_create("rows");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(shared, start, stop);
	tcase_add_loop_test(shared, test_rows, 0,
	                    (int)(sizeof(rows) / sizeof(rows[0])));
	suite_add_tcase(suite, shared);
	tcase_add_checked_fixture(cases, start, stop);
	tcase_set_timeout(cases, 20);
	tcase_add_test(cases, test_malformed_lines);
	tcase_add_test(cases, test_head);
	tcase_add_test(cases, test_keep_alive);
	tcase_add_test(cases, test_pipelined);
	tcase_add_test(cases, test_large_bodies);
	tcase_add_test(cases, test_endless_chunks);
	tcase_add_test(cases, test_expect_continue);
	tcase_add_test(cases, test_large_head);
	tcase_add_test(cases, test_slow_peers);
	tcase_add_test(cases, test_silent_peer);
	tcase_add_test(cases, test_port_taken);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
