/* What the lists say about held mail, carried out. */
#ifndef CLOUD_LISTS_H
#define CLOUD_LISTS_H

#include "cloud-service/decide/tenant-domains.h"
#include "store/registry/registry.h"

/* How many recipients were moved. */
struct lists_count {
	size_t released;
	size_t discarded;
};

/*
 * Looks every held recipient of the messages, which are one tenant's, up and
 * carries out what the strongest entry says: white releases, black discards; by
 * stands in the decision. domains are the tenant's. The states in the messages
 * follow; count (may be NULL) is added to. Idempotent. 0 or an error of the
 * store.
 */
int lists_decide_messages(struct registry *registry,
                          const struct tenant_domains *domains,
                          struct registry_message *const *messages,
                          size_t message_count, const char *by,
                          struct lists_count *count, struct error *err);

/*
 * As lists_decide_messages() for all held mail that the query asks for: the
 * tenant's, which it must name, or of that what one normalised sender wrote or
 * what hangs on one challenge. domains are the tenant's.
 */
int lists_decide_held(struct registry *registry,
                      const struct tenant_domains *domains,
                      const struct registry_query *which, const char *by,
                      struct lists_count *count, struct error *err);

/* Whether any recipient of the message is held. */
bool lists_any_held(const struct registry_message *message);

#endif
