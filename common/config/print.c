/* Prints the configuration in force, and the table of its keys. */
#include "common/config/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buffer.h"
#include "common/fs.h"

struct unit {
	int64_t factor;
	const char *name;
};

static const struct unit duration_units[] = {
    {86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
static const struct unit byte_units[] = {
    {1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "k"}, {1, ""}};

char *config_format_number(enum config_type type, int64_t number,
                           char text[CONFIG_NUMBER_SIZE])
{
	static const struct unit plain = {1, ""};
	const struct unit *unit = !number                      ? &plain
	                          : type == CONFIG_DURATION_MS ? duration_units
	                          : type == CONFIG_BYTES       ? byte_units
	                                                       : &plain;

	while (number % unit->factor != 0)
		unit++;
	(void)snprintf(text, CONFIG_NUMBER_SIZE, "%" PRId64 "%s",
	               number / unit->factor, unit->name);
	return text;
}

static void print_number(enum config_type type, int64_t number, FILE *out)
{
	char text[CONFIG_NUMBER_SIZE];

	(void)fputs(config_format_number(type, number, text), out);
}

/* Prints text in quotes, as config-read.c reads it. */
static void print_quoted(const char *text, FILE *out)
{
	(void)fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			(void)fprintf(out, "\\%c", c);
		else if (c < 0x20)
			(void)fprintf(out, "\\u%04x", c);
		else
			(void)fputc(c, out);
	}
	(void)fputc('"', out);
}

static void print_list(const struct config_list *list, FILE *out)
{
	size_t i;

	(void)fputc('[', out);
	for (i = 0; i < list->count; i++) {
		if (i)
			(void)fputs(", ", out);
		print_quoted(list->items[i], out);
	}
	(void)fputc(']', out);
}

static void print_value(const struct config_field *field, const void *place,
                        FILE *out)
{
	switch (field->type) {
	case CONFIG_STRING:
		print_quoted(*(char *const *)place, out);
		break;
	case CONFIG_BOOLEAN:
		(void)fputs(*(const bool *)place ? "yes" : "no", out);
		break;
	case CONFIG_LIST:
		print_list(place, out);
		break;
	case CONFIG_CHOICE:
		(void)fputs(field->choices[*(const int64_t *)place], out);
		break;
	case CONFIG_INTEGER:
	case CONFIG_DURATION_MS:
	case CONFIG_BYTES:
		print_number(field->type, *(const int64_t *)place, out);
		break;
	}
}

/* How the number is given in the file, or in the table; NULL: it is not. */
static const char *given_text(const struct config_field *field,
                              const struct config_items *items)
{
	size_t i;

	if (field->type != CONFIG_DURATION_MS && field->type != CONFIG_BYTES)
		return NULL;
	for (i = 0; i < items->count; i++)
		if (!strcmp(items->items[i].name, field->name) &&
		    items->items[i].values.count == 1)
			return items->items[i].values.items[0];
	return field->standard;
}

void config_print(const struct config_field *fields, const void *target,
                  const char *path, FILE *out)
{
	struct config_items items = {0};
	const char *given;
	struct buffer text;

	buffer_init(&text, CONFIG_FILE_MAXIMUM);
	if (path && !fs_read_file(path, &text, NULL))
		(void)config_read_items(path, buffer_text(&text), &items, NULL);
	for (; fields->name; fields++) {
		const void *place = (const char *)target + fields->offset;

		if (fields->type == CONFIG_STRING && !*(char *const *)place) {
			(void)fprintf(out, "# %s is not set\n", fields->name);
			continue;
		}
		given = path ? given_text(fields, &items) : NULL;
		(void)fprintf(out, "%s = ", fields->name);
		if (fields->type == CONFIG_STRING &&
		    config_is_secret(fields, *(char *const *)place))
			(void)fputs("\"***\"", out);
		else if (given)
			(void)fputs(given, out);
		else
			print_value(fields, place, out);
		(void)fputc('\n', out);
	}
	config_release_items(&items);
	if (text.length)
		explicit_bzero(text.data, text.length);
	buffer_release(&text);
}

static void print_type(const struct config_field *field, FILE *out)
{
	static const char *const names[] = {
	    [CONFIG_STRING] = "text",    [CONFIG_INTEGER] = "whole number",
	    [CONFIG_BOOLEAN] = "yes|no", [CONFIG_DURATION_MS] = "duration",
	    [CONFIG_BYTES] = "size",     [CONFIG_LIST] = "list of texts",
	};
	int i;

	if (field->type != CONFIG_CHOICE) {
		(void)fputs(names[field->type], out);
		return;
	}
	for (i = 0; field->choices[i]; i++)
		(void)fprintf(out, "%s%s", i ? "|" : "", field->choices[i]);
}

void config_print_reference(const struct config_field *fields, FILE *out)
{
	for (; fields->name; fields++) {
		(void)fprintf(out, "%s (", fields->name);
		print_type(fields, out);
		if (fields->minimum || fields->maximum) {
			(void)fputs(", ", out);
			print_number(fields->type, fields->minimum, out);
			(void)fputs(" to ", out);
			print_number(fields->type, fields->maximum, out);
		}
		if (fields->required)
			(void)fputs(", required", out);
		else if (fields->standard && fields->standard[0])
			(void)fprintf(out, ", default %s", fields->standard);
		(void)fprintf(out, ")\n\t%s\n", fields->help);
	}
}
