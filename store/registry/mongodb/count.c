/* The totals of the registry in MongoDB. */
#include "store/registry/mongodb/private.h"

#include <string.h>

/* How many documents a collection has, as the server keeps it. */
static int count_all(struct registry_mongodb *mongo, const char *name,
                     int64_t *count, struct error *err)
{
	mongoc_client_t *client = mongodb_take(mongo->db, err);
	mongoc_collection_t *collection;
	bson_error_t failure;
	int64_t counted;
	int error = 0;

	if (!client)
		return ERR_UNAVAILABLE;
	collection = mongoc_client_get_collection(
	    client, mongodb_db_name(mongo->db), name);
	counted = mongoc_collection_estimated_document_count(
	    collection, NULL, NULL, NULL, &failure);
	if (counted < 0)
		error = mongodb_failure("MongoDB: count", &failure, NULL, false,
		                        err);
	else
		*count = counted;
	mongoc_collection_destroy(collection);
	mongodb_give(mongo->db, client);
	return error;
}

/* [{$match: {tenant: TENANT, held: {$gt: 0}}}, {$group: {_id: null, held:
 * {$sum: "$held"}, messages: {$sum: 1}, bytes: {$sum: "$size"}}}]; what is
 * summed is what the index has. */
static void held_pipeline(bson_t *pipeline, const struct id *tenant)
{
	bson_t stage, body, part;

	(void)BSON_APPEND_DOCUMENT_BEGIN(pipeline, "0", &stage);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&stage, "$match", &body);
	if (tenant)
		(void)mongodb_append_id(&body, "tenant", tenant);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&body, "held", &part);
	(void)BSON_APPEND_INT32(&part, "$gt", 0);
	(void)bson_append_document_end(&body, &part);
	(void)bson_append_document_end(&stage, &body);
	(void)bson_append_document_end(pipeline, &stage);
	(void)BSON_APPEND_DOCUMENT_BEGIN(pipeline, "1", &stage);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&stage, "$group", &body);
	(void)BSON_APPEND_NULL(&body, "_id");
	(void)BSON_APPEND_DOCUMENT_BEGIN(&body, "held", &part);
	(void)BSON_APPEND_UTF8(&part, "$sum", "$held");
	(void)bson_append_document_end(&body, &part);
	if (tenant) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(&body, "messages", &part);
		(void)BSON_APPEND_INT64(&part, "$sum", 1);
		(void)bson_append_document_end(&body, &part);
		(void)BSON_APPEND_DOCUMENT_BEGIN(&body, "bytes", &part);
		(void)BSON_APPEND_UTF8(&part, "$sum", "$size");
		(void)bson_append_document_end(&body, &part);
	}
	(void)bson_append_document_end(&stage, &body);
	(void)bson_append_document_end(pipeline, &stage);
}

struct held_sums {
	int64_t recipients;
	struct registry_usage usage; /* of a tenant alone */
};

/* Sums the held up, of all tenants where tenant is NULL. Indexes:
 * message_held_any, message_held, which have all that is needed in them. */
static int sum_held(struct registry_mongodb *mongo, const struct id *tenant,
                    struct held_sums *sums, struct error *err)
{
	mongoc_client_t *client = mongodb_take(mongo->db, err);
	bson_t pipeline = BSON_INITIALIZER, options = BSON_INITIALIZER;
	mongoc_collection_t *collection;
	mongoc_cursor_t *cursor;
	const bson_t *document;
	bson_error_t failure;
	int error = 0;

	if (!client)
		return ERR_UNAVAILABLE;
	held_pipeline(&pipeline, tenant);
	(void)BSON_APPEND_UTF8(&options, "hint",
	                       tenant ? "message_held" : "message_held_any");
	collection = mongoc_client_get_collection(
	    client, mongodb_db_name(mongo->db), REGISTRY_MESSAGE);
	cursor = mongoc_collection_aggregate(collection, MONGOC_QUERY_NONE,
	                                     &pipeline, &options, NULL);
	/* Where nothing is held there is no group. */
	memset(sums, 0, sizeof(*sums));
	if (mongoc_cursor_next(cursor, &document)) {
		sums->recipients = mongodb_get_int(document, "held");
		sums->usage.messages = mongodb_get_int(document, "messages");
		sums->usage.bytes = mongodb_get_int(document, "bytes");
	}
	if (mongoc_cursor_error(cursor, &failure))
		error = mongodb_failure("MongoDB: aggregate", &failure, NULL,
		                        false, err);
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	mongodb_give(mongo->db, client);
	bson_destroy(&options);
	bson_destroy(&pipeline);
	return error;
}

/* Counts open challenges; pending: those whose mail is to be sent. Indexes:
 * challenge_changed, challenge_mail. */
static int count_open(struct registry_mongodb *mongo, bool pending,
                      int64_t *count, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)BSON_APPEND_UTF8(&selector, "state", "open");
	if (pending)
		(void)BSON_APPEND_UTF8(&selector, "mail", "pending");
	error = mongodb_count(mongo->db, REGISTRY_CHALLENGE, &selector,
	                      pending ? "challenge_mail" : NULL, 0, count, err);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_count(struct registry *registry,
                           struct registry_totals *totals, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct registry_totals read = {0};
	struct held_sums sums;
	int error;

	if ((error = count_all(mongo, REGISTRY_TENANT, &read.tenants, err)) ||
	    (error = count_all(mongo, REGISTRY_MESSAGE, &read.messages, err)) ||
	    (error = sum_held(mongo, NULL, &sums, err)) ||
	    (error = count_open(mongo, false, &read.challenges_open, err)) ||
	    (error = count_open(mongo, true, &read.mails_pending, err)))
		return error;
	read.recipients_held = sums.recipients;
	*totals = read;
	return 0;
}

int registry_mongodb_tenant_usage(struct registry *registry,
                                  const struct id *tenant,
                                  struct registry_usage *usage,
                                  struct error *err)
{
	struct held_sums sums;
	int error = sum_held(registry_mongodb(registry), tenant, &sums, err);

	if (!error)
		*usage = sums.usage;
	return error;
}
