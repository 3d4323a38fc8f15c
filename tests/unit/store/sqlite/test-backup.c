/* Copies of a database: consistent, beside writers, whole or not at all. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/sqlite/backup.h"
#include "store/sqlite/db.h"
#include "tests/support/fault-vfs.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"

#define ACCOUNTS 2000

static char directory[] = "/tmp/turing-backup-XXXXXX";
static char *path, *target;

/* Accounts whose sum is 0, on a thousand pages. */
static const char *const steps[] = {
    "CREATE TABLE account (id INTEGER PRIMARY KEY, sum INTEGER, fill BLOB);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < 2000)"
    " INSERT INTO account SELECT i, 0, randomblob(2000) FROM n;"};

static struct sqlite_db *open_db(const char *name)
{
	struct sqlite_db_options options = {.path = name, .create = true};
	struct sqlite_db *db = NULL;
	struct error err = {.text = ""};

	ck_assert_msg(!sqlite_db_open(&db, &options, &err), "%s", err.text);
	return db;
}

static void setup(void)
{
	struct sqlite_db *db;

	fault_vfs_install();
	ck_assert_ptr_nonnull(mkdtemp(directory));
	path = mem_format("%s/source.db", directory);
	target = mem_format("%s/copy.db", directory);
	db = open_db(path);
	ck_assert_int_eq(sqlite_db_migrate(db, steps, 1, NULL), 0);
	sqlite_db_close(db);
}

static void teardown(void)
{
	(void)remove_tree(directory);
	free(path);
	free(target);
}

/* Files of the folder whose names begin with prefix. */
static size_t count_files(const char *folder, const char *prefix)
{
	DIR *entries = opendir(folder);
	const struct dirent *entry;
	size_t count = 0;

	ck_assert_ptr_nonnull(entries);
	while ((entry = readdir(entries)))
		count += entry->d_name[0] != '.' &&
		         !strncmp(entry->d_name, prefix, strlen(prefix));
	(void)closedir(entries);
	return count;
}

static int64_t number(struct sqlite_db *db, const char *sql)
{
	struct sqlite_query *query = sqlite_query(db, sql);
	int64_t found;

	ck_assert_int_eq(sqlite_step(query, NULL), 1);
	found = sqlite_column_int(query, 0);
	sqlite_reset(query);
	return found;
}

static void transfer(struct sqlite_db *db)
{
	struct error err = {.text = ""};

	ck_assert_msg(
	    !sqlite_db_begin(db, &err) &&
	        !sqlite_run(sqlite_query(db, "UPDATE account SET sum = sum + 7"
	                                     " WHERE id = abs(random()) % 1000"
	                                     " + 1"),
	                    &err) &&
	        !sqlite_run(sqlite_query(db, "UPDATE account SET sum = sum - 7"
	                                     " WHERE id = abs(random()) % 1000"
	                                     " + 1001"),
	                    &err) &&
	        !sqlite_db_commit(db, &err),
	    "%s", err.text);
}

static void expect_whole(const char *name, int64_t sum)
{
	struct sqlite_db *db = open_db(name);

	ck_assert_int_eq(number(db, "SELECT count(*) FROM account"), ACCOUNTS);
	ck_assert_int_eq(number(db, "SELECT sum(sum) FROM account"), 0);
	ck_assert_int_eq(number(db, "SELECT sum(abs(sum)) FROM account"), sum);
	ck_assert_int_eq(number(db, "PRAGMA user_version"), 1);
	ck_assert_int_eq(sqlite_db_check(db, NULL), 0);
	sqlite_db_close(db);
}

/* What a callback saw, and what it does meanwhile. */
struct telling {
	struct sqlite_db *db; /* writes at every call */
	int64_t calls, done, total, slowest_ms;
};

static void tell(void *context, const char *what, int64_t done, int64_t total)
{
	struct telling *telling = context;
	int64_t begin_ms = clock_monotonic_ms();

	ck_assert_str_eq(what, "pages");
	ck_assert_int_gt(done, telling->done);
	telling->calls++;
	telling->done = done;
	telling->total = total;
	if (!telling->db)
		return;
	transfer(telling->db);
	if (clock_monotonic_ms() - begin_ms > telling->slowest_ms)
		telling->slowest_ms = clock_monotonic_ms() - begin_ms;
}

/* A writer goes on meanwhile; the copy has nothing of what it writes. */
START_TEST(copy_is_of_one_moment)
{
	struct telling telling = {.db = open_db(path)};
	struct store_progress progress = {tell, &telling};
	struct error err = {.text = ""};

	transfer(telling.db);
	ck_assert_msg(!sqlite_backup_file(path, target, &progress, &err), "%s",
	              err.text);
	ck_assert_int_gt(telling.calls, 2);
	ck_assert_int_eq(telling.done, telling.total);
	ck_assert_int_lt(telling.slowest_ms, 1000);
	ck_assert_int_eq(number(telling.db, "SELECT sum(abs(sum)) > 14"
	                                    " FROM account"),
	                 1);
	sqlite_db_close(telling.db);
	ck_assert_uint_eq(count_files(directory, "copy.db"), 1);
	expect_whole(target, 14);
}
END_TEST

struct writing {
	atomic_bool stop;
};

static void *write_on(void *context)
{
	struct writing *writing = context;
	struct sqlite_db *db = open_db(path);

	while (!atomic_load(&writing->stop))
		transfer(db);
	sqlite_db_close(db);
	return NULL;
}

