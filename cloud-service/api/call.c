/* The beginnings that the calls of agents share, and their long-polls. */
#include "cloud-service/api/call.h"

#include "cloud-service/api/json.h"
#include "cloud-service/api/api.h"
#include "cloud-service/jobs/watcher.h"

void api_reply_invalid(struct http_request *request, const struct error *err)
{
	http_reply_problem(request, 400, "invalid-field", "%s", err->text);
}

json_t *api_post_begin(struct http_request *request, struct cloud *cloud,
                       const char *name, size_t maximum,
                       struct api_caller *caller, const json_t **array)
{
	struct error err = {0};
	json_t *body;

	if (!api_authenticate(request, cloud, caller))
		return NULL;
	body = http_body_json(request);
	if (!body || !json_field_array(body, name, maximum, array, &err))
		return body;
	api_reply_invalid(request, &err);
	json_decref(body);
	return NULL;
}

static int read_query(struct api_poll *poll, int64_t limit, struct error *err)
{
	int result = http_query_integer(poll->request, "wait", 0, 0,
	                                API_MAXIMUM_WAIT_S, &poll->wait_s, err);

	if (!result)
		result =
		    http_query_integer(poll->request, "limit", limit, 1,
		                       API_MAXIMUM_PAGE, &poll->limit, err);
	return result;
}

bool api_poll_begin(struct api_poll *poll, struct http_request *request,
                    struct cloud *cloud, int64_t limit)
{
	struct error err = {0};

	poll->request = request;
	if (!api_authenticate(request, cloud, &poll->caller))
		return false;
	if (read_query(poll, limit, &err)) {
		api_reply_invalid(request, &err);
		return false;
	}
	if (cloud->watcher)
		watcher_follow(cloud->watcher, &poll->caller.tenant);
	poll->ticket = http_wait_ticket(http_request_server(request),
	                                poll->caller.tenant_text);
	return true;
}

void api_poll_wait(const struct api_poll *poll, const struct cloud *cloud)
{
	const struct api_caller *caller = &poll->caller;

	if (poll->wait_s == 0 || http_wait_over(poll->request)) {
		http_reply_empty(poll->request);
	} else if (http_wait_share(poll->request, caller->tenant_text,
	                           caller->prefix,
	                           (size_t)cloud->config->polls_per_key)) {
		http_wait(poll->request, caller->tenant_text, poll->ticket,
		          http_request_start_ms(poll->request) +
		              poll->wait_s * 1000);
	} else {
		http_add_header(poll->request, "Retry-After", "10");
		http_reply_problem(poll->request, 429, "too-many-polls",
		                   "%lld requests with this key wait already",
		                   (long long)cloud->config->polls_per_key);
	}
}
