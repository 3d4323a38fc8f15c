/*
 * Records of a copy put into MongoDB: all are inserted at once, and those that
 * are there already are replaced one by one where that is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "store/registry-mongodb-challenge.h"
#include "store/registry-mongodb-copy.h"
#include "store/registry-mongodb-decision.h"
#include "store/registry-mongodb-message.h"

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
		return mongodb_append_bytes(document, "_id",
		                            record->dead_sender.hash,
		                            CRYPTO_HASH_SIZE) &&
		       mongodb_append_time(document, "marked",
		                           record->dead_sender.marked_ms);
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

/* --- putting in --------------------------------------------------------- */

static int put_in(struct registry_mongodb *mongo,
                  const struct registry_record *records,
                  bson_t *const *documents, size_t count, bool replace,
                  int *results, struct error *err)
{
	int error = mongodb_insert_many(
	    mongo->db, collection_of(records[0].kind),
	    (const bson_t *const *)documents, count, false, results, err);

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
