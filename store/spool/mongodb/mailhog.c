/* The part of a message's document that has the shape MailHog writes. */
#include "store/spool/mongodb/private.h"

#include <strings.h>

#include "common/text.h"
#include "store/spool/mongodb/mime.h"

#define FIELDS_MAXIMUM 2000 /* of a message with all its parts */
#define PARTS_MAXIMUM  100
#define DEPTH_MAXIMUM  8
#define KEY_SIZE       1000 /* a name, each byte as three */

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define FULL_STOP   "\xef\xbc\x8e" /* U+FF0E */
#define DOLLAR      "\xef\xbc\x84" /* U+FF04 */

/* What is left of the bounds of one message. */
struct budget {
	size_t fields, parts;
};

/* --- texts ------------------------------------------------------------- */

/*
 * The text as UTF-8 on the heap, NULL when memory is out: what is no character
 * of it, and NUL, becomes U+FFFD.
 */
static char *make_readable(const char *bytes, size_t size, size_t *length)
{
	char *text = malloc(size * strlen(REPLACEMENT) + 1);
	char *end = text;

	while (text && size > 0) {
		uint32_t code = 0;
		size_t step = text_utf8_read(bytes, size, &code);

		if (step && code) {
			memcpy(end, bytes, step);
			end += step;
		} else {
			memcpy(end, REPLACEMENT, strlen(REPLACEMENT));
			end += strlen(REPLACEMENT);
			step = 1;
		}
		bytes += step;
		size -= step;
	}
	if (text)
		*length = (size_t)(end - text);
	return text;
}

static void append_slice(bson_t *document, const char *key,
                         struct mime_slice slice)
{
	(void)bson_append_utf8(document, key, -1, slice.text,
	                       (int)slice.length);
}

/* Appends a text of the envelope, readable. */
static int append_readable(bson_t *document, const char *key, const char *text)
{
	struct mime_slice slice = {.length = 0};
	char *readable;

	if (!text)
		text = "";
	readable = make_readable(text, strlen(text), &slice.length);
	if (!readable)
		return ERR_MEMORY;
	slice.text = readable;
	append_slice(document, key, slice);
	free(readable);
	return 0;
}

/* --- the envelope ------------------------------------------------------ */

/* Appends a path: its mailbox is what stands before the last "@". */
static int append_path(bson_t *parent, const char *key, const char *address)
{
	size_t length = 0;
	char *text = make_readable(address ? address : "",
	                           address ? strlen(address) : 0, &length);
	struct mime_slice mailbox = {text, length}, domain = {"", 0};
	bson_t path, relays;
	const char *at;

	if (!text)
		return ERR_MEMORY;
	at = memrchr(text, '@', length);
	if (at) {
		mailbox.length = (size_t)(at - text);
		domain.text = at + 1;
		domain.length = length - mailbox.length - 1;
	}
	bson_append_document_begin(parent, key, -1, &path);
	BSON_APPEND_ARRAY_BEGIN(&path, "relays", &relays);
	bson_append_array_end(&path, &relays);
	append_slice(&path, "mailbox", mailbox);
	append_slice(&path, "domain", domain);
	BSON_APPEND_UTF8(&path, "params", "");
	bson_append_document_end(parent, &path);
	free(text);
	return 0;
}

/* Calls append for every recipient's address, into an array. */
static int append_addresses(bson_t *document, const char *key,
                            const struct spool_message *message,
                            int (*append)(bson_t *parent, const char *key,
                                          const char *address))
{
	bson_t list;
	int result = 0;

	bson_append_array_begin(document, key, -1, &list);
	for (size_t i = 0; i < message->recipient_count && !result; i++) {
		char index[24];

		(void)snprintf(index, sizeof(index), "%zu", i);
		result = append(&list, index, message->recipients[i].address);
	}
	bson_append_array_end(document, &list);
	return result;
}

/* --- headers ----------------------------------------------------------- */

