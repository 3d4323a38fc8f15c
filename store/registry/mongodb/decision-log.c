/*
 * The logs of decisions in MongoDB. A decision is inserted with the sequence
 * behind the last one; a unique index lets one writer alone have it, and the
 * others go behind that. So a log has no gap, and what can be read is never
 * followed by a smaller number. Threads of one process that append at once
 * share an insertion: whoever has the turn takes the others' along.
 */
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "store/registry/mongodb/decision-documents.h"

/* The most decisions of one insertion. */
#define SHARED 64

/* How often another may be faster. */
#define MISSES 200

/* A decision that waits for its turn, on the stack of its thread. */
struct registry_append {
	const struct id *tenant, *id;
	const struct registry_decision *decision;
	struct error *err;
	int result;
	bool done; /* under the turn's mutex */
	struct registry_append *next;
};

/* --- where a log ends --------------------------------------------------- */

int registry_mongodb_sequence_floor(struct registry_mongodb *mongo,
                                    const struct id *tenant, int64_t *sequence,
                                    struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	bson_t *found = NULL;
	int error;

	(void)mongodb_append_id(&selector, "_id", tenant);
	(void)BSON_APPEND_INT32(&projection, "decision_sequence", 1);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_TENANT, &selector,
	                         &projection, &found, err);
	if (!error)
		*sequence = mongodb_get_int(found, "decision_sequence");
	else if (error == ERR_NOT_FOUND)
		*sequence = error = 0;
	bson_destroy(found);
	bson_destroy(&projection);
	bson_destroy(&selector);
	return error;
}

static int read_sequence(const bson_t *document, void *context,
                         struct error *err)
{
	(void)err;
	*(int64_t *)context = mongodb_get_int(document, "sequence");
	return 0;
}

/* The last sequence that is in the log; 0: it is empty. */
static int read_end(struct registry_mongodb *mongo, const struct id *tenant,
                    int64_t *sequence, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER,
	       projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_DECISION,
	                            .selector = &selector,
	                            .projection = &projection,
	                            .sort = &sort,
	                            .limit = 1,
	                            .hint = "decision_sequence"};
	int error;

	*sequence = 0;
	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_INT32(&sort, "tenant", -1);
	(void)BSON_APPEND_INT32(&sort, "sequence", -1);
	(void)BSON_APPEND_INT32(&projection, "sequence", 1);
	/* Index: decision_sequence, from its end. */
	error =
	    mongodb_find_each(mongo->db, &find, read_sequence, sequence, err);
	bson_destroy(&projection);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_last_sequence(struct registry_mongodb *mongo,
                                   const struct id *tenant, int64_t *sequence,
                                   struct error *err)
{
	int64_t end = 0, floor = 0;
	int error;

	/* In this order: a purge raises the floor before it deletes. */
	if ((error = read_end(mongo, tenant, &end, err)) ||
	    (error =
	         registry_mongodb_sequence_floor(mongo, tenant, &floor, err)))
		return error;
	*sequence = end > floor ? end : floor;
	return 0;
}

int registry_mongodb_raise_sequence(struct registry_mongodb *mongo,
                                    const struct id *tenant, int64_t sequence,
                                    struct error *err)
{
	bson_t update = BSON_INITIALIZER, highest;
	int error;

	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$max", &highest);
	(void)BSON_APPEND_INT64(&highest, "decision_sequence", sequence);
	(void)bson_append_document_end(&update, &highest);
	error = registry_mongodb_update_tenant(mongo, tenant, &update, err);
	bson_destroy(&update);
	return error;
}

/* --- one insertion ------------------------------------------------------ */

bool registry_mongodb_decision_document(
    bson_t *document, const struct id *tenant, const struct id *id,
    int64_t sequence, const struct registry_decision *decision)
{
	return mongodb_append_id(document, "_id", id) &&
	       mongodb_append_id(document, "tenant", tenant) &&
	       BSON_APPEND_INT64(document, "sequence", sequence) &&
	       mongodb_append_id(document, "message", &decision->message) &&
	       mongodb_append_text(document, "recipient",
	                           decision->recipient) &&
	       BSON_APPEND_UTF8(document, "verdict",
	                        registry_verdict_name(decision->verdict)) &&
	       mongodb_append_text(document, "by", decision->by) &&
	       mongodb_append_text(document, "why", decision->why) &&
	       mongodb_append_time(document, "decided", decision->decided_ms);
}

