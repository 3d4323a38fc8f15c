/* Ends a challenge whose mail reaches nobody, and marks its sender. */
#include "cloud-service/challenge/end.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"

static int mark(struct registry *registry,
                const struct registry_challenge *challenge, const char *reason,
                int64_t now_ms, struct error *err)
{
	char text[300];
	struct registry_dead_sender dead = {
	    .marked_ms = now_ms, .challenge = challenge->id, .reason = text};

	snprintf(text, sizeof(text), "%s", reason);
	memcpy(dead.hash, challenge->sender_hash, sizeof(dead.hash));
	return registry_sender_mark(registry, &dead, err);
}

int challenge_bounced(struct registry *registry,
                      const struct registry_challenge *challenge,
                      const char *reason, bool nobody_there, bool *ended,
                      struct error *err)
{
	char text[ID_TEXT_SIZE];
	int64_t now = clock_wall_ms();
	int result = 0;

	*ended = false;
	if (challenge->state != CHALLENGE_STATE_OPEN)
		return 0;
	/* The mark comes first: a registration that finds the challenge over
	 * looks there next. */
	if (nobody_there)
		result = mark(registry, challenge, reason, now, err);
	if (!result)
		result = registry_challenge_end(registry, &challenge->id,
		                                CHALLENGE_STATE_BOUNCED, reason,
		                                now, err);
	if (!result) {
		*ended = true;
		log_info(id_format(&challenge->id, text),
		         "challenge ended%s: %s",
		         nobody_there ? ", nobody is there" : "", reason);
		return 0;
	}
	if (result != ERR_CONFLICT)
		return result;
	/* Solved in this moment: somebody is there. */
	return nobody_there
	           ? registry_sender_clear(registry, challenge->sender_hash,
	                                   now, NULL, err)
	           : 0;
}

int challenge_given_up(struct registry *registry,
                       const struct registry_challenge *challenge,
                       const char *reason, struct error *err)
{
	char text[ID_TEXT_SIZE];
	int result = registry_challenge_end(registry, &challenge->id,
	                                    CHALLENGE_STATE_EXPIRED, reason,
	                                    clock_wall_ms(), err);

	if (!result)
		log_info(id_format(&challenge->id, text), "challenge ended: %s",
		         reason);
	return result == ERR_CONFLICT ? 0 : result;
}
