/* The answers of the HTTP server. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/http/server-private.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"

#define METRICS_MAXIMUM_BYTES (4 << 20)

void http_add_header(struct http_request *request, const char *name,
                     const char *value)
{
	(void)http_pair_add(&request->headers, name, value);
}

static bool has_header(const struct http_request *request, const char *name)
{
	const struct http_pair *pair;

	for (pair = request->headers; pair; pair = pair->next)
		if (!strcasecmp(pair->name, name))
			return true;
	return false;
}

/* MHD refuses what contains a line end; that is a bug of the handler. */
static void set_header(struct http_request *request,
                       struct MHD_Response *response, const char *name,
                       const char *value)
{
	if (MHD_add_response_header(response, name, value) != MHD_YES)
		log_error(request->id, "the header %s cannot be sent", name);
}

/* In the order in which they were added, for Set-Cookie. */
static void set_added_headers(struct http_request *request,
                              struct MHD_Response *response,
                              const struct http_pair *pair)
{
	const struct http_pair *turned[64];
	size_t count = 0;

	for (; pair && count < 64; pair = pair->next)
		turned[count++] = pair;
	while (count-- > 0)
		set_header(request, response, turned[count]->name,
		           turned[count]->value);
}

static void count_reply(unsigned status)
{
	char labels[24];

	(void)snprintf(labels, sizeof(labels), "code=\"%u\"", status);
	metric_add(metric_counter("turing_http_requests_total", labels,
	                          "Requests answered, by status."),
	           1);
}

void http_reply(struct http_request *request, unsigned status,
                const char *content_type, const void *bytes, size_t size)
{
	struct MHD_Response *response;
	static char nothing[1];

	if (request->outcome != HTTP_OUTCOME_NONE) {
		log_error(request->id, "a handler answered twice");
		return;
	}
	response = MHD_create_response_from_buffer(
	    size, size ? (void *)(uintptr_t)bytes : nothing,
	    size ? MHD_RESPMEM_MUST_COPY : MHD_RESPMEM_PERSISTENT);
	if (!response)
		abort(); /* out of memory, as in mem.h */
	if (content_type)
		set_header(request, response, "Content-Type", content_type);
	set_header(request, response, "X-Content-Type-Options", "nosniff");
	if (!has_header(request, "Cache-Control"))
		set_header(request, response, "Cache-Control", "no-store");
	if (request->must_close || (atomic_load(&request->server->draining) &&
	                            !has_header(request, "Connection")))
		set_header(request, response, "Connection", "close");
	set_added_headers(request, response, request->headers);
	request->response = response;
	request->response_size = size;
	request->status = status;
	request->outcome = HTTP_OUTCOME_REPLIED;
	count_reply(status);
	/* The pattern, not the path: paths may hold tokens. */
	log_debug(request->id, "%s %s from %s: %u, %zu bytes",
	          request->method ? request->method : "-",
	          request->route ? request->route->pattern : "-",
	          request->client_address ? request->client_address : "-",
	          status, size);
}

enum MHD_Result http_send_reply(struct http_request *request)
{
	enum MHD_Result result;

	http_connection_allow(request->peer, request->response_size);
	result = MHD_queue_response(request->connection, request->status,
	                            request->response);
	MHD_destroy_response(request->response);
	request->response = NULL;
	return result;
}

static void reply_json_as(struct http_request *request, unsigned status,
                          const char *content_type, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	json_decref(body);
	if (!text) {
		log_error(request->id, "an answer is no JSON");
		status = 500;
		content_type = NULL;
	}
	http_reply(request, status, content_type, text,
	           text ? strlen(text) : 0);
	free(text);
}

void http_reply_json(struct http_request *request, unsigned status,
                     json_t *body)
{
	reply_json_as(request, status, "application/json", body);
}

static void reply_problem(struct http_request *request, unsigned status,
                          const char *type, const char *detail)
{
	json_t *body = json_pack("{s:o, s:s, s:i, s:s}", "type",
	                         json_sprintf("urn:turing:problem:%s", type),
	                         "title", MHD_get_reason_phrase_for(status),
	                         "status", (int)status, "detail", detail);

	/* The detail may repeat what the client sent, and be no UTF-8. */
	if (!body)
		body = json_pack("{s:s, s:i}", "type", "about:blank", "status",
		                 (int)status);
	reply_json_as(request, status, "application/problem+json", body);
}

void http_reply_problem(struct http_request *request, unsigned status,
                        const char *type, const char *detail, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, detail);
	(void)vsnprintf(text, sizeof(text), detail, arguments);
	va_end(arguments);
	reply_problem(request, status, type, text);
}

void http_reply_and_close(struct http_request *request, unsigned status,
                          const char *type, const char *detail)
{
	request->must_close = true;
	reply_problem(request, status, type, detail);
}

void http_reply_empty(struct http_request *request)
{
	http_reply(request, MHD_HTTP_NO_CONTENT, NULL, NULL, 0);
}

void http_metrics_handler(struct http_request *request, void *context)
{
	struct buffer text;

	(void)context;
	buffer_init(&text, METRICS_MAXIMUM_BYTES);
	if (metrics_print(&text))
		http_reply_problem(request, 500, "too-many-metrics",
		                   "The metrics are too long to print.");
	else
		http_reply(request, 200, "text/plain; version=0.0.4", text.data,
		           text.length);
	buffer_release(&text);
}
