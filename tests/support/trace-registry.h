/* What the files of the registry's trace share. */
#ifndef TESTS_SUPPORT_TRACE_REGISTRY_H
#define TESTS_SUPPORT_TRACE_REGISTRY_H

#include "tests/support/trace.h"

struct registry_trace {
	struct registry *registry;
	const struct registry_options *options;
	struct trace_random random;
	FILE *out;
	int64_t now_ms;
};

/* Puts records of one kind in, keys that are taken among them. */
void trace_registry_import(struct registry_trace *trace);

/* Makes a call with input that no backend takes. */
void trace_registry_refused(struct registry_trace *trace);

#endif
