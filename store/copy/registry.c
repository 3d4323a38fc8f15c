/* The runs over two registries: copy and comparison, and what bars a copy. */
#include "store/copy/registry-private.h"

#include <string.h>

/* --- what bars a copy --------------------------------------------------- */

static int check_tenant(const struct registry_record *record, void *context,
                        struct error *err)
{
	struct registry_tenant found = {0};
	struct error ignored;
	bool same;
	int result = registry_tenant_find(context, record->account.name, &found,
	                                  &ignored);

	if (result == ERR_NOT_FOUND)
		return 0;
	if (result < 0)
		return error_set(err, ignored.code, "%s", ignored.text);
	same = id_equal(&found.id, &record->account.id);
	registry_tenant_release(&found);
	return same ? 0
	            : error_set(err, ERR_CONFLICT,
	                        "the destination has another tenant with the "
	                        "name %.64s; nothing was written",
	                        record->account.name);
}

int copy_registry_tenants_agree(struct registry *source,
                                struct registry *destination, struct error *err)
{
	return copy_registry_each(source, REGISTRY_TENANTS, check_tenant,
	                          destination, err);
}

static int check_counters(const struct registry_record *record, void *context,
                          struct error *err)
{
	struct registry *source = context;
	struct error ignored;
	int64_t sequence = 0;
	int result;

	if (id_is_none(&record->tenant))
		return 0;
	result = registry_decision_last(source, &record->tenant, &sequence,
	                                &ignored);
	if (result == ERR_NOT_FOUND)
		return 0; /* a tenant of the destination alone */
	if (result < 0)
		return error_set(err, ignored.code, "%s", ignored.text);
	if (record->counters.decision_sequence <= sequence)
		return 0;
	return error_set(
	    err, ERR_CONFLICT,
	    "the destination is in use: it has decisions up to %lld where the "
	    "source has %lld, and would get old records in the place of new "
	    "ones; nothing was written",
	    (long long)record->counters.decision_sequence, (long long)sequence);
}

int copy_registry_is_behind(struct registry *source,
                            struct registry *destination, struct error *err)
{
	return copy_registry_each(destination, REGISTRY_COUNTERS,
	                          check_counters, source, err);
}

/* --- runs --------------------------------------------------------------- */

static int run_all(const struct copy_registry_run *run, struct error *err)
{
	int result = 0;

	for (int kind = 0; !result && kind < REGISTRY_KIND_COUNT; kind++)
		result = copy_registry_kind(run, (enum registry_kind)kind, err);
	return result;
}

static int64_t refused(const struct copy_report *report)
{
	int64_t count = 0;

	for (size_t i = 0; i < report->count; i++)
		count += report->parts[i].refused;
	return count;
}

int registry_copy(struct registry *source, struct registry *destination,
                  const struct copy_control *control,
                  struct copy_report *report, struct error *err)
{
	const struct copy_registry_run run = {false, source, destination,
	                                      control, report};
	int result = copy_registry_tenants_agree(source, destination, err);

	if (!result)
		result = copy_registry_is_behind(source, destination, err);
	if (!result)
		result = run_all(&run, err);
	if (result < 0 || refused(report) == 0)
		return result;
	/*
	 * What a later record gave free, such as the place of a sender's open
	 * challenge, an earlier one can have now.
	 */
	for (size_t i = 0; i < report->count; i++)
		report->parts[i].refused = 0;
	return run_all(&run, err);
}

int registry_compare(struct registry *source, struct registry *destination,
                     const struct copy_control *control,
                     struct copy_report *report, struct error *err)
{
	const struct copy_registry_run run = {true, source, destination,
	                                      control, report};

	return run_all(&run, err);
}
