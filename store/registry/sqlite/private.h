/* What the files of the registry's SQLite backend share. */
#ifndef STORE_REGISTRY_SQLITE_PRIVATE_H
#define STORE_REGISTRY_SQLITE_PRIVATE_H

#include <pthread.h>

#include "store/registry/ops.h"
#include "store/sqlite/db.h"

struct sqlite_pool;
struct sqlite_checkpointer;
struct registry_write;
struct registry_sqlite_addresses;

struct registry_sqlite {
	struct registry registry; /* first */
	char *path;               /* of the database */
	struct sqlite_pool *readers;
	struct sqlite_checkpointer *checkpointer;
	struct registry_sqlite_addresses *addresses;

	pthread_mutex_t writer_mutex; /* of the writer and what follows */
	struct sqlite_db *writer;
	int failure;          /* what ended writing for good, or 0 */
	int64_t data_version; /* as the writer last saw it */
	int64_t changes;      /* those of any instance that are known here */

	pthread_mutex_t queue_mutex; /* of the writes that wait */
	struct registry_write *first_write, *last_write;

	pthread_mutex_t watch_mutex; /* of what follows */
	pthread_cond_t changed;
	int64_t version;   /* grows with every change that is noticed */
	int64_t polled_ms; /* when that was, monotonic */
	bool cancelled;
};

/* What marks the file as a registry: "TREG" in ASCII. */
#define REGISTRY_SQLITE_APPLICATION "1414677831"

/* Schema version i + 1 is reached by migrations[i]. */
extern const char *const registry_sqlite_migrations[];
extern const size_t registry_sqlite_version;

/*
 * What is done within a transaction. A failure must leave outputs that the
 * caller can see as they were, and no statement unfinished.
 */
typedef int (*registry_sqlite_job)(struct sqlite_db *db, void *context,
                                   struct error *err);

/*
 * Runs job as one write, on stable storage when 0 is returned; whatever else
 * the job returns has changed nothing. Writes of several threads that wait at
 * the same time share one commit, so job may run on another thread.
 * ERR_UNCERTAIN when the commit failed.
 */
int registry_sqlite_write(struct registry *registry, registry_sqlite_job job,
                          void *context, struct error *err);

/* As registry_sqlite_write() for what nobody watches: leases and claims. */
int registry_sqlite_write_quietly(struct registry *registry,
                                  registry_sqlite_job job, void *context,
                                  struct error *err);

/* Runs job on a connection that reads one state of the file. */
int registry_sqlite_read(struct registry *registry, registry_sqlite_job job,
                         void *context, struct error *err);

/* Ends every watch that knows an older version. */
void registry_sqlite_changed(struct registry_sqlite *sqlite);

/* See registry_watch(). */
int registry_sqlite_watch(struct registry *registry, int64_t *version,
                          int64_t timeout_ms, struct error *err);

/* See registry_watch_cancel(). */
void registry_sqlite_watch_cancel(struct registry *registry);

/* See registry_check(). */
int registry_sqlite_check(struct registry *registry, struct error *err);

/* Binds text, NULL as "". */
void registry_sqlite_bind(struct sqlite_query *query, int index,
                          const char *text);

/*
 * Copies the columns from first on into *texts[0..count). On failure those
 * already copied stay in their places.
 */
int registry_sqlite_copy(struct sqlite_query *query, int first,
                         char **const texts[], size_t count, struct error *err);

/* Steps a query that gives one row at most: 1 (still on the row), 0, error.
 * The caller resets it after 1. */
int registry_sqlite_exists(struct sqlite_db *db, const char *sql,
                           const struct id *id, struct error *err);

/* 0 when the tenant exists, ERR_NOT_FOUND, or an error. */
int registry_sqlite_need_tenant(struct sqlite_db *db, const struct id *tenant,
                                struct error *err);

/* Runs a statement that gives one number. ERR_CORRUPT when it gives none. */
int registry_sqlite_number(struct sqlite_query *query, int64_t *number,
                           struct error *err);

