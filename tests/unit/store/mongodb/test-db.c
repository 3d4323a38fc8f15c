/* The MongoDB helpers on a server: every operation, its errors, indexes and
 * the schema's versions. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/mongodb/private.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/suite.h"

static char *uri;
static struct mongodb_db *db;
static struct error err;

static void setup(void)
{
	struct mongodb_options options = {.program = "turing-test"};

	uri = mongodb_fixture_uri();
	options.uri = uri;
	ck_assert_msg(!mongodb_db_open(&db, &options, &err), "%s", err.text);
}

static void teardown(void)
{
	mongodb_db_close(db);
	mongodb_fixture_drop(uri);
}

#define must(call) ck_assert_msg(!(call), "%s", err.text)

/* {_id: id, n: n} */
static bson_t *document(int id, int n)
{
	return BCON_NEW("_id", BCON_INT32(id), "n", BCON_INT32(n));
}

static int insert(int id, int n)
{
	bson_t *made = document(id, n);
	int code = mongodb_insert(db, "a", made, &err);

	bson_destroy(made);
	return code;
}

/* What n of the document is; -1: it is not there. */
static int read_n(int id)
{
	bson_t *selector = BCON_NEW("_id", BCON_INT32(id)), *found;
	int code = mongodb_find_one(db, "a", selector, NULL, &found, &err);
	int n = -1;

	bson_destroy(selector);
	if (code == ERR_NOT_FOUND)
		return n;
	must(code);
	n = (int)mongodb_get_int(found, "n");
	bson_destroy(found);
	return n;
}

/* --- opening ------------------------------------------------------------ */

START_TEST(opened)
{
	ck_assert_int_eq(strncmp(mongodb_db_engine(db), "MongoDB ", 8), 0);
	ck_assert_ptr_null(strstr(mongodb_db_engine(db), "://"));
	ck_assert_int_eq(strncmp(mongodb_db_name(db), "turing_test_", 12), 0);
	mongodb_db_close(NULL);
	mongodb_give(db, NULL);
}
END_TEST

static const struct {
	const char *uri;
	int code;
} refused[] = {
    {"mongodb://u:hunter2secret@127.0.0.1:1/d?serverSelectionTimeoutMS=200",
     ERR_UNAVAILABLE},
    {"mongodb://u:hunter2secret@nobody.invalid/d"
     "?serverSelectionTimeoutMS=200",
     ERR_UNAVAILABLE},
    {"mongodb://127.0.0.1:1/d?w=1", ERR_INVALID},
    {"mongodb://127.0.0.1:1/", ERR_INVALID},
    {"mongodb://u:hunter2secret@/d", ERR_INVALID},
};

START_TEST(refusals)
{
	struct mongodb_options options = {.uri = refused[_i].uri};
	struct mongodb_db *none = NULL;

	ck_assert_int_eq(mongodb_db_open(&none, &options, &err),
	                 refused[_i].code);
	ck_assert_int_eq(err.code, refused[_i].code);
	ck_assert_ptr_null(none);
	ck_assert_ptr_null(strstr(err.text, "hunter2"));
}
END_TEST

/* --- operations --------------------------------------------------------- */

START_TEST(inserts)
{
	must(insert(1, 10));
	ck_assert_int_eq(insert(1, 11), ERR_EXISTS);
	ck_assert_int_eq(err.code, ERR_EXISTS);
	ck_assert_int_eq(read_n(1), 10);
	ck_assert_int_eq(read_n(2), -1);
}
END_TEST

START_TEST(too_large)
{
	size_t size = 16 * 1024 * 1024;
	char *bytes = calloc(1, size);
	bson_t large = BSON_INITIALIZER;
	const bson_t *many[] = {&large};
	int result = 5;

	mongodb_append_bytes(&large, "b", bytes, size);
	ck_assert_int_eq(mongodb_insert(db, "a", &large, &err), ERR_LIMIT);
	must(mongodb_insert_many(db, "a", many, 1, false, &result, &err));
	ck_assert_int_eq(result, ERR_LIMIT);
	must(mongodb_insert_many(db, "a", many, 0, false, NULL, &err));
	bson_destroy(&large);
	free(bytes);
}
END_TEST

