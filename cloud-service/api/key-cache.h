/*
 * The API keys that were found valid of late, so that most requests do not wait
 * for the registry. A key that is revoked is refused KEY_CACHE_MS later at the
 * latest, whichever instance revoked it.
 */
#ifndef CLOUD_KEY_CACHE_H
#define CLOUD_KEY_CACHE_H

#include "cloud-service/api/auth.h"
#include "common/crypto.h"

#define KEY_CACHE_MS 3000

struct key_cache;

/* An empty cache; its size never changes. */
struct key_cache *key_cache_new(void);

/* Frees; NULL is allowed. */
void key_cache_free(struct key_cache *cache);

/*
 * Looks for the key with this SHA-256; true with *caller when it was found
 * valid less than KEY_CACHE_MS ago. Any thread; NULL is an empty cache.
 */
bool key_cache_find(struct key_cache *cache,
                    const uint8_t hash[CRYPTO_HASH_SIZE],
                    struct api_caller *caller);

/*
 * The key with this SHA-256 was found valid by a look-up that began at start_ms
 * of the monotonic clock. Takes the place of another where there is no room.
 * Any thread; NULL is allowed.
 */
void key_cache_put(struct key_cache *cache,
                   const uint8_t hash[CRYPTO_HASH_SIZE], int64_t start_ms,
                   const struct api_caller *caller);

#endif
