/* What the files of the MongoDB helpers share. */
#ifndef STORE_MONGODB_PRIVATE_H
#define STORE_MONGODB_PRIVATE_H

#include "store/mongodb/db.h"

/* How long an uncertain write is looked at again. */
#define MONGODB_RETRY_MS 10000

struct mongodb_db {
	mongoc_client_pool_t *pool;
	char *name;
	char engine[160];
	bool replicated; /* a replica set, or a cluster of them */
	bool retries;    /* libmongoc tries a write a second time by itself */
	int64_t document_maximum; /* bytes */
};

/*
 * Reads a URI, checks that it loses no mail and fills in the defaults of
 * mongodb_db_open(); *uri is the caller's (mongoc_uri_destroy()), *name the
 * database's name within it. ERR_INVALID; its text names an option at the most.
 */
int mongodb_uri_read(const struct mongodb_options *options, mongoc_uri_t **uri,
                     struct error *err);

/* libmongoc is started once a process. */
void mongodb_start_library(void);

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

/* A server's error code as ours, for one write of several too. */
int mongodb_server_code(int64_t code, const char *message, bool write);

/* When to try again: a pause that grows, until a moment. */
struct mongodb_retry {
	int64_t until_ms; /* clock_monotonic_ms() */
	int tries;
};

/* Begins: MONGODB_RETRY_MS from now. */
struct mongodb_retry mongodb_retry_begin(void);

/* Sleeps before the next try; false when the time is over. The first try is
 * always granted. */
bool mongodb_retry_pause(struct mongodb_retry *retry);

#endif
