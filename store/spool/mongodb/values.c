/* The named values of an agent in MongoDB's spool. */
#include "common/array.h"
#include "store/spool/mongodb/private.h"

/* Appends {_id: {owner, name}}: the values are those of this agent. */
static void append_key(bson_t *selector, const struct spool_mongodb *spool,
                       const char *name)
{
	bson_t key;

	BSON_APPEND_DOCUMENT_BEGIN(selector, "_id", &key);
	(void)mongodb_append_text(&key, "owner", spool->owner);
	(void)mongodb_append_text(&key, "name", name);
	bson_append_document_end(selector, &key);
}

int spool_mongodb_set(struct spool_mongodb *spool, const char *name,
                      const char *value, struct error *err)
{
	bson_t *selector = bson_new();
	bson_t *update = bson_new();
	bson_t set;
	int result;

	append_key(selector, spool, name);
	BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	(void)mongodb_append_text(&set, "owner", spool->owner);
	(void)mongodb_append_text(&set, "name", name);
	(void)mongodb_append_text(&set, "value", value);
	bson_append_document_end(update, &set);
	/* Index: _id. */
	result = mongodb_update(spool->db, SPOOL_MONGODB_VALUES, selector,
	                        update, true, true, NULL, err);
	bson_destroy(update);
	bson_destroy(selector);
	return result;
}

int spool_mongodb_get(struct spool *base, const char *name, char **value,
                      struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	bson_t *selector = bson_new();
	bson_t *found = NULL;
	char *copy = NULL;
	int result;

	append_key(selector, spool, name);
	/* Index: _id. */
	result = mongodb_find_one(spool->db, SPOOL_MONGODB_VALUES, selector,
	                          NULL, &found, err);
	if (result == ERR_NOT_FOUND)
		result = error_set(err, ERR_NOT_FOUND, "no value \"%s\"", name);
	else if (!result && mongodb_get_text(found, "value", &copy))
		result = error_set(err, ERR_MEMORY, "out of memory");
	bson_destroy(found);
	bson_destroy(selector);
	if (!result)
		*value = copy;
	return result;
}

/* --- all of them ------------------------------------------------------- */

struct value {
	char *name, *value;
};

struct values {
	struct value *values;
	size_t count, capacity;
};

static int see(const bson_t *document, void *context, struct error *err)
{
	struct values *values = context;
	struct value *value;

	if (array_grow((void **)&values->values, values->count,
	               &values->capacity, sizeof(*value), err))
		return ERR_MEMORY;
	value = &values->values[values->count++];
	if (mongodb_get_text(document, "name", &value->name) ||
	    mongodb_get_text(document, "value", &value->value))
		return error_set(err, ERR_MEMORY, "out of memory");
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct value *)a)->name,
	              ((const struct value *)b)->name);
}

int spool_mongodb_values_each(struct spool *base,
                              void (*each)(const char *, const char *, void *),
                              void *context, struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	struct values values = {.count = 0};
	bson_t *selector = bson_new();
	/* Index: owner_name. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_VALUES,
	                            .selector = selector};
	int result;

	(void)mongodb_append_text(selector, "owner", spool->owner);
	result = mongodb_find_each(spool->db, &find, see, &values, err);
	/* Bytewise, whatever kind of text the names are. */
	if (!result && values.count)
		qsort(values.values, values.count, sizeof(*values.values),
		      by_name);
	for (size_t i = 0; i < values.count; i++) {
		if (!result)
			each(values.values[i].name, values.values[i].value,
			     context);
		free(values.values[i].name);
		free(values.values[i].value);
	}
	free(values.values);
	bson_destroy(selector);
	return result;
}
