/* Tests of the replica's upkeep, and of the reports of ends. */
#include "local-agent/cloud/policy-sync.h"

#include <string.h>

#include "local-agent/cloud/events.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/fake-cloud.h"

#define ENTRY(id, value, more)                                                 \
	"{\"id\": \"" id "\", \"scope\": \"tenant\", \"scope_value\": \"\","   \
	" \"colour\": \"white\", \"kind\": \"address\", \"value\": \"" value   \
	"\", \"demands_pass\": false, \"deleted\": false,"                     \
	" \"expires_at\": null, \"created_at\": \"2026-01-01T00:00:00Z\","     \
	" \"revision\": 1, \"origin\": \"admin\", \"note\": \"\"" more "}"
#define ID_1 "01020304-0506-7708-890a-0b0c0d0e0f01"
#define ID_2 "01020304-0506-7708-890a-0b0c0d0e0f02"
#define ID_3 "01020304-0506-7708-890a-0b0c0d0e0f03"
#define PAGE(revision, reset, more, domains, entries)                          \
	"{\"revision\": " revision ", \"reset\": " reset ", \"more\": " more   \
	", \"domains\": [" domains "], \"entries\": [" entries "]}"

static struct spool_fixture store;
static struct fake_cloud cloud;
static struct agent_config config;
static struct writer *writer;
static struct replica *replica;
static struct policy_sync *sync_thread;

/* What the cloud says, by the number of the call; then 204. */
static const char *pages[8];
static unsigned page_next;
static char last_after[64];

static json_t *answer(struct fake_cloud *fake, struct http_request *request,
                      json_t *body, unsigned *status)
{
	const char *after = http_query(request, "after");

	(void)fake;
	(void)body;
	(void)snprintf(last_after, sizeof(last_after), "%s",
	               after ? after : "");
	if (!pages[page_next])
		return NULL;
	*status = 200;
	return json_loads(pages[page_next++], 0, NULL);
}

static void setup(void)
{
	lab_init();
	fixture_open(&store);
	memset(pages, 0, sizeof(pages));
	page_next = 0;
	cloud = (struct fake_cloud){.policy = answer};
	fake_start(&cloud);
	lab_config(&config, cloud.port, LAB_POLICY);
	writer = lab_writer(store.spool);
	replica = replica_new();
}

static void start(void)
{
	struct policy_sync_options options = {&config, store.spool, writer,
	                                      replica};
	struct error err = {.text = ""};

	ck_assert_msg(policy_sync_start(&sync_thread, &options, &err) == 0,
	              "%s", err.text);
}

static void teardown(void)
{
	policy_sync_stop(sync_thread);
	sync_thread = NULL;
	writer_stop(writer);
	replica_free(replica);
	fake_stop(&cloud);
	agent_config_release(&config);
	fixture_close(&store);
}

static bool asked_after(const char *revision)
{
	bool same;

	(void)pthread_mutex_lock(&cloud.lock);
	same = strcmp(last_after, revision) == 0;
	(void)pthread_mutex_unlock(&cloud.lock);
	return same;
}

static bool is_white(const char *sender)
{
	struct mail_identity identity;
	const struct replica_view *view = replica_acquire(replica);
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "a@ours.test",
	                                .client_address = "",
	                                .now_ms = clock_wall_ms()};
	bool found;

	mail_identity_find(&identity, sender, "", NULL);
	found = entry_set_find(view->entries, &subject) != NULL;
	replica_release(replica, view);
	return found;
}

static size_t entry_count(void)
{
	const struct replica_view *view = replica_acquire(replica);
	size_t count = entry_set_count(view->entries);

	replica_release(replica, view);
	return count;
}

static bool has_domain(const char *domain)
{
	const struct replica_view *view = replica_acquire(replica);
	bool found = view->received && replica_view_has_domain(view, domain);

	replica_release(replica, view);
	return found;
}

START_TEST(snapshot_then_changes)
{
	pages[0] = PAGE("3", "true", "true", "\"ours.test\"",
	                ENTRY(ID_1, "one@x.test", ""));
	pages[1] = PAGE("5", "false", "false", "\"ours.test\"",
	                ENTRY(ID_2, "two@x.test", ""));
	start();
	LAB_AWAIT(asked_after("5"));
	ck_assert(has_domain("ours.test"));
	ck_assert(is_white("one@x.test"));
	ck_assert(is_white("two@x.test"));
	(void)pthread_mutex_lock(&cloud.lock);
	/* jansson keeps the last of two members of the same name */
	pages[2] = PAGE("6", "false", "false", "\"ours.test\", \"more.test\"",
	                ENTRY(ID_1, "one@x.test", ", \"deleted\": true"));
	(void)pthread_mutex_unlock(&cloud.lock);
	LAB_AWAIT(asked_after("6"));
	ck_assert(!is_white("one@x.test"));
	ck_assert(is_white("two@x.test"));
	ck_assert(has_domain("more.test"));
}
END_TEST

