/* Which language a person is answered in, and how a date reads in it. */
#include "cloud-service/text/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>

#include "common/error.h"
#include "common/zone.h"

/* As many ranges of an Accept-Language field as are looked at. */
#define RANGES_MAXIMUM 32

static const char *const codes[TEXT_LANGUAGE_COUNT] = {"en", "fr"};

const char *text_language_code(enum text_language language)
{
	return codes[language];
}

/* The language of the length bytes at code, or -1. */
static int language_of(const char *code, size_t length)
{
	if (length < 2 || (length > 2 && code[2] != '-'))
		return -1;
	for (int i = 0; i < TEXT_LANGUAGE_COUNT; i++)
		if (strncasecmp(code, codes[i], 2) == 0)
			return i;
	return -1;
}

enum text_language text_language_parse(const char *code,
                                       enum text_language standard)
{
	int language = code ? language_of(code, strnlen(code, 16)) : -1;
	return language < 0 ? standard : (enum text_language)language;
}

/* The weight behind a range, "1" to "0.001"; 0 for one that is broken. */
static int weight_of(const char *range, size_t length)
{
	const char *q = memchr(range, ';', length);
	if (!q)
		return 1000;
	const char *end = range + length;
	for (q++; q < end && (*q == ' ' || *q == '\t'); q++)
		;
	if (end - q < 3 || (*q != 'q' && *q != 'Q') || q[1] != '=')
		return 0;
	q += 2;
	int weight = *q == '1' ? 1000 : 0;
	if (weight || q + 1 >= end || q[1] != '.')
		return weight;
	int unit = 100;
	for (q += 2; q < end && *q >= '0' && *q <= '9'; q++, unit /= 10)
		weight += unit * (*q - '0');
	return weight;
}

static enum text_language best_accepted(const char *accept,
                                        enum text_language standard)
{
	enum text_language best = standard;
	int best_weight = 0;
	for (int i = 0; *accept && i < RANGES_MAXIMUM; i++) {
		accept += strspn(accept, ", \t");
		size_t length = strcspn(accept, ",");
		size_t code = strcspn(accept, ",; \t");
		int language = language_of(accept, code);
		int weight = weight_of(accept, length);
		if (language >= 0 && weight > best_weight) {
			best = (enum text_language)language;
			best_weight = weight;
		}
		accept += length;
	}
	return best;
}

enum text_language text_language_choose(const char *asked, const char *accept,
                                        enum text_language standard)
{
	if (accept)
		standard = best_accepted(accept, standard);
	return text_language_parse(asked, standard);
}

static const char *const days[TEXT_LANGUAGE_COUNT][7] = {
    {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
     "Saturday"},
    {"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
};

static const char *const months[TEXT_LANGUAGE_COUNT][12] = {
    {"January", "February", "March", "April", "May", "June", "July", "August",
     "September", "October", "November", "December"},
    {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août",
     "septembre", "octobre", "novembre", "décembre"},
};

/* Moves *seconds to the zone's clock; false where that is not known. */
static bool to_local(const char *name, int64_t *seconds)
{
	struct zone *zone = NULL;
	if (!name || !*name || zone_read(&zone, ZONE_DIRECTORY, name, NULL))
		return false;
	*seconds += zone_offset(zone, *seconds);
	zone_free(zone);
	return true;
}

char *text_date(enum text_language language, int64_t wall_ms, const char *zone,
                char text[TEXT_DATE_SIZE])
{
	int64_t local = wall_ms / 1000;
	char where[ZONE_NAME_SIZE + 2] = "UTC";
	struct tm tm;
	if (to_local(zone, &local))
		snprintf(where, sizeof(where), "(%.*s)", ZONE_NAME_SIZE - 1,
		         zone);
	time_t seconds = (time_t)local;
	if (!gmtime_r(&seconds, &tm) || tm.tm_year > 8099) {
		text[0] = '\0';
		return text;
	}
	const char *day = days[language][tm.tm_wday];
	const char *month = months[language][tm.tm_mon];
	int year = tm.tm_year + 1900;
	if (language == TEXT_FR)
		snprintf(text, TEXT_DATE_SIZE, "%s %d%s %s %d à %02d:%02d %s",
		         day, tm.tm_mday, tm.tm_mday == 1 ? "er" : "", month,
		         year, tm.tm_hour, tm.tm_min, where);
	else
		snprintf(text, TEXT_DATE_SIZE, "%s %d %s %d, %02d:%02d %s", day,
		         tm.tm_mday, month, year, tm.tm_hour, tm.tm_min, where);
	return text;
}
