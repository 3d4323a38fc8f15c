/* The JSON of POST /v1/agent/messages. */
#ifndef LOCAL_AGENT_CLOUD_REGISTRAR_WIRE_H
#define LOCAL_AGENT_CLOUD_REGISTRAR_WIRE_H

#include <jansson.h>
#include <stdbool.h>

#include "local-agent/cloud/decision.h"
#include "store/spool/spool.h"

/*
 * Whether the cloud can be asked about the recipient: it is held, and a mail
 * address. An MX hands over others too; these stay with the agent.
 */
bool registrar_can_ask(const struct spool_recipient *recipient);

/*
 * What is said of the held recipients that the cloud is not asked about, after
 * what it said of others (refused, may be NULL): "ADDRESS: why; ...". NULL for
 * none; freed by the caller.
 */
char *registrar_refusal(const struct spool_message *message,
                        const json_t *refused);

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
 * agreed; *status and *refusal are set on 0: why the message, or some of its
 * recipients, were refused, or NULL; freed by the caller.
 */
int registrar_result(const json_t *answer, size_t index,
                     const struct spool_message *message,
                     struct decision_batch *batch,
                     enum registrar_status *status, char **refusal);

#endif
