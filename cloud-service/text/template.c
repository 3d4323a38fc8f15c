/* Templates: found between braces, looked up, escaped, appended. */
#include "cloud-service/text/template.h"

#include <stdbool.h>

/* Of a text that holds placeholders, once they are filled in. */
#define TEXT_MAXIMUM 16384

int template_escape(const char *text, struct buffer *out)
{
	for (; *text; text++) {
		size_t plain = strcspn(text, "&<>\"'");
		int r = buffer_append(out, text, plain);
		text += plain;
		if (!r && *text == '&')
			r = buffer_append_text(out, "&amp;");
		else if (!r && *text == '<')
			r = buffer_append_text(out, "&lt;");
		else if (!r && *text == '>')
			r = buffer_append_text(out, "&gt;");
		else if (!r && *text)
			r = buffer_append_format(out, "&#%d;", *text);
		if (r || !*text)
			return r;
	}
	return 0;
}

/* What stands between two pairs of braces. */
struct tag {
	char sigil; /* '{', '#', '^', '/', or 0 */
	char name[TEMPLATE_NAME_SIZE];
	const char *end; /* behind the closing braces */
};

/* A rendering under way: what is left of the template. */
struct rendering {
	const char *at, *end;
	enum template_form form;
	const struct template_data *data;
	struct buffer *out;
	struct error *err;
	char skipped[TEMPLATE_NAME_SIZE]; /* the section left out, or "" */
};

static int broken(struct rendering *r, const char *at)
{
	int rest = r->end - at > 40 ? 40 : (int)(r->end - at);
	error_set(r->err, ERR_INVALID, "template broken at: %.*s", rest, at);
	return ERR_INVALID;
}

/* Reads the tag whose opening braces are at at. */
static int read_tag(struct rendering *r, const char *at, struct tag *tag)
{
	const char *name = at + 2;
	tag->sigil = 0;
	if (name < r->end && strchr("{#^/", *name) && *name)
		tag->sigil = *name++;
	size_t length = 0;
	while (name + length < r->end && name[length] != '}')
		length++;
	const char *closing = tag->sigil == '{' ? "}}}" : "}}";
	size_t closing_length = strlen(closing);
	if (length == 0 || length >= sizeof(tag->name) ||
	    (size_t)(r->end - name) < length + closing_length ||
	    memcmp(name + length, closing, closing_length) != 0)
		return broken(r, at);
	memcpy(tag->name, name, length);
	tag->name[length] = '\0';
	tag->end = name + length + closing_length;
	return 0;
}

static const char *find_value(const struct template_data *data,
                              const char *name)
{
	const struct template_value *v = data->values;
	for (; v && v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v->value ? v->value : "";
	return NULL;
}

static int put(struct rendering *r, const char *value, bool escape)
{
	int rc = escape ? template_escape(value, r->out)
	                : buffer_append_text(r->out, value);
	return rc ? error_set(r->err, rc, "the page grows too large") : 0;
}

/* Fills the placeholders of a text, then puts the whole like a value. */
static int put_text(struct rendering *r, const char *text, bool escape)
{
	struct template_data data = {.values = r->data->values};
	struct buffer filled;
	buffer_init(&filled, TEXT_MAXIMUM);
	int rc = template_render(text, strlen(text), TEMPLATE_TEXT, &data,
	                         &filled, r->err);
	if (!rc)
		rc = put(r, buffer_text(&filled), escape);
	buffer_release(&filled);
	return rc;
}

static int put_name(struct rendering *r, const struct tag *tag)
{
	bool escape = r->form == TEMPLATE_HTML && tag->sigil != '{';
	const char *value = find_value(r->data, tag->name);
	if (value)
		return put(r, value, escape);
	const char *text =
	    r->data->text ? r->data->text(r->data->context, tag->name) : NULL;
	if (text)
		return put_text(r, text, escape);
	return error_set(r->err, ERR_NOT_FOUND, "no value for {{%s}}",
	                 tag->name);
}

/* Enters or leaves a section. */
static int section(struct rendering *r, const struct tag *tag)
{
	if (tag->sigil == '/')
		return 0;
	const char *value = find_value(r->data, tag->name);
	if (!value)
		return error_set(r->err, ERR_NOT_FOUND,
		                 "no value for the section %s", tag->name);
	if ((*value != '\0') != (tag->sigil == '#'))
		memcpy(r->skipped, tag->name, sizeof(r->skipped));
	return 0;
}

static int take_tag(struct rendering *r, const struct tag *tag)
{
	if (r->skipped[0]) {
		if (tag->sigil == '/' && strcmp(tag->name, r->skipped) == 0)
			r->skipped[0] = '\0';
		return 0;
	}
	if (tag->sigil == 0 || tag->sigil == '{')
		return put_name(r, tag);
	return section(r, tag);
}

/* Appends what stands before the next tag; sets at on it, or on the end. */
static int take_plain(struct rendering *r)
{
	size_t size = (size_t)(r->end - r->at);
	const char *tag = memmem(r->at, size, "{{", 2);
	size_t plain = tag ? (size_t)(tag - r->at) : size;
	const char *bytes = r->at;
	r->at += plain;
	if (r->skipped[0] || plain == 0)
		return 0;
	int rc = buffer_append(r->out, bytes, plain);
	return rc ? error_set(r->err, rc, "the page grows too large") : 0;
}

int template_render(const char *template_bytes, size_t size,
                    enum template_form form, const struct template_data *data,
                    struct buffer *out, struct error *err)
{
	struct rendering r = {.at = template_bytes,
	                      .end = template_bytes + size,
	                      .form = form,
	                      .data = data,
	                      .out = out,
	                      .err = err};
	for (;;) {
		struct tag tag;
		int rc = take_plain(&r);
		if (rc || r.at == r.end)
			return rc ? rc : r.skipped[0] ? broken(&r, r.at) : 0;
		rc = read_tag(&r, r.at, &tag);
		if (!rc)
			rc = take_tag(&r, &tag);
		if (rc)
			return rc;
		r.at = tag.end;
	}
}
