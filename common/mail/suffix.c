/* The public suffix list in memory, and alignment by it. */
#include "common/mail/suffix.h"

#include <libpsl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/mail/lexical.h"

#define DOMAIN_SIZE MAIL_ORGANISATION_SIZE

/* Written before there are threads, or once by load_standard(). */
static psl_ctx_t *list;
static pthread_once_t standard_once = PTHREAD_ONCE_INIT;

/* The newer one of the system's file and the copy in libpsl. */
static void load_standard(void)
{
	if (!list)
		list = psl_latest(NULL);
}

int mail_suffixes_load(const char *path, struct error *err)
{
	psl_ctx_t *loaded;

	if (!path || !*path)
		return 0;
	if (access(path, R_OK) != 0)
		return error_set(err, ERR_NOT_FOUND, "%s: cannot be read",
		                 path);
	loaded = psl_load_file(path);
	/* The count of a DAFSA is not known, and negative. */
	if (!loaded || psl_suffix_count(loaded) == 0) {
		psl_free(loaded);
		return error_set(err, ERR_INVALID,
		                 "%s: not a list of public suffixes", path);
	}
	psl_free(list);
	list = loaded;
	return 0;
}

/* The organisational domain, a part of lower; NULL for a public suffix. */
static const char *organisation_of(const char *domain, char lower[DOMAIN_SIZE])
{
	size_t length = strlen(domain), i;

	if (length >= DOMAIN_SIZE)
		return NULL;
	for (i = 0; i <= length; i++)
		lower[i] = mail_ascii_lower(domain[i]);
	(void)pthread_once(&standard_once, load_standard);
	return list ? psl_registrable_domain(list, lower) : NULL;
}

bool mail_domains_align(const char *a, const char *b)
{
	char lower_a[DOMAIN_SIZE], lower_b[DOMAIN_SIZE];
	const char *of_a, *of_b;

	if (!*a || !*b)
		return false;
	if (strcasecmp(a, b) == 0)
		return true;
	if (strchr(a, '[') || strchr(b, '['))
		return false;
	of_a = organisation_of(a, lower_a);
	of_b = organisation_of(b, lower_b);
	return of_a && of_b && strcmp(of_a, of_b) == 0;
}

const char *mail_domain_organisation(const char *domain,
                                     char organisation[MAIL_ORGANISATION_SIZE])
{
	char lower[DOMAIN_SIZE] = "";
	const char *found = organisation_of(domain, lower);

	(void)snprintf(organisation, MAIL_ORGANISATION_SIZE, "%s",
	               found && !strchr(domain, '[') ? found : lower);
	return organisation;
}
