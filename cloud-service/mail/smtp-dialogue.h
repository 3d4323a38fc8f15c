/*
 * A witness of an SMTP dialogue that a library leads: fed with what is written
 * and read, it tells whether the message was really accepted.
 */
#ifndef CLOUD_SMTP_DIALOGUE_H
#define CLOUD_SMTP_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>

#define DIALOGUE_REPLY_SIZE 256
#define DIALOGUE_MAXIMUM    64 /* commands that may await their answer */

/* What awaits an answer, in order. */
enum dialogue_command {
	DIALOGUE_GREETING,
	DIALOGUE_HELLO,
	DIALOGUE_STARTTLS,
	DIALOGUE_MAIL,
	DIALOGUE_RCPT,
	DIALOGUE_DATA,
	DIALOGUE_DOT,
	DIALOGUE_OTHER
};

/* Made by dialogue_init(); plain memory, nothing to release. */
struct dialogue {
	enum dialogue_command waiting[DIALOGUE_MAXIMUM];
	size_t waiting_count;
	char command[16]; /* the line being written, its start */
	size_t command_length;
	char reply[DIALOGUE_REPLY_SIZE]; /* the line being read, its start */
	size_t reply_length;
	size_t line_length;
	int reply_code; /* of the lines before, 0 at the first */
	bool require_tls;
	bool tls;           /* the handshake is done */
	bool body_sent;     /* the library has handed over the whole message */
	const char *broken; /* why nothing is believed any more, or NULL */
	int mail_code, rcpt_code, data_code, final_code; /* 0: no answer */
	int greeting_code, hello_code;
	char last[DIALOGUE_REPLY_SIZE]; /* the last answer that matters */
};

/* A dialogue that awaits the greeting. */
void dialogue_init(struct dialogue *dialogue, bool require_tls);

/* The library is about to write these bytes, those of the message left out. */
void dialogue_written(struct dialogue *dialogue, const char *bytes,
                      size_t size);

/* These bytes came in with one read. */
void dialogue_read(struct dialogue *dialogue, const char *bytes, size_t size);

/* The handshake is done. */
void dialogue_encrypted(struct dialogue *dialogue);

/*
 * Whether the message is the server's now: MAIL, RCPT and DATA were accepted,
 * the whole message was handed over, and the final 2xx came after that, every
 * answer in step.
 */
bool dialogue_accepted(const struct dialogue *dialogue);

/* The code that ended the transaction in a refusal, 4xx or 5xx, with what it
 * answered in *verb; 0: none. */
int dialogue_refusal(const struct dialogue *dialogue,
                     enum dialogue_command *verb);

#endif
