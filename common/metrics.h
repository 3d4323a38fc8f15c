/* Counters, gauges and histograms in the Prometheus text format (0.0.4). */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdint.h>

#include "common/buffer.h"

/* A number with its name and labels; lives as long as the process. */
struct metric;

/*
 * The counter of this name and labels, made at the first call and the same
 * ever after. labels is "" or 'reason="list",state="held"' with values already
 * escaped; help is a line of text. Keep the pointer: the look-up takes a lock.
 * Any thread; never NULL. At most 4,096 metrics: later ones share one
 * overflow counter.
 */
struct metric *metric_counter(const char *name, const char *labels,
                              const char *help);

/* As metric_counter(), for a value that goes up and down. */
struct metric *metric_gauge(const char *name, const char *labels,
                            const char *help);

/*
 * As metric_counter(), for durations in seconds: buckets from 0.5 ms to 60 s.
 */
struct metric *metric_histogram(const char *name, const char *labels,
                                const char *help);

/* Adds to a counter or gauge. Any thread, no lock. */
void metric_add(struct metric *metric, int64_t amount);

/* Sets a gauge. Any thread, no lock. */
void metric_set(struct metric *metric, int64_t value);

/* Reads a counter or gauge. Any thread. */
int64_t metric_value(const struct metric *metric);

/* Counts one duration in microseconds. Any thread. */
void metric_observe_us(struct metric *metric, int64_t microseconds);

/* Appends all metrics, grouped by name with HELP and TYPE. Any thread. */
int metrics_print(struct buffer *out);

#endif
