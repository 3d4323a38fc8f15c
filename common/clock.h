/* Time: wall clock and monotonic, in milliseconds, and its texts. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Enough for every text below with its NUL. */
#define CLOCK_TEXT_SIZE 40

/* Milliseconds since 1970-01-01T00:00:00Z. Any thread. */
int64_t clock_wall_ms(void);

/* Milliseconds of a clock that never goes back. Any thread. */
int64_t clock_monotonic_ms(void);

/*
 * Moves both clocks of this process on by ms. For tests, which call
 * condition_move_clock_ms() so that threads that wait hear of it; the daemons
 * never do. Any thread.
 */
void clock_move_ms(int64_t ms);

/* By how much clock_move_ms() has moved them; 0 in the daemons. Any thread. */
int64_t clock_moved_ms(void);

/* Writes "2026-11-21T08:00:00.123Z" (RFC 3339 section 5.6); returns text. */
char *clock_format_rfc3339(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/*
 * Writes "Sat, 21 Nov 2026 08:00:00 +0000" (RFC 5322 section 3.3), whatever
 * the locale; returns text.
 */
char *clock_format_rfc5322(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/*
 * Reads an RFC 3339 time with any offset into *wall_ms. 0, or ERR_INVALID
 * with *wall_ms untouched.
 */
int clock_parse_rfc3339(const char *text, int64_t *wall_ms);

#endif
