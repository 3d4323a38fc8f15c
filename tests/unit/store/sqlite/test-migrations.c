/*
 * Older schemas of both stores in SQLite, brought to today's: every row reads
 * back the same, wherever a kill comes, and however many do it at once.
 */
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/fs.h"
#include "common/mem.h"
#include "store/registry/sqlite/private.h"
#include "store/spool/spool.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"
#include "tests/unit/store/registry-schemas.h"
#include "tests/unit/store/spool-schemas.h"

#define RACERS 4

static char folder[64];
static char *location;

static void setup(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	(void)snprintf(folder, sizeof(folder), "/tmp/turing-migrate-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	location = mem_format("%s/data", folder);
}

static void teardown(void)
{
	(void)remove_tree(folder);
	free(location);
}

/* --- the versions there were --------------------------------------------- */

/*
 * A row or more in each table; bytes that are no UTF-8 among the texts. $07
 * stands for the id that ends with this byte, #07 for such a hash.
 */
static const char rows_1[] =
    "INSERT INTO tenant VALUES ($01, 'acme', 'fr', 5, 2, 1),"
    " ($02, 'beta', 'en', 6, 0, 0);"
    "INSERT INTO domain VALUES ('acme.test', $01);"
    "INSERT INTO agent_key VALUES"
    " ('tk_1', $03, $01, 'mx', #03, 7, 0),"
    " ('tk_2', $04, $01, 'mx', #04, 7, 8);"
    "INSERT INTO user VALUES"
    " ('u@acme.test', $05, $01, 'admin', 'x', 9);"
    "INSERT INTO lease VALUES ('expiry', 'one', 10);"
    "INSERT INTO secret VALUES ('sender-hash', #06);"
    "INSERT INTO audit VALUES"
    " (zeroblob(16), $07, 11, 'cli', 'a', 'b', 'c');"
    "INSERT INTO entry VALUES"
    " ($08, $01, 1, '', 4, 's@x', 0, 2, 0, 0, 0, 6, 2,"
    " CAST(x'6e6f7465ff' AS TEXT)),"
    " ($09, zeroblob(16), 0, '', 1, '192.0.2.0/24', 1, 1, 0, 1, 12, 6, 1,"
    " '');"
    "INSERT INTO message VALUES"
    " ($10, $01, $13, 1, 1, 2, 3, 4, 's@x', 's@x', 'f', 'Hello', 'm',"
    " '192.0.2.1', 'h', 'why', 1, 1, 1, 2, 3, 'd', 'e'),"
    " ($11, $01, NULL, 0, 1, 2, 3, 4, 's@x', 's@x', '',"
    " CAST(x'e9ff' AS TEXT), '', '', '', '', 0, 0, 0, 0, 0, '', '');"
    "INSERT INTO recipient VALUES"
    " ($10, 'r@acme.test', $01, 0, 0, 2, '', ''),"
    " ($11, 'r@acme.test', $01, 0, 1, 7, 'list', 'white');"
    "INSERT INTO decision VALUES"
    " ($01, 1, $11, 'r@acme.test', 0, 'list', 'white', 7);"
    "INSERT INTO challenge VALUES"
    " ($13, $01, $10, #13, #14, 0, 1, 2, 0, 's@x', 'CODE', 1, 2, 0, 3, 4,"
    " 'w', 5, '451'),"
    " ($14, $01, $10, #13, #14, 2, 1, 2, 3, 's@x', '', 0, 0, 1, 1, 0, '', 0,"
    " '250');"
    "INSERT INTO dead_sender VALUES (#15, 12);"
    "UPDATE counter SET value = 2 WHERE name IN ('revision', 'messages');"
    "UPDATE counter SET value = 1"
    " WHERE name IN ('recipients-held', 'global-policy');";

/* Messages have numbers in version 3; none is in the table of addresses. */
static const char rows_3[] =
    "INSERT INTO tenant VALUES ($01, 'acme', 'fr', 5, 2, 1);"
    "INSERT INTO message VALUES"
    " (1, $10, $01, $13, 1, 1, 2, 3, 4, 's@x', 's@x', 'f', 'Hello', 'm',"
    " '192.0.2.1', 'h', 'why', 1, 1, 1, 2, 3, 'd', 'e'),"
    " (4, $11, $01, NULL, 0, 1, 2, 3, 4, 's@x', 's@x', '',"
    " CAST(x'e9ff' AS TEXT), '', '', '', '', 0, 0, 0, 0, 0, '', '');"
    "INSERT INTO recipient VALUES"
    " ($10, 'r@acme.test', $01, 0, 0, 2, '', ''),"
    " ($11, 'r@acme.test', $01, 0, 1, 7, 'list', 'white');"
    "INSERT INTO decision VALUES"
    " ($01, 1, $11, 'r@acme.test', 0, 'list', 'white', 7);"
    "UPDATE counter SET value = 2 WHERE name = 'messages';"
    "UPDATE counter SET value = 1 WHERE name = 'recipients-held';";

/* A held message that the cloud is to hear of, and one that is delivered. */
static const char spool_rows_1[] =
    "INSERT INTO message VALUES"
    " (1, $01, 5, 90, 6, 1, 's@x', 's@x', 'f@x',"
    " CAST(x'e9ff' AS TEXT), '<m@x>', '192.0.2.1', 'mx.x', 'h', 'ESMTP',"
    " 'list', 1, 1, 2, 3, 1, 'x', 'y'),"
    " (2, $02, 5, 90, 6, 0, '', '', '', '', '', '', '', '', '', '', 0, 0, 0,"
    " 0, 0, '', '');"
    "INSERT INTO body VALUES (1, 6, NULL, 'hello!');"
    "INSERT INTO recipient VALUES"
    " ($01, 0, 0, 5, 0, 0, NULL, 90, 0, 0, '', 'r@acme.test', 'list',"
    " 'no entry', '', ''),"
    " ($02, 0, 3, 6, 1, 0, NULL, NULL, 1, 0, '', 'r@acme.test', 'x', 'y',"
    " '250 ok', '2026-11-21T08:00:00Z queued list: white');"
    "INSERT INTO unregistered VALUES ($01);"
    "INSERT INTO ended VALUES (6, $02);"
    "UPDATE total SET held = 1, delivered = 1, unregistered = 1,"
    " body_bytes = 6;"
    "INSERT INTO value VALUES ('policy.revision', '7');"
    "INSERT INTO entry VALUES"
    " ($08, 1, 0, 2, 4, 1, 0, 5, 7, '', 's@x', 'note');";

/* The SQL with its ids and hashes written out; the caller frees it. */
static char *write_out(const char *sql)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	for (; *sql; sql++) {
		if (*sql != '$' && *sql != '#') {
			(void)fputc(*sql, out);
			continue;
		}
		(void)fprintf(out, "x'%0*d%.2s'", *sql == '$' ? 30 : 62, 0,
		              sql + 1);
		sql += 2;
	}
	(void)fclose(out);
	return text;
}

