/*
 * Asks the cloud for decisions on held mail (a long-poll) and applies them; a
 * thread of its own. The cursor is stored only after what it stands for.
 */
#ifndef LOCAL_AGENT_CLOUD_DECISIONS_H
#define LOCAL_AGENT_CLOUD_DECISIONS_H

#include "local-agent/agent-config.h"
#include "local-agent/queue/writer.h"

struct decisions;

struct decisions_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
	void (*released)(void *context); /* mail was released: deliver */
	void *context;
};

/* The named value of the spool that holds the cursor. */
#define DECISIONS_CURSOR_VALUE "decisions.cursor"

/* Reads the cursor and starts the thread. 0 or a negative error. */
int decisions_start(struct decisions **decisions,
                    const struct decisions_options *options, struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void decisions_stop(struct decisions *decisions);

#endif
