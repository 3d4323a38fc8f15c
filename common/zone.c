/* Reads TZif files of version 2 and later (RFC 9636), bounded. */
#include "common/zone.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"
#include "common/buffer.h"
#include "common/fs.h"
#include "common/mem.h"

#define FILE_MAXIMUM (256 * 1024)
#define HEADER_SIZE  44
#define FOOTER_SIZE  256

#define DAY_SECONDS 86400

/* RFC 9636 section 3.2: between -25 and 26 hours. */
#define OFFSET_MINIMUM (-89999)
#define OFFSET_MAXIMUM 93599

/* When a clock is changed: a day of the year, and seconds of that day. */
struct change {
	/* "M3.5.0": week 1 to 5 (the last) and weekday of a month; "J60": a
	 * day without 29 February, from 1; "59": a day, from 0. */
	char form;
	int month, week, day;
	int32_t seconds;
};

/* The footer: "CET-1CEST,M3.5.0,M10.5.0/3". */
struct rule {
	bool stated;
	bool summer; /* has a summer time, from begin to end */
	int32_t offset, summer_offset;
	struct change begin, end;
};

struct zone {
	struct buffer file;
	const uint8_t *times; /* 8 bytes each */
	const uint8_t *types; /* 1 byte each */
	const uint8_t *infos; /* 6 bytes each: offset, summer, name */
	size_t time_count, info_count;
	struct rule rule;
};

/* --- the footer -------------------------------------------------------------
 */

/* What is left of the footer; every reader moves at past what it read. */
static bool read_number(const char **at, int minimum, int maximum, int *number)
{
	size_t digits = strspn(*at, "0123456789");

	if (digits == 0 || digits > 4)
		return false;
	*number = (int)strtol(*at, NULL, 10);
	*at += digits;
	return *number >= minimum && *number <= maximum;
}

/* "CET", or "<+0330>". */
static bool skip_name(const char **at)
{
	size_t length =
	    **at == '<' ? strcspn(*at, ">") + 1 : strcspn(*at, "0123456789+-,");

	if (length < 3 || length > strlen(*at))
		return false;
	*at += length;
	return true;
}

/* [+-]hh[:mm[:ss]] */
static bool read_seconds(const char **at, int hours_maximum, int32_t *seconds)
{
	int parts[3] = {0}, sign = **at == '-' ? -1 : 1;

	if (**at == '-' || **at == '+')
		(*at)++;
	if (!read_number(at, 0, hours_maximum, &parts[0]))
		return false;
	for (int i = 1; i < 3 && **at == ':'; i++) {
		(*at)++;
		if (!read_number(at, 0, 59, &parts[i]))
			return false;
	}
	*seconds = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
	return true;
}

static bool skip_sign(const char **at, char sign)
{
	if (**at != sign)
		return false;
	(*at)++;
	return true;
}

static bool read_change(const char **at, struct change *change)
{
	bool good;

	if (!skip_sign(at, ','))
		return false;
	*change = (struct change){.form = **at, .seconds = 7200};
	if (change->form == 'M') {
		(*at)++;
		good = read_number(at, 1, 12, &change->month) &&
		       skip_sign(at, '.') &&
		       read_number(at, 1, 5, &change->week) &&
		       skip_sign(at, '.') &&
		       read_number(at, 0, 6, &change->day);
	} else if (change->form == 'J') {
		(*at)++;
		good = read_number(at, 1, 365, &change->day);
	} else {
		good = read_number(at, 0, 365, &change->day);
	}
	if (good && **at == '/') {
		(*at)++;
		good = read_seconds(at, 167, &change->seconds);
	}
	return good;
}

/* POSIX.1-2024 section 8.3, with the hours of RFC 9636 section 3.3.1; the
 * signs of its offsets are the other way round. */
static bool read_rule(const char *text, struct rule *rule)
{
	int32_t behind;

	*rule = (struct rule){.stated = *text != '\0'};
	if (!rule->stated)
		return true;
	if (!skip_name(&text) || !read_seconds(&text, 24, &behind))
		return false;
	rule->offset = -behind;
	if (!*text)
		return true;
	rule->summer = true;
	rule->summer_offset = rule->offset + 3600;
	if (!skip_name(&text))
		return false;
	if (*text != ',') {
		if (!read_seconds(&text, 24, &behind))
			return false;
		rule->summer_offset = -behind;
	}
	return read_change(&text, &rule->begin) &&
	       read_change(&text, &rule->end) && !*text;
}

/* --- days --------------------------------------------------------------------
 */

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to the first day of a year. */
static int64_t days_to_year(int64_t year)
{
	int64_t before = year - 1;

	return 365 * (year - 1970) + (before / 4 - 1969 / 4) -
	       (before / 100 - 1969 / 100) + (before / 400 - 1969 / 400);
}

static int64_t year_of(int64_t day)
{
	int64_t year = 1970 + day / 366;

	while (days_to_year(year + 1) <= day)
		year++;
	return year;
}

/* The day of the year, from 0, on which the clock is changed. */
static int64_t day_of_change(const struct change *change, int64_t year)
{
	static const int begins[] = {0,   31,  59,  90,  120, 151, 181,
	                             212, 243, 273, 304, 334, 365};
	int64_t first, day;
	int leap = is_leap(year), days;

	if (change->form == 'J')
		return change->day - 1 + (leap && change->day >= 60);
	if (change->form != 'M')
		return change->day;
	first = begins[change->month - 1] + (change->month > 2 && leap);
	days = begins[change->month] - begins[change->month - 1] +
	       (change->month == 2 && leap);
	/* 1970-01-01 was a Thursday. */
	day = (change->day - (days_to_year(year) + first + 4)) % 7;
	day = (day < 0 ? day + 7 : day) + 7 * (change->week - 1);
	return first + (day < days ? day : day - 7);
}