static int open_registry(void)
{
	struct registry_options options = {"sqlite", location};
	struct registry *opened = NULL;
	struct error err = {.text = ""};
	int result = registry_open(&opened, &options, &err);

	if (!result)
		result = registry_check(opened, &err);
	if (result)
		(void)fprintf(stderr, "%s\n", err.text);
	registry_close(opened);
	return result;
}

static int open_spool(void)
{
	struct spool_options options = {.backend = "sqlite",
	                                .location = location,
	                                .owner = "agent",
	                                .large_body_bytes = 1000};
	struct spool *opened = NULL;
	struct error err = {.text = ""};
	int result = spool_open(&opened, &options, &err);

	if (!result)
		result = spool_check(opened, &err);
	if (result)
		(void)fprintf(stderr, "%s\n", err.text);
	spool_close(opened);
	return result;
}

/* Each version of each store, and how to open it. A file that is empty is
 * version 0: a first start that was killed. */
static const struct old {
	const char *name, *file, *schema, *rows;
	int64_t version;
	int (*open)(void);
	bool shared; /* several may open it at once */
} olds[] = {
    {"registry 0", "registry.db", "", "", 0, open_registry, true},
    {"registry 1", "registry.db", SCHEMA_1, rows_1, 1, open_registry, true},
    {"registry 2", "registry.db", SCHEMA_2, rows_1, 2, open_registry, true},
    {"registry 3", "registry.db", SCHEMA_3, rows_3, 3, open_registry, true},
    {"spool 0", "spool.db", "", "", 0, open_spool, false},
    {"spool 1", "spool.db", SPOOL_SCHEMA_1, spool_rows_1, 1, open_spool, false},
};

