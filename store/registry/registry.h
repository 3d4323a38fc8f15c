/*
 * The registry: the cloud's store of tenants, lists, registered mail,
 * challenges and decisions. Shared by every instance of the cloud.
 *
 * Guarantees, the same for every backend:
 *
 *  - A function that returns 0 has put its change on stable storage.
 *  - Every change of state is a conditional change of one record; ERR_CONFLICT
 *    when the record was no longer as the caller said, nothing changed then.
 *  - Ids are the caller's; adding an id again says ERR_EXISTS.
 *  - ERR_UNCERTAIN: it may have been done; read again.
 *  - Revisions and sequence numbers of one tenant, and revisions of the global
 *    policy, grow, each in an order of its own, and one that can be read is
 *    never followed by a smaller one that could not be read before.
 *  - Nothing of one tenant is returned to another: every function that takes
 *    a tenant looks at his records alone.
 *
 * All functions may be called from any thread. Times are milliseconds since
 * 1970 in UTC. Strings in outputs are heap strings, never NULL, freed by the
 * release functions. ERR_MEMORY instead of an abort.
 */
#ifndef STORE_REGISTRY_REGISTRY_H
#define STORE_REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto.h"
#include "common/error.h"
#include "common/id.h"
#include "common/mail/authres.h"
#include "common/policy/entry.h"
#include "store/progress.h"

struct registry;

/* The backends that registry_open() knows, NULL-ended. */
extern const char *const registry_backend_names[];

struct registry_options {
	const char *backend;  /* "sqlite" or "mongodb" */
	const char *location; /* a directory, or a connection URI */
};

/*
 * Opens the registry, makes it where missing and migrates its schema.
 * ERR_VERSION when a newer program wrote it, ERR_CORRUPT, ERR_IO.
 */
int registry_open(struct registry **registry,
                  const struct registry_options *options, struct error *err);

/* Closes; NULL is allowed. No other call may be under way. */
void registry_close(struct registry *registry);

/*
 * Waits until anything changed since *version (start with 0) by any instance,
 * or timeout_ms passed, or registry_watch_cancel(). Sets *version, which may be
 * compared with earlier ones of this registry alone. Leases and claims of
 * mails are no changes: a worker that watches does not wake itself or others
 * with them. 0, or an error of the store.
 */
int registry_watch(struct registry *registry, int64_t *version,
                   int64_t timeout_ms, struct error *err);

/* Ends every registry_watch() under way and to come. */
void registry_watch_cancel(struct registry *registry);

/*
 * Takes or prolongs the named lease until now_ms + lease_ms: 0 when owner has
 * it now, ERR_CONFLICT when another's has not ended.
 */
int registry_lease(struct registry *registry, const char *name,
                   const char *owner, int64_t now_ms, int64_t lease_ms,
                   struct error *err);

/*
 * Reads the secret of this name into 32 bytes; the first call ever, by any
 * instance, stores random ones.
 */
int registry_secret(struct registry *registry, const char *name,
                    uint8_t secret[32], struct error *err);

/* What the registry is kept in, for a log line: "MongoDB 5.0.0"; no secrets. */
const char *registry_engine(const struct registry *registry);

/* A full check of what is stored: ERR_CORRUPT with what was found. */
int registry_check(struct registry *registry, struct error *err);

/*
 * Writes the registry as it is at one moment into a new directory, for
 * registry_open() with the same backend; synced when 0 is returned. Others go
 * on reading and writing. ERR_EXISTS when the directory is there and not
 * empty; ERR_INVALID for a backend whose server has tools of its own. What a
 * failure left behind is taken away.
 */
int registry_backup(struct registry *registry, const char *directory,
                    const struct store_progress *progress, struct error *err);

/* --- tenants, domains, keys, users ------------------------------------- */

struct registry_tenant {
	struct id id;
	char *name;     /* unique, [a-z0-9-]{1,63} */
	char *language; /* "fr" or "en": of its challenge mails */
	/* How strangers get to know it; optional, "" for none. */
	char *display_name; /* for its name: "Acme SA" */
	char *time_zone;    /* IANA name of the times shown to them */
	char *from_name;    /* beside the address that challenges come from */
	int64_t created_ms;
	/* Of its held mail, as registered; 0: what the configuration says. */
	int64_t quota_messages, quota_bytes;
};

/* Frees the strings; the struct stays the caller's. */
void registry_tenant_release(struct registry_tenant *tenant);

