/* The usage text of a command, read word by word. */
#ifndef COMMON_CLI_USAGE_H
#define COMMON_CLI_USAGE_H

#include <stdbool.h>
#include <stddef.h>

/* An argument or option of a usage text, by slices of the text. */
struct usage_item {
	const char *name; /* "NAME" or "--limit" */
	size_t length;    /* of the name */
	bool option;
	bool value;    /* the option has one */
	bool optional; /* in brackets */
	bool several;  /* "..." */
};

/* Where a walk through a usage text is. */
struct usage_walk {
	const char *at; /* the usage text before the first item */
	int depth;      /* of brackets */
};

/* The next item; false at the end. See struct cli_command for the text. */
bool usage_next(struct usage_walk *walk, struct usage_item *item);

/* Finds the option of this name, which may have "=..." behind it. */
bool usage_find(const char *usage, const char *name, struct usage_item *item);

#endif
