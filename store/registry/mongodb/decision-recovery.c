/*
 * Decisions of the MongoDB registry that are pending: a process that died
 * between the change of a recipient and the log left them, and whoever comes
 * next finishes them.
 */
#include <stdlib.h>

#include "common/clock.h"
#include "store/registry/mongodb/decision-documents.h"

/* How often somebody looks, and what he leaves to those who are at it. */
#define LOOK_MS 1000
#define AGE_MS  2000

/* The most messages of one look. */
#define LOOK_LIMIT 100

int registry_mongodb_pending_clear(struct registry_mongodb *mongo,
                                   const struct id *message,
                                   const struct id *decision, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	bson_t part, match, exists;
	int error;

	(void)mongodb_append_id(&selector, "_id", message);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "recipients", &part);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&part, "$elemMatch", &match);
	(void)mongodb_append_id(&match, "decision", decision);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&match, "pending", &exists);
	(void)BSON_APPEND_BOOL(&exists, "$exists", true);
	(void)bson_append_document_end(&match, &exists);
	(void)bson_append_document_end(&part, &match);
	(void)bson_append_document_end(&selector, &part);
	/* See registry_mongodb_recipient_selector(). */
	(void)mongodb_append_id(&selector, "recipients.decision", decision);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$unset", &part);
	(void)BSON_APPEND_INT32(&part, "recipients.$.pending", 1);
	(void)bson_append_document_end(&update, &part);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$inc", &part);
	(void)BSON_APPEND_INT32(&part, "pending", -1);
	(void)bson_append_document_end(&update, &part);
	/* Index: _id. Done once it matches no more. */
	error = mongodb_update(mongo->db, REGISTRY_MESSAGE, &selector, &update,
	                       false, true, NULL, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error;
}

/* --- looking ------------------------------------------------------------ */

/* Messages with a decision pending, copied, so that no cursor is open while
 * they are dealt with. */
struct look {
	bson_t *messages[LOOK_LIMIT];
	size_t count;
};

static int keep(const bson_t *document, void *context, struct error *err)
{
	struct look *look = context;

	(void)err;
	if (look->count < LOOK_LIMIT)
		look->messages[look->count++] = bson_copy(document);
	return 0;
}

static int find_pending(struct registry_mongodb *mongo, const struct id *after,
                        struct look *look, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER,
	       sort = BSON_INITIALIZER, condition;
	struct mongodb_find find = {.collection = REGISTRY_MESSAGE,
	                            .selector = &selector,
	                            .projection = &projection,
	                            .sort = &sort,
	                            .limit = LOOK_LIMIT,
	                            .hint = "message_pending"};
	int error;

	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "pending", &condition);
	(void)BSON_APPEND_INT32(&condition, "$gt", 0);
	(void)bson_append_document_end(&selector, &condition);
	(void)registry_mongodb_append_after(&selector, "_id", after);
	(void)BSON_APPEND_INT32(&projection, "tenant", 1);
	(void)BSON_APPEND_INT32(&projection, "recipients", 1);
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	/* Index: message_pending, which has these alone. */
	error = mongodb_find_each(mongo->db, &find, keep, look, err);
	bson_destroy(&sort);
	bson_destroy(&projection);
	bson_destroy(&selector);
	return error;
}

/* --- finishing ---------------------------------------------------------- */

static int read_pending(const bson_t *recipient, const bson_t *pending,
                        struct registry_decision *decision, struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"by", &decision->by},
	    {"why", &decision->why},
	};
	char word[REGISTRY_MONGODB_WORD];
	int verdict = registry_mongodb_verdict_parse(
	    registry_mongodb_word(pending, "verdict", word));

	if (verdict < 0)
		return error_set(err, ERR_CORRUPT,
		                 "a pending decision has no known verdict");
	decision->verdict = (enum registry_verdict)verdict;
	decision->decided_ms = mongodb_get_int(pending, "decided");
	if (mongodb_get_text(recipient, "address", &decision->recipient))
		return registry_mongodb_memory(err);
	return registry_mongodb_texts(pending, texts, 2, err);
}

