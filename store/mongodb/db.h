/*
 * MongoDB as both stores use it: one pool of clients, errors as ours, writes
 * that are majority-committed and journaled, uncertain writes told apart,
 * indexes checked at the start, texts of any bytes.
 *
 * All functions may be called from any thread. Every function that can fail
 * returns 0 or a negative enum error_code:
 *
 *   no server could be selected, pool exhausted   ERR_UNAVAILABLE: not done
 *   the answer to a read was lost                 ERR_UNAVAILABLE
 *   the answer to a write was lost, or its write
 *     concern timed out                           ERR_UNCERTAIN
 *   "not primary", "node is recovering", shutdown before the write was done
 *                                                 ERR_UNAVAILABLE
 *   a unique key is taken                         ERR_EXISTS
 *   authentication failed, not authorized         ERR_DENIED
 *   disk full                                     ERR_FULL
 *   document too large, other refusals            ERR_LIMIT, ERR_INVALID
 *
 * Nothing of the connection URI but its hosts and database is ever in a text.
 */
#ifndef STORE_MONGODB_DB_H
#define STORE_MONGODB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mongoc.h>

#include "common/error.h"
#include "common/id.h"
#include "common/mail/identity.h"

/* A database on a server, a replica set or a sharded cluster. */
struct mongodb_db;

struct mongodb_options {
	const char *uri;      /* mongodb:// or mongodb+srv://, with TLS and
	                         authentication in it */
	const char *database; /* where the URI names none */
	const char *program;  /* the application's name for the server's log */
};

/*
 * Connects. What the URI does not say is: w=majority, journal=true, read
 * concern majority (where the server has a replica set), read preference
 * primary, serverSelectionTimeoutMS and connectTimeoutMS of 5,000,
 * socketTimeoutMS 20,000, waitQueueTimeoutMS 10,000, maxPoolSize 32. A weaker
 * w, journal=false or a secondary's reads are ERR_INVALID: they would lose
 * mail. Also ERR_INVALID for a URI that does not parse; ERR_VERSION for a
 * server older than 3.6; ERR_UNAVAILABLE; ERR_DENIED.
 */
int mongodb_db_open(struct mongodb_db **db,
                    const struct mongodb_options *options, struct error *err);

/* Closes; NULL is allowed. No call may be under way. */
void mongodb_db_close(struct mongodb_db *db);

/* "MongoDB 4.4.0 (replica set rs0)", as the server tells it. */
const char *mongodb_db_engine(const struct mongodb_db *db);

/* Whether the server has an oplog to stream changes from. */
bool mongodb_db_has_change_streams(const struct mongodb_db *db);

/* An index that must be there. */
struct mongodb_index {
	const char *collection;
	const char *name;
	const char *keys; /* "tenant:1,recipients.address:1,_id:1" */
	bool unique;
	const char *partial; /* JSON of a partialFilterExpression, or NULL */
};

/*
 * Makes the indexes that are missing; ERR_INVALID naming one that is there
 * with other keys or another uniqueness.
 */
int mongodb_ensure_indexes(struct mongodb_db *db,
                           const struct mongodb_index *indexes, size_t count,
                           struct error *err);

/*
 * Drops the index of this name where its keys are not those of index, so that
 * mongodb_ensure_indexes() makes it anew: for a step of a schema.
 */
int mongodb_drop_outdated_index(struct mongodb_db *db,
                                const struct mongodb_index *index,
                                struct error *err);

/*
 * Brings the schema, kept in the document named kind of the collection
 * "schema", to version count: steps[i] (NULL: nothing to do) leads from version
 * i to i + 1 and must be repeatable. ERR_VERSION when a newer program wrote it,
 * ERR_CORRUPT when the document has no version: it is never taken for none.
 * Safe when several processes do it at once.
 */
int mongodb_migrate(struct mongodb_db *db, const char *kind,
                    int (*const *steps)(struct mongodb_db *db,
                                        struct error *err),
                    size_t count, struct error *err);

/*
 * ERR_INVALID when the database holds a schema of another kind: the stores have
 * collections of the same names.
 */
int mongodb_need_own(struct mongodb_db *db, const char *kind,
                     struct error *err);

/* --- clients ----------------------------------------------------------- */

/*
 * A client of the pool for this thread's next calls; NULL with err set when
 * none came free in time. Given back by mongodb_give(). For what the
 * operations below do not cover.
 */
