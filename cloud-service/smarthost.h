/* Hands one mail of ours to the smarthost, through libesmtp. */
#ifndef CLOUD_SMARTHOST_H
#define CLOUD_SMARTHOST_H

#include <stddef.h>

#include "cloud-service/cloud-config.h"
#include "common/error.h"

struct smarthost;

enum smarthost_outcome {
	SMARTHOST_SENT,     /* it is the smarthost's now, without a doubt */
	SMARTHOST_DEFERRED, /* not sent, or not sure: try again */
	SMARTHOST_REFUSED   /* permanently */
};

/* What the smarthost said, for the registry and the log. */
struct smarthost_reply {
	int code;          /* 0: no answer that counts */
	char enhanced[12]; /* "5.1.1", or "" */
	char text[256];
};

/*
 * Prepares the sending as configured; with TLS it reads the authorities.
 * ERR_INVALID when they cannot be used. config must outlive it.
 */
int smarthost_new(struct smarthost **smarthost,
                  const struct cloud_config *config, struct error *err);

/* Frees; NULL is allowed. */
void smarthost_free(struct smarthost *smarthost);

/*
 * Sends size bytes (header and body, lines ended by CRLF) from sender ("" for
 * the null return path) to one recipient; blocks for a few times
 * smarthost.timeout at the most. Several threads may do so at once. An address
 * with anything unusual in it is refused before a connection is made.
 */
enum smarthost_outcome smarthost_send(struct smarthost *smarthost,
                                      const char *sender, const char *recipient,
                                      const char *bytes, size_t size,
                                      struct smarthost_reply *reply);

#endif
