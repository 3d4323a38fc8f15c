/* The version of a schema in MongoDB, and the steps that lead to the newest. */
#include "store/mongodb/private.h"

#define COLLECTION "schema"

/* The version stored; 0 for a database that has none yet. One that cannot be
 * read is never taken for none: what is there would be migrated anew. Index:
 * _id_. */
static int read_version(struct mongodb_db *db, const char *kind,
                        int64_t *version, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, *found;
	bson_iter_t iter;
	int code;

	mongodb_append_text(&selector, "_id", kind);
	code = mongodb_find_one(db, COLLECTION, &selector, NULL, &found, err);
	bson_destroy(&selector);
	*version = 0;
	if (code)
		return code == ERR_NOT_FOUND ? 0 : code;
	if (bson_iter_init_find(&iter, found, "version") &&
	    BSON_ITER_HOLDS_NUMBER(&iter))
		*version = bson_iter_as_int64(&iter);
	bson_destroy(found);
	if (*version < 1)
		return error_set(err, ERR_CORRUPT,
		                 "MongoDB: the schema's document of the %s "
		                 "has no version",
		                 kind);
	return 0;
}

/* Raises the version, which another process may have done. Index: _id_. */
static int write_version(struct mongodb_db *db, const char *kind,
                         int64_t version, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, max;
	int code;

	mongodb_append_text(&selector, "_id", kind);
	bson_append_document_begin(&update, "$max", -1, &max);
	bson_append_int64(&max, "version", -1, version);
	bson_append_document_end(&update, &max);
	code = mongodb_update(db, COLLECTION, &selector, &update, true, true,
	                      NULL, err);
	bson_destroy(&selector);
	bson_destroy(&update);
	return code;
}

/* The version is read again after each step: when another process went ahead,
 * its steps need not be made here. */
int mongodb_migrate(struct mongodb_db *db, const char *kind,
                    int (*const *steps)(struct mongodb_db *db,
                                        struct error *err),
                    size_t count, struct error *err)
{
	for (;;) {
		int64_t version;
		int code = read_version(db, kind, &version, err);

		if (code)
			return code;
		if (version > (int64_t)count)
			return error_set(err, ERR_VERSION,
			                 "MongoDB: the %s was written by a "
			                 "newer version of this program: "
			                 "schema version %lld, this one knows "
			                 "%zu",
			                 kind, (long long)version, count);
		if (version == (int64_t)count)
			return 0;
		if (steps[version])
			code = steps[version](db, err);
		if (!code)
			code = write_version(db, kind, version + 1, err);
		if (code)
			return code;
	}
}

int mongodb_need_own(struct mongodb_db *db, const char *kind, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, other, *found = NULL;
	int code;

	bson_append_document_begin(&selector, "_id", -1, &other);
	mongodb_append_text(&other, "$ne", kind);
	bson_append_document_end(&selector, &other);
	/* Index: _id_. */
	code = mongodb_find_one(db, COLLECTION, &selector, NULL, &found, err);
	bson_destroy(&selector);
	bson_destroy(found);
	if (code)
		return code == ERR_NOT_FOUND ? 0 : code;
	return error_set(err, ERR_INVALID,
	                 "MongoDB: the database %s holds another store: each "
	                 "needs one of its own",
	                 mongodb_db_name(db));
}
