/*
 * SQLite as both stores use it: connections set up alike, schema versions,
 * transactions, prepared statements that are kept, errors as ours.
 *
 * A connection and its statements are of one thread at a time. Every function
 * that can fail returns 0 or a negative enum error_code:
 *
 *   SQLITE_FULL                       ERR_FULL: roll back, go on
 *   SQLITE_IOERR_*, READONLY, CANTOPEN  ERR_IO: nothing can be trusted
 *   SQLITE_CORRUPT, NOTADB            ERR_CORRUPT: the same
 *   SQLITE_BUSY                       ERR_UNAVAILABLE: nothing was done
 *   a primary or unique key is taken  ERR_EXISTS
 *   another constraint                ERR_INVALID
 *   SQLITE_NOMEM, TOOBIG              ERR_MEMORY, ERR_LIMIT
 */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/id.h"

/* A connection. */
struct sqlite_db;

/* How a connection is opened; zeroed values are the defaults. */
struct sqlite_db_options {
	const char *path;
	bool create;    /* make the file where missing, else ERR_NOT_FOUND */
	bool read_only; /* refuses every write */
	bool lazy_sync; /* commits do not wait for the medium: a power cut may
	                   lose the last ones, in order, and nothing else */
	int busy_timeout_ms; /* 0: 10,000 */
	int cache_kib;       /* 0: 4,096 */
};

/* "SQLite 3.40.1": the library's name and version, for a log line. */
const char *sqlite_db_engine(void);

/*
 * Opens a connection: WAL, synchronous FULL, no automatic checkpoints, no
 * foreign keys, schema not trusted, temporary tables in memory.
 */
int sqlite_db_open(struct sqlite_db **db,
                   const struct sqlite_db_options *options, struct error *err);

/*
 * Closes; NULL is allowed. The last connection to a file moves its log into
 * the database, unless sqlite_db_abandon() was called on it.
 */
void sqlite_db_close(struct sqlite_db *db);

/* After a failed sync: closing will not write any more. */
void sqlite_db_abandon(struct sqlite_db *db);

/*
 * Brings the schema to version count: steps[i] is the SQL (one or several
 * statements) that leads from version i to i + 1; each runs in a transaction
 * of its own. ERR_VERSION when a newer program wrote the file. Safe when
 * several processes do it at once.
 */
int sqlite_db_migrate(struct sqlite_db *db, const char *const *steps,
                      size_t count, struct error *err);

/* 0 when the schema's version is this one, ERR_VERSION otherwise. */
int sqlite_db_expect_version(struct sqlite_db *db, size_t version,
                             struct error *err);

/* Begins a transaction that writes (BEGIN IMMEDIATE). */
int sqlite_db_begin(struct sqlite_db *db, struct error *err);

/* Begins one that reads: what follows sees one state of the file. */
int sqlite_db_begin_read(struct sqlite_db *db, struct error *err);

/* Commits; on failure everything of the transaction is rolled back. */
int sqlite_db_commit(struct sqlite_db *db, struct error *err);

/* Rolls back; allowed without a transaction. Resets all statements. */
void sqlite_db_rollback(struct sqlite_db *db);

/* How many rows the last INSERT, UPDATE or DELETE changed. */
int64_t sqlite_db_changes(struct sqlite_db *db);

/* The rowid of the last INSERT. */
int64_t sqlite_db_last_rowid(struct sqlite_db *db);

/* What SQLite calls for a function of SQL (sqlite3_create_function()). */
typedef void sqlite_db_called(sqlite3_context *context, int count,
                              sqlite3_value **values);

/*
 * Makes name a function of SQL on this connection, for the project's own
 * statements alone, with so many arguments; called gets context by
 * sqlite3_user_data(). 0, or the code of SQLite's failure with *err.
 */
int sqlite_db_function(struct sqlite_db *db, const char *name, int arguments,
                       sqlite_db_called *called, void *context,
                       struct error *err);

/*
 * A counter that changes when another connection changed the file (PRAGMA
 * data_version); compare only values of the same connection.
 */
int sqlite_db_data_version(struct sqlite_db *db, int64_t *version,
                           struct error *err);

/*
 * PRAGMA integrity_check: ERR_CORRUPT with what was found. Others may go on
 * reading and writing meanwhile.
 */
int sqlite_db_check(struct sqlite_db *db, struct error *err);

/* --- statements -------------------------------------------------------- */

/* A prepared statement, owned by its connection. */
struct sqlite_query;

/*
 * The statement of sql, ready for binding; never NULL: a failure to prepare
 * shows in sqlite_step(). It is kept under the address of sql, which must be a
 * constant that lives as long as the connection. It is the same object every
 * time: do not ask for one that is still being stepped.
 */
struct sqlite_query *sqlite_query(struct sqlite_db *db, const char *sql)
    __attribute__((returns_nonnull));

/*
 * Binds parameter ?index (from 1). Bytes and texts are borrowed until the
 * query is reset, so they must outlive its run. A failure shows in
 * sqlite_step(). What is not bound is NULL.
 */
void sqlite_bind_int(struct sqlite_query *query, int index, int64_t value);
/* See sqlite_bind_int(); NULL binds NULL. */
void sqlite_bind_text(struct sqlite_query *query, int index, const char *text);
/* See sqlite_bind_int(); size 0 binds an empty blob, never NULL. */
void sqlite_bind_blob(struct sqlite_query *query, int index, const void *bytes,
                      size_t size);
/* See sqlite_bind_int(); all 16 bytes, none too. */
void sqlite_bind_id(struct sqlite_query *query, int index, const struct id *id);

/*
 * The next row: 1 when there is one, 0 at the end (the query is reset then), a
 * negative error (reset too).
 */
int sqlite_step(struct sqlite_query *query, struct error *err);

/* Steps a statement that gives no rows (rows are skipped) to its end. */
int sqlite_run(struct sqlite_query *query, struct error *err);

/* Ends a query before its last row. Leave none unfinished: it would hold the
 * log's space. */
void sqlite_reset(struct sqlite_query *query);

/* Column index (from 0) of the row; NULL gives 0. */
int64_t sqlite_column_int(struct sqlite_query *query, int index);
/* Whether the column is NULL. */
bool sqlite_column_is_null(struct sqlite_query *query, int index);
/* The column's text until the next step; "" for NULL; never NULL. */
const char *sqlite_column_text(struct sqlite_query *query, int index);
/* The column's bytes until the next step, *size of them; may be NULL for 0. */
const void *sqlite_column_blob(struct sqlite_query *query, int index,
                               size_t *size);
/* The column as an id; none when it is not 16 bytes long. */
struct id sqlite_column_id(struct sqlite_query *query, int index);

/*
 * Copies the column's text to a heap string ("" for NULL) and frees the one
 * that was in *text. ERR_MEMORY with *text untouched.
 */
int sqlite_column_copy(struct sqlite_query *query, int index, char **text);

#endif
