/* The mailboxes of From, To and their kin (RFC 5322 section 3.4). */
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/mail/address.h"
#include "common/mail/header.h"
#include "common/mail/lexical.h"

#define MAILBOXES_MAXIMUM 1000
#define SHOWN_SIZE        1024 /* of a decoded value, as far as it is looked at */

/* An address being gathered: the word of the text that holds an "@". */
struct candidate {
	char text[MAIL_ADDRESS_SIZE];
	size_t length;
	bool space; /* white space or a comment came last */
	bool overflow;
};

static void candidate_reset(struct candidate *c)
{
	c->length = 0;
	c->text[0] = '\0';
	c->space = false;
	c->overflow = false;
}

/*
 * Appends size bytes. After white space a new word begins, unless an "@" or
 * "." on either side shows that the obsolete form (RFC 5322 section 4.4) goes
 * on; a word that has its "@" already stays.
 */
static void candidate_put(struct candidate *c, const char *bytes, size_t size)
{
	char last = c->length > 0 ? c->text[c->length - 1] : '\0';
	bool joins =
	    *bytes == '@' || *bytes == '.' || last == '@' || last == '.';

	if (c->space && !joins) {
		if (strchr(c->text, '@'))
			return;
		candidate_reset(c);
	}
	c->space = false;
	if (c->length + size >= sizeof(c->text)) {
		c->overflow = true;
		return;
	}
	memcpy(c->text + c->length, bytes, size);
	c->length += size;
	c->text[c->length] = '\0';
}

static bool candidate_good(const struct candidate *c)
{
	const char *at = strrchr(c->text, '@'), *p;

	if (c->overflow || !at || at == c->text || !at[1])
		return false;
	for (p = c->text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return !strpbrk(at, "\" ,;<>");
}

/* What is gathered of one mailbox. */
struct mailbox {
	struct candidate bare;  /* outside of angle brackets */
	struct candidate angle; /* inside of the first pair */
	bool has_angle;
	bool in_angle;
};

static void mailbox_reset(struct mailbox *m)
{
	candidate_reset(&m->bare);
	candidate_reset(&m->angle);
	m->has_angle = false;
	m->in_angle = false;
}

/* The end of a quoted string or domain literal that closes with close. */
static const char *bracket_end(const char *text, char close)
{
	for (text++; *text && *text != close; text++)
		if (*text == '\\' && text[1])
			text++;
	return *text ? text + 1 : text;
}

/* Takes the next token into m; returns what follows it. */
static const char *take_token(struct mailbox *m, const char *text)
{
	struct candidate *c = m->in_angle ? &m->angle : &m->bare;
	const char *next = mail_skip_cfws(text);

	if (next != text) {
		c->space = true;
		return next;
	}
	if (*text == '"' || *text == '[') {
		next = bracket_end(text, *text == '"' ? '"' : ']');
		/* A quote that never closes is a slip: the rest is read. */
		if (*text == '"' && !*next &&
		    (next - text < 2 || next[-1] != '"'))
			return text + 1;
		candidate_put(c, text, (size_t)(next - text));
		return next;
	}
	if (*text == '<' && !m->has_angle) {
		m->has_angle = true;
		m->in_angle = true;
	} else if (*text == '>') {
		m->in_angle = false;
	} else if (*text == ':') {
		/* A source route or a group's name ends here. */
		candidate_reset(c);
	} else if (*text == '\\' && text[1]) {
		candidate_put(c, text, 2);
		return text + 2;
	} else if (*text != '<') {
		candidate_put(c, text, 1);
	}
	return text + 1;
}

static const struct candidate *mailbox_result(const struct mailbox *m)
{
	const struct candidate *c = m->has_angle ? &m->angle : &m->bare;

	return candidate_good(c) ? c : NULL;
}

static bool ends_mailbox(const struct mailbox *m, const char *text)
{
	/* In a route (<@a,@b:c@d>) the comma is inside of the brackets. */
	bool in_route = m->in_angle && m->angle.text[0] == '@';

	return !*text || *text == ';' || (*text == ',' && !in_route);
}

void mail_header_each_mailbox(const char *value,
                              bool (*each)(const char *address, void *context),
                              void *context)
{
	struct mailbox m;
	unsigned told = 0;

	mailbox_reset(&m);
	for (;;) {
		const struct candidate *found;

		if (!ends_mailbox(&m, value)) {
			value = take_token(&m, value);
			continue;
		}
		found = mailbox_result(&m);
		if (found && (!each(found->text, context) ||
		              ++told >= MAILBOXES_MAXIMUM))
			return;
		if (!*value)
			return;
		mailbox_reset(&m);
		value++;
	}
}

struct first_mailbox {
	char *address;
	size_t size;
	int result;
};

static bool take_first(const char *address, void *context)
{
	struct first_mailbox *first = context;
	size_t length = strlen(address);

	if (length < first->size) {
		memcpy(first->address, address, length + 1);
		first->result = 0;
	}
	return false;
}

int mail_header_mailbox(const char *value, char *address, size_t size)
{
	struct first_mailbox first = {address, size, ERR_INVALID};

	mail_header_each_mailbox(value, take_first, &first);
	return first.result;
}

void mail_header_each_shown(const char *value,
                            bool (*each)(const char *address, void *context),
                            void *context)
{
	static const char ends[] = " \t\r\n<>()[]\"',;:@";
	char text[SHOWN_SIZE];
	const char *at = mail_header_decode(value, text, sizeof(text));

	while ((at = strchr(at, '@'))) {
		const char *start = at;
		size_t domain = strcspn(at + 1, ends);
		char address[SHOWN_SIZE];

		while (start > text && !strchr(ends, start[-1]))
			start--;
		(void)snprintf(address, sizeof(address), "%.*s",
		               (int)((size_t)(at - start) + 1 + domain), start);
		if (start < at && domain > 0 && !each(address, context))
			return;
		at++;
	}
}
