/* The values by which every library of the project reports a failure. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include "common/banned.h"

/*
 * 0 is success; every failure is negative. Functions that fail leave their
 * outputs untouched unless their contract says otherwise.
 */
enum error_code {
	ERR_OK = 0,
	ERR_INVALID = -1,    /* the input is wrong; the text names the field */
	ERR_NOT_FOUND = -2,  /* no such record */
	ERR_CONFLICT = -3,   /* the record is no longer in the state asked */
	ERR_EXISTS = -4,     /* a record with this key is there already */
	ERR_LIMIT = -5,      /* a limit of ours was reached */
	ERR_IO = -6,         /* the medium failed; nothing can be trusted */
	ERR_FULL = -7,       /* no space left on the medium */
	ERR_CORRUPT = -8,    /* what was read back makes no sense */
	ERR_TIMEOUT = -9,    /* no answer in time, and nothing was done */
	ERR_UNCERTAIN = -10, /* no answer in time: it may have been done */
	ERR_PROTOCOL = -11,  /* the peer broke the protocol */
	ERR_DENIED = -12,    /* not allowed: credentials or rights */
	ERR_UNAVAILABLE = -13, /* the peer is away or busy: try again later */
	ERR_VERSION = -14,     /* written by another version of the schema */
	ERR_MEMORY = -15       /* no memory (captcha and store only) */
};

/* A failure with its detail, for a log line or a person. */
struct error {
	enum error_code code;
	char text[512];
};

/*
 * Fills *err (which may be NULL) with code and a formatted text, and returns
 * code, so that "return error_set(err, ERR_IO, ...)" reads as one sentence.
 * Any thread.
 */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set(), with ": " and the text of errno value number appended. */
int error_set_errno(struct error *err, enum error_code code, int number,
                    const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#ifdef __clang_analyzer__
/* It reads one file at a time and would think that these may return 0. */
#define error_set(err, code, ...)                                              \
	(error_set(err, code, __VA_ARGS__), (int)(code))
#define error_set_errno(err, code, number, ...)                                \
	(error_set_errno(err, code, number, __VA_ARGS__), (int)(code))
#endif

/* A short constant name for code, such as "not found"; never NULL. */
const char *error_name(int code);

#endif
