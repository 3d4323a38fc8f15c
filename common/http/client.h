/* The REST client, over libcurl: JSON in, JSON out. One thread a client. */
#ifndef COMMON_HTTP_CLIENT_H
#define COMMON_HTTP_CLIENT_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct http_client;

struct http_client_options {
	const char *base_url; /* https://host[:port]; http:// only for a
	                         loopback address */
	const char *ca_file;  /* NULL: the system's authorities */
	const char *bearer;   /* the API key; kept secret */
	const char *user_agent;
	int64_t connect_timeout_ms;
	size_t maximum_response;   /* bytes */
	const atomic_bool *cancel; /* ends a call under way once it is true;
	                              may be NULL */
};

/* What came back. Made by http_client_call(); see http_answer_release(). */
struct http_answer {
	long status;
	json_t *body;           /* NULL when the answer had none */
	int64_t retry_after_ms; /* from Retry-After, or -1 */
};

/*
 * Makes a client; options are copied, cancel is kept. ERR_INVALID for a URL
 * that is not allowed. Call http_client_global_init() once before.
 */
int http_client_new(struct http_client **client,
                    const struct http_client_options *options,
                    struct error *err);

/* Whether a base_url is allowed: 0, or ERR_INVALID with what is wrong. */
int http_client_check_url(const char *url, struct error *err);

/* Frees the client; NULL is allowed. */
void http_client_free(struct http_client *client);

/* Once a process, before any thread starts. From then on SIGPIPE is ignored. */
int http_client_global_init(void);

/*
 * Sends body (NULL: none; stays the caller's) to base_url + path and waits
 * timeout_ms at the most. 0 when an HTTP answer came, whatever its status,
 * with *answer to release; ERR_UNAVAILABLE when the peer was not reached or
 * nothing was sent; ERR_UNCERTAIN when the request went out and no whole
 * answer came; ERR_PROTOCOL for an answer that is no JSON, by its Content-Type
 * or in itself, or too large. With a status of 400 or more a body that is no
 * JSON is left out (it comes from a proxy). Redirects are not followed. An
 * idempotent path only: what went out on a kept connection that the peer was
 * closing is sent once more.
 */
int http_client_call(struct http_client *client, const char *method,
                     const char *path, const json_t *body, int64_t timeout_ms,
                     struct http_answer *answer, struct error *err);

/* Drops what an answer holds; a zeroed one is allowed. */
void http_answer_release(struct http_answer *answer);

/*
 * The pause before try number attempt (0, 1, 2 ...): base_ms doubled each time
 * up to maximum_ms, of which a random half is taken off.
 */
int64_t http_backoff_ms(unsigned attempt, int64_t base_ms, int64_t maximum_ms);

#endif