/* --- files --------------------------------------------------------------- */

static sqlite3 *open_raw(const struct old *old)
{
	char *path = mem_format("%s/%s", location, old->file);
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	free(path);
	return db;
}

static void make(const struct old *old)
{
	char *rows = write_out(old->rows);
	sqlite3 *db;
	char *text = NULL;
	int code;

	(void)remove_tree(location);
	ck_assert_int_eq(fs_make_directory(location, NULL), 0);
	db = open_raw(old);
	code = sqlite3_exec(db, old->schema, NULL, NULL, &text);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db, rows, NULL, NULL, &text);
	free(rows);
	ck_assert_msg(code == SQLITE_OK, "%s", text ? text : "");
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* "a, b, c" of the table as the template has it; the caller frees it. */
static char *columns_of(sqlite3 *template, const char *table)
{
	char *sql = sqlite3_mprintf("PRAGMA table_info(%Q)", table);
	sqlite3_stmt *columns = NULL;
	char *list = mem_copy_string("");

	ck_assert_int_eq(sqlite3_prepare_v2(template, sql, -1, &columns, NULL),
	                 SQLITE_OK);
	while (sqlite3_step(columns) == SQLITE_ROW) {
		char *longer =
		    mem_format("%s%s\"%s\"", list, *list ? ", " : "",
		               (const char *)sqlite3_column_text(columns, 1));

		free(list);
		list = longer;
	}
	(void)sqlite3_finalize(columns);
	sqlite3_free(sql);
	return list;
}

static void print_rows(sqlite3 *db, const char *table, const char *columns,
                       FILE *out)
{
	char *sql =
	    sqlite3_mprintf("SELECT %s FROM \"%w\" ORDER BY 1", columns, table);
	sqlite3_stmt *rows = NULL;

	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &rows, NULL),
	                 SQLITE_OK);
	while (sqlite3_step(rows) == SQLITE_ROW) {
		(void)fprintf(out, "%s:", table);
		for (int i = 0; i < sqlite3_column_count(rows); i++) {
			const uint8_t *bytes = sqlite3_column_blob(rows, i);
			int size = sqlite3_column_bytes(rows, i);

			(void)fprintf(out,
			              " %s%d=", sqlite3_column_name(rows, i),
			              sqlite3_column_type(rows, i));
			for (int j = 0; j < size; j++)
				(void)fprintf(out, "%02x", bytes[j]);
		}
		(void)fputc('\n', out);
	}
	(void)sqlite3_finalize(rows);
	sqlite3_free(sql);
}

/* All rows, to the byte, in the tables and columns that the template has. */
static char *dump_as(const struct old *old, sqlite3 *template)
{
	sqlite3 *db = open_raw(old);
	sqlite3_stmt *names = NULL;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(
	    sqlite3_prepare_v2(template,
	                       "SELECT name FROM sqlite_schema"
	                       " WHERE type = 'table' ORDER BY name",
	                       -1, &names, NULL),
	    SQLITE_OK);
	while (sqlite3_step(names) == SQLITE_ROW) {
		const char *table = (const char *)sqlite3_column_text(names, 0);
		char *columns = columns_of(template, table);

		print_rows(db, table, columns, out);
		free(columns);
	}
	(void)sqlite3_finalize(names);
	(void)sqlite3_close(db);
	(void)fclose(out);
	return text;
}

