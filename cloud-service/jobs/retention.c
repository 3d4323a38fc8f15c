/* Deletes what has been kept long enough, in small steps. */
#include "cloud-service/jobs/retention.h"

#include "cloud-service/cloud-metrics.h"
#include "common/clock.h"
#include "common/log.h"

#define LEASE_MS  60000
#define STEP_SIZE 200

struct kept {
	enum registry_kind kind;
	int64_t for_ms;
};

/* Deletes one kind; *go_on is false when the rest is left to later. */
static int purge_kind(struct registry *registry, const char *instance,
                      const struct kept *kept, int64_t now_ms,
                      retention_rest rest, void *context, bool *go_on,
                      struct error *err)
{
	size_t total = 0, deleted = 0;
	int result;

	do {
		result = registry_lease(registry, "job-purge", instance,
		                        clock_wall_ms(), LEASE_MS, err);
		if (!result)
			result = registry_purge(registry, kept->kind,
			                        now_ms - kept->for_ms,
			                        STEP_SIZE, &deleted, err);
		if (result)
			break;
		total += deleted;
		if (deleted == STEP_SIZE && rest)
			*go_on = rest(context);
	} while (*go_on && deleted == STEP_SIZE);
	if (total) {
		count_purged(kept->kind, total);
		log_info("retention", "%zu %s deleted", total,
		         registry_kind_name(kept->kind));
	}
	return result;
}

int retention_run(struct registry *registry, const struct cloud_config *config,
                  int64_t now_ms, retention_rest rest, void *context,
                  struct error *err)
{
	const struct kept kinds[] = {
	    {REGISTRY_MESSAGES, config->keep_messages_ms},
	    {REGISTRY_DECISIONS, config->keep_decisions_ms},
	    {REGISTRY_CHALLENGES, config->keep_challenges_ms},
	    {REGISTRY_DEAD_SENDERS, config->keep_dead_senders_ms},
	    {REGISTRY_AUDIT, config->keep_audit_ms},
	};
	bool go_on = true;
	int result = 0;

	for (size_t i = 0;
	     i < sizeof(kinds) / sizeof(*kinds) && go_on && !result; i++)
		result = purge_kind(registry, config->instance_name, &kinds[i],
		                    now_ms, rest, context, &go_on, err);
	return result == ERR_CONFLICT ? 0 : result; /* another instance's */
}
