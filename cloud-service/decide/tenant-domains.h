/* The domains of one tenant, read once a request. */
#ifndef CLOUD_TENANT_DOMAINS_H
#define CLOUD_TENANT_DOMAINS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/mail/identity.h"
#include "store/registry/registry.h"

/* Sorted; zeroed memory is an empty set. */
struct tenant_domains {
	char **names;
	size_t count, capacity;
};

/* Reads them; released by tenant_domains_release() after success. */
int tenant_domains_load(struct tenant_domains *domains,
                        struct registry *registry, const struct id *tenant,
                        struct error *err);

/* Whether the folded address is in one of them; subdomains are not. */
bool tenant_domains_have(const struct tenant_domains *domains,
                         const char *folded_address);

/* Whether a folded domain is one of them. */
bool tenant_domains_include(const struct tenant_domains *domains,
                            const char *domain);

/*
 * Whether the mail, which came from outside, names a sender of one of them: in
 * its envelope, inside of a wrapping there, or in From.
 */
bool tenant_domains_claimed(const struct tenant_domains *domains,
                            const struct mail_identity *identity);

/* Frees; a zeroed struct is allowed. */
void tenant_domains_release(struct tenant_domains *domains);

#endif
