/* The agents' endpoints over HTTP: answers, problems, long-polls. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/quota.h"
#include "cloud-service/api/auth.h"
#include "cloud-service/decide/register.h"
#include "common/clock.h"
#include "common/http/client.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "tests/support/await.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"

static struct cloud_fixture fixture;
static char key[API_KEY_SIZE];
static struct http_client *client;

static struct http_client *make_client(const char *bearer)
{
	struct http_client_options options = {.bearer = bearer,
	                                      .user_agent = "test",
	                                      .connect_timeout_ms = 5000,
	                                      .maximum_response = 1 << 20};
	struct http_client *made = NULL;
	struct error err = {0};
	char *url = mem_format("http://127.0.0.1:%u",
	                       (unsigned)cloud_port(&fixture.cloud));

	options.base_url = url;
	ck_assert_msg(!http_client_new(&made, &options, &err), "%s", err.text);
	free(url);
	return made;
}

static void set_up(void)
{
	ck_assert_int_eq(http_client_global_init(), 0);
	cloud_fixture_start(&fixture, NULL);
	cloud_fixture_key(&fixture, &fixture.tenant, key);
	client = make_client(key);
}

static void tear_down(void)
{
	http_client_free(client);
	cloud_fixture_close(&fixture);
}

/* Calls and returns the status; *body (may be NULL) is for json_decref(). */
static long call(struct http_client *with, const char *method, const char *path,
                 const char *text, json_t **body)
{
	json_t *given = text ? json_loads(text, 0, NULL) : NULL;
	struct http_answer answer = {0};
	struct error err = {0};
	long status;

	ck_assert(!text || given);
	ck_assert_msg(
	    !http_client_call(with, method, path, given, 20000, &answer, &err),
	    "%s %s: %s", method, path, err.text);
	status = answer.status;
	if (body)
		*body = json_incref(answer.body);
	http_answer_release(&answer);
	json_decref(given);
	return status;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	ck_assert_msg(text != NULL, "no %s", name);
	return text;
}

static char *message_json(const char *id, const char *recipients)
{
	char received[CLOCK_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];
	int64_t now = clock_wall_ms();

	return mem_format("{\"id\":\"01a1fd5f-b472-7000-982a-0000000000%s\","
	                  "\"received_at\":\"%s\",\"expires_at\":\"%s\","
	                  "\"size\":100,\"sender\":\"person@example.org\","
	                  "\"auth\":{\"stated\":true,"
	                  "\"spf\":\"pass\"},\"recipients\":%s}",
	                  id, clock_format_rfc3339(now, received),
	                  clock_format_rfc3339(now + 86400000, expires),
	                  recipients);
}

static const char *status_of(const json_t *body, size_t index)
{
	const json_t *results = json_object_get(body, "results");

	return text_of(json_array_get(results, index), "status");
}

START_TEST(a_batch_has_a_result_for_each)
{
	char *good = message_json("01", "[\"bob@acme.test\"]");
	char *foreign = message_json("02", "[\"bob@other.test\"]");
	char *wrong = message_json("03", "7");
	char *batch = mem_format("{\"messages\":[%s,%s,%s,%s]}", foreign, good,
	                         wrong, good);
	const json_t *result;
	json_t *body;

	ck_assert_int_eq(
	    call(client, "POST", "/v1/agent/messages", batch, &body), 200);
	ck_assert_uint_eq(json_array_size(json_object_get(body, "results")), 4);
	ck_assert_str_eq(status_of(body, 0), "refused");
	ck_assert_str_eq(status_of(body, 1), "registered");
	ck_assert_str_eq(status_of(body, 2), "refused");
	ck_assert_str_eq(status_of(body, 3), "refused");
	result = json_array_get(json_object_get(body, "results"), 1);
	result = json_array_get(json_object_get(result, "recipients"), 0);
	ck_assert_str_eq(text_of(result, "address"), "bob@acme.test");
	ck_assert_str_eq(text_of(result, "verdict"), "hold");
	json_decref(body);
	ck_assert_int_eq(
	    call(client, "POST", "/v1/agent/messages", batch, &body), 200);
	ck_assert_str_eq(status_of(body, 1), "known");
	json_decref(body);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
	free(good);
	free(foreign);
	free(wrong);
	free(batch);
}
END_TEST

