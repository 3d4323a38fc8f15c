/* Requests that wait: parked by key, woken by key or by their deadline. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/crypto.h"
#include "common/http/server-private.h"
#include "common/mem.h"
#include "common/metrics.h"

/* How often connections are looked over for slow peers. */
#define CUT_INTERVAL_MS 500
/* The longest wait of a server that is about to stop: short, yet no busy loop
 * of polls until they are sent elsewhere. */
#define DRAINING_WAIT_MS 1000

static struct metric *waiting_gauge(void)
{
	static struct metric *_Atomic gauge;
	struct metric *found = atomic_load(&gauge);

	if (!found) {
		found = metric_gauge("turing_http_waiting", "",
		                     "Requests that wait for an event.");
		atomic_store(&gauge, found);
	}
	return found;
}

static size_t bucket_of(const char *key)
{
	return crypto_table_hash_text(key) % HTTP_WAIT_BUCKETS;
}

static void heap_put(struct http_server *server, size_t place,
                     struct http_request *request)
{
	server->heap[place] = request;
	request->wait_place = place;
}

/* Moves request from place to where it belongs. */
static void heap_settle(struct http_server *server, size_t place,
                        struct http_request *request)
{
	int64_t deadline = request->wait_deadline_ms;
	size_t other;

	while (place > 0) {
		other = (place - 1) / 2;
		if (server->heap[other]->wait_deadline_ms <= deadline)
			break;
		heap_put(server, place, server->heap[other]);
		place = other;
	}
	while ((other = 2 * place + 1) < server->heap_count) {
		if (other + 1 < server->heap_count &&
		    server->heap[other + 1]->wait_deadline_ms <
		        server->heap[other]->wait_deadline_ms)
			other++;
		if (server->heap[other]->wait_deadline_ms >= deadline)
			break;
		heap_put(server, place, server->heap[other]);
		place = other;
	}
	heap_put(server, place, request);
}

/* Enters request in the heap and under its key. Under wait_lock. */
static void insert(struct http_server *server, struct http_request *request)
{
	struct http_request **first;

	server->heap =
	    mem_grow(server->heap, server->heap_count, &server->heap_capacity,
	             sizeof(struct http_request *));
	heap_settle(server, server->heap_count++, request);
	request->wait_bucket = bucket_of(request->wait_key);
	first = &server->waiting[request->wait_bucket].first;
	request->wait_previous = NULL;
	request->wait_next = *first;
	if (*first)
		(*first)->wait_previous = request;
	*first = request;
	metric_add(waiting_gauge(), 1);
}

/* Takes request out and has its handler called. Under wait_lock. */
static void resume(struct http_server *server, struct http_request *request)
{
	struct http_request *last = server->heap[--server->heap_count];

	if (last != request)
		heap_settle(server, request->wait_place, last);
	if (request->wait_previous)
		request->wait_previous->wait_next = request->wait_next;
	else
		server->waiting[request->wait_bucket].first =
		    request->wait_next;
	if (request->wait_next)
		request->wait_next->wait_previous = request->wait_previous;
	metric_add(waiting_gauge(), -1);
	/* From here on the request is a worker's or its event thread's. */
	if (request->route->place == HTTP_DEFERRED)
		http_defer_again(request);
	else
		MHD_resume_connection(request->connection);
}

uint64_t http_wait_ticket(struct http_server *server, const char *key)
{
	return atomic_load(&server->waiting[bucket_of(key)].wakes);
}

void http_wait(struct http_request *request, const char *key, uint64_t ticket,
               int64_t deadline_monotonic_ms)
{
	int64_t latest;

	if (request->wait_was_over) {
		/* Told that the wait is over, it may not wait again. */
		http_reply_empty(request);
		return;
	}
	free(request->wait_key);
	request->wait_key = mem_copy_string(key);
	request->wait_ticket = ticket;
	if (atomic_load(&request->server->draining)) {
		latest = clock_monotonic_ms() + DRAINING_WAIT_MS;
		if (deadline_monotonic_ms > latest)
			deadline_monotonic_ms = latest;
	}
	request->wait_deadline_ms = deadline_monotonic_ms;
	request->outcome = HTTP_OUTCOME_WAITING;
}

