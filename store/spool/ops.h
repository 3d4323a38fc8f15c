/* For the backends of the spool: the operations each one has. */
#ifndef STORE_SPOOL_OPS_H
#define STORE_SPOOL_OPS_H

#include "store/spool/spool.h"

/* The contracts are those of the functions of spool.h with the same names. */
struct spool_backend {
	const char *name;
	bool commits_at_once; /* see spool_commits_at_once() */
	int (*open)(struct spool **spool, const struct spool_options *options,
	            bool shared, struct error *err);
	void (*close)(struct spool *spool);
	const char *(*engine)(const struct spool *spool);
	const char *(*incoming_directory)(const struct spool *spool);
	int (*commit)(struct spool *spool, struct spool_change *changes,
	              size_t count, struct error *err);
	int (*read)(struct spool *spool, const struct id *id,
	            struct spool_message *message, struct error *err);
	int (*body_open)(struct spool *spool, const struct id *id,
	                 struct spool_body *body, struct error *err);
	int (*claim)(struct spool *spool, const char *owner, int64_t now_ms,
	             int64_t lease_ms, size_t limit, struct spool_page *page,
	             struct error *err);
	int (*next_due)(struct spool *spool, int64_t *due_ms,
	                struct error *err);
	int (*list)(struct spool *spool, const struct spool_query *query,
	            struct spool_page *page, struct error *err);
	int (*count)(struct spool *spool, struct spool_totals *totals,
	             struct error *err);
	int (*purge)(struct spool *spool, int64_t before_ms, size_t limit,
	             size_t *deleted, struct error *err);
	int (*get)(struct spool *spool, const char *name, char **value,
	           struct error *err);
	int (*values_each)(struct spool *spool,
	                   void (*each)(const char *, const char *, void *),
	                   void *context, struct error *err);
	int (*entries_apply)(struct spool *spool, bool clear,
	                     const struct entry *entries, size_t count,
	                     int64_t revision, struct error *err);
	int (*entries_each)(struct spool *spool,
	                    void (*each)(const struct entry *, void *),
	                    void *context, struct error *err);
	int (*check)(struct spool *spool, struct error *err);
	/* NULL: the server has tools of its own for that. */
	int (*backup)(struct spool *spool, const char *directory,
	              const struct store_progress *progress, struct error *err);
};

/* Every backend's state begins with this. */
struct spool {
	const struct spool_backend *backend;
};

/* body_open() fills one of fd and bytes, with its size; ours even when it
 * fails. */
struct spool_body {
	int fd;         /* of a file to read to its end, or -1 */
	char *bytes;    /* on the heap; otherwise */
	int read_error; /* what a failing read of fd is */
	size_t size, offset;
};

extern const struct spool_backend spool_sqlite_backend;
extern const struct spool_backend spool_mongodb_backend;

#endif
