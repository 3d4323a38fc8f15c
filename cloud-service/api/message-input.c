/* Reads the JSON of one held message into the registry's form. */
#include "cloud-service/api/message-input.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/api/json.h"
#include "cloud-service/api/api.h"
#include "common/clock.h"
#include "common/mail/address.h"
#include "common/mail/identity.h"
#include "common/mem.h"

#define MAXIMUM_ADDRESS    320
#define MAXIMUM_SUBJECT    1000
#define MAXIMUM_MESSAGE_ID 998
#define MAXIMUM_HELO       255
#define MAXIMUM_REASON     40
/* A clock that is wrong by more than this is not to fill the registry with
 * mail that never expires. */
#define MAXIMUM_HOLD_MS (INT64_C(400) * 24 * 3600 * 1000)

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			return true;
	return false;
}

/* The envelope sender as given; "" is the null sender. One that is no address
 * is kept as it can be shown (its mail waits like any other), but has no normal
 * form, and nobody writes to it. */
static int read_sender(const json_t *object, struct registry_message *message,
                       struct error *err)
{
	return json_field_shown(object, "sender", MAXIMUM_ADDRESS,
	                        &message->sender, err);
}

static int read_times(const json_t *object, struct registry_message *message,
                      struct error *err)
{
	int64_t now = clock_wall_ms();
	int result;

	result =
	    json_field_time(object, "received_at", &message->received_ms, err);
	if (!result)
		result = json_field_time(object, "expires_at",
		                         &message->expires_ms, err);
	if (result)
		return result;
	if (message->expires_ms > now + MAXIMUM_HOLD_MS)
		return error_set(err, ERR_INVALID,
		                 "expires_at: too far in the future");
	if (message->received_ms > now + MAXIMUM_HOLD_MS)
		return error_set(err, ERR_INVALID,
		                 "received_at: in the future");
	message->registered_ms = now;
	return 0;
}

static int read_result(const json_t *object, const char *name,
                       enum auth_result *value, struct error *err)
{
	const char *text;
	int result = json_field_text(object, name, 32, false, &text, err);

	if (!result)
		*value = auth_result_parse(text);
	return result;
}

static int read_domain(const json_t *object, const char *name, char value[256],
                       struct error *err)
{
	const char *text;
	int result = json_field_text(object, name, 255, false, &text, err);

	if (result)
		return result;
	if (has_control(text))
		return error_set(err, ERR_INVALID, "%s: has control characters",
		                 name);
	memcpy(value, text, strlen(text) + 1);
	return 0;
}

static int read_auth_fields(const json_t *auth, struct mail_auth *out,
                            struct error *err)
{
	int result = json_field_boolean(auth, "stated", &out->stated, err);

	if (!result)
		result =
		    json_field_boolean(auth, "aligned", &out->aligned, err);
	if (!result)
		result = read_result(auth, "spf", &out->spf, err);
	if (!result)
		result = read_result(auth, "dkim", &out->dkim, err);
	if (!result)
		result = read_result(auth, "dmarc", &out->dmarc, err);
	if (!result)
		result = read_domain(auth, "spf_domain", out->spf_domain, err);
	if (!result)
		result =
		    read_domain(auth, "dkim_domain", out->dkim_domain, err);
	if (!result)
		result =
		    read_domain(auth, "dmarc_domain", out->dmarc_domain, err);
	return result;
}

static int read_auth(const json_t *object, struct mail_auth *out,
                     struct error *err)
{
	const json_t *auth = json_object_get(object, "auth");
	struct error why = {0};

	if (!auth || json_is_null(auth))
		return 0;
	if (!json_is_object(auth))
		return error_set(err, ERR_INVALID, "auth: not an object");
	if (read_auth_fields(auth, out, &why))
		return error_set(err, ERR_INVALID, "auth.%.400s", why.text);
	return 0;
}

/* Who is behind it, by the evidence that was registered with it. */
static void find_person(const json_t *object, struct registry_message *message)
{
	const char *given =
	    json_string_value(json_object_get(object, "sender"));
	struct mail_identity identity;

	mail_identity_find(&identity, message->sender, message->header_from,
	                   &message->auth);
	/* One that can be shown only as another is nobody. */
	if (given && strcmp(given, message->sender) != 0)
		identity.person[0] = '\0';
	message->sender_normal = mem_copy_string(identity.person);
	message->auth.aligned = identity.person_pass != MAIL_PASS_NONE;
}

static int read_reason(const json_t *object, struct registry_message *message,
                       struct error *err)
{
	const char *text;
	int result = json_field_text(object, "challenge_reason", MAXIMUM_REASON,
	                             false, &text, err);

