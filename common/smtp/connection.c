/* A client's session on its socket: bytes between both, and deadlines. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/smtp/listener-private.h"
#include "common/smtp/server-private.h"

/* How long what a client still sends is read after we closed our side. */
#define LINGER_MS      2000
#define LONGEST_NAP_MS 60000

struct smtp_connection {
	struct smtp_worker *worker;
	struct smtp_connection *next, *previous; /* in the worker's list */
	int fd;
	struct smtp_server *server;
	void *session;
	char address[64];
	struct event read_event, write_event, timer_event;
	bool paused;    /* the read event is off */
	bool writing;   /* output waits for the socket */
	bool lingering; /* our side is closed */
	bool doomed;    /* to be freed by the next event */
	int64_t started_ms, command_ms, write_ms, linger_ms;
	int64_t armed_ms; /* when the timer fires */
	uint64_t progress;
};

static void destroy(struct smtp_connection *connection)
{
	struct smtp_worker *worker = connection->worker;

	(void)event_del(&connection->read_event);
	(void)event_del(&connection->write_event);
	(void)event_del(&connection->timer_event);
	smtp_server_free(connection->server);
	smtp_worker_options(worker)->session_free(connection->session);
	(void)close(connection->fd);
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		worker->first = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	smtp_worker_left(worker, connection->address);
	free(connection);
}

/* When the client, or the socket, has to have done its part. */
static int64_t deadline_ms(const struct smtp_connection *connection)
{
	const struct smtp_listener_options *options =
	    smtp_worker_options(connection->worker);
	int64_t command_ms, session_ms;

	if (connection->lingering)
		return connection->linger_ms + LINGER_MS;
	if (connection->writing)
		return connection->write_ms + options->command_timeout_ms;
	if (smtp_server_in_data(connection->server))
		return smtp_server_wants_input(connection->server)
		           ? connection->command_ms + options->data_timeout_ms
		           : INT64_MAX;
	command_ms = connection->command_ms + options->command_timeout_ms;
	session_ms = connection->started_ms + options->session_timeout_ms;
	return command_ms < session_ms ? command_ms : session_ms;
}

/* Lets the timer fire at the deadline or before; it looks again then. */
static void arm(struct smtp_connection *connection, int64_t now_ms)
{
	int64_t deadline = deadline_ms(connection);
	int64_t delay;
	struct timeval wait;

	if (deadline > now_ms + LONGEST_NAP_MS)
		deadline = now_ms + LONGEST_NAP_MS;
	if (connection->armed_ms <= deadline && connection->armed_ms > now_ms)
		return;
	delay = deadline > now_ms ? deadline - now_ms : 0;
	wait.tv_sec = (time_t)(delay / 1000);
	wait.tv_usec = (suseconds_t)(delay % 1000 * 1000);
	connection->armed_ms = deadline;
	(void)event_add(&connection->timer_event, &wait);
}

/* Whether closing now could take the last reply away from the client. */
static bool has_to_linger(const struct smtp_connection *connection)
{
	int unread = 0;

	if (connection->server->quit)
		return false;
	if (!atomic_load(&connection->worker->stopping))
		return true;
	return ioctl(connection->fd, FIONREAD, &unread) == 0 && unread > 0;
}

/*
 * Everything is sent and the session is over. A socket closed with unread
 * bytes would be reset, and the reset could overtake our last reply.
 */
static void close_our_side(struct smtp_connection *connection)
{
	if (!has_to_linger(connection) ||
	    shutdown(connection->fd, SHUT_WR) != 0) {
		connection->doomed = true;
		return;
	}
	connection->lingering = true;
	connection->linger_ms = clock_monotonic_ms();
	if (connection->paused)
		(void)event_add(&connection->read_event, NULL);
	connection->paused = false;
}

