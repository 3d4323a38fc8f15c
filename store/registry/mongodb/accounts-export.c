/* Tenants, domains, keys and users of the registry in MongoDB, given out in
 * pages and put in as they are. */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/account-documents.h"
#include "store/registry/mongodb/page.h"

/* --- giving out --------------------------------------------------------- */

static const char *collection_of(enum registry_kind kind)
{
	switch (kind) {
	case REGISTRY_TENANTS:
		return REGISTRY_TENANT;
	case REGISTRY_DOMAINS:
		return REGISTRY_DOMAIN;
	case REGISTRY_KEYS:
		return REGISTRY_KEY;
	default:
		return REGISTRY_USER;
	}
}

static int parse(const bson_t *document, struct registry_record *record,
                 struct error *err)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		return registry_mongodb_read_tenant(document, &record->account,
		                                    err);
	case REGISTRY_DOMAINS:
		record->tenant = mongodb_get_id(document, "tenant");
		if (mongodb_get_text(document, "_id", &record->domain))
			return registry_mongodb_memory(err);
		return 0;
	case REGISTRY_KEYS:
		return registry_mongodb_read_key(document, &record->key, err);
	default:
		return registry_mongodb_read_user(document, &record->user, err);
	}
}

/* Lists what selector finds, behind what the page has. */
static int list(struct registry_mongodb *mongo, const bson_t *selector,
                const char *first, const char *second,
                struct registry_mongodb_listing *listing, struct error *err)
{
	bson_t sort = BSON_INITIALIZER;
	struct mongodb_find find = {
	    .collection = collection_of(listing->kind),
	    .selector = selector,
	    .sort = &sort,
	    .limit = registry_mongodb_listing_wants(listing)};
	int error;

	(void)BSON_APPEND_INT32(&sort, first, 1);
	if (second)
		(void)BSON_APPEND_INT32(&sort, second, 1);
	/* Indexes: _id; of domains domain_of_tenant. */
	error = mongodb_find_each(mongo->db, &find,
	                          registry_mongodb_listing_read, listing, err);
	bson_destroy(&sort);
	return error;
}

/* The rest of the tenant's domains, then those of the tenants behind him. */
static int export_domains(struct registry_mongodb *mongo,
                          const struct registry_record *after,
                          struct registry_mongodb_listing *listing,
                          struct error *err)
{
	bson_t selector = BSON_INITIALIZER, part;
	int error = 0;

	(void)BSON_APPEND_BOOL(&selector, "deleted", false);
	if (after) {
		(void)mongodb_append_id(&selector, "tenant", &after->tenant);
		(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &part);
		(void)mongodb_append_text(&part, "$gt", after->domain);
		(void)bson_append_document_end(&selector, &part);
		error = list(mongo, &selector, "_id", NULL, listing, err);
		bson_reinit(&selector);
		(void)BSON_APPEND_BOOL(&selector, "deleted", false);
		(void)registry_mongodb_append_after(&selector, "tenant",
		                                    &after->tenant);
	}
	if (!error && !listing->page.more)
		error = list(mongo, &selector, "tenant", "_id", listing, err);
	bson_destroy(&selector);
	return error;
}

static const struct id *id_of(const struct registry_record *record)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		return &record->account.id;
	case REGISTRY_KEYS:
		return &record->key.id;
	default:
		return &record->user.id;
	}
}

