/*
 * Tells the cloud, in batches, what the spool has for it; a thread of its own.
 * It reads the spool page by page, sends what is in a page and has the outcome
 * committed. A request that is refused as a whole is sent in halves, down to
 * the item that is to blame.
 */
#ifndef LOCAL_AGENT_CLOUD_UPLOAD_H
#define LOCAL_AGENT_CLOUD_UPLOAD_H

#include <jansson.h>

#include "local-agent/agent-config.h"
#include "store/spool/spool.h"

struct cloud_upload;

/*
 * What is told. All is called on the upload's thread, for each page in this
 * order: query, pick, then for each request its own and one of answered and
 * refused, then commit. Items are counted within the page, from 0.
 */
struct cloud_upload_kind {
	const char *name; /* of the thread and in log lines; 15 bytes */
	const char *path; /* of the requests: POST */
	size_t messages;  /* in a page */
	size_t items;     /* in a request */
	int64_t idle_ms;  /* for what another process has changed */
	/* Says which messages are read; the limit is set. */
	void (*query)(void *context, struct spool_query *query);
	/* Begins with a page, which lasts until commit; returns how many items
	 * it has for the cloud. */
	size_t (*pick)(void *context, const struct spool_page *page);
	/* The request's body with count items from first on; the caller's. */
	json_t *(*request)(void *context, size_t first, size_t count);
	/* Takes the answer to it: 0, or ERR_PROTOCOL, logged, for one that is
	 * not what was agreed. */
	int (*answered)(void *context, size_t first, size_t count,
	                const json_t *answer);
	/* The cloud read the item alone and refused the request. */
	void (*refused)(void *context, size_t index);
	/* Commits what came of the page, and forgets it. whole: all items were
	 * answered or refused. 0 or a negative error. */
	int (*commit)(void *context, bool whole);
};

struct cloud_upload_options {
	const struct cloud_upload_kind *kind; /* outlives the upload */
	const struct agent_config *config;
	struct spool *spool;
	void *context;
};

/* Starts the thread. 0 or a negative error. */
int cloud_upload_start(struct cloud_upload **upload,
                       const struct cloud_upload_options *options,
                       struct error *err);

/* Ends the thread and frees. NULL is allowed. */
void cloud_upload_stop(struct cloud_upload *upload);

/* The spool has news. Any thread. */
void cloud_upload_wake(struct cloud_upload *upload);

#endif
