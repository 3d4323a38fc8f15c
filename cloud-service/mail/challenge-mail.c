/* The challenge mail: header fields, and two languages in two forms. */
#include "cloud-service/mail/challenge-mail.h"

#include <ctype.h>

#include "cloud-service/challenge/assets.h"
#include "cloud-service/challenge/facts.h"
#include "cloud-service/text/display.h"
#include "cloud-service/mail/encode.h"
#include "cloud-service/text/template.h"
#include "cloud-service/text/text.h"
#include "common/clock.h"
#include "common/mail/address.h"

#define PART_MAXIMUM 32768
#define LINK_SIZE    1024

/* Of the recipient in the mail's subject, of the sender's display name. */
#define SUBJECT_ADDRESS_CHARACTERS 60
#define NAME_CHARACTERS            60

#define MESSAGE_ID_MAXIMUM 250

/* A rendering under way. */
struct composing {
	const struct challenge_mail *mail;
	enum text_language first, second;
	char link[LINK_SIZE];
	struct challenge_facts facts[TEXT_LANGUAGE_COUNT];
	struct error *err;
};

static const char *find_text(void *context, const char *name)
{
	const enum text_language *language = context;
	return text_find(*language, name);
}

static int render(struct composing *c, const char *asset_name,
                  enum text_language language, enum template_form form,
                  const struct template_value *values, struct buffer *out)
{
	struct asset asset;
	struct template_data data = {values, find_text, &language};
	if (asset_find(asset_name, &asset))
		return error_set(c->err, ERR_NOT_FOUND, "no %s", asset_name);
	return template_render(asset.bytes, asset.size, form, &data, out,
	                       c->err);
}

/* One language's half of a part. */
static int render_half(struct composing *c, enum text_language language,
                       enum template_form form, struct buffer *out)
{
	const struct challenge_facts *facts = &c->facts[language];
	const struct template_value values[] = {
	    {"lang", text_language_code(language)},
	    /* That the other language follows, in its own words. */
	    {"hint",
	     language == c->first ? text_find(c->second, "m.hint") : ""},
	    {"hint-lang", text_language_code(c->second)},
	    {"sender", facts->sender},
	    {"recipient", facts->recipient},
	    {"name", facts->name},
	    {"more", facts->more},
	    /* No link of a stranger's making stands in a mail of ours. */
	    {"subject",
	     display_holds_link(facts->subject) ? "" : facts->subject},
	    {"sent", facts->sent},
	    {"expires", facts->expires},
	    {"link", c->link},
	    {NULL, NULL},
	};
	return render(
	    c, form == TEMPLATE_HTML ? "mail-part.html" : "mail-part.txt",
	    language, form, values, out);
}

static int render_subject(struct composing *c, struct buffer *out)
{
	char recipient[4 * SUBJECT_ADDRESS_CHARACTERS + 1];
	display_clean(c->facts[c->first].recipient, SUBJECT_ADDRESS_CHARACTERS,
	              recipient);
	const struct template_value values[] = {{"recipient", recipient},
	                                        {NULL, NULL}};
	struct template_data data = {values, find_text, &c->first};
	static const char subject[] = "{{m.subject}}";
	return template_render(subject, sizeof(subject) - 1, TEMPLATE_TEXT,
	                       &data, out, c->err);
}

/* Puts the halves together and appends the part, quoted-printable. */
static int append_part(struct composing *c, enum template_form form,
                       const char *title, struct buffer *out)
{
	struct buffer first, second, whole;
	buffer_init(&first, PART_MAXIMUM);
	buffer_init(&second, PART_MAXIMUM);
	buffer_init(&whole, 3 * PART_MAXIMUM);
	int r = render_half(c, c->first, form, &first);
	if (!r)
		r = render_half(c, c->second, form, &second);
	const struct template_value values[] = {
	    {"lang", text_language_code(c->first)},
	    {"title", title},
	    {"first", buffer_text(&first)},
	    {"second", buffer_text(&second)},
	    {NULL, NULL},
	};
	if (!r)
		r = render(c, form == TEMPLATE_HTML ? "mail.html" : "mail.txt",
		           c->first, form, values, &whole);
	if (!r)
		r = mail_encode_quoted_printable(buffer_text(&whole), out);
	buffer_release(&first);
	buffer_release(&second);
	buffer_release(&whole);
	return r;
}

/* Whether text is one Message-ID in its brackets that is safe to repeat. */
static bool message_id_safe(const char *text)
{
	size_t length = strnlen(text, MESSAGE_ID_MAXIMUM + 1);
	if (length < 5 || length > MESSAGE_ID_MAXIMUM || text[0] != '<' ||
	    text[length - 1] != '>')
		return false;
	size_t ats = 0;
	for (size_t i = 1; i < length - 1; i++) {
		if (text[i] == '@')
			ats++;
		else if (!isalnum((unsigned char)text[i]) &&
		         !strchr("!#$%&'*+-/=?^_`{|}~.[]:", text[i]))
			return false;
	}
	return ats == 1 && text[1] != '@' && text[length - 2] != '@';
}

