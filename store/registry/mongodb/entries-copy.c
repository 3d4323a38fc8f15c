/* Entries of the registry in MongoDB, given out in pages. */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/page.h"
#include "store/registry/mongodb/policy-sequencer.h"

static int parse(const bson_t *document, struct registry_record *record,
                 struct error *err)
{
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
	struct registry_mongodb_listing listing = {
	    .kind = kind, .limit = limit, .parse = parse};
	struct mongodb_find find = {
	    .collection = REGISTRY_ENTRY,
	    .selector = &selector,
	    .sort = &sort,
	    .limit = registry_mongodb_listing_wants(&listing)};
	int error = registry_mongodb_policy_finish_all(mongo, err);

	if (after)
		(void)registry_mongodb_append_after(&selector, "id",
		                                    &after->entry.id);
	(void)BSON_APPEND_INT32(&sort, "id", 1);
	/* Index: entry_id. */
	if (!error)
		error = mongodb_find_each(mongo->db, &find,
		                          registry_mongodb_listing_read,
		                          &listing, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return registry_mongodb_listing_end(&listing, error, page);
}
