/* The thread that moves the write-ahead log into the database file. */
#include "store/sqlite/checkpoint.h"

#include <stdatomic.h>

#include "common/clock.h"
#include "common/condition.h"
#include "store/sqlite/private.h"
#include "store/sqlite/reserve.h"

/*
 * Pages of 4 KiB: begin at 1 MiB; from 32 MiB on try to let the log begin anew,
 * where so little is left to move that a writer hardly notices.
 */
#define SMALL_PAGES 250
#define LARGE_PAGES 8000
#define FEW_PAGES   64
#define ROUNDS      4
/* 128 MiB: a writer that is never still is made to wait after all. */
#define HUGE_PAGES 32000
/* How often the space on the disk is looked at. */
#define LOOK_MS 1000

struct sqlite_checkpointer {
	struct sqlite_db *db;
	struct sqlite_reserve reserve;
	int64_t looked_ms;
	pthread_mutex_t *writer;
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t wake;
	int log_pages;   /* as the last commit left it */
	int tried_pages; /* of these, how many the last attempt knew of */
	bool stop;
	bool wants_writer;
	pthread_cond_t had_writer;
	atomic_int failure;
};

/* After every commit of a watched connection. */
static int committed(void *context, sqlite3 *handle, const char *name,
                     int pages)
{
	struct sqlite_checkpointer *checkpointer = context;

	(void)handle;
	(void)name;
	(void)pthread_mutex_lock(&checkpointer->mutex);
	if (pages < checkpointer->log_pages)
		checkpointer->tried_pages = 0; /* the log began anew */
	checkpointer->log_pages = pages;
	if (pages - checkpointer->tried_pages >= SMALL_PAGES)
		(void)pthread_cond_signal(&checkpointer->wake);
	(void)pthread_mutex_unlock(&checkpointer->mutex);
	return SQLITE_OK;
}

/* What a checkpoint left behind. */
struct left {
	int pages;    /* in the log alone */
	bool blocked; /* a reader needs some of what was there before */
	bool huge;
};

/*
 * One checkpoint that waits for nobody. What a reader still needs of the log
 * stays there: the next attempt is made when it has grown further. False when
 * the thread is to end.
 */
static bool checkpoint(struct sqlite_checkpointer *checkpointer,
                       struct left *left)
{
	int log_pages = 0;
	int done_pages = 0;
	int code = sqlite3_wal_checkpoint_v2(checkpointer->db->handle, NULL,
	                                     SQLITE_CHECKPOINT_PASSIVE,
	                                     &log_pages, &done_pages);
	int failure = sqlite_error_code(code);

	if (failure == ERR_IO || failure == ERR_CORRUPT) {
		atomic_store(&checkpointer->failure, failure);
		return false;
	}
	(void)pthread_mutex_lock(&checkpointer->mutex);
	/* Busy or full: what is there waits for the next commits. */
	checkpointer->tried_pages =
	    failure ? checkpointer->log_pages : log_pages;
	left->pages = checkpointer->log_pages - done_pages;
	left->blocked = failure || done_pages < log_pages;
	left->huge = checkpointer->log_pages >= HUGE_PAGES;
	(void)pthread_mutex_unlock(&checkpointer->mutex);
	return true;
}

struct work {
	bool due;   /* the log has grown */
	bool large; /* very much */
};

static bool is_due(const struct sqlite_checkpointer *checkpointer)
{
	return checkpointer->log_pages - checkpointer->tried_pages >=
	       SMALL_PAGES;
}

/* Sleeps until it is woken; where there is space to look at, until then at the
 * most: false when that moment has come. */
static bool sleep_until(struct sqlite_checkpointer *checkpointer,
                        int64_t look_ms)
{
	if (checkpointer->reserve.path)
		return condition_wait_until(&checkpointer->wake,
		                            &checkpointer->mutex, look_ms);
	(void)pthread_cond_wait(&checkpointer->wake, &checkpointer->mutex);
	return true;
}

/* Waits for work, or the next look; false when it is time to stop. */
static bool wait_for_work(struct sqlite_checkpointer *checkpointer,
                          struct work *work)
{
	int64_t look_ms = clock_monotonic_ms() + LOOK_MS;
	bool stop, in_time = true;

	(void)pthread_mutex_lock(&checkpointer->mutex);
	while (!checkpointer->stop && !is_due(checkpointer) && in_time)
		in_time = sleep_until(checkpointer, look_ms);
	stop = checkpointer->stop;
	work->due = is_due(checkpointer);
	work->large = checkpointer->log_pages >= LARGE_PAGES;
	(void)pthread_mutex_unlock(&checkpointer->mutex);
	return !stop;
}

