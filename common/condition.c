/* Waiting on conditions by the monotonic clock. */
#include "common/condition.h"

#include <time.h>

void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(condition, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                          int64_t until_ms)
{
	struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
	                         .tv_nsec = (long)(until_ms % 1000) * 1000000};

	return pthread_cond_timedwait(condition, lock, &until) == 0;
}
