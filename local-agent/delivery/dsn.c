/* The text of delivery status notifications, and who may get one. */
#include "local-agent/delivery/dsn.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/mail/address.h"
#include "common/mail/challenge-rule.h"
#include "common/mail/identity.h"
#include "common/smtp/reply.h"
#include "common/text.h"

#define SHOWN_RECIPIENTS 50  /* in the text for people */
#define REPLY_MAXIMUM    700 /* bytes of an answer in one line */
#define LINE_MAXIMUM     998 /* RFC 5322 section 2.1.1 */

/* --- who is told ------------------------------------------------------- */

/* Whether a pass covers the address that MAIL FROM named. */
static bool is_authenticated(const struct spool_message *message)
{
	struct mail_identity identity;

	mail_identity_find(&identity, message->sender, message->header_from,
	                   &message->auth);
	return identity.given_pass != MAIL_PASS_NONE;
}

/* Reasons not to challenge that forbid a report too. */
static bool is_automatic(const char *reason)
{
	static const enum challenge_reason reasons[] = {
	    CHALLENGE_NULL_SENDER, CHALLENGE_AUTO_SUBMITTED,
	    CHALLENGE_AUTO_HEADER, CHALLENGE_BAD_CONTENT,
	    CHALLENGE_REPORT,      CHALLENGE_OWN_DOMAIN};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(reason, challenge_reason_name(reasons[i])) == 0)
			return true;
	return false;
}

static bool any_not_ascii(const struct spool_message *message)
{
	for (size_t i = 0; i < message->recipient_count; i++)
		if (!text_is_ascii(message->recipients[i].address))
			return true;
	return !text_is_ascii(message->sender);
}

const char *dsn_forbidden(const struct spool_message *message,
                          bool (*own_domain)(const char *domain, void *context),
                          void *context)
{
	char folded[MAIL_ADDRESS_SIZE];

	if (mail_address_is_null_sender(message->sender) ||
	    !id_is_none(&message->dsn_of))
		return "a report is never answered";
	if (mail_address_fold(message->sender, folded))
		return "the sender is no mail address";
	if (is_automatic(message->challenge_reason))
		return "it is automatic, harmful, or claims one of our domains";
	if (own_domain(mail_address_domain(folded), context))
		return "the sender claims one of our domains";
	if (!is_authenticated(message))
		return "the sender is not authenticated";
	/* RFC 6533 has another form for these. */
	if (message->smtputf8 || any_not_ascii(message))
		return "an address is not ASCII";
	return NULL;
}

/* --- what others chose ------------------------------------------------- */

/* Appends text, cut, with what is not printable ASCII as "?". */
static void put_ascii(struct buffer *out, const char *text, size_t maximum)
{
	for (size_t i = 0; i < maximum && text[i]; i++) {
		bool plain = text[i] >= ' ' && text[i] <= '~';

		(void)buffer_append(out, plain ? &text[i] : "?", 1);
	}
}

/* Appends UTF-8 text, cut between letters, with controls as "?". */
static void put_utf8(struct buffer *out, const char *text, size_t maximum)
{
	size_t length = text_utf8_cut(text, maximum);

	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		(void)buffer_append(
		    out, byte >= ' ' && byte != 0x7f ? &text[i] : "?", 1);
	}
}

/*
 * A line of the failed message's header: within the limits of SMTP, whose
 * ends of lines alone remain. False after the last line of the header.
 */
static bool put_header_line(struct buffer *out, const char *line, size_t length)
{
	while (length > 0 && line[length - 1] == '\r')
		length--;
	if (length == 0)
		return false;
	if (length > LINE_MAXIMUM)
		length = LINE_MAXIMUM;
	for (size_t i = 0; i < length; i++) {
		bool bad = line[i] == '\r' || line[i] == '\0';

		(void)buffer_append(out, bad ? "?" : &line[i], 1);
	}
	(void)buffer_append_text(out, "\r\n");
	return true;
}

static void put_header(struct buffer *out, const char *header, size_t size)
{
	size_t at = 0;

	if (size > DSN_HEADER_MAXIMUM)
		size = DSN_HEADER_MAXIMUM;
	while (at < size) {
		const char *end = memchr(header + at, '\n', size - at);

		/* A line that was cut is left out. */
		if (!end || !put_header_line(out, header + at,
		                             (size_t)(end - header) - at))
			return;
		at = (size_t)(end - header) + 1;
	}
}

