/* POST /v1/agent/messages: agents register the mail that they hold. */
#include "cloud-service/api/api.h"

#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/call.h"
#include "cloud-service/api/json.h"
#include "cloud-service/api/message-input.h"
#include "cloud-service/cloud-metrics.h"
#include "cloud-service/api/quota.h"
#include "cloud-service/decide/register.h"
#include "common/log.h"
#include "common/mem.h"

/* A request: what was read of each item and what came of it. */
struct batch {
	size_t count;
	struct id *ids;                    /* of every item, for the answer */
	char **errors;                     /* NULL: the item is in messages */
	struct registry_message *messages; /* those that could be read */
	enum register_status *statuses;
	json_t **refused; /* recipients of each of messages */
	size_t message_count;
	bool over_quota; /* some were; the log has the first of them */
};

static void batch_init(struct batch *batch, size_t count)
{
	memset(batch, 0, sizeof(*batch));
	batch->count = count;
	batch->ids = mem_alloc_array(count + 1, sizeof(*batch->ids));
	batch->errors = mem_alloc_array(count + 1, sizeof(*batch->errors));
	batch->messages = mem_alloc_array(count + 1, sizeof(*batch->messages));
	batch->statuses = mem_alloc_array(count + 1, sizeof(*batch->statuses));
	batch->refused = mem_alloc_array(count + 1, sizeof(json_t *));
}

static void batch_release(struct batch *batch)
{
	size_t i;

	for (i = 0; i < batch->count; i++)
		free(batch->errors[i]);
	for (i = 0; i < batch->message_count; i++) {
		registry_message_release(&batch->messages[i]);
		json_decref(batch->refused[i]);
	}
	free(batch->refused);
	free(batch->ids);
	free(batch->errors);
	free(batch->messages);
	free(batch->statuses);
}

/* An item without an id cannot be answered on its own: the request is wrong. */
static int read_ids(const json_t *array, struct batch *batch, struct error *err)
{
	struct error why = {0};
	size_t i;

	for (i = 0; i < batch->count; i++) {
		const json_t *item = json_array_get(array, i);

		if (!json_is_object(item))
			return error_set(err, ERR_INVALID,
			                 "messages[%zu]: not an object", i);
		if (json_field_id(item, "id", &batch->ids[i], &why))
			return error_set(err, ERR_INVALID,
			                 "messages[%zu].%.400s", i, why.text);
	}
	return 0;
}

static bool seen_before(const struct batch *batch, size_t index)
{
	size_t i;

	for (i = 0; i < index; i++)
		if (id_equal(&batch->ids[i], &batch->ids[index]))
			return true;
	return false;
}

static void log_refused(const struct batch *batch, size_t index,
                        const struct api_caller *caller, const char *what)
{
	char text[ID_TEXT_SIZE];

	log_warning(id_format(&batch->ids[index], text),
	            "refused from agent %s: %s", caller->agent, what);
}

/* Whether the message is registered already: then it takes no more room. */
static bool is_known(struct cloud *cloud,
                     const struct registry_message *message)
{
	struct registry_message stored;

	if (registry_message_read(cloud->registry, &message->tenant,
	                          &message->id, &stored, NULL))
		return false;
	registry_message_release(&stored);
	return true;
}

/*
 * Takes the message that was read last, the item at index, out of the batch
 * when the tenant has no room for it. The agent keeps it held and sends it
 * again later.
 */
static void apply_quota(struct cloud *cloud, const struct api_caller *caller,
                        size_t index, struct quota_room *room,
                        struct batch *batch)
{
	size_t last = batch->message_count - 1;
	struct registry_message *message = &batch->messages[last];

	if (quota_fits(room, message->size) || is_known(cloud, message))
		return;
	batch->errors[index] =
	    mem_copy_string("quota: too much mail is held; it is registered "
	                    "when there is room again");
	count_message("over-quota");
	if (!batch->over_quota)
		log_refused(batch, index, caller, batch->errors[index]);
	batch->over_quota = true;
	registry_message_release(message);
	json_decref(batch->refused[last]);
	batch->message_count = last;
}

/* What was new counts from now on. */
static void take_quota(struct cloud *cloud, const struct api_caller *caller,
                       const struct batch *batch)
{
	int64_t messages = 0, bytes = 0;
	size_t i;

	for (i = 0; i < batch->message_count; i++) {
		if (batch->statuses[i] != REGISTER_NEW)
			continue;
		messages++;
		if (__builtin_add_overflow(bytes, batch->messages[i].size,
		                           &bytes))
			bytes = INT64_MAX;
	}
	quota_take(cloud->quota, &caller->tenant, messages, bytes);
}

