/* Text from outside, made fit to be shown to a person. */
#ifndef CLOUD_SERVICE_TEXT_DISPLAY_H
#define CLOUD_SERVICE_TEXT_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Copies text as valid UTF-8 of at most characters characters into out:
 * invalid bytes become U+FFFD; controls, line and paragraph separators become
 * one space; what turns the writing direction or is invisible is dropped, but
 * for joiners between letters of scripts that are written with them, and in
 * emoji; white space is trimmed; a text that was cut ends in "...". out needs
 * 4 * characters + 1 bytes. NULL is as "". Returns out.
 */
char *display_clean(const char *text, size_t characters, char *out);

/*
 * Whether a mail program might make a link of a part of text, which is of
 * display_clean(): an address of the web or of mail, a name of a host, a
 * telephone number. Dates are none.
 */
bool display_holds_link(const char *text);

#endif
