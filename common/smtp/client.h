/*
 * The client side of SMTP (RFC 5321) without a socket: takes the replies that
 * the server sent and gives the bytes to send. Pipelines where the server
 * allows it (RFC 2920), reuses the session for several messages, and tells an
 * outcome for every recipient.
 *
 * It cannot be talked into a false success: a recipient is delivered only when
 * its RCPT got 2xx, DATA got 354, every byte of the message was handed over
 * to the socket, and the final 2xx came after that. A reply that comes before
 * its command was sent, or more replies than commands, is ERR_PROTOCOL and the
 * session is dropped.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/smtp/reply.h"

struct smtp_client;

enum smtp_outcome {
	SMTP_DELIVERED, /* the final 2xx came, in step */
	SMTP_DEFERRED,  /* 4xx, or the session was lost before the final dot */
	SMTP_REFUSED,   /* 5xx; or it cannot be sent to this server at all */
	SMTP_UNCERTAIN, /* lost after the final dot, before the answer: try
	                   again, a duplicate is possible */
	SMTP_ACCEPTED   /* of a probe: RCPT got 2xx */
};

/* A message's bytes as the engine asks for them, in order. */
struct smtp_source {
	/*
	 * Copies the next bytes (1..size) to bytes and returns how many; 0 at
	 * the end; negative: the message cannot be read, the transaction is
	 * aborted without the final dot and every recipient is deferred. With
	 * a bare CR or LF, which SMTP cannot carry, it is aborted too and every
	 * recipient refused. A message that does not end in CRLF gets one.
	 */
	long (*read)(void *context, char *bytes, size_t size);
	void *context;
	int64_t size;   /* bytes, for SIZE= */
	bool eight_bit; /* send BODY=8BITMIME where the server has it */
	bool utf8;      /* needs SMTPUTF8 (RFC 6531): refused, with a reply of
	                   ours, where the server has none; so is a recipient
	                   whose address needs it, alone */
};

/* One message for some recipients; must live until done was called. */
struct smtp_transaction {
	const char *sender; /* without <>; "" for null */
	const char *const *recipients;
	size_t recipient_count;
	bool probe; /* MAIL and RCPT alone, without a message: a call-ahead */
	struct smtp_source source;
	/*
	 * Told once a recipient, in order, then done once. The reply is the
	 * server's, or one of ours (code 0) that says what was lost. From
	 * within smtp_client_input() or smtp_client_lost().
	 */
	void (*recipient)(void *context, size_t index,
	                  enum smtp_outcome outcome,
	                  const struct smtp_reply *reply);
	void (*done)(void *context);
	void *context;
};

struct smtp_client_options {
	const char *hostname; /* for EHLO; HELO follows a 5xx to EHLO */
};

/* A session that awaits the greeting. Freed by smtp_client_free(). */
struct smtp_client *smtp_client_new(const struct smtp_client_options *options);

/* Frees; an open transaction is told as by smtp_client_lost(). */
void smtp_client_free(struct smtp_client *client);

/* Whether a transaction can be begun: greeted and nothing under way. */
bool smtp_client_ready(const struct smtp_client *client);

/* Whether the session is over: QUIT answered, refused, or out of step. */
bool smtp_client_closed(const struct smtp_client *client);

/*
 * Why the session is over, in words: what the server said or what it did
 * wrong. "" while there is nothing to tell. Owned by client.
 */
const char *smtp_client_why(const struct smtp_client *client);

/*
 * Begins a transaction; ERR_UNAVAILABLE when not ready. A sender that
 * smtp_address_valid() refuses is ERR_INVALID and nothing is sent; such a
 * recipient is refused, alone.
 */
int smtp_client_begin(struct smtp_client *client,
                      const struct smtp_transaction *transaction);

/*
 * Takes bytes from the server. 0, or ERR_PROTOCOL: drop the connection, and
 * call smtp_client_lost().
 */
int smtp_client_input(struct smtp_client *client, const char *bytes,
                      size_t size);

/*
 * Whether a reply is due to what was sent. Where none is, bytes that the
 * socket holds are out of step: look for them before sending more, or they
 * would pass for the answer to it.
 */
bool smtp_client_expects_reply(const struct smtp_client *client);

/*
 * The bytes to send now, at most about 64 KiB at a time: write them, tell
 * smtp_client_sent(), ask again. Empty: nothing to send for now. Calls
 * source.read; look at smtp_client_closed() after it.
 */
const struct buffer *smtp_client_output(struct smtp_client *client);

/* The socket took size bytes of the output. */
void smtp_client_sent(struct smtp_client *client, size_t size);

/* Sends QUIT once nothing is under way. */
void smtp_client_quit(struct smtp_client *client);

/*
 * The connection is gone (or timed out): tells each open recipient its
 * outcome, with why in the reply, and calls done.
 */
void smtp_client_lost(struct smtp_client *client, const char *why);

/* Milliseconds the server may take for what is awaited now (RFC 5321 4.5.3.2):
 * greeting 5 min, MAIL and RCPT 5 min, DATA 2 min, block 3 min, dot 10 min. */
int64_t smtp_client_timeout_ms(const struct smtp_client *client);

/*
 * A number that changes with every whole reply and every 64 KiB sent: what
 * starts the deadline of smtp_client_timeout_ms() anew.
 */
uint64_t smtp_client_progress(const struct smtp_client *client);

#endif
