/* Looking up the list entry that decides, in MongoDB. */
#include "store/registry/mongodb/policy-sequencer.h"

#include <stdio.h>
#include <string.h>

static const struct id none;

/* tenant: {$in: [none, tenant]}: whose entries count for a tenant. */
static void append_owners(bson_t *selector, const struct id *tenant)
{
	bson_t condition, owners;

	(void)BSON_APPEND_DOCUMENT_BEGIN(selector, "tenant", &condition);
	(void)BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &owners);
	(void)mongodb_append_id(&owners, "0", &none);
	if (!id_is_none(tenant))
		(void)mongodb_append_id(&owners, "1", tenant);
	(void)bson_append_array_end(&condition, &owners);
	(void)bson_append_document_end(selector, &condition);
}

struct match {
	const struct id *tenant;
	const struct entry_subject *subjects;
	size_t count;
	bson_t *places; /* an array of the _id of each candidate */
	uint32_t place_count;
	struct entry *best; /* of each subject; value is NULL: none yet */
};

static void add_place(enum entry_scope scope, const char *scope_value,
                      enum entry_kind kind, const char *value, void *context)
{
	struct match *match = context;
	uint8_t place[REGISTRY_MONGODB_PLACE];
	char buffer[16];
	const char *key;

	registry_mongodb_entry_place(
	    scope == ENTRY_SCOPE_GLOBAL ? &none : match->tenant, scope,
	    scope_value, kind, value, place);
	(void)bson_uint32_to_string(match->place_count++, &key, buffer,
	                            sizeof(buffer));
	(void)mongodb_append_bytes(match->places, key, place, sizeof(place));
}

/* Keeps the entry for each subject that it matches and for which it is stronger
 * than what was found. */
static int consider(const bson_t *document, void *context, struct error *err)
{
	struct match *match = context;
	struct entry entry = {.deleted = false};
	int error = registry_mongodb_entry_read(document, &entry, err);

	for (size_t i = 0; i < match->count && !error; i++) {
		struct entry *best =
		    match->best[i].value ? &match->best[i] : NULL;
		struct entry copy = {.deleted = false};

		if (!entry_matches(&entry, &match->subjects[i]) ||
		    entry_stronger(best, &entry) == best)
			continue;
		error = registry_mongodb_entry_read(document, &copy, err);
		entry_release(error ? &copy : &match->best[i]);
		if (!error)
			match->best[i] = copy;
	}
	entry_release(&entry);
	return error;
}

static int match_places(struct registry_mongodb *mongo, struct match *match,
                        struct error *err)
{
	bson_t selector = BSON_INITIALIZER, condition, places;
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = &selector};
	int error;

	match->places = &places;
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &condition);
	(void)BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &places);
	for (size_t i = 0; i < match->count; i++)
		entry_each_key(&match->subjects[i], add_place, match);
	(void)bson_append_array_end(&condition, &places);
	(void)bson_append_document_end(&selector, &condition);
	(void)BSON_APPEND_BOOL(&selector, "deleted", false);
	match->places = NULL;
	/* Index: _id. */
	error = mongodb_find_each(mongo->db, &find, consider, match, err);
	bson_destroy(&selector);
	return error;
}

/* Patterns and networks cannot be looked up: they are few. */
static int match_scanned(struct registry_mongodb *mongo, struct match *match,
                         struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = &selector};
	int error;

	append_owners(&selector, match->tenant);
	(void)BSON_APPEND_BOOL(&selector, "scan", true);
	/* Index: entry_scanned. */
	error = mongodb_find_each(mongo->db, &find, consider, match, err);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_entry_match(struct registry *registry,
                                 const struct id *tenant,
                                 const struct entry_subject *subjects,
                                 size_t count, struct entry *entries,
                                 struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct match match = {.tenant = tenant,
	                      .subjects = subjects,
	                      .count = count,
	                      .best = entries};
	int error = match_places(mongo, &match, err);

	if (!error)
		error = match_scanned(mongo, &match, err);
	for (size_t i = 0; i < count && error; i++)
		entry_release(&entries[i]);
	return error;
}
