/* What the files of the SMTP client share: session, awaited replies, body. */
#ifndef SMTP_CLIENT_PRIVATE_H
#define SMTP_CLIENT_PRIVATE_H

#include "common/smtp/client.h"
#include "common/smtp/syntax.h"

#define SMTP_CLIENT_PIECE    (64 * 1024)
#define SMTP_CLIENT_PROGRESS (64 * 1024)

/* What a session is doing. */
enum smtp_client_phase {
	SMTP_PHASE_GREETING,
	SMTP_PHASE_HELLO, /* EHLO or HELO was sent */
	SMTP_PHASE_READY,
	SMTP_PHASE_ENVELOPE, /* MAIL to the answer of DATA */
	SMTP_PHASE_BODY,     /* from 354 to the answer of the dot */
	SMTP_PHASE_RSET,
	SMTP_PHASE_QUIT,
	SMTP_PHASE_CLOSED
};

/* What a reply answers. */
enum smtp_command {
	SMTP_AWAIT_GREETING,
	SMTP_AWAIT_EHLO,
	SMTP_AWAIT_HELO,
	SMTP_AWAIT_MAIL,
	SMTP_AWAIT_RCPT,
	SMTP_AWAIT_DATA,
	SMTP_AWAIT_DOT,
	SMTP_AWAIT_RSET,
	SMTP_AWAIT_NOTHING, /* RSET in the place of what cannot be sent */
	SMTP_AWAIT_QUIT
};

/*
 * A reply that is due. It may come only when all bytes up to end, counted from
 * the session's start, were handed to the socket.
 */
struct smtp_awaited {
	enum smtp_command command;
	uint64_t end;
};

/* Where the last byte of the body stood: what dot-stuffing has to know. */
enum smtp_body_place {
	SMTP_BODY_LINE_START,
	SMTP_BODY_TEXT,
	SMTP_BODY_CR,
	SMTP_BODY_ENDED
};

/* What became of a recipient so far. */
struct smtp_client_recipient {
	enum smtp_outcome outcome; /* when refused is there */
	struct smtp_reply *refused;
	bool accepted;
	bool skipped; /* cannot be sent to this server: refused is there */
};

/* Extensions of the server. */
enum {
	SMTP_OFFERS_PIPELINING = 1 << 0,
	SMTP_OFFERS_SIZE = 1 << 1,
	SMTP_OFFERS_8BITMIME = 1 << 2,
	SMTP_OFFERS_SMTPUTF8 = 1 << 3
};

struct smtp_client {
	char *hostname;
	enum smtp_client_phase phase;
	bool quit_wanted;
	unsigned offers; /* SMTP_OFFERS_ bits: what EHLO was answered */
	struct smtp_reply_parser parser;
	char why[SMTP_REPLY_TEXT_SIZE];

	struct buffer output;
	uint64_t queued, sent; /* bytes since the session's start */
	uint64_t replies;

	struct smtp_awaited *awaited; /* a ring without wrap: first..count */
	size_t awaited_first, awaited_count, awaited_capacity;

	/* The transaction, when in_transaction. */
	bool in_transaction;
	struct smtp_transaction transaction;
	struct smtp_client_recipient *recipients;
	size_t recipients_sent, recipients_answered, recipients_accepted;
	bool mail_sent, mail_accepted, data_sent;
	bool unsendable; /* the message holds what SMTP cannot carry */
	struct smtp_reply *mail_refused;
	enum smtp_outcome mail_outcome;
	enum smtp_body_place body_place;
	bool lone_dot; /* 354 came though nobody was accepted */
	bool dot_sent; /* the final dot was handed to the socket, whole */
};

/* Queues a line and notes that its reply is due. */
void smtp_client_command(struct smtp_client *client, enum smtp_command command,
                         const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Notes that a reply is due to what was queued up to now. */
void smtp_client_await(struct smtp_client *client, enum smtp_command command);

/* Ends the session; the first reason stands. Returns ERR_PROTOCOL. */
int smtp_client_fail(struct smtp_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ready again: says QUIT where that is wanted. */
void smtp_client_rest(struct smtp_client *client);

/* Queues the commands of the envelope that may be sent now. */
void smtp_client_fill_envelope(struct smtp_client *client);

/* Queues the next piece of the message; with the last one the final dot. */
void smtp_client_fill_body(struct smtp_client *client);

/* Takes the reply to MAIL. 0 or ERR_PROTOCOL. */
int smtp_client_take_mail(struct smtp_client *client,
                          const struct smtp_reply *reply);

/* Takes the reply to the RCPT that is next in turn. 0 or ERR_PROTOCOL. */
int smtp_client_take_rcpt(struct smtp_client *client,
                          const struct smtp_reply *reply);

/* Takes the reply to the RSET that stood for a transaction of which nothing
 * could be sent. 0 or ERR_PROTOCOL. */
int smtp_client_take_nothing(struct smtp_client *client,
                             const struct smtp_reply *reply);

/* Takes the reply to DATA: the body follows a 354. 0 or ERR_PROTOCOL. */
int smtp_client_take_data(struct smtp_client *client,
                          const struct smtp_reply *reply);

/* Takes the reply to the final dot, which decides. 0 or ERR_PROTOCOL. */
int smtp_client_take_dot(struct smtp_client *client,
                         const struct smtp_reply *reply);

/*
 * Tells every recipient its outcome, then done: those who were accepted get
 * this outcome and reply. The transaction is over then.
 */
void smtp_client_tell(struct smtp_client *client, enum smtp_outcome outcome,
                      const struct smtp_reply *reply);

#endif
