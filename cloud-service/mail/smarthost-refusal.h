/* Whose fault a smarthost's refusal is, as a table. */
#ifndef CLOUD_SMARTHOST_REFUSAL_H
#define CLOUD_SMARTHOST_REFUSAL_H

#include "cloud-service/mail/smtp-dialogue.h"

enum refusal {
	REFUSAL_FOR_NOW, /* 4xx: the same mail may be taken later */
	REFUSAL_OF_US,   /* our client, login, envelope sender, or relaying:
	                    every other mail would get it too */
	REFUSAL_NOBODY_THERE, /* the recipient does not exist */
	REFUSAL_OF_RECIPIENT, /* for good, for another reason */
	REFUSAL_OF_MESSAGE    /* for good: its size or what is in it */
};

/*
 * Judges an answer 4xx or 5xx to verb (RFC 5321 section 4.2.3), with its
 * enhanced code (RFC 3463; "" where there is none) and its text. Only the
 * answer to RCPT says that nobody is there. Addresses in the text are not
 * looked at: what they spell says nothing.
 */
enum refusal refusal_judge(enum dialogue_command verb, int code,
                           const char *enhanced, const char *text);

#endif
