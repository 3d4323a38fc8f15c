/* Failures of the store as a part of the agent meets them: counted each, told
 * once a period and not once a message. */
#ifndef LOCAL_AGENT_QUEUE_TROUBLE_H
#define LOCAL_AGENT_QUEUE_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#define TROUBLE_PERIOD_MS INT64_C(60000)
#define TROUBLE_KINDS     16 /* error codes, 0 among them */

/* Zeroed but for part; of one thread at a time. */
struct trouble {
	const char *part;     /* in log lines: "writer" */
	int64_t since_ms;     /* of the first failure in a row; 0: none */
	unsigned long untold; /* failures since the last line */
	bool announced;       /* a line spoke of this row of failures */
	int64_t silent_until_ms[TROUBLE_KINDS];
};

/*
 * Whether the store, with this code, is away or refuses for now: it is worth
 * trying again later. ERR_IO and ERR_CORRUPT are not: they end the agent.
 */
bool trouble_is_passing(int code);

/*
 * Counts a failure in turing_agent_store_errors_total, and logs "WHAT: ERROR:
 * DETAIL" when none of its kind was logged in this period.
 */
void trouble_note(struct trouble *trouble, int code, const char *what,
                  const char *detail);

/* As trouble_note(), for what somebody else has counted. */
void trouble_tell(struct trouble *trouble, int code, const char *what,
                  const char *detail);

/* It went well: ends a row of failures, which is logged if that row was. */
void trouble_over(struct trouble *trouble);

#endif
