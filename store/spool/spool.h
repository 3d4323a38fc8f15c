/*
 * The spool: the agent's store of held and queued mail, of the cursors of its
 * talk with the cloud, and of its replica of the lists.
 *
 * Guarantees, the same for every backend:
 *
 *  - spool_commit() returns when what it did is on stable storage.
 *  - Every change of state is a conditional change of one record: it either
 *    finds the record as the caller believed it and changes it, or says
 *    ERR_CONFLICT and changes nothing. Nothing here needs a transaction over
 *    several records, so that a document store can do the same.
 *  - Ids are the caller's: adding the same message twice says ERR_EXISTS.
 *  - ERR_UNCERTAIN from a change: it may have been done; read the record again.
 *  - ERR_IO, ERR_FULL, ERR_CORRUPT from spool_commit(): nothing of the batch
 *    counts. After ERR_IO or ERR_CORRUPT the spool refuses every later commit
 *    (a failed sync is never tried again): stop, and open it anew. The batch
 *    may be found then after all, whole: a duplicate, never a loss.
 *  - Several processes may share a spool where the backend says so; a claim is
 *    a lease with an owner and an end, by the clocks of those who share it:
 *    these must agree to a small part of a lease.
 *  - Whoever works longer than his lease prolongs it meanwhile (SPOOL_RENEW).
 *    Where he could not, as the store was away, and the lease has ended,
 *    another may claim the recipient. From then on what the first one does as
 *    its lease_owner is ERR_CONFLICT: he neither undoes the other's claim nor
 *    writes his result over the other's. Work that can be done twice, such as
 *    delivery, is then done twice at the most for what he had begun already:
 *    he is to begin nothing whose lease may have ended.
 *
 * All functions may be called from any thread. Times are milliseconds since
 * 1970 in UTC. Nothing aborts when memory is out: ERR_MEMORY.
 */
#ifndef STORE_SPOOL_SPOOL_H
#define STORE_SPOOL_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/id.h"
#include "common/mail/authres.h"
#include "common/policy/entry.h"
#include "store/progress.h"

struct spool;

/* Of a recipient of a message. */
enum spool_state {
	SPOOL_HELD,
	SPOOL_QUEUED,
	SPOOL_DEFERRED,
	SPOOL_DELIVERED, /* final, as all below */
	SPOOL_FAILED,    /* final too, but may be kept to be tried again */
	SPOOL_DISCARDED,
	SPOOL_EXPIRED,
	SPOOL_QUARANTINED, /* not final: waits for the admin */
	SPOOL_STATE_COUNT
};

/* A set of states: SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_DEFERRED). */
#define SPOOL_IN(state) (1U << (state))

/* What became of telling the sender that a recipient failed (RFC 3464). */
enum spool_dsn {
	SPOOL_DSN_NONE,   /* none is to be sent */
	SPOOL_DSN_DUE,    /* one is to be written */
	SPOOL_DSN_QUEUED, /* it is a message of this spool, or is to be one */
	SPOOL_DSN_SENT,   /* the next hop has taken it */
	SPOOL_DSN_COUNT
};

/* Bytes of a recipient's history at the most. */
#define SPOOL_HISTORY_MAXIMUM 4096

/* Bytes of what the cloud said when it refused, at the most. */
#define SPOOL_REFUSAL_MAXIMUM 1000

struct spool_recipient {
	char *address; /* as given in RCPT */
	enum spool_state state;
	int64_t changed_ms; /* when it entered the state, by whom and why */
	char *by;           /* "list", "captcha", "recipient", "admin", ... */
	char *why;
	/*
	 * The states before this one, the oldest first, a line each:
	 * "RFC3339 state by: why\n". Consecutive deferred ones with the same
	 * by and why are one line, with the time of the first and a count at
	 * its end: " (3 times)". A line is cut at 1,024 bytes. Beyond
	 * SPOOL_HISTORY_MAXIMUM the first line (how it came in) and the last
	 * ones stay, and a line "..." stands for those between. An ADD does
	 * not look at it: a new recipient has none, "".
	 */
	char *history;
	unsigned attempts;
	int64_t next_attempt_ms; /* of queued and deferred */
	char *reply;             /* the next hop's last, or "" */
	char *lease_owner;       /* "" when not claimed */
	int64_t lease_until_ms;
	bool event_pending; /* the cloud is still to be told of the end */
	char *next_hop; /* "ADDRESS:PORT" in the place of the configured one,
	                   or "" */
	int64_t keep_until_ms; /* of failed: the body is kept until then for
	                          somebody to act; 0: no longer */
	enum spool_dsn dsn;
	struct id dsn_id; /* the DSN, once it is queued */
};

