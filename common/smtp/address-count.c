/* How many sessions each client address has: a hash table under a lock. */
#include <pthread.h>
#include <string.h>

#include "common/crypto.h"
#include "common/mem.h"
#include "common/smtp/listener-private.h"

#define BUCKETS 1024

struct counted {
	struct counted *next;
	unsigned sessions;
	char address[64];
};

struct smtp_address_count {
	pthread_mutex_t lock;
	struct counted *buckets[BUCKETS];
};

struct smtp_address_count *smtp_address_count_new(void)
{
	struct smtp_address_count *count = mem_alloc(sizeof(*count));

	(void)pthread_mutex_init(&count->lock, NULL);
	return count;
}

void smtp_address_count_free(struct smtp_address_count *count)
{
	if (!count)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct counted *one = count->buckets[i];

		while (one) {
			struct counted *next = one->next;

			free(one);
			one = next;
		}
	}
	(void)pthread_mutex_destroy(&count->lock);
	free(count);
}

/* The place that points to the address, or the end of its chain. */
static struct counted **find(struct smtp_address_count *count,
                             const char *address)
{
	uint64_t hash = crypto_table_hash_text(address);
	struct counted **place = &count->buckets[hash % BUCKETS];

	while (*place && strcmp((*place)->address, address) != 0)
		place = &(*place)->next;
	return place;
}

bool smtp_address_count_enter(struct smtp_address_count *count,
                              const char *address, unsigned maximum)
{
	struct counted **place;
	bool entered;

	(void)pthread_mutex_lock(&count->lock);
	place = find(count, address);
	if (!*place) {
		*place = mem_alloc(sizeof(**place));
		(void)snprintf((*place)->address, sizeof((*place)->address),
		               "%s", address);
	}
	entered = (*place)->sessions < maximum;
	if (entered)
		(*place)->sessions++;
	(void)pthread_mutex_unlock(&count->lock);
	return entered;
}

void smtp_address_count_leave(struct smtp_address_count *count,
                              const char *address)
{
	struct counted **place, *one;

	(void)pthread_mutex_lock(&count->lock);
	place = find(count, address);
	one = *place;
	if (one && --one->sessions == 0) {
		*place = one->next;
		free(one);
	}
	(void)pthread_mutex_unlock(&count->lock);
}
