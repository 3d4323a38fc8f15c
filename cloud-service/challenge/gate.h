/* Whether a sender may be challenged now: marks of dead senders, and caps. */
#ifndef CLOUD_CHALLENGE_GATE_H
#define CLOUD_CHALLENGE_GATE_H

#include "cloud-service/cloud-config.h"
#include "common/crypto.h"
#include "common/mail/challenge-rule.h"
#include "store/registry/registry.h"

/* The hash that stands for a normalised sender: HMAC-SHA-256. Any thread. */
void challenge_sender_hash(const uint8_t sender_key[32],
                           const char *sender_normal,
                           uint8_t hash[CRYPTO_HASH_SIZE]);

/* By what a challenge is counted, as hashes; zeros where it is unknown, and for
 * client and domain where the domain is one of challenge.shared_domains. */
struct challenge_origin {
	uint8_t sender[CRYPTO_HASH_SIZE]; /* normalised */
	uint8_t client[CRYPTO_HASH_SIZE]; /* its network: /24, IPv6 /64 */
	uint8_t domain[CRYPTO_HASH_SIZE]; /* registered, of the sender */
};

/* Fills in the origin of the challenge that the message would cause. */
void challenge_origin_read(const uint8_t sender_key[32],
                           const struct cloud_config *config,
                           const struct registry_message *message,
                           struct challenge_origin *origin);

/* A held message whose sender may be written to as far as the message tells. */
struct challenge_candidate {
	struct registry_message *message;
	struct challenge_origin origin;
	struct registry_opened open; /* of its sender; id none: there is none */
	enum challenge_reason reason; /* of the gate */
};

/*
 * Rules 12 and 15, for count candidates in their order: sets each one's reason
 * to CHALLENGE_DEAD_SENDER, CHALLENGE_RATE_CAP or CHALLENGE_ALLOWED. Those that
 * are allowed and whose sender has no challenge open are counted as if one were
 * opened, once for each sender.
 *
 * A dead sender is one whose challenge mail came back, until he solves a
 * challenge, an admin clears the mark, or he writes again: mail with a pass
 * that came later than the mark clears it, at once at the tenant whose
 * challenge it was, and at others challenge.dead_pause later, so that the
 * copies of one mailing do not write to him from every tenant. With each
 * further challenge that he had within 30 days the pause doubles, up to 64
 * times.
 *
 * A cap is reached when so many challenges of a group were opened within the
 * last hour or day as the configuration allows: to the sender, to his domain,
 * for the client's network, for the tenant, or in all. They are counted in the
 * registry, so that all clouds share the caps; what several open at the same
 * time may exceed one by their number. Where a challenge is open already no cap
 * is looked at.
 *
 * 0 or an error of the store.
 */
int challenge_gate(struct registry *registry, const struct cloud_config *config,
                   struct challenge_candidate *candidates, size_t count,
                   struct error *err);

#endif
