/* The syntax of what stands in SMTP commands: paths, names, parameters. */
#ifndef SMTP_SYNTAX_H
#define SMTP_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#define SMTP_LOCAL_MAXIMUM  256
#define SMTP_DOMAIN_MAXIMUM 255
#define SMTP_PATH_SIZE      (SMTP_LOCAL_MAXIMUM + SMTP_DOMAIN_MAXIMUM + 2)

enum smtp_path_kind { SMTP_REVERSE_PATH, SMTP_FORWARD_PATH };

/*
 * Reads "<...>" at *text (RFC 5321 section 4.1.2) into path, without the
 * brackets and without a source route, and moves *text behind it. A reverse
 * path may be empty or "#@[]" (the null senders), a forward path may be
 * "postmaster" alone. Local parts may be longer than the RFC's 64 bytes and
 * may hold dots anywhere: mail in use has both. 0, or ERR_INVALID with *why
 * set to a constant text; path is touched only on success.
 */
int smtp_path_parse(enum smtp_path_kind kind, const char **text,
                    char path[SMTP_PATH_SIZE], const char **why);

/* Whether address, without <>, may be sent in a path of this kind. */
bool smtp_address_valid(enum smtp_path_kind kind, const char *address);

/*
 * Whether text is a domain of letters, digits, '-', '_' and dots, or an
 * address literal: "[192.0.2.1]" or "[IPv6:2001:db8::1]".
 */
bool smtp_domain_valid(const char *text, size_t length);

/*
 * Decodes xtext (RFC 3461 section 4) of length bytes into a NUL-terminated
 * text of text_size bytes. 0, ERR_INVALID for a malformed "+XX", or ERR_LIMIT.
 */
int smtp_xtext_decode(const char *xtext, size_t length, char *text,
                      size_t text_size);

/* A parameter of a command; the pieces point into the command's text. */
struct smtp_parameter {
	const char *keyword, *value; /* value is NULL without '=' */
	size_t keyword_length, value_length;
};

/*
 * Reads the next "KEYWORD" or "KEYWORD=value" of a command's parameters and
 * moves *text behind it. 1 when there was one, 0 at the end, ERR_INVALID for
 * a malformed one.
 */
int smtp_parameter_next(const char **text, struct smtp_parameter *parameter);

/* Whether the parameter's keyword is this one, in either case. */
bool smtp_parameter_is(const struct smtp_parameter *parameter,
                       const char *keyword);

#endif
