/* Expiry, purge, free space and gauges. */
#include "local-agent/maintenance.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"

#define TICK_MS      1000
#define COUNT_TICKS  5
#define EXPIRE_TICKS 10
#define PURGE_TICKS  60
#define EXPIRE_LIMIT 200
#define PURGE_LIMIT  500
#define PURGE_ROUNDS 20

struct maintenance {
	struct maintenance_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping; /* under the lock */
	bool low;
	struct metric *gauges[SPOOL_STATE_COUNT];
	struct metric *unregistered, *body_bytes, *purged, *free;
};

/* Waits one tick; false when it is time to stop. */
static bool await_tick(struct maintenance *maintenance)
{
	int64_t until_ms = clock_wall_ms() + TICK_MS;
	struct timespec until = {
	    .tv_sec = until_ms / 1000,
	    .tv_nsec = until_ms % 1000 * 1000000,
	};
	bool stopping;

	(void)pthread_mutex_lock(&maintenance->lock);
	while (!maintenance->stopping &&
	       pthread_cond_timedwait(&maintenance->changed, &maintenance->lock,
	                              &until) == 0)
		;
	stopping = maintenance->stopping;
	(void)pthread_mutex_unlock(&maintenance->lock);
	return !stopping;
}

static void watch_space(struct maintenance *maintenance)
{
	const struct maintenance_options *options = &maintenance->options;
	struct statvfs space;
	int64_t bytes;
	bool low;

	if (statvfs(spool_incoming_directory(options->spool), &space) != 0)
		return;
	bytes = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
	metric_set(maintenance->free, bytes);
	low = bytes < options->config->spool_min_free;
	if (low == maintenance->low)
		return;
	maintenance->low = low;
	if (low)
		log_error("spool", "only %lld bytes free: no mail is taken",
		          (long long)bytes);
	else
		log_info("spool", "%lld bytes free: mail is taken again",
		         (long long)bytes);
	if (options->low_space)
		options->low_space(options->context, low);
}

static void count_mail(struct maintenance *maintenance)
{
	struct spool_totals totals;
	struct error err;
	int i;

	if (spool_count(maintenance->options.spool, &totals, &err)) {
		log_error("spool", "cannot count: %s", err.text);
		return;
	}
	for (i = 0; i < SPOOL_STATE_COUNT; i++)
		metric_set(maintenance->gauges[i], totals.recipients[i]);
	metric_set(maintenance->unregistered, totals.unregistered);
	metric_set(maintenance->body_bytes, totals.body_bytes);
}

static size_t held_recipients(const struct spool_page *page)
{
	size_t i, j, count = 0;

	for (i = 0; i < page->count; i++)
		for (j = 0; j < page->messages[i].recipient_count; j++)
			count +=
			    page->messages[i].recipients[j].state == SPOOL_HELD;
	return count;
}

static struct spool_change *expire_changes(const struct spool_page *page,
                                           size_t *count, int64_t now_ms)
{
	struct spool_change *changes =
	    mem_alloc_array(held_recipients(page), sizeof(*changes));
	size_t i, j;

	*count = 0;
	for (i = 0; i < page->count; i++) {
		for (j = 0; j < page->messages[i].recipient_count; j++) {
			struct spool_change *change = &changes[*count];

			if (page->messages[i].recipients[j].state != SPOOL_HELD)
				continue;
			(*count)++;
			change->kind = SPOOL_MOVE;
			change->move.id = page->messages[i].id;
			change->move.recipient = j;
			change->move.from = SPOOL_IN(SPOOL_HELD);
			change->move.to = SPOOL_EXPIRED;
			change->move.now_ms = now_ms;
			change->move.by = "expiry";
			change->move.why = "nobody released it in time";
			change->move.event = true;
		}
	}
	return changes;
}

static void log_expired(const struct spool_change *changes, size_t count)
{
	char id[ID_TEXT_SIZE];
	size_t i;

	for (i = 0; i < count; i++)
		if (changes[i].result == 0)
			log_info(id_format(&changes[i].move.id, id),
			         "recipient %zu expired",
			         changes[i].move.recipient);
}

