/* The SQLite helpers: versions, statements, errors, pool, checkpoints. */
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/fs.h"
#include "common/mem.h"
#include "store/sqlite/checkpoint.h"
#include "store/sqlite/db.h"
#include "store/sqlite/pool.h"
#include "tests/support/await.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"

static char directory[] = "/tmp/turing-sqlite-XXXXXX";
static char *path;
static struct sqlite_db *db;

static const char *const steps[] = {
    "CREATE TABLE a (k INTEGER PRIMARY KEY, t TEXT, b BLOB);",
    "ALTER TABLE a ADD COLUMN n INTEGER NOT NULL DEFAULT 5;"
    "CREATE UNIQUE INDEX a_t ON a (t);",
};

static struct sqlite_db *open_db(bool read_only)
{
	struct sqlite_db_options options = {.path = path,
	                                    .create = !read_only,
	                                    .read_only = read_only,
	                                    .busy_timeout_ms = 50};
	struct sqlite_db *opened = NULL;
	struct error err = {.text = ""};

	ck_assert_msg(!sqlite_db_open(&opened, &options, &err), "%s", err.text);
	return opened;
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	path = mem_format("%s/test.db", directory);
	db = open_db(false);
	ck_assert_int_eq(sqlite_db_migrate(db, steps, 2, NULL), 0);
}

static void teardown(void)
{
	sqlite_db_close(db);
	(void)remove_tree(directory);
	free(path);
}

static int run(const char *sql, struct error *err)
{
	return sqlite_run(sqlite_query(db, sql), err);
}

static int64_t number(struct sqlite_db *from, const char *sql)
{
	struct sqlite_query *query = sqlite_query(from, sql);
	int64_t found;

	ck_assert_int_eq(sqlite_step(query, NULL), 1);
	found = sqlite_column_int(query, 0);
	sqlite_reset(query);
	return found;
}

START_TEST(migration)
{
	const char *const wrong[] = {steps[0], steps[1],
	                             "CREATE TABLE c (x);"
	                             "CREATE NONSENSE;"};
	struct error err = {.text = ""};

	ck_assert_int_eq(sqlite_db_migrate(db, steps, 2, &err), 0);
	ck_assert_int_eq(sqlite_db_expect_version(db, 2, &err), 0);
	ck_assert_int_eq(sqlite_db_expect_version(db, 3, &err), ERR_VERSION);
	ck_assert_int_eq(sqlite_db_migrate(db, steps, 1, &err), ERR_VERSION);
	/* A step that fails leaves nothing of itself. */
	ck_assert_int_eq(sqlite_db_migrate(db, wrong, 3, &err), ERR_INVALID);
	ck_assert_int_eq(sqlite_db_expect_version(db, 2, &err), 0);
	ck_assert_int_eq(number(db, "SELECT count(*) FROM sqlite_schema"
	                            " WHERE name = 'c'"),
	                 0);
}
END_TEST

START_TEST(settings)
{
	struct sqlite_query *query = sqlite_query(db, "PRAGMA journal_mode");

	ck_assert_int_eq(sqlite_step(query, NULL), 1);
	ck_assert_str_eq(sqlite_column_text(query, 0), "wal");
	sqlite_reset(query);
	ck_assert_int_eq(number(db, "PRAGMA synchronous"), 2);
	ck_assert_int_eq(number(db, "PRAGMA wal_autocheckpoint"), 0);
	ck_assert_int_eq(number(db, "PRAGMA foreign_keys"), 0);
	ck_assert_int_eq(number(db, "PRAGMA trusted_schema"), 0);
	ck_assert_int_eq(number(db, "PRAGMA secure_delete"), 0);
	ck_assert_int_gt(number(db, "PRAGMA journal_size_limit"), 0);
}
END_TEST

