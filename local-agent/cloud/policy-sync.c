/* The poll for the policy. */
#include "local-agent/cloud/policy-sync.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/policy-wire.h"
#include "local-agent/cloud/poll.h"
#include "local-agent/queue/trouble.h"

#define LIMIT 1000

struct policy_sync {
	struct policy_sync_options options;
	struct cloud_poll *poll;
	struct trouble storing, loading;
	int64_t revision;
	char *domains; /* as stored, or NULL */
	bool stale;    /* the spool is ahead of the replica */
	struct metric *gauge;
};

static int read_revision(struct policy_sync *sync, struct error *err)
{
	int result = spool_get(sync->options.spool, REPLICA_DOMAINS_VALUE,
	                       &sync->domains, err);

	/* Without domains nothing was ever received whole: start anew. */
	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	return cloud_poll_number(sync->options.spool, POLICY_REVISION_VALUE,
	                         &sync->revision, err);
}

static int store_domains(struct policy_sync *sync, const char *domains)
{
	int result;

	if (sync->domains && strcmp(sync->domains, domains) == 0)
		return 0;
	result = cloud_poll_store(sync->options.writer, REPLICA_DOMAINS_VALUE,
	                          domains);
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

static int64_t take(void *context, const json_t *answer)
{
	struct policy_sync *sync = context;
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

/* What could not be loaded before. */
static int64_t quiet(void *context)
{
	struct policy_sync *sync = context;

	return sync->stale ? refresh(sync) : CLOUD_STEP_AGAIN;
}

static void write_cursor(const void *context, char *text, size_t size)
{
	const struct policy_sync *sync = context;

	(void)snprintf(text, size, "after=%lld", (long long)sync->revision);
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
	struct cloud_poll_options poll = {
	    .name = "policy",
	    .config = options->config,
	    .path = "/v1/agent/policy",
	    .limit = LIMIT,
	    .cursor = write_cursor,
	    .take = take,
	    .quiet = quiet,
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
		result = cloud_poll_start(&made->poll, &poll, err);
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
	cloud_poll_stop(sync->poll);
	sync_free(sync);
}
