/*
 * Conformance of the registry: opening, schema versions, damage, leases,
 * secrets, watching.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tests/conformance/registry/fixture.h"
#include "tests/support/await.h"

START_TEST(data_stays_when_closed)
{
	struct registry_tenant tenant;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	registry_close(registry);
	registry = open_again();
	ok(registry_tenant_find(registry, "b", &tenant, E));
	registry_tenant_release(&tenant);
	ck_assert_int_eq(state_of(&tenant_a, 1, "r@a"), REGISTRY_HELD);
	ok(registry_check(registry, E));
	registry_close(NULL);
}
END_TEST

START_TEST(instances_see_each_other)
{
	struct registry *first = registry, *second = open_again();

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	registry = second;
	ok(decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
	registry = first;
	fails(ERR_CONFLICT, decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
	ck_assert_int_eq(state_of(&tenant_a, 1, "r@a"), REGISTRY_RELEASED);
	registry_close(second);
}
END_TEST

static const struct registry_options bad_options[] = {
    {NULL, "/tmp/x"},
    {"sqlite", NULL},
    {"sqlite", ""},
    {"oracle", "/tmp/x"},
};

START_TEST(options_are_checked)
{
	struct registry *opened = NULL;
	struct error err = {0};

	fails(ERR_INVALID, registry_open(&opened, &bad_options[_i], &err));
	ck_assert_ptr_null(opened);
	ck_assert_str_ne(err.text, "");
}
END_TEST

#define RACERS 4

static void *race_to_open(void *context)
{
	struct registry_options options = {backend(), location};
	struct registry *opened = NULL;
	struct error err = {0};

	if (registry_open(&opened, &options, &err))
		(void)fprintf(stderr, "%s\n", err.text);
	else
		(void)registry_secret(opened, "s", context, &err);
	registry_close(opened);
	return opened;
}

/* All make the same store, and all read one secret. */
START_TEST(store_is_made_once)
{
	uint8_t secrets[RACERS][32] = {{0}};
	pthread_t threads[RACERS];
	size_t length = strlen(location);
	char *first = strdup(location);

	if (is_sqlite())
		(void)snprintf(location + length, sizeof(location) - length,
		               "-2");
	else
		set_location();
	for (int i = 0; i < RACERS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, race_to_open, secrets[i]),
		    0);
	for (int i = 0; i < RACERS; i++) {
		void *opened;

		ck_assert_int_eq(pthread_join(threads[i], &opened), 0);
		ck_assert_ptr_nonnull(opened);
		ck_assert_mem_eq(secrets[i], secrets[0], 32);
	}
	if (is_sqlite()) {
		char path[600];

		(void)snprintf(path, sizeof(path), "%s/registry.db", location);
		(void)remove(path);
		(void)remove(location);
		free(first);
	} else
		mongodb_fixture_drop(first);
}
END_TEST

START_TEST(secret_is_made_once)
{
	struct registry *other = open_again();
	uint8_t one[32] = {0}, two[32] = {0}, empty[32] = {0};

	ok(registry_secret(registry, "sender-hash", one, E));
	ok(registry_secret(other, "sender-hash", two, E));
	ck_assert_mem_eq(one, two, 32);
	ck_assert_mem_ne(one, empty, 32);
	ok(registry_secret(other, "token", two, E));
	ck_assert_mem_ne(one, two, 32);
	fails(ERR_INVALID, registry_secret(other, "", two, NULL));
	registry_close(other);
}
END_TEST

static const struct {
	const char *name, *owner;
	int64_t now, lease; /* after NOW; length */
	int code;
} leases[] = {
    {"mail", "w1", 0, 100, 0},
    {"mail", "w2", 50, 100, ERR_CONFLICT},
    {"expiry", "w2", 50, 100, 0},
    {"mail", "w1", 60, 100, 0}, /* until 160 */
    {"mail", "w2", 159, 100, ERR_CONFLICT},
    {"mail", "w2", 160, 100, 0}, /* until 260 */
    {"mail", "w1", 200, 100, ERR_CONFLICT},
    {"mail", "w2", 201, 0, 0}, /* given back */
    {"mail", "w1", 201, 100, 0},
    {"", "w1", 201, 100, ERR_INVALID},
    {"mail", "", 201, 100, ERR_INVALID},
};

