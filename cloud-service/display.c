/* Outside text for display: decoded strictly, cleaned, cut. */
#include "cloud-service/display.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

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

/* The length that a first byte promises; 0 when none may begin so. */
static size_t sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* Reads one character (RFC 3629); moves *text past it. */
static uint32_t read_character(const char **text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)*text;
	size_t length = sequence_length(bytes[0]);
	*text += 1;
	if (length < 2)
		return length ? bytes[0] : REPLACEMENT;
	uint32_t c = bytes[0] & (0x7fU >> length);
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		c = c << 6 | (bytes[i] & 0x3fU);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return REPLACEMENT;
	*text += length - 1;
	return c;
}

static char *write_character(uint32_t c, char *out)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	int length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	int shift = 6 * (length - 1);
	*out++ = (char)(lead[length] | c >> shift);
	while ((shift -= 6) >= 0)
		*out++ = (char)(0x80 | (c >> shift & 0x3f));
	return out;
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
		end = write_character(c, end);
		count++;
	}
	if (c != 0 && characters >= 3) {
		memset(cut, '.', 3);
		end = cut + 3;
	}
	*end = '\0';
	return out;
}
