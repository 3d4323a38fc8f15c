/*
 * Configuration: one file in UCL, read into a struct through a table that
 * gives each key its type, default and bounds.
 */
#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

enum config_type {
	CONFIG_STRING,      /* char *; NULL when unset and no default */
	CONFIG_INTEGER,     /* int64_t */
	CONFIG_BOOLEAN,     /* bool: yes/no, true/false, on/off */
	CONFIG_DURATION_MS, /* int64_t ms: "500ms", "30s", "5min", "4h", "14d"
	                     */
	CONFIG_BYTES,       /* int64_t bytes: "100k", "25M" (powers of 1024) */
	CONFIG_CHOICE,      /* int64_t: the index of the word in choices */
	CONFIG_LIST         /* struct config_list of strings */
};

struct config_list {
	char **items;
	size_t count;
};

/* One key. A table of them ends with a row whose name is NULL. */
struct config_field {
	const char *name; /* dotted: "smtp.listen" is listen in section smtp */
	enum config_type type;
	size_t offset;        /* of the field in the caller's struct */
	const char *standard; /* the default as it would stand in the file */
	int64_t minimum, maximum; /* of numbers; both 0: no bounds */
	/* NULL-ended, for CONFIG_CHOICE; where a CONFIG_STRING has them, no
	 * other text is allowed. */
	const char *const *choices;
	bool required;
	bool secret;   /* printed as "***" */
	bool location; /* with secret: a path, which is none, or a URI, which
	                * is one with a password in it */
	/* Looks at a text, or each of a list, NULL: all are fine. 0, or
	 * ERR_INVALID with what is wrong, without place and key. */
	int (*check)(const char *text, struct error *err);
	const char *help; /* one line, without the unit */
};

/*
 * Fills target from the file at path: defaults first, then the file. Unknown
 * keys, keys given twice, wrong types, values out of bounds and required keys
 * that are missing give ERR_INVALID with "PATH:LINE: key: what is wrong", and
 * so does a secret in a file that others than its owner and group can read; a
 * file that cannot be read gives ERR_IO. Target needs config_release() after
 * success only. ${VAR} is not expanded; .include is refused.
 */
int config_load(const char *path, const struct config_field *fields,
                void *target, struct error *err);

/* As config_load() from text; name stands for the file's path in errors. */
int config_load_text(const char *name, const char *text,
                     const struct config_field *fields, void *target,
                     struct error *err);

/* Frees the strings and lists of target and clears them. */
void config_release(const struct config_field *fields, void *target);

/*
 * Prints every key with its value in force; secrets as "***". Durations and
 * sizes stand as they do in the file at path, which was loaded, or in the
 * default; path NULL: in the largest unit that fits.
 */
void config_print(const struct config_field *fields, const void *target,
                  const char *path, FILE *out);

/* Prints every key with type, default, bounds and help: the manual's table. */
void config_print_reference(const struct config_field *fields, FILE *out);

/*
 * Splits "127.0.0.1:10025" or "[::1]:25" or "host:25" into host (freed by the
 * caller) and port 1..65535. 0, or ERR_INVALID with what is wrong.
 */
int config_parse_endpoint(const char *text, char **host, uint16_t *port,
                          struct error *err);

#endif
