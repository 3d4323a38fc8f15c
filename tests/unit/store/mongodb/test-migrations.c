/*
 * The documents of the schema's versions in MongoDB, of both stores: none yet,
 * newer, damaged, and several processes that begin at once.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/mem.h"
#include "store/mongodb/db.h"
#include "store/registry/registry.h"
#include "store/spool/spool.h"
#include "tests/support/await.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define RACERS 4

static char *uri;
static struct mongodb_db *db;

static int open_registry(const char *location, struct error *err)
{
	struct registry_options options = {"mongodb", location};
	struct registry *opened = NULL;
	int result = registry_open(&opened, &options, err);

	if (!result)
		result = registry_check(opened, err);
	registry_close(opened);
	return result;
}

static int open_spool(const char *location, struct error *err)
{
	struct spool_options options = {.backend = "mongodb",
	                                .location = location,
	                                .owner = "agent",
	                                .large_body_bytes = 1000};
	struct spool *opened = NULL;
	int result = spool_open(&opened, &options, err);

	if (!result)
		result = spool_check(opened, err);
	spool_close(opened);
	return result;
}

static const struct store {
	const char *kind;
	int (*open)(const char *location, struct error *err);
	int version; /* the newest */
} stores[] = {{"registry", open_registry, 3}, {"spool", open_spool, 2}};

#define STORES 2

static void must(int code, const struct error *err)
{
	ck_assert_msg(code == 0, "%s: %s", error_name(code), err->text);
}

static void setup(void)
{
	struct mongodb_options options = {.program = "test"};
	struct error err = {.text = ""};

	ck_assert_int_eq(crypto_init(), 0);
	uri = mongodb_fixture_uri();
	options.uri = uri;
	must(mongodb_db_open(&db, &options, &err), &err);
}

static void teardown(void)
{
	mongodb_db_close(db);
	mongodb_fixture_drop(uri);
}

/* --- the schema's document ------------------------------------------------ */

static bson_t *from_json(const char *text)
{
	bson_error_t error;
	bson_t *made = bson_new_from_json((const uint8_t *)text, -1, &error);

	ck_assert_msg(made != NULL, "%s", error.message);
	return made;
}

/* Puts fields in the place of the document's, all but its _id. */
static void put_schema(const char *kind, const char *fields)
{
	bson_t selector = BSON_INITIALIZER;
	bson_t *document = from_json(fields);
	struct error err = {.text = ""};

	(void)BSON_APPEND_UTF8(&selector, "_id", kind);
	must(mongodb_update(db, "schema", &selector, document, true, true, NULL,
	                    &err),
	     &err);
	bson_destroy(document);
	bson_destroy(&selector);
}

/* The document as text; "" without one. */
static char *read_schema(const char *kind)
{
	bson_t selector = BSON_INITIALIZER, *found = NULL;
	struct error err = {.text = ""};
	char *text = NULL;
	int code;

	(void)BSON_APPEND_UTF8(&selector, "_id", kind);
	code = mongodb_find_one(db, "schema", &selector, NULL, &found, &err);
	if (code != ERR_NOT_FOUND)
		must(code, &err);
	if (!code)
		text = bson_as_relaxed_extended_json(found, NULL);
	bson_destroy(found);
	bson_destroy(&selector);
	return text ? text : bson_strdup("");
}

static void expect_schema(const char *kind, const char *wanted)
{
	char *text = read_schema(kind);

	ck_assert_str_eq(text, wanted);
	bson_free(text);
}

/* --- versions ------------------------------------------------------------ */

/* Without a document it is version 0, whatever else is there: a first start
 * that was cut off. */
START_TEST(none_is_the_oldest)
{
	const struct store *store = &stores[_i];
	struct error err = {.text = ""};
	bson_t selector = BSON_INITIALIZER;
	char *newest = mem_format("\"version\" : %d", store->version);
	char *first, *again;

	must(store->open(uri, &err), &err);
	first = read_schema(store->kind);
	ck_assert_ptr_nonnull(strstr(first, newest));
	free(newest);
	must(mongodb_delete(db, "schema", &selector, false, NULL, &err), &err);
	must(store->open(uri, &err), &err);
	again = read_schema(store->kind);
	ck_assert_str_eq(first, again);
	bson_free(first);
	bson_free(again);
	bson_destroy(&selector);
}
END_TEST

