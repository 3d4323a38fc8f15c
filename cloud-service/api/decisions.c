/* GET /v1/agent/decisions: the log of a tenant's decisions, by long-poll. */
#include "cloud-service/api/api.h"

#include "cloud-service/api/call.h"
#include "common/clock.h"

#define STANDARD_LIMIT 100

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

void api_decisions_get(struct http_request *request, void *context)
{
	struct cloud *cloud = context;
	struct registry_decisions page = {0};
	struct error err = {0};
	struct api_poll poll;
	int64_t after;

	if (!api_poll_begin(&poll, request, cloud, STANDARD_LIMIT))
		return;
	if (http_query_integer(request, "after", 0, 0, INT64_MAX, &after,
	                       &err)) {
		api_reply_invalid(request, &err);
		return;
	}
	if (registry_decision_list(cloud->registry, &poll.caller.tenant, after,
	                           (size_t)poll.limit, &page, &err)) {
		api_reply_unavailable(request, &err);
		return;
	}
	if (page.count > 0)
		http_reply_json(request, 200, page_json(&page));
	else
		api_poll_wait(&poll, cloud);
	registry_decisions_release(&page);
}
