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
/* The messages of one write: few enough that others' writes go between. */
#define CHUNK 64

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

/* What is to be written down of a message. */
struct outcome {
	struct registry_message *message;
	struct id challenge; /* none: it is attached to none */
	const char *reason;  /* why no challenge goes out for it, or "" */
};

/* Attaches the messages and writes down why no challenge goes out for them. */
static int write_down(struct cloud *cloud, const struct outcome *outcomes,
                      size_t count, struct error *err)
{
	struct registry_attachment attachments[CHUNK] = {{.reason = NULL}};
	char text[ID_TEXT_SIZE];
	size_t i;
	int result;

	if (!count)
		return 0;
	for (i = 0; i < count; i++)
		attachments[i] = (struct registry_attachment){
		    .message = outcomes[i].message->id,
		    .challenge = outcomes[i].challenge,
		    .reason = outcomes[i].reason};
	result = registry_message_attach(cloud->registry,
	                                 &outcomes[0].message->tenant,
	                                 attachments, count, err);
	for (i = 0; i < count && !result; i++) {
		struct registry_message *message = outcomes[i].message;
		const char *reason = outcomes[i].reason;

		message->challenge = outcomes[i].challenge;
		free(message->challenge_reason);
		message->challenge_reason = mem_copy_string(reason);
		if (!*reason)
			continue;
		count_challenge_not_sent(reason);
		log_info(id_format(&message->id, text),
		         "held, no challenge: %s", reason);
	}
	return result;
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

/* The message hangs on a challenge that was solved meanwhile. */
static int take_solution(struct cloud *cloud, struct registry_message *message,
                         struct error *err)
{
	struct registry_challenge challenge;
	int result = registry_challenge_read(
	    cloud->registry, &message->challenge, &challenge, err);

	if (result)
		return result;
	result =
	    settle_tenant(cloud->settler, &challenge, &message->tenant, err);
	registry_challenge_release(&challenge);
	return result ? result : read_again(cloud, message, err);
}

/*
 * Reads the states of the challenges that the messages hang on, -1 for one that
 * is gone, and takes the solutions of those that were solved.
 */
static int look_at_challenges(struct cloud *cloud,
                              struct registry_message *const *messages,
                              size_t count, int *states, struct error *err)
{
	struct id ids[CHUNK] = {{{0}}};
	size_t i;
	int result;

	for (i = 0; i < count; i++)
		ids[i] = messages[i]->challenge;
	result =
	    registry_challenge_states(cloud->registry, ids, count, states, err);
	for (i = 0; i < count && !result; i++)
		if (states[i] == CHALLENGE_STATE_SOLVED ||
		    states[i] == CHALLENGE_STATE_SETTLED)
			result = take_solution(cloud, messages[i], err);
	return result;
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

/* Makes the challenge that the candidate causes; code is its text's place. */
static struct registry_challenge make_challenge(
    const struct cloud *cloud, const struct challenge_candidate *candidate,
    char code[CAPTCHA_CODE_SIZE])
{
	static char empty[1] = "";
	const struct challenge_origin *origin = &candidate->origin;
	int64_t now = clock_wall_ms();
	struct registry_challenge challenge = {
	    .id = id_new(),
	    .tenant = candidate->message->tenant,
	    .message = candidate->message->id,
	    .state = CHALLENGE_STATE_OPEN,
	    .created_ms = now,
	    .changed_ms = now,
	    .expires_ms = now + cloud->config->challenge_expires_ms,
	    .sender = address_of(candidate->message),
	    .code = code,
	    .mail = MAIL_STATE_PENDING,
	    .mail_next_ms = now,
	    .mail_owner = empty,
	    .mail_reply = empty,
	    .end_reason = empty,
	};
	char token[TOKEN_TEXT_SIZE];
	uint8_t random[32];

	memcpy(challenge.sender_hash, origin->sender, sizeof(origin->sender));
	memcpy(challenge.client_hash, origin->client, sizeof(origin->client));
	memcpy(challenge.domain_hash, origin->domain, sizeof(origin->domain));
	random_bytes(random, sizeof(random));
	captcha_code(random, sizeof(random), code);
	token_make(cloud->token_key, TOKEN_CHALLENGE, &challenge.id,
	           challenge.expires_ms, token, challenge.token_hash);
	return challenge;
}

/* Opens challenges for those that the gate lets through and whose senders have
 * none; where another was faster it is the one that is open. */
static int open_challenges(struct cloud *cloud,
                           struct challenge_candidate *candidates, size_t count,
                           struct error *err)
{
	struct registry_challenge challenges[CHUNK];
	struct registry_opened existing[CHUNK];
	char codes[CHUNK][CAPTCHA_CODE_SIZE];
	char text[ID_TEXT_SIZE], id_text[ID_TEXT_SIZE];
	size_t i, opened = 0, places[CHUNK];
	int results[CHUNK], result;

	for (i = 0; i < count; i++) {
		if (!id_is_none(&candidates[i].open.id) ||
		    candidates[i].reason != CHALLENGE_ALLOWED)
			continue;
		challenges[opened] =
		    make_challenge(cloud, &candidates[i], codes[opened]);
		places[opened++] = i;
	}
	result = registry_challenge_open(cloud->registry, challenges, opened,
	                                 results, existing, err);
	for (i = 0; i < opened && !result; i++) {
		struct challenge_candidate *candidate = &candidates[places[i]];

		if (results[i]) {
			candidate->open = existing[i];
			continue;
		}
		candidate->open.id = challenges[i].id;
		candidate->open.message = challenges[i].message;
		count_challenge_opened();
		log_info(id_format(&candidate->message->id, text),
		         "challenge %s opened for %s",
		         id_format(&challenges[i].id, id_text),
		         challenges[i].sender);
	}
	if (opened && !result && cloud->mail_worker)
		mail_worker_wake(cloud->mail_worker);
	return result;
}

/* Whether the challenge is the message's own: also when a crash came after the
 * message had opened it. */
static bool opened_by_itself(const struct challenge_candidate *candidate)
{
	return id_equal(&candidate->open.message, &candidate->message->id);
}

/*
 * Attaches each candidate to the challenge that is open for its sender; those
 * without one wait for the gate's reason.
 */
static int attach(struct cloud *cloud,
                  const struct challenge_candidate *candidates, size_t count,
                  struct error *err)
{
	struct outcome outcomes[CHUNK];
	size_t i;

	for (i = 0; i < count; i++) {
		const struct challenge_candidate *one = &candidates[i];
		enum challenge_reason reason =
		    id_is_none(&one->open.id) ? one->reason : CHALLENGE_OPEN;

		outcomes[i] = (struct outcome){
		    .message = one->message,
		    .challenge = one->open.id,
		    .reason = opened_by_itself(one)
		                  ? no_reason
		                  : challenge_reason_name(reason)};
	}
	return write_down(cloud, outcomes, count, err);
}

/*
 * Only what is read after attaching tells whether whoever solved a challenge
 * saw the message. Keeps the candidates whose challenge ended in vain before:
 * another has to be opened for them.
 */
static int look_after_attaching(struct cloud *cloud,
                                struct challenge_candidate *candidates,
                                size_t *count, struct error *err)
{
	struct registry_message *messages[CHUNK];
	size_t i, joined = 0, kept = 0, places[CHUNK];
	int states[CHUNK], result;

	for (i = 0; i < *count; i++) {
		if (id_is_none(&candidates[i].open.id))
			continue;
		messages[joined] = candidates[i].message;
		places[joined++] = i;
	}
	result = look_at_challenges(cloud, messages, joined, states, err);
	for (i = 0; i < joined && !result; i++)
		if ((states[i] == CHALLENGE_STATE_EXPIRED ||
		     states[i] == CHALLENGE_STATE_BOUNCED || states[i] < 0) &&
		    !opened_by_itself(&candidates[places[i]]))
			candidates[kept++] = candidates[places[i]];
	*count = kept;
	return result;
}

static int find_open(struct cloud *cloud,
                     struct challenge_candidate *candidates, size_t count,
                     struct error *err)
{
	uint8_t hashes[CHUNK][CRYPTO_HASH_SIZE];
	struct registry_opened found[CHUNK];
	size_t i;
	int result;

	for (i = 0; i < count; i++)
		memcpy(hashes[i], candidates[i].origin.sender,
		       CRYPTO_HASH_SIZE);
	result = registry_challenge_find(
	    cloud->registry, (const uint8_t(*)[CRYPTO_HASH_SIZE])hashes, count,
	    found, err);
	for (i = 0; i < count && !result; i++)
		candidates[i].open = found[i];
	return result;
}

/* Opens challenges or joins the open ones; only for held mail whose senders may
 * be written to. */
static int challenge_senders(struct cloud *cloud,
                             struct challenge_candidate *candidates,
                             size_t count, struct error *err)
{
	int round, result = 0;

	for (round = 0; count && !result && round < MAXIMUM_ROUNDS; round++) {
		result = find_open(cloud, candidates, count, err);
		if (!result)
			result = challenge_gate(cloud->registry, cloud->config,
			                        candidates, count, err);
		if (!result)
			result = open_challenges(cloud, candidates, count, err);
		if (!result)
			result = attach(cloud, candidates, count, err);
		if (!result)
			result = look_after_attaching(cloud, candidates, &count,
			                              err);
	}
	return result;
}

/* A part of the batch: messages that are stored. */
struct chunk {
	struct registry_message *messages[CHUNK];
	enum register_status statuses[CHUNK];
	size_t count;
};

static const char *const status_names[] = {"registered", "known", "refused"};

/* All that is to be done for stored messages, again and again. */
static int advance(struct cloud *cloud, const struct tenant_domains *domains,
                   const struct chunk *chunk, struct error *err)
{
	struct challenge_candidate candidates[CHUNK];
	struct registry_message *attached[CHUNK] = {NULL};
	struct outcome forbidden[CHUNK];
	size_t i, candidate_count = 0, attached_count = 0, forbidden_count = 0;
	int states[CHUNK], result;

	result =
	    lists_decide_messages(cloud->registry, domains, chunk->messages,
	                          chunk->count, "list", NULL, err);
	for (i = 0; i < chunk->count && !result; i++) {
		struct registry_message *message = chunk->messages[i];
		const char *reason;

		if (!lists_any_held(message))
			continue;
		if (!id_is_none(&message->challenge)) {
			attached[attached_count++] = message;
		} else if (*message->challenge_reason) {
			if (chunk->statuses[i] == REGISTER_NEW)
				count_challenge_not_sent(
				    message->challenge_reason);
		} else if (*(reason = register_forbids(domains, message))) {
			forbidden[forbidden_count++] = (struct outcome){
			    .message = message, .reason = reason};
		} else {
			candidates[candidate_count] =
			    (struct challenge_candidate){.message = message};
			challenge_origin_read(
			    cloud->sender_key, cloud->config, message,
			    &candidates[candidate_count++].origin);
		}
	}
	if (!result)
		result = write_down(cloud, forbidden, forbidden_count, err);
	/* Of those attached only a solution may have been missed. */
	if (!result)
		result = look_at_challenges(cloud, attached, attached_count,
		                            states, err);
	return result
	           ? result
	           : challenge_senders(cloud, candidates, candidate_count, err);
}

/* Sets the status of a message that was to be added, and reads it again where
 * it was known. */
static int take_result(struct cloud *cloud, struct registry_message *message,
                       int added, enum register_status *status,
                       struct error *err)
{
	*status = REGISTER_NEW;
	if (added == ERR_DENIED)
		*status = REGISTER_REFUSED;
	else if (added == ERR_EXISTS)
		*status = REGISTER_KNOWN;
	else if (added)
		return error_set(err, added, "the message was not stored");
	return *status == REGISTER_KNOWN ? read_again(cloud, message, err) : 0;
}

/* Registers CHUNK messages at the most. */
static int register_chunk(struct cloud *cloud,
                          const struct tenant_domains *domains,
                          struct registry_message *messages, size_t count,
                          enum register_status *statuses, struct error *err)
{
	struct chunk chunk = {.count = 0};
	char text[ID_TEXT_SIZE];
	int added[CHUNK];
	size_t i;
	int result;

	result =
	    registry_message_add(cloud->registry, messages, count, added, err);
	for (i = 0; i < count && !result; i++) {
		result = take_result(cloud, &messages[i], added[i],
		                     &statuses[i], err);
		if (statuses[i] == REGISTER_REFUSED)
			continue;
		chunk.statuses[chunk.count] = statuses[i];
		chunk.messages[chunk.count++] = &messages[i];
	}
	if (!result)
		result = advance(cloud, domains, &chunk, err);
	for (i = 0; i < count && !result; i++) {
		count_message(status_names[statuses[i]]);
		log_info(id_format(&messages[i].id, text),
		         "%s, %zu recipients, from <%s>",
		         status_names[statuses[i]], messages[i].recipient_count,
		         messages[i].sender);
	}
	return result;
}

int register_messages(struct cloud *cloud, const struct tenant_domains *domains,
                      struct registry_message *messages, size_t count,
                      enum register_status *statuses, struct error *err)
{
	size_t at, part;
	int result = 0;

	for (at = 0; at < count && !result; at += part) {
		part = count - at < CHUNK ? count - at : CHUNK;
		result = register_chunk(cloud, domains, &messages[at], part,
		                        &statuses[at], err);
	}
	return result;
}
