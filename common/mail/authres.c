/* What the results of SPF, DKIM and DMARC say of a sender. */
#include "common/mail/authres.h"

#include <strings.h>

#include "common/banned.h"
#include "common/mail/address.h"
#include "common/mail/lexical.h"

static const char *const result_names[] = {
    [AUTH_NONE] = "none",           [AUTH_PASS] = "pass",
    [AUTH_FAIL] = "fail",           [AUTH_SOFTFAIL] = "softfail",
    [AUTH_NEUTRAL] = "neutral",     [AUTH_TEMPERROR] = "temperror",
    [AUTH_PERMERROR] = "permerror", [AUTH_POLICY] = "policy"};

const char *auth_result_name(enum auth_result result)
{
	if ((size_t)result >= sizeof(result_names) / sizeof(*result_names))
		return "none";
	return result_names[result];
}

enum auth_result auth_result_parse(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(result_names) / sizeof(*result_names); i++)
		if (strcasecmp(name, result_names[i]) == 0)
			return (enum auth_result)i;
	/* The older names of RFC 5451. */
	if (strcasecmp(name, "hardfail") == 0)
		return AUTH_FAIL;
	return AUTH_NONE;
}

bool mail_auth_passes(const struct mail_auth *auth)
{
	if (auth->dmarc == AUTH_FAIL)
		return false;
	return auth->spf == AUTH_PASS || auth->dkim == AUTH_PASS ||
	       auth->dmarc == AUTH_PASS;
}

bool mail_auth_fails(const struct mail_auth *auth)
{
	return auth->spf == AUTH_FAIL || auth->dmarc == AUTH_FAIL;
}

bool mail_auth_covers_sender(const struct mail_auth *auth, const char *sender,
                             const char *from)
{
	const char *domain = mail_address_domain(sender);

	if (auth->dmarc == AUTH_FAIL)
		return false;
	if (auth->spf == AUTH_PASS)
		return true;
	if (auth->dkim == AUTH_PASS &&
	    mail_domains_align(auth->dkim_domain, domain))
		return true;
	return auth->dmarc == AUTH_PASS &&
	       mail_domains_align(mail_address_domain(from), domain);
}

bool mail_auth_covers_from(const struct mail_auth *auth, const char *from)
{
	const char *domain = mail_address_domain(from);

	if (auth->dmarc == AUTH_FAIL)
		return false;
	if (auth->dmarc == AUTH_PASS)
		return true;
	if (auth->dkim == AUTH_PASS &&
	    mail_domains_align(auth->dkim_domain, domain))
		return true;
	return auth->spf == AUTH_PASS &&
	       mail_domains_align(auth->spf_domain, domain);
}