/* Counts what the tenant has held anew. */
static void count_again(void)
{
	quota_free(fixture.cloud.quota);
	fixture.cloud.quota = quota_new(fixture.cloud.config);
}

static void set_quota(int64_t messages, int64_t bytes)
{
	struct registry_tenant tenant;
	struct error err = {0};

	ck_assert_int_eq(registry_tenant_read(fixture.cloud.registry,
	                                      &fixture.tenant, &tenant, &err),
	                 0);
	tenant.quota_messages = messages;
	tenant.quota_bytes = bytes;
	ck_assert_int_eq(
	    registry_tenant_change(fixture.cloud.registry, &tenant, &err), 0);
	registry_tenant_release(&tenant);
	count_again();
}

/* Registers four messages and says what came of each: "r", "k" or "-". */
static void register_four(char words[5])
{
	char *items[4], *batch;
	json_t *body;
	int i;

	for (i = 0; i < 4; i++) {
		char last[] = {'a', (char)('1' + i), 0};

		items[i] = message_json(last, "[\"bob@acme.test\"]");
	}
	batch = mem_format("{\"messages\":[%s,%s,%s,%s]}", items[0], items[1],
	                   items[2], items[3]);
	ck_assert_int_eq(
	    call(client, "POST", "/v1/agent/messages", batch, &body), 200);
	for (i = 0; i < 4; i++) {
		const char *status = status_of(body, (size_t)i);
		const json_t *result =
		    json_array_get(json_object_get(body, "results"), (size_t)i);

		words[i] = *status;
		if (strcmp(status, "refused") != 0)
			continue;
		words[i] = '-';
		ck_assert_msg(!strncmp(text_of(result, "error"), "quota: ", 7),
		              "%s", text_of(result, "error"));
	}
	words[4] = '\0';
	json_decref(body);
	free(batch);
	for (i = 0; i < 4; i++)
		free(items[i]);
}

static const struct {
	int64_t messages, bytes;
	const char *first, *again, *more; /* the last: with no quota */
} quota_rows[] = {
    {0, 0, "rrrr", "kkkk", "kkkk"},   {2, 0, "rr--", "kk--", "kkrr"},
    {4, 0, "rrrr", "kkkk", "kkkk"},   {0, 250, "rr--", "kk--", "kkrr"},
    {3, 150, "r---", "k---", "krrr"}, {1, 99, "----", "----", "rrrr"},
};

/* What is over the quota waits at the agent; what is registered stays so. */
START_TEST(quotas)
{
	char words[5];

	set_quota(quota_rows[_i].messages, quota_rows[_i].bytes);
	register_four(words);
	ck_assert_str_eq(words, quota_rows[_i].first);
	register_four(words);
	ck_assert_str_eq(words, quota_rows[_i].again);
	count_again();
	register_four(words);
	ck_assert_str_eq(words, quota_rows[_i].again);
	set_quota(0, 0);
	register_four(words);
	ck_assert_str_eq(words, quota_rows[_i].more);
}
END_TEST

static const struct {
	const char *method, *path, *body;
	long status;
	const char *detail; /* how the problem's detail begins; NULL: any */
} problem_rows[] = {
    {"POST", "/v1/agent/messages", "{}", 400, "messages: missing"},
    {"POST", "/v1/agent/messages", "{\"messages\":7}", 400,
     "messages: not an array"},
    {"POST", "/v1/agent/messages", "{\"messages\":[7]}", 400,
     "messages[0]: not an object"},
    {"POST", "/v1/agent/messages", "{\"messages\":[{}]}", 400,
     "messages[0].id: missing"},
    {"POST", "/v1/agent/events", "{\"events\":7}", 400, "events: not an array"},
    {"GET", "/v1/agent/decisions?after=-1", NULL, 400, "after"},
    {"GET", "/v1/agent/decisions?wait=61", NULL, 400, "wait"},
    {"GET", "/v1/agent/decisions?limit=0", NULL, 400, "limit"},
    {"GET", "/v1/agent/policy?limit=1001", NULL, 400, "limit"},
    {"GET", "/v1/agent/policy?after=9223372036854775808", NULL, 400, "after"},
    {"GET", "/v1/agent/policy?after=1.", NULL, 400, "after"},
    {"GET", "/v1/agent/policy?after=.1", NULL, 400, "after"},
    {"GET", "/v1/agent/policy?after=1.-1", NULL, 400, "after"},
    {"GET", "/v1/agent/policy?after=1.2.3", NULL, 400, "after"},
    {"GET", "/v1/agent/policy?after=9223372036854775808.0", NULL, 400, "after"},
    {"GET", "/v1/agent/messages", NULL, 405, NULL},
    {"POST", "/v1/agent/decisions", "{}", 405, NULL},
    {"GET", "/v1/agent/nothing", NULL, 404, NULL},
    {"GET", "/nothing", NULL, 404, NULL},
};

