/* A cloud that answers as its test says; honest unless told otherwise. */
#ifndef TESTS_UNIT_LOCAL_AGENT_FAKE_CLOUD_H
#define TESTS_UNIT_LOCAL_AGENT_FAKE_CLOUD_H

#include "common/http/server.h"
#include "tests/unit/local-agent/lab.h"

struct fake_cloud;

/* Makes an answer for the request's body and query; NULL: no body. */
typedef json_t *(*fake_answer)(struct fake_cloud *cloud,
                               struct http_request *request, json_t *body,
                               unsigned *status);

struct fake_cloud {
	struct http_server *server;
	uint16_t port;
	pthread_mutex_t lock;
	/* Set before it is started, or under the lock. */
	fake_answer messages, decisions, policy, events;
	http_handler on_events; /* in place of all that; NULL: none */
	void *context;
	_Atomic unsigned asked[4]; /* as the answers above */
	_Atomic unsigned items;    /* messages or events in all requests */
	_Atomic unsigned largest;  /* of them in one request */
};

enum { FAKE_MESSAGES, FAKE_DECISIONS, FAKE_POLICY, FAKE_EVENTS };

static inline void fake_count(struct fake_cloud *cloud, const json_t *body,
                              const char *name)
{
	unsigned count = (unsigned)json_array_size(json_object_get(body, name));

	atomic_fetch_add(&cloud->items, count);
	if (count > atomic_load(&cloud->largest))
		atomic_store(&cloud->largest, count);
}

static inline void fake_serve(struct http_request *request, void *context,
                              int which, fake_answer answer)
{
	struct fake_cloud *cloud = context;
	unsigned status = 204;
	json_t *body = NULL, *result = NULL;

	if (which == FAKE_MESSAGES || which == FAKE_EVENTS) {
		body = http_body_json(request);
		ck_assert_ptr_nonnull(body);
		fake_count(cloud, body,
		           which == FAKE_EVENTS ? "events" : "messages");
	}
	(void)pthread_mutex_lock(&cloud->lock);
	atomic_fetch_add(&cloud->asked[which], 1);
	if (answer)
		result = answer(cloud, request, body, &status);
	(void)pthread_mutex_unlock(&cloud->lock);
	json_decref(body);
	if (result)
		http_reply_json(request, status, result);
	else
		http_reply(request, status, "application/json", "", 0);
}

/* What an honest cloud says of messages: all registered, all held. */
static inline json_t *fake_register(struct fake_cloud *cloud,
                                    struct http_request *request, json_t *body,
                                    unsigned *status)
{
	json_t *results = json_array(), *message;
	size_t i;

	(void)cloud;
	(void)request;
	*status = 200;
	json_array_foreach(json_object_get(body, "messages"), i, message)
	    json_array_append_new(
	        results, json_pack("{s:O, s:s, s:[]}", "id",
	                           json_object_get(message, "id"), "status",
	                           "registered", "recipients"));
	return json_pack("{s:o}", "results", results);
}

static inline json_t *fake_note(struct fake_cloud *cloud,
                                struct http_request *request, json_t *body,
                                unsigned *status)
{
	json_t *results = json_array();
	size_t i;

	(void)cloud;
	(void)request;
	*status = 200;
	for (i = 0; i < json_array_size(json_object_get(body, "events")); i++)
		json_array_append_new(results,
		                      json_pack("{s:s}", "status", "ok"));
	return json_pack("{s:o}", "results", results);
}

static inline void fake_on_messages(struct http_request *request, void *context)
{
	struct fake_cloud *cloud = context;

	fake_serve(request, context, FAKE_MESSAGES,
	           cloud->messages ? cloud->messages : fake_register);
}

static inline void fake_on_decisions(struct http_request *request,
                                     void *context)
{
	struct fake_cloud *cloud = context;

	fake_serve(request, context, FAKE_DECISIONS, cloud->decisions);
}

static inline void fake_on_policy(struct http_request *request, void *context)
{
	struct fake_cloud *cloud = context;

	fake_serve(request, context, FAKE_POLICY, cloud->policy);
}

static inline void fake_on_events(struct http_request *request, void *context)
{
	struct fake_cloud *cloud = context;

	fake_serve(request, context, FAKE_EVENTS,
	           cloud->events ? cloud->events : fake_note);
}

static inline void fake_route_events(struct http_request *request,
                                     void *context)
{
	struct fake_cloud *cloud = context;

	(cloud->on_events ? cloud->on_events : fake_on_events)(request,
	                                                       context);
}

/* Starts it; the answers were set before. */
static inline void fake_start(struct fake_cloud *cloud)
{
	static const struct http_route routes[] = {
	    {"POST", "/v1/agent/messages", fake_on_messages, 8U << 20,
	     HTTP_DIRECT},
	    {"GET", "/v1/agent/decisions", fake_on_decisions, 0, HTTP_DIRECT},
	    {"GET", "/v1/agent/policy", fake_on_policy, 0, HTTP_DIRECT},
	    {"POST", "/v1/agent/events", fake_route_events, 8U << 20,
	     HTTP_DIRECT},
	    {NULL, NULL, NULL, 0, HTTP_DIRECT},
	};
	struct http_server_options options = {
	    .address = "127.0.0.1",
	    .port = cloud->port,
	    .threads = 1,
	    .maximum_connections = 50,
	    .idle_timeout_ms = 5000,
	    .routes = routes,
	    .context = cloud,
	    .log_id = "fake",
	};
	struct error err = {.text = ""};

	(void)pthread_mutex_init(&cloud->lock, NULL);
	ck_assert_msg(http_server_start(&cloud->server, &options, &err) == 0,
	              "%s", err.text);
	cloud->port = http_server_port(cloud->server);
}

static inline void fake_stop(struct fake_cloud *cloud)
{
	http_server_stop(cloud->server);
	cloud->server = NULL;
}

/* How often it was asked. */
static inline unsigned fake_asked(struct fake_cloud *cloud, int which)
{
	return atomic_load(&cloud->asked[which]);
}

#endif
