/* What handlers read from their requests: query, form, JSON, addresses. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/http/server.h"
#include "common/log.h"
#include "common/metrics.h"
#include "tests/support/http-peer.h"
#include "tests/support/suite.h"

#define H "Host: a\r\n"

static struct http_server *server;

static void reply_text(struct http_request *request, const char *text)
{
	if (!text)
		text = "(null)";
	http_reply(request, 200, "text/plain", text, strlen(text));
}

static void say_query(struct http_request *request, void *context)
{
	(void)context;
	reply_text(request, http_query(request, "q"));
}

static void say_number(struct http_request *request, void *context)
{
	char text[32];
	int64_t number = 0;
	struct error err;

	(void)context;
	if (http_query_integer(request, "n", 7, -5, 1000, &number, &err)) {
		http_reply_problem(request, 400, "bad-query", "%s", err.text);
		return;
	}
	(void)snprintf(text, sizeof(text), "%lld", (long long)number);
	reply_text(request, text);
}

static void say_form(struct http_request *request, void *context)
{
	(void)context;
	reply_text(request, http_form(request, "code"));
}

static void say_json(struct http_request *request, void *context)
{
	json_t *body = http_body_json(request);

	(void)context;
	if (body)
		http_reply_json(request, 201, body);
}

static void say_client(struct http_request *request, void *context)
{
	(void)context;
	reply_text(request, http_client_address(request));
}

static void say_cookie(struct http_request *request, void *context)
{
	(void)context;
	reply_text(request, http_cookie(request, "s"));
}

static void say_about(struct http_request *request, void *context)
{
	char text[200];

	(void)context;
	(void)snprintf(text, sizeof(text), "%s %s %s %zu", http_method(request),
	               http_path(request), http_header(request, "x-thing"),
	               strlen(http_request_id(request)));
	reply_text(request, text);
}

static const struct http_route routes[] = {
    {"GET", "/query", say_query, 0, HTTP_DIRECT},
    {"GET", "/number", say_number, 0, HTTP_DIRECT},
    {"POST", "/form", say_form, 1000, HTTP_DIRECT},
    {"POST", "/json", say_json, 100000, HTTP_DIRECT},
    {"GET", "/client", say_client, 0, HTTP_DIRECT},
    {"GET", "/cookie", say_cookie, 0, HTTP_DIRECT},
    {"GET", "/about/{x}", say_about, 0, HTTP_DIRECT},
    {"GET", "/metrics", http_metrics_handler, 0, HTTP_DIRECT},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

static void start_with(const char *const *proxies)
{
	const struct http_server_options options = {
	    .address = "127.0.0.1",
	    .trusted_proxies = proxies,
	    .routes = routes,
	    .log_id = "http",
	};
	struct error err;

	ck_assert_int_eq(crypto_init(), 0);
	ck_assert_msg(!http_server_start(&server, &options, &err), "%s",
	              err.text);
}

static void start(void)
{
	static const char *const proxies[] = {"127.0.0.1", "10.0.0.1", NULL};

	start_with(proxies);
}

static void stop(void)
{
	http_server_stop(server);
}

/* The answer's body, or "STATUS ..." when that is no 200. */
static const char *ask(const char *request)
{
	static char answer[200000];
	int fd = peer_connect(http_server_port(server));
	const char *body;

	ck_assert_int_eq(peer_send_text(fd, request), 0);
	(void)peer_read_answer(fd, answer, sizeof(answer), 2000);
	(void)close(fd);
	body = strstr(answer, "\r\n\r\n");
	ck_assert_msg(body != NULL, "%s", answer);
	return strstr(answer, " 200 ") ? body + 4 : answer + 9;
}

static const char *get(const char *target, const char *headers)
{
	char request[4096];

	(void)snprintf(request, sizeof(request),
	               "GET %s HTTP/1.1\r\n" H "%s\r\n", target, headers);
	return ask(request);
}

static const char *post(const char *target, const char *type, const char *body)
{
	static char request[200000];

	(void)snprintf(request, sizeof(request),
	               "POST %s HTTP/1.1\r\n" H "%s%s\r\n"
	               "Content-Length: %zu\r\n\r\n%s",
	               target, *type ? "Content-Type: " : "X-None: ", type,
	               strlen(body), body);
	return ask(request);
}

