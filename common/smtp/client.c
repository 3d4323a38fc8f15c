/* The SMTP client's session: replies in step with commands, or none at all. */
#include "common/smtp/client-private.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/mem.h"

#define MINUTE_MS (60 * 1000)

static void enter(struct smtp_client *client, enum smtp_client_phase phase)
{
	log_debug("smtp", "client phase %d to %d", (int)client->phase,
	          (int)phase);
	client->phase = phase;
}

/* The extensions that make a difference, and the bits that say so. */
static const struct {
	const char *keyword;
	unsigned bit;
} extensions[] = {
    {"PIPELINING", SMTP_OFFERS_PIPELINING},
    {"SIZE", SMTP_OFFERS_SIZE},
    {"8BITMIME", SMTP_OFFERS_8BITMIME},
    {"SMTPUTF8", SMTP_OFFERS_SMTPUTF8},
};

/* Takes the capabilities from the lines of the reply to EHLO. */
static void line_seen(void *context, int number, const char *text)
{
	struct smtp_client *client = context;
	size_t length = strcspn(text, " =");

	if (client->phase != SMTP_PHASE_HELLO || number < 2)
		return;
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++)
		if (length == strlen(extensions[i].keyword) &&
		    !strncasecmp(text, extensions[i].keyword, length))
			client->offers |= extensions[i].bit;
}

struct smtp_client *smtp_client_new(const struct smtp_client_options *options)
{
	struct smtp_client *client = mem_alloc(sizeof(*client));

	client->hostname = mem_copy_string(options->hostname);
	client->parser.line_seen = line_seen;
	client->parser.line_context = client;
	buffer_init(&client->output, SMTP_CLIENT_PIECE * 4);
	smtp_client_await(client, SMTP_AWAIT_GREETING);
	return client;
}

void smtp_client_free(struct smtp_client *client)
{
	if (!client)
		return;
	smtp_client_lost(client, "the session was cut");
	buffer_release(&client->output);
	free(client->awaited);
	free(client->hostname);
	free(client);
}

bool smtp_client_ready(const struct smtp_client *client)
{
	return client->phase == SMTP_PHASE_READY && !client->quit_wanted;
}

bool smtp_client_closed(const struct smtp_client *client)
{
	return client->phase == SMTP_PHASE_CLOSED;
}

const char *smtp_client_why(const struct smtp_client *client)
{
	return client->why;
}

void smtp_client_await(struct smtp_client *client, enum smtp_command command)
{
	if (client->awaited_first == client->awaited_count) {
		client->awaited_first = 0;
		client->awaited_count = 0;
	}
	client->awaited =
	    mem_grow(client->awaited, client->awaited_count,
	             &client->awaited_capacity, sizeof(*client->awaited));
	client->awaited[client->awaited_count++] =
	    (struct smtp_awaited){.command = command, .end = client->queued};
}

void smtp_client_command(struct smtp_client *client, enum smtp_command command,
                         const char *format, ...)
{
	char line[2 * SMTP_PATH_SIZE + 128];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line) - 2, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(line) - 2) {
		(void)smtp_client_fail(client, "a command is too long");
		return;
	}
	line[length++] = '\r';
	line[length++] = '\n';
	if (buffer_append(&client->output, line, (size_t)length)) {
		(void)smtp_client_fail(client, "the output is full");
		return;
	}
	client->queued += (uint64_t)length;
	smtp_client_await(client, command);
}

int smtp_client_fail(struct smtp_client *client, const char *format, ...)
{
	va_list arguments;

	if (!client->why[0]) {
		va_start(arguments, format);
		(void)vsnprintf(client->why, sizeof(client->why), format,
		                arguments);
		va_end(arguments);
	}
	enter(client, SMTP_PHASE_CLOSED);
	return ERR_PROTOCOL;
}

void smtp_client_rest(struct smtp_client *client)
{
	enter(client, SMTP_PHASE_READY);
	if (!client->quit_wanted)
		return;
	enter(client, SMTP_PHASE_QUIT);
	smtp_client_command(client, SMTP_AWAIT_QUIT, "QUIT");
}

void smtp_client_quit(struct smtp_client *client)
{
	client->quit_wanted = true;
	if (client->phase == SMTP_PHASE_READY)
		smtp_client_rest(client);
}

/* The server ended the session by this reply. Its words are the reason. */
static int refused(struct smtp_client *client, const char *to,
                   const struct smtp_reply *reply)
{
	(void)smtp_client_fail(client, "the answer to %s was %d %s", to,
	                       reply->code, reply->text);
	return 0;
}

static int take_greeting(struct smtp_client *client,
                         const struct smtp_reply *reply)
{
	if (reply->code / 100 == 4 || reply->code / 100 == 5)
		return refused(client, "the connection", reply);
	if (reply->code != 220)
		return smtp_client_fail(client, "greeted with code %d",
		                        reply->code);
	enter(client, SMTP_PHASE_HELLO);
	smtp_client_command(client, SMTP_AWAIT_EHLO, "EHLO %s",
	                    client->hostname);
	return 0;
}

static int take_hello(struct smtp_client *client, enum smtp_command command,
                      const struct smtp_reply *reply)
{
	if (reply->code == 250) {
		smtp_client_rest(client);
		return 0;
	}
	client->offers = 0;
	if (reply->code / 100 == 5 && command == SMTP_AWAIT_EHLO) {
		smtp_client_command(client, SMTP_AWAIT_HELO, "HELO %s",
		                    client->hostname);
		return 0;
	}
	if (reply->code / 100 == 4 || reply->code / 100 == 5)
		return refused(client, "EHLO", reply);
	return smtp_client_fail(client, "EHLO answered with code %d",
	                        reply->code);
}

