/* A next hop that keeps what it is given, for the tests of delivery. */
#ifndef TESTS_UNIT_LOCAL_AGENT_DELIVERY_DELIVERY_HOP_H
#define TESTS_UNIT_LOCAL_AGENT_DELIVERY_DELIVERY_HOP_H

#include <stdlib.h>

#include "tests/unit/local-agent/hop.h"

struct hop {
	struct smtp_listener *listener;
	struct loop *loop;
	pthread_mutex_t lock;
	char *messages[64];
	size_t sizes[64];
	unsigned count;
	unsigned sessions, transactions;
	_Atomic bool stall; /* no answer to the final dot for now */
	int code;           /* of that answer; 0: 250 */
};

static struct hop hop;

struct hop_session {
	struct buffer body;
};

static inline void hop_mail(struct smtp_server *server, void *context,
                            const struct smtp_mail *mail,
                            struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)mail;
	(void)pthread_mutex_lock(&hop.lock);
	hop.transactions++;
	(void)pthread_mutex_unlock(&hop.lock);
	smtp_reply_set(reply, 250, "2.1.0", "Ok");
}

static inline void hop_rcpt(struct smtp_server *server, void *context,
                            const char *recipient, struct smtp_reply *reply)
{
	(void)server;
	(void)context;
	(void)recipient;
	smtp_reply_set(reply, 250, "2.1.5", "Ok");
}

static inline void hop_data(struct smtp_server *server, void *context,
                            struct smtp_reply *reply)
{
	struct hop_session *session = context;

	(void)server;
	buffer_reset(&session->body);
	smtp_reply_set(reply, 354, "", "go");
}

static inline void hop_body(struct smtp_server *server, void *context,
                            const char *bytes, size_t size)
{
	struct hop_session *session = context;

	(void)server;
	ck_assert_int_eq(buffer_append(&session->body, bytes, size), 0);
}

static inline void hop_end(struct smtp_server *server, void *context)
{
	struct hop_session *session = context;
	struct smtp_reply reply;

	(void)pthread_mutex_lock(&hop.lock);
	if (hop.count < 64) {
		hop.sizes[hop.count] = session->body.length;
		hop.messages[hop.count++] = buffer_take(&session->body);
	}
	(void)pthread_mutex_unlock(&hop.lock);
	while (atomic_load(&hop.stall))
		(void)poll(NULL, 0, 2);
	smtp_reply_set(&reply, hop.code ? hop.code : 250, "", "judged");
	smtp_server_finish(server, &reply);
}

static inline void hop_reset(struct smtp_server *server, void *context)
{
	(void)server;
	(void)context;
}

static inline void *hop_session_new(void *context, struct loop *session_loop)
{
	struct hop_session *session = mem_alloc(sizeof(*session));

	(void)context;
	(void)session_loop;
	hop.sessions++;
	buffer_init(&session->body, 1 << 24);
	return session;
}

static inline void hop_session_free(void *context)
{
	struct hop_session *session = context;

	buffer_release(&session->body);
	free(session);
}

static inline void hop_start(uint16_t port)
{
	static const struct smtp_server_policy policy = {
	    hop_mail, hop_rcpt, hop_data, hop_body, hop_end, hop_reset};

	hop = (struct hop){.lock = PTHREAD_MUTEX_INITIALIZER};
	hop_listen(&hop.listener, &hop.loop, port, &policy, hop_session_new,
	           hop_session_free);
}

static inline void hop_stop(void)
{
	smtp_listener_stop(hop.listener, 1000);
	loop_stop(hop.loop);
	while (hop.count > 0)
		free(hop.messages[--hop.count]);
}

/* One of its numbers, while it runs. */
static inline unsigned hop_read(const unsigned *number)
{
	unsigned read;

	(void)pthread_mutex_lock(&hop.lock);
	read = *number;
	(void)pthread_mutex_unlock(&hop.lock);
	return read;
}

#endif
