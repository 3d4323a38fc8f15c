/* Clocks and the texts of times. */
#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/error.h"

static int64_t read_clock(clockid_t which)
{
	struct timespec now;

	(void)clock_gettime(which, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
	return read_clock(CLOCK_MONOTONIC);
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
	struct tm parts;
	int milliseconds;

	split(wall_ms, &parts, &milliseconds);
	(void)snprintf(text, CLOCK_TEXT_SIZE,
		       "%s, %02d %s %04d %02d:%02d:%02d +0000",
		       days[parts.tm_wday % 7], parts.tm_mday,
		       months[parts.tm_mon % 12], parts.tm_year + 1900,
		       parts.tm_hour, parts.tm_min, parts.tm_sec);
	return text;
}

/* Reads "Z", "+hh:mm" or "-hh:mm" to the end; minutes east of UTC. */
static int parse_offset(const char *text, int *minutes)
{
	char sign;
	int hour, minute, used = 0;

	if ((text[0] == 'Z' || text[0] == 'z') && !text[1]) {
		*minutes = 0;
		return 0;
	}
	if (sscanf(text, "%c%2d:%2d%n", &sign, &hour, &minute, &used) != 3 ||
	    used != 6 || text[6] || (sign != '+' && sign != '-') ||
	    hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return ERR_INVALID;
	*minutes = (sign == '-' ? -1 : 1) * (hour * 60 + minute);
	return 0;
}

/* Reads ".123456" to milliseconds and steps over it. */
static int parse_fraction(const char **text)
{
	int milliseconds = 0, weight = 100;

	if (**text != '.')
		return 0;
	for ((*text)++; **text >= '0' && **text <= '9'; (*text)++) {
		milliseconds += (**text - '0') * weight;
		weight /= 10;
	}
	return milliseconds;
}

int clock_parse_rfc3339(const char *text, int64_t *wall_ms)
{
	struct tm parts = {0}, check;
	int used = 0, milliseconds, offset;
	const char *rest;
	time_t seconds;

	if (sscanf(text, "%4d-%2d-%2d%*[Tt ]%2d:%2d:%2d%n", &parts.tm_year,
		   &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
		   &parts.tm_min, &parts.tm_sec, &used) != 6 ||
	    used != 19)
		return ERR_INVALID;
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	rest = text + used;
	milliseconds = parse_fraction(&rest);
	if (parse_offset(rest, &offset))
		return ERR_INVALID;
	check = parts;
	seconds = timegm(&check);
	if (check.tm_mday != parts.tm_mday || check.tm_mon != parts.tm_mon ||
	    parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60)
		return ERR_INVALID;
	*wall_ms = ((int64_t)seconds - (int64_t)offset * 60) * 1000 +
		   milliseconds;
	return 0;
}
