/* Accounts as documents in MongoDB, for the files that read and write them. */
#ifndef STORE_REGISTRY_MONGODB_ACCOUNT_DOCUMENTS_H
#define STORE_REGISTRY_MONGODB_ACCOUNT_DOCUMENTS_H

#include "store/registry/mongodb/private.h"

/* Reads a document; the struct is the caller's to release, on failure too. */
int registry_mongodb_read_tenant(const bson_t *document,
                                 struct registry_tenant *tenant,
                                 struct error *err);
/* See registry_mongodb_read_tenant(). ERR_CORRUPT for a bad hash. */
int registry_mongodb_read_key(const bson_t *document, struct registry_key *key,
                              struct error *err);
/* See registry_mongodb_read_tenant(). */
int registry_mongodb_read_user(const bson_t *document,
                               struct registry_user *user, struct error *err);

/*
 * Appends the fields of an account without its _id, each false when the
 * document is full. A key's slot is "1" or "2" while it is valid, of which an
 * agent has one each, and the prefix once it is revoked.
 */
bool registry_mongodb_append_tenant(bson_t *document,
                                    const struct registry_tenant *tenant);
/* Of these fields those that registry_tenant_change() sets. */
bool registry_mongodb_append_settings(bson_t *document,
                                      const struct registry_tenant *tenant);
/* See registry_mongodb_append_tenant(). */
bool registry_mongodb_append_key(bson_t *document,
                                 const struct registry_key *key,
                                 const char *slot);
/* See registry_mongodb_append_tenant(). */
bool registry_mongodb_append_user(bson_t *document,
                                  const struct registry_user *user);

/* How many keys of an agent may be valid at once, for rotation. */
#define REGISTRY_MONGODB_KEY_SLOTS 2

/* "1" or "2". */
const char *registry_mongodb_key_slot(int index);

#endif
