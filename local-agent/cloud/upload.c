/* Batches of what the spool has for the cloud. */
#include "local-agent/cloud/upload.h"

#include <stdlib.h>

#include "common/mem.h"
#include "local-agent/cloud/worker.h"
#include "local-agent/queue/trouble.h"

#define TIMEOUT_MS 60000
#define GATHER_MS  100 /* between pages that are not full */

struct cloud_upload {
	struct cloud_upload_options options;
	struct cloud_worker *worker;
	struct trouble reading;
	struct id after; /* where the sweep over the spool stands */
	size_t limit;    /* items in the next request */
	bool too_large;  /* a request of this page was */
};

static int call(struct cloud_upload *upload, struct cloud_worker *worker,
                size_t first, size_t count, struct http_answer *answer)
{
	const struct cloud_upload_kind *kind = upload->options.kind;
	json_t *body = kind->request(upload->options.context, first, count);
	int result = cloud_worker_call(worker, "POST", kind->path, body,
	                               TIMEOUT_MS, answer);

	json_decref(body);
	return result;
}

/* Sends count items from first on, in halves where that may help. */
static int send(struct cloud_upload *upload, struct cloud_worker *worker,
                size_t first, size_t count)
{
	const struct cloud_upload_kind *kind = upload->options.kind;
	struct http_answer answer = {0};
	size_t half = count / 2;
	int result = call(upload, worker, first, count, &answer);

	if (result == 0) {
		result = kind->answered(upload->options.context, first, count,
		                        answer.body);
		http_answer_release(&answer);
		return result;
	}
	if (result == ERR_INVALID && count == 1) {
		kind->refused(upload->options.context, first);
		return 0;
	}
	if ((result != ERR_INVALID && result != ERR_LIMIT) || count == 1)
		return result;
	if (result == ERR_LIMIT) {
		upload->too_large = true;
		upload->limit = half;
	}
	result = send(upload, worker, first, half);
	return result ? result
	              : send(upload, worker, first + half, count - half);
}

static int send_all(struct cloud_upload *upload, struct cloud_worker *worker,
                    size_t total)
{
	size_t first, count;
	int result = 0;

	upload->too_large = false;
	for (first = 0; first < total && result == 0; first += count) {
		count = total - first < upload->limit ? total - first
		                                      : upload->limit;
		result = send(upload, worker, first, count);
	}
	if (result == 0 && !upload->too_large)
		upload->limit *= 2;
	if (upload->limit > upload->options.kind->items)
		upload->limit = upload->options.kind->items;
	return result;
}

static int handle_page(struct cloud_upload *upload, struct cloud_worker *worker,
                       const struct spool_page *page)
{
	const struct cloud_upload_kind *kind = upload->options.kind;
	size_t total = kind->pick(upload->options.context, page);
	int sent = send_all(upload, worker, total);
	int result = kind->commit(upload->options.context, sent == 0);

	return sent ? sent : result;
}

static int64_t step(struct cloud_worker *worker, void *context)
{
	struct cloud_upload *upload = context;
	const struct cloud_upload_kind *kind = upload->options.kind;
	struct spool_query query = {.after = upload->after,
	                            .limit = kind->messages};
	struct spool_page page = {0};
	struct error err = {.text = ""};
	int64_t pause_ms = CLOUD_STEP_FAILED;
	int result;

	upload->after = (struct id){{0}};
	kind->query(upload->options.context, &query);
	result = spool_list(upload->options.spool, &query, &page, &err);
	if (result) {
		trouble_note(&upload->reading, result, "cannot read the spool",
		             err.text);
		return CLOUD_STEP_FAILED;
	}
	trouble_over(&upload->reading);
	if (handle_page(upload, worker, &page) == 0)
		pause_ms = page.more    ? CLOUD_STEP_AGAIN
		           : page.count ? GATHER_MS
		                        : kind->idle_ms;
	if (pause_ms == CLOUD_STEP_AGAIN)
		upload->after = page.messages[page.count - 1].id;
	spool_page_release(&page);
	return pause_ms;
}

int cloud_upload_start(struct cloud_upload **upload,
                       const struct cloud_upload_options *options,
                       struct error *err)
{
	struct cloud_upload *made = mem_alloc(sizeof(*made));
	struct cloud_worker_options worker = {
	    .name = options->kind->name,
	    .config = options->config,
	    .minimum_rest_ms = GATHER_MS,
	    .can_wait = true,
	    .step = step,
	    .context = made,
	};
	int result;

	made->options = *options;
	made->reading.part = options->kind->name;
	made->limit = options->kind->items;
	result = cloud_worker_start(&made->worker, &worker, err);
	if (result) {
		free(made);
		return result;
	}
	*upload = made;
	return 0;
}

void cloud_upload_stop(struct cloud_upload *upload)
{
	if (!upload)
		return;
	cloud_worker_stop(upload->worker);
	free(upload);
}

void cloud_upload_wake(struct cloud_upload *upload)
{
	cloud_worker_wake(upload->worker);
}
