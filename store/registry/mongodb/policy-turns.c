/* Turns of policy changes in MongoDB: threads queue, one makes the turn of all
 * that wait with changes of one tenant, and wins it against other processes. */
#include "store/registry/mongodb/policy-sequencer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

/* The most changes of a turn: their documents must fit into one. */
#define TURN_CHANGES 32
/* How long a turn is tried for. */
#define TRY_MS 10000

/* How many tenants' turns are made at once. */
#define QUEUES 8

/* The changes of some of the tenants. */
struct queue {
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t turned;
	struct registry_mongodb_policy_change *first, *last;
	bool busy; /* a thread is at its turn: all below is its own */

	bool known; /* what this process saw last: this tenant's state */
	struct id tenant;
	struct registry_mongodb_policy_state state;
};

struct registry_mongodb_policy {
	struct queue queues[QUEUES]; /* by the last byte of the tenant's id */
};

/* Some changes of one tenant. */
struct turn {
	const struct id *tenant; /* the first change's */
	struct registry_mongodb_policy_change *changes[TURN_CHANGES];
	size_t count;
	struct id token;
	int64_t end_ms;
};

static void pause_a_moment(void)
{
	(void)usleep(2000 + random_below(20000));
}

/* --- preparing ---------------------------------------------------------- */

static void forget_documents(struct turn *turn)
{
	for (size_t i = 0; i < turn->count; i++) {
		bson_destroy(turn->changes[i]->document);
		turn->changes[i]->document = NULL;
	}
}

static bool same_place(const struct registry_mongodb_policy_change *a,
                       const struct registry_mongodb_policy_change *b)
{
	size_t a_size = 0, b_size = 0;
	const void *a_id = mongodb_get_bytes(a->document, "_id", &a_size);
	const void *b_id = mongodb_get_bytes(b->document, "_id", &b_size);

	return !strcmp(a->collection, b->collection) && a_id && b_id &&
	       a_size == b_size && !memcmp(a_id, b_id, a_size);
}

/* Whether an earlier change of the turn is in the way of the one at i: what it
 * was prepared from would not hold any more. */
static bool is_blocked(const struct turn *turn, size_t i)
{
	const struct registry_mongodb_policy_change *change = turn->changes[i];

	for (size_t j = 0; j < i; j++) {
		const struct registry_mongodb_policy_change *earlier =
		    turn->changes[j];

		if (!earlier->document)
			continue;
		if (same_place(earlier, change) ||
		    (!id_is_none(&change->id) &&
		     id_equal(&earlier->id, &change->id)))
			return true;
	}
	return false;
}

/*
 * Makes the documents of the turn; a change that fails has its result, one that
 * is blocked waits for another turn, by not being tried. How many there are.
 */
static size_t prepare(struct registry_mongodb *mongo, struct turn *turn,
                      int64_t revision)
{
	size_t prepared = 0;

	forget_documents(turn);
	for (size_t i = 0; i < turn->count; i++) {
		struct registry_mongodb_policy_change *change =
		    turn->changes[i];

		change->result = change->prepare(
		    mongo, change, revision + (int64_t)prepared + 1,
		    &change->err);
		change->settled = change->result != 0;
		if (change->settled)
			continue;
		if (is_blocked(turn, i)) {
			bson_destroy(change->document);
			change->document = NULL;
			continue;
		}
		change->revision = revision + (int64_t)++prepared;
	}
	return prepared;
}

/* --- winning ------------------------------------------------------------ */

static void append_pending(bson_t *policy, const struct turn *turn)
{
	bson_t list, one;
	char key[24];
	size_t n = 0;

	(void)BSON_APPEND_ARRAY_BEGIN(policy, "pending", &list);
	for (size_t i = 0; i < turn->count; i++) {
		const struct registry_mongodb_policy_change *change =
		    turn->changes[i];

		if (!change->document)
			continue;
		snprintf(key, sizeof(key), "%zu", n++);
		(void)BSON_APPEND_DOCUMENT_BEGIN(&list, key, &one);
		(void)BSON_APPEND_UTF8(&one, "collection", change->collection);
		(void)BSON_APPEND_DOCUMENT(&one, "document", change->document);
		(void)bson_append_document_end(&list, &one);
	}
	(void)bson_append_array_end(policy, &list);
	(void)BSON_APPEND_INT64(policy, "waiting", (int64_t)n);
}

static void append_turns(bson_t *policy,
                         const struct registry_mongodb_policy_state *state)
{
	bson_t list;
	char key[24];

	(void)BSON_APPEND_ARRAY_BEGIN(policy, "turns", &list);
	for (size_t i = 0; i < state->turn_count; i++) {
		snprintf(key, sizeof(key), "%zu", i);
		(void)mongodb_append_id(&list, key, &state->turns[i]);
	}
	(void)bson_append_array_end(policy, &list);
}

