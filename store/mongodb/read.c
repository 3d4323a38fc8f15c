/* Reading and counting documents in MongoDB. */
#include "store/mongodb/private.h"

static void options_of(const struct mongodb_find *find, bson_t *options)
{
	bson_init(options);
	if (find->projection)
		bson_append_document(options, "projection", -1,
		                     find->projection);
	if (find->sort)
		bson_append_document(options, "sort", -1, find->sort);
	if (find->limit > 0)
		bson_append_int64(options, "limit", -1, find->limit);
	if (find->hint)
		bson_append_utf8(options, "hint", -1, find->hint, -1);
}

struct walk {
	const struct mongodb_find *find;
	int (*each)(const bson_t *document, void *context, struct error *err);
	void *context;
	int64_t calls;
};

static int walk_once(struct mongodb_handle *handle, struct walk *walk,
                     struct error *err)
{
	bson_t options;
	const bson_t *document;
	bson_error_t error;
	mongoc_cursor_t *cursor;
	int code = 0;

	options_of(walk->find, &options);
	cursor = mongoc_collection_find_with_opts(
	    handle->collection, walk->find->selector, &options, NULL);
	while (!code && mongoc_cursor_next(cursor, &document)) {
		walk->calls++;
		code = walk->each(document, walk->context, err);
	}
	if (!code && mongoc_cursor_error(cursor, &error))
		code =
		    mongodb_failure("MongoDB: find", &error, NULL, false, err);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&options);
	return code;
}

/* A lost answer is asked for once more, while nothing was handed on. */
int mongodb_find_each(struct mongodb_db *db, const struct mongodb_find *find,
                      int (*each)(const bson_t *document, void *context,
                                  struct error *err),
                      void *context, struct error *err)
{
	struct walk walk = {find, each, context, 0};
	struct mongodb_handle handle = {0};
	int code = mongodb_handle_take(&handle, db, find->collection, err);

	if (code)
		return code;
	code = walk_once(&handle, &walk, err);
	if (code == ERR_UNAVAILABLE && !walk.calls)
		code = walk_once(&handle, &walk, err);
	mongodb_handle_give(&handle);
	return code;
}

static int keep(const bson_t *document, void *context, struct error *err)
{
	(void)err;
	*(bson_t **)context = bson_copy(document);
	return 0;
}

int mongodb_find_one(struct mongodb_db *db, const char *collection,
                     const bson_t *selector, const bson_t *projection,
                     bson_t **document, struct error *err)
{
	struct mongodb_find find = {.collection = collection,
	                            .selector = selector,
	                            .projection = projection,
	                            .limit = 1};
	bson_t *found = NULL;
	int code = mongodb_find_each(db, &find, keep, &found, err);

	if (!code && !found)
		return error_set(err, ERR_NOT_FOUND, "MongoDB: none matches");
	if (code)
		bson_destroy(found);
	else
		*document = found;
	return code;
}

int mongodb_count(struct mongodb_db *db, const char *collection,
                  const bson_t *selector, const char *hint, int64_t limit,
                  int64_t *count, struct error *err)
{
	struct mongodb_handle handle = {0};
	bson_t options = BSON_INITIALIZER;
	bson_error_t error;
	int64_t counted = -1;
	int code = mongodb_handle_take(&handle, db, collection, err);

	if (code)
		return code;
	if (hint)
		(void)BSON_APPEND_UTF8(&options, "hint", hint);
	if (limit)
		(void)BSON_APPEND_INT64(&options, "limit", limit);
	for (int tries = 0; tries < 2 && counted < 0; tries++) {
		counted = mongoc_collection_count_documents(
		    handle.collection, selector, &options, NULL, NULL, &error);
	}
	bson_destroy(&options);
	mongodb_handle_give(&handle);
	if (counted < 0)
		return mongodb_failure("MongoDB: count", &error, NULL, false,
		                       err);
	*count = counted;
	return 0;
}
