/*
 * Decisions in MongoDB: the change of the recipient carries the decision as
 * pending until it is in the log, so that whoever comes next can finish it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/clock.h"
#include "store/registry/mongodb/decision-documents.h"
#include "store/registry/mongodb/message-documents.h"

/* --- deciding ----------------------------------------------------------- */

struct decide {
	const struct id *tenant;
	const struct registry_decision *decision;
	struct id id; /* of the decision; its token too */
};

static bool append_pending(bson_t *set, const struct decide *decide)
{
	const struct registry_decision *decision = decide->decision;
	bson_t pending;

	return BSON_APPEND_DOCUMENT_BEGIN(set, "recipients.$.pending",
	                                  &pending) &&
	       BSON_APPEND_UTF8(&pending, "verdict",
	                        registry_verdict_name(decision->verdict)) &&
	       mongodb_append_text(&pending, "by", decision->by) &&
	       mongodb_append_text(&pending, "why", decision->why) &&
	       mongodb_append_time(&pending, "decided", decision->decided_ms) &&
	       mongodb_append_time(&pending, "since", clock_wall_ms()) &&
	       bson_append_document_end(set, &pending);
}

static void decide_update(bson_t *update, const struct decide *decide)
{
	const struct registry_decision *decision = decide->decision;
	enum registry_state state = registry_verdict_state(decision->verdict);
	bson_t set, count;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	(void)BSON_APPEND_UTF8(&set, "recipients.$.state",
	                       registry_state_name(state));
	(void)mongodb_append_time(&set, "recipients.$.changed",
	                          decision->decided_ms);
	(void)mongodb_append_text(&set, "recipients.$.by", decision->by);
	(void)mongodb_append_text(&set, "recipients.$.why", decision->why);
	(void)mongodb_append_id(&set, "recipients.$.decision", &decide->id);
	(void)append_pending(&set, decide);
	(void)bson_append_document_end(update, &set);
	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$inc", &count);
	(void)BSON_APPEND_INT32(&count, "held", -1);
	(void)BSON_APPEND_INT32(&count, "pending", 1);
	(void)bson_append_document_end(update, &count);
}

/* A recipient is decided once, and keeps the id of that decision. */
static enum mongodb_made decided(const bson_t *document, const void *context)
{
	const struct decide *decide = context;
	struct registry_mongodb_recipient found;
	struct id id;

	if (registry_mongodb_recipient_find(
	        document, decide->decision->recipient, &found, NULL))
		return MONGODB_NOT_MADE;
	id = mongodb_get_id(&found.view, "decision");
	return id_equal(&id, &decide->id) ? MONGODB_MADE : MONGODB_NOT_MADE;
}

/* Why no held recipient was found. */
static int explain(struct registry_mongodb *mongo, const struct decide *decide,
                   struct error *err)
{
	struct registry_mongodb_recipient found;
	bson_t *document = NULL;
	int error = registry_mongodb_recipient_read(
	    mongo, decide->tenant, &decide->decision->message,
	    decide->decision->recipient, &document, &found, err);

	bson_destroy(document);
	if (error)
		return error;
	return error_set(err, ERR_CONFLICT, "the recipient is %s",
	                 registry_state_name(found.state));
}

/* Moves the recipient from held to the verdict's state. */
static int move(struct registry_mongodb *mongo, const struct decide *decide,
                struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct mongodb_change change = {
	    .collection = REGISTRY_MESSAGE,
	    .selector = &selector,
	    .update = &update,
	    .made = decided,
	    .context = decide,
	};
	bool moved = false;
	int error;

	(void)registry_mongodb_recipient_selector(
	    &selector, decide->tenant, &decide->decision->message,
	    decide->decision->recipient, REGISTRY_HELD);
	decide_update(&update, decide);
	/* Index: _id. */
	error = mongodb_change(mongo->db, &change, &moved, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error && !moved)
		return explain(mongo, decide, err);
	return error;
}

