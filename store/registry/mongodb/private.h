/* What the files of the registry's MongoDB backend share. */
#ifndef STORE_REGISTRY_MONGODB_PRIVATE_H
#define STORE_REGISTRY_MONGODB_PRIVATE_H

#include <pthread.h>

#include "store/mongodb/db.h"
#include "store/registry/ops.h"

struct registry_append;

/* How many threads may append decisions at once, of different tenants. */
#define REGISTRY_MONGODB_TURNS 8

/* Where threads that append decisions to the same logs take their turns. */
struct registry_mongodb_turn {
	pthread_mutex_t mutex;       /* of whoever appends, and of the rest */
	pthread_mutex_t queue_mutex; /* of the queue */
	struct registry_append *first, *last;
	bool known;       /* where the log of this tenant ends: */
	struct id tenant; /* at sequence, when it was looked at */
	int64_t sequence;
};

struct registry_mongodb {
	struct registry registry; /* first */
	struct mongodb_db *db;
	struct registry_mongodb_turn turns[REGISTRY_MONGODB_TURNS];

	pthread_mutex_t repair_mutex; /* of what follows */
	int64_t repaired_ms;          /* monotonic: the last look for pending
	                                 decisions */
	bool unfinished;              /* one of this process is pending */

	struct registry_mongodb_policy *policy; /* of -policy.c */
	struct registry_mongodb_watch *watch;   /* of -watch.c */
};

/* The collections: see docs/mongodb.md for their documents. */
#define REGISTRY_TENANT      "tenant"
#define REGISTRY_DOMAIN      "domain"
#define REGISTRY_KEY         "key"
#define REGISTRY_USER        "user"
#define REGISTRY_ENTRY       "entry"
#define REGISTRY_POLICY      "policy"
#define REGISTRY_MESSAGE     "message"
#define REGISTRY_DECISION    "decision"
#define REGISTRY_CHALLENGE   "challenge"
#define REGISTRY_DEAD_SENDER "dead_sender"
#define REGISTRY_AUDIT_LINE  "audit"
#define REGISTRY_LEASE       "lease"
#define REGISTRY_SECRET      "secret"
#define REGISTRY_SIGNAL      "signal"

/* The indexes of all collections; and the schema's steps. -schema.c */
extern const struct mongodb_index registry_mongodb_indexes[];
extern const size_t registry_mongodb_index_count;

/* --- what the files share ---------------------------------------------- */

/* The whole of which base is the first member. */
static inline struct registry_mongodb *registry_mongodb(struct registry *base)
{
	return (struct registry_mongodb *)base;
}

/* ERR_MEMORY with its text. */
int registry_mongodb_memory(struct error *err);

/* A text field of a document and where its copy goes. */
struct registry_mongodb_text {
	const char *key;
	char **text;
};

/* Reads count text fields; those read stay in their places on failure. */
int registry_mongodb_texts(const bson_t *document,
                           const struct registry_mongodb_text *texts,
                           size_t count, struct error *err);

/* Reads a binary of exactly size bytes; ERR_CORRUPT naming the key. */
int registry_mongodb_bytes(const bson_t *document, const char *key, void *bytes,
                           size_t size, struct error *err);

/* Room for the longest word that stands for an enum, and more. */
#define REGISTRY_MONGODB_WORD 32

/* Copies a short text, "" where there is none or a longer one; word. */
const char *registry_mongodb_word(const bson_t *document, const char *key,
                                  char word[REGISTRY_MONGODB_WORD]);

/* {key: {$gt: id}} */
bool registry_mongodb_append_after(bson_t *selector, const char *key,
                                   const struct id *id);

/* {key: {$in: [ids]}} */
bool registry_mongodb_append_in(bson_t *selector, const char *key,
                                const struct id *ids, size_t count);

/* {key: {$in: [hashes]}} */
bool registry_mongodb_append_in_hashes(
    bson_t *selector, const char *key,
    const uint8_t (*hashes)[CRYPTO_HASH_SIZE], size_t count);

