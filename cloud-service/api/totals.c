/*
 * One thread counts what the registry holds, so that GET /metrics answers while
 * the registry does not: it shows what was counted after the one before.
 */
#include "cloud-service/api/totals.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cloud-service/cloud-metrics.h"
#include "common/background.h"
#include "common/mem.h"

#define PAUSE_MS 1000

struct totals {
	struct registry *registry;
	struct background background;
	_Atomic bool wanted;
};

static void *run(void *argument)
{
	struct totals *totals = argument;
	struct registry_totals counted;

	do {
		if (atomic_exchange(&totals->wanted, false) &&
		    !registry_count(totals->registry, &counted, NULL))
			set_totals(&counted);
	} while (background_rest(&totals->background, PAUSE_MS));
	return NULL;
}

int totals_start(struct totals **totals, struct registry *registry,
                 struct error *err)
{
	struct totals *made = mem_alloc(sizeof(*made));
	int result;

	made->registry = registry;
	atomic_store(&made->wanted, true);
	result = background_start(&made->background, "totals", run, made, err);
	if (result)
		free(made);
	else
		*totals = made;
	return result;
}

void totals_renew(struct totals *totals)
{
	if (totals)
		atomic_store(&totals->wanted, true);
}

void totals_stop(struct totals *totals)
{
	if (!totals)
		return;
	background_stop(&totals->background);
	free(totals);
}
