/* Hashes against published values; hostile texts for the decoders. */
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/error.h"
#include "tests/support/suite.h"

static void start(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	ck_assert_int_eq(crypto_init(), 0);
}

START_TEST(test_sha256)
{
	uint8_t hash[CRYPTO_HASH_SIZE];
	char text[CRYPTO_HASH_HEX_SIZE];

	crypto_sha256("", 0, hash);
	ck_assert_str_eq(hex_encode(hash, sizeof(hash), text),
	                 "e3b0c44298fc1c149afbf4c8996fb924"
	                 "27ae41e4649b934ca495991b7852b855");
	crypto_sha256("abc", 3, hash);
	ck_assert_str_eq(hex_encode(hash, sizeof(hash), text),
	                 "ba7816bf8f01cfea414140de5dae2223"
	                 "b00361a396177a9cb410ff61f20015ad");
}
END_TEST

/* RFC 4231, cases 1, 2 and 6. */
START_TEST(test_hmac)
{
	uint8_t hash[CRYPTO_HASH_SIZE], key[131];
	char text[CRYPTO_HASH_HEX_SIZE];
	const char *sixth = "Test Using Larger Than Block-Size Key - "
	                    "Hash Key First";

	memset(key, 0x0b, 20);
	crypto_hmac_sha256(key, 20, "Hi There", 8, hash);
	ck_assert_str_eq(hex_encode(hash, sizeof(hash), text),
	                 "b0344c61d8db38535ca8afceaf0bf12b"
	                 "881dc200c9833da726e9376c2e32cff7");
	crypto_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, hash);
	ck_assert_str_eq(hex_encode(hash, sizeof(hash), text),
	                 "5bdcc146bf60754e6a042426089575c7"
	                 "5a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	crypto_hmac_sha256(key, sizeof(key), sixth, strlen(sixth), hash);
	ck_assert_str_eq(hex_encode(hash, sizeof(hash), text),
	                 "60e431591ee0b67f0d8a26aacbf5b77f"
	                 "8e0bc6213728c5140546040f0ee37f54");
}
END_TEST

/* The vectors of SipHash's authors: bytes 0, 1, 2 ..., key 0 .. 15. */
START_TEST(test_short_hash)
{
	uint8_t key[CRYPTO_SHORT_KEY_SIZE], bytes[15];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	memcpy(bytes, key, sizeof(bytes));
	ck_assert_uint_eq(crypto_short_hash(key, bytes, 0),
	                  0x726fdb47dd0e0e31ULL);
	ck_assert_uint_eq(crypto_short_hash(key, bytes, sizeof(bytes)),
	                  0xa129ca6149be45e5ULL);
}
END_TEST

START_TEST(test_table_hash)
{
	uint64_t hash = crypto_table_hash_text("a@b.example");
	const uint8_t zero[CRYPTO_SHORT_KEY_SIZE] = {0};

	ck_assert_uint_eq(hash, crypto_table_hash(0, "a@b.example", 11));
	/* The key is drawn: none that is written here. */
	ck_assert_uint_ne(hash, crypto_short_hash(zero, "a@b.example", 11));
	ck_assert_uint_ne(hash, crypto_table_hash(1, "a@b.example", 11));
	ck_assert_uint_ne(hash, crypto_table_hash(0, "a@b.example", 12));
	/* Where a key's parts meet makes a difference. */
	ck_assert_uint_ne(
	    crypto_table_hash(crypto_table_hash_text("a"), "bc", 2),
	    crypto_table_hash(crypto_table_hash_text("ab"), "c", 1));
}
END_TEST

START_TEST(test_hex)
{
	static const char *const wrong[] = {"",      "0",     "000",   "00000",
	                                    "0g00",  "00 0",  "0x00",  "-000",
	                                    " 0000", "0000 ", "000000"};
	uint8_t bytes[2] = {7, 7};
	char text[5];
	size_t i;

	ck_assert_int_eq(hex_decode("00fF", bytes, 2), 0);
	ck_assert_mem_eq(bytes, "\x00\xff", 2);
	ck_assert_str_eq(hex_encode(bytes, 2, text), "00ff");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(hex_decode(wrong[i], bytes, 2) == ERR_INVALID,
		              "%s", wrong[i]);
		ck_assert_mem_eq(bytes, "\x00\xff", 2);
	}
	ck_assert_int_eq(hex_decode("", bytes, 0), 0);
}
END_TEST

START_TEST(test_base64url)
{
	static const struct {
		const char *bytes;
		const char *text;
	} rows[] = {{"", ""},        {"f", "Zg"},        {"fo", "Zm8"},
	            {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xfb\xff", "-_8"}};
	static const char *const wrong[] = {
	    "Z",    "Zg==",  "Zh",  "Zm9",      "Zm9vY", "+/8",
	    "Zm 8", "Zm8\n", "Zg=", "\xc3\xa9", "Zm9v.", "Zm9vYh"};
	char text[16], bytes[16];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = strlen(rows[i].bytes), length;

		length = strlen(rows[i].text);
		ck_assert_int_eq(
		    base64url_encode(rows[i].bytes, size, text, length + 1), 0);
		ck_assert_str_eq(text, rows[i].text);
		ck_assert_int_eq(
		    base64url_encode(rows[i].bytes, size, text, length),
		    ERR_LIMIT);
		ck_assert_int_eq(base64url_decode(rows[i].text, bytes, size),
		                 (int)size);
		ck_assert_mem_eq(bytes, rows[i].bytes, size);
		if (size)
			ck_assert_int_eq(
			    base64url_decode(rows[i].text, bytes, size - 1),
			    ERR_LIMIT);
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(base64url_decode(wrong[i], bytes,
		                               sizeof(bytes)) == ERR_INVALID,
		              "%s", wrong[i]);
}
END_TEST

START_TEST(test_equal)
{
	ck_assert(crypto_equal("abc", "abd", 2));
	ck_assert(!crypto_equal("abc", "abd", 3));
	ck_assert(crypto_equal("a", "b", 0));
}
END_TEST

START_TEST(test_random)
{
	unsigned seen[5] = {0};
	uint8_t a[32], b[32];
	int i;

	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	ck_assert_mem_ne(a, b, sizeof(a));
	for (i = 0; i < 5000; i++)
		seen[random_below(5)]++;
	for (i = 0; i < 5; i++)
		ck_assert_uint_gt(seen[i], 700);
	ck_assert_uint_eq(random_below(1), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crypto");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, start, NULL);
	tcase_add_test(cases, test_sha256);
	tcase_add_test(cases, test_hmac);
	tcase_add_test(cases, test_short_hash);
	tcase_add_test(cases, test_table_hash);
	tcase_add_test(cases, test_hex);
	tcase_add_test(cases, test_base64url);
	tcase_add_test(cases, test_equal);
	tcase_add_test(cases, test_random);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
