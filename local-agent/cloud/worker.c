/* The threads that talk with the cloud, and how they rest. */
#include "local-agent/cloud/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"

#define LOW_PRIORITY       10 /* of nice(2) */
#define CONNECT_TIMEOUT_MS 10000
#define RESPONSE_MAXIMUM   ((size_t)16 << 20)

struct cloud_worker {
	struct cloud_worker_options options;
	struct http_client *client;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool woken; /* under the lock */
	atomic_bool stopping;
	unsigned failures;
	int64_t retry_after_ms; /* what the cloud asked for, or -1 */
	struct metric *calls, *errors, *away;
};

bool cloud_worker_stopping(const struct cloud_worker *worker)
{
	return atomic_load(&worker->stopping);
}

/* Rests for pause_ms; a wake ends it where wakes count, and is forgotten. */
static void rest(struct cloud_worker *worker, int64_t pause_ms, bool wakes)
{
	int64_t until_ms = clock_monotonic_ms() + pause_ms;

	(void)pthread_mutex_lock(&worker->lock);
	while (!atomic_load(&worker->stopping) && !(wakes && worker->woken) &&
	       condition_wait_until(&worker->changed, &worker->lock, until_ms))
		;
	worker->woken = worker->woken && !wakes;
	(void)pthread_mutex_unlock(&worker->lock);
}

/* The rest after a step that went well: its first part is undisturbed. */
static void rest_between(struct cloud_worker *worker, int64_t pause_ms)
{
	int64_t first_ms = worker->options.minimum_rest_ms;

	if (first_ms > pause_ms)
		first_ms = pause_ms;
	if (first_ms > 0)
		rest(worker, first_ms, false);
	rest(worker, pause_ms - first_ms, true);
}

static int64_t pause_after_failure(struct cloud_worker *worker)
{
	const struct agent_config *config = worker->options.config;
	int64_t pause_ms =
	    http_backoff_ms(worker->failures++, config->cloud_retry_min_ms,
	                    config->cloud_retry_max_ms);

	if (worker->retry_after_ms > pause_ms)
		pause_ms = worker->retry_after_ms < config->cloud_retry_max_ms
		               ? worker->retry_after_ms
		               : config->cloud_retry_max_ms;
	return pause_ms;
}

/* Linux gives each thread a priority of its own; a refusal does no harm. */
static void yield_to_intake(void)
{
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), LOW_PRIORITY);
}

static void *worker_run(void *argument)
{
	struct cloud_worker *worker = argument;

	if (worker->options.can_wait)
		yield_to_intake();
	while (!atomic_load(&worker->stopping)) {
		int64_t pause_ms;

		worker->retry_after_ms = -1;
		pause_ms =
		    worker->options.step(worker, worker->options.context);
		if (pause_ms == CLOUD_STEP_FAILED) {
			metric_set(worker->away, 1);
			rest(worker, pause_after_failure(worker), false);
			continue;
		}
		metric_set(worker->away, 0);
		worker->failures = 0;
		if (pause_ms > 0)
			rest_between(worker, pause_ms);
	}
	return NULL;
}

static void make_metrics(struct cloud_worker *worker)
{
	char labels[60];

	(void)snprintf(labels, sizeof(labels), "part=\"%.20s\"",
	               worker->options.name);
	worker->calls = metric_counter("turing_agent_cloud_calls_total", labels,
	                               "Calls to the cloud");
	worker->errors =
	    metric_counter("turing_agent_cloud_errors_total", labels,
	                   "Calls to the cloud that failed");
	worker->away = metric_gauge("turing_agent_cloud_away", labels,
	                            "1 while the last step failed");
}

static void worker_free(struct cloud_worker *worker)
{
	http_client_free(worker->client);
	(void)pthread_cond_destroy(&worker->changed);
	(void)pthread_mutex_destroy(&worker->lock);
	free(worker);
}

