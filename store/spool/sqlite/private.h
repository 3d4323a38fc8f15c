/* What the files of the spool's SQLite backend share. */
#ifndef STORE_SPOOL_SQLITE_PRIVATE_H
#define STORE_SPOOL_SQLITE_PRIVATE_H

#include <pthread.h>

#include "store/spool/ops.h"
#include "store/sqlite/checkpoint.h"
#include "store/sqlite/db.h"
#include "store/sqlite/pool.h"

struct spool_sqlite {
	struct spool base;
	char *path; /* of the database */
	char *incoming, *bodies, *reserve;
	int64_t large_body_bytes;
	int lock_fd;
	struct sqlite_pool *readers;
	struct sqlite_checkpointer *checkpointer; /* NULL when shared */
	pthread_mutex_t writer; /* of what follows, and of every transaction
	                           that writes */
	struct sqlite_db *db;
	struct sqlite_db *lazy; /* for claims: a lost lease does no harm, so
	                           they wait for no sync */
	int failure;            /* set once: no more writes */
	char failure_text[512];
};

/* The schema: step i leads from version i to version i + 1. */
extern const char *const spool_sqlite_steps[];
extern const size_t spool_sqlite_version;

/*
 * Locks the writer and begins a transaction on db; refuses when the spool has
 * failed before. On success spool_sqlite_end() must follow.
 */
int spool_sqlite_begin(struct spool_sqlite *spool, struct sqlite_db *db,
                       struct error *err);

/*
 * Commits (result is 0) or rolls back, unlocks the writer, and keeps a
 * failure that ends all writing. Returns result or what committing gave.
 */
int spool_sqlite_end(struct spool_sqlite *spool, struct sqlite_db *db,
                     int result, struct error *err);

/* Marks the spool as failed when result says so (ERR_IO, ERR_CORRUPT). */
void spool_sqlite_note(struct spool_sqlite *spool, int result,
                       const struct error *err);

/* --- one transaction that writes --------------------------------------- */

/* The body of one ADD, made ready before the transaction. */
struct spool_sqlite_body {
	const void *bytes; /* to go into the database; NULL: file, or none */
	void *owned;       /* those bytes, when they were read from a file */
	size_t size;
	char *file; /* name under bodies/, when it is there already */
};

/* Names of files in bodies/. */
struct spool_sqlite_files {
	char **names;
	size_t count, capacity;
};

struct spool_sqlite_batch {
	struct spool_sqlite *spool;
	struct sqlite_db *db;
	struct spool_change *changes;
	struct spool_sqlite_body *bodies; /* one a change */
	size_t count;
	struct spool_totals delta; /* what the totals change by */
	struct id *ended; /* messages with a recipient that is over now */
	size_t ended_count;
	struct spool_sqlite_files dropped; /* to unlink after the commit */
};

/* Deletes the body of a message that has ended; no body is no failure. */
int spool_sqlite_body_drop(struct spool_sqlite_batch *batch,
                           const struct id *id, struct error *err);

/*
 * Makes the bodies of all ADDs of the batch ready: large ones are synced and
 * renamed to bodies/. A body that is not as the caller said gives its change
 * ERR_INVALID.
 */
int spool_sqlite_bodies_prepare(struct spool_sqlite_batch *batch,
                                struct error *err);

/* After a commit with this outcome (0 or an error): unlinks the files that
 * nothing needs any more, frees the rest. */
void spool_sqlite_bodies_finish(struct spool_sqlite_batch *batch, int outcome);

/* Deletes a message whole, with its body; none is no failure. */
int spool_sqlite_delete(struct spool_sqlite_batch *batch, const struct id *id,
                        struct error *err);

/* Sets the result of an ADD or a COPY, or returns the error that ends the
 * transaction. */
int spool_sqlite_add(struct spool_sqlite_batch *batch,
                     struct spool_change *change,
                     const struct spool_sqlite_body *body, struct error *err);

/* As spool_sqlite_add(), for MOVE. */
int spool_sqlite_move(struct spool_sqlite_batch *batch,
                      struct spool_change *change, struct error *err);

/* As spool_sqlite_add(), for DSN. */
int spool_sqlite_dsn(struct spool_sqlite_batch *batch,
                     struct spool_change *change, struct error *err);

/* As spool_sqlite_add(), for RENEW. */
int spool_sqlite_renew(struct spool_sqlite_batch *batch,
                       struct spool_change *change, struct error *err);

