/* What only the spool in SQLite has: its files, its lock, its schema. */
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "store/spool/sqlite/private.h"
#include "tests/support/remove-tree.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

static char *path_of(const char *name)
{
	return mem_format("%s/%s", fixture.directory, name);
}

static void execute(const char *sql)
{
	char *path = path_of("spool.db");
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	free(path);
}

static void touch(const char *name)
{
	char *path = path_of(name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	(void)close(fd);
	free(path);
}

/* Neither way to open it may give a spool. */
static void expect_refused(int code)
{
	struct spool *other = NULL;
	struct error err = {.text = ""};

	ck_assert_int_eq(spool_open(&other, &fixture.options, &err), code);
	ck_assert_int_eq(spool_open_shared(&other, &fixture.options, &err),
	                 code);
	ck_assert_ptr_null(other);
	ck_assert_str_ne(err.text, "");
}

static void open_again(void)
{
	struct error err = {.text = ""};

	ck_assert_msg(!spool_open(&fixture.spool, &fixture.options, &err), "%s",
	              err.text);
}

/* What version 1 wrote: a message that failed and one that is held. */
static void write_version_1(void)
{
	static const char rows[] =
	    "INSERT INTO message VALUES (1, x'0197000000007000800000000000000"
	    "1', 1, 2, 6, 0, 'a@x.example', 'a@x.example', '', '', '', '',"
	    " '', '', '', '', 0, 0, 0, 0, 0, '', ''),"
	    " (2, x'01970000000070008000000000000002', 1, 2, 6, 0,"
	    " 'a@x.example', 'a@x.example', '', '', '', '', '', '', '', '',"
	    " 0, 0, 0, 0, 0, '', '');"
	    "INSERT INTO recipient VALUES"
	    " (x'01970000000070008000000000000001', 0, 4, 5, 1, 0, NULL,"
	    " NULL, 0, 0, '', 'b@y.example', 'list', '', '550 no', ''),"
	    " (x'01970000000070008000000000000002', 0, 0, 5, 0, 0, NULL, 2,"
	    " 0, 0, '', 'b@y.example', '', '', '', '');"
	    "INSERT INTO body VALUES (2, 6, NULL, CAST('body' AS BLOB) ||"
	    " x'0d0a');"
	    "INSERT INTO ended VALUES"
	    " (5, x'01970000000070008000000000000001');"
	    "UPDATE total SET failed = 1, held = 1, body_bytes = 6;"
	    "PRAGMA user_version = 1";
	static const char *const files[] = {"spool.db", "spool.db-wal",
	                                    "spool.db-shm"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *path = path_of(files[i]);

		(void)unlink(path);
		free(path);
	}
	execute(spool_sqlite_steps[0]);
	execute(rows);
}

/* Failed mail of version 1 has no body: it is over, as it was. */
START_TEST(version_1_is_migrated)
{
	struct spool_query waits = {.states = SPOOL_IN(SPOOL_HELD) |
	                                      SPOOL_IN(SPOOL_FAILED),
	                            .kept = true,
	                            .limit = 10};
	struct spool_page page = {.count = 0};
	struct spool_change retry;
	struct id failed;

	spool_close(fixture.spool);
	write_version_1();
	open_again();
	ck_assert_int_eq(
	    id_parse("01970000-0000-7000-8000-000000000001", &failed), 0);
	ck_assert_int_eq(spool_list(fixture.spool, &waits, &page, NULL), 0);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_int_eq(page.messages[0].recipients[0].state, SPOOL_HELD);
	ck_assert_str_eq(page.messages[0].recipients[0].next_hop, "");
	ck_assert(page.messages[0].body_present);
	ck_assert(id_is_none(&page.messages[0].dsn_of));
	spool_page_release(&page);
	retry = fixture_move_change(failed, 0, SPOOL_QUEUED);
	ck_assert_int_eq(fixture_commit(&fixture, retry), ERR_INVALID);
	(void)fixture_add(&fixture, 1, SPOOL_QUEUED);
}
END_TEST

START_TEST(newer_schema_is_refused)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);

	spool_close(fixture.spool);
	execute("PRAGMA user_version = 99");
	expect_refused(ERR_VERSION);
	execute("PRAGMA user_version = 2");
	open_again();
	ck_assert_int_eq(fixture_state(&fixture, id, 0), SPOOL_HELD);
}
END_TEST

