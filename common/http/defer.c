/*
 * Deferred requests: workers call their handlers, which may block, while their
 * connections are suspended. Tenants and clients have a share of the workers
 * each, and are served round robin.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/crypto.h"
#include "common/http/server-private.h"
#include "common/mem.h"
#include "common/metrics.h"

#define SHARE_BUCKETS 1024

/* Each class leaves workers to the others. */
enum share_class {
	CLASS_ADMISSION,
	CLASS_ANONYMOUS,
	CLASS_AUTHORISED,
	CLASSES
};

/* What one owner has of one class; there while that is anything. */
struct http_share {
	struct http_share *bucket_next, *ready_next;
	enum share_class class;
	char *owner;
	struct http_request *first, *last; /* that wait, in their order */
	size_t waiting, running;
	bool is_ready; /* is in the list of its class */
};

/* A class; its shares of which a request may begin are served round robin. */
struct class_state {
	struct http_share *ready_first, *ready_last;
	size_t waiting, running;
	size_t maximum_running, maximum_waiting;
};

struct http_workers {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a request may begin, or there are no more */
	pthread_cond_t idle;    /* nothing waits or runs; monotonic clock */
	pthread_t *threads;
	unsigned count;
	bool ends;
	size_t waiting, running, room;
	size_t share_running, share_waiting; /* maxima of one share */
	struct class_state classes[CLASSES];
	unsigned next_class;
	struct http_share *shares[SHARE_BUCKETS];
	struct metric *waiting_gauge, *busy_gauge, *refused, *waited;
};

static size_t at_least_one(size_t number)
{
	return number ? number : 1;
}

static struct http_workers *make(unsigned count, size_t room)
{
	struct http_workers *made = mem_alloc(sizeof(*made));
	size_t running[CLASSES] = {count / 2, count / 2, count - count / 4};
	size_t waiting[CLASSES] = {room / 2, room / 2, room - room / 4};
	size_t i;

	for (i = 0; i < CLASSES; i++) {
		made->classes[i].maximum_running = at_least_one(running[i]);
		made->classes[i].maximum_waiting = at_least_one(waiting[i]);
	}
	made->share_running = at_least_one(count / 4);
	made->share_waiting = at_least_one(room / 4);
	made->room = room;
	made->threads = mem_alloc_array(count, sizeof(*made->threads));
	(void)pthread_mutex_init(&made->lock, NULL);
	(void)pthread_cond_init(&made->changed, NULL);
	condition_init(&made->idle);
	made->waiting_gauge = metric_gauge("turing_http_deferred_waiting", "",
	                                   "Requests that wait for a worker.");
	made->busy_gauge = metric_gauge("turing_http_workers_busy", "",
	                                "Workers that run a request.");
	made->refused = metric_counter("turing_http_deferred_refused_total", "",
	                               "Requests for which there was no room "
	                               "to wait for a worker.");
	made->waited = metric_histogram("turing_http_deferred_wait_seconds", "",
	                                "How long requests waited for a "
	                                "worker.");
	return made;
}

void http_workers_free(struct http_workers *workers)
{
	if (!workers)
		return;
	free(workers->threads);
	(void)pthread_mutex_destroy(&workers->lock);
	(void)pthread_cond_destroy(&workers->changed);
	(void)pthread_cond_destroy(&workers->idle);
	free(workers);
}

/* --- shares, under the lock ---------------------------------------------- */

/*
 * Whose share an anonymous request takes: the client's address, of IPv6 the /64
 * that a client has for itself.
 */
static void client_owner(const char *address, char owner[NETWORK_TEXT_SIZE])
{
	struct network network;

	if (network_parse(address, &network)) {
		(void)snprintf(owner, NETWORK_TEXT_SIZE, "%s", address);
		return;
	}
	if (!network.is_ipv4) {
		memset(network.bytes + 8, 0, 8);
		network.prefix_bits = 64;
	}
	(void)network_format(&network, owner);
}

