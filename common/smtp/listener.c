/* Listens for SMTP clients and hands them to the loops. */
#include "common/smtp/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/smtp/listener-private.h"

#define BACKLOG          1024
#define ACCEPTED_AT_ONCE 64
#define REST_MS          100 /* without descriptors or memory */

struct smtp_listener {
	struct smtp_listener_options options;
	int fd;
	int reserve_fd; /* given up for a moment to turn a client away */
	uint16_t port;
	struct event *event;     /* of the first loop */
	struct loop_timer *rest; /* after a failure of accept() */
	struct smtp_address_count *addresses;
	struct metric *refused;
	_Atomic unsigned sessions;
	struct smtp_worker **workers;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* sessions or done */
	unsigned done;          /* under lock: loops that did what was asked */
};

const struct smtp_listener_options *smtp_worker_options(
    const struct smtp_worker *worker)
{
	return &worker->listener->options;
}

void smtp_worker_left(struct smtp_worker *worker, const char *address)
{
	struct smtp_listener *listener = worker->listener;

	smtp_address_count_leave(listener->addresses, address);
	(void)atomic_fetch_sub(&worker->sessions, 1);
	/* Under the lock, so that who waits in stop may free the listener. */
	(void)pthread_mutex_lock(&listener->lock);
	if (atomic_fetch_sub(&listener->sessions, 1) == 1)
		(void)pthread_cond_broadcast(&listener->changed);
	(void)pthread_mutex_unlock(&listener->lock);
}

/* Fills in who the client is. */
static void describe(const struct sockaddr_storage *address, socklen_t length,
                     struct smtp_client_info *client)
{
	char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "0";
	const char *shown = host;

	*client = (struct smtp_client_info){0};
	(void)getnameinfo((const struct sockaddr *)address, length, host,
	                  sizeof(host), port, sizeof(port),
	                  NI_NUMERICHOST | NI_NUMERICSERV);
	if (!strncmp(host, "::ffff:", 7) && strchr(host, '.'))
		shown = host + 7;
	(void)snprintf(client->address, sizeof(client->address), "%.63s",
	               shown);
	client->port = (uint16_t)strtoul(port, NULL, 10);
}

/* Turns a client away before it has a session. */
static void turn_away(struct smtp_listener *listener, int fd, const char *text)
{
	metric_add(listener->refused, 1);
	(void)send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)close(fd);
}

static struct smtp_worker *least_loaded(struct smtp_listener *listener)
{
	struct smtp_worker *best = listener->workers[0];

	for (unsigned i = 1; i < listener->options.loop_count; i++)
		if (atomic_load(&listener->workers[i]->sessions) <
		    atomic_load(&best->sessions))
			best = listener->workers[i];
	return best;
}

static void start_posted(void *argument)
{
	smtp_connection_start(argument);
}

/* The sessions that one address may have. */
static unsigned limit_of(const struct smtp_listener_options *options,
                         const char *address)
{
	const struct smtp_server_options *smtp = &options->smtp;
	bool listed = smtp->is_listed &&
	              smtp->is_listed(address, smtp->is_listed_context);
	unsigned limit = listed ? options->maximum_sessions_per_listed
	                        : options->maximum_sessions_per_address;

	return limit ? limit : UINT_MAX;
}

/* Counts the client in and hands it to a loop, or turns it away. */
static void admit(struct smtp_listener *listener, int fd,
                  const struct smtp_client_info *client)
{
	const struct smtp_listener_options *options = &listener->options;
	struct smtp_accepted *accepted;

	if (options->maximum_sessions &&
	    atomic_load(&listener->sessions) >= options->maximum_sessions) {
		turn_away(listener, fd, "421 4.3.2 Too many sessions\r\n");
		return;
	}
	if (!smtp_address_count_enter(listener->addresses, client->address,
	                              limit_of(options, client->address))) {
		turn_away(listener, fd,
		          "421 4.7.0 Too many sessions from you\r\n");
		return;
	}
	accepted = mem_alloc(sizeof(*accepted));
	accepted->worker = least_loaded(listener);
	accepted->fd = fd;
	accepted->client = *client;
	(void)atomic_fetch_add(&listener->sessions, 1);
	(void)atomic_fetch_add(&accepted->worker->sessions, 1);
	if (loop_is_current(accepted->worker->loop))
		smtp_connection_start(accepted);
	else
		loop_post(accepted->worker->loop, start_posted, accepted);
}

