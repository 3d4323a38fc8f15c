/* Resumes the long-polls of a tenant, for parts that do not know who serves
 * them. */
#ifndef CLOUD_WAKER_H
#define CLOUD_WAKER_H

#include "common/id.h"

/* Whom to tell that a tenant's decisions or lists have grown. Zeroed: nobody
 * waits. */
struct waker {
	/* From any thread; it returns at once. */
	void (*wake)(void *context, const struct id *tenant);
	void *context;
};

/* Resumes the tenant's long-polls, in this instance. Any thread. */
static inline void waker_wake(const struct waker *waker,
                              const struct id *tenant)
{
	if (waker->wake)
		waker->wake(waker->context, tenant);
}

#endif
