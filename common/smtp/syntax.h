/* The syntax of what stands in SMTP commands: paths, names, parameters. */
#ifndef SMTP_SYNTAX_H
#define SMTP_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/* The longest path that another server hands over: Postfix's line limit. */
#define SMTP_PATH_SIZE 2049

enum smtp_path_kind { SMTP_REVERSE_PATH, SMTP_FORWARD_PATH };

/* What a path may hold. */
enum smtp_path_rule {
	SMTP_PATH_ASCII, /* a mailbox without UTF-8 */
	SMTP_PATH_UTF8,  /* a mailbox (RFC 6531 section 3.3) */
	SMTP_PATH_ANY    /* whatever can be passed on as it is: controls, other
	                    bytes, and lengths that no mailbox has */
};

/*
 * Reads "<...>" at *text (RFC 5321 section 4.1.2) into path, without the
 * brackets and without a source route, and moves *text behind it. A mailbox is
 * what mail_address_valid() says. A reverse path may be empty or "#@[]" (the
 * null senders), a forward path may be "postmaster" alone. 0, or ERR_INVALID
 * with *why set to a constant text; *text and path may be touched.
 */
int smtp_path_parse(enum smtp_path_kind kind, enum smtp_path_rule rule,
                    const char **text, char path[SMTP_PATH_SIZE],
                    const char **why);

/*
 * Whether address, without <>, can be sent in a path of this kind, by the rule
 * SMTP_PATH_ANY: what was taken from a trusted server is passed on as it is.
 */
bool smtp_address_valid(enum smtp_path_kind kind, const char *address);

/* Whether the address cannot be sent without SMTPUTF8 (RFC 6531). */
bool smtp_address_needs_utf8(const char *address);

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
