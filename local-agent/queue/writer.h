/*
 * The one thread that commits to the spool. It takes everything that queued
 * while its last sync ran and commits that as one batch (group commit): a
 * lone message never waits.
 *
 * While the store is away (ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_UNCERTAIN,
 * ERR_DENIED) what is offered is refused at once, and what waits is told so:
 * the writer itself finds out when the store takes commits again, by a small
 * one after each pause. A commit that takes very long is as if it were away.
 */
#ifndef LOCAL_AGENT_QUEUE_WRITER_H
#define LOCAL_AGENT_QUEUE_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/loop.h"
#include "store/spool/spool.h"

struct writer;

/* Changes that are committed together; the caller's until done is called. */
struct writer_request {
	struct spool_change *changes;
	size_t count;
	size_t bytes;      /* memory that waits with it */
	struct loop *loop; /* where done runs; NULL: the writer's thread */
	/*
	 * Called once. result is 0 when each change has its own result, or
	 * that of spool_commit(): then nothing of the request counts
	 * (ERR_UNCERTAIN: it may have been done).
	 */
	void (*done)(struct writer_request *request, int result);
	/* The writer's own. */
	struct writer_request *next;
	int result;
};

struct writer_options {
	struct spool *spool;
	size_t maximum_requests;  /* that wait, of writer_offer() */
	size_t maximum_bytes;     /* likewise */
	int64_t stall_ms;         /* a commit that takes longer; 0: 5,000 */
	int64_t pause_maximum_ms; /* between tries while the store is away; 0:
	                             2,000 */
	/*
	 * The spool cannot be written any more (ERR_IO, ERR_CORRUPT): stop.
	 * Called once, on the writer's thread, before those that wait are told.
	 */
	void (*broken)(void *context, const struct error *err);
	void *context;
};

/* Starts the thread. 0, or ERR_UNAVAILABLE. */
int writer_start(struct writer **writer, const struct writer_options *options,
                 struct error *err);

/*
 * Commits what is queued, tells everybody, ends the thread and frees. Nobody
 * may offer or submit any more. NULL is allowed.
 */
void writer_stop(struct writer *writer);

/*
 * Queues a request that may be refused: 0, ERR_LIMIT when too much waits,
 * ERR_UNAVAILABLE or ERR_DENIED while the store is away, or ERR_IO when the
 * spool is broken; done is not called then. Any thread.
 */
int writer_offer(struct writer *writer, struct writer_request *request);

/*
 * As writer_offer() without the limits, also while the store is away: for what
 * has happened already. The next failure is told then: submit it again later.
 */
int writer_submit(struct writer *writer, struct writer_request *request);

/*
 * Commits and waits. 0 when each change has its own result, else as
 * spool_commit(). Not from an event loop's thread, nor from done.
 */
int writer_commit(struct writer *writer, struct spool_change *changes,
                  size_t count);

/*
 * 0, or the error with which the store refuses commits at present: the last
 * one failed, and none has succeeded since. Any thread.
 */
int writer_failure(const struct writer *writer);

/* 0, or the error that writer_offer() gives while the store is away. */
int writer_away(const struct writer *writer);

/* Whether the spool can no longer be written. Any thread. */
bool writer_is_broken(const struct writer *writer);

#endif
