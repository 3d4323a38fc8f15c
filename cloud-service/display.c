/* Outside text for display: decoded strictly, cleaned, cut. */
#include "cloud-service/display.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/error.h"
#include "common/text.h"

#define REPLACEMENT 0xfffdU

/* A span of code points. */
struct span {
	uint32_t first, last;
};

/* Shown as a space: controls and separators of lines. */
static const struct span blanks[] = {
    {0x00, 0x20},
    {0x7f, 0xa0},
    {0x2028, 0x2029},
    {0x3000, 0x3000},
};

/* Invisible, or turning the direction of what follows (UAX #9). */
static const struct span dropped[] = {
    {0xad, 0xad},     {0x34f, 0x34f},     {0x61c, 0x61c},     {0x115f, 0x1160},
    {0x180b, 0x180f}, {0x200b, 0x200f},   {0x202a, 0x202e},   {0x2060, 0x206f},
    {0x3164, 0x3164}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfffb}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool within(const struct span *spans, size_t count, uint32_t c)
{
	for (size_t i = 0; i < count; i++)
		if (c >= spans[i].first && c <= spans[i].last)
			return true;
	return false;
}

/* Reads one character; moves *text past it, or past one broken byte. */
static uint32_t read_character(const char **text)
{
	uint32_t c = REPLACEMENT;
	size_t length =
	    text_utf8_read(*text, strnlen(*text, TEXT_UTF8_SIZE), &c);

	*text += length ? length : 1;
	return c;
}

/* The next character to show, 0 at the end; runs of blanks are one space. */
static uint32_t next_shown(const char **text)
{
	bool blank = false;
	while (**text) {
		const char *before = *text;
		uint32_t c = read_character(text);
		if (within(dropped, sizeof(dropped) / sizeof(*dropped), c))
			continue;
		if (within(blanks, sizeof(blanks) / sizeof(*blanks), c)) {
			blank = true;
			continue;
		}
		if (!blank)
			return c;
		*text = before;
		return ' ';
	}
	return 0;
}

char *display_clean(const char *text, size_t characters, char *out)
{
	char *end = out, *cut = out;
	size_t count = 0;
	uint32_t c = 0;
	if (!text)
		text = "";
	while ((c = next_shown(&text)) != 0 && count < characters) {
		if (c == ' ' && count == 0)
			continue;
		if (count + 3 == characters || characters < 3)
			cut = end;
		end += text_utf8_write(c, end);
		count++;
	}
	if (c != 0 && characters >= 3) {
		memset(cut, '.', 3);
		end = cut + 3;
	}
	*end = '\0';
	return out;
}
