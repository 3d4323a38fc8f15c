/* Changes of the policy in MongoDB: who makes one, and what it is made of. */
#ifndef STORE_REGISTRY_MONGODB_POLICY_SEQUENCER_H
#define STORE_REGISTRY_MONGODB_POLICY_SEQUENCER_H

#include "store/registry/mongodb/private.h"

/* One change of an entry or a domain, from its caller's thread to the turn. */
struct registry_mongodb_policy_change {
	const char *collection;  /* REGISTRY_ENTRY or REGISTRY_DOMAIN */
	const struct id *tenant; /* none: the global policy */
	/*
	 * Reads what is there and makes document, which replaces it, with an
	 * _id and a revision above that of what is there: this one, unless
	 * other tenants may change it too. What it says of what is there holds,
	 * because the turn is lost when anything of the tenant's changed
	 * meanwhile. An error is the change's result. Called again for each
	 * try, from any thread.
	 */
	int (*prepare)(struct registry_mongodb *mongo,
	               struct registry_mongodb_policy_change *change,
	               int64_t revision, struct error *err);
	const void *context; /* of prepare */

	struct id id;     /* out, of prepare: no two of a turn share one */
	int64_t revision; /* out */

	/* The turn's own. */
	bson_t *document;
	int result;
	struct error err;
	bool settled; /* of the thread at its turn: result holds */
	bool done;    /* with the queue's mutex: nobody else uses it */
	struct registry_mongodb_policy_change *next;
};

/* Makes the change and gives it the next revision of its tenant's order; what
 * was read before with a smaller one stays in order. Threads that come at once
 * with changes of one tenant share a turn. */
int registry_mongodb_policy_make(struct registry_mongodb *mongo,
                                 struct registry_mongodb_policy_change *change,
                                 struct error *err);

/* Does the rest of every turn that is pending, of whichever tenant. */
int registry_mongodb_policy_finish_all(struct registry_mongodb *mongo,
                                       struct error *err);

/* --- the document of an order -------------------------------------------- */

/* How many turns are remembered. */
#define REGISTRY_MONGODB_TURNS_KEPT 32

/* The document as it was read, once nothing is pending. */
struct registry_mongodb_policy_state {
	bool missing; /* nothing was ever changed: the revision is 0 */
	int64_t revision;
	struct id turns[REGISTRY_MONGODB_TURNS_KEPT]; /* newest first */
	size_t turn_count;
};

/* {_id: tenant}; of the caller, bson_destroy(). */
void registry_mongodb_policy_select(bson_t *selector, const struct id *tenant);

/* Reads it, and first does the rest of a turn that is pending. */
int registry_mongodb_policy_read(struct registry_mongodb *mongo,
                                 const struct id *tenant,
                                 struct registry_mongodb_policy_state *state,
                                 struct error *err);

/* Puts a changed document in its place, unless a newer one is there. */
int registry_mongodb_policy_apply(struct mongodb_db *db, const char *collection,
                                  const bson_t *document, struct error *err);

/* Empties pending, while the revision is still this one. */
int registry_mongodb_policy_clear(struct registry_mongodb *mongo,
                                  const struct id *tenant, int64_t revision,
                                  struct error *err);

/* Step of the schema: the one document of all tenants, {_id: "policy"}, becomes
 * one for each and one for the global policy. */
int registry_mongodb_policy_split(struct mongodb_db *db, struct error *err);

/* --- entries as documents ------------------------------------------------ */

#define REGISTRY_MONGODB_PLACE CRYPTO_HASH_SIZE

/* The _id of the one document for a tenant, scope, scope value, kind, value. */
void registry_mongodb_entry_place(const struct id *tenant,
                                  enum entry_scope scope,
                                  const char *scope_value, enum entry_kind kind,
                                  const char *value,
                                  uint8_t place[REGISTRY_MONGODB_PLACE]);

/* The document of an entry, with its own id and revision; NULL when it is too
 * large. */
bson_t *registry_mongodb_entry_document(const struct id *tenant,
                                        const struct entry *entry);

/* Reads one; *entry is the caller's (entry_release()) on failure too. */
int registry_mongodb_entry_read(const bson_t *document, struct entry *entry,
                                struct error *err);

#endif
