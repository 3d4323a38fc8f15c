/*
 * The pool of sessions with next hops. Those with the configured one are used
 * for many transactions; one with another next hop is opened for a request of
 * the caller's and serves that alone. It knows transactions and no messages.
 * All of it belongs to the loop's thread.
 */
#ifndef LOCAL_AGENT_DELIVERY_CONNECTION_H
#define LOCAL_AGENT_DELIVERY_CONNECTION_H

#include "common/loop.h"
#include "common/smtp/client.h"
#include "local-agent/agent-config.h"

struct delivery_pool;
struct delivery_connection;

/* What the pool tells; any function of the pool may be called from there. */
struct delivery_pool_options {
	const struct agent_config *config;
	struct loop *loop;
	/* A connection became ready, or one has ended. */
	void (*changed)(void *context);
	/* The configured next hop let a new connection in. */
	void (*reached)(void *context);
	/* A connection to it never got ready, and why. */
	void (*unreached)(void *context, const char *why);
	/*
	 * Once for each request of connection_open_elsewhere(): the connection,
	 * to begin on or to pass; or NULL, and why there is none (NULL: the
	 * pool was closed).
	 */
	void (*elsewhere)(void *context, void *request,
	                  struct delivery_connection *connection,
	                  const char *why);
	void *context;
};

/* Makes an empty pool. */
struct delivery_pool *delivery_pool_new(
    const struct delivery_pool_options *options);

/* Frees a pool that was cut. NULL is allowed. */
void delivery_pool_free(struct delivery_pool *pool);

/* Opens nothing more: says QUIT on what is idle, and on the others once they
 * are; cuts all when cut. */
void delivery_pool_close(struct delivery_pool *pool, bool cut);

/* Connections to the configured next hop. */
size_t delivery_pool_count(const struct delivery_pool *pool);

/* Those of them that are not ready yet. */
size_t delivery_pool_connecting(const struct delivery_pool *pool);

/* Connections to others. */
size_t delivery_pool_elsewhere(const struct delivery_pool *pool);

/* Opens a connection to the configured next hop. */
void connection_open(struct delivery_pool *pool);

/* Opens one to next_hop, "ADDRESS:PORT", for this request alone. 0, or
 * ERR_INVALID for a bad address: nothing is told then. */
int connection_open_elsewhere(struct delivery_pool *pool, const char *next_hop,
                              void *request, struct error *err);

/* A connection that can take a transaction now, the least used one, or NULL. */
struct delivery_connection *connection_find(struct delivery_pool *pool);

/* As smtp_dialer_begin(); when it fails, the connection was passed. */
int connection_begin(struct delivery_connection *connection,
                     const struct smtp_transaction *transaction);

/* The connection is not used for what it was found, or opened, for. */
void connection_pass(struct delivery_connection *connection);

/* A transaction is over; to be called from its done. */
void connection_release(struct delivery_connection *connection);

/* Whether a transaction was over before. */
bool connection_was_used(const struct delivery_connection *connection);

#endif