static int make_client(struct cloud_worker *worker, struct error *err)
{
	const struct agent_config *config = worker->options.config;
	struct http_client_options options = {
	    .base_url = config->cloud_url,
	    .ca_file = config->cloud_ca_file,
	    .bearer = config->key,
	    .user_agent = "turing-agent/" TURING_VERSION,
	    .connect_timeout_ms = CONNECT_TIMEOUT_MS,
	    .maximum_response = RESPONSE_MAXIMUM,
	    .cancel = &worker->stopping,
	};

	return http_client_new(&worker->client, &options, err);
}

int cloud_worker_start(struct cloud_worker **worker,
                       const struct cloud_worker_options *options,
                       struct error *err)
{
	struct cloud_worker *made = mem_alloc(sizeof(*made));
	int number, result;

	made->options = *options;
	atomic_init(&made->stopping, false);
	(void)pthread_mutex_init(&made->lock, NULL);
	condition_init(&made->changed);
	make_metrics(made);
	result = make_client(made, err);
	if (result) {
		worker_free(made);
		return result;
	}
	number = pthread_create(&made->thread, NULL, worker_run, made);
	if (number) {
		worker_free(made);
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "cannot start the thread %s",
		                       options->name);
	}
	(void)pthread_setname_np(made->thread, options->name);
	*worker = made;
	return 0;
}

void cloud_worker_stop(struct cloud_worker *worker)
{
	if (!worker)
		return;
	(void)pthread_mutex_lock(&worker->lock);
	atomic_store(&worker->stopping, true);
	(void)pthread_cond_signal(&worker->changed);
	(void)pthread_mutex_unlock(&worker->lock);
	(void)pthread_join(worker->thread, NULL);
	worker_free(worker);
}

void cloud_worker_wake(struct cloud_worker *worker)
{
	bool news;

	if (!worker)
		return;
	(void)pthread_mutex_lock(&worker->lock);
	news = !worker->woken;
	worker->woken = true;
	(void)pthread_mutex_unlock(&worker->lock);
	if (news)
		(void)pthread_cond_signal(&worker->changed);
}

const char *cloud_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* Whether the cloud says that it read the request and found it wrong: others
 * answer 400 too, and the cloud itself does for what a proxy garbled. */
static bool is_refusal(const struct http_answer *answer)
{
	static const char *const types[] = {
	    "urn:turing:problem:invalid-field",
	    "urn:turing:problem:malformed-json",
	};
	const char *type = cloud_text(answer->body, "type");
	size_t i;

	if (!type || (answer->status != 400 && answer->status != 422))
		return false;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

static int judge_status(struct cloud_worker *worker, const char *path,
                        const struct http_answer *answer)
{
	const char *detail = cloud_text(answer->body, "detail");

	if (answer->status >= 200 && answer->status < 300)
		return 0;
	worker->retry_after_ms = answer->retry_after_ms;
	log_warning(worker->options.name, "%s: status %ld: %.300s", path,
	            answer->status,
	            detail ? detail : "not an answer of the cloud");
	if (is_refusal(answer))
		return ERR_INVALID;
	switch (answer->status) {
	case 401:
	case 403:
		return ERR_DENIED;
	case 413:
		return ERR_LIMIT;
	default:
		return ERR_UNAVAILABLE;
	}
}

int cloud_worker_call(struct cloud_worker *worker, const char *method,
                      const char *path, const json_t *body, int64_t timeout_ms,
                      struct http_answer *answer)
{
	struct http_answer received = {0};
	struct error err = {.text = ""};
	int result = http_client_call(worker->client, method, path, body,
	                              timeout_ms, &received, &err);

	metric_add(worker->calls, 1);
	if (result == 0)
		result = judge_status(worker, path, &received);
	else if (!cloud_worker_stopping(worker))
		log_warning(worker->options.name, "%s: %s", path, err.text);
	if (result) {
		metric_add(worker->errors, 1);
		http_answer_release(&received);
		return result == ERR_DENIED || result == ERR_INVALID ||
		               result == ERR_LIMIT
		           ? result
		           : ERR_UNAVAILABLE;
	}
	*answer = received;
	return 0;
}