/* Where the shares of an owner begin. */
static struct http_share **bucket_of(struct http_workers *workers,
                                     const char *owner)
{
	return &workers->shares[crypto_table_hash_text(owner) % SHARE_BUCKETS];
}

/* The share of a request; made where there is none. */
static struct http_share *share_of(struct http_workers *workers,
                                   const struct http_request *request)
{
	char client[NETWORK_TEXT_SIZE];
	const char *owner = client;
	enum share_class class = CLASS_AUTHORISED;
	struct http_share **place, *share;

	if (request->authorised && request->owner) {
		owner = request->owner;
	} else {
		class = request->stage == HTTP_STAGE_ADMISSION ? CLASS_ADMISSION
		        : request->authorised ? CLASS_AUTHORISED
		                              : CLASS_ANONYMOUS;
		client_owner(request->client_address, client);
	}
	place = bucket_of(workers, owner);
	for (share = *place; share; share = share->bucket_next)
		if (share->class == class && !strcmp(share->owner, owner))
			return share;
	share = mem_alloc(sizeof(*share));
	share->class = class;
	share->owner = mem_copy_string(owner);
	share->bucket_next = *place;
	*place = share;
	return share;
}

/* Frees a share of which nothing waits or runs. */
static void drop_if_empty(struct http_workers *workers,
                          struct http_share *share)
{
	struct http_share **place;

	if (share->waiting || share->running)
		return;
	place = bucket_of(workers, share->owner);
	while (*place != share)
		place = &(*place)->bucket_next;
	*place = share->bucket_next;
	free(share->owner);
	free(share);
}

/* Puts the share behind the ready ones of its class if it may run one more. */
static void make_ready(struct http_workers *workers, struct http_share *share)
{
	struct class_state *class = &workers->classes[share->class];

	if (share->is_ready || !share->waiting ||
	    share->running >= workers->share_running)
		return;
	share->is_ready = true;
	share->ready_next = NULL;
	if (class->ready_first)
		class->ready_last->ready_next = share;
	else
		class->ready_first = share;
	class->ready_last = share;
}

/* Enters a request behind those of its owner. */
static void enter(struct http_workers *workers, struct http_share *share,
                  struct http_request *request)
{
	request->share = share;
	request->deferred_next = NULL;
	request->deferred_ms = clock_monotonic_ms();
	if (share->first)
		share->last->deferred_next = request;
	else
		share->first = request;
	share->last = request;
	share->waiting++;
	workers->classes[share->class].waiting++;
	workers->waiting++;
	metric_add(workers->waiting_gauge, 1);
	make_ready(workers, share);
	(void)pthread_cond_signal(&workers->changed);
}

/* Takes the request that is to begin next; NULL when none may. */
static struct http_request *take_next(struct http_workers *workers)
{
	struct http_request *request;
	struct http_share *share;
	struct class_state *class = NULL;
	unsigned i;

	for (i = 0; i < CLASSES; i++) {
		class = &workers->classes[(workers->next_class + i) % CLASSES];
		if (class->ready_first &&
		    class->running < class->maximum_running)
			break;
	}
	if (i == CLASSES)
		return NULL;
	workers->next_class = (workers->next_class + i + 1) % CLASSES;
	share = class->ready_first;
	class->ready_first = share->ready_next;
	share->is_ready = false;
	request = share->first;
	share->first = request->deferred_next;
	share->waiting--;
	class->waiting--;
	workers->waiting--;
	share->running++;
	class->running++;
	workers->running++;
	make_ready(workers, share);
	metric_add(workers->waiting_gauge, -1);
	metric_add(workers->busy_gauge, 1);
	return request;
}

