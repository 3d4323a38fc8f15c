/* The reports of ends. */
#include "local-agent/cloud/events.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/worker.h"
#include "local-agent/queue/trouble.h"

#define PATH           "/v1/agent/events"
#define BATCH_MESSAGES 200
#define BATCH_EVENTS   500 /* in one request */
#define TIMEOUT_MS     60000
#define IDLE_MS        5000 /* for what another process has changed */
#define GATHER_MS      100

struct events {
	struct events_options options;
	struct cloud_worker *worker;
	struct trouble reading;
	struct metric *reported, *refused;
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

	report->marks = mem_grow(report->marks, report->count,
	                         &report->capacity, sizeof(*report->marks));
	mark = &report->marks[report->count++];
	mark->kind = SPOOL_REPORTED;
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
static int read_results(struct events *events, const json_t *answer,
                        const json_t *sent)
{
	const json_t *results = json_object_get(answer, "results"), *result;
	size_t count = json_array_size(sent), i;

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
			give_up(events, json_array_get(sent, i),
			        cloud_text(result, "error"));
	}
	return 0;
}

/*
 * Sends count items of the list from first on. A request that is refused as a
 * whole (a cloud of an older version names one event alone) is sent in halves,
 * down to the event that is to blame.
 */
static int send(struct events *events, struct cloud_worker *worker,
                const json_t *list, size_t first, size_t count)
{
	struct http_answer answer = {0};
	json_t *items = json_array(), *body;
	size_t i;
	int result;

	for (i = first; i < first + count; i++)
		(void)json_array_append(items, json_array_get(list, i));
	body = json_pack("{s:O}", "events", items);
	result =
	    cloud_worker_call(worker, "POST", PATH, body, TIMEOUT_MS, &answer);
	json_decref(body);
	if (result == 0)
		result = read_results(events, answer.body, items);
	http_answer_release(&answer);
	json_decref(items);
	if (result != ERR_INVALID && result != ERR_LIMIT)
		return result;
	if (count == 1) {
		if (result == ERR_INVALID)
			give_up(events, json_array_get(list, first),
			        "request refused");
		return result == ERR_INVALID ? 0 : result;
	}
	result = send(events, worker, list, first, count / 2);
	return result ? result
	              : send(events, worker, list, first + count / 2,
	                     count - count / 2);
}

static int send_all(struct events *events, struct cloud_worker *worker,
                    const json_t *list)
{
	size_t total = json_array_size(list), first, count;
	int result = 0;

	for (first = 0; first < total && result == 0; first += count) {
		count =
		    total - first < BATCH_EVENTS ? total - first : BATCH_EVENTS;
		result = send(events, worker, list, first, count);
	}
	return result;
}

static int report_page(struct events *events, struct cloud_worker *worker,
                       const struct spool_page *page)
{
	struct report report = {.list = json_array()};
	int result;

	add_page(&report, page);
	result = send_all(events, worker, report.list);
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
	made->refused = metric_counter("turing_agent_events_refused_total", "",
	                               "Events that the cloud did not take");
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
