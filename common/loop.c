/* An event loop on a thread of its own. */
#include "common/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/mem.h"

struct posted {
	struct posted *next;
	loop_function function;
	void *argument;
};

struct loop {
	struct event_base *base;
	struct event *wake_event;
	int wake_fd; /* an eventfd: readable when something was posted */
	pthread_t thread;
	char name[16];
	bool ending; /* of the loop's thread alone */
	pthread_mutex_t lock;
	struct posted *first, **last; /* under lock */
};

struct loop_timer {
	struct event *event;
	loop_function function;
	void *argument;
};

/* Takes everything posted so far. */
static struct posted *take_posted(struct loop *loop)
{
	struct posted *first;

	(void)pthread_mutex_lock(&loop->lock);
	first = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	(void)pthread_mutex_unlock(&loop->lock);
	return first;
}

/* Runs what was posted, and what those functions post when the loop ends. */
static void run_posted(struct loop *loop)
{
	struct posted *posted, *next;

	do {
		posted = take_posted(loop);
		if (!posted)
			break;
		for (; posted; posted = next) {
			next = posted->next;
			posted->function(posted->argument);
			free(posted);
		}
	} while (loop->ending);
	if (loop->ending)
		(void)event_base_loopbreak(loop->base);
}

static void woken(evutil_socket_t fd, short what, void *argument)
{
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort(); /* an eventfd cannot fail but by a bug of ours */
	run_posted(argument);
}

static void *run(void *argument)
{
	struct loop *loop = argument;

	(void)pthread_setname_np(pthread_self(), loop->name);
	(void)event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

/* Starts the thread with all signals blocked: they are main's. */
static int start_thread(struct loop *loop)
{
	sigset_t all, before;
	int result;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&loop->thread, NULL, run, loop);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* Frees a loop whose thread does not run. */
static void free_loop(struct loop *loop)
{
	if (loop->wake_event)
		event_free(loop->wake_event);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		(void)close(loop->wake_fd);
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int loop_start(struct loop **loop, const char *name, struct error *err)
{
	struct loop *made = mem_alloc(sizeof(*made));

	(void)pthread_mutex_init(&made->lock, NULL);
	(void)snprintf(made->name, sizeof(made->name), "%s", name);
	made->last = &made->first;
	made->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	made->base = event_base_new();
	if (made->wake_fd >= 0 && made->base)
		made->wake_event = event_new(made->base, made->wake_fd,
		                             EV_READ | EV_PERSIST, woken, made);
	if (!made->wake_event || event_add(made->wake_event, NULL) ||
	    start_thread(made)) {
		free_loop(made);
		return error_set(err, ERR_UNAVAILABLE,
		                 "the event loop %s cannot be started", name);
	}
	*loop = made;
	return 0;
}

static void end(void *argument)
{
	struct loop *loop = argument;

	loop->ending = true;
}

void loop_stop(struct loop *loop)
{
	if (!loop)
		return;
	loop_post(loop, end, loop);
	(void)pthread_join(loop->thread, NULL);
	free_loop(loop);
}

void loop_post(struct loop *loop, loop_function function, void *argument)
{
	struct posted *posted = mem_alloc(sizeof(*posted));
	const uint64_t one = 1;

	posted->function = function;
	posted->argument = argument;
	/*
	 * Written under the lock, so that the loop cannot run the last one,
	 * end and be freed before the write.
	 */
	(void)pthread_mutex_lock(&loop->lock);
	*loop->last = posted;
	loop->last = &posted->next;
	while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
	(void)pthread_mutex_unlock(&loop->lock);
}

int loop_is_current(const struct loop *loop)
{
	return pthread_equal(pthread_self(), loop->thread);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

static void fired(evutil_socket_t fd, short what, void *argument)
{
	struct loop_timer *timer = argument;

	(void)fd;
	(void)what;
	timer->function(timer->argument);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_function function,
                                  void *argument)
{
	struct loop_timer *timer = mem_alloc(sizeof(*timer));

	timer->function = function;
	timer->argument = argument;
	timer->event = evtimer_new(loop->base, fired, timer);
	if (!timer->event)
		abort(); /* out of memory, as in mem.h */
	return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
	struct timeval delay;

	if (delay_ms < 0)
		delay_ms = 0;
	delay.tv_sec = (time_t)(delay_ms / 1000);
	delay.tv_usec = (suseconds_t)(delay_ms % 1000 * 1000);
	if (evtimer_add(timer->event, &delay))
		abort();
}

void loop_timer_stop(struct loop_timer *timer)
{
	(void)evtimer_del(timer->event);
}

void loop_timer_free(struct loop_timer *timer)
{
	if (!timer)
		return;
	event_free(timer->event);
	free(timer);
}
