/* Link tokens: a fixed layout under an HMAC, in base64url. */
#include "cloud-service/challenge/token.h"

#define VERSION  1
#define MAC_SIZE 16

/* Where each part stands in the bytes. */
enum offset {
	AT_VERSION = 0,
	AT_PURPOSE = 1,
	AT_SUBJECT = 2,
	AT_EXPIRES = 18,
	AT_NONCE = 26,
	AT_MAC = 42
};

_Static_assert(AT_MAC + MAC_SIZE == TOKEN_SIZE, "the parts fill the token");

/*
 * The two keyed hashes of a token differ by their first byte, so that one can
 * never be taken for the other.
 */
static void keyed_hash(const uint8_t key[TOKEN_KEY_SIZE], char what,
                       const uint8_t bytes[TOKEN_SIZE], size_t size,
                       uint8_t hash[CRYPTO_HASH_SIZE])
{
	uint8_t input[1 + TOKEN_SIZE];
	input[0] = (uint8_t)what;
	memcpy(input + 1, bytes, size);
	crypto_hmac_sha256(key, TOKEN_KEY_SIZE, input, 1 + size, hash);
}

static void put_seconds(uint8_t *bytes, int64_t ms)
{
	uint64_t seconds = ms > 0 ? ((uint64_t)ms + 999) / 1000 : 0;
	for (int i = 7; i >= 0; i--, seconds >>= 8)
		bytes[i] = (uint8_t)seconds;
}

static int64_t get_seconds_ms(const uint8_t *bytes)
{
	uint64_t seconds = 0;
	for (int i = 0; i < 8; i++)
		seconds = seconds << 8 | bytes[i];
	if (seconds > INT64_MAX / 1000)
		return INT64_MAX;
	return (int64_t)seconds * 1000;
}

void token_make(const uint8_t key[TOKEN_KEY_SIZE], enum token_purpose purpose,
                const struct id *subject, int64_t expires_ms,
                char text[TOKEN_TEXT_SIZE], uint8_t hash[CRYPTO_HASH_SIZE])
{
	uint8_t bytes[TOKEN_SIZE], keyed[CRYPTO_HASH_SIZE];
	bytes[AT_VERSION] = VERSION;
	bytes[AT_PURPOSE] = (uint8_t)purpose;
	memcpy(bytes + AT_SUBJECT, subject->bytes, sizeof(subject->bytes));
	put_seconds(bytes + AT_EXPIRES, expires_ms);
	keyed_hash(key, 'n', bytes, AT_NONCE, keyed);
	memcpy(bytes + AT_NONCE, keyed, TOKEN_NONCE_SIZE);
	keyed_hash(key, 'm', bytes, AT_MAC, keyed);
	memcpy(bytes + AT_MAC, keyed, MAC_SIZE);
	(void)base64url_encode(bytes, sizeof(bytes), text, TOKEN_TEXT_SIZE);
	if (hash)
		crypto_sha256(bytes + AT_NONCE, TOKEN_NONCE_SIZE, hash);
}

int token_read(const uint8_t key[TOKEN_KEY_SIZE], enum token_purpose purpose,
               const char *text, struct token *token)
{
	uint8_t bytes[TOKEN_SIZE], keyed[CRYPTO_HASH_SIZE];
	if (strnlen(text, TOKEN_TEXT_SIZE) != TOKEN_TEXT_SIZE - 1 ||
	    base64url_decode(text, bytes, sizeof(bytes)) != TOKEN_SIZE)
		return ERR_INVALID;
	/* The last character has spare bits: one text for each token. */
	char again[TOKEN_TEXT_SIZE];
	if (base64url_encode(bytes, sizeof(bytes), again, sizeof(again)) ||
	    memcmp(again, text, TOKEN_TEXT_SIZE) != 0)
		return ERR_INVALID;
	keyed_hash(key, 'm', bytes, AT_MAC, keyed);
	if (!crypto_equal(bytes + AT_MAC, keyed, MAC_SIZE) ||
	    bytes[AT_VERSION] != VERSION || bytes[AT_PURPOSE] != purpose)
		return ERR_INVALID;
	memcpy(token->subject.bytes, bytes + AT_SUBJECT,
	       sizeof(token->subject.bytes));
	token->expires_ms = get_seconds_ms(bytes + AT_EXPIRES);
	crypto_sha256(bytes + AT_NONCE, TOKEN_NONCE_SIZE, token->hash);
	return 0;
}
