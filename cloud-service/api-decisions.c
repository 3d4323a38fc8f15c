/* GET /v1/agent/decisions: the log of a tenant's decisions, by long-poll. */
#include "cloud-service/api.h"

#include "cloud-service/api-auth.h"
#include "cloud-service/watcher.h"
#include "common/clock.h"

/* What the query asks for. */
struct question {
	int64_t after, wait_s, limit;
};

static int read_question(struct http_request *request,
                         struct question *question, struct error *err)
{
	int result;

	result = http_query_integer(request, "after", 0, 0, INT64_MAX,
	                            &question->after, err);
	if (!result)
		result = http_query_integer(request, "wait", 0, 0,
		                            API_MAXIMUM_WAIT_S,
		                            &question->wait_s, err);
	if (!result)
		result =
		    http_query_integer(request, "limit", 100, 1,
		                       API_MAXIMUM_PAGE, &question->limit, err);
	return result;
}

static json_t *decision_json(const struct registry_decision *decision)
{
	char message[ID_TEXT_SIZE], time[CLOCK_TEXT_SIZE];

	return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s}", "sequence",
	                 (json_int_t)decision->sequence, "message",
	                 id_format(&decision->message, message), "recipient",
	                 decision->recipient, "verdict",
	                 registry_verdict_name(decision->verdict), "by",
	                 decision->by, "why", decision->why, "decided_at",
	                 clock_format_rfc3339(decision->decided_ms, time));
}

static json_t *page_json(const struct registry_decisions *page)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < page->count; i++)
		json_array_append_new(array,
		                      decision_json(&page->decisions[i]));
	return json_pack("{s:o,s:b,s:I}", "decisions", array, "more",
	                 (int)page->more, "last",
	                 (json_int_t)page->decisions[page->count - 1].sequence);
}

static void wait_or_end(struct http_request *request,
                        const struct api_caller *caller,
                        const struct question *question, uint64_t ticket)
{
	if (question->wait_s == 0 || http_wait_over(request))
		http_reply_empty(request);
	else
		http_wait(request, caller->tenant_text, ticket,
		          http_request_start_ms(request) +
		              question->wait_s * 1000);
}

void api_decisions_get(struct http_request *request, void *context)
{
	struct cloud *cloud = context;
	struct registry_decisions page = {0};
	struct api_caller caller;
	struct question question;
	struct error err = {0};
	uint64_t ticket;

	if (!api_authenticate(request, cloud, &caller))
		return;
	if (read_question(request, &question, &err)) {
		http_reply_problem(request, 400, "invalid-field", "%s",
		                   err.text);
		return;
	}
	if (cloud->watcher)
		watcher_follow(cloud->watcher, &caller.tenant);
	ticket = http_wait_ticket(http_request_server(request));
	if (registry_decision_list(cloud->registry, &caller.tenant,
	                           question.after, (size_t)question.limit,
	                           &page, &err)) {
		api_reply_unavailable(request, &err);
		return;
	}
	if (page.count > 0)
		http_reply_json(request, 200, page_json(&page));
	else
		wait_or_end(request, &caller, &question, ticket);
	registry_decisions_release(&page);
}