static int open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Stops accepting for a moment. */
static void rest(struct smtp_listener *listener)
{
	(void)event_del(listener->event);
	loop_timer_start(listener->rest, REST_MS);
}

static void rested(void *argument)
{
	struct smtp_listener *listener = argument;

	if (listener->reserve_fd < 0)
		listener->reserve_fd = open_reserve();
	(void)event_add(listener->event, NULL);
}

/*
 * No descriptor is left: uses the reserve to turn one client away, which would
 * else wait in the backlog and keep the loop spinning.
 */
static void shed(struct smtp_listener *listener)
{
	int fd;

	if (listener->reserve_fd < 0) {
		rest(listener);
		return;
	}
	(void)close(listener->reserve_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		turn_away(listener, fd, "421 4.3.2 Too many connections\r\n");
	listener->reserve_fd = open_reserve();
}

/* Accepts one. Whether to go on. */
static bool accept_one(struct smtp_listener *listener)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct smtp_client_info client;
	int fd = accept4(listener->fd, (struct sockaddr *)&address, &length,
	                 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		describe(&address, length, &client);
		admit(listener, fd, &client);
		return true;
	}
	if (errno == EINTR || errno == ECONNABORTED)
		return true;
	if (errno == EMFILE || errno == ENFILE)
		shed(listener);
	else if (errno != EAGAIN)
		rest(listener);
	return false;
}

static void on_acceptable(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	for (int i = 0; i < ACCEPTED_AT_ONCE; i++)
		if (!accept_one(argument))
			break;
}

/* Opens the listening socket. */
static int open_socket(struct smtp_listener *listener, struct error *err)
{
	const struct smtp_listener_options *options = &listener->options;
	const struct addrinfo hints = {.ai_flags =
	                                   AI_NUMERICHOST | AI_NUMERICSERV,
	                               .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	const int on = 1;
	char port[8];
	int result;

	(void)snprintf(port, sizeof(port), "%u", options->port);
	if (getaddrinfo(options->address, port, &hints, &found) != 0)
		return error_set(err, ERR_INVALID, "%s is no numeric address",
		                 options->address);
	listener->fd = socket(found->ai_family,
	                      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on,
	                 sizeof(on));
	/* Inherited by what is accepted. */
	(void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &on,
	                 sizeof(on));
	if (found->ai_family == AF_INET6)
		(void)setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
		                 sizeof(on));
	result = bind(listener->fd, found->ai_addr, found->ai_addrlen) ||
	         listen(listener->fd, BACKLOG);
	freeaddrinfo(found);
	if (result)
		return error_set_errno(err, ERR_UNAVAILABLE, errno,
		                       "cannot listen on %s port %u",
		                       options->address, options->port);
	return 0;
}

/* Finds out which port is in force. */
static void find_port(struct smtp_listener *listener)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct smtp_client_info self;

	if (getsockname(listener->fd, (struct sockaddr *)&address, &length))
		return;
	describe(&address, length, &self);
	listener->port = self.port;
}

static void free_listener(struct smtp_listener *listener)
{
	for (unsigned i = 0; listener->workers[i]; i++)
		free(listener->workers[i]);
	free(listener->workers);
	if (listener->fd >= 0)
		(void)close(listener->fd);
	if (listener->reserve_fd >= 0)
		(void)close(listener->reserve_fd);
	smtp_address_count_free(listener->addresses);
	(void)pthread_cond_destroy(&listener->changed);
	(void)pthread_mutex_destroy(&listener->lock);
	free(listener);
}