/* 0 when the tenant exists, ERR_NOT_FOUND. Index: _id of tenant. */
int registry_mongodb_need_tenant(struct registry_mongodb *mongo,
                                 const struct id *tenant, struct error *err);
/* Makes an update of a tenant's document that may be made twice.
 * ERR_NOT_FOUND: there is no such tenant. */
int registry_mongodb_update_tenant(struct registry_mongodb *mongo,
                                   const struct id *tenant,
                                   const bson_t *update, struct error *err);

/* --- -pending.c, -append.c ---------------------------------------------- */

/*
 * Appends what a crash left between the change of a recipient and the log,
 * where that is older than age_ms. Index: message_pending.
 */
int registry_mongodb_repair(struct registry_mongodb *mongo, int64_t age_ms,
                            struct error *err);

/* The same now and then: at most once a second, whoever calls it. Its failures
 * are left to the next time. */
void registry_mongodb_mend(struct registry_mongodb *mongo);

/*
 * Raises the tenant's field decision_sequence, the highest sequence ever that
 * need not be in the log any more, to sequence at least. ERR_NOT_FOUND.
 */
int registry_mongodb_raise_sequence(struct registry_mongodb *mongo,
                                    const struct id *tenant, int64_t sequence,
                                    struct error *err);

/* --- -watch.c ---------------------------------------------------------- */

/* Tells all who watch, in this process at once, elsewhere soon. */
void registry_mongodb_changed(struct registry_mongodb *mongo);

/* Starts and stops what -watch.c and -policy.c keep; NULLs are allowed. */
int registry_mongodb_watch_start(struct registry_mongodb *mongo,
                                 struct error *err);
/* See registry_mongodb_watch_start(). */
void registry_mongodb_watch_stop(struct registry_mongodb *mongo);
/* See registry_mongodb_watch_start(); also finishes pending changes. */
int registry_mongodb_policy_start(struct registry_mongodb *mongo,
                                  struct error *err);
/* See registry_mongodb_watch_start(). */
void registry_mongodb_policy_stop(struct registry_mongodb *mongo);

/* Part of registry_check(): revisions of entries, pending changes. */
int registry_mongodb_policy_check(struct registry_mongodb *mongo,
                                  struct error *err);

/* --- copies: each for the kinds that its file has ----------------------- */

/* See registry_export(); tenants, domains, keys, users. */
int registry_mongodb_accounts_export(struct registry_mongodb *mongo,
                                     enum registry_kind kind,
                                     const struct registry_record *after,
                                     size_t limit,
                                     struct registry_records *page,
                                     struct error *err);
/* See registry_import(); tenants, domains, keys, users. */
int registry_mongodb_accounts_import(struct registry_mongodb *mongo,
                                     const struct registry_record *records,
                                     size_t count, bool replace, int *results,
                                     struct error *err);
/* See registry_export(); entries. */
int registry_mongodb_entries_export(struct registry_mongodb *mongo,
                                    enum registry_kind kind,
                                    const struct registry_record *after,
                                    size_t limit, struct registry_records *page,
                                    struct error *err);
/* See registry_import(); entries. */
int registry_mongodb_entries_import(struct registry_mongodb *mongo,
                                    const struct registry_record *records,
                                    size_t count, bool replace, int *results,
                                    struct error *err);
/* See registry_export(); the audit. */
int registry_mongodb_audit_export(struct registry_mongodb *mongo,
                                  enum registry_kind kind,
                                  const struct registry_record *after,
                                  size_t limit, struct registry_records *page,
                                  struct error *err);
/* See registry_import(); the audit. */
int registry_mongodb_audit_import(struct registry_mongodb *mongo,
                                  const struct registry_record *records,
                                  size_t count, bool replace, int *results,
                                  struct error *err);
/* See registry_export(); secrets. */
int registry_mongodb_secrets_export(struct registry_mongodb *mongo,
                                    enum registry_kind kind,
                                    const struct registry_record *after,
                                    size_t limit, struct registry_records *page,
                                    struct error *err);
