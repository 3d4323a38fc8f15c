/*
 * An event loop with a thread of its own, over libevent, and the messages by
 * which other threads reach it.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdint.h>

#include "common/error.h"

struct event_base;
struct loop;
struct loop_timer;

/* Runs on the loop's thread. */
typedef void (*loop_function)(void *argument);

/*
 * Starts a thread named name (15 bytes at most) that runs a loop. The caller
 * owns *loop and ends it with loop_stop(). 0, or ERR_UNAVAILABLE.
 */
int loop_start(struct loop **loop, const char *name, struct error *err);

/*
 * Asks the loop to end once what was posted before has run, waits for its
 * thread and frees it. Not from the loop's own thread. NULL is allowed.
 */
void loop_stop(struct loop *loop);

/*
 * Runs function(argument) on the loop's thread, after everything posted
 * before. Any thread; never blocks; never fails.
 */
void loop_post(struct loop *loop, loop_function function, void *argument);

/* Whether the caller is the loop's own thread. */
int loop_is_current(const struct loop *loop);

/* The libevent base, for the loop's own thread alone. */
struct event_base *loop_base(struct loop *loop);

/* A timer that is not running; made and used on the loop's thread alone. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_function function,
                                  void *argument);

/* Fires once, delay_ms from now; a running timer is set anew. */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms);

/* Stops the timer; it can be started again. */
void loop_timer_stop(struct loop_timer *timer);

/* Stops and frees. NULL is allowed. */
void loop_timer_free(struct loop_timer *timer);

#endif
