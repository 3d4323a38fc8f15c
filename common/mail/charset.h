/* The charsets of mail, by the labels that mail programs give them. */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

/* Takes UTF-8, valid but for what a broken "utf-8" text had in it. */
typedef void (*mail_charset_write)(const char *utf8, size_t size,
                                   void *context);

/*
 * Whether text of this label (case, "-", "_" and a leading "x-" aside) can be
 * read. Labels mean what browsers and mail programs take them for, the mapping
 * of the WHATWG Encoding Standard: gb2312 is GB18030, iso-8859-1 and us-ascii
 * are windows-1252, shift_jis is CP932; iso-2022-jp has the signs of CP932.
 */
bool mail_charset_known(const char *label);

/*
 * Writes the bytes as UTF-8, U+FFFD for what the charset does not have. Of an
 * unknown label, "" and us-ascii among them: as UTF-8 where the bytes are that,
 * else as windows-1252. Any thread.
 */
void mail_charset_convert(const char *label, const char *bytes, size_t size,
                          mail_charset_write write, void *context);

/* Whether the bytes are UTF-8 as a whole (RFC 3629). */
bool mail_charset_is_utf8(const char *bytes, size_t size);

#endif
