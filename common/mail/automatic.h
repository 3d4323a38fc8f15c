/* Who and what is automatic, by the rows of automatic.tab. */
#ifndef MAIL_AUTOMATIC_H
#define MAIL_AUTOMATIC_H

#include <stdbool.h>

#include "common/mail/header.h"

/* What a row makes of a message. */
enum automatic_class {
	AUTOMATIC_NONE,
	AUTOMATIC_BOUNCE,   /* a report of delivery */
	AUTOMATIC_ANSWER,   /* of an absent person, a ticket system, ... */
	AUTOMATIC_LIST,     /* a list, a campaign */
	AUTOMATIC_ORDER,    /* orders, codes, receipts of shops */
	AUTOMATIC_CALENDAR, /* invitations and their answers */
	AUTOMATIC_REPORT,   /* receipts of reading, reports of abuse */
	AUTOMATIC_FOREIGN,  /* another system's challenge */
	AUTOMATIC_AGENT,    /* the same, but in a person's answer */
	AUTOMATIC_HUMAN,    /* a subject alone: that of a person's answer */
	AUTOMATIC_CLASS_COUNT
};

/*
 * Whether the address is of a role or program that never answers, by its local
 * part or by the first label of its domain ("bounces.example.org"): rule 6.
 */
bool automatic_address(const char *address);

/*
 * The class of a Subject's value, encoded words and all; NULL is none. answers
 * says that the message names one that it answers (In-Reply-To, References).
 * What begins with "Re:" or "Fwd:", in the languages of the usual programs, was
 * written by a person: AUTOMATIC_HUMAN.
 */
enum automatic_class automatic_subject(const char *value, bool answers);

/* The classes that the header's fields, but for Subject, are of: bit 1 << c. */
unsigned automatic_fields(const struct mail_header *header);

#endif
