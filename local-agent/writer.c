/* Group commit. */
#include "local-agent/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/condition.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/trouble.h"

/* A batch ends here, so that the first in it does not wait for too many. */
#define BATCH_CHANGES 512
#define BATCH_BYTES   (16U << 20)

#define PAUSE_MINIMUM_MS 100
#define PAUSE_MAXIMUM_MS 2000
#define STALL_MS         5000
#define PROBE_NAME       "agent.probe"

struct request_list {
	struct writer_request *first, *last;
};

struct writer {
	struct writer_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t queued;
	/* Under the lock. */
	struct request_list waiting;
	size_t waiting_requests, waiting_bytes;
	bool stopping, idle;
	atomic_bool broken;
	atomic_int failure;           /* see writer_failure() */
	atomic_int away;              /* the last commit told so */
	atomic_int_fast64_t began_ms; /* the commit under way; 0: none */
	/* Of the thread alone. */
	struct trouble trouble;
	unsigned failures;    /* in a row */
	int64_t try_again_ms; /* after the last of them; monotonic */
	struct spool_change *flat;
	size_t flat_capacity;
	struct metric *commits, *changes, *errors, *duration;
};

static void list_append(struct request_list *list,
                        struct writer_request *request)
{
	request->next = NULL;
	if (list->last)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

static struct writer_request *list_take(struct request_list *list)
{
	struct writer_request *request = list->first;

	list->first = request->next;
	if (!list->first)
		list->last = NULL;
	request->next = NULL;
	return request;
}

/* Takes what waits, within the bounds of a batch, but one request at least. */
static void take_batch(struct writer *writer, struct request_list *batch)
{
	size_t changes = 0, bytes = 0;

	while (writer->waiting.first) {
		struct writer_request *first = writer->waiting.first;

		if (batch->first && (changes + first->count > BATCH_CHANGES ||
		                     bytes + first->bytes > BATCH_BYTES))
			break;
		changes += first->count;
		bytes += first->bytes;
		list_append(batch, list_take(&writer->waiting));
		writer->waiting_requests--;
	}
	writer->waiting_bytes -= bytes;
}

/* What the thread does next. */
enum turn { TURN_NONE, TURN_COMMIT, TURN_PROBE };

/*
 * A store that is away is asked by the probe alone; one that refuses commits
 * for another reason (it is full) goes on being asked by whatever comes, and
 * by the probe when nothing does.
 */
static enum turn choose_turn(struct writer *writer)
{
	bool failing = atomic_load(&writer->failure) != 0;
	bool due = failing && clock_monotonic_ms() >= writer->try_again_ms;

	if (atomic_load(&writer->broken))
		return writer->waiting.first ? TURN_COMMIT : TURN_NONE;
	if (writer->stopping && !writer->waiting.first)
		return TURN_NONE;
	if (atomic_load(&writer->away))
		return due || writer->stopping ? TURN_PROBE : TURN_NONE;
	if (writer->waiting.first)
		return TURN_COMMIT;
	return due ? TURN_PROBE : TURN_NONE;
}

/* Waits for something to do, and takes a batch where that is a commit. */
static enum turn await_turn(struct writer *writer, struct request_list *batch)
{
	enum turn turn;