static void note_unfinished(struct registry_mongodb *mongo)
{
	(void)pthread_mutex_lock(&mongo->repair_mutex);
	mongo->unfinished = true;
	(void)pthread_mutex_unlock(&mongo->repair_mutex);
}

int registry_mongodb_decide(struct registry *registry, const struct id *tenant,
                            const struct registry_decision *decision,
                            struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct decide decide = {tenant, decision, id_new()};
	int error = move(mongo, &decide, err);

	if (error)
		return error;
	/* From here on the decision is stored and stands: what is left can
	 * also be done by whoever finds it pending. */
	if (registry_mongodb_append(mongo, tenant, &decide.id, decision,
	                            NULL) ||
	    registry_mongodb_pending_clear(mongo, &decision->message,
	                                   &decide.id, NULL))
		note_unfinished(mongo);
	registry_mongodb_changed(mongo);
	return 0;
}

/* --- reading the log ---------------------------------------------------- */

int registry_mongodb_verdict_parse(const char *word)
{
	static const enum registry_verdict verdicts[] = {
	    REGISTRY_RELEASE, REGISTRY_DISCARD, REGISTRY_EXPIRE};

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++)
		if (!strcmp(word, registry_verdict_name(verdicts[i])))
			return (int)verdicts[i];
	return -1;
}

int registry_mongodb_decision_parse(const bson_t *document,
                                    struct registry_decision *decision,
                                    struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"recipient", &decision->recipient},
	    {"by", &decision->by},
	    {"why", &decision->why},
	};
	char word[REGISTRY_MONGODB_WORD];
	int verdict = registry_mongodb_verdict_parse(
	    registry_mongodb_word(document, "verdict", word));

	if (verdict < 0)
		return error_set(err, ERR_CORRUPT,
		                 "a decision has no known verdict");
	decision->sequence = mongodb_get_int(document, "sequence");
	decision->message = mongodb_get_id(document, "message");
	decision->verdict = (enum registry_verdict)verdict;
	decision->decided_ms = mongodb_get_int(document, "decided");
	return registry_mongodb_texts(document, texts, 3, err);
}

struct listing {
	size_t limit, capacity;
	struct registry_decisions page;
};

static int collect(const bson_t *document, void *context, struct error *err)
{
	struct listing *listing = context;
	struct registry_decisions *page = &listing->page;
	int error;

	if (page->count == listing->limit) {
		page->more = true;
		return 0;
	}
	error = array_grow((void **)&page->decisions, page->count,
	                   &listing->capacity, sizeof(*page->decisions), err);
	if (error)
		return error;
	return registry_mongodb_decision_parse(
	    document, &page->decisions[page->count++], err);
}

int registry_mongodb_decision_list(struct registry *registry,
                                   const struct id *tenant, int64_t after,
                                   size_t limit,
                                   struct registry_decisions *page,
                                   struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_DECISION,
	                            .selector = &selector,
	                            .sort = &sort,
	                            .limit = (int64_t)limit + 1,
	                            .hint = "decision_sequence"};
	struct listing listing = {.limit = limit};
	bson_t condition;
	int error;

	registry_mongodb_mend(mongo);
	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "sequence", &condition);
	(void)BSON_APPEND_INT64(&condition, "$gt", after);
	(void)bson_append_document_end(&selector, &condition);
	(void)BSON_APPEND_INT32(&sort, "sequence", 1);
	/* Index: decision_sequence. */
	error = mongodb_find_each(mongo->db, &find, collect, &listing, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	if (error)
		registry_decisions_release(&listing.page);
	else
		*page = listing.page;
	return error;
}

int registry_mongodb_decision_last(struct registry *registry,
                                   const struct id *tenant, int64_t *sequence,
                                   struct error *err)
{
	return registry_mongodb_last_sequence(registry_mongodb(registry),
	                                      tenant, sequence, err);
}
