/* Expires challenges and held mail, and repairs what a crash left. */
#include "cloud-service/jobs/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "cloud-service/cloud-metrics.h"
#include "cloud-service/jobs/retention.h"
#include "cloud-service/decide/settle.h"
#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define PERIOD_MS       5000
#define PURGE_PERIOD_MS 60000
#define PURGE_PAUSE_MS  100 /* between its steps */
#define LEASE_MS        60000
#define REPAIR_AFTER_MS 10000 /* whoever solved it is still at it before */
#define PAGE_SIZE       200

struct jobs {
	struct jobs_options options;
	struct background background;
	struct background purge; /* for minutes at a time, now and then */
};

static int expire_challenges(const struct jobs_options *options, int64_t now_ms,
                             struct error *err)
{
	struct registry_challenges page = {0};
	char text[ID_TEXT_SIZE];
	size_t i;
	int result;

	result = registry_challenge_due(options->settler->registry,
	                                CHALLENGE_STATE_OPEN, now_ms, PAGE_SIZE,
	                                &page, err);
	if (result)
		return result;
	for (i = 0; i < page.count && !result; i++) {
		result = registry_challenge_move(
		    options->settler->registry, &page.challenges[i].id,
		    CHALLENGE_STATE_OPEN, CHALLENGE_STATE_EXPIRED, now_ms, err);
		if (!result)
			log_info(id_format(&page.challenges[i].id, text),
			         "challenge expired");
		else if (result == ERR_CONFLICT)
			result = 0; /* solved in the last moment */
	}
	registry_challenges_release(&page);
	return result;
}

static int expire_recipient(const struct jobs_options *options,
                            const struct registry_message *message,
                            const struct registry_recipient *recipient,
                            int64_t now_ms, struct error *err)
{
	char by[] = "expiry", why[] = "held too long", text[ID_TEXT_SIZE];
	struct registry_decision decision = {.message = message->id,
	                                     .recipient = recipient->address,
	                                     .verdict = REGISTRY_EXPIRE,
	                                     .by = by,
	                                     .why = why,
	                                     .decided_ms = now_ms};
	int result;

	result = registry_decide(options->settler->registry, &message->tenant,
	                         &decision, err);
	if (result == ERR_CONFLICT || result == ERR_NOT_FOUND)
		return 0;
	if (result)
		return result;
	count_decision(REGISTRY_EXPIRE, by);
	log_info(id_format(&message->id, text), "expired for %s",
	         recipient->address);
	return 0;
}

static int expire_messages(const struct jobs_options *options, int64_t now_ms,
                           struct error *err)
{
	struct registry_query query = {
	    .held = true, .expires_before_ms = now_ms, .limit = PAGE_SIZE};
	struct registry_messages page = {0};
	size_t i, k;
	int result;

	result = registry_message_list(options->settler->registry, &query,
	                               &page, err);
	if (result)
		return result;
	for (i = 0; i < page.count; i++) {
		const struct registry_message *message = &page.messages[i];

		for (k = 0; k < message->recipient_count && !result; k++)
			if (message->recipients[k].state == REGISTRY_HELD)
				result = expire_recipient(
				    options, message, &message->recipients[k],
				    now_ms, err);
	}
	registry_messages_release(&page);
	return result;
}

static int repair(const struct jobs_options *options, int64_t now_ms,
                  struct error *err)
{
	return settle_repair(options->settler, now_ms - REPAIR_AFTER_MS, err);
}

/* In this order: what is solved is released before anything expires. */
static const struct job {
	const char *name; /* of its lease too */
	int (*run)(const struct jobs_options *options, int64_t now_ms,
	           struct error *err);
} table[] = {
    {"job-settle-repair", repair},
    {"job-challenge-expiry", expire_challenges},
    {"job-message-expiry", expire_messages},
};

static int run_one(const struct jobs_options *options, const struct job *job,
                   int64_t now_ms, struct error *err)
{
	int result;

	result = registry_lease(options->settler->registry, job->name,
	                        options->config->instance_name, clock_wall_ms(),
	                        LEASE_MS, err);
	if (result == ERR_CONFLICT)
		return 0; /* another instance does it */
	return result ? result : job->run(options, now_ms, err);
}

/* Logs the failure of a job and keeps the first. */
static void note(const char *name, const struct error *why, int *first,
                 struct error *err)
{
	log_error(name, "%s", why->text);
	if (!*first)
		*first = error_set(err, why->code, "%.511s", why->text);
}

static int run_table(const struct jobs_options *options, int64_t now_ms,
                     struct error *err)
{
	size_t i;
	int first = 0;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct error why = {0};

		if (run_one(options, &table[i], now_ms, &why))
			note(table[i].name, &why, &first, err);
	}
	return first;
}

int jobs_run(const struct jobs_options *options, int64_t now_ms,
             struct error *err)
{
	struct error why = {0};
	int first = run_table(options, now_ms, err);

	if (retention_run(options->settler->registry, options->config, now_ms,
	                  NULL, NULL, &why))
		note("job-purge", &why, &first, err);
	return first;
}

static void *run(void *argument)
{
	struct jobs *jobs = argument;

	do
		(void)run_table(&jobs->options, clock_wall_ms(), NULL);
	while (background_rest(&jobs->background, PERIOD_MS));
	return NULL;
}

static bool rest_between_steps(void *context)
{
	return background_rest(context, PURGE_PAUSE_MS);
}

static void *run_purge(void *argument)
{
	struct jobs *jobs = argument;

	do {
		struct error err = {0};

		if (retention_run(jobs->options.settler->registry,
		                  jobs->options.config, clock_wall_ms(),
		                  rest_between_steps, &jobs->purge, &err))
			log_error("job-purge", "%s", err.text);
	} while (background_rest(&jobs->purge, PURGE_PERIOD_MS));
	return NULL;
}

int jobs_start(struct jobs **jobs, const struct jobs_options *options,
               struct error *err)
{
	struct jobs *made = mem_alloc(sizeof(*made));
	int result;

	made->options = *options;
	result = background_start(&made->background, "jobs", run, made, err);
	if (!result)
		result = background_start(&made->purge, "purge", run_purge,
		                          made, err);
	if (result)
		jobs_stop(made);
	else
		*jobs = made;
	return result;
}

void jobs_stop(struct jobs *jobs)
{
	if (!jobs)
		return;
	background_end(&jobs->purge);
	background_stop(&jobs->background);
	background_stop(&jobs->purge);
	free(jobs);
}
