/* The pages that operators and their monitors read. */
#include "local-agent/ops-http.h"

#include <stdlib.h>

#include "common/http/server.h"
#include "common/mem.h"

#define MAXIMUM_CONNECTIONS 64
#define IDLE_TIMEOUT_MS     10000

struct ops_http {
	struct ops_http_options options;
	struct http_server *server;
};

static void answer(struct http_request *request, bool good, const char *why)
{
	http_reply_json(request, good ? 200 : 503,
	                json_pack("{s:s}", "status", good ? "ok" : why));
}

static void get_health(struct http_request *request, void *context)
{
	const struct ops_http *ops = context;

	answer(request, ops->options.healthy(ops->options.context),
	       "the spool cannot be written");
}

static void get_ready(struct http_request *request, void *context)
{
	const struct ops_http *ops = context;
	const char *why = "not ready";
	bool ready = ops->options.ready(ops->options.context, &why);

	answer(request, ready, why);
}

static const struct http_route routes[] = {
    {"GET", "/healthz", get_health, 0, HTTP_DIRECT},
    {"GET", "/readyz", get_ready, 0, HTTP_DIRECT},
    {"GET", "/metrics", http_metrics_handler, 0, HTTP_DIRECT},
    {NULL, NULL, NULL, 0, HTTP_DIRECT},
};

int ops_http_start(struct ops_http **ops,
                   const struct ops_http_options *options, struct error *err)
{
	struct ops_http *made = mem_alloc(sizeof(*made));
	struct http_server_options server = {
	    .address = options->address,
	    .port = options->port,
	    .threads = 1,
	    .maximum_connections = MAXIMUM_CONNECTIONS,
	    .idle_timeout_ms = IDLE_TIMEOUT_MS,
	    .routes = routes,
	    .context = made,
	    .log_id = "ops",
	};
	int result;

	made->options = *options;
	result = http_server_start(&made->server, &server, err);
	if (result)
		free(made);
	else
		*ops = made;
	return result;
}

uint16_t ops_http_port(const struct ops_http *ops)
{
	return http_server_port(ops->server);
}

void ops_http_stop(struct ops_http *ops)
{
	if (!ops)
		return;
	http_server_stop(ops->server);
	free(ops);
}
