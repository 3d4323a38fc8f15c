/* Records kept in MongoDB. */
#ifndef STORE_RECORD_MONGODB_ENGINE_H
#define STORE_RECORD_MONGODB_ENGINE_H

#include "store/record/record.h"

struct mongodb_db;

/*
 * A store of these kinds (NULL-ended; static) in a database, which stays the
 * caller's and must outlive it. Makes and checks their indexes.
 * changed(context) is called after each change but claims, from its thread.
 */
int record_mongodb_open(struct record_store **store, struct mongodb_db *db,
                        const struct record_kind *const *kinds,
                        void (*changed)(void *context), void *context,
                        struct error *err);

/* Frees it; NULL is allowed. */
void record_mongodb_close(struct record_store *store);

#endif
