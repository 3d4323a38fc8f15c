/* What happens when an agent registers the mail that it holds. */
#ifndef CLOUD_REGISTER_H
#define CLOUD_REGISTER_H

#include "cloud-service/cloud.h"
#include "cloud-service/decide/tenant-domains.h"

enum register_status {
	REGISTER_NEW,
	REGISTER_KNOWN,  /* registered before; mended where a crash left it */
	REGISTER_REFUSED /* the id is another tenant's */
};

/*
 * Registers count messages of one tenant: each is stored, looked up in the
 * lists, and, where it is still held and nothing forbids it, its sender is
 * challenged or it joins the challenge that is open. Every step is idempotent:
 * the same batch may come again after any failure. On success statuses[] is
 * filled and messages[] hold what the registry knows now, with the states of
 * their recipients; refused ones are left as they were. An error is the
 * store's: the batch is to be sent again.
 */
int register_messages(struct cloud *cloud, const struct tenant_domains *domains,
                      struct registry_message *messages, size_t count,
                      enum register_status *statuses, struct error *err);

/*
 * The reason why the cloud itself forbids a challenge for this message, whose
 * agent allows it; "" when nothing does. Rules 1, 6, 7 and 9 again, in case an
 * agent is wrong.
 */
const char *register_forbids(const struct tenant_domains *domains,
                             const struct registry_message *message);

#endif