START_TEST(problems)
{
	json_t *body;
	long status = call(client, problem_rows[_i].method,
	                   problem_rows[_i].path, problem_rows[_i].body, &body);

	ck_assert_msg(status == problem_rows[_i].status, "%s: %ld",
	              problem_rows[_i].path, status);
	ck_assert_int_eq(json_integer_value(json_object_get(body, "status")),
	                 status);
	if (problem_rows[_i].detail)
		ck_assert_msg(
		    !strncmp(text_of(body, "detail"), problem_rows[_i].detail,
		             strlen(problem_rows[_i].detail)),
		    "%s: %s", problem_rows[_i].body, text_of(body, "detail"));
	json_decref(body);
}
END_TEST

START_TEST(nothing_without_a_key)
{
	static const struct {
		const char *method, *path, *body;
	} rows[] = {
	    {"POST", "/v1/agent/messages", "{\"messages\":[]}"},
	    {"POST", "/v1/agent/events", "{\"events\":[]}"},
	    {"GET", "/v1/agent/decisions", NULL},
	    {"GET", "/v1/agent/policy", NULL},
	};
	struct http_client *other = make_client(
	    "tk_aaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(call(other, rows[i].method, rows[i].path,
		                      rows[i].body, NULL),
		                 401);
		ck_assert_int_ne(call(client, rows[i].method, rows[i].path,
		                      rows[i].body, NULL),
		                 401);
	}
	http_client_free(other);
}
END_TEST

static struct id hold(const struct id *tenant, const char *recipient)
{
	struct registry_message message =
	    cloud_fixture_message(tenant, "person@example.org", recipient);
	struct id id = message.id;
	int result;
	struct error err = {0};

	ck_assert_int_eq(registry_message_add(fixture.cloud.registry, &message,
	                                      1, &result, &err),
	                 0);
	registry_message_release(&message);
	return id;
}

static void release(const struct id *tenant, const struct id *message,
                    const char *recipient)
{
	char by[] = "admin", why[] = "test";
	char *address = mem_copy_string(recipient);
	struct registry_decision decision = {.message = *message,
	                                     .recipient = address,
	                                     .verdict = REGISTRY_RELEASE,
	                                     .by = by,
	                                     .why = why,
	                                     .decided_ms = clock_wall_ms()};
	struct error err = {0};

	ck_assert_msg(
	    !registry_decide(fixture.cloud.registry, tenant, &decision, &err),
	    "%s", err.text);
	free(address);
}

START_TEST(decisions_page_and_stay_apart)
{
	struct id other = cloud_fixture_tenant(&fixture, "other", "other.test");
	struct id first = hold(&fixture.tenant, "a@acme.test");
	struct id second = hold(&fixture.tenant, "b@acme.test");
	struct id foreign = hold(&other, "c@other.test");
	json_t *body;

	release(&fixture.tenant, &first, "a@acme.test");
	release(&other, &foreign, "c@other.test");
	release(&fixture.tenant, &second, "b@acme.test");
	ck_assert_int_eq(
	    call(client, "GET", "/v1/agent/decisions?limit=1", NULL, &body),
	    200);
	ck_assert(json_is_true(json_object_get(body, "more")));
	ck_assert_int_eq(json_integer_value(json_object_get(body, "last")), 1);
	json_decref(body);
	ck_assert_int_eq(
	    call(client, "GET", "/v1/agent/decisions?after=1", NULL, &body),
	    200);
	ck_assert(json_is_false(json_object_get(body, "more")));
	ck_assert_uint_eq(json_array_size(json_object_get(body, "decisions")),
	                  1);
	ck_assert_str_eq(
	    text_of(json_array_get(json_object_get(body, "decisions"), 0),
	            "recipient"),
	    "b@acme.test");
	json_decref(body);
	ck_assert_int_eq(
	    call(client, "GET", "/v1/agent/decisions?after=2", NULL, NULL),
	    204);
}
END_TEST