/* What a document of the schema may have come to be, and what is said then;
 * %d is the newest version and what is added to it. */
static const struct {
	const char *fields;
	int added;
	int code;
	const char *text; /* in the error's */
} versions[] = {
    {"{\"version\": %d}", 1, ERR_VERSION, "newer version"},
    {"{\"version\": %d}", 1, ERR_VERSION, "this one knows"},
    {"{\"version\": {\"$numberLong\": \"4294967297\"}}", 0, ERR_VERSION,
     "newer"},
    {"{\"version\": %d}", 0, 0, ""},
    {"{\"version\": %d.0}", 0, 0, ""},
    {"{\"version\": %d, \"note\": \"of an operator\"}", 0, 0, ""},
    {"{\"version\": 0}", 0, ERR_CORRUPT, "no version"},
    {"{\"version\": -1}", 0, ERR_CORRUPT, "no version"},
    {"{\"version\": \"1\"}", 0, ERR_CORRUPT, "no version"},
    {"{\"version\": null}", 0, ERR_CORRUPT, "no version"},
    {"{\"version\": [1]}", 0, ERR_CORRUPT, "no version"},
    {"{\"note\": 1}", 0, ERR_CORRUPT, "no version"},
};

#define VERSIONS ((int)(sizeof(versions) / sizeof(*versions)))

/* The fields with the version in the place of %d; the caller frees them. */
static char *write_version(const char *fields, int version)
{
	const char *place = strstr(fields, "%d");

	if (!place)
		return mem_copy_string(fields);
	return mem_format("%.*s%d%s", (int)(place - fields), fields, version,
	                  place + 2);
}

START_TEST(versions_are_told_apart)
{
	const struct store *store = &stores[_i / VERSIONS];
	int row = _i % VERSIONS;
	struct error err = {.text = ""};
	char *fields = write_version(versions[row].fields,
	                             store->version + versions[row].added);
	char *before;
	int code;

	if (versions[row].code == 0)
		must(store->open(uri, &err), &err);
	put_schema(store->kind, fields);
	before = read_schema(store->kind);
	code = store->open(uri, &err);
	ck_assert_msg(code == versions[row].code, "%s: %s: %s", fields,
	              error_name(code), err.text);
	if (code) {
		ck_assert_msg(strstr(err.text, versions[row].text) != NULL,
		              "%s", err.text);
		ck_assert_ptr_nonnull(strstr(err.text, store->kind));
	}
	/* Nothing was migrated. */
	expect_schema(store->kind, before);
	bson_free(before);
	free(fields);
}
END_TEST

/* What an older program wrote reads as what it was: a field that it did not
 * know is zero. */
START_TEST(older_messages_are_read)
{
	struct spool_options options = {.backend = "mongodb",
	                                .location = uri,
	                                .owner = "agent",
	                                .large_body_bytes = 1000};
	struct spool_message message = fixture_message(1, SPOOL_HELD), read;
	struct spool_change change = fixture_add_change(&message, "b\r\n", 3);
	bson_t selector = BSON_INITIALIZER;
	bson_t *update = from_json("{\"$unset\": {\"turing.smtputf8\": 1,"
	                           " \"turing.auth_notice\": 1,"
	                           " \"turing.auth.dmarc_domain\": 1}}");
	struct spool *spool;
	struct error err = {.text = ""};

	message.smtputf8 = true;
	must(spool_open(&spool, &options, &err), &err);
	must(spool_commit(spool, &change, 1, &err), &err);
	spool_close(spool);
	must(mongodb_update(db, "message", &selector, update, true, false, NULL,
	                    &err),
	     &err);
	put_schema("spool", "{\"version\": 1}");
	must(spool_open(&spool, &options, &err), &err);
	must(spool_read(spool, &message.id, &read, &err), &err);
	ck_assert(!read.smtputf8);
	ck_assert_str_eq(read.auth_notice, "");
	ck_assert_str_eq(read.auth.dmarc_domain, "");
	ck_assert_uint_eq(read.registration_attempts, 0);
	ck_assert_str_eq(read.registration_refusal, "");
	spool_message_release(&read);
	spool_message_release(&message);
	spool_close(spool);
	bson_destroy(update);
	bson_destroy(&selector);
}
END_TEST

