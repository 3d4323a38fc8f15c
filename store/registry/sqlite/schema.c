/*
 * The tables of registry.db. Ids and hashes are BLOBs, "none" is 16 zero
 * bytes, times are milliseconds, states are the numbers of registry.h's enums.
 */
#include "store/registry/sqlite/private.h"

/* Tenants, their domains, keys and users; leases, secrets, counters, audit. */
#define SCHEMA_ACCOUNTS                                                        \
	"CREATE TABLE tenant ("                                                \
	" id BLOB PRIMARY KEY,"                                                \
	" name TEXT NOT NULL UNIQUE,"                                          \
	" language TEXT NOT NULL,"                                             \
	" created_ms INTEGER NOT NULL," /* What his policy and his decisions   \
	                                   have reached. */                    \
	" policy_revision INTEGER NOT NULL DEFAULT 0,"                         \
	" decision_sequence INTEGER NOT NULL DEFAULT 0"                        \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE TABLE domain ("                                                \
	" name TEXT PRIMARY KEY,"                                              \
	" tenant BLOB NOT NULL"                                                \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE INDEX domain_of_tenant ON domain (tenant, name);"              \
	"CREATE TABLE agent_key ("                                             \
	" prefix TEXT PRIMARY KEY,"                                            \
	" id BLOB NOT NULL UNIQUE,"                                            \
	" tenant BLOB NOT NULL,"                                               \
	" agent TEXT NOT NULL,"                                                \
	" hash BLOB NOT NULL,"                                                 \
	" created_ms INTEGER NOT NULL,"                                        \
	" revoked_ms INTEGER NOT NULL"                                         \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE INDEX agent_key_of_tenant"                                     \
	" ON agent_key (tenant, agent, prefix);"                               \
	"CREATE TABLE user ("                                                  \
	" login TEXT PRIMARY KEY,"                                             \
	" id BLOB NOT NULL UNIQUE,"                                            \
	" tenant BLOB NOT NULL,"                                               \
	" role TEXT NOT NULL,"                                                 \
	" password TEXT NOT NULL,"                                             \
	" created_ms INTEGER NOT NULL"                                         \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE INDEX user_of_tenant ON user (tenant, login);"                 \
	"CREATE TABLE lease ("                                                 \
	" name TEXT PRIMARY KEY,"                                              \
	" owner TEXT NOT NULL,"                                                \
	" until_ms INTEGER NOT NULL"                                           \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE TABLE secret ("                                                \
	" name TEXT PRIMARY KEY,"                                              \
	" bytes BLOB NOT NULL"                                                 \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE TABLE counter ("                                               \
	" name TEXT PRIMARY KEY,"                                              \
	" value INTEGER NOT NULL"                                              \
	") STRICT, WITHOUT ROWID;" /* One count of revisions for all: a tenant \
	                              reads the global ones too. */            \
	"INSERT INTO counter VALUES ('revision', 0), ('global-policy', 0),"    \
	" ('changes', 0),"                                                     \
	" ('messages', 0), ('recipients-held', 0);"                            \
	"CREATE TABLE audit ("                                                 \
	" tenant BLOB NOT NULL,"                                               \
	" id BLOB NOT NULL,"                                                   \
	" at_ms INTEGER NOT NULL,"                                             \
	" actor TEXT NOT NULL,"                                                \
	" action TEXT NOT NULL,"                                               \
	" object TEXT NOT NULL,"                                               \
	" detail TEXT NOT NULL,"                                               \
	" PRIMARY KEY (tenant, id)"                                            \
	") STRICT, WITHOUT ROWID;"

/* The lists. Scanned by match: live patterns and networks (kinds 0 and 1). */
#define SCHEMA_ENTRIES                                                         \
	"CREATE TABLE entry ("                                                 \
	" id BLOB PRIMARY KEY,"                                                \
	" tenant BLOB NOT NULL,"                                               \
	" scope INTEGER NOT NULL,"                                             \
	" scope_value TEXT NOT NULL,"                                          \
	" kind INTEGER NOT NULL,"                                              \
	" value TEXT NOT NULL,"                                                \
	" colour INTEGER NOT NULL,"                                            \
	" origin INTEGER NOT NULL,"                                            \
	" demands_pass INTEGER NOT NULL,"                                      \
	" deleted INTEGER NOT NULL,"                                           \
	" expires_ms INTEGER NOT NULL,"                                        \
	" created_ms INTEGER NOT NULL,"                                        \
	" revision INTEGER NOT NULL,"                                          \
	" note TEXT NOT NULL,"                                                 \
	" UNIQUE (tenant, scope, scope_value, kind, value)"                    \
	") STRICT;"                                                            \
	"CREATE UNIQUE INDEX entry_by_revision ON entry (tenant, revision);"   \
	"CREATE INDEX entry_live ON entry (tenant, id) WHERE deleted = 0;"     \
	"CREATE INDEX entry_scanned ON entry (tenant)"                         \
	" WHERE deleted = 0 AND kind <= 1;"

/* Registered mail; "held" counts the recipients that are still held. */
#define MESSAGE_FIELDS                                                         \
	" tenant BLOB NOT NULL,"                                               \
	" challenge BLOB,"                                                     \
	" held INTEGER NOT NULL,"                                              \
	" received_ms INTEGER NOT NULL,"                                       \
	" registered_ms INTEGER NOT NULL,"                                     \
	" expires_ms INTEGER NOT NULL,"                                        \
	" size INTEGER NOT NULL,"                                              \
	" sender TEXT NOT NULL,"                                               \
	" sender_normal TEXT NOT NULL,"                                        \
	" header_from TEXT NOT NULL,"                                          \
	" subject TEXT NOT NULL,"                                              \
	" message_id TEXT NOT NULL,"                                           \
	" client_address TEXT NOT NULL,"                                       \
	" helo TEXT NOT NULL,"                                                 \
	" challenge_reason TEXT NOT NULL,"                                     \
	" auth_stated INTEGER NOT NULL,"                                       \
	" auth_aligned INTEGER NOT NULL,"                                      \
	" spf INTEGER NOT NULL,"                                               \
	" dkim INTEGER NOT NULL,"                                              \
	" dmarc INTEGER NOT NULL,"                                             \
	" spf_domain TEXT NOT NULL,"                                           \
	" dkim_domain TEXT NOT NULL"

#define MESSAGE_INDEXES                                                        \
	"CREATE INDEX message_of_tenant ON message (tenant, id);"              \
	"CREATE INDEX message_by_challenge ON message (challenge, id)"         \
	" WHERE challenge IS NOT NULL;"                                        \
	"CREATE INDEX message_held ON message (tenant, id) WHERE held > 0;"    \
	"CREATE INDEX message_held_any ON message (id) WHERE held > 0;"        \
	"CREATE INDEX message_expiry ON message (expires_ms)"                  \
	" WHERE held > 0;"

#define SCHEMA_MESSAGES                                                        \
	"CREATE TABLE message (id BLOB PRIMARY KEY," MESSAGE_FIELDS            \
	") STRICT;" MESSAGE_INDEXES "CREATE INDEX message_by_sender"           \
	" ON message (sender_normal, tenant, id);"                             \
	"CREATE TABLE recipient ("                                             \
	" message BLOB NOT NULL,"                                              \
	" address TEXT NOT NULL,"                                              \
	" tenant BLOB NOT NULL,"                                               \
	" position INTEGER NOT NULL,"                                          \
	" state INTEGER NOT NULL,"                                             \
	" changed_ms INTEGER NOT NULL,"                                        \
	" by TEXT NOT NULL,"                                                   \
	" why TEXT NOT NULL,"                                                  \
	" PRIMARY KEY (message, address)"                                      \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE INDEX recipient_by_address"                                    \
	" ON recipient (address, tenant, message);"                            \
	"CREATE TABLE decision ("                                              \
	" tenant BLOB NOT NULL,"                                               \
	" sequence INTEGER NOT NULL,"                                          \
	" message BLOB NOT NULL,"                                              \
	" recipient TEXT NOT NULL,"                                            \
	" verdict INTEGER NOT NULL,"                                           \
	" by TEXT NOT NULL,"                                                   \
	" why TEXT NOT NULL,"                                                  \
	" decided_ms INTEGER NOT NULL,"                                        \
	" PRIMARY KEY (tenant, sequence)"                                      \
	") STRICT, WITHOUT ROWID;"

/* Challenges: at most one is open (state 0) for a sender. */
#define SCHEMA_CHALLENGES                                                      \
	"CREATE TABLE challenge ("                                             \
	" id BLOB PRIMARY KEY,"                                                \
	" tenant BLOB NOT NULL,"                                               \
	" message BLOB NOT NULL,"                                              \
	" sender_hash BLOB NOT NULL,"                                          \
	" token_hash BLOB NOT NULL,"                                           \
	" state INTEGER NOT NULL,"                                             \
	" created_ms INTEGER NOT NULL,"                                        \
	" expires_ms INTEGER NOT NULL,"                                        \
	" changed_ms INTEGER NOT NULL,"                                        \
	" sender TEXT NOT NULL,"                                               \
	" code TEXT NOT NULL,"                                                 \
	" attempts INTEGER NOT NULL,"                                          \
	" code_serial INTEGER NOT NULL,"                                       \
	" mail INTEGER NOT NULL,"                                              \
	" mail_attempts INTEGER NOT NULL,"                                     \
	" mail_next_ms INTEGER NOT NULL,"                                      \
	" mail_owner TEXT NOT NULL,"                                           \
	" mail_lease_ms INTEGER NOT NULL,"                                     \
	" mail_reply TEXT NOT NULL"                                            \
	") STRICT;"                                                            \
	"CREATE UNIQUE INDEX challenge_open ON challenge (sender_hash)"        \
	" WHERE state = 0;"                                                    \
	"CREATE INDEX challenge_expiry ON challenge (expires_ms)"              \
	" WHERE state = 0;"                                                    \
	"CREATE INDEX challenge_changed ON challenge (state, changed_ms);"     \
	"CREATE INDEX challenge_mail ON challenge (mail_next_ms)"              \
	" WHERE state = 0 AND mail = 0;"                                       \
	"CREATE TABLE dead_sender ("                                           \
	" hash BLOB PRIMARY KEY,"                                              \
	" marked_ms INTEGER NOT NULL"                                          \
	") STRICT, WITHOUT ROWID;"

/* By the time that retention looks at. */
#define SCHEMA_RETENTION                                                       \
	"CREATE INDEX message_ended ON message (expires_ms) WHERE held = 0;"   \
	"CREATE INDEX decision_by_time ON decision (decided_ms);"              \
	"CREATE INDEX dead_sender_by_time ON dead_sender (marked_ms);"         \
	"CREATE INDEX audit_by_time ON audit (at_ms);"

/*
 * Version 3: messages have a number of their own, given once and never again,
 * and are found by their addresses in a table that is written in the order of
 * its keys (registry-sqlite-addresses.h).
 */
#define SCHEMA_ADDRESSES                                                       \
	"ALTER TABLE message RENAME TO message_2;"                             \
	"CREATE TABLE message (row INTEGER PRIMARY KEY AUTOINCREMENT,"         \
	" id BLOB NOT NULL UNIQUE," MESSAGE_FIELDS ") STRICT;"                 \
	"INSERT INTO message SELECT NULL, * FROM message_2 ORDER BY rowid;"    \
	"DROP TABLE message_2;" MESSAGE_INDEXES                                \
	"CREATE INDEX message_ended ON message (expires_ms) WHERE held = 0;"   \
	"DROP INDEX recipient_by_address;"                                     \
	"CREATE TABLE message_address ("                                       \
	" key INTEGER NOT NULL,"                                               \
	" stamp INTEGER NOT NULL,"                                             \
	" row INTEGER NOT NULL,"                                               \
	" PRIMARY KEY (key, stamp, row)"                                       \
	") STRICT, WITHOUT ROWID;"                                             \
	"CREATE TABLE address_gone (row INTEGER PRIMARY KEY) STRICT;"          \
	"CREATE TABLE address_state ("                                         \
	" secret BLOB NOT NULL,"                                               \
	" written INTEGER NOT NULL,"                                           \
	" round INTEGER NOT NULL,"                                             \
	" next INTEGER NOT NULL"                                               \
	") STRICT;"                                                            \
	"INSERT INTO address_state VALUES (randomblob(32), 0, 0, 0);"

/*
 * Version 4: how strangers get to know a tenant, and how much it may have held,
 * which is counted from the index of held mail alone.
 */
#define SCHEMA_TENANT_SETTINGS                                                 \
	"ALTER TABLE tenant ADD COLUMN display_name TEXT NOT NULL DEFAULT '';" \
	"ALTER TABLE tenant ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';"    \
	"ALTER TABLE tenant ADD COLUMN from_name TEXT NOT NULL DEFAULT '';"    \
	"ALTER TABLE tenant ADD COLUMN"                                        \
	" quota_messages INTEGER NOT NULL DEFAULT 0;"                          \
	"ALTER TABLE tenant ADD COLUMN"                                        \
	" quota_bytes INTEGER NOT NULL DEFAULT 0;"                             \
	"DROP INDEX message_held;"                                             \
	"CREATE INDEX message_held ON message (tenant, id, size)"              \
	" WHERE held > 0;"

/*
 * And how many challenges a client, a domain and a tenant cause (a hash of
 * zeros stands for an unknown one), why a challenge ended, and why a sender is
 * marked as dead.
 */
#define NO_HASH                                                                \
	"x'0000000000000000000000000000000000000000000000000000000000000000'"
#define SCHEMA_CAPS                                                            \
	"ALTER TABLE challenge ADD COLUMN end_reason TEXT NOT NULL"            \
	" DEFAULT '';"                                                         \
	"ALTER TABLE challenge ADD COLUMN client_hash BLOB NOT NULL"           \
	" DEFAULT " NO_HASH ";"                                                \
	"ALTER TABLE challenge ADD COLUMN domain_hash BLOB NOT NULL"           \
	" DEFAULT " NO_HASH ";"                                                \
	"CREATE INDEX challenge_of_sender"                                     \
	" ON challenge (sender_hash, created_ms);"                             \
	"CREATE INDEX challenge_of_client"                                     \
	" ON challenge (client_hash, created_ms);"                             \
	"CREATE INDEX challenge_of_domain"                                     \
	" ON challenge (domain_hash, created_ms);"                             \
	"CREATE INDEX challenge_of_tenant ON challenge (tenant, created_ms);"  \
	"CREATE INDEX challenge_created ON challenge (created_ms);"            \
	"ALTER TABLE dead_sender ADD COLUMN challenge BLOB NOT NULL"           \
	" DEFAULT x'00000000000000000000000000000000';"                        \
	"ALTER TABLE dead_sender ADD COLUMN reason TEXT NOT NULL DEFAULT '';"

/* Version 4 too: which From a DMARC result is about. */
#define SCHEMA_EVIDENCE                                                        \
	"ALTER TABLE message ADD COLUMN"                                       \
	" dmarc_domain TEXT NOT NULL DEFAULT '';"

/*
 * Version 5: each tenant's policy has an order of its own, and one is for the
 * global policy; before, one count was for all of them.
 */
#define SCHEMA_ORDERS "DELETE FROM counter WHERE name = 'revision';"

const char *const registry_sqlite_migrations[] = {
    "PRAGMA application_id = " REGISTRY_SQLITE_APPLICATION
    ";" SCHEMA_ACCOUNTS SCHEMA_ENTRIES SCHEMA_MESSAGES SCHEMA_CHALLENGES,
    SCHEMA_RETENTION,
    SCHEMA_ADDRESSES,
    SCHEMA_TENANT_SETTINGS SCHEMA_CAPS SCHEMA_EVIDENCE,
    SCHEMA_ORDERS,
};

const size_t registry_sqlite_version =
    sizeof(registry_sqlite_migrations) / sizeof(*registry_sqlite_migrations);
