/* What the files of the spool's MongoDB backend share. */
#ifndef STORE_SPOOL_MONGODB_PRIVATE_H
#define STORE_SPOOL_MONGODB_PRIVATE_H

#include <pthread.h>

#include "store/mongodb/db.h"
#include "store/spool/ops.h"

struct spool_mongodb_body;

#define SPOOL_MONGODB_MESSAGES "message"
#define SPOOL_MONGODB_FILES    "bodies.files"
#define SPOOL_MONGODB_CHUNKS   "bodies.chunks"
#define SPOOL_MONGODB_VALUES   "value"
#define SPOOL_MONGODB_REPLICA  "replica"
#define SPOOL_MONGODB_AGENTS   "agent"

/* How long what is uncertain is looked at again. */
#define SPOOL_MONGODB_PATIENCE_MS 10000

/* A time that is none: such a field is not in the document. */
#define SPOOL_MONGODB_NEVER INT64_MAX

struct spool_mongodb {
	struct spool base;
	struct mongodb_db *db;
	char *owner;
	char *incoming;
	bool incoming_is_ours; /* a private folder, removed at the end */
	int lock_fd;           /* of the incoming folder, or -1 */
	int64_t large_body_bytes;
	pthread_mutex_t replica;  /* of what follows */
	bool replica_pending;     /* an apply was written down, but not made */
	pthread_mutex_t counting; /* of what follows */
	struct spool_totals totals; /* as counted last */
	int64_t totals_until_ms;    /* when they are to be counted again */
};

/* --- schema ------------------------------------------------------------ */

/* The steps of the schema, for mongodb_migrate(). */
extern int (*const spool_mongodb_steps[])(struct mongodb_db *db,
                                          struct error *err);
extern const size_t spool_mongodb_version;

/* Makes the indexes that are missing. */
int spool_mongodb_make_indexes(struct mongodb_db *db, struct error *err);

/* --- records: a message's document without its bytes ------------------- */

/* What a document tells of a message, and what makes changes conditional. */
struct spool_mongodb_record {
	struct spool_message message; /* histories as they are kept */
	struct id version;            /* of the last change of the document */
	struct id *tokens;            /* of each recipient's last change */
	bool *touched;                /* recipients to be written */
	int64_t body_size;            /* bytes stored, where it is present */
	struct id body_file;          /* in GridFS; none: in the document */
};

/* Frees what a record holds and clears it; a zeroed one is allowed. */
void spool_mongodb_record_release(struct spool_mongodb_record *record);

/*
 * Reads a document that was found with spool_mongodb_projection().
 * ERR_CORRUPT naming what is wrong, ERR_MEMORY.
 */
int spool_mongodb_record_read(const bson_t *document,
                              struct spool_mongodb_record *record,
                              struct error *err);

/* Takes the message out of a record, its histories made readable. */
int spool_mongodb_record_publish(struct spool_mongodb_record *record,
                                 struct spool_message *message,
                                 struct error *err);

/* Appends the texts of a message under the names they are read by. */
void spool_mongodb_append_texts(bson_t *document,
                                const struct spool_message *message);

/* What leaves the bytes of messages out; bson_destroy(). */
bson_t *spool_mongodb_projection(void);

/* What a document says of all its recipients, for the indexes. */
struct spool_mongodb_summary {
	int64_t due_ms;        /* a claim finds something then */
	int64_t unclaimed_ms;  /* the same without what is claimed */
	int64_t hold_until_ms; /* when what is held or kept expires */
	int64_t over_ms;       /* all over and told: the last change */
	bool over;             /* all are */
	const char *lists[SPOOL_STATE_COUNT + 5];
	size_t list_count;
	char tally[256]; /* "held 2,queued 1,unregistered 1" */
};

/* Words in lists beside those of the states. */
#define SPOOL_MONGODB_UNREGISTERED "unregistered"
#define SPOOL_MONGODB_REPORTS      "reports" /* an end is to be told */
#define SPOOL_MONGODB_CLAIMED      "claimed" /* a lease is on it */
#define SPOOL_MONGODB_KEPT         "kept"    /* a failed one is kept */
#define SPOOL_MONGODB_DSN          "dsn"     /* one is due or queued */