/* As spool_sqlite_add(), for REGISTERED and REPORTED. */
int spool_sqlite_mark(struct spool_sqlite_batch *batch,
                      struct spool_change *change, struct error *err);

/* As spool_sqlite_add(), for REFUSED. */
int spool_sqlite_refuse(struct spool_sqlite_batch *batch,
                        struct spool_change *change, struct error *err);

/* Sets a named value. */
int spool_sqlite_set(struct sqlite_db *db, const char *name, const char *value,
                     struct error *err);

/* Notes that a recipient of the message is over now, for the settling. */
void spool_sqlite_ended(struct spool_sqlite_batch *batch, const struct id *id);

/*
 * Deals with a message one of whose recipients is over now: when all are, its
 * body goes and the purge will find it.
 */
int spool_sqlite_settle(struct spool_sqlite_batch *batch, const struct id *id,
                        struct error *err);

/* Adds delta to the totals of the store. */
int spool_sqlite_totals_add(struct sqlite_db *db,
                            const struct spool_totals *delta,
                            struct error *err);

/* Reads the totals that are kept. */
int spool_sqlite_totals_read(struct sqlite_db *db, struct spool_totals *totals,
                             struct error *err);

/* --- reading ----------------------------------------------------------- */

/* Reads a whole message within a transaction of db. */
int spool_sqlite_load(struct sqlite_db *db, const struct id *id,
                      struct spool_message *message, struct error *err);

/* Loads count messages into a page; on failure the page is untouched. */
int spool_sqlite_load_page(struct sqlite_db *db, const struct id *ids,
                           size_t count, bool more, struct spool_page *page,
                           struct error *err);

/* Removes the files in the directory at path that no row of db has. */
int spool_sqlite_sweep_files(struct sqlite_db *db, const char *path,
                             struct error *err);

/* Removes what a crash left in incoming/ and bodies/. */
int spool_sqlite_sweep(struct spool_sqlite *spool, struct error *err);

/* DIRECTORY/NAME on the heap, or NULL when memory is out. */
char *spool_sqlite_join(const char *directory, const char *name);

/* --- operations of the backend, see spool.h ---------------------------- */

/* See spool_commit(). */
int spool_sqlite_commit(struct spool *base, struct spool_change *changes,
                        size_t count, struct error *err);

/* See spool_read(). */
int spool_sqlite_read(struct spool *base, const struct id *id,
                      struct spool_message *message, struct error *err);

/* See spool_body_open(). */
int spool_sqlite_body_open(struct spool *base, const struct id *id,
                           struct spool_body *body, struct error *err);

/* See spool_claim(). */
int spool_sqlite_claim(struct spool *base, const char *owner, int64_t now_ms,
                       int64_t lease_ms, size_t limit, struct spool_page *page,
                       struct error *err);

/* See spool_next_due(). */
int spool_sqlite_next_due(struct spool *base, int64_t *due_ms,
                          struct error *err);

/* See spool_list(). */
int spool_sqlite_list(struct spool *base, const struct spool_query *query,
                      struct spool_page *page, struct error *err);

/* See spool_count(). */
int spool_sqlite_count(struct spool *base, struct spool_totals *totals,
                       struct error *err);

/* See spool_purge(). */
int spool_sqlite_purge(struct spool *base, int64_t before_ms, size_t limit,
                       size_t *deleted, struct error *err);

/* See spool_get(). */
int spool_sqlite_get(struct spool *base, const char *name, char **value,
                     struct error *err);

/* See spool_values_each(). */
int spool_sqlite_values_each(struct spool *base,
                             void (*each)(const char *, const char *, void *),
                             void *context, struct error *err);

/* See spool_entries_apply(). */
int spool_sqlite_entries_apply(struct spool *base, bool clear,
                               const struct entry *entries, size_t count,
                               int64_t revision, struct error *err);

/* See spool_entries_each(). */
int spool_sqlite_entries_each(struct spool *base,
                              void (*each)(const struct entry *, void *),
                              void *context, struct error *err);

/* See spool_check(). */
int spool_sqlite_check(struct spool *base, struct error *err);

/* See spool_backup(). */
int spool_sqlite_backup(struct spool *base, const char *directory,
                        const struct store_progress *progress,
                        struct error *err);

#endif
