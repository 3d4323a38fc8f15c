/* Expiry, purge, free space and gauges. */
#include "local-agent/queue/maintenance.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/queue/trouble.h"

#define TICK_MS      1000
#define COUNT_TICKS  5
#define EXPIRE_TICKS 10
#define PURGE_TICKS  60
#define EXPIRE_LIMIT 200
#define PURGE_LIMIT  500
#define PURGE_ROUNDS 20
/*
 * Whatever the configuration says: the store's own work, and the end of what
 * was taken already, need some space.
 */
#define FLOOR_BYTES (INT64_C(8) << 20)

struct maintenance {
	struct maintenance_options options;
	struct background background;
	bool low;
	struct trouble counting, expiring, purging, settling;
	struct metric *gauges[SPOOL_STATE_COUNT];
	struct metric *unregistered, *body_bytes, *kept, *purged, *free;
};

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
	low = bytes < options->config->spool_min_free || bytes < FLOOR_BYTES;
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
	struct error err = {.text = ""};
	int i, result;

	result = spool_count(maintenance->options.spool, &totals, &err);
	if (result) {
		trouble_note(&maintenance->counting, result,
		             "cannot count the mail", err.text);
		return;
	}
	trouble_over(&maintenance->counting);
	for (i = 0; i < SPOOL_STATE_COUNT; i++)
		metric_set(maintenance->gauges[i], totals.recipients[i]);
	metric_set(maintenance->unregistered, totals.unregistered);
	metric_set(maintenance->body_bytes, totals.body_bytes);
	metric_set(maintenance->kept, totals.kept);
}

/* What of a message has waited for long enough, and why it then goes. */
static const struct expiry {
	enum spool_state state;
	const char *why;
	bool event; /* the cloud is told; that it failed, it has been told */
} expiries[] = {
    {SPOOL_HELD, "nobody released it in time", true},
    {SPOOL_FAILED, "nobody tried it again in time", false},
};
#define EXPIRIES (sizeof(expiries) / sizeof(expiries[0]))

/* Whether it is the expiry's and waits no longer. */
static bool has_expired(const struct spool_recipient *recipient,
                        const struct expiry *expiry, int64_t now_ms)
{
	if (recipient->state != expiry->state)
		return false;
	return recipient->state != SPOOL_FAILED ||
	       (recipient->keep_until_ms && recipient->keep_until_ms < now_ms);
}

static size_t count_recipients(const struct spool_page *page)
{
	size_t i, count = 0;

	for (i = 0; i < page->count; i++)
		count += page->messages[i].recipient_count;
	return count;
}

static struct spool_change *expire_changes(const struct spool_page *page,
                                           const struct expiry *expiry,
                                           size_t *count, int64_t now_ms)
{
	struct spool_change *changes =
	    mem_alloc_array(count_recipients(page), sizeof(*changes));
	size_t i, j;

	*count = 0;
	for (i = 0; i < page->count; i++) {
		for (j = 0; j < page->messages[i].recipient_count; j++) {
			struct spool_change *change = &changes[*count];

			if (!has_expired(&page->messages[i].recipients[j],
			                 expiry, now_ms))
				continue;
			(*count)++;
			change->kind = SPOOL_MOVE;
			change->move.id = page->messages[i].id;
			change->move.recipient = j;
			change->move.from = SPOOL_IN(expiry->state);
			change->move.to = SPOOL_EXPIRED;
			change->move.now_ms = now_ms;
			change->move.by = "expiry";
			change->move.why = expiry->why;
			change->move.event = expiry->event;
		}
	}
	return changes;
}

/* Returns how many of the changes were made. */
static size_t log_expired(const struct spool_change *changes, size_t count)
{
	char id[ID_TEXT_SIZE];
	size_t i, expired = 0;

	for (i = 0; i < count; i++) {
		if (changes[i].result)
			continue;
		expired++;
		log_info(id_format(&changes[i].move.id, id),
		         "recipient %zu expired: %s", changes[i].move.recipient,
		         changes[i].move.why);
	}
	return expired;
}

