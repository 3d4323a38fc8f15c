/* What the admin is told of the MX's Authentication-Results: each reading is
 * counted, and what is odd is logged once an hour and not once a message. */
#ifndef LOCAL_AGENT_INTAKE_STAMP_WATCH_H
#define LOCAL_AGENT_INTAKE_STAMP_WATCH_H

#include <pthread.h>
#include <stdint.h>

#include "common/mail/authres.h"
#include "common/metrics.h"

#define STAMP_WATCH_PERIOD_MS INT64_C(3600000)

struct stamp_watch {
	pthread_mutex_t lock; /* of what follows but the metrics */
	int64_t silent_until_ms[MAIL_AUTH_NOTICE_COUNT];
	unsigned long untold[MAIL_AUTH_NOTICE_COUNT]; /* since the last line */
	struct metric *read[MAIL_AUTH_NOTICE_COUNT];
};

/* Released by stamp_watch_release(). */
void stamp_watch_init(struct stamp_watch *watch);

/* Frees what the watch holds; the struct stays the caller's. */
void stamp_watch_release(struct stamp_watch *watch);

/*
 * Counts one message's reading in turing_agent_authres_total. Returns how many
 * of this kind a log line is to speak of, this one included: 0 while one of
 * the kind was due within STAMP_WATCH_PERIOD_MS before now_ms (monotonic), and
 * for MAIL_AUTH_TRUSTED. Any thread.
 */
unsigned long stamp_watch_count(struct stamp_watch *watch,
                                enum mail_auth_notice_kind kind,
                                int64_t now_ms);

/* stamp_watch_count() now, and the line where one is due: text, under the
 * message's id. Any thread. */
void stamp_watch_note(struct stamp_watch *watch,
                      enum mail_auth_notice_kind kind, const char *text,
                      const char *id);

#endif
