/* What the listener and its connections share. */
#ifndef SMTP_LISTENER_PRIVATE_H
#define SMTP_LISTENER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/smtp/listener.h"

#define SMTP_LISTENER_READ_SIZE (64 * 1024)

struct smtp_connection;

/* How many sessions each client address has. */
struct smtp_address_count;

/* A loop's share of the sessions; on the loop's thread, but for sessions. */
struct smtp_worker {
	struct smtp_listener *listener;
	struct loop *loop;
	struct smtp_connection *first;
	_Atomic unsigned sessions;
	_Atomic bool stopping;
	char input[SMTP_LISTENER_READ_SIZE];
};

/* A client that was accepted, on its way to a worker. */
struct smtp_accepted {
	struct smtp_worker *worker;
	int fd;
	struct smtp_client_info client;
};

/* The options of the listener that the worker belongs to. */
const struct smtp_listener_options *smtp_worker_options(
    const struct smtp_worker *worker);

/* A session of this worker is over; counts it out. */
void smtp_worker_left(struct smtp_worker *worker, const char *address);

/* Starts a session; frees accepted. On the worker's loop. */
void smtp_connection_start(struct smtp_accepted *accepted);

/* Says 421 to every session of the worker; see smtp_server_shut_down(). */
void smtp_connections_shut_down(struct smtp_worker *worker);

/* Cuts every session of the worker. */
void smtp_connections_cut(struct smtp_worker *worker);

/* An empty table. Freed by smtp_address_count_free(). */
struct smtp_address_count *smtp_address_count_new(void);

/* Frees. NULL is allowed. */
void smtp_address_count_free(struct smtp_address_count *count);

/* Counts one in, unless the address has maximum. Whether it did. Any thread. */
bool smtp_address_count_enter(struct smtp_address_count *count,
                              const char *address, unsigned maximum);

/* Counts one out. Any thread. */
void smtp_address_count_leave(struct smtp_address_count *count,
                              const char *address);

#endif
