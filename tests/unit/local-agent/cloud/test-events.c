/* Tests of the reports of ends: who is believed that an event is wrong. */
#include "local-agent/cloud/events.h"

#include <string.h>

#include "common/metrics.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/fake-cloud.h"

static struct spool_fixture store;
static struct fake_cloud cloud;
static struct agent_config config;
static struct writer *writer;
static struct events *events;
static char poison[ID_TEXT_SIZE];
static int row;
static _Atomic bool honest;

static void setup(void)
{
	lab_init();
	fixture_open(&store);
	cloud = (struct fake_cloud){.port = 0};
	atomic_store(&honest, false);
}

static void start(void)
{
	struct events_options options = {&config, store.spool, NULL};
	struct error err = {.text = ""};

	fake_start(&cloud);
	lab_config(&config, cloud.port, LAB_POLICY);
	writer = lab_writer(store.spool);
	options.writer = writer;
	ck_assert_msg(events_start(&events, &options, &err) == 0, "%s",
	              err.text);
}

static void teardown(void)
{
	events_stop(events);
	writer_stop(writer);
	fake_stop(&cloud);
	agent_config_release(&config);
	fixture_close(&store);
	events = NULL;
}

/* A registered message that was delivered, with its event to be told. */
static struct id add_delivered(size_t recipients)
{
	struct id id = fixture_add(&store, recipients, SPOOL_QUEUED);
	size_t i;

	for (i = 0; i < recipients; i++) {
		struct spool_change change =
		    fixture_move_change(id, i, SPOOL_DELIVERED);

		change.move.event = true;
		change.move.by = "agent";
		ck_assert_int_eq(fixture_commit(&store, change), 0);
	}
	return id;
}

static size_t pending(void)
{
	struct spool_query query = {.event_pending = true, .limit = 1000};
	struct spool_page page = {0};
	size_t count;

	ck_assert_int_eq(spool_list(store.spool, &query, &page, NULL), 0);
	count = page.count;
	spool_page_release(&page);
	return count;
}

static int64_t refused(void)
{
	return metric_value(
	    metric_counter("turing_agent_events_refused_total", "", ""));
}

/* --- those who are not the cloud ------------------------------------------ */

static const struct {
	const char *name;
	unsigned status;
	const char *type, *body;
} strangers[] = {
    {"a proxy that knows no such page", 404, "text/html", "<p>Not Found"},
    {"404 of a cloud that is another service", 404, "application/json",
     "{\"error\": \"not found\"}"},
    {"404 as a problem", 404, "application/problem+json",
     "{\"type\": \"urn:turing:problem:not-found\"}"},
    {"405", 405, "application/problem+json",
     "{\"type\": \"urn:turing:problem:method-not-allowed\"}"},
    {"410", 410, "text/plain", "gone"},
    {"413 for one event", 413, "text/html", "<p>Too large"},
    {"415", 415, "application/problem+json",
     "{\"type\": \"urn:turing:problem:not-json\"}"},
    {"400 of a proxy", 400, "text/html", "<p>Bad Request"},
    {"400 of another service", 400, "application/problem+json",
     "{\"type\": \"about:blank\", \"detail\": \"no\"}"},
    {"400 about what a proxy garbled", 400, "application/problem+json",
     "{\"type\": \"urn:turing:problem:malformed-request\"}"},
    {"400 as a page that looks like ours", 400, "text/html",
     "{\"type\": \"urn:turing:problem:invalid-field\"}"},
    {"422 without a type", 422, "application/json", "{\"detail\": \"no\"}"},
    {"401", 401, "application/problem+json",
     "{\"type\": \"urn:turing:problem:invalid-field\"}"},
    {"403", 403, "text/html", "<p>Forbidden"},
    {"409", 409, "application/json", "{}"},
    {"429", 429, "application/json", "{}"},
    {"302 to a portal", 302, "text/html", "<p>Log in"},
    {"302 without a body", 302, NULL, ""},
    {"200 of a portal", 200, "text/html", "<p>Log in"},
    {"200 that is JSON by its body alone", 200, "text/html",
     "{\"results\": [{\"status\": \"ok\"}]}"},
    {"200 of another service", 200, "application/json", "{\"ok\": true}"},
    {"200 with too few results", 200, "application/json", "{\"results\": []}"},
    {"200 with too many results", 200, "application/json",
     "{\"results\": [{\"status\": \"ok\"}, {\"status\": \"ok\"}]}"},
    {"200 with another word", 200, "application/json",
     "{\"results\": [{\"status\": \"fine\"}]}"},
    {"200 with no word", 200, "application/json", "{\"results\": [7]}"},
    {"200 without a body", 200, "application/json", ""},
    {"204", 204, NULL, ""},
    {"500", 500, "text/html", "<p>Error"},
    {"502", 502, "text/html", "<p>Bad Gateway"},
};

