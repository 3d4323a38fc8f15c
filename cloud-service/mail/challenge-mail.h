/* The mail that asks an unknown sender to open the captcha page. */
#ifndef CLOUD_SERVICE_MAIL_CHALLENGE_MAIL_H
#define CLOUD_SERVICE_MAIL_CHALLENGE_MAIL_H

#include <stdint.h>

#include "cloud-service/challenge/token.h"
#include "common/buffer.h"
#include "common/error.h"
#include "store/registry/registry.h"

/* What a challenge mail is made of; everything is borrowed. */
struct challenge_mail {
	const struct registry_challenge *challenge;
	const struct registry_message *message; /* that opened it */
	const struct registry_tenant *tenant;   /* its language comes first */
	const char *from;                       /* challenge.from */
	const char *from_name; /* where the tenant has none; NULL or "": none */
	const char *public_url;   /* as in struct challenge_page_context */
	const uint8_t *token_key; /* TOKEN_KEY_SIZE bytes */
	int64_t now_ms;           /* of the Date field */
};

/*
 * Appends the whole mail to out: header fields, an empty line and the body,
 * every line ended by CRLF and at most 998 octets, 7bit. The same challenge
 * gives the same Message-ID and link each time. What came from outside is
 * cut, cleaned of controls and escaped. The envelope is the caller's: to
 * challenge->sender. ERR_INVALID when challenge->sender or from is no valid
 * mail address, ERR_LIMIT when out is too small (64 KiB is enough).
 */
int challenge_mail_render(const struct challenge_mail *mail, struct buffer *out,
                          struct error *err);

#endif
