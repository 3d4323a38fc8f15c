/* Long-polls of the cloud, and the values that keep where they stand. */
#include "local-agent/cloud/poll.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

#define ANSWER_SLACK_MS 15000 /* beyond the wait that was asked for */

struct cloud_poll {
	struct cloud_poll_options options;
	struct cloud_worker *worker;
};

/*
 * The rest after a poll, begun at start_ms, that brought nothing: none when
 * the cloud kept it open for a while, else cloud.retry_min, so that one which
 * answers at once is not asked without end.
 */
static int64_t pause_after(const struct cloud_poll *poll, int64_t start_ms)
{
	int64_t pause_ms = poll->options.config->cloud_retry_min_ms;

	return clock_monotonic_ms() - start_ms >= pause_ms ? CLOUD_STEP_AGAIN
	                                                   : pause_ms;
}

static int64_t step(struct cloud_worker *worker, void *context)
{
	struct cloud_poll *poll = context;
	const struct cloud_poll_options *options = &poll->options;
	int64_t wait_ms = options->config->cloud_poll_wait_ms;
	int64_t start_ms = clock_monotonic_ms();
	struct http_answer answer = {0};
	char cursor[96], path[256];
	int64_t pause_ms;

	options->cursor(options->context, cursor, sizeof(cursor));
	(void)snprintf(path, sizeof(path), "%s?%s&wait=%lld&limit=%d",
	               options->path, cursor, (long long)(wait_ms / 1000),
	               options->limit);
	if (cloud_worker_call(worker, "GET", path, NULL,
	                      wait_ms + ANSWER_SLACK_MS, &answer))
		return CLOUD_STEP_FAILED;
	if (answer.status != 204)
		pause_ms = options->take(options->context, answer.body);
	else
		pause_ms = pause_after(poll, start_ms);
	http_answer_release(&answer);
	return pause_ms;
}

int cloud_poll_start(struct cloud_poll **poll,
                     const struct cloud_poll_options *options,
                     struct error *err)
{
	struct cloud_poll *made = mem_alloc(sizeof(*made));
	struct cloud_worker_options worker = {
	    .name = options->name,
	    .config = options->config,
	    .step = step,
	    .context = made,
	};
	int result;

	made->options = *options;
	result = cloud_worker_start(&made->worker, &worker, err);
	if (result) {
		free(made);
		return result;
	}
	*poll = made;
	return 0;
}

void cloud_poll_stop(struct cloud_poll *poll)
{
	if (!poll)
		return;
	cloud_worker_stop(poll->worker);
	free(poll);
}

int cloud_poll_number(struct spool *spool, const char *name, int64_t *number,
                      struct error *err)
{
	char *value = NULL, *end;
	long long read;
	int result = spool_get(spool, name, &value, err);

	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	errno = 0;
	read = strtoll(value, &end, 10);
	if (errno || *end || end == value || read < 0)
		result = error_set(err, ERR_CORRUPT,
		                   "the spool's value %s is no number", name);
	else
		*number = read;
	free(value);
	return result;
}

int cloud_poll_store(struct writer *writer, const char *name, const char *value)
{
	struct spool_change change = {.kind = SPOOL_SET};
	int result;

	change.set.name = name;
	change.set.value = value;
	result = writer_commit(writer, &change, 1);
	return result ? result : change.result;
}