	if (result)
		return result;
	/* A word that an agent of a newer version knows is a reason too. */
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz-") != strlen(text))
		return error_set(err, ERR_INVALID,
		                 "challenge_reason: not a reason");
	message->challenge_reason = mem_copy_string(text);
	return 0;
}

static int read_texts(const json_t *object, struct registry_message *message,
                      struct error *err)
{
	const char *address;
	int result;

	result =
	    json_field_text(object, "client_address", 64, false, &address, err);
	if (!result && has_control(address))
		result = error_set(err, ERR_INVALID,
		                   "client_address: has control characters");
	if (result)
		return result;
	message->client_address = mem_copy_string(address);
	result = json_field_shown(object, "header_from", MAXIMUM_ADDRESS,
	                          &message->header_from, err);
	if (!result)
		result = json_field_shown(object, "subject", MAXIMUM_SUBJECT,
		                          &message->subject, err);
	if (!result)
		result =
		    json_field_shown(object, "message_id", MAXIMUM_MESSAGE_ID,
		                     &message->message_id, err);
	if (!result)
		result = json_field_shown(object, "helo", MAXIMUM_HELO,
		                          &message->helo, err);
	return result;
}

static bool has_recipient(const struct registry_message *message,
                          const char *folded)
{
	size_t i;

	for (i = 0; i < message->recipient_count; i++)
		if (!strcmp(message->recipients[i].address, folded))
			return true;
	return false;
}

/* Why the recipient cannot be registered, or NULL with its folded form. */
static const char *refuse_recipient(const char *text,
                                    const struct tenant_domains *domains,
                                    char folded[MAIL_ADDRESS_SIZE])
{
	if (!mail_address_valid(text, true) || mail_address_fold(text, folded))
		return "not a mail address";
	if (!tenant_domains_have(domains, folded))
		return "not of a domain of yours";
	return NULL;
}

static void add_recipient(struct registry_message *message, const char *folded)
{
	struct registry_recipient *added;

	if (has_recipient(message, folded))
		return;
	added = &message->recipients[message->recipient_count++];
	added->address = mem_copy_string(folded);
	added->state = REGISTRY_HELD;
	added->changed_ms = message->registered_ms;
	added->by = mem_copy_string("policy");
	added->why = mem_copy_string("no entry of the lists counted for it");
}

/* One that is refused does not keep the others of its message waiting. */
static int read_recipient(const json_t *element, size_t index,
                          const struct tenant_domains *domains,
                          struct registry_message *message, json_t *refused,
                          struct error *err)
{
	const char *text = json_string_value(element), *why;
	char folded[MAIL_ADDRESS_SIZE];

	if (!text)
		return error_set(err, ERR_INVALID,
		                 "recipients[%zu]: not a string", index);
	why = refuse_recipient(text, domains, folded);
	if (!why)
		add_recipient(message, folded);
	else
		(void)json_array_append_new(
		    refused,
		    json_pack("{s:O,s:s}", "address", element, "error", why));
	return 0;
}

static int read_recipients(const json_t *object,
                           const struct tenant_domains *domains,
                           struct registry_message *message, json_t *refused,
                           struct error *err)
{
	const json_t *array;
	size_t i, count;
	int result;

	result = json_field_array(object, "recipients", API_MAXIMUM_RECIPIENTS,
	                          &array, err);
	if (result)
		return result;
	count = json_array_size(array);
	if (count == 0)
		return error_set(err, ERR_INVALID, "recipients: empty");
	message->recipients =
	    mem_alloc_array(count, sizeof(*message->recipients));
	for (i = 0; i < count && !result; i++)
		result = read_recipient(json_array_get(array, i), i, domains,
		                        message, refused, err);
	if (!result && message->recipient_count == 0)
		return error_set(err, ERR_INVALID, "recipients[0]: %s",
		                 json_string_value(json_object_get(
		                     json_array_get(refused, 0), "error")));
	return result;
}

int message_input_read(const json_t *object, const struct id *tenant,
                       const struct tenant_domains *domains,
                       struct registry_message *message, json_t *refused,
                       struct error *err)
{
	struct registry_message read = {.tenant = *tenant};
	int result;

	result = json_field_id(object, "id", &read.id, err);
	if (!result)
		result = read_sender(object, &read, err);
	if (!result)
		result = read_times(object, &read, err);
	if (!result)
		result = read_texts(object, &read, err);
	if (!result)
		result = json_field_integer(object, "size", 0, INT64_MAX,
		                            &read.size, err);
	if (!result)
		result = read_auth(object, &read.auth, err);
	if (!result)
		find_person(object, &read);
	if (!result)
		result = read_reason(object, &read, err);
	if (!result)
		result = read_recipients(object, domains, &read, refused, err);
	if (result)
		registry_message_release(&read);
	else
		*message = read;
	return result;
}
