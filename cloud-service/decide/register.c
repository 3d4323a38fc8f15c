/* The flow of registration: store, lists, challenge. */
#include "cloud-service/decide/register.h"

#include <stdlib.h>
#include <string.h>

#include "captcha/captcha.h"
#include "cloud-service/challenge/gate.h"
#include "cloud-service/cloud-metrics.h"
#include "cloud-service/decide/lists.h"
#include "cloud-service/mail/worker.h"
#include "cloud-service/decide/settle.h"
#include "cloud-service/challenge/token.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/address.h"
#include "common/mail/automatic.h"
#include "common/mail/challenge-rule.h"
#include "common/mail/identity.h"
#include "common/mem.h"

/* How often a challenge may end between our look and our attaching to it. */
#define MAXIMUM_ROUNDS 5

static const char *const no_reason = "";

const char *register_forbids(const struct tenant_domains *domains,
                             const struct registry_message *message)
{
	const char *given = message->sender;
	const struct mail_auth *auth = &message->auth;
	struct mail_identity identity;

	mail_identity_find(&identity, given, message->header_from, auth);
	if (mail_address_is_null_sender(given))
		return challenge_reason_name(CHALLENGE_NULL_SENDER);
	if (!mail_address_valid(given, false) ||
	    !mail_address_valid(message->sender_normal, false))
		return challenge_reason_name(CHALLENGE_UNWRITABLE);
	if (mail_address_is_null_sender(identity.person))
		return challenge_reason_name(CHALLENGE_NULL_SENDER);
	if (mail_identity_is_role(&identity))
		return challenge_reason_name(CHALLENGE_ROLE_SENDER);
	if (mail_auth_fails(auth) && identity.person_pass == MAIL_PASS_NONE)
		return challenge_reason_name(CHALLENGE_UNAUTHENTICATED);
	if (tenant_domains_claimed(domains, &identity))
		return challenge_reason_name(CHALLENGE_OWN_DOMAIN);
	return no_reason;
}

/* Writes down why no challenge goes out for the message. */
static int keep_waiting(struct cloud *cloud, struct registry_message *message,
                        const struct id *challenge, const char *reason,
                        struct error *err)
{
	char text[ID_TEXT_SIZE];
	int result;

	result = registry_message_attach(cloud->registry, &message->tenant,
	                                 &message->id, challenge, reason, err);
	if (result)
		return result;
	message->challenge = *challenge;
	free(message->challenge_reason);
	message->challenge_reason = mem_copy_string(reason);
	if (*reason) {
		count_challenge_not_sent(reason);
		log_info(id_format(&message->id, text),
		         "held, no challenge: %s", reason);
	}
	return 0;
}

/* The message as the registry has it now, in place of the copy at hand. */
static int read_again(struct cloud *cloud, struct registry_message *message,
                      struct error *err)
{
	struct registry_message stored;
	int result;

	result = registry_message_read(cloud->registry, &message->tenant,
	                               &message->id, &stored, err);
	if (result)
		return result;
	registry_message_release(message);
	*message = stored;
	return 0;
}

static bool was_solved(const struct registry_challenge *challenge)
{
	return challenge->state == CHALLENGE_STATE_SOLVED ||
	       challenge->state == CHALLENGE_STATE_SETTLED;
}

/* The message hangs on a challenge that was solved meanwhile. */
static int take_solution(struct cloud *cloud,
                         const struct registry_challenge *challenge,
                         struct registry_message *message, struct error *err)
{
	int result =
	    settle_tenant(cloud->settler, challenge, &message->tenant, err);

	return result ? result : read_again(cloud, message, err);
}

/*
 * Where the challenge mail goes: to the return path as it was given, which may
 * be all that takes bounces, unless From is the person.
 */
static char *address_of(const struct registry_message *message)
{
	char normal[MAIL_ADDRESS_SIZE];

	if (mail_sender_normalise(message->sender, normal) == 0 &&
	    strcmp(normal, message->sender_normal) == 0)
		return message->sender;
	return message->sender_normal;
}

