/* Inserting documents, once each, whatever becomes of the answers. */
#include "store/mongodb/private.h"

#include <string.h>

/* Whether a document with this _id is there: 0, ERR_NOT_FOUND, or an error. A
 * majority's word is what counts; without it, the primary's. */
static int look_up(struct mongodb_handle *handle, const bson_t *document,
                   bool majority, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, options = BSON_INITIALIZER;
	bson_t concern;
	const bson_t *found;
	bson_error_t error;
	mongoc_cursor_t *cursor;
	bson_iter_t id;
	int code = 0;

	if (bson_iter_init_find(&id, document, "_id"))
		bson_append_iter(&selector, "_id", -1, &id);
	bson_append_int64(&options, "limit", -1, 1);
	if (!majority && handle->db->replicated) {
		bson_append_document_begin(&options, "readConcern", -1,
		                           &concern);
		bson_append_utf8(&concern, "level", -1, "local", -1);
		bson_append_document_end(&options, &concern);
	}
	cursor = mongoc_collection_find_with_opts(handle->collection, &selector,
	                                          &options, NULL);
	if (!mongoc_cursor_next(cursor, &found)) {
		if (mongoc_cursor_error(cursor, &error))
			code = mongodb_failure("MongoDB: find", &error, NULL,
			                       false, err);
		else
			code = ERR_NOT_FOUND;
	}
	mongoc_cursor_destroy(cursor);
	bson_destroy(&selector);
	bson_destroy(&options);
	return code;
}

static int try_insert(struct mongodb_handle *handle, const bson_t *document,
                      struct error *err)
{
	bson_error_t error;
	bson_t reply;
	int code = 0;

	if (!mongoc_collection_insert_one(handle->collection, document, NULL,
	                                  &reply, &error))
		code = mongodb_write_failure(handle->db, "MongoDB: insert",
		                             &error, &reply, err);
	bson_destroy(&reply);
	return code;
}

/*
 * After a lost answer a taken _id is our own insertion, as soon as a majority
 * has it; another's document in the way is one whose _id is not ours.
 */
static int settle_taken(struct mongodb_handle *handle, const bson_t *document,
                        struct error *err)
{
	int code = look_up(handle, document, true, err);

	if (code == ERR_NOT_FOUND)
		code = look_up(handle, document, false, err) ? code
		                                             : ERR_UNCERTAIN;
	if (code == ERR_NOT_FOUND)
		return error_set(err, ERR_EXISTS,
		                 "MongoDB: insert: a unique key is taken");
	if (code)
		return error_set(err, ERR_UNCERTAIN,
		                 "MongoDB: insert: not known to be done");
	return 0;
}

/* Inserts until it is known whether it is done; uncertain tells that an
 * earlier try of the caller's may have done it. */
static int insert_surely(struct mongodb_handle *handle, const bson_t *document,
                         bool uncertain, struct mongodb_retry *retry,
                         struct error *err)
{
	int code = ERR_UNCERTAIN;

	if (!uncertain &&
	    (code = try_insert(handle, document, err)) != ERR_UNCERTAIN)
		return code;
	while (mongodb_retry_pause(retry)) {
		code = try_insert(handle, document, err);
		if (code == ERR_EXISTS)
			code = settle_taken(handle, document, err);
		if (code != ERR_UNCERTAIN && code != ERR_UNAVAILABLE)
			return code;
	}
	return error_set(err, ERR_UNCERTAIN,
	                 "MongoDB: insert: the answer was lost, and the "
	                 "server did not come back in time");
}

int mongodb_insert(struct mongodb_db *db, const char *collection,
                   const bson_t *document, struct error *err)
{
	struct mongodb_retry retry = mongodb_retry_begin();
	struct mongodb_handle handle = {0};
	int code;

	if ((int64_t)document->len > db->document_maximum)
		return error_set(err, ERR_LIMIT,
		                 "MongoDB: insert: the document is too large");
	if ((code = mongodb_handle_take(&handle, db, collection, err)))
		return code;
	code = insert_surely(&handle, document, false, &retry, err);
	mongodb_handle_give(&handle);
	return code;
}

/* --- several ------------------------------------------------------------ */

/* Results that are not known yet. */
#define OPEN 1

struct many {
	struct mongodb_handle handle;
	const bson_t *const *documents;
	size_t count;
	bool ordered;
	int *results;
	struct mongodb_retry retry;
};

static bool too_large(const struct many *many, size_t i)
{
	return (int64_t)many->documents[i]->len >
	       many->handle.db->document_maximum;
}

/* Marks what is sent; with ordered nothing is after one that is too large. */
static size_t choose(struct many *many)
{
	size_t sent = 0;
	bool ended = false;

	for (size_t i = 0; i < many->count; i++) {
		bool large = !ended && too_large(many, i);

		many->results[i] = ended   ? ERR_CONFLICT
		                   : large ? ERR_LIMIT
		                           : OPEN;
		ended = ended || (large && many->ordered);
		sent += many->results[i] == OPEN;
	}
	return sent;
}

/* The place in results of the index-th document sent. */
static size_t place_of(const struct many *many, int64_t index)
{
	for (size_t i = 0; i < many->count; i++) {
		if (!too_large(many, i) && index-- == 0)
			return i;
	}
	return many->count;
}

