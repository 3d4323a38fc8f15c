/* What has to be done from time to time, by one instance at a time. */
#ifndef CLOUD_JOBS_H
#define CLOUD_JOBS_H

#include "cloud-service/cloud.h"

/* Starts the threads; cloud must outlive it. */
int jobs_start(struct jobs **jobs, struct cloud *cloud, struct error *err);

/* Ends after the job under way, frees. NULL is allowed. */
void jobs_stop(struct jobs *jobs);

/*
 * Runs every job once, of those whose lease can be had, as if it were now_ms:
 * what the threads repeat; for tests too. Failures are logged; the first is
 * returned.
 */
int jobs_run(struct cloud *cloud, int64_t now_ms, struct error *err);

#endif
