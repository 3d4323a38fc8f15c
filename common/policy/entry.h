/* Entries of the white and black lists, and which of them wins. */
#ifndef POLICY_ENTRY_H
#define POLICY_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/id.h"
#include "common/mail/authres.h"
#include "common/mail/identity.h"

enum entry_scope { /* narrow beats wide */
	           ENTRY_SCOPE_GLOBAL,
	           ENTRY_SCOPE_TENANT,
	           ENTRY_SCOPE_DOMAIN, /* a domain of the tenant's: scope_value
	                                */
	           ENTRY_SCOPE_MAILBOX /* a recipient: scope_value */
};

enum entry_colour { ENTRY_WHITE, ENTRY_BLACK };

enum entry_kind {                /* the more specific wins: address first */
	          ENTRY_PATTERN, /* a glob with * and ? over the whole address
	                          */
	          ENTRY_NETWORK, /* "192.0.2.0/24", "2001:db8::/32" or one
	                            address */
	          ENTRY_SUBDOMAINS, /* "example.org": it and all below */
	          ENTRY_DOMAIN,
	          ENTRY_ADDRESS
};

enum entry_origin {
	ENTRY_FROM_CAPTCHA,
	ENTRY_FROM_RECIPIENT,
	ENTRY_FROM_ADMIN,
	ENTRY_FROM_IMPORT,
	ENTRY_FROM_OUTBOUND
};

/* One entry. Strings belong to whoever holds the entry. */
struct entry {
	struct id id;
	enum entry_scope scope;
	enum entry_colour colour;
	enum entry_kind kind;
	enum entry_origin origin;
	enum mail_pass demand; /* see entry_demand() */
	bool deleted;          /* a tombstone, for replicas */
	int64_t expires_ms;    /* 0: never */
	int64_t created_ms;
	int64_t revision;  /* of the tenant's policy when it was last changed */
	char *scope_value; /* "" unless domain or mailbox; folded */
	char *value;       /* folded; networks in canonical form */
	char *note;        /* "" when none */
};

/*
 * Checks and folds *value and *scope_value of the kind and scope in *entry
 * (heap strings, replaced by their canonical form). ERR_INVALID with the field
 * named; nothing changed then.
 */
int entry_canonicalise(struct entry *entry, struct error *err);

/* Frees the strings; the struct stays the caller's. */
void entry_release(struct entry *entry);

/* Deep copy; to is released by entry_release(). */
void entry_copy(struct entry *to, const struct entry *from);

/* Words on the wire: "global", "white", "address", "captcha", ... */
const char *entry_scope_name(enum entry_scope scope);
/* See entry_scope_name(). */
const char *entry_colour_name(enum entry_colour colour);
/* See entry_scope_name(). */
const char *entry_kind_name(enum entry_kind kind);
/* See entry_scope_name(). */
const char *entry_origin_name(enum entry_origin origin);
/* The inverse of entry_scope_name(): -1 for an unknown word. */
int entry_scope_parse(const char *name);
/* The inverse of entry_colour_name(): -1 for an unknown word. */
int entry_colour_parse(const char *name);
/* The inverse of entry_kind_name(): -1 for an unknown word. */
int entry_kind_parse(const char *name);
/* The inverse of entry_origin_name(): -1 for an unknown word. */
int entry_origin_parse(const char *name);

/*
 * The pass that the sender needs for entry to count: the one that is stored;
 * what a stranger earned by a captcha demands one whatever is stored.
 */
enum mail_pass entry_demand(const struct entry *entry);

/* Who writes to whom: what entries are matched against. */
struct entry_subject {
	const struct mail_identity *identity;
	const char *recipient;      /* folded */
	const char *client_address; /* numeric, or "" */
	bool claims_own_domain; /* the mail, which comes from outside, names a
	                           domain of the tenant's as its sender's */
	int64_t now_ms;
};

/*
 * Whether entry matches the subject, authentication and expiry included. A
 * white entry is for the person behind the mail, or for the mailbox that the
 * envelope names; a pass that it demands has to vouch for the address that
 * matches. It is ignored where SPF or DMARC fails outright, and what came of a
 * captcha where the mail claims a domain of the tenant's own. A black entry is
 * also for each form of the envelope sender, and for a From that a pass is
 * aligned with.
 */
bool entry_matches(const struct entry *entry,
                   const struct entry_subject *subject);

/*
 * Which of two matching entries wins: what people of the tenant wrote over what
 * a stranger earned by a captcha, then narrower scope, then more specific kind
 * (a longer network or subdomain is more specific), then black. Returns a or b;
 * either may be NULL.
 */
const struct entry *entry_stronger(const struct entry *a,
                                   const struct entry *b);

/*
 * The keys under which an entry that matches subject can be stored: for every
 * (scope, scope_value, kind, value) that can match by equality, calls each.
 * Networks and patterns are not among them: they are few and scanned.
 */
void entry_each_key(const struct entry_subject *subject,
                    void (*each)(enum entry_scope scope,
                                 const char *scope_value, enum entry_kind kind,
                                 const char *value, void *context),
                    void *context);

#endif
