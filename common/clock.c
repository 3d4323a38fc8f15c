/* Clocks and the texts of times. */
#include "common/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/error.h"

static _Atomic int64_t moved_ms;

static int64_t read_clock(clockid_t which)
{
	struct timespec now;

	(void)clock_gettime(which, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 +
	       clock_moved_ms();
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void clock_move_ms(int64_t ms)
{
	(void)atomic_fetch_add_explicit(&moved_ms, ms, memory_order_relaxed);
}

int64_t clock_moved_ms(void)
{
	return atomic_load_explicit(&moved_ms, memory_order_relaxed);
}

/* Splits into broken-down UTC and milliseconds, for times before 1970 too. */
static void split(int64_t wall_ms, struct tm *parts, int *milliseconds)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	int rest = (int)(wall_ms % 1000);

	if (rest < 0) {
		rest += 1000;
		seconds--;
	}
	if (!gmtime_r(&seconds, parts))
		memset(parts, 0, sizeof(*parts));
	*milliseconds = rest;
}

char *clock_format_rfc3339(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
	struct tm parts;
	int milliseconds;
	char date[32];

	split(wall_ms, &parts, &milliseconds);
	if (!strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts))
		date[0] = '\0';
	(void)snprintf(text, CLOCK_TEXT_SIZE, "%.31s.%03dZ", date,
	               milliseconds);
	return text;
}

char *clock_format_rfc5322(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed",
	                                "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr",
	                                   "May", "Jun", "Jul", "Aug",
	                                   "Sep", "Oct", "Nov", "Dec"};
	char day[4], rest[24];
	struct tm parts;
	int milliseconds;

	split(wall_ms, &parts, &milliseconds);
	if (!strftime(day, sizeof(day), "%d", &parts) ||
	    !strftime(rest, sizeof(rest), "%Y %H:%M:%S +0000", &parts))
		day[0] = rest[0] = '\0';
	(void)snprintf(text, CLOCK_TEXT_SIZE, "%s, %s %s %s",
	               days[parts.tm_wday % 7], day, months[parts.tm_mon % 12],
	               rest);
	return text;
}

static int two_digits(const char *text)
{
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/*
 * Reads the digits of text where form has a 0; the other characters must be
 * the same in both. Returns the text after it; NULL when it differs.
 */
static const char *match_form(const char *text, const char *form)
{
	for (; *form; form++, text++) {
		bool fits = *form == '0' ? *text >= '0' && *text <= '9'
		                         : *text == *form;

		if (!fits)
			return NULL;
	}
	return text;
}

/* Reads "Z", "+hh:mm" or "-hh:mm" to the end; minutes east of UTC. */
static int parse_offset(const char *text, int *minutes)
{
	const char *end;
	int hour, minute;

	if ((text[0] == 'Z' || text[0] == 'z') && !text[1]) {
		*minutes = 0;
		return 0;
	}
	if (text[0] != '+' && text[0] != '-')
		return ERR_INVALID;
	end = match_form(text + 1, "00:00");
	if (!end || *end)
		return ERR_INVALID;
	hour = two_digits(text + 1);
	minute = two_digits(text + 4);
	if (hour > 23 || minute > 59)
		return ERR_INVALID;
	*minutes = (text[0] == '-' ? -1 : 1) * (hour * 60 + minute);
	return 0;
}

/* Reads ".123456" to milliseconds and steps over it. */
static int parse_fraction(const char **text, int *milliseconds)
{
	int weight = 100;

	*milliseconds = 0;
	if (**text != '.')
		return 0;
	if ((*text)[1] < '0' || (*text)[1] > '9')
		return ERR_INVALID;
	for ((*text)++; **text >= '0' && **text <= '9'; (*text)++) {
		*milliseconds += (**text - '0') * weight;
		weight /= 10;
	}
	return 0;
}

/* Reads "2026-11-21T08:00:00"; returns the text after it, or NULL. */
static const char *parse_seconds(const char *text, time_t *seconds)
{
	struct tm parts = {0}, check;
	const char *rest = match_form(text, "0000-00-00");

	if (!rest || !strchr("Tt ", *rest) || !*rest)
		return NULL;
	rest = match_form(rest + 1, "00:00:00");
	if (!rest)
		return NULL;
	parts.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900;
	parts.tm_mon = two_digits(text + 5) - 1;
	parts.tm_mday = two_digits(text + 8);
	parts.tm_hour = two_digits(text + 11);
	parts.tm_min = two_digits(text + 14);
	parts.tm_sec = two_digits(text + 17);
	/* 60 is a leap second (RFC 3339 section 5.7). */
	if (parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60)
		return NULL;
	check = parts;
	check.tm_hour = 0;
	check.tm_min = 0;
	check.tm_sec = 0;
	/* It turns 31 April into 1 May. */
	*seconds = timegm(&check) + parts.tm_hour * 3600 + parts.tm_min * 60 +
	           parts.tm_sec;
	if (check.tm_mday != parts.tm_mday || check.tm_mon != parts.tm_mon)
		return NULL;
	return rest;
}

int clock_parse_rfc3339(const char *text, int64_t *wall_ms)
{
	int milliseconds, offset;
	time_t seconds;
	const char *rest = parse_seconds(text, &seconds);

	if (!rest || parse_fraction(&rest, &milliseconds) ||
	    parse_offset(rest, &offset))
		return ERR_INVALID;
	*wall_ms =
	    ((int64_t)seconds - (int64_t)offset * 60) * 1000 + milliseconds;
	return 0;
}
