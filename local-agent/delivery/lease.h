/*
 * The claims on mail that waits for delivery or is under way: prolonged, all
 * with one commit, from lease_keep() to lease_drop(). All of it belongs to the
 * loop's thread, but for leases_new() and leases_free().
 */
#ifndef LOCAL_AGENT_DELIVERY_LEASE_H
#define LOCAL_AGENT_DELIVERY_LEASE_H

#include "local-agent/agent-config.h"
#include "local-agent/queue/writer.h"
#include "store/spool/spool.h"

struct leases;

/* A claim on recipients of one message. What it points to outlives it. */
struct lease {
	struct id message;
	const size_t *recipients; /* their places in the message */
	const char *const *addresses;
	size_t count;
	int64_t until_ms;
	bool lost;     /* somebody else's now; set by the leases */
	bool settling; /* set by its owner: the outcome is with the writer, and
	                  ends the claim */
	/* The leases' own. */
	bool kept;
	struct lease *next;
};

struct leases_options {
	const struct agent_config *config;
	struct writer *writer;
	struct loop *loop;
	void (*renewed)(void *context); /* after each commit */
	void *context;
};

/* Makes an empty table. */
struct leases *leases_new(const struct leases_options *options);

/* Frees, once the writer and the loop have ended. NULL is allowed. */
void leases_free(struct leases *leases);

/* Starts prolonging what is kept. */
void leases_start(struct leases *leases);

/* Ends prolonging. */
void leases_stop(struct leases *leases);

/* Prolongs the claim from now on. */
void lease_keep(struct leases *leases, struct lease *lease);

/* Ends that; nothing if it was not kept. */
void lease_drop(struct leases *leases, struct lease *lease);

/* Whether the claim is ours for long enough to begin a delivery now. */
bool lease_is_safe(const struct leases *leases, const struct lease *lease);

/*
 * Of a message that was claimed: the recipients that have a kept lease already,
 * whose claim had ended meanwhile, are shown as not claimed.
 */
void lease_skip_kept(const struct leases *leases,
                     struct spool_message *message);

#endif
