/* The reports of ends. */
#include "local-agent/events.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud-worker.h"
#include "local-agent/trouble.h"

#define PATH           "/v1/agent/events"
#define BATCH_MESSAGES 200
#define TIMEOUT_MS     60000
#define IDLE_MS        5000 /* for what another process has changed */
#define GATHER_MS      100

struct events {
	struct events_options options;
	struct cloud_worker *worker;
	struct trouble reading;
	struct metric *reported;
};

/* The request, and the marks that follow once it was answered. */
struct report {
	json_t *list;
	struct spool_change *marks;
	size_t count, capacity;
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

static void add_item(struct report *report, const struct spool_message *message,
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
	    report->list,
	    json_pack("{s:s, s:s, s:s, s:s, s:o}", "message",
	              id_format(&message->id, id), "recipient",
	              recipient->address, "event", event, "at",
	              clock_format_rfc3339(recipient->changed_ms, when),
	              "detail", detail));
}

static void add_mark(struct report *report, const struct id *id,
                     size_t recipient)
{
	struct spool_change *mark;

	if (report->count == report->capacity) {
		report->capacity = report->capacity ? report->capacity * 2 : 64;
		report->marks = mem_resize_array(
		    report->marks, report->capacity, sizeof(*report->marks));
	}
	mark = &report->marks[report->count++];
	*mark = (struct spool_change){.kind = SPOOL_REPORTED};
	mark->mark.id = *id;
	mark->mark.recipient = recipient;
}

/* One end; that of mail which its admin released here is told as two. */
static void add_end(struct report *report, const struct spool_message *message,
                    size_t index)
{
	const struct spool_recipient *recipient = &message->recipients[index];
	const char *event = event_of(recipient->state);

	if (event && strcmp(recipient->by, "admin") == 0 &&
	    (recipient->state == SPOOL_DELIVERED ||
	     recipient->state == SPOOL_FAILED))
		add_item(report, message, recipient, "released");
	if (event)
		add_item(report, message, recipient, event);
	add_mark(report, &message->id, index);
}

static void add_page(struct report *report, const struct spool_page *page)
{
	size_t i, j;

	for (i = 0; i < page->count; i++)
		for (j = 0; j < page->messages[i].recipient_count; j++)
			if (page->messages[i].recipients[j].event_pending)
				add_end(report, &page->messages[i], j);
}

/* A whole answer settles all: "ok", "ignored" and "unknown" alike. */
static int send(struct cloud_worker *worker, const struct report *report)
{
	struct http_answer answer = {0};
	json_t *body = json_pack("{s:O}", "events", report->list);
	size_t sent = json_array_size(report->list), told;
	int result =
	    cloud_worker_call(worker, "POST", PATH, body, TIMEOUT_MS, &answer);

	json_decref(body);
	/* Asked again, it would be refused again: let it be. */
	if (result == ERR_INVALID)
		return 0;
	if (result)
		return result;
	told = json_array_size(json_object_get(answer.body, "results"));
	http_answer_release(&answer);
	if (told == sent)
		return 0;
	log_error("events", "%zu results for %zu events", told, sent);
	return ERR_PROTOCOL;
}

static int report_page(struct events *events, struct cloud_worker *worker,
                       const struct spool_page *page)
{
	struct report report = {.list = json_array()};
	int result = 0;

	add_page(&report, page);
	if (json_array_size(report.list) > 0)
		result = send(worker, &report);
	if (result == 0 && report.count > 0)
		result = writer_commit(events->options.writer, report.marks,
		                       report.count);
	if (result == 0)
		metric_add(events->reported, (int64_t)report.count);
	json_decref(report.list);
	free(report.marks);
	return result;
}

static int64_t step(struct cloud_worker *worker, void *context)
{
	struct events *events = context;
	struct spool_query query = {.event_pending = true,
	                            .limit = BATCH_MESSAGES};
	struct spool_page page = {0};
	struct error err = {.text = ""};
	int64_t pause_ms;
	int result;

	result = spool_list(events->options.spool, &query, &page, &err);
	if (result) {
		trouble_note(&events->reading, result, "cannot read the spool",
		             err.text);
		return CLOUD_STEP_FAILED;
	}
	trouble_over(&events->reading);
	if (page.more)
		pause_ms = CLOUD_STEP_AGAIN;
	else
		pause_ms = page.count > 0 ? GATHER_MS : IDLE_MS;
	if (page.count > 0 && report_page(events, worker, &page))
		pause_ms = CLOUD_STEP_FAILED;
	spool_page_release(&page);
	return pause_ms;
}

int events_start(struct events **events, const struct events_options *options,
                 struct error *err)
{
	struct events *made = mem_alloc(sizeof(*made));
	struct cloud_worker_options worker = {
	    .name = "events",
	    .config = options->config,
	    .minimum_rest_ms = GATHER_MS,
	    .can_wait = true,
	    .step = step,
	    .context = made,
	};
	int result;

	made->options = *options;
	made->reading.part = "events";
	made->reported = metric_counter("turing_agent_events_reported_total",
	                                "", "Ends told to the cloud");
	result = cloud_worker_start(&made->worker, &worker, err);
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
	cloud_worker_stop(events->worker);
	free(events);
}

void events_wake(struct events *events)
{
	if (events)
		cloud_worker_wake(events->worker);
}
