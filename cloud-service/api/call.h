/* How the calls of agents begin: the key, what was sent or asked for. */
#ifndef CLOUD_API_CALL_H
#define CLOUD_API_CALL_H

#include <jansson.h>

#include "cloud-service/api/auth.h"

/* A long-poll under way. */
struct api_poll {
	struct http_request *request;
	struct api_caller caller;
	int64_t wait_s, limit; /* of its query */
	uint64_t ticket;       /* taken before anything is looked up */
};

/* Answers 400 with the text of err, which begins with the field's name. */
void api_reply_invalid(struct http_request *request, const struct error *err);

/*
 * Reads a POST of {"NAME": [0..maximum items]}. The body, to be freed with
 * json_decref(), with *array borrowed from it; NULL after an error was
 * answered.
 */
json_t *api_post_begin(struct http_request *request, struct cloud *cloud,
                       const char *name, size_t maximum,
                       struct api_caller *caller, const json_t **array);

/*
 * Reads the query of a long-poll, but for what it asks after, and has the
 * tenant watched. limit is that of a query without one. False after an error
 * was answered.
 */
bool api_poll_begin(struct api_poll *poll, struct http_request *request,
                    struct cloud *cloud, int64_t limit);

/*
 * There is nothing to tell: waits for news, or answers 204 at the end, or 429
 * when http.polls_per_key others with the same key wait already.
 */
void api_poll_wait(const struct api_poll *poll, const struct cloud *cloud);

#endif
