/* Checks of the arguments of the registry's functions. */
#include "store/registry/input.h"

#include <string.h>

#include "common/text.h"

/* Of the names and the zone that strangers are shown, in bytes. */
#define SHOWN_NAME_MAXIMUM 200
#define ZONE_NAME_MAXIMUM  64

int input_optional(const char *field, const char *text, struct error *err)
{
	if (text &&
	    strnlen(text, REGISTRY_TEXT_MAXIMUM + 1) > REGISTRY_TEXT_MAXIMUM)
		return error_set(err, ERR_INVALID, "%s: longer than %d bytes",
		                 field, REGISTRY_TEXT_MAXIMUM);
	return 0;
}

int input_required(const char *field, const char *text, struct error *err)
{
	if (!text || !*text)
		return error_set(err, ERR_INVALID, "%s: missing", field);
	return input_optional(field, text, err);
}

int input_id(const char *field, const struct id *id, struct error *err)
{
	if (!id || id_is_none(id))
		return error_set(err, ERR_INVALID, "%s: missing", field);
	return 0;
}

int input_limit(size_t limit, size_t maximum, struct error *err)
{
	if (limit < 1 || limit > maximum)
		return error_set(err, ERR_INVALID, "limit: not in 1..%zu",
		                 maximum);
	return 0;
}

static int input_tenant_name(const char *name, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t length = name ? strnlen(name, 64) : 0;

	if (length < 1 || length > 63 || strspn(name, allowed) != length)
		return error_set(err, ERR_INVALID,
		                 "name: 1 to 63 of a-z, 0-9 and -");
	return 0;
}

static int input_language(const char *language, struct error *err)
{
	int error = input_required("language", language, err);

	if (error)
		return error;
	if (strcmp(language, "fr") != 0 && strcmp(language, "en") != 0)
		return error_set(err, ERR_INVALID, "language: fr or en");
	return 0;
}

/* A name that is shown: UTF-8, without controls. */
static int input_shown_name(const char *field, const char *name,
                            struct error *err)
{
	size_t size = name ? strnlen(name, SHOWN_NAME_MAXIMUM + 1) : 0;
	uint32_t code;

	if (size > SHOWN_NAME_MAXIMUM)
		return error_set(err, ERR_INVALID, "%s: longer than %d bytes",
		                 field, SHOWN_NAME_MAXIMUM);
	for (size_t length; size > 0; name += length, size -= length) {
		length = text_utf8_read(name, size, &code);
		if (!length)
			return error_set(err, ERR_INVALID, "%s: not UTF-8",
			                 field);
		if (code < ' ' || (code >= 0x7f && code <= 0x9f))
			return error_set(err, ERR_INVALID,
			                 "%s: a control character", field);
	}
	return 0;
}

/* Whether there is such a zone is asked where it is typed in: this registry
 * may be copied to a machine whose list of zones is older. */
static int input_time_zone(const char *zone, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
	                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "0123456789_+-/";
	size_t size = zone ? strnlen(zone, ZONE_NAME_MAXIMUM + 1) : 0;

	if (size > ZONE_NAME_MAXIMUM ||
	    (size && (zone[0] == '/' || strspn(zone, allowed) != size)))
		return error_set(err, ERR_INVALID,
		                 "time_zone: not a name as Europe/Paris");
	return 0;
}

static int input_quota(const char *field, int64_t quota, struct error *err)
{
	return quota < 0 ? error_set(err, ERR_INVALID, "%s: negative", field)
	                 : 0;
}

int input_tenant(const struct registry_tenant *tenant, struct error *err)
{
	int error;

	if ((error = input_id("id", &tenant->id, err)) ||
	    (error = input_tenant_name(tenant->name, err)) ||
	    (error = input_language(tenant->language, err)) ||
	    (error =
	         input_quota("quota_messages", tenant->quota_messages, err)) ||
	    (error = input_quota("quota_bytes", tenant->quota_bytes, err)) ||
	    (error =
	         input_shown_name("display_name", tenant->display_name, err)) ||
	    (error = input_time_zone(tenant->time_zone, err)))
		return error;
	return input_shown_name("from_name", tenant->from_name, err);
}

