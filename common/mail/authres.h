/* Authentication-Results of the customer's own MX (RFC 8601). */
#ifndef MAIL_AUTHRES_H
#define MAIL_AUTHRES_H

#include <stdbool.h>

#include "common/mail/header.h"

enum auth_result {
	AUTH_NONE, /* not stated, or "none" */
	AUTH_PASS,
	AUTH_FAIL,
	AUTH_SOFTFAIL,
	AUTH_NEUTRAL,
	AUTH_TEMPERROR,
	AUTH_PERMERROR,
	AUTH_POLICY
};

/* What the customer's MX found, for one message. */
struct mail_auth {
	bool stated;           /* a trusted header was there */
	enum auth_result spf;  /* for the envelope sender's domain */
	enum auth_result dkim; /* pass when an aligned signature passed */
	enum auth_result dmarc;
	char spf_domain[256];
	char dkim_domain[256];
	char dmarc_domain[256]; /* of the From that dmarc is about */
	bool aligned; /* the pass covers the sender's or From's domain */
};

/*
 * Reads the topmost unbroken run of Authentication-Results fields whose
 * authserv-id (case-insensitive) is authserv_id; all others are forged or
 * foreign and ignored, also those of the right id below another's. Received,
 * Return-Path and other fields above or among the run do not break it; an
 * Authentication-Results field of another id does. Where several fields of the
 * run state the same method, the topmost counts. An SPF pass counts when its
 * smtp.mailfrom is the sender's domain. sender is the normalised
 * envelope sender, from the From address ("" when there is none).
 */
void mail_auth_read(const struct mail_header *header, const char *authserv_id,
                    const char *sender, const char *from,
                    struct mail_auth *auth);

/*
 * Whether the sender counts as authenticated: SPF pass for the envelope
 * domain, or an aligned DKIM pass, or DMARC pass; and no DMARC fail. Rule 7.
 */
bool mail_auth_passes(const struct mail_auth *auth);

/*
 * Whether a pass covers the envelope sender itself, to whom a challenge would
 * go: the attacker's own signature under his own From says nothing of a sender
 * that he made up. DMARC and DKIM count when From or d= is aligned with it.
 */
bool mail_auth_covers_sender(const struct mail_auth *auth, const char *sender,
                             const char *from);

/* Whether a pass covers the address in the header's From. */
bool mail_auth_covers_from(const struct mail_auth *auth, const char *from);

/* Whether SPF or DMARC fails outright: a white entry is then ignored. */
bool mail_auth_fails(const struct mail_auth *auth);

/* "pass", "fail", ... as on the wire; never NULL. */
const char *auth_result_name(enum auth_result result);

/* The inverse; AUTH_NONE for an unknown word. */
enum auth_result auth_result_parse(const char *name);

#endif
