/*
 * The one thread that commits to the spool. It takes everything that queued
 * while its last sync ran and commits that as one batch (group commit): a
 * lone message never waits.
 */
#ifndef LOCAL_AGENT_WRITER_H
#define LOCAL_AGENT_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/loop.h"
#include "store/spool.h"

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
	size_t maximum_requests; /* that wait, of writer_offer() */
	size_t maximum_bytes;    /* likewise */
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
 * Queues a request that may be refused: 0, ERR_LIMIT when too much waits, or
 * ERR_IO when the spool is broken; done is not called then. Any thread.
 */
int writer_offer(struct writer *writer, struct writer_request *request);

/* As writer_offer() without the limits: for what has happened already. */
int writer_submit(struct writer *writer, struct writer_request *request);

/*
 * Commits and waits. 0 when each change has its own result, else as
 * spool_commit(). Not from an event loop's thread, nor from done.
 */
int writer_commit(struct writer *writer, struct spool_change *changes,
                  size_t count);

/* Whether the spool can no longer be written. Any thread. */
bool writer_is_broken(const struct writer *writer);

#endif
