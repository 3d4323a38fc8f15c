/* The white and black lists in MongoDB. */
#include "store/registry/mongodb/policy-sequencer.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"

/* --- changes ------------------------------------------------------------ */

struct put {
	const struct entry *entry;
	uint8_t place[REGISTRY_MONGODB_PLACE];
};

/* What is there of a place and of an id. */
struct there {
	const uint8_t *place;
	struct id at_place; /* the id of the entry there; none */
	bool id_elsewhere;
	bool written;       /* the entry there came of no captcha, */
	int64_t expires_ms; /* is not deleted, and expires then; 0: never */
};

static int see(const bson_t *document, void *context, struct error *err)
{
	struct there *there = context;
	struct entry entry = {.deleted = false};
	size_t size = 0;
	const void *place = mongodb_get_bytes(document, "_id", &size);
	int error;

	if (!place || size != REGISTRY_MONGODB_PLACE ||
	    memcmp(place, there->place, size) != 0) {
		there->id_elsewhere = true;
		return 0;
	}
	error = registry_mongodb_entry_read(document, &entry, err);
	if (!error) {
		there->at_place = entry.id;
		there->written =
		    !entry.deleted && entry.origin != ENTRY_FROM_CAPTCHA;
		there->expires_ms = entry.expires_ms;
	}
	entry_release(&entry);
	return error;
}

static int look_for(struct registry_mongodb *mongo, struct there *there,
                    const struct id *id, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, either, one;
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = &selector};
	int error;

	(void)BSON_APPEND_ARRAY_BEGIN(&selector, "$or", &either);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&either, "0", &one);
	(void)mongodb_append_bytes(&one, "_id", there->place,
	                           REGISTRY_MONGODB_PLACE);
	(void)bson_append_document_end(&either, &one);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&either, "1", &one);
	(void)mongodb_append_id(&one, "id", id);
	(void)bson_append_document_end(&either, &one);
	(void)bson_append_array_end(&selector, &either);
	/* Indexes: _id, entry_id. */
	error = mongodb_find_each(mongo->db, &find, see, there, err);
	bson_destroy(&selector);
	return error;
}

/* The entry there gives its id; an id that is another's is refused. */
static int prepare_put(struct registry_mongodb *mongo,
                       struct registry_mongodb_policy_change *change,
                       int64_t revision, struct error *err)
{
	const struct put *put = change->context;
	struct there there = {.place = put->place};
	struct entry entry = *put->entry;
	int error = 0;

	if (!id_is_none(change->tenant))
		error =
		    registry_mongodb_need_tenant(mongo, change->tenant, err);
	if (error || (error = look_for(mongo, &there, &entry.id, err)))
		return error;
	if (entry.origin == ENTRY_FROM_CAPTCHA && there.written &&
	    (!there.expires_ms || there.expires_ms > entry.created_ms))
		return error_set(err, ERR_CONFLICT,
		                 "somebody wrote an entry there");
	if (!id_is_none(&there.at_place))
		entry.id = there.at_place;
	else if (there.id_elsewhere)
		return error_set(err, ERR_EXISTS, "another entry has this id");
	entry.revision = revision;
	entry.deleted = false;
	change->id = entry.id;
	change->document =
	    registry_mongodb_entry_document(change->tenant, &entry);
	return change->document
	           ? 0
	           : error_set(err, ERR_LIMIT, "an entry is too large");
}

int registry_mongodb_entry_put(struct registry *registry,
                               const struct id *tenant,
                               const struct entry *entry, struct entry *stored,
                               struct error *err)
{
	struct put put = {.entry = entry};
	struct registry_mongodb_policy_change change = {.collection =
	                                                    REGISTRY_ENTRY,
	                                                .tenant = tenant,
	                                                .prepare = prepare_put,
	                                                .context = &put};
	int error;

	registry_mongodb_entry_place(tenant, entry->scope, entry->scope_value,
	                             entry->kind, entry->value, put.place);
	error = registry_mongodb_policy_make(registry_mongodb(registry),
	                                     &change, err);
	if (!error && stored) {
		stored->id = change.id;
		stored->revision = change.revision;
	}
	return error;
}

