/* May we write to the sender? The rules that need only the message. */
#ifndef MAIL_CHALLENGE_RULE_H
#define MAIL_CHALLENGE_RULE_H

#include <stdbool.h>

#include "common/mail/header.h"
#include "common/mail/identity.h"

/* Why no challenge goes out; the order is the order of the rules. */
enum challenge_reason {
	CHALLENGE_ALLOWED = 0,
	CHALLENGE_NULL_SENDER,
	CHALLENGE_AUTO_SUBMITTED,
	CHALLENGE_AUTO_HEADER,
	CHALLENGE_SUPPRESSED,
	CHALLENGE_LIST,
	CHALLENGE_ROLE_SENDER,
	CHALLENGE_UNAUTHENTICATED,
	CHALLENGE_BAD_CONTENT,
	CHALLENGE_OWN_DOMAIN,
	CHALLENGE_REPLY,
	CHALLENGE_OPEN,
	CHALLENGE_DEAD_SENDER,
	CHALLENGE_FOREIGN,
	CHALLENGE_NOT_ADDRESSED,
	CHALLENGE_RATE_CAP,
	CHALLENGE_TRANSACTIONAL,
	CHALLENGE_REPORT,
	CHALLENGE_UNWRITABLE, /* nobody can be written to at the sender's
	                         address: it is malformed or needs SMTPUTF8 */
	CHALLENGE_REASON_COUNT
};

/* What the rules look at. */
struct challenge_facts {
	const char *sender; /* envelope sender as given, "" for null */
	const struct mail_identity *identity;
	const struct mail_header *header;
	unsigned parts; /* automatic_parts_classes() of the body, or 0 */
	bool demand_authentication; /* false: rule 7 is switched off */
	/* Whether the domain is one of the tenant's own. */
	bool (*own_domain)(const char *domain, void *context);
	void *context;
	/* All recipients of ours in the envelope, for rule 14, which an address
	 * of an own domain in To or Cc satisfies too. */
	const char *const *recipients;
	size_t recipient_count;
};

/*
 * The first rule that forbids a challenge, of those that the message alone
 * decides: an address that cannot be written to, 1 to 7, 8 (a header too long
 * to be read), 9, 13 (foreign-challenge), 14, 16 and 17; or CHALLENGE_ALLOWED.
 * RFC 3834 section 2 and the product's design.
 */
enum challenge_reason challenge_rule_apply(const struct challenge_facts *facts);

/* "null-sender", "auto-submitted", ...; "" for CHALLENGE_ALLOWED. */
const char *challenge_reason_name(enum challenge_reason reason);

/* The inverse: -1 for an unknown name. */
int challenge_reason_parse(const char *name);

#endif
