/* Hex digits, UTF-8, and words that may hold a password. */
#include "common/text.h"

#include <limits.h>
#include <string.h>

int text_hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* The length that a first byte promises; 0 when none may begin so. */
static size_t expected_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if ((first & 0xf0) == 0xe0)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t text_utf8_read(const char *bytes, size_t size, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = size ? (unsigned char)*bytes : 0xff;
	size_t length = expected_length(first), i;
	uint32_t value;

	if (length == 0 || length > size)
		return 0;
	value = length == 1 ? first : first & (0xffU >> (length + 1));
	for (i = 1; i < length; i++) {
		unsigned char next = (unsigned char)bytes[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (next & 0x3fU);
	}
	if (value < smallest[length] || value > 0x10ffff ||
	    (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*code = value;
	return length;
}

bool text_is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

size_t text_utf8_cut(const char *text, size_t maximum)
{
	size_t length = strnlen(text, maximum + 1);

	if (length <= maximum)
		return length;
	length = maximum;
	while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	return length;
}

int text_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t text_utf8_write(uint32_t code, char bytes[TEXT_UTF8_SIZE])
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t length = code < 0x80      ? 1
	                : code < 0x800   ? 2
	                : code < 0x10000 ? 3
	                                 : 4;
	size_t i;

	for (i = length - 1; i > 0; i--) {
		bytes[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	bytes[0] = (char)(lead[length] | code);
	return length;
}

int text_shown_length(const char *word)
{
	const char *uri = strstr(word, "://");
	size_t length = strlen(word);

	if (*word == '-')
		length = strcspn(word, "=");
	if (uri && (size_t)(uri - word) + 3 < length)
		length = (size_t)(uri - word) + 3;
	return length > INT_MAX ? INT_MAX : (int)length;
}
