/* The types of a message's parts, as far as they tell a program's mail. */
#ifndef MAIL_PARTS_H
#define MAIL_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#define MAIL_PARTS_BOUNDARIES    8
#define MAIL_PARTS_BOUNDARY_SIZE 80 /* RFC 2046 section 5.1.1: 70 at most */
#define MAIL_PARTS_FIELD_SIZE    1024

/* Reads a message as it streams in; everything is the reader's own. */
struct mail_parts {
	unsigned classes; /* bit 1 << c of each enum automatic_class found */
	size_t bytes;     /* read so far */
	bool in_header;   /* of the message or of a part */
	char line[MAIL_PARTS_FIELD_SIZE];
	size_t line_length;
	char field[MAIL_PARTS_FIELD_SIZE]; /* unfolded */
	char boundaries[MAIL_PARTS_BOUNDARIES][MAIL_PARTS_BOUNDARY_SIZE];
	size_t boundary_count;
};

/* An empty reader, before the message's first byte; nothing to release. */
void mail_parts_init(struct mail_parts *parts);

/*
 * Takes the next bytes of the message, its header first (RFC 2045, RFC 2046).
 * Finds reports of delivery (RFC 3464), receipts (RFC 8098), reports of abuse
 * (RFC 5965) and what a calendar asks or answers (RFC 6047) among the parts,
 * but not within a message that is attached. Of long messages the first MiB is
 * read.
 */
void mail_parts_feed(struct mail_parts *parts, const char *bytes, size_t size);

#endif