static int export_by_id(struct registry_mongodb *mongo,
                        const struct registry_record *after,
                        struct registry_mongodb_listing *listing,
                        struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	if (after)
		(void)registry_mongodb_append_after(&selector, "_id",
		                                    id_of(after));
	error = list(mongo, &selector, "_id", NULL, listing, err);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_accounts_export(struct registry_mongodb *mongo,
                                     enum registry_kind kind,
                                     const struct registry_record *after,
                                     size_t limit,
                                     struct registry_records *page,
                                     struct error *err)
{
	struct registry_mongodb_listing listing = {
	    .kind = kind, .limit = limit, .parse = parse};
	int error = kind == REGISTRY_DOMAINS
	                ? export_domains(mongo, after, &listing, err)
	                : export_by_id(mongo, after, &listing, err);

	return registry_mongodb_listing_end(&listing, error, page);
}

/* --- putting in --------------------------------------------------------- */

/* Inserts {_id: id, fields}, or sets the fields of the document with this _id,
 * whatever else it has. ERR_EXISTS for a unique key that another has. */
static int put(struct registry_mongodb *mongo,
               const struct registry_record *record, const bson_t *fields,
               bool replace, struct error *err)
{
	const char *collection = collection_of(record->kind);
	bson_t document = BSON_INITIALIZER, update = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_id(&document, "_id", id_of(record));
	if (replace) {
		(void)BSON_APPEND_DOCUMENT(&update, "$set", fields);
		/* Index: _id. */
		error = mongodb_update(mongo->db, collection, &document,
		                       &update, true, true, NULL, err);
	} else {
		(void)bson_concat(&document, fields);
		error = mongodb_insert(mongo->db, collection, &document, err);
	}
	bson_destroy(&update);
	bson_destroy(&document);
	return error;
}

static int import_tenant(struct registry_mongodb *mongo,
                         const struct registry_record *record, bool replace,
                         struct error *err)
{
	bson_t fields = BSON_INITIALIZER;
	int error;

	(void)registry_mongodb_append_tenant(&fields, &record->account);
	error = put(mongo, record, &fields, replace, err);
	bson_destroy(&fields);
	return error;
}

/* What replaces a key loses what it had: a slot, or a revocation. */
static int import_key_into(struct registry_mongodb *mongo,
                           const struct registry_record *record, int slot,
                           bool replace, struct error *err)
{
	bson_t document = BSON_INITIALIZER, selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_id(&selector, "_id", &record->key.id);
	(void)mongodb_append_id(&document, "_id", &record->key.id);
	(void)registry_mongodb_append_key(&document, &record->key,
	                                  registry_mongodb_key_slot(slot));
	if (replace)
		/* Index: _id. */
		error = mongodb_update(mongo->db, REGISTRY_KEY, &selector,
		                       &document, true, true, NULL, err);
	else
		error = mongodb_insert(mongo->db, REGISTRY_KEY, &document, err);
	bson_destroy(&document);
	bson_destroy(&selector);
	return error;
}

static int import_key(struct registry_mongodb *mongo,
                      const struct registry_record *record, bool replace,
                      struct error *err)
{
	int error = ERR_EXISTS;

	for (int slot = 0;
	     error == ERR_EXISTS && slot < REGISTRY_MONGODB_KEY_SLOTS; slot++)
		error = import_key_into(mongo, record, slot, replace, err);
	return error;
}

static int import_user(struct registry_mongodb *mongo,
                       const struct registry_record *record, bool replace,
                       struct error *err)
{
	bson_t fields = BSON_INITIALIZER;
	int error;

	(void)registry_mongodb_append_user(&fields, &record->user);
	error = put(mongo, record, &fields, replace, err);
	bson_destroy(&fields);
	return error;
}

/* Whether the tenant has this domain. */
static int has_domain(struct registry_mongodb *mongo,
                      const struct registry_record *record, bool *has,
                      struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int64_t count = 0;
	int error;

	(void)mongodb_append_text(&selector, "_id", record->domain);
	(void)mongodb_append_id(&selector, "tenant", &record->tenant);
	(void)BSON_APPEND_BOOL(&selector, "deleted", false);
	/* Index: _id. */
	error = mongodb_count(mongo->db, REGISTRY_DOMAIN, &selector, NULL, 0,
	                      &count, err);
	bson_destroy(&selector);
	*has = count > 0;
	return error;
}

/* Takes the place of a tombstone, whose revision stays. */
static int revive_domain(struct registry_mongodb *mongo,
                         const struct registry_record *record, bool *revived,
                         struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
	int error;

	(void)mongodb_append_text(&selector, "_id", record->domain);
	(void)BSON_APPEND_BOOL(&selector, "deleted", true);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)mongodb_append_id(&set, "tenant", &record->tenant);
	(void)BSON_APPEND_BOOL(&set, "deleted", false);
	(void)bson_append_document_end(&update, &set);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_DOMAIN, &selector, &update,
	                       false, true, revived, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error;
}

static int import_domain(struct registry_mongodb *mongo,
                         const struct registry_record *record, bool replace,
                         struct error *err)
{
	bson_t document = BSON_INITIALIZER;
	bool done = false;
	int error;

	(void)mongodb_append_text(&document, "_id", record->domain);
	(void)mongodb_append_id(&document, "tenant", &record->tenant);
	(void)BSON_APPEND_BOOL(&document, "deleted", false);
	(void)BSON_APPEND_INT64(&document, "revision", 0);
	error = mongodb_insert(mongo->db, REGISTRY_DOMAIN, &document, err);
	bson_destroy(&document);
	if (error != ERR_EXISTS)
		return error;
	if ((error = revive_domain(mongo, record, &done, err)) || done)
		return error;
	/* A domain is all key: replacing it changes nothing. */
	if (replace && (error = has_domain(mongo, record, &done, err)))
		return error;
	return done ? 0 : ERR_EXISTS;
}

static int import_one(struct registry_mongodb *mongo,
                      const struct registry_record *record, bool replace,
                      struct error *err)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		return import_tenant(mongo, record, replace, err);
	case REGISTRY_DOMAINS:
		return import_domain(mongo, record, replace, err);
	case REGISTRY_KEYS:
		return import_key(mongo, record, replace, err);
	default:
		return import_user(mongo, record, replace, err);
	}
}

int registry_mongodb_accounts_import(struct registry_mongodb *mongo,
                                     const struct registry_record *records,
                                     size_t count, bool replace, int *results,
                                     struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int error = import_one(mongo, &records[i], replace, err);

		if (error && error != ERR_EXISTS)
			return error;
		results[i] = error;
	}
	return 0;
}
