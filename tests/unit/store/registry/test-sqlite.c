/* The registry's SQLite file: its versions, its backup, what purges leave. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "store/registry/sqlite/private.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"
#include "tests/unit/store/registry-schemas.h"

#define NOW INT64_C(1700000000000)

static char folder[] = "/tmp/turing-registry-XXXXXX";
static char *location, *path;
static struct registry *registry;

static int try_open(const char *place, struct error *err)
{
	struct registry_options options = {"sqlite", place};

	return registry_open(&registry, &options, err);
}

static void reopen(const char *place)
{
	struct error err = {.text = ""};

	registry_close(registry);
	registry = NULL;
	ck_assert_msg(!try_open(place, &err), "%s", err.text);
}

static void setup(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	location = mem_format("%s/data", folder);
	path = mem_format("%s/registry.db", location);
	ck_assert_int_eq(fs_make_directory(location, NULL), 0);
}

static void teardown(void)
{
	registry_close(registry);
	(void)remove_tree(folder);
	free(location);
	free(path);
}

static void run_sql(const char *sql)
{
	sqlite3 *db = NULL;
	char *text = NULL;
	int code;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	code = sqlite3_exec(db, sql, NULL, NULL, &text);
	ck_assert_msg(code == SQLITE_OK, "%s", text ? text : "");
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static int64_t number(const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	int64_t found;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL),
	                 SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	found = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	return found;
}

static void expect_sound(void)
{
	struct error err = {.text = ""};

	ck_assert_msg(!registry_check(registry, &err), "%s", err.text);
}

/* --- versions ----------------------------------------------------------- */

#define ACME     "x'00000000000000000000000000000001'"
#define ENTRY    "x'00000000000000000000000000000002'"
#define HELD     "x'00000000000000000000000000000003'"
#define RELEASED "x'00000000000000000000000000000004'"

/* A tenant with a domain, an entry, a held message, a decided one. */
static const char version_1[] = SCHEMA_1
    "INSERT INTO tenant VALUES (" ACME ", 'acme', 'fr', 5, 2, 1);"
    "INSERT INTO domain VALUES ('acme.test', " ACME ");"
    "INSERT INTO entry VALUES (" ENTRY ", " ACME ", 1, '', 4, 's@x', 0, 2,"
    " 0, 0, 0, 6, 2, 'a note');"
    "INSERT INTO message VALUES (" HELD ", " ACME ", NULL, 1, 1, 2, 3, 4,"
    " 's@x', 's@x', '', 'Hello', '', '', '', '', 0, 0, 0, 0, 0, '', ''),"
    " (" RELEASED ", " ACME ", NULL, 0, 1, 2, 3, 4,"
    " 's@x', 's@x', '', 'Bye', '', '', '', '', 0, 0, 0, 0, 0, '', '');"
    "INSERT INTO recipient VALUES (" HELD ", 'r@acme.test', " ACME ","
    " 0, 0, 2, '', ''), (" RELEASED ", 'r@acme.test', " ACME ","
    " 0, 1, 7, 'list', 'white');"
    "INSERT INTO decision VALUES (" ACME ", 1, " RELEASED ", 'r@acme.test', 0,"
    " 'list', 'white', 7);"
    "UPDATE counter SET value = 2 WHERE name IN ('revision', 'messages');"
    "UPDATE counter SET value = 1 WHERE name = 'recipients-held';";

static struct id id_of(uint8_t last)
{
	struct id id = {{0}};

	id.bytes[15] = last;
	return id;
}

