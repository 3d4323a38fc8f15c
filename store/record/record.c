/* The operations of all kinds: they check their input and call the backend. */
#include <stdlib.h>
#include <string.h>

#include "store/record/check.h"

/* The index of this name, NULL for the key. ERR_INVALID. */
static int find_index(const struct record_kind *kind, const char *fields,
                      const struct record_index **index, struct error *err)
{
	*index = NULL;
	if (!fields)
		return 0;
	for (*index = kind->indexes; (*index)->fields; (*index)++)
		if (!strcmp((*index)->fields, fields))
			return 0;
	return error_set(err, ERR_INVALID, "index: %s has none over %s",
	                 kind->name, fields);
}

static int check_limit(size_t limit, struct error *err)
{
	if (limit < 1 || limit > RECORD_LIMIT_MAXIMUM)
		return error_set(err, ERR_INVALID, "limit: not in 1..%d",
		                 RECORD_LIMIT_MAXIMUM);
	return 0;
}

/* Sets a number where the kind has the field. */
static void set(const struct record_kind *kind, void *record, const char *name,
                int64_t number)
{
	const struct record_field *field = record_field(kind, name);

	if (field)
		record_set_number(record, field, number);
}

int record_add(struct record_store *store, const struct record_kind *kind,
               void *record, struct error *err)
{
	const struct record_field *created = record_field(kind, "created");
	int error = record_check(kind, record, err);

	if (error)
		return error;
	set(kind, record, "version", 1);
	if (created)
		set(kind, record, "changed", record_number(record, created));
	return store->ops->add(store, kind, record, err);
}

/*
 * 0 when a record may be there that has the fields as in like; ERR_INVALID for
 * a required one that is missing, ERR_NOT_FOUND for a text that no record has.
 */
static int check_sought(const struct record_kind *kind,
                        const struct record_field *const fields[], size_t count,
                        const void *like, struct error *err)
{
	int error = 0;

	for (size_t i = 0; !error && i < count; i++) {
		error = record_check_required(like, fields[i], err);
		if (!error && fields[i]->type == RECORD_TEXT &&
		    !record_is_utf8(record_text(like, fields[i])))
			error = error_set(err, ERR_NOT_FOUND, "no such %s",
			                  kind->name);
	}
	return error;
}

int record_read(struct record_store *store, const struct record_kind *kind,
                const char *index, const void *like, void *record,
                struct error *err)
{
	const struct record_field *fields[2 * RECORD_KEY_MAXIMUM];
	const struct record_index *found;
	void *read;
	int error = find_index(kind, index, &found, err);

	if (error)
		return error;
	if (found && !found->unique)
		return error_set(err, ERR_INVALID, "index: %s is not unique",
		                 index);
	error = check_sought(
	    kind, fields, record_order_fields(kind, found, fields), like, err);
	if (error)
		return error;
	read = calloc(1, kind->size);
	if (!read)
		return error_set(err, ERR_MEMORY, "out of memory");
	error = store->ops->read(store, kind, found, like, read, err);
	if (error)
		record_release(kind, read);
	else
		memcpy(record, read, kind->size);
	explicit_bzero(read, kind->size);
	free(read);
	return error;
}

int record_update(struct record_store *store, const struct record_kind *kind,
                  void *record, int64_t now_ms, struct error *err)
{
	const struct record_field *version = record_field(kind, "version");
	int error;

	if (!version)
		return error_set(err, ERR_INVALID, "kind: %s are never changed",
		                 kind->label);
	if ((error = record_check(kind, record, err)) ||
	    (error = store->ops->update(store, kind, record, now_ms, err)))
		return error;
	record_set_number(record, version, record_number(record, version) + 1);
	set(kind, record, "changed", now_ms);
	return 0;
}

int record_delete(struct record_store *store, const struct record_kind *kind,
                  const void *record, struct error *err)
{
	const struct record_field *key[RECORD_KEY_MAXIMUM];
	const struct record_field *guard = record_field(kind, "version");
	size_t count = record_fields(kind, kind->key, key);
	int error = check_sought(kind, key, count, record, err);

	if (error)
		return error;
	if (!guard && kind->purge_by)
		guard = record_field(kind, kind->purge_by);
	if (guard && !record_number(record, guard))
		guard = NULL;
	return store->ops->remove(store, kind, record, guard, err);
}