/* Takes over what the reply says of single documents. */
static void read_errors(struct many *many, const bson_t *reply)
{
	bson_t errors;
	bson_iter_t iter;

	if (!mongodb_get_document(reply, "writeErrors", &errors) ||
	    !bson_iter_init(&iter, &errors))
		return;
	while (bson_iter_next(&iter)) {
		const char *message;
		const uint8_t *data;
		uint32_t size;
		bson_t one;
		size_t place, length;

		if (!BSON_ITER_HOLDS_DOCUMENT(&iter))
			continue;
		bson_iter_document(&iter, &size, &data);
		if (!bson_init_static(&one, data, size))
			continue;
		place = place_of(many, mongodb_get_int(&one, "index"));
		message = mongodb_get_bytes(&one, "errmsg", &length);
		if (place < many->count)
			many->results[place] =
			    mongodb_server_code(mongodb_get_int(&one, "code"),
			                        message ? message : "", true);
	}
}

/* The first failure of an ordered write ends it. */
static void end_ordered(struct many *many)
{
	bool ended = false;

	for (size_t i = 0; many->ordered && i < many->count; i++) {
		if (ended)
			many->results[i] = ERR_CONFLICT;
		else if (many->results[i] < 0)
			ended = true;
	}
}

static void set_open(struct many *many, int result)
{
	for (size_t i = 0; i < many->count; i++) {
		if (many->results[i] == OPEN)
			many->results[i] = result;
	}
}

/*
 * One bulk write: 0 when all results are known, ERR_UNCERTAIN when some are
 * open, or what kept it from being done.
 */
static int send_all(struct many *many, struct error *err)
{
	bson_t options = BSON_INITIALIZER, each = BSON_INITIALIZER, reply;
	mongoc_bulk_operation_t *bulk;
	bson_error_t error;
	int code = 0;

	bson_append_bool(&options, "ordered", -1, many->ordered);
	/* Texts were looked at when they were appended: not once more. */
	bson_append_bool(&each, "validate", -1, false);
	bulk = mongoc_collection_create_bulk_operation_with_opts(
	    many->handle.collection, &options);
	bson_destroy(&options);
	for (size_t i = 0; i < many->count && !code; i++) {
		if (many->results[i] == OPEN &&
		    !mongoc_bulk_operation_insert_with_opts(
		        bulk, many->documents[i], &each, &error))
			code = mongodb_failure("MongoDB: insert", &error, NULL,
			                       false, err);
	}
	bson_destroy(&each);
	if (code) {
		mongoc_bulk_operation_destroy(bulk);
		return code;
	}
	if (!mongoc_bulk_operation_execute(bulk, &reply, &error)) {
		code = mongodb_write_failure(many->handle.db, "MongoDB: insert",
		                             &error, &reply, err);
		read_errors(many, &reply);
	}
	bson_destroy(&reply);
	mongoc_bulk_operation_destroy(bulk);
	return code;
}

/* What is still open after a lost answer, one by one; with ordered it ends at
 * the first failure. */
static int settle_open(struct many *many, struct error *err)
{
	bool ended = false;

	for (size_t i = 0; i < many->count; i++) {
		int *result = &many->results[i];

		if (ended && many->ordered)
			*result = ERR_CONFLICT;
		else if (*result == OPEN || *result == ERR_UNCERTAIN ||
		         *result == ERR_UNAVAILABLE)
			*result =
			    insert_surely(&many->handle, many->documents[i],
			                  true, &many->retry, err);
		if (*result == ERR_UNCERTAIN)
			return ERR_UNCERTAIN;
		ended = ended || *result < 0;
	}
	return 0;
}

/* Whether every failure is one that a result may have. */
static int judge(const struct many *many, int code)
{
	for (size_t i = 0; i < many->count; i++) {
		int result = many->results[i];

		if (result && result != ERR_EXISTS && result != ERR_LIMIT &&
		    result != ERR_CONFLICT)
			return code ? code : result;
	}
	return 0;
}

static int insert_all(struct many *many, struct error *err)
{
	int code;

	if (!choose(many))
		return 0;
	code = send_all(many, err);
	if (code == ERR_UNCERTAIN) {
		if ((code = settle_open(many, err)))
			return code;
	} else if (code == ERR_UNAVAILABLE || code == ERR_DENIED ||
	           code == ERR_INVALID || code == ERR_FULL) {
		return code;
	}
	end_ordered(many);
	set_open(many, 0);
	return judge(many, code);
}

int mongodb_insert_many(struct mongodb_db *db, const char *collection,
                        const bson_t *const *documents, size_t count,
                        bool ordered, int *results, struct error *err)
{
	struct many many = {.documents = documents,
	                    .count = count,
	                    .ordered = ordered,
	                    .results = results,
	                    .retry = mongodb_retry_begin()};
	int code;

	if (!count)
		return 0;
	if ((code = mongodb_handle_take(&many.handle, db, collection, err)))
		return code;
	code = insert_all(&many, err);
	mongodb_handle_give(&many.handle);
	return code;
}
