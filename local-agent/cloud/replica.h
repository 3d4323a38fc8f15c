/*
 * What the agent knows of the tenant's policy: its domains and a copy of the
 * lists. Kept up to date by policy-sync, asked by every message; with the
 * cloud away it goes on deciding.
 */
#ifndef LOCAL_AGENT_CLOUD_REPLICA_H
#define LOCAL_AGENT_CLOUD_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/policy/entry-set.h"
#include "store/spool/spool.h"

struct replica;

/* What is in force. */
struct replica_view {
	const struct entry_set *entries;
	char **domains; /* folded, sorted */
	size_t domain_count;
	bool received; /* a policy has been received once */
};

/* An empty replica: no policy received. Freed by replica_free(). */
struct replica *replica_new(void);

/* Frees; nobody may hold the view. NULL is allowed. */
void replica_free(struct replica *replica);

/*
 * Takes the view; it stays valid and unchanged until replica_release() on the
 * same thread, which takes no second one meanwhile and waits for nothing: a
 * change of the policy, and behind it other readers, wait for it. Any thread;
 * waits for the few changes that are made at once.
 */
const struct replica_view *replica_acquire(struct replica *replica);

/* Gives the view back, on the thread that took it; NULL is allowed. */
void replica_release(struct replica *replica, const struct replica_view *view);

/* Whether the folded domain is one of the tenant's. */
bool replica_view_has_domain(const struct replica_view *view,
                             const char *folded);

/*
 * Reads entries and domains from the spool and puts them in place of those in
 * force. 0, or the store's error with the old ones still in force. The
 * functions that change the replica are for one thread at a time.
 */
int replica_load(struct replica *replica, struct spool *spool,
                 struct error *err);

/*
 * Puts entries into those in force, tombstones take theirs out: a few at once,
 * so that readers hardly wait and may see some of them before the others.
 */
void replica_change(struct replica *replica, const struct entry *entries,
                    size_t count);

/* Replaces the entries (taken over; NULL: they stay) and the domains (copied,
 * folded). */
void replica_replace(struct replica *replica, struct entry_set *entries,
                     const char *const *domains, size_t domain_count);

/* The same with the domains as a JSON array; ERR_CORRUPT where it is none. */
int replica_replace_text(struct replica *replica, struct entry_set *entries,
                         const char *domains, struct error *err);

/* The named value of the spool that holds the domains, a JSON array. */
#define REPLICA_DOMAINS_VALUE "policy.domains"

#endif