static const struct {
	bool ordered;
	int results[5]; /* of ids 1 to 5, when 3 is there */
} many_rows[] = {
    {false, {0, 0, ERR_EXISTS, 0, 0}},
    {true, {0, 0, ERR_EXISTS, ERR_CONFLICT, ERR_CONFLICT}},
};

START_TEST(insert_many)
{
	bson_t *documents[5];
	int results[5];

	must(insert(3, 0));
	for (int i = 0; i < 5; i++)
		documents[i] = document(i + 1, 7);
	must(mongodb_insert_many(db, "a", (const bson_t *const *)documents, 5,
	                         many_rows[_i].ordered, results, &err));
	for (int i = 0; i < 5; i++) {
		int expected = many_rows[_i].results[i];

		ck_assert_int_eq(results[i], expected);
		ck_assert_int_eq(read_n(i + 1), !expected ? 7
		                                : i == 2  ? 0
		                                          : -1);
		bson_destroy(documents[i]);
	}
}
END_TEST

START_TEST(many_are_split)
{
	enum { COUNT = 2500 };
	bson_t *documents[COUNT];
	int results[COUNT];
	bson_t all = BSON_INITIALIZER;
	int64_t count;

	for (int i = 0; i < COUNT; i++)
		documents[i] = document(i, i);
	must(mongodb_insert_many(db, "a", (const bson_t *const *)documents,
	                         COUNT, false, results, &err));
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(results[i], 0);
		bson_destroy(documents[i]);
	}
	must(mongodb_count(db, "a", &all, NULL, 0, &count, &err));
	ck_assert_int_eq(count, COUNT);
	bson_destroy(&all);
}
END_TEST

START_TEST(updates)
{
	bson_t *five = BCON_NEW("_id", BCON_INT32(5));
	bson_t *set = BCON_NEW("$set", "{", "n", BCON_INT32(6), "}");
	bson_t *whole = BCON_NEW("n", BCON_INT32(9));
	bool matched = true;

	must(mongodb_update(db, "a", five, set, false, true, &matched, &err));
	ck_assert(!matched);
	ck_assert_int_eq(read_n(5), -1);
	must(mongodb_update(db, "a", five, set, true, true, &matched, &err));
	ck_assert(!matched);
	ck_assert_int_eq(read_n(5), 6);
	must(mongodb_update(db, "a", five, set, true, false, &matched, &err));
	ck_assert(matched);
	must(mongodb_update(db, "a", five, whole, false, true, NULL, &err));
	ck_assert_int_eq(read_n(5), 9);
	bson_destroy(five);
	bson_destroy(set);
	bson_destroy(whole);
}
END_TEST

/* An upsert whose other conditions do not hold finds its _id taken. */
START_TEST(upsert_taken)
{
	bson_t *selector =
	    BCON_NEW("_id", BCON_INT32(1), "n", "{", "$lt", BCON_INT32(3), "}");
	bson_t *set = BCON_NEW("$set", "{", "n", BCON_INT32(3), "}");

	must(insert(1, 5));
	ck_assert_int_eq(
	    mongodb_update(db, "a", selector, set, true, true, NULL, &err),
	    ERR_EXISTS);
	ck_assert_int_eq(read_n(1), 5);
	bson_destroy(selector);
	bson_destroy(set);
}
END_TEST

START_TEST(many_at_once)
{
	bson_t *above = BCON_NEW("n", "{", "$gt", BCON_INT32(1), "}");
	bson_t *add = BCON_NEW("$inc", "{", "n", BCON_INT32(10), "}");
	int64_t count = 0;

	for (int i = 0; i < 4; i++)
		must(insert(i, i));
	must(mongodb_update_many(db, "a", above, add, &count, &err));
	ck_assert_int_eq(count, 2);
	must(mongodb_count(db, "a", above, NULL, 0, &count, &err));
	ck_assert_int_eq(count, 2);
	must(mongodb_delete(db, "a", above, true, &count, &err));
	ck_assert_int_eq(count, 1);
	must(mongodb_delete(db, "a", above, false, &count, &err));
	ck_assert_int_eq(count, 1);
	must(mongodb_delete(db, "a", above, false, NULL, &err));
	ck_assert_int_eq(read_n(1), 1);
	bson_destroy(above);
	bson_destroy(add);
}
END_TEST

