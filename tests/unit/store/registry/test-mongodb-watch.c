/*
 * Who waits for a change that another process makes is woken by a change
 * stream where the server has one, well before the document would be looked
 * at; by looking where it has none.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "store/registry/mongodb/private.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/ok.h"
#include "tests/support/suite.h"

/* How often the document is looked at without a stream. */
#define POLL_MS 200
#define CHANGES 16
/* So many at least are to come within half of that by a stream. Looking finds
 * as many so soon in fewer than 1 of 90 runs. */
#define SOON    13
#define WAIT_MS 10000

static char *uri;
static struct registry *waiting, *changing;
static struct mongodb_db *db; /* past both */
static struct id tenant;

static void set_up(void)
{
	struct mongodb_options options = {.program = "test"};
	struct registry_options registry = {"mongodb", NULL};
	struct registry_tenant added = {.name = (char *)"a",
	                                .language = (char *)"fr"};

	ck_assert_int_eq(crypto_init(), 0);
	uri = mongodb_fixture_uri();
	options.uri = registry.location = uri;
	ok(mongodb_db_open(&db, &options, E));
	ok(registry_open(&waiting, &registry, E));
	ok(registry_open(&changing, &registry, E));
	added.id = tenant = id_new();
	ok(registry_tenant_add(changing, &added, E));
}

static void tear_down(void)
{
	registry_close(waiting);
	registry_close(changing);
	mongodb_db_close(db);
	mongodb_fixture_drop(uri);
}

static void change(void)
{
	struct registry_recipient recipient = {.address = (char *)"r@a"};
	struct registry_message message = {.id = id_new(),
	                                   .tenant = tenant,
	                                   .recipients = &recipient,
	                                   .recipient_count = 1};
	int result = 1;

	ok(registry_message_add(changing, &message, 1, &result, E));
	ck_assert_int_eq(result, 0);
}

struct watcher {
	pthread_t thread;
	int64_t version, woken_ms;
	int result;
};

static void *watch(void *context)
{
	struct watcher *watcher = context;

	watcher->result =
	    registry_watch(waiting, &watcher->version, WAIT_MS, NULL);
	watcher->woken_ms = clock_monotonic_ms();
	return NULL;
}

/* How long after a change another process's watcher is woken. */
static int64_t wake(unsigned rest_ms)
{
	struct watcher watcher = {.version = 0};
	int64_t changed_ms, before;

	ok(registry_watch(waiting, &watcher.version, 0, E));
	before = watcher.version;
	ck_assert_int_eq(pthread_create(&watcher.thread, NULL, watch, &watcher),
	                 0);
	(void)usleep(rest_ms * 1000);
	change();
	changed_ms = clock_monotonic_ms();
	(void)pthread_join(watcher.thread, NULL);
	ck_assert_int_eq(watcher.result, 0);
	ck_assert_int_ne(watcher.version, before);
	return watcher.woken_ms > changed_ms ? watcher.woken_ms - changed_ms
	                                     : 0;
}

/* How many streams the server has open on the collection. */
static int64_t count_streams(void)
{
	bson_t command = BSON_INITIALIZER, reply, found;
	mongoc_client_t *client = mongodb_take(db, NULL);
	bson_error_t error;
	char name[200];
	int64_t count;

	(void)snprintf(name, sizeof(name), "%s.signal", mongodb_db_name(db));
	(void)BSON_APPEND_INT32(&command, "currentOp", 1);
	(void)BSON_APPEND_UTF8(&command, "ns", name);
	(void)BSON_APPEND_UTF8(&command, "op", "getmore");
	ck_assert_msg(mongoc_client_command_simple(client, "admin", &command,
	                                           NULL, &reply, &error),
	              "%s", error.message);
	ck_assert(mongodb_get_document(&reply, "inprog", &found));
	count = (int64_t)bson_count_keys(&found);
	bson_destroy(&reply);
	bson_destroy(&command);
	mongodb_give(db, client);
	return count;
}

static int compare(const void *a, const void *b)
{
	const int64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

START_TEST(changes_wake_by_a_stream)
{
	bool streams = mongodb_db_has_change_streams(db);
	int64_t took_ms[CHANGES], open = 0;

	(void)wake(300); /* the listener has begun */
	for (unsigned i = 0; i < CHANGES; i++) {
		took_ms[i] = wake(20 + i * 37 % POLL_MS);
		if (streams)
			open += count_streams();
	}
	qsort(took_ms, CHANGES, sizeof(*took_ms), compare);
	printf("told: %s: another process's change is heard of after %lld ms "
	       "(median), %lld ms (longest of %d), %s\n",
	       mongodb_db_engine(db), (long long)took_ms[CHANGES / 2],
	       (long long)took_ms[CHANGES - 1], CHANGES,
	       streams ? "by a change stream"
	               : "by looking: the server has no change streams");
	ck_assert_int_lt(took_ms[CHANGES - 1], 5000);
	if (!streams)
		return;
	ck_assert_int_lt(took_ms[SOON - 1], POLL_MS / 2);
	ck_assert_int_gt(open, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-mongodb-watch");
	TCase *tcase = tcase_create("watch");

	if (!mongodb_fixture_present())
		return 0;
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, changes_wake_by_a_stream);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
