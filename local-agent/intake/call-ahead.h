/*
 * Asks the next hop whether it takes mail for a recipient: MAIL and RCPT
 * without a message, over a few sessions that are kept for many questions.
 */
#ifndef LOCAL_AGENT_INTAKE_CALL_AHEAD_H
#define LOCAL_AGENT_INTAKE_CALL_AHEAD_H

#include "common/loop.h"
#include "common/smtp/client.h"
#include "local-agent/agent-config.h"

/* What is known of a recipient. */
enum recipient_answer {
	RECIPIENT_UNSURE, /* the next hop could not be asked, or says 4xx */
	RECIPIENT_EXISTS,
	RECIPIENT_ABSENT,
	RECIPIENT_ASKED /* the answer follows */
};

struct call_ahead;

struct call_ahead_options {
	const struct agent_config *config;
	struct loop *loop;
	/*
	 * The answer about an address, in the next hop's words where it gave
	 * any. On the loop, once for each address asked about.
	 */
	void (*answered)(void *context, const char *address,
	                 enum recipient_answer answer, const char *words);
	void *context;
};

/* Makes it; options are copied. On any thread. */
struct call_ahead *call_ahead_new(const struct call_ahead_options *options);

/* Asks about an address, which is copied. On the loop. */
void call_ahead_ask(struct call_ahead *call_ahead, const char *address);

/*
 * Answers what is open with RECIPIENT_UNSURE, cuts the sessions and frees. On
 * the loop. NULL is allowed.
 */
void call_ahead_free(struct call_ahead *call_ahead);

/* What a reply to RCPT says of the recipient; outcome is the client's. */
enum recipient_answer call_ahead_judge(enum smtp_outcome outcome,
                                       const struct smtp_reply *reply);

#endif