START_TEST(bindings_and_columns)
{
	static const char insert[] = "INSERT INTO a VALUES (?1, ?2, ?3, ?4)";
	struct sqlite_query *query = sqlite_query(db, insert);
	struct id id = {{1, 2, 3}};
	struct id got;
	char *text = mem_copy_string("old");
	size_t size = 9;

	sqlite_bind_int(query, 1, INT64_MIN);
	sqlite_bind_text(query, 2, "'x' \xc3\xa9");
	sqlite_bind_id(query, 3, &id);
	sqlite_bind_int(query, 4, 1);
	ck_assert_int_eq(sqlite_run(query, NULL), 0);
	ck_assert_int_eq(sqlite_db_changes(db), 1);
	/* The same statement again, without what was bound before. */
	ck_assert_ptr_eq(sqlite_query(db, insert), query);
	sqlite_bind_int(query, 1, 7);
	sqlite_bind_blob(query, 3, NULL, 0);
	sqlite_bind_int(query, 4, 1);
	ck_assert_int_eq(sqlite_run(query, NULL), 0);
	ck_assert_int_eq(sqlite_db_last_rowid(db), 7);
	query = sqlite_query(db, "SELECT k, t, b FROM a ORDER BY k");
	ck_assert_int_eq(sqlite_step(query, NULL), 1);
	ck_assert(sqlite_column_int(query, 0) == INT64_MIN);
	ck_assert_int_eq(sqlite_column_copy(query, 1, &text), 0);
	ck_assert_str_eq(text, "'x' \xc3\xa9");
	got = sqlite_column_id(query, 2);
	ck_assert(id_equal(&got, &id));
	ck_assert_int_eq(sqlite_step(query, NULL), 1);
	ck_assert(sqlite_column_is_null(query, 1));
	ck_assert_str_eq(sqlite_column_text(query, 1), "");
	ck_assert(!sqlite_column_is_null(query, 2));
	(void)sqlite_column_blob(query, 2, &size);
	ck_assert_uint_eq(size, 0);
	got = sqlite_column_id(query, 2);
	ck_assert(id_is_none(&got));
	ck_assert_int_eq(sqlite_step(query, NULL), 0);
	free(text);
}
END_TEST

/* More statements than the table first has room for. */
START_TEST(many_statements)
{
	static char sql[300][32];

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 300; i++) {
			(void)snprintf(sql[i], sizeof(sql[i]), "SELECT %d", i);
			ck_assert_int_eq(number(db, sql[i]), i);
		}
}
END_TEST

START_TEST(errors)
{
	struct error err = {.text = ""};
	struct sqlite_query *query;
	struct sqlite_db *reader = open_db(true);
	struct sqlite_db *other = NULL;
	struct sqlite_db_options missing = {.path = "/tmp/turing-no-such.db"};

	ck_assert_int_eq(run("INSERT INTO a VALUES (1, 'x', NULL, 1)", &err),
	                 0);
	ck_assert_int_eq(run("INSERT INTO a VALUES (1, 'y', NULL, 1)", &err),
	                 ERR_EXISTS);
	ck_assert_int_eq(run("INSERT INTO a VALUES (2, 'x', NULL, 1)", &err),
	                 ERR_EXISTS);
	ck_assert_int_eq(run("INSERT INTO a VALUES (2, 'y', NULL, NULL)", &err),
	                 ERR_INVALID);
	ck_assert_int_eq(run("SELECT nonsense FROM a", &err), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "nonsense"));
	query = sqlite_query(db, "SELECT ?1");
	sqlite_bind_int(query, 9, 1);
	ck_assert_int_eq(sqlite_step(query, &err), ERR_INVALID);
	ck_assert_int_lt(
	    sqlite_run(sqlite_query(reader, "DELETE FROM a"), &err), 0);
	ck_assert_int_eq(sqlite_db_open(&other, &missing, &err), ERR_NOT_FOUND);
	ck_assert_ptr_null(other);
	sqlite_db_close(reader);
	sqlite_db_close(NULL);
}
END_TEST

