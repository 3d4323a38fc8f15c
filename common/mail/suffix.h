/* The public suffix list: which names belong to one organisation. */
#ifndef MAIL_SUFFIX_H
#define MAIL_SUFFIX_H

#include <stdbool.h>

#include "common/error.h"

#define MAIL_ORGANISATION_SIZE 256 /* with the NUL */

/*
 * Puts the list in the file, as text or as DAFSA (https://publicsuffix.org), in
 * the place of the one in force; NULL or "" leaves the system's. ERR_NOT_FOUND
 * or ERR_INVALID with the file named, the list in force stays then. While the
 * process has one thread.
 */
int mail_suffixes_load(const char *path, struct error *err);

/*
 * Whether a and b are names of one organisation: the same name, or both below
 * the same name that is registered under a public suffix (the relaxed alignment
 * of RFC 7489 section 3.1, the organisational domain of its section 3.2). Names
 * directly under a suffix are strangers to each other and to the suffix.
 * Address literals are of one organisation only when they are equal. Any
 * thread.
 */
bool mail_domains_align(const char *a, const char *b);

/*
 * The name that is registered under a public suffix, of which domain is a part,
 * in lower case: RFC 7489 section 3.2. Of a public suffix and an address
 * literal the whole. Returns organisation; "" for a longer name than the DNS
 * has. Any thread.
 */
const char *mail_domain_organisation(const char *domain,
                                     char organisation[MAIL_ORGANISATION_SIZE]);

#endif
