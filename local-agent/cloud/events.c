/* The reports of ends. */
#include "local-agent/cloud/events.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/upload.h"
#include "local-agent/cloud/worker.h"

struct events {
	struct events_options options;
	struct cloud_upload *upload;
	/* What a page has to tell, and the marks that follow once it was. */
	json_t *list;
	struct spool_change *marks;
	size_t count, capacity;
	struct metric *reported, *refused;
};

static const char *event_of(enum spool_state state)
{
	switch (state) {
	case SPOOL_DELIVERED:
	case SPOOL_FAILED:
	case SPOOL_DISCARDED:
	case SPOOL_EXPIRED:
		return spool_state_name(state);
	default:
		return NULL;
	}
}

static void add_item(struct events *events, const struct spool_message *message,
                     const struct spool_recipient *recipient, const char *event)
{
	char id[ID_TEXT_SIZE], when[CLOCK_TEXT_SIZE];
	json_t *detail =
	    json_string(event_of(recipient->state) == event && *recipient->reply
	                    ? recipient->reply
	                    : recipient->why);

	if (!detail)
		detail = json_string("");
	(void)json_array_append_new(
	    events->list,
	    json_pack("{s:s, s:s, s:s, s:s, s:o}", "message",
	              id_format(&message->id, id), "recipient",
	              recipient->address, "event", event, "at",
	              clock_format_rfc3339(recipient->changed_ms, when),
	              "detail", detail));
}

static void add_mark(struct events *events, const struct id *id,
                     size_t recipient)
{
	struct spool_change *mark;

	events->marks = mem_grow(events->marks, events->count,
	                         &events->capacity, sizeof(*events->marks));
	mark = &events->marks[events->count++];
	mark->kind = SPOOL_REPORTED;
	mark->mark.id = *id;
	mark->mark.recipient = recipient;
}

/* One end; that of mail which its admin released here is told as two. */
static void add_end(struct events *events, const struct spool_message *message,
                    size_t index)
{
	const struct spool_recipient *recipient = &message->recipients[index];
	const char *event = event_of(recipient->state);

	if (event && strcmp(recipient->by, "admin") == 0 &&
	    (recipient->state == SPOOL_DELIVERED ||
	     recipient->state == SPOOL_FAILED))
		add_item(events, message, recipient, "released");
	if (event)
		add_item(events, message, recipient, event);
	add_mark(events, &message->id, index);
}

static void query(void *context, struct spool_query *query)
{
	(void)context;
	query->event_pending = true;
}

static size_t pick(void *context, const struct spool_page *page)
{
	struct events *events = context;
	size_t i, j;

	events->list = json_array();
	for (i = 0; i < page->count; i++)
		for (j = 0; j < page->messages[i].recipient_count; j++)
			if (page->messages[i].recipients[j].event_pending)
				add_end(events, &page->messages[i], j);
	return json_array_size(events->list);
}

static json_t *request(void *context, size_t first, size_t count)
{
	struct events *events = context;
	json_t *items = json_array();

	for (size_t i = first; i < first + count; i++)
		(void)json_array_append(items, json_array_get(events->list, i));
	return json_pack("{s:o}", "events", items);
}

/* The cloud itself does not take it: to be told again would not help. */
static void give_up(struct events *events, const json_t *item, const char *why)
{
	metric_add(events->refused, 1);
	log_error(cloud_text(item, "message"),
	          "the cloud refused to be told \"%s\" of %s: %s",
	          cloud_text(item, "event"), cloud_text(item, "recipient"),
	          why ? why : "no reason given");
}

/* Whether an event of this status need not be told again. */
static bool is_settled(const char *status)
{
	static const char *const words[] = {"ok", "ignored", "unknown",
	                                    "refused"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (status && strcmp(status, words[i]) == 0)
			return true;
	return false;
}

/* An answer that is not what was agreed gives nothing up. */
static int answered(void *context, size_t first, size_t count,
                    const json_t *answer)
{
	struct events *events = context;
	const json_t *results = json_object_get(answer, "results"), *result;
	size_t i;

	if (json_array_size(results) != count) {
		log_error("events", "%zu results for %zu events",
		          json_array_size(results), count);
		return ERR_PROTOCOL;
	}
	for (i = 0; i < count; i++) {
		result = json_array_get(results, i);
		if (!is_settled(cloud_text(result, "status"))) {
			log_error("events",
			          "result %zu of %zu is not what was "
			          "agreed",
			          i, count);
			return ERR_PROTOCOL;
		}
	}
	for (i = 0; i < count; i++) {
		result = json_array_get(results, i);
		if (strcmp(cloud_text(result, "status"), "refused") == 0)
			give_up(events, json_array_get(events->list, first + i),
			        cloud_text(result, "error"));
	}
	return 0;
}

static void refused(void *context, size_t index)
{
	struct events *events = context;

	give_up(events, json_array_get(events->list, index), "request refused");
}

/* A page counts when all of it was told: an end may be two events. */
static int commit(void *context, bool whole)
{
	struct events *events = context;
	int result = 0;

	if (whole && events->count > 0) {
		result = writer_commit(events->options.writer, events->marks,
		                       events->count);
		if (result == 0)
			metric_add(events->reported, (int64_t)events->count);
	}
	json_decref(events->list);
	events->list = NULL;
	events->count = 0;
	return result;
}

static const struct cloud_upload_kind reporting = {
    .name = "events",
    .path = "/v1/agent/events",
    .messages = 200,
    .items = 500,
    .idle_ms = 5000,
    .query = query,
    .pick = pick,
    .request = request,
    .answered = answered,
    .refused = refused,
    .commit = commit,
};

int events_start(struct events **events, const struct events_options *options,
                 struct error *err)
{
	struct events *made = mem_alloc(sizeof(*made));
	struct cloud_upload_options upload = {
	    .kind = &reporting,
	    .config = options->config,
	    .spool = options->spool,
	    .context = made,
	};
	int result;

	made->options = *options;
	made->reported = metric_counter("turing_agent_events_reported_total",
	                                "", "Ends told to the cloud");
	made->refused = metric_counter("turing_agent_events_refused_total", "",
	                               "Events that the cloud did not take");
	result = cloud_upload_start(&made->upload, &upload, err);
	if (result) {
		free(made);
		return result;
	}
	*events = made;
	return 0;
}

void events_stop(struct events *events)
{
	if (!events)
		return;
	cloud_upload_stop(events->upload);
	free(events->marks);
	free(events);
}

void events_wake(struct events *events)
{
	if (events)
		cloud_upload_wake(events->upload);
}
