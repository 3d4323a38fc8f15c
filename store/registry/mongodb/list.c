/*
 * Searches in registered mail in MongoDB. Each begins at the index that finds
 * the fewest documents for what is asked, named as a hint, and filters by the
 * rest. Where that index is not in the order of ids, the ids alone are sorted
 * first, so that the server's memory for sorting is never filled by messages.
 */
#include <stdlib.h>

#include "common/array.h"
#include "store/registry/mongodb/message-documents.h"

/* How a search is done. */
struct plan {
	const char *hint;
	bool ordered; /* the index gives the ids in order */
};

static struct plan choose(const struct registry_query *query)
{
	if (query->recipient)
		return (struct plan){"message_by_recipient",
		                     query->tenant != NULL};
	if (query->challenge)
		return (struct plan){"message_by_challenge", true};
	if (query->sender_normal)
		return (struct plan){"message_by_sender",
		                     query->tenant != NULL};
	if (query->expires_before_ms > 0)
		return (struct plan){"message_expiry", false};
	if (query->held)
		return (struct plan){
		    query->tenant ? "message_held" : "message_held_any", true};
	if (query->tenant)
		return (struct plan){"message_of_tenant", true};
	return (struct plan){"_id_", true};
}

/* --- what is asked ------------------------------------------------------ */

/* Where only held ones are asked for, he is a held one. */
static void append_recipient(bson_t *selector,
                             const struct registry_query *query)
{
	bson_t part, match;

	if (!query->held) {
		(void)mongodb_append_text(selector, "recipients.address",
		                          query->recipient);
		return;
	}
	(void)BSON_APPEND_DOCUMENT_BEGIN(selector, "recipients", &part);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&part, "$elemMatch", &match);
	(void)mongodb_append_text(&match, "address", query->recipient);
	(void)BSON_APPEND_UTF8(&match, "state",
	                       registry_state_name(REGISTRY_HELD));
	(void)bson_append_document_end(&part, &match);
	(void)bson_append_document_end(selector, &part);
}

static void append_conditions(bson_t *selector,
                              const struct registry_query *query)
{
	bson_t part;

	if (query->tenant)
		(void)mongodb_append_id(selector, "tenant", query->tenant);
	if (query->sender_normal)
		(void)mongodb_append_text(selector, "sender_normal",
		                          query->sender_normal);
	if (query->recipient)
		append_recipient(selector, query);
	if (query->challenge)
		(void)mongodb_append_id(selector, "challenge",
		                        query->challenge);
	if (query->held || query->expires_before_ms > 0) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(selector, "held", &part);
		(void)BSON_APPEND_INT32(&part, "$gt", 0);
		(void)bson_append_document_end(selector, &part);
	}
	if (query->expires_before_ms > 0) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(selector, "expires", &part);
		(void)mongodb_append_time(&part, "$lt",
		                          query->expires_before_ms);
		(void)bson_append_document_end(selector, &part);
	}
}

/* --- what is found ------------------------------------------------------ */

struct listing {
	size_t limit, capacity;
	struct registry_messages page;
	struct id *ids; /* of the first step of two */
	size_t id_count, id_capacity;
};

static int collect_id(const bson_t *document, void *context, struct error *err)
{
	struct listing *listing = context;
	int error;

	if (listing->id_count == listing->limit) {
		listing->page.more = true;
		return 0;
	}
	error = array_grow((void **)&listing->ids, listing->id_count,
	                   &listing->id_capacity, sizeof(*listing->ids), err);
	if (!error)
		listing->ids[listing->id_count++] =
		    mongodb_get_id(document, "_id");
	return error;
}

static int collect(const bson_t *document, void *context, struct error *err)
{
	struct listing *listing = context;
	struct registry_messages *page = &listing->page;
	int error;

	if (page->count == listing->limit) {
		page->more = true;
		return 0;
	}
	error = array_grow((void **)&page->messages, page->count,
	                   &listing->capacity, sizeof(*page->messages), err);
	if (error)
		return error;
	return registry_mongodb_message_parse(
	    document, &page->messages[page->count++], err);
}

/* The first step, or the only one where the index gives the messages in order:
 * all of each, or its id alone. Indexes: those of choose(). */
static int list_by(struct registry_mongodb *mongo,
                   const struct registry_query *query, const char *hint,
                   bool whole, struct listing *listing, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER,
	       id_alone = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_MESSAGE,
	                            .selector = &selector,
	                            .projection = whole ? NULL : &id_alone,
	                            .sort = &sort,
	                            .limit = (int64_t)query->limit + 1,
	                            .hint = hint};
	int error;

	append_conditions(&selector, query);
	(void)registry_mongodb_append_after(&selector, "_id", &query->after);
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	(void)BSON_APPEND_INT32(&id_alone, "_id", 1);
	error = mongodb_find_each(mongo->db, &find,
	                          whole ? collect : collect_id, listing, err);
	bson_destroy(&id_alone);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

/* The second step: those that are still as asked. Index: _id. */
static int list_found(struct registry_mongodb *mongo,
                      const struct registry_query *query,
                      struct listing *listing, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_MESSAGE,
	                            .selector = &selector,
	                            .sort = &sort,
	                            .hint = "_id_"};
	int error;

	if (!listing->id_count)
		return 0;
	append_conditions(&selector, query);
	(void)registry_mongodb_append_in(&selector, "_id", listing->ids,
	                                 listing->id_count);
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	error = mongodb_find_each(mongo->db, &find, collect, listing, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_message_list(struct registry *registry,
                                  const struct registry_query *query,
                                  struct registry_messages *page,
                                  struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct listing listing = {.limit = query->limit};
	struct plan plan = choose(query);
	int error;

	error = list_by(mongo, query, plan.hint, plan.ordered, &listing, err);
	if (!error && !plan.ordered)
		error = list_found(mongo, query, &listing, err);
	free(listing.ids);
	if (error)
		registry_messages_release(&listing.page);
	else
		*page = listing.page;
	return error;
}
