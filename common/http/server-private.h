/* What the files of the HTTP server share; no one else includes it. */
#ifndef COMMON_HTTP_SERVER_PRIVATE_H
#define COMMON_HTTP_SERVER_PRIVATE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/buffer.h"
#include "common/http/server.h"
#include "common/network.h"

#define HTTP_PARAMETERS_MAXIMUM 4
#define HTTP_WAIT_BUCKETS       4096

/* A connection, watched so that no peer holds it by a slow drip. */
struct http_connection {
	/* Under connection_lock: */
	struct http_connection *previous, *next; /* of its list */
	bool authorised;                         /* which list that is */
	bool evicted;                            /* it is being closed */
	struct http_server *server;
	int fd;
	/* When it is cut off; 0: not while the server itself is at work. */
	_Atomic int64_t deadline_ms;
};

/* A name and its value, in lists that a request owns. */
struct http_pair {
	struct http_pair *next;
	const char *name; /* a part of the pair's own memory */
	const char *value;
};

enum http_outcome {
	HTTP_OUTCOME_NONE,
	HTTP_OUTCOME_REPLIED,
	HTTP_OUTCOME_WAITING
};

/* How far a request has come. */
enum http_stage {
	HTTP_STAGE_NEW,       /* its headers were not looked at yet */
	HTTP_STAGE_ADMISSION, /* a worker decides whether it may go on */
	HTTP_STAGE_BODY,      /* its body is being collected */
	HTTP_STAGE_DISCARD,   /* its body is read for the sake of the answer */
	HTTP_STAGE_READY      /* counted as active */
};

struct http_share;
struct http_workers;

/*
 * One thread at a time works on a request: the event thread of its connection,
 * or a worker while the connection is suspended.
 */
struct http_request {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct http_connection *peer;
	enum http_stage stage;
	enum http_admission admission;
	bool authorised;
	char *owner; /* NULL: nobody in particular */
	const struct http_route *route;
	char *target; /* as received, cut at the query */
	char *query;  /* in target's memory; NULL when there is none */
	const char *method;
	char id[17];
	char *client_address;
	int64_t start_ms;

	struct http_pair *parameters;
	struct http_pair *decoded; /* values given out by look-ups */
	struct buffer body;
	uint64_t discarded_bytes;
	/* The answer to give once the body was read: 0: the handler's. */
	unsigned early_status;
	char *early_allow;

	enum http_outcome outcome;
	struct MHD_Response *response; /* until it is queued */
	unsigned status;
	size_t response_size;
	struct http_pair *headers; /* of the answer */
	bool must_close;

	/* Waiting: under the server's wait_lock while parked. */
	char *wait_key, *wait_owner; /* the latter NULL: nobody's */
	uint64_t wait_ticket;
	int64_t wait_deadline_ms; /* 0: never waited */
	bool wait_was_over;
	struct http_request *wait_previous, *wait_next;
	size_t wait_bucket, wait_place;

	/* Deferred: under the lock of the workers until one has it. */
	struct http_share *share;
	struct http_request *deferred_next;
	int64_t deferred_ms; /* since when it waits for a worker */
};

/* The requests that are parked under the keys of one hash. */
struct http_wait_bucket {
	struct http_request *first;
	_Atomic uint64_t wakes; /* so far, of any key of the bucket */
};

struct http_server {
	struct MHD_Daemon *daemon;
	int listen_fd;
	uint16_t port;
	const struct http_route *routes;
	void *context;
	char *log_id;
	struct network *trusted_proxies;
	size_t trusted_count;
	int64_t idle_timeout_ms;
	_Atomic int64_t body_bytes; /* of all requests under way */
	_Atomic bool draining, stopping;

	pthread_t watch_thread;
	bool watch_runs;

	http_authorise authorise;
	http_explain explain;

	struct http_workers *workers; /* NULL: no route is deferred */

	pthread_mutex_t connection_lock;
	/* The newest first; [0]: the anonymous ones. */
	struct http_connection *connections[2];
	struct http_connection *oldest_anonymous;
	size_t anonymous_count, anonymous_maximum;

	pthread_mutex_t active_lock;
	pthread_cond_t active_changed;
	size_t active; /* requests whose handler ran and that are not over */

	pthread_mutex_t wait_lock;
	pthread_cond_t wait_changed; /* monotonic clock */
	struct http_wait_bucket waiting[HTTP_WAIT_BUCKETS];
	struct http_request **heap; /* by deadline, the earliest first */
	size_t heap_count, heap_capacity;
	bool watch_ends;
};

/* request.c */

