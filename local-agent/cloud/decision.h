/*
 * What the cloud decided of held mail, made into changes of the spool. Used
 * for immediate verdicts at registration and for the decisions that follow.
 */
#ifndef LOCAL_AGENT_CLOUD_DECISION_H
#define LOCAL_AGENT_CLOUD_DECISION_H

#include <jansson.h>

#include "local-agent/queue/writer.h"
#include "store/spool/spool.h"

/* Changes that are being gathered, with copies of their texts. */
struct decision_batch {
	struct spool_change *changes;
	size_t count, capacity;
	size_t released; /* how many of them release */
	char **texts;
	size_t text_count, text_capacity;
};

/* Frees what the batch holds and empties it; a zeroed one is allowed. */
void decision_batch_release(struct decision_batch *batch);

/* Adds a change that marks the message as registered; refusal says which of its
 * recipients were not, NULL: all were. */
void decision_add_registered(struct decision_batch *batch, const struct id *id,
                             const char *refusal);

/* Adds a change that notes why the cloud refused the message, and when it is
 * asked again. */
void decision_add_refused(struct decision_batch *batch, const struct id *id,
                          int64_t retry_ms, const char *refusal);

/*
 * Adds the moves of the recipients of message that are held and whose address
 * is the given one, as verdict ("release", "discard" or "expire") says, with
 * by and why. What is no longer held is left alone: a decision can come twice.
 * 0, or ERR_INVALID for an unknown verdict.
 */
int decision_add(struct decision_batch *batch,
                 const struct spool_message *message, const char *address,
                 const char *verdict, const char *by, const char *why);

/*
 * Commits the batch. 0 when the outcome of every change is known; what was in
 * conflict had been decided otherwise before.
 */
int decision_commit(struct decision_batch *batch, struct writer *writer);

#endif
