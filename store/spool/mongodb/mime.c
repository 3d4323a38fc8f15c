/* Header fields and parts of a message, as slices of its text. */
#include "store/spool/mongodb/mime.h"

#include <string.h>
#include <strings.h>

#include "common/banned.h"

#define NAME_MAXIMUM     200
#define BOUNDARY_MAXIMUM 200

static void skip(struct mime_slice *slice, size_t length)
{
	slice->text += length;
	slice->length -= length;
}

void mime_split(struct mime_slice text, struct mime_slice *head,
                struct mime_slice *body)
{
	const char *end;

	*head = (struct mime_slice){text.text, 0};
	*body = text;
	if (text.length >= 2 && !memcmp(text.text, "\r\n", 2)) {
		skip(body, 2);
		return;
	}
	end = memmem(text.text, text.length, "\r\n\r\n", 4);
	if (!end)
		return;
	head->length = (size_t)(end - text.text) + 2;
	skip(body, head->length + 2);
}

/* --- fields ------------------------------------------------------------ */

/* Takes a line off text, without its CRLF. */
static struct mime_slice take_line(struct mime_slice *text)
{
	const char *end = memmem(text->text, text->length, "\r\n", 2);
	struct mime_slice line = *text;

	if (end)
		line.length = (size_t)(end - text->text);
	skip(text, end ? line.length + 2 : line.length);
	return line;
}

/* The length of a field's name (RFC 5322 section 2.2); 0: it is no field. */
static size_t name_length(struct mime_slice line)
{
	for (size_t i = 0; i < line.length && i <= NAME_MAXIMUM; i++) {
		if (line.text[i] == ':')
			return i;
		if (line.text[i] < 33 || line.text[i] > 126)
			return 0;
	}
	return 0;
}

static void add_value(struct mime_field *field, struct mime_slice more)
{
	memcpy((char *)field->value.text + field->value.length, more.text,
	       more.length);
	field->value.length += more.length;
}

size_t mime_fields(struct mime_slice head, char *room,
                   struct mime_field *fields, size_t maximum)
{
	struct mime_field *last = NULL;
	size_t count = 0;

	while (head.length > 0) {
		struct mime_slice line = take_line(&head);
		size_t length;

		if (last && line.length &&
		    (line.text[0] == ' ' || line.text[0] == '\t')) {
			add_value(last, line);
			continue;
		}
		length = name_length(line);
		if (!length)
			continue;
		if (count == maximum)
			break;
		if (last)
			room += last->value.length;
		last = &fields[count++];
		last->name = (struct mime_slice){line.text, length};
		last->value = (struct mime_slice){room, 0};
		skip(&line, length + 1);
		if (line.length && line.text[0] == ' ')
			skip(&line, 1);
		add_value(last, line);
	}
	return count;
}

/* --- multiparts -------------------------------------------------------- */

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void skip_spaces(struct mime_slice *slice)
{
	while (slice->length && is_space(slice->text[0]))
		skip(slice, 1);
}

static bool starts_with(struct mime_slice slice, const char *word)
{
	size_t length = strlen(word);

	return slice.length >= length && !strncasecmp(slice.text, word, length);
}

/* Takes a parameter's value off rest; what does not fit is cut off. */
static size_t take_value(struct mime_slice *rest, char *value)
{
	bool quoted = rest->length && rest->text[0] == '"';
	size_t length = 0;

	if (quoted)
		skip(rest, 1);
	while (rest->length) {
		char byte = rest->text[0];

		if (quoted ? byte == '"' : byte == ';' || is_space(byte))
			break;
		if (quoted && byte == '\\' && rest->length > 1)
			skip(rest, 1);
		if (length < BOUNDARY_MAXIMUM)
			value[length++] = rest->text[0];
		skip(rest, 1);
	}
	return length;
}

/* Goes behind the next semicolon outside of quotes. */
static bool next_parameter(struct mime_slice *rest)
{
	bool quoted = false;

	while (rest->length) {
		char byte = rest->text[0];

		if (quoted && byte == '\\' && rest->length > 1)
			skip(rest, 1);
		else if (byte == '"')
			quoted = !quoted;
		skip(rest, 1);
		if (!quoted && byte == ';')
			return true;
	}
	return false;
}

bool mime_boundary(struct mime_slice value, char boundary[201], size_t *length)
{
	skip_spaces(&value);
	if (!starts_with(value, "multipart/"))
		return false;
	while (next_parameter(&value)) {
		skip_spaces(&value);
		if (!starts_with(value, "boundary"))
			continue;
		skip(&value, strlen("boundary"));
		skip_spaces(&value);
		if (!value.length || value.text[0] != '=')
			continue;
		skip(&value, 1);
		skip_spaces(&value);
		*length = take_value(&value, boundary);
		boundary[*length] = '\0';
		return *length > 0;
	}
	return false;
}

/* Whether what follows a boundary ends its line (RFC 2046: space may follow)
 * or closes the multipart. */
static bool ends_line(struct mime_slice rest)
{
	if (rest.length >= 2 && !memcmp(rest.text, "--", 2))
		return true;
	return !rest.length || is_space(rest.text[0]);
}

/*
 * The next line that is "--" and the boundary; NULL when there is none. *after
 * gets what follows that line, or nothing where it closes the multipart.
 */
static const char *find_delimiter(struct mime_slice text, const char *boundary,
                                  size_t length, struct mime_slice *after)
{
	struct mime_slice rest = text;

	while (rest.length >= length + 2) {
		const char *found =
		    memmem(rest.text, rest.length, boundary, length);

		if (!found)
			return NULL;
		skip(&rest, (size_t)(found - rest.text) + length);
		if (found - text.text < 2 || memcmp(found - 2, "--", 2) != 0 ||
		    (found - text.text > 2 && found[-3] != '\n') ||
		    !ends_line(rest))
			continue;
		*after = rest;
		if (rest.length >= 2 && !memcmp(rest.text, "--", 2))
			after->length = 0;
		else
			(void)take_line(after);
		return found - 2;
	}
	return NULL;
}

bool mime_next_part(struct mime_slice *rest, const char *boundary,
                    size_t boundary_length, struct mime_slice *part)
{
	struct mime_slice after;
	const char *end;

	/* The delimiter before the part; what is before that is preamble. */
	if (!find_delimiter(*rest, boundary, boundary_length, &after) ||
	    !after.length)
		return false;
	*part = after;
	*rest = after;
	end = find_delimiter(*part, boundary, boundary_length, &after);
	if (end) {
		/* It stays for the next call; the CRLF before it is its own. */
		part->length = (size_t)(end - part->text);
		skip(rest, part->length);
		if (part->length && part->text[part->length - 1] == '\n')
			part->length--;
		if (part->length && part->text[part->length - 1] == '\r')
			part->length--;
	} else {
		rest->length = 0;
	}
	return true;
}
