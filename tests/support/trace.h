/*
 * Long seeded traces of operations on a store, with every result as text:
 * whatever backend it runs on, the same seed gives the same text.
 */
#ifndef TESTS_SUPPORT_TRACE_H
#define TESTS_SUPPORT_TRACE_H

#include <inttypes.h>
#include <stdio.h>

#include "store/registry/registry.h"
#include "tests/support/spool-fixture.h"

/* The moment of a trace's first step; each later one is a second later. */
#define TRACE_NOW INT64_C(1795248000000)

/* A source of numbers that is the same everywhere. */
struct trace_random {
	uint64_t state;
};

/* The next number, 0..below - 1; 0 for below 0. */
static inline unsigned trace_below(struct trace_random *random, unsigned below)
{
	uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return below ? (unsigned)(z % below) : 0;
}

/* True once in so many calls. */
static inline bool trace_once_in(struct trace_random *random, unsigned calls)
{
	return trace_below(random, calls) == 0;
}

/* An id that ends in number. */
static inline struct id trace_id(unsigned number)
{
	struct id id = {{0x01, 0x9a}};

	for (int i = 15; number; i--, number >>= 8)
		id.bytes[i] = (uint8_t)(number & 0xff);
	return id;
}

/* Writes an id's last bytes. */
static inline void trace_print_id(FILE *out, const struct id *id)
{
	(void)fprintf(out, " #%02x%02x%02x", id->bytes[13], id->bytes[14],
	              id->bytes[15]);
}

/* Writes a text with what is not printable as \xx. */
static inline void trace_print_text(FILE *out, const char *text)
{
	(void)fputs(" '", out);
	for (; *text; text++)
		if (*text >= ' ' && *text < 127 && *text != '\'')
			(void)fputc(*text, out);
		else
			(void)fprintf(out, "\\%02x", (unsigned char)*text);
	(void)fputc('\'', out);
}

/* Runs so many steps on the fixture's spool, which is closed and opened again
 * now and then. */
void trace_spool(struct spool_fixture *fixture, uint64_t seed, unsigned steps,
                 FILE *out);

/* Opens an empty registry, runs so many steps on it, with closing and opening
 * again now and then, and closes it. */
void trace_registry(const struct registry_options *options, uint64_t seed,
                    unsigned steps, FILE *out);

#endif
