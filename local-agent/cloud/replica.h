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

/* An immutable state of the replica. */
struct replica_view {
	const struct entry_set *entries;
	char **domains; /* folded, sorted */
	size_t domain_count;
	bool received; /* a policy has been received once */
};

/* An empty replica: no policy received. Freed by replica_free(). */
struct replica *replica_new(void);

/* Frees; nobody may hold a view. NULL is allowed. */
void replica_free(struct replica *replica);

/*
 * Takes the current view; it stays valid and unchanged until
 * replica_release(). Any thread; does not block behind an update.
 */
const struct replica_view *replica_acquire(struct replica *replica);

/* Gives a view back. Any thread; NULL is allowed. */
void replica_release(struct replica *replica, const struct replica_view *view);

/* Whether the folded domain is one of the tenant's. */
bool replica_view_has_domain(const struct replica_view *view,
                             const char *folded);

/*
 * Reads entries and domains from the spool and puts them in place of the
 * current view. 0, or the store's error with the old view still in force.
 * One thread at a time.
 */
int replica_load(struct replica *replica, struct spool *spool,
                 struct error *err);

/* Replaces the view by entries (taken over) and domains (copied, folded). */
void replica_replace(struct replica *replica, struct entry_set *entries,
                     const char *const *domains, size_t domain_count);

/* The named value of the spool that holds the domains, a JSON array. */
#define REPLICA_DOMAINS_VALUE "policy.domains"

#endif
