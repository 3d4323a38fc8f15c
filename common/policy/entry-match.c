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

static bool identity_matches(const struct entry *entry, const char *identity)
{
	switch (entry->kind) {
	case ENTRY_ADDRESS:
		return strcmp(identity, entry->value) == 0;
	case ENTRY_DOMAIN:
		return strcmp(mail_address_domain(identity), entry->value) == 0;
	case ENTRY_SUBDOMAINS:
		return mail_domain_is_within(mail_address_domain(identity),
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

/* Whether the address matches, and has the pass that entry demands. */
static bool address_counts(const struct entry *entry, const char *address,
                           enum mail_pass pass)
{
	return *address && pass >= entry_demand(entry) &&
	       identity_matches(entry, address);
}

/*
 * White entries are for whom a pass vouches, or without one for the mailbox
 * that the envelope names itself; black ones for all that the mail names, but
 * for a From that nothing vouches for.
 */
static bool sender_matches(const struct entry *entry,
                           const struct mail_identity *identity)
{
	size_t i;

	if (address_counts(entry, identity->person, identity->person_pass) ||
	    address_counts(entry, identity->given, identity->given_pass))
		return true;
	if (entry->colour == ENTRY_WHITE)
		return false;
	if (identity->from_pass != MAIL_PASS_NONE &&
	    address_counts(entry, identity->from, identity->from_pass))
		return true;
	for (i = 0; i < identity->form_count; i++)
		if (address_counts(entry, identity->forms[i], MAIL_PASS_NONE))
			return true;
	return false;
}

bool entry_matches(const struct entry *entry,
                   const struct entry_subject *subject)
{
	const struct mail_identity *identity = subject->identity;

	if (entry->deleted ||
	    (entry->expires_ms && entry->expires_ms <= subject->now_ms) ||
	    !scope_matches(entry, subject->recipient))
		return false;
	if (entry->colour == ENTRY_WHITE && identity->auth &&
	    mail_auth_fails(identity->auth))
		return false;
	if (entry->origin == ENTRY_FROM_CAPTCHA && subject->claims_own_domain)
		return false;
	if (entry->kind == ENTRY_NETWORK)
		return identity->person_pass >= entry_demand(entry) &&
		       network_matches(entry, subject);
	return sender_matches(entry, identity);
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

/* By a stranger, while people of the tenant wrote the others. */
static bool is_earned(const struct entry *entry)
{
	return entry->origin == ENTRY_FROM_CAPTCHA;
}

const struct entry *entry_stronger(const struct entry *a, const struct entry *b)
{
	size_t a_length, b_length;

	if (!a || !b)
		return a ? a : b;
	if (is_earned(a) != is_earned(b))
		return is_earned(a) ? b : a;
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

/* Tells the address's keys in each scope that the recipient is in. */
static void tell_address(const struct key_walk *walks, size_t count,
                         const char *address)
{
	size_t i;

	for (i = 0; i < count && *address; i++)
		tell_identity(&walks[i], address);
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
	const size_t count = sizeof(walks) / sizeof(*walks);
	const struct mail_identity *identity = subject->identity;
	const char *given = identity->given, *person = identity->person;
	size_t i;

	tell_address(walks, count, given);
	if (strcmp(person, given) != 0)
		tell_address(walks, count, person);
	if (identity->from_pass != MAIL_PASS_NONE &&
	    strcmp(identity->from, given) != 0 &&
	    strcmp(identity->from, person) != 0)
		tell_address(walks, count, identity->from);
	for (i = 0; i < identity->form_count; i++)
		if (strcmp(identity->forms[i], given) != 0)
			tell_address(walks, count, identity->forms[i]);
}