mongoc_client_t *mongodb_take(struct mongodb_db *db, struct error *err);

/* Gives it back; NULL is allowed. */
void mongodb_give(struct mongodb_db *db, mongoc_client_t *client);

/* The name of the database. */
const char *mongodb_db_name(const struct mongodb_db *db);

/*
 * Our error of what libmongoc gave for a call; write tells whether the call
 * may have changed something; reply (may be NULL) has its labels and write
 * concern errors. Fills err with what, and returns the code.
 */
int mongodb_failure(const char *what, const bson_error_t *error,
                    const bson_t *reply, bool write, struct error *err);

/* --- operations: each takes a client of its own for its length ---------- */

/*
 * Inserts one document. ERR_EXISTS when its _id or another unique key is taken;
 * uncertain insertions are tried again with the same _id until
 * retry_until_ms (clock_monotonic_ms(); 0: 10 s from now), and what is found
 * there then with the same _id counts as ours only where the first try was
 * uncertain. Takes nothing over.
 */
int mongodb_insert(struct mongodb_db *db, const char *collection,
                   const bson_t *document, struct error *err);

/*
 * Inserts several in one unordered write (split as the server demands);
 * results[i] is 0 or ERR_EXISTS, or ERR_LIMIT for one that is too large. With
 * ordered the first failure ends it, and later ones get ERR_CONFLICT. Uncertain
 * ones are looked up again by _id as mongodb_insert() does.
 */
int mongodb_insert_many(struct mongodb_db *db, const char *collection,
                        const bson_t *const *documents, size_t count,
                        bool ordered, int *results, struct error *err);

/*
 * Updates one document that matches; *matched (may be NULL) tells whether
 * there was one. An answer that is lost is ERR_UNCERTAIN unless repeatable says
 * that doing it again is the same as doing it once: then it is tried again.
 */
int mongodb_update(struct mongodb_db *db, const char *collection,
                   const bson_t *selector, const bson_t *update, bool upsert,
                   bool repeatable, bool *matched, struct error *err);

/*
 * Updates (or replaces, where updates[i] has no operators) the one document
 * that matches each selector, where there is one, in one unordered write;
 * *matched (may be NULL) tells how many there were. Doing it again must be the
 * same as doing it once: when the answer is lost it is tried again.
 */
int mongodb_update_each(struct mongodb_db *db, const char *collection,
                        const bson_t *const *selectors,
                        const bson_t *const *updates, size_t count,
                        int64_t *matched, struct error *err);

/* Updates all that match; *count (may be NULL) tells how many did. */
int mongodb_update_many(struct mongodb_db *db, const char *collection,
                        const bson_t *selector, const bson_t *update,
                        int64_t *count, struct error *err);

/* Deletes all that match (or at most one); *count (may be NULL): how many. */
int mongodb_delete(struct mongodb_db *db, const char *collection,
                   const bson_t *selector, bool only_one, int64_t *count,
                   struct error *err);

/*
 * findAndModify: the document after the update in *document (of the caller,
 * bson_destroy()). ERR_NOT_FOUND when none matched. sort may be NULL.
 * ERR_UNCERTAIN as for mongodb_update().
 */
int mongodb_find_and_modify(struct mongodb_db *db, const char *collection,
                            const bson_t *selector, const bson_t *sort,
                            const bson_t *update, bool upsert,
                            bson_t **document, struct error *err);

/* What a document tells of a change whose answer was lost. */
enum mongodb_made { MONGODB_NOT_MADE, MONGODB_MADE, MONGODB_UNKNOWN };

/*
 * A conditional change of one document. selector names its _id and what it must
 * still be like, and matches no more once update was done; update sets a token
 * of its own, by which made finds in the document, as it is later, whether this
 * change was done. Without an update the document is deleted.
 */
struct mongodb_change {
	const char *collection;
	const bson_t *selector, *update;
	enum mongodb_made (*made)(const bson_t *document, const void *context);
	const void *context;
};

/*
 * Makes it: *made tells whether this call did; of a document that is gone after
 * the answer to its deletion was lost it is said, whoever deleted it. An answer
 * that is lost is asked for again for up to 10 s; ERR_UNCERTAIN when it cannot
 * be told then.
 */
int mongodb_change(struct mongodb_db *db, const struct mongodb_change *change,
                   bool *made, struct error *err);

/* Reads the one that matches (bson_destroy()); ERR_NOT_FOUND. projection may
 * be NULL. Tried once more when the answer is lost. */
