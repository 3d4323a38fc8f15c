/*
 * Waiting for changes: those of this process are told at once, those of others
 * are seen by the waiting threads, which look in turns.
 */
#include "store/registry/sqlite/private.h"

#include "common/clock.h"
#include "common/condition.h"

#define POLL_MS 200

void registry_sqlite_changed(struct registry_sqlite *sqlite)
{
	(void)pthread_mutex_lock(&sqlite->watch_mutex);
	sqlite->version++;
	(void)pthread_cond_broadcast(&sqlite->changed);
	(void)pthread_mutex_unlock(&sqlite->watch_mutex);
}

void registry_sqlite_watch_cancel(struct registry *registry)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;

	(void)pthread_mutex_lock(&sqlite->watch_mutex);
	sqlite->cancelled = true;
	(void)pthread_cond_broadcast(&sqlite->changed);
	(void)pthread_mutex_unlock(&sqlite->watch_mutex);
}

/*
 * With the writer's mutex: whether others changed anything. The connection's
 * data version leaves out what it changed itself.
 */
static int ask(struct registry_sqlite *sqlite, bool *changed, struct error *err)
{
	int64_t data_version, changes = 0;
	int error = sqlite_db_data_version(sqlite->writer, &data_version, err);

	if (error || data_version == sqlite->data_version)
		return error;
	if ((error =
	         registry_sqlite_read_changes(sqlite->writer, &changes, err)))
		return error;
	*changed = changes != sqlite->changes;
	sqlite->changes = changes;
	sqlite->data_version = data_version;
	return 0;
}

/* When a writer is at work the next look will do. */
static int look(struct registry_sqlite *sqlite, struct error *err)
{
	bool changed = false;
	int error;

	if (pthread_mutex_trylock(&sqlite->writer_mutex))
		return 0;
	error = ask(sqlite, &changed, err);
	(void)pthread_mutex_unlock(&sqlite->writer_mutex);
	if (changed)
		registry_sqlite_changed(sqlite);
	return error == ERR_UNAVAILABLE ? 0 : error;
}

/* Waits or looks once, with the watch's mutex locked before and after. */
static int wait_or_look(struct registry_sqlite *sqlite, int64_t now_ms,
                        int64_t end_ms, struct error *err)
{
	int64_t next_ms = sqlite->polled_ms + POLL_MS;
	int error;

	if (now_ms < next_ms) {
		(void)condition_wait_until(&sqlite->changed,
		                           &sqlite->watch_mutex,
		                           next_ms < end_ms ? next_ms : end_ms);
		return 0;
	}
	sqlite->polled_ms = now_ms;
	(void)pthread_mutex_unlock(&sqlite->watch_mutex);
	error = look(sqlite, err);
	(void)pthread_mutex_lock(&sqlite->watch_mutex);
	return error;
}

int registry_sqlite_watch(struct registry *registry, int64_t *version,
                          int64_t timeout_ms, struct error *err)
{
	struct registry_sqlite *sqlite = (struct registry_sqlite *)registry;
	int64_t now_ms = clock_monotonic_ms();
	int64_t end_ms = now_ms + timeout_ms;
	int error = 0;

	(void)pthread_mutex_lock(&sqlite->watch_mutex);
	while (!error && !sqlite->cancelled && sqlite->version == *version &&
	       now_ms < end_ms) {
		error = wait_or_look(sqlite, now_ms, end_ms, err);
		now_ms = clock_monotonic_ms();
	}
	if (!error)
		*version = sqlite->version;
	(void)pthread_mutex_unlock(&sqlite->watch_mutex);
	return error;
}
