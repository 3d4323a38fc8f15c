/* What its commits tell the writer of the store. */
#include "local-agent/queue/writer-health.h"

#include <stdio.h>

#include "common/backoff.h"
#include "common/clock.h"

#define PAUSE_MINIMUM_MS 100
#define PAUSE_MAXIMUM_MS 2000
#define STALL_MS         5000

void writer_health_init(struct writer_health *health, int64_t stall_ms,
                        int64_t pause_maximum_ms)
{
	*health = (struct writer_health){
	    .stall_ms = stall_ms > 0 ? stall_ms : STALL_MS,
	    .pause_maximum_ms =
	        pause_maximum_ms > 0 ? pause_maximum_ms : PAUSE_MAXIMUM_MS,
	    .trouble.part = "writer",
	    .errors = metric_counter("turing_agent_commit_errors_total", "",
	                             "Commits that failed"),
	};
}

/* The store is away: nothing is known of what it would do. */
static bool means_away(int code)
{
	return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT ||
	       code == ERR_UNCERTAIN || code == ERR_DENIED;
}

/*
 * What a commit says of the store: its own failure, or that of its changes
 * when all failed in a way that passes.
 */
static int judge(const struct spool_change *changes, size_t count, int result)
{
	for (size_t i = 0; i < count && result == 0; i++)
		if (!trouble_is_passing(changes[i].result))
			return 0;
	return result || !count ? result : changes[0].result;
}

static void note_failure(struct writer_health *health, int code, size_t count,
                         const char *detail)
{
	struct backoff backoff = {.minimum_ms = PAUSE_MINIMUM_MS,
	                          .maximum_ms = health->pause_maximum_ms};
	char what[48];

	(void)snprintf(what, sizeof(what), "commit of %zu changes", count);
	metric_add(health->errors, 1);
	trouble_note(&health->trouble, code, what, detail);
	health->try_again_ms = clock_monotonic_ms() +
	                       backoff_delay_ms(&backoff, ++health->failures);
	atomic_store(&health->failure, code);
	/* What was refused at once was certainly not done. */
	if (means_away(code))
		atomic_store(&health->away,
		             code == ERR_DENIED ? ERR_DENIED : ERR_UNAVAILABLE);
}

static void note_success(struct writer_health *health)
{
	if (!health->failures)
		return;
	trouble_over(&health->trouble);
	health->failures = 0;
	atomic_store(&health->failure, 0);
	atomic_store(&health->away, 0);
}

void writer_health_begin(struct writer_health *health)
{
	atomic_store(&health->began_ms, clock_monotonic_ms() + 1);
}

bool writer_health_end(struct writer_health *health,
                       const struct spool_change *changes, size_t count,
                       int result, const struct error *detail)
{
	int code = judge(changes, count, result);

	atomic_store(&health->began_ms, 0);
	if (code)
		note_failure(health, code, count, detail->text);
	else
		note_success(health);
	return (result == ERR_IO || result == ERR_CORRUPT) &&
	       !atomic_exchange(&health->broken, true);
}

int writer_health_away(const struct writer_health *health)
{
	int64_t began_ms = atomic_load(&health->began_ms);

	if (began_ms && clock_monotonic_ms() - began_ms > health->stall_ms)
		return ERR_UNAVAILABLE;
	return atomic_load(&health->away);
}

int writer_health_failure(const struct writer_health *health)
{
	return atomic_load(&health->failure);
}

bool writer_health_is_broken(const struct writer_health *health)
{
	return atomic_load(&health->broken);
}
