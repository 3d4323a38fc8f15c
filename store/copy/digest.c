/* The canonical form of fields, its hashes, and their sums. */
#include "store/copy/digest.h"

#include <string.h>

void copy_digest_add(struct copy_digest *digest,
                     const uint8_t hash[CRYPTO_HASH_SIZE])
{
	unsigned carry = 0;

	for (size_t i = CRYPTO_HASH_SIZE; i-- > 0;) {
		carry += (unsigned)digest->sum[i] + hash[i];
		digest->sum[i] = (uint8_t)(carry & 0xff);
		carry >>= 8;
	}
	digest->count++;
}

bool copy_digest_equal(const struct copy_digest *a, const struct copy_digest *b)
{
	return a->count == b->count &&
	       memcmp(a->sum, b->sum, sizeof(a->sum)) == 0;
}

char *copy_digest_format(const struct copy_digest *digest,
                         char text[COPY_DIGEST_TEXT_SIZE])
{
	return hex_encode(digest->sum, (COPY_DIGEST_TEXT_SIZE - 1) / 2, text);
}

void copy_hash_begin(struct copy_hash *hash, const char *kind)
{
	crypto_sha256_begin(&hash->stream);
	copy_hash_text(hash, kind);
}

void copy_hash_bytes(struct copy_hash *hash, const void *bytes, size_t size)
{
	copy_hash_int(hash, (int64_t)size);
	if (size > 0)
		crypto_sha256_add(&hash->stream, bytes, size);
}

void copy_hash_text(struct copy_hash *hash, const char *text)
{
	copy_hash_bytes(hash, text, text ? strlen(text) : 0);
}

void copy_hash_int(struct copy_hash *hash, int64_t value)
{
	uint64_t rest = (uint64_t)value;
	uint8_t bytes[8];

	for (size_t i = sizeof(bytes); i-- > 0; rest >>= 8)
		bytes[i] = (uint8_t)(rest & 0xff);
	crypto_sha256_add(&hash->stream, bytes, sizeof(bytes));
}

void copy_hash_id(struct copy_hash *hash, const struct id *id)
{
	crypto_sha256_add(&hash->stream, id->bytes, sizeof(id->bytes));
}

void copy_hash_auth(struct copy_hash *hash, const struct mail_auth *auth)
{
	copy_hash_int(hash, auth->stated);
	copy_hash_int(hash, (int64_t)auth->spf);
	copy_hash_int(hash, (int64_t)auth->dkim);
	copy_hash_int(hash, (int64_t)auth->dmarc);
	copy_hash_text(hash, auth->spf_domain);
	copy_hash_text(hash, auth->dkim_domain);
	copy_hash_text(hash, auth->dmarc_domain);
	copy_hash_int(hash, auth->aligned);
}

void copy_hash_entry(struct copy_hash *hash, const struct entry *entry)
{
	copy_hash_id(hash, &entry->id);
	copy_hash_int(hash, (int64_t)entry->scope);
	copy_hash_text(hash, entry->scope_value);
	copy_hash_int(hash, (int64_t)entry->colour);
	copy_hash_int(hash, (int64_t)entry->kind);
	copy_hash_text(hash, entry->value);
	copy_hash_int(hash, (int64_t)entry->origin);
	copy_hash_int(hash, (int64_t)entry->demand);
	copy_hash_int(hash, entry->deleted);
	copy_hash_int(hash, entry->expires_ms);
	copy_hash_int(hash, entry->created_ms);
	copy_hash_int(hash, entry->revision);
	copy_hash_text(hash, entry->note);
}

void copy_hash_end(struct copy_hash *hash, uint8_t result[CRYPTO_HASH_SIZE])
{
	crypto_sha256_end(&hash->stream, result);
}
