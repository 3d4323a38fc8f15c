/* What the pages and mails say, in French and English. */
#ifndef CLOUD_SERVICE_TEXT_TEXT_H
#define CLOUD_SERVICE_TEXT_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum text_language { TEXT_EN, TEXT_FR, TEXT_LANGUAGE_COUNT };

/* Enough for text_date(), a zone's name included. */
#define TEXT_DATE_SIZE 144

/* "en" or "fr"; never NULL. */
const char *text_language_code(enum text_language language);

/* The language of a code such as "fr" or "fr-CA"; standard for any other. */
enum text_language text_language_parse(const char *code,
                                       enum text_language standard);

/*
 * The language that a person wants: asked (?lang=, may be NULL) where it is
 * one of ours, else the best of Accept-Language (RFC 9110 section 12.5.4; may
 * be NULL, hostile), else standard.
 */
enum text_language text_language_choose(const char *asked, const char *accept,
                                        enum text_language standard);

/*
 * The text of this name, UTF-8, which may hold {{placeholders}} for
 * template_render(); NULL when there is none.
 */
const char *text_find(enum text_language language, const char *name);

/*
 * Writes "Saturday 21 November 2026, 09:00 (Europe/Paris)" or the French form
 * of it; zone is the IANA's name of one. Without it (NULL, "", or none that the
 * system knows) it is "08:00 UTC". Returns text.
 */
char *text_date(enum text_language language, int64_t wall_ms, const char *zone,
                char text[TEXT_DATE_SIZE]);

#endif