/* Fills size bytes at offset of the database with noise. */
static void damage(off_t offset, size_t size)
{
	char *path = path_of("spool.db");
	char *noise = mem_alloc(size);
	int fd = open(path, O_WRONLY);

	memset(noise, 0xa5, size);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, noise, size, offset), (ssize_t)size);
	(void)close(fd);
	free(noise);
	free(path);
}

START_TEST(damaged_head_is_refused)
{
	char *path = path_of("spool.db");

	spool_close(fixture.spool);
	damage(0, 100);
	expect_refused(ERR_CORRUPT);
	ck_assert_int_eq(unlink(path), 0);
	free(path);
	open_again();
}
END_TEST

START_TEST(damage_inside_is_found)
{
	struct spool_change change = {.kind = SPOOL_SET,
	                              .set = {.name = "a", .value = "b"}};
	struct error err = {.text = ""};
	char *path = path_of("spool.db");

	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	spool_close(fixture.spool);
	damage(4096, 20 * (size_t)4096);
	if (!spool_open(&fixture.spool, &fixture.options, &err)) {
		ck_assert_int_eq(spool_check(fixture.spool, &err), ERR_CORRUPT);
		ck_assert_int_eq(spool_commit(fixture.spool, &change, 1, &err),
		                 ERR_CORRUPT);
		spool_close(fixture.spool);
	} else {
		ck_assert_int_eq(err.code, ERR_CORRUPT);
	}
	ck_assert_int_eq(unlink(path), 0);
	free(path);
	path = path_of("spool.db-wal");
	(void)unlink(path);
	free(path);
	open_again();
}
END_TEST

START_TEST(wrong_totals_are_found)
{
	struct error err = {.text = ""};

	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	execute("UPDATE total SET held = 2");
	ck_assert_int_eq(spool_check(fixture.spool, &err), ERR_CORRUPT);
	execute("UPDATE total SET held = 1");
	execute("UPDATE recipient SET message = x'00'");
	ck_assert_int_eq(spool_check(fixture.spool, &err), ERR_CORRUPT);
	execute("UPDATE recipient SET message = (SELECT id FROM message)");
	ck_assert_int_eq(spool_check(fixture.spool, &err), 0);
}
END_TEST

START_TEST(second_opening_is_refused)
{
	struct spool *other = NULL;
	struct error err = {.text = ""};

	ck_assert_int_eq(spool_open(&other, &fixture.options, &err),
	                 ERR_EXISTS);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(shared_beside_a_running_agent)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct spool *own = fixture.spool;
	struct spool_page page = {.count = 0};
	struct spool_body *body = NULL;
	struct error err = {.text = ""};

	(void)fixture_add(&fixture, 1, SPOOL_QUEUED);
	ck_assert_int_eq(spool_claim(own, FIXTURE_OWNER, FIXTURE_NOW_MS, 1000,
	                             5, &page, &err),
	                 0);
	spool_page_release(&page);
	touch("incoming/being-received");
	ck_assert_msg(
	    !spool_open_shared(&fixture.spool, &fixture.options, &err), "%s",
	    err.text);
	/* No recovery: leases and files stand. */
	ck_assert_uint_eq(fixture_count_files(&fixture, "incoming"), 1);
	ck_assert_int_eq(spool_claim(fixture.spool, "x", FIXTURE_NOW_MS, 1000,
	                             5, &page, &err),
	                 0);
	ck_assert_uint_eq(page.count, 0);
	spool_page_release(&page);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DISCARDED), 0);
	spool_close(fixture.spool);
	fixture.spool = own;
	ck_assert_int_eq(fixture_state(&fixture, id, 0), SPOOL_DISCARDED);
	ck_assert_int_eq(spool_body_open(own, &id, &body, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_QUEUED),
	                 ERR_INVALID);
}
END_TEST