/* Reads how many changes all instances have made, leases and claims not. */
int registry_sqlite_read_changes(struct sqlite_db *db, int64_t *changes,
                                 struct error *err);

/* A look-up of one record, by a name or an id. */
struct registry_lookup {
	const char *name; /* NULL: by id */
	const struct id *id;
	void *found;
};

/*
 * Binds what is looked for and steps: 1 on the row, which the caller resets,
 * ERR_NOT_FOUND "no such WHAT", or an error.
 */
int registry_sqlite_look_up(struct sqlite_query *query,
                            const struct registry_lookup *lookup,
                            const char *what, struct error *err);

/* Adds delta to the named counter. */
int registry_sqlite_count_up(struct sqlite_db *db, const char *name,
                             int64_t delta, struct error *err);

/* The next revision of the tenant's (none: of the global) policy; ERR_NOT_FOUND
 * without the tenant. */
int registry_sqlite_next_revision(struct sqlite_db *db, const struct id *tenant,
                                  int64_t *revision, struct error *err);

/*
 * A recipient leaves held: its message and the totals count one less.
 */
int registry_sqlite_unhold(struct sqlite_db *db, const struct id *message,
                           struct error *err);

/* --- the operations ---------------------------------------------------- */

/* See registry_tenant_add(). */
int registry_sqlite_tenant_add(struct registry *registry,
                               const struct registry_tenant *tenant,
                               struct error *err);
/* See registry_tenant_change(). */
int registry_sqlite_tenant_change(struct registry *registry,
                                  const struct registry_tenant *tenant,
                                  struct error *err);
/* See registry_tenant_find(). */
int registry_sqlite_tenant_find(struct registry *registry, const char *name,
                                struct registry_tenant *tenant,
                                struct error *err);
/* See registry_tenant_read(). */
int registry_sqlite_tenant_read(struct registry *registry, const struct id *id,
                                struct registry_tenant *tenant,
                                struct error *err);
/* See registry_tenant_usage(). */
int registry_sqlite_tenant_usage(struct registry *registry,
                                 const struct id *tenant,
                                 struct registry_usage *usage,
                                 struct error *err);

/* See registry_tenant_each(). */
int registry_sqlite_tenant_each(struct registry *registry,
                                void (*each)(const struct registry_tenant *,
                                             void *),
                                void *context, struct error *err);
/* See registry_domain_add(). */
int registry_sqlite_domain_add(struct registry *registry,
                               const struct id *tenant, const char *domain,
                               struct error *err);
/* See registry_domain_remove(). */
int registry_sqlite_domain_remove(struct registry *registry,
                                  const struct id *tenant, const char *domain,
                                  struct error *err);
/* See registry_domain_each(). */
int registry_sqlite_domain_each(struct registry *registry,
                                const struct id *tenant,
                                void (*each)(const char *, void *),
                                void *context, struct error *err);
/* See registry_key_add(). */
int registry_sqlite_key_add(struct registry *registry,
                            const struct registry_key *key, struct error *err);
/* See registry_key_find(). */
int registry_sqlite_key_find(struct registry *registry, const char *prefix,
                             struct registry_key *key, struct error *err);
/* See registry_key_revoke(). */
int registry_sqlite_key_revoke(struct registry *registry,
                               const struct id *tenant, const char *prefix,
                               int64_t now_ms, struct error *err);
/* See registry_key_each(). */
int registry_sqlite_key_each(struct registry *registry, const struct id *tenant,
                             void (*each)(const struct registry_key *, void *),
                             void *context, struct error *err);
/* See registry_user_add(). */
int registry_sqlite_user_add(struct registry *registry,
                             const struct registry_user *user,
                             struct error *err);
/* See registry_user_find(). */
int registry_sqlite_user_find(struct registry *registry, const char *login,
                              struct registry_user *user, struct error *err);
/* See registry_user_each(). */
int registry_sqlite_user_each(struct registry *registry,
                              const struct id *tenant,
                              void (*each)(const struct registry_user *,
                                           void *),
                              void *context, struct error *err);
