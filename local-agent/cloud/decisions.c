/* The poll for decisions. */
#include "local-agent/cloud/decisions.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/decision.h"
#include "local-agent/cloud/poll.h"

#define LIMIT 500

struct decisions {
	struct decisions_options options;
	struct cloud_poll *poll;
	int64_t cursor;
	struct metric *applied, *ignored;
};

/*
 * Stored in a commit after that of the moves: where a crash comes between
 * them, the decisions come again and find nothing held.
 */
static int store_cursor(struct decisions *decisions, int64_t cursor)
{
	char text[24];
	int result;

	(void)snprintf(text, sizeof(text), "%lld", (long long)cursor);
	result = cloud_poll_store(decisions->options.writer,
	                          DECISIONS_CURSOR_VALUE, text);
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

static int64_t take(void *context, const json_t *answer)
{
	return apply(context, answer) ? CLOUD_STEP_FAILED : CLOUD_STEP_AGAIN;
}

static void write_cursor(const void *context, char *text, size_t size)
{
	const struct decisions *decisions = context;

	(void)snprintf(text, size, "after=%lld", (long long)decisions->cursor);
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
	struct cloud_poll_options poll = {
	    .name = "decisions",
	    .config = options->config,
	    .path = "/v1/agent/decisions",
	    .limit = LIMIT,
	    .cursor = write_cursor,
	    .take = take,
	    .context = made,
	};
	int result;

	made->options = *options;
	make_metrics(made);
	result = cloud_poll_number(options->spool, DECISIONS_CURSOR_VALUE,
	                           &made->cursor, err);
	if (result == 0)
		result = cloud_poll_start(&made->poll, &poll, err);
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
	cloud_poll_stop(decisions->poll);
	free(decisions);
}