static int64_t time_of_change(const struct change *change, int64_t year,
                              int32_t offset)
{
	return (days_to_year(year) + day_of_change(change, year)) *
	           DAY_SECONDS +
	       change->seconds - offset;
}

static int32_t offset_by_rule(const struct rule *rule, int64_t seconds)
{
	int64_t year, begin, end;
	bool summer;

	if (!rule->summer || seconds < 0)
		return rule->offset;
	year = year_of((seconds + rule->offset) / DAY_SECONDS);
	begin = time_of_change(&rule->begin, year, rule->offset);
	end = time_of_change(&rule->end, year, rule->summer_offset);
	/* South of the equator the summer spans the turn of the year. */
	summer = begin < end ? seconds >= begin && seconds < end
	                     : seconds >= begin || seconds < end;
	return summer ? rule->summer_offset : rule->offset;
}

/* --- the file
 * ------------------------------------------------------------------ */

static uint32_t read_32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	       (uint32_t)at[2] << 8 | at[3];
}

static int64_t read_64(const uint8_t *at)
{
	return (int64_t)((uint64_t)read_32(at) << 32 | read_32(at + 4));
}

/* The counts of a header, in the order in which they stand there. */
enum { IS_UT, IS_STANDARD, LEAPS, TIMES, INFOS, LETTERS, COUNTS };

/* Reads a header; the size of the data behind it, 0 when it is none. */
static size_t read_header(const uint8_t *at, size_t left, size_t time_size,
                          uint32_t counts[COUNTS])
{
	if (left < HEADER_SIZE || memcmp(at, "TZif", 4) != 0 || at[4] < '2')
		return 0;
	for (int i = 0; i < COUNTS; i++) {
		counts[i] = read_32(at + 20 + 4 * i);
		if (counts[i] > FILE_MAXIMUM)
			return 0;
	}
	return counts[TIMES] * (time_size + 1) + counts[INFOS] * 6 +
	       counts[LETTERS] + counts[LEAPS] * (time_size + 4) +
	       counts[IS_STANDARD] + counts[IS_UT];
}

/* Every type is one that is there, and every offset is one of this world. */
static bool is_sound(const struct zone *zone)
{
	for (size_t i = 0; i < zone->time_count; i++)
		if (zone->types[i] >= zone->info_count)
			return false;
	for (size_t i = 0; i < zone->info_count; i++) {
		int32_t offset = (int32_t)read_32(zone->infos + 6 * i);

		if (offset < OFFSET_MINIMUM || offset > OFFSET_MAXIMUM)
			return false;
	}
	return zone->info_count > 0;
}

static bool parse(struct zone *zone)
{
	const uint8_t *at = (const uint8_t *)zone->file.data;
	size_t left = zone->file.length, size;
	char footer[FOOTER_SIZE] = "";
	uint32_t counts[COUNTS];

	/* The data of 32 bits is for older readers. */
	size = read_header(at, left, 4, counts);
	if (!size || left - HEADER_SIZE < size)
		return false;
	at += HEADER_SIZE + size;
	left -= HEADER_SIZE + size;
	size = read_header(at, left, 8, counts);
	if (!size || left - HEADER_SIZE < size)
		return false;
	zone->times = at + HEADER_SIZE;
	zone->time_count = counts[TIMES];
	zone->types = zone->times + 8 * zone->time_count;
	zone->infos = zone->types + zone->time_count;
	zone->info_count = counts[INFOS];
	at += HEADER_SIZE + size;
	left -= HEADER_SIZE + size;
	if (left > 1 && *at == '\n' && left < sizeof(footer) &&
	    at[left - 1] == '\n' && !memchr(at, '\0', left))
		memcpy(footer, at + 1, left - 2);
	return is_sound(zone) && read_rule(footer, &zone->rule);
}

/* No step upwards, nothing hidden: as the names of the IANA are. */
static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
	                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "0123456789_+-/";
	size_t length = strnlen(name, ZONE_NAME_SIZE);

	return length > 0 && length < ZONE_NAME_SIZE && *name != '/' &&
	       strspn(name, allowed) == length;
}

int zone_read(struct zone **zone, const char *directory, const char *name,
              struct error *err)
{
	struct zone *made;
	char *path;
	int result;

	if (!is_name(name))
		return error_set(err, ERR_INVALID,
		                 "\"%.64s\" is no name of a time zone", name);
	made = mem_alloc(sizeof(*made));
	*made = (struct zone){.time_count = 0};
	buffer_init(&made->file, FILE_MAXIMUM);
	path = mem_format("%s/%s", directory, name);
	result = fs_read_file(path, &made->file, err);
	if (result == ERR_NOT_FOUND)
		error_set(err, result, "no time zone \"%s\"", name);
	else if (!result && !parse(made))
		result = error_set(err, ERR_INVALID,
		                   "%s: not the file of a time zone", path);
	free(path);
	if (result)
		zone_free(made);
	else
		*zone = made;
	return result;
}

void zone_free(struct zone *zone)
{
	if (!zone)
		return;
	buffer_release(&zone->file);
	free(zone);
}

int32_t zone_offset(const struct zone *zone, int64_t seconds)
{
	size_t low = 0, high = zone->time_count;

	/* The number of changes that were not later than this time. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (read_64(zone->times + 8 * middle) <= seconds)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == zone->time_count && zone->rule.stated)
		return offset_by_rule(&zone->rule, seconds);
	return (int32_t)read_32(zone->infos +
	                        6 * (low ? zone->types[low - 1] : 0));
}
