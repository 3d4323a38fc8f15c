/* Delivery: what waits, when connections are opened, start and stop. */
#include "local-agent/delivery/delivery.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/delivery/private.h"

#define LOW_WATER        50   /* parcels; below it more are claimed */
#define PROBE_FIRST_MS   1000 /* pause before an absent next hop is tried */
#define PROBE_MAXIMUM_MS 15000
#define HANDED_MAXIMUM   5000 /* parcels that wait in memory */
#define WINDOW_FIRST     4    /* parcels begun and not yet recorded */
#define STORE_PAUSE_MS   500  /* before a store that was away is tried */
#define ELSEWHERE_MOST   4    /* connections to other next hops */

static void tell_if_quiet(struct delivery *delivery)
{
	if (!delivery->stopping || delivery->in_flight > 0)
		return;
	(void)pthread_mutex_lock(&delivery->lock);
	delivery->is_quiet = true;
	(void)pthread_cond_signal(&delivery->quiet);
	(void)pthread_mutex_unlock(&delivery->lock);
}

static void open_connections(struct delivery *delivery)
{
	int64_t limit = delivery->options.config->next_hop_connections;

	while (!delivery->probing && !atomic_load(&delivery->away) &&
	       delivery->waiting.count > delivery->connecting &&
	       delivery->open + delivery->connecting < delivery->window &&
	       delivery->connection_count < limit)
		connection_open(delivery);
}

/*
 * The next one to send. One whose claim is lost, or may end before it is sent,
 * is given back: two would send it otherwise.
 */
static struct parcel *take_waiting(struct parcel_list *list)
{
	struct parcel *parcel;

	while ((parcel = parcel_list_take(list))) {
		if (lease_is_safe(parcel))
			return parcel;
		parcel_postpone(parcel, clock_wall_ms(),
		                parcel->lost ? "claimed by another agent"
		                             : "its claim was not prolonged");
	}
	return NULL;
}

/*
 * While the store is away nothing is sent: what becomes of it could not be
 * recorded, nor its body be read without waiting.
 */
static bool store_is_away(struct delivery *delivery)
{
	if (!writer_away(delivery->options.writer))
		return false;
	if (delivery->resume)
		loop_timer_start(delivery->resume, STORE_PAUSE_MS);
	return true;
}

void delivery_pump(struct delivery *delivery)
{
	struct delivery_connection *connection;
	struct parcel *parcel;

	if (!delivery->stopping && store_is_away(delivery))
		return;
	/* What the store does not know of, a crash delivers again. */
	while (!delivery->stopping && delivery->waiting.first &&
	       delivery->open < delivery->window &&
	       (connection = connection_find(delivery))) {
		parcel = take_waiting(&delivery->waiting);
		if (parcel)
			connection_send(connection, parcel);
	}
	while (!delivery->stopping &&
	       delivery->elsewhere_count < ELSEWHERE_MOST &&
	       (parcel = take_waiting(&delivery->elsewhere)))
		connection_open_elsewhere(delivery, parcel);
	if (!delivery->stopping)
		open_connections(delivery);
	claimer_want(delivery,
	             !delivery->stopping &&
	                 delivery->waiting.count + delivery->elsewhere.count <
	                     LOW_WATER);
}

void delivery_queue(struct delivery *delivery, struct parcel *parcel)
{
	parcel_list_append(*parcel->next_hop ? &delivery->elsewhere
	                                     : &delivery->waiting,
	                   parcel);
}

void delivery_parcel_ended(struct delivery *delivery)
{
	delivery->in_flight--;
	tell_if_quiet(delivery);
}

void delivery_opened(struct delivery *delivery, struct parcel *parcel)
{
	parcel->open = true;
	delivery->open++;
}

void delivery_closed(struct delivery *delivery, struct parcel *parcel)
{
	int64_t connections = delivery->options.config->next_hop_connections;

	if (!parcel->open)
		return;
	parcel->open = false;
	delivery->open--;
	if (++delivery->committed < 2 * delivery->window ||
	    delivery->window >= 2 * (size_t)connections)
		return;
	delivery->committed = 0;
	delivery->window++;
}

void delivery_requeue(struct delivery *delivery, struct parcel *parcel)
{
	parcel_list_prepend(&delivery->waiting, parcel);
	delivery_pump(delivery);
}

