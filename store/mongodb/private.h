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