/* --- status codes ------------------------------------------------------ */

static bool is_code(const char *reply)
{
	return isdigit((unsigned char)reply[0]) &&
	       isdigit((unsigned char)reply[1]) &&
	       isdigit((unsigned char)reply[2]) &&
	       (reply[3] == ' ' || !reply[3]);
}

/* Writes the enhanced code of a 5xx (RFC 3463), "5.0.0" where it gave none;
 * what was tried for too long has expired: "4.4.7". */
static void put_status(struct buffer *out, const char *reply)
{
	size_t length;

	if (!is_code(reply) || reply[0] != '5') {
		(void)buffer_append_text(out, "4.4.7");
		return;
	}
	reply += reply[3] ? 4 : 3;
	length = smtp_enhanced_length(reply);
	if (length > 0 && reply[0] == '5' &&
	    (reply[length] == ' ' || !reply[length]))
		(void)buffer_append(out, reply, length);
	else
		(void)buffer_append_text(out, "5.0.0");
}

/* --- the parts --------------------------------------------------------- */

static void put_date(struct buffer *out, const char *name, int64_t wall_ms)
{
	char when[CLOCK_TEXT_SIZE];

	(void)buffer_append_format(out, "%s: %s\r\n", name,
	                           clock_format_rfc5322(wall_ms, when));
}

/* The message that this answers, where its id can stand in a header. */
static void put_references(struct buffer *out, const char *message_id)
{
	size_t length = strlen(message_id);

	if (length < 3 || length > LINE_MAXIMUM - 20 || message_id[0] != '<' ||
	    message_id[length - 1] != '>' || !text_is_ascii(message_id) ||
	    strcspn(message_id, " \t\r\n\x7f") != length)
		return;
	(void)buffer_append_format(out, "In-Reply-To: %s\r\nReferences: %s\r\n",
	                           message_id, message_id);
}

static void put_head(const struct agent_config *config, const struct dsn *dsn,
                     const char *boundary, struct buffer *out)
{
	char id[ID_TEXT_SIZE];

	put_date(out, "Date", dsn->now_ms);
	(void)buffer_append_format(
	    out,
	    "From: Mail Delivery System <%s>\r\n"
	    "To: <%s>\r\n"
	    "Subject: Undelivered mail / Message non remis\r\n"
	    "Message-ID: <%s@%s>\r\n",
	    config->dsn_from, dsn->failed->sender, id_format(&dsn->id, id),
	    config->hostname);
	put_references(out, dsn->failed->message_id);
	(void)buffer_append_format(
	    out,
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n"
	    "\r\n"
	    "This is a MIME-encapsulated message.\r\n",
	    boundary);
}

static void put_part(struct buffer *out, const char *boundary, const char *type)
{
	(void)buffer_append_format(out,
	                           "\r\n--%s\r\nContent-Type: %s\r\n"
	                           "Content-Transfer-Encoding: 8bit\r\n\r\n",
	                           boundary, type);
}

/* The words around the list of recipients, in one language. */
struct words {
	const char *before, *subject, *sent, *expired, *others, *after;
};

static const struct words english = {
    .before = "Your message could not be delivered.\r\n",
    .subject = "Subject",
    .sent = "Sent",
    .expired = "The mail server did not accept it in time. It said last:",
    .others = "more recipients are named in the attached report",
    .after =
        "No further attempt will be made for the addresses above; any other\r\n"
        "recipients of your message are not affected. Please check the\r\n"
        "addresses, or reach the people by another way. If you ask for "
        "help,\r\n"
        "quote this reference: "};

static const struct words french = {
    .before = "Votre message n'a pas pu \xc3\xaatre remis.\r\n",
    .subject = "Objet",
    .sent = "Envoy\xc3\xa9 le",
    .expired = "Le serveur de messagerie ne l'a pas accept\xc3\xa9 \xc3\xa0 "
               "temps. Sa derni\xc3\xa8re r\xc3\xa9ponse :",
    .others = "autres destinataires sont cit\xc3\xa9s dans le rapport joint",
    .after =
        "Aucune autre tentative ne sera faite pour les adresses ci-dessus ; "
        "les\r\n"
        "autres destinataires de votre message ne sont pas concern\xc3\xa9s. "
        "Veuillez\r\n"
        "v\xc3\xa9rifier les adresses, ou joindre ces personnes par un autre "
        "moyen. Si\r\n"
        "vous demandez de l'aide, indiquez cette r\xc3\xa9"
        "f\xc3\xa9rence : "};

