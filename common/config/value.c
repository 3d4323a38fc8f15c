/* The types of the configuration: from their text and back to it. */
#include "common/config/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {
    {"ms", 1},       {"s", 1000},      {"min", 60000}, {"h", 3600000},
    {"d", 86400000}, {"w", 604800000}, {NULL, 0}};
static const struct unit byte_units[] = {
    {"", 1},        {"k", 1 << 10}, {"K", 1 << 10}, {"m", 1 << 20},
    {"M", 1 << 20}, {"g", 1 << 30}, {"G", 1 << 30}, {NULL, 0}};

/* Reads a whole number with one of the units. */
static int parse_number(const char *text, const struct unit *unit,
                        int64_t *number)
{
	char *rest;
	long long value;

	if (strspn(text, "-0123456789") == 0)
		return ERR_INVALID;
	errno = 0;
	value = strtoll(text, &rest, 10);
	if (errno || rest == text)
		return ERR_INVALID;
	/* Nothing is nothing in any unit. */
	if (value == 0 && !*rest) {
		*number = 0;
		return 0;
	}
	while (unit->name && strcmp(unit->name, rest) != 0)
		unit++;
	if (!unit->name ||
	    __builtin_mul_overflow((int64_t)value, unit->factor, number))
		return ERR_INVALID;
	return 0;
}

static int parse_boolean(const char *text, bool *truth)
{
	static const char *const words[] = {"no",  "false", "off",
	                                    "yes", "true",  "on"};
	size_t i;

	for (i = 0; i < 6; i++) {
		if (!strcmp(text, words[i])) {
			*truth = i >= 3;
			return 0;
		}
	}
	return ERR_INVALID;
}

static int parse_choice(const char *text, const char *const *choices,
                        int64_t *number)
{
	int64_t i;

	for (i = 0; choices[i]; i++) {
		if (!strcmp(text, choices[i])) {
			*number = i;
			return 0;
		}
	}
	return ERR_INVALID;
}

static int check_bounds(const struct config_field *field, const char *text,
                        int64_t number, struct error *err)
{
	char minimum[CONFIG_NUMBER_SIZE], maximum[CONFIG_NUMBER_SIZE];

	if (!field->minimum && !field->maximum)
		return 0;
	if (number >= field->minimum && number <= field->maximum)
		return 0;
	return error_set(
	    err, ERR_INVALID, "%s is out of bounds (%s to %s)", text,
	    config_format_number(field->type, field->minimum, minimum),
	    config_format_number(field->type, field->maximum, maximum));
}

static int convert_number(const struct config_field *field, const char *text,
                          int64_t *number, struct error *err)
{
	static const struct {
		const struct unit *units;
		const char *wanted;
	} rows[] = {
	    [CONFIG_INTEGER] = {plain_units, "a whole number"},
	    [CONFIG_DURATION_MS] = {duration_units,
	                            "a duration such as 500ms, 30s, 5min, 4h "
	                            "or 14d"},
	    [CONFIG_BYTES] = {byte_units, "a size such as 4096, 100k or 25M"},
	};

	if (parse_number(text, rows[field->type].units, number))
		return error_set(err, ERR_INVALID, "\"%.64s\" is not %s", text,
		                 rows[field->type].wanted);
	return check_bounds(field, text, *number, err);
}

static int convert_choice(const struct config_field *field, const char *text,
                          int64_t *number, struct error *err)
{
	char words[128] = "";
	size_t used = 0;
	int i;

	if (!parse_choice(text, field->choices, number))
		return 0;
	for (i = 0; field->choices[i] && used < sizeof(words); i++)
		used +=
		    (size_t)snprintf(words + used, sizeof(words) - used, "%s%s",
		                     i ? ", " : "", field->choices[i]);
	return error_set(err, ERR_INVALID, "\"%.64s\" is none of %s", text,
	                 words);
}

/* Converts the text of a single value. */
static int convert_single(const struct config_field *field,
                          struct config_item *item, struct config_value *value,
                          struct error *err)
{
	char *text = item->values.items[0];

	switch (field->type) {
	case CONFIG_STRING:
		if (field->choices &&
		    convert_choice(field, text, &value->number, err))
			return ERR_INVALID;
		if (field->check && field->check(text, err))
			return ERR_INVALID;
		value->text = text;
		item->values.items[0] = NULL;
		return 0;
	case CONFIG_BOOLEAN:
		if (item->is_quoted || parse_boolean(text, &value->truth))
			return error_set(err, ERR_INVALID,
			                 "\"%.64s\" is neither yes nor no",
			                 text);
		return 0;
	case CONFIG_CHOICE:
		return convert_choice(field, text, &value->number, err);
	case CONFIG_INTEGER:
		if (item->is_quoted)
			return error_set(err, ERR_INVALID,
			                 "a whole number has no quotes");
		return convert_number(field, text, &value->number, err);
	case CONFIG_DURATION_MS:
	case CONFIG_BYTES:
		return convert_number(field, text, &value->number, err);
	case CONFIG_LIST:
		break;
	}
	return error_set(err, ERR_INVALID, "unknown type in the table");
}

int config_convert(const struct config_field *field, struct config_item *item,
                   struct config_value *value, struct error *err)
{
	size_t i;

	*value = (struct config_value){0};
	if (item->is_section)
		return error_set(err, ERR_INVALID,
		                 "takes a value, not a section");
	if (field->type == CONFIG_LIST) {
		for (i = 0; i < item->values.count && field->check; i++)
			if (field->check(item->values.items[i], err))
				return ERR_INVALID;
		/* A single value is a list of one, as in UCL. */
		value->list = item->values;
		item->values = (struct config_list){0};
		return 0;
	}
	if (item->is_list)
		return error_set(err, ERR_INVALID,
		                 "takes one value, not a list");
	return convert_single(field, item, value, err);
}

static bool is_host(const char *text)
{
	size_t length = strlen(text);

	return length > 0 && length < 254 &&
	       strspn(text,
	              "abcdefghijklmnopqrstuvwxyz"
	              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == length;
}

int config_parse_endpoint(const char *text, char **host, uint16_t *port,
                          struct error *err)
{
	const char *colon = strrchr(text, ':');
	struct in6_addr address;
	int64_t number;
	bool valid;
	char *name;

	if (!colon || colon == text || colon[1] < '0' || colon[1] > '9' ||
	    parse_number(colon + 1, plain_units, &number) || number < 1 ||
	    number > 65535)
		return error_set(err, ERR_INVALID,
		                 "\"%.128s\" is not HOST:PORT, such as "
		                 "127.0.0.1:25 or [::1]:25",
		                 text);
	if (text[0] == '[' && colon[-1] == ']' && colon - text >= 2) {
		name = mem_copy_bytes(text + 1, (size_t)(colon - text) - 2);
		valid = inet_pton(AF_INET6, name, &address) == 1;
	} else {
		name = mem_copy_bytes(text, (size_t)(colon - text));
		valid = is_host(name);
	}
	if (!valid) {
		free(name);
		return error_set(err, ERR_INVALID,
		                 "\"%.128s\" names no host (IPv6 addresses "
		                 "stand in brackets)",
		                 text);
	}
	*host = name;
	*port = (uint16_t)number;
	return 0;
}
