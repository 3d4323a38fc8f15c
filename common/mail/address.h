/* Mail addresses: syntax of the envelope, and the sender's normal form. */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define MAIL_ADDRESS_SIZE   321 /* 64 + "@" + 255 + NUL */
#define MAIL_DOMAIN_MAXIMUM 255

/*
 * The one grammar of addresses: SMTP's commands, the agent, the cloud's
 * requests, configurations and command lines all ask here.
 *
 * Whether text is a mailbox of RFC 5321 section 4.1.2, as mail in use has it:
 * a dot-string whose dots may stand anywhere (a..b@, .a@: customers of large
 * mobile providers have such) or a quoted string; a domain of 255 octets at
 * most, with "_" in labels, or an address literal; no controls. Local parts
 * may pass the 64 octets that section 4.5.3.1.1 asks everyone to accept, as
 * far as the whole fits MAIL_ADDRESS_SIZE: the bounce addresses of real lists
 * do. UTF-8 is refused unless utf8 (RFC 6531). "Postmaster" without a domain
 * is not accepted here.
 */
bool mail_address_valid(const char *text, bool utf8);

/*
 * The length of the local part that text begins with, quotes included; 0 for
 * none, or for a quoted string that does not end or holds controls.
 */
size_t mail_local_length(const char *text, bool utf8);

/* Whether length bytes of text are a domain or an address literal, as
 * mail_address_valid() takes them. */
bool mail_domain_valid(const char *text, size_t length, bool utf8);

/*
 * Whether the local part asks to be sent on: "%", "!", or an "@" within quotes
 * (RFC 5321 appendix F.2 and section 3.6.1 deprecate all of them). A next hop
 * that honours it would relay for strangers.
 */
bool mail_address_is_routed(const char *address);

/* The part after the last "@", or "" when there is none. */
const char *mail_address_domain(const char *address);

/*
 * Writes the address with its domain in lower case (IDNA to A-labels) and the
 * local part in lower case: the form by which lists are looked up. 0, or
 * ERR_INVALID.
 */
int mail_address_fold(const char *address, char folded[MAIL_ADDRESS_SIZE]);

/*
 * Writes the mailbox that an envelope sender names: mail_address_fold() after
 * taking off BATV (prvs=tag=user@, the same with tag and user swapped,
 * btv1==tag==user@, msprvs1=tag=user@), by which a domain signs its own
 * mailboxes. 0, or ERR_INVALID.
 */
int mail_sender_normalise(const char *address, char normal[MAIL_ADDRESS_SIZE]);

/*
 * Writes the address as its owner knows it: BATV taken off, the case of its
 * letters kept. For display alone: mail goes to the address as given. What is
 * too long is cut.
 */
void mail_sender_shown(const char *address, char shown[MAIL_ADDRESS_SIZE]);

/* Most wrappings that forwarders stack; deeper is no real mail. */
#define MAIL_UNWRAP_MAXIMUM 4

/*
 * Takes one wrapping off a folded address and writes what is inside: BATV,
 * SRS0 and SRS1 (with =, + and - as separators), or VERP
 * (list-bounces+user=dom@ gives user@dom; only with both + and =; and
 * user+caf_=x=y@dom gives user@dom). Whoever sent the mail chose what stands
 * inside: it proves nothing. False when there is none.
 */
bool mail_sender_unwrap(const char *folded, char inside[MAIL_ADDRESS_SIZE]);

/* Whether domain is top or a name below it, both folded; never for "". */
bool mail_domain_is_within(const char *domain, const char *top);

/* Writes the domain in lower case and A-labels. 0, or ERR_INVALID. */
int mail_domain_fold(const char *domain, char *folded, size_t folded_size);

/* Whether it is null, #@[], mailer-daemon or postmaster: rule 1. */
bool mail_address_is_null_sender(const char *address);

#endif
