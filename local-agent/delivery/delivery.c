/*
 * Delivery: claims, parcels and connections put together. What waits, when
 * connections are opened, how an outcome is recorded; start and stop.
 */
#include "local-agent/delivery/delivery.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/delivery/claim.h"
#include "local-agent/delivery/connection.h"
#include "local-agent/delivery/lease.h"
#include "local-agent/delivery/parcel.h"
#include "local-agent/queue/trouble.h"

#define LOW_WATER        50   /* parcels; below it more are claimed */
#define PROBE_FIRST_MS   1000 /* pause before an absent next hop is tried */
#define PROBE_MAXIMUM_MS 15000
#define HANDED_MAXIMUM   5000 /* parcels that wait in memory */
#define WINDOW_FIRST     4    /* parcels begun and not yet recorded */
#define STORE_PAUSE_MS   500  /* before a store that was away is tried */
#define STORE_RETRY_MS   5000 /* of a message whose body could not be read */
#define COMMIT_RETRY_MS  1000
#define ELSEWHERE_MOST   4 /* connections to other next hops */

/* A parcel in delivery, from its claim to the commit of its outcome. */
struct queue_entry {
	struct writer_request request; /* first, so that one gives the other */
	struct queue_entry *next;
	struct delivery *delivery;
	struct parcel *parcel;
	struct lease lease;
	struct delivery_connection *connection; /* while it is sent */
	size_t reserved;
	bool open;           /* begun, and its outcome is not committed */
	bool put_back;       /* a session was lost once, without an answer */
	int64_t turned_away; /* how often by a 421, which ended the session */
	struct loop_timer *retry; /* of a commit that failed */
};

struct queue {
	struct queue_entry *first, *last;
	size_t count;
};

struct delivery {
	struct delivery_options options;
	struct claimer *claimer;
	struct leases *leases;
	struct delivery_pool *pool;
	struct queue waiting;
	struct queue elsewhere; /* those with a next hop of their own */
	struct trouble reading; /* bodies */
	size_t in_flight;       /* entries begun or waiting for their commit */
	size_t open;            /* of these, what a crash could deliver again */
	size_t window;          /* how many of them there may be */
	size_t committed;       /* since it grew */
	unsigned failures;      /* connections in a row that never got ready */
	struct loop_timer *probe;  /* while the next hop is away */
	struct loop_timer *resume; /* while the store is away */
	bool probing, stopping, cut;
	atomic_bool away;
	atomic_size_t reserved, handed;
	/* For delivery_stop(). */
	pthread_mutex_t lock;
	pthread_cond_t quiet;
	bool is_quiet;
	bool is_over; /* set on the loop: the writer may be gone, and nothing is
	                 handed to it */
	struct metric *delivered, *deferred, *failed, *uncertain;
};

static void pump(struct delivery *delivery);

/* --- what waits ----------------------------------------------------------- */

static void append(struct queue *list, struct queue_entry *entry)
{
	entry->next = NULL;
	if (list->last)
		list->last->next = entry;
	else
		list->first = entry;
	list->last = entry;
	list->count++;
}

static void prepend(struct queue *list, struct queue_entry *entry)
{
	entry->next = list->first;
	list->first = entry;
	if (!list->last)
		list->last = entry;
	list->count++;
}

static struct queue_entry *take_first(struct queue *list)
{
	struct queue_entry *entry = list->first;

	if (!entry)
		return NULL;
	list->first = entry->next;
	if (!list->first)
		list->last = NULL;
	list->count--;
	entry->next = NULL;
	return entry;
}

/* An entry for the recipients of message (taken over) whose lease is ours and
 * ends at lease_until_ms; NULL, and the message released, if none is. */
static struct queue_entry *entry_new(struct delivery *delivery,
                                     struct spool_message *message,
                                     int64_t lease_until_ms)
{
	struct parcel *parcel =
	    parcel_new(delivery->options.config, message, lease_until_ms);
	struct queue_entry *entry;

	if (!parcel)
		return NULL;
	entry = mem_alloc(sizeof(*entry));
	entry->delivery = delivery;
	entry->parcel = parcel;
	entry->lease = (struct lease){
	    .message = parcel->message.id,
	    .recipients = parcel->indices,
	    .addresses = parcel->addresses,
	    .count = parcel->count,
	    .until_ms = lease_until_ms,
	};
	return entry;
}

