/* UUIDv7. */
#include "common/id.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/error.h"

/* The last id's 48 bits of milliseconds and 12 bits of counter. */
static _Atomic uint64_t last_stamp;

/*
 * A stamp above every earlier one. When more than 4,096 ids are made in a
 * millisecond the counter runs over into the time, as RFC 9562 section 6.2
 * allows.
 */
static uint64_t next_stamp(void)
{
	uint64_t now = (uint64_t)clock_wall_ms() << 12;
	uint64_t last = atomic_load(&last_stamp), next;

	do {
		next = now > last ? now : last + 1;
	} while (!atomic_compare_exchange_weak(&last_stamp, &last, next));
	return next;
}

struct id id_new(void)
{
	uint64_t stamp = next_stamp();
	struct id id;
	int i;

	for (i = 0; i < 6; i++)
		id.bytes[i] = (uint8_t)(stamp >> (52 - 8 * i));
	id.bytes[6] = (uint8_t)(0x70 | ((stamp >> 8) & 0x0f));
	id.bytes[7] = (uint8_t)stamp;
	random_bytes(id.bytes + 8, 8);
	id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
	return id;
}

char *id_format(const struct id *id, char text[ID_TEXT_SIZE])
{
	char hex[33];

	(void)hex_encode(id->bytes, sizeof(id->bytes), hex);
	(void)snprintf(text, ID_TEXT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex,
	               hex + 8, hex + 12, hex + 16, hex + 20);
	return text;
}

int id_parse(const char *text, struct id *id)
{
	char hex[33];
	size_t i, used = 0;

	if (strlen(text) != ID_TEXT_SIZE - 1)
		return ERR_INVALID;
	for (i = 0; text[i]; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (text[i] == '-'))
			return ERR_INVALID;
		if (!dash)
			hex[used++] = text[i];
	}
	hex[used] = '\0';
	return hex_decode(hex, id->bytes, sizeof(id->bytes));
}

bool id_equal(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool id_is_none(const struct id *id)
{
	static const struct id none;

	return id_equal(id, &none);
}

int64_t id_time_ms(const struct id *id)
{
	int64_t time_ms = 0;
	int i;

	for (i = 0; i < 6; i++)
		time_ms = time_ms << 8 | id->bytes[i];
	return time_ms;
}
