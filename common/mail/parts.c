/* Looks for parts of a program's mail while the message streams in. */
#include "common/mail/parts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/automatic.h"
#include "common/mail/lexical.h"

#define BYTES_MAXIMUM (1024 * 1024)
#define TYPE_SIZE     64

void mail_parts_init(struct mail_parts *parts)
{
	*parts = (struct mail_parts){.in_header = true};
}

/* Reads a parameter of a Content-Type's value; "" where there is none. */
static void read_parameter(const char *value, const char *name, char *out,
                           size_t size)
{
	size_t length = strlen(name);

	*out = '\0';
	while ((value = strchr(value, ';'))) {
		char other[MAIL_PARTS_BOUNDARY_SIZE];

		value = mail_skip_cfws(value + 1);
		if (strncasecmp(value, name, length) == 0 &&
		    value[length] == '=') {
			(void)mail_read_word(value + length + 1, "", out, size);
			return;
		}
		value += strcspn(value, "=;");
		if (*value == '=')
			value =
			    mail_read_word(value + 1, "", other, sizeof(other));
	}
}

static void add_boundary(struct mail_parts *parts, const char *value)
{
	char boundary[MAIL_PARTS_BOUNDARY_SIZE];

	read_parameter(value, "boundary", boundary, sizeof(boundary));
	if (*boundary && parts->boundary_count < MAIL_PARTS_BOUNDARIES)
		memcpy(parts->boundaries[parts->boundary_count++], boundary,
		       sizeof(boundary));
}

/* An attached calendar has no method: a person sends it. */
static bool asks(const char *value)
{
	char method[TYPE_SIZE];

	read_parameter(value, "method", method, sizeof(method));
	return *method != '\0';
}

static void take_field(struct mail_parts *parts)
{
	static const struct {
		const char *type;
		enum automatic_class class;
	} types[] = {
	    {"message/delivery-status", AUTOMATIC_BOUNCE},
	    {"message/global-delivery-status", AUTOMATIC_BOUNCE},
	    {"message/disposition-notification", AUTOMATIC_REPORT},
	    {"message/feedback-report", AUTOMATIC_REPORT},
	};
	static const char name[] = "content-type:";
	const char *value = parts->field + sizeof(name) - 1;
	char type[TYPE_SIZE];
	size_t i;

	if (strncasecmp(parts->field, name, sizeof(name) - 1) != 0)
		return;
	(void)mail_read_word(mail_skip_cfws(value), "", type, sizeof(type));
	if (strncasecmp(type, "multipart/", 10) == 0)
		add_boundary(parts, value);
	else if (strcasecmp(type, "text/calendar") == 0 && asks(value))
		parts->classes |= 1U << AUTOMATIC_CALENDAR;
	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcasecmp(type, types[i].type) == 0)
			parts->classes |= 1U << types[i].class;
}

static void take_header_line(struct mail_parts *parts)
{
	size_t used = strlen(parts->field);

	if (parts->line[0] == ' ' || parts->line[0] == '\t') {
		(void)snprintf(parts->field + used, sizeof(parts->field) - used,
		               "%s", parts->line);
		return;
	}
	take_field(parts);
	(void)snprintf(parts->field, sizeof(parts->field), "%s", parts->line);
	if (!parts->line[0])
		parts->in_header = false;
}

/* A part begins behind "--boundary"; "--boundary--" ends the last one. */
static void take_body_line(struct mail_parts *parts)
{
	const char *line = parts->line;
	size_t i;

	if (line[0] != '-' || line[1] != '-')
		return;
	for (i = 0; i < parts->boundary_count; i++) {
		size_t length = strlen(parts->boundaries[i]);
		const char *rest = line + 2 + length;

		if (strncmp(line + 2, parts->boundaries[i], length) != 0)
			continue;
		if (rest[strspn(rest, " \t")] == '\0') {
			parts->in_header = true;
			parts->field[0] = '\0';
			return;
		}
	}
}

static void take_line(struct mail_parts *parts)
{
	size_t length = parts->line_length;

	if (length > 0 && parts->line[length - 1] == '\r')
		length--;
	parts->line[length] = '\0';
	if (parts->in_header)
		take_header_line(parts);
	else
		take_body_line(parts);
	parts->line_length = 0;
}

void mail_parts_feed(struct mail_parts *parts, const char *bytes, size_t size)
{
	const char *end = bytes + size;

	while (bytes < end && parts->bytes < BYTES_MAXIMUM) {
		const char *line_end =
		    memchr(bytes, '\n', (size_t)(end - bytes));
		size_t length = (size_t)((line_end ? line_end : end) - bytes);
		size_t room = sizeof(parts->line) - 1 - parts->line_length;
		size_t kept = length < room ? length : room;

		memcpy(parts->line + parts->line_length, bytes, kept);
		parts->line_length += kept;
		parts->bytes += length;
		bytes += length;
		if (!line_end)
			break;
		parts->bytes++;
		bytes++;
		take_line(parts);
	}
}