/*
 * An entry begins, and what became of it is committed (or it is put back). So
 * many may be between the two: few at first, so that an agent that crashes
 * again and again delivers little again, and more with every one that was
 * committed.
 */
static void mark_open(struct queue_entry *entry)
{
	entry->open = true;
	entry->delivery->open++;
}

static void mark_closed(struct queue_entry *entry)
{
	struct delivery *delivery = entry->delivery;
	int64_t connections = delivery->options.config->next_hop_connections;

	if (!entry->open)
		return;
	entry->open = false;
	delivery->open--;
	if (++delivery->committed < 2 * delivery->window ||
	    delivery->window >= 2 * (size_t)connections)
		return;
	delivery->committed = 0;
	delivery->window++;
}

static void tell_if_quiet(struct delivery *delivery)
{
	if (!delivery->stopping || delivery->in_flight > 0)
		return;
	(void)pthread_mutex_lock(&delivery->lock);
	delivery->is_quiet = true;
	(void)pthread_cond_signal(&delivery->quiet);
	(void)pthread_mutex_unlock(&delivery->lock);
}

/* Frees an entry and gives its memory back; the last one wakes
 * delivery_stop(). */
static void entry_end(struct queue_entry *entry)
{
	struct delivery *delivery = entry->delivery;

	lease_drop(delivery->leases, &entry->lease);
	mark_closed(entry);
	loop_timer_free(entry->retry);
	if (entry->reserved)
		delivery_unreserve(delivery, entry->reserved);
	parcel_free(entry->parcel);
	free(entry);
	delivery->in_flight--;
	tell_if_quiet(delivery);
}

/* --- the outcome ---------------------------------------------------------- */

static void count_recipient(struct delivery *delivery, enum spool_state state,
                            enum smtp_outcome outcome)
{
	if (outcome == SMTP_UNCERTAIN)
		metric_add(delivery->uncertain, 1);
	metric_add(state == SPOOL_DELIVERED ? delivery->delivered
	           : state == SPOOL_FAILED  ? delivery->failed
	                                    : delivery->deferred,
	           1);
}

static void on_commit(struct writer_request *request, int result);

/* Hands the outcome of every recipient to the writer. */
static void submit(struct queue_entry *entry)
{
	struct delivery *delivery = entry->delivery;

	entry->lease.settling = true;
	entry->request = (struct writer_request){
	    .changes = entry->parcel->changes,
	    .count = entry->parcel->count,
	    .loop = delivery->options.loop,
	    .done = on_commit,
	};
	if (delivery->is_over ||
	    writer_submit(delivery->options.writer, &entry->request))
		entry_end(entry);
}

static void on_retry(void *argument)
{
	submit(argument);
}

static bool any_passing(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->count; i++)
		if (trouble_is_passing(parcel->changes[i].result))
			return true;
	return false;
}

/*
 * What happened cannot be undone, so a commit that failed for want of space
 * or without an answer is made again until it holds.
 */
static bool commit_again(struct queue_entry *entry, int result)
{
	struct delivery *delivery = entry->delivery;

	if (delivery->cut || result == ERR_IO || result == ERR_CORRUPT)
		return false;
	if (result == 0 && !any_passing(entry->parcel))
		return false;
	if (!entry->retry)
		entry->retry =
		    loop_timer_new(delivery->options.loop, on_retry, entry);
	loop_timer_start(entry->retry, COMMIT_RETRY_MS);
	return true;
}

static void on_commit(struct writer_request *request, int result)
{
	struct queue_entry *entry = (struct queue_entry *)request;
	struct delivery *delivery = entry->delivery;
	struct parcel *parcel = entry->parcel;
	bool event = false;

	if (commit_again(entry, result))
		return;
	for (size_t i = 0; i < parcel->count; i++) {
		struct spool_change *change = &parcel->changes[i];

		if (result)
			change->result = result;
		if (!change->result && change->move.attempted)
			count_recipient(delivery, change->move.to,
			                parcel->outcomes[i]);
		parcel_log(parcel, i);
		event = event || change->move.event;
	}
	if (event && delivery->options.ended)
		delivery->options.ended(delivery->options.context);
	entry_end(entry);
	pump(delivery);
}

static void defer(struct queue_entry *entry, const char *why)
{
	parcel_defer(entry->parcel, why);
	submit(entry);
}

static void postpone(struct queue_entry *entry, int64_t due_ms, const char *why)
{
	parcel_postpone(entry->parcel, due_ms, why);
	submit(entry);
}

