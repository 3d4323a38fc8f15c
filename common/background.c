/* Threads that work in rounds: start, rest and stop. */
#include "common/background.h"

#include "common/clock.h"
#include "common/condition.h"

int background_start(struct background *background, const char *name,
                     void *(*run)(void *context), void *context,
                     struct error *err)
{
	int number;

	background->stopping = false;
	(void)pthread_mutex_init(&background->lock, NULL);
	condition_init(&background->changed);
	number = pthread_create(&background->thread, NULL, run, context);
	if (number) {
		(void)pthread_cond_destroy(&background->changed);
		(void)pthread_mutex_destroy(&background->lock);
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "cannot start the thread %s", name);
	}
	(void)pthread_setname_np(background->thread, name);
	background->started = true;
	return 0;
}

bool background_rest(struct background *background, int64_t pause_ms)
{
	int64_t until_ms = clock_monotonic_ms() + pause_ms;
	bool stopping;

	(void)pthread_mutex_lock(&background->lock);
	while (!background->stopping &&
	       condition_wait_until(&background->changed, &background->lock,
	                            until_ms))
		;
	stopping = background->stopping;
	(void)pthread_mutex_unlock(&background->lock);
	return !stopping;
}

void background_end(struct background *background)
{
	if (!background->started)
		return;
	(void)pthread_mutex_lock(&background->lock);
	background->stopping = true;
	(void)pthread_cond_broadcast(&background->changed);
	(void)pthread_mutex_unlock(&background->lock);
}

void background_stop(struct background *background)
{
	if (!background->started)
		return;
	background_end(background);
	(void)pthread_join(background->thread, NULL);
	(void)pthread_cond_destroy(&background->changed);
	(void)pthread_mutex_destroy(&background->lock);
	background->started = false;
}
