/* Records of a registry as a copy looks at them: their order and hashes. */
#ifndef STORE_COPY_REGISTRY_RECORD_H
#define STORE_COPY_REGISTRY_RECORD_H

#include "store/copy/digest.h"
#include "store/registry/registry.h"

/*
 * Below 0, 0 or above 0 as a comes before, is the same as or comes after b, two
 * records of one kind, in the order of registry_export().
 */
int copy_record_order(const struct registry_record *a,
                      const struct registry_record *b);

/*
 * Whether retention may delete the record one day, as registry_purge() says;
 * *since_ms is the time that it goes by then.
 */
bool copy_record_is_over(const struct registry_record *record,
                         int64_t *since_ms);

/* The hash of all of a record, but the claim of a challenge's mail. */
void copy_record_hash(const struct registry_record *record,
                      uint8_t hash[CRYPTO_HASH_SIZE]);

#endif
