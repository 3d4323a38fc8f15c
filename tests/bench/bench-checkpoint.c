/*
 * How long a commit to SQLite takes under steady load beside the thread that
 * moves the log: alone, with slow readers, and while backups are made.
 * bench-checkpoint DIRECTORY [SECONDS [PAUSE_US]]; one JSON line a figure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/sqlite/backup.h"
#include "store/sqlite/checkpoint.h"
#include "store/sqlite/db.h"

#define ROW_SIZE        5120
#define ROWS_PER_COMMIT 4
#define READER_HOLDS_US 1500000

struct bench {
	char *path, *copy;
	int64_t seconds;
	useconds_t pause_us;
	pthread_mutex_t writer;
	struct sqlite_db *db;
	struct sqlite_checkpointer *checkpointer;
	atomic_bool stop;
	int64_t *took_us;
	size_t count, room;
	atomic_int backups;
};

static void fail(const char *what, const struct error *err)
{
	(void)fprintf(stderr, "bench-checkpoint: %s: %s\n", what, err->text);
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static int write_rows(struct sqlite_db *db, struct error *err)
{
	static char bytes[ROW_SIZE];
	int result = sqlite_db_begin(db, err);

	for (int i = 0; i < ROWS_PER_COMMIT && !result; i++) {
		struct sqlite_query *query = sqlite_query(
		    db, "INSERT OR REPLACE INTO t VALUES"
		        " (abs(random()) % 20000, randomblob(16), ?1)");

		sqlite_bind_blob(query, 1, bytes, sizeof(bytes));
		result = sqlite_run(query, err);
	}
	return result ? result : sqlite_db_commit(db, err);
}

static void commit_once(struct bench *bench)
{
	int64_t begin_us = now_us();
	struct error err;

	sqlite_checkpointer_give_way(bench->checkpointer);
	(void)pthread_mutex_lock(&bench->writer);
	if (write_rows(bench->db, &err))
		fail("commit", &err);
	(void)pthread_mutex_unlock(&bench->writer);
	if (bench->count == bench->room) {
		bench->room = bench->room ? bench->room * 2 : 4096;
		bench->took_us = mem_resize_array(bench->took_us, bench->room,
		                                  sizeof(*bench->took_us));
	}
	bench->took_us[bench->count++] = now_us() - begin_us;
}

static void *read_slowly(void *context)
{
	struct bench *bench = context;
	struct sqlite_db_options options = {.path = bench->path,
	                                    .read_only = true};
	struct sqlite_db *db;
	struct error err;

	if (sqlite_db_open(&db, &options, &err))
		fail("reader", &err);
	while (!atomic_load(&bench->stop)) {
		if (sqlite_db_begin_read(db, &err) ||
		    sqlite_run(sqlite_query(db, "SELECT count(*) FROM t"),
		               &err))
			fail("reader", &err);
		(void)usleep(READER_HOLDS_US);
		sqlite_db_rollback(db);
	}
	sqlite_db_close(db);
	return NULL;
}

static void *back_up(void *context)
{
	struct bench *bench = context;
	struct error err;

	while (!atomic_load(&bench->stop)) {
		if (sqlite_backup_file(bench->path, bench->copy, NULL, &err))
			fail("backup", &err);
		(void)unlink(bench->copy);
		atomic_fetch_add(&bench->backups, 1);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print(const struct bench *bench, const char *phase,
                  const char *name, double place)
{
	size_t index = (size_t)((double)(bench->count - 1) * place);

	(void)printf("{\"name\": \"sqlite commit %s\", \"value\": %.3f, "
	             "\"unit\": \"ms\", \"conditions\": \"%s; %zu commits of "
	             "%d rows of %d bytes\"}\n",
	             name, (double)bench->took_us[index] / 1000.0, phase,
	             bench->count, ROWS_PER_COMMIT, ROW_SIZE);
}

static void measure(struct bench *bench, const char *phase,
                    void *(*beside)(void *))
{
	int64_t end_us = now_us() + bench->seconds * 1000000;
	pthread_t thread;

	bench->count = 0;
	atomic_store(&bench->stop, false);
	if (beside && pthread_create(&thread, NULL, beside, bench))
		abort();
	while (now_us() < end_us) {
		commit_once(bench);
		if (bench->pause_us)
			(void)usleep(bench->pause_us);
	}
	atomic_store(&bench->stop, true);
	if (beside)
		(void)pthread_join(thread, NULL);
	qsort(bench->took_us, bench->count, sizeof(*bench->took_us), compare);
	print(bench, phase, "p50", 0.5);
	print(bench, phase, "p99", 0.99);
	print(bench, phase, "max", 1.0);
	(void)fflush(stdout);
}

static const char *const steps[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, key BLOB, bytes BLOB);"
    "CREATE INDEX t_key ON t (key);"};

static void open_bench(struct bench *bench, const char *directory)
{
	struct sqlite_db_options options = {.create = true};
	struct error err;

	bench->path = mem_format("%s/bench.db", directory);
	bench->copy = mem_format("%s/copy.db", directory);
	options.path = bench->path;
	(void)pthread_mutex_init(&bench->writer, NULL);
	if (sqlite_db_open(&bench->db, &options, &err) ||
	    sqlite_db_migrate(bench->db, steps, 1, &err) ||
	    sqlite_checkpointer_start(&bench->checkpointer, bench->path, NULL,
	                              &bench->writer, &err))
		fail("open", &err);
	sqlite_checkpointer_watch(bench->checkpointer, bench->db);
}

int main(int argc, char **argv)
{
	struct bench bench = {.seconds = 10, .pause_us = 1000};

	if (argc < 2) {
		(void)fprintf(stderr, "usage: bench-checkpoint DIRECTORY"
		                      " [SECONDS [PAUSE_US]]\n");
		return 2;
	}
	if (argc > 2)
		bench.seconds = strtol(argv[2], NULL, 10);
	if (argc > 3)
		bench.pause_us = (useconds_t)strtoul(argv[3], NULL, 10);
	open_bench(&bench, argv[1]);
	measure(&bench, "warming up", NULL);
	measure(&bench, "nothing beside", NULL);
	measure(&bench, "a reader that holds on for 1.5 s", read_slowly);
	measure(&bench, "backups", back_up);
	measure(&bench, "after the backups", NULL);
	(void)fprintf(stderr, "%d backups\n", atomic_load(&bench.backups));
	sqlite_db_close(bench.db);
	sqlite_checkpointer_stop(bench.checkpointer);
	free(bench.path);
	free(bench.copy);
	free(bench.took_us);
	return 0;
}
