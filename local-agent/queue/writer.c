/* Group commit. */
#include "local-agent/queue/writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/queue/writer-health.h"
#include "local-agent/queue/writer-requests.h"

#define PROBE_NAME "agent.probe"

struct writer {
	struct writer_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t queued;
	/* Under the lock. */
	struct writer_requests waiting;
	bool stopping, idle;
	struct writer_health health;
	/* Of the thread alone. */
	struct writer_changes flat;
	struct metric *commits, *changes, *duration;
};

/* What the thread does next. */
enum turn { TURN_NONE, TURN_COMMIT, TURN_PROBE };

/*
 * A store that is away is asked by the probe alone; one that refuses commits
 * for another reason (it is full) goes on being asked by whatever comes, and
 * by the probe when nothing does.
 */
static enum turn choose_turn(struct writer *writer)
{
	const struct writer_health *health = &writer->health;
	bool due = writer_health_failure(health) &&
	           clock_monotonic_ms() >= health->try_again_ms;

	if (writer_health_is_broken(health))
		return writer->waiting.first ? TURN_COMMIT : TURN_NONE;
	if (writer->stopping && !writer->waiting.first)
		return TURN_NONE;
	if (atomic_load(&health->away))
		return due || writer->stopping ? TURN_PROBE : TURN_NONE;
	if (writer->waiting.first)
		return TURN_COMMIT;
	return due ? TURN_PROBE : TURN_NONE;
}

/* Waits for something to do, and takes a batch where that is a commit. */
static enum turn await_turn(struct writer *writer,
                            struct writer_requests *batch)
{
	const struct writer_health *health = &writer->health;
	enum turn turn;

	(void)pthread_mutex_lock(&writer->lock);
	while ((turn = choose_turn(writer)) == TURN_NONE && !writer->stopping) {
		writer->idle = true;
		if (writer_health_failure(health) &&
		    !writer_health_is_broken(health))
			(void)condition_wait_until(&writer->queued,
			                           &writer->lock,
			                           health->try_again_ms);
		else
			(void)pthread_cond_wait(&writer->queued, &writer->lock);
	}
	writer->idle = false;
	if (turn == TURN_COMMIT)
		writer_requests_take_batch(&writer->waiting, batch);
	(void)pthread_mutex_unlock(&writer->lock);
	return turn;
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One commit, measured, with what it tells of the store. */
static int commit(struct writer *writer, struct spool_change *changes,
                  size_t count)
{
	struct error err = {.text = ""};
	int64_t start_us = now_us();
	int result;

	writer_health_begin(&writer->health);
	result = spool_commit(writer->options.spool, changes, count, &err);
	metric_observe_us(writer->duration, now_us() - start_us);
	metric_add(writer->commits, 1);
	metric_add(writer->changes, (int64_t)count);
	if (writer_health_end(&writer->health, changes, count, result, &err) &&
	    writer->options.broken)
		writer->options.broken(writer->options.context, &err);
	return result;
}

/* Commits a batch as it stands; every request gets its result. */
static int commit_batch(struct writer *writer, struct writer_requests *batch)
{
	struct writer_changes *flat = &writer->flat;
	int result = ERR_IO;

	if (!writer_health_is_broken(&writer->health)) {
		writer_requests_flatten(batch, flat);
		result = commit(writer, flat->all, flat->count);
	}
	if (result)
		writer_requests_fail(batch, result);
	else
		writer_requests_succeed(batch, flat);
	return result;
}

/*
 * With the medium full, new mail is refused, but what happened already (mail
 * delivered, decisions) must still be written: it needs next to no space.
 */
static void run_batch(struct writer *writer, struct writer_requests *batch)
{
	struct writer_requests adds = {.first = NULL};

	if (commit_batch(writer, batch) == ERR_FULL) {
		writer_requests_take_adds(batch, &adds);
		if (adds.first && batch->first)
			(void)commit_batch(writer, batch);
		writer_requests_tell(&adds);
	}
	writer_requests_tell(batch);
}

/* Nobody who waits is kept waiting for a store that is away. */
static void refuse_waiting(struct writer *writer)
{
	struct writer_requests refused;
	int away = atomic_load(&writer->health.away);

	if (!away)
		return;
	(void)pthread_mutex_lock(&writer->lock);
	refused = writer->waiting;
	writer->waiting = (struct writer_requests){.first = NULL};
	(void)pthread_mutex_unlock(&writer->lock);
	writer_requests_fail(&refused, away);
	writer_requests_tell(&refused);
}

/* Whether the store takes commits again. */
static void probe(struct writer *writer)
{
	struct spool_change change = {.kind = SPOOL_SET};

	change.set.name = PROBE_NAME;
	change.set.value = "";
	(void)commit(writer, &change, 1);
}

static void *writer_run(void *argument)
{
	struct writer *writer = argument;

	for (;;) {
		struct writer_requests batch = {.first = NULL};
		enum turn turn = await_turn(writer, &batch);

		if (turn == TURN_NONE)
			return NULL;
		if (turn == TURN_PROBE)
			probe(writer);
		else
			run_batch(writer, &batch);
		refuse_waiting(writer);
	}
}

static void make_metrics(struct writer *writer)
{
	writer->commits = metric_counter("turing_agent_commits_total", "",
	                                 "Commits to the spool");
	writer->changes = metric_counter("turing_agent_commit_changes_total",
	                                 "", "Changes in those commits");
	writer->duration =
	    metric_histogram("turing_agent_commit_seconds", "",
	                     "How long a commit with its sync took");
}

static void writer_free(struct writer *writer)
{
	(void)pthread_cond_destroy(&writer->queued);
	(void)pthread_mutex_destroy(&writer->lock);
	free(writer->flat.all);
	free(writer);
}

int writer_start(struct writer **writer, const struct writer_options *options,
                 struct error *err)
{
	struct writer *made = mem_alloc(sizeof(*made));
	int number;