START_TEST(copies_beside_a_busy_writer)
{
	struct writing writing = {.stop = false};
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, &writing), 0);
	for (int i = 0; i < 5; i++) {
		struct error err = {.text = ""};
		struct sqlite_db *db;

		ck_assert_msg(!sqlite_backup_file(path, target, NULL, &err),
		              "%s", err.text);
		db = open_db(target);
		ck_assert_int_eq(number(db, "SELECT sum(sum) FROM account"), 0);
		sqlite_db_close(db);
		ck_assert_int_eq(unlink(target), 0);
	}
	atomic_store(&writing.stop, true);
	(void)pthread_join(thread, NULL);
}
END_TEST

static const struct {
	int code, result;
} faults[] = {{SQLITE_FULL, ERR_FULL}, {SQLITE_IOERR_WRITE, ERR_IO}};

/* Every some writes, so that it does not take long. */
START_TEST(failing_writes_leave_nothing)
{
	bool happened = true;
	int skip = 0;

	for (; happened; skip += 97) {
		struct error err = {.text = ""};
		int result;

		fault_vfs_arm(FAULT_WRITE, skip, faults[_i].code);
		result = sqlite_backup_file(path, target, NULL, &err);
		happened = fault_vfs_disarm();
		ck_assert_int_eq(result, happened ? faults[_i].result : 0);
		ck_assert_int_eq(*err.text != '\0', happened);
		ck_assert_uint_eq(count_files(directory, "copy.db"),
		                  happened ? 0 : 1);
	}
	ck_assert_int_gt(skip, 500);
	expect_whole(target, 0);
}
END_TEST

/* A page of the source is damaged: no copy that cannot be used. */
START_TEST(damaged_source_is_not_copied)
{
	int fd = open(path, O_WRONLY);
	struct error err = {.text = ""};

	ck_assert_int_eq(pwrite(fd, "garbage garbage", 15, 4096 * 40L), 15);
	(void)close(fd);
	ck_assert_int_eq(sqlite_backup_file(path, target, NULL, &err),
	                 ERR_CORRUPT);
	ck_assert_str_ne(err.text, "");
	ck_assert_uint_eq(count_files(directory, "copy.db"), 0);
}
END_TEST

START_TEST(what_is_there_is_kept)
{
	struct error err = {.text = ""};
	FILE *file = fopen(target, "w");
	struct stat status;

	ck_assert_int_eq(fputs("mine", file), 1);
	(void)fclose(file);
	ck_assert_int_eq(sqlite_backup_file(path, target, NULL, &err),
	                 ERR_EXISTS);
	ck_assert_int_eq(stat(target, &status), 0);
	ck_assert_int_eq(status.st_size, 4);
	ck_assert_int_eq(unlink(target), 0);
	ck_assert_int_eq(
	    sqlite_backup_file("/nowhere/x.db", target, NULL, &err),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(sqlite_backup_file(path, "/nowhere/x.db", NULL, &err),
	                 ERR_IO);
	ck_assert_uint_eq(count_files(directory, "copy.db"), 0);
}
END_TEST

/* What a killed run left is no obstacle. */
START_TEST(partial_copy_is_begun_anew)
{
	char *partial = mem_format("%s.partial", target);
	struct error err = {.text = ""};
	FILE *file = fopen(partial, "w");

	ck_assert_int_eq(fputs("half", file), 1);
	(void)fclose(file);
	ck_assert_msg(!sqlite_backup_file(path, target, NULL, &err), "%s",
	              err.text);
	ck_assert_uint_eq(count_files(directory, "copy.db"), 1);
	expect_whole(target, 0);
	free(partial);
}
END_TEST

START_TEST(directories)
{
	char *inner = mem_format("%s/some/copy", directory);
	struct error err = {.text = ""};
	bool made = false;

	ck_assert_int_eq(sqlite_backup_prepare(directory, &made, &err),
	                 ERR_EXISTS);
	ck_assert_int_eq(sqlite_backup_prepare(path, &made, &err), ERR_EXISTS);
	ck_assert_int_eq(sqlite_backup_prepare(inner, &made, &err), 0);
	ck_assert(made);
	ck_assert_int_eq(sqlite_backup_finish(inner, made, ERR_FULL, &err),
	                 ERR_FULL);
	ck_assert_int_ne(access(inner, F_OK), 0);
	ck_assert_int_eq(sqlite_backup_prepare(inner, &made, &err), 0);
	ck_assert_int_eq(sqlite_backup_finish(inner, made, 0, &err), 0);
	ck_assert_int_eq(sqlite_backup_prepare(inner, &made, &err), 0);
	ck_assert(!made);
	ck_assert_int_eq(sqlite_backup_finish(inner, made, ERR_IO, &err),
	                 ERR_IO);
	ck_assert_int_eq(access(inner, F_OK), 0);
	free(inner);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sqlite-backup");
	TCase *tests = tcase_create("backup");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, copy_is_of_one_moment);
	tcase_add_test(tests, copies_beside_a_busy_writer);
	tcase_add_loop_test(tests, failing_writes_leave_nothing, 0,
	                    (int)(sizeof(faults) / sizeof(*faults)));
	tcase_add_test(tests, damaged_source_is_not_copied);
	tcase_add_test(tests, what_is_there_is_kept);
	tcase_add_test(tests, partial_copy_is_begun_anew);
	tcase_add_test(tests, directories);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
