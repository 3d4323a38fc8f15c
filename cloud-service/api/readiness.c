/*
 * One thread asks the registry, so that a registry that hangs holds neither
 * the load balancer's check nor a thread of the HTTP server.
 */
#include "cloud-service/api/readiness.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define PAUSE_MS 1000
/* An answer older than this, with the next one still out, says nothing. */
#define STALE_MS 4000

struct readiness {
	struct cloud *cloud;
	struct background background;
	_Atomic int64_t answered_ms; /* by the monotonic clock */
	_Atomic bool draining;
};

/* Reads one record by its key: the cheapest thing every store can do. */
static void ask(struct readiness *readiness, bool *answers)
{
	static const uint8_t nobody[CRYPTO_HASH_SIZE];
	struct error err = {0};
	bool dead;

	if (registry_sender_is_dead(readiness->cloud->registry, nobody, &dead,
	                            &err)) {
		atomic_store(&readiness->answered_ms, 0);
		if (*answers)
			log_error("readiness", "not ready: %s", err.text);
		*answers = false;
		return;
	}
	atomic_store(&readiness->answered_ms, clock_monotonic_ms());
	if (!*answers)
		log_info("readiness", "the registry answers again");
	*answers = true;
}

static void *run(void *argument)
{
	struct readiness *readiness = argument;
	bool answers = true;

	while (background_rest(&readiness->background, PAUSE_MS))
		ask(readiness, &answers);
	return NULL;
}

int readiness_start(struct readiness **readiness, struct cloud *cloud,
                    struct error *err)
{
	struct readiness *made = mem_alloc(sizeof(*made));
	int result;

	made->cloud = cloud;
	/* It was read from a moment ago, when it was opened. */
	atomic_store(&made->answered_ms, clock_monotonic_ms());
	result =
	    background_start(&made->background, "readiness", run, made, err);
	if (result)
		free(made);
	else
		*readiness = made;
	return result;
}

void readiness_drain(struct readiness *readiness)
{
	if (readiness)
		atomic_store(&readiness->draining, true);
}

const char *readiness_fault(const struct readiness *readiness)
{
	int64_t answered_ms;

	if (!readiness)
		return "this instance has not started";
	if (atomic_load(&readiness->draining))
		return "this instance is about to stop";
	answered_ms = atomic_load(&readiness->answered_ms);
	if (!answered_ms || clock_monotonic_ms() - answered_ms > STALE_MS)
		return "the registry does not answer";
	return NULL;
}

void readiness_stop(struct readiness *readiness)
{
	if (!readiness)
		return;
	background_stop(&readiness->background);
	free(readiness);
}
