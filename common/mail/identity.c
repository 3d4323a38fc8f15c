/* The person behind a mail: which address a pass vouches for. */
#include "common/mail/identity.h"

#include <stddef.h>
#include <string.h>

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