static int append_address_fields(struct composing *c, struct buffer *out)
{
	const struct challenge_mail *mail = c->mail;
	const char *own = mail->tenant->from_name;
	char name[4 * NAME_CHARACTERS + 1];
	display_clean(own && *own ? own : mail->from_name, NAME_CHARACTERS,
	              name);
	int r = buffer_append_text(out, "From: ");
	if (!r && name[0])
		r = mail_encode_words(name, MAIL_ENCODE_PHRASE, 6, out);
	if (!r)
		r = buffer_append_format(out, "%s<%s>\r\nTo: <%s>\r\n",
		                         name[0] ? "\r\n " : "", mail->from,
		                         mail->challenge->sender);
	return r;
}

static int append_identity_fields(struct composing *c, struct buffer *out)
{
	const struct challenge_mail *mail = c->mail;
	char date[CLOCK_TEXT_SIZE], id[ID_TEXT_SIZE];
	int r = buffer_append_format(
	    out, "Date: %s\r\nMessage-ID: <challenge.%s@%s>\r\n",
	    clock_format_rfc5322(mail->now_ms, date),
	    id_format(&mail->challenge->id, id),
	    mail_address_domain(mail->from));
	const char *original = mail->message->message_id;
	if (!r && original && message_id_safe(original))
		r = buffer_append_format(out,
		                         "In-Reply-To: %s\r\n"
		                         "References: %s\r\n",
		                         original, original);
	return r;
}

static int append_header(struct composing *c, const char *subject,
                         const char *boundary, struct buffer *out)
{
	int r = append_address_fields(c, out);
	if (!r)
		r = buffer_append_text(out, "Subject: ");
	if (!r)
		r = mail_encode_words(subject, MAIL_ENCODE_TEXT, 9, out);
	if (!r)
		r = buffer_append_text(out, "\r\n");
	if (!r)
		r = append_identity_fields(c, out);
	if (!r)
		r = buffer_append_format(
		    out,
		    "Auto-Submitted: auto-replied\r\n"
		    "X-Auto-Response-Suppress: All\r\n"
		    "Content-Language: %s, %s\r\n"
		    "MIME-Version: 1.0\r\n"
		    "Content-Type: multipart/alternative;\r\n"
		    " boundary=\"%s\"\r\n\r\n",
		    text_language_code(c->first), text_language_code(c->second),
		    boundary);
	return r;
}

static int append_part_header(const char *boundary, const char *type,
                              struct buffer *out)
{
	return buffer_append_format(
	    out,
	    "--%s\r\nContent-Type: text/%s; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
	    boundary, type);
}

static int append_mail(struct composing *c, const char *subject,
                       struct buffer *out)
{
	/* "=_" cannot stand in quoted-printable (RFC 2045 section 6.7). */
	char boundary[ID_TEXT_SIZE + 4] = "=_";
	id_format(&c->mail->challenge->id, boundary + 2);
	int r = append_header(c, subject, boundary, out);
	if (!r)
		r = append_part_header(boundary, "plain", out);
	if (!r)
		r = append_part(c, TEMPLATE_TEXT, subject, out);
	if (!r)
		r = append_part_header(boundary, "html", out);
	if (!r)
		r = append_part(c, TEMPLATE_HTML, subject, out);
	if (!r)
		r = buffer_append_format(out, "--%s--\r\n", boundary);
	return r;
}

/* The link, which must not break out of its line in the mail. */
static int make_link(struct composing *c)
{
	char token[TOKEN_TEXT_SIZE];
	const struct registry_challenge *challenge = c->mail->challenge;
	token_make(c->mail->token_key, TOKEN_CHALLENGE, &challenge->id,
	           challenge->expires_ms, token, NULL);
	int length = snprintf(c->link, sizeof(c->link), "%s/c/%s",
	                      c->mail->public_url, token);
	if (length < 0 || (size_t)length >= sizeof(c->link))
		return error_set(c->err, ERR_LIMIT, "public_url is too long");
	for (const char *p = c->link; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return error_set(c->err, ERR_INVALID,
			                 "public_url: not a URL");
	return 0;
}

int challenge_mail_render(const struct challenge_mail *mail, struct buffer *out,
                          struct error *err)
{
	struct buffer subject;
	struct composing c = {.mail = mail, .err = err};
	if (!mail_address_valid(mail->challenge->sender, false))
		return error_set(err, ERR_INVALID,
		                 "sender: not an address to write to");
	if (!mail_address_valid(mail->from, false))
		return error_set(err, ERR_INVALID,
		                 "challenge.from: not an "
		                 "address");
	c.first = text_language_parse(mail->tenant->language, TEXT_EN);
	c.second = c.first == TEXT_EN ? TEXT_FR : TEXT_EN;
	int r = make_link(&c);
	if (r)
		return r;
	for (int i = 0; i < TEXT_LANGUAGE_COUNT; i++)
		challenge_facts_fill(&c.facts[i], (enum text_language)i,
		                     mail->tenant, mail->challenge,
		                     mail->message);
	buffer_init(&subject, PART_MAXIMUM);
	r = render_subject(&c, &subject);
	if (!r)
		r = append_mail(&c, buffer_text(&subject), out);
	buffer_release(&subject);
	if (r == ERR_LIMIT)
		error_set(err, r, "the challenge mail grows too large");
	return r;
}