/* See registry_import(); secrets. */
int registry_mongodb_secrets_import(struct registry_mongodb *mongo,
                                    const struct registry_record *records,
                                    size_t count, bool replace, int *results,
                                    struct error *err);
/* Raises the order of the tenant (none: the global one), where there is such a
 * tenant, to revision at least. */
int registry_mongodb_policy_raise(struct registry_mongodb *mongo,
                                  const struct id *tenant, int64_t revision,
                                  struct error *err);

/* --- the operations: see the functions of registry.h with these names --- */

/* See registry_watch(). */
int registry_mongodb_watch(struct registry *registry, int64_t *version,
                           int64_t timeout_ms, struct error *err);
/* See registry_watch_cancel(). */
void registry_mongodb_watch_cancel(struct registry *registry);
/* See registry_lease(). */
int registry_mongodb_lease(struct registry *registry, const char *name,
                           const char *owner, int64_t now_ms, int64_t lease_ms,
                           struct error *err);
/* See registry_secret(). */
int registry_mongodb_secret(struct registry *registry, const char *name,
                            const uint8_t candidate[32], uint8_t secret[32],
                            struct error *err);
/* See registry_check(). */
int registry_mongodb_check(struct registry *registry, struct error *err);
/* See registry_tenant_add(). */
int registry_mongodb_tenant_add(struct registry *registry,
                                const struct registry_tenant *tenant,
                                struct error *err);
/* See registry_tenant_change(). */
int registry_mongodb_tenant_change(struct registry *registry,
                                   const struct registry_tenant *tenant,
                                   struct error *err);
/* See registry_tenant_find(). */
int registry_mongodb_tenant_find(struct registry *registry, const char *name,
                                 struct registry_tenant *tenant,
                                 struct error *err);
/* See registry_tenant_read(). */
int registry_mongodb_tenant_read(struct registry *registry, const struct id *id,
                                 struct registry_tenant *tenant,
                                 struct error *err);
/* See registry_tenant_usage(). */
int registry_mongodb_tenant_usage(struct registry *registry,
                                  const struct id *tenant,
                                  struct registry_usage *usage,
                                  struct error *err);

/* See registry_tenant_each(). */
int registry_mongodb_tenant_each(struct registry *registry,
                                 void (*each)(const struct registry_tenant *,
                                              void *),
                                 void *context, struct error *err);
/* See registry_domain_add(). */
int registry_mongodb_domain_add(struct registry *registry,
                                const struct id *tenant, const char *domain,
                                struct error *err);
/* See registry_domain_remove(). */
int registry_mongodb_domain_remove(struct registry *registry,
                                   const struct id *tenant, const char *domain,
                                   struct error *err);
/* See registry_domain_each(). */
int registry_mongodb_domain_each(struct registry *registry,
                                 const struct id *tenant,
                                 void (*each)(const char *, void *),
                                 void *context, struct error *err);
/* See registry_key_add(). */
int registry_mongodb_key_add(struct registry *registry,
                             const struct registry_key *key, struct error *err);
/* See registry_key_find(). */
int registry_mongodb_key_find(struct registry *registry, const char *prefix,
                              struct registry_key *key, struct error *err);
/* See registry_key_revoke(). */
int registry_mongodb_key_revoke(struct registry *registry,
                                const struct id *tenant, const char *prefix,
                                int64_t now_ms, struct error *err);
/* See registry_key_each(). */
int registry_mongodb_key_each(struct registry *registry,
                              const struct id *tenant,
                              void (*each)(const struct registry_key *, void *),
                              void *context, struct error *err);
/* See registry_user_add(). */
int registry_mongodb_user_add(struct registry *registry,
                              const struct registry_user *user,
                              struct error *err);
/* See registry_user_find(). */
int registry_mongodb_user_find(struct registry *registry, const char *login,
                               struct registry_user *user, struct error *err);
