/* Leaves a smarthost alone that refuses us, ever longer. */
#ifndef CLOUD_BREAKER_H
#define CLOUD_BREAKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/backoff.h"

/*
 * Closed while mails are taken. A refusal of us, whatever the mail, opens it:
 * nothing is sent for a pause that doubles with each further refusal. What is
 * taken closes it. Made by breaker_init().
 */
struct breaker {
	pthread_mutex_t lock;
	struct backoff backoff;
	unsigned refusals; /* since one was taken */
	bool taken;        /* one was taken since the last refusal */
	int64_t until_ms;  /* of clock_monotonic_ms() */
};

/* A closed one with these pauses. */
void breaker_init(struct breaker *breaker, int64_t minimum_ms,
                  int64_t maximum_ms);

/* Releases its lock. */
void breaker_release(struct breaker *breaker);

/* How long nothing is to be sent; 0: it may be tried now. Any thread. */
int64_t breaker_pause_ms(struct breaker *breaker, int64_t now_ms);

/* A mail was taken, or refused for its own sake. Any thread. */
void breaker_taken(struct breaker *breaker);

/*
 * A mail was refused for our sake. The perhaps: the reason may be this mail
 * after all; it takes two such refusals in a row to open. Returns whether
 * another mail had been taken since the last refusal. Any thread.
 */
bool breaker_refused(struct breaker *breaker, bool perhaps, int64_t now_ms);

#endif
