/* A few connections that read, shared by any number of threads. */
#ifndef STORE_SQLITE_POOL_H
#define STORE_SQLITE_POOL_H

#include <stddef.h>

#include "common/error.h"

struct sqlite_db;
struct sqlite_pool;

/*
 * Makes a pool of at most size (1..16) read-only connections to the file at
 * path, each opened when it is first needed, with a page cache of cache_kib (0:
 * the default).
 */
int sqlite_pool_open(struct sqlite_pool **pool, const char *path, size_t size,
                     int cache_kib, struct error *err);

/* Closes; NULL is allowed. Every connection has been given back. */
void sqlite_pool_close(struct sqlite_pool *pool);

/* Takes a connection, waiting for one when all are taken. Any thread. */
int sqlite_pool_take(struct sqlite_pool *pool, struct sqlite_db **db,
                     struct error *err);

/*
 * Gives it back: ends its transaction and resets its statements. NULL is
 * allowed. Any thread.
 */
void sqlite_pool_give(struct sqlite_pool *pool, struct sqlite_db *db);

#endif
