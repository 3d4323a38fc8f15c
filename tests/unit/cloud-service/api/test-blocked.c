/*
 * While no write to the registry gets through: what needs none is answered, to
 * everybody, and what waited is done when the store takes writes again.
 */
#include <check.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloud-service/api/auth.h"
#include "cloud-service/challenge/token.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/http-peer.h"
#include "tests/support/suite.h"

#define BATCHES 32 /* more than any machine has event threads and workers */
#define OWN     2  /* workers that one tenant may have */

static struct cloud_fixture fixture;
static char key[API_KEY_SIZE], other_key[API_KEY_SIZE];
static sqlite3 *blocker;

static void set_up(void)
{
	struct id other;

	cloud_fixture_start(&fixture, NULL);
	cloud_fixture_key(&fixture, &fixture.tenant, key);
	other = cloud_fixture_tenant(&fixture, "other", "other.test");
	cloud_fixture_key(&fixture, &other, other_key);
}

static void tear_down(void)
{
	cloud_fixture_close(&fixture);
}

/* Takes the one lock that every write needs. */
static void block(void)
{
	char *path = mem_format("%s/registry/registry.db", fixture.directory);

	ck_assert_int_eq(sqlite3_open(path, &blocker), SQLITE_OK);
	sqlite3_busy_timeout(blocker, 10000);
	ck_assert_int_eq(
	    sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	free(path);
}

static void unblock(void)
{
	ck_assert_int_eq(sqlite3_exec(blocker, "ROLLBACK", NULL, NULL, NULL),
	                 SQLITE_OK);
	sqlite3_close(blocker);
}

static int ask(const char *method, const char *path, const char *bearer,
               const char *body)
{
	int fd = peer_connect(cloud_port(&fixture.cloud));
	char *request = mem_format(
	    "%s %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    method, path, bearer ? bearer : "-", strlen(body), body);

	ck_assert_int_eq(peer_send_text(fd, request), 0);
	free(request);
	return fd;
}

static void expect(int fd, const char *begins)
{
	char answer[20000];

	(void)peer_read_answer(fd, answer, sizeof(answer), 8000);
	ck_assert_msg(!strncmp(answer, begins, strlen(begins)), "no %s but: %s",
	              begins, answer);
	(void)close(fd);
}

static int register_one(void)
{
	char id[ID_TEXT_SIZE], received[CLOCK_TEXT_SIZE];
	char expires[CLOCK_TEXT_SIZE];
	int64_t now = clock_wall_ms();
	struct id drawn = id_new();
	char *body = mem_format(
	    "{\"messages\":[{\"id\":\"%s\",\"received_at\":\"%s\","
	    "\"expires_at\":\"%s\",\"size\":100,"
	    "\"sender\":\"person@example.org\","
	    "\"auth\":{\"stated\":true,\"spf\":\"pass\"},"
	    "\"recipients\":[\"bob@acme.test\"]}]}",
	    id_format(&drawn, id), clock_format_rfc3339(now, received),
	    clock_format_rfc3339(now + 86400000, expires));
	int fd = ask("POST", "/v1/agent/messages", key, body);

	free(body);
	return fd;
}

static void await_gauge(const char *name, int64_t count)
{
	int i;

	for (i = 0;
	     i < 8000 && metric_value(metric_gauge(name, "", "")) != count; i++)
		(void)usleep(1000);
	ck_assert_int_eq(metric_value(metric_gauge(name, "", "")), count);
}

/* The page of a challenge that is looked for, and not there. */
static int ask_page(void)
{
	char text[TOKEN_TEXT_SIZE], path[TOKEN_TEXT_SIZE + 8];
	struct id nobody = id_new();

	token_make(fixture.cloud.token_key, TOKEN_CHALLENGE, &nobody,
	           clock_wall_ms() + 60000, text, NULL);
	(void)snprintf(path, sizeof(path), "/c/%s", text);
	return ask("GET", path, NULL, "");
}

START_TEST(others_are_answered)
{
	int fds[BATCHES], i;

	block();
	for (i = 0; i < BATCHES; i++)
		fds[i] = register_one();
	await_gauge("turing_http_workers_busy", OWN);
	await_gauge("turing_http_deferred_waiting", BATCHES - OWN);
	for (i = 0; i < 3; i++) {
		expect(ask("GET", "/healthz", NULL, ""), "HTTP/1.1 200 ");
		expect(ask("GET", "/metrics", NULL, ""), "HTTP/1.1 200 ");
		expect(ask("GET", "/nothing", NULL, ""), "HTTP/1.1 404 ");
		expect(ask_page(), "HTTP/1.1 404 ");
		/* Its key is looked up, and its decisions are read. */
		expect(ask("GET", "/v1/agent/decisions", other_key, ""),
		       "HTTP/1.1 204 ");
	}
	/* No more of the tenant's were begun meanwhile. */
	await_gauge("turing_http_workers_busy", OWN);
	await_gauge("turing_http_deferred_waiting", BATCHES - OWN);
	unblock();
	for (i = 0; i < BATCHES; i++)
		expect(fds[i], "HTTP/1.1 200 ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-api-blocked");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, set_up, tear_down);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, others_are_answered);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