START_TEST(transactions)
{
	struct sqlite_db *other = open_db(false);
	struct error err = {.text = ""};
	int64_t before, after;

	ck_assert_int_eq(sqlite_db_data_version(other, &before, &err), 0);
	ck_assert_int_eq(sqlite_db_begin(db, &err), 0);
	ck_assert_int_eq(sqlite_db_begin(other, &err), ERR_UNAVAILABLE);
	ck_assert_int_eq(run("INSERT INTO a VALUES (1, 'x', NULL, 1)", &err),
	                 0);
	ck_assert_int_eq(number(other, "SELECT count(*) FROM a"), 0);
	sqlite_db_rollback(db);
	sqlite_db_rollback(db);
	ck_assert_int_eq(number(db, "SELECT count(*) FROM a"), 0);
	ck_assert_int_eq(sqlite_db_begin_read(other, &err), 0);
	ck_assert_int_eq(number(other, "SELECT count(*) FROM a"), 0);
	ck_assert_int_eq(sqlite_db_begin(db, &err), 0);
	ck_assert_int_eq(run("INSERT INTO a VALUES (1, 'x', NULL, 1)", &err),
	                 0);
	ck_assert_int_eq(sqlite_db_commit(db, &err), 0);
	ck_assert_int_eq(number(other, "SELECT count(*) FROM a"), 0);
	sqlite_db_rollback(other);
	ck_assert_int_eq(number(other, "SELECT count(*) FROM a"), 1);
	ck_assert_int_eq(sqlite_db_data_version(other, &after, &err), 0);
	ck_assert(before != after);
	ck_assert_int_eq(sqlite_db_check(other, &err), 0);
	sqlite_db_close(other);
}
END_TEST

static void *take_and_give(void *context)
{
	struct sqlite_pool *pool = context;

	for (int i = 0; i < 50; i++) {
		struct sqlite_db *taken = NULL;

		ck_assert_int_eq(sqlite_pool_take(pool, &taken, NULL), 0);
		ck_assert_int_eq(sqlite_db_begin_read(taken, NULL), 0);
		ck_assert_int_eq(number(taken, "SELECT count(*) FROM a"), 0);
		sqlite_pool_give(pool, taken);
	}
	return NULL;
}

START_TEST(pool_of_two_for_six)
{
	struct sqlite_pool *pool = NULL;
	pthread_t threads[6];

	ck_assert_int_eq(sqlite_pool_open(&pool, path, 0, 0, NULL),
	                 ERR_INVALID);
	ck_assert_int_eq(sqlite_pool_open(&pool, path, 2, 0, NULL), 0);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, take_and_give, pool), 0);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	sqlite_pool_give(pool, NULL);
	sqlite_pool_close(pool);
	sqlite_pool_close(NULL);
}
END_TEST

static off_t size_of(const char *name)
{
	struct stat info = {.st_size = 0};

	(void)stat(name, &info);
	return info.st_size;
}

static off_t log_size(void)
{
	char *name = mem_format("%s-wal", path);
	off_t size = size_of(name);

	free(name);
	return size;
}

/* A writer with the thread behind it. */
struct writing {
	pthread_mutex_t writer;
	struct sqlite_checkpointer *checkpointer;
	char bytes[100000];
	int64_t slowest_ms;
};

static struct writing *start_writing(const char *reserve)
{
	struct writing *writing = mem_alloc(sizeof(*writing));

	(void)pthread_mutex_init(&writing->writer, NULL);
	ck_assert_int_eq(sqlite_checkpointer_start(&writing->checkpointer, path,
	                                           reserve, &writing->writer,
	                                           NULL),
	                 0);
	sqlite_checkpointer_watch(writing->checkpointer, db);
	return writing;
}

static void stop_writing(struct writing *writing)
{
	ck_assert_int_eq(sqlite_checkpointer_failure(writing->checkpointer), 0);
	sqlite_checkpointer_stop(writing->checkpointer);
	(void)pthread_mutex_destroy(&writing->writer);
	free(writing);
}

