/* Percent-decoding, and the lists of names and values of a request. */
#include <stdlib.h>
#include <string.h>

#include "common/http/http-server-private.h"
#include "common/mem.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The bytes of the UTF-8 sequence that begins with c; 0 for none. */
static size_t sequence_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Whether text is UTF-8 (RFC 3629): no overlong forms, no surrogates. */
static bool is_utf8(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;

	while (*byte) {
		size_t i, length = sequence_length(*byte);

		for (i = 1; i < length; i++)
			if ((byte[i] & 0xc0) != 0x80)
				return false;
		if (!length || (byte[0] == 0xe0 && byte[1] < 0xa0) ||
		    (byte[0] == 0xed && byte[1] > 0x9f) ||
		    (byte[0] == 0xf0 && byte[1] < 0x90) ||
		    (byte[0] == 0xf4 && byte[1] > 0x8f))
			return false;
		byte += length;
	}
	return true;
}

/* Decodes the escape at text[0]; -1 when it is broken or a NUL. */
static int decode_escape(const char *text, size_t length)
{
	int high, low;

	if (length < 3)
		return -1;
	high = hex_digit(text[1]);
	low = hex_digit(text[2]);
	if (high < 0 || low < 0 || (!high && !low))
		return -1;
	return high << 4 | low;
}

char *http_decode(const char *text, size_t length, bool plus)
{
	char *decoded = mem_alloc(length + 1);
	size_t i, used = 0;

	for (i = 0; i < length; i++) {
		int byte = (unsigned char)text[i];

		if (byte == '%') {
			byte = decode_escape(text + i, length - i);
			i += 2;
		} else if (byte == '+' && plus) {
			byte = ' ';
		}
		if (byte <= 0) {
			free(decoded);
			return NULL;
		}
		decoded[used++] = (char)byte;
	}
	if (is_utf8(decoded))
		return decoded;
	free(decoded);
	return NULL;
}

struct http_pair *http_pair_add(struct http_pair **list, const char *name,
                                const char *value)
{
	size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
	struct http_pair *pair =
	    mem_alloc(sizeof(*pair) + name_size + value_size);
	char *text = (char *)(pair + 1);

	memcpy(text, name, name_size);
	memcpy(text + name_size, value, value_size);
	pair->name = text;
	pair->value = text + name_size;
	pair->next = *list;
	*list = pair;
	return pair;
}

void http_pairs_free(struct http_pair **list)
{
	struct http_pair *pair = *list, *next;

	for (; pair; pair = next) {
		next = pair->next;
		free(pair);
	}
	*list = NULL;
}