START_TEST(test_query)
{
	static const char *const rows[][2] = {
	    {"/query", "(null)"},
	    {"/query?", "(null)"},
	    {"/query?q", ""},
	    {"/query?q=", ""},
	    {"/query?q=a", "a"},
	    {"/query?q=a&q=b", "a"},
	    {"/query?x=1&q=a%26b", "a&b"},
	    {"/query?q=a+b%2Bc", "a b+c"},
	    {"/query?%71=z", "z"},
	    {"/query?qq=1&&=2&q=3", "3"},
	    {"/query?q=a=b", "a=b"},
	    {"/query?q=a?b", "a?b"},
	    {"/query?q=%C3%A9", "\xc3\xa9"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(!strcmp(get(rows[i][0], ""), rows[i][1]),
		              "%s: %s", rows[i][0], get(rows[i][0], ""));
}
END_TEST

START_TEST(test_numbers)
{
	static const char *const rows[][2] = {
	    {"/number", "7"},
	    {"/number?n=5", "5"},
	    {"/number?n=-5", "-5"},
	    {"/number?n=1000", "1000"},
	    {"/number?n=1001", NULL},
	    {"/number?n=-6", NULL},
	    {"/number?n=", NULL},
	    {"/number?n=1x", NULL},
	    {"/number?n=%201", NULL},
	    {"/number?n=%2B1", NULL},
	    {"/number?n=0x1", NULL},
	    {"/number?n=99999999999999999999", NULL},
	    {"/number?n=1e2", NULL},
	    {"/number?n=%FF", NULL},
	    {"/number?n=%C3%28", NULL},
	    {"/number?x=%C3%28", "7"},
	    {"/number?%C3%28=1&n=5", "5"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = get(rows[i][0], "");

		if (rows[i][1])
			ck_assert_str_eq(got, rows[i][1]);
		else
			ck_assert_msg(!strncmp(got, "400 ", 4) &&
			                  strstr(got, "n must be a whole"),
			              "%s: %s", rows[i][0], got);
	}
}
END_TEST

START_TEST(test_forms)
{
	static const char *const rows[][2] = {
	    {"code=abc", "abc"},
	    {"x=1&code=a+b", "a b"},
	    {"code=", ""},
	    {"", "(null)"},
	    {"code=a&code=b", "(null)"},
	    {"code=a&c%6Fde=b", "(null)"},
	    {"code=%00", "(null)"},
	    {"code=%zz", "(null)"},
	    {"code=%ff", "(null)"},
	    {"code=%e2%82%ac", "\xe2\x82\xac"},
	    {"Code=a", "(null)"},
	};
	const char *type = "application/x-www-form-urlencoded";
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(
		    !strcmp(post("/form", type, rows[i][0]), rows[i][1]), "%s",
		    rows[i][0]);
	ck_assert_str_eq(post("/form", "text/plain", "code=a"), "(null)");
	ck_assert_str_eq(post("/form", "", "code=a"), "(null)");
	ck_assert_str_eq(post("/form",
	                      "Application/X-www-form-urlencoded; charset=x",
	                      "code=a"),
	                 "a");
}
END_TEST

START_TEST(test_json)
{
	static char deep[100000];
	static const struct {
		const char *type, *body, *begins;
	} rows[] = {
	    {"application/json", "{\"a\":1}", "201 "},
	    {"application/json; charset=utf-8", "[]", "201 "},
	    {"application/json", "", "400 "},
	    {"application/json", "{\"a\":1,\"a\":2}", "400 "},
	    {"application/json", "{\"a\":1} x", "400 "},
	    {"application/json", "{\"a\":\"\\u0000\"}", "400 "},
	    {"application/json", "{\"a\":\"\xff\"}", "400 "},
	    {"application/json", "{\"a\":NaN}", "400 "},
	    {"application/json", "{\"a\":1e999}", "400 "},
	    {"application/json", "1", "400 "},
	    {"application/json", "[\"]]]]\\\"[[[[\"]", "201 "},
	    {"application/json", deep, "400 "},
	    {"text/plain", "{}", "415 "},
	    {"application/jsonx", "{}", "415 "},
	    {"", "{}", "415 "},
	};
	size_t i;

	memset(deep, '[', sizeof(deep) - 1);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = post("/json", rows[i].type, rows[i].body);

		ck_assert_msg(!strncmp(got, rows[i].begins, 4), "%.60s: %s",
		              rows[i].body, got);
		ck_assert(rows[i].begins[0] != '4' ||
		          strstr(got, "application/problem+json"));
	}
}
END_TEST

START_TEST(test_client_behind_proxy)
{
	static const char *const rows[][2] = {
	    {"", "127.0.0.1"},
	    {"X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"},
	    {"X-Forwarded-For: 192.0.2.9, 192.0.2.1\r\n", "192.0.2.1"},
	    {"X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-For: 192.0.2.1\r\n",
	     "192.0.2.1"},
	    {"X-Forwarded-For: 192.0.2.9, 192.0.2.1, 10.0.0.1\r\n",
	     "192.0.2.1"},
	    {"X-Forwarded-For: forged\r\n", "127.0.0.1"},
	    {"X-Forwarded-For: forged, 10.0.0.1\r\n", "10.0.0.1"},
	    {"X-Forwarded-For: 192.0.2.9,\r\n", "127.0.0.1"},
	    {"X-Forwarded-For: 2001:DB8::1\r\n", "2001:db8::1"},
	    {"X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1"},
	    {"X-Forwarded-For: 10.0.0.1\r\n", "10.0.0.1"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(!strcmp(get("/client", rows[i][0]), rows[i][1]),
		              "%s: %s", rows[i][0], get("/client", rows[i][0]));
}
END_TEST

/* A network stands for each address in it, of its own family alone. */
START_TEST(test_client_behind_networks)
{
	static const char *const proxies[] = {"127.0.0.0/8", "10.0.0.0/8",
	                                      "2001:db8::/32", NULL};
	static const char *const rows[][2] = {
	    {"X-Forwarded-For: 192.0.2.1, 10.1.2.3\r\n", "192.0.2.1"},
	    {"X-Forwarded-For: 192.0.2.1, 11.0.0.0\r\n", "11.0.0.0"},
	    {"X-Forwarded-For: 192.0.2.1, 2001:db8:1::7\r\n", "192.0.2.1"},
	    {"X-Forwarded-For: 192.0.2.1, 2001:db9::7\r\n", "2001:db9::7"},
	    {"X-Forwarded-For: 192.0.2.1, ::ffff:10.1.2.3\r\n", "192.0.2.1"},
	};
	static const char *const bad[] = {"10.0.0.0/8", "proxy.example", NULL};
	const struct http_server_options options = {
	    .address = "127.0.0.1", .trusted_proxies = bad, .routes = routes};
	struct http_server *none = NULL;
	struct error err = {.text = ""};
	size_t i;

	start_with(proxies);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(!strcmp(get("/client", rows[i][0]), rows[i][1]),
		              "%s: %s", rows[i][0], get("/client", rows[i][0]));
	stop();
	ck_assert_int_eq(http_server_start(&none, &options, &err), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "proxy.example"));
}
END_TEST

START_TEST(test_client_without_proxy)
{
	start_with(NULL);
	ck_assert_str_eq(get("/client", "X-Forwarded-For: 192.0.2.1\r\n"),
	                 "127.0.0.1");
	stop();
}
END_TEST

START_TEST(test_cookies)
{
	ck_assert_str_eq(get("/cookie", ""), "(null)");
	ck_assert_str_eq(get("/cookie", "Cookie: s=1\r\n"), "1");
	ck_assert_str_eq(get("/cookie", "Cookie: a=2; s=x-y\r\n"), "x-y");
	ck_assert_str_eq(get("/cookie", "Cookie: ss=2\r\n"), "(null)");
}
END_TEST

START_TEST(test_about)
{
	ck_assert_str_eq(get("/about/a%20b?c=d", "X-Thing: y\r\n"),
	                 "GET /about/a%20b y 16");
}
END_TEST

START_TEST(test_metrics)
{
	const char *text = get("/metrics", "");

	text = get("/metrics", "");
	ck_assert_ptr_nonnull(
	    strstr(text, "# TYPE turing_http_requests_total counter\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "turing_http_requests_total{code=\"200\"} "));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http lookup");
	TCase *cases = tcase_create("cases");
	TCase *bare = tcase_create("bare");

	log_set_level(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(cases, start, stop);
	tcase_add_test(cases, test_query);
	tcase_add_test(cases, test_numbers);
	tcase_add_test(cases, test_forms);
	tcase_add_test(cases, test_json);
	tcase_add_test(cases, test_client_behind_proxy);
	tcase_add_test(cases, test_cookies);
	tcase_add_test(cases, test_about);
	tcase_add_test(cases, test_metrics);
	suite_add_tcase(suite, cases);
	tcase_add_test(bare, test_client_without_proxy);
	tcase_add_test(bare, test_client_behind_networks);
	suite_add_tcase(suite, bare);
	return suite_main(suite, NULL);
}