/* ERR_EXISTS when the name or id is taken, ERR_INVALID names the field. */
int registry_tenant_add(struct registry *registry,
                        const struct registry_tenant *tenant,
                        struct error *err);

/*
 * Gives the tenant of this id the language, the three texts and the quotas of
 * *tenant; name and created_ms stay as they are. ERR_NOT_FOUND, ERR_INVALID.
 */
int registry_tenant_change(struct registry *registry,
                           const struct registry_tenant *tenant,
                           struct error *err);

/* Reads by name. ERR_NOT_FOUND. */
int registry_tenant_find(struct registry *registry, const char *name,
                         struct registry_tenant *tenant, struct error *err);

/* Reads by id. ERR_NOT_FOUND. */
int registry_tenant_read(struct registry *registry, const struct id *id,
                         struct registry_tenant *tenant, struct error *err);

/* What a tenant has held: messages with a recipient still held. */
struct registry_usage {
	int64_t messages;
	int64_t bytes; /* of their sizes */
};

/*
 * Counts what the tenant has held, by index: its time grows with the number
 * (some 0.1 s a million in SQLite). All 0 for one that is unknown.
 */
int registry_tenant_usage(struct registry *registry, const struct id *tenant,
                          struct registry_usage *usage, struct error *err);

/* Calls each for every tenant by name; strings are borrowed. */
int registry_tenant_each(struct registry *registry,
                         void (*each)(const struct registry_tenant *tenant,
                                      void *context),
                         void *context, struct error *err);

/* Adds a folded domain; ERR_EXISTS when any tenant has it. Counts as a change
 * of the tenant's policy. */
int registry_domain_add(struct registry *registry, const struct id *tenant,
                        const char *domain, struct error *err);

/* Takes it away; ERR_NOT_FOUND. */
int registry_domain_remove(struct registry *registry, const struct id *tenant,
                           const char *domain, struct error *err);

/* Calls each for every domain of the tenant, in order. */
int registry_domain_each(struct registry *registry, const struct id *tenant,
                         void (*each)(const char *domain, void *context),
                         void *context, struct error *err);

/* An API key of an agent; the key itself is never stored. */
struct registry_key {
	struct id id;
	struct id tenant;
	char *agent;                    /* the agent's name within the tenant */
	char *prefix;                   /* visible, unique */
	uint8_t hash[CRYPTO_HASH_SIZE]; /* SHA-256 of the whole key */
	int64_t created_ms;
	int64_t revoked_ms; /* 0: valid */
};

/* Frees the strings; the struct stays the caller's. */
void registry_key_release(struct registry_key *key);

/*
 * Adds a key. ERR_EXISTS for a prefix in use, ERR_LIMIT when the agent has two
 * valid keys already.
 */
int registry_key_add(struct registry *registry, const struct registry_key *key,
                     struct error *err);

/* Reads by prefix, revoked ones too. ERR_NOT_FOUND. */
int registry_key_find(struct registry *registry, const char *prefix,
                      struct registry_key *key, struct error *err);

/* Revokes; ERR_CONFLICT when it is already, ERR_NOT_FOUND. */
int registry_key_revoke(struct registry *registry, const struct id *tenant,
                        const char *prefix, int64_t now_ms, struct error *err);

/* Calls each for every key of the tenant; strings are borrowed. */
int registry_key_each(struct registry *registry, const struct id *tenant,
                      void (*each)(const struct registry_key *key,
                                   void *context),
                      void *context, struct error *err);

struct registry_user {
	struct id id;
	struct id tenant; /* none: an operator of the cloud */
	char *login;      /* a mail address, folded; unique */
	char *role;       /* "admin", "recipient", "operator" */
	char *password;   /* libsodium's crypto_pwhash_str() */
	int64_t created_ms;
};

/* Frees the strings; the struct stays the caller's. */
void registry_user_release(struct registry_user *user);

/* ERR_EXISTS when the login is taken. */
int registry_user_add(struct registry *registry,
                      const struct registry_user *user, struct error *err);

/* Reads by login. ERR_NOT_FOUND. */
int registry_user_find(struct registry *registry, const char *login,
                       struct registry_user *user, struct error *err);

/* Calls each for every user of the tenant by login; strings are borrowed. */
int registry_user_each(struct registry *registry, const struct id *tenant,
                       void (*each)(const struct registry_user *user,
                                    void *context),
                       void *context, struct error *err);

