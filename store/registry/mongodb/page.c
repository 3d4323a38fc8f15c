/* Pages of records that the registry in MongoDB gives out. */
#include "store/registry/mongodb/page.h"

#include "common/array.h"

struct registry_record *registry_mongodb_listing_add(
    struct registry_mongodb_listing *listing, struct error *err)
{
	struct registry_records *page = &listing->page;
	struct registry_record *record;

	if (array_grow((void **)&page->records, page->count, &listing->capacity,
	               sizeof(*page->records), err))
		return NULL;
	record = &page->records[page->count++];
	record->kind = listing->kind;
	return record;
}

int registry_mongodb_listing_read(const bson_t *document, void *context,
                                  struct error *err)
{
	struct registry_mongodb_listing *listing = context;
	struct registry_record *record;

	if (listing->page.count == listing->limit) {
		listing->page.more = true;
		return 0;
	}
	record = registry_mongodb_listing_add(listing, err);
	return record ? listing->parse(document, record, err) : ERR_MEMORY;
}

int64_t registry_mongodb_listing_wants(
    const struct registry_mongodb_listing *listing)
{
	return (int64_t)(listing->limit - listing->page.count) + 1;
}

int registry_mongodb_listing_end(struct registry_mongodb_listing *listing,
                                 int error, struct registry_records *page)
{
	if (error)
		registry_records_release(&listing->page);
	else
		*page = listing->page;
	return error;
}
