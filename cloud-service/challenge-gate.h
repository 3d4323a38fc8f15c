/* Whether a sender may be challenged now: marks of dead senders, and caps. */
#ifndef CLOUD_CHALLENGE_GATE_H
#define CLOUD_CHALLENGE_GATE_H

#include "cloud-service/cloud.h"
#include "common/mail/challenge-rule.h"

/*
 * Rules 12 and 15, for a held message whose sender may be written to as far as
 * the message tells: sets *reason to CHALLENGE_DEAD_SENDER,
 * CHALLENGE_RATE_CAP or CHALLENGE_ALLOWED.
 *
 * A dead sender is one whose challenge mail came back, until he solves a
 * challenge, an admin clears the mark, or he writes again: mail with a pass
 * that came later than the mark clears it, at once at the tenant whose
 * challenge it was, and at others challenge.dead_pause later, so that the
 * copies of one mailing do not write to him from every tenant. With each
 * further challenge that he had within 30 days the pause doubles, up to 64
 * times.
 *
 * 0 or an error of the store.
 */
int challenge_gate(struct cloud *cloud, const struct registry_message *message,
                   const uint8_t sender_hash[CRYPTO_HASH_SIZE],
                   enum challenge_reason *reason, struct error *err);

#endif