/* What the file has of all that its version had. */
static char *dump(const struct old *old)
{
	sqlite3 *template = NULL;
	char *text;

	ck_assert_int_eq(sqlite3_open(":memory:", &template), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(template, old->schema, NULL, NULL, NULL),
	                 SQLITE_OK);
	text = dump_as(old, template);
	(void)sqlite3_close(template);
	return text;
}

/* What the file has of all that it could have. */
static char *dump_all(const struct old *old)
{
	sqlite3 *template = open_raw(old);
	char *text = dump_as(old, template);

	(void)sqlite3_close(template);
	return text;
}

static int64_t number(const struct old *old, const char *sql)
{
	sqlite3 *db = open_raw(old);
	sqlite3_stmt *statement = NULL;
	int64_t found;

	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL),
	                 SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	found = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	return found;
}

static int64_t version_of(const struct old *old)
{
	return number(old, "PRAGMA user_version");
}

/* What a new store of this kind has. */
static int64_t newest(const struct old *old)
{
	struct old fresh = {
	    .file = old->file, .schema = "", .rows = "", .open = old->open};
	int64_t version;

	make(&fresh);
	ck_assert_int_eq(old->open(), 0);
	version = version_of(old);
	ck_assert_int_gt(version, old->version);
	return version;
}

/* The registry's one count of revisions: there are several since version 5. */
#define OLD_COUNT "counter: name3=7265766973696f6e "

/* Each row is there as it was; there may be new ones. */
static void expect_rows(const struct old *old, const char *before)
{
	char *now = dump(old), *row, *rest, *rows = mem_copy_string(before);

	for (row = strtok_r(rows, "\n", &rest); row;
	     row = strtok_r(NULL, "\n", &rest)) {
		char *line = mem_format("%s\n", row);

		ck_assert_msg(strstr(now, line) != NULL ||
		                  !strncmp(row, OLD_COUNT, strlen(OLD_COUNT)),
		              "lost: %.900s", row);
		free(line);
	}
	free(rows);
	free(now);
}

/* --- tests --------------------------------------------------------------- */

START_TEST(every_row_stays)
{
	const struct old *old = &olds[_i];
	int64_t wanted = newest(old);
	char *before;

	make(old);
	before = dump(old);
	ck_assert_int_eq(version_of(old), old->version);
	ck_assert_int_eq(old->open(), 0);
	ck_assert_int_eq(version_of(old), wanted);
	expect_rows(old, before);
	/* Once is enough. */
	ck_assert_int_eq(old->open(), 0);
	expect_rows(old, before);
	free(before);
}
END_TEST

/* What was registered before is found as what comes after. */
START_TEST(messages_are_found)
{
	struct registry_options options = {"sqlite", location};
	struct registry_query queries[] = {
	    {.sender_normal = "s@x", .limit = 9},
	    {.recipient = "r@acme.test", .limit = 9}};
	struct registry *opened = NULL;

	make(&olds[_i]);
	ck_assert_int_eq(registry_open(&opened, &options, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		struct registry_messages page;

		ck_assert_int_eq(
		    registry_message_list(opened, &queries[i], &page, NULL), 0);
		ck_assert_uint_eq(page.count, 2);
		registry_messages_release(&page);
	}
	registry_close(opened);
}
END_TEST

/* The fixture has a row in each table that its version had. */
START_TEST(fixture_is_complete)
{
	static const char *const tables[] = {
	    "tenant",    "domain",   "agent_key", "user",       "lease",
	    "secret",    "counter",  "audit",     "entry",      "message",
	    "recipient", "decision", "challenge", "dead_sender"};

	make(&olds[1]);
	ck_assert_int_eq(number(&olds[1], "SELECT count(*) FROM sqlite_schema"
	                                  " WHERE type = 'table'"),
	                 (int64_t)(sizeof(tables) / sizeof(*tables)));
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		char *sql =
		    mem_format("SELECT count(*) FROM \"%s\"", tables[i]);

		ck_assert_msg(number(&olds[1], sql) > 0, "%s", tables[i]);
		free(sql);
	}
}
END_TEST