/* --- lists ------------------------------------------------------------- */

/*
 * Puts entry (canonical; tenant none for the global scope) in place of the one
 * of the same tenant, scope, scope value, kind and value, whose id it takes
 * over; gives it the next revision of the tenant's order (tenant none: of the
 * global policy's). *stored (may be NULL) gets id and revision,
 * its other fields stay as they are. ERR_NOT_FOUND without the tenant;
 * ERR_CONFLICT where the entry came of a captcha and the one there did not,
 * unless that one had expired when the entry was created.
 */
int registry_entry_put(struct registry *registry, const struct id *tenant,
                       const struct entry *entry, struct entry *stored,
                       struct error *err);

/* Makes it a tombstone with the next revision; ERR_NOT_FOUND. */
int registry_entry_remove(struct registry *registry, const struct id *tenant,
                          const struct id *id, struct error *err);

/* Some entries. */
struct registry_entries {
	struct entry *entries;
	size_t count;
	bool more;
};

/* Frees and clears; a zeroed struct is allowed. */
void registry_entries_release(struct registry_entries *entries);

/* The tenant's live entries in the order of ids, after an id. */
int registry_entry_list(struct registry *registry, const struct id *tenant,
                        const struct id *after, size_t limit,
                        struct registry_entries *page, struct error *err);

/*
 * How far a tenant's policy was read: up to these revisions of its own order
 * and of the global policy's. Of the tenant none: own is 0.
 */
struct registry_policy_cursor {
	int64_t own, global;
};

/*
 * What an agent's replica needs: the tenant's own entries after the cursor in
 * the order of their revisions, then the global ones (those of
 * ENTRY_SCOPE_GLOBAL) in theirs; tombstones too. Moves the cursor behind the
 * page.
 */
int registry_entry_changes(struct registry *registry, const struct id *tenant,
                           struct registry_policy_cursor *cursor, size_t limit,
                           struct registry_entries *page, struct error *err);

/* The highest revisions of both; domains count for the tenant's own. */
int registry_policy_revision(struct registry *registry, const struct id *tenant,
                             struct registry_policy_cursor *revision,
                             struct error *err);

/*
 * For each of count subjects the strongest entry that matches (see
 * entry_stronger()), the tenant's and the global ones: entries[i], released by
 * the caller, is zeroed where none does. All are looked up in the same few
 * reads.
 */
int registry_entry_match(struct registry *registry, const struct id *tenant,
                         const struct entry_subject *subjects, size_t count,
                         struct entry *entries, struct error *err);

/* --- registered mail --------------------------------------------------- */

enum registry_state { /* of a recipient, as the cloud sees it */
	              REGISTRY_HELD,
	              REGISTRY_RELEASED,
	              REGISTRY_DISCARDED,
	              REGISTRY_EXPIRED,
	              REGISTRY_DELIVERED, /* after released, as the agent tells
	                                   */
	              REGISTRY_FAILED,
	              REGISTRY_STATE_COUNT
};

/* "held", "released", ...; never NULL. */
const char *registry_state_name(enum registry_state state);

/* The inverse: -1 for an unknown word. */
int registry_state_parse(const char *name);

struct registry_recipient {
	char *address; /* folded */
	enum registry_state state;
	int64_t changed_ms;
	char *by, *why;
};

struct registry_message {
	struct id id;
	struct id tenant;
	struct id challenge; /* none: not attached to one */
	int64_t received_ms, registered_ms, expires_ms;
	int64_t size;
	char *sender; /* as given */
	char *sender_normal;
	char *header_from, *subject, *message_id, *client_address, *helo;
	char *challenge_reason; /* why none was sent, or "" */
	struct mail_auth auth;
	struct registry_recipient *recipients;
	size_t recipient_count;
};

/* Frees what it holds; the struct stays the caller's. */
void registry_message_release(struct registry_message *message);

/*
 * Adds messages in one write where the backend can; results[i] is 0 or
 * ERR_EXISTS (the stored one is left as it is; ERR_DENIED when it is another
 * tenant's), ERR_NOT_FOUND without the tenant, ERR_INVALID (no id, no
 * recipient, one that is not held). 0 when every message has its result. An
 * address that is given twice counts once.
 */
int registry_message_add(struct registry *registry,
                         const struct registry_message *messages, size_t count,
                         int *results, struct error *err);