/* A page of one expiry; *more as maintenance_expire() has it. */
static int expire_page(struct spool *spool, struct writer *writer,
                       const struct expiry *expiry, int64_t now_ms, bool *more,
                       struct error *err)
{
	struct spool_query query = {.states = SPOOL_IN(expiry->state),
	                            .kept = true,
	                            .expired_before_ms = now_ms,
	                            .limit = EXPIRE_LIMIT};
	struct spool_page page = {0};
	struct spool_change *changes;
	size_t count, expired = 0;
	int result = spool_list(spool, &query, &page, err);

	if (result)
		return result;
	changes = expire_changes(&page, expiry, &count, now_ms);
	if (count > 0)
		result = writer_commit(writer, changes, count);
	if (result)
		(void)error_set(err, (enum error_code)result,
		                "the commit failed");
	else
		expired = log_expired(changes, count);
	/* Where none could be moved, the next page would be the same. */
	*more = *more || (result == 0 && page.more && expired > 0);
	free(changes);
	spool_page_release(&page);
	return result;
}

int maintenance_expire(struct spool *spool, struct writer *writer,
                       int64_t now_ms, bool *more, struct error *err)
{
	int result = 0;

	*more = false;
	for (size_t i = 0; i < EXPIRIES && !result; i++)
		result =
		    expire_page(spool, writer, &expiries[i], now_ms, more, err);
	return result;
}

static void expire(struct maintenance *maintenance)
{
	const struct maintenance_options *options = &maintenance->options;
	struct error err = {.text = ""};
	bool more = true;
	int result = 0;

	while (more)
		result = maintenance_expire(options->spool, options->writer,
		                            clock_wall_ms(), &more, &err);
	if (result)
		trouble_note(&maintenance->expiring, result,
		             "cannot expire mail", err.text);
	else
		trouble_over(&maintenance->expiring);
}

static void purge(struct maintenance *maintenance)
{
	const struct maintenance_options *options = &maintenance->options;
	int64_t before_ms =
	    clock_wall_ms() - options->config->queue_keep_history_ms;
	struct error err = {.text = ""};
	size_t deleted = PURGE_LIMIT;
	int round, result = 0;

	for (round = 0; round < PURGE_ROUNDS && deleted == PURGE_LIMIT;
	     round++) {
		result = spool_purge(options->spool, before_ms, PURGE_LIMIT,
		                     &deleted, &err);
		if (result)
			break;
		metric_add(maintenance->purged, (int64_t)deleted);
	}
	if (result)
		trouble_note(&maintenance->purging, result,
		             "cannot purge what is over", err.text);
	else
		trouble_over(&maintenance->purging);
}

/* What the store may have of mail that was answered 451. */
static void settle(struct maintenance *maintenance)
{
	const struct maintenance_options *options = &maintenance->options;
	struct error err = {.text = ""};
	int result;

	/* Asked while it is away, the store would only be waited for. */
	if (!options->disowned || writer_away(options->writer))
		return;
	result =
	    disowned_settle(options->disowned, options->spool, options->writer,
	                    options->config->agent_name, &err);
	if (result)
		trouble_note(&maintenance->settling, result,
		             "cannot look for mail that was answered 451",
		             err.text);
	else
		trouble_over(&maintenance->settling);
}

static void *maintenance_run(void *argument)
{
	struct maintenance *maintenance = argument;
	unsigned tick;

	for (tick = 0;; tick++) {
		watch_space(maintenance);
		settle(maintenance);
		if (tick % COUNT_TICKS == 0)
			count_mail(maintenance);
		if (tick % EXPIRE_TICKS == 0)
			expire(maintenance);
		if (tick % PURGE_TICKS == 0)
			purge(maintenance);
		if (!background_rest(&maintenance->background, TICK_MS))
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
	maintenance->kept =
	    metric_gauge("turing_agent_failed_kept", "",
	                 "Recipients whose mail the next hop refused and "
	                 "nobody has dealt with: see queue list");
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
	int result;

	made->options = *options;
	made->counting.part = "spool";
	made->expiring.part = "spool";
	made->purging.part = "spool";
	made->settling.part = "spool";
	make_metrics(made);
	result = background_start(&made->background, "maintenance",
	                          maintenance_run, made, err);
	if (result) {
		free(made);
		return result;
	}
	*maintenance = made;
	return 0;
}

void maintenance_stop(struct maintenance *maintenance)
{
	if (!maintenance)
		return;
	background_stop(&maintenance->background);
	free(maintenance);
}