static struct smtp_listener *new_listener(
    const struct smtp_listener_options *options)
{
	struct smtp_listener *listener = mem_alloc(sizeof(*listener));

	listener->options = *options;
	if (!options->smtp.is_listed_context)
		listener->options.smtp.is_listed_context = options->context;
	listener->fd = -1;
	listener->reserve_fd = open_reserve();
	listener->addresses = smtp_address_count_new();
	listener->refused =
	    metric_counter("smtp_sessions_refused_total", "",
	                   "Clients turned away before their session");
	(void)pthread_mutex_init(&listener->lock, NULL);
	condition_init(&listener->changed);
	listener->workers = mem_alloc_array(options->loop_count + 1,
	                                    sizeof(struct smtp_worker *));
	for (unsigned i = 0; i < options->loop_count; i++) {
		listener->workers[i] = mem_alloc(sizeof(struct smtp_worker));
		listener->workers[i]->listener = listener;
		listener->workers[i]->loop = options->loops[i];
	}
	return listener;
}

static void begin_accepting(void *argument)
{
	struct smtp_listener *listener = argument;
	struct loop *loop = listener->workers[0]->loop;

	listener->rest = loop_timer_new(loop, rested, listener);
	listener->event =
	    event_new(loop_base(loop), listener->fd, EV_READ | EV_PERSIST,
	              on_acceptable, listener);
	if (!listener->event || event_add(listener->event, NULL))
		abort(); /* out of memory, as in mem.h */
}

int smtp_listener_start(struct smtp_listener **listener,
                        const struct smtp_listener_options *options,
                        struct error *err)
{
	struct smtp_listener *made = new_listener(options);
	int result = open_socket(made, err);

	if (result) {
		free_listener(made);
		return result;
	}
	find_port(made);
	loop_post(made->workers[0]->loop, begin_accepting, made);
	*listener = made;
	return 0;
}

uint16_t smtp_listener_port(const struct smtp_listener *listener)
{
	return listener->port;
}

unsigned smtp_listener_sessions(const struct smtp_listener *listener)
{
	return atomic_load(&listener->sessions);
}

/* A loop did what stop asked it for. */
static void tell_done(struct smtp_listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	listener->done++;
	(void)pthread_cond_broadcast(&listener->changed);
	(void)pthread_mutex_unlock(&listener->lock);
}

static void wait_done(struct smtp_listener *listener, unsigned count)
{
	(void)pthread_mutex_lock(&listener->lock);
	while (listener->done < count)
		(void)pthread_cond_wait(&listener->changed, &listener->lock);
	listener->done = 0;
	(void)pthread_mutex_unlock(&listener->lock);
}

static void end_accepting(void *argument)
{
	struct smtp_listener *listener = argument;

	event_free(listener->event);
	loop_timer_free(listener->rest);
	(void)close(listener->fd);
	listener->fd = -1;
	tell_done(listener);
}

static void shut_down_worker(void *argument)
{
	struct smtp_worker *worker = argument;

	atomic_store(&worker->stopping, true);
	smtp_connections_shut_down(worker);
}

static void cut_worker(void *argument)
{
	struct smtp_worker *worker = argument;

	smtp_connections_cut(worker);
	tell_done(worker->listener);
}

/* Waits until no session is left, or timeout_ms has passed. */
static void wait_sessions(struct smtp_listener *listener, int64_t timeout_ms)
{
	int64_t until_ms = clock_monotonic_ms() + timeout_ms;

	(void)pthread_mutex_lock(&listener->lock);
	while (
	    atomic_load(&listener->sessions) &&
	    condition_wait_until(&listener->changed, &listener->lock, until_ms))
		;
	(void)pthread_mutex_unlock(&listener->lock);
}

void smtp_listener_stop(struct smtp_listener *listener, int64_t timeout_ms)
{
	unsigned count;

	if (!listener)
		return;
	count = listener->options.loop_count;
	loop_post(listener->workers[0]->loop, end_accepting, listener);
	wait_done(listener, 1);
	for (unsigned i = 0; i < count; i++)
		loop_post(listener->workers[i]->loop, shut_down_worker,
		          listener->workers[i]);
	wait_sessions(listener, timeout_ms);
	for (unsigned i = 0; i < count; i++)
		loop_post(listener->workers[i]->loop, cut_worker,
		          listener->workers[i]);
	wait_done(listener, count);
	free_listener(listener);
}
