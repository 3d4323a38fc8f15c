/* Counting and telling how the MX's Authentication-Results were read. */
#include "local-agent/intake/stamp-watch.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

void stamp_watch_init(struct stamp_watch *watch)
{
	char labels[40];
	int i;

	memset(watch, 0, sizeof(*watch));
	(void)pthread_mutex_init(&watch->lock, NULL);
	for (i = 0; i < MAIL_AUTH_NOTICE_COUNT; i++) {
		enum mail_auth_notice_kind kind = i;

		(void)snprintf(labels, sizeof(labels), "result=\"%s\"",
		               mail_auth_notice_name(kind));
		watch->read[i] = metric_counter(
		    "turing_agent_authres_total", labels,
		    "Messages by how the MX's Authentication-Results were "
		    "read");
	}
}

void stamp_watch_release(struct stamp_watch *watch)
{
	(void)pthread_mutex_destroy(&watch->lock);
}

unsigned long stamp_watch_count(struct stamp_watch *watch,
                                enum mail_auth_notice_kind kind, int64_t now_ms)
{
	unsigned long count = 0;

	metric_add(watch->read[kind], 1);
	if (kind == MAIL_AUTH_TRUSTED)
		return 0;
	(void)pthread_mutex_lock(&watch->lock);
	watch->untold[kind]++;
	if (now_ms >= watch->silent_until_ms[kind]) {
		watch->silent_until_ms[kind] = now_ms + STAMP_WATCH_PERIOD_MS;
		count = watch->untold[kind];
		watch->untold[kind] = 0;
	}
	(void)pthread_mutex_unlock(&watch->lock);
	return count;
}

void stamp_watch_note(struct stamp_watch *watch,
                      enum mail_auth_notice_kind kind, const char *text,
                      const char *id)
{
	unsigned long count =
	    stamp_watch_count(watch, kind, clock_monotonic_ms());

	if (count > 0)
		log_warning(id,
		            "authentication: %s (%lu since the last such "
		            "line)",
		            text, count);
}
