/*
 * Tells senders of mail that failed: finds what failed and has a DSN due, puts
 * the DSN into the spool as a message to the sender, and once the next hop has
 * taken it notes so, which ends the keeping of the failed mail. A DSN that
 * cannot be delivered leaves the mail where the admin finds it.
 *
 * Each step is a conditional change of one message: however many agents share
 * the spool, and wherever one is killed, each failed recipient has one DSN,
 * whose id is on record before it is written. As any mail it can come twice
 * when an agent dies between the next hop's final 250 and its commit.
 */
#ifndef LOCAL_AGENT_DELIVERY_DSN_QUEUE_H
#define LOCAL_AGENT_DELIVERY_DSN_QUEUE_H

#include "local-agent/agent-config.h"
#include "local-agent/cloud/replica.h"
#include "local-agent/queue/writer.h"

struct dsn_queue;

struct dsn_queue_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
	struct replica *replica; /* the tenant's domains */
};

/* Starts the thread. The caller ends it with dsn_queue_stop(). */
int dsn_queue_start(struct dsn_queue **queue,
                    const struct dsn_queue_options *options, struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void dsn_queue_stop(struct dsn_queue *queue);

/*
 * Does what is to be done for one page of messages, from *after on, which
 * becomes the last one's id, or none at the end. 0 or an error.
 */
int dsn_queue_work(const struct dsn_queue_options *options, struct id *after,
                   struct error *err);

#endif
