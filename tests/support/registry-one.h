/* The registry's functions that take several records, for one. */
#ifndef TESTS_SUPPORT_REGISTRY_ONE_H
#define TESTS_SUPPORT_REGISTRY_ONE_H

#include "store/registry/registry.h"

/* Opens one challenge; *existing (may be NULL) gets the one in the way. */
static inline int open_one(struct registry *registry,
                           const struct registry_challenge *challenge,
                           struct id *existing, struct error *err)
{
	struct registry_opened found;
	int result = 0;
	int error = registry_challenge_open(registry, challenge, 1, &result,
	                                    &found, err);

	if (!error && result == ERR_EXISTS && existing)
		*existing = found.id;
	return error ? error : result;
}

/* The challenge that is open for the sender; ERR_NOT_FOUND. */
static inline int find_one(struct registry *registry,
                           const uint8_t hash[CRYPTO_HASH_SIZE], struct id *id,
                           struct error *err)
{
	struct registry_opened found;
	int error = registry_challenge_find(
	    registry, (const uint8_t(*)[CRYPTO_HASH_SIZE])hash, 1, &found, err);

	if (!error && id_is_none(&found.id))
		return ERR_NOT_FOUND;
	if (!error)
		*id = found.id;
	return error;
}

/* Attaches one message; challenge may be NULL. */
static inline int attach_one(struct registry *registry, const struct id *tenant,
                             const struct id *message,
                             const struct id *challenge, const char *reason,
                             struct error *err)
{
	struct registry_attachment attachment = {.message = *message,
	                                         .reason = reason};

	if (challenge)
		attachment.challenge = *challenge;
	return registry_message_attach(registry, tenant, &attachment, 1, err);
}

/* The strongest entry for one subject; ERR_NOT_FOUND. */
static inline int match_one(struct registry *registry, const struct id *tenant,
                            const struct entry_subject *subject,
                            struct entry *entry, struct error *err)
{
	int error =
	    registry_entry_match(registry, tenant, subject, 1, entry, err);

	return error || entry->value ? error : ERR_NOT_FOUND;
}

#endif
