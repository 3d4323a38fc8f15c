/* Changing and deleting documents in MongoDB. */
#include "store/mongodb/private.h"

/* An update has operators; a replacement has none. */
static bool has_operators(const bson_t *update)
{
	bson_iter_t iter;

	return bson_iter_init(&iter, update) && bson_iter_next(&iter) &&
	       bson_iter_key(&iter)[0] == '$';
}

static int try_update(struct mongodb_handle *handle, const bson_t *selector,
                      const bson_t *update, bool upsert, bool *matched,
                      struct error *err)
{
	bson_t options = BSON_INITIALIZER, reply;
	bson_error_t error;
	int code = 0;
	bool done;

	bson_append_bool(&options, "upsert", -1, upsert);
	if (has_operators(update))
		done = mongoc_collection_update_one(handle->collection,
		                                    selector, update, &options,
		                                    &reply, &error);
	else
		done = mongoc_collection_replace_one(handle->collection,
		                                     selector, update, &options,
		                                     &reply, &error);
	if (!done)
		code = mongodb_write_failure(handle->db, "MongoDB: update",
		                             &error, &reply, err);
	else
		*matched = mongodb_get_int(&reply, "matchedCount") > 0;
	bson_destroy(&reply);
	bson_destroy(&options);
	return code;
}

/* Of two upserts at once one may find that the other's document came between:
 * tried again it finds that document. */
static int update_surely(struct mongodb_handle *handle, const bson_t *selector,
                         const bson_t *update, bool upsert, bool repeatable,
                         bool *matched, struct error *err)
{
	struct mongodb_retry retry = mongodb_retry_begin();
	bool uncertain = false, crossed = false;
	int code;

	for (;;) {
		code =
		    try_update(handle, selector, update, upsert, matched, err);
		uncertain = uncertain || code == ERR_UNCERTAIN;
		if (code == ERR_EXISTS && upsert && !crossed) {
			crossed = true;
			continue;
		}
		if (!uncertain || !repeatable ||
		    (code != ERR_UNCERTAIN && code != ERR_UNAVAILABLE) ||
		    !mongodb_retry_pause(&retry))
			break;
	}
	if (uncertain && code == ERR_UNAVAILABLE)
		return error_set(err, ERR_UNCERTAIN,
		                 "MongoDB: update: the answer was lost, and "
		                 "the server did not come back in time");
	return code;
}

int mongodb_update(struct mongodb_db *db, const char *collection,
                   const bson_t *selector, const bson_t *update, bool upsert,
                   bool repeatable, bool *matched, struct error *err)
{
	struct mongodb_handle handle = {0};
	bool found = false;
	int code = mongodb_handle_take(&handle, db, collection, err);

	if (code)
		return code;
	code = update_surely(&handle, selector, update, upsert, repeatable,
	                     &found, err);
	mongodb_handle_give(&handle);
	if (!code && matched)
		*matched = found;
	return code;
}

/* --- several ------------------------------------------------------------ */

/* Adds one update or replacement to the bulk. */
static bool add_update(mongoc_bulk_operation_t *bulk, const bson_t *selector,
                       const bson_t *update, bson_error_t *error)
{
	if (has_operators(update))
		return mongoc_bulk_operation_update_one_with_opts(
		    bulk, selector, update, NULL, error);
	return mongoc_bulk_operation_replace_one_with_opts(bulk, selector,
	                                                   update, NULL, error);
}

static int try_update_each(struct mongodb_handle *handle,
                           const bson_t *const *selectors,
                           const bson_t *const *updates, size_t count,
                           int64_t *matched, struct error *err)
{
	bson_t options = BSON_INITIALIZER, reply;
	mongoc_bulk_operation_t *bulk;
	bson_error_t error;
	int code = 0;

	bson_append_bool(&options, "ordered", -1, false);
	bulk = mongoc_collection_create_bulk_operation_with_opts(
	    handle->collection, &options);
	bson_destroy(&options);
	for (size_t i = 0; i < count && !code; i++)
		if (!add_update(bulk, selectors[i], updates[i], &error))
			code = mongodb_failure("MongoDB: update", &error, NULL,
			                       false, err);
	if (!code) {
		if (!mongoc_bulk_operation_execute(bulk, &reply, &error))
			code = mongodb_write_failure(
			    handle->db, "MongoDB: update", &error, &reply, err);
		else
			*matched = mongodb_get_int(&reply, "nMatched");
		bson_destroy(&reply);
	}
	mongoc_bulk_operation_destroy(bulk);
	return code;
}