START_TEST(lease_is_one_owners)
{
	for (size_t i = 0; i < sizeof(leases) / sizeof(*leases); i++) {
		int code =
		    registry_lease(registry, leases[i].name, leases[i].owner,
		                   NOW + leases[i].now, leases[i].lease, NULL);

		ck_assert_msg(code == leases[i].code, "row %zu: %s", i,
		              error_name(code));
	}
}
END_TEST

/* --- watching ----------------------------------------------------------- */

START_TEST(watch_tells_of_changes)
{
	int64_t version = 0, before, start;

	ok(registry_watch(registry, &version, 5000, E));
	ck_assert_int_ne(version, 0);
	before = version;
	start = clock_monotonic_ms();
	ok(registry_watch(registry, &version, 300, E));
	ck_assert_int_ge(clock_monotonic_ms() - start, 290);
	ck_assert_int_eq(version, before);
	put_message(&tenant_a, 1, "s", "r@a", NULL);
	start = clock_monotonic_ms();
	ok(registry_watch(registry, &version, 5000, E));
	ck_assert_int_lt(clock_monotonic_ms() - start, 1000);
	ck_assert_int_ne(version, before);
	/* One change, one wake. */
	before = version;
	ok(registry_watch(registry, &version, 450, E));
	ck_assert_int_eq(version, before);
	/* What failed changed nothing. */
	fails(ERR_NOT_FOUND, decide(&tenant_a, 9, "r@a", REGISTRY_RELEASE));
	ok(registry_watch(registry, &version, 250, E));
	ck_assert_int_eq(version, before);
}
END_TEST

/* Nobody is woken by what changes nothing, nor by leases and claims. */
START_TEST(watch_sleeps_through_the_rest)
{
	struct registry *other = open_again();
	struct registry_challenge challenge = challenge_of(1, 1);
	struct registry_challenges page;
	struct id id = id_of(1);
	int64_t version = 0, before;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_message_event(registry, &tenant_a, &id, "r@a",
	                          REGISTRY_DELIVERED, NOW, "", E));
	ok(registry_watch(registry, &version, 0, E));
	before = version;
	ok(registry_message_event(registry, &tenant_a, &id, "r@a",
	                          REGISTRY_DELIVERED, NOW, "", E));
	put_message(&tenant_a, 1, "s", "r@a", NULL);
	for (int64_t i = 0; i < 3; i++) {
		ok(registry_challenge_claim_mail(i % 2 ? other : registry, "w",
		                                 NOW + i, 2, 9, &page, E));
		registry_challenges_release(&page);
		ok(registry_lease(i % 2 ? other : registry, "job", "w", NOW + i,
		                  9, E));
	}
	ok(registry_watch(registry, &version, 500, E));
	ck_assert_int_eq(version, before);
	registry_close(other);
}
END_TEST

struct watcher {
	pthread_t thread;
	struct registry *registry;
	int64_t version, took_ms;
	int result;
};

/* How many of them were started. */
static atomic_int watching;

static void *watch(void *context)
{
	struct watcher *watcher = context;
	int64_t start = clock_monotonic_ms();

	watching++;
	watcher->result =
	    registry_watch(watcher->registry, &watcher->version, 20000, NULL);
	watcher->took_ms = clock_monotonic_ms() - start;
	return NULL;
}

static void start_watchers(struct watcher watchers[RACERS])
{
	int64_t version = 0;

	watching = 0;
	ok(registry_watch(registry, &version, 0, E));
	for (int i = 0; i < RACERS; i++) {
		watchers[i].registry = registry;
		watchers[i].version = version;
		ck_assert_int_eq(pthread_create(&watchers[i].thread, NULL,
		                                watch, &watchers[i]),
		                 0);
	}
	await(watching == RACERS);
}

static void join_watchers(struct watcher watchers[RACERS], bool changed)
{
	int64_t version;

	for (int i = 0; i < RACERS; i++) {
		(void)pthread_join(watchers[i].thread, NULL);
		ck_assert_int_eq(watchers[i].result, 0);
		ck_assert_int_lt(watchers[i].took_ms, 15000);
	}
	version = watchers[0].version;
	if (changed)
		ok(registry_watch(registry, &version, 0, E));
}

START_TEST(change_wakes_all_here)
{
	struct watcher watchers[RACERS] = {0};

	start_watchers(watchers);
	put_message(&tenant_a, 1, "s", "r@a", NULL);
	join_watchers(watchers, true);
}
END_TEST

