/* Adding, changing and deleting records in MongoDB, once each. */
#include "store/record/mongodb/private.h"

#define TENANT "tenant" /* the collection, and the field */

void record_mongodb_changed(struct record_mongodb *mongo)
{
	mongo->changed(mongo->context);
}

/* --- adding ------------------------------------------------------------- */

/* Whether a document with this _id is there: 0, or ERR_NOT_FOUND. */
static int need(struct record_mongodb *mongo, const char *collection,
                const bson_t *selector, struct error *err)
{
	bson_t projection = BSON_INITIALIZER, *found = NULL;
	int error;

	(void)BSON_APPEND_INT32(&projection, "_id", 1);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, collection, selector, &projection,
	                         &found, err);
	bson_destroy(found);
	bson_destroy(&projection);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such %s", collection);
	return error;
}

static int need_tenant(struct record_mongodb *mongo,
                       const struct record_kind *kind, const void *record,
                       struct error *err)
{
	const struct record_field *field = record_field(kind, TENANT);
	const struct id *tenant = field ? record_value(record, field) : NULL;
	bson_t selector = BSON_INITIALIZER;
	int error;

	if (kind->owner == RECORD_OF_OPERATOR || !tenant ||
	    (kind->owner == RECORD_OF_EITHER && id_is_none(tenant)))
		return 0;
	(void)mongodb_append_id(&selector, "_id", tenant);
	error = need(mongo, TENANT, &selector, err);
	bson_destroy(&selector);
	return error;
}

int record_mongodb_add(struct record_store *store,
                       const struct record_kind *kind, const void *record,
                       struct error *err)
{
	struct record_mongodb *mongo = record_mongodb(store);
	bson_t document = BSON_INITIALIZER;
	int error = need_tenant(mongo, kind, record, err);

	if (!error) {
		(void)record_mongodb_append_key(&document, kind, record);
		(void)record_mongodb_append_fields(&document, kind, record);
		error = mongodb_insert(mongo->db, kind->name, &document, err);
	}
	bson_destroy(&document);
	if (!error)
		record_mongodb_changed(mongo);
	return error;
}

/* --- changing ----------------------------------------------------------- */

struct change {
	int64_t version; /* that it makes */
	struct id token;
};

/* A later change's token hides this one's. */
static enum mongodb_made made_it(const bson_t *document, const void *context)
{
	const struct change *change = context;
	struct id token = mongodb_get_id(document, RECORD_MONGODB_TOKEN);

	if (id_equal(&token, &change->token))
		return MONGODB_MADE;
	return mongodb_get_int(document, "version") > change->version
	           ? MONGODB_UNKNOWN
	           : MONGODB_NOT_MADE;
}

int record_mongodb_change(struct record_mongodb *mongo,
                          const struct record_kind *kind, const void *record,
                          bson_t *set, bool *made, struct error *err)
{
	const struct record_field *version = record_field(kind, "version");
	struct change change = {record_number(record, version) + 1, id_new()};
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct mongodb_change one = {.collection = kind->name,
	                             .selector = &selector,
	                             .update = &update,
	                             .made = made_it,
	                             .context = &change};
	int error;

	(void)record_mongodb_append_key(&selector, kind, record);
	(void)record_mongodb_append_version(&selector, version, record);
	(void)BSON_APPEND_INT64(set, version->name, change.version);
	(void)mongodb_append_id(set, RECORD_MONGODB_TOKEN, &change.token);
	(void)BSON_APPEND_DOCUMENT(&update, "$set", set);
	/* Index: _id. */
	error = mongodb_change(mongo->db, &one, made, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error;
}

/* Why no record was found to be changed or deleted. */
static int explain(struct record_mongodb *mongo, const struct record_kind *kind,
                   const void *record, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)record_mongodb_append_key(&selector, kind, record);
	error = need(mongo, kind->name, &selector, err);
	bson_destroy(&selector);
	if (error)
		return error;
	return error_set(err, ERR_CONFLICT, "the %s was changed meanwhile",
	                 kind->name);
}

int record_mongodb_update(struct record_store *store,
                          const struct record_kind *kind, const void *record,
                          int64_t now_ms, struct error *err)
{
	struct record_mongodb *mongo = record_mongodb(store);
	const struct record_field *changed = record_field(kind, "changed");
	bson_t set = BSON_INITIALIZER;
	bool made = false;
	int error;

	for (const struct record_field *field = kind->fields; field->name;
	     field++)
		if (!(field->flags & RECORD_FIXED))
			(void)record_mongodb_append(&set, field->name, field,
			                            record);
	if (changed)
		(void)mongodb_append_time(&set, changed->name, now_ms);
	error = record_mongodb_change(mongo, kind, record, &set, &made, err);
	bson_destroy(&set);
	if (!error && !made)
		return explain(mongo, kind, record, err);
	if (!error)
		record_mongodb_changed(mongo);
	return error;
}

/* --- deleting ----------------------------------------------------------- */

int record_mongodb_remove(struct record_store *store,
                          const struct record_kind *kind, const void *record,
                          const struct record_field *guard, struct error *err)
{
	struct record_mongodb *mongo = record_mongodb(store);
	const struct record_field *version = record_field(kind, "version");
	bson_t selector = BSON_INITIALIZER;
	struct mongodb_change change = {.collection = kind->name,
	                                .selector = &selector};
	bool made = false;
	int error;

	(void)record_mongodb_append_key(&selector, kind, record);
	if (guard && guard == version)
		(void)record_mongodb_append_version(&selector, guard, record);
	else if (guard)
		(void)record_mongodb_append(&selector, guard->name, guard,
		                            record);
	/* Index: _id. */
	error = mongodb_change(mongo->db, &change, &made, err);
	bson_destroy(&selector);
	if (!error && !made)
		return explain(mongo, kind, record, err);
	if (!error)
		record_mongodb_changed(mongo);
	return error;
}
