/* The SMTP client's transaction: MAIL to the answer of the final dot. */
#include <string.h>

#include "common/mem.h"
#include "common/smtp/client-private.h"

static bool is_positive(const struct smtp_reply *reply)
{
	return reply->code / 10 == 25;
}

static bool is_negative(const struct smtp_reply *reply)
{
	return reply->code / 100 == 4 || reply->code / 100 == 5;
}

static enum smtp_outcome outcome_of(const struct smtp_reply *reply)
{
	return reply->code / 100 == 5 ? SMTP_REFUSED : SMTP_DEFERRED;
}

static struct smtp_reply *copy_reply(const struct smtp_reply *reply)
{
	struct smtp_reply *copy = mem_alloc(sizeof(*copy));

	*copy = *reply;
	return copy;
}

/* The message needs what the server does not have. */
static bool lacks_utf8(const struct smtp_client *client)
{
	const struct smtp_transaction *transaction = &client->transaction;

	return !(client->offers & SMTP_OFFERS_SMTPUTF8) &&
	       (transaction->source.utf8 ||
	        smtp_address_needs_utf8(transaction->sender));
}

/* Refuses, with a reply of ours, the recipients that cannot be sent. */
static void skip_unsendable(struct smtp_client *client)
{
	const struct smtp_transaction *transaction = &client->transaction;
	bool all = lacks_utf8(client);

	for (size_t i = 0; i < transaction->recipient_count; i++) {
		struct smtp_client_recipient *one = &client->recipients[i];
		const char *address = transaction->recipients[i];
		bool valid = smtp_address_valid(SMTP_FORWARD_PATH, address);

		one->skipped = all || !valid ||
		               (!(client->offers & SMTP_OFFERS_SMTPUTF8) &&
		                smtp_address_needs_utf8(address));
		if (!one->skipped)
			continue;
		one->outcome = SMTP_REFUSED;
		one->refused = mem_alloc(sizeof(*one->refused));
		smtp_reply_set(one->refused, 0, "", "%s",
		               valid ? "it needs SMTPUTF8 (RFC 6531), which "
		                       "the server does not have"
		                     : "the address cannot be sent");
	}
}

/* The first recipient from index on that can be sent, or the count. */
static size_t next_sendable(const struct smtp_client *client, size_t index)
{
	while (index < client->transaction.recipient_count &&
	       client->recipients[index].skipped)
		index++;
	return index;
}

int smtp_client_begin(struct smtp_client *client,
                      const struct smtp_transaction *transaction)
{
	if (!smtp_client_ready(client))
		return ERR_UNAVAILABLE;
	if (!transaction->recipient_count ||
	    !smtp_address_valid(SMTP_REVERSE_PATH, transaction->sender))
		return ERR_INVALID;
	client->transaction = *transaction;
	client->recipients = mem_alloc_array(transaction->recipient_count,
	                                     sizeof(*client->recipients));
	skip_unsendable(client);
	client->recipients_sent = next_sendable(client, 0);
	client->recipients_answered = client->recipients_sent;
	client->recipients_accepted = 0;
	client->mail_sent = false;
	client->mail_accepted = false;
	client->data_sent = false;
	client->unsendable = false;
	client->lone_dot = false;
	client->dot_sent = false;
	client->body_place = SMTP_BODY_LINE_START;
	client->in_transaction = true;
	client->phase = SMTP_PHASE_ENVELOPE;
	return 0;
}

/* Whether the message, or an address that is sent, needs SMTPUTF8. */
static bool needs_utf8(const struct smtp_client *client)
{
	const struct smtp_transaction *transaction = &client->transaction;

	if (transaction->source.utf8 ||
	    smtp_address_needs_utf8(transaction->sender))
		return true;
	for (size_t i = 0; i < transaction->recipient_count; i++)
		if (!client->recipients[i].skipped &&
		    smtp_address_needs_utf8(transaction->recipients[i]))
			return true;
	return false;
}

