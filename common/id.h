/* Ids: UUIDv7, ordered by the time they were made at. */
#ifndef COMMON_ID_H
#define COMMON_ID_H

#include <stdbool.h>
#include <stdint.h>

#define ID_TEXT_SIZE 37 /* with the NUL */

/* A UUID (RFC 9562); all zero means none. Compared bytewise. */
struct id {
	uint8_t bytes[16];
};

/*
 * A new UUIDv7 (RFC 9562 section 5.7): milliseconds, then a counter, so that
 * ids of one process never go back, then random bits. Any thread.
 */
struct id id_new(void);

/* Writes "0190a1b2-...": 36 characters and a NUL; returns text. */
char *id_format(const struct id *id, char text[ID_TEXT_SIZE]);

/* Reads the form of id_format(), either case. 0, or ERR_INVALID. */
int id_parse(const char *text, struct id *id);

/* Whether a and b are the same id. */
bool id_equal(const struct id *a, const struct id *b);

/* Whether id is all zero. */
bool id_is_none(const struct id *id);

/* The time in a UUIDv7, in milliseconds since 1970. */
int64_t id_time_ms(const struct id *id);

#endif
