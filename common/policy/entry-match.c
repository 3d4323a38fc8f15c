/* Which entries match who writes to whom, and which of them wins. */
#include <string.h>

#include "common/mail/address.h"
#include "common/policy/entry.h"
#include "common/network.h"

/* Greedy with one point to go back to: linear but for "*a*a*a", where it is
 * bounded by the square of an address's length. */
static bool glob_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool is_at_or_below(const char *domain, const char *top)
{
	size_t length = strlen(domain), top_length = strlen(top);

	if (top_length == 0 || length < top_length ||
	    strcmp(domain + length - top_length, top) != 0)
		return false;
	return length == top_length || domain[length - top_length - 1] == '.';
}

static bool identity_matches(const struct entry *entry, const char *identity)
{
	switch (entry->kind) {
	case ENTRY_ADDRESS:
		return strcmp(identity, entry->value) == 0;
	case ENTRY_DOMAIN:
		return strcmp(mail_address_domain(identity), entry->value) == 0;
	case ENTRY_SUBDOMAINS:
		return is_at_or_below(mail_address_domain(identity),
		                      entry->value);
	case ENTRY_PATTERN:
		return glob_matches(entry->value, identity);
	case ENTRY_NETWORK:
		break;
	}
	return false;
}

static bool network_matches(const struct entry *entry,
                            const struct entry_subject *subject)
{
	struct network network, address;

	return network_parse(entry->value, &network) == 0 &&
	       network_parse(subject->client_address, &address) == 0 &&
	       network_contains(&network, &address);
}

static bool scope_matches(const struct entry *entry, const char *recipient)
{
	switch (entry->scope) {
	case ENTRY_SCOPE_GLOBAL:
	case ENTRY_SCOPE_TENANT:
		return true;
	case ENTRY_SCOPE_DOMAIN:
		return strcmp(mail_address_domain(recipient),
		              entry->scope_value) == 0;
	case ENTRY_SCOPE_MAILBOX:
		return strcmp(recipient, entry->scope_value) == 0;
	}
	return false;
}

static bool from_counts(const struct entry_subject *subject)
{
	return *subject->from && subject->auth &&
	       mail_auth_covers_from(subject->auth, subject->from);
}

/*
 * Whether the sender matches; a demanded pass has to be for the sender
 * itself, not for a From that stands beside a forged one.
 */
static bool sender_matches(const struct entry *entry,
                           const struct entry_subject *subject)
{
	if (!*subject->sender || !identity_matches(entry, subject->sender))
		return false;
	return entry->demand == MAIL_PASS_NONE ||
	       (subject->auth &&
	        mail_auth_covers_sender(subject->auth, subject->sender,
	                                subject->from));
}

bool entry_matches(const struct entry *entry,
                   const struct entry_subject *subject)
{
	const struct mail_auth *auth = subject->auth;

	if (entry->deleted ||
	    (entry->expires_ms && entry->expires_ms <= subject->now_ms) ||
	    !scope_matches(entry, subject->recipient))
		return false;
	if (entry->colour == ENTRY_WHITE && auth && mail_auth_fails(auth))
		return false;
	if (entry->demand != MAIL_PASS_NONE &&
	    (!auth || !mail_auth_passes(auth)))
		return false;
	if (entry->kind == ENTRY_NETWORK)
		return network_matches(entry, subject);
	return sender_matches(entry, subject) ||
	       (from_counts(subject) && identity_matches(entry, subject->from));
}

/* How specific two entries of the same kind are: longer is more. */
static size_t specificity(const struct entry *entry)
{
	struct network network;

	if (entry->kind == ENTRY_SUBDOMAINS)
		return strlen(entry->value);
	if (entry->kind == ENTRY_NETWORK &&
	    network_parse(entry->value, &network) == 0)
		return network.prefix_bits;
	return 0;
}

const struct entry *entry_stronger(const struct entry *a, const struct entry *b)
{
	size_t a_length, b_length;

	if (!a || !b)
		return a ? a : b;
	if (a->scope != b->scope)
		return a->scope > b->scope ? a : b;
	if (a->kind != b->kind)
		return a->kind > b->kind ? a : b;
	a_length = specificity(a);
	b_length = specificity(b);
	if (a_length != b_length)
		return a_length > b_length ? a : b;
	if (a->colour != b->colour)
		return a->colour == ENTRY_BLACK ? a : b;
	/* Equal in every respect: the same one, whichever came first. */
	return memcmp(&a->id, &b->id, sizeof(a->id)) <= 0 ? a : b;
}

/* Calls each with the keys of one identity in one scope. */
struct key_walk {
	enum entry_scope scope;
	const char *scope_value;
	void (*each)(enum entry_scope scope, const char *scope_value,
	             enum entry_kind kind, const char *value, void *context);
	void *context;
};

static void tell_identity(const struct key_walk *walk, const char *identity)
{
	const char *domain = mail_address_domain(identity);

	if (!*domain)
		return;
	walk->each(walk->scope, walk->scope_value, ENTRY_ADDRESS, identity,
	           walk->context);
	walk->each(walk->scope, walk->scope_value, ENTRY_DOMAIN, domain,
	           walk->context);
	while (domain && *domain) {
		walk->each(walk->scope, walk->scope_value, ENTRY_SUBDOMAINS,
		           domain, walk->context);
		domain = strchr(domain, '.');
		if (domain)
			domain++;
	}
}

void entry_each_key(const struct entry_subject *subject,
                    void (*each)(enum entry_scope scope,
                                 const char *scope_value, enum entry_kind kind,
                                 const char *value, void *context),
                    void *context)
{
	const struct key_walk walks[] = {
	    {ENTRY_SCOPE_MAILBOX, subject->recipient, each, context},
	    {ENTRY_SCOPE_DOMAIN, mail_address_domain(subject->recipient), each,
	     context},
	    {ENTRY_SCOPE_TENANT, "", each, context},
	    {ENTRY_SCOPE_GLOBAL, "", each, context}};
	bool with_from =
	    from_counts(subject) && strcmp(subject->from, subject->sender) != 0;
	size_t i;

	for (i = 0; i < sizeof(walks) / sizeof(*walks); i++) {
		tell_identity(&walks[i], subject->sender);
		if (with_from)
			tell_identity(&walks[i], subject->from);
	}
}