/* Reads one. ERR_NOT_FOUND, also for another tenant's. */
int registry_message_read(struct registry *registry, const struct id *tenant,
                          const struct id *id, struct registry_message *message,
                          struct error *err);

/* What a message is attached to. */
struct registry_attachment {
	struct id message;
	struct id challenge; /* none: to none */
	const char *reason;  /* why no challenge was sent for it, or "" */
};

/*
 * Sets challenge and reason of count messages of the tenant, in one write where
 * the backend can. ERR_NOT_FOUND when one of them is not there; the others are
 * set all the same.
 */
int registry_message_attach(struct registry *registry, const struct id *tenant,
                            const struct registry_attachment *attachments,
                            size_t count, struct error *err);

struct registry_messages {
	struct registry_message *messages;
	size_t count;
	bool more;
};

/* Frees and clears; a zeroed struct is allowed. */
void registry_messages_release(struct registry_messages *page);

/* What registry_message_list() looks for. */
struct registry_query {
	const struct id *tenant;    /* NULL: any; for the cloud's own jobs */
	bool held;                  /* only with a recipient still held: the
	                               one below, where one is asked for */
	const char *sender_normal;  /* exact; NULL: any */
	const char *recipient;      /* exact, folded; NULL: any */
	const struct id *challenge; /* NULL: any */
	int64_t expires_before_ms;  /* > 0: held ones that expire before */
	struct id after;
	size_t limit; /* 1..1000 */
};

/* Lists by id. */
int registry_message_list(struct registry *registry,
                          const struct registry_query *query,
                          struct registry_messages *page, struct error *err);

enum registry_verdict { REGISTRY_RELEASE, REGISTRY_DISCARD, REGISTRY_EXPIRE };

/* "release", "discard", "expire"; never NULL. */
const char *registry_verdict_name(enum registry_verdict verdict);

/* What is decided for one recipient. */
struct registry_decision {
	int64_t sequence; /* out; of the tenant, from 1 */
	struct id message;
	char *recipient; /* folded */
	enum registry_verdict verdict;
	char *by, *why;
	int64_t decided_ms;
};

/*
 * Moves the recipient from held to the verdict's state and appends the
 * decision to the tenant's log, as if at once: a decision whose state changed
 * is always found in the log, if need be once a later call has mended it.
 * ERR_CONFLICT when the recipient was not held any more, ERR_NOT_FOUND.
 */
int registry_decide(struct registry *registry, const struct id *tenant,
                    const struct registry_decision *decision,
                    struct error *err);

struct registry_decisions {
	struct registry_decision *decisions;
	size_t count;
	bool more;
};

/* Frees and clears; a zeroed struct is allowed. */
void registry_decisions_release(struct registry_decisions *page);

/* The tenant's decisions whose sequence is above after, in order. */
int registry_decision_list(struct registry *registry, const struct id *tenant,
                           int64_t after, size_t limit,
                           struct registry_decisions *page, struct error *err);

/* The tenant's highest sequence, 0 when there is none. */
int registry_decision_last(struct registry *registry, const struct id *tenant,
                           int64_t *sequence, struct error *err);

/*
 * What the agent tells of a recipient: delivered, failed, expired, discarded
 * (from released or held: the agent's word counts, it has the mail), released
 * (from held, by its own admin); from failed, which the agent keeps to be tried
 * again: delivered, expired, discarded. by becomes "agent" and why is the
 * event's; but what was released before it was delivered or failed keeps the by
 * and why of the release, and a why of the event that differs is added behind
 * "; "; so does what failed before it was delivered. Adds
 * no decision. Idempotent: 0 when it is so already; ERR_CONFLICT when its state
 * does not allow it; ERR_NOT_FOUND.
 */
int registry_message_event(struct registry *registry, const struct id *tenant,
                           const struct id *id, const char *recipient,
                           enum registry_state state, int64_t now_ms,
                           const char *why, struct error *err);

/* --- challenges -------------------------------------------------------- */

enum registry_challenge_state {
	CHALLENGE_STATE_OPEN,
	CHALLENGE_STATE_SOLVED,  /* its mail is still to be released */
	CHALLENGE_STATE_SETTLED, /* all released */
	CHALLENGE_STATE_EXPIRED,
	CHALLENGE_STATE_BOUNCED /* the challenge mail came back */
};

enum registry_mail_state {
	MAIL_STATE_PENDING,
	MAIL_STATE_SENT,
	MAIL_STATE_FAILED
};

