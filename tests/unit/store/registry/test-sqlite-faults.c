/*
 * The registry on a medium that fails: every write and sync of a change in
 * turn, a full disk, damaged files, and a file that another process locks.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/registry/sqlite/private.h"
#include "store/sqlite/private.h"
#include "tests/support/fault-vfs.h"
#include "tests/support/remove-tree.h"
#include "tests/support/suite.h"
#include "tests/unit/store/registry-schemas.h"

#define NOW   INT64_C(1700000000000)
#define BATCH 20

static char folder[] = "/tmp/turing-registry-XXXXXX";
static char *location, *path;
static struct registry *registry;
static struct id tenant;

static int try_open(struct error *err)
{
	struct registry_options options = {"sqlite", location};

	return registry_open(&registry, &options, err);
}

static void reopen(void)
{
	struct error err = {.text = ""};

	registry_close(registry);
	registry = NULL;
	ck_assert_msg(!try_open(&err), "%s", err.text);
}

static void setup(void)
{
	struct registry_tenant added = {.id = id_new(),
	                                .name = (char *)"a",
	                                .language = (char *)"en",
	                                .created_ms = NOW};
	struct error err = {.text = ""};

	ck_assert_int_eq(crypto_init(), 0);
	fault_vfs_install();
	ck_assert_ptr_nonnull(mkdtemp(folder));
	location = mem_format("%s/data", folder);
	path = mem_format("%s/registry.db", location);
	tenant = added.id;
	reopen();
	ck_assert_msg(!registry_tenant_add(registry, &added, &err), "%s",
	              err.text);
}

static void teardown(void)
{
	registry_close(registry);
	(void)remove_tree(folder);
	free(location);
	free(path);
}

struct batch {
	struct id ids[BATCH];
	struct registry_message messages[BATCH];
	struct registry_recipient recipients[BATCH];
	int results[BATCH];
};

static void fill(struct batch *batch)
{
	for (size_t i = 0; i < BATCH; i++) {
		batch->ids[i] = id_new();
		batch->recipients[i] =
		    (struct registry_recipient){.address = (char *)"r@a"};
		batch->messages[i] = (struct registry_message){
		    .id = batch->ids[i],
		    .tenant = tenant,
		    .received_ms = NOW,
		    .registered_ms = NOW,
		    .expires_ms = NOW + 1000,
		    .sender = (char *)"s@x",
		    .sender_normal = (char *)"s@x",
		    .recipients = &batch->recipients[i],
		    .recipient_count = 1,
		};
	}
}

static int add(struct batch *batch)
{
	struct error err = {.text = ""};
	int result = registry_message_add(registry, batch->messages, BATCH,
	                                  batch->results, &err);

	ck_assert_int_eq(result < 0, *err.text != '\0');
	return result;
}

/* Whether the messages are there: all or none. */
static bool is_there(const struct batch *batch)
{
	size_t found = 0;

	for (size_t i = 0; i < BATCH; i++) {
		struct registry_message message;
		struct error err = {.text = ""};
		int result = registry_message_read(
		    registry, &tenant, &batch->ids[i], &message, &err);

		ck_assert_msg(!result || result == ERR_NOT_FOUND, "%s",
		              err.text);
		if (!result)
			registry_message_release(&message);
		found += !result;
	}
	ck_assert(found == 0 || found == BATCH);
	return found == BATCH;
}

static void expect_sound(void)
{
	struct error err = {.text = ""};

	ck_assert_msg(!registry_check(registry, &err), "%s", err.text);
}

static int decide(const struct id *message)
{
	struct registry_decision decision = {.message = *message,
	                                     .recipient = (char *)"r@a",
	                                     .verdict = REGISTRY_EXPIRE,
	                                     .by = (char *)"expiry",
	                                     .decided_ms = NOW};
	struct error err;

	return registry_decide(registry, &tenant, &decision, &err);
}

/* --- full disks --------------------------------------------------------- */

START_TEST(full_disk_at_every_write)
{
	struct batch kept;
	bool happened = true;
	int skip = 0;

	fill(&kept);
	ck_assert_int_eq(add(&kept), 0);
	for (; happened; skip++) {
		struct batch batch;
		int result;

		fill(&batch);
		fault_vfs_arm(FAULT_WRITE, skip, SQLITE_FULL);
		result = add(&batch);
		happened = fault_vfs_disarm();
		ck_assert_int_eq(result, happened ? ERR_FULL : 0);
		ck_assert_int_eq(is_there(&batch), !happened);
		ck_assert_int_eq(add(&batch), 0);
		ck_assert_int_eq(batch.results[0], happened ? 0 : ERR_EXISTS);
		ck_assert(is_there(&batch) && is_there(&kept));
	}
	ck_assert_int_gt(skip, 10);
	expect_sound();
}
END_TEST