START_TEST(find_and_modify)
{
	bson_t *above = BCON_NEW("n", "{", "$gt", BCON_INT32(1), "}");
	bson_t *down = BCON_NEW("n", BCON_INT32(-1));
	bson_t *add = BCON_NEW("$inc", "{", "n", BCON_INT32(10), "}");
	bson_t *found = NULL;

	ck_assert_int_eq(mongodb_find_and_modify(db, "a", above, down, add,
	                                         false, &found, &err),
	                 ERR_NOT_FOUND);
	for (int i = 0; i < 4; i++)
		must(insert(i, i));
	must(mongodb_find_and_modify(db, "a", above, down, add, false, &found,
	                             &err));
	ck_assert_int_eq(mongodb_get_int(found, "_id"), 3);
	ck_assert_int_eq(mongodb_get_int(found, "n"), 13);
	bson_destroy(found);
	bson_destroy(above);
	bson_destroy(down);
	bson_destroy(add);
}
END_TEST

static int sum(const bson_t *found, void *context, struct error *error)
{
	int *total = context;
	int n = (int)mongodb_get_int(found, "n");

	if (n == 100)
		return error_set(error, ERR_LIMIT, "enough");
	*total = *total * 10 + n;
	return 0;
}

START_TEST(find_each)
{
	bson_t *all = bson_new();
	bson_t *down = BCON_NEW("n", BCON_INT32(-1));
	struct mongodb_find find = {.collection = "a", .selector = all};
	int total = 0;

	for (int i = 1; i < 5; i++)
		must(insert(i, i));
	find.sort = down;
	must(mongodb_find_each(db, &find, sum, &total, &err));
	ck_assert_int_eq(total, 4321);
	find.limit = 2;
	total = 0;
	must(mongodb_find_each(db, &find, sum, &total, &err));
	ck_assert_int_eq(total, 43);
	must(insert(9, 100));
	ck_assert_int_eq(mongodb_find_each(db, &find, sum, &total, &err),
	                 ERR_LIMIT);
	ck_assert_str_eq(err.text, "enough");
	bson_destroy(all);
	bson_destroy(down);
}
END_TEST

/* A server that refuses an update says why. */
START_TEST(bad_update)
{
	bson_t *one = BCON_NEW("_id", BCON_INT32(1));
	bson_t *bad = BCON_NEW("$nonsense", "{", "n", BCON_INT32(1), "}");

	must(insert(1, 1));
	ck_assert_int_eq(
	    mongodb_update(db, "a", one, bad, false, false, NULL, &err),
	    ERR_INVALID);
	bson_destroy(one);
	bson_destroy(bad);
}
END_TEST

/* --- indexes and versions ----------------------------------------------- */

START_TEST(indexes)
{
	struct mongodb_index index = {"a", "a_n", "n:1,_id:-1", false, NULL};
	struct mongodb_index unique = {"a", "a_u", "n:1", true, NULL};

	must(mongodb_ensure_indexes(db, &index, 1, &err));
	must(mongodb_ensure_indexes(db, &index, 1, &err));
	must(insert(1, 1));
	must(mongodb_ensure_indexes(db, &unique, 1, &err));
	ck_assert_int_eq(insert(2, 1), ERR_EXISTS);
	index.keys = "n:1,_id:1";
	ck_assert_int_eq(mongodb_ensure_indexes(db, &index, 1, &err),
	                 ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "a_n"));
	unique.unique = false;
	ck_assert_int_eq(mongodb_ensure_indexes(db, &unique, 1, &err),
	                 ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "a_u"));
	/* An index with other keys gives way, one that is right or not there
	 * does not matter. */
	must(mongodb_drop_outdated_index(db, &index, &err));
	must(mongodb_ensure_indexes(db, &index, 1, &err));
	must(mongodb_drop_outdated_index(db, &index, &err));
	must(mongodb_ensure_indexes(db, &index, 1, &err));
	index.name = "a_other";
	must(mongodb_drop_outdated_index(db, &index, &err));
	index.collection = "nowhere";
	must(mongodb_drop_outdated_index(db, &index, &err));
	index.name = "bad";
	index.keys = "n";
	ck_assert_int_eq(mongodb_ensure_indexes(db, &index, 1, &err),
	                 ERR_INVALID);
}
END_TEST

static int first_calls, third_calls;

static int first(struct mongodb_db *to, struct error *error)
{
	(void)to, (void)error;
	first_calls++;
	return 0;
}

