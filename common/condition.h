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

/*
 * For tests, before there are threads: waits that begin from now on hear of
 * condition_move_clock_ms(). The daemons never call it, and pay nothing.
 */
void condition_follow_clock(void);

/*
 * For tests: moves the clocks on by ms, as clock_move_ms() does, and makes
 * every thread that waits look at them anew. Timers of libevent and of other
 * libraries go by the system's clock as ever. Any thread that holds no lock
 * with which another one waits.
 */
void condition_move_clock_ms(int64_t ms);

#endif