struct spool_message {
	struct id id;
	int64_t received_ms;
	int64_t expires_ms; /* when held recipients expire */
	int64_t size;       /* bytes of the body, as received */
	bool eight_bit;
	bool smtputf8; /* its header needs the SMTPUTF8 it came with (RFC 6531)
	                */
	bool registered;                /* the cloud knows it, or need not */
	unsigned registration_attempts; /* that the cloud has refused */
	int64_t registration_retry_ms;  /* when it is asked again; 0: at once */
	char *registration_refusal; /* what the cloud said last of what it did
	                               not take, of a registered message too
	                               (single recipients); "": nothing */
	bool body_present;          /* false once every recipient is over */
	struct id dsn_of; /* the message whose failure this DSN reports, or
	                     none: it is no DSN of ours */
	char *sender;     /* envelope sender, "" for null */
	char *sender_normal;
	char *header_from;
	char *subject;    /* decoded UTF-8, at most 1,000 bytes */
	char *message_id; /* of the header, with <>, or "" */
	char *client_address, *client_name, *helo, *protocol;
	char *challenge_reason; /* why none may be sent, or "" */
	struct mail_auth auth;
	char *auth_notice; /* what is odd about how the MX says auth, or "" */
	struct spool_recipient *recipients;
	size_t recipient_count;
};

/* Frees what the message holds; the struct stays the caller's. */
void spool_message_release(struct spool_message *message);

/* Some messages, in the order of their ids. */
struct spool_page {
	struct spool_message *messages;
	size_t count;
	bool more; /* ask again after the last one's id */
};

/* Frees a page's messages and clears it; a zeroed page is allowed. */
void spool_page_release(struct spool_page *page);

/* Words on the wire and in the CLI: "held", "queued", ... */
const char *spool_state_name(enum spool_state state);

/* The inverse of spool_state_name(): -1 for an unknown word. */
int spool_state_parse(const char *name);

/* Words for a DSN in the store and in the CLI: "none", "due", "queued",
 * "sent". */
const char *spool_dsn_name(enum spool_dsn dsn);

/* The inverse of spool_dsn_name(): -1 for an unknown word. */
int spool_dsn_parse(const char *name);

/* Whether a recipient in this state stays in it unless somebody acts. */
bool spool_state_is_final(enum spool_state state);

/* Whether the recipient failed and its body is kept for somebody to act. */
bool spool_recipient_is_kept(const struct spool_recipient *recipient);

/*
 * Whether nothing can become of the recipient any more: it is final, and not
 * kept after a failure.
 */
bool spool_recipient_is_over(const struct spool_recipient *recipient);

/*
 * Whether design allows the change: held, quarantined and failed to queued,
 * discarded, expired; queued and deferred to delivered, deferred, queued,
 * failed, discarded. Backends refuse others with ERR_INVALID, and so every
 * change of a failed recipient that is not kept.
 */
bool spool_state_may_become(enum spool_state from, enum spool_state to);

/* Where the bytes of a new message are: in memory or in a file. */
struct spool_body_source {
	const void *bytes; /* NULL: in the file */
	size_t size;
	const char *path; /* a file in spool_incoming_directory(), all written
	                     but not synced; the spool takes it over once the
	                     change succeeds, and unlinks it when it fails */
};

enum spool_change_kind {
	SPOOL_ADD,        /* a message with its recipients and its body; a
	                     queued one that has a lease_owner is claimed */
	SPOOL_MOVE,       /* one recipient to another state */
	SPOOL_REGISTERED, /* the cloud has the message */
	SPOOL_REFUSED,    /* the cloud did not take the message */
	SPOOL_REPORTED,   /* the cloud knows the end of one recipient */
	SPOOL_SET,        /* a named value, such as a cursor */
	SPOOL_COPY,       /* a message as it stands in another spool */
	SPOOL_DSN,        /* how far the sender of one recipient was told */
	SPOOL_RENEW       /* the lease on one recipient is prolonged */
};