/* See registry_user_each(). */
int registry_mongodb_user_each(struct registry *registry,
                               const struct id *tenant,
                               void (*each)(const struct registry_user *,
                                            void *),
                               void *context, struct error *err);
/* See registry_entry_put(). */
int registry_mongodb_entry_put(struct registry *registry,
                               const struct id *tenant,
                               const struct entry *entry, struct entry *stored,
                               struct error *err);
/* See registry_entry_remove(). */
int registry_mongodb_entry_remove(struct registry *registry,
                                  const struct id *tenant, const struct id *id,
                                  struct error *err);
/* See registry_entry_list(). */
int registry_mongodb_entry_list(struct registry *registry,
                                const struct id *tenant, const struct id *after,
                                size_t limit, struct registry_entries *page,
                                struct error *err);
/* See registry_entry_changes(). */
int registry_mongodb_entry_changes(struct registry *registry,
                                   const struct id *tenant, int64_t after,
                                   size_t limit, struct registry_entries *page,
                                   struct error *err);
/* See registry_policy_revision(). */
int registry_mongodb_policy_revision(struct registry *registry,
                                     const struct id *tenant, int64_t *revision,
                                     struct error *err);
/* See registry_entry_match(). */
int registry_mongodb_entry_match(struct registry *registry,
                                 const struct id *tenant,
                                 const struct entry_subject *subjects,
                                 size_t count, struct entry *entries,
                                 struct error *err);
/* See registry_message_add(). */
int registry_mongodb_message_add(struct registry *registry,
                                 const struct registry_message *messages,
                                 size_t count, int *results, struct error *err);
/* See registry_message_read(). */
int registry_mongodb_message_read(struct registry *registry,
                                  const struct id *tenant, const struct id *id,
                                  struct registry_message *message,
                                  struct error *err);
/* See registry_message_attach(). */
int registry_mongodb_message_attach(
    struct registry *registry, const struct id *tenant,
    const struct registry_attachment *attachments, size_t count,
    struct error *err);
/* See registry_message_list(). */
int registry_mongodb_message_list(struct registry *registry,
                                  const struct registry_query *query,
                                  struct registry_messages *page,
                                  struct error *err);
/* See registry_decide(). */
int registry_mongodb_decide(struct registry *registry, const struct id *tenant,
                            const struct registry_decision *decision,
                            struct error *err);
/* See registry_decision_list(). */
int registry_mongodb_decision_list(struct registry *registry,
                                   const struct id *tenant, int64_t after,
                                   size_t limit,
                                   struct registry_decisions *page,
                                   struct error *err);
/* See registry_decision_last(). */
int registry_mongodb_decision_last(struct registry *registry,
                                   const struct id *tenant, int64_t *sequence,
                                   struct error *err);
/* See registry_message_event(). */
int registry_mongodb_message_event(struct registry *registry,
                                   const struct id *tenant, const struct id *id,
                                   const char *recipient,
                                   enum registry_state state, int64_t now_ms,
                                   const char *why, struct error *err);
/* See registry_challenge_open(). */
int registry_mongodb_challenge_open(struct registry *registry,
                                    const struct registry_challenge *challenges,
                                    size_t count, int *results,
                                    struct registry_opened *existing,
                                    struct error *err);
/* See registry_challenge_find(). */
int registry_mongodb_challenge_find(struct registry *registry,
                                    const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                    size_t count, struct registry_opened *found,
                                    struct error *err);
/* See registry_challenge_states(). */
int registry_mongodb_challenge_states(struct registry *registry,
                                      const struct id *ids, size_t count,
                                      int *states, struct error *err);
/* See registry_challenge_read(). */
int registry_mongodb_challenge_read(struct registry *registry,
                                    const struct id *id,
                                    struct registry_challenge *challenge,
                                    struct error *err);
/* See registry_challenge_move() and registry_challenge_end(). */
int registry_mongodb_challenge_move(struct registry *registry,
                                    const struct id *id,
                                    enum registry_challenge_state from,
                                    enum registry_challenge_state to,
                                    const char *reason, int64_t now_ms,
                                    struct error *err);
