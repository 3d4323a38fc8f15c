/* What has to be done from time to time, by one instance at a time. */
#ifndef CLOUD_JOBS_H
#define CLOUD_JOBS_H

#include "cloud-service/cloud-config.h"
#include "cloud-service/decide/settle.h"

struct jobs;

/* What the jobs need; all of it must outlive them. */
struct jobs_options {
	const struct cloud_config *config;
	const struct settler *settler;
};

/* Starts the threads. 0, or an error with nothing left running. */
int jobs_start(struct jobs **jobs, const struct jobs_options *options,
               struct error *err);

/* Ends after the job under way, frees. NULL is allowed. */
void jobs_stop(struct jobs *jobs);

/*
 * Runs every job once, of those whose lease can be had, as if it were now_ms:
 * what the threads repeat; for tests too. Failures are logged; the first is
 * returned.
 */
int jobs_run(const struct jobs_options *options, int64_t now_ms,
             struct error *err);

#endif
