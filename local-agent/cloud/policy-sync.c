/* The poll for the policy. */
#include "local-agent/cloud/policy-sync.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/worker.h"
#include "local-agent/cloud/policy-wire.h"
#include "local-agent/queue/trouble.h"

#define LIMIT           1000
#define ANSWER_SLACK_MS 15000

struct policy_sync {
	struct policy_sync_options options;
	struct cloud_worker *worker;
	struct trouble storing, loading;
	int64_t revision;
	char *domains; /* as stored, or NULL */
	bool stale;    /* the spool is ahead of the replica */
	struct metric *gauge;
};

static int read_revision(struct policy_sync *sync, struct error *err)
{
	char *value = NULL, *end;
	int result = spool_get(sync->options.spool, REPLICA_DOMAINS_VALUE,
	                       &sync->domains, err);

	/* Without domains nothing was ever received whole: start anew. */
	if (result == 0)
		result = spool_get(sync->options.spool, POLICY_REVISION_VALUE,
		                   &value, err);
	if (result == ERR_NOT_FOUND)
		return 0;
	if (result)
		return result;
	errno = 0;
	sync->revision = strtoll(value, &end, 10);
	if (errno || *end || end == value || sync->revision < 0)
		result = error_set(err, ERR_CORRUPT,
		                   "the spool's value " POLICY_REVISION_VALUE
		                   " is no number");
	free(value);
	return result;
}

static int store_domains(struct policy_sync *sync, const char *domains)
{
	struct spool_change change = {.kind = SPOOL_SET};
	int result;

	if (sync->domains && strcmp(sync->domains, domains) == 0)
		return 0;
	change.set.name = REPLICA_DOMAINS_VALUE;
	change.set.value = domains;
	result = writer_commit(sync->options.writer, &change, 1);
	if (result == 0)
		result = change.result;
	if (result == 0) {
		free(sync->domains);
		sync->domains = mem_copy_string(domains);
		sync->stale = true;
	}
	return result;
}

/*
 * The domains go first: the revision, stored with the entries, then stands for
 * both, and a crash between them is mended by asking again.
 */
static int store_page(struct policy_sync *sync, const struct policy_page *page)
{
	struct error err = {.text = ""};
	int result = store_domains(sync, page->domains);

	if (result == 0 && (page->reset || page->count > 0 ||
	                    page->revision != sync->revision)) {
		result = spool_entries_apply(sync->options.spool, page->reset,
		                             page->entries, page->count,
		                             page->revision, &err);
		sync->stale = true;
	}
	if (result) {
		trouble_note(&sync->storing, result, "cannot store the policy",
		             err.text);
		return result;
	}
	trouble_over(&sync->storing);
	sync->revision = page->revision;
	return 0;
}

/* Brings the replica up to the spool; returns how long to rest after it. */
static int64_t refresh(struct policy_sync *sync)
{
	struct error err = {.text = ""};
	int64_t start_ms = clock_monotonic_ms();
	int result;

	result = replica_load(sync->options.replica, sync->options.spool, &err);
	if (result) {
		trouble_note(&sync->loading, result, "cannot load the replica",
		             err.text);
		return CLOUD_STEP_FAILED;
	}
	trouble_over(&sync->loading);
	sync->stale = false;
	metric_set(sync->gauge, sync->revision);
	log_info("policy", "revision %lld in force", (long long)sync->revision);
	/* Large lists: many small changes are taken in together. */
	return 4 * (clock_monotonic_ms() - start_ms);
}

static int64_t handle(struct policy_sync *sync, const json_t *answer)
{
	struct policy_page page;
	struct error err;
	int64_t before = sync->revision, pause_ms = CLOUD_STEP_FAILED;

	if (policy_page_read(answer, &page, &err)) {
		log_error("policy", "an answer that makes no sense: %s",
		          err.text);
		return CLOUD_STEP_FAILED;
	}
	if (store_page(sync, &page) == 0)
		pause_ms = CLOUD_STEP_AGAIN;
	if (pause_ms == CLOUD_STEP_AGAIN && page.more &&
	    page.revision <= before && !page.reset)
		pause_ms = CLOUD_STEP_FAILED; /* it would go on for ever */
	else if (pause_ms == CLOUD_STEP_AGAIN && !page.more && sync->stale)
		pause_ms = refresh(sync);
	policy_page_release(&page);
	return pause_ms;
}

static int64_t step(struct cloud_worker *worker, void *context)
{
	struct policy_sync *sync = context;
	int64_t wait_ms = sync->options.config->cloud_poll_wait_ms;
	int64_t start_ms = clock_monotonic_ms();
	struct http_answer answer = {0};
	char path[128];
	int64_t pause_ms;

	(void)snprintf(path, sizeof(path),
	               "/v1/agent/policy?after=%lld&wait=%lld&limit=%d",
	               (long long)sync->revision, (long long)(wait_ms / 1000),
	               LIMIT);
	if (cloud_worker_call(worker, "GET", path, NULL,
	                      wait_ms + ANSWER_SLACK_MS, &answer))
		return CLOUD_STEP_FAILED;
	if (answer.status != 204)
		pause_ms = handle(sync, answer.body);
	else if (sync->stale)
		pause_ms = refresh(sync);
	else
		pause_ms = cloud_worker_poll_pause_ms(worker, start_ms);
	http_answer_release(&answer);
	return pause_ms;
}

static void sync_free(struct policy_sync *sync)
{
	free(sync->domains);
	free(sync);
}

int policy_sync_start(struct policy_sync **sync,
                      const struct policy_sync_options *options,
                      struct error *err)
{
	struct policy_sync *made = mem_alloc(sizeof(*made));
	struct cloud_worker_options worker = {
	    .name = "policy",
	    .config = options->config,
	    .step = step,
	    .context = made,
	};
	int result;

	made->options = *options;
	made->storing.part = "policy";
	made->loading.part = "policy";
	made->gauge = metric_gauge("turing_agent_policy_revision", "",
	                           "Revision of the policy in force");
	result = read_revision(made, err);
	if (result == 0)
		result = cloud_worker_start(&made->worker, &worker, err);
	if (result) {
		sync_free(made);
		return result;
	}
	*sync = made;
	return 0;
}

void policy_sync_stop(struct policy_sync *sync)
{
	if (!sync)
		return;
	cloud_worker_stop(sync->worker);
	sync_free(sync);
}