static int open_new(struct cloud *cloud, struct registry_message *message,
                    const struct challenge_origin *origin, struct id *existing,
                    struct error *err)
{
	uint8_t random[32];
	char code[CAPTCHA_CODE_SIZE], token[TOKEN_TEXT_SIZE], empty[1] = "";
	int64_t now = clock_wall_ms();
	struct registry_challenge challenge = {
	    .id = id_new(),
	    .tenant = message->tenant,
	    .message = message->id,
	    .state = CHALLENGE_STATE_OPEN,
	    .created_ms = now,
	    .changed_ms = now,
	    .expires_ms = now + cloud->config->challenge_expires_ms,
	    .sender = address_of(message),
	    .code = code,
	    .mail = MAIL_STATE_PENDING,
	    .mail_next_ms = now,
	    .mail_owner = empty,
	    .mail_reply = empty,
	    .end_reason = empty,
	};
	char text[ID_TEXT_SIZE], id_text[ID_TEXT_SIZE];
	int result;

	memcpy(challenge.sender_hash, origin->sender, sizeof(origin->sender));
	memcpy(challenge.client_hash, origin->client, sizeof(origin->client));
	memcpy(challenge.domain_hash, origin->domain, sizeof(origin->domain));
	random_bytes(random, sizeof(random));
	captcha_code(random, sizeof(random), code);
	token_make(cloud->token_key, TOKEN_CHALLENGE, &challenge.id,
	           challenge.expires_ms, token, challenge.token_hash);
	result =
	    registry_challenge_open(cloud->registry, &challenge, existing, err);
	if (result)
		return result;
	*existing = challenge.id;
	count_challenge_opened();
	log_info(id_format(&message->id, text), "challenge %s opened for %s",
	         id_format(&challenge.id, id_text), challenge.sender);
	if (cloud->mail_worker)
		mail_worker_wake(cloud->mail_worker);
	return 0;
}

/*
 * Attaches the message to the challenge that is open for its sender. *again is
 * set when that challenge ended in vain before: another has to be opened.
 */
static int join(struct cloud *cloud, struct registry_message *message,
                const struct id *existing, bool *again, struct error *err)
{
	struct registry_challenge challenge;
	bool own;
	int result;

	result =
	    registry_challenge_read(cloud->registry, existing, &challenge, err);
	if (result)
		return result;
	/* A crash came after this message had opened it. */
	own = id_equal(&challenge.message, &message->id);
	registry_challenge_release(&challenge);
	result = keep_waiting(
	    cloud, message, existing,
	    own ? no_reason : challenge_reason_name(CHALLENGE_OPEN), err);
	if (result)
		return result;
	/* Only what is read after attaching tells whether whoever solved it
	 * saw this message. */
	result =
	    registry_challenge_read(cloud->registry, existing, &challenge, err);
	if (result)
		return result;
	if (was_solved(&challenge))
		result = take_solution(cloud, &challenge, message, err);
	else
		*again = challenge.state != CHALLENGE_STATE_OPEN && !own;
	registry_challenge_release(&challenge);
	return result;
}

/* Joins the open challenge of a sender who may not be challenged anew; where
 * there is none the message waits for that reason. */
static int join_or_wait(struct cloud *cloud, struct registry_message *message,
                        const struct challenge_origin *origin,
                        enum challenge_reason reason, bool *again,
                        struct error *err)
{
	const struct id none = {{0}};
	struct id existing;
	int result = registry_challenge_find(cloud->registry, origin->sender,
	                                     &existing, err);

	if (!result)
		return join(cloud, message, &existing, again, err);
	if (result != ERR_NOT_FOUND)
		return result;
	return keep_waiting(cloud, message, &none,
	                    challenge_reason_name(reason), err);
}

/* Opens a challenge or joins the open one; only for held mail whose sender may
 * be written to. */
