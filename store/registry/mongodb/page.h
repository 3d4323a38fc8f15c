/* A page of records of one kind, put together from what a query finds. */
#ifndef STORE_REGISTRY_MONGODB_PAGE_H
#define STORE_REGISTRY_MONGODB_PAGE_H

#include "store/registry/mongodb/private.h"

/* Zeroed but for the first three; ended by registry_mongodb_listing_end(). */
struct registry_mongodb_listing {
	enum registry_kind kind;
	size_t limit;
	/* Reads a record, zeroed but for its kind, from its document. */
	int (*parse)(const bson_t *document, struct registry_record *record,
	             struct error *err);
	size_t capacity;
	struct registry_records page;
};

/* One more record, zeroed but for its kind; NULL when out of memory. */
struct registry_record *registry_mongodb_listing_add(
    struct registry_mongodb_listing *listing, struct error *err);

/* Adds what document has; beyond the limit, notes that there is more. context
 * is the listing: for mongodb_find_each(). */
int registry_mongodb_listing_read(const bson_t *document, void *context,
                                  struct error *err);

/* How many documents to ask for: what the page lacks and one more. */
int64_t registry_mongodb_listing_wants(
    const struct registry_mongodb_listing *listing);

/* Gives the page to the caller, or releases it where error is not 0. Returns
 * error. */
int registry_mongodb_listing_end(struct registry_mongodb_listing *listing,
                                 int error, struct registry_records *page);

#endif
