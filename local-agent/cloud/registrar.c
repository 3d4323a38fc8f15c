/* The registration of held mail. */
#include "local-agent/cloud/registrar.h"

#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud/worker.h"
#include "local-agent/queue/trouble.h"
#include "local-agent/cloud/registrar-wire.h"

#define PATH           "/v1/agent/messages"
#define BATCH_MESSAGES 500
#define TIMEOUT_MS     60000
#define IDLE_MS        10000 /* for what another process has changed */
#define GATHER_MS      100   /* between batches that are not full */

struct registrar {
	struct registrar_options options;
	struct cloud_worker *worker;
	struct trouble reading;
	size_t limit;    /* messages in the next batch */
	bool again;      /* the sweep starts anew at once */
	bool busy;       /* this page had something to send or to mark */
	struct id after; /* where the sweep over the spool stands */
	struct metric *registered, *refusals, *recipient_refusals, *lag;
};

/* The messages of a page that are sent. */
struct batch {
	const struct spool_message *messages[BATCH_MESSAGES];
	size_t count;
};

/*
 * The refusal is kept with the message, so that a restart does not forget it,
 * and the next try comes later each time. It is logged when it is new.
 */
static void refuse(struct registrar *registrar,
                   const struct spool_message *message, const char *why,
                   struct decision_batch *decisions)
{
	const struct agent_config *config = registrar->options.config;
	const struct backoff pauses = {.minimum_ms = config->queue_retry_min_ms,
	                               .maximum_ms =
	                                   config->queue_retry_max_ms};
	int64_t pause_ms =
	    backoff_delay_ms(&pauses, message->registration_attempts + 1);
	char id[ID_TEXT_SIZE];

	decision_add_refused(decisions, &message->id,
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
                 const struct spool_message *message,
                 struct decision_batch *decisions)
{
	char *refusal = registrar_refusal(message, NULL);

	decision_add_registered(decisions, &message->id, refusal);
	tell_left_out(registrar, message, refusal);
	free(refusal);
}

/* Picks what is sent; what needs no registration any more is marked. */
static void pick(struct registrar *registrar, const struct spool_page *page,
                 struct batch *batch, struct decision_batch *decisions)
{
	size_t i;

	for (i = 0; i < page->count; i++) {
		const struct spool_message *message = &page->messages[i];

		if (!has_held(message))
			mark(registrar, message, decisions);
		else
			batch->messages[batch->count++] = message;
	}
}

static int read_results(struct registrar *registrar, const json_t *answer,
                        const struct batch *batch,
                        struct decision_batch *decisions)
{
	size_t i;

	for (i = 0; i < batch->count; i++) {
		enum registrar_status status;
		char *why = NULL;
		int result = registrar_result(answer, i, batch->messages[i],
		                              decisions, &status, &why);

		if (result) {
			log_error("registrar",
			          "the cloud's result %zu of %zu is not what "
			          "was agreed",
			          i, batch->count);
			return result;
		}
		if (status == REGISTRAR_REFUSED)
			refuse(registrar, batch->messages[i], why, decisions);
		else
			tell_left_out(registrar, batch->messages[i], why);
		if (status == REGISTRAR_ACCEPTED)
			metric_add(registrar->registered, 1);
		free(why);
	}
	return 0;
}

/*
 * The whole request was refused: one message in it may be to blame. They are
 * sent one by one until it is found, and that one is put aside.
 */
static int narrow_down(struct registrar *registrar, const struct batch *batch,
                       struct decision_batch *decisions)
{
	if (batch->count == 1) {
		refuse(registrar, batch->messages[0], "request refused",
		       decisions);
		return 0;
	}
	registrar->limit = 1;
	registrar->again = true;
	return 0;
}

static int send(struct registrar *registrar, struct cloud_worker *worker,
                const struct batch *batch, struct decision_batch *decisions)
{
	struct http_answer answer = {0};
	json_t *body;
	int result;

	if (batch->count == 0)
		return 0;
	body =
	    registrar_request(batch->messages, batch->count,
	                      registrar->options.config->policy_upload_subject);
	result =
	    cloud_worker_call(worker, "POST", PATH, body, TIMEOUT_MS, &answer);
	json_decref(body);
	if (result == ERR_INVALID)
		return narrow_down(registrar, batch, decisions);
	if (result == ERR_LIMIT && registrar->limit > 1)
		registrar->limit /= 2;
	if (result)
		return result;
	result = read_results(registrar, answer.body, batch, decisions);
	http_answer_release(&answer);
	if (result == 0 && registrar->limit < BATCH_MESSAGES)
		registrar->limit *= 2;
	if (registrar->limit > BATCH_MESSAGES)
		registrar->limit = BATCH_MESSAGES;
	return result;
}

static int handle_page(struct registrar *registrar, struct cloud_worker *worker,
                       const struct spool_page *page)
{
	struct decision_batch decisions = {0};
	struct batch batch = {.count = 0};
	int result;

	metric_set(registrar->lag,
	           page->count
	               ? (clock_wall_ms() - page->messages[0].received_ms) /
	                     1000
	               : 0);
	pick(registrar, page, &batch, &decisions);
	registrar->busy = batch.count + decisions.count > 0;
	result = send(registrar, worker, &batch, &decisions);
	if (result == 0)
		result = decision_commit(&decisions, registrar->options.writer);
	if (result == 0 && decisions.released && registrar->options.released)
		registrar->options.released(registrar->options.context);
	decision_batch_release(&decisions);
	return result;
}

/* Where the sweep goes on, and when. */
static int64_t plan(struct registrar *registrar, const struct spool_page *page)
{
	registrar->after = page->more && !registrar->again
	                       ? page->messages[page->count - 1].id
	                       : (struct id){{0}};
	if (page->more || registrar->again)
		return CLOUD_STEP_AGAIN;
	return registrar->busy ? GATHER_MS : IDLE_MS;
}

static int64_t step(struct cloud_worker *worker, void *context)
{
	struct registrar *registrar = context;
	struct spool_query query = {.unregistered = true,
	                            .retry_until_ms = clock_wall_ms(),
	                            .after = registrar->after,
	                            .limit = registrar->limit};
	struct spool_page page = {0};
	struct error err = {.text = ""};
	int64_t pause_ms = CLOUD_STEP_FAILED;
	int result;

	registrar->again = false;
	result = spool_list(registrar->options.spool, &query, &page, &err);
	if (result) {
		trouble_note(&registrar->reading, result,
		             "cannot read the spool", err.text);
		return CLOUD_STEP_FAILED;
	}
	trouble_over(&registrar->reading);
	registrar->after = (struct id){{0}};
	if (handle_page(registrar, worker, &page) == 0)
		pause_ms = plan(registrar, &page);
	spool_page_release(&page);
	return pause_ms;
}

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
	struct cloud_worker_options worker = {
	    .name = "registrar",
	    .config = options->config,
	    .minimum_rest_ms = GATHER_MS,
	    .can_wait = true,
	    .step = step,
	    .context = made,
	};
	int result;

	made->options = *options;
	made->reading.part = "registrar";
	made->limit = BATCH_MESSAGES;
	make_metrics(made);
	result = cloud_worker_start(&made->worker, &worker, err);
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
	cloud_worker_stop(registrar->worker);
	free(registrar);
}

void registrar_wake(struct registrar *registrar)
{
	if (registrar)
		cloud_worker_wake(registrar->worker);
}
