/* The header of a message as it streams in: found, bounded, never changed. */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"

#define MAIL_HEADER_MAXIMUM (256 * 1024) /* bytes kept; the rest is ignored */

/* One field; name and value point into the header's own memory. */
struct mail_field {
	const char *name;  /* as written, without the colon */
	const char *value; /* unfolded: CRLF before white space dropped;
	                      trimmed; NUL-terminated; raw bytes otherwise */
};

/* Collects bytes until the empty line, then splits them into fields. */
struct mail_header {
	struct buffer raw;
	bool complete; /* the empty line was seen */
	bool truncated;
	struct mail_field *fields; /* in order, once parsed */
	size_t field_count;
	char *storage;
};

/* An empty header; released by mail_header_release(). */
void mail_header_init(struct mail_header *header);

/* Frees what the header holds. */
void mail_header_release(struct mail_header *header);

/* Takes the next bytes of the message; ignores what follows the header. */
void mail_header_feed(struct mail_header *header, const char *bytes,
                      size_t size);

/*
 * Splits what was fed. Lines that are no field (RFC 5322 section 2.2) are
 * skipped, an mbox "From " line too. Call once, after the last feed.
 */
void mail_header_parse(struct mail_header *header);

/* The value of the first field of this name (any case), or NULL. */
const char *mail_header_get(const struct mail_header *header, const char *name);

/* The index of the next field of this name at or after start, or -1. */
long mail_header_find(const struct mail_header *header, const char *name,
                      size_t start);

/*
 * Decodes the encoded words (RFC 2047) of value into UTF-8, at most size - 1
 * bytes, cut at a character, as mail programs do: charsets as charset.h has
 * them, adjacent words of one charset as one text, and bytes that nobody
 * labelled as UTF-8 or else windows-1252. Invalid bytes become U+FFFD, controls
 * a space. Returns text.
 */
char *mail_header_decode(const char *value, char *text, size_t size);

/*
 * Writes the first mailbox of a From, To, Cc or Sender value (RFC 5322 section
 * 3.4, comments and obsolete forms included) to address. 0 or ERR_INVALID.
 */
int mail_header_mailbox(const char *value, char *address, size_t size);

/*
 * Calls each for every mailbox in the value, groups included; stops when each
 * returns false. At most 1,000 are told.
 */
void mail_header_each_mailbox(const char *value,
                              bool (*each)(const char *address, void *context),
                              void *context);

/*
 * Calls each for whatever looks like an address ("a@b") in the decoded value,
 * as a reader sees it: for a From in which there is no mailbox. Stops when each
 * returns false.
 */
void mail_header_each_shown(const char *value,
                            bool (*each)(const char *address, void *context),
                            void *context);

#endif
