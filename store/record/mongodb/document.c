/* Records as documents in MongoDB, and back, by the table of their kind. */
#include "store/record/mongodb/private.h"

#include <string.h>

/* --- writing ------------------------------------------------------------ */

const char *record_mongodb_name(const struct record_kind *kind,
                                const struct record_field *field)
{
	return strcmp(kind->key, field->name) == 0 ? "_id" : field->name;
}

bool record_mongodb_append(bson_t *document, const char *name,
                           const struct record_field *field, const void *record)
{
	int64_t number;

	switch (field->type) {
	case RECORD_TEXT:
	case RECORD_WORD:
		return mongodb_append_text(document, name,
		                           record_text(record, field));
	case RECORD_ID:
		return mongodb_append_id(document, name,
		                         record_value(record, field));
	case RECORD_HASH:
		return mongodb_append_bytes(document, name,
		                            record_bytes(record, field),
		                            record_bytes_size(field));
	default:
		break;
	}
	number = record_number(record, field);
	if (field->type == RECORD_TIME)
		return mongodb_append_time(document, name, number);
	if (field->type == RECORD_BOOL)
		return BSON_APPEND_BOOL(document, name, number != 0);
	return BSON_APPEND_INT64(document, name, number);
}

bool record_mongodb_append_id(bson_t *document, const char *name,
                              const struct record_kind *kind,
                              const void *record, size_t count, int filler)
{
	const struct record_field *fields[RECORD_KEY_MAXIMUM];
	uint8_t bytes[RECORD_KEY_MAXIMUM * CRYPTO_HASH_SIZE];
	size_t total = record_fields(kind, kind->key, fields), size = 0;

	if (total == 1)
		return record_mongodb_append(document, name, fields[0], record);
	for (size_t i = 0; i < total; i++) {
		size_t more = record_bytes_size(fields[i]);

		if (i < count)
			memcpy(bytes + size, record_bytes(record, fields[i]),
			       more);
		else
			memset(bytes + size, filler, more);
		size += more;
	}
	return mongodb_append_bytes(document, name, bytes, size);
}

bool record_mongodb_append_key(bson_t *document, const struct record_kind *kind,
                               const void *record)
{
	return record_mongodb_append_id(document, "_id", kind, record,
	                                RECORD_KEY_MAXIMUM, 0);
}

bool record_mongodb_append_version(bson_t *selector,
                                   const struct record_field *version,
                                   const void *record)
{
	bson_t condition, either;

	if (record_number(record, version) != 1)
		return record_mongodb_append(selector, version->name, version,
		                             record);
	/* A null is equal to what is not there. */
	return BSON_APPEND_DOCUMENT_BEGIN(selector, version->name,
	                                  &condition) &&
	       BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &either) &&
	       BSON_APPEND_INT64(&either, "0", 1) &&
	       BSON_APPEND_NULL(&either, "1") &&
	       bson_append_array_end(&condition, &either) &&
	       bson_append_document_end(selector, &condition);
}

bool record_mongodb_append_only_if(bson_t *selector,
                                   const struct record_kind *kind,
                                   const struct record_index *index)
{
	const struct record_field *field;
	bson_t condition;

	if (!index || !index->only_if)
		return true;
	field = record_field(kind, index->only_if);
	if (bson_has_field(selector, field->name))
		return true;
	return BSON_APPEND_DOCUMENT_BEGIN(selector, field->name, &condition) &&
	       (field->type == RECORD_TIME
	            ? mongodb_append_time(&condition, "$gt", 0)
	            : BSON_APPEND_INT64(&condition, "$gt", 0)) &&
	       bson_append_document_end(selector, &condition);
}

bool record_mongodb_append_fields(bson_t *document,
                                  const struct record_kind *kind,
                                  const void *record)
{
	bool room = true;

	for (const struct record_field *field = kind->fields;
	     room && field->name; field++) {
		const char *name = record_mongodb_name(kind, field);

		if (strcmp(name, "_id") != 0)
			room = record_mongodb_append(document, name, field,
			                             record);
	}
	return room;
}

/* --- reading ------------------------------------------------------------ */

/* A text, a word, an id or a hash, which may be absent: a field that came
 * later. */
static int read_bytes(const struct record_field *field, const bson_t *document,
                      const char *name, void *record, struct error *err)
{
	size_t size = 0;
	const void *bytes = mongodb_get_bytes(document, name, &size);

	if (field->type == RECORD_TEXT)
		return record_set_text(record, field, bytes ? bytes : "", size,
		                       err);
	if (!bytes && !(field->flags & RECORD_REQUIRED))
		return 0;
	if (field->type == RECORD_WORD)
		return record_set_text(record, field, bytes ? bytes : "", size,
		                       err);
	return record_set_bytes(record, field, bytes, size, err);
}

int record_mongodb_read_document(const struct record_kind *kind,
                                 const bson_t *document, void *record,
                                 struct error *err)
{
	const struct record_field *version = record_field(kind, "version"),
	                          *changed = record_field(kind, "changed"),
	                          *created = record_field(kind, "created");

	for (const struct record_field *field = kind->fields; field->name;
	     field++) {
		const char *name = record_mongodb_name(kind, field);
		int error = 0;

		if (field->type == RECORD_INT || field->type == RECORD_TIME)
			record_set_number(record, field,
			                  mongodb_get_int(document, name));
		else if (field->type == RECORD_BOOL)
			record_set_number(record, field,
			                  mongodb_get_bool(document, name));
		else
			error = read_bytes(field, document, name, record, err);
		if (error)
			return error;
	}
	if (version && !record_number(record, version))
		record_set_number(record, version, 1);
	if (changed && created && !record_number(record, changed))
		record_set_number(record, changed,
		                  record_number(record, created));
	return 0;
}
