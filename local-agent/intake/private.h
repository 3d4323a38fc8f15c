/* What the files of intake share. */
#ifndef LOCAL_AGENT_INTAKE_PRIVATE_H
#define LOCAL_AGENT_INTAKE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/metrics.h"
#include "common/smtp/syntax.h"
#include "local-agent/intake/intake.h"
#include "local-agent/intake/letter.h"
#include "local-agent/intake/stamp-watch.h"
#include "local-agent/queue/trouble.h"

struct intake {
	struct intake_options options;
	const char *directory; /* for large bodies */
	atomic_bool low_space, refusing;
	atomic_uint pending;
	pthread_mutex_t lock; /* of trouble */
	struct trouble trouble;
	struct stamp_watch stamps;
	struct metric *received[SPOOL_STATE_COUNT]; /* by verdict */
	struct metric *messages, *refused, *bytes;
};

/* One SMTP session, on one loop. */
struct session {
	struct intake *intake;
	struct loop *loop;
	struct smtp_server *server; /* set while it owes the client an answer */
	struct letter *letter;      /* of the open transaction, or NULL */
	struct recipient_question *question; /* about recipient, or NULL */
	char recipient[SMTP_PATH_SIZE];
};

/*
 * The message is whole: fills in what the spool keeps of it, with a verdict
 * for every recipient. The lists are those in force now.
 */
void letter_judge(struct letter *letter, struct intake *intake,
                  const struct smtp_client_info *client);

/* How many recipients are in this state. */
size_t letter_count(const struct letter *letter, enum spool_state state);

#endif
