/* Our values in BSON documents, and back. */
#include "store/mongodb/private.h"

#include <stdlib.h>
#include <string.h>

/* --- writing ------------------------------------------------------------ */

bool mongodb_append_id(bson_t *document, const char *key, const struct id *id)
{
	return bson_append_binary(document, key, -1, BSON_SUBTYPE_UUID,
	                          id->bytes, sizeof(id->bytes));
}

/* How many bytes at the start are plain ASCII, in steps of eight. */
static size_t plain_length(const char *text, size_t size)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t length = 0;

	while (size - length >= sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, text + length, sizeof(word));
		/* A byte of 0 borrows from what is above it. */
		if ((word | (word - ones)) & high)
			break;
		length += sizeof(word);
	}
	return length;
}

/* libbson looks at every byte by itself: mail is ASCII for the most part. */
bool mongodb_is_text(const void *text, size_t size)
{
	const char *start = text;
	size_t plain = plain_length(start, size);

	return plain == size ||
	       bson_utf8_validate(start + plain, size - plain, false);
}

bool mongodb_append_bytes(bson_t *document, const char *key, const void *bytes,
                          size_t size)
{
	if (size > BSON_MAX_SIZE)
		return false;
	return bson_append_binary(document, key, -1, BSON_SUBTYPE_BINARY,
	                          bytes ? bytes : (const void *)"",
	                          (uint32_t)size);
}

bool mongodb_append_text(bson_t *document, const char *key, const char *text)
{
	size_t size = text ? strlen(text) : 0;

	if (size >= BSON_MAX_SIZE)
		return false;
	if (!mongodb_is_text(text ? text : "", size))
		return mongodb_append_bytes(document, key, text, size);
	return bson_append_utf8(document, key, -1, text ? text : "", (int)size);
}

bool mongodb_append_time(bson_t *document, const char *key, int64_t time_ms)
{
	return bson_append_date_time(document, key, -1, time_ms);
}

void mongodb_ids_begin(struct mongodb_ids *ids, bson_t *selector)
{
	ids->count = 0;
	(void)BSON_APPEND_DOCUMENT_BEGIN(selector, "_id", &ids->condition);
	(void)BSON_APPEND_ARRAY_BEGIN(&ids->condition, "$in", &ids->array);
}

void mongodb_ids_add(struct mongodb_ids *ids, const bson_iter_t *id)
{
	char buffer[16];
	const char *place;

	(void)bson_uint32_to_string(ids->count++, &place, buffer,
	                            sizeof(buffer));
	(void)bson_append_iter(&ids->array, place, -1, id);
}

void mongodb_ids_end(struct mongodb_ids *ids, bson_t *selector)
{
	(void)bson_append_array_end(&ids->condition, &ids->array);
	(void)bson_append_document_end(selector, &ids->condition);
}

/* --- reading ------------------------------------------------------------ */

static bool find(const bson_t *document, const char *key, bson_iter_t *found)
{
	bson_iter_t iter;

	return bson_iter_init(&iter, document) &&
	       bson_iter_find_descendant(&iter, key, found);
}

struct id mongodb_get_id(const bson_t *document, const char *key)
{
	struct id id = {0};
	const uint8_t *bytes;
	bson_subtype_t kind;
	uint32_t size;
	bson_iter_t found;

	if (!find(document, key, &found) || !BSON_ITER_HOLDS_BINARY(&found))
		return id;
	bson_iter_binary(&found, &kind, &size, &bytes);
	if (kind == BSON_SUBTYPE_UUID && size == sizeof(id.bytes))
		memcpy(id.bytes, bytes, sizeof(id.bytes));
	return id;
}

static int64_t int_of_double(double value)
{
	if (value >= -9223372036854774784.0 && value <= 9223372036854774784.0)
		return (int64_t)value;
	return 0;
}

int64_t mongodb_get_int(const bson_t *document, const char *key)
{
	bson_iter_t found;

	if (!find(document, key, &found))
		return 0;
	switch (bson_iter_type(&found)) {
	case BSON_TYPE_INT32:
		return bson_iter_int32(&found);
	case BSON_TYPE_INT64:
		return bson_iter_int64(&found);
	case BSON_TYPE_DATE_TIME:
		return bson_iter_date_time(&found);
	case BSON_TYPE_DOUBLE:
		return int_of_double(bson_iter_double(&found));
	default:
		return 0;
	}
}

bool mongodb_get_bool(const bson_t *document, const char *key)
{
	bson_iter_t found;

	return find(document, key, &found) && BSON_ITER_HOLDS_BOOL(&found) &&
	       bson_iter_bool(&found);
}

int mongodb_get_demand(const bson_t *document, enum mail_pass *demand)
{
	bson_iter_t found;
	int parsed;

	if (!find(document, "demand", &found)) {
		*demand = mongodb_get_bool(document, "demands_pass")
		              ? MAIL_PASS_SPF
		              : MAIL_PASS_NONE;
		return 0;
	}
	parsed = BSON_ITER_HOLDS_UTF8(&found)
	             ? mail_pass_parse(bson_iter_utf8(&found, NULL))
	             : -1;
	if (parsed < 0)
		return ERR_CORRUPT;
	*demand = (enum mail_pass)parsed;
	return 0;
}

const void *mongodb_get_bytes(const bson_t *document, const char *key,
                              size_t *size)
{
	const uint8_t *bytes = NULL;
	bson_subtype_t kind;
	uint32_t length = 0;
	bson_iter_t found;

	if (!find(document, key, &found))
		return NULL;
	if (BSON_ITER_HOLDS_UTF8(&found))
		bytes = (const uint8_t *)bson_iter_utf8(&found, &length);
	else if (BSON_ITER_HOLDS_BINARY(&found))
		bson_iter_binary(&found, &kind, &length, &bytes);
	if (bytes)
		*size = length;
	return bytes;
}

int mongodb_get_text(const bson_t *document, const char *key, char **text)
{
	size_t size = 0;
	const void *bytes = mongodb_get_bytes(document, key, &size);
	char *copy = malloc(size + 1);

	if (!copy)
		return ERR_MEMORY;
	if (bytes)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	free(*text);
	*text = copy;
	return 0;
}

bool mongodb_get_document(const bson_t *document, const char *key, bson_t *view)
{
	const uint8_t *data;
	uint32_t size;
	bson_iter_t found;

	if (!find(document, key, &found))
		return false;
	if (BSON_ITER_HOLDS_DOCUMENT(&found))
		bson_iter_document(&found, &size, &data);
	else if (BSON_ITER_HOLDS_ARRAY(&found))
		bson_iter_array(&found, &size, &data);
	else
		return false;
	return bson_init_static(view, data, size);
}
