/* The life of one request, from its first line to the end of its answer. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/http/server-private.h"
#include "common/mem.h"

/* A body that is too large is read up to this for the sake of the answer. */
#define DISCARD_MAXIMUM (1 << 20)
/* All bodies that are in memory at one time. */
#define BODIES_MAXIMUM (256 << 20)

void *http_request_begin(void *server, const char *target,
                         struct MHD_Connection *connection)
{
	struct http_request *request = mem_alloc(sizeof(*request));
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	uint8_t id[8];

	request->server = server;
	request->connection = connection;
	request->peer = info->socket_context;
	request->target = mem_copy_string(target);
	request->start_ms = clock_monotonic_ms();
	random_bytes(id, sizeof(id));
	(void)hex_encode(id, sizeof(id), request->id);
	return request;
}

/* Counts a request whose handler is about to run. */
static void count_active(struct http_server *server, bool begins)
{
	(void)pthread_mutex_lock(&server->active_lock);
	if (begins)
		server->active++;
	else
		server->active--;
	(void)pthread_cond_broadcast(&server->active_changed);
	(void)pthread_mutex_unlock(&server->active_lock);
}

/* Gives the body's memory back. */
static void release_body(struct http_request *request)
{
	atomic_fetch_sub(&request->server->body_bytes,
	                 (int64_t)request->body.length);
	buffer_release(&request->body);
}

void http_request_end(void *server, struct MHD_Connection *connection,
                      void **context, enum MHD_RequestTerminationCode why)
{
	struct http_request *request = *context;

	(void)connection;
	(void)why;
	if (!request)
		return;
	*context = NULL;
	http_connection_allow(request->peer, 0);
	if (request->stage == HTTP_STAGE_READY)
		count_active(server, false);
	release_body(request);
	if (request->response) /* its connection ended before */
		MHD_destroy_response(request->response);
	http_pairs_free(&request->parameters);
	http_pairs_free(&request->decoded);
	http_pairs_free(&request->headers);
	free(request->early_allow);
	free(request->client_address);
	free(request->owner);
	free(request->wait_key);
	free(request->wait_owner);
	free(request->target);
	free(request);
}

/* Whether somebody else has said why the request is not for a handler. */
static bool is_explained(struct http_request *request, unsigned status)
{
	struct http_server *server = request->server;

	return server->explain &&
	       server->explain(request, status, server->context);
}

/* Says why the request is not for a handler, and ends the connection. */
static enum MHD_Result reply_early(struct http_request *request)
{
	if (request->early_status == 405)
		http_add_header(request, "Allow", request->early_allow);
	if (is_explained(request, request->early_status))
		return http_send_reply(request);
	switch (request->early_status) {
	case 404:
		http_reply_problem(request, 404, "not-found",
		                   "There is nothing at this address.");
		break;
	case 405:
		http_reply_problem(request, 405, "method-not-allowed",
		                   "This address takes %s.",
		                   request->early_allow);
		break;
	case 413:
		http_reply_problem(request, 413, "too-large",
		                   "The body may have %zu bytes at most.",
		                   request->route ? request->route->maximum_body
		                                  : 0);
		break;
	default:
		http_add_header(request, "Retry-After", "5");
		http_reply_problem(request, 503, "busy",
		                   "Too many requests at a time.");
		break;
	}
	return http_send_reply(request);
}

/*
 * Decides from the headers what becomes of the body. A short one is read even
 * where it is not wanted: an answer before it is lost when the peer, still
 * sending, meets the closed connection.
 */
static enum MHD_Result expect_body(struct http_request *request)
{
	int64_t declared = http_declared_length(request);

	if (!request->early_status && declared >= 0 &&
	    (uint64_t)declared > request->route->maximum_body)
		request->early_status = 413;
	request->must_close = request->early_status == 413;
	request->stage =
	    request->early_status ? HTTP_STAGE_DISCARD : HTTP_STAGE_BODY;
	if (request->early_status && declared > DISCARD_MAXIMUM) {
		request->must_close = true;
		return reply_early(request);
	}
	if (!request->authorised && declared != 0)
		http_connection_allow_anonymous(request->peer);
	if (request->route)
		buffer_init(&request->body, request->route->maximum_body);
	return MHD_YES;
}

/* Asks whether the request may go on, as http_authorise tells. */
static enum http_admission authorise(struct http_request *request,
                                     bool may_block)
{
	struct http_server *server = request->server;
	enum http_admission admission = HTTP_ANONYMOUS;

	if (!server->authorise)
		return admission;
	request->must_close = true; /* with the answer, if there is one */
	admission = server->authorise(request, may_block, server->context);
	if (admission == HTTP_UNDECIDED && may_block) {
		http_reply_problem(request, 500, "no-answer",
		                   "The server has no answer.");
		admission = HTTP_REFUSED;
	}
	if (admission != HTTP_REFUSED)
		request->must_close = false;
	return admission;
}

/*
 * What is refused is answered at once and its connection closed, its body
 * unread.
 */
static enum MHD_Result follow_admission(struct http_request *request)
{
	if (request->admission == HTTP_REFUSED)
		return http_send_reply(request);
	if (request->admission == HTTP_AUTHORISED) {
		request->authorised = true;
		http_connection_authorise(request->peer);
	}
	return expect_body(request);
}

/*
 * Has a worker decide where that may take long. MHD calls for the headers again
 * when the connection is resumed, and reads nothing of the body until then.
 */
static enum MHD_Result ask_admission(struct http_request *request)
{
	struct http_server *server = request->server;

	request->admission = authorise(request, !server->workers);
	if (request->admission != HTTP_UNDECIDED)
		return follow_admission(request);
	request->stage = HTTP_STAGE_ADMISSION;
	http_connection_pause(request->peer);
	if (http_defer(request))
		return MHD_YES;
	request->must_close = true;
	request->early_status = 503;
	return reply_early(request);
}

