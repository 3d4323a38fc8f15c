/* The thread that claims due mail in the spool and posts it to delivery. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/delivery/private.h"

#define CLAIM_MESSAGES 100
#define LOOK_MS        1000 /* for what another process has changed */
#define EMPTY_PAUSE_MS 200  /* something was due, and another took it */
#define ERROR_PAUSE_MS 5000

/* A claimed page on its way to the loop. */
struct claimed {
	struct delivery *delivery;
	struct spool_page page;
	int64_t lease_until_ms;
};

/* Waits until mail is wanted and timeout_ms passed or it was woken. */
static bool await_turn(struct claimer *claimer, int64_t timeout_ms)
{
	int64_t until_ms = clock_monotonic_ms() + timeout_ms;
	bool go_on;

	(void)pthread_mutex_lock(&claimer->lock);
	while (
	    !claimer->stopping && !claimer->woken &&
	    condition_wait_until(&claimer->changed, &claimer->lock, until_ms))
		;
	while (!claimer->stopping && !claimer->wanted)
		(void)pthread_cond_wait(&claimer->changed, &claimer->lock);
	claimer->woken = false;
	go_on = !claimer->stopping;
	(void)pthread_mutex_unlock(&claimer->lock);
	return go_on;
}

static void take_page(struct delivery *delivery, struct claimed *claimed)
{
	size_t i;

	for (i = 0; i < claimed->page.count; i++) {
		struct spool_message *message = &claimed->page.messages[i];
		struct parcel *parcel;

		/* It stays claimed until it is discarded. */
		if (disowned_has(delivery->options.disowned, &message->id))
			continue;
		lease_skip_kept(delivery, message);
		parcel = parcel_new(delivery, message, claimed->lease_until_ms);
		if (!parcel)
			continue;
		delivery->in_flight++;
		lease_keep(parcel);
		if (atomic_load(&delivery->away) && !*parcel->next_hop)
			parcel_postpone(parcel, clock_wall_ms(),
			                "the next hop was away");
		else
			delivery_queue(delivery, parcel);
	}
}

/* On the loop. */
static void on_claimed(void *argument)
{
	struct claimed *claimed = argument;
	struct delivery *delivery = claimed->delivery;

	if (!delivery->stopping)
		take_page(delivery, claimed);
	spool_page_release(&claimed->page);
	free(claimed);
	delivery_pump(delivery);
}

/* Two claims never have the same end, by which each knows its own. */
static int64_t claim_time(struct claimer *claimer)
{
	int64_t now_ms = clock_wall_ms();

	if (now_ms <= claimer->last_claim_ms)
		now_ms = claimer->last_claim_ms + 1;
	claimer->last_claim_ms = now_ms;
	return now_ms;
}

static int claim_page(struct delivery *delivery, bool *any, struct error *err)
{
	struct claimed *claimed = mem_alloc(sizeof(*claimed));
	const struct agent_config *config = delivery->options.config;
	int64_t lease_ms = config->queue_lease_ms;
	int64_t now_ms = claim_time(&delivery->claimer);
	int64_t due_ms = now_ms;
	int result;

	/* While the next hop is away, what an admin sent elsewhere. */
	if (atomic_load(&delivery->away))
		due_ms = DELIVERY_ELSEWHERE_MS;
	claimed->delivery = delivery;
	claimed->lease_until_ms = now_ms + lease_ms;
	result = spool_claim(delivery->options.spool, config->agent_name,
	                     due_ms, claimed->lease_until_ms - due_ms,
	                     CLAIM_MESSAGES, &claimed->page, err);
	*any = result == 0 && claimed->page.count > 0;
	if (!*any) {
		spool_page_release(&claimed->page);
		free(claimed);
		return result;
	}
	/* The loop asks again once it has room for more. */
	claimer_want(delivery, false);
	loop_post(delivery->options.loop, on_claimed, claimed);
	return 0;
}

/* Whether it is time to look for leases of others that ended. */
static bool must_sweep(const struct delivery *delivery, int64_t now_ms)
{
	int64_t age_ms = now_ms - delivery->claimer.last_claim_ms;

	return age_ms >= delivery->options.config->queue_lease_ms / 2;
}

/* Claims what is due; returns how long to wait before the next look. */
static int64_t look(struct delivery *delivery)
{
	struct error err = {.text = ""};
	int64_t due_ms, now_ms = clock_wall_ms();
	bool any = false;
	int result = spool_next_due(delivery->options.spool, &due_ms, &err);

	if (result == 0 && (due_ms <= now_ms || must_sweep(delivery, now_ms))) {
		result = claim_page(delivery, &any, &err);
		due_ms = any ? now_ms : now_ms + EMPTY_PAUSE_MS;
		if (atomic_load(&delivery->away))
			due_ms = now_ms + LOOK_MS;
	}
	if (result) {
		trouble_note(&delivery->claimer.trouble, result,
		             "cannot claim mail", err.text);
		return ERROR_PAUSE_MS;
	}
	trouble_over(&delivery->claimer.trouble);
	if (due_ms - now_ms > LOOK_MS)
		return LOOK_MS;
	return due_ms > now_ms ? due_ms - now_ms : 0;
}

static void *claimer_run(void *argument)
{
	struct delivery *delivery = argument;
	int64_t pause_ms = 0;

	while (await_turn(&delivery->claimer, pause_ms))
		pause_ms = look(delivery);
	return NULL;
}

int claimer_start(struct delivery *delivery, struct error *err)
{
	struct claimer *claimer = &delivery->claimer;
	int number;

	claimer->trouble.part = "delivery";
	(void)pthread_mutex_init(&claimer->lock, NULL);
	condition_init(&claimer->changed);
	number = pthread_create(&claimer->thread, NULL, claimer_run, delivery);
	if (number)
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "cannot start the claiming thread");
	(void)pthread_setname_np(claimer->thread, "claim");
	return 0;
}

void claimer_stop(struct delivery *delivery)
{
	struct claimer *claimer = &delivery->claimer;

	(void)pthread_mutex_lock(&claimer->lock);
	claimer->stopping = true;
	(void)pthread_cond_signal(&claimer->changed);
	(void)pthread_mutex_unlock(&claimer->lock);
	(void)pthread_join(claimer->thread, NULL);
}

void claimer_release(struct delivery *delivery)
{
	(void)pthread_cond_destroy(&delivery->claimer.changed);
	(void)pthread_mutex_destroy(&delivery->claimer.lock);
}

void claimer_want(struct delivery *delivery, bool wanted)
{
	struct claimer *claimer = &delivery->claimer;
	bool news;

	(void)pthread_mutex_lock(&claimer->lock);
	news = wanted && !claimer->wanted;
	claimer->wanted = wanted;
	if (news)
		(void)pthread_cond_signal(&claimer->changed);
	(void)pthread_mutex_unlock(&claimer->lock);
}

void claimer_wake(struct delivery *delivery)
{
	struct claimer *claimer = &delivery->claimer;

	(void)pthread_mutex_lock(&claimer->lock);
	claimer->woken = true;
	(void)pthread_cond_signal(&claimer->changed);
	(void)pthread_mutex_unlock(&claimer->lock);
}
