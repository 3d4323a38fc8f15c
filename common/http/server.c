/* Starts and stops the HTTP server. */
#include "common/http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/http/server-private.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/network.h"

#define BACKLOG              1024
#define CONNECTION_BYTES     16384
#define STANDARD_IDLE_MS     30000
#define STANDARD_CONNECTIONS 1000
#define STANDARD_WORKERS     8
#define DEFERRED_PER_WORKER  128
/* Descriptors that the rest of the process may need. */
#define OTHER_FILES 512
/* How long requests under way may take to finish when the server stops. */
#define STOP_GRACE_MS 5000
/* What an answer has for that at least, however late it was given. */
#define SEND_GRACE_MS 1000

/* Raises the soft limit of open files as far as it may be. */
static void raise_file_limit(rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* The port that the kernel chose, or 0. */
static uint16_t bound_port(int fd)
{
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	struct sockaddr_in v4;

	if (getsockname(fd, (struct sockaddr *)&bound, &size))
		return 0;
	/* The port stands at the same place in both families. */
	memcpy(&v4, &bound, sizeof(v4));
	return ntohs(v4.sin_port);
}

static int open_socket(struct http_server *server,
                       const struct http_server_options *options,
                       struct error *err)
{
	struct sockaddr_storage address;
	socklen_t size =
	    network_socket_address(options->address, options->port, &address);
	int one = 1, fd;

	if (!size)
		return error_set(err, ERR_INVALID, "%s is no numeric address",
		                 options->address);
	fd = socket(address.ss_family,
	            SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, ERR_UNAVAILABLE, errno, "socket");
	server->listen_fd = fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, BACKLOG))
		return error_set_errno(
		    err, ERR_UNAVAILABLE, errno, "cannot listen on %s port %u",
		    options->address, (unsigned)options->port);
	server->port = bound_port(fd);
	return 0;
}

/* MHD would decode the target: our own decoder does, after its checks. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection,
                            char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

static void log_of_mhd(void *context, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void log_of_mhd(void *context, const char *format, va_list arguments)
{
	const struct http_server *server = context;
	char text[512];

	(void)vsnprintf(text, sizeof(text), format, arguments);
	text[strcspn(text, "\n")] = '\0';
	log_debug(server->log_id, "%s", text);
}

static unsigned count_threads(const struct http_server_options *options)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned most = cores > 0 ? (unsigned)cores : 1;

	return options->threads && options->threads < most ? options->threads
	                                                   : most;
}

static int start_daemon(struct http_server *server,
                        const struct http_server_options *options)
{
	unsigned connections = options->maximum_connections
	                           ? options->maximum_connections
	                           : STANDARD_CONNECTIONS;
	unsigned threads = count_threads(options);
	struct MHD_OptionItem more[] = {
	    {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL},
	    {MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	     (intptr_t)options->maximum_connections_per_address, NULL},
	    {MHD_OPTION_END, 0, NULL}};

	if (connections < threads)
		connections = threads;
	server->anonymous_maximum = connections / 2 + 1;
	raise_file_limit((rlim_t)connections + OTHER_FILES);
	server->daemon = MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD |
	        MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
	    0, NULL, NULL, http_request_continue, server,
	    MHD_OPTION_EXTERNAL_LOGGER, log_of_mhd, server,
	    MHD_OPTION_LISTEN_SOCKET, server->listen_fd,
	    MHD_OPTION_CONNECTION_LIMIT, connections,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
	    MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)((server->idle_timeout_ms + 999) / 1000),
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
	    leave_escaped, NULL, MHD_OPTION_URI_LOG_CALLBACK,
	    http_request_begin, server, MHD_OPTION_NOTIFY_COMPLETED,
	    http_request_end, server, MHD_OPTION_NOTIFY_CONNECTION,
	    http_connection_notify, server, MHD_OPTION_ARRAY,
	    threads > 1 ? more : more + 1, MHD_OPTION_END);
	return server->daemon ? 0 : ERR_UNAVAILABLE;
}

static struct http_server *make(const struct http_server_options *options)
{
	struct http_server *server = mem_alloc(sizeof(*server));

	server->listen_fd = -1;
	server->routes = options->routes;
	server->context = options->context;
	server->authorise = options->authorise;
	server->explain = options->explain;
	server->log_id =
	    mem_copy_string(options->log_id ? options->log_id : "http");
	server->idle_timeout_ms = options->idle_timeout_ms > 0
	                              ? options->idle_timeout_ms
	                              : STANDARD_IDLE_MS;
	condition_init(&server->wait_changed);
	condition_init(&server->active_changed);
	(void)pthread_mutex_init(&server->wait_lock, NULL);
	(void)pthread_mutex_init(&server->active_lock, NULL);
	(void)pthread_mutex_init(&server->connection_lock, NULL);
	return server;
}

/* Frees a server whose threads do not run. */
static void discard(struct http_server *server)
{
	if (server->listen_fd >= 0)
		(void)close(server->listen_fd);
	free(server->trusted_proxies);
	free(server->log_id);
	free(server->heap);
	http_workers_free(server->workers);
	(void)pthread_cond_destroy(&server->wait_changed);
	(void)pthread_cond_destroy(&server->active_changed);
	(void)pthread_mutex_destroy(&server->wait_lock);
	(void)pthread_mutex_destroy(&server->active_lock);
	(void)pthread_mutex_destroy(&server->connection_lock);
	free(server);
}

