/* Reading records in MongoDB: one, or a page by an index. */
#include <string.h>

#include "store/record/mongodb/private.h"

/* --- one ---------------------------------------------------------------- */

/* The fields of an index are as they are in like. */
static void append_equal(bson_t *selector, const struct record_kind *kind,
                         const struct record_field *const *fields, size_t count,
                         const void *like)
{
	for (size_t i = 0; i < count; i++)
		(void)record_mongodb_append(
		    selector, record_mongodb_name(kind, fields[i]), fields[i],
		    like);
}

int record_mongodb_read(struct record_store *store,
                        const struct record_kind *kind,
                        const struct record_index *index, const void *like,
                        void *record, struct error *err)
{
	const struct record_field *fields[RECORD_KEY_MAXIMUM];
	bson_t selector = BSON_INITIALIZER, *found = NULL;
	int error;

	if (record_mongodb_is_key(kind, index)) {
		(void)record_mongodb_append_key(&selector, kind, like);
	} else {
		append_equal(&selector, kind, fields,
		             record_fields(kind, index->fields, fields), like);
		(void)record_mongodb_append_only_if(&selector, kind, index);
	}
	/* Index: the one that is named, or _id. */
	error = mongodb_find_one(record_mongodb(store)->db, kind->name,
	                         &selector, NULL, &found, err);
	if (!error)
		error = record_mongodb_read_document(kind, found, record, err);
	bson_destroy(found);
	bson_destroy(&selector);
	return error;
}

/* --- a page ------------------------------------------------------------- */

struct listing {
	const struct record_kind *kind;
	const struct record_index *index;
	const struct record_query *query;
	struct record_page *page;
	/* Of the order: those of the index, and then NULL for _id where the
	 * index is not unique. */
	const struct record_field *fields[RECORD_KEY_MAXIMUM + 1];
	size_t count;
};

static int collect(const bson_t *document, void *context, struct error *err)
{
	struct listing *list = context;
	void *record;

	if (list->page->count == list->query->limit) {
		list->page->more = true;
		return 0;
	}
	record = record_page_add(list->kind, list->page, err);
	if (!record)
		return ERR_MEMORY;
	return record_mongodb_read_document(list->kind, document, record, err);
}

/* Lists what the selector finds in the order of sort, behind what the page
 * has. */
static int find(struct record_mongodb *mongo, struct listing *list,
                const bson_t *selector, const bson_t *sort, struct error *err)
{
	char name[RECORD_MONGODB_INDEX_SIZE];
	struct mongodb_find find = {
	    .collection = list->kind->name,
	    .selector = selector,
	    .sort = sort,
	    .limit = (int64_t)(list->query->limit - list->page->count) + 1,
	    .hint = name,
	};

	record_mongodb_index_name(list->kind, list->index, name);
	/* Index: the one that is named. */
	return mongodb_find_each(mongo->db, &find, collect, list, err);
}

/* {_id: {$gt: ..., $lte: ...}}: by the key, of which the first fields may be
 * given. */
static int list_by_key(struct record_mongodb *mongo, struct listing *list,
                       struct error *err)
{
	const struct record_query *query = list->query;
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER, range;
	int error;

	if (query->after || query->equal) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "_id", &range);
		if (query->after)
			(void)record_mongodb_append_id(&range, "$gt",
			                               list->kind, query->after,
			                               RECORD_KEY_MAXIMUM, 0);
		else
			(void)record_mongodb_append_id(&range, "$gte",
			                               list->kind, query->like,
			                               query->equal, 0);
		if (query->equal)
			(void)record_mongodb_append_id(&range, "$lte",
			                               list->kind, query->like,
			                               query->equal, 0xff);
		(void)bson_append_document_end(&selector, &range);
	}
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	error = find(mongo, list, &selector, &sort, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

static void append_place(bson_t *to, const struct listing *list, size_t i,
                         const char *name, const void *record)
{
	if (list->fields[i])
		(void)record_mongodb_append(to, name, list->fields[i], record);
	else
		(void)record_mongodb_append_id(to, name, list->kind, record,
		                               RECORD_KEY_MAXIMUM, 0);
}

static const char *place_name(const struct listing *list, size_t i)
{
	return list->fields[i]
	           ? record_mongodb_name(list->kind, list->fields[i])
	           : "_id";
}

/*
 * Those that have the first same fields of the order in common with a record,
 * and in the next one come after it; whole: whatever the next one is.
 */
static int list_level(struct record_mongodb *mongo, struct listing *list,
                      const void *like, size_t same, bool whole,
                      struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER, after;
	int error;

	for (size_t i = 0; i < same; i++)
		append_place(&selector, list, i, place_name(list, i), like);
	if (!whole) {
		(void)BSON_APPEND_DOCUMENT_BEGIN(
		    &selector, place_name(list, same), &after);
		append_place(&after, list, same, "$gt", like);
		(void)bson_append_document_end(&selector, &after);
	}
	(void)record_mongodb_append_only_if(&selector, list->kind, list->index);
	for (size_t i = same; i < list->count; i++)
		(void)BSON_APPEND_INT32(&sort, place_name(list, i), 1);
	error = find(mongo, list, &selector, &sort, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

/*
 * Behind a record of which the index has several fields, those that have most
 * in common with it come first: each level is one range of the index.
 */
static int list_by_index(struct record_mongodb *mongo, struct listing *list,
                         struct error *err)
{
	const struct record_query *query = list->query;
	size_t same = list->count;
	int error = 0;

	if (!query->after)
		return list_level(mongo, list, query->like, query->equal, true,
		                  err);
	while (!error && !list->page->more && same-- > query->equal)
		error = list_level(mongo, list, query->after, same, false, err);
	return error;
}

int record_mongodb_list(struct record_store *store,
                        const struct record_kind *kind,
                        const struct record_index *index,
                        const struct record_query *query,
                        struct record_page *page, struct error *err)
{
	struct record_mongodb *mongo = record_mongodb(store);
	struct listing list = {
	    .kind = kind, .index = index, .query = query, .page = page};

	if (record_mongodb_is_key(kind, index))
		return list_by_key(mongo, &list, err);
	list.count = record_fields(kind, index->fields, list.fields);
	if (!index->unique)
		list.fields[list.count++] = NULL;
	return list_by_index(mongo, &list, err);
}
