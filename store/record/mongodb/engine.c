/* Records in MongoDB: opening and closing, their indexes, the operations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/record/mongodb/private.h"

/* --- indexes ------------------------------------------------------------ */

bool record_mongodb_is_key(const struct record_kind *kind,
                           const struct record_index *index)
{
	return !index || strcmp(index->fields, kind->key) == 0;
}

void record_mongodb_index_name(const struct record_kind *kind,
                               const struct record_index *index,
                               char name[RECORD_MONGODB_INDEX_SIZE])
{
	if (record_mongodb_is_key(kind, index)) {
		(void)snprintf(name, RECORD_MONGODB_INDEX_SIZE, "_id_");
		return;
	}
	(void)snprintf(name, RECORD_MONGODB_INDEX_SIZE, "%s_%s", kind->name,
	               index->fields);
	for (char *comma = name; (comma = strchr(comma, ','));)
		*comma = '_';
}

const struct record_index *record_mongodb_index_by(
    const struct record_kind *kind, const char *time)
{
	size_t length = strlen(time);

	for (const struct record_index *index = kind->indexes;
	     index && index->fields; index++)
		if (!strncmp(index->fields, time, length) &&
		    (!index->fields[length] || index->fields[length] == ',') &&
		    (!index->only_if || strcmp(index->only_if, time) == 0))
			return index;
	return NULL;
}

/* "tenant:1,at:1,_id:1": the index's fields, and the key where there may be
 * several records with the same ones. */
static void write_keys(const struct record_kind *kind,
                       const struct record_index *index,
                       char keys[RECORD_MONGODB_INDEX_SIZE])
{
	const struct record_field *fields[RECORD_KEY_MAXIMUM];
	size_t count = record_fields(kind, index->fields, fields), at = 0;

	for (size_t i = 0; i < count && at < RECORD_MONGODB_INDEX_SIZE; i++)
		at += (size_t)snprintf(
		    keys + at, RECORD_MONGODB_INDEX_SIZE - at, "%s%s:1",
		    i ? "," : "", record_mongodb_name(kind, fields[i]));
	if (!index->unique && at < RECORD_MONGODB_INDEX_SIZE)
		(void)snprintf(keys + at, RECORD_MONGODB_INDEX_SIZE - at,
		               ",_id:1");
}

static int ensure_index(struct mongodb_db *db, const struct record_kind *kind,
                        const struct record_index *index, struct error *err)
{
	char name[RECORD_MONGODB_INDEX_SIZE], keys[RECORD_MONGODB_INDEX_SIZE];
	bson_t filter = BSON_INITIALIZER;
	struct mongodb_index made = {kind->name, name, keys, index->unique,
	                             NULL};
	char *partial = NULL;
	int error;

	record_mongodb_index_name(kind, index, name);
	write_keys(kind, index, keys);
	if (index->only_if) {
		(void)record_mongodb_append_only_if(&filter, kind, index);
		made.partial = partial =
		    bson_as_canonical_extended_json(&filter, NULL);
	}
	error = mongodb_ensure_indexes(db, &made, 1, err);
	bson_free(partial);
	bson_destroy(&filter);
	return error;
}

static int ensure_indexes(struct mongodb_db *db, const struct record_kind *kind,
                          struct error *err)
{
	int error = 0;

	for (const struct record_index *index = kind->indexes;
	     !error && index && index->fields; index++)
		if (!record_mongodb_is_key(kind, index))
			error = ensure_index(db, kind, index, err);
	return error;
}

/* --- opening and closing ------------------------------------------------ */

static const struct record_ops ops = {
    .add = record_mongodb_add,
    .read = record_mongodb_read,
    .update = record_mongodb_update,
    .remove = record_mongodb_remove,
    .list = record_mongodb_list,
    .purge = record_mongodb_purge,
    .put = record_mongodb_put,
    .claim = record_mongodb_claim,
};

int record_mongodb_open(struct record_store **store, struct mongodb_db *db,
                        const struct record_kind *const *kinds,
                        void (*changed)(void *context), void *context,
                        struct error *err)
{
	struct record_mongodb *mongo;
	int error = 0;

	for (size_t i = 0; !error && kinds[i]; i++)
		error = ensure_indexes(db, kinds[i], err);
	if (error)
		return error;
	mongo = calloc(1, sizeof(*mongo));
	if (!mongo)
		return error_set(err, ERR_MEMORY, "out of memory");
	*mongo = (struct record_mongodb){.store = {&ops, kinds},
	                                 .db = db,
	                                 .changed = changed,
	                                 .context = context};
	*store = &mongo->store;
	return 0;
}

void record_mongodb_close(struct record_store *store)
{
	free(store);
}