void delivery_reached(struct delivery *delivery)
{
	if (atomic_exchange(&delivery->away, false))
		log_info("delivery", "the next hop answers again");
	delivery->failures = 0;
}

static int64_t probe_pause_ms(unsigned failures)
{
	struct backoff probe = {.minimum_ms = PROBE_FIRST_MS,
	                        .maximum_ms = PROBE_MAXIMUM_MS};

	return backoff_delay_ms(&probe, failures);
}

static void postpone(struct parcel_list *list, int64_t due_ms, const char *why)
{
	struct parcel *parcel;

	while ((parcel = parcel_list_take(list)))
		parcel_postpone(parcel, due_ms, why);
}

static bool has_session(const struct delivery *delivery)
{
	const struct delivery_connection *connection = delivery->connections;

	while (connection && (!connection->greeted || connection->elsewhere))
		connection = connection->next;
	return connection != NULL;
}

void delivery_unreached(struct delivery *delivery, const char *why)
{
	char reason[300];
	int64_t pause_ms;

	if (delivery->stopping)
		return;
	if (!delivery->probing)
		delivery->failures++;
	pause_ms = probe_pause_ms(delivery->failures);
	delivery->probing = true;
	loop_timer_start(delivery->probe, pause_ms);
	if (has_session(delivery))
		return; /* it takes no more than it has */
	(void)snprintf(reason, sizeof(reason), "next hop [%s]:%u: %s",
	               delivery->options.config->next_hop.address,
	               delivery->options.config->next_hop.port, why);
	if (!atomic_exchange(&delivery->away, true))
		log_warning("delivery", "%s; mail waits in the spool", reason);
	postpone(&delivery->waiting, clock_wall_ms() + pause_ms, reason);
}

static void on_probe(void *argument)
{
	struct delivery *delivery = argument;

	delivery->probing = false;
	if (delivery->stopping)
		return;
	if (atomic_load(&delivery->away) && delivery->connecting == 0)
		connection_open(delivery);
	delivery_pump(delivery);
}

static void on_resume(void *argument)
{
	delivery_pump(argument);
}

/* --- from other threads ------------------------------------------------- */

bool delivery_reserve(struct delivery *delivery, size_t bytes)
{
	size_t parcels, total;

	if (atomic_load(&delivery->away))
		return false;
	parcels = atomic_fetch_add(&delivery->handed, 1) + 1;
	total = atomic_fetch_add(&delivery->reserved, bytes) + bytes;
	if (parcels <= HANDED_MAXIMUM &&
	    total <= delivery->options.memory_bytes)
		return true;
	delivery_unreserve(delivery, bytes);
	return false;
}

void delivery_unreserve(struct delivery *delivery, size_t bytes)
{
	atomic_fetch_sub(&delivery->handed, 1);
	atomic_fetch_sub(&delivery->reserved, bytes);
}

/* On the loop. */
static void on_handed(void *argument)
{
	struct parcel *parcel = argument;
	struct delivery *delivery = parcel->delivery;

	delivery->in_flight++;
	lease_keep(parcel);
	if (delivery->stopping || atomic_load(&delivery->away)) {
		parcel_postpone(parcel, clock_wall_ms(),
		                "the next hop was away");
		return;
	}
	parcel_list_append(&delivery->waiting, parcel);
	delivery_pump(delivery);
}

void delivery_take(struct delivery *delivery, struct spool_message *message,
                   char *body, size_t body_size, size_t reserved)
{
	int64_t lease_until_ms =
	    message->received_ms + delivery->options.config->queue_lease_ms;
	bool fresh = message->registered;
	struct parcel *parcel = parcel_new(delivery, message, lease_until_ms);

	if (!parcel) {
		free(body);
		delivery_unreserve(delivery, reserved);
		return;
	}
	parcel->body = body;
	parcel->body_size = body_size;
	parcel->reserved = reserved;
	parcel->fresh = fresh;
	loop_post(delivery->options.loop, on_handed, parcel);
}

void delivery_wake(struct delivery *delivery)
{
	claimer_wake(delivery);
}

/* --- start and stop ----------------------------------------------------- */

