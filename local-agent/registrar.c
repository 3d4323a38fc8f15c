/* The registration of held mail. */
#include "local-agent/registrar.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/cloud-worker.h"
#include "local-agent/trouble.h"
#include "local-agent/registrar-wire.h"

#define PATH            "/v1/agent/messages"
#define BATCH_MESSAGES  500
#define TIMEOUT_MS      60000
#define IDLE_MS         10000 /* for what another process has changed */
#define GATHER_MS       100   /* between batches that are not full */
#define REFUSED_MAXIMUM 1024

/* A message that the cloud refused: not asked again for a while. */
struct refused {
	struct id id;
	int64_t until_ms;
};

struct registrar {
	struct registrar_options options;
	struct cloud_worker *worker;
	struct trouble reading;
	struct refused refused[REFUSED_MAXIMUM];
	size_t refused_next;
	size_t limit;    /* messages in the next batch */
	bool again;      /* the sweep starts anew at once */
	bool busy;       /* this page had something to send or to mark */
	struct id after; /* where the sweep over the spool stands */
	struct metric *registered, *refusals, *lag;
};

/* The messages of a page that are sent. */
struct batch {
	const struct spool_message *messages[BATCH_MESSAGES];
	size_t count;
};

static bool is_refused(const struct registrar *registrar, const struct id *id)
{
	int64_t now_ms = clock_monotonic_ms();
	size_t i;

	for (i = 0; i < REFUSED_MAXIMUM; i++)
		if (registrar->refused[i].until_ms > now_ms &&
		    id_equal(&registrar->refused[i].id, id))
			return true;
	return false;
}

static void refuse(struct registrar *registrar,
                   const struct spool_message *message, const char *why)
{
	struct refused *slot =
	    &registrar->refused[registrar->refused_next++ % REFUSED_MAXIMUM];
	char id[ID_TEXT_SIZE];

	slot->id = message->id;
	slot->until_ms = clock_monotonic_ms() +
	                 registrar->options.config->cloud_retry_max_ms;
	metric_add(registrar->refusals, 1);
	log_error(id_format(&message->id, id),
	          "the cloud refused to register it: %s; it stays held",
	          why ? why : "no reason given");
}

static bool has_held(const struct spool_message *message)
{
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		if (message->recipients[i].state == SPOOL_HELD)
			return true;
	return false;
}

/* Picks what is sent; what needs no registration any more is marked. */
static void pick(struct registrar *registrar, const struct spool_page *page,
                 struct batch *batch, struct decision_batch *decisions)
{
	size_t i;

	for (i = 0; i < page->count; i++) {
		const struct spool_message *message = &page->messages[i];

		if (!has_held(message))
			decision_add_registered(decisions, &message->id);
		else if (!is_refused(registrar, &message->id))
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
		const char *why;
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
			refuse(registrar, batch->messages[i], why);
		else
			metric_add(registrar->registered, 1);
	}
	return 0;
}

/*
 * The whole request was refused: one message in it may be to blame. They are
 * sent one by one until it is found, and that one is put aside.
 */
static int narrow_down(struct registrar *registrar, const struct batch *batch)
{
	if (batch->count == 1) {
		refuse(registrar, batch->messages[0], "request refused");
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
		return narrow_down(registrar, batch);
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
	/* A page with refused mail in it must not hide what follows. */
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