static void send_mail(struct smtp_client *client)
{
	const struct smtp_source *source = &client->transaction.source;
	char size[32] = "";

	if ((client->offers & SMTP_OFFERS_SIZE) && source->size > 0)
		(void)snprintf(size, sizeof(size), " SIZE=%lld",
		               (long long)source->size);
	client->mail_sent = true;
	smtp_client_command(client, SMTP_AWAIT_MAIL, "MAIL FROM:<%s>%s%s%s",
	                    client->transaction.sender, size,
	                    (client->offers & SMTP_OFFERS_8BITMIME) &&
	                            source->eight_bit
	                        ? " BODY=8BITMIME"
	                        : "",
	                    needs_utf8(client) ? " SMTPUTF8" : "");
}

static void send_rcpt(struct smtp_client *client)
{
	size_t index = client->recipients_sent;

	client->recipients_sent = next_sendable(client, index + 1);
	smtp_client_command(client, SMTP_AWAIT_RCPT, "RCPT TO:<%s>",
	                    client->transaction.recipients[index]);
}

static void send_data(struct smtp_client *client)
{
	client->data_sent = true;
	smtp_client_command(client, SMTP_AWAIT_DATA, "DATA");
}

/* One command at a time: the next one when the last one was answered. */
static void fill_step(struct smtp_client *client)
{
	if (!client->mail_sent)
		send_mail(client);
	else if (client->awaited_first < client->awaited_count)
		return;
	else if (client->recipients_sent < client->transaction.recipient_count)
		send_rcpt(client);
	else if (!client->data_sent && !client->transaction.probe)
		send_data(client);
}

/* Nothing of it can be sent. An answer is awaited all the same, so that the
 * outcome is told from where every outcome is. */
static void send_nothing(struct smtp_client *client)
{
	if (client->mail_sent)
		return;
	client->mail_sent = true;
	smtp_client_command(client, SMTP_AWAIT_NOTHING, "RSET");
}

void smtp_client_fill_envelope(struct smtp_client *client)
{
	size_t count = client->transaction.recipient_count;

	if (client->mail_refused)
		return;
	if (next_sendable(client, 0) == count) {
		send_nothing(client);
		return;
	}
	if (!(client->offers & SMTP_OFFERS_PIPELINING)) {
		fill_step(client);
		return;
	}
	if (!client->mail_sent)
		send_mail(client);
	while (client->recipients_sent < count &&
	       client->output.length < SMTP_CLIENT_PIECE)
		send_rcpt(client);
	if (client->recipients_sent == count && !client->data_sent &&
	    !client->transaction.probe)
		send_data(client);
}

/* What the recipient at index is told in the end. */
static const struct smtp_reply *verdict(const struct smtp_client_recipient *one,
                                        enum smtp_outcome *outcome,
                                        const struct smtp_reply *reply)
{
	if (one->accepted || !one->refused)
		return reply;
	*outcome = one->outcome;
	return one->refused;
}

void smtp_client_tell(struct smtp_client *client, enum smtp_outcome outcome,
                      const struct smtp_reply *reply)
{
	struct smtp_transaction transaction = client->transaction;
	struct smtp_client_recipient *recipients = client->recipients;
	struct smtp_reply *mail_refused = client->mail_refused;

	/* The callbacks may begin the next transaction. */
	client->in_transaction = false;
	client->recipients = NULL;
	client->mail_refused = NULL;
	client->dot_sent = false;
	client->body_place = SMTP_BODY_LINE_START;
	for (size_t i = 0; i < transaction.recipient_count; i++) {
		enum smtp_outcome own = outcome;
		const struct smtp_reply *why = reply;

		if (mail_refused && !recipients[i].skipped) {
			/* It says nothing of a recipient. */
			own = transaction.probe ? SMTP_DEFERRED
			                        : outcome_of(mail_refused);
			why = mail_refused;
		} else {
			why = verdict(&recipients[i], &own, reply);
		}
		transaction.recipient(transaction.context, i, own, why);
		free(recipients[i].refused);
	}
	free(recipients);
	free(mail_refused);
	transaction.done(transaction.context);
}

/* Ends the transaction: accepted recipients get the reply and its outcome. */
static void conclude(struct smtp_client *client, enum smtp_outcome outcome,
                     const struct smtp_reply *reply, bool server_is_done)
{
	if (!server_is_done && client->mail_accepted) {
		client->phase = SMTP_PHASE_RSET;
		smtp_client_command(client, SMTP_AWAIT_RSET, "RSET");
	} else {
		smtp_client_rest(client);
	}
	smtp_client_tell(client, outcome, reply);
}

/* Concludes when nothing that was sent is still unanswered, and no DATA is or
 * will be. */