/* --- at once -------------------------------------------------------------- */

static pid_t open_elsewhere(const char *kind)
{
	pid_t child = fork();

	if (child)
		return child;
	(void)execl("/proc/self/exe", "self", "open", kind, uri, NULL);
	_exit(127);
}

/* What the process of open_elsewhere() does, outside of any test. */
static int open_here(const char *kind, const char *location)
{
	struct error err = {.text = ""};
	int code = crypto_init() ? ERR_IO : 0;

	for (int i = 0; !code && i < STORES; i++)
		if (!strcmp(stores[i].kind, kind))
			code = stores[i].open(location, &err);
	if (code)
		(void)fprintf(stderr, "%s: %s\n", kind, err.text);
	return code ? 1 : 0;
}

START_TEST(processes_begin_at_once)
{
	const struct store *store = &stores[_i];
	struct error err = {.text = ""};
	pid_t children[RACERS];

	for (int i = 0; i < RACERS; i++) {
		children[i] = open_elsewhere(store->kind);
		ck_assert_int_gt(children[i], 0);
	}
	for (int i = 0; i < RACERS; i++) {
		int status = -1;

		ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
		ck_assert_int_eq(status, 0);
	}
	must(store->open(uri, &err), &err);
}
END_TEST

/* How often each step was made; made is its lasting effect. */
static int made[3];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int make(int step)
{
	(void)pthread_mutex_lock(&mutex);
	/* None before those that it builds on. */
	for (int i = 0; i < step; i++)
		ck_assert_int_gt(made[i], 0);
	made[step]++;
	(void)pthread_mutex_unlock(&mutex);
	return 0;
}

/* How many threads have begun. */
static atomic_int begun;

static int step_0(struct mongodb_db *to, struct error *err)
{
	(void)to;
	(void)err;
	return make(0);
}

static int step_1(struct mongodb_db *to, struct error *err)
{
	(void)to;
	(void)err;
	/* No thread is through before each of them has begun. */
	await(begun >= RACERS);
	return make(1);
}

static int step_2(struct mongodb_db *to, struct error *err)
{
	(void)to;
	(void)err;
	return make(2);
}

static int (*const steps[])(struct mongodb_db *,
                            struct error *) = {step_0, step_1, step_2};

static void *migrate(void *context)
{
	struct error err = {.text = ""};

	begun++;
	must(mongodb_migrate(db, "registry", steps, 3, &err), &err);
	return context;
}

/* From each version there was. */
START_TEST(threads_migrate_at_once)
{
	static const char *const froms[] = {NULL, "{\"version\": 1}",
	                                    "{\"version\": 2}"};
	pthread_t threads[RACERS];

	if (froms[_i])
		put_schema("registry", froms[_i]);
	for (int i = 0; i < _i; i++)
		made[i] = 1;
	for (int i = 0; i < RACERS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, migrate, NULL), 0);
	for (int i = 0; i < RACERS; i++)
		(void)pthread_join(threads[i], NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_gt(made[i], 0);
	/* Steps that were behind are not made again. */
	for (int i = 0; i < _i; i++)
		ck_assert_int_eq(made[i], 1);
	/* It is at the newest now. */
	memset(made, 0, sizeof(made));
	(void)migrate(NULL);
	ck_assert_int_eq(made[0] + made[1] + made[2], 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tests;

	if (argc == 4 && !strcmp(argv[1], "open"))
		return open_here(argv[2], argv[3]);
	if (!mongodb_fixture_present())
		return 0;
	suite = suite_create("mongodb-migrations");
	tests = tcase_create("migrations");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, none_is_the_oldest, 0, STORES);
	tcase_add_loop_test(tests, versions_are_told_apart, 0,
	                    STORES * VERSIONS);
	tcase_add_test(tests, older_messages_are_read);
	tcase_add_loop_test(tests, processes_begin_at_once, 0, STORES);
	tcase_add_loop_test(tests, threads_migrate_at_once, 0, 3);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
