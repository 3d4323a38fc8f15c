/* The history of a recipient, made the same way by every backend. */
#ifndef STORE_SPOOL_HISTORY_H
#define STORE_SPOOL_HISTORY_H

#include "store/spool/spool.h"

#define SPOOL_HISTORY_SIZE (SPOOL_HISTORY_MAXIMUM + 1)

/*
 * A record keeps its history without the "by: why" and the end of the last
 * line where they are those of the record itself. So they are when a message
 * was delivered, and the record then hardly grows.
 */

/* A state that a recipient leaves, as its record has it. */
struct spool_history_step {
	enum spool_state state;
	int64_t changed_ms;
	const char *by, *why; /* any bytes; shown on one line */
	const char *history;  /* as the record keeps it */
};

/*
 * Writes the history for the record to keep: with the line of the state that
 * is left, within the bounds that spool.h gives, for a record that now has
 * this by and why. Any thread; allocates nothing.
 */
void spool_history_append(const struct spool_history_step *left, const char *by,
                          const char *why, char kept[SPOOL_HISTORY_SIZE]);

/*
 * Writes what a record with this by and why keeps of a whole history, that of
 * a copy: spool_history_read() gives the same text again. The history is
 * empty or ends with a line's end, and is at most SPOOL_HISTORY_MAXIMUM long.
 */
void spool_history_keep(const char *history, const char *by, const char *why,
                        char kept[SPOOL_HISTORY_SIZE]);

/*
 * The history as spool.h describes it, on the heap, of what a record with this
 * by and why keeps. ERR_MEMORY.
 */
int spool_history_read(const char *kept, const char *by, const char *why,
                       char **history);

#endif
