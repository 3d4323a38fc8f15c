/* The log of decisions, for the files that append to it and read it. */
#ifndef STORE_REGISTRY_MONGODB_DECISION_DOCUMENTS_H
#define STORE_REGISTRY_MONGODB_DECISION_DOCUMENTS_H

#include "store/registry/mongodb/private.h"

/*
 * Appends a decision to the tenant's log with the next sequence (that in
 * decision is not looked at); id is its own, under which it is appended once
 * however often and by whomever it is tried. Threads that append at once share
 * the write. Indexes: decision_sequence, _id of tenant.
 */
int registry_mongodb_append(struct registry_mongodb *mongo,
                            const struct id *tenant, const struct id *id,
                            const struct registry_decision *decision,
                            struct error *err);

/* Where the tenant's log ends, or ended before a purge; 0: nowhere yet. */
int registry_mongodb_last_sequence(struct registry_mongodb *mongo,
                                   const struct id *tenant, int64_t *sequence,
                                   struct error *err);

/* The tenant's field decision_sequence; 0 without the tenant. */
int registry_mongodb_sequence_floor(struct registry_mongodb *mongo,
                                    const struct id *tenant, int64_t *sequence,
                                    struct error *err);

/* The document of a decision with this sequence. */
bool registry_mongodb_decision_document(
    bson_t *document, const struct id *tenant, const struct id *id,
    int64_t sequence, const struct registry_decision *decision);

/* Reads one into a zeroed decision, which the caller releases, on failure
 * too. ERR_CORRUPT for a word that is unknown. */
int registry_mongodb_decision_parse(const bson_t *document,
                                    struct registry_decision *decision,
                                    struct error *err);

/* The verdict of a word, -1 for an unknown one. */
int registry_mongodb_verdict_parse(const char *word);

/* Ends what registry_mongodb_append() ended: the recipient has no decision
 * pending any more. Index: _id of message. */
int registry_mongodb_pending_clear(struct registry_mongodb *mongo,
                                   const struct id *message,
                                   const struct id *decision,
                                   struct error *err);

#endif
