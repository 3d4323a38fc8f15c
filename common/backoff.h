/* When what failed is tried again: pauses that double up to a maximum. */
#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* A schedule: pauses double from minimum to maximum. */
struct backoff {
	int64_t minimum_ms, maximum_ms;
	int64_t give_up_ms; /* pauses in all */
};

/* The pause after this many failed tries, in milliseconds; 0 is as 1. */
int64_t backoff_delay_ms(const struct backoff *backoff, unsigned attempts);

/*
 * Whether no other try is due after this many failed ones: the pauses so far,
 * this one included, would reach give_up_ms.
 */
bool backoff_exhausted(const struct backoff *backoff, unsigned attempts);

#endif
