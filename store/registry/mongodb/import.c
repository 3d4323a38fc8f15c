/*
 * Records of a copy put into MongoDB: all are inserted at once, and those that
 * are there already are replaced one by one where that is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/challenge-documents.h"
#include "store/registry/mongodb/copy.h"
#include "store/registry/mongodb/decision-documents.h"
#include "store/registry/mongodb/message-documents.h"

/* --- documents ---------------------------------------------------------- */

static const char *collection_of(enum registry_kind kind)
{
	switch (kind) {
	case REGISTRY_MESSAGES:
		return REGISTRY_MESSAGE;
	case REGISTRY_DECISIONS:
		return REGISTRY_DECISION;
	case REGISTRY_CHALLENGES:
		return REGISTRY_CHALLENGE;
	default:
		return REGISTRY_DEAD_SENDER;
	}
}

static bool fill(bson_t *document, const struct registry_record *record)
{
	struct id fresh;

	switch (record->kind) {
	case REGISTRY_DECISIONS:
		fresh = id_new();
		return registry_mongodb_decision_document(
		    document, &record->tenant, &fresh,
		    record->decision.sequence, &record->decision);
	case REGISTRY_CHALLENGES:
		return registry_mongodb_challenge_document(document,
		                                           &record->challenge);
	default:
		return registry_mongodb_dead_document(document,
		                                      &record->dead_sender);
	}
}

static int make_document(const struct registry_record *record,
                         bson_t **document, struct error *err)
{
	bson_t *made;

	if (record->kind == REGISTRY_MESSAGES)
		return registry_mongodb_message_document(&record->message,
		                                         false, document, err);
	made = bson_new();
	if (!fill(made, record)) {
		bson_destroy(made);
		return error_set(err, ERR_LIMIT, "the record is too large");
	}
	*document = made;
	return 0;
}

/* --- replacing ---------------------------------------------------------- */

/* By the record's key, which for a decision is its place in the log. */
static void key_selector(bson_t *selector, const struct registry_record *record,
                         const bson_t *document)
{
	bson_iter_t id;

	if (record->kind == REGISTRY_DECISIONS) {
		(void)mongodb_append_id(selector, "tenant", &record->tenant);
		(void)BSON_APPEND_INT64(selector, "sequence",
		                        record->decision.sequence);
	} else if (bson_iter_init_find(&id, document, "_id")) {
		(void)bson_append_iter(selector, NULL, 0, &id);
	}
}

/* {$set: all but _id}; a message is replaced as a whole. */
static void set_all(bson_t *update, const bson_t *document)
{
	bson_iter_t field;
	bson_t set;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	if (bson_iter_init(&field, document))
		while (bson_iter_next(&field))
			if (strcmp(bson_iter_key(&field), "_id") != 0)
				(void)bson_append_iter(&set, NULL, 0, &field);
	(void)bson_append_document_end(update, &set);
}

/* ERR_EXISTS where it is another record that is in the way. */
static int replace_one(struct registry_mongodb *mongo,
                       const struct registry_record *record,
                       const bson_t *document, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	bool whole = record->kind == REGISTRY_MESSAGES, matched = false;
	int error;

	key_selector(&selector, record, document);
	if (!whole)
		set_all(&update, document);
	/* Index: _id, or decision_sequence. */
	error = mongodb_update(mongo->db, collection_of(record->kind),
	                       &selector, whole ? document : &update, false,
	                       true, &matched, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error || matched ? error : ERR_EXISTS;
}

/* --- challenges --------------------------------------------------------- */

/* Over shards nothing but a look keeps an _id unique that is not in the shard
 * key, and a shard key never changes in place. */

/* Whether one of the documents' ids is there, or twice among them. */
static int any_is_there(struct registry_mongodb *mongo,
                        bson_t *const *documents, size_t count, bool *there,
                        struct error *err)
{
	bson_t selector = BSON_INITIALIZER, condition, ids, *found = NULL;
	int error;

	*there = false;
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &condition);
	(void)BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &ids);
	for (size_t i = 0; i < count; i++) {
		struct id id = mongodb_get_id(documents[i], "_id");
		char buffer[16];
		const char *place;

		(void)bson_uint32_to_string((uint32_t)i, &place, buffer,
		                            sizeof(buffer));
		(void)mongodb_append_id(&ids, place, &id);
		for (size_t j = 0; !*there && j < i; j++) {
			struct id other = mongodb_get_id(documents[j], "_id");

			*there = id_equal(&id, &other);
		}
	}
	(void)bson_append_array_end(&condition, &ids);
	(void)bson_append_document_end(&selector, &condition);
	/* Index: _id. */
	error = *there ? 0
	               : mongodb_find_one(mongo->db, REGISTRY_CHALLENGE,
	                                  &selector, NULL, &found, err);
	*there = *there || found;
	bson_destroy(found);
	bson_destroy(&selector);
	return error == ERR_NOT_FOUND ? 0 : error;
}

/* {field: ...} of the document, for one field or two. */
static void append_fields(bson_t *selector, const bson_t *document,
                          const char *first, const char *second)
{
	bson_iter_t field;

	if (bson_iter_init_find(&field, document, first))
		(void)bson_append_iter(selector, NULL, 0, &field);
	if (second && bson_iter_init_find(&field, document, second))
		(void)bson_append_iter(selector, NULL, 0, &field);
}

/* To another sender's hash: what was there goes first, and an import that ends
 * in between puts it in when it is made again. */
