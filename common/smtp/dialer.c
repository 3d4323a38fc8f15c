/* An SMTP client session on a socket: connects, sends, reads, watches time. */
#include "common/smtp/dialer.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

#define READ_SIZE      (16 * 1024)
#define PIECES_AT_ONCE 16 /* then other sessions get their turn */
#define LONGEST_NAP_MS 60000

struct smtp_dialer {
	struct loop *loop;
	struct smtp_dialer_options options;
	struct smtp_client *client;
	int fd;
	struct event read_event, write_event, timer_event;
	bool connecting;
	bool writing;    /* the write event is on */
	bool told_ready; /* since the last transaction */
	bool ended;      /* why says why; closed is still to be called */
	bool told_end;
	bool freed;    /* by the owner, from within a callback */
	unsigned busy; /* calls that are under way on this dialer */
	int64_t since_ms, armed_ms;
	uint64_t progress;
	char why[512];
};

/* Ends the session; its owner is told by the timer's event, in any case. */
static void end(struct smtp_dialer *dialer, const char *why, int number)
{
	if (dialer->ended)
		return;
	dialer->ended = true;
	if (number)
		(void)snprintf(dialer->why, sizeof(dialer->why), "%s: %s", why,
		               strerrordesc_np(number));
	else
		(void)snprintf(dialer->why, sizeof(dialer->why), "%s", why);
	if (dialer->fd >= 0) {
		(void)event_del(&dialer->read_event);
		(void)event_del(&dialer->write_event);
		(void)close(dialer->fd);
		dialer->fd = -1;
	}
	event_active(&dialer->timer_event, EV_TIMEOUT, 0);
}

static void destroy(struct smtp_dialer *dialer)
{
	dialer->ended = true;
	if (dialer->fd >= 0) {
		(void)event_del(&dialer->read_event);
		(void)event_del(&dialer->write_event);
		(void)close(dialer->fd);
	}
	(void)event_del(&dialer->timer_event);
	smtp_client_free(dialer->client);
	free(dialer);
}

/* Every way into the dialer stands between these two. */
static void enter(struct smtp_dialer *dialer)
{
	dialer->busy++;
}

static void leave(struct smtp_dialer *dialer)
{
	if (--dialer->busy == 0 && dialer->freed)
		destroy(dialer);
}

/* Gives bytes to the client. */
static void take_input(struct smtp_dialer *dialer, const char *bytes,
                       size_t size)
{
	if (smtp_client_input(dialer->client, bytes, size) ||
	    smtp_client_closed(dialer->client))
		end(dialer, smtp_client_why(dialer->client), 0);
}

/* Reads once. Whether there was something, the end included. */
static bool read_some(struct smtp_dialer *dialer)
{
	char bytes[READ_SIZE];
	ssize_t got = recv(dialer->fd, bytes, sizeof(bytes), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got < 0)
		end(dialer, "the connection broke", errno);
	else if (got == 0)
		end(dialer, "the server closed the connection", 0);
	else
		take_input(dialer, bytes, (size_t)got);
	return true;
}

static void set_writing(struct smtp_dialer *dialer, bool on)
{
	if (dialer->ended || dialer->writing == on)
		return;
	dialer->writing = on;
	if (on)
		(void)event_add(&dialer->write_event, NULL);
	else
		(void)event_del(&dialer->write_event);
}

/* Sends one piece. False when there is none, or the socket takes no more. */
static bool send_piece(struct smtp_dialer *dialer)
{
	const struct buffer *output;
	ssize_t sent;

	output = smtp_client_output(dialer->client);
	if (smtp_client_closed(dialer->client)) {
		end(dialer, smtp_client_why(dialer->client), 0);
		return false;
	}
	if (!output->length) {
		set_writing(dialer, false);
		return false;
	}
	/*
	 * A reply that is here already, before what it pretends to answer was
	 * sent, must be seen as what it is.
	 */
	if (!smtp_client_expects_reply(dialer->client) && read_some(dialer))
		return false;
	sent = send(dialer->fd, output->data, output->length, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		end(dialer, "the connection broke", errno);
		return false;
	}
	if (sent < 0) {
		set_writing(dialer, true);
		return false;
	}
	smtp_client_sent(dialer->client, (size_t)sent);
	return true;
}

/* When the server has to have done its part. */
static int64_t deadline_ms(const struct smtp_dialer *dialer)
{
	int64_t percent = dialer->options.timeout_scale_percent;

	if (dialer->connecting)
		return dialer->since_ms + dialer->options.connect_timeout_ms;
	if (smtp_client_ready(dialer->client))
		return INT64_MAX;
	return dialer->since_ms + smtp_client_timeout_ms(dialer->client) *
	                              (percent > 0 ? percent : 100) / 100;
}

/* Sets the timer to the deadline or before; it looks again then. */
static void arm(struct smtp_dialer *dialer)
{
	int64_t now_ms = clock_monotonic_ms(), wait_ms = LONGEST_NAP_MS;
	uint64_t progress = smtp_client_progress(dialer->client);
	struct timeval wait;

	if (dialer->ended)
		return;
	if (progress != dialer->progress)
		dialer->since_ms = now_ms;
	dialer->progress = progress;
	if (deadline_ms(dialer) - now_ms < wait_ms)
		wait_ms = deadline_ms(dialer) - now_ms;
	if (wait_ms < 0)
		wait_ms = 0;
	if (dialer->armed_ms > now_ms && dialer->armed_ms <= now_ms + wait_ms)
		return;
	dialer->armed_ms = now_ms + wait_ms;
	wait.tv_sec = (time_t)(wait_ms / 1000);
	wait.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000);
	(void)event_add(&dialer->timer_event, &wait);
}

