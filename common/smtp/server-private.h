/* What the files of the SMTP server share: the session, states, commands. */
#ifndef SMTP_SERVER_PRIVATE_H
#define SMTP_SERVER_PRIVATE_H

#include "common/smtp/data.h"
#include "common/smtp/server.h"
#include "common/smtp/syntax.h"

/* RFC 5321 section 4.5.3.1.4 says 512; extensions and XFORWARD need more. */
#define SMTP_SERVER_COMMAND_MAXIMUM 4096
#define SMTP_SERVER_KEEP_MAXIMUM    (256 * 1024)
#define SMTP_SERVER_OUTPUT_MAXIMUM  (1024 * 1024)
#define SMTP_SERVER_PROGRESS_BYTES  (64 * 1024)

/* Bits, so that a command can name all the states that allow it. */
enum smtp_server_state {
	SMTP_STATE_GREETED = 1 << 0, /* awaits EHLO or HELO */
	SMTP_STATE_READY = 1 << 1,
	SMTP_STATE_MAIL = 1 << 2,   /* MAIL was accepted */
	SMTP_STATE_RCPT = 1 << 3,   /* at least one recipient too */
	SMTP_STATE_DATA = 1 << 4,   /* reads the message */
	SMTP_STATE_ANSWER = 1 << 5, /* the policy owes its answer */
	SMTP_STATE_CLOSING = 1 << 6,
	SMTP_STATE_LOOKUP = 1 << 7 /* the policy owes the answer to a RCPT */
};

struct smtp_server {
	const struct smtp_server_options *options;
	void *context;
	enum smtp_server_state state;
	struct smtp_client_info peer;   /* as the connection and HELO tell */
	struct smtp_client_info client; /* the same, or as XFORWARD told */
	bool forwarded;                 /* client differs from peer */
	bool listed;                    /* see options.is_listed */
	bool utf8;        /* the transaction's MAIL asked for SMTPUTF8 */
	bool transaction; /* MAIL was accepted, reset is owed */
	bool running;     /* input is being run: finish only notes its reply */
	bool overlong;    /* the rest of a line that was too long is skipped */
	bool quit;        /* closing since the client said QUIT */
	unsigned recipients, refused_recipients, errors, commands;
	uint64_t progress;
	size_t data_bytes; /* of the message since the last progress */
	int64_t data_read; /* of the message, whatever is wrong with it */
	struct smtp_data data;
	struct buffer input; /* kept: a part of a line, or what came early */
	struct buffer output;
	struct smtp_reply *shut_down; /* said after the answer */
	void (*wakeup)(void *context);
	void *wakeup_context;
};

/* A command; arguments is the text behind its name, without the line end. */
typedef void (*smtp_server_command)(struct smtp_server *server,
                                    const char *arguments);

/* The one place where the state changes. */
void smtp_server_enter(struct smtp_server *server,
                       enum smtp_server_state state);

/* Queues a reply; one of code 421 closes the session. */
void smtp_server_reply(struct smtp_server *server,
                       const struct smtp_reply *reply);

/* Queues a reply with a constant text. */
void smtp_server_say(struct smtp_server *server, int code, const char *enhanced,
                     const char *text);

/* As smtp_server_say() for a client's mistake: too many end the session. */
void smtp_server_complain(struct smtp_server *server, int code,
                          const char *enhanced, const char *text);

/* Ends the transaction if one is open, and forgets what XFORWARD told. */
void smtp_server_reset(struct smtp_server *server);

/* After an answer that was awaited: says the 421 that was put off, or runs the
 * input kept; then the wakeup. */
void smtp_server_go_on(struct smtp_server *server);

/* Takes bytes of a message; returns how many. */
size_t smtp_server_take_data(struct smtp_server *server, const char *bytes,
                             size_t size);

/* Runs one line of size bytes, of which the last is LF. */
void smtp_server_run_line(struct smtp_server *server, const char *bytes,
                          size_t size);

/* The commands that have parameters of their own. */
enum smtp_server_parameters {
	SMTP_PARAMETERS_NONE,
	SMTP_PARAMETERS_MAIL,    /* into a struct smtp_mail */
	SMTP_PARAMETERS_RCPT,    /* none is offered */
	SMTP_PARAMETERS_XFORWARD /* into a struct smtp_client_info */
};

/*
 * Reads the parameters of a command (RFC 5321 section 4.1.2) into *to by the
 * table in server-parameters.c. Where one is wrong, complains and returns
 * false; *to may have been changed then.
 */
bool smtp_server_take_parameters(struct smtp_server *server,
                                 enum smtp_server_parameters of,
                                 const char *text, void *to);

/* Appends the extensions that EHLO offers, each behind a line feed. */
void smtp_server_offer(const struct smtp_server *server, struct buffer *lines);

/* --- the commands of the table in server-command.c ----------------- */

/* Begins a session with extensions (RFC 5321 section 4.1.1.1). */
void smtp_server_ehlo(struct smtp_server *server, const char *arguments);

/* Begins a session without extensions. */
void smtp_server_helo(struct smtp_server *server, const char *arguments);

/* Opens a transaction when the policy accepts the sender. */
void smtp_server_mail(struct smtp_server *server, const char *arguments);

/* Adds a recipient when the policy accepts it. */
void smtp_server_rcpt(struct smtp_server *server, const char *arguments);

/* Begins the message: 354 when a recipient stands and the policy agrees. */
void smtp_server_data(struct smtp_server *server, const char *arguments);

/* Ends the transaction; the session stays. */
void smtp_server_rset(struct smtp_server *server, const char *arguments);

/* Says 250; arguments are allowed and passed over. */
void smtp_server_noop(struct smtp_server *server, const char *arguments);

/* Says 221, ends the transaction and closes. */
void smtp_server_quit(struct smtp_server *server, const char *arguments);

/* Says 252 of any address: who exists is not told. */
void smtp_server_vrfy(struct smtp_server *server, const char *arguments);

/* Names the commands, whatever was asked. */
void smtp_server_help(struct smtp_server *server, const char *arguments);

/* Takes what a trusted proxy tells of its client; 550 to all others. */
void smtp_server_xforward(struct smtp_server *server, const char *arguments);

/* Says 502, for commands that are known and not offered. */
void smtp_server_unsupported(struct smtp_server *server, const char *arguments);

#endif