/* The state after the turn. */
static struct registry_mongodb_policy_state state_after(
    const struct registry_mongodb_policy_state *before, const struct turn *turn)
{
	struct registry_mongodb_policy_state after = *before;
	size_t kept = before->turn_count;

	if (kept == REGISTRY_MONGODB_TURNS_KEPT)
		kept--;
	memmove(&after.turns[1], &after.turns[0],
	        kept * sizeof(after.turns[0]));
	after.missing = false;
	after.turns[0] = turn->token;
	after.turn_count = kept + 1;
	for (size_t i = 0; i < turn->count; i++) {
		const struct registry_mongodb_policy_change *change =
		    turn->changes[i];

		if (change->document)
			after.revision = change->revision;
	}
	return after;
}

/* Replaces the order's document once, if its revision is still before. */
static int replace(struct registry_mongodb *mongo, const struct turn *turn,
                   int64_t before,
                   const struct registry_mongodb_policy_state *after, bool *won,
                   struct error *err)
{
	bson_t selector, policy;
	int error;

	registry_mongodb_policy_select(&selector, turn->tenant);
	(void)BSON_APPEND_INT64(&selector, "revision", before);
	registry_mongodb_policy_select(&policy, turn->tenant);
	(void)BSON_APPEND_INT64(&policy, "revision", after->revision);
	append_pending(&policy, turn);
	append_turns(&policy, after);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_POLICY, &selector, &policy,
	                       false, false, won, err);
	bson_destroy(&policy);
	bson_destroy(&selector);
	return error;
}

/*
 * After a lost answer, when a try does not match any more: whether an earlier
 * one was the winner. Each turn adds to the revision, so that one which is not
 * remembered was never won unless as many revisions came after.
 */
static int look(struct registry_mongodb *mongo, const struct turn *turn,
                int64_t before, bool *won, struct error *err)
{
	struct registry_mongodb_policy_state now;
	int error =
	    registry_mongodb_policy_read(mongo, turn->tenant, &now, err);

	if (error)
		return error;
	for (size_t i = 0; i < now.turn_count; i++)
		if (id_equal(&now.turns[i], &turn->token)) {
			*won = true;
			return 0;
		}
	if (now.revision - before >= REGISTRY_MONGODB_TURNS_KEPT)
		return error_set(err, ERR_UNCERTAIN,
		                 "policy: the answer to a change was lost");
	*won = false;
	return 0;
}

/* Replaces it until it is known whether that was this call's doing. */
static int compete(struct registry_mongodb *mongo, struct queue *queue,
                   struct turn *turn, bool *won, struct error *err)
{
	int64_t before = queue->state.revision;
	struct registry_mongodb_policy_state after;
	bool uncertain = false;
	int error;

	turn->token = id_new();
	after = state_after(&queue->state, turn);
	for (;;) {
		error = replace(mongo, turn, before, &after, won, err);
		uncertain = uncertain || error == ERR_UNCERTAIN;
		if (!error && !*won && uncertain)
			error = look(mongo, turn, before, won, err);
		if (!error || !uncertain ||
		    clock_monotonic_ms() >= turn->end_ms)
			break;
		pause_a_moment();
	}
	if (error && uncertain)
		return error_set(err, ERR_UNCERTAIN,
		                 "policy: the answer to a change was lost");
	if (!error && *won)
		queue->state = after;
	return error;
}

/* --- a turn ------------------------------------------------------------- */

/* What is won is done even if this fails: by whoever reads the order next. */
static int apply_all(struct registry_mongodb *mongo, const struct turn *turn,
                     int64_t revision, struct error *err)
{
	int error = 0;

	for (size_t i = 0; !error && i < turn->count; i++) {
		const struct registry_mongodb_policy_change *change =
		    turn->changes[i];

		if (change->document)
			error = registry_mongodb_policy_apply(
			    mongo->db, change->collection, change->document,
			    err);
	}
	return error ? error
	             : registry_mongodb_policy_clear(mongo, turn->tenant,
	                                             revision, err);
}

static int finish(struct registry_mongodb *mongo, struct queue *queue,
                  const struct turn *turn, struct error *err)
{
	int error = apply_all(mongo, turn, queue->state.revision, err);

	while (error && clock_monotonic_ms() < turn->end_ms) {
		pause_a_moment();
		error = apply_all(mongo, turn, queue->state.revision, err);
	}
	queue->known = !error;
	return error ? error_set(err, ERR_UNCERTAIN,
	                         "policy: a change is not in its place yet")
	             : 0;
}

/* Prepares and competes until the turn is won, or has nothing in it. */
static int win(struct registry_mongodb *mongo, struct queue *queue,
               struct turn *turn, bool *won, struct error *err)
{
	int error;

