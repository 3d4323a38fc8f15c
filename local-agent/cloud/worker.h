/*
 * A thread that talks with the cloud, step by step, and rests between the
 * steps: until it is woken, until a pause is over, or longer each time the
 * cloud is away.
 */
#ifndef LOCAL_AGENT_CLOUD_WORKER_H
#define LOCAL_AGENT_CLOUD_WORKER_H

#include <jansson.h>
#include <stdbool.h>

#include "common/http/client.h"
#include "local-agent/agent-config.h"

/* What a step returns: a pause in milliseconds, or that it failed. */
#define CLOUD_STEP_AGAIN  0
#define CLOUD_STEP_FAILED (-1)

struct cloud_worker;

struct cloud_worker_options {
	const char *name; /* of the thread and in log lines; 15 bytes */
	const struct agent_config *config;
	int64_t minimum_rest_ms; /* of a rest, that no wake cuts short */
	bool can_wait;           /* a busy machine takes mail first */
	/*
	 * One step, on the worker's thread. Returns how long to rest unless
	 * woken, CLOUD_STEP_AGAIN, or CLOUD_STEP_FAILED (backs off).
	 */
	int64_t (*step)(struct cloud_worker *worker, void *context);
	void *context;
};

/* Starts the thread. 0, ERR_INVALID for a bad URL, or ERR_UNAVAILABLE. */
int cloud_worker_start(struct cloud_worker **worker,
                       const struct cloud_worker_options *options,
                       struct error *err);

/* Cancels a call under way, ends the thread and frees. NULL is allowed. */
void cloud_worker_stop(struct cloud_worker *worker);

/* Ends a rest (but no backing off). Any thread; NULL is allowed. */
void cloud_worker_wake(struct cloud_worker *worker);

/* Whether the worker is to stop: a long step looks now and then. */
bool cloud_worker_stopping(const struct cloud_worker *worker);

/*
 * Calls the cloud from a step: 0 with *answer to release when the status is
 * 2xx. Otherwise a negative error, logged and counted:
 *
 *  - ERR_INVALID: the cloud itself read the request and does not like what is
 *    in it (400 or 422 with a problem of ours that says so). Sent again it
 *    would be refused again.
 *  - ERR_LIMIT: 413, from the cloud or from what stands before it: a smaller
 *    request may pass.
 *  - ERR_DENIED: 401 and 403.
 *  - ERR_UNAVAILABLE: everything else. Whoever answered is not known to be the
 *    cloud (a proxy, a captive portal, another service): ask again later.
 */
int cloud_worker_call(struct cloud_worker *worker, const char *method,
                      const char *path, const json_t *body, int64_t timeout_ms,
                      struct http_answer *answer);

/* The text of this name in an object of the cloud, or NULL; borrowed. */
const char *cloud_text(const json_t *object, const char *name);

#endif