static void set_wants_writer(struct sqlite_checkpointer *checkpointer,
                             bool wants)
{
	(void)pthread_mutex_lock(&checkpointer->mutex);
	checkpointer->wants_writer = wants;
	if (!wants)
		(void)pthread_cond_broadcast(&checkpointer->had_writer);
	(void)pthread_mutex_unlock(&checkpointer->mutex);
}

void sqlite_checkpointer_give_way(struct sqlite_checkpointer *checkpointer)
{
	if (!checkpointer)
		return;
	(void)pthread_mutex_lock(&checkpointer->mutex);
	while (checkpointer->wants_writer)
		(void)pthread_cond_wait(&checkpointer->had_writer,
		                        &checkpointer->mutex);
	(void)pthread_mutex_unlock(&checkpointer->mutex);
}

/* Few pages are left: once they are moved too, the next commit restarts the
 * log. */
static bool finish(struct sqlite_checkpointer *checkpointer)
{
	struct left left;
	bool go_on;

	set_wants_writer(checkpointer, true);
	(void)pthread_mutex_lock(checkpointer->writer);
	set_wants_writer(checkpointer, false);
	go_on = checkpoint(checkpointer, &left);
	(void)pthread_mutex_unlock(checkpointer->writer);
	return go_on;
}

/*
 * Moves a large log until little is left, and then, with the writer waiting,
 * that. Where a reader holds on to the log it is left to grow: no writer waits
 * for a reader.
 */
static bool empty_log(struct sqlite_checkpointer *checkpointer,
                      struct left left)
{
	for (int i = 0; i < ROUNDS && !left.blocked && left.pages > FEW_PAGES;
	     i++)
		if (!checkpoint(checkpointer, &left))
			return false;
	if (left.blocked || (left.pages > FEW_PAGES && !left.huge))
		return true;
	return finish(checkpointer);
}

/*
 * On a full disk the log is moved at once, however little it holds and
 * whichever process wrote it, for its blocks are all that there is to write to.
 */
static void look_at_space(struct sqlite_checkpointer *checkpointer,
                          struct work *work)
{
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms - checkpointer->looked_ms < LOOK_MS)
		return;
	checkpointer->looked_ms = now_ms;
	if (sqlite_reserve_watch(&checkpointer->reserve))
		work->due = work->large = true;
}

static void *run(void *context)
{
	struct sqlite_checkpointer *checkpointer = context;
	struct work work;
	struct left left;

	while (wait_for_work(checkpointer, &work)) {
		look_at_space(checkpointer, &work);
		if (!work.due)
			continue;
		if (!checkpoint(checkpointer, &left))
			break;
		if (work.large && !empty_log(checkpointer, left))
			break;
	}
	return NULL;
}

int sqlite_checkpointer_start(struct sqlite_checkpointer **checkpointer,
                              const char *path, const char *reserve,
                              pthread_mutex_t *writer, struct error *err)
{
	struct sqlite_db_options options = {.path = path, .cache_kib = 64};
	struct sqlite_checkpointer *started = calloc(1, sizeof(*started));
	int result;

	if (!started)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = sqlite_db_open(&started->db, &options, err);
	if (result < 0) {
		free(started);
		return result;
	}
	started->reserve.path = reserve;
	started->writer = writer;
	(void)pthread_mutex_init(&started->mutex, NULL);
	condition_init(&started->wake);
	(void)pthread_cond_init(&started->had_writer, NULL);
	result = pthread_create(&started->thread, NULL, run, started);
	if (result) {
		sqlite_db_close(started->db);
		free(started);
		return error_set_errno(err, ERR_UNAVAILABLE, result,
		                       "checkpointer's thread");
	}
	(void)pthread_setname_np(started->thread, "checkpoint");
	*checkpointer = started;
	return 0;
}

void sqlite_checkpointer_watch(struct sqlite_checkpointer *checkpointer,
                               struct sqlite_db *db)
{
	(void)sqlite3_wal_hook(db->handle, committed, checkpointer);
}

int sqlite_checkpointer_failure(struct sqlite_checkpointer *checkpointer)
{
	return atomic_load(&checkpointer->failure);
}

void sqlite_checkpointer_stop(struct sqlite_checkpointer *checkpointer)
{
	if (!checkpointer)
		return;
	(void)pthread_mutex_lock(&checkpointer->mutex);
	checkpointer->stop = true;
	(void)pthread_cond_signal(&checkpointer->wake);
	(void)pthread_mutex_unlock(&checkpointer->mutex);
	(void)pthread_join(checkpointer->thread, NULL);
	if (atomic_load(&checkpointer->failure))
		sqlite_db_abandon(checkpointer->db);
	sqlite_db_close(checkpointer->db);
	(void)pthread_mutex_destroy(&checkpointer->mutex);
	(void)pthread_cond_destroy(&checkpointer->wake);
	(void)pthread_cond_destroy(&checkpointer->had_writer);
	free(checkpointer);
}
