/* Text made comparable: without case, accents, width and odd spaces. */
#include "common/mail/fold.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/banned.h"
#include "common/mail/lexical.h"
#include "common/text.h"

/* The letter without its accent for each of U+00C0..U+024F and of
 * U+1E00..U+1EFF; "." where there is none (Unicode's decompositions, and
 * letters with a stroke). */
static const char latin[] =
    "aaaaaa.ceeeeiiiidnooooo.ouuuuy..aaaaaa.ceeeeiiiidnooooo.ouuuuy.y"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkkkllllll."
    ".llnnnnnnnnnoooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"
    "bbbb..occdd....e.ff....ikkl....ooo.............uu....zz........."
    ".............aaiioouuuuuuuuuueaaaa....ggkkoooo..j...gg..nnaa...."
    "aaaaeeeeiiiioooorrrruuuusstt..hh......aaeeooooooooyy......acclt."
    "...b..eejj..rryy";
static const char latin_additional[] =
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
    "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
    "wwwwwwwwwwxxxxyyzzzzzzhtwy......aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
    "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";

#define LATIN_FIRST            0xc0U
#define LATIN_ADDITIONAL_FIRST 0x1e00U

static bool within(uint32_t code, uint32_t first, uint32_t last)
{
	return code >= first && code <= last;
}

static bool is_blank(uint32_t code)
{
	return code <= ' ' || within(code, 0x7f, 0xa0) ||
	       within(code, 0x2000, 0x200a) || within(code, 0x2028, 0x2029) ||
	       code == 0x202f || code == 0x205f || code == 0x3000;
}

/* Accents that stand alone, and what is not seen. */
static bool is_dropped(uint32_t code)
{
	return within(code, 0x300, 0x36f) || code == 0xad ||
	       within(code, 0x200b, 0x200f) || within(code, 0x202a, 0x202e) ||
	       within(code, 0x2060, 0x2069) || within(code, 0xfe00, 0xfe0f) ||
	       code == 0xfeff;
}

static uint32_t fold_sign(uint32_t code)
{
	switch (code) {
	case '`':
	case 0xb4:
	case 0x2bc:
	case 0x2018:
	case 0x2019:
	case 0x201b:
		return '\'';
	case 0x201c:
	case 0x201d:
	case 0xab:
	case 0xbb:
		return '"';
	default:
		return within(code, 0x2010, 0x2015) ? '-' : code;
	}
}

/* Greek and Cyrillic, with the accents of their usual letters taken off. */
static uint32_t fold_greek_or_cyrillic(uint32_t code)
{
	static const uint16_t pairs[][2] = {
	    {0x386, 0x3b1}, {0x388, 0x3b5}, {0x389, 0x3b7}, {0x38a, 0x3b9},
	    {0x38c, 0x3bf}, {0x38e, 0x3c5}, {0x38f, 0x3c9}, {0x390, 0x3b9},
	    {0x3ac, 0x3b1}, {0x3ad, 0x3b5}, {0x3ae, 0x3b7}, {0x3af, 0x3b9},
	    {0x3b0, 0x3c5}, {0x3c2, 0x3c3}, {0x3ca, 0x3b9}, {0x3cb, 0x3c5},
	    {0x3cc, 0x3bf}, {0x3cd, 0x3c5}, {0x3ce, 0x3c9}, {0x439, 0x438},
	    {0x450, 0x435}, {0x451, 0x435}, {0x457, 0x456}, {0x45e, 0x443}};

	if (within(code, 0x391, 0x3ab) || within(code, 0x410, 0x42f))
		code += 0x20;
	else if (within(code, 0x400, 0x40f))
		code += 0x50;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		if (code == pairs[i][0])
			return pairs[i][1];
	return code;
}

static uint32_t fold_letter(uint32_t code)
{
	if (within(code, 0xff01, 0xff5e)) /* full width */
		code -= 0xff01 - '!';
	if (code < 0x80 && code != '`')
		return (uint32_t)(unsigned char)mail_ascii_lower((char)code);
	if (code >= LATIN_FIRST && code - LATIN_FIRST < sizeof(latin) - 1 &&
	    latin[code - LATIN_FIRST] != '.')
		return (unsigned char)latin[code - LATIN_FIRST];
	if (code >= LATIN_ADDITIONAL_FIRST &&
	    code - LATIN_ADDITIONAL_FIRST < sizeof(latin_additional) - 1 &&
	    latin_additional[code - LATIN_ADDITIONAL_FIRST] != '.')
		return (unsigned char)
		    latin_additional[code - LATIN_ADDITIONAL_FIRST];
	return fold_sign(fold_greek_or_cyrillic(code));
}

/* One letter that is written as two. */
static const char *fold_pair(uint32_t code)
{
	switch (code) {
	case 0xc6:
	case 0xe6:
		return "ae";
	case 0x152:
	case 0x153:
		return "oe";
	case 0xdf:
	case 0x1e9e:
		return "ss";
	case 0xde:
	case 0xfe:
		return "th";
	default:
		return NULL;
	}
}

size_t mail_fold_text(const char *text, char *folded, size_t size)
{
	size_t left = strlen(text), length = 0;
	bool blank = false;

	while (left > 0 && length + TEXT_UTF8_SIZE + 2 < size) {
		uint32_t code = 0;
		size_t used = text_utf8_read(text, left, &code);
		const char *pair = used ? fold_pair(code) : NULL;

		text += used ? used : 1;
		left -= used ? used : 1;
		if (!used || is_dropped(code))
			continue;
		if (is_blank(code)) {
			blank = length > 0;
			continue;
		}
		code = fold_letter(code);
		if (blank && code != ':')
			folded[length++] = ' ';
		blank = false;
		if (pair) {
			memcpy(folded + length, pair, 2);
			length += 2;
		} else {
			length += text_utf8_write(code, folded + length);
		}
	}
	folded[length] = '\0';
	return length;
}
