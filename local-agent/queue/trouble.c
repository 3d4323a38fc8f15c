/* Failures of the store: counted each, told once a period. */
#include "local-agent/queue/trouble.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"

bool trouble_is_passing(int code)
{
	switch (code) {
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
	case ERR_UNCERTAIN:
	case ERR_FULL:
	case ERR_DENIED:
	case ERR_PROTOCOL:
	case ERR_LIMIT:
	case ERR_MEMORY:
		return true;
	default:
		return false;
	}
}

static void count(int code)
{
	char labels[60];

	(void)snprintf(labels, sizeof(labels), "error=\"%s\"",
	               error_name(code));
	metric_add(metric_counter("turing_agent_store_errors_total", labels,
	                          "Calls to the store that failed"),
	           1);
}

void trouble_note(struct trouble *trouble, int code, const char *what,
                  const char *detail)
{
	count(code);
	trouble_tell(trouble, code, what, detail);
}

void trouble_tell(struct trouble *trouble, int code, const char *what,
                  const char *detail)
{
	int64_t now_ms = clock_monotonic_ms();
	size_t kind = code < 0 && code > -TROUBLE_KINDS ? (size_t)-code : 0;

	if (!trouble->since_ms)
		trouble->since_ms = now_ms ? now_ms : 1;
	trouble->untold++;
	if (now_ms < trouble->silent_until_ms[kind])
		return;
	trouble->silent_until_ms[kind] = now_ms + TROUBLE_PERIOD_MS;
	log_error(trouble->part, "%s: %s: %s (%lu since the last such line)",
	          what, error_name(code), detail, trouble->untold);
	trouble->untold = 0;
	trouble->announced = true;
}

void trouble_over(struct trouble *trouble)
{
	if (!trouble->since_ms)
		return;
	if (trouble->announced)
		log_info(trouble->part, "the store answers again, after %lld s",
		         (long long)(clock_monotonic_ms() - trouble->since_ms) /
		             1000);
	trouble->since_ms = 0;
	trouble->announced = false;
}
