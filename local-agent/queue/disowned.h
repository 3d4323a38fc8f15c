/*
 * Messages whose commit was uncertain: their senders were answered 451 and
 * keep them, but the store may have them too. As soon as the store answers,
 * what is found of them is discarded, so that the sender's second try is not
 * delivered besides.
 *
 * The list is in memory. What a crash makes it forget, a message of another
 * agent's claim, or more than DISOWNED_MAXIMUM at once can be delivered twice:
 * a duplicate, never a loss.
 */
#ifndef LOCAL_AGENT_QUEUE_DISOWNED_H
#define LOCAL_AGENT_QUEUE_DISOWNED_H

#include <stdbool.h>
#include <stddef.h>

#include "local-agent/queue/writer.h"

#define DISOWNED_MAXIMUM 10000

struct disowned;

/* An empty list. */
struct disowned *disowned_new(void);

/* Frees; NULL is allowed. */
void disowned_free(struct disowned *disowned);

/* Adds a message; the oldest gives way when there are too many. Any thread. */
void disowned_add(struct disowned *disowned, const struct id *id);

/*
 * Whether the message, which was found in the store, is one of them: it is not
 * to be delivered, and looked for soon, before its claim ends. Any thread; NULL
 * is an empty list.
 */
bool disowned_has(struct disowned *disowned, const struct id *id);

/* How many there are. Any thread. */
size_t disowned_count(struct disowned *disowned);

/*
 * Looks for those that it is time to look for, and moves what the store has of
 * them to discarded; owner is this agent's name in leases. One that is not
 * found is looked for again, some times over a quarter of an hour: a server
 * may finish late what it began. 0, or the error of a store that is still
 * away. Of one thread at a time, which may wait for the writer.
 */
int disowned_settle(struct disowned *disowned, struct spool *spool,
                    struct writer *writer, const char *owner,
                    struct error *err);

#endif
