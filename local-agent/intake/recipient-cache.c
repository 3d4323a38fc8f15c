/* A hash table of recipients, chained by age. */
#include "local-agent/intake/recipient-cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/mem.h"

#define BUCKETS 16384

struct recipient_cache {
	struct recipient_known *buckets[BUCKETS];
	struct recipient_known *newest, *oldest;
	size_t count, maximum;
};

struct recipient_cache *recipient_cache_new(size_t maximum)
{
	struct recipient_cache *cache = mem_alloc(sizeof(*cache));

	cache->maximum = maximum;
	return cache;
}

void recipient_cache_free(struct recipient_cache *cache)
{
	struct recipient_known *known, *older;

	if (!cache)
		return;
	for (known = cache->newest; known; known = older) {
		older = known->older;
		free(known);
	}
	free(cache);
}

/* The place that points to the address, or the end of its chain. */
static struct recipient_known **find(struct recipient_cache *cache,
                                     const char *address)
{
	uint64_t hash = crypto_table_hash_text(address);
	struct recipient_known **place = &cache->buckets[hash % BUCKETS];

	while (*place && strcmp((*place)->address, address) != 0)
		place = &(*place)->next;
	return place;
}

static void take_out(struct recipient_cache *cache,
                     struct recipient_known *known)
{
	if (known->newer)
		known->newer->older = known->older;
	else
		cache->newest = known->older;
	if (known->older)
		known->older->newer = known->newer;
	else
		cache->oldest = known->newer;
}

static void put_first(struct recipient_cache *cache,
                      struct recipient_known *known)
{
	known->newer = NULL;
	known->older = cache->newest;
	if (cache->newest)
		cache->newest->newer = known;
	else
		cache->oldest = known;
	cache->newest = known;
}

/* Drops the oldest that nobody waits for; those are as few as sessions. */
static void make_room(struct recipient_cache *cache)
{
	struct recipient_known *known = cache->oldest;

	while (known && known->waiting)
		known = known->newer;
	if (!known)
		return;
	*find(cache, known->address) = known->next;
	take_out(cache, known);
	cache->count--;
	free(known);
}

struct recipient_known *recipient_cache_get(struct recipient_cache *cache,
                                            const char *address)
{
	struct recipient_known *known = *find(cache, address);
	size_t size = strlen(address) + 1;

	if (known) {
		take_out(cache, known);
		put_first(cache, known);
		return known;
	}
	if (cache->count >= cache->maximum)
		make_room(cache);
	known = mem_alloc(sizeof(*known) + size);
	memcpy(known->address, address, size);
	*find(cache, address) = known;
	put_first(cache, known);
	cache->count++;
	return known;
}

struct recipient_known *recipient_cache_find(struct recipient_cache *cache,
                                             const char *address)
{
	return *find(cache, address);
}

size_t recipient_cache_count(const struct recipient_cache *cache)
{
	return cache->count;
}
