/* Conditional changes of one document, of which it is known in the end whether
 * they were made. */
#include "store/mongodb/private.h"

/* One try: *matched tells whether the document was still as the selector
 * says. */
static int try_change(struct mongodb_db *db,
                      const struct mongodb_change *change, bool *matched,
                      struct error *err)
{
	int64_t count = 0;
	int code;

	if (change->update)
		return mongodb_update(db, change->collection, change->selector,
		                      change->update, false, false, matched,
		                      err);
	code = mongodb_delete(db, change->collection, change->selector, true,
	                      &count, err);
	*matched = count > 0;
	return code;
}

/* What became of a change of which an answer was lost and that a later try
 * found to be impossible. */
static int look(struct mongodb_db *db, const struct mongodb_change *change,
                bool *made, struct error *err)
{
	enum mongodb_made found = MONGODB_UNKNOWN;
	bson_t selector = BSON_INITIALIZER, *document = NULL;
	bson_iter_t id;
	int code;

	if (bson_iter_init_find(&id, change->selector, "_id"))
		(void)bson_append_iter(&selector, NULL, 0, &id);
	/* Index: _id. */
	code = mongodb_find_one(db, change->collection, &selector, NULL,
	                        &document, err);
	if (!code && change->update)
		found = change->made(document, change->context);
	else if (!code || (code == ERR_NOT_FOUND && !change->update))
		found = code ? MONGODB_MADE : MONGODB_NOT_MADE;
	bson_destroy(document);
	bson_destroy(&selector);
	if (found == MONGODB_UNKNOWN)
		return error_set(err, ERR_UNCERTAIN,
		                 "%s: the answer to a change was lost",
		                 change->collection);
	*made = found == MONGODB_MADE;
	return 0;
}

int mongodb_change(struct mongodb_db *db, const struct mongodb_change *change,
                   bool *made, struct error *err)
{
	struct mongodb_retry retry = mongodb_retry_begin();
	bool uncertain = false, matched = false;
	int code;

	do {
		code = try_change(db, change, &matched, err);
		uncertain = uncertain || code == ERR_UNCERTAIN;
	} while (uncertain && code && code != ERR_EXISTS &&
	         mongodb_retry_pause(&retry));
	if (code && code != ERR_EXISTS && uncertain) {
		if (err)
			err->code = ERR_UNCERTAIN;
		return ERR_UNCERTAIN;
	}
	if (code)
		return code;
	if (!matched && uncertain)
		return look(db, change, made, err);
	*made = matched;
	return 0;
}
