/* The registration of held mail. */
#include "local-agent/cloud/registrar.h"

#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/registrar-wire.h"
#include "local-agent/cloud/upload.h"

#define BATCH_MESSAGES 500

struct registrar {
	struct registrar_options options;
	struct cloud_upload *upload;
	/* The messages of a page that are sent, and what came of all. */
	const struct spool_message *sent[BATCH_MESSAGES];
	size_t sent_count;
	struct decision_batch decisions;
	struct metric *registered, *refusals, *recipient_refusals, *lag;
};

/*
 * The refusal is kept with the message, so that a restart does not forget it,
 * and the next try comes later each time. It is logged when it is new.
 */
static void refuse(struct registrar *registrar,
                   const struct spool_message *message, const char *why)
{
	const struct agent_config *config = registrar->options.config;
	const struct backoff pauses = {.minimum_ms = config->queue_retry_min_ms,
	                               .maximum_ms =
	                                   config->queue_retry_max_ms};
	int64_t pause_ms =
	    backoff_delay_ms(&pauses, message->registration_attempts + 1);
	char id[ID_TEXT_SIZE];

	decision_add_refused(&registrar->decisions, &message->id,
	                     clock_wall_ms() + pause_ms, why);
	metric_add(registrar->refusals, 1);
	if (strcmp(message->registration_refusal, why) != 0)
		log_error(id_format(&message->id, id),
		          "the cloud refused to register it: %s; it stays "
		          "held and is sent again ever more seldom",
		          why);
}

/* Says once what is not registered of a message that is. */
static void tell_left_out(struct registrar *registrar,
                          const struct spool_message *message,
                          const char *refusal)
{
	char id[ID_TEXT_SIZE];

	if (!refusal)
		return;
	metric_add(registrar->recipient_refusals, 1);
	log_warning(id_format(&message->id, id),
	            "registered without some recipients, which stay held: %s",
	            refusal);
}

static bool has_held(const struct spool_message *message)
{
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		if (registrar_can_ask(&message->recipients[i]))
			return true;
	return false;
}

/* None of its recipients can be registered, or none is held any more. */
static void mark(struct registrar *registrar,
                 const struct spool_message *message)
{
	char *refusal = registrar_refusal(message, NULL);

	decision_add_registered(&registrar->decisions, &message->id, refusal);
	tell_left_out(registrar, message, refusal);
	free(refusal);
}

static void query(void *context, struct spool_query *query)
{
	(void)context;
	query->unregistered = true;
	query->retry_until_ms = clock_wall_ms();
}

/* Picks what is sent; what needs no registration any more is marked. */
static size_t pick(void *context, const struct spool_page *page)
{
	struct registrar *registrar = context;
	int64_t lag_ms =
	    page->count ? clock_wall_ms() - page->messages[0].received_ms : 0;

	metric_set(registrar->lag, lag_ms / 1000);
	registrar->sent_count = 0;
	for (size_t i = 0; i < page->count; i++) {
		const struct spool_message *message = &page->messages[i];

		if (!has_held(message))
			mark(registrar, message);
		else
			registrar->sent[registrar->sent_count++] = message;
	}
	return registrar->sent_count;
}

static json_t *request(void *context, size_t first, size_t count)
{
	struct registrar *registrar = context;

	return registrar_request(
	    registrar->sent + first, count,
	    registrar->options.config->policy_upload_subject);
}

static int answered(void *context, size_t first, size_t count,
                    const json_t *answer)
{
	struct registrar *registrar = context;
	struct decision_batch *decisions = &registrar->decisions;
	size_t changes = decisions->count, released = decisions->released;

	for (size_t i = 0; i < count; i++) {
		const struct spool_message *message =
		    registrar->sent[first + i];
		enum registrar_status status;
		char *why = NULL;
		int result = registrar_result(
		    answer, i, message, &registrar->decisions, &status, &why);

		if (result) {
			/* Nothing of this answer counts. */
			decisions->count = changes;
			decisions->released = released;
			log_error("registrar",
			          "the cloud's result %zu of %zu is not what "
			          "was agreed",
			          i, count);
			return result;
		}
		if (status == REGISTRAR_REFUSED)
			refuse(registrar, message, why);
		else
			tell_left_out(registrar, message, why);
		if (status == REGISTRAR_ACCEPTED)
			metric_add(registrar->registered, 1);
		free(why);
	}
	return 0;
}

static void refused(void *context, size_t index)
{
	struct registrar *registrar = context;

	refuse(registrar, registrar->sent[index], "request refused");
}

/* What was answered before a failure counts: it would not come otherwise when
 * it was asked again. */
static int commit(void *context, bool whole)
{
	struct registrar *registrar = context;
	struct decision_batch *decisions = &registrar->decisions;
	int result = decision_commit(decisions, registrar->options.writer);

	(void)whole;
	if (result == 0 && decisions->released && registrar->options.released)
		registrar->options.released(registrar->options.context);
	decision_batch_release(decisions);
	return result;
}

static const struct cloud_upload_kind registration = {
    .name = "registrar",
    .path = "/v1/agent/messages",
    .messages = BATCH_MESSAGES,
    .items = BATCH_MESSAGES,
    .idle_ms = 10000,
    .query = query,
    .pick = pick,
    .request = request,
    .answered = answered,
    .refused = refused,
    .commit = commit,
};

static void make_metrics(struct registrar *registrar)
{
	registrar->registered =
	    metric_counter("turing_agent_registered_total", "",
	                   "Messages that the cloud has registered");
	registrar->refusals =
	    metric_counter("turing_agent_registration_refused_total", "",
	                   "Messages that the cloud refused to register");
	registrar->recipient_refusals = metric_counter(
	    "turing_agent_registered_in_part_total", "",
	    "Messages registered without some of their recipients");
	registrar->lag =
	    metric_gauge("turing_agent_registration_lag_seconds", "",
	                 "Age of the oldest message in the last "
	                 "batch to be registered");
}

int registrar_start(struct registrar **registrar,
                    const struct registrar_options *options, struct error *err)
{
	struct registrar *made = mem_alloc(sizeof(*made));
	struct cloud_upload_options upload = {
	    .kind = &registration,
	    .config = options->config,
	    .spool = options->spool,
	    .context = made,
	};
	int result;

	made->options = *options;
	make_metrics(made);
	result = cloud_upload_start(&made->upload, &upload, err);
	if (result) {
		free(made);
		return result;
	}
	*registrar = made;
	return 0;
}

void registrar_stop(struct registrar *registrar)
{
	if (!registrar)
		return;
	cloud_upload_stop(registrar->upload);
	free(registrar);
}

void registrar_wake(struct registrar *registrar)
{
	if (registrar)
		cloud_upload_wake(registrar->upload);
}