static void write_rows(struct writing *writing, int count)
{
	for (int i = 0; i < count; i++) {
		int64_t begin_ms = clock_monotonic_ms();
		struct sqlite_query *query = sqlite_query(
		    db, "INSERT INTO a VALUES (NULL, NULL, ?1, 0)");

		sqlite_bind_blob(query, 1, writing->bytes, 100000);
		sqlite_checkpointer_give_way(writing->checkpointer);
		ck_assert_int_eq(pthread_mutex_lock(&writing->writer), 0);
		ck_assert_int_eq(sqlite_db_begin(db, NULL), 0);
		ck_assert_int_eq(sqlite_run(query, NULL), 0);
		ck_assert_int_eq(sqlite_db_commit(db, NULL), 0);
		ck_assert_int_eq(pthread_mutex_unlock(&writing->writer), 0);
		if (clock_monotonic_ms() - begin_ms > writing->slowest_ms)
			writing->slowest_ms = clock_monotonic_ms() - begin_ms;
	}
}

/* 120 MB pass through the log, which stays well below that. */
START_TEST(log_stays_small)
{
	struct writing *writing = start_writing(NULL);

	write_rows(writing, 1200);
	ck_assert_int_lt(log_size(), 72 << 20);
	stop_writing(writing);
	sqlite_checkpointer_stop(NULL);
	ck_assert_int_eq(number(db, "SELECT count(*) FROM a"), 1200);
}
END_TEST

/* While a reader needs the log it grows and nobody waits for the reader; once
 * it has ended the log begins anew. */
START_TEST(readers_hold_nobody_up)
{
	struct writing *writing = start_writing(NULL);
	struct sqlite_db *reader = open_db(true);

	write_rows(writing, 10);
	ck_assert_int_eq(sqlite_db_begin_read(reader, NULL), 0);
	ck_assert_int_eq(number(reader, "SELECT count(*) FROM a"), 10);
	write_rows(writing, 500);
	ck_assert_int_gt(log_size(), 45 << 20);
	ck_assert_int_lt(writing->slowest_ms, 2000);
	ck_assert_int_eq(number(reader, "SELECT count(*) FROM a"), 10);
	sqlite_db_rollback(reader);
	sqlite_db_close(reader);
	write_rows(writing, 300);
	ck_assert_int_lt(log_size(), 90 << 20);
	stop_writing(writing);
	ck_assert_int_eq(number(db, "SELECT count(*) FROM a"), 810);
}
END_TEST

/* The space is looked at by the clock, where some is set aside; without that
 * none is. Work wakes the thread as ever. */
START_TEST(space_is_looked_at_by_the_clock)
{
	char *reserve = mem_format("%s-reserve", path);
	struct writing *writing = start_writing(_i ? reserve : NULL);

	if (_i) {
		await((condition_move_clock_ms(2000),
		       access(reserve, F_OK) == 0));
		ck_assert_int_eq(unlink(reserve), 0);
		await((condition_move_clock_ms(2000),
		       access(reserve, F_OK) == 0));
	}
	condition_move_clock_ms(2000);
	write_rows(writing, 20);
	await(size_of(path) >= 1 << 20);
	ck_assert_int_eq(access(reserve, F_OK), _i ? 0 : -1);
	stop_writing(writing);
	free(reserve);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sqlite-db");
	TCase *tests = tcase_create("helpers");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, migration);
	tcase_add_test(tests, settings);
	tcase_add_test(tests, bindings_and_columns);
	tcase_add_test(tests, many_statements);
	tcase_add_test(tests, errors);
	tcase_add_test(tests, transactions);
	tcase_add_test(tests, pool_of_two_for_six);
	tcase_add_test(tests, log_stays_small);
	tcase_add_test(tests, readers_hold_nobody_up);
	tcase_add_loop_test(tests, space_is_looked_at_by_the_clock, 0, 2);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
