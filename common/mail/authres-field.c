/* The grammar of Authentication-Results: all of a field, or nothing of it. */
#include "common/mail/authres-field.h"

#include <string.h>

#include "common/banned.h"
#include "common/mail/address.h"
#include "common/mail/lexical.h"
#include "common/text.h"

#define COMMENT_DEPTH 10
#define VALUE_SIZE    1024
#define TSPECIALS     "()<>@,;:\\\"/[]?=" /* RFC 2045 section 5.1 */

/* The properties that name somebody. */
enum slot { SLOT_MAILFROM, SLOT_HELO, SLOT_D, SLOT_I, SLOT_FROM, SLOT_COUNT };

static const struct {
	const char *method, *ptype, *property;
	enum slot slot;
} slots[] = {
    {"spf", "smtp", "mailfrom", SLOT_MAILFROM},
    {"spf", "smtp", "mail", SLOT_MAILFROM}, /* older programs */
    {"spf", "smtp", "mfrom", SLOT_MAILFROM},
    {"spf", "smtp", "helo", SLOT_HELO},
    {"dkim", "header", "d", SLOT_D},
    {"dkim", "header", "i", SLOT_I},
    {"dmarc", "header", "from", SLOT_FROM},
};

/* The types of properties that a method does not have. */
static const struct {
	const char *method, *ptype;
} strangers[] = {
    {"spf", "header"}, {"spf", "body"}, {"dkim", "smtp"}, {"dmarc", "smtp"}};

/* A field as it is read; the values of one result at a time. */
struct scan {
	const char *at;
	struct authres_result result;
	bool given[SLOT_COUNT];
	char values[SLOT_COUNT][VALUE_SIZE];
};

/* --- tokens ------------------------------------------------------------- */

/* TAB, printable ASCII and valid UTF-8. */
static bool has_only_text(const char *value)
{
	size_t left = strlen(value);
	uint32_t code;

	while (left > 0) {
		unsigned char byte = (unsigned char)*value;
		size_t size = 1;

		if (byte >= 0x80)
			size = text_utf8_read(value, left, &code);
		else if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return false;
		if (size == 0)
			return false;
		value += size;
		left -= size;
	}
	return true;
}

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* Whether an unquoted word ends before c. */
static bool is_delimiter(char c)
{
	return !c || is_wsp(c) || c == ';' || c == '(';
}

/* Past a comment at s->at; false when it is open or too deep. */
static bool skip_comment(struct scan *s)
{
	unsigned depth = 0;

	for (; *s->at; s->at++) {
		if (*s->at == '\\') {
			if (!*++s->at)
				return false;
		} else if (*s->at == '(') {
			if (++depth > COMMENT_DEPTH)
				return false;
		} else if (*s->at == ')' && --depth == 0) {
			s->at++;
			return true;
		}
	}
	return false;
}

static bool skip_cfws(struct scan *s)
{
	for (;;) {
		if (is_wsp(*s->at))
			s->at++;
		else if (*s->at != '(')
			return true;
		else if (!skip_comment(s))
			return false;
	}
}

static bool put(char *out, size_t size, size_t *length, char c)
{
	if (*length + 1 >= size)
		return false;
	out[(*length)++] = c;
	out[*length] = '\0';
	return true;
}

/* Appends the quoted string at s->at; false when it is open or too long. */
static bool read_quoted(struct scan *s, char *out, size_t size, size_t *length)
{
	for (s->at++; *s->at != '"'; s->at++) {
		if (*s->at == '\\')
			s->at++;
		if (!*s->at || !put(out, size, length, *s->at))
			return false;
	}
	s->at++;
	return true;
}

/* Keyword of RFC 5321 section 4.1.2, in lower case. */
static bool read_keyword(struct scan *s, char *out, size_t size)
{
	size_t length = 0;

	for (; mail_is_alnum(*s->at) || *s->at == '-'; s->at++)
		if (!put(out, size, &length, mail_ascii_lower(*s->at)))
			return false;
	return length > 0 && out[length - 1] != '-';
}

static bool is_value_char(char c)
{
	return mail_is_atext(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr(".:[]", c));
}

