/* Collecting the header while the message streams in, and its fields. */
#include "common/mail/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/lexical.h"
#include "common/mem.h"

/* Bytes looked at in one step: what is copied beyond the header at most. */
#define STEP_BYTES 4096

void mail_header_init(struct mail_header *header)
{
	*header = (struct mail_header){0};
	buffer_init(&header->raw, MAIL_HEADER_MAXIMUM);
}

void mail_header_release(struct mail_header *header)
{
	buffer_release(&header->raw);
	free(header->fields);
	free(header->storage);
	mail_header_init(header);
}

/* The length of an empty line at text: 0 when there is none. */
static size_t empty_line(const char *text, const char *end)
{
	if (text < end && *text == '\n')
		return 1;
	return end - text >= 2 && text[0] == '\r' && text[1] == '\n' ? 2 : 0;
}

/* Cuts raw at the empty line, which may begin at byte start - 2 or later. */
static void find_end(struct mail_header *header, size_t start)
{
	const char *data = header->raw.data;
	const char *end = data + header->raw.length;
	const char *at = data + (start < 2 ? 0 : start - 2);

	if (at == data && empty_line(at, end)) {
		header->complete = true;
		buffer_reset(&header->raw);
		return;
	}
	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		at++;
		if (!empty_line(at, end))
			continue;
		header->complete = true;
		header->raw.length = (size_t)(at - data);
		header->raw.data[header->raw.length] = '\0';
		return;
	}
}

void mail_header_feed(struct mail_header *header, const char *bytes,
                      size_t size)
{
	while (size > 0 && !header->complete && !header->truncated) {
		size_t before = header->raw.length;
		size_t room = header->raw.maximum - before;
		size_t step = size < STEP_BYTES ? size : STEP_BYTES;

		if (step > room)
			step = room;
		header->truncated = step == 0;
		if (step == 0)
			return;
		(void)buffer_append(&header->raw, bytes, step);
		find_end(header, before);
		bytes += step;
		size -= step;
	}
}

/* What parsing works on: the rest of raw, and where copies go. */
struct splitter {
	const char *text;
	const char *end;
	char *out;
};

/* Where the line at text ends, behind its LF. */
static const char *line_end(const char *text, const char *end)
{
	const char *lf = memchr(text, '\n', (size_t)(end - text));

	return lf ? lf + 1 : end;
}

static const char *without_line_end(const char *text, const char *end)
{
	if (end > text && end[-1] == '\n')
		end--;
	if (end > text && end[-1] == '\r')
		end--;
	return end;
}

/*
 * The colon of the field that begins at text, or NULL. White space before the
 * colon is obsolete, but readers behind us accept it: so must we.
 */
static const char *field_colon(const char *text, const char *end)
{
	const char *at = text;

	while (at<end && * at> 32 && *at < 127 && *at != ':')
		at++;
	if (at == text)
		return NULL;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at < end && *at == ':' ? at : NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static const char *store(struct splitter *s, const char *text, size_t size)
{
	char *start = s->out;

	memcpy(start, text, size);
	s->out += size;
	*s->out++ = '\0';
	return start;
}

/* Copies a line of the value; a NUL would hide what stands behind it. */
static void append_line(struct splitter *s, const char *text, const char *end)
{
	for (end = without_line_end(text, end); text < end; text++)
		*s->out++ = *text ? *text : ' ';
}

/* Copies the value after the colon with its continuation lines, unfolded. */
static const char *take_value(struct splitter *s, const char *text,
                              const char *end)
{
	char *start = s->out, *first;

	append_line(s, text, end);
	s->text = end;
	while (s->text < s->end && (*s->text == ' ' || *s->text == '\t')) {
		end = line_end(s->text, s->end);
		append_line(s, s->text, end);
		s->text = end;
	}
	while (s->out > start && is_blank(s->out[-1]))
		s->out--;
	*s->out++ = '\0';
	for (first = start; is_blank(*first);)
		first++;
	return first;
}

static void add_field(struct mail_header *header, size_t *capacity,
                      const struct mail_field *field)
{
	header->fields = mem_grow(header->fields, header->field_count, capacity,
	                          sizeof(*header->fields));
	header->fields[header->field_count++] = *field;
}

void mail_header_parse(struct mail_header *header)
{
	struct splitter s = {.text = buffer_text(&header->raw)};
	size_t capacity = 0;

	if (header->storage)
		return;
	/* A field takes a colon and an LF more than its strings; the last
	 * may lack the LF. */
	header->storage = mem_alloc(header->raw.length + 2);
	s.out = header->storage;
	s.end = s.text + header->raw.length;
	while (s.text < s.end) {
		const char *end = line_end(s.text, s.end);
		const char *colon = field_colon(s.text, end);
		const char *name_end = colon;
		struct mail_field field;

		if (!colon) {
			s.text = end;
			continue;
		}
		while (is_blank(name_end[-1]))
			name_end--;
		field.name = store(&s, s.text, (size_t)(name_end - s.text));
		field.value = take_value(&s, colon + 1, end);
		add_field(header, &capacity, &field);
	}
}

long mail_header_find(const struct mail_header *header, const char *name,
                      size_t start)
{
	char first = mail_ascii_lower(*name);
	size_t i;

	for (i = start; i < header->field_count; i++)
		if (mail_ascii_lower(*header->fields[i].name) == first &&
		    strcasecmp(header->fields[i].name, name) == 0)
			return (long)i;
	return -1;
}

const char *mail_header_get(const struct mail_header *header, const char *name)
{
	long found = mail_header_find(header, name, 0);

	return found < 0 ? NULL : header->fields[found].value;
}
