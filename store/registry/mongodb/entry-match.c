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
	const struct entry_subject *subject;
	bson_t *places; /* an array of the _id of each candidate */
	uint32_t count;
	struct entry best; /* value is NULL: none yet */
};

static void add_place(enum entry_scope scope, const char *scope_value,
                      enum entry_kind kind, const char *value, void *context)
{
	struct match *match = context;
	uint8_t place[REGISTRY_MONGODB_PLACE];
	char key[24];

	registry_mongodb_entry_place(
	    scope == ENTRY_SCOPE_GLOBAL ? &none : match->tenant, scope,
	    scope_value, kind, value, place);
	snprintf(key, sizeof(key), "%u", match->count++);
	(void)mongodb_append_bytes(match->places, key, place, sizeof(place));
}

/* Keeps the entry when it matches and is stronger than what was found. */
static int consider(const bson_t *document, void *context, struct error *err)
{
	struct match *match = context;
	const struct entry *best = match->best.value ? &match->best : NULL;
	struct entry entry = {.deleted = false};
	int error = registry_mongodb_entry_read(document, &entry, err);

	if (error || !entry_matches(&entry, match->subject) ||
	    entry_stronger(best, &entry) == best) {
		entry_release(&entry);
		return error;
	}
	entry_release(&match->best);
	match->best = entry;
	return 0;
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
	entry_each_key(match->subject, add_place, match);
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
                                 const struct entry_subject *subject,
                                 struct entry *entry, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct match match = {.tenant = tenant, .subject = subject};
	int error = match_places(mongo, &match, err);

	if (!error)
		error = match_scanned(mongo, &match, err);
	if (!error && !match.best.value)
		error = error_set(err, ERR_NOT_FOUND, "no entry matches");
	if (error)
		entry_release(&match.best);
	else
		*entry = match.best;
	return error;
}