static int do_purge(const struct batch *batch)
{
	size_t deleted = 7;
	struct error err = {.text = ""};
	int result = registry_purge(registry, REGISTRY_MESSAGES, NOW + 2000,
	                            1000, &deleted, &err);

	(void)batch;
	ck_assert_uint_eq(deleted, result ? 7 : BATCH);
	return result;
}

static int do_decide(const struct batch *batch)
{
	return decide(&batch->ids[0]);
}

static int do_replace(const struct batch *batch)
{
	struct registry_record records[BATCH];
	int results[BATCH];
	struct error err;

	for (size_t i = 0; i < BATCH; i++)
		records[i] = (struct registry_record){
		    .kind = REGISTRY_MESSAGES, .message = batch->messages[i]};
	return registry_import(registry, records, BATCH, true, results, &err);
}

static int do_lease(const struct batch *batch)
{
	struct error err;

	(void)batch;
	return registry_lease(registry, "job", "me", NOW, 1000, &err);
}

static const struct {
	int (*act)(const struct batch *batch);
	bool decided; /* before */
} acts[] = {{do_purge, true},
            {do_decide, false},
            {do_replace, false},
            {do_lease, false}};

/* What is left undone can be done again, and the counts agree. */
START_TEST(full_disk_leaves_other_changes_undone)
{
	bool happened = true;
	int skip = 0;

	for (; happened; skip++) {
		struct batch batch;

		fill(&batch);
		ck_assert_int_eq(add(&batch), 0);
		for (size_t i = 0; i < BATCH && acts[_i].decided; i++)
			ck_assert_int_eq(decide(&batch.ids[i]), 0);
		fault_vfs_arm(FAULT_WRITE, skip, SQLITE_FULL);
		if (acts[_i].act(&batch)) {
			expect_sound();
			ck_assert_int_eq(acts[_i].act(&batch), 0);
		}
		happened = fault_vfs_disarm();
		expect_sound();
	}
	ck_assert_int_gt(skip, 1);
}
END_TEST