	(void)pthread_mutex_lock(&writer->lock);
	while ((turn = choose_turn(writer)) == TURN_NONE && !writer->stopping) {
		writer->idle = true;
		if (atomic_load(&writer->failure) &&
		    !atomic_load(&writer->broken))
			(void)condition_wait_until(&writer->queued,
			                           &writer->lock,
			                           writer->try_again_ms);
		else
			(void)pthread_cond_wait(&writer->queued, &writer->lock);
	}
	writer->idle = false;
	if (turn == TURN_COMMIT)
		take_batch(writer, batch);
	(void)pthread_mutex_unlock(&writer->lock);
	return turn;
}

static size_t flatten(struct writer *writer, const struct request_list *batch)
{
	const struct writer_request *request;
	size_t count = 0;

	for (request = batch->first; request; request = request->next)
		count += request->count;
	if (count > writer->flat_capacity) {
		writer->flat = mem_resize_array(writer->flat, count,
		                                sizeof(*writer->flat));
		writer->flat_capacity = count;
	}
	count = 0;
	for (request = batch->first; request; request = request->next) {
		memcpy(writer->flat + count, request->changes,
		       request->count * sizeof(*writer->flat));
		count += request->count;
	}
	return count;
}

static void hand_out(const struct writer *writer,
                     const struct request_list *batch, int result)
{
	const struct spool_change *flat = writer->flat;
	struct writer_request *request;
	size_t i;

	for (request = batch->first; request; request = request->next) {
		request->result = result;
		for (i = 0; result == 0 && i < request->count; i++)
			request->changes[i].result = flat[i].result;
		flat += request->count;
	}
}

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void declare_broken(struct writer *writer, const struct error *err)
{
	if (!atomic_exchange(&writer->broken, true) && writer->options.broken)
		writer->options.broken(writer->options.context, err);
}

/* The store is away: nothing is known of what it would do. */
static bool means_away(int code)
{
	return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT ||
	       code == ERR_UNCERTAIN || code == ERR_DENIED;
}

/*
 * What a commit says of the store: its own failure, or that of its changes
 * when all failed in a way that passes.
 */
static int judge(const struct spool_change *changes, size_t count, int result)
{
	for (size_t i = 0; i < count && result == 0; i++)
		if (!trouble_is_passing(changes[i].result))
			return 0;
	return result || !count ? result : changes[0].result;
}

static void note_failure(struct writer *writer, int code, const char *what,
                         const char *detail)
{
	struct backoff backoff = {.minimum_ms = PAUSE_MINIMUM_MS,
	                          .maximum_ms =
	                              writer->options.pause_maximum_ms};

	metric_add(writer->errors, 1);
	trouble_note(&writer->trouble, code, what, detail);
	writer->try_again_ms = clock_monotonic_ms() +
	                       backoff_delay_ms(&backoff, ++writer->failures);
	atomic_store(&writer->failure, code);
	/* What was refused at once was certainly not done. */
	if (means_away(code))
		atomic_store(&writer->away,
		             code == ERR_DENIED ? ERR_DENIED : ERR_UNAVAILABLE);
}

static void note_success(struct writer *writer)
{
	if (!writer->failures)
		return;
	trouble_over(&writer->trouble);
	writer->failures = 0;
	atomic_store(&writer->failure, 0);
	atomic_store(&writer->away, 0);
}

/* One commit, measured, with what it tells of the store. */
static int commit(struct writer *writer, struct spool_change *changes,
                  size_t count)
{
	struct error err = {.text = ""};
	int64_t start_us = now_us();
	char what[48];
	int result, code;

	atomic_store(&writer->began_ms, clock_monotonic_ms() + 1);
	result = spool_commit(writer->options.spool, changes, count, &err);
	atomic_store(&writer->began_ms, 0);
	code = judge(changes, count, result);
	metric_observe_us(writer->duration, now_us() - start_us);
	metric_add(writer->commits, 1);
	metric_add(writer->changes, (int64_t)count);
	(void)snprintf(what, sizeof(what), "commit of %zu changes", count);
	if (code)
		note_failure(writer, code, what, err.text);
	else
		note_success(writer);
	if (result == ERR_IO || result == ERR_CORRUPT)
		declare_broken(writer, &err);
	return result;
}

/* Commits a batch as it stands; every request gets its result. */
static int commit_batch(struct writer *writer, struct request_list *batch)
{
	size_t count;
	int result;

	if (atomic_load(&writer->broken)) {
		hand_out(writer, batch, ERR_IO);
		return ERR_IO;
	}
	count = flatten(writer, batch);
	result = commit(writer, writer->flat, count);
	hand_out(writer, batch, result);
	return result;
}

static bool adds_mail(const struct writer_request *request)
{
	size_t i;

	for (i = 0; i < request->count; i++)
		if (request->changes[i].kind == SPOOL_ADD)
			return true;
	return false;
}

/* Moves the requests that add mail (or those that do not) to another list. */
static void split(struct request_list *batch, bool adds,
                  struct request_list *other)
{
	struct request_list rest = {NULL, NULL};

