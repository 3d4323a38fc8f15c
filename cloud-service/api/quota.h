/*
 * How much held mail a tenant may have registered. What is held is counted now
 * and then, and what this instance registers is added in between: the limit is
 * exact for one that registers slowly, and may be passed by what all instances
 * take in within QUOTA_COUNT_MS.
 */
#ifndef CLOUD_QUOTA_H
#define CLOUD_QUOTA_H

#include "cloud-service/cloud-config.h"
#include "store/registry/registry.h"

/* How long a count stands; longer where counting takes long. */
#define QUOTA_COUNT_MS 5000

struct quota;

/* What may still be registered: INT64_MAX where there is no limit. */
struct quota_room {
	int64_t messages, bytes;
};

/* No tenant was counted yet. config must outlive it. */
struct quota *quota_new(const struct cloud_config *config);

/* Frees; NULL is allowed. */
void quota_free(struct quota *quota);

/* The room of a tenant; 0 or an error of the registry. Any thread. */
int quota_room(struct quota *quota, struct registry *registry,
               const struct id *tenant, struct quota_room *room,
               struct error *err);

/* So much was registered for the tenant. Any thread. */
void quota_take(struct quota *quota, const struct id *tenant, int64_t messages,
                int64_t bytes);

/* Whether a message of this size fits; *room is less by it then. */
bool quota_fits(struct quota_room *room, int64_t size);

#endif
