/* SMTP servers on sockets: accepts on event loops and drives the sessions. */
#ifndef SMTP_LISTENER_H
#define SMTP_LISTENER_H

#include <stdint.h>

#include "common/loop.h"
#include "common/smtp/server.h"

struct smtp_listener;

struct smtp_listener_options {
	const char *address; /* numeric IPv4 or IPv6 */
	uint16_t port;       /* 0: any free one */
	struct loop **loops; /* sessions are spread over them */
	unsigned loop_count;
	unsigned maximum_sessions;             /* then 421 4.3.2 and close */
	unsigned maximum_sessions_per_address; /* 0: none */
	unsigned maximum_sessions_per_listed;  /* of one that smtp.is_listed
	                                          names; 0: none */
	int64_t command_timeout_ms; /* for each whole command: a slow drip
	                               does not extend it */
	int64_t data_timeout_ms;    /* for each 64 KiB of a message */
	int64_t session_timeout_ms; /* for the session, unless in DATA */
	struct smtp_server_options smtp;
	/*
	 * Makes and frees the context of a session; on the session's loop.
	 * A session belongs to one loop for its whole life.
	 */
	void *(*session_new)(void *context, struct loop *loop);
	void (*session_free)(void *session_context);
	void *context; /* for session_new and is_listed */
};

/*
 * Listens. ERR_UNAVAILABLE when the port is taken (the text names address and
 * port). Keeps a reserve descriptor for EMFILE. Ended by smtp_listener_stop().
 */
int smtp_listener_start(struct smtp_listener **listener,
                        const struct smtp_listener_options *options,
                        struct error *err);

/* The port in force, in host order. */
uint16_t smtp_listener_port(const struct smtp_listener *listener);

/* Sessions open now. Any thread. */
unsigned smtp_listener_sessions(const struct smtp_listener *listener);

/*
 * Stops accepting and tells idle sessions 421; sessions that await an answer
 * get it first. Returns when all are closed or timeout_ms has passed; the rest
 * is cut. Frees. From outside the loops; the loops must still run. NULL is
 * allowed.
 */
void smtp_listener_stop(struct smtp_listener *listener, int64_t timeout_ms);

#endif
