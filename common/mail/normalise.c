/* The normal form of addresses and domains, by which senders are looked up. */
#include <idn2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/error.h"
#include "common/mail/address.h"
#include "common/mail/lexical.h"
#include "common/text.h"

#define DOMAIN_SIZE 256 /* with the NUL */

static bool lower_copy(const char *text, size_t length, char *out,
                       size_t out_size)
{
	size_t i;

	if (length >= out_size)
		return false;
	for (i = 0; i < length; i++)
		out[i] = mail_ascii_lower(text[i]);
	out[length] = '\0';
	return true;
}

/* Labels of letters, digits, "-" and "_", which lives in real host names. */
static bool labels_valid(const char *text)
{
	size_t label = 0;

	for (; *text; text++) {
		bool letter =
		    mail_is_alnum(*text) || *text == '-' || *text == '_';

		if (!letter && (*text != '.' || label == 0))
			return false;
		label = letter ? label + 1 : 0;
		if (label > 63)
			return false;
	}
	return label > 0;
}

static bool literal_plain(const char *text, size_t length)
{
	size_t i;

	for (i = 1; i + 1 < length; i++)
		if (text[i] <= ' ' || text[i] == 0x7f ||
		    strchr("[]<>@\\", text[i]))
			return false;
	return length > 2 && text[length - 1] == ']';
}