/* One record to change, and what came of it. */
struct spool_change {
	enum spool_change_kind kind;
	int result; /* out: 0, ERR_EXISTS, ERR_CONFLICT, ERR_NOT_FOUND,
	               ERR_INVALID, ERR_UNCERTAIN */
	union {
		struct {
			const struct spool_message *message;
			struct spool_body_source body;
			bool replace; /* of a COPY: put it in the place of a
			                 message with this id; otherwise that
			                 is ERR_EXISTS */
		} add; /* a COPY takes every field as it is: states, history,
		          attempts, replies, pending events, DSNs, registered;
		          but no leases; and no body where body_present is
		          false */
		struct {
			struct id id;
			size_t recipient; /* its index */
			unsigned from;    /* SPOOL_IN() of the states allowed */
			const char *lease_owner; /* NULL: whoever; "": nobody;
			                            otherwise the lease must
			                            be his */
			enum spool_state to;
			int64_t now_ms;
			const char *by, *why;    /* NULL: "" */
			const char *reply;       /* NULL: the last stays */
			int64_t next_attempt_ms; /* for queued, deferred */
			bool attempted;          /* counts an attempt; from
			                            failed they start anew */
			bool event; /* set event_pending, for final states */
			int64_t keep_until_ms; /* for failed; 0: not kept */
			bool dsn; /* for failed: one is due, unless there is or
			             was one */
			const char *next_hop; /* NULL: the last stays; "": the
			                         configured one */
		} move; /* appends the state it leaves to the history;
		           drops the lease; drops the body when every
		           recipient is over */
		struct {
			struct id id;
			size_t recipient;
			enum spool_dsn from; /* as it must be, else
			                        ERR_CONFLICT */
			enum spool_dsn to;
			struct id dsn_id; /* of the DSN that is or becomes
			                     queued; from queued: it must be
			                     that one */
		} dsn; /* sent: a failed recipient is kept no longer;
		          drops the body as a move does */
		struct {
			struct id id;
			size_t recipient;    /* for SPOOL_REPORTED */
			const char *refusal; /* for SPOOL_REGISTERED: of single
			                        recipients, NULL: of none */
		} mark; /* SPOOL_REGISTERED clears what refusals there were;
		           of a message that is registered it is no change */
		struct {
			struct id id;
			int64_t retry_ms;
			const char *refusal; /* at most SPOOL_REFUSAL_MAXIMUM */
		} refuse; /* counts an attempt; ERR_CONFLICT when the message
		             is registered */
		struct {
			const char *name;
			const char *value; /* at most 1 MiB */
		} set;
		struct {
			struct id id;
			size_t recipient;
			const char *lease_owner; /* whose it must be: else
			                            ERR_CONFLICT */
			int64_t until_ms;        /* a lease that ends later
			                            stays as it is */
		} renew; /* of a lease that has ended, too, while nobody else
		            has taken the recipient */
	};
};

/* The backends that spool_open() knows, NULL-ended. */
extern const char *const spool_backend_names[];

/* How a spool is opened. */
struct spool_options {
	const char *backend;  /* "sqlite" or "mongodb" */
	const char *location; /* a directory, or a connection URI */
	const char *owner;    /* this agent's name among those that share it */
	int64_t large_body_bytes; /* bodies above go to a file (or GridFS) */
	const char *incoming; /* where large bodies wait for their commit, for
	                         a location that is no directory; NULL: a
	                         private folder below /var/tmp, where
	                         spool_open() removes those of killed ones */
};

/*
 * Opens the spool, makes it where missing, migrates its schema, clears what a
 * crash left behind and drops the leases of owner. ERR_VERSION when a newer
 * program wrote it, ERR_EXISTS when another process has a spool that cannot
 * be shared, ERR_CORRUPT, ERR_IO.
 */
int spool_open(struct spool **spool, const struct spool_options *options,
               struct error *err);

/*
 * Opens it beside a running agent, for the CLI: no recovery, no lock; reads,
 * and conditional changes, are safe.
 */
int spool_open_shared(struct spool **spool, const struct spool_options *options,
                      struct error *err);

/* Closes; NULL is allowed. No other call may be under way. */
void spool_close(struct spool *spool);

/* What the spool is kept in, for a log line: "SQLite 3.40.1"; no secrets. */
const char *spool_engine(const struct spool *spool);

/*
 * Whether commits of several threads are made at once; else each waits for the
 * one before, and one large commit is cheaper than two.
 */
bool spool_commits_at_once(const struct spool *spool);

/* Where large bodies are written to before they are added. */
const char *spool_incoming_directory(const struct spool *spool);

/*
 * Makes the changes, in order, as one write to stable storage where the
 * backend can, each with its own result. 0 when each has its result; otherwise
 * nothing of the batch counts (but ERR_UNCERTAIN: read again).
 */