/* A poll on a thread of its own. */
struct poll {
	const char *path;
	long status;
	int64_t took_ms;
};

static void *run_poll(void *argument)
{
	struct poll *poll = argument;
	struct http_client *own = make_client(key);
	int64_t start = clock_monotonic_ms();

	poll->status = call(own, "GET", poll->path, NULL, NULL);
	poll->took_ms = clock_monotonic_ms() - start;
	http_client_free(own);
	return NULL;
}

START_TEST(a_change_ends_the_wait)
{
	struct id message = hold(&fixture.tenant, "a@acme.test");
	struct poll polls[] = {{.path = "/v1/agent/decisions?wait=15"},
	                       {.path = "/v1/agent/policy?after=1.0&wait=15"}};
	pthread_t threads[2];
	size_t i;

	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, run_poll, &polls[i]);
	await(metric_value(metric_gauge("turing_http_waiting", "", "")) == 2);
	release(&fixture.tenant, &message, "a@acme.test");
	cloud_fixture_entry(&fixture, &fixture.tenant, ENTRY_BLACK,
	                    "x@example.org");
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(polls[i].status, 200);
		ck_assert_int_lt(polls[i].took_ms, 5000);
	}
}
END_TEST

START_TEST(a_wait_ends_in_time)
{
	struct poll poll = {.path = "/v1/agent/decisions?wait=1"};

	run_poll(&poll);
	ck_assert_int_eq(poll.status, 204);
	ck_assert_int_ge(poll.took_ms, 900);
	ck_assert_int_lt(poll.took_ms, 4000);
}
END_TEST

/* An answer of GET /v1/agent/policy after what an earlier one told. */
static json_t *policy_after(const char *after, size_t entries, bool reset,
                            bool more)
{
	char *path = mem_format("/v1/agent/policy?limit=2&after=%s", after);
	json_t *body = NULL;

	ck_assert_int_eq(call(client, "GET", path, NULL, &body), 200);
	ck_assert_uint_eq(json_array_size(json_object_get(body, "entries")),
	                  entries);
	ck_assert_int_eq(json_is_true(json_object_get(body, "reset")), reset);
	ck_assert_int_eq(json_is_true(json_object_get(body, "more")), more);
	ck_assert_str_eq(json_string_value(json_array_get(
	                     json_object_get(body, "domains"), 0)),
	                 "acme.test");
	free(path);
	return body;
}

static void expect_cursor(json_t *body, const char *cursor)
{
	ck_assert_str_eq(text_of(body, "cursor"), cursor);
	json_decref(body);
}

static void expect_no_news(const char *after)
{
	char *path = mem_format("/v1/agent/policy?after=%s", after);

	ck_assert_int_eq(call(client, "GET", path, NULL, NULL), 204);
	free(path);
}

/* Revision 1 is the tenant's domain. */
static void put_entries(void)
{
	static const struct id none;

	for (int i = 0; i < 3; i++) {
		char address[32];

		snprintf(address, sizeof(address), "p%d@example.org", i);
		cloud_fixture_entry(&fixture, &fixture.tenant, ENTRY_WHITE,
		                    address);
	}
	cloud_fixture_entry(&fixture, &none, ENTRY_BLACK, "g@example.org");
	cloud_fixture_entry(&fixture, &none, ENTRY_BLACK, "h@example.org");
}

START_TEST(policy_pages_and_resets)
{
	static const struct id none;

	put_entries();
	expect_cursor(policy_after("0", 2, true, true), "3.0");
	expect_cursor(policy_after("3.0", 2, false, true), "4.1");
	expect_cursor(policy_after("4.1", 1, false, false), "4.2");
	expect_no_news("4.2");
	cloud_fixture_entry(&fixture, &none, ENTRY_BLACK, "i@example.org");
	expect_cursor(policy_after("4.2", 1, false, false), "4.3");
	ck_assert(!registry_domain_add(fixture.cloud.registry, &fixture.tenant,
	                               "more.test", NULL));
	expect_cursor(policy_after("4.3", 0, false, false), "5.3");
	/* What the cloud never gave. */
	expect_cursor(policy_after("400.3", 2, true, true), "3.0");
	expect_cursor(policy_after("5.4", 2, true, true), "3.0");
}
END_TEST

