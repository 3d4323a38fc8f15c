/* The lexical tokens that structured header fields share (RFC 5322, 3.2). */
#ifndef MAIL_LEXICAL_H
#define MAIL_LEXICAL_H

#include <stdbool.h>
#include <stddef.h>

/* Letters of ASCII only, whatever the locale. */
char mail_ascii_lower(char c);

/* Whether c is a letter or digit of ASCII, whatever the locale. */
bool mail_is_alnum(char c);

/* Whether c is atext of RFC 5322 section 3.2.3 (ASCII only). */
bool mail_is_atext(char c);

/*
 * The first byte at or after text that is neither white space nor part of a
 * comment; comments nest to any depth. An open comment ends with the text.
 */
const char *mail_skip_cfws(const char *text);

/*
 * Reads the quoted string that begins at text (a double quote) into out, cut
 * at out_size - 1 bytes, without quotes and backslashes. Returns what follows
 * it; an open string ends with the text.
 */
const char *mail_read_quoted(const char *text, char *out, size_t out_size);

/*
 * Reads a quoted string, or else the bytes up to white space, "(", ";" or one
 * of stops, into out (cut as above). Returns what follows.
 */
const char *mail_read_word(const char *text, const char *stops, char *out,
                           size_t out_size);

#endif