	made->options = *options;
	writer_health_init(&made->health, options->stall_ms,
	                   options->pause_maximum_ms);
	(void)pthread_mutex_init(&made->lock, NULL);
	condition_init(&made->queued);
	make_metrics(made);
	number = pthread_create(&made->thread, NULL, writer_run, made);
	if (number) {
		writer_free(made);
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "cannot start the writer");
	}
	(void)pthread_setname_np(made->thread, "writer");
	*writer = made;
	return 0;
}

void writer_stop(struct writer *writer)
{
	if (!writer)
		return;
	(void)pthread_mutex_lock(&writer->lock);
	writer->stopping = true;
	(void)pthread_cond_signal(&writer->queued);
	(void)pthread_mutex_unlock(&writer->lock);
	(void)pthread_join(writer->thread, NULL);
	writer_free(writer);
}

static int enqueue(struct writer *writer, struct writer_request *request,
                   bool limited)
{
	const struct writer_options *options = &writer->options;
	int result = 0;
	bool wake;

	if (writer_is_broken(writer))
		return ERR_IO;
	result = limited ? writer_away(writer) : 0;
	if (result)
		return result;
	(void)pthread_mutex_lock(&writer->lock);
	if (limited && (writer->waiting.count >= options->maximum_requests ||
	                writer->waiting.bytes >= options->maximum_bytes)) {
		result = ERR_LIMIT;
	} else {
		writer_requests_append(&writer->waiting, request);
	}
	wake = writer->idle && result == 0;
	writer->idle = writer->idle && !wake;
	(void)pthread_mutex_unlock(&writer->lock);
	if (wake)
		(void)pthread_cond_signal(&writer->queued);
	return result;
}

int writer_offer(struct writer *writer, struct writer_request *request)
{
	return enqueue(writer, request, true);
}

int writer_submit(struct writer *writer, struct writer_request *request)
{
	return enqueue(writer, request, false);
}

/* A request whose sender waits for it. */
struct waiting_commit {
	struct writer_request request;
	pthread_mutex_t lock;
	pthread_cond_t finished;
	bool done;
};

static void finish_waiting(struct writer_request *request, int result)
{
	struct waiting_commit *wait = (struct waiting_commit *)request;

	(void)pthread_mutex_lock(&wait->lock);
	wait->request.result = result;
	wait->done = true;
	(void)pthread_cond_signal(&wait->finished);
	(void)pthread_mutex_unlock(&wait->lock);
}

int writer_commit(struct writer *writer, struct spool_change *changes,
                  size_t count)
{
	struct waiting_commit wait = {
	    .request = {.changes = changes,
	                .count = count,
	                .done = finish_waiting},
	    .lock = PTHREAD_MUTEX_INITIALIZER,
	    .finished = PTHREAD_COND_INITIALIZER,
	};
	int result = writer_submit(writer, &wait.request);

	if (result)
		return result;
	(void)pthread_mutex_lock(&wait.lock);
	while (!wait.done)
		(void)pthread_cond_wait(&wait.finished, &wait.lock);
	(void)pthread_mutex_unlock(&wait.lock);
	(void)pthread_cond_destroy(&wait.finished);
	(void)pthread_mutex_destroy(&wait.lock);
	return wait.request.result;
}

int writer_failure(const struct writer *writer)
{
	return writer_health_failure(&writer->health);
}

int writer_away(const struct writer *writer)
{
	return writer_health_away(&writer->health);
}

bool writer_is_broken(const struct writer *writer)
{
	return writer_health_is_broken(&writer->health);
}