/* Sends what the socket takes. False when the socket is broken. */
static bool send_output(struct smtp_connection *connection)
{
	struct buffer *output = smtp_server_output(connection->server);

	while (output->length) {
		ssize_t sent = send(connection->fd, output->data,
		                    output->length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN;
		buffer_consume(output, (size_t)sent);
	}
	return true;
}

/* Sends, and settles what is waited for next. Frees nothing. */
static void flush(struct smtp_connection *connection, int64_t now_ms)
{
	bool waits;

	if (connection->doomed || connection->lingering)
		return;
	if (!send_output(connection)) {
		connection->doomed = true;
		return;
	}
	waits = smtp_server_output(connection->server)->length > 0;
	if (waits && !connection->writing) {
		connection->write_ms = now_ms;
		(void)event_add(&connection->write_event, NULL);
	} else if (!waits && connection->writing) {
		(void)event_del(&connection->write_event);
	}
	connection->writing = waits;
	if (!waits && smtp_server_closing(connection->server))
		close_our_side(connection);
	else if (!waits && connection->paused &&
	         smtp_server_wants_input(connection->server)) {
		connection->paused = false;
		(void)event_add(&connection->read_event, NULL);
	}
	arm(connection, now_ms);
}

/* Starts the command's deadline anew when a command was whole. */
static void note_progress(struct smtp_connection *connection, int64_t now_ms)
{
	uint64_t progress = smtp_server_progress(connection->server);

	if (progress != connection->progress)
		connection->command_ms = now_ms;
	connection->progress = progress;
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
	struct smtp_connection *connection = argument;
	char *input = connection->worker->input;
	int64_t now_ms;
	ssize_t got;

	(void)what;
	if (!connection->lingering &&
	    (connection->writing ||
	     !smtp_server_wants_input(connection->server))) {
		connection->paused = true;
		(void)event_del(&connection->read_event);
		return;
	}
	got = recv(fd, input, SMTP_LISTENER_READ_SIZE, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		destroy(connection);
		return;
	}
	if (connection->lingering)
		return;
	now_ms = clock_monotonic_ms();
	if (smtp_server_input(connection->server, input, (size_t)got))
		connection->doomed = true;
	note_progress(connection, now_ms);
	flush(connection, now_ms);
	if (connection->doomed)
		destroy(connection);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
	struct smtp_connection *connection = argument;

	(void)fd;
	(void)what;
	flush(connection, clock_monotonic_ms());
	if (connection->doomed)
		destroy(connection);
}

/* A deadline was missed. */
static void time_out(struct smtp_connection *connection)
{
	log_debug("smtp", "[%s] timed out", connection->address);
	if (connection->lingering || connection->writing)
		connection->doomed = true;
	else
		smtp_server_shut_down(connection->server, "4.4.2",
		                      "Timeout, closing the connection");
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct smtp_connection *connection = argument;
	int64_t now_ms = clock_monotonic_ms();

	(void)fd;
	(void)what;
	connection->armed_ms = 0;
	if (!connection->doomed && deadline_ms(connection) <= now_ms)
		time_out(connection);
	if (connection->doomed)
		destroy(connection);
	else
		arm(connection, now_ms);
}

/*
 * The policy answered, or the session was shut down from outside. The caller
 * may still use the session, so it is freed by the next event.
 */
static void on_wakeup(void *argument)
{
	struct smtp_connection *connection = argument;
	int64_t now_ms = clock_monotonic_ms();

	connection->command_ms = now_ms;
	connection->progress = smtp_server_progress(connection->server);
	flush(connection, now_ms);
	if (connection->doomed)
		event_active(&connection->timer_event, EV_TIMEOUT, 0);
}

static void assign_events(struct smtp_connection *connection)
{
	struct event_base *base = loop_base(connection->worker->loop);

	(void)event_assign(&connection->read_event, base, connection->fd,
	                   EV_READ | EV_PERSIST, on_readable, connection);
	(void)event_assign(&connection->write_event, base, connection->fd,
	                   EV_WRITE | EV_PERSIST, on_writable, connection);
	(void)evtimer_assign(&connection->timer_event, base, on_timer,
	                     connection);
}

void smtp_connection_start(struct smtp_accepted *accepted)
{
	struct smtp_connection *connection = mem_alloc(sizeof(*connection));
	struct smtp_worker *worker = accepted->worker;
	const struct smtp_listener_options *options =
	    smtp_worker_options(worker);

	connection->worker = worker;
	connection->fd = accepted->fd;
	connection->next = worker->first;
	if (connection->next)
		connection->next->previous = connection;
	worker->first = connection;
	(void)snprintf(connection->address, sizeof(connection->address), "%s",
	               accepted->client.address);
	connection->session =
	    options->session_new(options->context, worker->loop);
	connection->server = smtp_server_new(&options->smtp, &accepted->client,
	                                     connection->session);
	smtp_server_set_wakeup(connection->server, on_wakeup, connection);
	connection->started_ms = clock_monotonic_ms();
	connection->command_ms = connection->started_ms;
	free(accepted);
	assign_events(connection);
	(void)event_add(&connection->read_event, NULL);
	flush(connection, connection->started_ms);
	if (connection->doomed)
		destroy(connection);
}

void smtp_connections_shut_down(struct smtp_worker *worker)
{
	struct smtp_connection *connection;

	for (connection = worker->first; connection;
	     connection = connection->next)
		smtp_server_shut_down(connection->server, "4.3.2",
		                      "The service is stopping");
}

void smtp_connections_cut(struct smtp_worker *worker)
{
	struct smtp_connection *connection = worker->first, *next;

	for (; connection; connection = next) {
		next = connection->next;
		destroy(connection);
	}
}
