/* An SMTP server as a next hop, which decides by a policy of the test. */
#ifndef TESTS_UNIT_LOCAL_AGENT_HOP_H
#define TESTS_UNIT_LOCAL_AGENT_HOP_H

#include "common/smtp/listener.h"
#include "tests/unit/local-agent/lab.h"

/* Starts it on the port, 0: any, with a loop of its own. */
static inline void hop_listen(struct smtp_listener **listener,
                              struct loop **loop, uint16_t port,
                              const struct smtp_server_policy *policy,
                              void *(*session_new)(void *context,
                                                   struct loop *loop),
                              void (*session_free)(void *session_context))
{
	struct smtp_listener_options options = {
	    .address = "127.0.0.1",
	    .port = port,
	    .loops = loop,
	    .loop_count = 1,
	    .maximum_sessions = 20,
	    .command_timeout_ms = 10000,
	    .data_timeout_ms = 10000,
	    .session_timeout_ms = 60000,
	    .smtp = {.hostname = "hop.test",
	             .maximum_message = 1 << 24,
	             .policy = policy},
	    .session_new = session_new,
	    .session_free = session_free,
	};

	ck_assert_int_eq(loop_start(loop, "hop", NULL), 0);
	ck_assert_int_eq(smtp_listener_start(listener, &options, NULL), 0);
}

#endif