/* An agent that knows single numbers alone gets each change once, and the whole
 * anew where its number is of the order that was. */
START_TEST(policy_by_single_numbers)
{
	static const struct id none;
	static const size_t counts[] = {2, 2, 1};
	char number[24] = "3";
	json_int_t before = 0, now;
	json_t *body;

	put_entries();
	for (int i = 0; i < 3; i++) {
		body = policy_after(number, counts[i], i == 0, i < 2);
		now = json_integer_value(json_object_get(body, "revision"));
		ck_assert_int_gt(now, before);
		before = now;
		snprintf(number, sizeof(number), "%lld", (long long)now);
		json_decref(body);
	}
	expect_no_news(number);
	cloud_fixture_entry(&fixture, &none, ENTRY_BLACK, "i@example.org");
	expect_cursor(policy_after(number, 1, false, false), "4.3");
	cloud_fixture_entry(&fixture, &fixture.tenant, ENTRY_BLACK,
	                    "j@example.org");
	expect_cursor(policy_after(number, 2, false, false), "5.3");
}
END_TEST

static const struct {
	const char *message, *recipient, *event, *status;
	enum registry_state state;
} event_rows[] = {
    {NULL, "a@acme.test", "delivered", "ok", REGISTRY_DELIVERED},
    {NULL, "A@ACME.test", "failed", "ok", REGISTRY_FAILED},
    {NULL, "a@acme.test", "discarded", "ok", REGISTRY_DISCARDED},
    {NULL, "a@acme.test", "expired", "ok", REGISTRY_EXPIRED},
    {NULL, "a@acme.test", "released", "ok", REGISTRY_RELEASED},
    {NULL, "b@acme.test", "delivered", "unknown", REGISTRY_HELD},
    {NULL, "nobody", "delivered", "unknown", REGISTRY_HELD},
    {NULL, "a@acme.test", "eaten", "ignored", REGISTRY_HELD},
    {"01a1fd5f-b472-7000-982a-000000000099", "a@acme.test", "delivered",
     "unknown", REGISTRY_HELD},
};

/* The text with the message's id in place of "%s"; the caller frees it. */
static char *fill(const char *text, const struct id *message)
{
	const char *place = strstr(text, "%s");
	char id[ID_TEXT_SIZE];

	return place ? mem_format("%.*s%s%s", (int)(place - text), text,
	                          id_format(message, id), place + 2)
	             : mem_copy_string(text);
}

START_TEST(events)
{
	struct id message = hold(&fixture.tenant, "a@acme.test");
	char text[ID_TEXT_SIZE];
	char *batch;
	json_t *body;

	id_format(&message, text);
	batch =
	    mem_format("{\"events\":[{\"message\":\"%s\",\"recipient\":"
	               "\"%s\",\"event\":\"%s\","
	               "\"at\":\"2026-11-21T09:00:00Z\"}]}",
	               event_rows[_i].message ? event_rows[_i].message : text,
	               event_rows[_i].recipient, event_rows[_i].event);
	ck_assert_int_eq(call(client, "POST", "/v1/agent/events", batch, &body),
	                 200);
	ck_assert_str_eq(status_of(body, 0), event_rows[_i].status);
	ck_assert_int_eq(
	    cloud_fixture_state(&fixture, &fixture.tenant, &message),
	    event_rows[_i].state);
	json_decref(body);
	free(batch);
}
END_TEST