START_TEST(change_wakes_across_instances)
{
	struct watcher watchers[RACERS] = {0};
	struct registry *mine = registry, *other = open_again();

	start_watchers(watchers);
	registry = other;
	put_message(&tenant_a, 1, "s", "r@a", NULL);
	registry = mine;
	join_watchers(watchers, true);
	registry_close(other);
}
END_TEST

/* A new process, which inherits nothing of this one's store. */
static pid_t change_elsewhere(void)
{
	pid_t child = fork();

	if (child)
		return child;
	(void)execl("/proc/self/exe", "self", "change", location, NULL);
	_exit(127);
}

/* What the process of change_elsewhere() does, outside of any test. */
static int change(const char *where)
{
	struct registry_options options = {backend(), where};
	struct registry_recipient recipient = {.address = (char *)"r@a"};
	struct registry_message message = {.id = id_of(77),
	                                   .tenant = id_of(0xa0000000),
	                                   .recipients = &recipient,
	                                   .recipient_count = 1};
	struct registry *opened = NULL;
	int result = 1;

	if (crypto_init() || registry_open(&opened, &options, NULL) ||
	    registry_message_add(opened, &message, 1, &result, NULL))
		return 1;
	registry_close(opened);
	return result;
}

START_TEST(change_wakes_across_processes)
{
	struct watcher watchers[RACERS] = {0};
	int status = -1;
	pid_t child;

	start_watchers(watchers);
	child = change_elsewhere();
	ck_assert_int_gt(child, 0);
	join_watchers(watchers, true);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(state_of(&tenant_a, 77, "r@a"), REGISTRY_HELD);
}
END_TEST

START_TEST(cancel_ends_watches)
{
	struct watcher watchers[RACERS] = {0};
	int64_t version;

	start_watchers(watchers);
	registry_watch_cancel(registry);
	join_watchers(watchers, false);
	version = watchers[0].version;
	ok(registry_watch(registry, &version, 20000, E));
}
END_TEST

/* --- the file ----------------------------------------------------------- */

static char *db_path(void)
{
	static char path[600];

	(void)snprintf(path, sizeof(path), "%s/registry.db", location);
	return path;
}

static void expect_open(int code)
{
	struct registry_options options = {backend(), location};
	struct error err = {0};

	fails(code, registry_open(&registry, &options, &err));
	ck_assert_str_ne(err.text, "");
}

static void run_sql(const char *sql)
{
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(db_path(), &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

START_TEST(newer_schema_is_refused)
{
	registry_close(registry);
	registry = NULL;
	run_sql("PRAGMA user_version = 1000");
	expect_open(ERR_VERSION);
}
END_TEST

START_TEST(files_are_private)
{
	static const char *const names[] = {"", "-wal", "-shm"};
	struct stat stat_buffer;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[650];

		(void)snprintf(path, sizeof(path), "%s%s", db_path(), names[i]);
		ck_assert_int_eq(stat(path, &stat_buffer), 0);
		ck_assert_int_eq(stat_buffer.st_mode & 077, 0);
	}
}
END_TEST

START_TEST(damaged_file_is_refused)
{
	int fd;

	registry_close(registry);
	registry = NULL;
	fd = open(db_path(), O_WRONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, "garbage garbage garbage", 23, 0), 23);
	(void)close(fd);
	expect_open(ERR_CORRUPT);
}
END_TEST

/* Another program's database is not taken for an empty one. */
START_TEST(foreign_file_is_refused)
{
	registry_close(registry);
	registry = NULL;
	run_sql("DROP TABLE tenant; CREATE TABLE t (x);"
	        "PRAGMA application_id = 4711");
	expect_open(ERR_CORRUPT);
}
END_TEST

static const char *const damages[] = {
    "UPDATE message SET held = held + 1",
    "UPDATE counter SET value = 5 WHERE name = 'messages'",
    "UPDATE counter SET value = 5 WHERE name = 'recipients-held'",
    "DELETE FROM message",
    "DELETE FROM recipient",
    "UPDATE tenant SET decision_sequence = 0",
    "UPDATE decision SET sequence = 3",
    "UPDATE entry SET revision = 99",
};

