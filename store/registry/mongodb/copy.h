/* Putting records into the MongoDB registry, for the files that do so. */
#ifndef STORE_REGISTRY_MONGODB_COPY_H
#define STORE_REGISTRY_MONGODB_COPY_H

#include "store/registry/mongodb/private.h"

/* See registry_import(); messages, decisions, challenges, dead senders. */
int registry_mongodb_own_import(struct registry_mongodb *mongo,
                                const struct registry_record *records,
                                size_t count, bool replace, int *results,
                                struct error *err);

/* See registry_import(); counters. */
int registry_mongodb_counters_import(struct registry_mongodb *mongo,
                                     const struct registry_record *records,
                                     size_t count, bool replace, int *results,
                                     struct error *err);

#endif
