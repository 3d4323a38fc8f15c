/* The JSON of POST /v1/agent/messages. */
#ifndef LOCAL_AGENT_REGISTRAR_WIRE_H
#define LOCAL_AGENT_REGISTRAR_WIRE_H

#include <jansson.h>
#include <stdbool.h>

#include "local-agent/decision.h"
#include "store/spool.h"

/* The messages (count of them) as the request's body; the caller's. */
json_t *registrar_request(const struct spool_message *const *messages,
                          size_t count, bool with_subject);

enum registrar_status {
	REGISTRAR_ACCEPTED, /* registered, or known before */
	REGISTRAR_REFUSED
};

/*
 * Reads the result at index of an answer, which must be about message, and
 * adds its verdicts to batch. ERR_PROTOCOL for an answer that is not what was
 * agreed; *status and *refusal (borrowed, may be NULL) are set on 0.
 */
int registrar_result(const json_t *answer, size_t index,
                     const struct spool_message *message,
                     struct decision_batch *batch,
                     enum registrar_status *status, const char **refusal);

#endif
