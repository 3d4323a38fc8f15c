/* What the reader of the configuration's text hands to its table. */
#ifndef COMMON_CONFIG_PRIVATE_H
#define COMMON_CONFIG_PRIVATE_H

#include "common/config/config.h"

/* One "key = value" of the file, or the opening of a section. */
struct config_item {
	char *name; /* dotted, with its sections */
	unsigned line;
	bool is_section;
	bool is_list;
	bool is_quoted;            /* of a single value */
	struct config_list values; /* one, unless is_list */
};

/* Zeroed, then filled by config_read_items(). */
struct config_items {
	struct config_item *items;
	size_t count;
	unsigned last_line;
};

/*
 * Reads text into items in the order of the file; name stands for the file in
 * errors. 0 or ERR_INVALID; items is to release in both cases.
 */
int config_read_items(const char *name, const char *text,
                      struct config_items *items, struct error *err);

/* Frees all items. */
void config_release_items(struct config_items *items);

/* Frees the strings of a list and clears it. */
void config_release_list(struct config_list *list);

/* What a file of the configuration may have at the most. */
#define CONFIG_FILE_MAXIMUM (1 << 20)

/* Room for config_format_number(). */
#define CONFIG_NUMBER_SIZE 32

/* Writes number, of this type, in the largest unit that fits; returns text. */
char *config_format_number(enum config_type type, int64_t number,
                           char text[CONFIG_NUMBER_SIZE]);

/* Whether text, a value of field, must not be told; NULL and "" may be. */
bool config_is_secret(const struct config_field *field, const char *text);

/* A value on its way between the file and the caller's struct. */
struct config_value {
	char *text;     /* CONFIG_STRING */
	int64_t number; /* the numeric types */
	bool truth;     /* CONFIG_BOOLEAN */
	struct config_list list;
};

/*
 * Converts item to the type of field within its bounds. 0, or ERR_INVALID
 * with what is wrong, without place and key. Takes the strings out of item.
 */
int config_convert(const struct config_field *field, struct config_item *item,
                   struct config_value *value, struct error *err);

#endif
