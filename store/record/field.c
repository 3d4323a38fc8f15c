/* The fields of records: found by name, read and set by type. */
#include "store/record/ops.h"

#include <stdlib.h>
#include <string.h>

size_t record_field_count(const struct record_kind *kind)
{
	size_t count = 0;

	while (kind->fields[count].name)
		count++;
	return count;
}

static const struct record_field *find(const struct record_kind *kind,
                                       const char *name, size_t length)
{
	for (const struct record_field *f = kind->fields; f->name; f++)
		if (!strncmp(f->name, name, length) && !f->name[length])
			return f;
	return NULL;
}

const struct record_field *record_field(const struct record_kind *kind,
                                        const char *name)
{
	return find(kind, name, strlen(name));
}

size_t record_fields(const struct record_kind *kind, const char *names,
                     const struct record_field *fields[RECORD_KEY_MAXIMUM])
{
	size_t count = 0;

	while (*names && count < RECORD_KEY_MAXIMUM) {
		size_t length = strcspn(names, ",");
		const struct record_field *field = find(kind, names, length);

		if (field)
			fields[count++] = field;
		names += length + (names[length] == ',');
	}
	return count;
}

static bool is_among(const struct record_field *field,
                     const struct record_field *const fields[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fields[i] == field)
			return true;
	return false;
}

size_t record_order_fields(
    const struct record_kind *kind, const struct record_index *index,
    const struct record_field *fields[2 * RECORD_KEY_MAXIMUM])
{
	const struct record_field *key[RECORD_KEY_MAXIMUM];
	size_t keys, count;

	if (!index)
		return record_fields(kind, kind->key, fields);
	count = record_fields(kind, index->fields, fields);
	if (index->unique)
		return count;
	keys = record_fields(kind, kind->key, key);
	for (size_t i = 0; i < keys; i++)
		if (!is_among(key[i], fields, count))
			fields[count++] = key[i];
	return count;
}

int64_t record_number(const void *record, const struct record_field *field)
{
	const void *value = record_value(record, field);

	switch (field->type) {
	case RECORD_INT:
	case RECORD_TIME:
		return *(const int64_t *)value;
	case RECORD_WORD:
		return *(const int *)value;
	case RECORD_BOOL:
		return *(const bool *)value;
	default:
		return 0;
	}
}

void record_set_number(void *record, const struct record_field *field,
                       int64_t number)
{
	void *place = record_place(record, field);

	switch (field->type) {
	case RECORD_INT:
	case RECORD_TIME:
		*(int64_t *)place = number;
		break;
	case RECORD_WORD:
		*(int *)place = (int)number;
		break;
	case RECORD_BOOL:
		*(bool *)place = number != 0;
		break;
	default:
		break;
	}
}

const char *record_text(const void *record, const struct record_field *field)
{
	const void *value = record_value(record, field);
	const char *text;

	if (field->type == RECORD_WORD)
		return field->words[*(const int *)value];
	text = *(char *const *)value;
	return text ? text : "";
}

int record_word(const char *const *words, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], text))
			return i;
	return -1;
}

int record_set_text(void *record, const struct record_field *field,
                    const char *text, size_t size, struct error *err)
{
	char *copy = strndup(text, size);
	char **place = record_place(record, field);
	int word;

	if (!copy)
		return error_set(err, ERR_MEMORY, "out of memory");
	if (field->type == RECORD_TEXT) {
		free(*place);
		*place = copy;
		return 0;
	}
	word = record_word(field->words, copy);
	free(copy);
	if (word < 0)
		return error_set(err, ERR_CORRUPT, "%s: unknown word",
		                 field->name);
	record_set_number(record, field, word);
	return 0;
}

const uint8_t *record_bytes(const void *record,
                            const struct record_field *field)
{
	return record_value(record, field);
}

size_t record_bytes_size(const struct record_field *field)
{
	if (field->type == RECORD_ID)
		return sizeof(struct id);
	return field->type == RECORD_HASH ? CRYPTO_HASH_SIZE : 0;
}

int record_set_bytes(void *record, const struct record_field *field,
                     const void *bytes, size_t size, struct error *err)
{
	if (size != record_bytes_size(field))
		return error_set(err, ERR_CORRUPT,
		                 "%s: %zu bytes in the place of %zu",
		                 field->name, size, record_bytes_size(field));
	memcpy(record_place(record, field), bytes, size);
	return 0;
}

void *record_at(const struct record_kind *kind, const struct record_page *page,
                size_t i)
{
	return (char *)page->records + i * kind->size;
}

/* Room grows at every power of two from 8 on. */
void *record_page_add(const struct record_kind *kind, struct record_page *page,
                      struct error *err)
{
	size_t count = page->count;
	void *added;

	if (!count || (count >= 8 && !(count & (count - 1)))) {
		void *larger = reallocarray(page->records,
		                            count ? count * 2 : 8, kind->size);

		if (!larger) {
			(void)error_set(err, ERR_MEMORY, "out of memory");
			return NULL;
		}
		page->records = larger;
	}
	page->count++;
	added = record_at(kind, page, count);
	memset(added, 0, kind->size);
	return added;
}

void record_release(const struct record_kind *kind, void *record)
{
	for (const struct record_field *f = kind->fields; f->name; f++) {
		char **text = record_place(record, f);
		bool secret = f->flags & RECORD_SECRET;

		if (f->type == RECORD_TEXT) {
			if (secret && *text)
				explicit_bzero(*text, strlen(*text));
			free(*text);
			*text = NULL;
		} else if (secret) {
			explicit_bzero(text, record_bytes_size(f));
		}
	}
}

void record_page_release(const struct record_kind *kind,
                         struct record_page *page)
{
	for (size_t i = 0; i < page->count; i++)
		record_release(kind, record_at(kind, page, i));
	free(page->records);
	memset(page, 0, sizeof(*page));
}
