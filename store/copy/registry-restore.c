/* Puts back into a registry what a backup of it still has. */
#include "store/copy/registry-private.h"

#include <string.h>

/* Tenants first, then what must be above every cursor, then the rest. */
static const enum registry_kind order[] = {
    REGISTRY_TENANTS,    REGISTRY_COUNTERS,     REGISTRY_SECRETS,
    REGISTRY_DOMAINS,    REGISTRY_KEYS,         REGISTRY_USERS,
    REGISTRY_ENTRIES,    REGISTRY_MESSAGES,     REGISTRY_DECISIONS,
    REGISTRY_CHALLENGES, REGISTRY_DEAD_SENDERS, REGISTRY_AUDIT,
};

static void raise_counters(struct registry_records *page)
{
	for (size_t i = 0; i < page->count; i++) {
		struct registry_record *record = &page->records[i];

		record->counters.policy_revision += COPY_COUNTER_LEAP;
		/* The global ones have no decisions. */
		if (!id_is_none(&record->tenant))
			record->counters.decision_sequence += COPY_COUNTER_LEAP;
	}
}

static int count_results(const struct registry_records *page,
                         const int *results, struct copy_part *part,
                         struct error *err)
{
	for (size_t i = 0; i < page->count; i++) {
		if (results[i] == 0)
			part->written++;
		else if (results[i] == ERR_EXISTS)
			part->there++;
		else
			return error_set(err, (enum error_code)results[i],
			                 "%s: a record cannot be written: %s",
			                 part->name, error_name(results[i]));
	}
	return 0;
}

static int put_page(struct registry *destination, struct registry_records *page,
                    enum registry_kind kind, struct copy_part *part,
                    struct error *err)
{
	int results[COPY_REGISTRY_PAGE];
	int result;

	if (page->count == 0)
		return 0;
	if (kind == REGISTRY_COUNTERS)
		raise_counters(page);
	result = registry_import(destination, page->records, page->count, false,
	                         results, err);
	return result < 0 ? result : count_results(page, results, part, err);
}

/* What the page before ended with is kept for the next question. */
static int restore_kind(struct registry *backup, struct registry *destination,
                        enum registry_kind kind,
                        const struct copy_control *control,
                        struct copy_part *part, struct error *err)
{
	struct registry_records page = {0}, next;
	bool more = true;
	int result = 0;

	while (!result && more) {
		const struct registry_record *last =
		    page.count ? &page.records[page.count - 1] : NULL;

		memset(&next, 0, sizeof(next));
		result = copy_go_on(control, err);
		if (!result)
			result = registry_export(
			    backup, kind, last, COPY_REGISTRY_PAGE, &next, err);
		if (result < 0)
			break;
		registry_records_release(&page);
		page = next;
		more = page.more && page.count > 0;
		result = put_page(destination, &page, kind, part, err);
		copy_tell(control, part->name, part->written + part->there,
		          more || result ? -1 : part->written + part->there);
	}
	registry_records_release(&page);
	return result;
}

int registry_restore(struct registry *backup, struct registry *destination,
                     const struct copy_control *control,
                     struct copy_report *report, struct error *err)
{
	int result = copy_registry_tenants_agree(backup, destination, err);

	for (size_t i = 0; !result && i < sizeof(order) / sizeof(order[0]);
	     i++) {
		struct copy_part *part =
		    copy_report_part(report, registry_kind_name(order[i]));

		result = restore_kind(backup, destination, order[i], control,
		                      part, err);
	}
	return result;
}
