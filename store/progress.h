/* How long work in a store tells how far it is. */
#ifndef STORE_PROGRESS_H
#define STORE_PROGRESS_H

#include <stdint.h>

/*
 * Called now and then from the thread that works, and once at the end of each
 * part; total is -1 while it is not known. what names the part: "messages".
 */
struct store_progress {
	void (*tell)(void *context, const char *what, int64_t done,
	             int64_t total);
	void *context;
};

/* Tells; progress may be NULL. */
static inline void store_progress_tell(const struct store_progress *progress,
                                       const char *what, int64_t done,
                                       int64_t total)
{
	if (progress && progress->tell)
		progress->tell(progress->context, what, done, total);
}

#endif
