/* Text made comparable: without case, accents, width and odd spaces. */
#ifndef MAIL_FOLD_H
#define MAIL_FOLD_H

#include <stddef.h>

/*
 * Writes UTF-8 text to folded so that spellings of the same words compare
 * equal: small letters, Latin and Greek ones without accents ("ss" for a sharp
 * s), full-width forms as ASCII, white space as one space and none in front of
 * a colon, curly quotes and long dashes as plain ones; invisible characters and
 * bytes that are no UTF-8 are left out. Cut at a character where size is too
 * small; size is 8 at least. Returns the length.
 */
size_t mail_fold_text(const char *text, char *folded, size_t size);

#endif
