/*
 * Waiting for changes in MongoDB. Those of this process are told at once; one
 * thread tells other processes, by counting up the document {_id: "signal", n}
 * soon after a change; another waits for what they count, by a change stream
 * where the server has one and else by looking, while anybody waits here.
 */
#include <stdlib.h>
#include <string.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/condition.h"
#include "store/registry/mongodb/private.h"

#define ID "signal"

/* How soon others are told, and how often at the most. */
#define TELL_MS 50
/* How often the document is looked at. */
#define POLL_MS 200
/* How long the server holds a question for changes: so long takes closing. */
#define STREAM_MS 500
/* How long it is only looked at after a stream has failed. */
#define RETREAT_MS 5000

struct registry_mongodb_watch {
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* for those who wait */
	pthread_cond_t work;    /* for the threads here */
	int64_t version;
	int64_t waiting; /* how many wait */
	bool cancelled, stopping;
	bool dirty; /* others are still to be told */

	/* Held while the document is read or counted up, so that a count of
	 * one's own is never taken for another's. */
	pthread_mutex_t seen_mutex;
	int64_t seen;

	struct background teller, listener;
};

/* --- versions ----------------------------------------------------------- */

static void count_change(struct registry_mongodb_watch *watch)
{
	(void)pthread_mutex_lock(&watch->mutex);
	watch->version++;
	(void)pthread_cond_broadcast(&watch->changed);
	(void)pthread_mutex_unlock(&watch->mutex);
}

void registry_mongodb_changed(struct registry_mongodb *mongo)
{
	struct registry_mongodb_watch *watch = mongo->watch;

	if (!watch)
		return;
	(void)pthread_mutex_lock(&watch->mutex);
	watch->version++;
	(void)pthread_cond_broadcast(&watch->changed);
	if (!watch->dirty) {
		watch->dirty = true;
		(void)pthread_cond_broadcast(&watch->work);
	}
	(void)pthread_mutex_unlock(&watch->mutex);
}

void registry_mongodb_watch_cancel(struct registry *registry)
{
	struct registry_mongodb_watch *watch =
	    registry_mongodb(registry)->watch;

	(void)pthread_mutex_lock(&watch->mutex);
	watch->cancelled = true;
	(void)pthread_cond_broadcast(&watch->changed);
	(void)pthread_mutex_unlock(&watch->mutex);
}

int registry_mongodb_watch(struct registry *registry, int64_t *version,
                           int64_t timeout_ms, struct error *err)
{
	struct registry_mongodb_watch *watch =
	    registry_mongodb(registry)->watch;
	int64_t end_ms = clock_monotonic_ms() + timeout_ms;

	(void)err;
	(void)pthread_mutex_lock(&watch->mutex);
	if (!watch->waiting++)
		(void)pthread_cond_broadcast(&watch->work);
	while (!watch->cancelled && watch->version == *version &&
	       clock_monotonic_ms() < end_ms)
		(void)condition_wait_until(&watch->changed, &watch->mutex,
		                           end_ms);
	watch->waiting--;
	*version = watch->version;
	(void)pthread_mutex_unlock(&watch->mutex);
	return 0;
}

/* --- telling others ----------------------------------------------------- */

/* Counts up. What else was counted since the last look is another's change. */
static int tell(struct registry_mongodb *mongo)
{
	struct registry_mongodb_watch *watch = mongo->watch;
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, part;
	bson_t *after = NULL;
	int64_t n = 0;
	bool others = false;
	int error;

	(void)BSON_APPEND_UTF8(&selector, "_id", ID);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$inc", &part);
	(void)BSON_APPEND_INT64(&part, "n", 1);
	(void)bson_append_document_end(&update, &part);
	(void)pthread_mutex_lock(&watch->seen_mutex);
	/* Index: _id. */
	error = mongodb_find_and_modify(mongo->db, REGISTRY_SIGNAL, &selector,
	                                NULL, &update, true, &after, NULL);
	if (!error) {
		n = mongodb_get_int(after, "n");
		others = n != watch->seen + 1;
		watch->seen = n;
		bson_destroy(after);
	}
	(void)pthread_mutex_unlock(&watch->seen_mutex);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (others)
		count_change(watch);
	return error;
}

/* With the mutex: waits for a change; false when it is to stop. */
static bool wait_for_change(struct registry_mongodb_watch *watch)
{
	while (!watch->dirty && !watch->stopping)
		(void)pthread_cond_wait(&watch->work, &watch->mutex);
	return !watch->stopping;
}

/* Changes of a moment are told together; what is left at the end is told
 * before the thread ends. */
static void *run_teller(void *context)
{
	struct registry_mongodb *mongo = context;
	struct registry_mongodb_watch *watch = mongo->watch;
	bool running = true;

	while (running) {
		bool dirty;

		(void)pthread_mutex_lock(&watch->mutex);
		running = wait_for_change(watch);
		dirty = watch->dirty;
		watch->dirty = false;
		(void)pthread_mutex_unlock(&watch->mutex);
		if (dirty && tell(mongo)) {
			(void)pthread_mutex_lock(&watch->mutex);
			watch->dirty = true;
			(void)pthread_mutex_unlock(&watch->mutex);
		}
		if (running)
			(void)background_rest(&watch->teller, TELL_MS);
	}
	return NULL;
}

