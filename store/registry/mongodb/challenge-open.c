/* Opening challenges in MongoDB, and finding those that are open. */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/challenge-documents.h"

/* How often the one that is in the way may be gone when it is looked for. */
#define OPEN_TRIES 20

/* Challenges that are looked for, by the hash of their sender or by id. */
struct finding {
	const uint8_t (*hashes)[CRYPTO_HASH_SIZE]; /* NULL: by id */
	const struct id *ids;
	size_t count;
	struct registry_opened *found;
};

static int note_found(const bson_t *document, void *context, struct error *err)
{
	const struct finding *finding = context;
	struct registry_opened opened = {mongodb_get_id(document, "_id"),
	                                 mongodb_get_id(document, "message")};
	uint8_t hash[CRYPTO_HASH_SIZE];
	int error = registry_mongodb_bytes(document, "sender_hash", hash,
	                                   sizeof(hash), err);

	for (size_t i = 0; i < finding->count && !error; i++)
		if (finding->hashes
		        ? !memcmp(finding->hashes[i], hash, sizeof(hash))
		        : id_equal(&finding->ids[i], &opened.id))
			finding->found[i] = opened;
	return error;
}

/* Those of the senders that are open, or those of the ids in whatever state. */
static int find_each(struct registry_mongodb *mongo, struct finding *finding,
                     struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_CHALLENGE,
	                            .selector = &selector,
	                            .projection = &projection};
	int error;

	if (finding->hashes) {
		(void)registry_mongodb_append_in_hashes(
		    &selector, "sender_hash", finding->hashes, finding->count);
		(void)BSON_APPEND_UTF8(&selector, "slot", "");
	} else {
		(void)registry_mongodb_append_in(&selector, "_id", finding->ids,
		                                 finding->count);
	}
	(void)BSON_APPEND_INT32(&projection, "message", 1);
	(void)BSON_APPEND_INT32(&projection, "sender_hash", 1);
	/* Index: challenge_slot, or _id. */
	error = mongodb_find_each(mongo->db, &find, note_found, finding, err);
	bson_destroy(&projection);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_challenge_find(struct registry *registry,
                                    const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                    size_t count, struct registry_opened *found,
                                    struct error *err)
{
	struct finding finding = {hashes, NULL, count, found};

	return find_each(registry_mongodb(registry), &finding, err);
}

/* Challenges on their way into the collection; the arrays of those that are
 * not in yet are parallel. */
struct opening {
	const struct registry_challenge *challenges;
	int *results;
	struct registry_opened *existing;
	size_t left;    /* of which it is not known yet whether they are in */
	size_t *places; /* where in challenges each of those is */
	bson_t **documents;
	int *inserted;
	uint8_t (*hashes)[CRYPTO_HASH_SIZE];
	struct id *ids;
	struct registry_opened *found;
};

static void opening_release(struct opening *opening, size_t count)
{
	for (size_t i = 0; i < count && opening->documents; i++)
		bson_destroy(opening->documents[i]);
	free(opening->places);
	free(opening->documents);
	free(opening->inserted);
	free(opening->hashes);
	free(opening->ids);
	free(opening->found);
}

static int opening_make(struct opening *opening, size_t count,
                        struct error *err)
{
	opening->places = calloc(count, sizeof(*opening->places));
	opening->documents = calloc(count, sizeof(*opening->documents));
	opening->inserted = calloc(count, sizeof(*opening->inserted));
	opening->hashes = calloc(count, sizeof(*opening->hashes));
	opening->ids = calloc(count, sizeof(*opening->ids));
	opening->found = calloc(count, sizeof(*opening->found));
	if (!opening->places || !opening->documents || !opening->inserted ||
	    !opening->hashes || !opening->ids || !opening->found)
		return registry_mongodb_memory(err);
	for (size_t i = 0; i < count; i++) {
		opening->places[i] = i;
		opening->documents[i] = bson_new();
		(void)registry_mongodb_challenge_document(
		    opening->documents[i], &opening->challenges[i]);
	}
	opening->left = count;
	return 0;
}

/* Finds which ones are in the way of those left: their senders' open ones, or
 * ones with the same ids. */
static int find_rivals(struct registry_mongodb *mongo, struct opening *opening,
                       struct error *err)
{
	struct finding finding = {.count = opening->left,
	                          .found = opening->found};
	int error;

	for (size_t i = 0; i < opening->left; i++) {
		const struct registry_challenge *challenge =
		    &opening->challenges[opening->places[i]];

		memcpy(opening->hashes[i], challenge->sender_hash,
		       CRYPTO_HASH_SIZE);
		opening->ids[i] = challenge->id;
	}
	memset(opening->found, 0, opening->left * sizeof(*opening->found));
	finding.ids = opening->ids;
	error = find_each(mongo, &finding, err);
	finding.hashes = (const uint8_t(*)[CRYPTO_HASH_SIZE])opening->hashes;
	return error ? error : find_each(mongo, &finding, err);
}

/* Keeps those left of which nothing was found in the way: it was there when
 * they were inserted and is gone. */
static void keep_left(struct opening *opening)
{
	size_t kept = 0;

	for (size_t i = 0; i < opening->left; i++) {
		size_t place = opening->places[i];
		bson_t *document = opening->documents[i];

		if (!id_is_none(&opening->found[i].id)) {
			opening->results[place] = ERR_EXISTS;
			opening->existing[place] = opening->found[i];
			continue;
		}
		opening->documents[i] = opening->documents[kept];
		opening->documents[kept] = document;
		opening->places[kept++] = place;
	}
	opening->left = kept;
}

/* Inserts those left; those that were not inserted are left behind. */
static int insert_left(struct registry_mongodb *mongo, struct opening *opening,
                       struct error *err)
{
	bool changed = false;
	size_t kept = 0;
	int error =
	    mongodb_insert_many(mongo->db, REGISTRY_CHALLENGE,
	                        (const bson_t *const *)opening->documents,
	                        opening->left, false, opening->inserted, err);

	for (size_t i = 0; i < opening->left; i++) {
		size_t place = opening->places[i];
		bson_t *document = opening->documents[i];

		changed = changed || !opening->inserted[i];
		if (!error && opening->inserted[i] == ERR_LIMIT)
			error = error_set(err, ERR_LIMIT,
			                  "a challenge is too large");
		opening->results[place] = opening->inserted[i];
		if (!opening->inserted[i])
			continue;
		opening->documents[i] = opening->documents[kept];
		opening->documents[kept] = document;
		opening->places[kept++] = place;
	}
	opening->left = kept;
	if (changed)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_challenge_open(struct registry *registry,
                                    const struct registry_challenge *challenges,
                                    size_t count, int *results,
                                    struct registry_opened *existing,
                                    struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct opening opening = {
	    .challenges = challenges, .results = results, .existing = existing};
	int error = opening_make(&opening, count, err);

	for (int i = 0; !error && opening.left && i < OPEN_TRIES; i++) {
		error = insert_left(mongo, &opening, err);
		if (error || !opening.left)
			break;
		error = find_rivals(mongo, &opening, err);
		if (!error)
			keep_left(&opening);
	}
	if (!error && opening.left)
		error = error_set(err, ERR_UNAVAILABLE,
		                  "challenges of the sender come and go");
	opening_release(&opening, count);
	return error;
}
