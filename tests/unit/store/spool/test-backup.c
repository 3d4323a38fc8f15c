/* Backups of the SQLite spool: beside writers, and with a medium that fails. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/await.h"
#include "tests/support/fault-vfs.h"
#include "tests/support/remove-tree.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define WRITERS    2
#define ACKED      20000
#define KEPT       7 /* of so many messages one keeps its body */
#define SMALL      300
#define LARGE      (FIXTURE_LARGE + 500)
#define ROUNDS     3
#define HEAD_START 300

static struct spool_fixture fixture;
static char target[80];

static void setup(void)
{
	fault_vfs_install();
	fixture_open(&fixture);
	(void)snprintf(target, sizeof(target), "%s-copy", fixture.directory);
}

static void remove_target(void)
{
	(void)remove_tree(target);
}

static void teardown(void)
{
	remove_target();
	fixture_close(&fixture);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* The spool that the backup is, opened as any other. */
static void open_copy(struct spool_fixture *copy)
{
	struct error err = {.text = ""};

	*copy = fixture;
	copy->options.location = target;
	(void)snprintf(copy->directory, sizeof(copy->directory), "%.63s",
	               target);
	ck_assert_msg(!spool_open(&copy->spool, &copy->options, &err), "%s",
	              err.text);
	ck_assert_msg(!spool_check(copy->spool, &err), "%s", err.text);
}

/* --- beside writers ------------------------------------------------------ */

struct crowd {
	pthread_mutex_t lock;
	struct id acked[ACKED]; /* whose commit has returned */
	size_t count;
	atomic_bool stop;
};

static struct crowd crowd;

static void fill(char *body, size_t size, const struct id *id)
{
	for (size_t i = 0; i < size; i++)
		body[i] = (char)id->bytes[i % sizeof(id->bytes)];
}

static size_t size_of(size_t turn)
{
	return turn % 2 ? LARGE : SMALL;
}

/* Adds a message; all but some end at once, so that their bodies go. */
static void add_one(size_t turn)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	size_t size = size_of(turn);
	char *body = mem_alloc(size);
	struct spool_change change;

	fill(body, size, &message.id);
	message.size = (int64_t)size;
	change = fixture_add_change(&message, body, size);
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	(void)pthread_mutex_lock(&crowd.lock);
	if (crowd.count < ACKED)
		crowd.acked[crowd.count++] = message.id;
	(void)pthread_mutex_unlock(&crowd.lock);
	if (turn % KEPT)
		ck_assert_int_eq(
		    fixture_move(&fixture, message.id, 0, SPOOL_DISCARDED), 0);
	free(body);
	spool_message_release(&message);
}

static void *write_on(void *context)
{
	for (size_t turn = 0; !atomic_load(&crowd.stop); turn++)
		add_one(turn);
	return context;
}

static size_t acked_count(void)
{
	size_t count;

	(void)pthread_mutex_lock(&crowd.lock);
	count = crowd.count;
	(void)pthread_mutex_unlock(&crowd.lock);
	return count;
}

static void expect_body(struct spool_fixture *copy,
                        const struct spool_message *message)
{
	size_t size;
	char *body = fixture_body(copy, message->id, &size);
	char *wanted = mem_alloc(size);

	ck_assert_uint_eq(size, (size_t)message->size);
	fill(wanted, size, &message->id);
	ck_assert_mem_eq(body, wanted, size);
	free(wanted);
	free(body);
}

/* Every one acknowledged before is there; every body whole, no file besides. */
static void expect_copy(size_t acked)
{
	struct spool_fixture copy;

	open_copy(&copy);
	for (size_t i = 0; i < acked_count(); i++) {
		struct spool_message message;
		struct error err = {.text = ""};
		int result =
		    spool_read(copy.spool, &crowd.acked[i], &message, &err);

		ck_assert_msg(!result || i >= acked, "%s", err.text);
		if (result)
			continue;
		if (message.body_present)
			expect_body(&copy, &message);
		spool_message_release(&message);
	}
	spool_close(copy.spool);
}

/*
 * Holds the copying of the database up, some times, so that bodies that it
 * names are gone before they can be linked.
 */
static void hold_up(void *context, const char *what, int64_t done,
                    int64_t total)
{
	int *times = context;

	(void)done;
	(void)total;
	if (strcmp(what, "pages") == 0 && *times > 0) {
		size_t more = acked_count() + 4;

		(*times)--;
		await(acked_count() >= more);
	}
}

