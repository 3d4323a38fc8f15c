/*
 * The message after DATA (RFC 5321 section 4.5.2): takes bytes, gives the
 * message without its dot-stuffing, and finds the one true end, CRLF.CRLF.
 */
#ifndef SMTP_DATA_H
#define SMTP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Real mail has lines far over RFC 5321's 1,000 bytes; this ends abuse. */
#define SMTP_DATA_LINE_MAXIMUM (1024 * 1024)

/* What is wrong with a message. The first one found is kept. */
enum smtp_data_fault {
	SMTP_DATA_FINE,
	SMTP_DATA_BARE_CR,
	SMTP_DATA_BARE_LF,
	SMTP_DATA_LINE_TOO_LONG,
	SMTP_DATA_TOO_LARGE
};

/* Where the next byte stands. */
enum smtp_data_place {
	SMTP_DATA_LINE_START, /* after CRLF, or the first byte */
	SMTP_DATA_DOT,        /* after a dot at a line's start */
	SMTP_DATA_DOT_CR,     /* after a dot and CR at a line's start */
	SMTP_DATA_TEXT,
	SMTP_DATA_CR, /* after CR */
	SMTP_DATA_ENDED
};

/* Read the fields freely; smtp_data_init() and _feed() change them. */
struct smtp_data {
	enum smtp_data_place place;
	enum smtp_data_fault fault;
	/*
	 * The end came right behind CR CR LF: another program could have read
	 * it as text, so what follows is not to be trusted.
	 */
	bool ambiguous_end;
	bool after_cr_cr; /* the last line ended by CR CR LF */
	bool lenient; /* a fault is noted, and the body passed on as it came;
	                 only what is too large is not */
	size_t line_length;
	int64_t size;    /* of the message so far, dots removed */
	int64_t maximum; /* of size; 0: none */
	void (*body)(void *context, const char *bytes, size_t size);
	void *context;
};

/* Prepares for a message; body gets its bytes until a fault is found. Set
 * lenient after it. */
void smtp_data_init(struct smtp_data *data, int64_t maximum,
                    void (*body)(void *context, const char *bytes, size_t size),
                    void *context);

/*
 * Takes bytes up to the end of the message: returns how many. place is
 * SMTP_DATA_ENDED when the end was among them.
 */
size_t smtp_data_feed(struct smtp_data *data, const char *bytes, size_t size);

/* Whether the body is given the message, in spite of a fault that may be. */
bool smtp_data_is_passed_on(const struct smtp_data *data);

#endif
