/* The syntax of envelope addresses, and what an address says of its owner. */
#include "common/mail/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/lexical.h"
#include "common/text.h"

#define LABEL_MAXIMUM 63

/*
 * The length of the character at text, or 0 for one that no address has:
 * controls, those of C1 among them, and bytes that are no UTF-8.
 */
static size_t character_length(const char *text, bool utf8)
{
	uint32_t code;
	size_t length;

	if ((unsigned char)*text < 0x80)
		return *text >= 0x20 && *text != 0x7f;
	length = utf8 ? text_utf8_read(text, strnlen(text, 4), &code) : 0;
	return length && code >= 0xa0 ? length : 0;
}

/* qtextSMTP and quoted-pairSMTP: no controls, not even behind a backslash. */
static size_t quoted_length(const char *text, bool utf8)
{
	size_t at = 1;

	while (text[at] != '"') {
		size_t length;

		if (text[at] == '\\')
			at++;
		length = character_length(text + at, utf8);
		if (!length)
			return 0;
		at += length;
	}
	return at + 1;
}

size_t mail_local_length(const char *text, bool utf8)
{
	size_t at = 0;

	if (*text == '"')
		return quoted_length(text, utf8);
	while (text[at]) {
		bool high = (unsigned char)text[at] >= 0x80;
		size_t length = character_length(text + at, utf8);

		if (!length ||
		    (!high && text[at] != '.' && !mail_is_atext(text[at])))
			break;
		at += length;
	}
	return at;
}

static bool literal_valid(const char *text, size_t length)
{
	char inner[64];
	struct in6_addr address;

	if (length < 3 || length - 2 >= sizeof(inner) ||
	    text[length - 1] != ']')
		return false;
	memcpy(inner, text + 1, length - 2);
	inner[length - 2] = '\0';
	if (strncasecmp(inner, "IPv6:", 5) == 0)
		return inet_pton(AF_INET6, inner + 5, &address) == 1;
	return inet_pton(AF_INET, inner, &address) == 1;
}

/* The end of the letters, digits, "-" and "_" (and UTF-8) of a label. */
static const char *skip_label(const char *text, const char *end, bool utf8)
{
	while (text < end) {
		bool high = (unsigned char)*text >= 0x80;
		size_t length = character_length(text, utf8);

		if (!length || (!high && *text != '-' && *text != '_' &&
		                !mail_is_alnum(*text)))
			break;
		text += length;
	}
	return text;
}

bool mail_domain_valid(const char *text, size_t length, bool utf8)
{
	const char *last = text + length;

	if (length == 0 || length > MAIL_DOMAIN_MAXIMUM)
		return false;
	if (*text == '[')
		return literal_valid(text, length);
	for (;;) {
		const char *end = skip_label(text, last, utf8);

		if (end == text || end > last || end - text > LABEL_MAXIMUM)
			return false;
		if (end == last)
			return true;
		if (*end != '.')
			return false;
		text = end + 1;
	}
}

bool mail_address_valid(const char *text, bool utf8)
{
	size_t length = strnlen(text, MAIL_ADDRESS_SIZE);
	size_t local = mail_local_length(text, utf8);

	return length < MAIL_ADDRESS_SIZE && local && text[local] == '@' &&
	       mail_domain_valid(text + local + 1, length - local - 1, utf8);
}

bool mail_address_is_routed(const char *address)
{
	const char *at = strrchr(address, '@');
	size_t length = at ? (size_t)(at - address) : strlen(address), i;

	for (i = 0; i < length; i++)
		if (strchr("%!@", address[i]))
			return true;
	return false;
}

const char *mail_address_domain(const char *address)
{
	const char *at = strrchr(address, '@');

	return at ? at + 1 : "";
}

bool mail_address_is_null_sender(const char *address)
{
	static const char *const names[] = {"mailer-daemon", "postmaster"};
	const char *at = strrchr(address, '@');
	size_t length = at ? (size_t)(at - address) : strlen(address), i;

	if (!*address || strcmp(address, "<>") == 0 ||
	    strcmp(address, "#@[]") == 0)
		return true;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (length == strlen(names[i]) &&
		    strncasecmp(address, names[i], length) == 0)
			return true;
	return false;
}