/* The admission was decided by a worker. */
static enum MHD_Result take_admission(struct http_request *request)
{
	http_connection_allow(request->peer, 0);
	return follow_admission(request);
}

/* The first call for a request: its headers are complete, no body yet. */
static enum MHD_Result look_at_headers(struct http_request *request,
                                       const char *method)
{
	const char *fault = http_check_headers(request), *broken;
	char *question;

	if (fault) {
		http_reply_and_close(request, 400, "malformed-request", fault);
		return http_send_reply(request);
	}
	broken = http_check_target(request->target);
	question = strchr(request->target, '?');
	if (question) {
		*question = '\0';
		request->query = question + 1;
	}
	request->client_address = http_find_client(request);
	if (broken) {
		request->must_close = true;
		if (!is_explained(request, 400))
			http_reply_and_close(request, 400, "malformed-request",
			                     broken);
		return http_send_reply(request);
	}
	request->early_status =
	    http_find_route(request, method, &request->early_allow);
	return request->early_status ? expect_body(request)
	                             : ask_admission(request);
}

/* One more piece of the body. False when the connection is to be cut. */
static bool take_body(struct http_request *request, const char *bytes,
                      size_t size)
{
	struct http_server *server = request->server;

	http_connection_extend(request->peer, size);
	if (request->stage == HTTP_STAGE_BODY &&
	    atomic_fetch_add(&server->body_bytes, (int64_t)size) +
	            (int64_t)size >
	        BODIES_MAXIMUM) {
		atomic_fetch_sub(&server->body_bytes, (int64_t)size);
		request->early_status = 503;
	} else if (request->stage == HTTP_STAGE_BODY &&
	           buffer_append(&request->body, bytes, size)) {
		atomic_fetch_sub(&server->body_bytes, (int64_t)size);
		request->early_status = 413;
	}
	if (request->stage == HTTP_STAGE_BODY && request->early_status) {
		release_body(request);
		request->must_close = true;
		request->stage = HTTP_STAGE_DISCARD;
	}
	if (request->stage == HTTP_STAGE_DISCARD)
		request->discarded_bytes += size;
	return request->discarded_bytes <= 2 * DISCARD_MAXIMUM;
}

static void reset_answer(struct http_request *request)
{
	struct http_server *server = request->server;

	http_pairs_free(&request->headers);
	request->outcome = HTTP_OUTCOME_NONE;
	request->wait_was_over =
	    atomic_load(&server->stopping) ||
	    (request->wait_deadline_ms &&
	     clock_monotonic_ms() >= request->wait_deadline_ms);
}

/* What comes once the server stops is for another instance. */
static void refuse_stopping(struct http_request *request)
{
	http_add_header(request, "Connection", "close");
	http_reply_problem(request, 503, "stopping", "The server stops.");
}

static void call_handler(struct http_request *request)
{
	reset_answer(request);
	request->route->handler(request, request->server->context);
	if (request->outcome == HTTP_OUTCOME_NONE)
		http_reply_problem(request, 500, "no-answer",
		                   "The server has no answer.");
}

void http_request_work(struct http_request *request)
{
	if (request->stage == HTTP_STAGE_ADMISSION) {
		request->admission = authorise(request, true);
	} else {
		call_handler(request);
		if (request->outcome == HTTP_OUTCOME_WAITING) {
			if (!http_park(request))
				http_defer_again(request);
			return;
		}
	}
	MHD_resume_connection(request->connection);
}

void http_request_turn_away(struct http_request *request)
{
	request->admission = HTTP_REFUSED;
	reset_answer(request);
	refuse_stopping(request);
	MHD_resume_connection(request->connection);
}

/* Calls the handler on this thread until it answers or is parked. */
static enum MHD_Result run_handler(struct http_request *request)
{
	do {
		call_handler(request);
		if (request->outcome == HTTP_OUTCOME_REPLIED)
			return http_send_reply(request);
	} while (!http_park(request));
	return MHD_YES;
}

/* The body is there: the request becomes active. */
static enum MHD_Result begin_handling(struct http_request *request)
{
	request->stage = HTTP_STAGE_READY;
	count_active(request->server, true);
	if (atomic_load(&request->server->stopping)) {
		refuse_stopping(request);
		return http_send_reply(request);
	}
	http_connection_pause(request->peer);
	if (request->route->place == HTTP_DIRECT)
		return run_handler(request);
	if (http_defer(request))
		return MHD_YES;
	request->early_status = 503;
	return reply_early(request);
}

enum MHD_Result http_request_continue(void *server,
                                      struct MHD_Connection *connection,
                                      const char *url, const char *method,
                                      const char *version,
                                      const char *upload_data,
                                      size_t *upload_data_size, void **context)
{
	struct http_request *request = *context;
	size_t size = *upload_data_size;

	(void)server;
	(void)connection;
	(void)url;
	(void)version;
	if (!request)
		return MHD_NO;
	if (request->stage == HTTP_STAGE_NEW)
		return look_at_headers(request, method);
	if (request->stage == HTTP_STAGE_ADMISSION)
		return take_admission(request);
	if (size) {
		*upload_data_size = 0;
		return take_body(request, upload_data, size) ? MHD_YES : MHD_NO;
	}
	switch (request->stage) {
	case HTTP_STAGE_DISCARD:
		return reply_early(request);
	case HTTP_STAGE_READY:
		/* Resumed: by a worker with its answer, or to be run again. */
		return request->route->place == HTTP_DEFERRED
		           ? http_send_reply(request)
		           : run_handler(request);
	default:
		return begin_handling(request);
	}
}