static int challenge_sender(struct cloud *cloud,
                            struct registry_message *message, struct error *err)
{
	struct challenge_origin origin;
	enum challenge_reason reason;
	bool again = true;
	struct id existing;
	int round, result = 0;

	challenge_origin_read(cloud->sender_key, cloud->config, message,
	                      &origin);
	for (round = 0; again && !result && round < MAXIMUM_ROUNDS; round++) {
		again = false;
		result = challenge_gate(cloud->registry, cloud->config, message,
		                        &origin, &reason, err);
		if (result)
			return result;
		if (reason != CHALLENGE_ALLOWED) {
			result = join_or_wait(cloud, message, &origin, reason,
			                      &again, err);
			continue;
		}
		result = open_new(cloud, message, &origin, &existing, err);
		if (!result)
			result = keep_waiting(cloud, message, &existing,
			                      no_reason, err);
		else if (result == ERR_EXISTS)
			result = join(cloud, message, &existing, &again, err);
	}
	return result;
}

/* A message that is attached already: only a solution may have been missed. */
static int resume(struct cloud *cloud, struct registry_message *message,
                  struct error *err)
{
	struct registry_challenge challenge;
	int result;

	result = registry_challenge_read(cloud->registry, &message->challenge,
	                                 &challenge, err);
	if (result == ERR_NOT_FOUND)
		return 0;
	if (result)
		return result;
	if (was_solved(&challenge))
		result = take_solution(cloud, &challenge, message, err);
	registry_challenge_release(&challenge);
	return result;
}

/* All that is to be done for a stored message, again and again. */
static int advance(struct cloud *cloud, const struct tenant_domains *domains,
                   struct registry_message *message, bool fresh,
                   struct error *err)
{
	const struct id none = {{0}};
	const char *reason;
	int result;

	result = lists_decide_message(cloud->registry, domains, message, "list",
	                              NULL, err);
	if (result || !lists_any_held(message))
		return result;
	if (!id_is_none(&message->challenge))
		return resume(cloud, message, err);
	if (*message->challenge_reason) {
		if (fresh)
			count_challenge_not_sent(message->challenge_reason);
		return 0;
	}
	reason = register_forbids(domains, message);
	if (*reason)
		return keep_waiting(cloud, message, &none, reason, err);
	return challenge_sender(cloud, message, err);
}

static const char *const status_names[] = {"registered", "known", "refused"};

static int register_one(struct cloud *cloud,
                        const struct tenant_domains *domains,
                        struct registry_message *message, int added,
                        enum register_status *status, struct error *err)
{
	char text[ID_TEXT_SIZE];
	int result = 0;

	*status = REGISTER_NEW;
	if (added == ERR_DENIED)
		*status = REGISTER_REFUSED;
	else if (added == ERR_EXISTS)
		*status = REGISTER_KNOWN;
	else if (added)
		return error_set(err, added, "the message was not stored");
	if (*status == REGISTER_KNOWN)
		result = read_again(cloud, message, err);
	if (!result && *status != REGISTER_REFUSED)
		result = advance(cloud, domains, message,
		                 *status == REGISTER_NEW, err);
	if (result)
		return result;
	count_message(status_names[*status]);
	log_info(id_format(&message->id, text), "%s, %zu recipients, from <%s>",
	         status_names[*status], message->recipient_count,
	         message->sender);
	return 0;
}

int register_messages(struct cloud *cloud, const struct tenant_domains *domains,
                      struct registry_message *messages, size_t count,
                      enum register_status *statuses, struct error *err)
{
	int *added;
	size_t i;
	int result;

	if (count == 0)
		return 0;
	added = mem_alloc_array(count, sizeof(*added));
	result =
	    registry_message_add(cloud->registry, messages, count, added, err);
	for (i = 0; i < count && !result; i++)
		result = register_one(cloud, domains, &messages[i], added[i],
		                      &statuses[i], err);
	free(added);
	return result;
}
