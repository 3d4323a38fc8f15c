/* What the cloud counts. */
#ifndef CLOUD_METRICS_H
#define CLOUD_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/registry/registry.h"

/* A message was handled: status is "registered", "known", "refused" or
 * "over-quota". */
void count_message(const char *status);

/* An agent told an event: "ok", "ignored", "unknown" or "refused". */
void count_event(const char *status);

/* Recipients were decided by a list, a captcha, an admin, expiry ... */
void count_decision(enum registry_verdict verdict, const char *by);

/* A challenge was opened. */
void count_challenge_opened(void);

/* No challenge was sent for a message, and why; a word that is none of
 * challenge_reason_name() is counted as "other". */
void count_challenge_not_sent(const char *reason);

/* A challenge was solved. */
void count_challenge_solved(void);

/* A challenge mail came to an end: "sent", "deferred", "failed", "bounced",
 * "withdrawn", or "held-back" when the smarthost refused us. */
void count_mail(const char *result);

/* Whether the smarthost refuses us, and challenge mails wait. */
void set_smarthost_refuses(bool refuses);

/* Records of a kind that retention deleted. */
void count_purged(enum registry_kind kind, size_t count);

/* Sets the gauges to what the registry holds. */
void set_totals(const struct registry_totals *totals);

#endif
