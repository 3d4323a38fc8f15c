/* The parser of the message after DATA; in common mail, memchr() does it. */
#include "common/smtp/data.h"

#include <string.h>

#define SEARCH_WINDOW 4096

void smtp_data_init(struct smtp_data *data, int64_t maximum,
                    void (*body)(void *context, const char *bytes, size_t size),
                    void *context)
{
	*data = (struct smtp_data){
	    .maximum = maximum, .body = body, .context = context};
}

static void blame(struct smtp_data *data, enum smtp_data_fault fault)
{
	if (data->fault == SMTP_DATA_FINE)
		data->fault = fault;
}

bool smtp_data_is_passed_on(const struct smtp_data *data)
{
	return data->fault == SMTP_DATA_FINE ||
	       (data->lenient && data->fault != SMTP_DATA_TOO_LARGE);
}

/* Hands a piece of the message over. */
static void emit(struct smtp_data *data, const char *from, const char *to)
{
	if (from == to)
		return;
	data->size += to - from;
	if (data->maximum && data->size > data->maximum &&
	    smtp_data_is_passed_on(data))
		data->fault = SMTP_DATA_TOO_LARGE;
	if (smtp_data_is_passed_on(data))
		data->body(data->context, from, (size_t)(to - from));
}

/*
 * Takes one byte that may belong to the end or to a dot-stuffed line. Returns
 * whether it was taken as such; otherwise it is text and the place is TEXT.
 */
static bool take_at_line_start(struct smtp_data *data, char byte)
{
	switch (data->place) {
	case SMTP_DATA_LINE_START:
		if (byte != '.')
			break;
		data->place = SMTP_DATA_DOT;
		return true;
	case SMTP_DATA_DOT:
		if (byte != '\r')
			break;
		data->place = SMTP_DATA_DOT_CR;
		return true;
	case SMTP_DATA_DOT_CR:
		if (byte == '\n') {
			data->place = SMTP_DATA_ENDED;
			data->ambiguous_end = data->after_cr_cr;
			return true;
		}
		blame(data, SMTP_DATA_BARE_CR);
		if (byte != '\r')
			break;
		data->after_cr_cr = true;
		data->place = SMTP_DATA_CR;
		return true;
	default:
		return false;
	}
	data->place = SMTP_DATA_TEXT;
	return false;
}

/* Takes the byte behind a CR: LF ends the line, all else is a fault. */
static void take_after_cr(struct smtp_data *data, char byte)
{
	if (byte == '\n') {
		data->place = SMTP_DATA_LINE_START;
		data->line_length = 0;
		return;
	}
	blame(data, SMTP_DATA_BARE_CR);
	data->after_cr_cr = byte == '\r';
	data->place = byte == '\r' ? SMTP_DATA_CR : SMTP_DATA_TEXT;
}

/* Counts a line's bytes. */
static void lengthen(struct smtp_data *data, size_t size)
{
	data->line_length += size;
	if (data->line_length > SMTP_DATA_LINE_MAXIMUM)
		blame(data, SMTP_DATA_LINE_TOO_LONG);
}

/*
 * Takes text up to the end of the line, or up to a CR that is none. Returns
 * where it stopped. The window keeps lines of CR or LF alone from making
 * every search run over all of the input.
 */
static const char *take_text(struct smtp_data *data, const char *at,
                             const char *end)
{
	size_t window = (size_t)(end - at) < SEARCH_WINDOW ? (size_t)(end - at)
	                                                   : SEARCH_WINDOW;
	const char *lf = memchr(at, '\n', window);
	const char *stop = lf ? lf : at + window;
	const char *cr = memchr(at, '\r', (size_t)(stop - at));

	data->after_cr_cr = false;
	if (cr) {
		lengthen(data, (size_t)(cr - at));
		data->place = SMTP_DATA_CR;
		return cr + 1;
	}
	lengthen(data, (size_t)(stop - at));
	if (!lf)
		return stop;
	blame(data, SMTP_DATA_BARE_LF);
	return lf + 1;
}

size_t smtp_data_feed(struct smtp_data *data, const char *bytes, size_t size)
{
	const char *at = bytes, *end = bytes + size, *piece = bytes;

	while (at < end && data->place != SMTP_DATA_ENDED) {
		if (data->place == SMTP_DATA_CR) {
			take_after_cr(data, *at++);
		} else if (data->place == SMTP_DATA_TEXT) {
			at = take_text(data, at, end);
		} else if (take_at_line_start(data, *at)) {
			emit(data, piece, at);
			piece = ++at;
		}
	}
	emit(data, piece, at);
	return (size_t)(at - bytes);
}
