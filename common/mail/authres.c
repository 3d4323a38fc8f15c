/* The words for results of SPF, DKIM and DMARC. */
#include "common/mail/authres.h"

#include <strings.h>

#include "common/banned.h"

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

bool mail_auth_fails(const struct mail_auth *auth)
{
	return auth->spf == AUTH_FAIL || auth->dmarc == AUTH_FAIL;
}
