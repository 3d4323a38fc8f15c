/* Parsers of the paths, domains and parameters in SMTP commands. */
#include "common/smtp/syntax.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/error.h"
#include "common/mail/address.h"
#include "common/text.h"

static bool is_word(const char *text, size_t length, const char *word)
{
	return length == strlen(word) && !strncasecmp(text, word, length);
}

/* The length of the mailbox at text up to its '>', valid or not: a '>' or a
 * space may stand within quotes. */
static size_t mailbox_length(const char *text)
{
	bool quoted = false;
	size_t at;

	for (at = 0; text[at]; at++) {
		if (quoted && text[at] == '\\' && text[at + 1])
			at++;
		else if (text[at] == '"')
			quoted = !quoted;
		else if (!quoted && (text[at] == '>' || text[at] == ' '))
			break;
	}
	return quoted ? strcspn(text, "> ") : at;
}

/* Whether it can stand in a path: nothing in it ends a path or a line. */
static bool is_sendable(const char *text, size_t length)
{
	return length && *text != '@' && *text != '<' &&
	       length < SMTP_PATH_SIZE && mailbox_length(text) == length &&
	       !memchr(text, '\r', length) && !memchr(text, '\n', length);
}

/* Whether a path of this kind may be this though it is no mailbox. */
static bool is_special(enum smtp_path_kind kind, const char *text,
                       size_t length)
{
	if (kind == SMTP_REVERSE_PATH)
		return !length || is_word(text, length, "#@[]");
	return is_word(text, length, "postmaster");
}

bool smtp_address_valid(enum smtp_path_kind kind, const char *address)
{
	size_t length = strnlen(address, SMTP_PATH_SIZE);

	return is_special(kind, address, length) ||
	       is_sendable(address, length);
}

bool smtp_address_needs_utf8(const char *address)
{
	return !text_is_ascii(address);
}

/*
 * Moves behind "@one,@two:" at text: RFC 5321 section 4.1.1.3 says to ignore
 * it. NULL when it is malformed.
 */
static const char *skip_route(const char *text, bool utf8)
{
	while (*text == '@') {
		size_t length = strcspn(text + 1, ",:> ");

		if (text[1] == '[')
			length = strcspn(text + 1, "]> ") +
			         (strchr(text, ']') != NULL);
		if (!mail_domain_valid(text + 1, length, utf8))
			return NULL;
		text += 1 + length;
		if (*text == ':')
			return text + 1;
		if (*text != ',')
			return NULL;
		text++;
	}
	return NULL;
}

int smtp_path_parse(enum smtp_path_kind kind, enum smtp_path_rule rule,
                    const char **text, char path[SMTP_PATH_SIZE],
                    const char **why)
{
	bool utf8 = rule != SMTP_PATH_ASCII;
	const char *at = *text;
	size_t length;

	*why = "the address must stand in <>";
	if (*at++ != '<')
		return ERR_INVALID;
	if (*at == '@')
		at = skip_route(at, utf8);
	*why = "malformed source route";
	if (!at)
		return ERR_INVALID;
	length = mailbox_length(at);
	*why = "malformed address";
	if (at[length] != '>' || (at[length + 1] && at[length + 1] != ' ') ||
	    length >= SMTP_PATH_SIZE)
		return ERR_INVALID;
	memcpy(path, at, length);
	path[length] = '\0';
	*text = at + length + 1;
	if (is_special(kind, path, length) || mail_address_valid(path, utf8) ||
	    (rule == SMTP_PATH_ANY && is_sendable(path, length)))
		return 0;
	*why = "no valid mailbox and domain";
	return ERR_INVALID;
}

int smtp_xtext_decode(const char *xtext, size_t length, char *text,
                      size_t text_size)
{
	size_t used = 0;

	if (length >= text_size * 3)
		return ERR_LIMIT;
	for (size_t i = 0; i < length; i++) {
		char byte = xtext[i];

		if (byte == '+') {
			int high =
			    i + 2 < length ? text_hex_value(xtext[i + 1]) : -1;
			int low =
			    i + 2 < length ? text_hex_value(xtext[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_INVALID;
			byte = (char)(high * 16 + low);
			i += 2;
		}
		if (used + 1 >= text_size)
			return ERR_LIMIT;
		text[used++] = byte;
	}
	text[used] = '\0';
	return 0;
}

int smtp_parameter_next(const char **text, struct smtp_parameter *parameter)
{
	const char *at = *text + strspn(*text, " ");
	const char *start = at;

	*text = at;
	if (!*at)
		return 0;
	while (isalnum((unsigned char)*at) || (*at == '-' && at > start))
		at++;
	parameter->keyword = start;
	parameter->keyword_length = (size_t)(at - start);
	parameter->value = NULL;
	parameter->value_length = 0;
	if (*at == '=') {
		parameter->value = ++at;
		parameter->value_length = strcspn(at, " ");
		at += parameter->value_length;
	}
	if (!parameter->keyword_length || (*at && *at != ' '))
		return ERR_INVALID;
	*text = at;
	return 1;
}

bool smtp_parameter_is(const struct smtp_parameter *parameter,
                       const char *keyword)
{
	return is_word(parameter->keyword, parameter->keyword_length, keyword);
}