/* The child is killed when SQLite has worked so many times five steps. */
static long kill_after;

static int count_down(void *context)
{
	(void)context;
	if (kill_after-- <= 0)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

static int count_steps(sqlite3 *db, char **text,
                       const struct sqlite3_api_routines *api)
{
	(void)text;
	(void)api;
	sqlite3_progress_handler(db, 5, count_down, NULL);
	return SQLITE_OK;
}

/* Whether the opening was killed. */
static bool open_killed(const struct old *old, long after)
{
	pid_t child = fork();
	int status = -1;

	ck_assert_int_ge(child, 0);
	if (!child) {
		kill_after = after;
		(void)sqlite3_auto_extension((void (*)(void))count_steps);
		_exit(old->open() ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return true;
	ck_assert_int_eq(status, 0);
	return false;
}

/* Whatever it was doing, one version or the next is there, whole. */
START_TEST(kills_do_no_harm)
{
	const struct old *old = &olds[_i];
	int64_t wanted = newest(old), seen_old = 0, seen_new = 0;
	bool killed = true;
	char *before;

	make(old);
	before = dump(old);
	for (long after = 0; killed; after += after / 3 + 1) {
		make(old);
		killed = open_killed(old, after);
		ck_assert_int_ge(version_of(old), old->version);
		ck_assert_int_le(version_of(old), wanted);
		seen_old += version_of(old) == old->version;
		seen_new += version_of(old) > old->version;
		expect_rows(old, before);
		ck_assert_int_eq(old->open(), 0);
		ck_assert_int_eq(version_of(old), wanted);
		expect_rows(old, before);
	}
	ck_assert_int_gt(seen_old, 3);
	ck_assert_int_gt(seen_new, 1);
	free(before);
}
END_TEST

/* Each of several processes finds it as new, or makes it so. */
START_TEST(processes_migrate_at_once)
{
	const struct old *old = &olds[_i];
	int64_t wanted = newest(old);
	pid_t children[RACERS];
	char *before;

	if (!old->shared)
		return;
	make(old);
	before = dump(old);
	for (int i = 0; i < RACERS; i++) {
		children[i] = fork();
		ck_assert_int_ge(children[i], 0);
		if (!children[i])
			_exit(old->open() ? 1 : 0);
	}
	for (int i = 0; i < RACERS; i++) {
		int status = -1;

		ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(version_of(old), wanted);
	expect_rows(old, before);
	free(before);
}
END_TEST

/* Versions that no program wrote yet, or ever will. */
START_TEST(other_versions_are_refused)
{
	static const char *const pragmas[] = {"PRAGMA user_version = 99",
	                                      "PRAGMA user_version = -1"};
	const struct old *old = &olds[_i];
	char *before;

	(void)newest(old);
	before = dump_all(old);
	for (size_t i = 0; i < 2; i++) {
		sqlite3 *db = open_raw(old);
		char *after;

		ck_assert_int_eq(sqlite3_exec(db, pragmas[i], NULL, NULL, NULL),
		                 SQLITE_OK);
		ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
		ck_assert_int_eq(old->open(), ERR_VERSION);
		after = dump_all(old);
		ck_assert_str_eq(after, before);
		free(after);
	}
	free(before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sqlite-migrations");
	TCase *tests = tcase_create("migrations");
	const int count = (int)(sizeof(olds) / sizeof(*olds));

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, fixture_is_complete);
	tcase_add_loop_test(tests, every_row_stays, 0, count);
	tcase_add_loop_test(tests, messages_are_found, 1, 4);
	tcase_add_loop_test(tests, kills_do_no_harm, 0, count);
	tcase_add_loop_test(tests, processes_migrate_at_once, 0, count);
	tcase_add_loop_test(tests, other_versions_are_refused, 0, count);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
