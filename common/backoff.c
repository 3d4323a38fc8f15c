/* Pauses that double up to a maximum. */
#include "common/backoff.h"

int64_t backoff_delay_ms(const struct backoff *backoff, unsigned attempts)
{
	int64_t delay_ms = backoff->minimum_ms;
	unsigned i;

	for (i = 1; i < attempts && delay_ms > 0; i++) {
		if (delay_ms >= backoff->maximum_ms / 2)
			return backoff->maximum_ms;
		delay_ms *= 2;
	}
	return delay_ms < backoff->maximum_ms ? delay_ms : backoff->maximum_ms;
}

bool backoff_exhausted(const struct backoff *backoff, unsigned attempts)
{
	int64_t spent_ms = 0;
	unsigned i;

	for (i = 1; i <= attempts; i++) {
		spent_ms += backoff_delay_ms(backoff, i);
		if (spent_ms >= backoff->give_up_ms)
			return true;
	}
	return false;
}
