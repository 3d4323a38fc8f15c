/* Deletes what has been kept long enough, in small steps. */
#ifndef CLOUD_RETENTION_H
#define CLOUD_RETENTION_H

#include "cloud-service/cloud-config.h"
#include "store/registry/registry.h"

/* Called between steps, for a pause; false: end here. */
typedef bool (*retention_rest)(void *context);

/*
 * Deletes the records of every kind that are older than the configuration
 * keeps them, as if it were now_ms, while the lease "job-purge" can be had.
 * rest may be NULL. Counts what it deletes. 0 or an error of the store.
 */
int retention_run(struct registry *registry, const struct cloud_config *config,
                  int64_t now_ms, retention_rest rest, void *context,
                  struct error *err);

#endif