/* Makes the request when its first line was read; MHD's URI callback. */
void *http_request_begin(void *server, const char *target,
                         struct MHD_Connection *connection);

/* MHD's handler of requests. */
enum MHD_Result http_request_continue(void *server,
                                      struct MHD_Connection *connection,
                                      const char *url, const char *method,
                                      const char *version,
                                      const char *upload_data,
                                      size_t *upload_data_size, void **context);

/*
 * A worker's part: decides on the admission, or calls the handler. Then it is
 * parked, deferred again or its connection resumed: it may be gone.
 */
void http_request_work(struct http_request *request);

/* As http_request_work(), but answers 503: the server stops. */
void http_request_turn_away(struct http_request *request);

/* Frees the request when MHD is done with it. */
void http_request_end(void *server, struct MHD_Connection *connection,
                      void **context, enum MHD_RequestTerminationCode why);

/* check.c */

/*
 * Whether the request's headers can be understood in one way only (RFC 9112
 * sections 3.2 and 6.3). NULL, or what is wrong, for a 400.
 */
const char *http_check_headers(const struct http_request *request);

/*
 * Whether the target is in origin form, of visible characters, and its path
 * can be decoded. NULL, or what is wrong, for a 400.
 */
const char *http_check_target(const char *target);

/* The declared length of the body: 0 without, -1 when it is chunked. */
int64_t http_declared_length(const struct http_request *request);

/* The client's address, through trusted proxies; a heap string. */
char *http_find_client(const struct http_request *request);

/* route.c */

/*
 * Sets request->route and parameters. 0, or 404, or 405 with *allow a heap
 * string of the methods there are.
 */
unsigned http_find_route(struct http_request *request, const char *method,
                         char **allow);

/* decode.c */

/*
 * Decodes %XX in length bytes of text, and + as a space where plus is true,
 * into a heap string; NULL for a broken escape, a NUL or what is no UTF-8.
 */
char *http_decode(const char *text, size_t length, bool plus);

/* Puts a pair in front of list; copies both texts. */
struct http_pair *http_pair_add(struct http_pair **list, const char *name,
                                const char *value);

/* Frees a list of pairs. */
void http_pairs_free(struct http_pair **list);

/* connection.c */

/* MHD's callback for connections that begin and end. */
void http_connection_notify(void *server, struct MHD_Connection *connection,
                            void **context,
                            enum MHD_ConnectionNotificationCode what);

/* Cuts off every connection whose deadline has passed. */
void http_connections_cut(struct http_server *server);

/*
 * Gives the peer the time it takes to move bytes at the slowest rate allowed,
 * from now.
 */
void http_connection_allow(struct http_connection *peer, uint64_t bytes);

/* Gives an anonymous peer the time that it has for a head or a body. */
void http_connection_allow_anonymous(struct http_connection *peer);

/* A request of it was authorised. */
void http_connection_authorise(struct http_connection *peer);

/* Gives more time for bytes that came. */
void http_connection_extend(struct http_connection *peer, uint64_t bytes);

/* Lets the peer be for as long as the server itself is at work. */
void http_connection_pause(struct http_connection *peer);

/* wait.c */

/*
 * Parks a request whose handler called http_wait(). False when the handler
 * is to be called again at once. Otherwise the request may be gone already.
 */
bool http_park(struct http_request *request);

/* The thread that ends waits at their deadlines and cuts slow peers. */
int http_watch_start(struct http_server *server);

/* Ends that thread. */
void http_watch_stop(struct http_server *server);

/* defer.c */

/* Starts count workers, for whom room requests may wait. 0, or
 * ERR_UNAVAILABLE with nothing started. */
int http_workers_start(struct http_server *server, unsigned count, size_t room);

/*
 * Suspends the connection of a request and leaves it to the workers; on its
 * event thread. False, with nothing done, when there is no room.
 */
bool http_defer(struct http_request *request);

/* As http_defer(), of a request whose connection is suspended: there always is
 * room for it. Any thread. */
void http_defer_again(struct http_request *request);

/*
 * Lets the workers finish until the monotonic until_ms; after that those that
 * wait are turned away. Returns when no request is left to them; http_defer()
 * fails from then on.
 */
void http_workers_stop(struct http_server *server, int64_t until_ms);

/* Frees what no thread uses any more; NULL is allowed. */
void http_workers_free(struct http_workers *workers);

/* reply.c */

/* Hands the answer to MHD, on the connection's event thread. */
enum MHD_Result http_send_reply(struct http_request *request);

/* Answers with a problem and closes the connection after it. */
void http_reply_and_close(struct http_request *request, unsigned status,
                          const char *type, const char *detail);

#endif
