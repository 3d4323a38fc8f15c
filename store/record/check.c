/* What is demanded of the fields of a record, whatever its kind. */
#include "store/record/check.h"

#include <string.h>

#include "common/text.h"

bool record_is_utf8(const char *text)
{
	size_t size = strlen(text);
	uint32_t code;

	for (size_t length; size > 0; text += length, size -= length) {
		length = text_utf8_read(text, size, &code);
		if (!length)
			return false;
	}
	return true;
}

/* Whether a field is part of an index or the key. */
static bool is_sought(const struct record_kind *kind,
                      const struct record_field *field)
{
	const char *names = kind->key;
	const struct record_index *index = kind->indexes;

	do {
		const struct record_field *fields[RECORD_KEY_MAXIMUM];
		size_t count = record_fields(kind, names, fields);

		for (size_t i = 0; i < count; i++)
			if (fields[i] == field)
				return true;
		names = index ? index++->fields : NULL;
	} while (names);
	return false;
}

static int check_text(const struct record_kind *kind,
                      const struct record_field *field, const char *text,
                      struct error *err)
{
	size_t maximum = field->maximum ? field->maximum : RECORD_TEXT_MAXIMUM;
	struct error detail = {.text = ""};

	if (!*text)
		return 0;
	if (strnlen(text, maximum + 1) > maximum)
		return error_set(err, ERR_INVALID, "%s: longer than %zu bytes",
		                 field->name, maximum);
	if (is_sought(kind, field) && !record_is_utf8(text))
		return error_set(err, ERR_INVALID, "%s: not UTF-8",
		                 field->name);
	if (field->check && field->check(text, &detail))
		return error_set(err, ERR_INVALID, "%s: %s", field->name,
		                 detail.text);
	return 0;
}

/* "role: admin, recipient or operator" */
static int refuse_word(const struct record_field *field, struct error *err)
{
	char list[300] = "";

	for (size_t i = 0; field->words[i]; i++) {
		size_t length = strlen(list);
		const char *before = ", ";

		if (!field->words[i + 1])
			before = " or ";
		(void)snprintf(list + length, sizeof(list) - length, "%s%s",
		               i ? before : "", field->words[i]);
	}
	return error_set(err, ERR_INVALID, "%s: %s", field->name, list);
}

static int check_number(const struct record_field *field, int64_t number,
                        struct error *err)
{
	if (number < 0)
		return error_set(err, ERR_INVALID, "%s: negative", field->name);
	if (field->type == RECORD_INT && field->maximum &&
	    (uint64_t)number > field->maximum)
		return error_set(err, ERR_INVALID, "%s: above %zu", field->name,
		                 field->maximum);
	return 0;
}

bool record_is_missing(const void *record, const struct record_field *field)
{
	static const uint8_t none[CRYPTO_HASH_SIZE];

	switch (field->type) {
	case RECORD_TEXT:
		return !*record_text(record, field);
	case RECORD_ID:
	case RECORD_HASH:
		return !memcmp(record_bytes(record, field), none,
		               record_bytes_size(field));
	case RECORD_INT:
	case RECORD_TIME:
		return !record_number(record, field);
	default:
		return false;
	}
}

int record_check_required(const void *record, const struct record_field *field,
                          struct error *err)
{
	if ((field->flags & RECORD_REQUIRED) &&
	    record_is_missing(record, field))
		return error_set(err, ERR_INVALID, "%s: missing", field->name);
	return 0;
}

static int check_field(const struct record_kind *kind,
                       const struct record_field *field, const void *record,
                       struct error *err)
{
	int64_t number = record_number(record, field);
	int error = record_check_required(record, field, err);

	if (error)
		return error;
	switch (field->type) {
	case RECORD_TEXT:
		return check_text(kind, field, record_text(record, field), err);
	case RECORD_WORD:
		for (int64_t i = 0; field->words[i]; i++)
			if (i == number)
				return 0;
		return refuse_word(field, err);
	case RECORD_INT:
	case RECORD_TIME:
		return check_number(field, number, err);
	default:
		return 0;
	}
}

int record_check(const struct record_kind *kind, const void *record,
                 struct error *err)
{
	const struct record_field *tenant = record_field(kind, "tenant");
	int error = 0;

	for (const struct record_field *f = kind->fields; !error && f->name;
	     f++)
		error = check_field(kind, f, record, err);
	if (!error && kind->owner == RECORD_OF_TENANT &&
	    record_is_missing(record, tenant))
		error = error_set(err, ERR_INVALID, "tenant: missing");
	if (!error && kind->check)
		error = kind->check(record, err);
	return error;
}
