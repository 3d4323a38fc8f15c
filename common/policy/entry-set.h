/* A set of entries in memory, indexed for look-ups: the agent's replica. */
#ifndef POLICY_ENTRY_SET_H
#define POLICY_ENTRY_SET_H

#include "common/policy/entry.h"

struct entry_set;

/* An empty set; freed by entry_set_free(). Look-ups from several threads are
 * safe while nobody changes it. */
struct entry_set *entry_set_new(void);

/* Frees the set; NULL is allowed. */
void entry_set_free(struct entry_set *set);

/*
 * Puts a copy of entry in, in place of the one with the same id; a tombstone
 * takes it out. However many are in, no put takes much longer than another.
 */
void entry_set_put(struct entry_set *set, const struct entry *entry);

/* How many entries are in. */
size_t entry_set_count(const struct entry_set *set);

/*
 * The strongest matching entry, or NULL. It stays valid until the set is
 * changed.
 */
const struct entry *entry_set_find(const struct entry_set *set,
                                   const struct entry_subject *subject);

#endif
