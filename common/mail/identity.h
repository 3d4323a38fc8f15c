/* The person behind a mail, as far as a pass vouches for one. */
#ifndef MAIL_IDENTITY_H
#define MAIL_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/mail/address.h"
#include "common/mail/authres.h"

/* What vouches for an address, the weakest first. */
enum mail_pass {
	MAIL_PASS_NONE,
	MAIL_PASS_SPF,
	MAIL_PASS_DKIM,
	MAIL_PASS_DMARC
};

/* "none", "pass" (of any kind), "dkim", "dmarc"; never NULL. */
const char *mail_pass_name(enum mail_pass pass);

/* The inverse: -1 for an unknown word. */
int mail_pass_parse(const char *name);

/* The addresses that a mail names, and what vouches for each. */
struct mail_identity {
	/*
	 * Who wrote, as far as known: the From address where DKIM or DMARC
	 * vouches for it and the envelope sender is of another domain (a mailer
	 * with a return path for each mail, a forwarder), else given. "" when
	 * nobody is named.
	 */
	char person[MAIL_ADDRESS_SIZE];
	enum mail_pass person_pass;
	/* The mailbox that the envelope sender names, see
	 * mail_sender_normalise(); "" for null and what is no address. */
	char given[MAIL_ADDRESS_SIZE];
	enum mail_pass given_pass;
	/* The header's From, folded, or "". SPF may vouch for it too, by a name
	 * of the same organisation. */
	char from[MAIL_ADDRESS_SIZE];
	enum mail_pass from_pass;
	/* The envelope sender, folded, and what is inside of each wrapping.
	 * Nothing vouches for what is inside: it is what the sender chose. */
	char forms[1 + MAIL_UNWRAP_MAXIMUM][MAIL_ADDRESS_SIZE];
	size_t form_count;
	const struct mail_auth *auth; /* the caller's; NULL: nothing is known */
};

/*
 * Finds who is behind a mail with this envelope sender ("" for null; one that
 * is no address is nobody, though it has its forms) and header From ("" when
 * there is none; folded here).
 *
 * SPF vouches for the envelope sender, when it passed for the very domain. DKIM
 * and DMARC vouch for the From address, when they are aligned with it: never
 * for an envelope sender that differs from it, since whoever signs for a
 * domain of many users lets each of them sign, and a signed mail can be sent
 * again with any envelope. Within one domain the envelope sender is never
 * taken for another mailbox, whatever From or a wrapping says. Where DMARC
 * fails nothing vouches for anybody.
 */
void mail_identity_find(struct mail_identity *identity, const char *sender,
                        const char *from, const struct mail_auth *auth);

/* Whether the person, or any form of the envelope sender, is a role or program
 * that never answers: see automatic_address(). */
bool mail_identity_is_role(const struct mail_identity *identity);

/* Whether any address that the mail names, in the envelope, inside of a
 * wrapping or in From, is one for which in_domain() holds. */
bool mail_identity_names(const struct mail_identity *identity,
                         bool (*in_domain)(const char *domain, void *context),
                         void *context);

#endif
