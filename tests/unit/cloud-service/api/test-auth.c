/* API keys: form, look-up, revocation. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/auth.h"
#include "cloud-service/api/key-cache.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"

static struct cloud_fixture fixture;
static char key[API_KEY_SIZE];

static void set_up(void)
{
	cloud_fixture_open(&fixture, NULL);
	cloud_fixture_key(&fixture, &fixture.tenant, key);
}

static void tear_down(void)
{
	cloud_fixture_close(&fixture);
}

static int check_header(const char *header, struct api_caller *caller)
{
	struct error err = {0};

	return api_check_key(fixture.cloud.registry, NULL, header, caller,
	                     &err);
}

static int check_text(const char *format, const char *text)
{
	struct api_caller caller;
	char *header = mem_format("%s%s", format, text);
	int result = check_header(header, &caller);

	free(header);
	return result;
}

START_TEST(a_valid_key_tells_the_tenant)
{
	struct api_caller caller;
	char header[API_KEY_SIZE + 16], text[ID_TEXT_SIZE];

	snprintf(header, sizeof(header), "Bearer %s", key);
	ck_assert_int_eq(check_header(header, &caller), 0);
	ck_assert(id_equal(&caller.tenant, &fixture.tenant));
	ck_assert_str_eq(caller.tenant_text, id_format(&fixture.tenant, text));
	ck_assert_str_eq(caller.agent, "mx1");
	ck_assert_int_eq(check_text("bearer  ", key), 0);
}
END_TEST

START_TEST(every_changed_letter_is_refused)
{
	size_t i;

	for (i = 0; i < API_KEY_SIZE - 1; i++) {
		char changed[API_KEY_SIZE];

		memcpy(changed, key, sizeof(changed));
		changed[i] = key[i] == 'A' ? 'B' : 'A';
		ck_assert_msg(check_text("Bearer ", changed) == ERR_DENIED,
		              "letter %zu", i);
		changed[i] = '\0';
		ck_assert_msg(check_text("Bearer ", changed) == ERR_DENIED,
		              "cut at %zu", i);
	}
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
	static const char *const rows[] = {
	    "",
	    "Bearer",
	    "Bearer ",
	    "Basic dXNlcjpwYXNz",
	    "Bearer tk_",
	    "Bearer tk_aaaaaaaa_' or 1=1 --aaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "Bearer tk_%s%s%s%s_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "tk_aaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	struct api_caller caller;
	char *longer = mem_format("Bearer %sA", key);
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(check_header(rows[i], &caller) == ERR_DENIED,
		              "%s", rows[i]);
	ck_assert_int_eq(check_header(NULL, &caller), ERR_DENIED);
	ck_assert_int_eq(check_header(longer, &caller), ERR_DENIED);
	free(longer);
}
END_TEST

START_TEST(a_revoked_key_is_refused_its_successor_not)
{
	char next[API_KEY_SIZE], prefix[API_KEY_PREFIX_SIZE];
	struct error err = {0};

	cloud_fixture_key(&fixture, &fixture.tenant, next);
	ck_assert_int_eq(check_text("Bearer ", key), 0);
	memcpy(prefix, key, sizeof(prefix) - 1);
	prefix[sizeof(prefix) - 1] = '\0';
	ck_assert_int_eq(registry_key_revoke(fixture.cloud.registry,
	                                     &fixture.tenant, prefix, 1, &err),
	                 0);
	ck_assert_int_eq(check_text("Bearer ", key), ERR_DENIED);
	ck_assert_int_eq(check_text("Bearer ", next), 0);
}
END_TEST

/* A key that was found valid is believed for a while, by its whole hash. */
START_TEST(a_valid_key_is_remembered)
{
	struct key_cache *cache = key_cache_new();
	char *header = mem_format("Bearer %s", key);
	char prefix[API_KEY_PREFIX_SIZE];
	uint8_t hash[CRYPTO_HASH_SIZE];
	struct api_caller caller, found;
	struct error err = {0};
	int64_t now_ms = clock_monotonic_ms();

	crypto_sha256(key, API_KEY_SIZE - 1, hash);
	ck_assert(!key_cache_find(cache, hash, &found));
	ck_assert_int_eq(
	    api_check_key(fixture.cloud.registry, cache, header, &caller, &err),
	    0);
	ck_assert(key_cache_find(cache, hash, &found));
	ck_assert(id_equal(&found.tenant, &fixture.tenant));
	ck_assert_str_eq(found.agent, "mx1");
	memcpy(prefix, key, sizeof(prefix) - 1);
	prefix[sizeof(prefix) - 1] = '\0';
	ck_assert_str_eq(found.prefix, prefix);
	/* Revoked, it is refused once that is over. */
	ck_assert_int_eq(registry_key_revoke(fixture.cloud.registry,
	                                     &fixture.tenant, prefix, 1, &err),
	                 0);
	ck_assert_int_eq(
	    api_check_key(fixture.cloud.registry, cache, header, &caller, &err),
	    0);
	key_cache_put(cache, hash, now_ms - KEY_CACHE_MS, &caller);
	ck_assert(!key_cache_find(cache, hash, &found));
	ck_assert_int_eq(
	    api_check_key(fixture.cloud.registry, cache, header, &caller, &err),
	    ERR_DENIED);
	/* Another key of the same place, by the first bytes of its hash. */
	key_cache_put(cache, hash, now_ms, &caller);
	hash[31] ^= 1;
	ck_assert(!key_cache_find(cache, hash, &found));
	key_cache_put(cache, hash, now_ms, &caller);
	ck_assert(key_cache_find(cache, hash, &found));
	ck_assert(!key_cache_find(NULL, hash, &found));
	key_cache_put(NULL, hash, now_ms, &caller);
	key_cache_free(cache);
	key_cache_free(NULL);
	free(header);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-api-auth");
	TCase *tcase = tcase_create("keys");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_valid_key_tells_the_tenant);
	tcase_add_test(tcase, every_changed_letter_is_refused);
	tcase_add_test(tcase, what_is_no_key_is_refused);
	tcase_add_test(tcase, a_valid_key_is_remembered);
	tcase_add_test(tcase, a_revoked_key_is_refused_its_successor_not);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