static void be_a_stranger(struct http_request *request, void *context)
{
	if (atomic_load(&honest)) {
		fake_on_events(request, context);
		return;
	}
	atomic_fetch_add(&cloud.asked[FAKE_EVENTS], 1);
	http_reply(request, strangers[row].status, strangers[row].type,
	           strangers[row].body, strlen(strangers[row].body));
}

/* Nothing is forgotten, and all is told once the cloud itself answers. */
START_TEST(strangers_are_not_believed)
{
	row = _i;
	cloud.on_events = be_a_stranger;
	(void)add_delivered(1);
	start();
	LAB_AWAIT(fake_asked(&cloud, FAKE_EVENTS) >= 3);
	ck_assert_msg(pending() == 1, "%s", strangers[_i].name);
	ck_assert_int_eq(refused(), 0);
	atomic_store(&honest, true);
	LAB_AWAIT(pending() == 0);
	ck_assert_uint_eq(atomic_load(&cloud.items), 1);
}
END_TEST

/* --- the cloud itself ----------------------------------------------------- */

static bool is_poison(const json_t *event)
{
	return strcmp(json_string_value(json_object_get(event, "message")),
	              poison) == 0;
}

/* Says of each event by itself what came of it. */
static json_t *refuse_item(struct fake_cloud *fake,
                           struct http_request *request, json_t *body,
                           unsigned *status)
{
	json_t *answer = fake_note(fake, request, body, status), *event;
	size_t i;

	json_array_foreach(json_object_get(body, "events"), i, event)
	{
		json_t *result =
		    json_array_get(json_object_get(answer, "results"), i);

		if (is_poison(event))
			json_object_set_new(result, "status",
			                    json_string("refused"));
	}
	return answer;
}

/* As clouds did before: one event spoils the request. */
static json_t *refuse_request(struct fake_cloud *fake,
                              struct http_request *request, json_t *body,
                              unsigned *status)
{
	json_t *event;
	size_t i;

	json_array_foreach(json_object_get(body, "events"), i, event)
	{
		if (!is_poison(event))
			continue;
		*status = 400;
		return json_pack("{s:s, s:o}", "type",
		                 "urn:turing:problem:invalid-field", "detail",
		                 json_sprintf("events[%zu].at: missing", i));
	}
	return fake_note(fake, request, body, status);
}

static const fake_answer refusals[] = {refuse_item, refuse_request};

/* The event that the cloud names is dropped, the others count. */
START_TEST(one_event_spoils_no_other)
{
	int i;

	for (i = 0; i < 20; i++) {
		struct id id = add_delivered(i == 3 ? 40 : 1);

		if (i == 12)
			(void)id_format(&id, poison);
	}
	cloud.events = refusals[_i];
	start();
	LAB_AWAIT(pending() == 0);
	ck_assert_int_eq(refused(), 1);
	(void)poll(NULL, 0, 200);
	/* Halves of halves of 59, not one by one. */
	ck_assert_uint_le(fake_asked(&cloud, FAKE_EVENTS), 15);
}
END_TEST

static unsigned allowed;

/* A proxy that lets no large request pass. */
static json_t *refuse_size(struct fake_cloud *fake,
                           struct http_request *request, json_t *body,
                           unsigned *status)
{
	if (json_array_size(json_object_get(body, "events")) <= allowed)
		return fake_note(fake, request, body, status);
	*status = 413;
	return NULL;
}

START_TEST(large_reports_are_divided)
{
	allowed = 300;
	cloud.events = refuse_size;
	(void)add_delivered(700);
	(void)add_delivered(2);
	start();
	LAB_AWAIT(pending() == 0);
	ck_assert_int_eq(refused(), 0);
	ck_assert_uint_eq(atomic_load(&cloud.largest), 500);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent events");
	TCase *tests = tcase_create("events");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, strangers_are_not_believed, 0,
	                    LAB_COUNT(strangers));
	tcase_add_loop_test(tests, one_event_spoils_no_other, 0,
	                    LAB_COUNT(refusals));
	tcase_add_test(tests, large_reports_are_divided);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
