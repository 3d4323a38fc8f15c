/* Cuts off peers that hold a connection by sending or reading too slowly. */
#include <stdlib.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/http/server-private.h"
#include "common/mem.h"
#include "common/metrics.h"

/* The slowest rate at which a large body may come or go. */
#define SLOWEST_BYTES_PER_MS 8

/* What an anonymous connection has for a request's head, or its body. */
#define ANONYMOUS_MS 10000

/* Puts it in front of the list that it belongs to. Under connection_lock. */
static void enlist(struct http_server *server, struct http_connection *peer)
{
	struct http_connection **first = &server->connections[peer->authorised];

	peer->previous = NULL;
	peer->next = *first;
	if (peer->next)
		peer->next->previous = peer;
	*first = peer;
	if (peer->authorised)
		return;
	server->anonymous_count++;
	if (!server->oldest_anonymous)
		server->oldest_anonymous = peer;
}

/* Takes it out of its list. Under connection_lock. */
static void delist(struct http_server *server, struct http_connection *peer)
{
	if (peer->previous)
		peer->previous->next = peer->next;
	else
		server->connections[peer->authorised] = peer->next;
	if (peer->next)
		peer->next->previous = peer->previous;
	if (peer->authorised)
		return;
	server->anonymous_count--;
	if (server->oldest_anonymous == peer)
		server->oldest_anonymous = peer->previous;
}

/* Closes the oldest anonymous connection for which it is the peer's turn. Under
 * connection_lock. */
static void evict_one(struct http_server *server)
{
	struct http_connection *peer = server->oldest_anonymous;

	while (peer && (peer->evicted || !atomic_load(&peer->deadline_ms)))
		peer = peer->previous;
	if (!peer)
		return;
	peer->evicted = true;
	(void)shutdown(peer->fd, SHUT_RDWR);
	metric_add(metric_counter("turing_http_evicted_total", "",
	                          "Connections without a key that were closed "
	                          "to make room."),
	           1);
}

static void begin(struct http_server *server, struct MHD_Connection *connection,
                  void **context)
{
	struct http_connection *peer = mem_alloc(sizeof(*peer));
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	peer->server = server;
	peer->fd = info ? info->connect_fd : -1;
	http_connection_allow_anonymous(peer);
	(void)pthread_mutex_lock(&server->connection_lock);
	if (server->anonymous_count >= server->anonymous_maximum)
		evict_one(server);
	enlist(server, peer);
	(void)pthread_mutex_unlock(&server->connection_lock);
	*context = peer;
}

/* The descriptor is open until this returns, so no other file is cut. */
static void end(struct http_server *server, struct http_connection *peer)
{
	(void)pthread_mutex_lock(&server->connection_lock);
	delist(server, peer);
	(void)pthread_mutex_unlock(&server->connection_lock);
	free(peer);
}

void http_connection_authorise(struct http_connection *peer)
{
	struct http_server *server = peer->server;

	(void)pthread_mutex_lock(&server->connection_lock);
	if (!peer->authorised) {
		delist(server, peer);
		peer->authorised = true;
		enlist(server, peer);
	}
	(void)pthread_mutex_unlock(&server->connection_lock);
}

void http_connection_notify(void *server, struct MHD_Connection *connection,
                            void **context,
                            enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		begin(server, connection, context);
	else if (*context)
		end(server, *context);
}

void http_connections_cut(struct http_server *server)
{
	int64_t now = clock_monotonic_ms(), deadline;
	struct http_connection *peer;
	int i;

	(void)pthread_mutex_lock(&server->connection_lock);
	for (i = 0; i < 2; i++)
		for (peer = server->connections[i]; peer; peer = peer->next) {
			deadline = atomic_load(&peer->deadline_ms);
			if (deadline && deadline < now)
				(void)shutdown(peer->fd, SHUT_RDWR);
		}
	(void)pthread_mutex_unlock(&server->connection_lock);
}

void http_connection_allow(struct http_connection *peer, uint64_t bytes)
{
	int64_t allowance = 2 * peer->server->idle_timeout_ms +
	                    (int64_t)(bytes / SLOWEST_BYTES_PER_MS);

	atomic_store(&peer->deadline_ms, clock_monotonic_ms() + allowance);
}

void http_connection_allow_anonymous(struct http_connection *peer)
{
	int64_t allowance = 2 * peer->server->idle_timeout_ms;

	if (allowance > ANONYMOUS_MS)
		allowance = ANONYMOUS_MS;
	atomic_store(&peer->deadline_ms, clock_monotonic_ms() + allowance);
}

void http_connection_extend(struct http_connection *peer, uint64_t bytes)
{
	(void)atomic_fetch_add(&peer->deadline_ms,
	                       (int64_t)(bytes / SLOWEST_BYTES_PER_MS));
}

void http_connection_pause(struct http_connection *peer)
{
	atomic_store(&peer->deadline_ms, 0);
}