int mongodb_find_one(struct mongodb_db *db, const char *collection,
                     const bson_t *selector, const bson_t *projection,
                     bson_t **document, struct error *err);

/* How documents are read. */
struct mongodb_find {
	const char *collection;
	const bson_t *selector;
	const bson_t *projection; /* may be NULL */
	const bson_t *sort;       /* may be NULL */
	int64_t limit;            /* 0: all */
	const char *hint;         /* an index's name, or NULL */
};

/*
 * Calls each for every document; a non-zero return of each ends it and is
 * returned. ERR_UNAVAILABLE may come after some calls of each.
 */
int mongodb_find_each(struct mongodb_db *db, const struct mongodb_find *find,
                      int (*each)(const bson_t *document, void *context,
                                  struct error *err),
                      void *context, struct error *err);

/* Counts those that match by an index scan, at most limit (0: all); hint is an
 * index's name or NULL. */
int mongodb_count(struct mongodb_db *db, const char *collection,
                  const bson_t *selector, const char *hint, int64_t limit,
                  int64_t *count, struct error *err);

/* --- values ------------------------------------------------------------ */

/* Appends an id as a UUID (binary, subtype 4). false: the document is full. */
bool mongodb_append_id(bson_t *document, const char *key, const struct id *id);

/* Appends text, "" for NULL: a string when it is UTF-8, else binary bytes. */
bool mongodb_append_text(bson_t *document, const char *key, const char *text);

/* Appends bytes, binary. */
bool mongodb_append_bytes(bson_t *document, const char *key, const void *bytes,
                          size_t size);

/* Appends a time as a BSON date; milliseconds since 1970. */
bool mongodb_append_time(bson_t *document, const char *key, int64_t time_ms);

/* The condition that _id is one of several, while it is written. */
struct mongodb_ids {
	bson_t condition, array;
	uint32_t count;
};

/* Begins {_id: {$in: [...]}} in a selector, which is not to be used before
 * mongodb_ids_end(). */
void mongodb_ids_begin(struct mongodb_ids *ids, bson_t *selector);

/* Adds what the iterator stands at. */
void mongodb_ids_add(struct mongodb_ids *ids, const bson_iter_t *id);

/* Ends it. */
void mongodb_ids_end(struct mongodb_ids *ids, bson_t *selector);

/* Whether text is UTF-8 without a NUL, as a BSON string must be. */
bool mongodb_is_text(const void *text, size_t size);

/*
 * Readers of a field, dotted names too ("turing.lease.owner"): the value, or
 * what stands for none (none, 0, false) where it is missing or of another kind.
 */
struct id mongodb_get_id(const bson_t *document, const char *key);
/* Integers, doubles and dates. */
int64_t mongodb_get_int(const bson_t *document, const char *key);
/* Booleans. */
bool mongodb_get_bool(const bson_t *document, const char *key);
/*
 * The pass that an entry demands, in its field "demand"; before version 2 of
 * the schemas a boolean "demands_pass" said that it demands any. ERR_CORRUPT
 * for a word that is none.
 */
int mongodb_get_demand(const bson_t *document, enum mail_pass *demand);
/* A heap copy, "" where missing; frees what was in *text. ERR_MEMORY. */
int mongodb_get_text(const bson_t *document, const char *key, char **text);
/* Borrowed bytes of a binary or a string; NULL where missing. */
const void *mongodb_get_bytes(const bson_t *document, const char *key,
                              size_t *size);
/* The document or array at key as a view into it; false where missing. */
bool mongodb_get_document(const bson_t *document, const char *key,
                          bson_t *view);

/* A collection with a client of the pool's for it. */
struct mongodb_handle {
	struct mongodb_db *db;
	mongoc_client_t *client;
	mongoc_collection_t *collection;
};

/* Takes a client; ERR_UNAVAILABLE. */
int mongodb_handle_take(struct mongodb_handle *handle, struct mongodb_db *db,
                        const char *collection, struct error *err);

/* Gives it back; a zeroed one is allowed. */
void mongodb_handle_give(struct mongodb_handle *handle);

/*
 * As mongodb_failure() for a write of this database: "not primary" does not
 * mean "not done" where libmongoc tries writes again, because the first try may
 * have been.
 */
int mongodb_write_failure(const struct mongodb_db *db, const char *what,
                          const bson_error_t *error, const bson_t *reply,
                          struct error *err);

#endif