START_TEST(beside_writers_nothing_is_missing)
{
	pthread_t writers[WRITERS];
	int times = 0;
	const struct store_progress progress = {.tell = hold_up,
	                                        .context = &times};

	crowd.count = 0;
	atomic_store(&crowd.stop, false);
	(void)pthread_mutex_init(&crowd.lock, NULL);
	for (size_t i = 0; i < WRITERS; i++)
		ck_assert(!pthread_create(&writers[i], NULL, write_on, NULL));
	await(acked_count() >= HEAD_START);
	for (int round = 0; round < ROUNDS; round++) {
		size_t acked = acked_count();
		struct error err = {.text = ""};

		times = 2 * round;
		ck_assert_msg(
		    !spool_backup(fixture.spool, target, &progress, &err), "%s",
		    err.text);
		expect_copy(acked);
		remove_target();
	}
	atomic_store(&crowd.stop, true);
	for (size_t i = 0; i < WRITERS; i++)
		(void)pthread_join(writers[i], NULL);
	(void)pthread_mutex_destroy(&crowd.lock);
}
END_TEST

/* As another process does, which has the spool open beside the agent. */
START_TEST(from_a_shared_spool)
{
	struct spool *shared = NULL;
	struct error err = {.text = ""};
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct spool_fixture copy;

	ck_assert_int_eq(spool_open_shared(&shared, &fixture.options, &err), 0);
	ck_assert_msg(!spool_backup(shared, target, NULL, &err), "%s",
	              err.text);
	spool_close(shared);
	open_copy(&copy);
	ck_assert_int_eq(fixture_state(&copy, id, 0), SPOOL_HELD);
	spool_close(copy.spool);
}
END_TEST

/* Where files cannot be linked they are copied. */
START_TEST(to_another_file_system)
{
	struct spool_fixture copy;
	struct error err = {.text = ""};
	char *body = mem_alloc(LARGE);
	struct spool_message message = fixture_message(1, SPOOL_HELD);

	fill(body, LARGE, &message.id);
	message.size = LARGE;
	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&message, body, LARGE)),
	    0);
	(void)snprintf(target, sizeof(target), "/dev/shm/turing-copy-%d",
	               (int)getpid());
	ck_assert_msg(!spool_backup(fixture.spool, target, NULL, &err), "%s",
	              err.text);
	open_copy(&copy);
	expect_body(&copy, &message);
	ck_assert_uint_eq(fixture_count_files(&copy, "bodies"), 1);
	spool_close(copy.spool);
	spool_message_release(&message);
	free(body);
}
END_TEST

/* What is not the backup's is left alone. */
START_TEST(a_directory_that_is_there)
{
	char *file = mem_format("%s/other", target);
	struct error err = {.text = ""};

	ck_assert_int_eq(mkdir(target, 0700), 0);
	ck_assert_int_eq(mkdir(file, 0700), 0);
	ck_assert_int_eq(spool_backup(fixture.spool, target, NULL, &err),
	                 ERR_EXISTS);
	ck_assert(exists(file) && *err.text);
	ck_assert_int_eq(rmdir(file), 0);
	ck_assert_int_eq(spool_backup(fixture.spool, target, NULL, &err), 0);
	free(file);
}
END_TEST

START_TEST(a_failure_leaves_nothing)
{
	static const struct {
		enum fault fault;
		int code, result; /* 0: whichever */
	} rows[] = {
	    {FAULT_WRITE, SQLITE_FULL, ERR_FULL},
	    {FAULT_WRITE, SQLITE_IOERR_WRITE, ERR_IO},
	    {FAULT_READ, SQLITE_IOERR_READ, 0},
	};
	struct error err = {.text = ""};
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	bool happened = true;
	int skip = 0;

	for (; happened; skip++) {
		int result;

		fault_vfs_arm(rows[_i].fault, skip, rows[_i].code);
		result = spool_backup(fixture.spool, target, NULL, &err);
		happened = fault_vfs_disarm();
		/* SQLite forgives some, of its index of the log for one. */
		if (result < 0 && rows[_i].result)
			ck_assert_int_eq(result, rows[_i].result);
		ck_assert(happened || !result);
		ck_assert_int_eq(exists(target), !result);
		remove_target();
	}
	ck_assert_int_gt(skip, 1);
	/* The spool itself is none the worse. */
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_QUEUED), 0);
}
END_TEST

START_TEST(no_place_to_write_to)
{
	char *path = mem_format("%s/spool.db/copy", fixture.directory);
	struct error err = {.text = ""};

	ck_assert_int_lt(spool_backup(fixture.spool, path, NULL, &err), 0);
	ck_assert(*err.text);
	free(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-backup");
	TCase *tests = tcase_create("backup");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, beside_writers_nothing_is_missing);
	tcase_add_test(tests, from_a_shared_spool);
	tcase_add_test(tests, to_another_file_system);
	tcase_add_test(tests, a_directory_that_is_there);
	tcase_add_loop_test(tests, a_failure_leaves_nothing, 0, 3);
	tcase_add_test(tests, no_place_to_write_to);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
