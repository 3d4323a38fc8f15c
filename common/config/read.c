/*
 * The configuration's text: UCL without its macros, variables, includes and
 * heredocs, read into a flat list of dotted keys with their lines.
 */
#include "common/config/private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/mem.h"
#include "common/text.h"

#define NAME_MAXIMUM  256
#define VALUE_MAXIMUM 65536
#define DEPTH_MAXIMUM 8
#define LIST_MAXIMUM  10000
#define ITEMS_MAXIMUM 10000

struct reader {
	const char *name;
	const char *next;
	unsigned line;
	unsigned depth;
	struct config_items *items;
	struct error *err;
};

void config_release_list(struct config_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct config_list){0};
}

void config_release_items(struct config_items *items)
{
	size_t i;

	for (i = 0; i < items->count; i++) {
		free(items->items[i].name);
		config_release_list(&items->items[i].values);
	}
	free(items->items);
	*items = (struct config_items){0};
}

static int fail(struct reader *reader, unsigned line, const char *what)
{
	return error_set(reader->err, ERR_INVALID, "%s:%u: %s", reader->name,
	                 line, what);
}

/* Steps over a comment that begins with slash and star; they nest. */
static int skip_long_comment(struct reader *reader)
{
	unsigned depth = 0, line = reader->line;

	do {
		if (!*reader->next)
			return fail(reader, line, "the comment has no end");
		if (!strncmp(reader->next, "/*", 2)) {
			depth++;
			reader->next++;
		} else if (!strncmp(reader->next, "*/", 2)) {
			depth--;
			reader->next++;
		} else if (*reader->next == '\n') {
			reader->line++;
		}
		reader->next++;
	} while (depth);
	return 0;
}

/* Steps over blanks and comments, and over line ends where lines is true. */
static int skip_space(struct reader *reader, bool lines)
{
	for (;;) {
		char c = *reader->next;

		if (c == '#') {
			reader->next += strcspn(reader->next, "\n");
		} else if (c == '/' && reader->next[1] == '*') {
			if (skip_long_comment(reader))
				return ERR_INVALID;
		} else if (c == ' ' || c == '\t' || c == '\r' ||
		           (lines && c == '\n')) {
			reader->line += c == '\n';
			reader->next++;
		} else {
			return 0;
		}
	}
}

/* Appends the code point of the four hex digits after \u, as UTF-8. */
static int append_code_point(struct reader *reader, struct buffer *out)
{
	char digits[5] = "", utf8[TEXT_UTF8_SIZE];
	unsigned long point;

	memcpy(digits, reader->next, strnlen(reader->next, 4));
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return fail(reader, reader->line, "\\u takes four hex digits");
	point = strtoul(digits, NULL, 16);
	if (point == 0 || (point >= 0xd800 && point <= 0xdfff))
		return fail(reader, reader->line,
		            "\\u names no character; write it as UTF-8");
	reader->next += 4;
	return buffer_append(out, utf8, text_utf8_write((uint32_t)point, utf8));
}

/* Appends what a backslash in double quotes stands for. */
static int append_escape(struct reader *reader, struct buffer *out)
{
	static const char from[] = "nrtbf\\\"/";
	static const char to[] = "\n\r\t\b\f\\\"/";
	char c = *reader->next;
	const char *found = c ? strchr(from, c) : NULL;

	if (c)
		reader->next++;
	if (c == 'u')
		return append_code_point(reader, out);
	if (!found)
		return fail(reader, reader->line,
		            "no such escape; a backslash is written \\\\");
	return buffer_append(out, &to[found - from], 1);
}

/* Reads a quoted text of one line, in either quotes. */
static int read_quoted(struct reader *reader, struct buffer *out)
{
	char quote = *reader->next++;

	for (;;) {
		char c = *reader->next;
		int result;

		if (!c || c == '\n')
			return fail(reader, reader->line,
			            "the quote has no end on its line");
		reader->next++;
		if (c == quote)
			return 0;
		if (c == '\\' && quote == '\'' && *reader->next == '\'')
			result = buffer_append(out, reader->next++, 1);
		else if (c == '\\' && quote == '"')
			result = append_escape(reader, out);
		else
			result = buffer_append(out, &c, 1);
		if (result == ERR_LIMIT)
			return fail(reader, reader->line,
			            "the value is too long");
		if (result)
			return result;
	}
}

