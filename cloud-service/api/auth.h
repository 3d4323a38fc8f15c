/* Who calls: the API keys of agents. */
#ifndef CLOUD_API_AUTH_H
#define CLOUD_API_AUTH_H

#include <stdbool.h>

#include "cloud-service/cloud.h"
#include "common/id.h"

#define API_KEY_SIZE        56 /* "tk_" 8 "_" 43 and a NUL */
#define API_KEY_PREFIX_SIZE 12 /* "tk_" 8 and a NUL */
#define API_AGENT_SIZE      64

struct key_cache;

/* An agent that showed a valid key. */
struct api_caller {
	struct id tenant;
	char tenant_text[ID_TEXT_SIZE]; /* the key of its long-polls */
	char agent[API_AGENT_SIZE];
	char prefix[API_KEY_PREFIX_SIZE]; /* of the key */
};

/*
 * Reads who calls from the Authorization header. False after 401 (no valid
 * key) or 503 (the registry is away) was answered.
 */
bool api_authenticate(struct http_request *request, struct cloud *cloud,
                      struct api_caller *caller);

/*
 * Checks the value of an Authorization header, by the cache (may be NULL) and
 * the registry: 0, ERR_DENIED for anything that is no valid key, or an error of
 * the store. Without a registry (NULL) it never blocks: ERR_NOT_FOUND for a key
 * that the cache does not hold.
 */
int api_check_key(struct registry *registry, struct key_cache *cache,
                  const char *authorization, struct api_caller *caller,
                  struct error *err);

/*
 * The server's http_authorise: whatever lies below /v1/ needs a valid key, and
 * is its tenant's. Only on a worker is the registry asked for one.
 */
enum http_admission api_admit(struct http_request *request, bool may_block,
                              void *context);

/* Draws a new key into key, with its prefix and the hash that is stored. */
void api_key_draw(char key[API_KEY_SIZE], char prefix[API_KEY_PREFIX_SIZE],
                  uint8_t hash[CRYPTO_HASH_SIZE]);

#endif
