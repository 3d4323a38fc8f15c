/* The thread that claims due mail in the spool and posts it to the loop. */
#include "local-agent/delivery/claim.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/queue/trouble.h"

#define CLAIM_MESSAGES 100
#define LOOK_MS        1000 /* for what another process has changed */
#define EMPTY_PAUSE_MS 200  /* something was due, and another took it */
#define ERROR_PAUSE_MS 5000

struct claimer {
	struct claimer_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool wanted, woken, stopping;
	/* Of the thread alone. */
	int64_t last_claim_ms;
	struct trouble trouble;
};

/* A claimed page on its way to the loop. */
struct claimed {
	struct claimer *claimer;
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

/* On the loop. */
static void on_claimed(void *argument)
{
	struct claimed *claimed = argument;
	const struct claimer_options *options = &claimed->claimer->options;

	options->claimed(options->context, &claimed->page,
	                 claimed->lease_until_ms);
	spool_page_release(&claimed->page);
	free(claimed);
}

static bool is_away(const struct claimer *claimer)
{
	return claimer->options.away(claimer->options.context);
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

static int claim_page(struct claimer *claimer, bool *any, struct error *err)
{
	struct claimed *claimed = mem_alloc(sizeof(*claimed));
	const struct agent_config *config = claimer->options.config;
	int64_t lease_ms = config->queue_lease_ms;
	int64_t now_ms = claim_time(claimer);
	int64_t due_ms = now_ms;
	int result;

	/* While the next hop is away, what an admin sent elsewhere. */
	if (is_away(claimer))
		due_ms = CLAIM_ELSEWHERE_MS;
	claimed->claimer = claimer;
	claimed->lease_until_ms = now_ms + lease_ms;
	result = spool_claim(claimer->options.spool, config->agent_name, due_ms,
	                     claimed->lease_until_ms - due_ms, CLAIM_MESSAGES,
	                     &claimed->page, err);
	*any = result == 0 && claimed->page.count > 0;
	if (!*any) {
		spool_page_release(&claimed->page);
		free(claimed);
		return result;
	}
	/* The loop asks again once it has room for more. */
	claimer_want(claimer, false);
	loop_post(claimer->options.loop, on_claimed, claimed);
	return 0;
}

/* Whether it is time to look for leases of others that ended. */
static bool must_sweep(const struct claimer *claimer, int64_t now_ms)
{
	int64_t age_ms = now_ms - claimer->last_claim_ms;

	return age_ms >= claimer->options.config->queue_lease_ms / 2;
}

/* Claims what is due; returns how long to wait before the next look. */
static int64_t look(struct claimer *claimer)
{
	struct error err = {.text = ""};
	int64_t due_ms, now_ms = clock_wall_ms();
	bool any = false;
	int result = spool_next_due(claimer->options.spool, &due_ms, &err);

	if (result == 0 && (due_ms <= now_ms || must_sweep(claimer, now_ms))) {
		result = claim_page(claimer, &any, &err);
		due_ms = any ? now_ms : now_ms + EMPTY_PAUSE_MS;
		if (is_away(claimer))
			due_ms = now_ms + LOOK_MS;
	}
	if (result) {
		trouble_note(&claimer->trouble, result, "cannot claim mail",
		             err.text);
		return ERROR_PAUSE_MS;
	}
	trouble_over(&claimer->trouble);
	if (due_ms - now_ms > LOOK_MS)
		return LOOK_MS;
	return due_ms > now_ms ? due_ms - now_ms : 0;
}

static void *claimer_run(void *argument)
{
	struct claimer *claimer = argument;
	int64_t pause_ms = 0;

	while (await_turn(claimer, pause_ms))
		pause_ms = look(claimer);
	return NULL;
}

int claimer_start(struct claimer **claimer,
                  const struct claimer_options *options, struct error *err)
{
	struct claimer *made = mem_alloc(sizeof(*made));
	int number;

	made->options = *options;
	made->trouble.part = "delivery";
	(void)pthread_mutex_init(&made->lock, NULL);
	condition_init(&made->changed);
	number = pthread_create(&made->thread, NULL, claimer_run, made);
	if (number) {
		claimer_free(made);
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "cannot start the claiming thread");
	}
	(void)pthread_setname_np(made->thread, "claim");
	*claimer = made;
	return 0;
}

void claimer_stop(struct claimer *claimer)
{
	(void)pthread_mutex_lock(&claimer->lock);
	claimer->stopping = true;
	(void)pthread_cond_signal(&claimer->changed);
	(void)pthread_mutex_unlock(&claimer->lock);
	(void)pthread_join(claimer->thread, NULL);
}

void claimer_free(struct claimer *claimer)
{
	if (!claimer)
		return;
	(void)pthread_cond_destroy(&claimer->changed);
	(void)pthread_mutex_destroy(&claimer->lock);
	free(claimer);
}

void claimer_want(struct claimer *claimer, bool wanted)
{
	bool news;

	(void)pthread_mutex_lock(&claimer->lock);
	news = wanted && !claimer->wanted;
	claimer->wanted = wanted;
	if (news)
		(void)pthread_cond_signal(&claimer->changed);
	(void)pthread_mutex_unlock(&claimer->lock);
}

void claimer_wake(struct claimer *claimer)
{
	(void)pthread_mutex_lock(&claimer->lock);
	claimer->woken = true;
	(void)pthread_cond_signal(&claimer->changed);
	(void)pthread_mutex_unlock(&claimer->lock);
}