/*
 * One challenge to one sender. At most one is open for a sender_hash,
 * whatever the tenant.
 */
struct registry_challenge {
	struct id id;     /* ordered by time; not a secret */
	struct id tenant; /* of the mail that opened it */
	struct id message;
	uint8_t sender_hash[CRYPTO_HASH_SIZE];
	uint8_t token_hash[CRYPTO_HASH_SIZE]; /* of the token in the link */
	enum registry_challenge_state state;
	int64_t created_ms, expires_ms, changed_ms;
	char *sender;        /* where the challenge mail goes */
	char *code;          /* what the image shows now */
	int64_t attempts;    /* wrong answers so far */
	int64_t code_serial; /* grows with every new code */
	enum registry_mail_state mail;
	int64_t mail_attempts, mail_next_ms;
	char *mail_owner; /* of the lease */
	int64_t mail_lease_ms;
	char *mail_reply; /* the smarthost's last answer */
	char *end_reason; /* why it bounced or expired before its time, or "" */
	/* What it is counted by besides its sender, its tenant and its time;
	 * zeros where that is unknown. See registry_challenge_count(). */
	uint8_t client_hash[CRYPTO_HASH_SIZE];
	uint8_t domain_hash[CRYPTO_HASH_SIZE];
};

/* Frees the strings; the struct stays the caller's. */
void registry_challenge_release(struct registry_challenge *challenge);

/* An open challenge as it is found by its sender. */
struct registry_opened {
	struct id id;      /* none: there is none */
	struct id message; /* that opened it */
};

/*
 * Adds count open challenges, in one write where the backend can. results[i] is
 * 0, or ERR_EXISTS when one is open for the sender hash, an earlier one of the
 * same call too: existing[i] then tells which. ERR_INVALID, with the field
 * named, when any of them is none that can be opened; nothing is added then.
 * ERR_UNCERTAIN and other errors of the store: any of them may be there.
 */
int registry_challenge_open(struct registry *registry,
                            const struct registry_challenge *challenges,
                            size_t count, int *results,
                            struct registry_opened *existing,
                            struct error *err);

/* Finds the challenges that are open for count sender hashes, in one read. */
int registry_challenge_find(struct registry *registry,
                            const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                            size_t count, struct registry_opened *found,
                            struct error *err);

/* Reads one. ERR_NOT_FOUND. */
int registry_challenge_read(struct registry *registry, const struct id *id,
                            struct registry_challenge *challenge,
                            struct error *err);

/* Reads the states of count challenges in one read; -1 for one that is not
 * there. */
int registry_challenge_states(struct registry *registry, const struct id *ids,
                              size_t count, int *states, struct error *err);

/* Moves it from open to solved, expired or bounced, or from solved to settled;
 * ERR_CONFLICT when it is not in from, ERR_INVALID for any other way. */
int registry_challenge_move(struct registry *registry, const struct id *id,
                            enum registry_challenge_state from,
                            enum registry_challenge_state to, int64_t now_ms,
                            struct error *err);

/*
 * Moves an open challenge to expired or bounced and keeps why. ERR_CONFLICT
 * when it is not open, ERR_INVALID for another state.
 */
int registry_challenge_end(struct registry *registry, const struct id *id,
                           enum registry_challenge_state to, const char *reason,
                           int64_t now_ms, struct error *err);

/*
 * Gives an open challenge a new code and, when wrong, counts a wrong answer:
 * only while its code_serial is still serial (which grows by one);
 * ERR_CONFLICT otherwise.
 */
int registry_challenge_recode(struct registry *registry, const struct id *id,
                              int64_t serial, bool wrong, const char *code,
                              struct error *err);

/*
 * Moves an open challenge to solved, only while its code_serial is still
 * serial: of a right answer and others sent at once, one alone counts.
 * ERR_CONFLICT otherwise.
 */
int registry_challenge_solve(struct registry *registry, const struct id *id,
                             int64_t serial, int64_t now_ms, struct error *err);

struct registry_challenges {
	struct registry_challenge *challenges;
	size_t count;
};

/* Frees and clears; a zeroed struct is allowed. */
void registry_challenges_release(struct registry_challenges *page);

/*
 * Claims at most limit open challenges whose mail is pending, due at now_ms
 * and not claimed (or the lease has ended); counts a mail attempt for each. No
 * challenge is claimed by two at once. The longest due comes first.
 */
