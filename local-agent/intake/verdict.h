/* What becomes of a message for one recipient, as the replica says. */
#ifndef LOCAL_AGENT_INTAKE_VERDICT_H
#define LOCAL_AGENT_INTAKE_VERDICT_H

#include "common/policy/entry.h"
#include "local-agent/cloud/replica.h"
#include "store/spool/spool.h"

#define VERDICT_WHY_SIZE 160

/* A verdict with who gave it and why, as the spool records it. */
struct verdict {
	enum spool_state state; /* SPOOL_QUEUED, _HELD or _DISCARDED */
	const char *by;         /* static: "list"; "policy" when held */
	char why[VERDICT_WHY_SIZE];
};

/*
 * Decides for one recipient: black discards, white queues, else held. Entries
 * that ask for more than the sender's authentication gives do not match (see
 * entry_matches()); why of held mail names such an entry, or one that has
 * expired. Any thread.
 */
void verdict_decide(const struct replica_view *view,
                    const struct entry_subject *subject,
                    struct verdict *verdict);

#endif
