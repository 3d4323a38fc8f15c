/* Parsers of the paths, domains and parameters in SMTP commands. */
#include "common/smtp/smtp-syntax.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/error.h"
#include "common/text.h"

#define LABEL_MAXIMUM 63

/* RFC 5322 section 3.2.3, and the dot. */
static bool is_local_byte(char byte)
{
	return isalnum((unsigned char)byte) ||
	       (byte && strchr("!#$%&'*+-/=?^_`{|}~.", byte));
}

/* The length of a quoted string at text with its quotes, or 0. */
static size_t quoted_length(const char *text)
{
	size_t at = 1;

	while (text[at] != '"') {
		if (text[at] == '\\')
			at++;
		if (text[at] < 0x20 || text[at] > 0x7e)
			return 0;
		at++;
	}
	return at + 1;
}

/* The length of the local part at text, or 0. */
static size_t local_length(const char *text)
{
	size_t length = 0;

	if (*text == '"')
		return quoted_length(text);
	while (is_local_byte(text[length]))
		length++;
	return length;
}

static bool literal_valid(const char *text, size_t length)
{
	char address[INET6_ADDRSTRLEN + 8];
	struct in6_addr parsed;

	if (length < 3 || length - 2 >= sizeof(address) ||
	    text[length - 1] != ']')
		return false;
	memcpy(address, text + 1, length - 2);
	address[length - 2] = '\0';
	if (!strncasecmp(address, "IPv6:", 5))
		return inet_pton(AF_INET6, address + 5, &parsed) == 1;
	return inet_pton(AF_INET, address, &parsed) == 1;
}

bool smtp_domain_valid(const char *text, size_t length)
{
	size_t label = 0;

	if (!length || length > SMTP_DOMAIN_MAXIMUM)
		return false;
	if (text[0] == '[')
		return literal_valid(text, length);
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '.') {
			if (!label)
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)text[i]) && text[i] != '-' &&
		    text[i] != '_')
			return false;
		if (++label > LABEL_MAXIMUM)
			return false;
	}
	return label > 0;
}

/* The length of the domain or literal at text, valid or not. */
static size_t domain_length(const char *text)
{
	if (*text == '[')
		return strcspn(text, "]> ") + (strchr(text, ']') != NULL);
	return strcspn(text, "> ");
}

static bool is_word(const char *text, size_t length, const char *word)
{
	return length == strlen(word) && !strncasecmp(text, word, length);
}

/* Whether text of length bytes is a mailbox that this kind of path allows. */
static bool mailbox_valid(enum smtp_path_kind kind, const char *text,
                          size_t length)
{
	size_t local;

	if (kind == SMTP_REVERSE_PATH &&
	    (!length || is_word(text, length, "#@[]")))
		return true;
	if (kind == SMTP_FORWARD_PATH && is_word(text, length, "postmaster"))
		return true;
	local = local_length(text);
	if (!local || local > SMTP_LOCAL_MAXIMUM || local >= length ||
	    text[local] != '@')
		return false;
	return smtp_domain_valid(text + local + 1, length - local - 1);
}

bool smtp_address_valid(enum smtp_path_kind kind, const char *address)
{
	size_t length = strlen(address);

	return length < SMTP_PATH_SIZE && mailbox_valid(kind, address, length);
}

/* The length of the mailbox at text up to its '>', as far as it can be told. */
static size_t mailbox_length(const char *text)
{
	size_t local = local_length(text);

	if (text[local] != '@')
		return local;
	return local + 1 + domain_length(text + local + 1);
}

/*
 * Moves behind "@one,@two:" at text: RFC 5321 section 4.1.1.3 says to ignore
 * it. NULL when it is malformed.
 */
static const char *skip_route(const char *text)
{
	while (*text == '@') {
		size_t length = strcspn(text + 1, ",:> ");

		if (!smtp_domain_valid(text + 1, length))
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

int smtp_path_parse(enum smtp_path_kind kind, const char **text,
                    char path[SMTP_PATH_SIZE], const char **why)
{
	const char *at = *text;
	size_t length;

	*why = "the address must stand in <>";
	if (*at++ != '<')
		return ERR_INVALID;
	if (*at == '@')
		at = skip_route(at);
	*why = "malformed source route";
	if (!at)
		return ERR_INVALID;
	length = mailbox_length(at);
	*why = "malformed address";
	if (at[length] != '>' || (at[length + 1] && at[length + 1] != ' '))
		return ERR_INVALID;
	*why = "no valid mailbox and domain";
	if (length >= SMTP_PATH_SIZE || !mailbox_valid(kind, at, length))
		return ERR_INVALID;
	memcpy(path, at, length);
	path[length] = '\0';
	*text = at + length + 1;
	return 0;
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
