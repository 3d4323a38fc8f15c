/* Messages as JSON for the cloud, and its results. */
#include "local-agent/cloud/registrar-wire.h"

#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "local-agent/cloud/worker.h"

bool registrar_can_ask(const struct spool_recipient *recipient)
{
	char folded[MAIL_ADDRESS_SIZE];

	return recipient->state == SPOOL_HELD &&
	       mail_address_valid(recipient->address, true) &&
	       mail_address_fold(recipient->address, folded) == 0;
}

/* Appends "ADDRESS: why", cut where there is no room left. */
static void add_refusal(struct buffer *out, const char *address,
                        const char *why)
{
	(void)buffer_append_format(out, "%s%.320s: %.200s",
	                           out->length ? "; " : "", address, why);
}

char *registrar_refusal(const struct spool_message *message,
                        const json_t *refused)
{
	struct buffer out;
	const json_t *item;
	size_t i;

	buffer_init(&out, SPOOL_REFUSAL_MAXIMUM);
	json_array_foreach((json_t *)(uintptr_t)refused, i, item)
	{
		const char *address = cloud_text(item, "address");
		const char *why = cloud_text(item, "error");

		add_refusal(&out, address ? address : "?", why ? why : "?");
	}
	for (i = 0; i < message->recipient_count; i++)
		if (message->recipients[i].state == SPOOL_HELD &&
		    !registrar_can_ask(&message->recipients[i]))
			add_refusal(&out, message->recipients[i].address,
			            "not a mail address");
	if (!out.length) {
		buffer_release(&out);
		return NULL;
	}
	return buffer_take(&out);
}

/* A string; bytes that are no UTF-8 become '?'. */
static json_t *text(const char *value)
{
	json_t *string = json_string(value);
	char *copy, *byte;

	if (string)
		return string;
	copy = mem_copy_string(value ? value : "");
	for (byte = copy; *byte; byte++)
		if ((unsigned char)*byte >= 0x80)
			*byte = '?';
	string = json_string(copy);
	free(copy);
	return string;
}

static void set(json_t *object, const char *name, json_t *value)
{
	(void)json_object_set_new_nocheck(object, name, value);
}

static void set_time(json_t *object, const char *name, int64_t wall_ms)
{
	char when[CLOCK_TEXT_SIZE];

	set(object, name, json_string(clock_format_rfc3339(wall_ms, when)));
}

static json_t *auth_object(const struct mail_auth *auth)
{
	json_t *object = json_object();

	set(object, "stated", json_boolean(auth->stated));
	set(object, "spf", json_string(auth_result_name(auth->spf)));
	set(object, "dkim", json_string(auth_result_name(auth->dkim)));
	set(object, "dmarc", json_string(auth_result_name(auth->dmarc)));
	set(object, "spf_domain", text(auth->spf_domain));
	set(object, "dkim_domain", text(auth->dkim_domain));
	set(object, "dmarc_domain", text(auth->dmarc_domain));
	set(object, "aligned", json_boolean(auth->aligned));
	return object;
}

/* Those that are held: the cloud decides about them alone. */
static json_t *held_recipients(const struct spool_message *message)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		if (registrar_can_ask(&message->recipients[i]))
			(void)json_array_append_new(
			    list, text(message->recipients[i].address));
	return list;
}

/* The envelope sender. What is no text could become another's address: one
 * control makes sure that the cloud takes it for none. */
static json_t *sender_text(const char *sender)
{
	json_t *string = json_string(sender);

	return string ? string : json_string("\x7f");
}

static json_t *message_object(const struct spool_message *message,
                              bool with_subject)
{
	json_t *object = json_object();
	char id[ID_TEXT_SIZE];

	set(object, "id", json_string(id_format(&message->id, id)));
	set_time(object, "received_at", message->received_ms);
	set_time(object, "expires_at", message->expires_ms);
	set(object, "sender", sender_text(message->sender));
	set(object, "header_from", text(message->header_from));
	set(object, "subject", text(with_subject ? message->subject : ""));
	set(object, "message_id", text(message->message_id));
	set(object, "client_address", text(message->client_address));
	set(object, "helo", text(message->helo));
	set(object, "size", json_integer(message->size));
	set(object, "auth", auth_object(&message->auth));
	set(object, "challenge_reason", text(message->challenge_reason));
	set(object, "recipients", held_recipients(message));
	return object;
}

json_t *registrar_request(const struct spool_message *const *messages,
                          size_t count, bool with_subject)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < count; i++)
		(void)json_array_append_new(
		    list, message_object(messages[i], with_subject));
	return json_pack("{s:o}", "messages", list);
}

/* A verdict of "hold" changes nothing; an unknown one is a broken promise. */
static int read_verdicts(const json_t *result,
                         const struct spool_message *message,
                         struct decision_batch *batch)
{
	const json_t *list = json_object_get(result, "recipients"), *item;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, item)
	{
		const char *address = cloud_text(item, "address");
		const char *verdict = cloud_text(item, "verdict");
		const char *by = cloud_text(item, "by");
		const char *why = cloud_text(item, "why");

		if (!address || !verdict)
			return ERR_PROTOCOL;
		if (strcmp(verdict, "hold") == 0)
			continue;
		if (decision_add(batch, message, address, verdict,
		                 by ? by : "cloud", why ? why : ""))
			return ERR_PROTOCOL;
	}
	return 0;
}

int registrar_result(const json_t *answer, size_t index,
                     const struct spool_message *message,
                     struct decision_batch *batch,
                     enum registrar_status *status, char **refusal)
{
	const json_t *result =
	    json_array_get(json_object_get(answer, "results"), index);
	const char *id_text = cloud_text(result, "id");
	const char *word = cloud_text(result, "status");
	struct id id;

	if (!id_text || !word || id_parse(id_text, &id) ||
	    !id_equal(&id, &message->id))
		return ERR_PROTOCOL;
	if (strcmp(word, "refused") == 0) {
		const char *why = cloud_text(result, "error");

		*status = REGISTRAR_REFUSED;
		*refusal =
		    mem_copy_string(why && *why ? why : "no reason given");
		return 0;
	}
	if (strcmp(word, "registered") != 0 && strcmp(word, "known") != 0)
		return ERR_PROTOCOL;
	if (read_verdicts(result, message, batch))
		return ERR_PROTOCOL;
	*status = REGISTRAR_ACCEPTED;
	*refusal = registrar_refusal(
	    message, json_object_get(result, "refused_recipients"));
	decision_add_registered(batch, &message->id, *refusal);
	return 0;
}
