/* Bounces of challenge mails: return paths, and the listener that takes them.
 */
#ifndef CLOUD_BOUNCE_H
#define CLOUD_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "cloud-service/cloud.h"
#include "common/id.h"
#include "common/mail/address.h"

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

/* What a delivery status notification says (RFC 3464); see bounce_feed(). */
struct bounce_report {
	char line[256]; /* the line being read, its start */
	size_t length;
	bool cut;
	char action[16]; /* of the first recipient: "failed", ... */
	char status[12]; /* "5.1.1", or "" when none was found */
};

/* Takes the next bytes of the report; zeroed memory is the start. */
void bounce_feed(struct bounce_report *report, const char *bytes, size_t size);

/*
 * Carries out what a report about a challenge mail says: a permanent failure
 * marks the open challenge as bounced, and a status 5.1.x the sender as dead.
 * Delays and others change nothing. Idempotent. 0 or an error of the store.
 */
int bounce_apply(struct cloud *cloud, const struct id *challenge,
                 const struct bounce_report *report, struct error *err);

/* Starts the SMTP listener on bounce.listen. ERR_UNAVAILABLE when the port is
 * taken. */
int bounce_start(struct bounce_listener **listener, struct cloud *cloud,
                 struct error *err);

/* The port in force. */
uint16_t bounce_port(const struct bounce_listener *listener);

/* Stops and frees; NULL is allowed. */
void bounce_stop(struct bounce_listener *listener);

#endif