START_TEST(reset_empties_first)
{
	pages[0] = PAGE("3", "true", "false", "\"ours.test\"",
	                ENTRY(ID_1, "one@x.test", ""));
	pages[1] = PAGE("2", "true", "false", "\"other.test\"",
	                ENTRY(ID_2, "two@x.test", ""));
	start();
	LAB_AWAIT(asked_after("2"));
	ck_assert(!is_white("one@x.test"));
	ck_assert(is_white("two@x.test"));
	ck_assert(!has_domain("ours.test"));
}
END_TEST

/* A snapshot comes in force as a whole; until then the lists before it do. */
START_TEST(half_a_snapshot_is_not_in_force)
{
	pages[0] = PAGE("3", "true", "false", "\"ours.test\"",
	                ENTRY(ID_1, "one@x.test", ""));
	pages[1] = PAGE("1", "true", "true", "\"other.test\"",
	                ENTRY(ID_2, "two@x.test", ""));
	start();
	LAB_AWAIT(asked_after("1"));
	ck_assert(is_white("one@x.test"));
	ck_assert(!is_white("two@x.test"));
	ck_assert(has_domain("ours.test"));
	(void)pthread_mutex_lock(&cloud.lock);
	pages[2] = PAGE("2", "false", "false", "\"other.test\"",
	                ENTRY(ID_3, "three@x.test", ""));
	(void)pthread_mutex_unlock(&cloud.lock);
	LAB_AWAIT(asked_after("2"));
	ck_assert(!is_white("one@x.test"));
	ck_assert(is_white("two@x.test"));
	ck_assert(is_white("three@x.test"));
	ck_assert(has_domain("other.test"));
	ck_assert(!has_domain("ours.test"));
}
END_TEST

/* Where the first was cut off it is begun anew. */
START_TEST(half_a_policy_is_none_at_the_next_start)
{
	pages[0] = PAGE("3", "true", "true", "\"ours.test\"",
	                ENTRY(ID_1, "one@x.test", ""));
	start();
	LAB_AWAIT(asked_after("3"));
	policy_sync_stop(sync_thread);
	ck_assert_int_eq(replica_load(replica, store.spool, NULL), 0);
	ck_assert(!has_domain("ours.test"));
	ck_assert(!is_white("one@x.test"));
	start();
	LAB_AWAIT(asked_after("0"));
}
END_TEST

START_TEST(empty_policy_is_a_policy)
{
	pages[0] = PAGE("1", "true", "false", "\"ours.test\"", "");
	start();
	LAB_AWAIT(asked_after("1"));
	ck_assert(has_domain("ours.test"));
	ck_assert(!is_white("one@x.test"));
}
END_TEST

/* With the cloud away a new start goes on with what is in the spool. */
START_TEST(spool_keeps_the_policy)
{
	struct replica *later = replica_new();
	const struct replica_view *view;

	pages[0] = PAGE("3", "true", "false", "\"ours.test\"",
	                ENTRY(ID_1, "one@x.test", ""));
	start();
	LAB_AWAIT(asked_after("3"));
	policy_sync_stop(sync_thread);
	ck_assert_int_eq(replica_load(later, store.spool, NULL), 0);
	view = replica_acquire(later);
	ck_assert(view->received);
	ck_assert(replica_view_has_domain(view, "ours.test"));
	ck_assert_uint_eq(entry_set_count(view->entries), 1);
	replica_release(later, view);
	replica_free(later);
	last_after[0] = '\0';
	start();
	LAB_AWAIT(asked_after("3"));
}
END_TEST

START_TEST(nothing_received_is_no_policy)
{
	ck_assert_int_eq(replica_load(replica, store.spool, NULL), 0);
	ck_assert(!has_domain("ours.test"));
	start();
	LAB_AWAIT(asked_after("0"));
}
END_TEST