/* Each event that cannot be read is refused by itself. */
START_TEST(bad_events_spoil_no_other)
{
	static const struct {
		const char *event, *error;
	} rows[] = {
	    {"7", "events[1]: not an object"},
	    {"null", "events[1]: not an object"},
	    {"{}", "events[1].message: missing"},
	    {"{\"message\":1}", "events[1].message: not a string"},
	    {"{\"message\":\"x\"}", "events[1].message: not a UUID"},
	    {"{\"message\":\"%s\"}", "events[1].recipient: missing"},
	    {"{\"message\":\"%s\",\"recipient\":\"a@acme.test\"}",
	     "events[1].event: missing"},
	    {"{\"message\":\"%s\",\"recipient\":\"a@acme.test\","
	     "\"event\":\"delivered\"}",
	     "events[1].at: missing"},
	    {"{\"message\":\"%s\",\"recipient\":\"a@acme.test\","
	     "\"event\":\"delivered\",\"at\":\"2026-11-21T09:00:00Z\","
	     "\"detail\":7}",
	     "events[1].detail: not a string"},
	};
	struct id messages[] = {hold(&fixture.tenant, "a@acme.test"),
	                        hold(&fixture.tenant, "a@acme.test"),
	                        hold(&fixture.tenant, "a@acme.test")};
	static const char good[] =
	    "{\"message\":\"%s\",\"recipient\":\"a@acme.test\","
	    "\"event\":\"discarded\",\"at\":\"2026-11-21T09:00:00Z\","
	    "\"detail\":null}";
	char *first = fill(good, &messages[0]),
	     *last = fill(good, &messages[2]);
	char *bad = fill(rows[_i].event, &messages[1]);
	char *batch = mem_format("{\"events\":[%s,%s,%s]}", first, bad, last);
	json_t *body;

	ck_assert_int_eq(call(client, "POST", "/v1/agent/events", batch, &body),
	                 200);
	ck_assert_str_eq(status_of(body, 0), "ok");
	ck_assert_str_eq(status_of(body, 1), "refused");
	ck_assert_str_eq(
	    text_of(json_array_get(json_object_get(body, "results"), 1),
	            "error"),
	    rows[_i].error);
	ck_assert_str_eq(status_of(body, 2), "ok");
	ck_assert_int_eq(
	    cloud_fixture_state(&fixture, &fixture.tenant, &messages[1]),
	    REGISTRY_HELD);
	json_decref(body);
	free(first);
	free(bad);
	free(last);
	free(batch);
}
END_TEST

START_TEST(another_tenants_mail_is_unknown)
{
	struct id other = cloud_fixture_tenant(&fixture, "other", "other.test");
	struct id message = hold(&other, "c@other.test");
	char text[ID_TEXT_SIZE];
	char *batch = mem_format("{\"events\":[{\"message\":\"%s\","
	                         "\"recipient\":\"c@other.test\","
	                         "\"event\":\"released\","
	                         "\"at\":\"2026-11-21T09:00:00Z\"}]}",
	                         id_format(&message, text));
	json_t *body;

	ck_assert_int_eq(call(client, "POST", "/v1/agent/events", batch, &body),
	                 200);
	ck_assert_str_eq(status_of(body, 0), "unknown");
	ck_assert_int_eq(cloud_fixture_state(&fixture, &other, &message),
	                 REGISTRY_HELD);
	json_decref(body);
	free(batch);
}
END_TEST

START_TEST(health)
{
	json_t *body;

	ck_assert_int_eq(call(client, "GET", "/healthz", NULL, &body), 200);
	json_decref(body);
	ck_assert_int_eq(call(client, "GET", "/readyz", NULL, &body), 200);
	json_decref(body);
	/* Draining: not ready, yet alive and serving. */
	cloud_drain(&fixture.cloud);
	ck_assert_int_eq(call(client, "GET", "/readyz", NULL, &body), 503);
	json_decref(body);
	ck_assert_int_eq(call(client, "GET", "/healthz", NULL, &body), 200);
	json_decref(body);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-api");
	TCase *tcase = tcase_create("http");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_batch_has_a_result_for_each);
	tcase_add_loop_test(
	    tcase, problems, 0,
	    (int)(sizeof(problem_rows) / sizeof(problem_rows[0])));
	tcase_add_test(tcase, nothing_without_a_key);
	tcase_add_test(tcase, decisions_page_and_stay_apart);
	tcase_add_test(tcase, a_change_ends_the_wait);
	tcase_add_test(tcase, a_wait_ends_in_time);
	tcase_add_test(tcase, policy_pages_and_resets);
	tcase_add_test(tcase, policy_by_single_numbers);
	tcase_add_loop_test(tcase, bad_events_spoil_no_other, 0, 9);
	tcase_add_loop_test(tcase, quotas, 0, 6);
	tcase_add_loop_test(tcase, events, 0,
	                    (int)(sizeof(event_rows) / sizeof(event_rows[0])));
	tcase_add_test(tcase, another_tenants_mail_is_unknown);
	tcase_add_test(tcase, health);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
