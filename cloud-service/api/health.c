/* What operators and load balancers ask, and the API's own description. */
#include "cloud-service/api/api.h"

#include <string.h>

#include "cloud-service/mail/worker.h"
#include "cloud-service/api/readiness.h"
#include "cloud-service/api/totals.h"

/* clang-format off */
__asm__(".pushsection .rodata\n"
	".global turing_openapi\n"
	"turing_openapi:\n"
	".incbin \"docs/openapi.yaml\"\n"
	"1:\n"
	".balign 8\n"
	".global turing_openapi_size\n"
	"turing_openapi_size:\n"
	".quad 1b - turing_openapi\n"
	".popsection\n");
/* clang-format on */
extern const char turing_openapi[];
extern const uint64_t turing_openapi_size;

void api_health_get(struct http_request *request, void *context)
{
	(void)context;
	http_reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

void api_ready_get(struct http_request *request, void *context)
{
	struct cloud *cloud = context;
	const char *fault = readiness_fault(cloud->readiness);
	const char *note =
	    cloud->mail_worker ? mail_worker_fault(cloud->mail_worker) : NULL;

	/* No line in the log: load balancers ask all the time. */
	if (fault)
		http_reply_problem(request, 503, "not-ready", "%s", fault);
	else
		http_reply_json(
		    request, 200,
		    json_pack("{s:s, s:s*}", "status", "ready", "note", note));
}

void api_metrics_get(struct http_request *request, void *context)
{
	struct cloud *cloud = context;

	http_metrics_handler(request, context);
	totals_renew(cloud->totals);
}

void api_robots_get(struct http_request *request, void *context)
{
	static const char text[] = "User-agent: *\nDisallow: /\n";

	(void)context;
	http_reply(request, 200, "text/plain", text, sizeof(text) - 1);
}

void api_openapi_get(struct http_request *request, void *context)
{
	(void)context;
	http_reply(request, 200, "application/yaml", turing_openapi,
	           (size_t)turing_openapi_size);
}