/* Whether the item could be read: it is the last of batch->messages then. */
static bool read_item(const json_t *item, size_t index,
                      const struct api_caller *caller,
                      const struct tenant_domains *domains, struct batch *batch)
{
	struct error err = {0};
	json_t *refused = json_array();

	if (seen_before(batch, index))
		error_set(&err, ERR_INVALID, "id: twice in this request");
	else if (!message_input_read(item, &caller->tenant, domains,
	                             &batch->messages[batch->message_count],
	                             refused, &err)) {
		if (json_array_size(refused) > 0)
			log_refused(batch, index, caller, "some recipients");
		batch->refused[batch->message_count++] = refused;
		return true;
	}
	json_decref(refused);
	batch->errors[index] = mem_copy_string(err.text);
	count_message("refused");
	log_refused(batch, index, caller, err.text);
	return false;
}

static const char *verdict_name(enum registry_state state)
{
	switch (state) {
	case REGISTRY_HELD:
		return "hold";
	case REGISTRY_RELEASED:
	case REGISTRY_DELIVERED:
	case REGISTRY_FAILED:
		return "release";
	case REGISTRY_DISCARDED:
	case REGISTRY_EXPIRED:
	case REGISTRY_STATE_COUNT:
		break;
	}
	return "discard";
}

static json_t *recipients_json(const struct registry_message *message)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < message->recipient_count; i++) {
		const struct registry_recipient *one = &message->recipients[i];

		json_array_append_new(array,
		                      json_pack("{s:s,s:s,s:s,s:s}", "address",
		                                one->address, "verdict",
		                                verdict_name(one->state), "by",
		                                one->by, "why", one->why));
	}
	return array;
}

/* Takes recipients and refused over. */
static json_t *result_json(const struct id *id, const char *status,
                           const char *error, json_t *recipients,
                           json_t *refused)
{
	char text[ID_TEXT_SIZE];

	return json_pack("{s:s,s:s,s:s,s:o,s:o}", "id", id_format(id, text),
	                 "status", status, "error", error, "recipients",
	                 recipients, "refused_recipients", refused);
}

static json_t *batch_json(const struct batch *batch)
{
	json_t *results = json_array();
	size_t i, at = 0;

	for (i = 0; i < batch->count; i++) {
		const struct registry_message *message = &batch->messages[at];

		if (batch->errors[i]) {
			json_array_append_new(
			    results, result_json(&batch->ids[i], "refused",
			                         batch->errors[i], json_array(),
			                         json_array()));
			continue;
		}
		if (batch->statuses[at] == REGISTER_REFUSED)
			json_array_append_new(
			    results, result_json(&batch->ids[i], "refused",
			                         "id: in use elsewhere",
			                         json_array(), json_array()));
		else
			json_array_append_new(
			    results,
			    result_json(&batch->ids[i],
			                batch->statuses[at] == REGISTER_KNOWN
			                    ? "known"
			                    : "registered",
			                "", recipients_json(message),
			                json_incref(batch->refused[at])));
		at++;
	}
	return json_pack("{s:o}", "results", results);
}

static void run_batch(struct http_request *request, struct cloud *cloud,
                      const struct api_caller *caller, const json_t *array,
                      struct batch *batch)
{
	struct tenant_domains domains = {0};
	struct quota_room room = {0};
	struct error err = {0};
	size_t i;
	int result;

	result = tenant_domains_load(&domains, cloud->registry, &caller->tenant,
	                             &err);
	if (!result)
		result = quota_room(cloud->quota, cloud->registry,
		                    &caller->tenant, &room, &err);
	for (i = 0; i < batch->count && !result; i++)
		if (read_item(json_array_get(array, i), i, caller, &domains,
		              batch))
			apply_quota(cloud, caller, i, &room, batch);
	if (!result)
		result = register_messages(cloud, &domains, batch->messages,
		                           batch->message_count,
		                           batch->statuses, &err);
	tenant_domains_release(&domains);
	if (!result)
		take_quota(cloud, caller, batch);
	if (result)
		api_reply_unavailable(request, &err);
	else
		http_reply_json(request, 200, batch_json(batch));
}

void api_messages_post(struct http_request *request, void *context)
{
	struct cloud *cloud = context;
	struct api_caller caller;
	struct error err = {0};
	struct batch batch;
	const json_t *array;
	json_t *body = api_post_begin(request, cloud, "messages",
	                              API_MAXIMUM_MESSAGES, &caller, &array);

	if (!body)
		return;
	batch_init(&batch, json_array_size(array));
	if (read_ids(array, &batch, &err))
		api_reply_invalid(request, &err);
	else
		run_batch(request, cloud, &caller, array, &batch);
	batch_release(&batch);
	json_decref(body);
}
