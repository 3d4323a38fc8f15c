/* Skipping comments, reading words and quoted strings. */
#include "common/mail/lexical.h"

#include <string.h>

#include "common/banned.h"

char mail_ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool mail_is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

bool mail_is_atext(char c)
{
	if (mail_is_alnum(c))
		return true;
	return c && strchr("!#$%&'*+-/=?^_`{|}~", c);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A counter instead of recursion: the depth is the peer's choice. */
static const char *skip_comment(const char *text)
{
	size_t depth = 0;

	for (; *text; text++) {
		if (*text == '\\' && text[1])
			text++;
		else if (*text == '(')
			depth++;
		else if (*text == ')' && --depth == 0)
			return text + 1;
	}
	return text;
}

const char *mail_skip_cfws(const char *text)
{
	for (;;) {
		if (is_space(*text))
			text++;
		else if (*text == '(')
			text = skip_comment(text);
		else
			return text;
	}
}

static void put(char *out, size_t out_size, size_t *length, char c)
{
	if (*length + 1 < out_size)
		out[(*length)++] = c;
}

const char *mail_read_quoted(const char *text, char *out, size_t out_size)
{
	size_t length = 0;

	for (text++; *text && *text != '"'; text++) {
		if (*text == '\\' && text[1])
			text++;
		put(out, out_size, &length, *text);
	}
	out[length] = '\0';
	return *text ? text + 1 : text;
}

const char *mail_read_word(const char *text, const char *stops, char *out,
                           size_t out_size)
{
	size_t length = 0;

	if (*text == '"')
		return mail_read_quoted(text, out, out_size);
	for (; *text && !is_space(*text); text++) {
		if (*text == '(' || *text == ';' || strchr(stops, *text))
			break;
		put(out, out_size, &length, *text);
	}
	out[length] = '\0';
	return text;
}
