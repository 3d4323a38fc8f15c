/* What its commits tell the writer of the store: whether it takes them, is
 * away, or is broken, and when to ask it again. */
#ifndef LOCAL_AGENT_QUEUE_WRITER_HEALTH_H
#define LOCAL_AGENT_QUEUE_WRITER_HEALTH_H

#include <stdatomic.h>

#include "common/metrics.h"
#include "local-agent/queue/trouble.h"
#include "store/spool/spool.h"

struct writer_health {
	int64_t stall_ms, pause_maximum_ms;
	/* Any thread. */
	atomic_bool broken;
	atomic_int failure;           /* see writer_failure() */
	atomic_int away;              /* the last commit told so */
	atomic_int_fast64_t began_ms; /* the commit under way; 0: none */
	/* Of the writer's thread alone. */
	struct trouble trouble;
	unsigned failures;    /* in a row */
	int64_t try_again_ms; /* after the last of them; monotonic */
	struct metric *errors;
};

/* Nothing is known to be wrong. The two as in struct writer_options. */
void writer_health_init(struct writer_health *health, int64_t stall_ms,
                        int64_t pause_maximum_ms);

/* A commit begins. The writer's thread. */
void writer_health_begin(struct writer_health *health);

/*
 * It ended, with result and detail as spool_commit() gave them. True when this
 * broke the spool, which it does once. The writer's thread.
 */
bool writer_health_end(struct writer_health *health,
                       const struct spool_change *changes, size_t count,
                       int result, const struct error *detail);

/* As writer_away(), writer_failure() and writer_is_broken(). Any thread. */
int writer_health_away(const struct writer_health *health);
int writer_health_failure(const struct writer_health *health);
bool writer_health_is_broken(const struct writer_health *health);

#endif