static int take_rset(struct smtp_client *client, const struct smtp_reply *reply)
{
	if (reply->code != 250)
		return smtp_client_fail(client, "RSET answered with code %d",
		                        reply->code);
	smtp_client_rest(client);
	return 0;
}

/* Acts on a whole reply to what was awaited first. */
static int take_reply(struct smtp_client *client,
                      const struct smtp_reply *reply)
{
	enum smtp_command command =
	    client->awaited[client->awaited_first++].command;

	client->replies++;
	switch (command) {
	case SMTP_AWAIT_GREETING:
		return take_greeting(client, reply);
	case SMTP_AWAIT_EHLO:
	case SMTP_AWAIT_HELO:
		return take_hello(client, command, reply);
	case SMTP_AWAIT_MAIL:
		return smtp_client_take_mail(client, reply);
	case SMTP_AWAIT_RCPT:
		return smtp_client_take_rcpt(client, reply);
	case SMTP_AWAIT_DATA:
		return smtp_client_take_data(client, reply);
	case SMTP_AWAIT_DOT:
		return smtp_client_take_dot(client, reply);
	case SMTP_AWAIT_RSET:
		return take_rset(client, reply);
	case SMTP_AWAIT_NOTHING:
		return smtp_client_take_nothing(client, reply);
	case SMTP_AWAIT_QUIT:
		break;
	}
	(void)smtp_client_fail(client, "QUIT was said");
	return 0;
}

/* Whether a reply is due when this many bytes were sent. */
static bool is_due(const struct smtp_client *client, uint64_t sent)
{
	return client->awaited_first < client->awaited_count &&
	       sent >= client->awaited[client->awaited_first].end;
}

bool smtp_client_expects_reply(const struct smtp_client *client)
{
	return is_due(client, client->sent);
}

/* Fails on a reply that answers nothing, with its words as far as known. */
static int out_of_step(struct smtp_client *client, const char *bytes,
                       size_t size)
{
	int whole = 0;

	smtp_reply_parser_reset(&client->parser);
	if (smtp_reply_parse(&client->parser, bytes, size, &whole) >= 0 &&
	    whole)
		return smtp_client_fail(client, "%d %s came out of step",
		                        client->parser.reply.code,
		                        client->parser.reply.text);
	return smtp_client_fail(client, "bytes came out of step");
}

int smtp_client_input(struct smtp_client *client, const char *bytes,
                      size_t size)
{
	/* What a callback sends meanwhile cannot be answered in these bytes. */
	const uint64_t sent = client->sent;
	struct smtp_reply reply;
	size_t at = 0;

	while (at < size) {
		int whole = 0, taken, result;

		if (smtp_client_closed(client))
			return ERR_PROTOCOL;
		if (!is_due(client, sent))
			return out_of_step(client, bytes + at, size - at);
		taken = smtp_reply_parse(&client->parser, bytes + at, size - at,
		                         &whole);
		if (taken < 0)
			return smtp_client_fail(client, "malformed reply");
		at += (size_t)taken;
		if (!whole)
			break;
		/* A copy: the transaction's end may begin another one. */
		reply = client->parser.reply;
		smtp_reply_parser_reset(&client->parser);
		result = take_reply(client, &reply);
		if (result)
			return result;
	}
	return 0;
}

const struct buffer *smtp_client_output(struct smtp_client *client)
{
	if (!client->output.length && client->phase == SMTP_PHASE_ENVELOPE)
		smtp_client_fill_envelope(client);
	if (!client->output.length && client->phase == SMTP_PHASE_BODY)
		smtp_client_fill_body(client);
	if (smtp_client_closed(client))
		buffer_reset(&client->output);
	return &client->output;
}

void smtp_client_sent(struct smtp_client *client, size_t size)
{
	if (size > client->output.length)
		size = client->output.length;
	client->sent += size;
	buffer_consume(&client->output, size);
	if (client->body_place == SMTP_BODY_ENDED && !client->lone_dot &&
	    client->sent >= client->queued)
		client->dot_sent = true;
}

void smtp_client_lost(struct smtp_client *client, const char *why)
{
	enum smtp_outcome outcome = SMTP_DEFERRED;
	struct smtp_reply reply;

	if (client->dot_sent)
		outcome = SMTP_UNCERTAIN;
	else if (client->unsendable)
		outcome = SMTP_REFUSED;
	(void)smtp_client_fail(client, "%s", why);
	smtp_reply_set(&reply, 0, "", "%s", client->why);
	if (client->in_transaction)
		smtp_client_tell(client, outcome, &reply);
}

int64_t smtp_client_timeout_ms(const struct smtp_client *client)
{
	enum smtp_command command = SMTP_AWAIT_QUIT;

	if (client->output.length || client->phase == SMTP_PHASE_BODY)
		if (!client->dot_sent)
			return 3 * MINUTE_MS;
	if (client->awaited_first < client->awaited_count)
		command = client->awaited[client->awaited_first].command;
	if (command == SMTP_AWAIT_DATA)
		return 2 * MINUTE_MS;
	return (command == SMTP_AWAIT_DOT ? 10 : 5) * MINUTE_MS;
}

uint64_t smtp_client_progress(const struct smtp_client *client)
{
	return client->replies + client->sent / SMTP_CLIENT_PROGRESS;
}
