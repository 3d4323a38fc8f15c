/* /healthz, /readyz and /metrics of the agent. */
#ifndef LOCAL_AGENT_OPS_HTTP_H
#define LOCAL_AGENT_OPS_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct ops_http;

struct ops_http_options {
	const char *address; /* numeric */
	uint16_t port;       /* 0: any free one */
	/*
	 * Whether mail is taken; *why (a literal) says why not. From any
	 * thread.
	 */
	bool (*ready)(void *context, const char **why);
	/* Whether the process works at all: the spool can be written. */
	bool (*healthy)(void *context);
	void *context;
};

/* Listens. ERR_UNAVAILABLE when the port is taken. */
int ops_http_start(struct ops_http **ops,
                   const struct ops_http_options *options, struct error *err);

/* The port in force. */
uint16_t ops_http_port(const struct ops_http *ops);

/* Stops and frees. NULL is allowed. */
void ops_http_stop(struct ops_http *ops);

#endif
