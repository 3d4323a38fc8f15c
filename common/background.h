/* A thread that works in rounds, rests between them and can be stopped. */
#ifndef COMMON_BACKGROUND_H
#define COMMON_BACKGROUND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Zeroed until it is started; the fields are background.c's own. */
struct background {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started, stopping;
};

/*
 * Starts a thread of this name (15 characters at the most) that runs
 * run(context) until it returns. 0, or ERR_UNAVAILABLE with nothing started.
 */
int background_start(struct background *background, const char *name,
                     void *(*run)(void *context), void *context,
                     struct error *err);

/*
 * Sleeps for pause_ms, on the thread itself. False at once when it is to stop:
 * run() must return then.
 */
bool background_rest(struct background *background, int64_t pause_ms);

/* Asks the thread to stop and returns at once. Any thread. */
void background_end(struct background *background);

/* Asks the thread to stop and waits for it; nothing if it never started. */
void background_stop(struct background *background);

#endif
