/* Numbers that follow from a seed: not for secrets, only for shapes. */
#ifndef CAPTCHA_SEEDED_H
#define CAPTCHA_SEEDED_H

#include <stdint.h>

/* The state of one sequence (xorshift128+). */
struct seeded {
	uint64_t state[2];
};

/* Starts the sequence of this seed. */
void seeded_init(struct seeded *seeded, const uint64_t seed[2]);

/* The next number, evenly spread over minimum .. maximum. */
float seeded_between(struct seeded *seeded, float minimum, float maximum);

#endif
