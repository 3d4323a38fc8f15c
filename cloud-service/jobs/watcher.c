/*
 * One thread that waits for any change of the registry and then asks, for each
 * tenant with long-polls, whether his decisions or lists have grown: one look
 * a tenant, however many polls wait.
 */
#include "cloud-service/jobs/watcher.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define WATCH_MS        30000
#define ROUND_PAUSE_MS  20 /* changes in a burst share a round */
#define RETRY_MS        1000
#define FORGET_AFTER_MS 300000 /* longer than any wait of a long-poll */

struct followed {
	struct id tenant;
	int64_t sequence; /* as last seen; -1: not yet */
	struct registry_policy_cursor revision;
	int64_t asked_ms;
};

struct watcher {
	struct registry *registry;
	struct waker waker;
	struct background background;
	pthread_mutex_t lock; /* of what follows */
	struct followed *followed;
	size_t count;
};

void watcher_follow(struct watcher *watcher, const struct id *tenant)
{
	int64_t now = clock_monotonic_ms();
	size_t i;

	pthread_mutex_lock(&watcher->lock);
	for (i = 0; i < watcher->count; i++)
		if (id_equal(&watcher->followed[i].tenant, tenant))
			break;
	if (i == watcher->count) {
		watcher->followed =
		    mem_resize_array(watcher->followed, watcher->count + 1,
		                     sizeof(*watcher->followed));
		watcher->followed[watcher->count++] =
		    (struct followed){.tenant = *tenant, .sequence = -1};
	}
	watcher->followed[i].asked_ms = now;
	pthread_mutex_unlock(&watcher->lock);
}

/* A copy of what is followed, those dropped that nobody asks for any more. */
static struct followed *snapshot(struct watcher *watcher, size_t *count)
{
	int64_t oldest = clock_monotonic_ms() - FORGET_AFTER_MS;
	struct followed *copy;
	size_t i, kept = 0;

	pthread_mutex_lock(&watcher->lock);
	for (i = 0; i < watcher->count; i++)
		if (watcher->followed[i].asked_ms >= oldest)
			watcher->followed[kept++] = watcher->followed[i];
	watcher->count = kept;
	copy = mem_alloc_array(kept + 1, sizeof(*copy));
	if (kept)
		memcpy(copy, watcher->followed, kept * sizeof(*copy));
	pthread_mutex_unlock(&watcher->lock);
	*count = kept;
	return copy;
}

static void store_seen(struct watcher *watcher, const struct followed *seen)
{
	size_t i;

	pthread_mutex_lock(&watcher->lock);
	for (i = 0; i < watcher->count; i++)
		if (id_equal(&watcher->followed[i].tenant, &seen->tenant)) {
			watcher->followed[i].sequence = seen->sequence;
			watcher->followed[i].revision = seen->revision;
		}
	pthread_mutex_unlock(&watcher->lock);
}

static int look_at(struct watcher *watcher, struct followed *one,
                   struct error *err)
{
	struct registry *registry = watcher->registry;
	struct registry_policy_cursor revision;
	int64_t sequence;
	int result;

	result = registry_decision_last(registry, &one->tenant, &sequence, err);
	if (!result)
		result = registry_policy_revision(registry, &one->tenant,
		                                  &revision, err);
	if (result)
		return result;
	if (sequence == one->sequence && revision.own == one->revision.own &&
	    revision.global == one->revision.global)
		return 0;
	one->sequence = sequence;
	one->revision = revision;
	store_seen(watcher, one);
	waker_wake(&watcher->waker, &one->tenant);
	return 0;
}

static int look_at_all(struct watcher *watcher, struct error *err)
{
	size_t count, i;
	struct followed *all = snapshot(watcher, &count);
	int result = 0;

	for (i = 0; i < count && !result; i++)
		result = look_at(watcher, &all[i], err);
	free(all);
	return result;
}

static void *run(void *argument)
{
	struct watcher *watcher = argument;
	int64_t version = 0;
	bool go_on = true;

	while (go_on) {
		struct error err = {0};
		int result =
		    registry_watch(watcher->registry, &version, WATCH_MS, &err);

		if (!result)
			result = look_at_all(watcher, &err);
		if (result)
			log_error("watcher", "%s", err.text);
		go_on = background_rest(&watcher->background,
		                        result ? RETRY_MS : ROUND_PAUSE_MS);
	}
	return NULL;
}

static void watcher_free(struct watcher *watcher)
{
	pthread_mutex_destroy(&watcher->lock);
	free(watcher->followed);
	free(watcher);
}

int watcher_start(struct watcher **watcher, struct registry *registry,
                  const struct waker *waker, struct error *err)
{
	struct watcher *made = mem_alloc(sizeof(*made));
	int result;

	made->registry = registry;
	made->waker = *waker;
	pthread_mutex_init(&made->lock, NULL);
	result = background_start(&made->background, "watcher", run, made, err);
	if (result)
		watcher_free(made);
	else
		*watcher = made;
	return result;
}

void watcher_stop(struct watcher *watcher)
{
	if (!watcher)
		return;
	/* It may be resting or watching; the cancel holds for later watches. */
	background_end(&watcher->background);
	registry_watch_cancel(watcher->registry);
	background_stop(&watcher->background);
	watcher_free(watcher);
}
