/*
 * The HTTP server of both daemons, over libmicrohttpd: a route table,
 * bounded bodies, problem answers, and handlers that wait (long-polls).
 */
#ifndef COMMON_HTTP_SERVER_H
#define COMMON_HTTP_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct http_server;
struct http_request;

/*
 * Answers a request: calls exactly one of http_reply*() or http_wait() before
 * it returns. Several run at once. That of a route with HTTP_DEFERRED runs on
 * a worker and may block for as long as a store does; any other runs on one of
 * the server's event threads, whose connections all stand still meanwhile.
 */
typedef void (*http_handler)(struct http_request *request, void *context);

/* What becomes of a request whose headers are complete. */
enum http_admission {
	HTTP_REFUSED, /* it was answered; its connection is closed after that */
	HTTP_ANONYMOUS,  /* it goes on: what it asks for is for everybody */
	HTTP_AUTHORISED, /* it goes on, and showed a key */
	HTTP_UNDECIDED   /* the key must be looked up where that may block */
};

/*
 * Looks at a request before any of its body is read: http_path(), http_header()
 * and http_client_address() tell of it. One that it refuses it has answered by
 * one of http_reply*(). Called on an event thread with may_block false; where
 * it returned HTTP_UNDECIDED, having answered nothing, it is called once more
 * on a worker with may_block true, and must decide then: else 500 is answered.
 * A server without workers calls it with may_block true on the event thread.
 */
typedef enum http_admission (*http_authorise)(struct http_request *request,
                                              bool may_block, void *context);

/*
 * Answers a request that no handler gets, with status, in place of the server's
 * own problem: where people see it, for instance. Returns false, having done
 * nothing, when the problem is fine. On an event thread; it must not block.
 */
typedef bool (*http_explain)(struct http_request *request, unsigned status,
                             void *context);

/* Where the handler of a route runs. */
enum http_place {
	HTTP_DIRECT,  /* on an event thread: it never blocks */
	HTTP_DEFERRED /* on a worker, its connection suspended meanwhile */
};

/* One row of a route table; the table ends with a row whose method is NULL. */
struct http_route {
	const char *method;  /* "GET" also serves HEAD */
	const char *pattern; /* "/v1/messages/{id}/content" */
	http_handler handler;
	size_t maximum_body; /* bytes; a longer body gets 413; 0: no body */
	enum http_place place;
};

struct http_server_options {
	const char *address; /* numeric IPv4 or IPv6 */
	uint16_t port;       /* 0: any free port, see http_server_port() */
	unsigned threads;    /* event threads; 0: one a core */
	unsigned workers;    /* for what is deferred; 0: 8 */
	size_t deferred;     /* requests that may wait for a worker; 0: 128 a
	                        worker */
	unsigned maximum_connections;
	unsigned maximum_connections_per_address; /* 0: no limit */
	int64_t idle_timeout_ms;
	const char *const *trusted_proxies; /* NULL-ended addresses and networks
	                                       (see network_parse()):
	                                       X-Forwarded-For counts from
	                                       them alone; may be NULL */
	const struct http_route *routes;    /* must outlive the server */
	http_authorise authorise;           /* of requests that have a route;
	                                       NULL: all are anonymous */
	http_explain explain;               /* NULL: problems are fine */
	void *context;                      /* given to every handler */
	const char *log_id;                 /* for log lines, such as "http" */
};

/*
 * Starts listening. ERR_UNAVAILABLE when the port is taken (the text names
 * it), ERR_INVALID for a bad address or proxy. The caller ends it with
 * http_server_stop(). A request with repeated Content-Length or Host, or with
 * both Content-Length and Transfer-Encoding, or with white space before a
 * colon, gets 400 and the connection is closed (RFC 9112 sections 3.2, 6.3).
 * An unknown path gets 404, a known one with a wrong method 405 with Allow.
 * A peer that takes longer than twice the idle timeout, plus a second for each
 * 8 kB of a body, to send a request or read an answer is cut off. Bodies of
 * more than 256 MiB in all at one time get 503. Raises the soft limit of open
 * files for maximum_connections.
 *
 * A connection is anonymous until a request of it was authorised. Such a one
 * has 10 s at the most for its first request, and for the body of each;
 * when they are more than half of maximum_connections, the oldest that waits
 * for its peer is closed, so that there is always room for those who have a
 * key.
 *
 * Workers are started when a route is deferred. They are shared out: look-ups
 * of keys and anonymous requests have at most half of them each, authorised
 * ones all but a quarter, and within these one owner (see http_set_owner(), or
 * else the client's address) has at most a quarter. Owners are served round
 * robin, and each has at most a quarter of the room to wait in. What finds no
 * room gets 503 with Retry-After. A request that http_wait() parked always
 * finds it: their number is bounded by maximum_connections alone.
 */
int http_server_start(struct http_server **server,
                      const struct http_server_options *options,
                      struct error *err);

