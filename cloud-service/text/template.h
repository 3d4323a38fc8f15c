/* A renderer of small templates: names in double braces, sections, no code. */
#ifndef CLOUD_SERVICE_TEXT_TEMPLATE_H
#define CLOUD_SERVICE_TEXT_TEMPLATE_H

#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"

#define TEMPLATE_NAME_SIZE 48 /* of a name, with the NUL */

enum template_form {
	TEMPLATE_HTML, /* {{name}} is escaped for HTML text and attributes */
	TEMPLATE_TEXT  /* {{name}} is put as it is */
};

/* A name and what stands for it; a table ends with a row without a name. */
struct template_value {
	const char *name;
	const char *value; /* NULL is as "" */
};

/* Where names are looked up: in values first, then among the texts. */
struct template_data {
	const struct template_value *values;
	/*
	 * The text of a name, or NULL; may be NULL itself. A text may hold
	 * {{names}} of values (of no further texts).
	 */
	const char *(*text)(void *context, const char *name);
	void *context;
};

/*
 * Appends the rendered template to out:
 *
 *   {{name}}                 the value, escaped in TEMPLATE_HTML
 *   {{{name}}}               the value as it is; only for what we wrote
 *   {{#name}} .. {{/name}}   shown when the value is not empty; not nested
 *   {{^name}} .. {{/name}}   shown when it is empty
 *
 * ERR_NOT_FOUND for a name that is nowhere, ERR_INVALID for a template that is
 * broken, ERR_LIMIT when out is full; out may then hold a part.
 */
int template_render(const char *template_bytes, size_t size,
                    enum template_form form, const struct template_data *data,
                    struct buffer *out, struct error *err);

/* Appends text, escaped for HTML text and quoted attributes. ERR_LIMIT. */
int template_escape(const char *text, struct buffer *out);

#endif
