/* Quoted-printable, and encoded words in base64. */
#include "cloud-service/mail/encode.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/error.h"
#include "common/text.h"

#define LINE_MAXIMUM 76

/* Bytes in an encoded word: 60 characters of base64 and 12 around them. */
#define WORD_BYTES 45

/* Blanks at the end of a line, and what is changed on the way (RFC 4155). */
static bool needs_quoting(const char *text, bool line_start)
{
	if (*text == ' ' || *text == '\t')
		return text[1] == '\n' || text[1] == '\0';
	if (line_start && (*text == '.' || strncmp(text, "From ", 5) == 0))
		return true;
	return *text < '!' || *text > '~' || *text == '=';
}

static int append_byte(const char *text, bool quote, struct buffer *out)
{
	if (quote)
		return buffer_append_format(out, "=%02X", (unsigned char)*text);
	return buffer_append(out, text, 1);
}

int mail_encode_quoted_printable(const char *text, struct buffer *out)
{
	size_t column = 0;
	int r = 0;
	for (; *text && !r; text++) {
		if (*text == '\n') {
			r = buffer_append_text(out, "\r\n");
			column = 0;
			continue;
		}
		bool quote = needs_quoting(text, column == 0);
		if (column + (quote ? 3 : 1) > LINE_MAXIMUM - 1) {
			r = buffer_append_text(out, "=\r\n");
			column = 0;
			quote = needs_quoting(text, true);
		}
		if (!r)
			r = append_byte(text, quote, out);
		column += quote ? 3 : 1;
	}
	if (!r && column > 0)
		r = buffer_append_text(out, "\r\n");
	return r;
}

static int append_base64(const char *bytes, size_t size, struct buffer *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
	                             "mnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < size; i += 3) {
		uint32_t group = 0;
		char four[4];
		for (size_t j = 0; j < 3; j++)
			group =
			    group << 8 |
			    (i + j < size ? (unsigned char)bytes[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			four[j] = i + j > size
			              ? '='
			              : digits[group >> (18 - 6 * j) & 63];
		if (buffer_append(out, four, 4))
			return ERR_LIMIT;
	}
	return 0;
}

/* As many bytes as fit and do not cut a character; one at the least. */
static size_t word_size(const char *text, size_t room)
{
	size_t size = text_utf8_cut(text, room);

	return size > 0 ? size : 1;
}

/* Whether text may stand as it is; in a phrase, specials may not. */
static bool plain(const char *text, size_t column, enum mail_encode_kind kind)
{
	if (column + strlen(text) > LINE_MAXIMUM || strstr(text, "=?"))
		return false;
	for (; *text; text++)
		if (*text < ' ' || *text > '~' ||
		    (kind == MAIL_ENCODE_PHRASE &&
		     strchr("\"\\()<>[]@,;:.", *text)))
			return false;
	return true;
}

int mail_encode_words(const char *text, enum mail_encode_kind kind,
                      size_t column, struct buffer *out)
{
	if (plain(text, column, kind))
		return buffer_append_text(out, text);
	size_t room = column < WORD_BYTES / 2 ? WORD_BYTES - column : 8;
	int r = 0;
	while (*text && !r) {
		size_t size = word_size(text, room);
		r = buffer_append_text(out, "=?utf-8?B?");
		if (!r)
			r = append_base64(text, size, out);
		if (!r)
			r = buffer_append_text(out, "?=");
		text += size;
		room = WORD_BYTES;
		if (!r && *text)
			r = buffer_append_text(out, "\r\n ");
	}
	return r;
}
