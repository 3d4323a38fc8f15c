/* Checks the Bearer key of an agent (RFC 6750 section 2.1). */
#include "cloud-service/api/auth.h"

#include <string.h>
#include <strings.h>

#include "cloud-service/api/key-cache.h"
#include "common/clock.h"
#include "common/crypto.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789-_";

/* The form alone, by position: "_" is one of the letters too. */
static bool is_key(const char *text)
{
	return strlen(text) == API_KEY_SIZE - 1 && !strncmp(text, "tk_", 3) &&
	       text[API_KEY_PREFIX_SIZE - 1] == '_' &&
	       strspn(text + 3, alphabet) == API_KEY_SIZE - 4;
}

/* Looks the key up in the registry. */
static int find_key(struct registry *registry, const char *text,
                    const uint8_t hash[CRYPTO_HASH_SIZE],
                    struct api_caller *caller, struct error *err)
{
	struct registry_key key;
	bool valid;
	int result;

	memcpy(caller->prefix, text, sizeof(caller->prefix) - 1);
	caller->prefix[sizeof(caller->prefix) - 1] = '\0';
	result = registry_key_find(registry, caller->prefix, &key, err);
	if (result == ERR_NOT_FOUND)
		return error_set(err, ERR_DENIED, "unknown key");
	/* It is the cloud that the store denies, not the agent. */
	if (result == ERR_DENIED)
		return error_set(err, ERR_UNAVAILABLE, "the store refuses us");
	if (result)
		return result;
	valid = crypto_equal(hash, key.hash, sizeof(key.hash)) &&
	        key.revoked_ms == 0;
	caller->tenant = key.tenant;
	id_format(&key.tenant, caller->tenant_text);
	snprintf(caller->agent, sizeof(caller->agent), "%s", key.agent);
	registry_key_release(&key);
	return valid ? 0 : error_set(err, ERR_DENIED, "unknown key");
}

int api_check_key(struct registry *registry, struct key_cache *cache,
                  const char *authorization, struct api_caller *caller,
                  struct error *err)
{
	int64_t start_ms = clock_monotonic_ms();
	uint8_t hash[CRYPTO_HASH_SIZE];
	int result;

	if (!authorization || strncasecmp(authorization, "Bearer ", 7))
		return error_set(err, ERR_DENIED, "no key");
	authorization += 7;
	authorization += strspn(authorization, " ");
	if (!is_key(authorization))
		return error_set(err, ERR_DENIED, "not a key");
	crypto_sha256(authorization, API_KEY_SIZE - 1, hash);
	if (key_cache_find(cache, hash, caller))
		return 0;
	if (!registry)
		return error_set(err, ERR_NOT_FOUND, "not in the cache");
	result = find_key(registry, authorization, hash, caller, err);
	if (!result)
		key_cache_put(cache, hash, start_ms, caller);
	return result;
}

/* Answers 401 for no valid key, 503 when the registry cannot tell. */
static void refuse(struct http_request *request, int result)
{
	if (result == ERR_DENIED) {
		http_add_header(request, "WWW-Authenticate", "Bearer");
		http_reply_problem(request, 401, "unauthorized",
		                   "a valid API key is needed");
	} else {
		http_add_header(request, "Retry-After", "5");
		http_reply_problem(request, 503, "unavailable",
		                   "the registry cannot be reached now");
	}
}

bool api_authenticate(struct http_request *request, struct cloud *cloud,
                      struct api_caller *caller)
{
	struct error err = {0};
	int result =
	    api_check_key(cloud->registry, cloud->keys,
	                  http_header(request, "Authorization"), caller, &err);

	if (result)
		refuse(request, result);
	return result == 0;
}

enum http_admission api_admit(struct http_request *request, bool may_block,
                              void *context)
{
	struct cloud *cloud = context;
	struct api_caller caller;
	struct error err = {0};
	int result;

	if (strncmp(http_path(request), "/v1/", 4) != 0)
		return HTTP_ANONYMOUS;
	result =
	    api_check_key(may_block ? cloud->registry : NULL, cloud->keys,
	                  http_header(request, "Authorization"), &caller, &err);
	if (result == ERR_NOT_FOUND)
		return HTTP_UNDECIDED;
	if (result) {
		refuse(request, result);
		return HTTP_REFUSED;
	}
	http_set_owner(request, caller.tenant_text);
	return HTTP_AUTHORISED;
}

void api_key_draw(char key[API_KEY_SIZE], char prefix[API_KEY_PREFIX_SIZE],
                  uint8_t hash[CRYPTO_HASH_SIZE])
{
	uint8_t name[6], secret[32];
	char name_text[9], secret_text[44];

	random_bytes(name, sizeof(name));
	random_bytes(secret, sizeof(secret));
	base64url_encode(name, sizeof(name), name_text, sizeof(name_text));
	snprintf(prefix, API_KEY_PREFIX_SIZE, "tk_%s", name_text);
	base64url_encode(secret, sizeof(secret), secret_text,
	                 sizeof(secret_text));
	snprintf(key, API_KEY_SIZE, "%s_%s", prefix, secret_text);
	crypto_sha256(key, API_KEY_SIZE - 1, hash);
}