static int fold_unicode(const char *domain, char *folded, size_t folded_size)
{
	uint8_t *ascii = NULL;
	int result = idn2_lookup_u8((const uint8_t *)domain, &ascii,
	                            IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	char text[DOMAIN_SIZE];
	bool good;

	if (result != IDN2_OK)
		return ERR_INVALID;
	good = lower_copy((const char *)ascii, strlen((const char *)ascii),
	                  text, sizeof(text)) &&
	       labels_valid(text) && strlen(text) < folded_size;
	idn2_free(ascii);
	if (!good)
		return ERR_INVALID;
	memcpy(folded, text, strlen(text) + 1);
	return 0;
}

bool mail_domain_is_within(const char *domain, const char *top)
{
	size_t length = strlen(domain), top_length = strlen(top);

	if (top_length == 0 || length < top_length ||
	    strcmp(domain + length - top_length, top) != 0)
		return false;
	return length == top_length || domain[length - top_length - 1] == '.';
}

int mail_domain_fold(const char *domain, char *folded, size_t folded_size)
{
	char text[DOMAIN_SIZE];
	size_t length = strnlen(domain, DOMAIN_SIZE + 1);

	if (length > 1 && length <= DOMAIN_SIZE && domain[length - 1] == '.')
		length--;
	if (!lower_copy(domain, length, text, sizeof(text)))
		return ERR_INVALID;
	if (!text_is_ascii(text))
		return fold_unicode(text, folded, folded_size);
	if (*text == '[' ? !literal_plain(text, length) : !labels_valid(text))
		return ERR_INVALID;
	if (length >= folded_size)
		return ERR_INVALID;
	memcpy(folded, text, length + 1);
	return 0;
}

/*
 * Writes the one form of a quoted local part: "a"@b and a@b are one mailbox
 * (RFC 5321 section 4.1.2), so the quotes go where the rest is a dot-string,
 * and backslashes where they are not needed. False when it is not quoted or
 * does not fit.
 */
static bool requote(const char *text, size_t length, char *local, size_t size)
{
	bool plain = true;
	size_t i, to = 1;

	if (length < 2 || *text != '"' || text[length - 1] != '"')
		return false;
	local[0] = '"';
	for (i = 1; i + 1 < length && to + 3 < size; i++) {
		char c = text[i];

		if (c == '\\' && i + 2 < length)
			c = text[++i];
		plain = plain && (mail_is_atext(c) || c == '.' ||
		                  (unsigned char)c >= 0x80);
		if (c == '"' || c == '\\')
			local[to++] = '\\';
		local[to++] = mail_ascii_lower(c);
	}
	if (i + 1 < length)
		return false;
	local[to] = '"';
	local[to + 1] = '\0';
	if (plain && to > 1) {
		memmove(local, local + 1, to - 1);
		local[to - 1] = '\0';
	}
	return true;
}

static bool local_plain(const char *text, size_t length)
{
	bool quoted = *text == '"';
	size_t i = 0;

	while (i < length) {
		uint32_t code;
		size_t step = text_utf8_read(text + i, length - i, &code);

		if (step == 0 || code < 0x20 || code == 0x7f ||
		    (!quoted && strchr(" <>()[],;:@\"\\", text[i])))
			return false;
		i += step;
	}
	return length > 0;
}

int mail_address_fold(const char *address, char folded[MAIL_ADDRESS_SIZE])
{
	const char *at = strrchr(address, '@');
	char local[MAIL_ADDRESS_SIZE], domain[DOMAIN_SIZE];
	size_t length, domain_length;

	if (!at || mail_domain_fold(at + 1, domain, sizeof(domain)) != 0)
		return ERR_INVALID;
	length = (size_t)(at - address);
	if (!local_plain(address, length) || length >= sizeof(local))
		return ERR_INVALID;
	if (!requote(address, length, local, sizeof(local)))
		(void)lower_copy(address, length, local, sizeof(local));
	length = strlen(local);
	domain_length = strlen(domain);
	if (length + 1 + domain_length >= MAIL_ADDRESS_SIZE)
		return ERR_INVALID;
	memcpy(folded, local, length);
	folded[length] = '@';
	memcpy(folded + length + 1, domain, domain_length + 1);
	return 0;
}

/* The key digit, three digits of the day and six of the hash; some senders
 * drop a leading zero. */
static bool is_batv_tag(const char *text, size_t length)
{
	size_t i;

	if (length < 8 || length > 10)
		return false;
	for (i = 0; i < length; i++)
		if (!strchr("0123456789abcdef", text[i]))
			return false;
	return strchr("0123456789", *text) != NULL;
}

/* The parts of a folded address that the forms below are made of. */
struct parts {
	const char *local;
	size_t local_length;
	const char *domain;
};

static bool join(const char *local, size_t local_length, const char *domain,
                 size_t domain_length, char out[MAIL_ADDRESS_SIZE])
{
	char text[MAIL_ADDRESS_SIZE];
	int length;

	if (local_length == 0 || domain_length == 0)
		return false;
	length = snprintf(text, sizeof(text), "%.*s@%.*s", (int)local_length,
	                  local, (int)domain_length, domain);
	if (length < 0 || (size_t)length >= sizeof(text))
		return false;
	return mail_address_fold(text, out) == 0;
}

static const char *find_in(const char *text, const char *end, char c)
{
	return text < end ? memchr(text, c, (size_t)(end - text)) : NULL;
}

/* prvs=tag=user@, prvs=user=tag@, msprvs1=tag=user@ and btv1==tag==user@. */
static bool take_off_batv(const struct parts *p, char out[MAIL_ADDRESS_SIZE])
{
	const char *end = p->local + p->local_length, *user, *equals;
	size_t domain_length = strlen(p->domain);

	if (strncmp(p->local, "btv1==", 6) == 0) {
		user = strstr(p->local + 6, "==");
		if (!user || user + 2 >= end)
			return false;
		return join(user + 2, (size_t)(end - user - 2), p->domain,
		            domain_length, out);
	}
	if (strncmp(p->local, "msprvs1=", 8) == 0) {
		equals = find_in(p->local + 8, end, '=');
		return equals && join(equals + 1, (size_t)(end - equals - 1),
		                      p->domain, domain_length, out);
	}
	if (strncmp(p->local, "prvs=", 5) != 0)
		return false;
	user = p->local + 5;
	equals = find_in(user, end, '=');
	if (equals && is_batv_tag(user, (size_t)(equals - user)))
		return join(equals + 1, (size_t)(end - equals - 1), p->domain,
		            domain_length, out);
	equals = memrchr(user, '=', (size_t)(end - user));
	return equals && is_batv_tag(equals + 1, (size_t)(end - equals - 1)) &&
	       join(user, (size_t)(equals - user), p->domain, domain_length,
	            out);
}

static bool is_separator(char c)
{
	return c == '=' || c == '+' || c == '-';
}

/* hash=tt=domain=local, as it stands after "SRS0=". */
static bool take_srs0(const char *text, const char *end,
                      char out[MAIL_ADDRESS_SIZE])
{
	const char *stamp = find_in(text, end, '=');
	const char *domain = stamp ? find_in(stamp + 1, end, '=') : NULL;
	const char *local = domain ? find_in(domain + 1, end, '=') : NULL;

	if (!local || !find_in(domain + 1, local, '.'))
		return false;
	return join(local + 1, (size_t)(end - local - 1), domain + 1,
	            (size_t)(local - domain - 1), out);
}

/* SRS0=hash=tt=domain=local@, SRS1=hash=host==hash=tt=domain=local@. */
static bool take_off_srs(const struct parts *p, char out[MAIL_ADDRESS_SIZE])
{
	const char *text = p->local, *end = text + p->local_length;

	if (p->local_length < 6 || strncmp(text, "srs", 3) != 0 ||
	    (text[3] != '0' && text[3] != '1') || !is_separator(text[4]))
		return false;
	if (text[3] == '0')
		return take_srs0(text + 5, end, out);
	text = find_in(text + 5, end, '=');
	text = text ? find_in(text + 1, end, '=') : NULL;
	if (!text || text + 1 >= end || !is_separator(text[1]))
		return false;
	return take_srs0(text + 2, end, out);
}

/* x+y=dom@; and user+caf_=y=dom@, by which a webmail forwards for user. */
static bool take_off_verp(const struct parts *p, char out[MAIL_ADDRESS_SIZE])
{
	const char *end = p->local + p->local_length;
	const char *plus = find_in(p->local, end, '+'), *equals;

	if (!plus || plus == p->local)
		return false;
	if (strncmp(plus, "+caf_=", 6) == 0)
		return join(p->local, (size_t)(plus - p->local), p->domain,
		            strlen(p->domain), out);
	equals = memrchr(plus, '=', (size_t)(end - plus));
	if (!equals || !find_in(equals, end, '.'))
		return false;
	return join(plus + 1, (size_t)(equals - plus - 1), equals + 1,
	            (size_t)(end - equals - 1), out);
}

static struct parts parts_of(const char *folded)
{
	const char *at = strrchr(folded, '@');

	return (struct parts){folded, at ? (size_t)(at - folded) : 0,
	                      at ? at + 1 : ""};
}

bool mail_sender_unwrap(const char *folded, char inside[MAIL_ADDRESS_SIZE])
{
	struct parts parts = parts_of(folded);

	return take_off_batv(&parts, inside) || take_off_srs(&parts, inside) ||
	       take_off_verp(&parts, inside);
}

int mail_sender_normalise(const char *address, char normal[MAIL_ADDRESS_SIZE])
{
	char text[MAIL_ADDRESS_SIZE], next[MAIL_ADDRESS_SIZE];
	int result = mail_address_fold(address, text), round;

	if (result)
		return result;
	for (round = 0; round < MAIL_UNWRAP_MAXIMUM; round++) {
		struct parts parts = parts_of(text);

		if (!take_off_batv(&parts, next))
			break;
		memcpy(text, next, sizeof(text));
	}
	memcpy(normal, text, strlen(text) + 1);
	return 0;
}

void mail_sender_shown(const char *address, char shown[MAIL_ADDRESS_SIZE])
{
	char text[MAIL_ADDRESS_SIZE], owner[MAIL_ADDRESS_SIZE];
	const char *at = strrchr(address, '@'), *found;
	struct parts parts = {.local = text};

	(void)snprintf(shown, MAIL_ADDRESS_SIZE, "%s", address);
	if (!at || mail_address_fold(address, text) != 0)
		return;
	parts.domain = mail_address_domain(text);
	parts.local_length = (size_t)(parts.domain - text) - 1;
	if (!take_off_batv(&parts, owner))
		return;
	*strrchr(owner, '@') = '\0';
	found = strcasestr(strchr(address, '='), owner);
	if (found)
		(void)snprintf(shown, MAIL_ADDRESS_SIZE, "%.*s%s",
		               (int)strlen(owner), found, at);
}