int maintenance_expire(struct spool *spool, struct writer *writer,
                       int64_t now_ms, bool *more, struct error *err)
{
	struct spool_query query = {.states = SPOOL_IN(SPOOL_HELD),
	                            .expired_before_ms = now_ms,
	                            .limit = EXPIRE_LIMIT};
	struct spool_page page = {0};
	struct spool_change *changes;
	size_t count;
	int result = spool_list(spool, &query, &page, err);

	*more = false;
	if (result)
		return result;
	changes = expire_changes(&page, &count, now_ms);
	if (count > 0)
		result = writer_commit(writer, changes, count);
	if (result)
		(void)error_set(err, (enum error_code)result,
		                "the commit failed");
	else
		log_expired(changes, count);
	*more = result == 0 && page.more;
	free(changes);
	spool_page_release(&page);
	return result;
}

static void expire(struct maintenance *maintenance)
{
	const struct maintenance_options *options = &maintenance->options;
	struct error err = {.text = ""};
	bool more = true;

	while (more)
		if (maintenance_expire(options->spool, options->writer,
		                       clock_wall_ms(), &more, &err))
			log_error("spool", "cannot expire mail: %s", err.text);
}

static void purge(struct maintenance *maintenance)
{
	const struct maintenance_options *options = &maintenance->options;
	int64_t before_ms =
	    clock_wall_ms() - options->config->queue_keep_history_ms;
	struct error err = {.text = ""};
	size_t deleted = PURGE_LIMIT;
	int round;

	for (round = 0; round < PURGE_ROUNDS && deleted == PURGE_LIMIT;
	     round++) {
		if (spool_purge(options->spool, before_ms, PURGE_LIMIT,
		                &deleted, &err)) {
			log_error("spool", "cannot purge: %s", err.text);
			return;
		}
		metric_add(maintenance->purged, (int64_t)deleted);
	}
}

static void *maintenance_run(void *argument)
{
	struct maintenance *maintenance = argument;
	unsigned tick;

	for (tick = 0;; tick++) {
		watch_space(maintenance);
		if (tick % COUNT_TICKS == 0)
			count_mail(maintenance);
		if (tick % EXPIRE_TICKS == 0)
			expire(maintenance);
		if (tick % PURGE_TICKS == 0)
			purge(maintenance);
		if (!await_tick(maintenance))
			return NULL;
	}
}

static void make_metrics(struct maintenance *maintenance)
{
	char labels[40];
	int i;

	for (i = 0; i < SPOOL_STATE_COUNT; i++) {
		(void)snprintf(labels, sizeof(labels), "state=\"%s\"",
		               spool_state_name((enum spool_state)i));
		maintenance->gauges[i] =
		    metric_gauge("turing_agent_recipients", labels,
		                 "Recipients in the spool, by state");
	}
	maintenance->unregistered =
	    metric_gauge("turing_agent_unregistered", "",
	                 "Messages that the cloud is still to hear of");
	maintenance->body_bytes = metric_gauge("turing_agent_body_bytes", "",
	                                       "Bytes of mail in the spool");
	maintenance->free = metric_gauge("turing_agent_spool_free_bytes", "",
	                                 "Free space where the spool is");
	maintenance->purged =
	    metric_counter("turing_agent_purged_total", "",
	                   "Records of finished mail deleted");
}

int maintenance_start(struct maintenance **maintenance,
                      const struct maintenance_options *options,
                      struct error *err)
{
	struct maintenance *made = mem_alloc(sizeof(*made));
	int number;

	made->options = *options;
	(void)pthread_mutex_init(&made->lock, NULL);
	(void)pthread_cond_init(&made->changed, NULL);
	make_metrics(made);
	number = pthread_create(&made->thread, NULL, maintenance_run, made);
	if (number) {
		free(made);
		return error_set_errno(err, ERR_UNAVAILABLE, number,
		                       "cannot start the maintenance thread");
	}
	(void)pthread_setname_np(made->thread, "maintenance");
	*maintenance = made;
	return 0;
}

void maintenance_stop(struct maintenance *maintenance)
{
	if (!maintenance)
		return;
	(void)pthread_mutex_lock(&maintenance->lock);
	maintenance->stopping = true;
	(void)pthread_cond_signal(&maintenance->changed);
	(void)pthread_mutex_unlock(&maintenance->lock);
	(void)pthread_join(maintenance->thread, NULL);
	(void)pthread_cond_destroy(&maintenance->changed);
	(void)pthread_mutex_destroy(&maintenance->lock);
	free(maintenance);
}