bool http_wait_share(struct http_request *request, const char *key,
                     const char *owner, size_t maximum)
{
	struct http_server *server = request->server;
	const struct http_request *other;
	size_t count = 0;

	(void)pthread_mutex_lock(&server->wait_lock);
	other = server->waiting[bucket_of(key)].first;
	for (; other; other = other->wait_next)
		if (other->wait_owner && !strcmp(other->wait_owner, owner) &&
		    !strcmp(other->wait_key, key))
			count++;
	(void)pthread_mutex_unlock(&server->wait_lock);
	if (!request->wait_owner)
		request->wait_owner = mem_copy_string(owner);
	return count < maximum;
}

bool http_wait_over(const struct http_request *request)
{
	return request->wait_was_over;
}

/* Whether a wake, the deadline or the server's end came before parking. */
static bool is_due(struct http_server *server, struct http_request *request)
{
	return atomic_load(&server->stopping) ||
	       http_wait_ticket(server, request->wait_key) !=
	           request->wait_ticket ||
	       clock_monotonic_ms() >= request->wait_deadline_ms;
}

bool http_park(struct http_request *request)
{
	struct http_server *server = request->server;
	bool parked;

	(void)pthread_mutex_lock(&server->wait_lock);
	parked = !is_due(server, request);
	if (parked) {
		/* That of a deferred request is suspended already. */
		if (request->route->place == HTTP_DIRECT)
			MHD_suspend_connection(request->connection);
		insert(server, request);
		if (request->wait_place == 0)
			(void)pthread_cond_signal(&server->wait_changed);
	}
	(void)pthread_mutex_unlock(&server->wait_lock);
	return parked;
}

void http_wake(struct http_server *server, const char *key)
{
	struct http_request *request, *next;
	struct http_wait_bucket *bucket;
	size_t i;

	(void)pthread_mutex_lock(&server->wait_lock);
	if (!key) {
		for (i = 0; i < HTTP_WAIT_BUCKETS; i++)
			atomic_fetch_add(&server->waiting[i].wakes, 1);
		while (server->heap_count)
			resume(server, server->heap[0]);
	} else {
		bucket = &server->waiting[bucket_of(key)];
		atomic_fetch_add(&bucket->wakes, 1);
		for (request = bucket->first; request; request = next) {
			next = request->wait_next;
			if (!strcmp(request->wait_key, key))
				resume(server, request);
		}
	}
	(void)pthread_mutex_unlock(&server->wait_lock);
}

void http_server_drain(struct http_server *server)
{
	int64_t now = clock_monotonic_ms();
	size_t i;

	/* Who asks from now on sees it; who asked before sees the wake. */
	atomic_store(&server->draining, true);
	(void)pthread_mutex_lock(&server->wait_lock);
	/* All the same: the heap stays one. */
	for (i = 0; i < server->heap_count; i++)
		server->heap[i]->wait_deadline_ms = now;
	(void)pthread_mutex_unlock(&server->wait_lock);
	http_wake(server, NULL);
}

static void *watch(void *argument)
{
	struct http_server *server = argument;
	int64_t now, next_cut = 0, until;

	(void)pthread_setname_np(pthread_self(), "http-watch");
	(void)pthread_mutex_lock(&server->wait_lock);
	while (!server->watch_ends) {
		now = clock_monotonic_ms();
		while (server->heap_count &&
		       server->heap[0]->wait_deadline_ms <= now)
			resume(server, server->heap[0]);
		if (now >= next_cut) {
			next_cut = now + CUT_INTERVAL_MS;
			(void)pthread_mutex_unlock(&server->wait_lock);
			http_connections_cut(server);
			(void)pthread_mutex_lock(&server->wait_lock);
			continue;
		}
		until = next_cut;
		if (server->heap_count &&
		    server->heap[0]->wait_deadline_ms < until)
			until = server->heap[0]->wait_deadline_ms;
		(void)condition_wait_until(&server->wait_changed,
		                           &server->wait_lock, until);
	}
	(void)pthread_mutex_unlock(&server->wait_lock);
	return NULL;
}

int http_watch_start(struct http_server *server)
{
	if (pthread_create(&server->watch_thread, NULL, watch, server))
		return ERR_UNAVAILABLE;
	server->watch_runs = true;
	return 0;
}

void http_watch_stop(struct http_server *server)
{
	if (!server->watch_runs)
		return;
	(void)pthread_mutex_lock(&server->wait_lock);
	server->watch_ends = true;
	(void)pthread_cond_signal(&server->wait_changed);
	(void)pthread_mutex_unlock(&server->wait_lock);
	(void)pthread_join(server->watch_thread, NULL);
	server->watch_runs = false;
}
