/* API keys that were found valid of late: a table with a fixed size. */
#include "cloud-service/api/key-cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define SLOTS 4096 /* a power of two */

/* A key has one place, by its hash, which nobody can choose without knowing a
 * valid key: only valid ones are put here. */
struct slot {
	uint8_t hash[CRYPTO_HASH_SIZE];
	int64_t until_ms; /* 0: empty */
	struct api_caller caller;
};

struct key_cache {
	pthread_mutex_t lock;
	struct slot slots[SLOTS];
};

struct key_cache *key_cache_new(void)
{
	struct key_cache *cache = mem_alloc(sizeof(*cache));

	(void)pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

void key_cache_free(struct key_cache *cache)
{
	if (!cache)
		return;
	(void)pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static struct slot *slot_of(struct key_cache *cache,
                            const uint8_t hash[CRYPTO_HASH_SIZE])
{
	return &cache->slots[(hash[0] | hash[1] << 8) % SLOTS];
}

bool key_cache_find(struct key_cache *cache,
                    const uint8_t hash[CRYPTO_HASH_SIZE],
                    struct api_caller *caller)
{
	int64_t now_ms = clock_monotonic_ms();
	const struct slot *slot;
	bool found;

	if (!cache)
		return false;
	slot = slot_of(cache, hash);
	(void)pthread_mutex_lock(&cache->lock);
	found = slot->until_ms > now_ms &&
	        crypto_equal(slot->hash, hash, sizeof(slot->hash));
	if (found)
		*caller = slot->caller;
	(void)pthread_mutex_unlock(&cache->lock);
	return found;
}

void key_cache_put(struct key_cache *cache,
                   const uint8_t hash[CRYPTO_HASH_SIZE], int64_t start_ms,
                   const struct api_caller *caller)
{
	struct slot *slot;

	if (!cache)
		return;
	slot = slot_of(cache, hash);
	(void)pthread_mutex_lock(&cache->lock);
	memcpy(slot->hash, hash, sizeof(slot->hash));
	slot->until_ms = start_ms + KEY_CACHE_MS;
	slot->caller = *caller;
	(void)pthread_mutex_unlock(&cache->lock);
}
