/*
 * Takes due mail from the spool by claims that end after queue.lease; a thread
 * of its own, so that an event loop never waits for the store.
 */
#ifndef LOCAL_AGENT_DELIVERY_CLAIM_H
#define LOCAL_AGENT_DELIVERY_CLAIM_H

#include "common/loop.h"
#include "local-agent/agent-config.h"
#include "store/spool/spool.h"

/*
 * When mail is due that an admin sends to another next hop: before all other
 * mail, and while the configured next hop is away it alone is claimed.
 */
#define CLAIM_ELSEWHERE_MS 1

struct claimer;

struct claimer_options {
	const struct agent_config *config;
	struct spool *spool;
	struct loop *loop;
	/* Whether the configured next hop is away: only what an admin sends
	 * elsewhere is claimed then. Any thread. */
	bool (*away)(void *context);
	/*
	 * What was claimed: the recipients of the page's messages whose lease
	 * is ours and ends at lease_until_ms. Messages may be taken over; the
	 * rest is released. On the loop. Nothing more is claimed until mail is
	 * wanted again.
	 */
	void (*claimed)(void *context, struct spool_page *page,
	                int64_t lease_until_ms);
	void *context;
};

/* Starts the thread, which waits until mail is wanted. 0, ERR_UNAVAILABLE. */
int claimer_start(struct claimer **claimer,
                  const struct claimer_options *options, struct error *err);

/* Ends the thread; the others below may still be called. */
void claimer_stop(struct claimer *claimer);

/* Frees, once the loop has ended too. NULL is allowed. */
void claimer_free(struct claimer *claimer);

/* Sets whether mail is wanted. Any thread. */
void claimer_want(struct claimer *claimer, bool wanted);

/* Looks at once, if mail is wanted. Any thread. */
void claimer_wake(struct claimer *claimer);

#endif