/* See registry_entry_put(). */
int registry_sqlite_entry_put(struct registry *registry,
                              const struct id *tenant,
                              const struct entry *entry, struct entry *stored,
                              struct error *err);
/* See registry_entry_remove(). */
int registry_sqlite_entry_remove(struct registry *registry,
                                 const struct id *tenant, const struct id *id,
                                 struct error *err);
/* See registry_entry_list(). */
int registry_sqlite_entry_list(struct registry *registry,
                               const struct id *tenant, const struct id *after,
                               size_t limit, struct registry_entries *page,
                               struct error *err);
/* See registry_entry_changes(). */
int registry_sqlite_entry_changes(struct registry *registry,
                                  const struct id *tenant, int64_t after,
                                  size_t limit, struct registry_entries *page,
                                  struct error *err);
/* See registry_policy_revision(). */
int registry_sqlite_policy_revision(struct registry *registry,
                                    const struct id *tenant, int64_t *revision,
                                    struct error *err);
/* See registry_entry_match(). */
int registry_sqlite_entry_match(struct registry *registry,
                                const struct id *tenant,
                                const struct entry_subject *subjects,
                                size_t count, struct entry *entries,
                                struct error *err);
/* See registry_message_add(). */
int registry_sqlite_message_add(struct registry *registry,
                                const struct registry_message *messages,
                                size_t count, int *results, struct error *err);
/* See registry_message_read(). */
int registry_sqlite_message_read(struct registry *registry,
                                 const struct id *tenant, const struct id *id,
                                 struct registry_message *message,
                                 struct error *err);
/* See registry_message_attach(). */
int registry_sqlite_message_attach(
    struct registry *registry, const struct id *tenant,
    const struct registry_attachment *attachments, size_t count,
    struct error *err);
/* See registry_message_list(). */
int registry_sqlite_message_list(struct registry *registry,
                                 const struct registry_query *query,
                                 struct registry_messages *page,
                                 struct error *err);
/* See registry_decide(). */
int registry_sqlite_decide(struct registry *registry, const struct id *tenant,
                           const struct registry_decision *decision,
                           struct error *err);
/* See registry_decision_list(). */
int registry_sqlite_decision_list(struct registry *registry,
                                  const struct id *tenant, int64_t after,
                                  size_t limit, struct registry_decisions *page,
                                  struct error *err);
/* See registry_decision_last(). */
int registry_sqlite_decision_last(struct registry *registry,
                                  const struct id *tenant, int64_t *sequence,
                                  struct error *err);
/* See registry_message_event(). */
int registry_sqlite_message_event(struct registry *registry,
                                  const struct id *tenant, const struct id *id,
                                  const char *recipient,
                                  enum registry_state state, int64_t now_ms,
                                  const char *why, struct error *err);
/* See registry_challenge_open(). */
int registry_sqlite_challenge_open(struct registry *registry,
                                   const struct registry_challenge *challenges,
                                   size_t count, int *results,
                                   struct registry_opened *existing,
                                   struct error *err);
/* See registry_challenge_find(). */
int registry_sqlite_challenge_find(struct registry *registry,
                                   const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                   size_t count, struct registry_opened *found,
                                   struct error *err);
/* See registry_challenge_states(). */
int registry_sqlite_challenge_states(struct registry *registry,
                                     const struct id *ids, size_t count,
                                     int *states, struct error *err);
/* See registry_challenge_read(). */
int registry_sqlite_challenge_read(struct registry *registry,
                                   const struct id *id,
                                   struct registry_challenge *challenge,
                                   struct error *err);
/* See registry_challenge_move() and registry_challenge_end(). */
int registry_sqlite_challenge_move(struct registry *registry,
                                   const struct id *id,
                                   enum registry_challenge_state from,
                                   enum registry_challenge_state to,
                                   const char *reason, int64_t now_ms,
                                   struct error *err);