static void make_version_1(void)
{
	sqlite3 *db = NULL;

	registry_close(registry);
	registry = NULL;
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db,
	                              SCHEMA_1 "INSERT INTO dead_sender"
	                                       " VALUES (zeroblob(32), 5)",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* A migration that finds no space is made later, from where it was. */
START_TEST(full_disk_while_migrating)
{
	static const uint8_t hash[CRYPTO_HASH_SIZE];
	bool happened = true;
	int skip = 0;

	for (; happened; skip++) {
		struct error err = {.text = ""};
		bool dead = false;
		int result;

		make_version_1();
		fault_vfs_arm(FAULT_WRITE, skip, SQLITE_FULL);
		result = try_open(&err);
		happened = fault_vfs_disarm();
		ck_assert_int_eq(result, happened ? ERR_FULL : 0);
		if (happened)
			reopen();
		ck_assert_int_eq(
		    registry_sender_is_dead(registry, hash, &dead, &err), 0);
		ck_assert(dead);
		expect_sound();
	}
	ck_assert_int_gt(skip, 5);
}
END_TEST

/* --- failures ----------------------------------------------------------- */

static const struct {
	enum fault fault;
	int code;
} failures[] = {
    {FAULT_WRITE, SQLITE_IOERR_WRITE},
    {FAULT_SYNC, SQLITE_IOERR_FSYNC},
    {FAULT_WRITE, SQLITE_CORRUPT_VTAB},
};

/* One failure ends all writing, reading goes on; opened anew, nothing that was
 * acknowledged is lost, and what was not is there whole or not at all. */
static bool fail_once(size_t row, int skip)
{
	struct batch kept, batch;
	bool happened;
	int result;

	fill(&kept);
	fill(&batch);
	ck_assert_int_eq(add(&kept), 0);
	fault_vfs_arm(failures[row].fault, skip, failures[row].code);
	result = add(&batch);
	happened = fault_vfs_disarm();
	ck_assert_int_eq(result, happened ? ERR_UNCERTAIN : 0);
	if (happened) {
		result = add(&batch);
		ck_assert(result == ERR_IO || result == ERR_CORRUPT);
		ck_assert_int_eq(decide(&kept.ids[0]), result);
		ck_assert(is_there(&kept));
		reopen();
		(void)is_there(&batch);
		ck_assert_int_eq(add(&batch), 0);
	}
	ck_assert(is_there(&kept) && is_there(&batch));
	expect_sound();
	return happened;
}

START_TEST(failure_at_every_step)
{
	int skip = 0;

	while (fail_once((size_t)_i, skip))
		skip++;
	ck_assert_int_ge(skip, 1);
}
END_TEST

/* What the thread behind the log cannot sync ends the writing too. */
START_TEST(failed_checkpoint_ends_writing)
{
	struct batch kept;
	int result = 0;

	fill(&kept);
	ck_assert_int_eq(add(&kept), 0);
	fault_vfs_arm_others(FAULT_SYNC, 0, SQLITE_IOERR_FSYNC);
	for (int i = 0; i < 5000 && !result; i++) {
		struct batch batch;

		fill(&batch);
		result = add(&batch);
	}
	ck_assert_int_eq(result, ERR_IO);
	ck_assert(fault_vfs_disarm());
	reopen();
	ck_assert(is_there(&kept));
	expect_sound();
}
END_TEST

START_TEST(failing_read_is_told)
{
	struct batch batch;
	struct registry_message message;
	struct error err = {.text = ""};

	fill(&batch);
	ck_assert_int_eq(add(&batch), 0);
	reopen();
	fault_vfs_arm(FAULT_READ, 3, SQLITE_IOERR_READ);
	ck_assert_int_eq(registry_message_read(registry, &tenant, &batch.ids[0],
	                                       &message, &err),
	                 ERR_IO);
	ck_assert_str_ne(err.text, "");
	ck_assert(fault_vfs_disarm());
	ck_assert(is_there(&batch));
}
END_TEST

/* --- damage ------------------------------------------------------------- */

static void damage(long offset, const char *bytes)
{
	int fd;

	registry_close(registry);
	registry = NULL;
	fd = open(path, O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(pwrite(fd, bytes, strlen(bytes), offset), 0);
	(void)close(fd);
}

START_TEST(damaged_head_is_refused)
{
	struct error err = {.text = ""};

	damage(0, "this is no database at all, and never was one");
	ck_assert_int_eq(try_open(&err), ERR_CORRUPT);
	ck_assert_msg(strstr(err.text, "registry.db"), "%s", err.text);
	ck_assert_ptr_null(registry);
}
END_TEST

/* It opens, the check says what is wrong, and no backup is made of it. */
START_TEST(damaged_page_is_found)
{
	struct batch batch;
	struct error err = {.text = ""};
	char *copy = mem_format("%s/copy", folder);

	for (int i = 0; i < 20; i++) {
		fill(&batch);
		ck_assert_int_eq(add(&batch), 0);
	}
	damage(4096 * 60L, "garbage garbage garbage");
	ck_assert_msg(!try_open(&err), "%s", err.text);
	ck_assert_int_eq(registry_check(registry, &err), ERR_CORRUPT);
	ck_assert_msg(strstr(err.text, "registry.db"), "%s", err.text);
	err = (struct error){.text = ""};
	ck_assert_int_eq(registry_backup(registry, copy, NULL, &err),
	                 ERR_CORRUPT);
	ck_assert_str_ne(err.text, "");
	ck_assert_int_ne(access(copy, F_OK), 0);
	free(copy);
}
END_TEST

/* --- locks -------------------------------------------------------------- */

/* Another process that locks the file; it holds until *release is closed. */
static pid_t lock_elsewhere(int *release)
{
	int told[2], held[2];
	pid_t child;
	char byte;

	ck_assert_int_eq(pipe(told), 0);
	ck_assert_int_eq(pipe(held), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		sqlite3 *db = NULL;

		(void)close(held[1]);
		if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix") ||
		    sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL) ||
		    write(told[1], "x", 1) != 1)
			_exit(1);
		(void)!read(held[0], &byte, 1);
		_exit(0);
	}
	(void)close(told[1]);
	(void)close(held[0]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	(void)close(told[0]);
	*release = held[1];
	return child;
}

static void unlock(pid_t child, int release)
{
	int status;

	(void)close(release);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
}

START_TEST(locked_file_is_unavailable)
{
	struct registry_sqlite *sqlite;
	struct batch kept, batch;
	int release;
	pid_t child;

	fill(&kept);
	fill(&batch);
	ck_assert_int_eq(add(&kept), 0);
	registry_close(registry);
	registry = NULL;
	child = lock_elsewhere(&release);
	reopen(); /* nothing to migrate, so nothing to wait for */
	sqlite = (struct registry_sqlite *)registry;
	(void)sqlite3_busy_timeout(sqlite->writer->handle, 100);
	ck_assert_int_eq(add(&batch), ERR_UNAVAILABLE);
	ck_assert(is_there(&kept) && !is_there(&batch));
	unlock(child, release);
	ck_assert_int_eq(add(&batch), 0);
	ck_assert(is_there(&batch));
	expect_sound();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-sqlite-faults");
	TCase *tests = tcase_create("faults");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, full_disk_at_every_write);
	tcase_add_loop_test(tests, full_disk_leaves_other_changes_undone, 0,
	                    (int)(sizeof(acts) / sizeof(*acts)));
	tcase_add_test(tests, full_disk_while_migrating);
	tcase_add_loop_test(tests, failure_at_every_step, 0,
	                    (int)(sizeof(failures) / sizeof(*failures)));
	tcase_add_test(tests, failed_checkpoint_ends_writing);
	tcase_add_test(tests, failing_read_is_told);
	tcase_add_test(tests, damaged_head_is_refused);
	tcase_add_test(tests, damaged_page_is_found);
	tcase_add_test(tests, locked_file_is_unavailable);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
