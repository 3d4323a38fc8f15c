/* The REST client against our server, hostile servers and false TLS. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/http/client.h"
#include "common/http/server.h"
#include "common/log.h"
#include "tests/support/http-peer.h"
#include "tests/support/suite.h"

static atomic_bool cancel;

static struct http_client *make_client(const char *base_url,
                                       const char *ca_file)
{
	const struct http_client_options options = {
	    .base_url = base_url,
	    .ca_file = ca_file,
	    .bearer = "tk_secret",
	    .user_agent = "test/1",
	    .connect_timeout_ms = 2000,
	    .maximum_response = 10000,
	    .cancel = &cancel,
	};
	struct http_client *client;
	struct error err;

	ck_assert_msg(!http_client_new(&client, &options, &err), "%s",
	              err.text);
	return client;
}

static struct http_client *client_for(uint16_t port)
{
	char url[64];

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/",
	               (unsigned)port);
	return make_client(url, NULL);
}

/* Says back what was asked: method, path, headers, body. */
static void mirror(struct http_request *request, void *context)
{
	size_t size;
	const char *body = http_body(request, &size);
	const char *key = http_header(request, "Authorization");
	const char *type = http_header(request, "Content-Type");

	(void)context;
	if (http_query(request, "empty")) {
		http_reply_empty(request);
		return;
	}
	if (http_query(request, "busy")) {
		http_add_header(request, "Retry-After", "7");
		http_reply_problem(request, 503, "busy", "Later.");
		return;
	}
	http_reply_json(request, 200,
	                json_pack("{s:s, s:s, s:s, s:s#}", "method",
	                          http_method(request), "key", key ? key : "",
	                          "type", type ? type : "", "body", body,
	                          (int)size));
}

