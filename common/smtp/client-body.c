/* The SMTP client's message: read from its source, dot-stuffed, ended. */
#include <string.h>

#include "common/smtp/client-private.h"

#define READ_SIZE (32 * 1024)

/* Appends to the output, which has room: the pieces are bounded. */
static void put(struct smtp_client *client, const char *bytes, size_t size)
{
	size_t before = client->output.length;

	if (buffer_append(&client->output, bytes, size))
		(void)smtp_client_fail(client, "the output is full");
	client->queued += client->output.length - before;
}

/*
 * Takes text up to the end of its line. Returns where it stopped, or NULL for
 * a bare LF.
 */
static const char *take_text(struct smtp_client *client, const char *at,
                             const char *end)
{
	const char *lf = memchr(at, '\n', (size_t)(end - at));
	const char *stop = lf ? lf : end;
	const char *cr = memchr(at, '\r', (size_t)(stop - at));

	client->body_place = cr ? SMTP_BODY_CR : SMTP_BODY_TEXT;
	if (cr)
		return cr + 1;
	return lf ? NULL : end;
}

/* Appends a piece of the message. False for a bare CR or LF in it. */
static bool stuff(struct smtp_client *client, const char *bytes, size_t size)
{
	const char *at = bytes, *end = bytes + size, *run = bytes;

	while (at && at < end) {
		if (client->body_place == SMTP_BODY_CR) {
			if (*at++ != '\n')
				return false;
			client->body_place = SMTP_BODY_LINE_START;
			continue;
		}
		if (client->body_place == SMTP_BODY_LINE_START && *at == '.') {
			put(client, run, (size_t)(at - run));
			put(client, ".", 1);
			run = at;
		}
		at = take_text(client, at, end);
	}
	if (at)
		put(client, run, (size_t)(end - run));
	return at != NULL;
}

/* Another try would meet the same bytes. */
static void give_up(struct smtp_client *client)
{
	client->unsendable = true;
	(void)smtp_client_fail(client, "the message holds a bare CR or LF, "
	                               "which SMTP cannot carry");
}

/* Appends the message's end. */
static void put_end(struct smtp_client *client)
{
	if (client->body_place == SMTP_BODY_CR) {
		give_up(client);
		return;
	}
	if (client->body_place == SMTP_BODY_TEXT)
		put(client, "\r\n", 2);
	put(client, ".\r\n", 3);
	client->body_place = SMTP_BODY_ENDED;
	if (!smtp_client_closed(client))
		smtp_client_await(client, SMTP_AWAIT_DOT);
}

void smtp_client_fill_body(struct smtp_client *client)
{
	const struct smtp_source *source = &client->transaction.source;
	char bytes[READ_SIZE];

	while (client->output.length < READ_SIZE &&
	       client->body_place != SMTP_BODY_ENDED &&
	       !smtp_client_closed(client)) {
		long got = source->read(source->context, bytes, sizeof(bytes));

		if (got < 0 || (size_t)got > sizeof(bytes))
			(void)smtp_client_fail(client,
			                       "the message cannot be read");
		else if (got == 0)
			put_end(client);
		else if (!stuff(client, bytes, (size_t)got))
			give_up(client);
	}
}