int input_role(const char *role, const struct id *tenant, struct error *err)
{
	int error = input_required("role", role, err);
	bool is_operator;

	if (error)
		return error;
	is_operator = strcmp(role, "operator") == 0;
	if (strcmp(role, "admin") != 0 && strcmp(role, "recipient") != 0 &&
	    !is_operator)
		return error_set(err, ERR_INVALID,
		                 "role: admin, recipient or operator");
	if (id_is_none(tenant) != is_operator)
		return error_set(err, ERR_INVALID,
		                 "role: an operator goes without a tenant");
	return 0;
}

static int input_recipient(const struct registry_recipient *recipient,
                           struct error *err)
{
	int error = input_required("recipient", recipient->address, err);

	if (error)
		return error;
	if (recipient->state != REGISTRY_HELD)
		return error_set(err, ERR_INVALID, "recipient: not held");
	if ((error = input_optional("by", recipient->by, err)))
		return error;
	return input_optional("why", recipient->why, err);
}

static int input_message_texts(const struct registry_message *message,
                               struct error *err)
{
	const struct {
		const char *field, *text;
	} texts[] = {
	    {"sender", message->sender},
	    {"sender_normal", message->sender_normal},
	    {"header_from", message->header_from},
	    {"subject", message->subject},
	    {"message_id", message->message_id},
	    {"client_address", message->client_address},
	    {"helo", message->helo},
	    {"challenge_reason", message->challenge_reason},
	};
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(texts) / sizeof(*texts); i++)
		error = input_optional(texts[i].field, texts[i].text, err);
	return error;
}

int input_message_head(const struct registry_message *message,
                       struct error *err)
{
	int error;

	if ((error = input_id("id", &message->id, err)) ||
	    (error = input_id("tenant", &message->tenant, err)) ||
	    (error = input_message_texts(message, err)))
		return error;
	if (!message->recipient_count)
		return error_set(err, ERR_INVALID, "recipients: none");
	if (message->size < 0)
		return error_set(err, ERR_INVALID, "size: negative");
	return 0;
}

int input_message(const struct registry_message *message, struct error *err)
{
	int error = input_message_head(message, err);

	for (size_t i = 0; !error && i < message->recipient_count; i++)
		error = input_recipient(&message->recipients[i], err);
	return error;
}

int input_entry(const struct id *tenant, const struct entry *entry,
                struct error *err)
{
	bool narrow = entry->scope == ENTRY_SCOPE_DOMAIN ||
	              entry->scope == ENTRY_SCOPE_MAILBOX;
	int error;

	if ((entry->scope == ENTRY_SCOPE_GLOBAL) != id_is_none(tenant))
		return error_set(err, ERR_INVALID,
		                 "scope: global goes without a tenant only");
	if ((unsigned)entry->scope > ENTRY_SCOPE_MAILBOX ||
	    (unsigned)entry->colour > ENTRY_BLACK ||
	    (unsigned)entry->kind > ENTRY_ADDRESS ||
	    (unsigned)entry->origin > ENTRY_FROM_OUTBOUND)
		return error_set(err, ERR_INVALID, "entry: unknown word");
	if (entry->deleted)
		return error_set(err, ERR_INVALID, "entry: deleted");
	if ((entry->scope_value && *entry->scope_value) != narrow)
		return error_set(err, ERR_INVALID, "scope_value: %s",
		                 narrow ? "missing" : "not in this scope");
	if ((error = input_id("id", &entry->id, err)) ||
	    (error = input_optional("scope_value", entry->scope_value, err)) ||
	    (error = input_required("value", entry->value, err)))
		return error;
	return input_optional("note", entry->note, err);
}

int input_challenge(const struct registry_challenge *challenge,
                    struct error *err)
{
	int error;

	if ((error = input_id("id", &challenge->id, err)) ||
	    (error = input_id("tenant", &challenge->tenant, err)) ||
	    (error = input_id("message", &challenge->message, err)) ||
	    (error = input_required("sender", challenge->sender, err)) ||
	    (error = input_optional("code", challenge->code, err)) ||
	    (error =
	         input_optional("mail_reply", challenge->mail_reply, err)) ||
	    (error = input_optional("end_reason", challenge->end_reason, err)))
		return error;
	if (challenge->state != CHALLENGE_STATE_OPEN)
		return error_set(err, ERR_INVALID, "state: not open");
	if ((unsigned)challenge->mail > MAIL_STATE_FAILED)
		return error_set(err, ERR_INVALID, "mail: unknown state");
	return 0;
}