/* An address, and what the next hop said of it. */
static void put_answer(struct buffer *out, const struct words *words,
                       const struct spool_recipient *recipient)
{
	(void)buffer_append_text(out, "\r\n    <");
	put_ascii(out, recipient->address, MAIL_ADDRESS_SIZE);
	(void)buffer_append_text(out, ">\r\n");
	if (!is_code(recipient->reply) || recipient->reply[0] != '5')
		(void)buffer_append_format(out, "    %s\r\n", words->expired);
	if (*recipient->reply) {
		(void)buffer_append_text(out, "    ");
		put_ascii(out, recipient->reply, REPLY_MAXIMUM);
		(void)buffer_append_text(out, "\r\n");
	}
}

static void put_words(struct buffer *out, const struct words *words,
                      const struct dsn *dsn)
{
	const struct spool_message *failed = dsn->failed;
	char when[CLOCK_TEXT_SIZE], id[ID_TEXT_SIZE];

	(void)buffer_append_format(out, "%s\r\n    %s: ", words->before,
	                           words->subject);
	put_utf8(out, failed->subject, 200);
	(void)buffer_append_format(
	    out, "\r\n    %s: %s\r\n", words->sent,
	    clock_format_rfc5322(failed->received_ms, when));
	for (size_t i = 0; i < dsn->count && i < SHOWN_RECIPIENTS; i++)
		put_answer(out, words, &failed->recipients[dsn->recipients[i]]);
	(void)buffer_append_text(out, "\r\n");
	if (dsn->count > SHOWN_RECIPIENTS)
		(void)buffer_append_format(out, "    %zu %s\r\n\r\n",
		                           dsn->count - SHOWN_RECIPIENTS,
		                           words->others);
	(void)buffer_append_format(out, "%s%s\r\n", words->after,
	                           id_format(&failed->id, id));
}

static void put_status_of(const struct dsn *dsn,
                          const struct spool_recipient *recipient,
                          struct buffer *out)
{
	(void)buffer_append_text(out, "\r\nFinal-Recipient: rfc822; ");
	put_ascii(out, recipient->address, MAIL_ADDRESS_SIZE);
	(void)buffer_append_text(out, "\r\nAction: failed\r\nStatus: ");
	put_status(out, recipient->reply);
	(void)buffer_append_text(out, "\r\n");
	if (is_code(recipient->reply)) {
		(void)buffer_append_text(out, "Diagnostic-Code: smtp; ");
		put_ascii(out, recipient->reply, REPLY_MAXIMUM);
		(void)buffer_append_text(out, "\r\n");
	}
	put_date(out, "Last-Attempt-Date",
	         recipient->state == SPOOL_FAILED ? recipient->changed_ms
	                                          : dsn->now_ms);
}

static void put_delivery_status(const struct agent_config *config,
                                const struct dsn *dsn, struct buffer *out)
{
	char id[ID_TEXT_SIZE];

	(void)buffer_append_format(out,
	                           "Reporting-MTA: dns; %s\r\n"
	                           "X-Turing-Id: %s\r\n",
	                           config->hostname,
	                           id_format(&dsn->failed->id, id));
	put_date(out, "Arrival-Date", dsn->failed->received_ms);
	for (size_t i = 0; i < dsn->count; i++)
		put_status_of(dsn, &dsn->failed->recipients[dsn->recipients[i]],
		              out);
}

void dsn_print(const struct agent_config *config, const struct dsn *dsn,
               struct buffer *out)
{
	char boundary[ID_TEXT_SIZE + 8], id[ID_TEXT_SIZE];

	/* Who wrote the message knows nothing of the DSN's id. */
	(void)snprintf(boundary, sizeof(boundary), "turing-%s",
	               id_format(&dsn->id, id));
	put_head(config, dsn, boundary, out);
	put_part(out, boundary, "text/plain; charset=utf-8");
	put_words(out, &english, dsn);
	(void)buffer_append_text(out, "\r\n----------\r\n\r\n");
	put_words(out, &french, dsn);
	put_part(out, boundary, "message/delivery-status");
	put_delivery_status(config, dsn, out);
	put_part(out, boundary, "text/rfc822-headers");
	put_header(out, dsn->header, dsn->header_size);
	(void)buffer_append_format(out, "\r\n--%s--\r\n", boundary);
}