static void postpone_all(struct queue *list, int64_t due_ms, const char *why)
{
	struct queue_entry *entry;

	while ((entry = take_first(list)))
		postpone(entry, due_ms, why);
}

/* --- transactions --------------------------------------------------------- */

static void on_recipient(void *context, size_t index, enum smtp_outcome outcome,
                         const struct smtp_reply *reply)
{
	struct queue_entry *entry = context;

	parcel_set_reply(entry->parcel, index, outcome, reply);
}

/*
 * Whether the parcel goes out again at once over another session: the next hop
 * has ended one that we used again, and said nothing of the mail. By closing
 * it; or by a 421, which closes the channel (RFC 5321 sections 3.8, 4.2.1),
 * such as after so many messages. Each such 421 costs a used session, and what
 * met it is the first to get the next one: it may meet those that are open.
 */
static bool goes_again(struct queue_entry *entry, bool used)
{
	const struct delivery *delivery = entry->delivery;
	int64_t most = 2 * delivery->options.config->next_hop_connections;
	bool again;

	if (!used || entry->parcel->answered || delivery->stopping)
		return false;
	if (parcel_was_cut(entry->parcel)) {
		/* After DATA was taken it may have been the message. */
		again = entry->parcel->offset == 0 && entry->turned_away < most;
		entry->turned_away += again;
	} else {
		again = !entry->put_back;
		entry->put_back = true;
	}
	return again;
}

static void on_done(void *context)
{
	struct queue_entry *entry = context;
	struct delivery *delivery = entry->delivery;
	bool used = connection_was_used(entry->connection);
	bool again = goes_again(entry, used);

	parcel_close(entry->parcel);
	connection_release(entry->connection);
	entry->connection = NULL;
	parcel_postpone_others(entry->parcel);
	if (again) {
		mark_closed(entry);
		prepend(&delivery->waiting, entry);
		pump(delivery);
		return;
	}
	if (used && entry->parcel->answered)
		parcel_hasten(entry->parcel);
	submit(entry);
}

/* 0, and done follows; or an error, and the connection was passed. */
static int begin(struct queue_entry *entry,
                 struct delivery_connection *connection)
{
	struct parcel *parcel = entry->parcel;
	struct smtp_transaction transaction = {
	    .sender = parcel->message.sender,
	    .recipients = parcel->addresses,
	    .recipient_count = parcel->sending,
	    .recipient = on_recipient,
	    .done = on_done,
	    .context = entry,
	};
	int result = parcel_open(parcel, entry->delivery->options.spool);

	if (result) {
		connection_pass(connection);
		return result;
	}
	transaction.source = parcel_source(parcel);
	entry->connection = connection;
	mark_open(entry);
	result = connection_begin(connection, &transaction);
	if (result == 0)
		return 0;
	mark_closed(entry);
	entry->connection = NULL;
	parcel_close(parcel);
	return result;
}

/* Begins the transaction; what cannot be begun is deferred. */
static void send(struct queue_entry *entry,
                 struct delivery_connection *connection)
{
	struct delivery *delivery = entry->delivery;
	char id[ID_TEXT_SIZE];
	int result = begin(entry, connection);

	if (result == 0) {
		trouble_over(&delivery->reading);
		return;
	}
	if (trouble_is_passing(result)) {
		/* The message is not to blame: no try is counted. */
		trouble_note(&delivery->reading, result,
		             "delivery cannot begin", "no body to read");
		postpone(entry, clock_wall_ms() + STORE_RETRY_MS,
		         "the store was away");
		return;
	}
	log_error(id_format(&entry->lease.message, id),
	          "delivery cannot begin: %s", error_name(result));
	defer(entry, "the message could not be read or addressed");
}

/* --- connections ---------------------------------------------------------- */

static void open_connections(struct delivery *delivery)
{
	size_t limit = (size_t)delivery->options.config->next_hop_connections;
	struct delivery_pool *pool = delivery->pool;

	while (!delivery->probing && !atomic_load(&delivery->away) &&
	       delivery->waiting.count > delivery_pool_connecting(pool) &&
	       delivery->open + delivery_pool_connecting(pool) <
	           delivery->window &&
	       delivery_pool_count(pool) < limit)
		connection_open(pool);
}

