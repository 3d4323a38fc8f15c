/* What the files of the SQLite helpers share; nobody else includes it. */
#ifndef STORE_SQLITE_PRIVATE_H
#define STORE_SQLITE_PRIVATE_H

#include <sqlite3.h>

#include "store/sqlite/db.h"

struct sqlite_query {
	struct sqlite_db *db;
	sqlite3_stmt *handle; /* NULL when preparing failed */
	const char *sql;      /* its address is the key */
	int code;             /* the first failure since it was asked for */
};

struct sqlite_db {
	sqlite3 *handle;
	char *path;
	struct sqlite_query **queries; /* open addressing by address of sql */
	size_t slots;                  /* a power of two, or 0 */
	size_t query_count;
	struct sqlite_query broken; /* stands in when memory is out */
};

/* Our code for SQLite's extended result code. */
int sqlite_error_code(int code);

/* Fills *err for code, with SQLite's text and the file's path. */
int sqlite_fail(struct sqlite_db *db, int code, struct error *err);

/* Finalises all statements and frees the table of them. */
void sqlite_queries_release(struct sqlite_db *db);

/* Resets every statement. */
void sqlite_queries_reset(struct sqlite_db *db);

#endif
