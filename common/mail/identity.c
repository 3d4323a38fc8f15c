/* The person behind a mail: which address a pass vouches for. */
#include "common/mail/identity.h"

#include <string.h>

#include "common/mail/automatic.h"
#include "common/mail/suffix.h"

static const char *const pass_names[] = {[MAIL_PASS_NONE] = "none",
                                         [MAIL_PASS_SPF] = "pass",
                                         [MAIL_PASS_DKIM] = "dkim",
                                         [MAIL_PASS_DMARC] = "dmarc"};

const char *mail_pass_name(enum mail_pass pass)
{
	return (size_t)pass < sizeof(pass_names) / sizeof(*pass_names)
	           ? pass_names[pass]
	           : "none";
}

int mail_pass_parse(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(pass_names) / sizeof(*pass_names); i++)
		if (strcmp(name, pass_names[i]) == 0)
			return (int)i;
	return -1;
}

/* What vouches for the header's From alone. */
static enum mail_pass signed_pass(const struct mail_auth *auth,
                                  const char *from)
{
	const char *domain = mail_address_domain(from);
	/* Older agents kept a DMARC pass only when it was about this From. */
	const char *about = *auth->dmarc_domain ? auth->dmarc_domain : domain;

	if (auth->dmarc == AUTH_PASS && mail_domains_align(about, domain))
		return MAIL_PASS_DMARC;
	if (auth->dkim == AUTH_PASS &&
	    mail_domains_align(auth->dkim_domain, domain))
		return MAIL_PASS_DKIM;
	return MAIL_PASS_NONE;
}

static void find_forms(struct mail_identity *identity, const char *sender)
{
	char(*forms)[MAIL_ADDRESS_SIZE] = identity->forms;
	size_t count = 1;

	if (mail_address_fold(sender, forms[0])) {
		forms[0][0] = '\0';
		return;
	}
	if (!mail_address_valid(sender, true) ||
	    mail_sender_normalise(sender, identity->given))
		identity->given[0] = '\0';
	while (count <= MAIL_UNWRAP_MAXIMUM &&
	       mail_sender_unwrap(forms[count - 1], forms[count]))
		count++;
	identity->form_count = count;
}

/* What vouches for each address; the person is still to be found. */
static enum mail_pass find_passes(struct mail_identity *identity)
{
	const struct mail_auth *auth = identity->auth;
	const char *given_domain = mail_address_domain(identity->given);
	enum mail_pass signed_by;

	if (!auth || auth->dmarc == AUTH_FAIL)
		return MAIL_PASS_NONE;
	signed_by = signed_pass(auth, identity->from);
	identity->from_pass = signed_by;
	if (auth->spf == AUTH_PASS && *given_domain) {
		if (strcmp(auth->spf_domain, given_domain) == 0)
			identity->given_pass = MAIL_PASS_SPF;
		if (!signed_by &&
		    mail_domains_align(auth->spf_domain,
		                       mail_address_domain(identity->from)))
			identity->from_pass = MAIL_PASS_SPF;
	}
	if (signed_by && strcmp(identity->from, identity->given) == 0)
		identity->given_pass = signed_by;
	return signed_by;
}

void mail_identity_find(struct mail_identity *identity, const char *sender,
                        const char *from, const struct mail_auth *auth)
{
	enum mail_pass signed_by;

	memset(identity, 0, sizeof(*identity));
	identity->auth = auth;
	find_forms(identity, sender);
	if (mail_address_fold(from, identity->from))
		identity->from[0] = '\0';
	signed_by = find_passes(identity);
	if (signed_by && strcmp(mail_address_domain(identity->from),
	                        mail_address_domain(identity->given)) != 0) {
		memcpy(identity->person, identity->from,
		       sizeof(identity->person));
		identity->person_pass = signed_by;
		return;
	}
	memcpy(identity->person, identity->given, sizeof(identity->person));
	identity->person_pass = identity->given_pass;
}

bool mail_identity_is_role(const struct mail_identity *identity)
{
	bool asked = false; /* the person is one of the forms */
	size_t i;

	for (i = 0; i < identity->form_count; i++) {
		if (automatic_address(identity->forms[i]))
			return true;
		asked =
		    asked || strcmp(identity->forms[i], identity->person) == 0;
	}
	return !asked && automatic_address(identity->person);
}

bool mail_identity_names(const struct mail_identity *identity,
                         bool (*in_domain)(const char *domain, void *context),
                         void *context)
{
	size_t i;

	for (i = 0; i < identity->form_count; i++)
		if (in_domain(mail_address_domain(identity->forms[i]), context))
			return true;
	return *identity->from &&
	       in_domain(mail_address_domain(identity->from), context);
}
