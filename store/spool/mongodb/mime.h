/* Header fields and parts of a message, as slices of its text. */
#ifndef STORE_SPOOL_MONGODB_MIME_H
#define STORE_SPOOL_MONGODB_MIME_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of another text, without a NUL at their end. */
struct mime_slice {
	const char *text;
	size_t length;
};

/* One header field; the value is unfolded. */
struct mime_field {
	struct mime_slice name, value;
};

/*
 * Splits a message or part at its empty line. Without one there is no head,
 * and all is body.
 */
void mime_split(struct mime_slice text, struct mime_slice *head,
                struct mime_slice *body);

/*
 * Reads the fields of a head, at most maximum of them. The values are written
 * to room, of head.length bytes at least. Lines that are no field are skipped.
 */
size_t mime_fields(struct mime_slice head, char *room,
                   struct mime_field *fields, size_t maximum);

/*
 * Whether value is a Content-Type of a multipart, with its boundary (1 to 200
 * bytes) written to boundary.
 */
bool mime_boundary(struct mime_slice value, char boundary[201], size_t *length);

/*
 * Takes the next part off rest (RFC 2046 section 5.1.1), which is the body of
 * the multipart at first; false when there is none any more.
 */
bool mime_next_part(struct mime_slice *rest, const char *boundary,
                    size_t boundary_length, struct mime_slice *part);

#endif