static const char *const nonsense[] = {
    "{}",
    "[]",
    "{\"revision\": 4}",
    "{\"revision\": \"4\", \"entries\": [], \"domains\": []}",
    "{\"revision\": -4, \"entries\": [], \"domains\": []}",
    "{\"revision\": 4, \"entries\": {}, \"domains\": []}",
    "{\"revision\": 4, \"entries\": [], \"domains\": \"ours.test\"}",
    "{\"revision\": 4, \"entries\": [], \"domains\": [5]}",
    "{\"revision\": 4, \"entries\": [5], \"domains\": []}",
    PAGE("4", "false", "false", "\"ours.test\"",
         ENTRY("no id", "x@x.test", "")),
    PAGE("4", "false", "false", "\"ours.test\"",
         ENTRY(ID_3, "not an address", "")),
    PAGE("4", "false", "false", "\"ours.test\"",
         ENTRY(ID_3, "x@x.test", ", \"colour\": \"grey\"")),
    PAGE("4", "false", "false", "\"ours.test\"",
         ENTRY(ID_3, "x@x.test", ", \"kind\": 7")),
    PAGE("4", "false", "false", "\"ours.test\"",
         ENTRY(ID_3, "x@x.test", ", \"scope\": \"planet\"")),
    PAGE("4", "false", "false", "\"ours.test\"",
         ENTRY(ID_3, "x@x.test", ", \"expires_at\": \"tomorrow\"")),
};

/* Half a policy is no policy: the one in force stays, and it is asked again. */
START_TEST(nonsense_changes_nothing)
{
	pages[0] = PAGE("3", "true", "false", "\"ours.test\"",
	                ENTRY(ID_1, "one@x.test", ""));
	pages[1] = nonsense[_i];
	pages[2] = PAGE("7", "false", "false", "\"ours.test\"",
	                ENTRY(ID_2, "two@x.test", ""));
	start();
	LAB_AWAIT(asked_after("7"));
	ck_assert(is_white("one@x.test"));
	ck_assert(is_white("two@x.test"));
	ck_assert_uint_eq(entry_count(), 2);
	ck_assert(has_domain("ours.test"));
}
END_TEST

/* --- events --------------------------------------------------------------- */

static char told[16][40];
static unsigned told_count, failures_left;

static json_t *note_events(struct fake_cloud *fake,
                           struct http_request *request, json_t *body,
                           unsigned *status)
{
	json_t *event, *list = json_object_get(body, "events");
	size_t i;

	if (failures_left > 0) {
		*status = failures_left-- % 2 ? 200 : 500;
		return json_pack("{s:[]}", "results");
	}
	json_array_foreach(list, i, event) if (told_count < 16)(void)
	    snprintf(told[told_count++], sizeof(told[0]), "%.30s",
	             json_string_value(json_object_get(event, "event")));
	return fake_note(fake, request, body, status);
}

static int64_t pending_events(void)
{
	struct spool_query query = {.event_pending = true, .limit = 100};
	struct spool_page page = {0};
	int64_t count;

	ck_assert_int_eq(spool_list(store.spool, &query, &page, NULL), 0);
	count = (int64_t)page.count;
	spool_page_release(&page);
	return count;
}

static void end_one(enum spool_state to, const char *by)
{
	struct id id = fixture_add(&store, 1, SPOOL_QUEUED);
	struct spool_change change = fixture_move_change(id, 0, to);

	change.move.event = true;
	change.move.by = by;
	ck_assert_int_eq(fixture_commit(&store, change), 0);
}

START_TEST(ends_are_told_once)
{
	struct events_options options = {&config, store.spool, writer};
	struct events *events = NULL;

	told_count = 0;
	failures_left = (unsigned)_i * 3;
	cloud.events = note_events;
	end_one(SPOOL_DELIVERED, "captcha");
	end_one(SPOOL_FAILED, "list");
	end_one(SPOOL_DELIVERED, "admin");
	ck_assert_int_eq(events_start(&events, &options, NULL), 0);
	LAB_AWAIT(pending_events() == 0);
	end_one(SPOOL_DISCARDED, "admin");
	events_wake(events);
	LAB_AWAIT(pending_events() == 0);
	events_stop(events);
	ck_assert_uint_eq(told_count, 5);
	ck_assert_str_eq(told[0], "delivered");
	ck_assert_str_eq(told[1], "failed");
	ck_assert_str_eq(told[2], "released");
	ck_assert_str_eq(told[3], "delivered");
	ck_assert_str_eq(told[4], "discarded");
	start();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent policy sync");
	TCase *tests = tcase_create("poll");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, snapshot_then_changes);
	tcase_add_test(tests, reset_empties_first);
	tcase_add_test(tests, half_a_snapshot_is_not_in_force);
	tcase_add_test(tests, half_a_policy_is_none_at_the_next_start);
	tcase_add_test(tests, empty_policy_is_a_policy);
	tcase_add_test(tests, spool_keeps_the_policy);
	tcase_add_test(tests, nothing_received_is_no_policy);
	tcase_add_loop_test(tests, nonsense_changes_nothing, 0,
	                    LAB_COUNT(nonsense));
	tcase_add_loop_test(tests, ends_are_told_once, 0, 2);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