int record_list(struct record_store *store, const struct record_kind *kind,
                const struct record_query *query, struct record_page *page,
                struct error *err)
{
	const struct record_field *fields[RECORD_KEY_MAXIMUM];
	const struct record_index *index;
	struct record_page found = {0};
	int error;

	if ((error = check_limit(query->limit, err)) ||
	    (error = find_index(kind, query->index, &index, err)))
		return error;
	if (query->equal >
	    record_fields(kind, query->index ? query->index : kind->key,
	                  fields))
		return error_set(err, ERR_INVALID, "equal: too many fields");
	error = store->ops->list(store, kind, index, query, &found, err);
	if (error)
		record_page_release(kind, &found);
	else
		*page = found;
	return error;
}

int record_each(struct record_store *store, const struct record_kind *kind,
                const struct record_query *query,
                int (*each)(const void *record, void *context,
                            struct error *err),
                void *context, struct error *err)
{
	struct record_query next = *query;
	struct record_page page = {0};
	bool more = true;
	int result = 0;

	while (!result && more) {
		struct record_page found;

		result = record_list(store, kind, &next, &found, err);
		if (result)
			break;
		record_page_release(kind, &page);
		page = found;
		for (size_t i = 0; !result && i < page.count; i++)
			result = each(record_at(kind, &page, i), context, err);
		more = page.more && page.count > 0;
		if (more)
			next.after = record_at(kind, &page, page.count - 1);
	}
	record_page_release(kind, &page);
	return result;
}

int record_purge(struct record_store *store, const struct record_kind *kind,
                 int64_t before_ms, size_t limit, size_t *deleted,
                 struct error *err)
{
	int error = check_limit(limit, err);

	if (error)
		return error;
	if (!kind->purge_by)
		return error_set(err, ERR_INVALID, "kind: %s are kept",
		                 kind->label);
	return store->ops->purge(store, kind, before_ms, limit, deleted, err);
}

int record_put(struct record_store *store, const struct record_kind *kind,
               const void *records, size_t count, bool replace, int *results,
               struct error *err)
{
	int error = count ? check_limit(count, err) : 0;

	for (size_t i = 0; !error && i < count; i++)
		error = record_check(
		    kind, (const char *)records + i * kind->size, err);
	if (error || !count)
		return error;
	return store->ops->put(store, kind, records, count, replace, results,
	                       err);
}

int record_claim(struct record_store *store, const struct record_kind *kind,
                 const char *owner, int64_t now_ms, int64_t lease_ms,
                 size_t limit, struct record_page *page, struct error *err)
{
	struct record_page claimed = {0};
	int error = check_limit(limit, err);

	if (error)
		return error;
	if (!record_field(kind, "due"))
		return error_set(err, ERR_INVALID,
		                 "kind: %s are not worked off", kind->label);
	if (!owner || !*owner)
		return error_set(err, ERR_INVALID, "owner: missing");
	error = store->ops->claim(store, kind, owner, now_ms, lease_ms, limit,
	                          &claimed, err);
	if (error)
		record_page_release(kind, &claimed);
	else
		*page = claimed;
	return error;
}

static int order_field(const struct record_field *field, const void *a,
                       const void *b)
{
	int64_t left = record_number(a, field);
	int64_t right = record_number(b, field);

	switch (field->type) {
	case RECORD_ID:
	case RECORD_HASH:
		return memcmp(record_bytes(a, field), record_bytes(b, field),
		              record_bytes_size(field));
	case RECORD_TEXT:
	case RECORD_WORD:
		return strcmp(record_text(a, field), record_text(b, field));
	default:
		return (left > right) - (left < right);
	}
}

int record_order(const struct record_kind *kind, const void *a, const void *b)
{
	const struct record_field *key[RECORD_KEY_MAXIMUM];
	size_t count = record_fields(kind, kind->key, key);
	int order = 0;

	for (size_t i = 0; !order && i < count; i++)
		order = order_field(key[i], a, b);
	return order;
}
