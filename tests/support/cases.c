/* Reads a collection of cases, a line of JSON each. */
#include "tests/support/cases.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *cases_folder(void)
{
	const char *folder = getenv("TURING_CASES");

	return folder ? folder : "../shared/cases";
}

size_t cases_each(const char *kind,
                  void (*each)(const json_t *item, void *context),
                  void *context)
{
	char path[1024], *line = NULL;
	size_t capacity = 0, count = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s.jsonl", cases_folder(), kind);
	file = fopen(path, "r");
	if (!file) {
		printf("cases absent: no %s\n", path);
		return 0;
	}
	while (getline(&line, &capacity, file) > 0) {
		json_error_t error;
		json_t *item = json_loads(line, JSON_ALLOW_NUL, &error);

		if (!item) {
			fprintf(stderr, "%s: case %zu: %s\n", path, count + 1,
			        error.text);
			abort();
		}
		each(item, context);
		json_decref(item);
		count++;
	}
	free(line);
	(void)fclose(file);
	return count;
}

const char *case_text(const json_t *item, ...)
{
	const char *name, *text;
	va_list names;

	va_start(names, item);
	while ((name = va_arg(names, const char *)) != NULL)
		item = json_object_get(item, name);
	va_end(names);
	text = json_string_value(item);
	return text ? text : "";
}
