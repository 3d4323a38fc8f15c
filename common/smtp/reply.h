/* SMTP replies: code, enhanced status code and text. */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"

#define SMTP_REPLY_TEXT_SIZE 512

/*
 * One reply (RFC 5321 section 4.2). enhanced is "" or as "4.3.1" (RFC 3463).
 * text may hold several lines, separated by '\n', without control characters.
 */
struct smtp_reply {
	int code;
	char enhanced[12];
	char text[SMTP_REPLY_TEXT_SIZE];
};

/*
 * The length of the enhanced status code that text begins with, class "."
 * subject "." detail (RFC 3463 section 2), at most 9; or 0. What follows it is
 * the caller's to look at: no digit does.
 */
size_t smtp_enhanced_length(const char *text);

/* Fills *reply with a formatted text; controls become '?'. */
void smtp_reply_set(struct smtp_reply *reply, int code, const char *enhanced,
                    const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends the reply's wire form, each line with code and enhanced code. */
int smtp_reply_print(const struct smtp_reply *reply, struct buffer *out);

/*
 * "550 5.1.1 text" on the heap, its lines joined by spaces; of a reply without
 * a code, which no server gave, the text alone.
 */
char *smtp_reply_line(const struct smtp_reply *reply);

/* Incremental parser of replies; zeroed memory is its start. */
struct smtp_reply_parser {
	struct smtp_reply reply; /* grows line by line; a long text is cut */
	char line[1024];
	size_t line_length;
	int lines;
	/*
	 * NULL, or told the text after the code of every line, however long
	 * the reply is; number counts from 1.
	 */
	void (*line_seen)(void *context, int number, const char *text);
	void *line_context;
};

/*
 * Takes bytes up to the end of one reply. Returns how many bytes were taken
 * (all, when the reply is not whole yet) with *whole telling whether
 * parser->reply is; ERR_PROTOCOL for a malformed line, codes that differ,
 * a line over 1,000 bytes or over 128 lines. RFC 5321 section 4.2.1.
 */
int smtp_reply_parse(struct smtp_reply_parser *parser, const char *bytes,
                     size_t size, int *whole);

/* Forgets what was read: ready for the next reply. line_seen stays. */
void smtp_reply_parser_reset(struct smtp_reply_parser *parser);

#endif
