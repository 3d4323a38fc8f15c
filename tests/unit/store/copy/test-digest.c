/* Digests of records: order does not matter, everything else does. */
#include <check.h>
#include <string.h>

#include "store/copy/digest.h"
#include "tests/support/suite.h"

static void add(struct copy_digest *digest, const char *a, const char *b)
{
	uint8_t sum[CRYPTO_HASH_SIZE];
	struct copy_hash hash;

	copy_hash_begin(&hash, "kind");
	copy_hash_text(&hash, a);
	copy_hash_text(&hash, b);
	copy_hash_end(&hash, sum);
	copy_digest_add(digest, sum);
}

START_TEST(order_does_not_matter)
{
	struct copy_digest one = {0}, other = {0};

	add(&one, "a", "b");
	add(&one, "c", "d");
	add(&other, "c", "d");
	ck_assert(!copy_digest_equal(&one, &other));
	add(&other, "a", "b");
	ck_assert(copy_digest_equal(&one, &other));
}
END_TEST

START_TEST(fields_have_ends)
{
	struct copy_digest one = {0}, other = {0}, third = {0};

	add(&one, "ab", "c");
	add(&other, "a", "bc");
	add(&third, NULL, "abc");
	ck_assert(!copy_digest_equal(&one, &other));
	ck_assert(!copy_digest_equal(&one, &third));
}
END_TEST

START_TEST(a_pair_of_equals_is_no_none)
{
	struct copy_digest one = {0}, other = {0};

	add(&one, "a", "b");
	add(&one, "a", "b");
	ck_assert(!copy_digest_equal(&one, &other));
	add(&other, "a", "b");
	ck_assert(!copy_digest_equal(&one, &other));
}
END_TEST

START_TEST(sums_carry_and_wrap)
{
	struct copy_digest digest = {0};
	uint8_t ones[CRYPTO_HASH_SIZE], one[CRYPTO_HASH_SIZE] = {0};
	char text[COPY_DIGEST_TEXT_SIZE];

	memset(ones, 0xff, sizeof(ones));
	one[CRYPTO_HASH_SIZE - 1] = 2;
	copy_digest_add(&digest, ones);
	copy_digest_add(&digest, one);
	ck_assert_uint_eq(digest.sum[CRYPTO_HASH_SIZE - 1], 1);
	ck_assert_uint_eq(digest.sum[0], 0);
	ck_assert_int_eq(digest.count, 2);
	ck_assert_str_eq(copy_digest_format(&digest, text),
	                 "00000000000000000000000000000000");
}
END_TEST

START_TEST(streams_hash_as_wholes_do)
{
	uint8_t bytes[1000], whole[CRYPTO_HASH_SIZE], parts[CRYPTO_HASH_SIZE];
	struct crypto_sha256_stream stream;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	crypto_sha256(bytes, sizeof(bytes), whole);
	crypto_sha256_begin(&stream);
	for (size_t i = 0; i < sizeof(bytes); i += 100)
		crypto_sha256_add(&stream, bytes + i, 100);
	crypto_sha256_end(&stream, parts);
	ck_assert_mem_eq(whole, parts, sizeof(whole));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("copy-digest");
	TCase *tcase = tcase_create("digests");

	tcase_add_test(tcase, order_does_not_matter);
	tcase_add_test(tcase, fields_have_ends);
	tcase_add_test(tcase, a_pair_of_equals_is_no_none);
	tcase_add_test(tcase, sums_carry_and_wrap);
	tcase_add_test(tcase, streams_hash_as_wholes_do);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
