/* Whether a challenge mail that is to be sent is still needed. */
#include "cloud-service/mail/need.h"

#include <string.h>

/* Those that are solved and not settled are few: the repair sees to it. */
#define SOLVED_LIMIT 1000

/* Whether another challenge of the sender is solved and not settled. */
static int look_at_solved(struct registry *registry,
                          const struct registry_challenge *challenge,
                          bool *solved, struct error *err)
{
	struct registry_challenges page = {0};
	int result =
	    registry_challenge_due(registry, CHALLENGE_STATE_SOLVED, INT64_MAX,
	                           SOLVED_LIMIT, &page, err);

	for (size_t i = 0; !result && i < page.count; i++)
		*solved = *solved || !memcmp(page.challenges[i].sender_hash,
		                             challenge->sender_hash,
		                             sizeof(challenge->sender_hash));
	registry_challenges_release(&page);
	return result;
}

/* Of the message that opened it, which may not be attached to it yet. */
static int look_at_message(struct registry *registry,
                           const struct registry_challenge *challenge,
                           bool *held, struct error *err)
{
	struct registry_message message;
	int result = registry_message_read(registry, &challenge->tenant,
	                                   &challenge->message, &message, err);

	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	for (size_t i = 0; i < message.recipient_count; i++)
		*held = *held || message.recipients[i].state == REGISTRY_HELD;
	registry_message_release(&message);
	return 0;
}

static int look_at_attached(struct registry *registry,
                            const struct registry_challenge *challenge,
                            bool *held, struct error *err)
{
	struct registry_query query = {
	    .challenge = &challenge->id, .held = true, .limit = 1};
	struct registry_messages page = {0};
	int result = registry_message_list(registry, &query, &page, err);

	*held = !result && page.count > 0;
	registry_messages_release(&page);
	return result;
}

int mail_need_look(struct registry *registry,
                   const struct registry_challenge *challenge,
                   enum mail_need *need, struct error *err)
{
	bool solved = false, held = false;
	int result;

	/* In this order: what is not solved any more is settled, and what it
	 * released is not held. */
	result = look_at_solved(registry, challenge, &solved, err);
	if (!result)
		result = look_at_message(registry, challenge, &held, err);
	if (!result && !held)
		result = look_at_attached(registry, challenge, &held, err);
	*need = solved ? MAIL_NEED_LATER
	        : held ? MAIL_NEED_NOW
	               : MAIL_NEED_NONE;
	return result;
}
