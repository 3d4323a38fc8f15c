/* The HTTP interface: its route table and the handlers behind it. */
#ifndef CLOUD_API_H
#define CLOUD_API_H

#include "cloud-service/cloud.h"

#define API_MAXIMUM_MESSAGES    500
#define API_MAXIMUM_EVENTS      1000
#define API_MAXIMUM_RECIPIENTS  1000
#define API_MAXIMUM_WAIT_S      60
#define API_MAXIMUM_PAGE        1000
#define API_MAXIMUM_BODY        ((size_t)8 * 1024 * 1024)
#define API_MAXIMUM_EVENTS_BODY ((size_t)2 * 1024 * 1024)

/* The table of all routes; every handler's context is the struct cloud. */
const struct http_route *api_routes(void);

/* Answers 503 and logs, for a store that failed; err is not shown. */
void api_reply_unavailable(struct http_request *request,
                           const struct error *err);

/* POST /v1/agent/messages */
void api_messages_post(struct http_request *request, void *context);
/* GET /v1/agent/decisions */
void api_decisions_get(struct http_request *request, void *context);
/* GET /v1/agent/policy */
void api_policy_get(struct http_request *request, void *context);
/* POST /v1/agent/events */
void api_events_post(struct http_request *request, void *context);
/* GET /healthz: the process is alive. */
void api_health_get(struct http_request *request, void *context);
/* GET /readyz: the registry answers, and this instance is not draining. */
void api_ready_get(struct http_request *request, void *context);
/* GET /metrics */
void api_metrics_get(struct http_request *request, void *context);
/* GET /robots.txt: nothing here is for search engines. */
void api_robots_get(struct http_request *request, void *context);
/* GET /openapi.yaml */
void api_openapi_get(struct http_request *request, void *context);

#endif