/* See registry_challenge_recode(). */
int registry_mongodb_challenge_recode(struct registry *registry,
                                      const struct id *id, int64_t serial,
                                      bool wrong, const char *code,
                                      struct error *err);
/* See registry_challenge_solve(). */
int registry_mongodb_challenge_solve(struct registry *registry,
                                     const struct id *id, int64_t serial,
                                     int64_t now_ms, struct error *err);
/* See registry_challenge_claim_mail(). */
int registry_mongodb_challenge_claim_mail(struct registry *registry,
                                          const char *owner, int64_t now_ms,
                                          int64_t lease_ms, size_t limit,
                                          struct registry_challenges *page,
                                          struct error *err);
/* See registry_challenge_mail_renew(). */
int registry_mongodb_challenge_mail_renew(struct registry *registry,
                                          const struct id *id,
                                          const char *owner, int64_t until_ms,
                                          struct error *err);
/* See registry_challenge_mail_done(). */
int registry_mongodb_challenge_mail_done(struct registry *registry,
                                         const struct id *id, const char *owner,
                                         enum registry_mail_state state,
                                         int64_t next_ms, bool counted,
                                         const char *reply, struct error *err);
/* See registry_challenge_due(). */
int registry_mongodb_challenge_due(struct registry *registry,
                                   enum registry_challenge_state state,
                                   int64_t before_ms, size_t limit,
                                   struct registry_challenges *page,
                                   struct error *err);
/* See registry_challenge_count(). */
int registry_mongodb_challenge_count(
    struct registry *registry, const struct registry_challenge_query *queries,
    size_t count, size_t *counts, struct error *err);
/* The document of a dead sender's mark. */
bool registry_mongodb_dead_document(bson_t *document,
                                    const struct registry_dead_sender *dead);
/* Reads one into a zeroed mark, which the caller releases, on failure too. */
int registry_mongodb_dead_parse(const bson_t *document,
                                struct registry_dead_sender *dead,
                                struct error *err);
/* See registry_sender_mark(). */
int registry_mongodb_sender_mark(struct registry *registry,
                                 const struct registry_dead_sender *dead,
                                 struct error *err);
/* See registry_sender_read(). */
int registry_mongodb_sender_read(struct registry *registry,
                                 const uint8_t hash[CRYPTO_HASH_SIZE],
                                 struct registry_dead_sender *dead,
                                 struct error *err);
/* See registry_sender_marked(). */
int registry_mongodb_sender_marked(struct registry *registry,
                                   const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                   size_t count, bool *marked,
                                   struct error *err);
/* See registry_sender_clear(). */
int registry_mongodb_sender_clear(struct registry *registry,
                                  const uint8_t hash[CRYPTO_HASH_SIZE],
                                  int64_t until_ms, bool *cleared,
                                  struct error *err);
/* See registry_audit_add(). */
int registry_mongodb_audit_add(struct registry *registry,
                               const struct registry_audit *line,
                               struct error *err);
/* See registry_audit_each(). */
int registry_mongodb_audit_each(
    struct registry *registry, const struct id *tenant, const struct id *after,
    size_t limit, void (*each)(const struct registry_audit *, void *),
    void *context, struct error *err);
/* See registry_count(). */
int registry_mongodb_count(struct registry *registry,
                           struct registry_totals *totals, struct error *err);
/* See registry_purge(). */
int registry_mongodb_purge(struct registry *registry, enum registry_kind kind,
                           int64_t before_ms, size_t limit, size_t *deleted,
                           struct error *err);
/* See registry_export(). */
int registry_mongodb_export_page(struct registry *registry,
                                 enum registry_kind kind,
                                 const struct registry_record *after,
                                 size_t limit, struct registry_records *page,
                                 struct error *err);
/* See registry_import(). */
int registry_mongodb_import(struct registry *registry,
                            const struct registry_record *records, size_t count,
                            bool replace, int *results, struct error *err);

#endif
