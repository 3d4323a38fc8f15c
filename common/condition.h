/* Conditions that threads wait on by the monotonic clock. */
#ifndef COMMON_CONDITION_H
#define COMMON_CONDITION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Makes a condition for condition_wait_until(). It ends with
 * pthread_cond_destroy(); signals are those of pthread.
 */
void condition_init(pthread_cond_t *condition);

/*
 * Waits, with lock held before and after, for a signal or until
 * clock_monotonic_ms() is until_ms: a wall clock that is set has no part in
 * it. False when that moment has come; a wait may end for no reason too.
 */
bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                          int64_t until_ms);

#endif