/* A name as a key: no "." within, no "$" at the start. */
static void make_key(struct mime_slice name, char key[KEY_SIZE])
{
	for (size_t i = 0; i < name.length; i++) {
		char byte = name.text[i];

		if (byte == '.' || (byte == '$' && !i)) {
			memcpy(key, byte == '.' ? FULL_STOP : DOLLAR,
			       strlen(DOLLAR));
			key += strlen(DOLLAR);
		} else {
			*key++ = byte;
		}
	}
	*key = '\0';
}

static bool same(struct mime_slice a, struct mime_slice b)
{
	return a.length == b.length && !memcmp(a.text, b.text, a.length);
}

/* Appends the values of all fields named as the one at first. */
static void append_values(bson_t *headers, struct mime_field *fields,
                          size_t first, size_t count)
{
	struct mime_slice name = fields[first].name;
	char key[KEY_SIZE];
	unsigned number = 0;
	bson_t values;

	make_key(name, key);
	bson_append_array_begin(headers, key, -1, &values);
	for (size_t i = first; i < count; i++) {
		char index[24];

		if (!same(fields[i].name, name))
			continue;
		(void)snprintf(index, sizeof(index), "%u", number++);
		append_slice(&values, index, fields[i].value);
		if (i > first)
			fields[i].name.length = 0; /* told */
	}
	bson_append_array_end(headers, &values);
}

static void append_headers(bson_t *content, struct mime_field *fields,
                           size_t count)
{
	bson_t headers;

	BSON_APPEND_DOCUMENT_BEGIN(content, "headers", &headers);
	for (size_t i = 0; i < count; i++)
		if (fields[i].name.length)
			append_values(&headers, fields, i, count);
	bson_append_document_end(content, &headers);
}

/* Whether the fields are those of a multipart; copies its boundary. */
static bool find_boundary(const struct mime_field *fields, size_t count,
                          char boundary[201], size_t *length)
{
	const struct mime_slice wanted = {"Content-Type", 12};

	for (size_t i = 0; i < count; i++)
		if (fields[i].name.length == wanted.length &&
		    !strncasecmp(fields[i].name.text, wanted.text,
		                 wanted.length))
			return mime_boundary(fields[i].value, boundary, length);
	return false;
}

/* --- contents ---------------------------------------------------------- */

/* A message or part, split. */
struct content {
	struct mime_slice head, body;
	struct mime_field *fields; /* on the heap */
	size_t count;
	char *room; /* of their values */
	char boundary[201];
	size_t boundary_length;
	bool multipart;
};

static int open_content(struct mime_slice text, struct budget *budget,
                        struct content *content)
{
	memset(content, 0, sizeof(*content));
	mime_split(text, &content->head, &content->body);
	content->room = malloc(content->head.length + 1);
	content->fields = calloc(budget->fields + 1, sizeof(*content->fields));
	if (!content->room || !content->fields) {
		free(content->room);
		free(content->fields);
		return ERR_MEMORY;
	}
	content->count = mime_fields(content->head, content->room,
	                             content->fields, budget->fields);
	budget->fields -= content->count;
	content->multipart =
	    find_boundary(content->fields, content->count, content->boundary,
	                  &content->boundary_length);
	return 0;
}

static void close_content(struct content *content)
{
	free(content->room);
	free(content->fields);
}

static int append_parts(bson_t *parent, const struct content *content,
                        struct budget *budget, int depth);

/* Appends "mime": the parts, or null for what has none. */
static int append_mime(bson_t *parent, const struct content *content,
                       struct budget *budget, int depth)
{
	bson_t mime;
	int result;

	if (!content->multipart || depth == DEPTH_MAXIMUM) {
		BSON_APPEND_NULL(parent, "mime");
		return 0;
	}
	BSON_APPEND_DOCUMENT_BEGIN(parent, "mime", &mime);
	result = append_parts(&mime, content, budget, depth);
	bson_append_document_end(parent, &mime);
	return result;
}

/* Appends a part. The body of one that has parts of its own is in them. */
static int append_part(bson_t *parent, const char *key, struct mime_slice text,
                       struct budget *budget, int depth)
{
	struct mime_slice none = {"", 0};
	struct content content;
	bson_t part;
	int result = open_content(text, budget, &content);

