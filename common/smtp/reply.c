/* Replies of SMTP: filled in, printed and parsed. */
#include "common/smtp/reply.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "common/mem.h"

/* RFC 5321 section 4.5.3.1.5: 512 bytes a line, with code and CRLF. */
#define PRINTED_TEXT_MAXIMUM 490
#define PARSED_LINE_MAXIMUM  1000
#define PARSED_LINES_MAXIMUM 128

static bool is_control(char byte)
{
	return (unsigned char)byte < 0x20 || byte == 0x7f;
}

void smtp_reply_set(struct smtp_reply *reply, int code, const char *enhanced,
                    const char *format, ...)
{
	va_list arguments;

	reply->code = code;
	(void)snprintf(reply->enhanced, sizeof(reply->enhanced), "%s",
	               enhanced);
	va_start(arguments, format);
	(void)vsnprintf(reply->text, sizeof(reply->text), format, arguments);
	va_end(arguments);
	for (char *at = reply->text; *at; at++)
		if (is_control(*at) && *at != '\n')
			*at = '?';
}

/* Appends one line of a reply; last tells whether it ends the reply. */
static int print_line(const struct smtp_reply *reply, const char *text,
                      size_t size, bool last, struct buffer *out)
{
	char line[sizeof(reply->enhanced) + PRINTED_TEXT_MAXIMUM + 16];
	int used =
	    snprintf(line, sizeof(line), "%03d%c%s%s",
	             reply->code > 0 && reply->code < 1000 ? reply->code : 451,
	             last ? ' ' : '-', reply->enhanced,
	             reply->enhanced[0] && size ? " " : "");
	size_t length = (size_t)used;

	for (size_t i = 0; i < size; i++)
		line[length++] = is_control(text[i]) ? '?' : text[i];
	line[length++] = '\r';
	line[length++] = '\n';
	return buffer_append(out, line, length);
}

int smtp_reply_print(const struct smtp_reply *reply, struct buffer *out)
{
	const char *at = reply->text;

	for (;;) {
		size_t size = strcspn(at, "\n");
		bool last = !at[size];
		const char *next = at + size + 1;
		int result;

		if (size > PRINTED_TEXT_MAXIMUM) {
			size = PRINTED_TEXT_MAXIMUM;
			last = false;
			next = at + size;
		}
		result = print_line(reply, at, size, last, out);
		if (result || last)
			return result;
		at = next;
	}
}

char *smtp_reply_line(const struct smtp_reply *reply)
{
	char *line, *end;

	if (reply->code == 0)
		return mem_copy_string(reply->text);
	line = mem_format("%d %s%s%s", reply->code, reply->enhanced,
	                  *reply->enhanced ? " " : "", reply->text);
	for (end = line; (end = strchr(end, '\n'));)
		*end = ' ';
	return line;
}

size_t smtp_enhanced_length(const char *text)
{
	size_t length = 1;

	if (text[0] != '2' && text[0] != '4' && text[0] != '5')
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits;

		if (text[length] != '.')
			return 0;
		length++;
		digits = strspn(text + length, "0123456789");
		if (digits < 1 || digits > 3)
			return 0;
		length += digits;
	}
	return length;
}

/* The length of an enhanced code of the reply's class at text, or 0. */
static size_t enhanced_length(const char *text, int code)
{
	size_t length = smtp_enhanced_length(text);

	if (length == 0 || text[0] - '0' != code / 100)
		return 0;
	return text[length] == ' ' || !text[length] ? length : 0;
}

/* Adds a line's text to the reply, as far as there is room. */
static void add_text(struct smtp_reply *reply, const char *text, bool first)
{
	size_t used = strlen(reply->text);
	size_t enhanced = enhanced_length(text, reply->code);

	if (enhanced && first)
		(void)snprintf(reply->enhanced, sizeof(reply->enhanced), "%.*s",
		               (int)enhanced, text);
	if (enhanced && !strncmp(reply->enhanced, text, enhanced) &&
	    !reply->enhanced[enhanced]) {
		text += enhanced;
		text += *text == ' ';
	}
	if (!first && used < sizeof(reply->text) - 1)
		reply->text[used++] = '\n';
	for (; *text && used < sizeof(reply->text) - 1; text++)
		reply->text[used++] = is_control(*text) ? '?' : *text;
	reply->text[used] = '\0';
}

/* Takes the line in the parser. 0, with *whole set; or ERR_PROTOCOL. */
static int take_line(struct smtp_reply_parser *parser, int *whole)
{
	char *line = parser->line;
	size_t length = parser->line_length;
	int code;

	parser->line_length = 0;
	if (length && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	if (length < 3 || line[0] < '2' || line[0] > '5' ||
	    !isdigit((unsigned char)line[1]) ||
	    !isdigit((unsigned char)line[2]) || memchr(line, '\0', length))
		return ERR_PROTOCOL;
	if (line[3] && line[3] != ' ' && line[3] != '-')
		return ERR_PROTOCOL;
	code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
	if (parser->lines && code != parser->reply.code)
		return ERR_PROTOCOL;
	if (++parser->lines > PARSED_LINES_MAXIMUM)
		return ERR_PROTOCOL;
	parser->reply.code = code;
	*whole = line[3] != '-';
	line += line[3] ? 4 : 3;
	if (parser->line_seen)
		parser->line_seen(parser->line_context, parser->lines, line);
	add_text(&parser->reply, line, parser->lines == 1);
	return 0;
}

int smtp_reply_parse(struct smtp_reply_parser *parser, const char *bytes,
                     size_t size, int *whole)
{
	size_t taken = 0;

	*whole = 0;
	while (taken < size && !*whole) {
		const char *end = memchr(bytes + taken, '\n', size - taken);
		size_t piece =
		    end ? (size_t)(end - bytes) - taken : size - taken;
		int result;

		if (piece > PARSED_LINE_MAXIMUM - parser->line_length)
			return ERR_PROTOCOL;
		memcpy(parser->line + parser->line_length, bytes + taken,
		       piece);
		parser->line_length += piece;
		taken += piece;
		if (!end)
			break;
		taken++;
		result = take_line(parser, whole);
		if (result)
			return result;
	}
	return (int)taken;
}

void smtp_reply_parser_reset(struct smtp_reply_parser *parser)
{
	parser->reply.code = 0;
	parser->reply.enhanced[0] = '\0';
	parser->reply.text[0] = '\0';
	parser->line_length = 0;
	parser->lines = 0;
}