static void expect_version_1_data(void)
{
	struct id tenant = id_of(1), held = id_of(3);
	struct registry_tenant found;
	struct registry_message message;
	struct registry_decisions decisions;
	struct registry_entries entries;
	struct error err = {.text = ""};
	struct registry_policy_cursor revision;

	ck_assert_int_eq(registry_tenant_find(registry, "acme", &found, &err),
	                 0);
	ck_assert(id_equal(&found.id, &tenant));
	registry_tenant_release(&found);
	ck_assert_int_eq(
	    registry_message_read(registry, &tenant, &held, &message, &err), 0);
	ck_assert_str_eq(message.subject, "Hello");
	ck_assert_int_eq(message.recipients[0].state, REGISTRY_HELD);
	registry_message_release(&message);
	ck_assert_int_eq(
	    registry_decision_list(registry, &tenant, 0, 10, &decisions, &err),
	    0);
	ck_assert_uint_eq(decisions.count, 1);
	registry_decisions_release(&decisions);
	ck_assert_int_eq(
	    registry_entry_list(registry, &tenant, NULL, 10, &entries, &err),
	    0);
	ck_assert_uint_eq(entries.count, 1);
	ck_assert_str_eq(entries.entries[0].note, "a note");
	registry_entries_release(&entries);
	ck_assert_int_eq(
	    registry_policy_revision(registry, &tenant, &revision, &err), 0);
	ck_assert_int_eq(revision.own, 2);
	ck_assert_int_eq(revision.global, 0);
}

START_TEST(version_1_is_migrated)
{
	size_t deleted;

	run_sql(version_1);
	reopen(location);
	ck_assert_int_eq(number("PRAGMA user_version"),
	                 (int64_t)registry_sqlite_version);
	expect_version_1_data();
	expect_sound();
	ck_assert_int_eq(registry_purge(registry, REGISTRY_MESSAGES, 1000, 10,
	                                &deleted, NULL),
	                 0);
	ck_assert_uint_eq(deleted, 1);
	reopen(location);
	expect_version_1_data();
	expect_sound();
}
END_TEST

/* A migrated file has the tables and indexes of a new one. */
START_TEST(migrated_and_new_are_alike)
{
	char *other = mem_format("%s/other", folder);
	char *sql = mem_format("ATTACH '%s/registry.db' AS other;", other);
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;

	run_sql(version_1);
	reopen(location);
	reopen(other);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_prepare_v2(db,
	                       "SELECT name FROM (SELECT name, sql"
	                       " FROM main.sqlite_schema"
	                       " EXCEPT SELECT name, sql"
	                       " FROM other.sqlite_schema)"
	                       " UNION SELECT name FROM (SELECT name, sql"
	                       " FROM other.sqlite_schema"
	                       " EXCEPT SELECT name, sql"
	                       " FROM main.sqlite_schema)",
	                       -1, &statement, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_DONE);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	free(sql);
	free(other);
}
END_TEST

START_TEST(newer_version_is_refused)
{
	struct error err = {.text = ""};

	run_sql(version_1);
	run_sql("PRAGMA user_version = 999");
	ck_assert_int_eq(try_open(location, &err), ERR_VERSION);
	ck_assert_msg(strstr(err.text, "999"), "%s", err.text);
	ck_assert_int_eq(number("PRAGMA user_version"), 999);
	ck_assert_int_eq(number("SELECT count(*) FROM message"), 2);
}
END_TEST

/* --- purges ------------------------------------------------------------- */

static void purge(enum registry_kind kind, size_t limit, size_t wanted)
{
	struct error err = {.text = ""};
	size_t deleted;

	ck_assert_msg(
	    !registry_purge(registry, kind, 1000, limit, &deleted, &err), "%s",
	    err.text);
	ck_assert_uint_eq(deleted, wanted);
}

/* Sequences go on where they were, also when the log is empty. */
START_TEST(sequences_survive_a_purge)
{
	struct id tenant = id_of(1);
	struct registry_decision decision = {.message = id_of(3),
	                                     .recipient = (char *)"r@acme.test",
	                                     .verdict = REGISTRY_DISCARD,
	                                     .decided_ms = 5000};
	struct registry_decisions decisions;
	struct error err = {.text = ""};
	int64_t last;

	run_sql(version_1);
	reopen(location);
	purge(REGISTRY_DECISIONS, 10, 1);
	purge(REGISTRY_DECISIONS, 10, 0);
	expect_sound();
	reopen(location);
	ck_assert_int_eq(registry_decision_last(registry, &tenant, &last, &err),
	                 0);
	ck_assert_int_eq(last, 1);
	ck_assert_int_eq(registry_decide(registry, &tenant, &decision, &err),
	                 0);
	ck_assert_int_eq(
	    registry_decision_list(registry, &tenant, 0, 10, &decisions, &err),
	    0);
	ck_assert_uint_eq(decisions.count, 1);
	ck_assert_int_eq(decisions.decisions[0].sequence, 2);
	registry_decisions_release(&decisions);
	purge(REGISTRY_DECISIONS, 10, 0);
	expect_sound();
}
END_TEST