/* Sends what can be sent now. */
static void send_pieces(struct smtp_dialer *dialer)
{
	int pieces = 0;

	while (!dialer->ended && !dialer->freed && send_piece(dialer))
		if (++pieces == PIECES_AT_ONCE) {
			set_writing(dialer, true);
			return;
		}
}

/* Sends, and tells the owner when the session is ready for more. */
static void advance(struct smtp_dialer *dialer)
{
	if (dialer->connecting)
		return;
	for (;;) {
		send_pieces(dialer);
		if (dialer->ended || dialer->freed || dialer->told_ready ||
		    !smtp_client_ready(dialer->client))
			break;
		dialer->told_ready = true;
		dialer->options.ready(dialer->options.context);
	}
	arm(dialer);
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
	struct smtp_dialer *dialer = argument;

	(void)fd;
	(void)what;
	enter(dialer);
	(void)read_some(dialer);
	advance(dialer);
	leave(dialer);
}

/* The connection stands, or it failed. */
static void take_connection(struct smtp_dialer *dialer)
{
	socklen_t length = sizeof(int);
	int number = 0;

	(void)getsockopt(dialer->fd, SOL_SOCKET, SO_ERROR, &number, &length);
	if (number) {
		end(dialer, "cannot connect", number);
		return;
	}
	dialer->connecting = false;
	dialer->since_ms = clock_monotonic_ms();
	(void)event_add(&dialer->read_event, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
	struct smtp_dialer *dialer = argument;

	(void)fd;
	(void)what;
	enter(dialer);
	if (dialer->connecting)
		take_connection(dialer);
	if (!dialer->ended)
		advance(dialer);
	leave(dialer);
}

/* Tells what became of the session: last of all, and once. */
static void tell_end(struct smtp_dialer *dialer)
{
	smtp_client_lost(dialer->client, dialer->why);
	if (!dialer->freed && !dialer->told_end) {
		dialer->told_end = true;
		dialer->options.closed(dialer->options.context, dialer->why);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct smtp_dialer *dialer = argument;

	(void)fd;
	(void)what;
	enter(dialer);
	dialer->armed_ms = 0;
	if (dialer->ended)
		tell_end(dialer);
	else if (deadline_ms(dialer) <= clock_monotonic_ms())
		end(dialer,
		    dialer->connecting ? "no connection in time"
		                       : "no answer in time",
		    0);
	else
		arm(dialer);
	leave(dialer);
}

/* Starts to connect; or ends at once. */
static void dial(struct smtp_dialer *dialer, const struct addrinfo *to)
{
	struct event_base *base = loop_base(dialer->loop);
	const int on = 1;

	dialer->fd = socket(to->ai_family,
	                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dialer->fd < 0) {
		end(dialer, "no socket", errno);
		return;
	}
	(void)setsockopt(dialer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)event_assign(&dialer->read_event, base, dialer->fd,
	                   EV_READ | EV_PERSIST, on_readable, dialer);
	(void)event_assign(&dialer->write_event, base, dialer->fd,
	                   EV_WRITE | EV_PERSIST, on_writable, dialer);
	if (connect(dialer->fd, to->ai_addr, to->ai_addrlen) &&
	    errno != EINPROGRESS) {
		end(dialer, "cannot connect", errno);
		return;
	}
	dialer->connecting = true;
	set_writing(dialer, true);
	arm(dialer);
}

struct smtp_dialer *smtp_dialer_new(struct loop *loop,
                                    const struct smtp_dialer_options *options)
{
	struct smtp_dialer *dialer = mem_alloc(sizeof(*dialer));
	const struct addrinfo hints = {.ai_flags =
	                                   AI_NUMERICHOST | AI_NUMERICSERV,
	                               .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char port[8];

	dialer->loop = loop;
	dialer->options = *options;
	dialer->client = smtp_client_new(&options->smtp);
	dialer->fd = -1;
	dialer->since_ms = clock_monotonic_ms();
	(void)evtimer_assign(&dialer->timer_event, loop_base(loop), on_timer,
	                     dialer);
	(void)snprintf(port, sizeof(port), "%u", options->port);
	if (getaddrinfo(options->address, port, &hints, &found) != 0)
		end(dialer, "the address is not numeric", 0);
	else
		dial(dialer, found);
	if (found)
		freeaddrinfo(found);
	return dialer;
}

void smtp_dialer_free(struct smtp_dialer *dialer)
{
	if (!dialer)
		return;
	dialer->freed = true;
	if (!dialer->busy)
		destroy(dialer);
}

int smtp_dialer_begin(struct smtp_dialer *dialer,
                      const struct smtp_transaction *transaction)
{
	int result = dialer->ended
	                 ? ERR_UNAVAILABLE
	                 : smtp_client_begin(dialer->client, transaction);

	if (result)
		return result;
	dialer->told_ready = false;
	dialer->since_ms = clock_monotonic_ms();
	/* Within a callback the call that is under way sends it. */
	if (dialer->busy)
		return 0;
	enter(dialer);
	advance(dialer);
	leave(dialer);
	return 0;
}

void smtp_dialer_quit(struct smtp_dialer *dialer)
{
	if (dialer->ended)
		return;
	smtp_client_quit(dialer->client);
	dialer->since_ms = clock_monotonic_ms();
	if (dialer->busy)
		return;
	enter(dialer);
	advance(dialer);
	leave(dialer);
}