/* Makes the tombstone of what was read. */
static int bury(struct registry_mongodb_policy_change *change,
                const bson_t *found, int64_t revision, struct error *err)
{
	struct entry entry = {.deleted = false};
	int error = registry_mongodb_entry_read(found, &entry, err);

	entry.deleted = true;
	entry.revision = revision;
	if (!error) {
		change->id = entry.id;
		change->document =
		    registry_mongodb_entry_document(change->tenant, &entry);
		if (!change->document)
			error =
			    error_set(err, ERR_LIMIT, "an entry is too large");
	}
	entry_release(&entry);
	return error;
}

static int keep(const bson_t *document, void *context, struct error *err)
{
	*(bson_t **)context = bson_copy(document);
	return *(bson_t **)context ? 0 : registry_mongodb_memory(err);
}

static int prepare_removal(struct registry_mongodb *mongo,
                           struct registry_mongodb_policy_change *change,
                           int64_t revision, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, *found = NULL;
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = &selector,
	                            .limit = 1,
	                            .hint = "entry_id"};
	int error;

	(void)mongodb_append_id(&selector, "id", change->context);
	(void)mongodb_append_id(&selector, "tenant", change->tenant);
	(void)BSON_APPEND_BOOL(&selector, "deleted", false);
	/* Index: entry_id. */
	error = mongodb_find_each(mongo->db, &find, keep, &found, err);
	bson_destroy(&selector);
	if (!error && !found)
		return error_set(err, ERR_NOT_FOUND, "no such entry");
	if (!error)
		error = bury(change, found, revision, err);
	bson_destroy(found);
	return error;
}

int registry_mongodb_entry_remove(struct registry *registry,
                                  const struct id *tenant, const struct id *id,
                                  struct error *err)
{
	struct registry_mongodb_policy_change change = {
	    .collection = REGISTRY_ENTRY,
	    .tenant = tenant,
	    .prepare = prepare_removal,
	    .context = id};

	return registry_mongodb_policy_make(registry_mongodb(registry), &change,
	                                    err);
}

/* --- lists -------------------------------------------------------------- */

struct listing {
	size_t limit, capacity;
	struct registry_entries page;
};

/* Reads an entry into the page, one of which may be more than its limit. */
static int collect(const bson_t *document, void *context, struct error *err)
{
	struct listing *listing = context;
	struct registry_entries *page = &listing->page;
	int error;

	if (page->count == listing->limit) {
		page->more = true;
		return 0;
	}
	if ((error = array_grow((void **)&page->entries, page->count,
	                        &listing->capacity, sizeof(struct entry), err)))
		return error;
	return registry_mongodb_entry_read(document,
	                                   &page->entries[page->count++], err);
}

static int list(struct registry_mongodb *mongo, const bson_t *selector,
                const char *order, const char *hint, size_t limit,
                struct registry_entries *page, struct error *err)
{
	bson_t sort = BSON_INITIALIZER;
	struct listing listing = {.limit = limit};
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = selector,
	                            .sort = &sort,
	                            .limit = (int64_t)limit + 1,
	                            .hint = hint};
	int error;

	(void)BSON_APPEND_INT32(&sort, order, 1);
	error = mongodb_find_each(mongo->db, &find, collect, &listing, err);
	bson_destroy(&sort);
	if (error)
		registry_entries_release(&listing.page);
	else
		*page = listing.page;
	return error;
}

int registry_mongodb_entry_list(struct registry *registry,
                                const struct id *tenant, const struct id *after,
                                size_t limit, struct registry_entries *page,
                                struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_BOOL(&selector, "deleted", false);
	(void)registry_mongodb_append_after(&selector, "id", after);
	/* Index: entry_live. */
	error = list(registry_mongodb(registry), &selector, "id", "entry_live",
	             limit, page, err);
	bson_destroy(&selector);
	return error;
}

/* No change below the revision that was read comes to be seen later. */
int registry_mongodb_entry_changes(struct registry *registry,
                                   const struct id *tenant, int64_t after,
                                   size_t limit, struct registry_entries *page,
                                   struct error *err)
{
	bson_t selector = BSON_INITIALIZER, range;
	int64_t last;
	int error =
	    registry_mongodb_policy_revision(registry, tenant, &last, err);

	if (error)
		return error;
	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "revision", &range);
	(void)BSON_APPEND_INT64(&range, "$gt", after);
	(void)BSON_APPEND_INT64(&range, "$lte", last);
	(void)bson_append_document_end(&selector, &range);
	/* Index: entry_by_revision. */
	error = list(registry_mongodb(registry), &selector, "revision",
	             "entry_by_revision", limit, page, err);
	bson_destroy(&selector);
	return error;
}
