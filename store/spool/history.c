/* The lines of a recipient's history, and what goes when they are too many. */
#include "store/spool/history.h"

#include <limits.h>

#include "common/clock.h"

#define LINE_MAXIMUM 1024 /* so that two of them always find room */
#define COUNT_ROOM   24   /* of it, for " (4294967295 times)\n" */
#define GAP          "...\n"

/* Some bytes of a history: whole lines. */
struct lines {
	const char *bytes;
	size_t length;
};

/* The first line with its end; all there is where it has none. */
static size_t first_line(struct lines lines)
{
	const char *end = memchr(lines.bytes, '\n', lines.length);

	return end ? (size_t)(end - lines.bytes) + 1 : lines.length;
}

static void drop_first(struct lines *lines, size_t length)
{
	lines->bytes += length;
	lines->length -= length;
}

/* Takes away the bytes of a character of UTF-8 that was cut. */
static void trim_character(char *text, size_t length)
{
	size_t start = length;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
		text[start - 1] = '\0';
}

/* Without its end, for the count to follow. */
static void format_line(const struct spool_history_step *left,
                        char line[LINE_MAXIMUM])
{
	const size_t size = LINE_MAXIMUM - COUNT_ROOM;
	char when[CLOCK_TEXT_SIZE];
	int wanted =
	    snprintf(line, size, "%s %s %s: %s",
	             clock_format_rfc3339(left->changed_ms, when),
	             spool_state_name(left->state), left->by, left->why);

	if (wanted >= (int)size)
		trim_character(line, size - 1);
	for (char *byte = line; *byte; byte++)
		if ((unsigned char)*byte < ' ' || *byte == 0x7f)
			*byte = ' ';
}

static struct lines last_line(struct lines lines)
{
	struct lines last = lines;

	while (lines.length > 0) {
		last = lines;
		drop_first(&lines, first_line(lines));
	}
	return last;
}

/*
 * How often the last line says the same as this one, whose time alone may
 * differ; 0 when it says something else.
 */
static unsigned times_same(struct lines last, const char *line)
{
	const char *old = memchr(last.bytes, ' ', last.length);
	const char *what = strchr(line, ' ');
	size_t length = what ? strlen(what) : 0;
	unsigned long times;
	char *end;

	if (!old || !length || strncmp(old, what, length) != 0)
		return 0;
	old += length;
	if (*old == '\n')
		return 1;
	if (strncmp(old, " (", 2) != 0)
		return 0;
	times = strtoul(old + 2, &end, 10);
	return strncmp(end, " times)\n", 8) == 0 && times < UINT_MAX
	           ? (unsigned)times
	           : 0;
}

/* Ends the line. Tries follow each other for days, so they are counted. */
static void end_line(enum spool_state state, struct lines *history,
                     char line[LINE_MAXIMUM])
{
	struct lines last = last_line(*history);
	size_t time_length = strcspn(line, " ");
	size_t length = strlen(line);
	unsigned times = 0;

	if (state == SPOOL_DEFERRED && last.length > time_length)
		times = times_same(last, line);
	if (!times) {
		(void)snprintf(line + length, COUNT_ROOM, "\n");
		return;
	}
	/* The time stays that of the first. */
	memcpy(line, last.bytes, time_length);
	(void)snprintf(line + length, COUNT_ROOM, " (%u times)\n", times + 1);
	history->length -= last.length;
}

static char *put(char *out, struct lines lines)
{
	memcpy(out, lines.bytes, lines.length);
	out[lines.length] = '\0';
	return out + lines.length;
}

/* Keeps how it came in and what was last; the middle gives way. */
static char *put_bounded(char *out, struct lines history, size_t line_length)
{
	const struct lines gap = {GAP, strlen(GAP)};
	struct lines first = {history.bytes, first_line(history)};
	size_t room;

	drop_first(&history, first.length);
	if (first.length > LINE_MAXIMUM) /* damaged: none of ours */
		first.length = 0;
	if (!strncmp(history.bytes, GAP, gap.length))
		drop_first(&history, gap.length);
	room = SPOOL_HISTORY_MAXIMUM - first.length - gap.length - line_length;
	while (history.length > room)
		drop_first(&history, first_line(history));
	return put(put(put(out, first), gap), history);
}

/* The whole history of what is kept: completes the last line. */
static void complete(const char *kept, const char *by, const char *why,
                     char history[SPOOL_HISTORY_SIZE])
{
	size_t length = strlen(kept);
	bool whole = !length || kept[length - 1] == '\n';

	if (whole)
		(void)snprintf(history, SPOOL_HISTORY_SIZE, "%s", kept);
	else
		(void)snprintf(history, SPOOL_HISTORY_SIZE, "%s %s: %s\n", kept,
		               by, why);
}

/* What is kept of the whole history. */
static void shorten(char *history, const char *by, const char *why)
{
	size_t length = strlen(history);
	size_t by_length = strlen(by), why_length = strlen(why);
	size_t end_length = by_length + why_length + strlen(" : \n");
	char *end;

	/* The time and the state stay. */
	if (end_length + CLOCK_TEXT_SIZE / 2 > length)
		return;
	end = history + length - end_length;
	if (end[-1] != '\n' && end[0] == ' ' &&
	    !memcmp(end + 1, by, by_length) &&
	    !memcmp(end + 1 + by_length, ": ", 2) &&
	    !memcmp(end + 3 + by_length, why, why_length) &&
	    !memchr(end, '\n', end_length - 1))
		*end = '\0';
}

void spool_history_append(const struct spool_history_step *left, const char *by,
                          const char *why, char kept[SPOOL_HISTORY_SIZE])
{
	char history[SPOOL_HISTORY_SIZE], line[LINE_MAXIMUM];
	struct lines old = {.bytes = history};
	char *out = kept;
	size_t length;

	complete(left->history, left->by, left->why, history);
	old.length = strlen(history);
	format_line(left, line);
	end_line(left->state, &old, line);
	length = strlen(line);
	if (old.length + length <= SPOOL_HISTORY_MAXIMUM)
		out = put(out, old);
	else
		out = put_bounded(out, old, length);
	(void)put(out, (struct lines){line, length});
	shorten(kept, by, why);
}

void spool_history_keep(const char *history, const char *by, const char *why,
                        char kept[SPOOL_HISTORY_SIZE])
{
	(void)snprintf(kept, SPOOL_HISTORY_SIZE, "%s", history);
	shorten(kept, by, why);
}

int spool_history_read(const char *kept, const char *by, const char *why,
                       char **history)
{
	char whole[SPOOL_HISTORY_SIZE];
	char *copy;

	complete(kept, by, why, whole);
	copy = strdup(whole);
	if (!copy)
		return ERR_MEMORY;
	*history = copy;
	return 0;
}