	if (result < 0)
		return result;
	bson_append_document_begin(parent, key, -1, &part);
	append_headers(&part, content.fields, content.count);
	append_slice(&part, "body",
	             content.multipart && depth < DEPTH_MAXIMUM ? none
	                                                        : content.body);
	BSON_APPEND_INT64(&part, "size", (int64_t)text.length);
	result = append_mime(&part, &content, budget, depth);
	bson_append_document_end(parent, &part);
	close_content(&content);
	return result;
}

static int append_parts(bson_t *parent, const struct content *content,
                        struct budget *budget, int depth)
{
	struct mime_slice rest = content->body, part;
	unsigned number = 0;
	bson_t parts;
	int result = 0;

	BSON_APPEND_ARRAY_BEGIN(parent, "parts", &parts);
	while (!result && budget->parts &&
	       mime_next_part(&rest, content->boundary,
	                      content->boundary_length, &part)) {
		char index[24];

		budget->parts--;
		(void)snprintf(index, sizeof(index), "%u", number++);
		result = append_part(&parts, index, part, budget, depth + 1);
	}
	bson_append_array_end(parent, &parts);
	return result;
}

/* Appends "content" and "mime"; of a body in a file there is the head. */
static int append_content(bson_t *document, struct mime_slice text,
                          const struct spool_message *message,
                          const struct spool_mongodb_body *body)
{
	struct budget budget = {FIELDS_MAXIMUM, PARTS_MAXIMUM};
	bool file = !id_is_none(&body->file);
	struct content split;
	bson_t content;
	int result = open_content(text, &budget, &split);

	if (result < 0)
		return result;
	BSON_APPEND_DOCUMENT_BEGIN(document, "content", &content);
	append_headers(&content, split.fields, split.count);
	if (file)
		BSON_APPEND_UTF8(&content, "body", "");
	else if (body->present)
		append_slice(&content, "body", split.body);
	BSON_APPEND_INT64(&content, "size",
	                  body->present ? body->size : message->size);
	BSON_APPEND_NULL(&content, "mime");
	bson_append_document_end(document, &content);
	(void)mongodb_append_time(document, "created", message->received_ms);
	if (file)
		split.multipart = false;
	result = append_mime(document, &split, &budget, 0);
	close_content(&split);
	return result;
}

/* Appends "raw"; of a body in a file it has the head. */
static int append_raw(bson_t *document, struct mime_slice text,
                      const struct spool_message *message,
                      const struct spool_mongodb_body *body)
{
	struct mime_slice head, rest;
	bson_t raw;
	int result;

	BSON_APPEND_DOCUMENT_BEGIN(document, "raw", &raw);
	result = append_readable(&raw, "from", message->sender);
	if (!result)
		result = append_addresses(&raw, "to", message, append_readable);
	if (!id_is_none(&body->file)) {
		mime_split(text, &head, &rest);
		text.length = (size_t)(rest.text - text.text);
	}
	if (body->present)
		append_slice(&raw, "data", text);
	if (!result)
		result = append_readable(&raw, "helo", message->helo);
	bson_append_document_end(document, &raw);
	return result;
}

int spool_mongodb_append_mailhog(bson_t *document,
                                 const struct spool_message *message,
                                 const struct spool_mongodb_body *body)
{
	struct mime_slice text = {body->bytes, body->length};
	char id[ID_TEXT_SIZE];
	char *readable = NULL;
	int result;

	if (!mongodb_is_text(body->bytes, body->length)) {
		readable =
		    make_readable(body->bytes, body->length, &text.length);
		if (!readable)
			return ERR_MEMORY;
		text.text = readable;
	}
	BSON_APPEND_UTF8(document, "id", id_format(&message->id, id));
	result = append_path(document, "from", message->sender);
	if (!result)
		result = append_addresses(document, "to", message, append_path);
	if (!result)
		result = append_content(document, text, message, body);
	if (!result)
		result = append_raw(document, text, message, body);
	free(readable);
	return result;
}
