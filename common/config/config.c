/* The configuration's table: defaults, file, checks, and into the struct. */
#include "common/config/config.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/config/private.h"
#include "common/fs.h"
#include "common/mem.h"

static size_t count_fields(const struct config_field *fields)
{
	size_t count = 0;

	while (fields[count].name)
		count++;
	return count;
}

static void release_value(struct config_value *value)
{
	free(value->text);
	config_release_list(&value->list);
}

/* Where the file gave each key: 0 while it has its default. */
struct filling {
	const char *name;
	const struct config_field *fields;
	size_t count;
	struct config_value *values;
	unsigned *lines;
	bool is_open; /* everybody can read the file */
	struct error *err;
};

bool config_is_secret(const struct config_field *field, const char *text)
{
	if (!field->secret || !text || !*text)
		return false;
	if (!field->location)
		return true;
	return *text != '/' && (!strstr(text, "://") || strchr(text, '@'));
}

/* Whether name is a section that some key lies in. */
static bool is_section(const struct filling *filling, const char *name)
{
	size_t i, length = strlen(name);

	for (i = 0; i < filling->count; i++) {
		const char *key = filling->fields[i].name;

		if (!strncmp(key, name, length) && key[length] == '.')
			return true;
	}
	return false;
}

static int apply_item(struct filling *filling, struct config_item *item)
{
	struct config_value value;
	struct error why;
	size_t i;

	if (item->is_section && is_section(filling, item->name))
		return 0;
	for (i = 0; i < filling->count; i++)
		if (!strcmp(filling->fields[i].name, item->name))
			break;
	if (i == filling->count)
		return error_set(filling->err, ERR_INVALID,
		                 "%s:%u: %s: unknown %s", filling->name,
		                 item->line, item->name,
		                 item->is_section ? "section" : "key");
	if (filling->lines[i])
		return error_set(filling->err, ERR_INVALID,
		                 "%s:%u: %s: given twice, first in line %u",
		                 filling->name, item->line, item->name,
		                 filling->lines[i]);
	if (config_convert(&filling->fields[i], item, &value, &why))
		return error_set(filling->err, ERR_INVALID, "%s:%u: %s: %s",
		                 filling->name, item->line, item->name,
		                 filling->fields[i].secret ? "not valid"
		                                           : why.text);
	release_value(&filling->values[i]);
	filling->values[i] = value;
	if (filling->is_open &&
	    config_is_secret(&filling->fields[i], value.text))
		return error_set(
		    filling->err, ERR_INVALID,
		    "%s:%u: %s: a secret, in a file that everybody "
		    "can read: chmod o-r, or put it into a file "
		    "of its own",
		    filling->name, item->line, item->name);
	filling->lines[i] = item->line;
	return 0;
}

/* A default is read as it would be in a file. */
static int apply_default(struct filling *filling, size_t i)
{
	const struct config_field *field = &filling->fields[i];
	struct config_items items = {0};
	struct error why = {0};
	const char *text = field->standard;
	char *line;
	int result;

	if (!text)
		return 0;
	if (field->type == CONFIG_STRING && text[0] != '"') {
		filling->values[i].text = mem_copy_string(text);
		return 0;
	}
	if (field->type == CONFIG_LIST && text[0] != '[')
		line = mem_format("default = [%s]", text);
	else
		line = mem_format("default = %s", text);
	result = config_read_items("default", line, &items, &why);
	if (!result)
		result = config_convert(field, &items.items[0],
		                        &filling->values[i], &why);
	if (result)
		error_set(filling->err, ERR_INVALID,
		          "%s: the default of %s is wrong: %s", filling->name,
		          field->name, why.text);
	config_release_items(&items);
	free(line);
	return result;
}

static int fill(struct filling *filling, const char *text)
{
	struct config_items items = {0};
	size_t i;
	int result = 0;

	for (i = 0; i < filling->count && !result; i++)
		result = apply_default(filling, i);
	if (!result)
		result = config_read_items(filling->name, text, &items,
		                           filling->err);
	for (i = 0; i < items.count && !result; i++)
		result = apply_item(filling, &items.items[i]);
	for (i = 0; i < filling->count && !result; i++)
		if (filling->fields[i].required && !filling->lines[i])
			result = error_set(filling->err, ERR_INVALID,
			                   "%s:%u: %s: is required and missing",
			                   filling->name, items.last_line,
			                   filling->fields[i].name);
	config_release_items(&items);
	return result;
}

/* Moves a value into its field of the caller's struct. */
static void store(const struct config_field *field, void *target,
                  struct config_value *value)
{
	void *place = (char *)target + field->offset;

	switch (field->type) {
	case CONFIG_STRING:
		*(char **)place = value->text;
		value->text = NULL;
		break;
	case CONFIG_BOOLEAN:
		*(bool *)place = value->truth;
		break;
	case CONFIG_LIST:
		*(struct config_list *)place = value->list;
		value->list = (struct config_list){0};
		break;
	case CONFIG_INTEGER:
	case CONFIG_DURATION_MS:
	case CONFIG_BYTES:
	case CONFIG_CHOICE:
		*(int64_t *)place = value->number;
		break;
	}
}

static int load(const char *name, const char *text, bool is_open,
                const struct config_field *fields, void *target,
                struct error *err)
{
	size_t i, count = count_fields(fields);
	struct filling filling = {
	    .name = name,
	    .fields = fields,
	    .count = count,
	    .values = mem_alloc_array(count, sizeof(struct config_value)),
	    .lines = mem_alloc_array(count, sizeof(unsigned)),
	    .is_open = is_open,
	    .err = err};
	int result = fill(&filling, text);

	for (i = 0; i < count; i++) {
		if (!result)
			store(&fields[i], target, &filling.values[i]);
		release_value(&filling.values[i]);
	}
	free(filling.values);
	free(filling.lines);
	return result;
}

int config_load_text(const char *name, const char *text,
                     const struct config_field *fields, void *target,
                     struct error *err)
{
	return load(name, text, false, fields, target, err);
}

int config_load(const char *path, const struct config_field *fields,
                void *target, struct error *err)
{
	struct buffer text;
	int result;

	buffer_init(&text, CONFIG_FILE_MAXIMUM);
	if (fs_read_file(path, &text, err)) {
		if (err)
			err->code = ERR_IO;
		return ERR_IO;
	}
	if (strlen(buffer_text(&text)) != text.length)
		result = error_set(err, ERR_INVALID,
		                   "%s: contains a NUL: not a text", path);
	else
		result = load(path, buffer_text(&text),
		              fs_is_open_to_others(path), fields, target, err);
	buffer_release(&text);
	return result;
}

void config_release(const struct config_field *fields, void *target)
{
	for (; fields->name; fields++) {
		void *place = (char *)target + fields->offset;

		if (fields->type == CONFIG_STRING) {
			free(*(char **)place);
			*(char **)place = NULL;
		} else if (fields->type == CONFIG_LIST) {
			config_release_list(place);
		}
	}
}