int mongodb_update_each(struct mongodb_db *db, const char *collection,
                        const bson_t *const *selectors,
                        const bson_t *const *updates, size_t count,
                        int64_t *matched, struct error *err)
{
	struct mongodb_retry retry = mongodb_retry_begin();
	struct mongodb_handle handle = {0};
	bool uncertain = false;
	int64_t found = 0;
	int code;

	if (!count)
		return 0;
	if ((code = mongodb_handle_take(&handle, db, collection, err)))
		return code;
	do {
		code = try_update_each(&handle, selectors, updates, count,
		                       &found, err);
		uncertain = uncertain || code == ERR_UNCERTAIN;
	} while (uncertain &&
	         (code == ERR_UNCERTAIN || code == ERR_UNAVAILABLE) &&
	         mongodb_retry_pause(&retry));
	mongodb_handle_give(&handle);
	if (uncertain && code == ERR_UNAVAILABLE)
		return error_set(err, ERR_UNCERTAIN,
		                 "MongoDB: update: the answer was lost, and "
		                 "the server did not come back in time");
	if (!code && matched)
		*matched = found;
	return code;
}

int mongodb_update_many(struct mongodb_db *db, const char *collection,
                        const bson_t *selector, const bson_t *update,
                        int64_t *count, struct error *err)
{
	struct mongodb_handle handle = {0};
	bson_error_t error;
	bson_t reply;
	int code = mongodb_handle_take(&handle, db, collection, err);

	if (code)
		return code;
	if (!mongoc_collection_update_many(handle.collection, selector, update,
	                                   NULL, &reply, &error))
		code = mongodb_write_failure(db, "MongoDB: update", &error,
		                             &reply, err);
	else if (count)
		*count = mongodb_get_int(&reply, "matchedCount");
	bson_destroy(&reply);
	mongodb_handle_give(&handle);
	return code;
}

int mongodb_delete(struct mongodb_db *db, const char *collection,
                   const bson_t *selector, bool only_one, int64_t *count,
                   struct error *err)
{
	struct mongodb_handle handle = {0};
	bson_error_t error;
	bson_t reply;
	bool done;
	int code = mongodb_handle_take(&handle, db, collection, err);

	if (code)
		return code;
	done = only_one
	           ? mongoc_collection_delete_one(handle.collection, selector,
	                                          NULL, &reply, &error)
	           : mongoc_collection_delete_many(handle.collection, selector,
	                                           NULL, &reply, &error);
	if (!done)
		code = mongodb_write_failure(db, "MongoDB: delete", &error,
		                             &reply, err);
	else if (count)
		*count = mongodb_get_int(&reply, "deletedCount");
	bson_destroy(&reply);
	mongodb_handle_give(&handle);
	return code;
}

/* --- findAndModify ------------------------------------------------------ */

static mongoc_find_and_modify_opts_t *modify_options(const bson_t *sort,
                                                     const bson_t *update,
                                                     bool upsert)
{
	mongoc_find_and_modify_opts_t *options =
	    mongoc_find_and_modify_opts_new();
	int flags = MONGOC_FIND_AND_MODIFY_RETURN_NEW;

	if (upsert)
		flags |= MONGOC_FIND_AND_MODIFY_UPSERT;
	mongoc_find_and_modify_opts_set_flags(
	    options, (mongoc_find_and_modify_flags_t)flags);
	mongoc_find_and_modify_opts_set_update(options, update);
	if (sort)
		mongoc_find_and_modify_opts_set_sort(options, sort);
	return options;
}

/* The document of a reply; none when nothing matched. */
static int take_value(const bson_t *reply, bson_t **document, struct error *err)
{
	bson_t view;

	if (!mongodb_get_document(reply, "value", &view))
		return error_set(err, ERR_NOT_FOUND, "MongoDB: none matches");
	*document = bson_copy(&view);
	return 0;
}

int mongodb_find_and_modify(struct mongodb_db *db, const char *collection,
                            const bson_t *selector, const bson_t *sort,
                            const bson_t *update, bool upsert,
                            bson_t **document, struct error *err)
{
	struct mongodb_handle handle = {0};
	mongoc_find_and_modify_opts_t *options;
	bson_error_t error;
	bson_t reply;
	int code = mongodb_handle_take(&handle, db, collection, err);

	if (code)
		return code;
	options = modify_options(sort, update, upsert);
	if (!mongoc_collection_find_and_modify_with_opts(
	        handle.collection, selector, options, &reply, &error))
		code = mongodb_write_failure(db, "MongoDB: findAndModify",
		                             &error, &reply, err);
	else
		code = take_value(&reply, document, err);
	bson_destroy(&reply);
	mongoc_find_and_modify_opts_destroy(options);
	mongodb_handle_give(&handle);
	return code;
}
