/* What the files that import records into SQLite share. */
#ifndef STORE_REGISTRY_SQLITE_IMPORT_H
#define STORE_REGISTRY_SQLITE_IMPORT_H

#include "store/registry/sqlite/private.h"

/* Puts a message with its recipients in; see registry_import(). ERR_EXISTS has
 * changed nothing. */
int registry_sqlite_import_message(struct sqlite_db *db,
                                   const struct registry_record *record,
                                   bool replace, struct error *err);

/* The policy's revision (of none: the global one) is this at least. */
int registry_sqlite_raise_policy(struct sqlite_db *db, const struct id *tenant,
                                 int64_t revision, struct error *err);

/* The tenant's last sequence is this at least. */
int registry_sqlite_raise_sequence(struct sqlite_db *db,
                                   const struct id *tenant, int64_t sequence,
                                   struct error *err);

#endif
