/* The full check of the registry in MongoDB. */
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/clock.h"
#include "store/registry/mongodb/challenge-documents.h"
#include "store/registry/mongodb/decision-documents.h"
#include "store/registry/mongodb/message-documents.h"

/* A decision that is pending for longer has been forgotten. */
#define FORGOTTEN_MS 600000

/* ERR_CORRUPT with what was found of which document. */
static int finding(const bson_t *document, const char *what, struct error *err)
{
	struct id id = mongodb_get_id(document, "_id");
	char text[ID_TEXT_SIZE];

	return error_set(err, ERR_CORRUPT, "%s: %s", id_format(&id, text),
	                 what);
}

/* --- messages ----------------------------------------------------------- */

/* How many recipients of a message have a decision pending; *forgotten when
 * one has had it for too long. */
static int64_t count_pending(const bson_t *message, bool *forgotten)
{
	int64_t count = 0, now_ms = clock_wall_ms();
	bson_iter_t items;
	bson_t array, view, pending;

	if (!mongodb_get_document(message, "recipients", &array) ||
	    !bson_iter_init(&items, &array))
		return 0;
	while (bson_iter_next(&items)) {
		const uint8_t *data;
		uint32_t size;

		if (!BSON_ITER_HOLDS_DOCUMENT(&items))
			continue;
		bson_iter_document(&items, &size, &data);
		if (!bson_init_static(&view, data, size) ||
		    !mongodb_get_document(&view, "pending", &pending))
			continue;
		count++;
		*forgotten = *forgotten || mongodb_get_int(&pending, "since") <
		                               now_ms - FORGOTTEN_MS;
	}
	return count;
}

static int check_message(const bson_t *document, void *context,
                         struct error *err)
{
	struct registry_message message = {0};
	struct error detail = {0};
	bool forgotten = false;
	int64_t held = 0;
	int error = registry_mongodb_message_parse(document, &message, &detail);

	(void)context;
	for (size_t i = 0; !error && i < message.recipient_count; i++)
		held += message.recipients[i].state == REGISTRY_HELD;
	registry_message_release(&message);
	if (error == ERR_CORRUPT)
		return finding(document, detail.text, err);
	if (error)
		return error_set(err, (enum error_code)error, "%s",
		                 detail.text);
	if (mongodb_get_int(document, "held") != held)
		return finding(
		    document, "the message miscounts its held recipients", err);
	if (mongodb_get_int(document, "pending") !=
	    count_pending(document, &forgotten))
		return finding(document,
		               "the message miscounts its pending decisions",
		               err);
	if (forgotten)
		return finding(document,
		               "a decision of the message is not in "
		               "the log",
		               err);
	return 0;
}

/* --- challenges --------------------------------------------------------- */

static int check_challenge(const bson_t *document, void *context,
                           struct error *err)
{
	struct registry_challenge challenge = {0};
	struct error detail = {0};
	char wanted[ID_TEXT_SIZE] = "";
	size_t size = 0;
	const void *slot = mongodb_get_bytes(document, "slot", &size);
	int error =
	    registry_mongodb_challenge_parse(document, &challenge, &detail);

	(void)context;
	if (challenge.state != CHALLENGE_STATE_OPEN)
		(void)id_format(&challenge.id, wanted);
	registry_challenge_release(&challenge);
	if (error == ERR_CORRUPT)
		return finding(document, detail.text, err);
	if (error)
		return error_set(err, (enum error_code)error, "%s",
		                 detail.text);
	if (!slot || size != strlen(wanted) || memcmp(slot, wanted, size) != 0)
		return finding(document,
		               "the challenge's place is not its state's", err);
	return 0;
}

/* --- decisions ---------------------------------------------------------- */

/* A walk through the logs of all tenants, each in its order. */
struct walk {
	struct registry_mongodb *mongo;
	struct id tenant;
	int64_t last;
	struct id *gap_tenants; /* whose log has a gap, and up to where */
	int64_t *gap_ends;
	size_t gaps, tenant_capacity, end_capacity;
};

/* Gaps are judged when the walk is over: a purge may be at work meanwhile. */
static int note_gap(struct walk *walk, struct error *err)
{
	int error;

	if ((error = array_grow((void **)&walk->gap_tenants, walk->gaps,
	                        &walk->tenant_capacity,
	                        sizeof(*walk->gap_tenants), err)) ||
	    (error =
	         array_grow((void **)&walk->gap_ends, walk->gaps,
	                    &walk->end_capacity, sizeof(*walk->gap_ends), err)))
		return error;
	walk->gap_tenants[walk->gaps] = walk->tenant;
	walk->gap_ends[walk->gaps] = walk->last;
	walk->gaps++;
	return 0;
}

static int check_decision(const bson_t *document, void *context,
                          struct error *err)
{
	struct walk *walk = context;
	struct id tenant = mongodb_get_id(document, "tenant");
	int64_t sequence = mongodb_get_int(document, "sequence");
	char word[REGISTRY_MONGODB_WORD];
	bool follows;

	if (registry_mongodb_verdict_parse(
	        registry_mongodb_word(document, "verdict", word)) < 0)
		return finding(document, "a decision has no known verdict",
		               err);
	if (!id_equal(&tenant, &walk->tenant))
		walk->last = 0;
	follows = sequence == walk->last + 1;
	walk->tenant = tenant;
	walk->last = sequence;
	if (follows)
		return 0;
	walk->last--; /* the gap ends before this one */
	if (note_gap(walk, err))
		return ERR_MEMORY;
	walk->last++;
	return 0;
}

/* A gap may be there where a purge has been: at or below the floor. */
static int judge_gaps(struct walk *walk, struct error *err)
{
	for (size_t i = 0; i < walk->gaps; i++) {
		int64_t floor = 0;
		char text[ID_TEXT_SIZE];
		int error = registry_mongodb_sequence_floor(
		    walk->mongo, &walk->gap_tenants[i], &floor, err);

		if (error)
			return error;
		if (walk->gap_ends[i] > floor)
			return error_set(
			    err, ERR_CORRUPT,
			    "%s: the tenant's log of decisions has a gap",
			    id_format(&walk->gap_tenants[i], text));
	}
	return 0;
}

/* --- all ---------------------------------------------------------------- */

static int each(struct registry_mongodb *mongo, const char *collection,
                const char *hint, const char *first, const char *second,
                int (*check)(const bson_t *document, void *context,
                             struct error *err),
                void *context, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = collection,
	                            .selector = &selector,
	                            .sort = &sort,
	                            .hint = hint};
	int error;

	(void)BSON_APPEND_INT32(&sort, first, 1);
	if (second)
		(void)BSON_APPEND_INT32(&sort, second, 1);
	/* Index: hint. */
	error = mongodb_find_each(mongo->db, &find, check, context, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

static int check_decisions(struct registry_mongodb *mongo, struct error *err)
{
	struct walk walk = {.mongo = mongo};
	int error = each(mongo, REGISTRY_DECISION, "decision_sequence",
	                 "tenant", "sequence", check_decision, &walk, err);

	if (!error)
		error = judge_gaps(&walk, err);
	free(walk.gap_tenants);
	free(walk.gap_ends);
	return error;
}

int registry_mongodb_check(struct registry *registry, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	int error;

	if ((error = each(mongo, REGISTRY_MESSAGE, "_id_", "_id", NULL,
	                  check_message, NULL, err)) ||
	    (error = each(mongo, REGISTRY_CHALLENGE, "_id_", "_id", NULL,
	                  check_challenge, NULL, err)) ||
	    (error = check_decisions(mongo, err)))
		return error;
	return registry_mongodb_policy_check(mongo, err);
}
