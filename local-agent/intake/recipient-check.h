/*
 * Whether recipients exist, asked before anything is held for them: by a list,
 * or by call-aheads to the next hop, whose answers are kept for a while.
 */
#ifndef LOCAL_AGENT_INTAKE_RECIPIENT_CHECK_H
#define LOCAL_AGENT_INTAKE_RECIPIENT_CHECK_H

#include "common/loop.h"
#include "local-agent/agent-config.h"
#include "local-agent/intake/call-ahead.h"

struct recipient_check;
struct recipient_question;

/*
 * Starts what recipients.check asks for, with a thread of its own; the
 * configuration outlives it. ERR_INVALID or ERR_IO for a list that cannot be
 * read, ERR_UNAVAILABLE without a thread.
 */
int recipient_check_start(struct recipient_check **check,
                          const struct agent_config *config, struct error *err);

/*
 * Answers what is open with RECIPIENT_UNSURE, through the loops of those who
 * asked, which still run; ends the thread and frees. No question may be asked
 * any more. NULL is allowed.
 */
void recipient_check_stop(struct recipient_check *check);

/*
 * Asks about an address in the form of mail_address_fold(). The answer comes at
 * once where it is known; or RECIPIENT_ASKED is returned and *question set:
 * answered(context, answer) is called on loop, which must be the caller's own,
 * once, unless recipient_question_drop() comes before.
 */
enum recipient_answer recipient_check_ask(
    struct recipient_check *check, const char *address, struct loop *loop,
    void (*answered)(void *context, enum recipient_answer answer),
    void *context, struct recipient_question **question);

/* The answer is not wanted any more. On the loop of the question. */
void recipient_question_drop(struct recipient_question *question);

#endif
