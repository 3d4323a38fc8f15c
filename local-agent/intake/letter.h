/*
 * A message while it is received: its envelope, the start of its body in
 * memory, the rest in a file, so that memory does not grow with it.
 */
#ifndef LOCAL_AGENT_INTAKE_LETTER_H
#define LOCAL_AGENT_INTAKE_LETTER_H

#include "common/buffer.h"
#include "common/mail/header.h"
#include "common/mail/parts.h"
#include "local-agent/queue/writer.h"
#include "store/spool/spool.h"

struct intake;
struct session;

struct letter {
	struct writer_request request; /* first, so that one gives the other */
	struct spool_change change;
	struct spool_message message;
	size_t recipient_capacity;
	struct mail_header header;
	struct mail_parts parts;
	struct buffer body; /* all of it, or what is not yet in the file */
	size_t memory_maximum;
	const char *directory;   /* for the file; borrowed */
	int file;                /* -1: none */
	char *path;              /* NULL: no file */
	int failure;             /* ERR_FULL or ERR_IO: the file failed */
	const char *fault;       /* what is wrong with the message, or NULL */
	size_t reserved;         /* bytes of delivery's memory */
	struct intake *intake;   /* once submitted, as session */
	struct session *session; /* NULL once nobody waits for the answer */
	bool submitted;
};

/*
 * An empty letter from sender, whose body goes to a file in directory beyond
 * memory_maximum bytes. expected: the size that the client announced, or 0.
 */
struct letter *letter_new(const char *sender, const char *directory,
                          size_t memory_maximum, int64_t expected);

/* Frees, and removes a file that nobody has taken over. NULL is allowed. */
void letter_free(struct letter *letter);

/* Adds a recipient; one that is there already is not added again. */
void letter_add_recipient(struct letter *letter, const char *address);

/* Takes the next bytes of the message; a failure is kept in ->failure. */
void letter_add_body(struct letter *letter, const char *bytes, size_t size);

/* The message is whole: parses the header, finishes and closes the file. */
void letter_complete(struct letter *letter);

/* Removes the file, where there is one. */
void letter_drop_file(struct letter *letter);

#endif
