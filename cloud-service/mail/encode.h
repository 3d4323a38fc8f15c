/* The encodings of the mails that the cloud writes. */
#ifndef CLOUD_SERVICE_MAIL_ENCODE_H
#define CLOUD_SERVICE_MAIL_ENCODE_H

#include "common/buffer.h"

/*
 * Appends UTF-8 text as quoted-printable (RFC 2045 section 6.7): LF becomes
 * CRLF, lines are at most 76 characters, the last line is ended. ERR_LIMIT.
 */
int mail_encode_quoted_printable(const char *text, struct buffer *out);

enum mail_encode_kind {
	MAIL_ENCODE_TEXT,  /* of Subject and the like */
	MAIL_ENCODE_PHRASE /* the name before an address */
};

/*
 * Appends UTF-8 text without controls as the value of a header field: as it
 * is where it is short plain ASCII that may stand there, else as encoded words
 * (RFC 2047), folded so that no line passes 76 characters. column is where
 * the value begins. Not ended by CRLF. ERR_LIMIT.
 */
int mail_encode_words(const char *text, enum mail_encode_kind kind,
                      size_t column, struct buffer *out);

#endif
