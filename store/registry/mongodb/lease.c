/* Leases and secrets in MongoDB. */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/page.h"
#include "store/registry/mongodb/private.h"

/* --- leases ------------------------------------------------------------- */

/* A lease is {_id: name, owner, until}. */
struct lease {
	const char *name, *owner;
	int64_t now_ms, until_ms;
};

/* The owner's own, or one that nobody has; each way is the same when it is done
 * twice. */
static int prolong(struct registry_mongodb *mongo, const struct lease *lease,
                   bool upsert, bool *matched, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
	int error;

	(void)mongodb_append_text(&selector, "_id", lease->name);
	(void)mongodb_append_text(&selector, "owner", lease->owner);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)mongodb_append_time(&set, "until", lease->until_ms);
	(void)bson_append_document_end(&update, &set);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_LEASE, &selector, &update,
	                       upsert, true, matched, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error;
}

/* Another's that has ended. */
static int take_over(struct registry_mongodb *mongo, const struct lease *lease,
                     bool *matched, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, part;
	int error;

	(void)mongodb_append_text(&selector, "_id", lease->name);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "until", &part);
	(void)mongodb_append_time(&part, "$lte", lease->now_ms);
	(void)bson_append_document_end(&selector, &part);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &part);
	(void)mongodb_append_text(&part, "owner", lease->owner);
	(void)mongodb_append_time(&part, "until", lease->until_ms);
	(void)bson_append_document_end(&update, &part);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_LEASE, &selector, &update,
	                       false, true, matched, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error;
}

/* After a lost answer taking over does not match any more; then the lease is
 * the owner's own. */
int registry_mongodb_lease(struct registry *registry, const char *name,
                           const char *owner, int64_t now_ms, int64_t lease_ms,
                           struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct lease lease = {name, owner, now_ms, now_ms + lease_ms};
	bool matched = true;
	int error = prolong(mongo, &lease, true, NULL, err);

	if (error != ERR_EXISTS)
		return error;
	error = take_over(mongo, &lease, &matched, err);
	if (!error && !matched)
		error = prolong(mongo, &lease, false, &matched, err);
	if (!error && !matched)
		return error_set(err, ERR_CONFLICT, "%s: leased to another",
		                 name);
	return error;
}

/* --- secrets ------------------------------------------------------------ */

static int read_secret(struct registry_mongodb *mongo, const char *name,
                       uint8_t secret[32], struct error *err)
{
	bson_t selector = BSON_INITIALIZER, *found = NULL;
	int error;

	(void)mongodb_append_text(&selector, "_id", name);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_SECRET, &selector, NULL,
	                         &found, err);
	bson_destroy(&selector);
	if (error)
		return error;
	error = registry_mongodb_bytes(found, "bytes", secret, 32, err);
	bson_destroy(found);
	return error;
}

static void append_secret(bson_t *document, const char *name,
                          const uint8_t bytes[32])
{
	(void)mongodb_append_text(document, "_id", name);
	(void)mongodb_append_bytes(document, "bytes", bytes, 32);
}

/* Who was first is read back, this call or another. */
int registry_mongodb_secret(struct registry *registry, const char *name,
                            const uint8_t candidate[32], uint8_t secret[32],
                            struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t document = BSON_INITIALIZER;
	int error = read_secret(mongo, name, secret, err);

	if (error == ERR_NOT_FOUND) {
		append_secret(&document, name, candidate);
		error =
		    mongodb_insert(mongo->db, REGISTRY_SECRET, &document, err);
		if (!error || error == ERR_EXISTS)
			error = read_secret(mongo, name, secret, err);
		if (!error)
			registry_mongodb_changed(mongo);
	}
	bson_destroy(&document);
	return error;
}

/* --- copies of secrets -------------------------------------------------- */

static int parse(const bson_t *document, struct registry_record *record,
                 struct error *err)
{
	if (mongodb_get_text(document, "_id", &record->secret.name))
		return registry_mongodb_memory(err);
	return registry_mongodb_bytes(document, "bytes", record->secret.bytes,
	                              sizeof(record->secret.bytes), err);
}

int registry_mongodb_secrets_export(struct registry_mongodb *mongo,
                                    enum registry_kind kind,
                                    const struct registry_record *after,
                                    size_t limit, struct registry_records *page,
                                    struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER, part;
	struct registry_mongodb_listing listing = {
	    .kind = kind, .limit = limit, .parse = parse};
	struct mongodb_find find = {
	    .collection = REGISTRY_SECRET,
	    .selector = &selector,
	    .sort = &sort,
	    .limit = registry_mongodb_listing_wants(&listing)};
	int error;

	if (after) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &part);
		(void)mongodb_append_text(&part, "$gt", after->secret.name);
		(void)bson_append_document_end(&selector, &part);
	}
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	/* Index: _id. */
	error = mongodb_find_each(mongo->db, &find,
	                          registry_mongodb_listing_read, &listing, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return registry_mongodb_listing_end(&listing, error, page);
}

static int import_secret(struct registry_mongodb *mongo,
                         const struct registry_record *record, bool replace,
                         struct error *err)
{
	bson_t document = BSON_INITIALIZER, selector = BSON_INITIALIZER;
	int error;

	append_secret(&document, record->secret.name, record->secret.bytes);
	(void)mongodb_append_text(&selector, "_id", record->secret.name);
	if (replace)
		error = mongodb_update(mongo->db, REGISTRY_SECRET, &selector,
		                       &document, true, true, NULL, err);
	else
		error =
		    mongodb_insert(mongo->db, REGISTRY_SECRET, &document, err);
	bson_destroy(&selector);
	bson_destroy(&document);
	return error;
}

int registry_mongodb_secrets_import(struct registry_mongodb *mongo,
                                    const struct registry_record *records,
                                    size_t count, bool replace, int *results,
                                    struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int error = import_secret(mongo, &records[i], replace, err);

		if (error && error != ERR_EXISTS)
			return error;
		results[i] = error;
	}
	return 0;
}
