/* Leaves a smarthost alone that refuses us, ever longer. */
#include "cloud-service/mail/breaker.h"

#include "cloud-service/cloud-metrics.h"
#include "common/log.h"

void breaker_init(struct breaker *breaker, int64_t minimum_ms,
                  int64_t maximum_ms)
{
	*breaker = (struct breaker){
	    .backoff = {.minimum_ms = minimum_ms, .maximum_ms = maximum_ms}};
	pthread_mutex_init(&breaker->lock, NULL);
	set_smarthost_refuses(false);
}

void breaker_release(struct breaker *breaker)
{
	pthread_mutex_destroy(&breaker->lock);
}

int64_t breaker_pause_ms(struct breaker *breaker, int64_t now_ms)
{
	int64_t left;

	pthread_mutex_lock(&breaker->lock);
	left = breaker->until_ms - now_ms;
	pthread_mutex_unlock(&breaker->lock);
	return left > 0 ? left : 0;
}

void breaker_taken(struct breaker *breaker)
{
	pthread_mutex_lock(&breaker->lock);
	if (breaker->until_ms)
		log_info("mail", "the smarthost takes mail again");
	breaker->refusals = 0;
	breaker->taken = true;
	breaker->until_ms = 0;
	set_smarthost_refuses(false);
	pthread_mutex_unlock(&breaker->lock);
}

bool breaker_refused(struct breaker *breaker, bool perhaps, int64_t now_ms)
{
	unsigned needed = perhaps ? 2 : 1;
	bool taken;

	pthread_mutex_lock(&breaker->lock);
	taken = breaker->taken;
	breaker->taken = false;
	breaker->refusals++;
	if (breaker->refusals >= needed) {
		breaker->until_ms =
		    now_ms + backoff_delay_ms(&breaker->backoff,
		                              breaker->refusals - needed + 1);
		set_smarthost_refuses(true);
	}
	pthread_mutex_unlock(&breaker->lock);
	return taken;
}