/* Makes the summary of a message. */
void spool_mongodb_summarise(const struct spool_message *message,
                             struct spool_mongodb_summary *summary);

/* Appends "turing" with its fields to a new document. */
void spool_mongodb_append_turing(bson_t *document,
                                 const struct spool_mongodb_record *record,
                                 const struct spool_mongodb_body *body);

/*
 * Makes the update that writes the touched recipients, the marks and the
 * summary, and that drops the body where drop_body; bson_destroy().
 */
bson_t *spool_mongodb_make_update(const struct spool_mongodb_record *record,
                                  const struct id *token, bool drop_body);

/* Appends {key: {"$in": ids}} to a selector. */
void spool_mongodb_append_in(bson_t *selector, const char *key,
                             const struct id *ids, size_t count);

/* --- conditional changes of documents ---------------------------------- */

/* A document to change when it still is of the version that was read. */
struct spool_mongodb_edit {
	struct spool_mongodb_record *record; /* as it is to be */
	struct id token;                     /* becomes its version */
	bool drop_body;
};

/*
 * Sends all in one write. 0 when every one was made; ERR_CONFLICT when some
 * were not, others were: read them again and ask
 * spool_mongodb_edit_is_made(). ERR_UNCERTAIN, ERR_UNAVAILABLE, ...
 */
int spool_mongodb_edits_send(struct spool_mongodb *spool,
                             const struct spool_mongodb_edit *edits,
                             size_t count, struct error *err);

/* Whether the record, read again, has had the change with this token. */
bool spool_mongodb_edit_is_made(const struct spool_mongodb_record *record,
                                const struct id *token);

/* The message in which the change is made; NULL for ADD, COPY and SET. */
const struct id *spool_mongodb_edited(const struct spool_change *change);

/* Makes one change in the record; what the change gets as its result. */
int spool_mongodb_apply(struct spool_mongodb_record *record,
                        const struct spool_change *change,
                        const struct id *token, bool *changed);

/* Makes what changes[first..end) change in messages; done[i] is set for those
 * that have their result. */
int spool_mongodb_change_messages(struct spool_mongodb *spool,
                                  struct spool_change *changes, bool *done,
                                  size_t first, size_t end, struct error *err);

/* As spool_mongodb_change_messages(), for ADD and COPY. */
int spool_mongodb_add_messages(struct spool_mongodb *spool,
                               struct spool_change *changes, bool *done,
                               size_t first, size_t end, struct error *err);

/* Drops the leases of the spool's owner. */
int spool_mongodb_drop_leases(struct spool_mongodb *spool, struct error *err);

/* --- bodies ------------------------------------------------------------ */

/* The body of one message to be added. */
struct spool_mongodb_body {
	bool present;
	const char *bytes; /* all of it, or the first part where it is a file */
	size_t length;     /* of these bytes */
	char *owned;       /* the same, when they are on the heap */
	int64_t size;      /* of the whole */
	struct id file;    /* in GridFS, or none */
};

/*
 * Makes a body ready: reads it from its file, stores a large one (or any, with
 * large) in GridFS. ERR_INVALID, with no text, when it is not as the caller
 * said; other errors are never ERR_IO. Released by the caller.
 */
int spool_mongodb_body_prepare(struct spool_mongodb *spool,
                               const struct spool_change *change, bool large,
                               struct spool_mongodb_body *body,
                               struct error *err);

/* Frees what it holds. */
void spool_mongodb_body_release(struct spool_mongodb_body *body);

/*
 * Makes the document of a message that is added or copied. *document is NULL
 * when it would be too large with the body in it. ERR_MEMORY.
 */
int spool_mongodb_make_document(const struct spool_change *change,
                                const struct spool_mongodb_body *body,
                                bson_t **document, struct error *err);

