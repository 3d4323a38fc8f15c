/*
 * What the next hop said of recipients: bounded, the one that was not asked for
 * longest goes first. Of one thread at a time.
 */
#ifndef LOCAL_AGENT_INTAKE_RECIPIENT_CACHE_H
#define LOCAL_AGENT_INTAKE_RECIPIENT_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "local-agent/intake/call-ahead.h"

struct recipient_cache;

/* One recipient. Fields are read and written freely. */
struct recipient_known {
	enum recipient_answer answer; /* RECIPIENT_UNSURE: never told */
	int64_t told_ms;              /* when, by the monotonic clock */
	void *waiting;                /* the caller's: not dropped while set */
	struct recipient_known *next; /* the cache's, as what follows */
	struct recipient_known *newer, *older;
	char address[];
};

/* An empty one for at most maximum recipients. */
struct recipient_cache *recipient_cache_new(size_t maximum);

/* Frees; NULL is allowed. */
void recipient_cache_free(struct recipient_cache *cache);

/* The recipient, made where it is not known, and now the newest. */
struct recipient_known *recipient_cache_get(struct recipient_cache *cache,
                                            const char *address);

/* The recipient, or NULL; its age stays as it is. */
struct recipient_known *recipient_cache_find(struct recipient_cache *cache,
                                             const char *address);

/* How many there are. */
size_t recipient_cache_count(const struct recipient_cache *cache);

#endif