/* See registry_challenge_solve(). */
int registry_sqlite_challenge_solve(struct registry *registry,
                                    const struct id *id, int64_t serial,
                                    int64_t now_ms, struct error *err);

/* See registry_challenge_recode(). */
int registry_sqlite_challenge_recode(struct registry *registry,
                                     const struct id *id, int64_t serial,
                                     bool wrong, const char *code,
                                     struct error *err);
/* See registry_challenge_claim_mail(). */
int registry_sqlite_challenge_claim_mail(struct registry *registry,
                                         const char *owner, int64_t now_ms,
                                         int64_t lease_ms, size_t limit,
                                         struct registry_challenges *page,
                                         struct error *err);
/* See registry_challenge_mail_renew(). */
int registry_sqlite_challenge_mail_renew(struct registry *registry,
                                         const struct id *id, const char *owner,
                                         int64_t until_ms, struct error *err);
/* See registry_challenge_mail_done(). */
int registry_sqlite_challenge_mail_done(struct registry *registry,
                                        const struct id *id, const char *owner,
                                        enum registry_mail_state state,
                                        int64_t next_ms, bool counted,
                                        const char *reply, struct error *err);
/* See registry_challenge_due(). */
int registry_sqlite_challenge_due(struct registry *registry,
                                  enum registry_challenge_state state,
                                  int64_t before_ms, size_t limit,
                                  struct registry_challenges *page,
                                  struct error *err);
/* See registry_challenge_count(). */
int registry_sqlite_challenge_count(
    struct registry *registry, const struct registry_challenge_query *queries,
    size_t count, size_t *counts, struct error *err);
/* See registry_sender_mark(). */
int registry_sqlite_sender_mark(struct registry *registry,
                                const struct registry_dead_sender *dead,
                                struct error *err);
/* See registry_sender_read(). */
int registry_sqlite_sender_read(struct registry *registry,
                                const uint8_t hash[CRYPTO_HASH_SIZE],
                                struct registry_dead_sender *dead,
                                struct error *err);
/* See registry_sender_marked(). */
int registry_sqlite_sender_marked(struct registry *registry,
                                  const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                  size_t count, bool *marked,
                                  struct error *err);
/* See registry_sender_clear(). */
int registry_sqlite_sender_clear(struct registry *registry,
                                 const uint8_t hash[CRYPTO_HASH_SIZE],
                                 int64_t until_ms, bool *cleared,
                                 struct error *err);
/* See registry_audit_add(). */
int registry_sqlite_audit_add(struct registry *registry,
                              const struct registry_audit *line,
                              struct error *err);
/* See registry_audit_each(). */
int registry_sqlite_audit_each(
    struct registry *registry, const struct id *tenant, const struct id *after,
    size_t limit, void (*each)(const struct registry_audit *, void *),
    void *context, struct error *err);
/* See registry_count(). */
int registry_sqlite_count(struct registry *registry,
                          struct registry_totals *totals, struct error *err);
/* See registry_lease(). */
int registry_sqlite_lease(struct registry *registry, const char *name,
                          const char *owner, int64_t now_ms, int64_t lease_ms,
                          struct error *err);
/* See registry_secret(). */
int registry_sqlite_secret(struct registry *registry, const char *name,
                           const uint8_t candidate[32], uint8_t secret[32],
                           struct error *err);
/* See registry_backup(). */
int registry_sqlite_backup(struct registry *registry, const char *directory,
                           const struct store_progress *progress,
                           struct error *err);
/* See registry_purge(). */
int registry_sqlite_purge(struct registry *registry, enum registry_kind kind,
                          int64_t before_ms, size_t limit, size_t *deleted,
                          struct error *err);
/* See registry_export(). */
int registry_sqlite_export(struct registry *registry, enum registry_kind kind,
                           const struct registry_record *after, size_t limit,
                           struct registry_records *page, struct error *err);
/* See registry_import(). */
int registry_sqlite_import(struct registry *registry,
                           const struct registry_record *records, size_t count,
                           bool replace, int *results, struct error *err);

#endif