/* Appends what is pending of one recipient, unless somebody is at it. */
static int finish_recipient(struct registry_mongodb *mongo,
                            const bson_t *message, const bson_t *recipient,
                            int64_t before_ms, struct error *err)
{
	struct id tenant = mongodb_get_id(message, "tenant");
	struct id id = mongodb_get_id(recipient, "decision");
	struct registry_decision decision = {0};
	bson_t pending;
	int error;

	if (!mongodb_get_document(recipient, "pending", &pending) ||
	    mongodb_get_int(&pending, "since") > before_ms)
		return 0;
	decision.message = mongodb_get_id(message, "_id");
	error = read_pending(recipient, &pending, &decision, err);
	if (!error)
		error = registry_mongodb_append(mongo, &tenant, &id, &decision,
		                                err);
	if (!error) {
		error = registry_mongodb_pending_clear(mongo, &decision.message,
		                                       &id, err);
		registry_mongodb_changed(mongo);
	}
	free(decision.recipient);
	free(decision.by);
	free(decision.why);
	return error;
}

static int finish_message(struct registry_mongodb *mongo, const bson_t *message,
                          int64_t before_ms, struct error *err)
{
	bson_iter_t items;
	bson_t array, view;
	int error = 0;

	if (!mongodb_get_document(message, "recipients", &array) ||
	    !bson_iter_init(&items, &array))
		return 0;
	while (!error && bson_iter_next(&items)) {
		const uint8_t *data;
		uint32_t size;

		if (!BSON_ITER_HOLDS_DOCUMENT(&items))
			continue;
		bson_iter_document(&items, &size, &data);
		if (bson_init_static(&view, data, size))
			error = finish_recipient(mongo, message, &view,
			                         before_ms, err);
	}
	return error;
}

/* One look; *after becomes the last message's id, and *full tells whether
 * there may be more behind it. */
static int repair_some(struct registry_mongodb *mongo, int64_t before_ms,
                       struct id *after, bool *full, struct error *err)
{
	struct look look = {.count = 0};
	int error = find_pending(mongo, after, &look, err);

	*full = look.count == LOOK_LIMIT;
	for (size_t i = 0; i < look.count; i++) {
		if (!error)
			error = finish_message(mongo, look.messages[i],
			                       before_ms, err);
		/* That is for registry_check() to tell, and in nobody's
		 * way. */
		if (error == ERR_CORRUPT)
			error = 0;
		*after = mongodb_get_id(look.messages[i], "_id");
		bson_destroy(look.messages[i]);
	}
	return error;
}

int registry_mongodb_repair(struct registry_mongodb *mongo, int64_t age_ms,
                            struct error *err)
{
	int64_t before_ms = age_ms ? clock_wall_ms() - age_ms : INT64_MAX;
	struct id after = {0};
	bool full = true;
	int error = 0;

	while (!error && full)
		error = repair_some(mongo, before_ms, &after, &full, err);
	return error;
}

void registry_mongodb_mend(struct registry_mongodb *mongo)
{
	int64_t now_ms = clock_monotonic_ms();
	bool unfinished, due;

	(void)pthread_mutex_lock(&mongo->repair_mutex);
	unfinished = mongo->unfinished;
	due = unfinished || now_ms - mongo->repaired_ms >= LOOK_MS;
	if (due) {
		mongo->repaired_ms = now_ms;
		mongo->unfinished = false;
	}
	(void)pthread_mutex_unlock(&mongo->repair_mutex);
	if (due &&
	    registry_mongodb_repair(mongo, unfinished ? 0 : AGE_MS, NULL) &&
	    unfinished) {
		(void)pthread_mutex_lock(&mongo->repair_mutex);
		mongo->unfinished = true;
		(void)pthread_mutex_unlock(&mongo->repair_mutex);
	}
}