int registry_challenge_claim_mail(struct registry *registry, const char *owner,
                                  int64_t now_ms, int64_t lease_ms,
                                  size_t limit,
                                  struct registry_challenges *page,
                                  struct error *err);

/*
 * Prolongs a claim to until_ms, while its mail is under way.
 * ERR_CONFLICT when the claim is no longer owner's; ERR_NOT_FOUND.
 */
int registry_challenge_mail_renew(struct registry *registry,
                                  const struct id *id, const char *owner,
                                  int64_t until_ms, struct error *err);

/*
 * Ends a claim: to sent, failed, or pending again at next_ms. Without counted
 * the attempt that the claim counted is taken back. ERR_CONFLICT when the claim
 * is no longer owner's (one whose lease ended still is while nobody else took
 * it); ERR_NOT_FOUND.
 */
int registry_challenge_mail_done(struct registry *registry, const struct id *id,
                                 const char *owner,
                                 enum registry_mail_state state,
                                 int64_t next_ms, bool counted,
                                 const char *reply, struct error *err);

/* What the challenges that are counted together have in common. */
enum registry_challenge_group {
	CHALLENGES_OF_SENDER, /* sender_hash */
	CHALLENGES_OF_CLIENT, /* client_hash */
	CHALLENGES_OF_DOMAIN, /* domain_hash */
	CHALLENGES_OF_TENANT,
	CHALLENGES_OF_ALL /* nothing */
};

/* Which challenges registry_challenge_count() counts. */
struct registry_challenge_query {
	enum registry_challenge_group group;
	uint8_t hash[CRYPTO_HASH_SIZE]; /* of the first three groups */
	struct id tenant;               /* of the fourth */
	int64_t since_ms;               /* those created then or later */
	size_t limit;                   /* counts no further; 1 or more */
};

/*
 * Counts for each of count queries the challenges of a group, whatever became
 * of them, by an index, at most limit of them. One that another instance opens
 * meanwhile may be missed. Queries of one group share a read where the backend
 * can.
 */
int registry_challenge_count(struct registry *registry,
                             const struct registry_challenge_query *queries,
                             size_t count, size_t *counts, struct error *err);

/* Challenges in state whose expires_ms (for open ones) or changed_ms (for
 * solved ones) is before before_ms: what expiry and repair work on. */
int registry_challenge_due(struct registry *registry,
                           enum registry_challenge_state state,
                           int64_t before_ms, size_t limit,
                           struct registry_challenges *page, struct error *err);

/* The mark of a sender where nobody is there (rule 12). */
struct registry_dead_sender {
	uint8_t hash[CRYPTO_HASH_SIZE]; /* of the normalised sender */
	int64_t marked_ms;
	struct id challenge; /* whose mail told so; none: unknown */
	char *reason;        /* what it was told; "": unknown */
};

/* Frees the string; the struct stays the caller's. */
void registry_dead_sender_release(struct registry_dead_sender *dead);

/* Marks a sender, in place of an earlier mark. */
int registry_sender_mark(struct registry *registry,
                         const struct registry_dead_sender *dead,
                         struct error *err);

/* Reads the mark of a sender. ERR_NOT_FOUND when he has none. */
int registry_sender_read(struct registry *registry,
                         const uint8_t hash[CRYPTO_HASH_SIZE],
                         struct registry_dead_sender *dead, struct error *err);

/* Which of count senders have one, in one read. */
int registry_sender_marked(struct registry *registry,
                           const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                           size_t count, bool *marked, struct error *err);

/* Whether it has one. */
int registry_sender_is_dead(struct registry *registry,
                            const uint8_t hash[CRYPTO_HASH_SIZE], bool *dead,
                            struct error *err);

/*
 * Takes the mark of a sender away, if it was made until until_ms; *cleared (may
 * be NULL) tells whether there was such a one.
 */
int registry_sender_clear(struct registry *registry,
                          const uint8_t hash[CRYPTO_HASH_SIZE],
                          int64_t until_ms, bool *cleared, struct error *err);

/* --- audit ------------------------------------------------------------- */

struct registry_audit {
	struct id id;
	struct id tenant; /* none: of the cloud as a whole */
	int64_t at_ms;
	char *actor;  /* "cli", "captcha", "agent:NAME", "user:LOGIN", "job" */
	char *action; /* "tenant-add", "challenge-solved", ... */
	char *object;
	char *detail;
};