/* The port in force, in host order. */
uint16_t http_server_port(const struct http_server *server);

/*
 * Prepares for the end while everything is still served: all that waits is
 * told that the wait is over, what comes later waits for a second at most, and
 * every answer ends its connection. Not from a handler.
 */
void http_server_drain(struct http_server *server);

/*
 * Resumes all waiting requests (they are told to end), lets those under way
 * finish, stops and frees. Deferred requests that no worker has begun with
 * within five seconds get 503; handlers that run are waited for. NULL is
 * allowed. Not from a handler.
 */
void http_server_stop(struct http_server *server);

/* The value of {name} in the pattern, decoded; NULL when there is none. */
const char *http_parameter(const struct http_request *request,
                           const char *name);

/* The first value of name in the query string, decoded; NULL when absent. */
const char *http_query(const struct http_request *request, const char *name);

/*
 * Reads a whole number from the query: standard when absent; ERR_INVALID when
 * it is no number or not within minimum..maximum, with a text naming it.
 */
int http_query_integer(const struct http_request *request, const char *name,
                       int64_t standard, int64_t minimum, int64_t maximum,
                       int64_t *value, struct error *err);

/* A request header's value; NULL when absent. */
const char *http_header(const struct http_request *request, const char *name);

/* A cookie's value; NULL when absent. */
const char *http_cookie(const struct http_request *request, const char *name);

/* "GET", "POST", ...; a HEAD request says "GET" and its body is dropped. */
const char *http_method(const struct http_request *request);

/* The path as matched, without the query. */
const char *http_path(const struct http_request *request);

/* The body's bytes; *size may be 0, the pointer is never NULL. */
const char *http_body(const struct http_request *request, size_t *size);

/*
 * The body as JSON (needs Content-Type: application/json, nesting and
 * duplicates refused): a new reference for the caller, or NULL after a 400 or
 * 415 problem was answered.
 */
json_t *http_body_json(struct http_request *request);

/*
 * A field of an application/x-www-form-urlencoded body, decoded; NULL when
 * absent, repeated, or not valid UTF-8 without NUL.
 */
const char *http_form(const struct http_request *request, const char *name);

/* The client's numeric address, through a trusted proxy where there is one. */
const char *http_client_address(const struct http_request *request);

/*
 * Names the tenant whose request this is, for its share of the workers and
 * nobody else's; from http_authorise, which returns HTTP_AUTHORISED then.
 */
void http_set_owner(struct http_request *request, const char *owner);

/* A short id of this request, for log lines. */
const char *http_request_id(const struct http_request *request);

/* Adds a header to the answer; call before the reply. */
void http_add_header(struct http_request *request, const char *name,
                     const char *value);

/*
 * Answers with size bytes, which are copied. Adds X-Content-Type-Options:
 * nosniff and, unless http_add_header() gave one, Cache-Control: no-store.
 */
void http_reply(struct http_request *request, unsigned status,
                const char *content_type, const void *bytes, size_t size);

/* Answers with body as JSON and drops the caller's reference to it. */
void http_reply_json(struct http_request *request, unsigned status,
                     json_t *body);

/*
 * Answers application/problem+json (RFC 9457): type is the last part of the
 * problem's URI, such as "unknown-message"; detail is formatted.
 */
void http_reply_problem(struct http_request *request, unsigned status,
                        const char *type, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));

/* 204 without a body. */
void http_reply_empty(struct http_request *request);

/*
 * Taken before a handler reads the state that it may wait for under key, and
 * given to http_wait(): a wake between the two is then not lost.
 */
uint64_t http_wait_ticket(struct http_server *server, const char *key);

/*
 * Parks the request; the handler is called again from the start when
 * http_wake(server, key) is called or deadline passes, and http_wait_over()
 * then tells whether it may wait again. When the key was woken after ticket was
 * taken, the handler is called again at once. Costs no thread and no worker.
 */
void http_wait(struct http_request *request, const char *key, uint64_t ticket,
               int64_t deadline_monotonic_ms);

/*
 * Counts the request among those of owner (as a key's name) that wait under
 * key; before http_wait(). False when maximum of them are parked already: then
 * it is to be answered. Several that come at once may go over by a few.
 */
bool http_wait_share(struct http_request *request, const char *key,
                     const char *owner, size_t maximum);

/* Whether the wait's deadline has passed or the server stops. */
bool http_wait_over(const struct http_request *request);

/*
 * The monotonic time at which this request was first seen, so that a deadline
 * stays the same across calls.
 */
int64_t http_request_start_ms(const struct http_request *request);

/* The server of a request, for http_wait_ticket() and http_wake(). */
struct http_server *http_request_server(const struct http_request *request);

/* Resumes every request parked under key; NULL: under any. Any thread. */
void http_wake(struct http_server *server, const char *key);

/* A route handler that prints the metrics. */
void http_metrics_handler(struct http_request *request, void *context);

#endif
