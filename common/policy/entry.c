/* Entries: their words, their canonical form, their copies. */
#include "common/policy/entry.h"

#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"
#include "common/mail/lexical.h"
#include "common/mem.h"
#include "common/network.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const scope_names[] = {"global", "tenant", "domain",
                                          "mailbox"};
static const char *const colour_names[] = {"white", "black"};
static const char *const kind_names[] = {"pattern", "network", "subdomains",
                                         "domain", "address"};
static const char *const origin_names[] = {"captcha", "recipient", "admin",
                                           "import", "outbound"};

static const char *name_at(const char *const *names, size_t count, size_t index)
{
	return index < count ? names[index] : "";
}

static int index_of(const char *const *names, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -1;
}

const char *entry_scope_name(enum entry_scope scope)
{
	return name_at(scope_names, COUNT(scope_names), (size_t)scope);
}

const char *entry_colour_name(enum entry_colour colour)
{
	return name_at(colour_names, COUNT(colour_names), (size_t)colour);
}

const char *entry_kind_name(enum entry_kind kind)
{
	return name_at(kind_names, COUNT(kind_names), (size_t)kind);
}

const char *entry_origin_name(enum entry_origin origin)
{
	return name_at(origin_names, COUNT(origin_names), (size_t)origin);
}

int entry_scope_parse(const char *name)
{
	return index_of(scope_names, COUNT(scope_names), name);
}

int entry_colour_parse(const char *name)
{
	return index_of(colour_names, COUNT(colour_names), name);
}

int entry_kind_parse(const char *name)
{
	return index_of(kind_names, COUNT(kind_names), name);
}

int entry_origin_parse(const char *name)
{
	return index_of(origin_names, COUNT(origin_names), name);
}

enum mail_pass entry_demand(const struct entry *entry)
{
	if (entry->origin == ENTRY_FROM_CAPTCHA &&
	    entry->demand == MAIL_PASS_NONE)
		return MAIL_PASS_SPF;
	return entry->demand;
}

static char *fold_address(const char *value)
{
	char folded[MAIL_ADDRESS_SIZE];

	return mail_address_fold(value, folded) == 0 ? mem_copy_string(folded)
	                                             : NULL;
}

/* Lists write domains as "example.org", "@example.org", ".example.org" and
 * "*.example.org"; prefixes says which of these signs may be taken off. */
static char *fold_domain(const char *value, const char *const *prefixes,
                         size_t count)
{
	char folded[256];
	size_t i;

	for (i = 0; i < count; i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(value, prefixes[i], length) == 0) {
			value += length;
			break;
		}
	}
	if (mail_domain_fold(value, folded, sizeof(folded)) != 0)
		return NULL;
	return mem_copy_string(folded);
}

static char *fold_network(const char *value)
{
	char text[NETWORK_TEXT_SIZE];
	struct network network;

	if (network_parse(value, &network) != 0)
		return NULL;
	return mem_copy_string(network_format(&network, text));
}

/* Runs of "*" say no more than one, and cost time at every match. */
static char *fold_pattern(const char *value)
{
	size_t length = strlen(value), to = 0, i;
	char *folded;

	if (length == 0 || length >= MAIL_ADDRESS_SIZE)
		return NULL;
	for (i = 0; i < length; i++)
		if ((unsigned char)value[i] <= ' ' || value[i] == 0x7f)
			return NULL;
	folded = mem_alloc(length + 1);
	for (i = 0; i < length; i++)
		if (value[i] != '*' || to == 0 || folded[to - 1] != '*')
			folded[to++] = mail_ascii_lower(value[i]);
	return folded;
}

static char *fold_value(enum entry_kind kind, const char *value)
{
	static const char *const of_domain[] = {"@"};
	static const char *const of_subdomains[] = {"@*.", "@.", "*.", ".",
	                                            "@"};

	switch (kind) {
	case ENTRY_ADDRESS:
		return fold_address(value);
	case ENTRY_DOMAIN:
		return fold_domain(value, of_domain, COUNT(of_domain));
	case ENTRY_SUBDOMAINS:
		return fold_domain(value, of_subdomains, COUNT(of_subdomains));
	case ENTRY_NETWORK:
		return fold_network(value);
	case ENTRY_PATTERN:
		return fold_pattern(value);
	}
	return NULL;
}

static char *fold_scope_value(enum entry_scope scope, const char *value)
{
	switch (scope) {
	case ENTRY_SCOPE_GLOBAL:
	case ENTRY_SCOPE_TENANT:
		return *value ? NULL : mem_copy_string("");
	case ENTRY_SCOPE_DOMAIN:
		return fold_domain(value, NULL, 0);
	case ENTRY_SCOPE_MAILBOX:
		return fold_address(value);
	}
	return NULL;
}

int entry_canonicalise(struct entry *entry, struct error *err)
{
	const char *value = entry->value ? entry->value : "";
	const char *where = entry->scope_value ? entry->scope_value : "";
	char *folded = fold_value(entry->kind, value), *scope_folded;

	if (!folded)
		return error_set(err, ERR_INVALID, "value: \"%.80s\" is no %s",
		                 value, entry_kind_name(entry->kind));
	scope_folded = fold_scope_value(entry->scope, where);
	if (!scope_folded) {
		free(folded);
		return error_set(err, ERR_INVALID,
		                 "scope_value: \"%.80s\" does not fit the "
		                 "scope \"%s\"",
		                 where, entry_scope_name(entry->scope));
	}
	free(entry->value);
	free(entry->scope_value);
	entry->value = folded;
	entry->scope_value = scope_folded;
	if (!entry->note)
		entry->note = mem_copy_string("");
	return 0;
}

void entry_release(struct entry *entry)
{
	free(entry->scope_value);
	free(entry->value);
	free(entry->note);
	entry->scope_value = NULL;
	entry->value = NULL;
	entry->note = NULL;
}

static char *copy_text(const char *text)
{
	return mem_copy_string(text ? text : "");
}

void entry_copy(struct entry *to, const struct entry *from)
{
	*to = *from;
	to->scope_value = copy_text(from->scope_value);
	to->value = copy_text(from->value);
	to->note = copy_text(from->note);
}
