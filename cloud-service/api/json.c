/* Reads and checks fields of JSON objects. */
#include "cloud-service/api/json.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

static const json_t *field(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

static int missing(const char *name, struct error *err)
{
	(void)error_set(err, ERR_INVALID, "%s: missing", name);
	return ERR_INVALID;
}

int json_field_text(const json_t *object, const char *name, size_t maximum,
                    bool required, const char **value, struct error *err)
{
	const json_t *found = field(object, name);

	if (!found && required)
		return missing(name, err);
	if (found && !json_is_string(found)) {
		(void)error_set(err, ERR_INVALID, "%s: not a string", name);
		return ERR_INVALID;
	}
	if (found && json_string_length(found) > maximum) {
		(void)error_set(err, ERR_INVALID, "%s: longer than %zu bytes",
		                name, maximum);
		return ERR_INVALID;
	}
	*value = found ? json_string_value(found) : "";
	return 0;
}

int json_field_shown(const json_t *object, const char *name, size_t maximum,
                     char **value, struct error *err)
{
	const char *text;
	size_t length;
	char *at, *copy;
	int result = json_field_text(object, name, SIZE_MAX, false, &text, err);

	if (result)
		return result;
	length = strlen(text);
	if (length > maximum) {
		length = maximum;
		while (length > 0 &&
		       ((unsigned char)text[length] & 0xC0) == 0x80)
			length--;
	}
	copy = mem_copy_bytes(text, length);
	for (at = copy; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = ' ';
	*value = copy;
	return 0;
}

int json_field_integer(const json_t *object, const char *name, int64_t minimum,
                       int64_t maximum, int64_t *value, struct error *err)
{
	const json_t *found = field(object, name);
	int64_t number = 0;

	if (found && !json_is_integer(found))
		return error_set(err, ERR_INVALID, "%s: not a whole number",
		                 name);
	if (found)
		number = json_integer_value(found);
	if (number < minimum || number > maximum)
		return error_set(err, ERR_INVALID, "%s: out of range", name);
	*value = number;
	return 0;
}

int json_field_boolean(const json_t *object, const char *name, bool *value,
                       struct error *err)
{
	const json_t *found = field(object, name);

	if (found && !json_is_boolean(found))
		return error_set(err, ERR_INVALID, "%s: not true or false",
		                 name);
	*value = json_is_true(found);
	return 0;
}

int json_field_time(const json_t *object, const char *name, int64_t *wall_ms,
                    struct error *err)
{
	const char *text;
	int result = json_field_text(object, name, 64, true, &text, err);

	if (result)
		return result;
	if (clock_parse_rfc3339(text, wall_ms))
		return error_set(err, ERR_INVALID, "%s: not an RFC 3339 time",
		                 name);
	return 0;
}

int json_field_id(const json_t *object, const char *name, struct id *id,
                  struct error *err)
{
	const char *text;
	int result = json_field_text(object, name, 64, true, &text, err);

	if (result)
		return result;
	if (id_parse(text, id) || id_is_none(id))
		return error_set(err, ERR_INVALID, "%s: not a UUID", name);
	return 0;
}

int json_field_array(const json_t *object, const char *name, size_t maximum,
                     const json_t **array, struct error *err)
{
	const json_t *found = field(object, name);

	if (!found)
		return missing(name, err);
	if (!json_is_array(found))
		return error_set(err, ERR_INVALID, "%s: not an array", name);
	if (json_array_size(found) > maximum)
		return error_set(err, ERR_INVALID, "%s: more than %zu elements",
		                 name, maximum);
	*array = found;
	return 0;
}
