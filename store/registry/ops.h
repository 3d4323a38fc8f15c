/* For the backends of the registry: the operations each one has. */
#ifndef STORE_REGISTRY_OPS_H
#define STORE_REGISTRY_OPS_H

#include "store/registry/registry.h"

/* The longest text of any field, in bytes: more is ERR_INVALID. */
#define REGISTRY_TEXT_MAXIMUM 65536

/* The most records of a registry_message_list() page, and of other pages. */
#define REGISTRY_PAGE_MAXIMUM  1000
#define REGISTRY_LIMIT_MAXIMUM 100000

/*
 * The contracts are those of the functions of registry.h with the same names.
 * What registry.c has checked needs no second look: ids that must be there
 * are not none, limits are in bounds, states may follow each other, texts are
 * not too long; optional texts may be NULL and count as "".
 */
struct registry_backend {
	const char *name;
	int (*open)(struct registry **registry,
	            const struct registry_options *options, struct error *err);
	void (*close)(struct registry *registry);
	const char *(*engine)(const struct registry *registry);
	int (*watch)(struct registry *registry, int64_t *version,
	             int64_t timeout_ms, struct error *err);
	void (*watch_cancel)(struct registry *registry);
	int (*lease)(struct registry *registry, const char *name,
	             const char *owner, int64_t now_ms, int64_t lease_ms,
	             struct error *err);
	/* Reads the secret, or stores candidate as such and reads it back. */
	int (*secret)(struct registry *registry, const char *name,
	              const uint8_t candidate[32], uint8_t secret[32],
	              struct error *err);
	int (*check)(struct registry *registry, struct error *err);
	/* NULL: the server has tools of its own for that. */
	int (*backup)(struct registry *registry, const char *directory,
	              const struct store_progress *progress, struct error *err);

	int (*tenant_add)(struct registry *registry,
	                  const struct registry_tenant *tenant,
	                  struct error *err);
	int (*tenant_change)(struct registry *registry,
	                     const struct registry_tenant *tenant,
	                     struct error *err);
	int (*tenant_find)(struct registry *registry, const char *name,
	                   struct registry_tenant *tenant, struct error *err);
	int (*tenant_read)(struct registry *registry, const struct id *id,
	                   struct registry_tenant *tenant, struct error *err);
	int (*tenant_usage)(struct registry *registry, const struct id *tenant,
	                    struct registry_usage *usage, struct error *err);
	int (*tenant_each)(struct registry *registry,
	                   void (*each)(const struct registry_tenant *, void *),
	                   void *context, struct error *err);
	int (*domain_add)(struct registry *registry, const struct id *tenant,
	                  const char *domain, struct error *err);
	int (*domain_remove)(struct registry *registry, const struct id *tenant,
	                     const char *domain, struct error *err);
	int (*domain_each)(struct registry *registry, const struct id *tenant,
	                   void (*each)(const char *, void *), void *context,
	                   struct error *err);
	int (*key_add)(struct registry *registry,
	               const struct registry_key *key, struct error *err);
	int (*key_find)(struct registry *registry, const char *prefix,
	                struct registry_key *key, struct error *err);
	int (*key_revoke)(struct registry *registry, const struct id *tenant,
	                  const char *prefix, int64_t now_ms,
	                  struct error *err);
	int (*key_each)(struct registry *registry, const struct id *tenant,
	                void (*each)(const struct registry_key *, void *),
	                void *context, struct error *err);
	int (*user_add)(struct registry *registry,
	                const struct registry_user *user, struct error *err);
	int (*user_find)(struct registry *registry, const char *login,
	                 struct registry_user *user, struct error *err);
	int (*user_each)(struct registry *registry, const struct id *tenant,
	                 void (*each)(const struct registry_user *, void *),
	                 void *context, struct error *err);

	int (*entry_put)(struct registry *registry, const struct id *tenant,
	                 const struct entry *entry, struct entry *stored,
	                 struct error *err);
	int (*entry_remove)(struct registry *registry, const struct id *tenant,
	                    const struct id *id, struct error *err);
	int (*entry_list)(struct registry *registry, const struct id *tenant,
	                  const struct id *after, size_t limit,
	                  struct registry_entries *page, struct error *err);
	/* Of one order: the tenant's own or, with none, the global one. limit
	 * may be 0. */
	int (*entry_changes)(struct registry *registry, const struct id *tenant,
	                     int64_t after, size_t limit,
	                     struct registry_entries *page, struct error *err);
	/* The highest revision of one order. */
	int (*policy_revision)(struct registry *registry,
	                       const struct id *tenant, int64_t *revision,
	                       struct error *err);
	/* entries are zeroed. */
	int (*entry_match)(struct registry *registry, const struct id *tenant,
	                   const struct entry_subject *subjects, size_t count,
	                   struct entry *entries, struct error *err);

