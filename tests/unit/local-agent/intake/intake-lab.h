/*
 * An intake that listens, with a policy of its own, and a client to it: for the
 * tests of what comes in by SMTP.
 */
#ifndef TESTS_UNIT_LOCAL_AGENT_INTAKE_INTAKE_LAB_H
#define TESTS_UNIT_LOCAL_AGENT_INTAKE_INTAKE_LAB_H

#include <string.h>
#include <unistd.h>

#include "common/smtp/listener.h"
#include "local-agent/intake/intake.h"
#include "tests/support/http-peer.h"
#include "tests/unit/local-agent/lab.h"

static struct agent_config config;
static struct writer *writer;
static struct replica *replica;
static struct intake *intake;
static struct loop *loop;
static struct smtp_listener *listener;

static inline void put_entry(struct entry_set *set, enum entry_colour colour,
                             const char *value)
{
	struct entry entry = {.id = id_new(),
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .colour = colour,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_ADMIN,
	                      .scope_value = mem_copy_string(""),
	                      .value = mem_copy_string(value),
	                      .note = mem_copy_string("")};

	entry_set_put(set, &entry);
	entry_release(&entry);
}

/* The domain is ours.test; white@x.test and black@x.test are listed. */
static inline void give_policy(void)
{
	static const char *const domains[] = {"ours.test"};
	struct entry_set *set = entry_set_new();

	put_entry(set, ENTRY_WHITE, "white@x.test");
	put_entry(set, ENTRY_BLACK, "black@x.test");
	replica_replace(replica, set, domains, 1);
}

static inline void listen_for_mail(void)
{
	struct smtp_listener_options options = {
	    .address = "127.0.0.1",
	    .loops = &loop,
	    .loop_count = 1,
	    .maximum_sessions = 20,
	    .command_timeout_ms = 10000,
	    .data_timeout_ms = 10000,
	    .session_timeout_ms = 60000,
	    .smtp = {.hostname = "agent.test",
	             .maximum_message = 4 << 20,
	             .maximum_recipients = 5,
	             .maximum_errors = 20,
	             .is_listed = intake_is_listed,
	             .policy = &intake_policy},
	    .session_new = intake_session_new,
	    .session_free = intake_session_free,
	    .context = intake,
	};
	struct error err = {.text = ""};

	ck_assert_int_eq(loop_start(&loop, "smtp", NULL), 0);
	ck_assert_msg(smtp_listener_start(&listener, &options, &err) == 0, "%s",
	              err.text);
}

/* Says text and then QUIT; the whole answer. */
static inline void converse(const char *text, char *answer, size_t size)
{
	int fd = peer_connect(smtp_listener_port(listener));

	(void)peer_send_text(fd, "EHLO client\r\n");
	(void)peer_send_text(fd, text);
	(void)peer_send_text(fd, "QUIT\r\n");
	(void)peer_read(fd, answer, size, 5000);
	(void)close(fd);
}

/* The reply before that to QUIT. */
static inline void last_reply(const char *text, char reply[256])
{
	char answer[8192];
	char *end, *line;

	converse(text, answer, sizeof(answer));
	end = strstr(answer, "\r\n221 ");
	ck_assert_msg(end, "%s", answer);
	*end = '\0';
	line = strrchr(answer, '\n');
	(void)snprintf(reply, 256, "%.255s", line ? line + 1 : answer);
}

#endif
