/* A message as an agent tells of it, checked. */
#ifndef CLOUD_API_MESSAGE_INPUT_H
#define CLOUD_API_MESSAGE_INPUT_H

#include <jansson.h>

#include "cloud-service/decide/tenant-domains.h"
#include "store/registry/registry.h"

/*
 * Fills *message of this tenant from object, which is hostile: limits and forms
 * of every field, and recipients of the tenant's domains alone. A recipient
 * that cannot be registered is left out and appended to the array refused, as
 * {address, error}, while another one can. 0, or ERR_INVALID with a text that
 * begins with the field's name; *message is then untouched. Released by
 * registry_message_release() after success.
 */
int message_input_read(const json_t *object, const struct id *tenant,
                       const struct tenant_domains *domains,
                       struct registry_message *message, json_t *refused,
                       struct error *err);

#endif
