/* Entries of the registry in MongoDB, given out in pages and put in as they
 * are. */
#include <stdlib.h>
#include <string.h>

#include "store/registry-mongodb-policy.h"

/* --- giving out --------------------------------------------------------- */

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

/* --- putting in --------------------------------------------------------- */

/* Where the entry with an id is. */
struct place {
	bool found;
	uint8_t bytes[REGISTRY_MONGODB_PLACE];
};

static int see_place(const bson_t *document, void *context, struct error *err)
{
	struct place *place = context;

	place->found = true;
	return registry_mongodb_bytes(document, "_id", place->bytes,
	                              sizeof(place->bytes), err);
}

static int find_place(struct registry_mongodb *mongo, const struct id *id,
                      struct place *place, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	struct mongodb_find find = {
	    .collection = REGISTRY_ENTRY, .selector = &selector, .limit = 1};
	int error;

	(void)mongodb_append_id(&selector, "id", id);
	/* Index: entry_id. */
	error = mongodb_find_each(mongo->db, &find, see_place, place, err);
	bson_destroy(&selector);
	return error;
}

/* Replaces the entry that has this id at its place. */
static int replace_there(struct registry_mongodb *mongo,
                         const struct place *place, const struct id *id,
                         const bson_t *document, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_bytes(&selector, "_id", place->bytes,
	                           sizeof(place->bytes));
	(void)mongodb_append_id(&selector, "id", id);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_ENTRY, &selector, document,
	                       false, true, NULL, err);
	bson_destroy(&selector);
	return error;
}

/* An entry that moves to another place is put there before it leaves its old
 * one: if that place is another's, it stays. */
static int move(struct registry_mongodb *mongo, const struct place *from,
                const struct id *id, const bson_t *document, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error = mongodb_insert(mongo->db, REGISTRY_ENTRY, document, err);

	if (!error) {
		(void)mongodb_append_bytes(&selector, "_id", from->bytes,
		                           sizeof(from->bytes));
		(void)mongodb_append_id(&selector, "id", id);
		/* Index: _id. */
		error = mongodb_delete(mongo->db, REGISTRY_ENTRY, &selector,
		                       true, NULL, err);
	}
	bson_destroy(&selector);
	return error;
}

static int import_document(struct registry_mongodb *mongo,
                           const struct registry_record *record,
                           const bson_t *document, bool replace,
                           struct error *err)
{
	const struct id *id = &record->entry.id;
	struct place there = {.found = false};
	uint8_t place[REGISTRY_MONGODB_PLACE];
	int error = find_place(mongo, id, &there, err);

	if (error)
		return error;
	if (!there.found)
		return mongodb_insert(mongo->db, REGISTRY_ENTRY, document, err);
	if (!replace)
		return ERR_EXISTS;
	registry_mongodb_entry_place(
	    &record->tenant, record->entry.scope, record->entry.scope_value,
	    record->entry.kind, record->entry.value, place);
	if (!memcmp(place, there.bytes, sizeof(place)))
		return replace_there(mongo, &there, id, document, err);
	return move(mongo, &there, id, document, err);
}

static int import_one(struct registry_mongodb *mongo,
                      const struct registry_record *record, bool replace,
                      struct error *err)
{
	bson_t *document =
	    registry_mongodb_entry_document(&record->tenant, &record->entry);
	int error;

	if (!document)
		return error_set(err, ERR_LIMIT, "an entry is too large");
	error = import_document(mongo, record, document, replace, err);
	bson_destroy(document);
	return error;
}

/* A revision that is in use was given out, whatever the counters say; raised
 * before, so that none is ever above the count. Each tenant's highest alone. */
static int raise_policy(struct registry_mongodb *mongo,
                        const struct registry_record *records, size_t count,
                        struct error *err)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++) {
		int64_t highest = records[i].entry.revision;
		bool is_first = true;

		for (size_t j = 0; is_first && j < i; j++)
			is_first =
			    !id_equal(&records[j].tenant, &records[i].tenant);
		for (size_t j = i + 1; is_first && j < count; j++)
			if (id_equal(&records[j].tenant, &records[i].tenant) &&
			    records[j].entry.revision > highest)
				highest = records[j].entry.revision;
		if (is_first)
			error = registry_mongodb_policy_raise(
			    mongo, &records[i].tenant, highest, err);
	}
	return error;
}

int registry_mongodb_entries_import(struct registry_mongodb *mongo,
                                    const struct registry_record *records,
                                    size_t count, bool replace, int *results,
                                    struct error *err)
{
	int error = raise_policy(mongo, records, count, err);

	if (error)
		return error;
	for (size_t i = 0; i < count; i++) {
		error = import_one(mongo, &records[i], replace, err);
		if (error && error != ERR_EXISTS)
			return error;
		results[i] = error;
	}
	return 0;
}