static void open_elsewhere(struct queue_entry *entry)
{
	struct error err = {.text = ""};

	if (connection_open_elsewhere(entry->delivery->pool,
	                              entry->parcel->next_hop, entry, &err))
		defer(entry, err.text);
}

static void on_elsewhere(void *context, void *request,
                         struct delivery_connection *connection,
                         const char *why)
{
	struct queue_entry *entry = request;

	(void)context;
	if (connection)
		send(entry, connection);
	else if (why)
		defer(entry, why);
	else
		postpone(entry, clock_wall_ms(), "the agent was stopped");
}

/*
 * The next one to send. One whose claim is lost, or may end before it is sent,
 * is given back: two would send it otherwise.
 */
static struct queue_entry *take_waiting(struct delivery *delivery,
                                        struct queue *list)
{
	struct queue_entry *entry;

	while ((entry = take_first(list))) {
		if (lease_is_safe(delivery->leases, &entry->lease))
			return entry;
		postpone(entry, clock_wall_ms(),
		         entry->lease.lost ? "claimed by another agent"
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

/* Does what can be done: begins parcels, opens connections, asks for more. */
static void pump(struct delivery *delivery)
{
	struct delivery_connection *connection;
	struct queue_entry *entry;

	if (!delivery->stopping && store_is_away(delivery))
		return;
	/* What the store does not know of, a crash delivers again. */
	while (!delivery->stopping && delivery->waiting.first &&
	       delivery->open < delivery->window &&
	       (connection = connection_find(delivery->pool))) {
		entry = take_waiting(delivery, &delivery->waiting);
		if (entry)
			send(entry, connection);
	}
	while (!delivery->stopping &&
	       delivery_pool_elsewhere(delivery->pool) < ELSEWHERE_MOST &&
	       (entry = take_waiting(delivery, &delivery->elsewhere)))
		open_elsewhere(entry);
	if (!delivery->stopping)
		open_connections(delivery);
	claimer_want(delivery->claimer,
	             !delivery->stopping &&
	                 delivery->waiting.count + delivery->elsewhere.count <
	                     LOW_WATER);
}

static void on_changed(void *context)
{
	pump(context);
}

static void on_reached(void *context)
{
	struct delivery *delivery = context;

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

static void on_unreached(void *context, const char *why)
{
	struct delivery *delivery = context;
	char reason[300];
	int64_t pause_ms;

	if (delivery->stopping)
		return;
	if (!delivery->probing)
		delivery->failures++;
	pause_ms = probe_pause_ms(delivery->failures);
	delivery->probing = true;
	loop_timer_start(delivery->probe, pause_ms);
	/* One with which there are sessions takes no more than it has. */
	if (delivery_pool_count(delivery->pool) >
	    delivery_pool_connecting(delivery->pool))
		return;
	(void)snprintf(reason, sizeof(reason), "next hop [%s]:%u: %s",
	               delivery->options.config->next_hop.address,
	               delivery->options.config->next_hop.port, why);
	if (!atomic_exchange(&delivery->away, true))
		log_warning("delivery", "%s; mail waits in the spool", reason);
	postpone_all(&delivery->waiting, clock_wall_ms() + pause_ms, reason);
}

static void on_probe(void *argument)
{
	struct delivery *delivery = argument;

	delivery->probing = false;
	if (delivery->stopping)
		return;
	if (atomic_load(&delivery->away) &&
	    delivery_pool_connecting(delivery->pool) == 0)
		connection_open(delivery->pool);
	pump(delivery);
}

static void on_resume(void *argument)
{
	pump(argument);
}

/* --- what was claimed ----------------------------------------------------- */

static bool is_away(void *context)
{
	struct delivery *delivery = context;

	return atomic_load(&delivery->away);
}

static void take_claimed(struct delivery *delivery,
                         struct spool_message *message, int64_t lease_until_ms)
{
	struct queue_entry *entry;

	/* It stays claimed until it is discarded. */
	if (disowned_has(delivery->options.disowned, &message->id))
		return;
	lease_skip_kept(delivery->leases, message);
	entry = entry_new(delivery, message, lease_until_ms);
	if (!entry)
		return;
	delivery->in_flight++;
	lease_keep(delivery->leases, &entry->lease);
	if (*entry->parcel->next_hop)
		append(&delivery->elsewhere, entry);
	else if (atomic_load(&delivery->away))
		postpone(entry, clock_wall_ms(), "the next hop was away");
	else
		append(&delivery->waiting, entry);
}

static void on_claimed(void *context, struct spool_page *page,
                       int64_t lease_until_ms)
{
	struct delivery *delivery = context;

	for (size_t i = 0; !delivery->stopping && i < page->count; i++)
		take_claimed(delivery, &page->messages[i], lease_until_ms);
	pump(delivery);
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
	struct queue_entry *entry = argument;
	struct delivery *delivery = entry->delivery;

	delivery->in_flight++;
	lease_keep(delivery->leases, &entry->lease);
	if (delivery->stopping || atomic_load(&delivery->away)) {
		postpone(entry, clock_wall_ms(), "the next hop was away");
		return;
	}
	append(&delivery->waiting, entry);
	pump(delivery);
}

void delivery_take(struct delivery *delivery, struct spool_message *message,
                   char *body, size_t body_size, size_t reserved)
{
	int64_t lease_until_ms =
	    message->received_ms + delivery->options.config->queue_lease_ms;
	bool fresh = message->registered;
	struct queue_entry *entry =
	    entry_new(delivery, message, lease_until_ms);

	if (!entry) {
		free(body);
		delivery_unreserve(delivery, reserved);
		return;
	}
	entry->parcel->body = body;
	entry->parcel->body_size = body_size;
	entry->parcel->fresh = fresh;
	entry->reserved = reserved;
	loop_post(delivery->options.loop, on_handed, entry);
}

void delivery_wake(struct delivery *delivery)
{
	claimer_wake(delivery->claimer);
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
}

/* On the loop: timers belong to it. */
static void on_start(void *argument)
{
	struct delivery *delivery = argument;

	delivery->probe =
	    loop_timer_new(delivery->options.loop, on_probe, delivery);
	delivery->resume =
	    loop_timer_new(delivery->options.loop, on_resume, delivery);
	leases_start(delivery->leases);
	pump(delivery);
}

/* What delivery is put together of; the claiming thread waits until mail is
 * wanted. */
static int make_parts(struct delivery *delivery, struct error *err)
{
	const struct delivery_options *options = &delivery->options;
	struct leases_options leases = {
	    .config = options->config,
	    .writer = options->writer,
	    .loop = options->loop,
	    .renewed = on_changed,
	    .context = delivery,
	};
	struct delivery_pool_options pool = {
	    .config = options->config,
	    .loop = options->loop,
	    .changed = on_changed,
	    .reached = on_reached,
	    .unreached = on_unreached,
	    .elsewhere = on_elsewhere,
	    .context = delivery,
	};
	struct claimer_options claimer = {
	    .config = options->config,
	    .spool = options->spool,
	    .loop = options->loop,
	    .away = is_away,
	    .claimed = on_claimed,
	    .context = delivery,
	};

	delivery->leases = leases_new(&leases);
	delivery->pool = delivery_pool_new(&pool);
	return claimer_start(&delivery->claimer, &claimer, err);
}

int delivery_start(struct delivery **delivery,
                   const struct delivery_options *options, struct error *err)
{
	struct delivery *made = mem_alloc(sizeof(*made));
	int result;

	made->options = *options;
	atomic_init(&made->away, false);
	atomic_init(&made->reserved, 0);
	atomic_init(&made->handed, 0);
	(void)pthread_mutex_init(&made->lock, NULL);
	condition_init(&made->quiet);
	made->reading.part = "delivery";
	made->window = WINDOW_FIRST;
	make_metrics(made);
	result = make_parts(made, err);
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
	delivery_pool_close(delivery->pool, false);
	postpone_all(&delivery->waiting, clock_wall_ms(),
	             "the agent was stopped");
	postpone_all(&delivery->elsewhere, clock_wall_ms(),
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
	delivery_pool_close(delivery->pool, true);
	leases_stop(delivery->leases);
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
	claimer_stop(delivery->claimer);
	loop_post(delivery->options.loop, on_stop, delivery);
	await_quiet(delivery, timeout_ms);
	loop_post(delivery->options.loop, on_cut, delivery);
	await_over(delivery);
}

void delivery_free(struct delivery *delivery)
{
	if (!delivery)
		return;
	claimer_free(delivery->claimer);
	delivery_pool_free(delivery->pool);
	leases_free(delivery->leases);
	(void)pthread_cond_destroy(&delivery->quiet);
	(void)pthread_mutex_destroy(&delivery->lock);
	free(delivery);
}
