/*
 * Fuzzes the SMTP client: whatever a server says, nobody is told "delivered"
 * without a 354 and the whole message before the last 2xx.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/smtp/client.h"

static const char message[] = "Subject: x\r\n\r\n.dot\r\n";
static const char wire[] = "Subject: x\r\n\r\n..dot\r\n.\r\n";
/* Of these one needs SMTPUTF8, and one can be sent to nobody. */
static const char *const recipients[] = {"one@x", "\xc3\xa9@x", "a b@x",
                                         "two@x"};
#define RECIPIENTS (sizeof(recipients) / sizeof(recipients[0]))

/* What was sent and told. */
struct session {
	struct buffer sent; /* in this transaction */
	size_t read_at, told, done;
	bool probe;
};

static long read_message(void *context, char *bytes, size_t size)
{
	struct session *session = context;
	size_t left = sizeof(message) - 1 - session->read_at;

	if (size > left)
		size = left;
	memcpy(bytes, message + session->read_at, size);
	session->read_at += size;
	return (long)size;
}

static void on_recipient(void *context, size_t index, enum smtp_outcome outcome,
                         const struct smtp_reply *reply)
{
	struct session *session = context;
	size_t length = session->sent.length;

	assert(index == session->told++);
	assert(outcome != (session->probe ? SMTP_DELIVERED : SMTP_ACCEPTED));
	assert(index != 2 || outcome == SMTP_REFUSED ||
	       outcome == SMTP_DEFERRED);
	if (outcome != SMTP_DELIVERED)
		return;
	assert(reply->code / 100 == 2);
	assert(length > sizeof(wire));
	assert(!memcmp(session->sent.data + length - (sizeof(wire) - 1), wire,
	               sizeof(wire) - 1));
}

static void on_done(void *context)
{
	struct session *session = context;

	assert(session->told == RECIPIENTS);
	session->done++;
}

/* Sends what the client has; some of it when limit says so. */
static void pump(struct smtp_client *client, struct session *session,
                 size_t limit)
{
	const struct buffer *output;

	while (limit && (output = smtp_client_output(client))->length) {
		size_t size = output->length < limit ? output->length : limit;

		assert(buffer_append(&session->sent, output->data, size) == 0);
		smtp_client_sent(client, size);
		limit -= size;
	}
}

static void begin(struct smtp_client *client, struct session *session)
{
	const struct smtp_transaction transaction = {
	    .sender = "s@x",
	    .recipients = recipients,
	    .recipient_count = RECIPIENTS,
	    .probe = session->probe,
	    .source = {.read = read_message,
	               .context = session,
	               .size = sizeof(message) - 1,
	               .eight_bit = true},
	    .recipient = on_recipient,
	    .done = on_done,
	    .context = session,
	};

	session->told = 0;
	session->read_at = 0;
	buffer_reset(&session->sent);
	assert(smtp_client_begin(client, &transaction) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A byte of 0x80 or more lets the client send that many bytes (0xff: all). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct smtp_client_options options = {.hostname = "me"};
	struct smtp_client *client = smtp_client_new(&options);
	struct session session = {0};
	size_t begun = 0;

	buffer_init(&session.sent, 1 << 20);
	for (size_t i = 0; i < size; i++) {
		char byte = (char)data[i];

		if (data[i] >= 0x80)
			pump(client, &session,
			     data[i] == 0xff ? 1 << 20 : data[i] - 0x7fU);
		else if (smtp_client_input(client, &byte, 1))
			break;
		if (smtp_client_ready(client)) {
			session.probe = begun % 2;
			begin(client, &session);
			begun++;
		}
	}
	smtp_client_lost(client, "the end");
	assert(session.done == begun);
	smtp_client_free(client);
	buffer_release(&session.sent);
	return 0;
}
