/* Entries of the registry in MongoDB, given out in pages. */
#include <stdlib.h>
#include <string.h>

#include "store/registry-mongodb-policy.h"

struct listing {
	size_t limit, capacity;
	struct registry_records page;
};

static int collect(const bson_t *document, void *context, struct error *err)
{
	struct listing *listing = context;
	struct registry_records *page = &listing->page;
	struct registry_record *record;

	if (page->count == listing->limit) {
		page->more = true;
		return 0;
	}
	if (registry_mongodb_grow((void **)&page->records, page->count,
	                          &listing->capacity, sizeof(*page->records),
	                          err))
		return ERR_MEMORY;
	record = &page->records[page->count++];
	record->kind = REGISTRY_ENTRIES;
	record->tenant = mongodb_get_id(document, "tenant");
	return registry_mongodb_entry_read(document, &record->entry, err);
}

/* What is pending is put in its place first. */
int registry_mongodb_entries_export(struct registry_mongodb *mongo,
                                    enum registry_kind kind,
                                    const struct registry_record *after,
                                    size_t limit, struct registry_records *page,
                                    struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER;
	struct listing listing = {.limit = limit};
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = &selector,
	                            .sort = &sort,
	                            .limit = (int64_t)limit + 1};
	int64_t settled;
	int error = registry_mongodb_policy_settled(mongo, &settled, NULL, err);

	(void)kind;
	if (after)
		(void)registry_mongodb_append_after(&selector, "id",
		                                    &after->entry.id);
	(void)BSON_APPEND_INT32(&sort, "id", 1);
	/* Index: entry_id. */
	if (!error)
		error =
		    mongodb_find_each(mongo->db, &find, collect, &listing, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	if (error)
		registry_records_release(&listing.page);
	else
		*page = listing.page;
	return error;
}
