/* What a handler reads from its request: query, headers, cookies, body. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/http/server-private.h"
#include "common/mem.h"

#define JSON_DEPTH_MAXIMUM 32

const char *http_parameter(const struct http_request *request, const char *name)
{
	const struct http_pair *pair;

	for (pair = request->parameters; pair; pair = pair->next)
		if (!strcmp(pair->name, name))
			return pair->value;
	return NULL;
}

/* Whether length bytes of text, decoded as in a form, are name. */
static bool is_name(const char *text, size_t length, const char *name)
{
	char *decoded = http_decode(text, length, true);
	bool is = decoded && !strcmp(decoded, name);

	free(decoded);
	return is;
}

/*
 * Finds name in "a=b&c=d" of length bytes: how often it is there, and where
 * its first value is.
 */
static unsigned find_field(const char *text, size_t length, const char *name,
                           const char **value, size_t *value_length)
{
	const char *end = text + length, *next, *equals;
	unsigned count = 0;

	for (; text < end; text = next + 1) {
		next = memchr(text, '&', (size_t)(end - text));
		if (!next)
			next = end;
		equals = memchr(text, '=', (size_t)(next - text));
		if (!equals)
			equals = next;
		if (!is_name(text, (size_t)(equals - text), name))
			continue;
		if (count++ == 0) {
			*value = equals < next ? equals + 1 : next;
			*value_length = (size_t)(next - *value);
		}
	}
	return count;
}

/* Decodes a value and keeps it for as long as the request lives. */
static const char *keep_decoded(const struct http_request *request,
                                const char *name, const char *value,
                                size_t length)
{
	/* A cache within: the request stays the same to its reader. */
	struct http_request *owner = (struct http_request *)(uintptr_t)request;
	char *decoded = http_decode(value, length, true);
	const char *kept = NULL;

	if (decoded)
		kept = http_pair_add(&owner->decoded, name, decoded)->value;
	free(decoded);
	return kept;
}

const char *http_query(const struct http_request *request, const char *name)
{
	const char *value;
	size_t length;

	if (!request->query ||
	    !find_field(request->query, strlen(request->query), name, &value,
	                &length))
		return NULL;
	return keep_decoded(request, name, value, length);
}

int http_query_integer(const struct http_request *request, const char *name,
                       int64_t standard, int64_t minimum, int64_t maximum,
                       int64_t *value, struct error *err)
{
	const char *text = http_query(request, name), *raw;
	long long number;
	size_t length;
	char *rest;

	/* A value that cannot be decoded is no number, and not absent. */
	if (!text && request->query &&
	    find_field(request->query, strlen(request->query), name, &raw,
	               &length))
		text = "";
	if (!text) {
		*value = standard;
		return 0;
	}
	errno = 0;
	number = strtoll(text, &rest, 10);
	if (errno || rest == text || *rest || *text == '+' || *text <= ' ' ||
	    number < minimum || number > maximum)
		return error_set(err, ERR_INVALID,
		                 "%s must be a whole number from %" PRId64
		                 " to %" PRId64,
		                 name, minimum, maximum);
	*value = number;
	return 0;
}

const char *http_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
	                                   name);
}

const char *http_cookie(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND,
	                                   name);
}

const char *http_method(const struct http_request *request)
{
	return request->method;
}

const char *http_path(const struct http_request *request)
{
	return request->target;
}

const char *http_body(const struct http_request *request, size_t *size)
{
	*size = request->body.length;
	return buffer_text(&request->body);
}

/* Whether the body says it is of this media type, whatever its parameters. */
static bool has_type(const struct http_request *request, const char *type)
{
	const char *text = http_header(request, "Content-Type");
	size_t length = strlen(type);

	return text && !strncasecmp(text, type, length) &&
	       strchr("; \t", text[length]) != NULL;
}

/* Whether objects and arrays are nested deeper than any request of ours. */
static bool is_too_deep(const char *text, size_t size)
{
	unsigned depth = 0;
	bool quoted = false;
	size_t i;

	for (i = 0; i < size; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text[i] == '{' || text[i] == '['))
			depth++;
		else if (!quoted && depth && (text[i] == '}' || text[i] == ']'))
			depth--;
		if (depth > JSON_DEPTH_MAXIMUM)
			return true;
	}
	return false;
}

json_t *http_body_json(struct http_request *request)
{
	json_error_t fault;
	json_t *body = NULL;
	size_t size;
	const char *text = http_body(request, &size);

	if (!has_type(request, "application/json"))
		http_reply_problem(request, 415, "not-json",
		                   "The body must be application/json.");
	else if (is_too_deep(text, size))
		http_reply_problem(request, 400, "malformed-json",
		                   "The body is nested too deep.");
	else if (!(body =
	               json_loadb(text, size, JSON_REJECT_DUPLICATES, &fault)))
		http_reply_problem(request, 400, "malformed-json",
		                   "Line %d, column %d: %s", fault.line,
		                   fault.column, fault.text);
	return body;
}

const char *http_form(const struct http_request *request, const char *name)
{
	const char *value;
	size_t length;

	if (!has_type(request, "application/x-www-form-urlencoded") ||
	    find_field(buffer_text(&request->body), request->body.length, name,
	               &value, &length) != 1)
		return NULL;
	return keep_decoded(request, name, value, length);
}

const char *http_client_address(const struct http_request *request)
{
	return request->client_address;
}

void http_set_owner(struct http_request *request, const char *owner)
{
	free(request->owner);
	request->owner = mem_copy_string(owner);
}

const char *http_request_id(const struct http_request *request)
{
	return request->id;
}

int64_t http_request_start_ms(const struct http_request *request)
{
	return request->start_ms;
}

struct http_server *http_request_server(const struct http_request *request)
{
	return request->server;
}
