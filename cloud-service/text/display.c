/* Outside text for display: decoded strictly, cleaned, cut. */
#include "cloud-service/text/display.h"

#include <stdint.h>
#include <string.h>

#include "common/error.h"
#include "common/mail/fold.h"
#include "common/mail/lexical.h"
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

/* Scripts that are written with U+200C and U+200D between their letters. */
static const struct span joined[] = {
    {0x600, 0x77f},   {0x7c0, 0x7ff},   {0x840, 0xdff},   {0xf00, 0x109f},
    {0x1780, 0x18af}, {0xfb50, 0xfdff}, {0xfe70, 0xfefc}, {0x11000, 0x11fff},
};

/* Pictures, which U+FE0F colours and U+200D joins. */
static const struct span pictures[] = {
    {0x2190, 0x21ff}, {0x2300, 0x23ff}, {0x2600, 0x27bf},
    {0x2b00, 0x2bff}, {0xfe0f, 0xfe0f}, {0x1f000, 0x1faff},
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

#define IS_OF(spans, c) within(spans, sizeof(spans) / sizeof(*(spans)), c)

/* The sign that takes a consonant's vowel away, in the scripts of India: a
 * joiner behind it changes its form at the end of a word too. */
static bool is_virama(uint32_t c)
{
	return c == 0xdca || (c >= 0x900 && c < 0xd80 && (c & 0x7f) == 0x4d);
}

/* Whether c, which is dropped elsewhere, belongs between last and next. */
static bool joins(uint32_t last, uint32_t c, uint32_t next)
{
	if (c == 0xfe0f)
		return IS_OF(pictures, last) && last != c;
	if (c == 0x200d && IS_OF(pictures, last) && IS_OF(pictures, next))
		return true;
	return (c == 0x200c || c == 0x200d) && IS_OF(joined, last) &&
	       (IS_OF(joined, next) || is_virama(last));
}

/* The next character to show behind last, 0 at the end; runs of blanks are one
 * space. */
static uint32_t next_shown(const char **text, uint32_t last)
{
	bool blank = false;
	while (**text) {
		const char *before = *text, *behind;
		uint32_t c = read_character(text);
		behind = *text;
		if (IS_OF(dropped, c)) {
			if (!blank && joins(last, c, read_character(&behind)))
				return c;
			continue;
		}
		if (IS_OF(blanks, c)) {
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
	while ((c = next_shown(&text, c)) != 0 && count < characters) {
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

/* --- links ------------------------------------------------------------------
 */

#define FOLDED_SIZE 2048

/* Digits of a number that a telephone would dial. */
#define DIALLED 7

#define NUMBER_SIGNS "0123456789+()-./"

static bool is_letter(char c)
{
	return (unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length of a dot at text, the ideographic ones among them, or 0. */
static size_t dot_length(const char *text)
{
	if (*text == '.')
		return 1;
	return strncmp(text, "\u3002", 3) == 0 ||
	               strncmp(text, "\uff61", 3) == 0
	           ? 3
	           : 0;
}

/* Whether the dot in text makes the name of a host of what is around it. */
static bool dot_links(const char *text, const char *dot)
{
	size_t length = dot_length(dot);
	const char *next = dot + length;

	if (dot == text || (!mail_is_alnum(dot[-1]) && !is_letter(dot[-1])))
		return false;
	/* A full stop between two sentences of Chinese or Japanese. */
	if (length == 3 && !mail_is_alnum(dot[-1]) && !mail_is_alnum(*next))
		return false;
	return is_letter(next[0]) && is_letter(next[1]);
}

/* Whether the digits of a run are a date ("2026-12-01", "1.12.2026") or years
 * ("2026/2027"). */
static bool is_date(const char *run, size_t length)
{
	unsigned groups = 0, long_groups = 0;
	size_t at = 0;

	while (at < length && is_digit(run[at])) {
		size_t digits = 0;

		while (at + digits < length && is_digit(run[at + digits]))
			digits++;
		groups++;
		long_groups += digits == 4;
		if ((digits > 2 && digits != 4) ||
		    (digits == 4 && strncmp(run + at, "19", 2) != 0 &&
		     strncmp(run + at, "20", 2) != 0))
			return false;
		at += digits;
		if (at < length && strchr("-/.", run[at]))
			at++;
	}
	return at == length && groups > 1 && groups <= 3 && long_groups > 0;
}

/* Whether a telephone number, or an address of the IP, begins at text. */
static bool dials(const char *text)
{
	size_t length = strspn(text, NUMBER_SIGNS " "), i;
	unsigned digits = 0, dots = 0;

	if (is_date(text, strspn(text, NUMBER_SIGNS)))
		return false;

	while (length > 0 && !is_digit(text[length - 1]))
		length--;
	for (i = 0; i < length; i++) {
		digits += is_digit(text[i]);
		dots += text[i] == '.';
	}
	return digits >= DIALLED || dots == 3;
}

bool display_holds_link(const char *text)
{
	static const char *const marks[] = {
	    "//",      "www.",        "mailto:",   "tel:",   "sms:",  "sip:",
	    "callto:", "javascript:", "data:",     "\\\\",   "xmpp:", "skype:",
	    "file:",   "geo:",        "facetime:", "magnet:"};
	char folded[FOLDED_SIZE];
	const char *p;
	size_t i;

	(void)mail_fold_text(text, folded, sizeof(folded));
	for (i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (strstr(folded, marks[i]))
			return true;
	for (p = folded; *p; p++) {
		bool number = (is_digit(*p) || *p == '+' || *p == '(') &&
		              (p == folded || !strchr(NUMBER_SIGNS, p[-1]));

		if (*p == '@' && p > folded && p[-1] != ' ' && p[1] > ' ')
			return true;
		if (dot_length(p) && dot_links(folded, p))
			return true;
		if (number && dials(p))
			return true;
	}
	return false;
}
