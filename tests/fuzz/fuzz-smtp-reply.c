/* Fuzzes the parser of SMTP replies: whole and split must read alike. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/smtp/reply.h"

/* Parses in pieces up to one reply; what ends it is returned. */
static int parse(struct smtp_reply_parser *parser, const char *bytes,
                 size_t size, size_t piece, int *whole)
{
	size_t at = 0;

	*whole = 0;
	while (at < size && !*whole) {
		size_t length = size - at < piece ? size - at : piece;
		int taken = smtp_reply_parse(parser, bytes + at, length, whole);

		if (taken < 0)
			return taken;
		at += (size_t)taken;
	}
	return (int)at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_reply_parser one = {0}, other = {0}, again = {0};
	int whole, whole_other, whole_again;
	struct buffer out;
	int taken = parse(&one, (const char *)data, size, size + 1, &whole);
	int taken_other =
	    parse(&other, (const char *)data, size, 1, &whole_other);

	assert(taken == taken_other && whole == whole_other);
	if (taken < 0 || !whole)
		return 0;
	assert(one.reply.code >= 200 && one.reply.code < 600);
	assert(!strcmp(one.reply.text, other.reply.text));
	/* What is printed can be read again. */
	buffer_init(&out, 1 << 20);
	assert(smtp_reply_print(&one.reply, &out) == 0);
	assert(parse(&again, out.data, out.length, out.length, &whole_again) ==
	       (int)out.length);
	assert(whole_again && again.reply.code == one.reply.code);
	buffer_release(&out);
	return 0;
}
