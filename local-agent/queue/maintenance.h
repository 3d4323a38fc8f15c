/*
 * The housekeeping of the agent: mail held too long expires, finished mail is
 * purged, free space is watched, gauges are set; a thread of its own.
 */
#ifndef LOCAL_AGENT_QUEUE_MAINTENANCE_H
#define LOCAL_AGENT_QUEUE_MAINTENANCE_H

#include "local-agent/agent-config.h"
#include "local-agent/queue/disowned.h"
#include "local-agent/queue/writer.h"

struct maintenance;

struct maintenance_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
	struct disowned *disowned;                  /* settled here; or NULL */
	void (*low_space)(void *context, bool low); /* when it changes */
	void *context;
};

/* Starts the thread. 0, or ERR_UNAVAILABLE. */
int maintenance_start(struct maintenance **maintenance,
                      const struct maintenance_options *options,
                      struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void maintenance_stop(struct maintenance *maintenance);

/*
 * Moves what is held, or kept after a failure, past its time at now_ms to
 * expired, one page of it.
 * *more tells whether to call again. 0 or an error.
 */
int maintenance_expire(struct spool *spool, struct writer *writer,
                       int64_t now_ms, bool *more, struct error *err);

#endif
