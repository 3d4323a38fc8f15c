/* Small readings of text: a hex digit, a character of UTF-8, what of a word
 * may be shown. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
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

/* Whether no byte of text is above 0x7f. */
bool text_is_ascii(const char *text);

/*
 * How many bytes of the UTF-8 text are kept when at most maximum may be: as
 * many as do not cut a character, 0 where the first one does not fit.
 */
size_t text_utf8_cut(const char *text, size_t maximum);

/* Compares the texts that two char pointers, a and b, point to: for qsort()
 * and bsearch(). */
int text_compare(const void *a, const void *b);

/* Writes a code point, at most 0x10ffff, as UTF-8; returns its length. */
size_t text_utf8_write(uint32_t code, char bytes[TEXT_UTF8_SIZE]);

/*
 * How many bytes of a wrong word of the command line an error may repeat: all,
 * but nothing behind the "=" of an option or the "://" of a URI, where a
 * password may stand. For "%.*s".
 */
int text_shown_length(const char *word);

#endif