static const struct http_route routes[] = {
    {"GET", "/mirror", mirror, 0, HTTP_DIRECT},
    {"POST", "/mirror", mirror, 9000, HTTP_DIRECT},
    {"PUT", "/mirror", mirror, 9000, HTTP_DIRECT},
    {"DELETE", "/mirror", mirror, 0, HTTP_DIRECT},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

static struct http_server *start_server(uint16_t port)
{
	const struct http_server_options options = {
	    .address = "127.0.0.1", .port = port, .routes = routes};
	struct http_server *server;
	struct error err;

	ck_assert_msg(!http_server_start(&server, &options, &err), "%s",
	              err.text);
	return server;
}

static void start(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	ck_assert_int_eq(http_client_global_init(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	atomic_store(&cancel, false);
	/* None of these may have a say. */
	(void)setenv("http_proxy", "http://127.0.0.1:1/", 1);
	(void)setenv("https_proxy", "http://127.0.0.1:1/", 1);
	(void)setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
}

static const char *field(const struct http_answer *answer, const char *name)
{
	const char *text =
	    json_string_value(json_object_get(answer->body, name));

	return text ? text : "(none)";
}

START_TEST(test_calls)
{
	static const char *const methods[] = {"GET", "POST", "DELETE", "PUT",
	                                      "GET"};
	struct http_server *server = start_server(0);
	struct http_client *client = client_for(http_server_port(server));
	json_t *body = json_pack("{s:s}", "a", "b");
	struct http_answer answer = {0};
	struct error err;
	size_t i;

	for (i = 0; i < 5; i++) {
		bool sends = *methods[i] == 'P';

		ck_assert_int_eq(http_client_call(client, methods[i], "/mirror",
		                                  sends ? body : NULL, 2000,
		                                  &answer, &err),
		                 0);
		ck_assert_int_eq(answer.status, 200);
		ck_assert_int_eq(answer.retry_after_ms, -1);
		ck_assert_str_eq(field(&answer, "method"), methods[i]);
		ck_assert_str_eq(field(&answer, "key"), "Bearer tk_secret");
		ck_assert_str_eq(field(&answer, "body"),
		                 sends ? "{\"a\":\"b\"}" : "");
		ck_assert_str_eq(field(&answer, "type"), "application/json");
		http_answer_release(&answer);
		http_answer_release(&answer);
	}
	ck_assert_int_eq(http_client_call(client, "GET", "/mirror?empty=1",
	                                  NULL, 2000, &answer, &err),
	                 0);
	ck_assert_int_eq(answer.status, 204);
	ck_assert_ptr_null(answer.body);
	ck_assert_int_eq(http_client_call(client, "GET", "/mirror?busy=1", NULL,
	                                  2000, &answer, &err),
	                 0);
	ck_assert_int_eq(answer.status, 503);
	ck_assert_int_eq(answer.retry_after_ms, 7000);
	http_answer_release(&answer);
	json_decref(body);
	http_client_free(client);
	http_server_stop(server);
}
END_TEST

/* A kept connection that the server closed meanwhile is no failure. */
START_TEST(test_server_restarts)
{
	struct http_server *server = start_server(0);
	uint16_t port = http_server_port(server);
	struct http_client *client = client_for(port);
	struct http_answer answer = {0};
	struct error err;
	int i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(http_client_call(client, "GET", "/mirror",
		                                  NULL, 2000, &answer, &err),
		                 0);
		http_answer_release(&answer);
		http_server_stop(server);
		ck_assert_int_eq(http_client_call(client, "GET", "/mirror",
		                                  NULL, 2000, &answer, &err),
		                 ERR_UNAVAILABLE);
		ck_assert_ptr_null(strstr(err.text, "tk_secret"));
		server = start_server(port);
	}
	http_server_stop(server);
	http_client_free(client);
}
END_TEST

START_TEST(test_urls)
{
	static const struct {
		const char *url;
		int result;
	} rows[] = {
	    {"https://cloud.example", 0},
	    {"https://cloud.example:8443/", 0},
	    {"http://127.0.0.1:8080", 0},
	    {"http://127.9.9.9:8080", 0},
	    {"http://localhost:8080", 0},
	    {"http://[::1]:8080", 0},
	    {"http://cloud.example", ERR_INVALID},
	    {"http://192.0.2.1", ERR_INVALID},
	    {"http://127.0.0.1.example", ERR_INVALID},
	    {"ftp://127.0.0.1/", ERR_INVALID},
	    {"file:///etc/passwd", ERR_INVALID},
	    {"https://user:secret@cloud.example", ERR_INVALID},
	    {"https://cloud.example/path", ERR_INVALID},
	    {"https://cloud.example/?q", ERR_INVALID},
	    {"https://cloud.example/#f", ERR_INVALID},
	    {"cloud.example", ERR_INVALID},
	    {"https://", ERR_INVALID},
	    {"https://a b", ERR_INVALID},
	    {"", ERR_INVALID},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct http_client_options options = {
		    .base_url = rows[i].url, .maximum_response = 10};
		struct http_client *client = NULL;
		struct error err;

		ck_assert_msg(http_client_new(&client, &options, &err) ==
		                  rows[i].result,
		              "%s", rows[i].url);
		ck_assert(rows[i].result == 0 || !strstr(err.text, "secret"));
		http_client_free(client);
	}
}
END_TEST

START_TEST(test_keys)
{
	const struct http_client_options options = {
	    .base_url = "http://127.0.0.1:1",
	    .bearer = "tk\r\nX-Forged: 1",
	    .maximum_response = 10};
	struct http_client *client = NULL;
	struct error err;

	ck_assert_int_eq(http_client_new(&client, &options, &err), ERR_INVALID);
	ck_assert_ptr_null(strstr(err.text, "Forged"));
}
END_TEST

/* What a server answers before it closes, or stalls for stall_ms. */
struct script {
	const char *answer;
	int result;
	long status;
	int stall_ms;
	bool unread; /* closes without having read the request */
	int listen_fd;
};

static void *play(void *argument)
{
	const struct script *script = argument;
	int fd = accept(script->listen_fd, NULL, NULL);
	char request[4096];

	if (fd < 0)
		return NULL;
	if (!script->unread)
		(void)peer_read_answer(fd, request, sizeof(request), 1000);
	(void)peer_send_text(fd, script->answer);
	if (script->stall_ms)
		(void)peer_is_closed(fd, script->stall_ms);
	(void)close(fd);
	return NULL;
}

#define BARE  "HTTP/1.1 200 OK\r\n"
#define OK    BARE "Content-Type: application/json\r\n"
#define CLOSE "Connection: close\r\n"

static const struct script scripts[] = {
    {OK "Content-Length: 2\r\n\r\n{}", 0, 200, 0, false, 0},
    {OK CLOSE "\r\n{}", 0, 200, 0, false, 0},
    {OK "Content-Length: 0\r\n\r\n", 0, 200, 0, false, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 0, 200, 0,
     false, 0},
    /* The answer of whatever stands in between is an answer. */
    {"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\n<h1>", 0, 503, 0, false, 0},
    /* Redirects are not followed. */
    {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
     "Content-Length: 0\r\n\r\n",
     0, 302, 0, false, 0},
    /* What is said to be JSON, or a kind of it, is; nothing else. */
    {BARE "Content-Type: application/problem+json; charset=utf-8\r\n"
          "Content-Length: 2\r\n\r\n{}",
     0, 200, 0, false, 0},
    {BARE "content-type: Application/JSON;charset=utf-8\r\n"
          "Content-Length: 2\r\n\r\n{}",
     0, 200, 0, false, 0},
    {BARE "Content-Type: text/html\r\nContent-Length: 2\r\n\r\n{}",
     ERR_PROTOCOL, 0, 0, false, 0},
    {BARE "Content-Type: application/jsonp\r\nContent-Length: 2\r\n\r\n{}",
     ERR_PROTOCOL, 0, 0, false, 0},
    {BARE "Content-Length: 2\r\n\r\n{}", ERR_PROTOCOL, 0, 0, false, 0},
    /* No JSON, or more than one could mean. */
    {OK "Content-Length: 4\r\n\r\n<h1>", ERR_PROTOCOL, 0, 0, false, 0},
    {OK "Content-Length: 13\r\n\r\n{\"a\":1,\"a\":2}", ERR_PROTOCOL, 0, 0,
     false, 0},
    {OK "Content-Length: 3\r\n\r\n{}x", ERR_PROTOCOL, 0, 0, false, 0},
    {OK "Content-Length: 3\r\n\r\n{\xff}", ERR_PROTOCOL, 0, 0, false, 0},
    /* Cut short, stalled, nonsense: it may have been done. */
    {"", ERR_UNCERTAIN, 0, 0, false, 0},
    {"HTTP/1.1 20", ERR_UNCERTAIN, 0, 0, false, 0},
    {OK "Content-Length: 20\r\n\r\n{}", ERR_UNCERTAIN, 0, 0, false, 0},
    {OK "Content-Length: 20\r\n\r\n{}", ERR_UNCERTAIN, 0, 3000, false, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n", ERR_UNCERTAIN, 0, 0, false,
     0},
    {"", ERR_UNCERTAIN, 0, 3000, false, 0},
    {"220 smtp.example ESMTP\r\n", ERR_UNCERTAIN, 0, 0, false, 0},
};

START_TEST(test_scripts)
{
	struct script script = scripts[_i];
	struct http_answer answer = {0};
	struct http_client *client;
	pthread_t thread;
	uint16_t port;
	struct error err = {0};
	int result;

	script.listen_fd = peer_listen(&port);
	ck_assert_int_eq(pthread_create(&thread, NULL, play, &script), 0);
	client = client_for(port);
	result =
	    http_client_call(client, "GET", "/x", NULL, 400, &answer, &err);
	ck_assert_msg(result == script.result, "row %d: %s %s", _i,
	              error_name(result), err.text);
	ck_assert_int_eq(answer.status, script.status);
	http_answer_release(&answer);
	http_client_free(client);
	(void)pthread_join(thread, NULL);
	(void)close(script.listen_fd);
}
END_TEST

/* An endless answer is cut at the maximum. */
static void *pour(void *argument)
{
	static char block[65536];
	int fd = accept(*(int *)argument, NULL, NULL), i;
	char request[4096];

	(void)peer_read_answer(fd, request, sizeof(request), 1000);
	(void)peer_send_text(fd, OK CLOSE "\r\n");
	memset(block, ' ', sizeof(block));
	for (i = 0; i < 1000; i++)
		if (peer_send(fd, block, sizeof(block)))
			break;
	(void)close(fd);
	return i < 1000 ? argument : NULL;
}

START_TEST(test_endless_answer)
{
	struct http_answer answer = {0};
	struct http_client *client;
	pthread_t thread;
	uint16_t port;
	struct error err;
	void *was_cut;
	int fd = peer_listen(&port);

	ck_assert_int_eq(pthread_create(&thread, NULL, pour, &fd), 0);
	client = client_for(port);
	ck_assert_int_eq(
	    http_client_call(client, "GET", "/x", NULL, 5000, &answer, &err),
	    ERR_PROTOCOL);
	(void)pthread_join(thread, &was_cut);
	ck_assert_ptr_nonnull(was_cut);
	http_client_free(client);
	(void)close(fd);
}
END_TEST

/* Cancels once the request has begun to come in at the listening socket that
 * argument points to; no answer is given before the join. */
static void *cancel_soon(void *argument)
{
	int peer = accept(*(const int *)argument, NULL, NULL);
	struct pollfd asked = {.fd = peer, .events = POLLIN};

	ck_assert_int_ge(peer, 0);
	ck_assert_int_eq(poll(&asked, 1, 20000), 1);
	atomic_store(&cancel, true);
	/* The client ends the connection. */
	asked.events = POLLRDHUP;
	ck_assert_int_eq(poll(&asked, 1, 20000), 1);
	(void)close(peer);
	return NULL;
}

START_TEST(test_cancel)
{
	struct http_answer answer = {0};
	struct http_client *client;
	pthread_t thread;
	uint16_t port;
	struct error err;
	int64_t begin = clock_monotonic_ms();
	int fd = peer_listen(&port);

	client = client_for(port);
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, &fd), 0);
	ck_assert_int_eq(
	    http_client_call(client, "GET", "/x", NULL, 20000, &answer, &err),
	    ERR_UNCERTAIN);
	ck_assert_int_lt(clock_monotonic_ms() - begin, 10000);
	(void)pthread_join(thread, NULL);
	/* Once cancelled, nothing is sent any more. */
	ck_assert_int_eq(
	    http_client_call(client, "GET", "/x", NULL, 20000, &answer, &err),
	    ERR_UNAVAILABLE);
	http_client_free(client);
	(void)close(fd);
}
END_TEST