/* --- listening ---------------------------------------------------------- */

/* Looks at the document. */
static int look(struct registry_mongodb *mongo)
{
	struct registry_mongodb_watch *watch = mongo->watch;
	bson_t selector = BSON_INITIALIZER, *found = NULL;
	bool others = false;
	int error;

	(void)BSON_APPEND_UTF8(&selector, "_id", ID);
	(void)pthread_mutex_lock(&watch->seen_mutex);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_SIGNAL, &selector, NULL,
	                         &found, NULL);
	if (!error) {
		int64_t n = mongodb_get_int(found, "n");

		others = n != watch->seen;
		watch->seen = n;
		bson_destroy(found);
	}
	(void)pthread_mutex_unlock(&watch->seen_mutex);
	bson_destroy(&selector);
	if (others)
		count_change(watch);
	return error == ERR_NOT_FOUND ? 0 : error;
}

/* Waits until anybody waits; false when it is to stop. */
static bool wait_for_watchers(struct registry_mongodb_watch *watch)
{
	bool running;

	(void)pthread_mutex_lock(&watch->mutex);
	while (!watch->waiting && !watch->stopping)
		(void)pthread_cond_wait(&watch->work, &watch->mutex);
	running = !watch->stopping;
	(void)pthread_mutex_unlock(&watch->mutex);
	return running;
}

static bool is_stopping(struct registry_mongodb_watch *watch)
{
	bool stopping;

	(void)pthread_mutex_lock(&watch->mutex);
	stopping = watch->stopping;
	(void)pthread_mutex_unlock(&watch->mutex);
	return stopping;
}

/* Follows the stream's changes until it ends, or this is to stop. */
static void follow(struct registry_mongodb *mongo,
                   mongoc_change_stream_t *stream)
{
	const bson_t *change, *reply;
	bson_error_t error;

	while (!is_stopping(mongo->watch)) {
		bool moved = mongoc_change_stream_next(stream, &change);

		if (!moved &&
		    mongoc_change_stream_error_document(stream, &error, &reply))
			return;
		if (moved && look(mongo))
			return;
	}
}

/* Opens a stream and follows it. What changed before it was open is looked for
 * once. */
static void stream(struct registry_mongodb *mongo)
{
	mongoc_client_t *client = mongodb_take(mongo->db, NULL);
	bson_t pipeline = BSON_INITIALIZER, options = BSON_INITIALIZER;
	mongoc_collection_t *collection;
	mongoc_change_stream_t *opened;

	if (!client)
		return;
	(void)BSON_APPEND_INT64(&options, "maxAwaitTimeMS", STREAM_MS);
	collection = mongoc_client_get_collection(
	    client, mongodb_db_name(mongo->db), REGISTRY_SIGNAL);
	opened = mongoc_collection_watch(collection, &pipeline, &options);
	if (!look(mongo))
		follow(mongo, opened);
	mongoc_change_stream_destroy(opened);
	mongoc_collection_destroy(collection);
	mongodb_give(mongo->db, client);
	bson_destroy(&options);
	bson_destroy(&pipeline);
}

static void *run_listener(void *context)
{
	struct registry_mongodb *mongo = context;
	struct registry_mongodb_watch *watch = mongo->watch;
	int64_t poll_until_ms = 0;

	while (wait_for_watchers(watch)) {
		if (mongodb_db_has_change_streams(mongo->db) &&
		    clock_monotonic_ms() >= poll_until_ms) {
			stream(mongo);
			poll_until_ms = clock_monotonic_ms() + RETREAT_MS;
			continue;
		}
		(void)look(mongo);
		(void)background_rest(&watch->listener, POLL_MS);
	}
	return NULL;
}

/* --- starting and stopping ---------------------------------------------- */

int registry_mongodb_watch_start(struct registry_mongodb *mongo,
                                 struct error *err)
{
	struct registry_mongodb_watch *watch = calloc(1, sizeof(*watch));
	int error;

	if (!watch)
		return registry_mongodb_memory(err);
	mongo->watch = watch;
	watch->version = 1;
	(void)pthread_mutex_init(&watch->mutex, NULL);
	(void)pthread_mutex_init(&watch->seen_mutex, NULL);
	condition_init(&watch->changed);
	condition_init(&watch->work);
	(void)look(mongo);
	error = background_start(&watch->teller, "mongodb-tell", run_teller,
	                         mongo, err);
	if (!error)
		error = background_start(&watch->listener, "mongodb-listen",
		                         run_listener, mongo, err);
	return error;
}

void registry_mongodb_watch_stop(struct registry_mongodb *mongo)
{
	struct registry_mongodb_watch *watch = mongo->watch;

	if (!watch)
		return;
	(void)pthread_mutex_lock(&watch->mutex);
	watch->stopping = true;
	(void)pthread_cond_broadcast(&watch->work);
	(void)pthread_mutex_unlock(&watch->mutex);
	background_end(&watch->listener);
	background_stop(&watch->teller);
	background_stop(&watch->listener);
	mongo->watch = NULL;
	(void)pthread_mutex_destroy(&watch->mutex);
	(void)pthread_mutex_destroy(&watch->seen_mutex);
	(void)pthread_cond_destroy(&watch->changed);
	(void)pthread_cond_destroy(&watch->work);
	free(watch);
}