/* The bytes up to what ends a bare value: a sign, or a comment after a blank.
 */
static size_t bare_length(const char *text)
{
	size_t i, length = strcspn(text, "\n,;{}[]\"'#");

	for (i = 1; i + 1 < length; i++)
		if (text[i] == '/' && text[i + 1] == '*' &&
		    isspace((unsigned char)text[i - 1]))
			return i;
	return length;
}

/* Reads a word up to what ends a value, without the blanks at its end. */
static int read_bare(struct reader *reader, struct buffer *out)
{
	const char *begin = reader->next;
	size_t length = bare_length(begin);

	reader->next += length;
	while (length && isspace((unsigned char)begin[length - 1]))
		length--;
	if (!length)
		return fail(reader, reader->line, "a value is missing");
	if (*reader->next == '"' || *reader->next == '\'' ||
	    *reader->next == '{' || *reader->next == '[')
		return fail(reader, reader->line,
		            "a value that contains quotes or brackets is "
		            "written in quotes");
	/* UCL would cut the value here, which no one means. */
	if (*reader->next == '#' && begin + length == reader->next)
		return fail(reader, reader->line,
		            "a value that contains # is written in quotes");
	if (!strncmp(begin, "<<", 2))
		return fail(reader, reader->line, "<< is not supported");
	if (buffer_append(out, begin, length))
		return fail(reader, reader->line, "the value is too long");
	return 0;
}

/* Reads one text and appends it to list. */
static int read_text(struct reader *reader, struct config_list *list,
                     bool *quoted)
{
	struct buffer text;
	int result;

	buffer_init(&text, VALUE_MAXIMUM);
	*quoted = *reader->next == '"' || *reader->next == '\'';
	result =
	    *quoted ? read_quoted(reader, &text) : read_bare(reader, &text);
	if (result) {
		buffer_release(&text);
		return result;
	}
	list->items = mem_resize_array(list->items, list->count + 1,
	                               sizeof(*list->items));
	list->items[list->count++] = buffer_take(&text);
	return 0;
}

/* Reads "[a, b]" with the bracket still ahead. */
static int read_list(struct reader *reader, struct config_list *list)
{
	unsigned line = reader->line;
	bool quoted;

	reader->next++;
	for (;;) {
		if (skip_space(reader, true))
			return ERR_INVALID;
		if (*reader->next == ']') {
			reader->next++;
			return 0;
		}
		if (!*reader->next)
			return fail(reader, line, "the list has no end");
		if (*reader->next == '[' || *reader->next == '{')
			return fail(reader, reader->line,
			            "a list holds single values only");
		if (list->count >= LIST_MAXIMUM)
			return fail(reader, line, "the list is too long");
		if (read_text(reader, list, &quoted) ||
		    skip_space(reader, true))
			return ERR_INVALID;
		if (*reader->next == ',')
			reader->next++;
		else if (*reader->next && *reader->next != ']')
			return fail(reader, reader->line,
			            "a comma or ] is missing in the list");
	}
}

static struct config_item *add_item(struct reader *reader, const char *name)
{
	struct config_items *items = reader->items;
	struct config_item *item;

	items->items = mem_resize_array(items->items, items->count + 1,
	                                sizeof(*items->items));
	item = &items->items[items->count++];
	*item = (struct config_item){.name = mem_copy_string(name),
	                             .line = reader->line};
	return item;
}

/* What may stand between a value and the next key; a section ends by "}". */
static int read_end_of_value(struct reader *reader)
{
	bool is_section = reader->next[-1] == '}';

	if (skip_space(reader, false))
		return ERR_INVALID;
	switch (*reader->next) {
	case ';':
	case ',':
		reader->next++;
		return 0;
	case '\n':
	case '}':
	case '\0':
		return 0;
	default:
		if (is_section)
			return 0;
		return fail(reader, reader->line,
		            "text after the value; end it by a line or ;");
	}
}