	if (!id_equal(&queue->tenant, turn->tenant))
		queue->known = false;
	queue->tenant = *turn->tenant;
	for (;;) {
		if (!queue->known &&
		    (error = registry_mongodb_policy_read(mongo, turn->tenant,
		                                          &queue->state, err)))
			return error;
		queue->known = true;
		if (!prepare(mongo, turn, queue->state.revision))
			return 0;
		/* Raising by nothing makes the document. */
		if (queue->state.missing &&
		    (error = registry_mongodb_policy_raise(mongo, turn->tenant,
		                                           0, err)))
			return error;
		error = compete(mongo, queue, turn, won, err);
		queue->known = !error && *won;
		if (error || *won)
			return error;
		if (clock_monotonic_ms() >= turn->end_ms)
			return error_set(err, ERR_UNAVAILABLE,
			                 "policy: too many change it at once");
		pause_a_moment();
	}
}

static void make_turn(struct registry_mongodb *mongo, struct queue *queue,
                      struct turn *turn)
{
	struct error err = {.code = ERR_OK};
	bool won = false;
	int error;

	turn->end_ms = clock_monotonic_ms() + TRY_MS;
	error = win(mongo, queue, turn, &won, &err);
	if (!error && won)
		error = finish(mongo, queue, turn, &err);
	for (size_t i = 0; i < turn->count; i++) {
		struct registry_mongodb_policy_change *change =
		    turn->changes[i];

		if (!change->settled && (error || change->document)) {
			change->result = error;
			change->err = err;
			change->settled = true;
		}
	}
	forget_documents(turn);
	if (won)
		registry_mongodb_changed(mongo);
}

/* --- the queue ---------------------------------------------------------- */

static void append(struct queue *queue,
                   struct registry_mongodb_policy_change *change)
{
	change->next = NULL;
	if (queue->last)
		queue->last->next = change;
	else
		queue->first = change;
	queue->last = change;
}

/* Takes the first change and, up to the most of a turn, all of its tenant's;
 * the others stay in their order. */
static void take_turn(struct queue *queue, struct turn *turn)
{
	struct registry_mongodb_policy_change *change = queue->first, *next;

	turn->tenant = change->tenant;
	turn->count = 0;
	queue->first = queue->last = NULL;
	for (; change; change = next) {
		next = change->next;
		if (turn->count < TURN_CHANGES &&
		    id_equal(change->tenant, turn->tenant))
			turn->changes[turn->count++] = change;
		else
			append(queue, change);
	}
}

/* Those that were blocked go first in the next turn; the others are their
 * callers' own again from here on. */
static void give_back(struct queue *queue, struct turn *turn)
{
	for (size_t i = turn->count; i-- > 0;) {
		struct registry_mongodb_policy_change *change =
		    turn->changes[i];

		if (change->settled) {
			change->done = true;
			continue;
		}
		change->next = queue->first;
		queue->first = change;
		if (!queue->last)
			queue->last = change;
	}
}

/* With the mutex: makes the next turn. */
static void lead(struct registry_mongodb *mongo, struct queue *queue)
{
	struct turn turn;

	queue->busy = true;
	take_turn(queue, &turn);
	(void)pthread_mutex_unlock(&queue->mutex);
	make_turn(mongo, queue, &turn);
	(void)pthread_mutex_lock(&queue->mutex);
	give_back(queue, &turn);
	queue->busy = false;
	(void)pthread_cond_broadcast(&queue->turned);
}

int registry_mongodb_policy_make(struct registry_mongodb *mongo,
                                 struct registry_mongodb_policy_change *change,
                                 struct error *err)
{
	struct queue *queue =
	    &mongo->policy->queues[change->tenant->bytes[15] % QUEUES];

	(void)pthread_mutex_lock(&queue->mutex);
	append(queue, change);
	while (!change->done) {
		if (queue->busy)
			(void)pthread_cond_wait(&queue->turned, &queue->mutex);
		else
			lead(mongo, queue);
	}
	(void)pthread_mutex_unlock(&queue->mutex);
	if (change->result && err)
		*err = change->err;
	return change->result;
}

int registry_mongodb_policy_start(struct registry_mongodb *mongo,
                                  struct error *err)
{
	mongo->policy = calloc(1, sizeof(*mongo->policy));
	if (!mongo->policy)
		return registry_mongodb_memory(err);
	for (size_t i = 0; i < QUEUES; i++) {
		struct queue *queue = &mongo->policy->queues[i];

		(void)pthread_mutex_init(&queue->mutex, NULL);
		(void)pthread_cond_init(&queue->turned, NULL);
	}
	return registry_mongodb_policy_finish_all(mongo, err);
}

void registry_mongodb_policy_stop(struct registry_mongodb *mongo)
{
	if (!mongo->policy)
		return;
	for (size_t i = 0; i < QUEUES; i++) {
		struct queue *queue = &mongo->policy->queues[i];

		(void)pthread_mutex_destroy(&queue->mutex);
		(void)pthread_cond_destroy(&queue->turned);
	}
	free(mongo->policy);
	mongo->policy = NULL;
}
