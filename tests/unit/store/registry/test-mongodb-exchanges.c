/*
 * How many exchanges with MongoDB an import of list entries takes, counted by
 * libmongoc's command monitoring.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/mem.h"
#include "store/mongodb/db.h"
#include "store/registry/registry.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/suite.h"

#define ENTRIES_MAXIMUM 10000

/* A server that stands in for MongoDB has no index for most look-ups. */
#define ENTRIES_WITHOUT_INDEX 2000

/* Tens, not thousands. */
#define EXCHANGES_MAXIMUM 60

/* --- counting ------------------------------------------------------------ */

static atomic_int exchanges;

/* Watchers and heartbeats of the registry go on meanwhile. */
static void count(const mongoc_apm_command_started_t *event)
{
	static const char *const counted[] = {
	    "find", "getMore", "insert", "update", "delete", "findAndModify"};
	const char *name = mongoc_apm_command_started_get_command_name(event);
	bson_t view;
	size_t size = 0;
	const char *collection;

	bson_init_static(
	    &view, bson_get_data(mongoc_apm_command_started_get_command(event)),
	    mongoc_apm_command_started_get_command(event)->len);
	collection = mongodb_get_bytes(&view, name, &size);
	if (collection && size == 6 && !memcmp(collection, "signal", 6))
		return;
	for (size_t i = 0; i < sizeof(counted) / sizeof(*counted); i++)
		if (!strcmp(name, counted[i]))
			atomic_fetch_add(&exchanges, 1);
}

/* Stands in libmongoc's place: every pool is watched. */
mongoc_client_pool_t *mongoc_client_pool_new_with_error(const mongoc_uri_t *uri,
                                                        bson_error_t *error)
{
	mongoc_client_pool_t *(*made_by)(const mongoc_uri_t *, bson_error_t *);
	mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();
	mongoc_client_pool_t *pool;

	*(void **)&made_by =
	    dlsym(RTLD_NEXT, "mongoc_client_pool_new_with_error");
	pool = made_by(uri, error);
	mongoc_apm_set_command_started_cb(callbacks, count);
	if (pool)
		(void)mongoc_client_pool_set_apm_callbacks(pool, callbacks,
		                                           NULL);
	mongoc_apm_callbacks_destroy(callbacks);
	return pool;
}

/* --- the store ----------------------------------------------------------- */

static struct registry *registry;
static char *uri;
static struct id tenant = {{9}};
static struct registry_record *records;
static int *results;
static unsigned entries;

static void must(int code, const struct error *err)
{
	ck_assert_msg(code == 0, "%s: %s", error_name(code), err->text);
}

static void make_records(void)
{
	records = mem_alloc(entries * sizeof(*records));
	results = mem_alloc(entries * sizeof(*results));
	for (unsigned i = 0; i < entries; i++) {
		struct id id = {{1}};

		id.bytes[14] = (uint8_t)(i >> 8);
		id.bytes[15] = (uint8_t)i;
		records[i] = (struct registry_record){
		    .kind = REGISTRY_ENTRIES,
		    .tenant = tenant,
		    .entry = {.id = id,
		              .scope = ENTRY_SCOPE_TENANT,
		              .kind = ENTRY_ADDRESS,
		              .revision = i + 1,
		              .created_ms = 1,
		              .value = mem_format("s%u@x.example", i)}};
	}
}

static void setup(void)
{
	struct registry_tenant added = {.id = tenant,
	                                .name = (char *)"acme",
	                                .language = (char *)"en",
	                                .created_ms = 1};
	struct registry_options options = {.backend = "mongodb"};
	struct error err = {.text = ""};

	ck_assert_int_eq(crypto_init(), 0);
	uri = mongodb_fixture_uri();
	options.location = uri;
	must(registry_open(&registry, &options, &err), &err);
	must(registry_tenant_add(registry, &added, &err), &err);
	entries = strstr(registry_engine(registry), "replica set")
	              ? ENTRIES_MAXIMUM
	              : ENTRIES_WITHOUT_INDEX;
	make_records();
}

static void teardown(void)
{
	registry_close(registry);
	mongodb_fixture_drop(uri);
	for (size_t i = 0; i < entries; i++)
		free(records[i].entry.value);
	free(records);
	free(results);
}

/* Imports all in calls of so many; tells and returns the exchanges. */
static int import(const char *what, size_t at_once, bool replace, int wanted)
{
	int64_t before_ms = clock_monotonic_ms();
	struct error err = {.text = ""};

	atomic_store(&exchanges, 0);
	for (size_t at = 0; at < entries; at += at_once)
		must(registry_import(registry, records + at, at_once, replace,
		                     results + at, &err),
		     &err);
	(void)printf("told: %s, %u entries, %zu a call: %d exchanges, %lld "
	             "ms\n",
	             what, entries, at_once, atomic_load(&exchanges),
	             (long long)(clock_monotonic_ms() - before_ms));
	(void)fflush(stdout);
	for (size_t i = 0; i < entries; i++)
		ck_assert_int_eq(results[i], wanted);
	return atomic_load(&exchanges);
}

START_TEST(imports_are_batched)
{
	struct error err = {.text = ""};
	struct registry_policy_cursor revision;
	int at_once;

	at_once = import("new", entries, false, 0);
	/* They were counted at all. */
	ck_assert_int_gt(at_once, 4);
	ck_assert_int_le(at_once, EXCHANGES_MAXIMUM);
	ck_assert_int_le(import("there", entries, false, ERR_EXISTS),
	                 EXCHANGES_MAXIMUM);
	ck_assert_int_le(import("replaced", entries, true, 0),
	                 EXCHANGES_MAXIMUM);
	for (size_t i = 0; i < entries; i += 2)
		records[i].entry.deleted = true;
	ck_assert_int_le(import("changed", 500, true, 0),
	                 2 * EXCHANGES_MAXIMUM + 60);
	must(registry_policy_revision(registry, &tenant, &revision, &err),
	     &err);
	ck_assert_int_eq(revision.own, entries);
	must(registry_check(registry, &err), &err);
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *tests;

	if (!mongodb_fixture_present())
		return 0;
	suite = suite_create("registry-mongodb-exchanges");
	tests = tcase_create("exchanges");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, imports_are_batched);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
