/*
 * Digests by which the records of two stores are compared: SHA-256 over a
 * canonical form of each record, added up modulo 2^256, so that the order in
 * which the records come does not matter.
 */
#ifndef STORE_COPY_DIGEST_H
#define STORE_COPY_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto.h"
#include "common/id.h"
#include "common/mail/authres.h"
#include "common/policy/entry.h"

/* Room for the text of copy_digest_format(). */
#define COPY_DIGEST_TEXT_SIZE 33

/* Of some records; zeroed: of none. */
struct copy_digest {
	int64_t count;
	uint8_t sum[CRYPTO_HASH_SIZE]; /* the highest byte first */
};

/* Adds the hash of one record. */
void copy_digest_add(struct copy_digest *digest,
                     const uint8_t hash[CRYPTO_HASH_SIZE]);

/* Whether both are of the same records. */
bool copy_digest_equal(const struct copy_digest *a,
                       const struct copy_digest *b);

/* The first half of the sum as hex digits, for people; returns text. */
char *copy_digest_format(const struct copy_digest *digest,
                         char text[COPY_DIGEST_TEXT_SIZE]);

/* One record's hash in the making. */
struct copy_hash {
	struct crypto_sha256_stream stream;
};

/* Begins a record of a kind; two kinds never give the same hash. */
void copy_hash_begin(struct copy_hash *hash, const char *kind);

/*
 * Takes the next field. Every field has a length of its own in the canonical
 * form, so that what ends one never looks like what begins the next.
 */
void copy_hash_bytes(struct copy_hash *hash, const void *bytes, size_t size);
/* See copy_hash_bytes(); NULL counts as "". */
void copy_hash_text(struct copy_hash *hash, const char *text);
/* See copy_hash_bytes(). */
void copy_hash_int(struct copy_hash *hash, int64_t value);
/* See copy_hash_bytes(). */
void copy_hash_id(struct copy_hash *hash, const struct id *id);
/* See copy_hash_bytes(); all that the MX found. */
void copy_hash_auth(struct copy_hash *hash, const struct mail_auth *auth);
/* See copy_hash_bytes(); all of an entry of the lists. */
void copy_hash_entry(struct copy_hash *hash, const struct entry *entry);

/* Ends the record. */
void copy_hash_end(struct copy_hash *hash, uint8_t result[CRYPTO_HASH_SIZE]);

#endif
