/* Counters, gauges and histograms. */
#include "common/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "common/mem.h"

#define METRICS_MAXIMUM 4096

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

static const struct bucket {
	int64_t limit_us;
	const char *label;
} buckets[] = {
    {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"},
    {5000000, "5"},   {10000000, "10"}, {30000000, "30"}, {60000000, "60"},
};

#define BUCKETS (sizeof(buckets) / sizeof(buckets[0]))

struct metric {
	enum kind kind;
	char *name, *labels, *help;
	_Atomic int64_t value;      /* of a histogram: the sum in us */
	_Atomic int64_t *in_bucket; /* BUCKETS, and one for the rest */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Sorted by name, then labels. Under lock; the metrics themselves are not. */
static struct metric *metrics[METRICS_MAXIMUM];
static size_t metric_count;

/* The place of (name, labels), or where it belongs. */
static size_t find_place(const char *name, const char *labels, bool *found)
{
	size_t low = 0, high = metric_count;

	*found = false;
	while (low < high && !*found) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, metrics[middle]->name);

		if (!order)
			order = strcmp(labels, metrics[middle]->labels);
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
		*found = !order;
	}
	return high;
}

static struct metric *insert(size_t place, enum kind kind, const char *name,
                             const char *labels, const char *help)
{
	struct metric *metric = mem_alloc(sizeof(*metric));

	metric->kind = kind;
	metric->name = mem_copy_string(name);
	metric->labels = mem_copy_string(labels);
	metric->help = mem_copy_string(help);
	metric->in_bucket = mem_alloc_array(BUCKETS + 1, sizeof(int64_t));
	memmove(&metrics[place + 1], &metrics[place],
	        (metric_count - place) * sizeof(struct metric *));
	metrics[place] = metric;
	metric_count++;
	return metric;
}

static struct metric *find_or_insert(enum kind kind, const char *name,
                                     const char *labels, const char *help)
{
	bool found;
	size_t place = find_place(name, labels, &found);

	if (found)
		return metrics[place];
	if (metric_count < METRICS_MAXIMUM - 1)
		return insert(place, kind, name, labels, help);
	/* The last place is kept for the one that all others share. */
	name = "turing_metrics_overflow";
	place = find_place(name, "", &found);
	if (found)
		return metrics[place];
	return insert(place, KIND_COUNTER, name, "",
	              "Counts of metrics that had no place.");
}

static struct metric *get(enum kind kind, const char *name, const char *labels,
                          const char *help)
{
	struct metric *metric;

	(void)pthread_mutex_lock(&lock);
	metric = find_or_insert(kind, name, labels, help);
	(void)pthread_mutex_unlock(&lock);
	return metric;
}

struct metric *metric_counter(const char *name, const char *labels,
                              const char *help)
{
	return get(KIND_COUNTER, name, labels, help);
}

struct metric *metric_gauge(const char *name, const char *labels,
                            const char *help)
{
	return get(KIND_GAUGE, name, labels, help);
}

struct metric *metric_histogram(const char *name, const char *labels,
                                const char *help)
{
	return get(KIND_HISTOGRAM, name, labels, help);
}

void metric_add(struct metric *metric, int64_t amount)
{
	atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
	atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

int64_t metric_value(const struct metric *metric)
{
	return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

void metric_observe_us(struct metric *metric, int64_t microseconds)
{
	size_t i = 0;

	while (i < BUCKETS && microseconds > buckets[i].limit_us)
		i++;
	atomic_fetch_add_explicit(&metric->in_bucket[i], 1,
	                          memory_order_relaxed);
	metric_add(metric, microseconds);
}

static int print_histogram(const struct metric *metric, struct buffer *out)
{
	const char *comma = metric->labels[0] ? "," : "";
	const char *open = metric->labels[0] ? "{" : "";
	const char *close = metric->labels[0] ? "}" : "";
	int64_t total = 0, sum_us = metric_value(metric);
	size_t i;
	int result = 0;

	for (i = 0; i <= BUCKETS && !result; i++) {
		total += atomic_load_explicit(&metric->in_bucket[i],
		                              memory_order_relaxed);
		result = buffer_append_format(
		    out, "%s_bucket{%s%sle=\"%s\"} %" PRId64 "\n", metric->name,
		    metric->labels, comma,
		    i < BUCKETS ? buckets[i].label : "+Inf", total);
	}
	if (result)
		return result;
	return buffer_append_format(
	    out,
	    "%s_sum%s%s%s %" PRId64 ".%06" PRId64 "\n"
	    "%s_count%s%s%s %" PRId64 "\n",
	    metric->name, open, metric->labels, close, sum_us / 1000000,
	    sum_us % 1000000, metric->name, open, metric->labels, close, total);
}

static int print_one(const struct metric *metric, struct buffer *out)
{
	if (metric->kind == KIND_HISTOGRAM)
		return print_histogram(metric, out);
	return buffer_append_format(
	    out, "%s%s%s%s %" PRId64 "\n", metric->name,
	    metric->labels[0] ? "{" : "", metric->labels,
	    metric->labels[0] ? "}" : "", metric_value(metric));
}

static int print_head(const struct metric *metric, struct buffer *out)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	return buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n",
	                            metric->name, metric->help, metric->name,
	                            types[metric->kind]);
}

int metrics_print(struct buffer *out)
{
	int result = 0;
	size_t i;

	(void)pthread_mutex_lock(&lock);
	for (i = 0; i < metric_count && !result; i++) {
		if (i == 0 ||
		    strcmp(metrics[i]->name, metrics[i - 1]->name) != 0)
			result = print_head(metrics[i], out);
		if (!result)
			result = print_one(metrics[i], out);
	}
	(void)pthread_mutex_unlock(&lock);
	return result;
}
