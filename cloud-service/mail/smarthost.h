/* Hands one mail of ours to the smarthost, through libesmtp. */
#ifndef CLOUD_SMARTHOST_H
#define CLOUD_SMARTHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud-service/cloud-config.h"
#include "common/error.h"

struct smarthost;

enum smarthost_outcome {
	SMARTHOST_SENT,              /* it is the smarthost's now, surely */
	SMARTHOST_DEFERRED,          /* not sent, or not sure: try again */
	SMARTHOST_REFUSES_US,        /* whatever the mail: see breaker.h */
	SMARTHOST_REFUSES_RECIPIENT, /* for good */
	SMARTHOST_REFUSES_MESSAGE    /* for good; or an unusual address */
};

/* What the smarthost said, for the registry and the log. */
struct smarthost_reply {
	int code;          /* 0: no answer that counts */
	char enhanced[12]; /* "5.1.1", or "" */
	char text[256];
	bool nobody_there; /* RCPT was answered so: he does not exist */
	bool others_pass;  /* another mail was taken since the last refusal of
	                      us */
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

/* How long nothing is to be sent, because it refuses us; 0: now. Any thread. */
int64_t smarthost_pause_ms(struct smarthost *smarthost);

#endif
