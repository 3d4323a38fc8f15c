/*
 * A long-poll of the cloud with a cursor, which the spool keeps; a thread of
 * its own. The cursor is stored after what it stands for, or with it.
 */
#ifndef LOCAL_AGENT_CLOUD_POLL_H
#define LOCAL_AGENT_CLOUD_POLL_H

#include <jansson.h>

#include "local-agent/agent-config.h"
#include "local-agent/cloud/worker.h"
#include "local-agent/queue/writer.h"

struct cloud_poll;

/* All is called on the poll's thread. */
struct cloud_poll_options {
	const char *name; /* of the thread and in log lines; 15 bytes */
	const struct agent_config *config;
	const char *path; /* of the requests: GET */
	int limit;        /* of what one answer brings */
	/* Writes where the poll stands, as the query says it: "after=7". */
	void (*cursor)(const void *context, char *text, size_t size);
	/*
	 * Takes an answer that has news. CLOUD_STEP_AGAIN, how long to rest, or
	 * CLOUD_STEP_FAILED, also where the cursor did not move: the same
	 * answer would come without end.
	 */
	int64_t (*take)(void *context, const json_t *answer);
	void *context;
};

/* Starts the thread. 0 or a negative error. */
int cloud_poll_start(struct cloud_poll **poll,
                     const struct cloud_poll_options *options,
                     struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void cloud_poll_stop(struct cloud_poll *poll);

/*
 * Reads a number from the spool's value of this name. 0, also where there is
 * none: *number stays; ERR_CORRUPT for what is no number from 0 on, or an error
 * of the store.
 */
int cloud_poll_number(struct spool *spool, const char *name, int64_t *number,
                      struct error *err);

/* Commits a value of the spool and waits. 0 or a negative error. */
int cloud_poll_store(struct writer *writer, const char *name,
                     const char *value);

#endif