	/* results[i] of messages that registry.c found invalid is set. */
	int (*message_add)(struct registry *registry,
	                   const struct registry_message *messages,
	                   size_t count, int *results, struct error *err);
	int (*message_read)(struct registry *registry, const struct id *tenant,
	                    const struct id *id,
	                    struct registry_message *message,
	                    struct error *err);
	int (*message_attach)(struct registry *registry,
	                      const struct id *tenant,
	                      const struct registry_attachment *attachments,
	                      size_t count, struct error *err);
	int (*message_list)(struct registry *registry,
	                    const struct registry_query *query,
	                    struct registry_messages *page, struct error *err);
	int (*decide)(struct registry *registry, const struct id *tenant,
	              const struct registry_decision *decision,
	              struct error *err);
	int (*decision_list)(struct registry *registry, const struct id *tenant,
	                     int64_t after, size_t limit,
	                     struct registry_decisions *page,
	                     struct error *err);
	int (*decision_last)(struct registry *registry, const struct id *tenant,
	                     int64_t *sequence, struct error *err);
	int (*message_event)(struct registry *registry, const struct id *tenant,
	                     const struct id *id, const char *recipient,
	                     enum registry_state state, int64_t now_ms,
	                     const char *why, struct error *err);

	int (*challenge_open)(struct registry *registry,
	                      const struct registry_challenge *challenges,
	                      size_t count, int *results,
	                      struct registry_opened *existing,
	                      struct error *err);
	/* found are zeroed. */
	int (*challenge_find)(struct registry *registry,
	                      const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
	                      size_t count, struct registry_opened *found,
	                      struct error *err);
	/* states are -1. */
	int (*challenge_states)(struct registry *registry, const struct id *ids,
	                        size_t count, int *states, struct error *err);
	int (*challenge_read)(struct registry *registry, const struct id *id,
	                      struct registry_challenge *challenge,
	                      struct error *err);
	int (*challenge_move)(struct registry *registry, const struct id *id,
	                      enum registry_challenge_state from,
	                      enum registry_challenge_state to,
	                      const char *reason, int64_t now_ms,
	                      struct error *err);
	int (*challenge_recode)(struct registry *registry, const struct id *id,
	                        int64_t serial, bool wrong, const char *code,
	                        struct error *err);
	int (*challenge_solve)(struct registry *registry, const struct id *id,
	                       int64_t serial, int64_t now_ms,
	                       struct error *err);
	int (*challenge_claim_mail)(struct registry *registry,
	                            const char *owner, int64_t now_ms,
	                            int64_t lease_ms, size_t limit,
	                            struct registry_challenges *page,
	                            struct error *err);
	int (*challenge_mail_renew)(struct registry *registry,
	                            const struct id *id, const char *owner,
	                            int64_t until_ms, struct error *err);
	int (*challenge_mail_done)(struct registry *registry,
	                           const struct id *id, const char *owner,
	                           enum registry_mail_state state,
	                           int64_t next_ms, bool counted,
	                           const char *reply, struct error *err);
	int (*challenge_due)(struct registry *registry,
	                     enum registry_challenge_state state,
	                     int64_t before_ms, size_t limit,
	                     struct registry_challenges *page,
	                     struct error *err);
	int (*challenge_count)(struct registry *registry,
	                       const struct registry_challenge_query *queries,
	                       size_t count, size_t *counts, struct error *err);
	int (*sender_mark)(struct registry *registry,
	                   const struct registry_dead_sender *dead,
	                   struct error *err);
	int (*sender_read)(struct registry *registry,
	                   const uint8_t hash[CRYPTO_HASH_SIZE],
	                   struct registry_dead_sender *dead,
	                   struct error *err);
	/* marked are false. */
	int (*sender_marked)(struct registry *registry,
	                     const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
	                     size_t count, bool *marked, struct error *err);
	int (*sender_clear)(struct registry *registry,
	                    const uint8_t hash[CRYPTO_HASH_SIZE],
	                    int64_t until_ms, bool *cleared, struct error *err);

	int (*audit_add)(struct registry *registry,
	                 const struct registry_audit *line, struct error *err);
	int (*audit_each)(struct registry *registry, const struct id *tenant,
	                  const struct id *after, size_t limit,
	                  void (*each)(const struct registry_audit *, void *),
	                  void *context, struct error *err);
	int (*count)(struct registry *registry, struct registry_totals *totals,
	             struct error *err);

	int (*purge)(struct registry *registry, enum registry_kind kind,
	             int64_t before_ms, size_t limit, size_t *deleted,
	             struct error *err);
	int (*export_page)(struct registry *registry, enum registry_kind kind,
	                   const struct registry_record *after, size_t limit,
	                   struct registry_records *page, struct error *err);
	int (*import)(struct registry *registry,
	              const struct registry_record *records, size_t count,
	              bool replace, int *results, struct error *err);
};

/* Every backend's state begins with this. */
struct registry {
	const struct registry_backend *backend;
};

extern const struct registry_backend registry_sqlite_backend;
extern const struct registry_backend registry_mongodb_backend;

/*
 * Whether a recipient in the state from may take the state to because the
 * agent says so; one rule for every backend.
 */
bool registry_event_allowed(enum registry_state from, enum registry_state to);

/*
 * Whether by and why stay those of the release when the agent says so; one
 * rule for every backend.
 */
bool registry_event_keeps_release(enum registry_state from,
                                  enum registry_state to);

/* The state into which a verdict moves a held recipient. */
enum registry_state registry_verdict_state(enum registry_verdict verdict);

#endif
