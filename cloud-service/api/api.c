/* The route table of the cloud. */
#include "cloud-service/api/api.h"

#include "cloud-service/challenge/page.h"
#include "common/log.h"

static const struct http_route routes[] = {
    {"POST", "/v1/agent/messages", api_messages_post, API_MAXIMUM_BODY,
     HTTP_DEFERRED},
    {"GET", "/v1/agent/decisions", api_decisions_get, 0, HTTP_DEFERRED},
    {"GET", "/v1/agent/policy", api_policy_get, 0, HTTP_DEFERRED},
    {"POST", "/v1/agent/events", api_events_post, API_MAXIMUM_EVENTS_BODY,
     HTTP_DEFERRED},
    {"GET", "/", challenge_page_about, 0, HTTP_DIRECT},
    {"GET", "/robots.txt", api_robots_get, 0, HTTP_DIRECT},
    {"GET", "/c/{token}", challenge_page_get, 0, HTTP_DEFERRED},
    {"POST", "/c/{token}", challenge_page_post, CHALLENGE_PAGE_MAXIMUM_BODY,
     HTTP_DEFERRED},
    {"GET", "/c/{token}/image.png", challenge_page_image, 0, HTTP_DEFERRED},
    {"GET", "/healthz", api_health_get, 0, HTTP_DIRECT},
    {"GET", "/readyz", api_ready_get, 0, HTTP_DIRECT},
    {"GET", "/metrics", api_metrics_get, 0, HTTP_DIRECT},
    {"GET", "/openapi.yaml", api_openapi_get, 0, HTTP_DIRECT},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

const struct http_route *api_routes(void)
{
	return routes;
}

void api_reply_unavailable(struct http_request *request,
                           const struct error *err)
{
	log_error(http_request_id(request), "%s %s: %s", http_method(request),
	          http_path(request), err->text);
	http_add_header(request, "Retry-After", "5");
	http_reply_problem(request, 503, "unavailable",
	                   "the registry cannot be reached now");
}
