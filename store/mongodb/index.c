/* Indexes: made where they are missing, checked where they are there. */
#include "store/mongodb/private.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAXIMUM     128
#define INDEX_NOT_FOUND 27 /* of the server */

/* Reads "a:1,b.c:-1,d:hashed" into a document; false for anything else. */
static bool read_keys(const char *text, bson_t *keys)
{
	while (*text) {
		const char *colon = strchr(text, ':');
		size_t length = colon ? (size_t)(colon - text) : 0;
		size_t rest;
		char key[KEY_MAXIMUM];

		if (!length || length >= sizeof(key))
			return false;
		memcpy(key, text, length);
		key[length] = '\0';
		text = colon + 1;
		rest = strcspn(text, ",");
		if (rest == 6 && !strncmp(text, "hashed", 6))
			bson_append_utf8(keys, key, -1, "hashed", -1);
		else
			bson_append_int32(keys, key, -1,
			                  (int32_t)strtol(text, NULL, 10));
		text += rest;
		text += *text == ',';
	}
	return true;
}

static bool same_value(const bson_iter_t *a, const bson_iter_t *b)
{
	if (BSON_ITER_HOLDS_UTF8(a) && BSON_ITER_HOLDS_UTF8(b))
		return !strcmp(bson_iter_utf8(a, NULL),
		               bson_iter_utf8(b, NULL));
	return BSON_ITER_HOLDS_NUMBER(a) && BSON_ITER_HOLDS_NUMBER(b) &&
	       bson_iter_as_int64(a) == bson_iter_as_int64(b);
}

/* Numbers of any kind are the same: servers keep what a client sent. */
static bool same_keys(const bson_t *a, const bson_t *b)
{
	bson_iter_t i, j;

	if (!bson_iter_init(&i, a) || !bson_iter_init(&j, b))
		return false;
	while (bson_iter_next(&i)) {
		if (!bson_iter_next(&j) ||
		    strcmp(bson_iter_key(&i), bson_iter_key(&j)) != 0 ||
		    !same_value(&i, &j))
			return false;
	}
	return !bson_iter_next(&j);
}

/* --- making ------------------------------------------------------------- */

/* In the background: versions before 4.2 would stop everybody meanwhile. */
static int append_index(const struct mongodb_index *index, const bson_t *keys,
                        bson_t *to, struct error *err)
{
	bson_error_t error;
	bson_t *partial;

	bson_append_document(to, "key", -1, keys);
	bson_append_utf8(to, "name", -1, index->name, -1);
	bson_append_bool(to, "background", -1, true);
	if (index->unique)
		bson_append_bool(to, "unique", -1, true);
	if (!index->partial)
		return 0;
	partial =
	    bson_new_from_json((const uint8_t *)index->partial, -1, &error);
	if (!partial)
		return error_set(err, ERR_INVALID, "%s: bad partial filter",
		                 index->name);
	bson_append_document(to, "partialFilterExpression", -1, partial);
	bson_destroy(partial);
	return 0;
}

static int make_index(struct mongodb_handle *handle,
                      const struct mongodb_index *index, const bson_t *keys,
                      struct error *err)
{
	bson_t command = BSON_INITIALIZER, list, one, reply;
	bson_error_t error;
	int code;

	bson_append_utf8(&command, "createIndexes", -1, index->collection, -1);
	bson_append_array_begin(&command, "indexes", -1, &list);
	bson_append_document_begin(&list, "0", -1, &one);
	code = append_index(index, keys, &one, err);
	bson_append_document_end(&list, &one);
	bson_append_array_end(&command, &list);
	if (!code) {
		if (!mongoc_collection_write_command_with_opts(
		        handle->collection, &command, NULL, &reply, &error))
			code = mongodb_failure(index->name, &error, &reply,
			                       true, err);
		bson_destroy(&reply);
	}
	bson_destroy(&command);
	return code;
}

/* --- checking ----------------------------------------------------------- */

static int check_index(const struct mongodb_index *index, const bson_t *keys,
                       const bson_t *there, struct error *err)
{
	bson_t view;

	if (!mongodb_get_document(there, "key", &view) ||
	    !same_keys(keys, &view))
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the index %s of %s is there with "
		                 "other keys",
		                 index->name, index->collection);
	if (mongodb_get_bool(there, "unique") != index->unique)
		return error_set(err, ERR_INVALID,
		                 "MongoDB: the index %s of %s is there, but "
		                 "is %sunique",
		                 index->name, index->collection,
		                 index->unique ? "not " : "");
	return 0;
}

/* Looks for the index by its name: whether it is there and right. */
static int look_for(struct mongodb_handle *handle,
                    const struct mongodb_index *index, const bson_t *keys,
                    bool *found, struct error *err)
{
	mongoc_cursor_t *cursor =
	    mongoc_collection_find_indexes_with_opts(handle->collection, NULL);
	const bson_t *there;
	bson_error_t error;
	int code = 0;

	while (!code && !*found && mongoc_cursor_next(cursor, &there)) {
		size_t size;
		const char *name = mongodb_get_bytes(there, "name", &size);

		if (!name || strcmp(name, index->name) != 0)
			continue;
		*found = true;
		code = check_index(index, keys, there, err);
	}
	if (!code && mongoc_cursor_error(cursor, &error) &&
	    error.code != MONGOC_ERROR_COLLECTION_DOES_NOT_EXIST)
		code = mongodb_failure("MongoDB: indexes", &error, NULL, false,
		                       err);
	mongoc_cursor_destroy(cursor);
	return code;
}

/* --- making and dropping ------------------------------------------------ */

/* Another process may have dropped it meanwhile. */
static int drop(struct mongodb_handle *handle, const char *name,
                struct error *err)
{
	bson_error_t error;

	if (mongoc_collection_drop_index_with_opts(handle->collection, name,
	                                           NULL, &error) ||
	    error.code == INDEX_NOT_FOUND)
		return 0;
	return mongodb_failure(name, &error, NULL, true, err);
}

/* Looks for an index by its name. One that is absent is made; where drops, one
 * that is there with other keys is dropped instead. */
static int settle(struct mongodb_db *db, const struct mongodb_index *index,
                  bool drops, struct error *err)
{
	struct mongodb_handle handle = {0};
	bson_t keys = BSON_INITIALIZER;
	bool found = false;
	int code;

	if (!read_keys(index->keys, &keys))
		code = error_set(err, ERR_INVALID, "%s: bad keys", index->name);
	else
		code = mongodb_handle_take(&handle, db, index->collection, err);
	if (!code)
		code = look_for(&handle, index, &keys, &found, err);
	if (!code && !found && !drops)
		code = make_index(&handle, index, &keys, err);
	else if (code == ERR_INVALID && found && drops)
		code = drop(&handle, index->name, err);
	mongodb_handle_give(&handle);
	bson_destroy(&keys);
	return code;
}

int mongodb_ensure_indexes(struct mongodb_db *db,
                           const struct mongodb_index *indexes, size_t count,
                           struct error *err)
{
	int code = 0;

	for (size_t i = 0; i < count && !code; i++)
		code = settle(db, &indexes[i], false, err);
	return code;
}

int mongodb_drop_outdated_index(struct mongodb_db *db,
                                const struct mongodb_index *index,
                                struct error *err)
{
	return settle(db, index, true, err);
}
