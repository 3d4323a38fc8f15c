/* The pool of sessions with the next hop. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/delivery/private.h"

#define IDLE_MS        10000
#define STORE_RETRY_MS 5000

static void unlink_connection(struct delivery_connection *connection)
{
	struct delivery_connection **link = &connection->delivery->connections;

	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	if (connection->elsewhere) {
		connection->delivery->elsewhere_count--;
		return;
	}
	connection->delivery->connection_count--;
	if (!connection->greeted)
		connection->delivery->connecting--;
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

/* Begins the one parcel, and quits once that is over. */
static void on_ready_elsewhere(struct delivery_connection *connection)
{
	struct parcel *parcel = connection->only;

	connection->greeted = true;
	connection->only = NULL;
	if (parcel)
		connection_send(connection, parcel);
	else
		quit(connection);
}

static void on_ready(void *context)
{
	struct delivery_connection *connection = context;
	struct delivery *delivery = connection->delivery;
	int64_t limit =
	    delivery->options.config->next_hop_messages_per_connection;

	if (connection->elsewhere) {
		on_ready_elsewhere(connection);
		return;
	}
	if (!connection->greeted) {
		connection->greeted = true;
		delivery->connecting--;
		delivery_reached(delivery);
	}
	if (delivery->stopping || connection->sent >= limit) {
		quit(connection);
		return;
	}
	connection->ready = true;
	loop_timer_start(connection->idle, IDLE_MS);
	delivery_pump(delivery);
}

static void on_closed(void *context, const char *why)
{
	struct delivery_connection *connection = context;
	struct delivery *delivery = connection->delivery;
	bool failed = !connection->greeted && !connection->quitting &&
	              !connection->elsewhere;
	struct parcel *only = connection->only;
	char reason[200];

	(void)snprintf(reason, sizeof(reason), "%s", why ? why : "closed");
	log_debug("delivery", "connection closed: %s", reason);
	connection->only = NULL;
	free_connection(connection);
	if (only)
		parcel_defer(only, reason);
	if (failed)
		delivery_unreached(delivery, reason);
	delivery_pump(delivery);
}

static struct delivery_connection *connect_to(
    struct delivery *delivery, const struct agent_endpoint *next_hop)
{
	const struct agent_config *config = delivery->options.config;
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

	connection->delivery = delivery;
	connection->next = delivery->connections;
	delivery->connections = connection;
	metric_add(delivery->connects, 1);
	connection->idle =
	    loop_timer_new(delivery->options.loop, on_idle, connection);
	connection->dialer = smtp_dialer_new(delivery->options.loop, &options);
	return connection;
}

void connection_open(struct delivery *delivery)
{
	delivery->connection_count++;
	delivery->connecting++;
	(void)connect_to(delivery, &delivery->options.config->next_hop);
}

void connection_open_elsewhere(struct delivery *delivery, struct parcel *parcel)
{
	struct agent_endpoint next_hop = {.address = NULL};
	struct delivery_connection *connection;
	struct error err = {.text = ""};

	/* It is numeric: nothing is asked of a name server here. */
	if (config_parse_endpoint(parcel->next_hop, &next_hop.address,
	                          &next_hop.port, &err)) {
		parcel_defer(parcel, err.text);
		return;
	}
	connection = connect_to(delivery, &next_hop);
	connection->elsewhere = true;
	connection->only = parcel;
	delivery->elsewhere_count++;
	free(next_hop.address);
}

struct delivery_connection *connection_find(struct delivery *delivery)
{
	struct delivery_connection *connection, *found = NULL;

	for (connection = delivery->connections; connection;
	     connection = connection->next)
		if (connection->ready &&
		    (!found || connection->sent < found->sent))
			found = connection;
	return found;
}

void connection_send(struct delivery_connection *connection,
                     struct parcel *parcel)
{
	char id[ID_TEXT_SIZE];
	int result;

	connection->ready = false;
	connection->parcel = parcel;
	loop_timer_stop(connection->idle);
	result = parcel_begin(parcel, connection);
	if (result == 0) {
		trouble_over(&connection->delivery->reading);
		return;
	}
	connection->parcel = NULL;
	connection->ready = !connection->elsewhere;
	loop_timer_start(connection->idle, IDLE_MS);
	if (connection->elsewhere)
		quit(connection);
	if (trouble_is_passing(result)) {
		/* The message is not to blame: no try is counted. */
		trouble_note(&connection->delivery->reading, result,
		             "delivery cannot begin", "no body to read");
		parcel_postpone(parcel, clock_wall_ms() + STORE_RETRY_MS,
		                "the store was away");
		return;
	}
	log_error(id_format(&parcel->message.id, id),
	          "delivery cannot begin: %s", error_name(result));
	parcel_defer(parcel, "the message could not be read or addressed");
}

void connection_release(struct delivery_connection *connection)
{
	connection->parcel = NULL;
	connection->sent++;
}

void connections_close(struct delivery *delivery, bool cut)
{
	struct delivery_connection *connection, *next;

	for (connection = delivery->connections; connection;
	     connection = next) {
		next = connection->next;
		if (connection->only) {
			parcel_postpone(connection->only, clock_wall_ms(),
			                "the agent was stopped");
			connection->only = NULL;
			quit(connection);
		}
		if (cut)
			free_connection(connection);
		else if (connection->ready)
			quit(connection);
	}
}