/* A request of the share has been worked on. */
static void give_back(struct http_workers *workers, struct http_share *share)
{
	share->running--;
	workers->classes[share->class].running--;
	workers->running--;
	metric_add(workers->busy_gauge, -1);
	make_ready(workers, share);
	drop_if_empty(workers, share);
	if (!workers->running && !workers->waiting) {
		(void)pthread_cond_signal(&workers->idle);
		if (workers->ends)
			(void)pthread_cond_broadcast(&workers->changed);
	}
}

/* --- the threads --------------------------------------------------------- */

static void *work(void *argument)
{
	struct http_workers *workers = argument;
	struct http_request *request;
	struct http_share *share;
	bool ends;

	(void)pthread_setname_np(pthread_self(), "http-worker");
	(void)pthread_mutex_lock(&workers->lock);
	for (;;) {
		request = take_next(workers);
		if (!request) {
			if (workers->ends && !workers->running &&
			    !workers->waiting)
				break;
			(void)pthread_cond_wait(&workers->changed,
			                        &workers->lock);
			continue;
		}
		share = request->share;
		ends = workers->ends;
		(void)pthread_mutex_unlock(&workers->lock);
		metric_observe_us(
		    workers->waited,
		    1000 * (clock_monotonic_ms() - request->deferred_ms));
		if (ends)
			http_request_turn_away(request);
		else
			http_request_work(request);
		/* The request may be gone. */
		(void)pthread_mutex_lock(&workers->lock);
		give_back(workers, share);
	}
	(void)pthread_mutex_unlock(&workers->lock);
	return NULL;
}

int http_workers_start(struct http_server *server, unsigned count, size_t room)
{
	struct http_workers *workers = make(count, room);

	server->workers = workers;
	while (workers->count < count) {
		if (pthread_create(&workers->threads[workers->count], NULL,
		                   work, workers)) {
			http_workers_stop(server, 0);
			return ERR_UNAVAILABLE;
		}
		workers->count++;
	}
	return 0;
}

bool http_defer(struct http_request *request)
{
	struct http_workers *workers = request->server->workers;
	struct http_share *share;
	bool has_room;

	(void)pthread_mutex_lock(&workers->lock);
	share = share_of(workers, request);
	has_room = !workers->ends && workers->waiting < workers->room &&
	           workers->classes[share->class].waiting <
	               workers->classes[share->class].maximum_waiting &&
	           share->waiting < workers->share_waiting;
	if (has_room) {
		MHD_suspend_connection(request->connection);
		enter(workers, share, request);
	} else {
		drop_if_empty(workers, share);
	}
	(void)pthread_mutex_unlock(&workers->lock);
	if (!has_room)
		metric_add(workers->refused, 1);
	return has_room;
}

void http_defer_again(struct http_request *request)
{
	struct http_workers *workers = request->server->workers;

	(void)pthread_mutex_lock(&workers->lock);
	enter(workers, share_of(workers, request), request);
	(void)pthread_mutex_unlock(&workers->lock);
}

/* From now on all that waits is turned away, whoever's it is. */
static void end(struct http_workers *workers)
{
	struct http_share *share;
	size_t i;

	workers->ends = true;
	workers->share_running = SIZE_MAX;
	for (i = 0; i < CLASSES; i++)
		workers->classes[i].maximum_running = SIZE_MAX;
	for (i = 0; i < SHARE_BUCKETS; i++)
		for (share = workers->shares[i]; share;
		     share = share->bucket_next)
			make_ready(workers, share);
	(void)pthread_cond_broadcast(&workers->changed);
}

void http_workers_stop(struct http_server *server, int64_t until_ms)
{
	struct http_workers *workers = server->workers;
	unsigned i;

	if (!workers)
		return;
	(void)pthread_mutex_lock(&workers->lock);
	while ((workers->running || workers->waiting) &&
	       condition_wait_until(&workers->idle, &workers->lock, until_ms))
		;
	end(workers);
	(void)pthread_mutex_unlock(&workers->lock);
	for (i = 0; i < workers->count; i++)
		(void)pthread_join(workers->threads[i], NULL);
	workers->count = 0;
}
