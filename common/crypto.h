/* Random bytes, hashes, keyed hashes and their texts, over libsodium. */
#ifndef COMMON_CRYPTO_H
#define COMMON_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_HASH_SIZE     32
#define CRYPTO_HASH_HEX_SIZE 65 /* with the NUL */

/* Call once before any other; 0, or ERR_UNAVAILABLE. */
int crypto_init(void);

/* Fills size unpredictable bytes. Any thread. */
void random_bytes(void *bytes, size_t size);

/* An unpredictable number in 0 .. limit-1, without bias; limit > 0. */
uint32_t random_below(uint32_t limit);

/* SHA-256 of size bytes (FIPS 180-4). */
void crypto_sha256(const void *bytes, size_t size,
                   uint8_t hash[CRYPTO_HASH_SIZE]);

/* SHA-256 of bytes that come in parts; of one thread at a time. */
struct crypto_sha256_stream {
	uint64_t state[16];
};

/* Begins; the stream holds nothing that must be released. */
void crypto_sha256_begin(struct crypto_sha256_stream *stream);

/* Takes the next size bytes. */
void crypto_sha256_add(struct crypto_sha256_stream *stream, const void *bytes,
                       size_t size);

/* Ends: the same hash as crypto_sha256() of all bytes at once. */
void crypto_sha256_end(struct crypto_sha256_stream *stream,
                       uint8_t hash[CRYPTO_HASH_SIZE]);

/* HMAC-SHA-256 (RFC 2104) of size bytes with a key of any length. */
void crypto_hmac_sha256(const void *key, size_t key_size, const void *bytes,
                        size_t size, uint8_t hash[CRYPTO_HASH_SIZE]);

#define CRYPTO_SHORT_KEY_SIZE 16

/*
 * SipHash-2-4 of bytes: too short to prove anything, but without the key nobody
 * can name two inputs that share one. For tables that are stored.
 */
uint64_t crypto_short_hash(const uint8_t key[CRYPTO_SHORT_KEY_SIZE],
                           const void *bytes, size_t size);

/*
 * As crypto_short_hash(), with a key that each process draws once: for tables
 * in memory. Differs with before: 0, a number that tells kinds of keys apart,
 * or the hash of what stands before these bytes in a key of several parts. Any
 * thread.
 */
uint64_t crypto_table_hash(uint64_t before, const void *bytes, size_t size);

/* crypto_table_hash() of a text, with nothing before it. */
uint64_t crypto_table_hash_text(const char *text);

/* Whether both are equal, in a time that does not depend on the content. */
bool crypto_equal(const void *a, const void *b, size_t size);

/* Writes 2*size lower-case hex digits and a NUL into text; returns text. */
char *hex_encode(const void *bytes, size_t size, char *text);

/*
 * Reads exactly size bytes from 2*size hex digits. 0, or ERR_INVALID when the
 * text is longer, shorter or no hex.
 */
int hex_decode(const char *text, void *bytes, size_t size);

/*
 * Writes base64url without padding (RFC 4648 section 5) and a NUL into text of
 * text_size bytes. 0, or ERR_LIMIT when it does not fit.
 */
int base64url_encode(const void *bytes, size_t size, char *text,
                     size_t text_size);

/*
 * Reads base64url without padding into bytes. The length read, or ERR_INVALID
 * for a foreign character or ERR_LIMIT when capacity is too small.
 */
int base64url_decode(const char *text, void *bytes, size_t capacity);

#endif
