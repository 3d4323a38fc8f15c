/* What the registry holds in all, counted for /metrics. */
#ifndef CLOUD_TOTALS_H
#define CLOUD_TOTALS_H

#include "store/registry/registry.h"

struct totals;

/* Starts the thread that counts, at once and then when asked to. The registry
 * must outlive it. */
int totals_start(struct totals **totals, struct registry *registry,
                 struct error *err);

/*
 * Has the gauges of the totals brought up to date, a moment later: never waits
 * for the registry. NULL is allowed. Any thread.
 */
void totals_renew(struct totals *totals);

/* Stops and frees; NULL is allowed. */
void totals_stop(struct totals *totals);

#endif