/* {tenant, _id}: within the log, so that one shard is asked. */
static void select_decision(bson_t *selector, const struct id *tenant,
                            const struct id *id)
{
	(void)mongodb_append_id(selector, "tenant", tenant);
	(void)mongodb_append_id(selector, "_id", id);
}

/* The number under which another appended this very decision; 0: none did. */
static int read_logged(struct registry_mongodb *mongo,
                       const struct registry_append *append, int64_t *sequence,
                       struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	bson_t *found = NULL;
	int error;

	select_decision(&selector, append->tenant, append->id);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_DECISION, &selector, NULL,
	                         &found, err);
	*sequence = error ? 0 : mongodb_get_int(found, "sequence");
	bson_destroy(found);
	bson_destroy(&selector);
	return error == ERR_NOT_FOUND ? 0 : error;
}

/* Waits a little longer with each time that another had the number, who may
 * not be read at once; ERR_UNAVAILABLE when it has been too often. */
static int miss(unsigned *misses, struct error *err)
{
	if (++*misses > MISSES)
		return error_set(err, ERR_UNAVAILABLE,
		                 "the end of a log cannot be found");
	if (*misses > 1)
		(void)usleep(random_below(1000 * *misses));
	return 0;
}

/* Gives a decision of the log the number behind the last one. */
static int renumber(struct registry_mongodb *mongo,
                    const struct registry_append *append, struct error *err)
{
	unsigned misses = 0;
	int error;

	do {
		bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER,
		       set;
		int64_t last = 0;

		error = registry_mongodb_last_sequence(mongo, append->tenant,
		                                       &last, err);
		if (error)
			return error;
		select_decision(&selector, append->tenant, append->id);
		(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
		(void)BSON_APPEND_INT64(&set, "sequence", last + 1);
		(void)bson_append_document_end(&update, &set);
		/* Index: _id. */
		error = mongodb_update(mongo->db, REGISTRY_DECISION, &selector,
		                       &update, false, true, NULL, err);
		bson_destroy(&update);
		bson_destroy(&selector);
	} while (error == ERR_EXISTS && !(error = miss(&misses, err)));
	return error;
}

/* The decisions of one tenant that are to be appended, in their order. */
struct group {
	struct registry_append *items[SHARED];
	size_t count;
	unsigned misses; /* how often another had the number */
};

/* Takes the first items off, which have the result. */
static void finish(struct group *group, size_t items, int result,
                   const struct error *detail)
{
	for (size_t i = 0; i < items; i++) {
		struct registry_append *item = group->items[i];

		item->result = result;
		item->done = true;
		if (result && item->err)
			*item->err = *detail;
	}
	group->count -= items;
	memmove(group->items, group->items + items,
	        group->count * sizeof(*group->items));
}

/* Reads where the log ends unless the turn knows. */
static int know_end(struct registry_mongodb *mongo,
                    struct registry_mongodb_turn *turn, const struct id *tenant,
                    struct error *err)
{
	int64_t sequence;
	int error;

	if (turn->known && id_equal(&turn->tenant, tenant))
		return 0;
	error = registry_mongodb_last_sequence(mongo, tenant, &sequence, err);
	if (error)
		return error;
	turn->tenant = *tenant;
	turn->sequence = sequence;
	turn->known = true;
	return 0;
}

static int insert(struct registry_mongodb *mongo, const struct group *group,
                  int64_t sequence, int results[SHARED], struct error *err)
{
	const bson_t *documents[SHARED];
	bson_t bodies[SHARED];
	int error;

	for (size_t i = 0; i < group->count; i++) {
		const struct registry_append *item = group->items[i];

		bson_init(&bodies[i]);
		(void)registry_mongodb_decision_document(
		    &bodies[i], item->tenant, item->id,
		    sequence + 1 + (int64_t)i, item->decision);
		documents[i] = &bodies[i];
	}
	error = mongodb_insert_many(mongo->db, REGISTRY_DECISION, documents,
	                            group->count, true, results, err);
	for (size_t i = 0; i < group->count; i++)
		bson_destroy(&bodies[i]);
	return error;
}

/*
 * A process whose look at the log is old may have come behind others and a
 * purge that took away what they had appended. What got a number from below
 * the floor, where nobody looks any more, gets another; *moved tells so.
 */
static int lift(struct registry_mongodb *mongo,
                struct registry_append *const *items, size_t count,
                int64_t first, bool *moved, struct error *err)
{
	int64_t floor = 0;
	int error;

	if (!count)
		return 0;
	error = registry_mongodb_sequence_floor(mongo, items[0]->tenant, &floor,
	                                        err);
	*moved = floor >= first;
	for (size_t i = 0; !error && i < count; i++)
		if (first + (int64_t)i <= floor)
			error = renumber(mongo, items[i], err);
	return error;
}

/* What to do about the first item that was not inserted. */
static int go_on(struct registry_mongodb *mongo,
                 struct registry_mongodb_turn *turn, struct group *group,
                 int result, struct error *err)
{
	int64_t sequence = 0;
	bool moved = false;
	int error;

	if (result != ERR_EXISTS)
		return error_set(err, (enum error_code)result,
		                 "a decision could not be appended");
	error = read_logged(mongo, group->items[0], &sequence, err);
	if (!error && !sequence) {
		turn->known = false;
		return miss(&group->misses, err);
	}
	if (!error)
		error = lift(mongo, group->items, 1, sequence, &moved, err);
	if (error)
		return error;
	turn->known = turn->known && !moved;
	finish(group, 1, 0, NULL);
	return 0;
}

/* Inserts what it can; some of the group at least, or the end is known better
 * afterwards. */
static int advance(struct registry_mongodb *mongo,
                   struct registry_mongodb_turn *turn, struct group *group,
                   struct error *err)
{
	int results[SHARED] = {0};
	size_t inserted = 0;
	bool moved = false;
	int error;

	if ((error = know_end(mongo, turn, group->items[0]->tenant, err)) ||
	    (error = insert(mongo, group, turn->sequence, results, err)))
		return error;
	while (inserted < group->count && !results[inserted])
		inserted++;
	error = lift(mongo, group->items, inserted, turn->sequence + 1, &moved,
	             err);
	if (error)
		return error;
	turn->sequence += (int64_t)inserted;
	turn->known = !moved;
	error = inserted < group->count ? results[inserted] : 0;
	finish(group, inserted, 0, NULL);
	return error ? go_on(mongo, turn, group, error, err) : 0;
}

static void append_group(struct registry_mongodb *mongo,
                         struct registry_mongodb_turn *turn,
                         struct group *group)
{
	struct error detail = {0};

	while (group->count) {
		int error = advance(mongo, turn, group, &detail);

		if (error) {
			turn->known = false;
			finish(group, group->count, error, &detail);
		}
	}
}

/* --- turns -------------------------------------------------------------- */

static void enqueue(struct registry_mongodb_turn *turn,
                    struct registry_append *append)
{
	(void)pthread_mutex_lock(&turn->queue_mutex);
	if (turn->last)
		turn->last->next = append;
	else
		turn->first = append;
	turn->last = append;
	(void)pthread_mutex_unlock(&turn->queue_mutex);
}

/* Takes those that wait for the same log as the oldest off the queue. */
static void dequeue(struct registry_mongodb_turn *turn, struct group *group)
{
	struct registry_append **link = &turn->first, *last = NULL;

	(void)pthread_mutex_lock(&turn->queue_mutex);
	while (*link) {
		struct registry_append *item = *link;

		if (group->count == SHARED ||
		    (group->count &&
		     !id_equal(group->items[0]->tenant, item->tenant))) {
			last = item;
			link = &item->next;
			continue;
		}
		group->items[group->count++] = item;
		*link = item->next;
	}
	turn->last = last;
	(void)pthread_mutex_unlock(&turn->queue_mutex);
}

int registry_mongodb_append(struct registry_mongodb *mongo,
                            const struct id *tenant, const struct id *id,
                            const struct registry_decision *decision,
                            struct error *err)
{
	struct registry_mongodb_turn *turn =
	    &mongo->turns[tenant->bytes[15] % REGISTRY_MONGODB_TURNS];
	struct registry_append mine = {
	    .tenant = tenant, .id = id, .decision = decision, .err = err};

	enqueue(turn, &mine);
	(void)pthread_mutex_lock(&turn->mutex);
	while (!mine.done) {
		struct group group = {.count = 0};

		dequeue(turn, &group);
		append_group(mongo, turn, &group);
	}
	(void)pthread_mutex_unlock(&turn->mutex);
	return mine.result;
}