/*
 * pvalue and value: a token, a quoted string, "@domain" or an address, whose
 * local part may be quoted, all of it or between dots.
 */
static bool read_value(struct scan *s, char *out, size_t size)
{
	size_t length = 0;
	bool at_seen = false, word_ended = false;

	out[0] = '\0';
	while (!is_delimiter(*s->at)) {
		if (*s->at == '"') {
			if (at_seen || word_ended ||
			    (length > 0 && s->at[-1] != '.') ||
			    !read_quoted(s, out, size, &length))
				return false;
			word_ended = true;
			continue;
		}
		if (*s->at == '@' && at_seen)
			return false;
		at_seen = at_seen || *s->at == '@';
		if (*s->at != '@' &&
		    (!is_value_char(*s->at) || (word_ended && *s->at != '.')))
			return false;
		word_ended = false;
		if (!put(out, size, &length, *s->at++))
			return false;
	}
	return length > 0 || word_ended;
}

static bool expect(struct scan *s, char c)
{
	if (!skip_cfws(s) || *s->at != c)
		return false;
	s->at++;
	return skip_cfws(s);
}

/* --- results ------------------------------------------------------------ */

static bool keep_property(struct scan *s, const char *ptype,
                          const char *property, const char *value)
{
	const char *method = s->result.method;
	size_t i;

	for (i = 0; i < sizeof(strangers) / sizeof(*strangers); i++)
		if (strcmp(method, strangers[i].method) == 0 &&
		    strcmp(ptype, strangers[i].ptype) == 0)
			return false;
	for (i = 0; i < sizeof(slots) / sizeof(*slots); i++) {
		enum slot slot = slots[i].slot;

		if (strcmp(method, slots[i].method) != 0 ||
		    strcmp(ptype, slots[i].ptype) != 0 ||
		    strcmp(property, slots[i].property) != 0)
			continue;
		if (s->given[slot])
			return false;
		s->given[slot] = true;
		(void)snprintf(s->values[slot], VALUE_SIZE, "%s", value);
	}
	return true;
}

/* The folded domain of "[local-part]@domain" or "domain", or "". */
static void copy_domain(const char *value, char domain[AUTHRES_DOMAIN_SIZE])
{
	const char *at = strrchr(value, '@');

	if (mail_domain_fold(at ? at + 1 : value, domain, AUTHRES_DOMAIN_SIZE))
		domain[0] = '\0';
}

/* Works the properties of a result that has been read into s->result. */
static void finish_result(struct scan *s)
{
	struct authres_result *result = &s->result;
	char identity[AUTHRES_DOMAIN_SIZE];

	result->has_mailfrom = s->given[SLOT_MAILFROM];
	result->has_helo = s->given[SLOT_HELO];
	result->has_from = s->given[SLOT_FROM];
	copy_domain(s->values[SLOT_MAILFROM], result->mailfrom);
	copy_domain(s->values[SLOT_FROM], result->from);
	copy_domain(s->values[SLOT_D], result->signer);
	copy_domain(s->values[SLOT_I], identity);
	if (!s->given[SLOT_I])
		return;
	if (!s->given[SLOT_D])
		(void)snprintf(result->signer, sizeof(result->signer), "%s",
		               identity);
	else if (!mail_domain_is_within(identity, result->signer))
		result->signer[0] = '\0';
}

/* methodspec; *known tells whether the method's version is 1. */
static bool read_method(struct scan *s, bool *known)
{
	struct authres_result *result = &s->result;
	char word[AUTHRES_WORD_SIZE];

	memset(result, 0, sizeof(*result));
	memset(s->given, 0, sizeof(s->given));
	memset(s->values, 0, sizeof(s->values));
	*known = true;
	if (!skip_cfws(s) ||
	    !read_keyword(s, result->method, sizeof(result->method)) ||
	    !skip_cfws(s))
		return false;
	if (*s->at == '/') {
		size_t digits;

		s->at++;
		if (!skip_cfws(s))
			return false;
		digits = strspn(s->at, "0123456789");
		if (digits == 0)
			return false;
		*known = digits == 1 && *s->at == '1';
		s->at += digits;
	}
	if (!expect(s, '=') || !read_keyword(s, word, sizeof(word)))
		return false;
	result->result = auth_result_parse(word);
	return true;
}