/* More than one write's worth, with a limit that no write's size divides. */
START_TEST(purges_are_bounded)
{
	run_sql(version_1);
	run_sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
	        " FROM n WHERE i < 150)"
	        " INSERT INTO message SELECT randomblob(16), " ACME ", NULL,"
	        " 0, 1, 2, i, 4, 's@x', 's@x', '', '', '', '', '', '', 0, 0,"
	        " 0, 0, 0, '', '' FROM n;"
	        "INSERT INTO recipient SELECT id, 'r@acme.test', tenant, 0, 2,"
	        " 3, '', '' FROM message WHERE subject = '';"
	        "UPDATE counter SET value = 152 WHERE name = 'messages';"
	        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
	        " FROM n WHERE i < 250)"
	        " INSERT INTO audit SELECT " ACME ", randomblob(16), i, 'cli',"
	        " 'a', '', '' FROM n");
	reopen(location);
	purge(REGISTRY_MESSAGES, 55, 55);
	expect_sound();
	purge(REGISTRY_MESSAGES, 1000, 96);
	purge(REGISTRY_MESSAGES, 1000, 0);
	ck_assert_int_eq(number("SELECT count(*) FROM recipient"), 1);
	purge(REGISTRY_AUDIT, 230, 230);
	purge(REGISTRY_AUDIT, 230, 20);
	expect_sound();
}
END_TEST

/* --- backups ------------------------------------------------------------ */

static void *write_on(void *context)
{
	atomic_bool *stop = context;
	struct id tenant = id_of(1);

	while (!atomic_load(stop)) {
		struct registry_recipient recipient = {.address =
		                                           (char *)"q@a"};
		struct registry_message message = {.id = id_new(),
		                                   .tenant = tenant,
		                                   .expires_ms = NOW,
		                                   .sender = (char *)"s@x",
		                                   .recipients = &recipient,
		                                   .recipient_count = 1};
		int result;

		ck_assert_int_eq(
		    registry_message_add(registry, &message, 1, &result, NULL),
		    0);
	}
	return NULL;
}

START_TEST(backup_beside_a_writer)
{
	char *copy = mem_format("%s/copy", folder);
	struct error err = {.text = ""};
	atomic_bool stop = false;
	pthread_t thread;

	run_sql(version_1);
	reopen(location);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, &stop), 0);
	ck_assert_msg(!registry_backup(registry, copy, NULL, &err), "%s",
	              err.text);
	atomic_store(&stop, true);
	(void)pthread_join(thread, NULL);
	ck_assert_int_eq(registry_backup(registry, copy, NULL, &err),
	                 ERR_EXISTS);
	expect_sound();
	reopen(copy);
	expect_version_1_data();
	expect_sound();
	free(copy);
}
END_TEST

START_TEST(engine_is_told)
{
	reopen(location);
	ck_assert_msg(!strncmp(registry_engine(registry), "SQLite 3.", 9), "%s",
	              registry_engine(registry));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-sqlite");
	TCase *tests = tcase_create("file");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, version_1_is_migrated);
	tcase_add_test(tests, migrated_and_new_are_alike);
	tcase_add_test(tests, newer_version_is_refused);
	tcase_add_test(tests, sequences_survive_a_purge);
	tcase_add_test(tests, purges_are_bounded);
	tcase_add_test(tests, backup_beside_a_writer);
	tcase_add_test(tests, engine_is_told);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