/* Appends a line. */
int registry_audit_add(struct registry *registry,
                       const struct registry_audit *line, struct error *err);

/* Calls each for the tenant's lines after an id, at most limit. */
int registry_audit_each(struct registry *registry, const struct id *tenant,
                        const struct id *after, size_t limit,
                        void (*each)(const struct registry_audit *line,
                                     void *context),
                        void *context, struct error *err);

struct registry_totals {
	int64_t tenants;
	int64_t messages;
	int64_t recipients_held;
	int64_t challenges_open;
	int64_t mails_pending;
};

/* Counts, for the metrics. */
int registry_count(struct registry *registry, struct registry_totals *totals,
                   struct error *err);

/* --- everything: purging and copying ----------------------------------- */

enum registry_kind { /* in an order in which they can be copied */
	             REGISTRY_TENANTS,
	             REGISTRY_DOMAINS,
	             REGISTRY_KEYS,
	             REGISTRY_USERS,
	             REGISTRY_ENTRIES, /* tombstones too */
	             REGISTRY_MESSAGES,
	             REGISTRY_DECISIONS,
	             REGISTRY_CHALLENGES,
	             REGISTRY_DEAD_SENDERS,
	             REGISTRY_AUDIT,
	             REGISTRY_SECRETS,
	             REGISTRY_COUNTERS, /* last: what was given out so far */
	             REGISTRY_KIND_COUNT
};

/* "tenants", "domains", ...; never NULL. */
const char *registry_kind_name(enum registry_kind kind);

/*
 * Deletes at most limit records of a kind that nothing needs any more:
 * messages (with their recipients) that have no held recipient and whose
 * expires_ms is before before_ms; decisions taken before it; challenges that
 * are settled, expired or bounced since before it; dead senders marked, and
 * lines of the audit written, before it. Other kinds are ERR_INVALID.
 * *deleted tells how many; fewer than limit: there are no more. What it
 * deletes at once is small enough that others hardly wait.
 */
int registry_purge(struct registry *registry, enum registry_kind kind,
                   int64_t before_ms, size_t limit, size_t *deleted,
                   struct error *err);

/* One record, as any backend gives and takes it. */
struct registry_record {
	enum registry_kind kind;
	struct id tenant; /* of a domain, an entry, a decision or counters;
	                     none: the global ones */
	union {
		struct registry_tenant account;
		char *domain;
		struct registry_key key;
		struct registry_user user;
		struct entry entry; /* with revision and deleted */
		struct registry_message message;
		struct registry_decision decision;   /* with its sequence */
		struct registry_challenge challenge; /* not claimed */
		struct registry_dead_sender dead_sender;
		struct registry_audit audit;
		struct {
			char *name;
			uint8_t bytes[32];
		} secret;
		struct { /* the highest given out; none's: revision of the
			    global policy, 0 */
			int64_t policy_revision, decision_sequence;
		} counters;
	};
};

/*
 * The id of a record that has one, else that of the tenant it belongs to. It is
 * the record's.
 */
const struct id *registry_record_id(const struct registry_record *record);

/* Frees what the record holds. */
void registry_record_release(struct registry_record *record);

/* Some records of one kind. */
struct registry_records {
	struct registry_record *records;
	size_t count;
	bool more;
};

/* Frees and clears; a zeroed struct is allowed. */
void registry_records_release(struct registry_records *page);

/*
 * The records of a kind, of all tenants, behind the record after (NULL: from
 * the first), in the order of: tenant, then domain, sequence or id (domains,
 * decisions, audit); hash (dead senders); name (secrets); tenant (counters);
 * id (all others). Passwords' hashes and secrets are in it: for copies alone.
 */
int registry_export(struct registry *registry, enum registry_kind kind,
                    const struct registry_record *after, size_t limit,
                    struct registry_records *page, struct error *err);

/*
 * Puts records of one kind in as they are. results[i] is 0, or ERR_EXISTS
 * where the record's key (see registry_export(); also a unique name, prefix,
 * login, open sender, an entry's place or an agent's second valid key that
 * another record has) is taken; with replace a record with the same key is
 * replaced instead. Counters only grow: the higher value stays; revisions and
 * sequences count as given out, also of what is not put in. Nothing else is
 * numbered, decided or logged. 0 when each record has its result.
 */
int registry_import(struct registry *registry,
                    const struct registry_record *records, size_t count,
                    bool replace, int *results, struct error *err);

#endif
