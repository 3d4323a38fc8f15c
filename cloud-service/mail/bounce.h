/* Bounces of challenge mails: return paths, and the listener that takes them.
 */
#ifndef CLOUD_BOUNCE_H
#define CLOUD_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "cloud-service/cloud-config.h"
#include "common/id.h"
#include "common/mail/address.h"
#include "store/registry/registry.h"

struct bounce_listener;

/* What the listener needs; all of it must outlive it. */
struct bounce_options {
	struct registry *registry;
	const struct cloud_config *config;
	const uint8_t *key; /* 32 bytes: of the return paths */
};

/*
 * Writes the VERP return path of a challenge: "bounce+" and a keyed token at
 * the bounce domain. 0, or ERR_LIMIT when the domain is too long.
 */
int bounce_address_make(const uint8_t key[32], const struct id *challenge,
                        const char *domain, char address[MAIL_ADDRESS_SIZE]);

/*
 * Reads such an address, in any case: 0 with the challenge, or ERR_INVALID for
 * one that key did not make or of another domain.
 */
int bounce_address_read(const uint8_t key[32], const char *address,
                        const char *domain, struct id *challenge);

/*
 * Carries out what a mail to the return path of a challenge says: a report that
 * the challenge mail failed for good for its recipient (delivery-report.h) ends
 * the challenge while it is open; with 5.1.1, 5.1.2 or 5.1.10 its sender is
 * marked as dead. Everything else changes nothing: delays, answers of people
 * and programs, and what comes after a solution. Idempotent. 0 or an error of
 * the store.
 */
int bounce_apply(struct registry *registry, const struct id *id,
                 const char *mail, size_t size, struct error *err);

/* Starts the SMTP listener on bounce.listen. ERR_UNAVAILABLE when the port is
 * taken. */
int bounce_start(struct bounce_listener **listener,
                 const struct bounce_options *options, struct error *err);

/* The port in force. */
uint16_t bounce_port(const struct bounce_listener *listener);

/* Stops and frees; NULL is allowed. */
void bounce_stop(struct bounce_listener *listener);

#endif