START_TEST(shared_needs_a_spool)
{
	struct spool_options options = fixture.options;
	struct spool *other = NULL;
	struct error err = {.text = ""};

	options.location = "/tmp/turing-no-such-spool";
	ck_assert_int_eq(spool_open_shared(&other, &options, &err),
	                 ERR_NOT_FOUND);
	ck_assert_int_eq(access(options.location, F_OK), -1);
}
END_TEST

START_TEST(orphans_are_swept)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	char *bytes = mem_alloc(20000);
	size_t size;

	ck_assert_int_eq(fixture_commit(&fixture, fixture_add_change(
	                                              &message, bytes, 20000)),
	                 0);
	free(bytes);
	touch("incoming/half-received");
	touch("bodies/0190a1b2-0000-7000-8000-000000000000.0123456789abcdef");
	touch("bodies/whatever");
	ck_assert_uint_eq(fixture_count_files(&fixture, "bodies"), 3);
	fixture_reopen(&fixture);
	ck_assert_uint_eq(fixture_count_files(&fixture, "bodies"), 1);
	ck_assert_uint_eq(fixture_count_files(&fixture, "incoming"), 0);
	free(fixture_body(&fixture, message.id, &size));
	ck_assert_uint_eq(size, 20000);
	spool_message_release(&message);
}
END_TEST

START_TEST(lost_body_is_told_from_none)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	char *bytes = mem_alloc(20000);
	struct spool_body *body = NULL;
	struct error err = {.text = ""};

	ck_assert_int_eq(fixture_commit(&fixture, fixture_add_change(
	                                              &message, bytes, 20000)),
	                 0);
	free(bytes);
	execute("UPDATE body SET file = 'gone'");
	ck_assert_int_eq(
	    spool_body_open(fixture.spool, &message.id, &body, &err),
	    ERR_CORRUPT);
	ck_assert_int_eq(spool_check(fixture.spool, &err), ERR_CORRUPT);
	/* A body that is lost does not end the spool. */
	ck_assert_int_eq(fixture_move(&fixture, message.id, 0, SPOOL_DISCARDED),
	                 0);
	spool_message_release(&message);
}
END_TEST

static int check_private(const char *path, const struct stat *status, int type,
                         struct FTW *place)
{
	(void)type;
	(void)place;
	ck_assert_msg((status->st_mode & 07777) ==
	                  (S_ISDIR(status->st_mode) ? 0700u : 0600u),
	              "%s: %o", path, status->st_mode);
	ck_assert_msg(status->st_uid == (geteuid() ? geteuid() : 4242),
	              "%s: of %u", path, status->st_uid);
	return 0;
}

/* Whatever the mask; what root makes, the owner of the directory can open. */
START_TEST(files_are_private)
{
	char large[FIXTURE_LARGE + 100];
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	struct spool_change change =
	    fixture_add_change(&message, large, sizeof(large));

	memset(large, 'x', sizeof(large));
	spool_close(fixture.spool);
	ck_assert_int_eq(remove_tree(fixture.directory), 0);
	ck_assert_int_eq(mkdir(fixture.directory, 0700), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(fixture.directory, 4242, 4242), 0);
	(void)umask(0);
	open_again();
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_uint_eq(fixture_count_files(&fixture, "bodies"), 1);
	ck_assert_int_eq(nftw(fixture.directory, check_private, 8, FTW_PHYS),
	                 0);
	spool_message_release(&message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-sqlite");
	TCase *tests = tcase_create("sqlite");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, newer_schema_is_refused);
	tcase_add_test(tests, version_1_is_migrated);
	tcase_add_test(tests, damaged_head_is_refused);
	tcase_add_test(tests, damage_inside_is_found);
	tcase_add_test(tests, wrong_totals_are_found);
	tcase_add_test(tests, second_opening_is_refused);
	tcase_add_test(tests, shared_beside_a_running_agent);
	tcase_add_test(tests, shared_needs_a_spool);
	tcase_add_test(tests, orphans_are_swept);
	tcase_add_test(tests, lost_body_is_told_from_none);
	tcase_add_test(tests, files_are_private);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
