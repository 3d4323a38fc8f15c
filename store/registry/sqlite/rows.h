/* The rows of the smaller tables, for the files that read them. */
#ifndef STORE_REGISTRY_SQLITE_ROWS_H
#define STORE_REGISTRY_SQLITE_ROWS_H

#include "store/registry/sqlite/private.h"

/* Columns in the order in which the functions below read them. */
#define TENANT_COLUMNS                                                         \
	"id, created_ms, name, language, display_name, time_zone, from_name,"  \
	" quota_messages, quota_bytes"
#define KEY_COLUMNS  "id, tenant, agent, prefix, hash, created_ms, revoked_ms"
#define USER_COLUMNS "id, tenant, created_ms, login, role, password"
#define ENTRY_COLUMNS                                                          \
	"id, scope, scope_value, kind, value, colour, origin, demands_pass,"   \
	" deleted, expires_ms, created_ms, revision, note"
/* With the parameters that registry_sqlite_bind_entry() binds; ?14 is the
 * tenant. */
#define ENTRY_INSERT                                                           \
	"INSERT INTO entry (" ENTRY_COLUMNS ", tenant) VALUES (?1, ?2, ?3,"    \
	" ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
#define DECISION_COLUMNS                                                       \
	"sequence, message, verdict, decided_ms, recipient, by, why"
#define AUDIT_COLUMNS "tenant, id, at_ms, actor, action, object, detail"

/* How many keys of an agent may be valid at once, for rotation. */
#define REGISTRY_SQLITE_VALID_KEYS 2

/* With the parameters that registry_sqlite_bind_tenant() binds. */
#define TENANT_INSERT                                                          \
	"INSERT INTO tenant (" TENANT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5,"  \
	" ?6, ?7, ?8, ?9)"

/* Binds the tenant's fields to the parameters 1 to 9, in the same order. */
void registry_sqlite_bind_tenant(struct sqlite_query *query,
                                 const struct registry_tenant *tenant);

/*
 * Each reads the query's row into a zeroed struct, which the caller releases,
 * on failure too.
 */
int registry_sqlite_read_tenant(struct sqlite_query *query,
                                struct registry_tenant *tenant,
                                struct error *err);
/* See registry_sqlite_read_tenant(). */
int registry_sqlite_read_key(struct sqlite_query *query,
                             struct registry_key *key, struct error *err);
/* See registry_sqlite_read_tenant(). */
int registry_sqlite_read_user(struct sqlite_query *query,
                              struct registry_user *user, struct error *err);
/* Binds all of an entry but its tenant: see ENTRY_INSERT. */
void registry_sqlite_bind_entry(struct sqlite_query *query,
                                const struct entry *entry);

/* See registry_sqlite_read_tenant(). */
int registry_sqlite_read_entry(struct sqlite_query *query, struct entry *entry,
                               struct error *err);
/* See registry_sqlite_read_tenant(). */
int registry_sqlite_read_decision(struct sqlite_query *query,
                                  struct registry_decision *decision,
                                  struct error *err);

/* Reads the row; the texts stay the statement's. */
void registry_sqlite_borrow_audit(struct sqlite_query *query,
                                  struct registry_audit *line);

#endif
