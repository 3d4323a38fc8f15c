/* The syntax of envelope addresses, and what an address says of its owner. */
#include "common/mail/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"
#include "common/mail/lexical.h"
#include "common/text.h"

#define DOMAIN_MAXIMUM 255
#define LABEL_MAXIMUM  63

/* The end of a run of dot-string characters, or of one UTF-8 sequence. */
static const char *skip_atom(const char *text, const char *end, bool utf8)
{
	while (text < end) {
		uint32_t code;
		size_t length = 1;

		if ((unsigned char)*text >= 0x80)
			length = utf8 ? text_utf8_read(
			                    text, (size_t)(end - text), &code)
			              : 0;
		else if (!mail_is_atext(*text))
			return text;
		if (length == 0)
			return text;
		text += length;
	}
	return text;
}

static bool dot_string_valid(const char *text, const char *end, bool utf8)
{
	for (;;) {
		const char *next = skip_atom(text, end, utf8);

		if (next == text)
			return false;
		if (next == end)
			return true;
		if (*next != '.')
			return false;
		text = next + 1;
	}
}

/* qtextSMTP and quoted-pairSMTP: no controls, not even behind a backslash. */
static bool quoted_valid(const char *text, const char *end, bool utf8)
{
	if (end - text < 2 || *text != '"' || end[-1] != '"')
		return false;
	text++;
	end--;
	while (text < end) {
		uint32_t code;
		size_t length = 1;

		if (*text == '"' || (*text == '\\' && ++text == end))
			return false;
		if ((unsigned char)*text >= 0x80)
			length = utf8 ? text_utf8_read(
			                    text, (size_t)(end - text), &code)
			              : 0;
		else if (*text < 0x20 || *text == 0x7f)
			return false;
		if (length == 0)
			return false;
		text += length;
	}
	return true;
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

/* The end of the letters, digits and hyphens (and UTF-8) of a label. */
static const char *skip_label(const char *text, bool utf8)
{
	for (;;) {
		uint32_t code;
		size_t length = 0;

		if ((unsigned char)*text >= 0x80)
			length = utf8
			             ? text_utf8_read(text, strlen(text), &code)
			             : 0;
		else if (*text == '-' || mail_is_alnum(*text))
			length = 1;
		if (length == 0)
			return text;
		text += length;
	}
}

static bool domain_valid(const char *text, bool utf8)
{
	size_t length = strlen(text);

	if (length == 0 || length > DOMAIN_MAXIMUM)
		return false;
	if (*text == '[')
		return literal_valid(text, length);
	for (;;) {
		const char *end = skip_label(text, utf8);

		if (end == text || *text == '-' || end[-1] == '-' ||
		    end - text > LABEL_MAXIMUM)
			return false;
		if (*end == '\0')
			return true;
		if (*end != '.')
			return false;
		text = end + 1;
	}
}

bool mail_address_valid(const char *text, bool utf8)
{
	size_t length = strnlen(text, MAIL_ADDRESS_SIZE);
	const char *at = length < MAIL_ADDRESS_SIZE ? strrchr(text, '@') : NULL;

	if (!at || at == text)
		return false;
	if (*text == '"') {
		if (!quoted_valid(text, at, utf8))
			return false;
	} else if (!dot_string_valid(text, at, utf8)) {
		return false;
	}
	return domain_valid(at + 1, utf8);
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

bool mail_domains_align(const char *a, const char *b)
{
	size_t a_length = strlen(a), b_length = strlen(b);
	const char *dot;

	if (a_length < b_length) {
		const char *swap = a;
		size_t swap_length = a_length;

		a = b;
		a_length = b_length;
		b = swap;
		b_length = swap_length;
	}
	dot = strchr(b, '.');
	if (!dot || dot == b || !dot[1] || *b == '[')
		return a_length == b_length && b_length > 0 &&
		       strcasecmp(a, b) == 0;
	if (strcasecmp(a + a_length - b_length, b) != 0)
		return false;
	return a_length == b_length || a[a_length - b_length - 1] == '.';
}
