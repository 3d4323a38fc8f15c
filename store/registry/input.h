/* What the registry's functions demand of their arguments, for all backends. */
#ifndef STORE_REGISTRY_INPUT_H
#define STORE_REGISTRY_INPUT_H

#include "store/registry/ops.h"

/* Each returns 0, or ERR_INVALID with the field named. */

/* A text that must be there: not NULL, not "", not too long. */
int input_required(const char *field, const char *text, struct error *err);

/* A text that may be NULL. */
int input_optional(const char *field, const char *text, struct error *err);

/* An id that must be there: not NULL, not none. */
int input_id(const char *field, const struct id *id, struct error *err);

/* limit in 1..maximum. */
int input_limit(size_t limit, size_t maximum, struct error *err);

/* A tenant to be added or changed: all its texts. */
int input_tenant(const struct registry_tenant *tenant, struct error *err);

/* A user's role, which must fit the tenant, or none, that he is of. */
int input_role(const char *role, const struct id *tenant, struct error *err);

/* A message without a look at its recipients, of which it must have some. */
int input_message_head(const struct registry_message *message,
                       struct error *err);

/* A message to be added, its recipients too. */
int input_message(const struct registry_message *message, struct error *err);

/* An entry to be put for this tenant. */
int input_entry(const struct id *tenant, const struct entry *entry,
                struct error *err);

/* A challenge to be opened. */
int input_challenge(const struct registry_challenge *challenge,
                    struct error *err);

/* A record to be imported, of whatever kind. */
int input_record(const struct registry_record *record, struct error *err);

#endif
