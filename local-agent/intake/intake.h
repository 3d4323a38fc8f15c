/*
 * Takes mail over SMTP: the decisions on MAIL, RCPT and DATA, and after the
 * final dot the verdicts and the answer, given only once the message is on
 * stable storage.
 */
#ifndef LOCAL_AGENT_INTAKE_INTAKE_H
#define LOCAL_AGENT_INTAKE_INTAKE_H

#include "common/loop.h"
#include "common/smtp/server.h"
#include "local-agent/agent-config.h"
#include "local-agent/queue/disowned.h"
#include "local-agent/intake/recipient-check.h"
#include "local-agent/cloud/replica.h"
#include "local-agent/queue/writer.h"

struct delivery;
struct intake;

/* What intake works with; all outlive it. */
struct intake_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
	struct replica *replica;
	struct delivery *delivery; /* NULL: queued mail waits in the spool */
	struct recipient_check *recipients; /* NULL: all of the domains exist */
	struct disowned *disowned;   /* gets what was uncertain; or NULL */
	void (*held)(void *context); /* held mail was stored; any thread */
	void *context;
};

/* Makes it; options are copied. Freed by intake_free() after its sessions. */
struct intake *intake_new(const struct intake_options *options);

/* Frees; NULL is allowed. */
void intake_free(struct intake *intake);

/* The spool has little space left, or again enough: 452 to MAIL. Any thread. */
void intake_set_low_space(struct intake *intake, bool low);

/* Nothing can be stored any more: 451 to MAIL. Any thread. */
void intake_refuse(struct intake *intake);

/* Messages that wait for their commit. Any thread. */
unsigned intake_pending(const struct intake *intake);

/* For smtp_listener_options: the policy and the contexts of sessions. */
extern const struct smtp_server_policy intake_policy;
/* A session's context; context is the struct intake. */
void *intake_session_new(void *context, struct loop *loop);
/* Frees a session's context. */
void intake_session_free(void *session_context);
/* Whether smtp.xforward_from lists the address: an MX in front of the agent. */
bool intake_is_listed(const char *address, void *context);

#endif