START_TEST(check_finds_damage)
{
	struct entry entry = entry_of(1, "s@x");
	struct error err = {0};

	put_message(&tenant_a, 1, "s", "r@a", "q@a");
	ok(decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	ok(registry_check(registry, E));
	run_sql(damages[_i]);
	fails(ERR_CORRUPT, registry_check(registry, &err));
	ck_assert_str_ne(err.text, "");
}
END_TEST

START_TEST(check_finds_torn_pages)
{
	struct error err = {0};
	uint8_t noise[512];
	struct stat size;
	int fd, code;

	for (unsigned i = 1; i < 60; i++)
		put_message(&tenant_a, i, "s", "r@a", NULL);
	registry_close(registry);
	memset(noise, 0xa5, sizeof(noise));
	fd = open(db_path(), O_WRONLY);
	ck_assert_int_eq(fstat(fd, &size), 0);
	for (off_t at = 8192 + 1000; at + 512 < size.st_size; at += 8192)
		ck_assert_int_eq(pwrite(fd, noise, 512, at), 512);
	(void)close(fd);
	registry = NULL;
	code = registry_open(
	    &registry, &(struct registry_options){backend(), location}, &err);
	if (!code)
		code = registry_check(registry, &err);
	ck_assert_int_eq(code, ERR_CORRUPT);
}
END_TEST

/* A write that fails is never acknowledged, and none is tried after it. */
START_TEST(failed_write_ends_writing)
{
	struct rlimit limit, none = {.rlim_cur = 0};
	struct registry_recipient recipient = {.address = (char *)"r@a"};
	struct registry_message message = {.id = id_of(2),
	                                   .tenant = tenant_a,
	                                   .recipients = &recipient,
	                                   .recipient_count = 1};
	int result = 1;

	put_message(&tenant_a, 1, "s", "r@a", NULL);
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	none.rlim_max = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	fails(ERR_UNCERTAIN,
	      registry_message_add(registry, &message, 1, &result, NULL));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fails(ERR_IO,
	      registry_message_add(registry, &message, 1, &result, NULL));
	fails(ERR_IO, decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
	ck_assert_int_eq(state_of(&tenant_a, 1, "r@a"), REGISTRY_HELD);
	registry_close(registry);
	registry = open_again();
	ok(registry_message_add(registry, &message, 1, &result, E));
	ck_assert_int_eq(result, 0);
	ok(decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
	ok(registry_check(registry, E));
}
END_TEST

START_TEST(place_that_cannot_be_written)
{
	registry_close(registry);
	registry = NULL;
	(void)snprintf(location, sizeof(location), "/dev/null/registry");
	expect_open(ERR_IO);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tcase;

	if (argc == 3 && !strcmp(argv[1], "change"))
		return change(argv[2]);
	suite = suite_create("registry-store");
	tcase = case_in(suite, "opening");
	tcase_add_test(tcase, data_stays_when_closed);
	tcase_add_test(tcase, instances_see_each_other);
	tcase_add_loop_test(tcase, options_are_checked, 0,
	                    sizeof(bad_options) / sizeof(*bad_options));
	tcase_add_loop_test(tcase, store_is_made_once, 0, 15);
	tcase_add_test(tcase, secret_is_made_once);
	tcase_add_test(tcase, lease_is_one_owners);
	tcase = case_in(suite, "watching");
	tcase_add_test(tcase, watch_tells_of_changes);
	tcase_add_test(tcase, watch_sleeps_through_the_rest);
	tcase_add_test(tcase, change_wakes_all_here);
	tcase_add_test(tcase, change_wakes_across_instances);
	tcase_add_test(tcase, change_wakes_across_processes);
	tcase_add_test(tcase, cancel_ends_watches);
	if (!is_sqlite())
		return suite_main(suite, NULL);
	tcase = case_in(suite, "file");
	tcase_add_test(tcase, newer_schema_is_refused);
	tcase_add_test(tcase, files_are_private);
	tcase_add_test(tcase, damaged_file_is_refused);
	tcase_add_test(tcase, foreign_file_is_refused);
	tcase_add_loop_test(tcase, check_finds_damage, 0,
	                    sizeof(damages) / sizeof(*damages));
	tcase_add_test(tcase, check_finds_torn_pages);
	tcase_add_test(tcase, failed_write_ends_writing);
	tcase_add_test(tcase, place_that_cannot_be_written);
	return suite_main(suite, NULL);
}