/* Makes a key and a certificate for the alternative name. */
static void make_certificate(const char *key, const char *certificate,
                             const char *name)
{
	char extension[100];
	pid_t child;
	int status;

	(void)snprintf(extension, sizeof(extension), "subjectAltName=%s", name);
	child = fork();
	if (child == 0) {
		(void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		(void)execlp("openssl", "openssl", "req", "-x509", "-newkey",
		             "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		             "-nodes", "-days", "2", "-subj", "/CN=test",
		             "-addext", extension, "-keyout", key, "-out",
		             certificate, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

/* Starts a TLS server; its port is on its first line of output. */
static pid_t start_tls(const char *key, const char *certificate, uint16_t *port)
{
	char line[200] = "", *found;
	int ends[2];
	FILE *output;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		(void)execlp("openssl", "openssl", "s_server", "-accept",
		             "127.0.0.1:0", "-www", "-key", key, "-cert",
		             certificate, (char *)NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	output = fdopen(ends[0], "r");
	do
		found = fgets(line, sizeof(line), output);
	while (found && strncmp(line, "ACCEPT ", 7) != 0);
	ck_assert_ptr_nonnull(found);
	*port = (uint16_t)atoi(strrchr(line, ':') + 1);
	(void)fclose(output);
	return child;
}

/* ERR_PROTOCOL, as s_server answers in HTML, is the sign of trust here. */
static void check_tls(const char *ca_file, const char *host, uint16_t port,
                      int expected)
{
	struct http_answer answer = {0};
	struct http_client *client;
	struct error err;
	char url[64];
	int result;

	(void)snprintf(url, sizeof(url), "https://%s:%u", host, (unsigned)port);
	client = make_client(url, ca_file);
	result =
	    http_client_call(client, "GET", "/", NULL, 3000, &answer, &err);
	ck_assert_msg(result == expected, "%s with %s: %s %s", url,
	              ca_file ? ca_file : "the system's", error_name(result),
	              err.text);
	http_client_free(client);
}

START_TEST(test_tls)
{
	char folder[] = "/tmp/turing-test-XXXXXX", paths[4][64];
	static const char *const names[] = {"a.key", "a.pem", "b.key", "b.pem"};
	uint16_t right, wrong;
	pid_t servers[2];
	int i;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (i = 0; i < 4; i++)
		(void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder,
		               names[i]);
	make_certificate(paths[0], paths[1], "IP:127.0.0.1");
	make_certificate(paths[2], paths[3], "DNS:other.example");
	servers[0] = start_tls(paths[0], paths[1], &right);
	servers[1] = start_tls(paths[2], paths[3], &wrong);
	check_tls(paths[1], "127.0.0.1", right, ERR_PROTOCOL);
	check_tls(NULL, "127.0.0.1", right, ERR_UNAVAILABLE);
	check_tls(paths[3], "127.0.0.1", right, ERR_UNAVAILABLE);
	check_tls(paths[1], "localhost", right, ERR_UNAVAILABLE);
	check_tls(paths[3], "127.0.0.1", wrong, ERR_UNAVAILABLE);
	for (i = 0; i < 2; i++) {
		(void)kill(servers[i], SIGTERM);
		(void)waitpid(servers[i], NULL, 0);
	}
	for (i = 0; i < 4; i++)
		(void)unlink(paths[i]);
	(void)rmdir(folder);
}
END_TEST

START_TEST(test_backoff)
{
	static const struct {
		unsigned attempt;
		int64_t most_ms;
	} rows[] = {{0, 1000},   {1, 2000},    {2, 4000},        {5, 32000},
	            {9, 300000}, {60, 300000}, {4000000, 300000}};
	size_t i;
	int try;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t least = INT64_MAX, most = 0;

		for (try = 0; try < 200; try++) {
			int64_t ms =
			    http_backoff_ms(rows[i].attempt, 1000, 300000);

			least = ms < least ? ms : least;
			most = ms > most ? ms : most;
		}
		ck_assert_int_ge(least, rows[i].most_ms / 2);
		ck_assert_int_le(most, rows[i].most_ms);
		ck_assert_int_gt(most - least, rows[i].most_ms / 4);
	}
	ck_assert_int_eq(http_backoff_ms(3, 0, 0), 0);
	ck_assert_int_eq(http_backoff_ms(0, 1, 1), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http client");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, start, NULL);
	tcase_set_timeout(cases, 20);
	tcase_add_test(cases, test_calls);
	tcase_add_test(cases, test_server_restarts);
	tcase_add_test(cases, test_urls);
	tcase_add_test(cases, test_keys);
	tcase_add_loop_test(cases, test_scripts, 0,
	                    (int)(sizeof(scripts) / sizeof(scripts[0])));
	tcase_add_test(cases, test_endless_answer);
	tcase_add_test(cases, test_cancel);
	tcase_add_test(cases, test_tls);
	tcase_add_test(cases, test_backoff);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
