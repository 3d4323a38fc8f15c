/* Wakes the long-polls of the tenants for whom something changed. */
#ifndef CLOUD_WATCHER_H
#define CLOUD_WATCHER_H

#include "cloud-service/waker.h"
#include "store/registry/registry.h"

struct watcher;

/* Starts the thread; the registry must outlive it. */
int watcher_start(struct watcher **watcher, struct registry *registry,
                  const struct waker *waker, struct error *err);

/*
 * A request of this tenant may be about to wait under its id: call it before
 * http_wait_ticket(), so that a change after the ticket wakes it. Any thread.
 */
void watcher_follow(struct watcher *watcher, const struct id *tenant);

/* Stops and frees; NULL is allowed. */
void watcher_stop(struct watcher *watcher);

#endif
