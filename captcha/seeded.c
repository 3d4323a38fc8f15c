/* xorshift128+, its state mixed from the seed by splitmix64. */
#include "captcha/seeded.h"

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

void seeded_init(struct seeded *seeded, const uint64_t seed[2])
{
	uint64_t mix = seed[0];
	seeded->state[0] = splitmix(&mix);
	mix ^= seed[1];
	/* Never both zero, which would stay zero. */
	seeded->state[1] = splitmix(&mix) | 1;
}

static uint64_t next(struct seeded *seeded)
{
	uint64_t a = seeded->state[0], b = seeded->state[1];
	seeded->state[0] = b;
	a ^= a << 23;
	seeded->state[1] = a ^ b ^ a >> 18 ^ b >> 5;
	return seeded->state[1] + b;
}

float seeded_between(struct seeded *seeded, float minimum, float maximum)
{
	float unit = (float)(next(seeded) >> 40) / (float)(1 << 24);
	return minimum + unit * (maximum - minimum);
}
