/* The poll for decisions. */
#include "local-agent/cloud/decisions.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/worker.h"
#include "local-agent/cloud/decision.h"

#define LIMIT           500
#define ANSWER_SLACK_MS 15000 /* beyond the wait that was asked for */

struct decisions {
	struct decisions_options options;
	struct cloud_worker *worker;
	int64_t cursor;
	struct metric *applied, *ignored;
};

static int read_cursor(struct decisions *decisions, struct error *err)
{
	char *value = NULL, *end;
	int result = spool_get(decisions->options.spool, DECISIONS_CURSOR_VALUE,
	                       &value, err);

	if (result == ERR_NOT_FOUND)
		return 0;
	if (result)
		return result;
	errno = 0;
	decisions->cursor = strtoll(value, &end, 10);
	if (errno || *end || end == value || decisions->cursor < 0)
		result = error_set(err, ERR_CORRUPT,
		                   "the spool's value " DECISIONS_CURSOR_VALUE
		                   " is no number");
	free(value);
	return result;
}

/*
 * Stored in a commit after that of the moves: where a crash comes between
 * them, the decisions come again and find nothing held.
 */
static int store_cursor(struct decisions *decisions, int64_t cursor)
{
	char text[24];
	struct spool_change change = {.kind = SPOOL_SET};
	int result;

	(void)snprintf(text, sizeof(text), "%lld", (long long)cursor);
	change.set.name = DECISIONS_CURSOR_VALUE;
	change.set.value = text;
	result = writer_commit(decisions->options.writer, &change, 1);
	if (result == 0)
		result = change.result;
	if (result == 0)
		decisions->cursor = cursor;
	return result;
}

/* Adds one decision to the batch; mail that is not here any more is done. */
static int add_decision(struct decisions *decisions, const json_t *item,
                        struct decision_batch *batch)
{
	const char *id_text = cloud_text(item, "message");
	const char *recipient = cloud_text(item, "recipient");
	const char *verdict = cloud_text(item, "verdict");
	const char *by = cloud_text(item, "by");
	const char *why = cloud_text(item, "why");
	struct spool_message message;
	size_t before = batch->count;
	struct id id;
	int result;

	if (!id_text || !recipient || !verdict || id_parse(id_text, &id))
		return ERR_PROTOCOL;
	result = spool_read(decisions->options.spool, &id, &message, NULL);
	if (result == ERR_NOT_FOUND) {
		metric_add(decisions->ignored, 1);
		return 0;
	}
	/* The store's answer that makes no sense is not the cloud's. */
	if (result)
		return result == ERR_PROTOCOL ? ERR_UNAVAILABLE : result;
	result = decision_add(batch, &message, recipient, verdict,
	                      by ? by : "cloud", why ? why : "");
	spool_message_release(&message);
	metric_add(
	    batch->count > before ? decisions->applied : decisions->ignored, 1);
	return result ? ERR_PROTOCOL : 0;
}

/*
 * A decision that cannot be read is passed over, logged: it must not keep
 * those after it from being applied.
 */
static int add_decisions(struct decisions *decisions, const json_t *list,
                         struct decision_batch *batch, int64_t *cursor)
{
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, item)
	{
		const json_t *sequence = json_object_get(item, "sequence");
		int result = add_decision(decisions, item, batch);

		if (result == ERR_PROTOCOL)
			log_error("decisions",
			          "a decision (sequence %lld) that makes no "
			          "sense was passed over",
			          (long long)json_integer_value(sequence));
		else if (result)
			return result;
		if (json_integer_value(sequence) > *cursor)
			*cursor = json_integer_value(sequence);
	}
	return 0;
}

static int apply(struct decisions *decisions, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "decisions");
	struct decision_batch batch = {0};
	int64_t cursor = decisions->cursor;
	int result;

	if (!json_is_array(list)) {
		log_error("decisions", "an answer without decisions");
		return ERR_PROTOCOL;
	}
	result = add_decisions(decisions, list, &batch, &cursor);
	if (result == 0)
		result = decision_commit(&batch, decisions->options.writer);
	if (result == 0 && batch.released && decisions->options.released)
		decisions->options.released(decisions->options.context);
	decision_batch_release(&batch);
	if (result == 0 && cursor > decisions->cursor)
		return store_cursor(decisions, cursor);
	/* Decisions that do not move the cursor would come for ever. */
	if (result == 0 && json_array_size(list) > 0)
		return ERR_PROTOCOL;
	return result;
}

static int64_t step(struct cloud_worker *worker, void *context)
{
	struct decisions *decisions = context;
	int64_t wait_ms = decisions->options.config->cloud_poll_wait_ms;
	int64_t start_ms = clock_monotonic_ms();
	struct http_answer answer = {0};
	char path[128];
	int64_t pause_ms = CLOUD_STEP_AGAIN;

	(void)snprintf(path, sizeof(path),
	               "/v1/agent/decisions?after=%lld&wait=%lld&limit=%d",
	               (long long)decisions->cursor,
	               (long long)(wait_ms / 1000), LIMIT);
	if (cloud_worker_call(worker, "GET", path, NULL,
	                      wait_ms + ANSWER_SLACK_MS, &answer))
		return CLOUD_STEP_FAILED;
	if (answer.status != 204 && apply(decisions, answer.body))
		pause_ms = CLOUD_STEP_FAILED;
	else if (answer.status == 204)
		pause_ms = cloud_worker_poll_pause_ms(worker, start_ms);
	http_answer_release(&answer);
	return pause_ms;
}

static void make_metrics(struct decisions *decisions)
{
	static const char name[] = "turing_agent_decisions_total";
	static const char help[] = "Decisions received from the cloud";

	decisions->applied = metric_counter(name, "outcome=\"applied\"", help);
	decisions->ignored = metric_counter(name, "outcome=\"ignored\"", help);
}

int decisions_start(struct decisions **decisions,
                    const struct decisions_options *options, struct error *err)
{
	struct decisions *made = mem_alloc(sizeof(*made));
	struct cloud_worker_options worker = {
	    .name = "decisions",
	    .config = options->config,
	    .step = step,
	    .context = made,
	};
	int result;

	made->options = *options;
	make_metrics(made);
	result = read_cursor(made, err);
	if (result == 0)
		result = cloud_worker_start(&made->worker, &worker, err);
	if (result) {
		free(made);
		return result;
	}
	*decisions = made;
	return 0;
}

void decisions_stop(struct decisions *decisions)
{
	if (!decisions)
		return;
	cloud_worker_stop(decisions->worker);
	free(decisions);
}
