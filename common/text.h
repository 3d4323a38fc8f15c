/* Small readings of text: a hex digit, a character of UTF-8, what of a word
 * may be shown. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Room for any character of text_utf8_write(). */
#define TEXT_UTF8_SIZE 4

/* The value of a hex digit in either case; -1 when it is none. */
int text_hex_value(char digit);

/*
 * Reads the valid UTF-8 sequence (RFC 3629: no overlong forms, no surrogates)
 * at bytes, of which size are there. Returns its length and sets *code; 0 when
 * there is none, with *code untouched.
 */
size_t text_utf8_read(const char *bytes, size_t size, uint32_t *code);

/* Writes a code point, at most 0x10ffff, as UTF-8; returns its length. */
size_t text_utf8_write(uint32_t code, char bytes[TEXT_UTF8_SIZE]);

/*
 * How many bytes of a wrong word of the command line an error may repeat: all,
 * but nothing behind the "=" of an option or the "://" of a URI, where a
 * password may stand. For "%.*s".
 */
int text_shown_length(const char *word);

#endif
