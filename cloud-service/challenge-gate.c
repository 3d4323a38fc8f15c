/* Whether a sender may be challenged now: marks of dead senders, and caps. */
#include "cloud-service/challenge-gate.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"

#define DAY_MS         ((int64_t)24 * 60 * 60 * 1000)
#define REMEMBERED_MS  (30 * DAY_MS)
#define MAXIMUM_DOUBLE 6

/* --- dead senders ------------------------------------------------------- */

/* Whether the mark comes from a challenge of the message's own tenant. */
static int is_own_mark(struct cloud *cloud,
                       const struct registry_message *message,
                       const struct registry_dead_sender *mark, bool *own,
                       struct error *err)
{
	struct registry_challenge challenge;
	int result = registry_challenge_read(cloud->registry, &mark->challenge,
	                                     &challenge, err);

	*own = false;
	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	*own = id_equal(&challenge.tenant, &message->tenant);
	registry_challenge_release(&challenge);
	return 0;
}

/* How long after the mark a mail must have come to clear it. */
static int clearing_pause(struct cloud *cloud,
                          const struct registry_message *message,
                          const struct registry_dead_sender *mark,
                          int64_t *pause_ms, struct error *err)
{
	struct registry_challenge_query query = {.group = CHALLENGES_OF_SENDER,
	                                         .since_ms = clock_wall_ms() -
	                                                     REMEMBERED_MS,
	                                         .limit = MAXIMUM_DOUBLE + 2};
	size_t challenges;
	bool own;
	int result;

	memcpy(query.hash, mark->hash, sizeof(query.hash));
	result =
	    registry_challenge_count(cloud->registry, &query, &challenges, err);
	if (!result)
		result = is_own_mark(cloud, message, mark, &own, err);
	if (result)
		return result;
	if (challenges < 2)
		*pause_ms = own ? 0 : cloud->config->dead_pause_ms;
	else
		*pause_ms = cloud->config->dead_pause_ms << (challenges - 2);
	return 0;
}

static int look_at_mark(struct cloud *cloud,
                        const struct registry_message *message,
                        const uint8_t hash[CRYPTO_HASH_SIZE], bool *dead,
                        struct error *err)
{
	struct registry_dead_sender mark;
	char text[ID_TEXT_SIZE];
	int64_t pause_ms = 0;
	int result = registry_sender_read(cloud->registry, hash, &mark, err);

	*dead = false;
	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	result = clearing_pause(cloud, message, &mark, &pause_ms, err);
	*dead = !mail_auth_passes(&message->auth) ||
	        message->received_ms <= mark.marked_ms ||
	        message->received_ms - mark.marked_ms < pause_ms;
	if (!result && !*dead) {
		result = registry_sender_clear(cloud->registry, hash,
		                               mark.marked_ms, NULL, err);
		log_info(id_format(&message->id, text),
		         "the sender was marked as dead and writes again");
	}
	registry_dead_sender_release(&mark);
	return result;
}

int challenge_gate(struct cloud *cloud, const struct registry_message *message,
                   const uint8_t sender_hash[CRYPTO_HASH_SIZE],
                   enum challenge_reason *reason, struct error *err)
{
	bool dead;
	int result = look_at_mark(cloud, message, sender_hash, &dead, err);

	*reason = CHALLENGE_ALLOWED;
	if (!result && dead)
		*reason = CHALLENGE_DEAD_SENDER;
	else if (!result && !cloud->config->challenge_enabled)
		*reason = CHALLENGE_RATE_CAP;
	return result;
}
