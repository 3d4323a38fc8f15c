/* Waiting on conditions by the monotonic clock. */
#include "common/condition.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "common/clock.h"

/* A thread that waits, on its own stack, while the clock may be moved. */
struct waiter {
	pthread_cond_t *condition;
	pthread_mutex_t *lock;
	bool reckons_anew; /* its wait goes by the clock as it is now */
	struct waiter *next;
};

static atomic_bool follows;
static pthread_mutex_t waiters_lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiter *waiters;

void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(condition, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

/* until_ms is the system's clock's. */
static bool wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                       int64_t until_ms)
{
	struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
	                         .tv_nsec = (long)(until_ms % 1000) * 1000000};

	return pthread_cond_timedwait(condition, lock, &until) == 0;
}

static void remove_waiter(struct waiter *waiter)
{
	struct waiter **place = &waiters;

	(void)pthread_mutex_lock(&waiters_lock);
	while (*place != waiter)
		place = &(*place)->next;
	*place = waiter->next;
	(void)pthread_mutex_unlock(&waiters_lock);
}

static bool wait_following(pthread_cond_t *condition, pthread_mutex_t *lock,
                           int64_t until_ms)
{
	struct waiter waiter = {
	    .condition = condition, .lock = lock, .reckons_anew = true};
	int64_t moved_ms;
	bool woken;

	(void)pthread_mutex_lock(&waiters_lock);
	waiter.next = waiters;
	waiters = &waiter;
	moved_ms = clock_moved_ms();
	(void)pthread_mutex_unlock(&waiters_lock);
	woken = wait_until(condition, lock, until_ms - moved_ms);
	remove_waiter(&waiter);
	return woken && clock_monotonic_ms() < until_ms;
}

bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                          int64_t until_ms)
{
	if (atomic_load_explicit(&follows, memory_order_relaxed))
		return wait_following(condition, lock, until_ms);
	return wait_until(condition, lock, until_ms);
}

void condition_follow_clock(void)
{
	atomic_store(&follows, true);
}

/*
 * Wakes those that wait by the clock as it was; whether all of them were. One
 * whose lock is held may not sleep yet, and would miss it.
 */
static bool wake_waiters(void)
{
	struct waiter *waiter;
	bool all = true;

	(void)pthread_mutex_lock(&waiters_lock);
	for (waiter = waiters; waiter; waiter = waiter->next) {
		if (waiter->reckons_anew)
			continue;
		if (pthread_mutex_trylock(waiter->lock)) {
			all = false;
			continue;
		}
		(void)pthread_cond_broadcast(waiter->condition);
		(void)pthread_mutex_unlock(waiter->lock);
		waiter->reckons_anew = true;
	}
	(void)pthread_mutex_unlock(&waiters_lock);
	return all;
}

void condition_move_clock_ms(int64_t ms)
{
	struct waiter *waiter;

	(void)pthread_mutex_lock(&waiters_lock);
	clock_move_ms(ms);
	for (waiter = waiters; waiter; waiter = waiter->next)
		waiter->reckons_anew = false;
	(void)pthread_mutex_unlock(&waiters_lock);
	while (!wake_waiters())
		(void)sched_yield();
}