/* Makes the record that an ADD or a COPY asks for. ERR_MEMORY. */
int spool_mongodb_record_of(const struct spool_change *change,
                            const struct spool_mongodb_body *body,
                            struct spool_mongodb_record *record,
                            struct error *err);

/* Appends id, from, to, content, created, mime and raw, as MailHog writes
 * them. ERR_MEMORY. */
int spool_mongodb_append_mailhog(bson_t *document,
                                 const struct spool_message *message,
                                 const struct spool_mongodb_body *body);

/* --- GridFS ------------------------------------------------------------ */

/* Where the bytes of a file come from. */
struct spool_mongodb_source {
	const char *bytes; /* NULL: the descriptor */
	int fd;
	size_t size;
};

/* Stores a file; what a failure left is swept at a later open. */
int spool_mongodb_file_put(struct spool_mongodb *spool, const struct id *file,
                           const struct id *message,
                           const struct spool_mongodb_source *source,
                           struct error *err);

/* Writes a file of this size to fd. ERR_NOT_FOUND when bytes are missing. */
int spool_mongodb_file_get(struct spool_mongodb *spool, const struct id *file,
                           int64_t size, int fd, struct error *err);

/* Deletes a file; none is no failure. */
int spool_mongodb_file_delete(struct spool_mongodb *spool,
                              const struct id *file, struct error *err);

/* Whether the file is there with all its bytes: 1 or 0. */
int spool_mongodb_file_check(struct spool_mongodb *spool, const struct id *file,
                             int64_t size, struct error *err);

/* Deletes files that have been without a message for older_than_ms. */
int spool_mongodb_sweep(struct spool_mongodb *spool, int64_t older_than_ms,
                        struct error *err);

/* --- values and the replica -------------------------------------------- */

/* Sets a named value of the owner. */
int spool_mongodb_set(struct spool_mongodb *spool, const char *name,
                      const char *value, struct error *err);

/* Makes an apply that was written down and not finished. */
int spool_mongodb_finish_apply(struct spool_mongodb *spool, struct error *err);

/* --- operations of the backend, see spool.h ---------------------------- */

/* See spool_commit(). */
int spool_mongodb_commit(struct spool *base, struct spool_change *changes,
                         size_t count, struct error *err);

/* See spool_read(). */
int spool_mongodb_read(struct spool *base, const struct id *id,
                       struct spool_message *message, struct error *err);

/* See spool_body_open(). */
int spool_mongodb_body_open(struct spool *base, const struct id *id,
                            struct spool_body *body, struct error *err);

/* See spool_claim(). */
int spool_mongodb_claim(struct spool *base, const char *owner, int64_t now_ms,
                        int64_t lease_ms, size_t limit, struct spool_page *page,
                        struct error *err);

/* See spool_next_due(). */
int spool_mongodb_next_due(struct spool *base, int64_t *due_ms,
                           struct error *err);

/* See spool_list(). */
int spool_mongodb_list(struct spool *base, const struct spool_query *query,
                       struct spool_page *page, struct error *err);

/* See spool_count(). */
int spool_mongodb_count(struct spool *base, struct spool_totals *totals,
                        struct error *err);

/* See spool_purge(). */
int spool_mongodb_purge(struct spool *base, int64_t before_ms, size_t limit,
                        size_t *deleted, struct error *err);

/* See spool_get(). */
int spool_mongodb_get(struct spool *base, const char *name, char **value,
                      struct error *err);

/* See spool_values_each(). */
int spool_mongodb_values_each(struct spool *base,
                              void (*each)(const char *, const char *, void *),
                              void *context, struct error *err);

/* See spool_entries_apply(). */
int spool_mongodb_entries_apply(struct spool *base, bool clear,
                                const struct entry *entries, size_t count,
                                int64_t revision, struct error *err);

/* See spool_entries_each(). */
int spool_mongodb_entries_each(struct spool *base,
                               void (*each)(const struct entry *, void *),
                               void *context, struct error *err);

/* See spool_check(). */
int spool_mongodb_check(struct spool *base, struct error *err);

#endif