int spool_commit(struct spool *spool, struct spool_change *changes,
                 size_t count, struct error *err);

/* Reads one message without its body. ERR_NOT_FOUND. Released by the caller. */
int spool_read(struct spool *spool, const struct id *id,
               struct spool_message *message, struct error *err);

/* A body being read; of one thread at a time. */
struct spool_body;

/* Opens the body of a message. ERR_NOT_FOUND when there is none any more. */
int spool_body_open(struct spool *spool, const struct id *id,
                    struct spool_body **body, struct error *err);

/* The next bytes, 1..size; 0 at the end; a negative error. */
long spool_body_read(struct spool_body *body, void *bytes, size_t size);

/* Closes; NULL is allowed. */
void spool_body_close(struct spool_body *body);

/*
 * Claims for owner the recipients that are queued or deferred, due at now_ms
 * and not claimed (or whose lease has ended), of at most limit messages, until
 * now_ms + lease_ms. The page has those messages whole; the recipients that
 * were claimed now have lease_owner == owner and lease_until_ms == now_ms +
 * lease_ms. A recipient is never claimed by two at once.
 */
int spool_claim(struct spool *spool, const char *owner, int64_t now_ms,
                int64_t lease_ms, size_t limit, struct spool_page *page,
                struct error *err);

/* The earliest next_attempt_ms of unclaimed recipients; INT64_MAX if none. */
int spool_next_due(struct spool *spool, int64_t *due_ms, struct error *err);

/* What spool_list() looks for; zeroed: everything. */
struct spool_query {
	unsigned states;           /* SPOOL_IN(); 0: any */
	const char *sender;        /* part of it, any case; NULL: any */
	const char *recipient;     /* part of it, any case; NULL: any */
	int64_t expired_before_ms; /* > 0: waits or is kept until before this */
	bool kept;                 /* of failed ones those that are kept */
	bool dsn;                  /* those whose DSN is due or queued */
	bool unregistered;      /* those that the cloud is still to hear of */
	int64_t retry_until_ms; /* > 0, with unregistered: without those whose
	                           registration_retry_ms is later */
	bool event_pending;     /* those with an end to be told */
	struct id after;        /* the last id of the page before */
	size_t limit;           /* 1..1000 */
};

/* Lists messages by id. The page is released by the caller. */
int spool_list(struct spool *spool, const struct spool_query *query,
               struct spool_page *page, struct error *err);

/* How many recipients are in each state, and how many bytes bodies take. */
struct spool_totals {
	int64_t recipients[SPOOL_STATE_COUNT];
	int64_t unregistered;
	int64_t body_bytes;
	int64_t kept; /* failed recipients whose body is kept */
};

/* Counts. */
int spool_count(struct spool *spool, struct spool_totals *totals,
                struct error *err);

/*
 * Deletes at most limit (1..1000) messages all of whose recipients are over
 * since before_ms and reported. *deleted tells how many.
 */
int spool_purge(struct spool *spool, int64_t before_ms, size_t limit,
                size_t *deleted, struct error *err);

/* Reads a named value to a heap string; ERR_NOT_FOUND. */
int spool_get(struct spool *spool, const char *name, char **value,
              struct error *err);

/* Calls each for every named value, in the order of the names. */
int spool_values_each(struct spool *spool,
                      void (*each)(const char *name, const char *value,
                                   void *context),
                      void *context, struct error *err);

/*
 * Puts entries (tombstones take theirs away) into the replica and sets the
 * value "policy.revision", all or nothing; clear empties the replica before.
 */
int spool_entries_apply(struct spool *spool, bool clear,
                        const struct entry *entries, size_t count,
                        int64_t revision, struct error *err);

/* Calls each for every entry of the replica; strings are borrowed. */
int spool_entries_each(struct spool *spool,
                       void (*each)(const struct entry *entry, void *context),
                       void *context, struct error *err);

/* A full check of what is stored: ERR_CORRUPT with what was found. */
int spool_check(struct spool *spool, struct error *err);

/*
 * Writes the spool as it is at one moment, bodies too, into a new directory
 * that spool_open() with the same backend opens; synced when 0 is returned.
 * Others go on reading and writing. ERR_EXISTS when the directory is there and
 * not empty; ERR_INVALID for a backend whose server has tools of its own.
 * What a failure left behind is taken away.
 */
int spool_backup(struct spool *spool, const char *directory,
                 const struct store_progress *progress, struct error *err);

#endif
