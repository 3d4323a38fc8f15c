/* Whether this instance should be sent requests: what /readyz answers. */
#ifndef CLOUD_READINESS_H
#define CLOUD_READINESS_H

#include "cloud-service/cloud.h"

struct readiness;

/*
 * Starts the thread that asks the registry for a small thing every second.
 * cloud must outlive it.
 */
int readiness_start(struct readiness **readiness, struct cloud *cloud,
                    struct error *err);

/* From now on this instance is not ready: it is about to stop. Any thread. */
void readiness_drain(struct readiness *readiness);

/*
 * NULL when it is ready, else why not, as a constant text. Never waits for the
 * registry: what it last answered counts, for a few seconds. Any thread.
 */
const char *readiness_fault(const struct readiness *readiness);

/* Stops and frees; NULL is allowed. */
void readiness_stop(struct readiness *readiness);

#endif
