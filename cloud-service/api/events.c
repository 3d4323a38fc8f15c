/* POST /v1/agent/events: what became of messages at the agent. */
#include "cloud-service/api/api.h"

#include <string.h>

#include "cloud-service/api/call.h"
#include "cloud-service/api/json.h"
#include "cloud-service/cloud-metrics.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/address.h"

#define MAXIMUM_DETAIL 500

/* One event, checked. */
struct event {
	struct id message;
	char recipient[MAIL_ADDRESS_SIZE]; /* "" for what is no address */
	const char *name;
	char *detail;
	int64_t at_ms;
};

static const struct {
	const char *name;
	enum registry_state state;
} states[] = {
    {"delivered", REGISTRY_DELIVERED}, {"failed", REGISTRY_FAILED},
    {"expired", REGISTRY_EXPIRED},     {"discarded", REGISTRY_DISCARDED},
    {"released", REGISTRY_RELEASED},
};

/* The event's state, or -1 for an unknown word. */
static int state_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (!strcmp(states[i].name, name))
			return (int)states[i].state;
	return -1;
}

/* 0, or ERR_INVALID with a text that names the event and the field. */
static int read_event(const json_t *item, size_t index, struct event *event,
                      struct error *err)
{
	struct error why = {0};
	const char *recipient;
	int result;

	memset(event, 0, sizeof(*event));
	event->name = "";
	if (!json_is_object(item))
		return error_set(err, ERR_INVALID, "events[%zu]: not an object",
		                 index);
	result = json_field_id(item, "message", &event->message, &why);
	if (!result)
		result = json_field_text(item, "recipient", 320, true,
		                         &recipient, &why);
	if (!result && (!mail_address_valid(recipient, true) ||
	                mail_address_fold(recipient, event->recipient)))
		event->recipient[0] = '\0';
	if (!result)
		result = json_field_text(item, "event", 32, true, &event->name,
		                         &why);
	if (!result)
		result = json_field_time(item, "at", &event->at_ms, &why);
	if (!result)
		result = json_field_shown(item, "detail", MAXIMUM_DETAIL,
		                          &event->detail, &why);
	return result ? error_set(err, ERR_INVALID, "events[%zu].%.400s", index,
	                          why.text)
	              : 0;
}

/* The agent's admin released it: the cloud's copy follows. */
static int release(struct cloud *cloud, const struct api_caller *caller,
                   struct event *event, struct error *err)
{
	char by[] = "agent-admin";
	struct registry_decision decision = {.message = event->message,
	                                     .recipient = event->recipient,
	                                     .verdict = REGISTRY_RELEASE,
	                                     .by = by,
	                                     .why = event->detail,
	                                     .decided_ms = event->at_ms};
	int result =
	    registry_decide(cloud->registry, &caller->tenant, &decision, err);

	if (!result)
		count_decision(REGISTRY_RELEASE, by);
	return result;
}

/* The word of the answer, or NULL when the store failed. */
static const char *apply(struct cloud *cloud, const struct api_caller *caller,
                         struct event *event, struct error *err)
{
	int state = state_of(event->name);
	char text[ID_TEXT_SIZE];
	int result;

	/* One event that is not understood must not hold up the others. */
	if (state < 0)
		return "ignored";
	if (!*event->recipient)
		return "unknown";
	if (state == REGISTRY_RELEASED)
		result = release(cloud, caller, event, err);
	else
		result = registry_message_event(
		    cloud->registry, &caller->tenant, &event->message,
		    event->recipient, (enum registry_state)state, event->at_ms,
		    event->detail, err);
	if (result && result != ERR_CONFLICT && result != ERR_NOT_FOUND)
		return NULL;
	log_info(id_format(&event->message, text), "%s for %s at agent %s%s",
	         event->name, event->recipient, caller->agent,
	         result ? ", ignored" : "");
	if (result)
		return result == ERR_CONFLICT ? "ignored" : "unknown";
	return "ok";
}

/* An event that cannot be read is refused by itself. 0, or an error of the
 * store. */
static int run_event(struct cloud *cloud, const struct api_caller *caller,
                     const json_t *item, size_t index, json_t *results,
                     struct error *err)
{
	struct event event;
	struct error why = {0};
	const char *word = "refused";
	json_t *told = json_object();

	if (read_event(item, index, &event, &why)) {
		log_warning(caller->agent, "%s", why.text);
		json_object_set_new(told, "error", json_string(why.text));
	} else {
		word = apply(cloud, caller, &event, err);
	}
	free(event.detail);
	if (!word) {
		json_decref(told);
		return ERR_UNAVAILABLE;
	}
	count_event(word);
	json_object_set_new(told, "status", json_string(word));
	json_array_append_new(results, told);
	return 0;
}

static void run_events(struct http_request *request, struct cloud *cloud,
                       const struct api_caller *caller, const json_t *array)
{
	json_t *results = json_array();
	struct error err = {0};
	size_t i;
	int result = 0;

	for (i = 0; i < json_array_size(array) && !result; i++)
		result = run_event(cloud, caller, json_array_get(array, i), i,
		                   results, &err);
	if (!result) {
		http_reply_json(request, 200,
		                json_pack("{s:o}", "results", results));
		return;
	}
	json_decref(results);
	api_reply_unavailable(request, &err);
}

void api_events_post(struct http_request *request, void *context)
{
	struct cloud *cloud = context;
	struct api_caller caller;
	const json_t *array;
	json_t *body = api_post_begin(request, cloud, "events",
	                              API_MAXIMUM_EVENTS, &caller, &array);

	if (!body)
		return;
	run_events(request, cloud, &caller, array);
	json_decref(body);
}
