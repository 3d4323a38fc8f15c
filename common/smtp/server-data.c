/* The SMTP command DATA and the message that follows it. */
#include "common/smtp/server-private.h"

/* What is read of a message that is too large before the client is cut. */
#define READ_MAXIMUM_FACTOR 4

#define OUT_OF_STEP "Out of step after CR CR LF . CR LF"

/* A message of bare line ends has twice the bytes that a listed peer saw. */
#define LISTED_FACTOR 2

static void pass_body(void *context, const char *bytes, size_t size)
{
	struct smtp_server *server = context;

	server->options->policy->body(server, server->context, bytes, size);
}

/* The bytes of a message that are taken; 0: all. */
static int64_t message_limit(const struct smtp_server *server)
{
	int64_t maximum = (int64_t)server->options->maximum_message;

	return server->listed ? maximum * LISTED_FACTOR : maximum;
}

void smtp_server_data(struct smtp_server *server, const char *arguments)
{
	struct smtp_reply reply;

	if (*arguments) {
		smtp_server_complain(server, 501, "5.5.4",
		                     "No arguments allowed");
		return;
	}
	if (server->state != SMTP_STATE_RCPT) {
		smtp_server_complain(server,
		                     server->refused_recipients ? 554 : 503,
		                     "5.5.1", "No valid recipients");
		return;
	}
	smtp_reply_set(&reply, 354, "", "End the message with CRLF.CRLF");
	server->options->policy->data(server, server->context, &reply);
	if (reply.code == 354) {
		smtp_data_init(&server->data, message_limit(server), pass_body,
		               server);
		server->data.lenient = server->listed;
		server->data_bytes = 0;
		server->data_read = 0;
		smtp_server_enter(server, SMTP_STATE_DATA);
	}
	smtp_server_reply(server, &reply);
}

static const struct {
	int code;
	const char *enhanced, *text;
} faults[] = {
    [SMTP_DATA_BARE_CR] = {554, "5.6.0", "The message holds a CR without LF"},
    [SMTP_DATA_BARE_LF] = {554, "5.6.0", "The message holds an LF without CR"},
    [SMTP_DATA_LINE_TOO_LONG] = {554, "5.6.0",
                                 "A line of the message is too long"},
    [SMTP_DATA_TOO_LARGE] = {552, "5.3.4",
                             "The message is larger than the limit"},
};

const char *smtp_server_fault(const struct smtp_server *server)
{
	return faults[server->data.fault].text;
}

/* Says what is wrong with a message that was read to its end. */
static void refuse_message(struct smtp_server *server)
{
	enum smtp_data_fault fault = server->data.fault;

	smtp_server_enter(server, SMTP_STATE_READY);
	smtp_server_reset(server);
	server->commands = 0;
	server->errors++;
	smtp_server_say(server, faults[fault].code, faults[fault].enhanced,
	                faults[fault].text);
	if (server->data.ambiguous_end)
		smtp_server_say(server, 421, "4.7.0", OUT_OF_STEP);
}

/* Counts bytes of the message; cuts the client that never comes to an end. */
static void count_data(struct smtp_server *server, size_t size)
{
	size_t maximum = server->options->maximum_message;

	server->data_bytes += size;
	server->data_read += (int64_t)size;
	if (server->data_bytes >= SMTP_SERVER_PROGRESS_BYTES) {
		server->data_bytes = 0;
		server->progress++;
	}
	if (!maximum || server->data_read / READ_MAXIMUM_FACTOR <
	                    (int64_t)maximum + SMTP_DATA_LINE_MAXIMUM)
		return;
	smtp_server_say(server, 552, "5.3.4",
	                "The message is larger than the limit");
	smtp_server_enter(server, SMTP_STATE_CLOSING);
	smtp_server_reset(server);
}

size_t smtp_server_take_data(struct smtp_server *server, const char *bytes,
                             size_t size)
{
	size_t taken = smtp_data_feed(&server->data, bytes, size);

	if (server->data.place != SMTP_DATA_ENDED) {
		count_data(server, taken);
		return taken;
	}
	server->progress++;
	if (!smtp_data_is_passed_on(&server->data)) {
		refuse_message(server);
		return taken;
	}
	smtp_server_enter(server, SMTP_STATE_ANSWER);
	if (server->data.ambiguous_end)
		smtp_server_shut_down(server, "4.7.0", OUT_OF_STEP);
	server->options->policy->end(server, server->context);
	return taken;
}
