/* Finds the row of the route table that serves a request. */
#include <stdlib.h>
#include <string.h>

#include "common/http/server-private.h"
#include "common/mem.h"

/* Compares one part of the pattern with one of the path. */
static bool match_part(struct http_pair **parameters, const char *pattern,
                       size_t pattern_size, const char *path, size_t path_size)
{
	char *value = http_decode(path, path_size, false), *name;
	bool matches;

	if (!value)
		return false;
	if (pattern_size > 2 && pattern[0] == '{') {
		matches = *value != '\0';
		name = mem_copy_bytes(pattern + 1, pattern_size - 2);
		if (matches)
			(void)http_pair_add(parameters, name, value);
		free(name);
	} else {
		matches = strlen(value) == pattern_size &&
		          !memcmp(value, pattern, pattern_size);
	}
	free(value);
	return matches;
}

/* Compares part by part; the parameters found are the caller's to free. */
static bool match_path(const char *pattern, const char *path,
                       struct http_pair **parameters)
{
	while (*pattern == '/' && *path == '/') {
		size_t pattern_size = strcspn(++pattern, "/");
		size_t path_size = strcspn(++path, "/");

		if (!match_part(parameters, pattern, pattern_size, path,
		                path_size))
			return false;
		pattern += pattern_size;
		path += path_size;
	}
	return !*pattern && !*path;
}

/* Whether a route for wanted serves method. */
static bool serves(const char *wanted, const char *method)
{
	return !strcmp(wanted, method) ||
	       (!strcmp(wanted, "GET") && !strcmp(method, "HEAD"));
}

static void add_allowed(struct buffer *allowed, const char *method)
{
	if (allowed->length)
		(void)buffer_append_text(allowed, ", ");
	(void)buffer_append_text(allowed, method);
	if (!strcmp(method, "GET"))
		(void)buffer_append_text(allowed, ", HEAD");
}

unsigned http_find_route(struct http_request *request, const char *method,
                         char **allow)
{
	const struct http_route *route;
	struct buffer allowed;

	buffer_init(&allowed, 256);
	for (route = request->server->routes; route->method; route++) {
		http_pairs_free(&request->parameters);
		if (!match_path(route->pattern, request->target,
		                &request->parameters))
			continue;
		if (serves(route->method, method)) {
			request->route = route;
			request->method = route->method;
			buffer_release(&allowed);
			return 0;
		}
		add_allowed(&allowed, route->method);
	}
	http_pairs_free(&request->parameters);
	if (!allowed.length)
		return 404;
	*allow = buffer_take(&allowed);
	return 405;
}
