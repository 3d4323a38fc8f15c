/* Whether a sender may be challenged now: marks of dead senders, and caps. */
#include "cloud-service/challenge/gate.h"

#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mail/address.h"
#include "common/mail/suffix.h"
#include "common/network.h"

#define HOUR_MS        ((int64_t)60 * 60 * 1000)
#define DAY_MS         (24 * HOUR_MS)
#define REMEMBERED_MS  (30 * DAY_MS)
#define MAXIMUM_DOUBLE 6

/* --- dead senders ------------------------------------------------------- */

/* Whether the mark comes from a challenge of the message's own tenant. */
static int is_own_mark(struct registry *registry,
                       const struct registry_message *message,
                       const struct registry_dead_sender *mark, bool *own,
                       struct error *err)
{
	struct registry_challenge challenge;
	int result = registry_challenge_read(registry, &mark->challenge,
	                                     &challenge, err);

	*own = false;
	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	*own = id_equal(&challenge.tenant, &message->tenant);
	registry_challenge_release(&challenge);
	return 0;
}

/* How long after the mark a mail must have come to clear it. */
static int clearing_pause(struct registry *registry,
                          const struct cloud_config *config,
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
	result = registry_challenge_count(registry, &query, &challenges, err);
	if (!result)
		result = is_own_mark(registry, message, mark, &own, err);
	if (result)
		return result;
	if (challenges < 2)
		*pause_ms = own ? 0 : config->dead_pause_ms;
	else
		*pause_ms = config->dead_pause_ms << (challenges - 2);
	return 0;
}

static int look_at_mark(struct registry *registry,
                        const struct cloud_config *config,
                        const struct registry_message *message,
                        const uint8_t hash[CRYPTO_HASH_SIZE], bool *dead,
                        struct error *err)
{
	struct registry_dead_sender mark;
	char text[ID_TEXT_SIZE];
	int64_t pause_ms = 0;
	int result = registry_sender_read(registry, hash, &mark, err);

	*dead = false;
	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	result =
	    clearing_pause(registry, config, message, &mark, &pause_ms, err);
	*dead = !message->auth.aligned ||
	        message->received_ms <= mark.marked_ms ||
	        message->received_ms - mark.marked_ms < pause_ms;
	if (!result && !*dead) {
		result = registry_sender_clear(registry, hash, mark.marked_ms,
		                               NULL, err);
		log_info(id_format(&message->id, text),
		         "the sender was marked as dead and writes again");
	}
	registry_dead_sender_release(&mark);
	return result;
}

/* --- caps --------------------------------------------------------------- */

void challenge_sender_hash(const uint8_t sender_key[32],
                           const char *sender_normal,
                           uint8_t hash[CRYPTO_HASH_SIZE])
{
	crypto_hmac_sha256(sender_key, 32, sender_normal, strlen(sender_normal),
	                   hash);
}

/* The hash of a word of the kind; the same words of two kinds differ. */
static void hash_word(const uint8_t sender_key[32], const char *kind,
                      const char *word, uint8_t hash[CRYPTO_HASH_SIZE])
{
	char text[MAIL_ADDRESS_SIZE + 16];

	snprintf(text, sizeof(text), "%s %s", kind, word);
	challenge_sender_hash(sender_key, text, hash);
}

/* Cuts an address down to the network that one customer has. */
static void widen(struct network *network)
{
	unsigned bits = network->is_ipv4 ? 96 + 24 : 64;

	for (unsigned i = bits / 8; i < sizeof(network->bytes); i++)
		network->bytes[i] = 0;
	network->prefix_bits = bits;
}

static bool is_shared(const struct config_list *domains, const char *domain)
{
	for (size_t i = 0; i < domains->count; i++)
		if (!strcasecmp(domains->items[i], domain))
			return true;
	return false;
}

void challenge_origin_read(const uint8_t sender_key[32],
                           const struct cloud_config *config,
                           const struct registry_message *message,
                           struct challenge_origin *origin)
{
	char text[NETWORK_TEXT_SIZE], domain[MAIL_ORGANISATION_SIZE];
	struct network network;

	memset(origin, 0, sizeof(*origin));
	challenge_sender_hash(sender_key, message->sender_normal,
	                      origin->sender);
	(void)mail_domain_organisation(
	    mail_address_domain(message->sender_normal), domain);
	if (is_shared(&config->shared_domains, domain))
		return;
	if (!network_parse(message->client_address, &network)) {
		widen(&network);
		hash_word(sender_key, "client", network_format(&network, text),
		          origin->client);
	}
	if (*domain)
		hash_word(sender_key, "domain", domain, origin->domain);
}

static bool is_zero(const uint8_t hash[CRYPTO_HASH_SIZE])
{
	static const uint8_t zero[CRYPTO_HASH_SIZE];

	return !memcmp(hash, zero, sizeof(zero));
}

/* Counts the group's challenges of the last window_ms, up to cap. */
static int count_since(struct registry *registry,
                       struct registry_challenge_query *query,
                       int64_t window_ms, int64_t cap, size_t *count,
                       struct error *err)
{
	query->since_ms = clock_wall_ms() - window_ms;
	query->limit = (size_t)cap;
	return registry_challenge_count(registry, query, count, err);
}

/* Whether the group has reached one of its caps. */
static int is_full(struct registry *registry, const struct cloud_config *config,
                   struct registry_challenge_query *query, bool *full,
                   struct error *err)
{
	int64_t day = config->cap_day[query->group];
	int64_t hour = config->cap_hour[query->group];
	size_t count = 0;
	int result = 0;

	if (day) {
		result = count_since(registry, query, DAY_MS, day, &count, err);
		*full = !result && count >= (size_t)day;
		if (count < (size_t)hour)
			hour = 0; /* no more within an hour than within a day */
	}
	if (!result && !*full && hour) {
		result =
		    count_since(registry, query, HOUR_MS, hour, &count, err);
		*full = !result && count >= (size_t)hour;
	}
	return result;
}

static int look_at_caps(struct registry *registry,
                        const struct cloud_config *config,
                        const struct registry_message *message,
                        const struct challenge_origin *origin, bool *full,
                        struct error *err)
{
	const uint8_t *const hashes[] = {
	    [CHALLENGES_OF_SENDER] = origin->sender,
	    [CHALLENGES_OF_CLIENT] = origin->client,
	    [CHALLENGES_OF_DOMAIN] = origin->domain,
	};
	int result = 0;

	*full = !config->challenge_enabled;
	for (int group = 0; group <= CHALLENGES_OF_ALL && !result && !*full;
	     group++) {
		struct registry_challenge_query query = {
		    .group = (enum registry_challenge_group)group,
		    .tenant = message->tenant};

		if (group <= CHALLENGES_OF_DOMAIN) {
			if (is_zero(hashes[group]))
				continue;
			memcpy(query.hash, hashes[group], sizeof(query.hash));
		}
		result = is_full(registry, config, &query, full, err);
	}
	return result;
}

int challenge_gate(struct registry *registry, const struct cloud_config *config,
                   const struct registry_message *message,
                   const struct challenge_origin *origin,
                   enum challenge_reason *reason, struct error *err)
{
	bool dead, full = false;
	int result =
	    look_at_mark(registry, config, message, origin->sender, &dead, err);

	*reason = CHALLENGE_ALLOWED;
	if (!result && !dead)
		result =
		    look_at_caps(registry, config, message, origin, &full, err);
	if (!result && (dead || full))
		*reason = dead ? CHALLENGE_DEAD_SENDER : CHALLENGE_RATE_CAP;
	return result;
}