/* Appends a key to the dotted name that prefix holds. */
static int read_key(struct reader *reader, struct buffer *name)
{
	struct buffer key;
	int result = 0;

	if (*reader->next == '.')
		return fail(reader, reader->line,
		            "macros such as .include are not supported");
	buffer_init(&key, NAME_MAXIMUM);
	if (*reader->next == '"' || *reader->next == '\'') {
		result = read_quoted(reader, &key);
	} else {
		size_t length =
		    strspn(reader->next, "abcdefghijklmnopqrstuvwxyz"
		                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		                         "0123456789_.-");

		result = buffer_append(&key, reader->next, length);
		reader->next += length;
	}
	if (!result && !key.length)
		result = fail(reader, reader->line, "a key is missing");
	if (!result && name->length)
		result = buffer_append_text(name, ".");
	if (!result)
		result = buffer_append(name, key.data, key.length);
	if (result == ERR_LIMIT)
		result = fail(reader, reader->line, "the key is too long");
	buffer_release(&key);
	return result;
}

static int read_section(struct reader *reader, struct buffer *name, char end);

/* Reads "{ ... }" with the brace still ahead. */
static int read_nested(struct reader *reader, struct buffer *name)
{
	unsigned line = reader->line;

	if (reader->depth >= DEPTH_MAXIMUM)
		return fail(reader, line, "sections are nested too deep");
	if (name->length)
		add_item(reader, buffer_text(name))->is_section = true;
	reader->next++;
	reader->depth++;
	if (read_section(reader, name, '}'))
		return ERR_INVALID;
	reader->depth--;
	if (!*reader->next)
		return fail(reader, line, "the section has no end");
	reader->next++;
	return 0;
}

/* Reads what follows a key. */
static int read_value(struct reader *reader, struct buffer *name)
{
	unsigned line = reader->line;
	struct config_item *item;

	/* "section {" may have its brace on the next line, as in nginx. */
	if (skip_space(reader, false))
		return ERR_INVALID;
	if (*reader->next == '=' || *reader->next == ':')
		reader->next++;
	else if (*reader->next == '\n' && skip_space(reader, true))
		return ERR_INVALID;
	if (skip_space(reader, false))
		return ERR_INVALID;
	if (*reader->next == '{')
		return read_nested(reader, name);
	if (reader->line != line || strchr("\n;,}", *reader->next))
		return error_set(reader->err, ERR_INVALID,
		                 "%s:%u: %s: a value is missing", reader->name,
		                 line, buffer_text(name));
	item = add_item(reader, buffer_text(name));
	item->is_list = *reader->next == '[';
	if (item->is_list)
		return read_list(reader, &item->values);
	return read_text(reader, &item->values, &item->is_quoted);
}

/* Reads keys until end, which stays ahead. */
static int read_section(struct reader *reader, struct buffer *name, char end)
{
	size_t length = name->length;

	for (;;) {
		if (skip_space(reader, true))
			return ERR_INVALID;
		if (*reader->next == end || !*reader->next)
			return 0;
		if (*reader->next == ';' || *reader->next == ',') {
			reader->next++;
			continue;
		}
		if (reader->items->count >= ITEMS_MAXIMUM)
			return fail(reader, reader->line, "too many keys");
		if (read_key(reader, name) || read_value(reader, name) ||
		    read_end_of_value(reader))
			return ERR_INVALID;
		name->length = length;
		if (name->data)
			name->data[length] = '\0';
	}
}

/* The whole file may stand in braces, as JSON does. */
static int read_file_section(struct reader *reader, struct buffer *name)
{
	if (skip_space(reader, true))
		return ERR_INVALID;
	if (*reader->next == '{') {
		if (read_nested(reader, name) || skip_space(reader, true))
			return ERR_INVALID;
	} else if (read_section(reader, name, '\0')) {
		return ERR_INVALID;
	}
	if (*reader->next)
		return fail(reader, reader->line, "text after the last }");
	return 0;
}

int config_read_items(const char *name, const char *text,
                      struct config_items *items, struct error *err)
{
	struct reader reader = {
	    .name = name, .next = text, .line = 1, .items = items, .err = err};
	struct buffer prefix;
	int result;

	if (!strncmp(text, "\xef\xbb\xbf", 3))
		reader.next += 3;
	buffer_init(&prefix, NAME_MAXIMUM);
	result = read_file_section(&reader, &prefix);
	buffer_release(&prefix);
	items->last_line = reader.line;
	return result;
}
