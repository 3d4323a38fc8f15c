/*
 * Deleting in MongoDB what nothing needs any more: a few are found through an
 * index, and those are deleted by their _ids while they are still as found.
 */
#include "store/registry/mongodb/private.h"

/* Records deleted in one command. */
#define STEP 200

/* What is deleted of a kind: where key is before a time. */
static const struct purged {
	enum registry_kind kind;
	const char *collection, *index, *key;
	const char *state; /* NULL: there is none */
} purged[] = {
    {REGISTRY_MESSAGES, REGISTRY_MESSAGE, "message_ended", "expires", NULL},
    {REGISTRY_DECISIONS, REGISTRY_DECISION, "decision_decided", "decided",
     NULL},
    {REGISTRY_CHALLENGES, REGISTRY_CHALLENGE, "challenge_changed", "changed",
     "settled"},
    {REGISTRY_CHALLENGES, REGISTRY_CHALLENGE, "challenge_changed", "changed",
     "expired"},
    {REGISTRY_CHALLENGES, REGISTRY_CHALLENGE, "challenge_changed", "changed",
     "bounced"},
    {REGISTRY_DEAD_SENDERS, REGISTRY_DEAD_SENDER, "dead_sender_marked",
     "marked", NULL},
    {REGISTRY_AUDIT, REGISTRY_AUDIT_LINE, "audit_at", "at", NULL},
};

/* How far a step goes in a tenant's log of decisions. */
struct end_of_log {
	struct id tenant;
	int64_t sequence;
};

/* One step: what was found. */
struct step {
	bson_t ids; /* an array */
	uint32_t count;
	bool decisions;
	struct end_of_log ends[STEP];
	size_t end_count;
};

static void note_end(struct step *step, const bson_t *decision)
{
	struct id tenant = mongodb_get_id(decision, "tenant");
	int64_t sequence = mongodb_get_int(decision, "sequence");
	size_t i = 0;

	while (i < step->end_count && !id_equal(&step->ends[i].tenant, &tenant))
		i++;
	if (i == step->end_count)
		step->ends[step->end_count++] =
		    (struct end_of_log){tenant, sequence};
	else if (step->ends[i].sequence < sequence)
		step->ends[i].sequence = sequence;
}

static int note_found(const bson_t *document, void *context, struct error *err)
{
	struct step *step = context;
	char buffer[16];
	const char *key;
	bson_iter_t id;

	if (step->count == STEP || !bson_iter_init_find(&id, document, "_id"))
		return error_set(err, ERR_CORRUPT, "a document without _id");
	(void)bson_uint32_to_string(step->count++, &key, buffer,
	                            sizeof(buffer));
	(void)bson_append_iter(&step->ids, key, -1, &id);
	if (step->decisions)
		note_end(step, document);
	return 0;
}

static void append_conditions(bson_t *selector, const struct purged *what,
                              int64_t before_ms)
{
	bson_t part;

	if (what->kind == REGISTRY_MESSAGES) {
		(void)BSON_APPEND_INT32(selector, "held", 0);
		(void)BSON_APPEND_INT32(selector, "pending", 0);
	}
	if (what->state)
		(void)BSON_APPEND_UTF8(selector, "state", what->state);
	(void)BSON_APPEND_DOCUMENT_BEGIN(selector, what->key, &part);
	(void)mongodb_append_time(&part, "$lt", before_ms);
	(void)bson_append_document_end(selector, &part);
}

static int find_some(struct registry_mongodb *mongo, const struct purged *what,
                     int64_t before_ms, size_t limit, struct step *step,
                     struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER,
	       projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = what->collection,
	                            .selector = &selector,
	                            .projection = &projection,
	                            .sort = &sort,
	                            .limit = (int64_t)limit,
	                            .hint = what->index};
	int error;

	append_conditions(&selector, what, before_ms);
	(void)BSON_APPEND_INT32(&sort, what->key, 1);
	(void)BSON_APPEND_INT32(&projection, "tenant", 1);
	(void)BSON_APPEND_INT32(&projection, "sequence", 1);
	/* Index: what->index. */
	error = mongodb_find_each(mongo->db, &find, note_found, step, err);
	bson_destroy(&projection);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

/* Before a log loses its end: where it was must be known for ever. A tenant
 * that is not there has nothing to number. */
static int keep_ends(struct registry_mongodb *mongo, const struct step *step,
                     struct error *err)
{
	int error = 0;

	for (size_t i = 0; !error && i < step->end_count; i++) {
		error = registry_mongodb_raise_sequence(
		    mongo, &step->ends[i].tenant, step->ends[i].sequence, err);
		if (error == ERR_NOT_FOUND)
			error = 0;
	}
	return error;
}

static int delete_found(struct registry_mongodb *mongo,
                        const struct purged *what, int64_t before_ms,
                        const struct step *step, size_t *deleted,
                        struct error *err)
{
	bson_t selector = BSON_INITIALIZER, condition;
	int64_t count = 0;
	int error;

	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &condition);
	(void)BSON_APPEND_ARRAY(&condition, "$in", &step->ids);
	(void)bson_append_document_end(&selector, &condition);
	append_conditions(&selector, what, before_ms);
	/* Index: _id. */
	error = mongodb_delete(mongo->db, what->collection, &selector, false,
	                       &count, err);
	bson_destroy(&selector);
	if (!error)
		*deleted = (size_t)count;
	return error;
}

/* Deletes at most limit; *found may be more than *deleted where another
 * process was faster. */
static int purge_some(struct registry_mongodb *mongo, const struct purged *what,
                      int64_t before_ms, size_t limit, size_t *found,
                      size_t *deleted, struct error *err)
{
	struct step step = {.decisions = what->kind == REGISTRY_DECISIONS};
	int error;

	bson_init(&step.ids);
	*deleted = 0;
	error = find_some(mongo, what, before_ms, limit, &step, err);
	if (!error)
		error = keep_ends(mongo, &step, err);
	if (!error && step.count)
		error =
		    delete_found(mongo, what, before_ms, &step, deleted, err);
	*found = step.count;
	bson_destroy(&step.ids);
	return error;
}

static int purge_rows(struct registry_mongodb *mongo, const struct purged *what,
                      int64_t before_ms, size_t limit, size_t *total,
                      struct error *err)
{
	size_t found, deleted, wanted;
	int error = 0;

	do {
		wanted = limit - *total < STEP ? limit - *total : STEP;
		if (!wanted)
			break;
		error = purge_some(mongo, what, before_ms, wanted, &found,
		                   &deleted, err);
		*total += deleted;
	} while (!error && found == wanted);
	return error;
}

int registry_mongodb_purge(struct registry *registry, enum registry_kind kind,
                           int64_t before_ms, size_t limit, size_t *deleted,
                           struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	size_t total = 0;
	int error = 0;

	/* What is not yet in the log is not over: it would be appended once
	 * more if the log had lost it already. */
	if (kind == REGISTRY_MESSAGES || kind == REGISTRY_DECISIONS)
		error = registry_mongodb_repair(mongo, 0, err);
	for (size_t i = 0; !error && i < sizeof(purged) / sizeof(*purged); i++)
		if (purged[i].kind == kind)
			error = purge_rows(mongo, &purged[i], before_ms, limit,
			                   &total, err);
	if (total)
		registry_mongodb_changed(mongo);
	if (error && !total)
		return error;
	*deleted = total; /* what was deleted before a failure counts */
	return 0;
}