/* One "ptype.property=pvalue", or what may stand before them. */
static bool read_property(struct scan *s, bool first, bool exchange)
{
	char ptype[AUTHRES_WORD_SIZE], property[AUTHRES_WORD_SIZE];
	char value[VALUE_SIZE];

	if (!read_keyword(s, ptype, sizeof(ptype)) || !skip_cfws(s))
		return false;
	if (*s->at == '=')
		return first && expect(s, '=') &&
		       read_value(s, value, sizeof(value)) &&
		       (strcmp(ptype, "reason") == 0 ||
		        (exchange && strcmp(ptype, "action") == 0));
	return expect(s, '.') && read_keyword(s, property, sizeof(property)) &&
	       expect(s, '=') && read_value(s, value, sizeof(value)) &&
	       keep_property(s, ptype, property, value);
}

/* One resinfo up to its ";" or the end of the field. */
static bool read_result(struct scan *s, bool exchange, bool *known)
{
	bool first = true;

	if (!read_method(s, known))
		return false;
	for (;; first = false) {
		const char *before = s->at;

		if (!skip_cfws(s))
			return false;
		if (!*s->at || *s->at == ';')
			break;
		if (s->at == before || !read_property(s, first, exchange))
			return false;
	}
	finish_result(s);
	return true;
}

/* --- a field ------------------------------------------------------------ */

/* value of RFC 2045, and the job's id behind a "/". */
static bool read_id(struct scan *s, char *out, size_t size)
{
	size_t length = 0;

	if (*s->at == '"') {
		if (!read_quoted(s, out, size, &length))
			return false;
	} else {
		while (!is_delimiter(*s->at) && !strchr(TSPECIALS, *s->at))
			if (!put(out, size, &length, *s->at++))
				return false;
		if (*s->at == '/' && length > 0) {
			const char *job = ++s->at;

			while (mail_is_alnum(*s->at))
				s->at++;
			if (s->at == job)
				return false;
		}
	}
	return length > 0 && (is_delimiter(*s->at) || *s->at == '=');
}

/* authserv-id and version, up to the ";"; or nothing, where it is missing. */
static bool read_writer(struct scan *s, struct authres_id *id)
{
	const char *start;

	if (!skip_cfws(s))
		return false;
	start = s->at;
	if (!read_id(s, id->text, sizeof(id->text))) {
		id->text[0] = '\0';
		return false;
	}
	if (!skip_cfws(s))
		return false;
	if (*s->at == '=') {
		id->text[0] = '\0';
		id->missing = true;
		s->at = start;
		return true;
	}
	if (*s->at == '1') {
		s->at++;
		if (!skip_cfws(s))
			return false;
	}
	return *s->at == ';';
}

/* no-result, behind its ";"; s is not moved. */
static bool is_none(const struct scan *from)
{
	struct scan s = {.at = from->at};
	char word[AUTHRES_WORD_SIZE];

	return skip_cfws(&s) && read_keyword(&s, word, sizeof(word)) &&
	       strcmp(word, "none") == 0 && skip_cfws(&s) && !*s.at;
}

/* Reads the field once; calls each, where it is set, for its results. */
static bool read_field(const char *value, struct authres_id *id,
                       void (*each)(const struct authres_result *result,
                                    void *context),
                       void *context)
{
	struct scan s = {.at = value};
	bool known;

	memset(id, 0, sizeof(*id));
	if (!read_writer(&s, id))
		return false;
	if (!id->missing) {
		s.at++;
		if (is_none(&s))
			return true;
	}
	for (;;) {
		if (!read_result(&s, id->missing, &known))
			return false;
		if (each && known)
			each(&s.result, context);
		if (!*s.at)
			return true;
		s.at++;
	}
}

bool authres_field_read(const char *value, struct authres_id *id,
                        void (*each)(const struct authres_result *result,
                                     void *context),
                        void *context)
{
	if (!has_only_text(value)) {
		memset(id, 0, sizeof(*id));
		return false;
	}
	return read_field(value, id, NULL, NULL) &&
	       read_field(value, id, each, context);
}
