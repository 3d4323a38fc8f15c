/* Tells the cloud what became of registered mail; a thread of its own. */
#ifndef LOCAL_AGENT_CLOUD_EVENTS_H
#define LOCAL_AGENT_CLOUD_EVENTS_H

#include "local-agent/agent-config.h"
#include "local-agent/queue/writer.h"

struct events;

struct events_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
};

/* Starts the thread. 0 or a negative error. */
int events_start(struct events **events, const struct events_options *options,
                 struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void events_stop(struct events *events);

/* An end was recorded. Any thread; NULL is allowed. */
void events_wake(struct events *events);

#endif
