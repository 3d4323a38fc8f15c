/* A sorted set of a tenant's domains. */
#include "cloud-service/decide/tenant-domains.h"

#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"
#include "common/mem.h"
#include "common/text.h"

static void add(const char *domain, void *context)
{
	struct tenant_domains *domains = context;

	domains->names = mem_grow(domains->names, domains->count,
	                          &domains->capacity, sizeof(*domains->names));
	domains->names[domains->count++] = mem_copy_string(domain);
}

int tenant_domains_load(struct tenant_domains *domains,
                        struct registry *registry, const struct id *tenant,
                        struct error *err)
{
	struct tenant_domains loaded = {0};
	int result;

	result = registry_domain_each(registry, tenant, add, &loaded, err);
	if (result) {
		tenant_domains_release(&loaded);
		return result;
	}
	if (loaded.count > 1)
		qsort(loaded.names, loaded.count, sizeof(*loaded.names),
		      text_compare);
	*domains = loaded;
	return 0;
}

bool tenant_domains_include(const struct tenant_domains *domains,
                            const char *domain)
{
	if (!*domain || domains->count == 0)
		return false;
	return bsearch(&domain, domains->names, domains->count,
	               sizeof(*domains->names), text_compare) != NULL;
}

bool tenant_domains_have(const struct tenant_domains *domains,
                         const char *folded_address)
{
	return tenant_domains_include(domains,
	                              mail_address_domain(folded_address));
}

/* context: the struct tenant_domains. */
static bool has_domain(const char *domain, void *context)
{
	return tenant_domains_include(context, domain);
}

bool tenant_domains_claimed(const struct tenant_domains *domains,
                            const struct mail_identity *identity)
{
	return mail_identity_names(identity, has_domain,
	                           (void *)(uintptr_t)domains);
}

void tenant_domains_release(struct tenant_domains *domains)
{
	size_t i;

	for (i = 0; i < domains->count; i++)
		free(domains->names[i]);
	free(domains->names);
	memset(domains, 0, sizeof(*domains));
}
