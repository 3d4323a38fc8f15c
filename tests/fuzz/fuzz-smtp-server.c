/*
 * Fuzzes the SMTP server: input in two ways of splitting must give the same
 * output, and the callbacks must keep their order.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/smtp/server.h"

/* What the callbacks may do next. */
struct order {
	bool in_mail, in_rcpt, in_data, ended, later;
	bool asked, absent; /* a recipient awaits its answer, a refusal */
	struct buffer body;
};

static bool listed; /* the peer of this input */

static void on_mail(struct smtp_server *server, void *context,
                    const struct smtp_mail *mail, struct smtp_reply *reply)
{
	struct order *order = context;

	(void)server;
	assert(!order->in_mail && !strpbrk(mail->sender, "\r\n"));
	if (mail->sender[0] == 'x')
		smtp_reply_set(reply, 550, "5.7.1", "no");
	else
		order->in_mail = true;
}

static void on_rcpt(struct smtp_server *server, void *context,
                    const char *recipient, struct smtp_reply *reply)
{
	struct order *order = context;

	(void)server;
	assert(order->in_mail && !order->in_data);
	assert(!strpbrk(recipient, "\r\n"));
	order->absent = recipient[0] == 'x';
	order->asked = order->later;
	if (order->absent)
		smtp_reply_set(reply, 550, "5.1.1", "no");
	else
		order->in_rcpt = true;
	if (order->later)
		reply->code = 0;
}

static void on_data(struct smtp_server *server, void *context,
                    struct smtp_reply *reply)
{
	struct order *order = context;

	(void)server;
	(void)reply;
	assert(order->in_rcpt && !order->in_data);
	order->in_data = true;
}

static void on_body(struct smtp_server *server, void *context,
                    const char *bytes, size_t size)
{
	struct order *order = context;

	(void)server;
	assert(order->in_data && size);
	assert(buffer_append(&order->body, bytes, size) == 0);
}

static void answer(struct smtp_server *server)
{
	struct order *order = smtp_server_context(server);
	struct smtp_reply reply;

	if (order->asked) {
		order->asked = false;
		smtp_reply_set(&reply, order->absent ? 550 : 250,
		               order->absent ? "5.1.1" : "2.1.5", "%s",
		               order->absent ? "no" : "Recipient OK");
		smtp_server_answer_rcpt(server, &reply);
		return;
	}
	smtp_reply_set(&reply, 250, "2.0.0", "stored");
	smtp_server_finish(server, &reply);
}

/* A message that is accepted holds no bare CR or LF, unless a listed peer's. */
static void on_end(struct smtp_server *server, void *context)
{
	struct order *order = context;
	const char *body = buffer_text(&order->body);
	size_t length = order->body.length;

	assert(order->in_data && !order->ended);
	assert(!smtp_server_fault(server) || listed);
	for (size_t i = 0; i < length && !smtp_server_fault(server); i++) {
		assert(body[i] != '\n' || (i && body[i - 1] == '\r'));
		assert(body[i] != '\r' || body[i + 1] == '\n');
	}
	assert(!length || body[length - 1] == '\n');
	order->ended = true;
	if (!order->later)
		answer(server);
}

static void on_reset(struct smtp_server *server, void *context)
{
	struct order *order = context;
	bool later = order->later;

	(void)server;
	assert(order->in_mail);
	buffer_release(&order->body);
	*order = (struct order){.later = later, .body = order->body};
}

static bool is_listed(const char *address, void *context)
{
	(void)address;
	(void)context;
	return listed;
}

static const struct smtp_server_policy policy = {
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .body = on_body,
    .end = on_end,
    .reset = on_reset,
};

static const struct smtp_server_options options = {
    .hostname = "mx.example",
    .maximum_message = 3000,
    .maximum_recipients = 5,
    .maximum_errors = 20,
    .maximum_commands = 100,
    .is_listed = is_listed,
    .policy = &policy,
};

/* Runs a session; pieces of this size. */
static void run(const char *bytes, size_t size, size_t piece, bool later,
                struct buffer *output)
{
	const struct smtp_client_info client = {.address = "192.0.2.1"};
	struct order order = {.later = later};
	struct smtp_server *server;

	buffer_init(&order.body, 1 << 20);
	server = smtp_server_new(&options, &client, &order);
	for (size_t at = 0; at < size; at += piece) {
		if (smtp_server_input(server, bytes + at,
		                      size - at < piece ? size - at : piece))
			break;
		while (!smtp_server_wants_input(server) &&
		       !smtp_server_closing(server))
			answer(server);
	}
	assert(buffer_append(output, smtp_server_output(server)->data,
	                     smtp_server_output(server)->length) == 0);
	smtp_server_free(server);
	assert(!order.in_mail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer one, other;
	size_t piece;

	if (size < 2)
		return 0;
	piece = (size_t)data[0] % 16 + 1;
	listed = data[0] & 0x10;
	buffer_init(&one, 1 << 22);
	buffer_init(&other, 1 << 22);
	run((const char *)data + 1, size - 1, size, false, &one);
	run((const char *)data + 1, size - 1, piece, true, &other);
	assert(one.length == other.length &&
	       !memcmp(one.data, other.data, one.length));
	buffer_release(&one);
	buffer_release(&other);
	return 0;
}
