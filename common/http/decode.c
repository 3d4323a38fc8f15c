/* Percent-decoding, and the lists of names and values of a request. */
#include <stdlib.h>
#include <string.h>

#include "common/http/server-private.h"
#include "common/mem.h"
#include "common/text.h"

static bool is_utf8(const char *text, size_t size)
{
	uint32_t code;
	size_t length;

	for (; size; text += length, size -= length)
		if (!(length = text_utf8_read(text, size, &code)))
			return false;
	return true;
}

/* Decodes the escape at text[0]; -1 when it is broken or a NUL. */
static int decode_escape(const char *text, size_t length)
{
	int high, low;

	if (length < 3)
		return -1;
	high = text_hex_value(text[1]);
	low = text_hex_value(text[2]);
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
	if (is_utf8(decoded, used))
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
