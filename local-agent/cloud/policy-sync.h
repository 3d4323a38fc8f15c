/*
 * Keeps the replica of the tenant's policy up to date: a snapshot, then the
 * changes (a long-poll); a thread of its own.
 */
#ifndef LOCAL_AGENT_CLOUD_POLICY_SYNC_H
#define LOCAL_AGENT_CLOUD_POLICY_SYNC_H

#include "local-agent/agent-config.h"
#include "local-agent/cloud/replica.h"
#include "local-agent/queue/writer.h"

struct policy_sync;

struct policy_sync_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
	struct replica *replica;
};

/* The named value of the spool that holds the revision. */
#define POLICY_REVISION_VALUE "policy.revision"

/* Reads the revision and starts the thread. 0 or a negative error. */
int policy_sync_start(struct policy_sync **sync,
                      const struct policy_sync_options *options,
                      struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void policy_sync_stop(struct policy_sync *sync);

#endif
