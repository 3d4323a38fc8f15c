/* The addresses that wait in memory; all under the mutex of *addresses. */
#ifndef STORE_REGISTRY_SQLITE_ADDRESSES_WAITING_H
#define STORE_REGISTRY_SQLITE_ADDRESSES_WAITING_H

#include "store/registry/sqlite/addresses.h"

/* Adds a copy of *place, unless the table is known to have it. */
int registry_sqlite_waiting_add(struct registry_sqlite_addresses *addresses,
                                const struct address_place *place,
                                struct error *err);

/*
 * Copies those of key from stamp on, in the order of stamps, into *found,
 * whose places the caller frees.
 */
int registry_sqlite_waiting_find(
    const struct registry_sqlite_addresses *addresses, int32_t key,
    int64_t stamp, struct address_places *found, struct error *err);

/*
 * Takes up to wanted of those whose turn it is, in the order of the table, and
 * not beyond the end of a round: then *done_row is the row up to which all have
 * been taken, else 0. They wait on until registry_sqlite_waiting_end(). The
 * caller frees the places, on failure too.
 */
int registry_sqlite_waiting_take(struct registry_sqlite_addresses *addresses,
                                 size_t wanted, struct address_places *taken,
                                 int64_t *done_row, struct error *err);

/* Those that were taken are in the table, or have their turn again. */
void registry_sqlite_waiting_end(struct registry_sqlite_addresses *addresses,
                                 bool committed);

/* Drops those of rows up to written; not while some are taken. */
void registry_sqlite_waiting_drop(struct registry_sqlite_addresses *addresses,
                                  int64_t written);

/* Frees all. */
void registry_sqlite_waiting_release(
    struct registry_sqlite_addresses *addresses);

#endif
