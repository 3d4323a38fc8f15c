/* Many records at once in MongoDB: put in as they are, and purged. */
#include <stdlib.h>

#include "store/record/mongodb/private.h"

/* Records deleted in one command. */
#define STEP 200

/* --- putting in --------------------------------------------------------- */

/* Sets all fields of the record with this key, if there is one; what its
 * document has besides stays. */
static int replace_one(struct record_mongodb *mongo,
                       const struct record_kind *kind, const void *record,
                       bool *matched, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
	int error;

	(void)record_mongodb_append_key(&selector, kind, record);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)record_mongodb_append_fields(&set, kind, record);
	(void)bson_append_document_end(&update, &set);
	/* Index: _id. */
	error = mongodb_update(mongo->db, kind->name, &selector, &update, false,
	                       true, matched, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	return error;
}

/* How many of the documents' _ids are there. */
static int count_there(struct record_mongodb *mongo,
                       const struct record_kind *kind, bson_t *const *documents,
                       size_t count, int64_t *there, struct error *err)
{
	struct mongodb_ids ids;
	bson_t selector = BSON_INITIALIZER;
	bson_iter_t id;
	int error;

	mongodb_ids_begin(&ids, &selector);
	for (size_t i = 0; i < count; i++)
		if (bson_iter_init_find(&id, documents[i], "_id"))
			mongodb_ids_add(&ids, &id);
	mongodb_ids_end(&ids, &selector);
	/* Index: _id. */
	error = mongodb_count(mongo->db, kind->name, &selector, NULL, 0, there,
	                      err);
	bson_destroy(&selector);
	return error;
}

/* An insertion whose answer is lost takes what has its _id for its own: what
 * was there before is looked for first. */
static int put_one(struct record_mongodb *mongo, const struct record_kind *kind,
                   const void *record, bson_t *document, bool replace,
                   struct error *err)
{
	bool there = false;
	int64_t count = 0;
	int error = replace
	                ? replace_one(mongo, kind, record, &there, err)
	                : count_there(mongo, kind, &document, 1, &count, err);

	if (error || there)
		return error;
	return count ? ERR_EXISTS
	             : mongodb_insert(mongo->db, kind->name, document, err);
}

/* At once where none of them is there, else one by one. */
static int put_all(struct record_mongodb *mongo, const struct record_kind *kind,
                   const char *records, bson_t *const *documents, size_t count,
                   bool replace, int *results, struct error *err)
{
	int64_t there = 0;
	int error = count_there(mongo, kind, documents, count, &there, err);

	if (!error && !there)
		error = mongodb_insert_many(mongo->db, kind->name,
		                            (const bson_t *const *)documents,
		                            count, false, results, err);
	for (size_t i = 0; !error && i < count; i++) {
		if (!there && !(replace && results[i] == ERR_EXISTS))
			continue;
		results[i] = put_one(mongo, kind, records + i * kind->size,
		                     documents[i], replace, err);
		if (results[i] != ERR_EXISTS)
			error = results[i];
	}
	return error;
}

int record_mongodb_put(struct record_store *store,
                       const struct record_kind *kind, const void *records,
                       size_t count, bool replace, int *results,
                       struct error *err)
{
	struct record_mongodb *mongo = record_mongodb(store);
	bson_t **documents = calloc(count + !count, sizeof(*documents));
	int error;

	if (!documents)
		return error_set(err, ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		const char *record = (const char *)records + i * kind->size;

		documents[i] = bson_new();
		(void)record_mongodb_append_key(documents[i], kind, record);
		(void)record_mongodb_append_fields(documents[i], kind, record);
	}
	error = put_all(mongo, kind, records, documents, count, replace,
	                results, err);
	for (size_t i = 0; i < count; i++)
		bson_destroy(documents[i]);
	free(documents);
	/* After a failure some may be in. */
	record_mongodb_changed(mongo);
	return error;
}

/* --- purging ------------------------------------------------------------ */

/* {purge_by: {$gt: 0, $lt: before}} */
static void append_over(bson_t *selector, const struct record_kind *kind,
                        int64_t before_ms)
{
	bson_t range;

	(void)BSON_APPEND_DOCUMENT_BEGIN(selector, kind->purge_by, &range);
	(void)mongodb_append_time(&range, "$gt", 0);
	(void)mongodb_append_time(&range, "$lt", before_ms);
	(void)bson_append_document_end(selector, &range);
}

static int note_id(const bson_t *document, void *context, struct error *err)
{
	struct mongodb_ids *ids = context;
	bson_iter_t id;

	if (!bson_iter_init_find(&id, document, "_id"))
		return error_set(err, ERR_CORRUPT, "a document without _id");
	mongodb_ids_add(ids, &id);
	return 0;
}

static int find_some(struct record_mongodb *mongo,
                     const struct record_kind *kind, int64_t before_ms,
                     size_t limit, struct mongodb_ids *ids, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER,
	       projection = BSON_INITIALIZER;
	char index[RECORD_MONGODB_INDEX_SIZE];
	struct mongodb_find find = {.collection = kind->name,
	                            .selector = &selector,
	                            .projection = &projection,
	                            .sort = &sort,
	                            .limit = (int64_t)limit,
	                            .hint = index};
	int error;

	record_mongodb_index_name(
	    kind, record_mongodb_index_by(kind, kind->purge_by), index);
	append_over(&selector, kind, before_ms);
	(void)BSON_APPEND_INT32(&sort, kind->purge_by, 1);
	(void)BSON_APPEND_INT32(&projection, "_id", 1);
	/* Index: the one that begins with purge_by. */
	error = mongodb_find_each(mongo->db, &find, note_id, ids, err);
	bson_destroy(&projection);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

/* Finds some that are over, and deletes those of them that still are. */
static int purge_some(struct record_mongodb *mongo,
                      const struct record_kind *kind, int64_t before_ms,
                      size_t limit, uint32_t *found, size_t *deleted,
                      struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	struct mongodb_ids ids;
	int64_t count = 0;
	int error;

	mongodb_ids_begin(&ids, &selector);
	error = find_some(mongo, kind, before_ms, limit, &ids, err);
	mongodb_ids_end(&ids, &selector);
	append_over(&selector, kind, before_ms);
	/* Index: _id. */
	if (!error && ids.count)
		error = mongodb_delete(mongo->db, kind->name, &selector, false,
		                       &count, err);
	bson_destroy(&selector);
	*found = ids.count;
	*deleted += (size_t)count;
	return error;
}

int record_mongodb_purge(struct record_store *store,
                         const struct record_kind *kind, int64_t before_ms,
                         size_t limit, size_t *deleted, struct error *err)
{
	struct record_mongodb *mongo = record_mongodb(store);
	size_t total = 0, wanted;
	uint32_t found;
	int error;

	do {
		wanted = limit - total < STEP ? limit - total : STEP;
		error = purge_some(mongo, kind, before_ms, wanted, &found,
		                   &total, err);
	} while (!error && found == wanted && total < limit);
	if (total)
		record_mongodb_changed(mongo);
	if (error && !total)
		return error;
	*deleted = total; /* what was deleted before a failure counts */
	return 0;
}
