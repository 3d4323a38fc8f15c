/* The SMTP server's session: bytes in, replies out, states between. */
#include "common/smtp/server-private.h"

#include <string.h>

#include "common/log.h"
#include "common/mem.h"

struct smtp_server *smtp_server_new(const struct smtp_server_options *options,
                                    const struct smtp_client_info *client,
                                    void *context)
{
	struct smtp_server *server = mem_alloc(sizeof(*server));
	struct smtp_reply greeting;

	server->options = options;
	server->context = context;
	server->peer = *client;
	server->client = *client;
	server->state = SMTP_STATE_GREETED;
	buffer_init(&server->input, SMTP_SERVER_KEEP_MAXIMUM);
	buffer_init(&server->output, SMTP_SERVER_OUTPUT_MAXIMUM);
	server->listed =
	    options->is_listed &&
	    options->is_listed(client->address, options->is_listed_context);
	smtp_reply_set(&greeting, 220, "", "%s ESMTP", options->hostname);
	smtp_server_reply(server, &greeting);
	return server;
}

void smtp_server_free(struct smtp_server *server)
{
	if (!server)
		return;
	smtp_server_reset(server);
	buffer_release(&server->input);
	buffer_release(&server->output);
	free(server->shut_down);
	free(server);
}

void smtp_server_enter(struct smtp_server *server, enum smtp_server_state state)
{
	if (server->state == state)
		return;
	log_debug("smtp", "[%s] state %#x to %#x", server->peer.address,
	          (unsigned)server->state, (unsigned)state);
	server->state = state;
}

void smtp_server_reply(struct smtp_server *server,
                       const struct smtp_reply *reply)
{
	if (server->state == SMTP_STATE_CLOSING)
		return;
	if (smtp_reply_print(reply, &server->output) == 0 && reply->code != 421)
		return;
	smtp_server_enter(server, SMTP_STATE_CLOSING);
	smtp_server_reset(server);
}

void smtp_server_say(struct smtp_server *server, int code, const char *enhanced,
                     const char *text)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, code, enhanced, "%s", text);
	smtp_server_reply(server, &reply);
}

void smtp_server_complain(struct smtp_server *server, int code,
                          const char *enhanced, const char *text)
{
	unsigned maximum = server->options->maximum_errors;

	server->errors++;
	if (maximum && server->errors > maximum)
		smtp_server_say(server, 421, "4.7.0", "Too many errors");
	else
		smtp_server_say(server, code, enhanced, text);
}

void smtp_server_reset(struct smtp_server *server)
{
	const struct smtp_server_policy *policy = server->options->policy;

	if (server->transaction) {
		server->transaction = false;
		policy->reset(server, server->context);
	}
	server->utf8 = false;
	server->recipients = 0;
	server->refused_recipients = 0;
	if (server->forwarded) {
		server->forwarded = false;
		server->client = server->peer;
	}
}

/*
 * Takes a line, or a part of one, from the input. Returns how many bytes were
 * taken: none, when the line is not whole yet.
 */
static size_t take_line(struct smtp_server *server, const char *bytes,
                        size_t size)
{
	const char *end = memchr(bytes, '\n', size);
	size_t length = end ? (size_t)(end - bytes) + 1 : size;

	if (server->overlong) {
		server->overlong = !end;
		return length;
	}
	if (length > SMTP_SERVER_COMMAND_MAXIMUM) {
		server->overlong = !end;
		server->progress++;
		smtp_server_complain(server, 500, "5.5.2", "Line too long");
		return length;
	}
	if (!end)
		return 0;
	server->progress++;
	smtp_server_run_line(server, bytes, length);
	return length;
}

/* Runs what is in bytes; returns how many were taken. */
static size_t run(struct smtp_server *server, const char *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size && smtp_server_wants_input(server)) {
		const char *at = bytes + taken;
		size_t count =
		    server->state == SMTP_STATE_DATA
		        ? smtp_server_take_data(server, at, size - taken)
		        : take_line(server, at, size - taken);

		if (!count)
			break;
		taken += count;
	}
	return taken;
}

/* Runs what was kept. */
static void run_kept(struct smtp_server *server)
{
	size_t taken;

	if (!server->input.length)
		return;
	server->running = true;
	taken = run(server, server->input.data, server->input.length);
	server->running = false;
	buffer_consume(&server->input, taken);
	if (!server->input.length)
		buffer_release(&server->input);
}

int smtp_server_input(struct smtp_server *server, const char *bytes,
                      size_t size)
{
	size_t taken = 0;
	int result;

	if (server->state == SMTP_STATE_CLOSING)
		return 0;
	if (!server->input.length && smtp_server_wants_input(server)) {
		server->running = true;
		taken = run(server, bytes, size);
		server->running = false;
		if (taken == size || server->state == SMTP_STATE_CLOSING)
			return 0;
		return buffer_append(&server->input, bytes + taken,
		                     size - taken);
	}
	result = buffer_append(&server->input, bytes, size);
	if (!result)
		run_kept(server);
	return result;
}

struct buffer *smtp_server_output(struct smtp_server *server)
{
	return &server->output;
}

bool smtp_server_wants_input(const struct smtp_server *server)
{
	return !(server->state &
	         (SMTP_STATE_ANSWER | SMTP_STATE_LOOKUP | SMTP_STATE_CLOSING));
}

bool smtp_server_closing(const struct smtp_server *server)
{
	return server->state == SMTP_STATE_CLOSING;
}

bool smtp_server_in_data(const struct smtp_server *server)
{
	return server->state &
	       (SMTP_STATE_DATA | SMTP_STATE_ANSWER | SMTP_STATE_LOOKUP);
}

uint64_t smtp_server_progress(const struct smtp_server *server)
{
	return server->progress;
}

void smtp_server_set_wakeup(struct smtp_server *server,
                            void (*wakeup)(void *context), void *context)
{
	server->wakeup = wakeup;
	server->wakeup_context = context;
}

void smtp_server_go_on(struct smtp_server *server)
{
	if (server->shut_down)
		smtp_server_reply(server, server->shut_down);
	if (server->running)
		return;
	run_kept(server);
	if (server->wakeup)
		server->wakeup(server->wakeup_context);
}

void smtp_server_finish(struct smtp_server *server,
                        const struct smtp_reply *reply)
{
	if (server->state != SMTP_STATE_ANSWER)
		return;
	smtp_server_enter(server, SMTP_STATE_READY);
	server->commands = 0;
	smtp_server_reply(server, reply);
	smtp_server_reset(server);
	smtp_server_go_on(server);
}

void smtp_server_shut_down(struct smtp_server *server, const char *enhanced,
                           const char *text)
{
	struct smtp_reply *reply;

	if (server->state == SMTP_STATE_CLOSING || server->shut_down)
		return;
	reply = mem_alloc(sizeof(*reply));
	smtp_reply_set(reply, 421, enhanced, "%s", text);
	server->shut_down = reply;
	if (!(server->state & (SMTP_STATE_ANSWER | SMTP_STATE_LOOKUP)))
		smtp_server_reply(server, reply);
	if (!server->running && server->wakeup)
		server->wakeup(server->wakeup_context);
}

const struct smtp_client_info *smtp_server_client(
    const struct smtp_server *server)
{
	return &server->client;
}

void *smtp_server_context(const struct smtp_server *server)
{
	return server->context;
}