static void conclude_if_over(struct smtp_client *client,
                             const struct smtp_reply *reply)
{
	size_t count = client->transaction.recipient_count;
	bool all_refused = client->recipients_answered == count &&
	                   !client->recipients_accepted;

	if (client->data_sent ||
	    client->recipients_answered < client->recipients_sent)
		return;
	if (client->mail_refused || all_refused)
		conclude(client, outcome_of(reply), reply, false);
	else if (client->transaction.probe &&
	         client->recipients_answered == count)
		conclude(client, SMTP_ACCEPTED, reply, false);
}

int smtp_client_take_mail(struct smtp_client *client,
                          const struct smtp_reply *reply)
{
	if (is_positive(reply)) {
		client->mail_accepted = true;
		return 0;
	}
	if (!is_negative(reply))
		return smtp_client_fail(client, "MAIL answered with code %d",
		                        reply->code);
	client->quit_wanted = client->quit_wanted || reply->code == 421;
	client->mail_refused = copy_reply(reply);
	conclude_if_over(client, reply);
	return 0;
}

/*
 * The outcome of a refused RCPT. A 552 may mean "too many recipients", which
 * is no fault of this one (RFC 5321 section 4.5.3.1.10).
 */
static enum smtp_outcome rcpt_outcome(const struct smtp_reply *reply)
{
	if (reply->code == 552 &&
	    (!reply->enhanced[0] || !strcmp(reply->enhanced, "5.5.3")))
		return SMTP_DEFERRED;
	return outcome_of(reply);
}

int smtp_client_take_rcpt(struct smtp_client *client,
                          const struct smtp_reply *reply)
{
	struct smtp_client_recipient *one =
	    &client->recipients[client->recipients_answered];

	if (!is_positive(reply) && !is_negative(reply))
		return smtp_client_fail(client, "RCPT answered with code %d",
		                        reply->code);
	if (is_positive(reply) && client->mail_refused)
		return smtp_client_fail(client, "RCPT accepted without MAIL");
	client->recipients_answered =
	    next_sendable(client, client->recipients_answered + 1);
	if (is_positive(reply)) {
		one->accepted = true;
		client->recipients_accepted++;
	} else {
		client->quit_wanted = client->quit_wanted || reply->code == 421;
		one->outcome = rcpt_outcome(reply);
		one->refused = copy_reply(reply);
	}
	conclude_if_over(client, reply);
	return 0;
}

int smtp_client_take_nothing(struct smtp_client *client,
                             const struct smtp_reply *reply)
{
	if (!is_positive(reply) && !is_negative(reply))
		return smtp_client_fail(client, "RSET answered with code %d",
		                        reply->code);
	client->quit_wanted = client->quit_wanted || !is_positive(reply);
	conclude(client, SMTP_REFUSED, reply, false);
	return 0;
}

/*
 * The server waits for a message that nobody shall get. RFC 2920 section 3.1
 * has the client send a lone dot.
 */
static void send_lone_dot(struct smtp_client *client)
{
	client->phase = SMTP_PHASE_BODY;
	client->body_place = SMTP_BODY_ENDED;
	client->lone_dot = true;
	smtp_client_command(client, SMTP_AWAIT_DOT, ".");
}

int smtp_client_take_data(struct smtp_client *client,
                          const struct smtp_reply *reply)
{
	if (reply->code == 354 && client->recipients_accepted) {
		client->phase = SMTP_PHASE_BODY;
		return 0;
	}
	if (reply->code == 354) {
		send_lone_dot(client);
		return 0;
	}
	if (!is_negative(reply))
		return smtp_client_fail(client, "DATA answered with code %d",
		                        reply->code);
	client->quit_wanted = client->quit_wanted || reply->code == 421;
	conclude(client, outcome_of(reply), reply, false);
	return 0;
}

int smtp_client_take_dot(struct smtp_client *client,
                         const struct smtp_reply *reply)
{
	if (!is_positive(reply) && !is_negative(reply))
		return smtp_client_fail(client, "the dot answered with code %d",
		                        reply->code);
	client->quit_wanted = client->quit_wanted || reply->code == 421;
	conclude(client,
	         is_positive(reply) ? SMTP_DELIVERED : outcome_of(reply), reply,
	         true);
	return 0;
}