static void make_metrics(struct delivery *delivery)
{
	static const char name[] = "turing_agent_delivery_total";
	static const char help[] = "Recipients tried, by outcome";

	delivery->delivered =
	    metric_counter(name, "outcome=\"delivered\"", help);
	delivery->deferred = metric_counter(name, "outcome=\"deferred\"", help);
	delivery->failed = metric_counter(name, "outcome=\"failed\"", help);
	delivery->uncertain =
	    metric_counter("turing_agent_delivery_uncertain_total", "",
	                   "Recipients whose final answer was lost: tried "
	                   "again, a duplicate is possible");
	delivery->connects =
	    metric_counter("turing_agent_delivery_connections_total", "",
	                   "Connections opened to the next hop");
	delivery->lost = metric_counter(
	    "turing_agent_delivery_claims_lost_total", "",
	    "Recipients that another agent claimed while they were ours: a "
	    "duplicate is possible");
}

/* On the loop: timers belong to it. */
static void on_start(void *argument)
{
	struct delivery *delivery = argument;

	delivery->probe =
	    loop_timer_new(delivery->options.loop, on_probe, delivery);
	delivery->resume =
	    loop_timer_new(delivery->options.loop, on_resume, delivery);
	lease_start(delivery);
	delivery_pump(delivery);
}

int delivery_start(struct delivery **delivery,
                   const struct delivery_options *options, struct error *err)
{
	const struct agent_config *config = options->config;
	struct delivery *made = mem_alloc(sizeof(*made));
	int result;

	made->options = *options;
	made->backoff = (struct backoff){
	    .minimum_ms = config->queue_retry_min_ms,
	    .maximum_ms = config->queue_retry_max_ms,
	    .give_up_ms = config->queue_give_up_ms,
	};
	atomic_init(&made->away, false);
	atomic_init(&made->reserved, 0);
	atomic_init(&made->handed, 0);
	(void)pthread_mutex_init(&made->lock, NULL);
	condition_init(&made->quiet);
	made->reading.part = "delivery";
	made->window = WINDOW_FIRST;
	make_metrics(made);
	result = claimer_start(made, err);
	if (result) {
		delivery_free(made);
		return result;
	}
	*delivery = made;
	loop_post(options->loop, on_start, made);
	return 0;
}

/* On the loop. What waits goes back to the spool, untried. */
static void on_stop(void *argument)
{
	struct delivery *delivery = argument;

	delivery->stopping = true;
	loop_timer_stop(delivery->probe);
	loop_timer_stop(delivery->resume);
	connections_close(delivery, false);
	postpone(&delivery->waiting, clock_wall_ms(), "the agent was stopped");
	postpone(&delivery->elsewhere, clock_wall_ms(),
	         "the agent was stopped");
	tell_if_quiet(delivery);
}

/*
 * On the loop. What is handed over after this, by a commit that was under way,
 * stays claimed in the spool, as after a crash.
 */
static void on_cut(void *argument)
{
	struct delivery *delivery = argument;

	delivery->cut = true;
	connections_close(delivery, true);
	lease_stop(delivery);
	loop_timer_free(delivery->probe);
	loop_timer_free(delivery->resume);
	delivery->probe = NULL;
	delivery->resume = NULL;
	(void)pthread_mutex_lock(&delivery->lock);
	delivery->is_over = true;
	(void)pthread_cond_signal(&delivery->quiet);
	(void)pthread_mutex_unlock(&delivery->lock);
}

static void await_over(struct delivery *delivery)
{
	(void)pthread_mutex_lock(&delivery->lock);
	while (!delivery->is_over)
		(void)pthread_cond_wait(&delivery->quiet, &delivery->lock);
	(void)pthread_mutex_unlock(&delivery->lock);
}

static void await_quiet(struct delivery *delivery, int64_t timeout_ms)
{
	int64_t until_ms = clock_monotonic_ms() + timeout_ms;

	(void)pthread_mutex_lock(&delivery->lock);
	while (
	    !delivery->is_quiet &&
	    condition_wait_until(&delivery->quiet, &delivery->lock, until_ms))
		;
	(void)pthread_mutex_unlock(&delivery->lock);
}

void delivery_stop(struct delivery *delivery, int64_t timeout_ms)
{
	claimer_stop(delivery);
	loop_post(delivery->options.loop, on_stop, delivery);
	await_quiet(delivery, timeout_ms);
	loop_post(delivery->options.loop, on_cut, delivery);
	await_over(delivery);
}

void delivery_free(struct delivery *delivery)
{
	if (!delivery)
		return;
	claimer_release(delivery);
	(void)pthread_cond_destroy(&delivery->quiet);
	(void)pthread_mutex_destroy(&delivery->lock);
	free(delivery);
}