	while (batch->first) {
		struct writer_request *request = list_take(batch);

		list_append(adds_mail(request) == adds ? other : &rest,
		            request);
	}
	*batch = rest;
}

/* Runs done for a chain of requests of one loop. */
static void tell_chain(void *argument)
{
	struct writer_request *request = argument, *next;

	for (; request; request = next) {
		next = request->next;
		request->done(request, request->result);
	}
}

/* Tells everybody, with one message for each loop. */
static void tell(struct request_list *batch)
{
	while (batch->first) {
		struct loop *loop = batch->first->loop;
		struct request_list same = {NULL, NULL}, rest = {NULL, NULL};

		while (batch->first) {
			struct writer_request *request = list_take(batch);

			list_append(request->loop == loop ? &same : &rest,
			            request);
		}
		if (loop)
			loop_post(loop, tell_chain, same.first);
		else
			tell_chain(same.first);
		*batch = rest;
	}
}

/*
 * With the medium full, new mail is refused, but what happened already (mail
 * delivered, decisions) must still be written: it needs next to no space.
 */
static void run_batch(struct writer *writer, struct request_list *batch)
{
	struct request_list adds = {NULL, NULL};

	if (commit_batch(writer, batch) == ERR_FULL) {
		split(batch, true, &adds);
		if (adds.first && batch->first)
			(void)commit_batch(writer, batch);
		tell(&adds);
	}
	tell(batch);
}

/* Nobody who waits is kept waiting for a store that is away. */
static void refuse_waiting(struct writer *writer)
{
	struct request_list refused;
	struct writer_request *request;
	int away = atomic_load(&writer->away);

	if (!away)
		return;
	(void)pthread_mutex_lock(&writer->lock);
	refused = writer->waiting;
	writer->waiting = (struct request_list){NULL, NULL};
	writer->waiting_requests = 0;
	writer->waiting_bytes = 0;
	(void)pthread_mutex_unlock(&writer->lock);
	for (request = refused.first; request; request = request->next)
		request->result = away;
	tell(&refused);
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
		struct request_list batch = {NULL, NULL};
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
	writer->errors = metric_counter("turing_agent_commit_errors_total", "",
	                                "Commits that failed");
	writer->duration =
	    metric_histogram("turing_agent_commit_seconds", "",
	                     "How long a commit with its sync took");
}

static void writer_free(struct writer *writer)
{
	(void)pthread_cond_destroy(&writer->queued);
	(void)pthread_mutex_destroy(&writer->lock);
	free(writer->flat);
	free(writer);
}

int writer_start(struct writer **writer, const struct writer_options *options,
                 struct error *err)
{
	struct writer *made = mem_alloc(sizeof(*made));
	int number;

	made->options = *options;
	if (made->options.pause_maximum_ms <= 0)
		made->options.pause_maximum_ms = PAUSE_MAXIMUM_MS;
	if (made->options.stall_ms <= 0)
		made->options.stall_ms = STALL_MS;
	made->trouble.part = "writer";
	atomic_init(&made->began_ms, 0);
	atomic_init(&made->broken, false);
	atomic_init(&made->failure, 0);
	atomic_init(&made->away, 0);
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

	if (atomic_load(&writer->broken))
		return ERR_IO;
	result = limited ? writer_away(writer) : 0;
	if (result)
		return result;
	(void)pthread_mutex_lock(&writer->lock);
	if (limited && (writer->waiting_requests >= options->maximum_requests ||
	                writer->waiting_bytes >= options->maximum_bytes)) {
		result = ERR_LIMIT;
	} else {
		list_append(&writer->waiting, request);
		writer->waiting_requests++;
		writer->waiting_bytes += request->bytes;
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
	return atomic_load(&writer->failure);
}

int writer_away(const struct writer *writer)
{
	int64_t began_ms = atomic_load(&writer->began_ms);

	if (began_ms &&
	    clock_monotonic_ms() - began_ms > writer->options.stall_ms)
		return ERR_UNAVAILABLE;
	return atomic_load(&writer->away);
}

bool writer_is_broken(const struct writer *writer)
{
	return atomic_load(&writer->broken);
}