static int third(struct mongodb_db *to, struct error *error)
{
	(void)to;
	if (third_calls++ == 0)
		return error_set(error, ERR_UNAVAILABLE, "not yet");
	return 0;
}

START_TEST(migrations)
{
	int (*const steps[])(struct mongodb_db *,
	                     struct error *) = {first, NULL, third};

	must(mongodb_migrate(db, "spool", steps, 1, &err));
	must(mongodb_migrate(db, "spool", steps, 1, &err));
	ck_assert_int_eq(first_calls, 1);
	ck_assert_int_eq(mongodb_migrate(db, "spool", steps, 3, &err),
	                 ERR_UNAVAILABLE);
	must(mongodb_migrate(db, "spool", steps, 3, &err));
	ck_assert_int_eq(first_calls, 1);
	ck_assert_int_eq(third_calls, 2);
	ck_assert_int_eq(mongodb_migrate(db, "spool", steps, 2, &err),
	                 ERR_VERSION);
	must(mongodb_migrate(db, "registry", steps, 1, &err));
	ck_assert_int_eq(first_calls, 2);
}
END_TEST

/* --- threads ------------------------------------------------------------ */

/* Counts up by conditional changes: no turn is lost, none counts twice. */
static void *count_up(void *context)
{
	struct mongodb_db *shared = context;

	for (int won = 0; won < 20;) {
		bson_t *one = BCON_NEW("_id", BCON_INT32(1));
		bson_t *found, *selector, *set;
		int64_t n;
		bool matched;

		must(mongodb_find_one(shared, "a", one, NULL, &found, &err));
		n = mongodb_get_int(found, "n");
		selector = BCON_NEW("_id", BCON_INT32(1), "n", BCON_INT64(n));
		set = BCON_NEW("$set", "{", "n", BCON_INT64(n + 1), "}");
		must(mongodb_update(shared, "a", selector, set, false, false,
		                    &matched, &err));
		won += matched;
		bson_destroy(one);
		bson_destroy(found);
		bson_destroy(selector);
		bson_destroy(set);
	}
	return NULL;
}

START_TEST(threads)
{
	pthread_t started[4];

	must(insert(1, 0));
	for (int i = 0; i < 4; i++)
		ck_assert(!pthread_create(&started[i], NULL, count_up, db));
	for (int i = 0; i < 4; i++)
		pthread_join(started[i], NULL);
	ck_assert_int_eq(read_n(1), 80);
}
END_TEST

/* A pool that is used up says so in time. */
START_TEST(exhausted)
{
	char *small = mem_format("%s%cmaxPoolSize=1&waitQueueTimeoutMS=100",
	                         uri, strchr(uri, '?') ? '&' : '?');
	struct mongodb_options options = {.uri = small};
	struct mongodb_db *tight = NULL;
	mongoc_client_t *client;
	bson_t selector = BSON_INITIALIZER;
	int64_t count;

	must(mongodb_db_open(&tight, &options, &err));
	client = mongodb_take(tight, &err);
	ck_assert_ptr_nonnull(client);
	ck_assert_int_eq(
	    mongodb_count(tight, "a", &selector, NULL, 0, &count, &err),
	    ERR_UNAVAILABLE);
	mongodb_give(tight, client);
	must(mongodb_count(tight, "a", &selector, NULL, 0, &count, &err));
	mongodb_db_close(tight);
	bson_destroy(&selector);
	free(small);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-db");
	TCase *all = tcase_create("operations");

	if (!mongodb_fixture_present())
		return EXIT_SUCCESS;
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_set_timeout(all, 60);
	tcase_add_test(all, opened);
	tcase_add_loop_test(all, refusals, 0,
	                    (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(all, inserts);
	tcase_add_test(all, too_large);
	tcase_add_loop_test(all, insert_many, 0, 2);
	tcase_add_test(all, many_are_split);
	tcase_add_test(all, updates);
	tcase_add_test(all, upsert_taken);
	tcase_add_test(all, many_at_once);
	tcase_add_test(all, find_and_modify);
	tcase_add_test(all, find_each);
	tcase_add_test(all, bad_update);
	tcase_add_test(all, indexes);
	tcase_add_test(all, migrations);
	tcase_add_test(all, threads);
	tcase_add_test(all, exhausted);
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}
