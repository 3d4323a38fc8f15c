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
	struct trouble storing;
	int64_t revision;
	char *domains;            /* as stored, or NULL */
	bool stale;               /* those in force are others */
	struct entry_set *coming; /* of a snapshot that is not whole yet */
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
 * The domains come with the last page: where there are none no policy was ever
 * received whole. They go first: the revision, stored with the entries, then
 * stands for both, and a crash between them is mended by asking again.
 */
static int store_page(struct policy_sync *sync, const struct policy_page *page)
{
	struct error err = {.text = ""};
	int result = page->more ? 0 : store_domains(sync, page->domains);

	if (result == 0 && (page->reset || page->count > 0 ||
	                    page->revision != sync->revision))
		result = spool_entries_apply(sync->options.spool, page->reset,
		                             page->entries, page->count,
		                             page->revision, &err);
	if (result) {
		trouble_note(&sync->storing, result, "cannot store the policy",
		             err.text);
		return result;
	}
	trouble_over(&sync->storing);
	sync->revision = page->revision;
	return 0;
}

/*
 * Makes in the replica what was stored. What a snapshot brings comes in force
 * when it is whole: until then the lists before it decide.
 */
static void put_in_force(struct policy_sync *sync,
                         const struct policy_page *page)
{
	size_t i;

	if (page->reset) {
		entry_set_free(sync->coming);
		sync->coming = entry_set_new();
	}
	if (sync->coming)
		for (i = 0; i < page->count; i++)
			entry_set_put(sync->coming, &page->entries[i]);
	else
		replica_change(sync->options.replica, page->entries,
		               page->count);
	if (page->more)
		return;
	/* The domains of a page that was read are an array. */
	if (sync->coming || sync->stale)
		(void)replica_replace_text(sync->options.replica, sync->coming,
		                           sync->domains, NULL);
	sync->coming = NULL;
	sync->stale = false;
	metric_set(sync->gauge, sync->revision);
	log_info("policy", "revision %lld in force", (long long)sync->revision);
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
	/* Where neither moves the same page would come without end. */
	if (store_page(sync, &page) == 0) {
		if (!page.more || page.reset || page.revision > before)
			pause_ms = CLOUD_STEP_AGAIN;
		put_in_force(sync, &page);
	}
	policy_page_release(&page);
	return pause_ms;
}

static void write_cursor(const void *context, char *text, size_t size)
{
	const struct policy_sync *sync = context;

	(void)snprintf(text, size, "after=%lld", (long long)sync->revision);
}

static void sync_free(struct policy_sync *sync)
{
	entry_set_free(sync->coming);
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
	    .context = made,
	};
	int result;

	made->options = *options;
	made->storing.part = "policy";
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
