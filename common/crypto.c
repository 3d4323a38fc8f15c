/* Random bytes, hashes and their texts. */
#include "common/crypto.h"

#include <endian.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

int crypto_init(void)
{
	return sodium_init() < 0 ? ERR_UNAVAILABLE : 0;
}

void random_bytes(void *bytes, size_t size)
{
	randombytes_buf(bytes, size);
}

uint32_t random_below(uint32_t limit)
{
	return randombytes_uniform(limit);
}

void crypto_sha256(const void *bytes, size_t size,
                   uint8_t hash[CRYPTO_HASH_SIZE])
{
	(void)crypto_hash_sha256(hash, bytes, size);
}

_Static_assert(sizeof(crypto_hash_sha256_state) <=
                   sizeof(struct crypto_sha256_stream),
               "room for libsodium's state");

void crypto_sha256_begin(struct crypto_sha256_stream *stream)
{
	(void)crypto_hash_sha256_init((void *)stream);
}

void crypto_sha256_add(struct crypto_sha256_stream *stream, const void *bytes,
                       size_t size)
{
	(void)crypto_hash_sha256_update((void *)stream, bytes, size);
}

void crypto_sha256_end(struct crypto_sha256_stream *stream,
                       uint8_t hash[CRYPTO_HASH_SIZE])
{
	(void)crypto_hash_sha256_final((void *)stream, hash);
}

void crypto_hmac_sha256(const void *key, size_t key_size, const void *bytes,
                        size_t size, uint8_t hash[CRYPTO_HASH_SIZE])
{
	crypto_auth_hmacsha256_state state;

	(void)crypto_auth_hmacsha256_init(&state, key, key_size);
	(void)crypto_auth_hmacsha256_update(&state, bytes, size);
	(void)crypto_auth_hmacsha256_final(&state, hash);
	sodium_memzero(&state, sizeof(state));
}

_Static_assert(CRYPTO_SHORT_KEY_SIZE == crypto_shorthash_KEYBYTES &&
                   crypto_shorthash_BYTES == sizeof(uint64_t),
               "the sizes of libsodium's short hash");

uint64_t crypto_short_hash(const uint8_t key[CRYPTO_SHORT_KEY_SIZE],
                           const void *bytes, size_t size)
{
	uint64_t hash;

	(void)crypto_shorthash((unsigned char *)&hash, bytes, size, key);
	return le64toh(hash);
}

static pthread_once_t table_key_once = PTHREAD_ONCE_INIT;
static uint64_t table_key[CRYPTO_SHORT_KEY_SIZE / sizeof(uint64_t)];

static void draw_table_key(void)
{
	random_bytes(table_key, sizeof(table_key));
}

uint64_t crypto_table_hash(uint64_t before, const void *bytes, size_t size)
{
	uint64_t key[2];

	(void)pthread_once(&table_key_once, draw_table_key);
	key[0] = table_key[0] ^ before;
	key[1] = table_key[1];
	return crypto_short_hash((const uint8_t *)key, bytes, size);
}

uint64_t crypto_table_hash_text(const char *text)
{
	return crypto_table_hash(0, text, strlen(text));
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
	return sodium_memcmp(a, b, size) == 0;
}

char *hex_encode(const void *bytes, size_t size, char *text)
{
	return sodium_bin2hex(text, size * 2 + 1, bytes, size);
}

int hex_decode(const char *text, void *bytes, size_t size)
{
	/* Looked at first, so that a failure leaves bytes untouched. */
	if (strlen(text) / 2 != size ||
	    strspn(text, "0123456789abcdefABCDEF") != size * 2 ||
	    text[size * 2])
		return ERR_INVALID;
	if (sodium_hex2bin(bytes, size, text, size * 2, NULL, NULL, NULL))
		return ERR_INVALID;
	return 0;
}

int base64url_encode(const void *bytes, size_t size, char *text,
                     size_t text_size)
{
	const int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

	/* sodium aborts where the text does not fit. */
	if (size > SIZE_MAX / 8 ||
	    text_size < sodium_base64_encoded_len(size, variant))
		return ERR_LIMIT;
	(void)sodium_bin2base64(text, text_size, bytes, size, variant);
	return 0;
}

/* Whether the bits that the last character has too many of are zero. */
static bool base64url_ends_well(const char *text, size_t length)
{
	if (length % 4 == 2)
		return strchr("AQgw", text[length - 1]) != NULL;
	if (length % 4 == 3)
		return strchr("AEIMQUYcgkosw048", text[length - 1]) != NULL;
	return length % 4 == 0;
}

int base64url_decode(const char *text, void *bytes, size_t capacity)
{
	size_t length = strlen(text), size;

	if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                 "0123456789-_") != length ||
	    !base64url_ends_well(text, length))
		return ERR_INVALID;
	size = length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0);
	if (size > capacity || size > INT32_MAX)
		return ERR_LIMIT;
	if (sodium_base642bin(bytes, capacity, text, length, NULL, &size, NULL,
	                      sodium_base64_VARIANT_URLSAFE_NO_PADDING))
		return ERR_INVALID;
	return (int)size;
}
