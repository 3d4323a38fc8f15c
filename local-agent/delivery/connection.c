/* The pool of sessions with next hops. */
#include "local-agent/delivery/connection.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/smtp/dialer.h"

#define IDLE_MS 10000

struct delivery_connection {
	struct delivery_connection *next;
	struct delivery_pool *pool;
	struct smtp_dialer *dialer;
	void *request; /* elsewhere: what it is opened for, until told */
	struct loop_timer *idle;
	int64_t sent; /* transactions */
	bool ready, greeted, quitting;
	bool elsewhere;
};

struct delivery_pool {
	struct delivery_pool_options options;
	struct delivery_connection *connections;
	size_t count, connecting, elsewhere;
	bool closing;
	struct metric *connects;
};

static void unlink_connection(struct delivery_connection *connection)
{
	struct delivery_pool *pool = connection->pool;
	struct delivery_connection **link = &pool->connections;

	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	if (connection->elsewhere) {
		pool->elsewhere--;
		return;
	}
	pool->count--;
	if (!connection->greeted)
		pool->connecting--;
}

static void free_connection(struct delivery_connection *connection)
{
	unlink_connection(connection);
	loop_timer_free(connection->idle);
	smtp_dialer_free(connection->dialer);
	free(connection);
}

static void quit(struct delivery_connection *connection)
{
	if (connection->quitting)
		return;
	connection->ready = false;
	connection->quitting = true;
	loop_timer_stop(connection->idle);
	smtp_dialer_quit(connection->dialer);
}

static void on_idle(void *argument)
{
	struct delivery_connection *connection = argument;

	if (connection->ready)
		quit(connection);
}

/* Tells what became of the connection that was asked for. */
static void answer(struct delivery_connection *connection, bool is_there,
                   const char *why)
{
	const struct delivery_pool_options *options =
	    &connection->pool->options;
	void *request = connection->request;

	connection->request = NULL;
	if (request)
		options->elsewhere(options->context, request,
		                   is_there ? connection : NULL, why);
}

static void on_ready(void *context)
{
	struct delivery_connection *connection = context;
	struct delivery_pool *pool = connection->pool;
	const struct delivery_pool_options *options = &pool->options;

	if (connection->elsewhere) {
		connection->greeted = true;
		if (connection->request)
			answer(connection, true, NULL);
		else
			quit(connection);
		return;
	}
	if (!connection->greeted) {
		connection->greeted = true;
		pool->connecting--;
		options->reached(options->context);
	}
	if (pool->closing ||
	    connection->sent >=
	        options->config->next_hop_messages_per_connection) {
		quit(connection);
		return;
	}
	connection->ready = true;
	loop_timer_start(connection->idle, IDLE_MS);
	options->changed(options->context);
}

static void on_closed(void *context, const char *why)
{
	struct delivery_connection *connection = context;
	const struct delivery_pool_options *options =
	    &connection->pool->options;
	bool failed = !connection->greeted && !connection->quitting &&
	              !connection->elsewhere;
	void *request = connection->request;
	char reason[200];

	(void)snprintf(reason, sizeof(reason), "%s", why ? why : "closed");
	log_debug("delivery", "connection closed: %s", reason);
	free_connection(connection);
	if (request)
		options->elsewhere(options->context, request, NULL, reason);
	if (failed)
		options->unreached(options->context, reason);
	options->changed(options->context);
}

static struct delivery_connection *connect_to(
    struct delivery_pool *pool, const struct agent_endpoint *next_hop)
{
	const struct agent_config *config = pool->options.config;
	struct delivery_connection *connection = mem_alloc(sizeof(*connection));
	struct smtp_dialer_options options = {
	    .address = next_hop->address,
	    .port = next_hop->port,
	    .connect_timeout_ms = config->next_hop_connect_timeout_ms,
	    .timeout_scale_percent = config->next_hop_timeout_percent,
	    .smtp = {.hostname = config->hostname},
	    .ready = on_ready,
	    .closed = on_closed,
	    .context = connection,
	};

	connection->pool = pool;
	connection->next = pool->connections;
	pool->connections = connection;
	metric_add(pool->connects, 1);
	connection->idle =
	    loop_timer_new(pool->options.loop, on_idle, connection);
	connection->dialer = smtp_dialer_new(pool->options.loop, &options);
	return connection;
}

void connection_open(struct delivery_pool *pool)
{
	pool->count++;
	pool->connecting++;
	(void)connect_to(pool, &pool->options.config->next_hop);
}

int connection_open_elsewhere(struct delivery_pool *pool, const char *next_hop,
                              void *request, struct error *err)
{
	struct agent_endpoint endpoint = {.address = NULL};
	struct delivery_connection *connection;
	/* It is numeric: nothing is asked of a name server here. */
	int result = config_parse_endpoint(next_hop, &endpoint.address,
	                                   &endpoint.port, err);

	if (result)
		return result;
	connection = connect_to(pool, &endpoint);
	connection->elsewhere = true;
	connection->request = request;
	pool->elsewhere++;
	free(endpoint.address);
	return 0;
}

struct delivery_connection *connection_find(struct delivery_pool *pool)
{
	struct delivery_connection *connection, *found = NULL;

	for (connection = pool->connections; connection;
	     connection = connection->next)
		if (connection->ready &&
		    (!found || connection->sent < found->sent))
			found = connection;
	return found;
}

int connection_begin(struct delivery_connection *connection,
                     const struct smtp_transaction *transaction)
{
	bool was_ready = connection->ready;
	int result;

	connection->ready = false;
	loop_timer_stop(connection->idle);
	result = smtp_dialer_begin(connection->dialer, transaction);
	if (result == 0)
		return 0;
	connection->ready = was_ready;
	loop_timer_start(connection->idle, IDLE_MS);
	connection_pass(connection);
	return result;
}

void connection_pass(struct delivery_connection *connection)
{
	if (connection->elsewhere)
		quit(connection);
}

void connection_release(struct delivery_connection *connection)
{
	connection->sent++;
}

bool connection_was_used(const struct delivery_connection *connection)
{
	return connection->sent > 0;
}

size_t delivery_pool_count(const struct delivery_pool *pool)
{
	return pool->count;
}

size_t delivery_pool_connecting(const struct delivery_pool *pool)
{
	return pool->connecting;
}

size_t delivery_pool_elsewhere(const struct delivery_pool *pool)
{
	return pool->elsewhere;
}

struct delivery_pool *delivery_pool_new(
    const struct delivery_pool_options *options)
{
	struct delivery_pool *pool = mem_alloc(sizeof(*pool));

	pool->options = *options;
	pool->connects =
	    metric_counter("turing_agent_delivery_connections_total", "",
	                   "Connections opened to the next hop");
	return pool;
}

void delivery_pool_free(struct delivery_pool *pool)
{
	free(pool);
}

void delivery_pool_close(struct delivery_pool *pool, bool cut)
{
	struct delivery_connection *connection, *next;

	pool->closing = true;
	for (connection = pool->connections; connection; connection = next) {
		next = connection->next;
		if (connection->request) {
			answer(connection, false, NULL);
			quit(connection);
		}
		if (cut)
			free_connection(connection);
		else if (connection->ready)
			quit(connection);
	}
}
