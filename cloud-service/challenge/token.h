/* Tokens that stand in links: which thing, for what, until when, signed. */
#ifndef CLOUD_SERVICE_CHALLENGE_TOKEN_H
#define CLOUD_SERVICE_CHALLENGE_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "common/crypto.h"
#include "common/error.h"
#include "common/id.h"

#define TOKEN_KEY_SIZE   32
#define TOKEN_NONCE_SIZE 16
#define TOKEN_SIZE       58 /* bytes, before base64url */
#define TOKEN_TEXT_SIZE  79 /* base64url of these and a NUL */

enum token_purpose { TOKEN_CHALLENGE = 1 };

/*
 * Writes the token for this subject: base64url of version, purpose, id, expiry
 * (seconds since 1970, rounded up), nonce, and a truncated HMAC over all of
 * it. The nonce is drawn from key and the other fields by HMAC: nobody without
 * the key can tell it, yet every instance that holds the key writes the same
 * link again (a mail that is sent a second time). hash (may be NULL) gets the
 * SHA-256 of the nonce, which the registry keeps as token_hash.
 */
void token_make(const uint8_t key[TOKEN_KEY_SIZE], enum token_purpose purpose,
                const struct id *subject, int64_t expires_ms,
                char text[TOKEN_TEXT_SIZE], uint8_t hash[CRYPTO_HASH_SIZE]);

/* What a genuine token says. */
struct token {
	struct id subject;
	int64_t expires_ms;
	uint8_t hash[CRYPTO_HASH_SIZE]; /* of the nonce */
};

/*
 * Reads a token of this purpose; the text is hostile. ERR_INVALID for anything
 * that key did not sign, whatever is wrong with it; *token is then untouched.
 * Expiry is not judged here: an expired token has a page of its own.
 */
int token_read(const uint8_t key[TOKEN_KEY_SIZE], enum token_purpose purpose,
               const char *text, struct token *token);

#endif
