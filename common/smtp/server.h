/*
 * The server side of SMTP (RFC 5321) without a socket: takes the bytes that a
 * client sent, calls the policy, and keeps the bytes to send back.
 *
 * The callback contract, in the order of a session:
 *
 *   mail, data         fill in *reply at once: a 2xx (354 for data) accepts.
 *   rcpt               the same; or leaves reply->code 0 and answers later by
 *                      smtp_server_answer_rcpt(): until then no input is
 *                      parsed, so replies stay in the order of the commands.
 *                      A reset takes the question back.
 *   body               gets the message as it will be stored: dot-unstuffed,
 *                      lines ended by CRLF, in pieces of any size, split
 *                      anywhere; the final CRLF before the dot is included.
 *   end                the final dot was seen. The policy answers now or
 *                      later with smtp_server_finish(); until then no input
 *                      is parsed (what comes is kept, within the limit, and
 *                      smtp_server_wants_input() is false).
 *   reset              the transaction is over, however it ended: answered,
 *                      RSET, a new EHLO, or the connection is gone. Called
 *                      once for every accepted MAIL; what the policy keeps for
 *                      the transaction is freed here. After a reset the policy
 *                      must not call smtp_server_finish() for it.
 *
 * A message that breaks a rule of the protocol (bare CR or LF, a line too
 * long, too large) is read to its end, refused, and end is not called. A NUL
 * is taken as it came.
 *
 * A listed peer (options.is_listed) is another mail server that accepted the
 * mail already: what it is refused it bounces to the sender, who may be
 * forged. So its envelopes may hold what no mailbox does (SMTP_PATH_ANY), and
 * a message of its that breaks a rule is passed on as it came: end is called,
 * and smtp_server_fault() tells what is wrong. Its messages may be twice as
 * large as SIZE says, since it counts line ends as one byte.
 *
 * The engine holds no global state; a session is for one thread at a time.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/smtp/reply.h"

struct smtp_server;

/* Who is at the other end, as the connection or XFORWARD tells. */
struct smtp_client_info {
	char address[64]; /* numeric, "IPv6:" not included; "" not known */
	char name[256];   /* reverse name, or "" when not known */
	char helo[256];
	char protocol[8]; /* "SMTP" or "ESMTP", of the first hop */
	uint16_t port;    /* 0 when not known */
};

/* A MAIL command that passed the syntax (RFC 5321 section 4.1.1.2). */
struct smtp_mail {
	const char *sender; /* reverse-path without <>; "" is the null sender */
	int64_t size;       /* SIZE= (RFC 1870), 0 when not given */
	bool eight_bit;     /* BODY=8BITMIME (RFC 6152) */
	bool utf8;          /* SMTPUTF8 (RFC 6531 section 3.4) */
};

/* The decisions; context is the one given to smtp_server_new(). */
struct smtp_server_policy {
	void (*mail)(struct smtp_server *server, void *context,
	             const struct smtp_mail *mail, struct smtp_reply *reply);
	void (*rcpt)(struct smtp_server *server, void *context,
	             const char *recipient, struct smtp_reply *reply);
	void (*data)(struct smtp_server *server, void *context,
	             struct smtp_reply *reply);
	void (*body)(struct smtp_server *server, void *context,
	             const char *bytes, size_t size);
	void (*end)(struct smtp_server *server, void *context);
	void (*reset)(struct smtp_server *server, void *context);
};

/* Limits and names; must outlive every session made with it. */
struct smtp_server_options {
	const char *hostname;        /* in the greeting and in EHLO */
	size_t maximum_message;      /* bytes; announced with SIZE; 552 5.3.4 */
	unsigned maximum_recipients; /* a transaction; then 452 4.5.3 */
	unsigned maximum_errors;     /* a session; then 421 4.7.0 and close */
	unsigned maximum_commands;   /* since the last message, accepted RCPT
	                                not counted; then 421. All four: 0 is no
	                                limit */
	/* Whether the peer is listed: its XFORWARD is believed too. NULL: no.
	 */
	bool (*is_listed)(const char *address, void *context);
	void *is_listed_context; /* a listener fills in its own when NULL */
	const struct smtp_server_policy *policy;
};

/*
 * A session with a client, greeted already (see smtp_server_output()).
 * context goes to every callback. Freed by smtp_server_free(). Never NULL.
 */
struct smtp_server *smtp_server_new(const struct smtp_server_options *options,
                                    const struct smtp_client_info *client,
                                    void *context);

/* Ends the session: calls reset for an open transaction, frees. */
void smtp_server_free(struct smtp_server *server);

/*
 * Takes size bytes from the client and runs every command in them, up to the
 * point where an answer is awaited; keeps the rest. 0, or ERR_LIMIT when more
 * is kept than the limit allows (a caller that asks smtp_server_wants_input()
 * first never sees it): close the connection.
 */
int smtp_server_input(struct smtp_server *server, const char *bytes,
                      size_t size);

/* The bytes to send; the caller consumes what it has written. */
struct buffer *smtp_server_output(struct smtp_server *server);

/* False while an answer is awaited: stop reading from the socket. */
bool smtp_server_wants_input(const struct smtp_server *server);

/* True when the connection is to be closed once the output is sent. */
bool smtp_server_closing(const struct smtp_server *server);

/* Whether a message is being read, or it or a recipient awaits its answer
 * (deadlines differ). */
bool smtp_server_in_data(const struct smtp_server *server);

/*
 * A number that changes with every command that was run and every 64 KiB of a
 * message: what a deadline for each of them is started anew by, so that a slow
 * drip of bytes does not extend it.
 */
uint64_t smtp_server_progress(const struct smtp_server *server);

/*
 * wakeup(context) is called at the end of every smtp_server_finish(),
 * smtp_server_answer_rcpt() and smtp_server_shut_down(): there may be output to
 * send, input is wanted again. It must not free the session.
 */
void smtp_server_set_wakeup(struct smtp_server *server,
                            void (*wakeup)(void *context), void *context);

/*
 * Answers a message whose end was called, closes the transaction (reset is
 * called) and goes on with the input kept. On the session's thread.
 */
void smtp_server_finish(struct smtp_server *server,
                        const struct smtp_reply *reply);

/*
 * Answers a recipient whose rcpt left its reply open, and goes on with the
 * input kept. On the session's thread; not from within rcpt.
 */
void smtp_server_answer_rcpt(struct smtp_server *server,
                             const struct smtp_reply *reply);

/*
 * What is wrong with the message of a listed peer, a constant text; NULL for
 * nothing. From end on, until its answer.
 */
const char *smtp_server_fault(const struct smtp_server *server);

/*
 * Says 421 with this text, now or, when a message or a recipient awaits its
 * answer, after that answer; then the connection is closed. RFC 5321
 * section 3.8.
 */
void smtp_server_shut_down(struct smtp_server *server, const char *enhanced,
                           const char *text);

/* The client as known now: XFORWARD and HELO change it. */
const struct smtp_client_info *smtp_server_client(
    const struct smtp_server *server);

/* The context given to smtp_server_new(). */
void *smtp_server_context(const struct smtp_server *server);

#endif
