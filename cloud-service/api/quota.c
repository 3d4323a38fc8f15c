/* The quotas of tenants, counted now and then. */
#include "cloud-service/api/quota.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

#define SLOTS 1024
/* Counting may take this part of the time. */
#define COUNT_SHARE 50

/* What is known of a tenant. Two that share a slot are counted in turns. */
struct slot {
	struct id tenant;
	int64_t until_ms; /* of the monotonic clock; 0: empty */
	int64_t maximum_messages, maximum_bytes; /* 0: no limit */
	struct registry_usage usage;
};

struct quota {
	const struct cloud_config *config;
	pthread_mutex_t lock;
	struct slot slots[SLOTS];
};

struct quota *quota_new(const struct cloud_config *config)
{
	struct quota *quota = mem_alloc(sizeof(*quota));

	quota->config = config;
	(void)pthread_mutex_init(&quota->lock, NULL);
	return quota;
}

void quota_free(struct quota *quota)
{
	if (!quota)
		return;
	(void)pthread_mutex_destroy(&quota->lock);
	free(quota);
}

/* By the random end of the id. */
static struct slot *slot_of(struct quota *quota, const struct id *tenant)
{
	return &quota->slots[(tenant->bytes[14] << 8 | tenant->bytes[15]) %
	                     SLOTS];
}

/* Reads the tenant's limits and, where there are any, counts what it has. */
static int count(const struct quota *quota, struct registry *registry,
                 const struct id *tenant, struct slot *slot, struct error *err)
{
	int64_t start_ms = clock_monotonic_ms(), now_ms;
	struct registry_tenant read;
	int result = registry_tenant_read(registry, tenant, &read, err);

	if (result)
		return result;
	slot->tenant = *tenant;
	slot->maximum_messages = read.quota_messages
	                             ? read.quota_messages
	                             : quota->config->quota_messages;
	slot->maximum_bytes =
	    read.quota_bytes ? read.quota_bytes : quota->config->quota_bytes;
	registry_tenant_release(&read);
	if (slot->maximum_messages || slot->maximum_bytes)
		result =
		    registry_tenant_usage(registry, tenant, &slot->usage, err);
	now_ms = clock_monotonic_ms();
	slot->until_ms =
	    now_ms + QUOTA_COUNT_MS + COUNT_SHARE * (now_ms - start_ms);
	return result;
}

static int64_t left(int64_t maximum, int64_t used)
{
	if (!maximum)
		return INT64_MAX;
	return used < maximum ? maximum - used : 0;
}

int quota_room(struct quota *quota, struct registry *registry,
               const struct id *tenant, struct quota_room *room,
               struct error *err)
{
	struct slot *kept = slot_of(quota, tenant), slot;
	bool counts;
	int result;

	(void)pthread_mutex_lock(&quota->lock);
	slot = *kept;
	counts = !id_equal(&slot.tenant, tenant) ||
	         slot.until_ms <= clock_monotonic_ms();
	(void)pthread_mutex_unlock(&quota->lock);
	if (counts) {
		slot = (struct slot){.until_ms = 0};
		result = count(quota, registry, tenant, &slot, err);
		if (result)
			return result;
		(void)pthread_mutex_lock(&quota->lock);
		*kept = slot;
		(void)pthread_mutex_unlock(&quota->lock);
	}
	room->messages = left(slot.maximum_messages, slot.usage.messages);
	room->bytes = left(slot.maximum_bytes, slot.usage.bytes);
	return 0;
}

void quota_take(struct quota *quota, const struct id *tenant, int64_t messages,
                int64_t bytes)
{
	struct slot *slot = slot_of(quota, tenant);

	(void)pthread_mutex_lock(&quota->lock);
	if (id_equal(&slot->tenant, tenant)) {
		slot->usage.messages += messages;
		if (__builtin_add_overflow(slot->usage.bytes, bytes,
		                           &slot->usage.bytes))
			slot->usage.bytes = INT64_MAX;
	}
	(void)pthread_mutex_unlock(&quota->lock);
}

bool quota_fits(struct quota_room *room, int64_t size)
{
	if (room->messages < 1 || room->bytes < size)
		return false;
	if (room->messages != INT64_MAX)
		room->messages--;
	if (room->bytes != INT64_MAX)
		room->bytes -= size;
	return true;
}