static int move_challenge(struct registry_mongodb *mongo, const bson_t *there,
                          const bson_t *document, struct error *err)
{
	bson_t place = BSON_INITIALIZER, old = BSON_INITIALIZER, *taken = NULL;
	int error;

	append_fields(&place, document, "sender_hash", "slot");
	append_fields(&old, there, "_id", "sender_hash");
	/* Index: challenge_slot. */
	error = mongodb_find_one(mongo->db, REGISTRY_CHALLENGE, &place, NULL,
	                         &taken, err);
	if (!error)
		error = ERR_EXISTS;
	else if (error == ERR_NOT_FOUND)
		/* Index: _id. */
		error = mongodb_delete(mongo->db, REGISTRY_CHALLENGE, &old,
		                       true, NULL, err);
	if (!error)
		error = mongodb_insert(mongo->db, REGISTRY_CHALLENGE, document,
		                       err);
	bson_destroy(taken);
	bson_destroy(&old);
	bson_destroy(&place);
	return error;
}

static bool same_sender(const bson_t *a, const bson_t *b)
{
	size_t size, other_size;
	const void *hash = mongodb_get_bytes(a, "sender_hash", &size);
	const void *other = mongodb_get_bytes(b, "sender_hash", &other_size);

	return hash && other && size == other_size &&
	       !memcmp(hash, other, size);
}

static int put_challenge(struct registry_mongodb *mongo,
                         const struct registry_record *record,
                         const bson_t *document, bool replace,
                         struct error *err)
{
	bson_t selector = BSON_INITIALIZER, *there = NULL;
	int error;

	append_fields(&selector, document, "_id", NULL);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_CHALLENGE, &selector, NULL,
	                         &there, err);
	if (error == ERR_NOT_FOUND)
		error = mongodb_insert(mongo->db, REGISTRY_CHALLENGE, document,
		                       err);
	else if (!error && !replace)
		error = ERR_EXISTS;
	else if (!error && same_sender(there, document))
		error = replace_one(mongo, record, document, err);
	else if (!error)
		error = move_challenge(mongo, there, document, err);
	bson_destroy(there);
	bson_destroy(&selector);
	return error;
}

static int put_challenges(struct registry_mongodb *mongo,
                          const struct registry_record *records,
                          bson_t *const *documents, size_t count, bool replace,
                          int *results, struct error *err)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++) {
		results[i] = put_challenge(mongo, &records[i], documents[i],
		                           replace, err);
		if (results[i] != ERR_EXISTS)
			error = results[i];
	}
	return error;
}

/* --- putting in --------------------------------------------------------- */

static int put_in(struct registry_mongodb *mongo,
                  const struct registry_record *records,
                  bson_t *const *documents, size_t count, bool replace,
                  int *results, struct error *err)
{
	bool careful = false;
	int error = 0;

	if (records[0].kind == REGISTRY_CHALLENGES)
		error = any_is_there(mongo, documents, count, &careful, err);
	if (!error && careful)
		return put_challenges(mongo, records, documents, count, replace,
		                      results, err);
	if (!error)
		error = mongodb_insert_many(mongo->db,
		                            collection_of(records[0].kind),
		                            (const bson_t *const *)documents,
		                            count, false, results, err);
	for (size_t i = 0; !error && replace && i < count; i++) {
		if (results[i] != ERR_EXISTS)
			continue;
		results[i] = replace_one(mongo, &records[i], documents[i], err);
		if (results[i] && results[i] != ERR_EXISTS)
			error = results[i];
	}
	return error;
}

/* What is in a log was given out, whatever the counters say. */
static int raise_ends(struct registry_mongodb *mongo,
                      const struct registry_record *records, size_t count,
                      struct error *err)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++) {
		/* They come in the order of the log. */
		if (i + 1 < count &&
		    id_equal(&records[i].tenant, &records[i + 1].tenant) &&
		    records[i].decision.sequence <=
		        records[i + 1].decision.sequence)
			continue;
		error = registry_mongodb_raise_sequence(
		    mongo, &records[i].tenant, records[i].decision.sequence,
		    err);
		if (error == ERR_NOT_FOUND)
			error = 0;
	}
	return error;
}

int registry_mongodb_own_import(struct registry_mongodb *mongo,
                                const struct registry_record *records,
                                size_t count, bool replace, int *results,
                                struct error *err)
{
	bson_t **documents = calloc(count, sizeof(*documents));
	size_t made = 0;
	int error = 0;

	if (!documents)
		return registry_mongodb_memory(err);
	while (!error && made < count) {
		error = make_document(&records[made], &documents[made], err);
		made += !error;
	}
	/* First, so that no number is given out twice. */
	if (!error && records[0].kind == REGISTRY_DECISIONS)
		error = raise_ends(mongo, records, count, err);
	if (!error)
		error = put_in(mongo, records, documents, count, replace,
		               results, err);
	for (size_t i = 0; i < made; i++)
		bson_destroy(documents[i]);
	free(documents);
	return error;
}

static int import_counters(struct registry_mongodb *mongo,
                           const struct registry_record *record,
                           struct error *err)
{
	int error = registry_mongodb_policy_raise(
	    mongo, &record->tenant, record->counters.policy_revision, err);

	if (error || id_is_none(&record->tenant))
		return error;
	error = registry_mongodb_raise_sequence(
	    mongo, &record->tenant, record->counters.decision_sequence, err);
	return error == ERR_NOT_FOUND ? 0 : error;
}

int registry_mongodb_counters_import(struct registry_mongodb *mongo,
                                     const struct registry_record *records,
                                     size_t count, bool replace, int *results,
                                     struct error *err)
{
	int error = 0;

	(void)replace; /* the higher value stays, so or so */
	for (size_t i = 0; !error && i < count; i++) {
		error = import_counters(mongo, &records[i], err);
		if (!error)
			results[i] = 0;
	}
	return error;
}
