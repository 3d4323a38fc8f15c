/*
 * The registry's functions for all of its records at once: backups, purges and
 * copies between backends. They check what they are given and call the backend.
 */
#include "store/registry/input.h"

int registry_backup(struct registry *registry, const char *directory,
                    const struct store_progress *progress, struct error *err)
{
	int error = input_required("directory", directory, err);

	if (error)
		return error;
	if (!registry->backend->backup)
		return error_set(err, ERR_INVALID,
		                 "%s has backup tools of its own",
		                 registry_engine(registry));
	return registry->backend->backup(registry, directory, progress, err);
}

static bool can_be_purged(enum registry_kind kind)
{
	return kind == REGISTRY_MESSAGES || kind == REGISTRY_DECISIONS ||
	       kind == REGISTRY_CHALLENGES || kind == REGISTRY_DEAD_SENDERS ||
	       kind == REGISTRY_AUDIT;
}

int registry_purge(struct registry *registry, enum registry_kind kind,
                   int64_t before_ms, size_t limit, size_t *deleted,
                   struct error *err)
{
	int error = input_limit(limit, REGISTRY_LIMIT_MAXIMUM, err);

	if (error)
		return error;
	if (!can_be_purged(kind))
		return error_set(err, ERR_INVALID, "kind: %s are kept",
		                 registry_kind_name(kind));
	return registry->backend->purge(registry, kind, before_ms, limit,
	                                deleted, err);
}

int registry_export(struct registry *registry, enum registry_kind kind,
                    const struct registry_record *after, size_t limit,
                    struct registry_records *page, struct error *err)
{
	int error = input_limit(limit, REGISTRY_PAGE_MAXIMUM, err);

	if (error)
		return error;
	if ((unsigned)kind >= REGISTRY_KIND_COUNT)
		return error_set(err, ERR_INVALID, "kind: unknown");
	if (after && after->kind != kind)
		return error_set(err, ERR_INVALID, "after: of another kind");
	return registry->backend->export_page(registry, kind, after, limit,
	                                      page, err);
}

int registry_import(struct registry *registry,
                    const struct registry_record *records, size_t count,
                    bool replace, int *results, struct error *err)
{
	if (!count)
		return 0;
	if (count > REGISTRY_LIMIT_MAXIMUM)
		return error_set(err, ERR_INVALID, "count: more than %d",
		                 REGISTRY_LIMIT_MAXIMUM);
	for (size_t i = 0; i < count; i++) {
		int error;

		if (records[i].kind != records[0].kind)
			return error_set(err, ERR_INVALID,
			                 "records: of several kinds");
		if ((error = input_record(&records[i], err)))
			return error;
		results[i] = 0;
	}
	return registry->backend->import(registry, records, count, replace,
	                                 results, err);
}