static int read_proxies(struct http_server *server, const char *const *proxies,
                        struct error *err)
{
	size_t count = 0, i;

	while (proxies && proxies[count])
		count++;
	server->trusted_proxies =
	    mem_alloc_array(count + 1, sizeof(*server->trusted_proxies));
	server->trusted_count = count;
	for (i = 0; i < count; i++)
		if (network_parse(proxies[i], &server->trusted_proxies[i]))
			return error_set(err, ERR_INVALID,
			                 "%.128s is neither an address nor a "
			                 "network",
			                 proxies[i]);
	return 0;
}

/* Starts the workers where a route needs them. */
static int start_workers(struct http_server *server,
                         const struct http_server_options *options)
{
	const struct http_route *route = options->routes;
	unsigned count = options->workers ? options->workers : STANDARD_WORKERS;

	while (route->method && route->place == HTTP_DIRECT)
		route++;
	if (!route->method)
		return 0;
	return http_workers_start(server, count,
	                          options->deferred
	                              ? options->deferred
	                              : (size_t)count * DEFERRED_PER_WORKER);
}

/* Starts the threads with all signals blocked: they are main's. */
static int start_threads(struct http_server *server,
                         const struct http_server_options *options,
                         struct error *err)
{
	sigset_t all, before;
	int result;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	result = http_watch_start(server);
	if (!result)
		result = start_workers(server, options);
	if (!result)
		result = start_daemon(server, options);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result) {
		http_workers_stop(server, 0);
		http_watch_stop(server);
		return error_set(err, ERR_UNAVAILABLE,
		                 "the HTTP server on %s port %u does not start",
		                 options->address, (unsigned)server->port);
	}
	return 0;
}

int http_server_start(struct http_server **server,
                      const struct http_server_options *options,
                      struct error *err)
{
	struct http_server *made = make(options);
	int result = read_proxies(made, options->trusted_proxies, err);

	if (!result)
		result = open_socket(made, options, err);
	if (!result)
		result = start_threads(made, options, err);
	if (result) {
		discard(made);
		return result;
	}
	*server = made;
	return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

/* Waits until all handlers' answers went out, or until_ms has come. */
static void wait_for_answers(struct http_server *server, int64_t until_ms)
{
	(void)pthread_mutex_lock(&server->active_lock);
	while (server->active &&
	       condition_wait_until(&server->active_changed,
	                            &server->active_lock, until_ms))
		;
	(void)pthread_mutex_unlock(&server->active_lock);
}

void http_server_stop(struct http_server *server)
{
	int64_t until_ms = clock_monotonic_ms() + STOP_GRACE_MS, least_ms;

	if (!server)
		return;
	/*
	 * From here on nothing is parked, what is is woken, and new requests
	 * get 503. MHD_quiesce_daemon() would refuse them sooner, but it races
	 * with the pool's own removal of the socket, and aborts (0.9.75).
	 */
	atomic_store(&server->stopping, true);
	http_wake(server, NULL);
	http_workers_stop(server, until_ms);
	/* What a worker answered last is to go out too. */
	least_ms = clock_monotonic_ms() + SEND_GRACE_MS;
	wait_for_answers(server, until_ms > least_ms ? until_ms : least_ms);
	MHD_stop_daemon(server->daemon);
	server->listen_fd = -1; /* closed with the daemon */
	http_watch_stop(server);
	discard(server);
}
