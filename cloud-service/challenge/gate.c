/* Whether a sender may be challenged now: marks of dead senders, and caps. */
#include "cloud-service/challenge/gate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mail/address.h"
#include "common/mail/suffix.h"
#include "common/mem.h"
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
	result =
	    registry_challenge_count(registry, &query, 1, &challenges, err);
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

/* What the challenges of one group come to, and those that are let through. */
struct tally {
	struct registry_challenge_query query;
	size_t day, hour; /* no more than the caps */
};

/* The tallies of a batch: those of each candidate, by group. */
struct tallies {
	struct tally *all;
	size_t count;
	size_t (*of)[CHALLENGES_OF_ALL + 1]; /* a place in all, or NO_TALLY */
};

#define NO_TALLY SIZE_MAX

static bool is_capped(const struct cloud_config *config,
                      enum registry_challenge_group group)
{
	return config->cap_day[group] > 0 || config->cap_hour[group] > 0;
}

/* The place of the tally that the query is for, which is added if need be. */
static size_t find_tally(struct tallies *tallies,
                         const struct registry_challenge_query *query)
{
	size_t i;

	for (i = 0; i < tallies->count; i++)
		if (tallies->all[i].query.group == query->group &&
		    !memcmp(tallies->all[i].query.hash, query->hash,
		            sizeof(query->hash)) &&
		    id_equal(&tallies->all[i].query.tenant, &query->tenant))
			return i;
	tallies->all[tallies->count++] = (struct tally){.query = *query};
	return i;
}

/* Sets where the candidate at i is counted. */
static void list_tallies(const struct cloud_config *config,
                         const struct challenge_candidate *candidate, size_t i,
                         struct tallies *tallies)
{
	const uint8_t *const hashes[] = {
	    [CHALLENGES_OF_SENDER] = candidate->origin.sender,
	    [CHALLENGES_OF_CLIENT] = candidate->origin.client,
	    [CHALLENGES_OF_DOMAIN] = candidate->origin.domain,
	};

	for (int group = 0; group <= CHALLENGES_OF_ALL; group++) {
		struct registry_challenge_query query = {
		    .group = (enum registry_challenge_group)group};

		tallies->of[i][group] = NO_TALLY;
		if (!is_capped(config, query.group))
			continue;
		if (group <= CHALLENGES_OF_DOMAIN) {
			if (is_zero(hashes[group]))
				continue;
			memcpy(query.hash, hashes[group], sizeof(query.hash));
		} else if (group == CHALLENGES_OF_TENANT) {
			query.tenant = candidate->message->tenant;
		}
		tallies->of[i][group] = find_tally(tallies, &query);
	}
}

/*
 * Counts the challenges of the last day, or hour, of those tallies that have
 * such a cap; of the hour only where the day's, with more more, may reach it.
 */
static int count_window(struct registry *registry,
                        const struct cloud_config *config,
                        struct tallies *tallies, bool hour, size_t more,
                        struct error *err)
{
	const int64_t *caps = hour ? config->cap_hour : config->cap_day;
	struct registry_challenge_query *queries =
	    mem_alloc_array(tallies->count + 1, sizeof(*queries));
	size_t *places = mem_alloc_array(tallies->count + 1, sizeof(*places));
	size_t *counts = mem_alloc_array(tallies->count + 1, sizeof(*counts));
	int64_t since_ms = clock_wall_ms() - (hour ? HOUR_MS : DAY_MS);
	size_t i, count = 0;
	int result;

	for (i = 0; i < tallies->count; i++) {
		const struct tally *tally = &tallies->all[i];
		int64_t cap = caps[tally->query.group];

		/* No more within an hour than within a day. */
		if (!cap || (hour && config->cap_day[tally->query.group] &&
		             tally->day + more < (size_t)cap))
			continue;
		queries[count] = tally->query;
		queries[count].since_ms = since_ms;
		queries[count].limit = (size_t)cap;
		places[count++] = i;
	}
	result =
	    registry_challenge_count(registry, queries, count, counts, err);
	for (i = 0; i < count && !result; i++) {
		struct tally *tally = &tallies->all[places[i]];

		*(hour ? &tally->hour : &tally->day) = counts[i];
	}
	free(queries);
	free(places);
	free(counts);
	return result;
}

/* Whether none of the candidate's groups has reached one of its caps; counts it
 * then. */
static bool count_in(const struct cloud_config *config, struct tallies *tallies,
                     size_t i)
{
	for (int group = 0; group <= CHALLENGES_OF_ALL; group++) {
		size_t place = tallies->of[i][group];
		int64_t day = config->cap_day[group];
		int64_t hour = config->cap_hour[group];

		if (place == NO_TALLY)
			continue;
		if ((day && tallies->all[place].day >= (size_t)day) ||
		    (hour && tallies->all[place].hour >= (size_t)hour))
			return false;
	}
	for (int group = 0; group <= CHALLENGES_OF_ALL; group++) {
		size_t place = tallies->of[i][group];

		if (place == NO_TALLY)
			continue;
		tallies->all[place].day++;
		tallies->all[place].hour++;
	}
	return true;
}

/* --- the gate ----------------------------------------------------------- */

/* What the gate finds out about a batch. */
struct gate {
	struct challenge_candidate *candidates;
	size_t count;
	bool *marked; /* the sender of each */
	struct tallies tallies;
};

static bool same_sender(const struct challenge_candidate *a,
                        const struct challenge_candidate *b)
{
	return !memcmp(a->origin.sender, b->origin.sender,
	               sizeof(a->origin.sender));
}

/* Whether an earlier one of the batch is let through to the same sender. */
static bool is_challenged_before(const struct gate *gate, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (gate->candidates[j].reason == CHALLENGE_ALLOWED &&
		    same_sender(&gate->candidates[j], &gate->candidates[i]))
			return true;
	return false;
}

static int judge(struct registry *registry, const struct cloud_config *config,
                 struct gate *gate, size_t i, struct error *err)
{
	struct challenge_candidate *candidate = &gate->candidates[i];
	bool dead = false;
	int result = 0;

	if (gate->marked[i])
		result = look_at_mark(registry, config, candidate->message,
		                      candidate->origin.sender, &dead, err);
	if (result)
		return result;
	/* What cleared the mark cleared it for those behind, too. */
	for (size_t j = i + 1; j < gate->count && !dead; j++)
		if (same_sender(&gate->candidates[j], candidate))
			gate->marked[j] = false;
	if (dead)
		candidate->reason = CHALLENGE_DEAD_SENDER;
	else if (!id_is_none(&candidate->open.id) ||
	         is_challenged_before(gate, i) ||
	         (config->challenge_enabled &&
	          count_in(config, &gate->tallies, i)))
		candidate->reason = CHALLENGE_ALLOWED;
	else
		candidate->reason = CHALLENGE_RATE_CAP;
	return 0;
}

static int find_marked(struct registry *registry, struct gate *gate,
                       struct error *err)
{
	uint8_t(*hashes)[CRYPTO_HASH_SIZE] =
	    mem_alloc_array(gate->count + 1, sizeof(*hashes));
	int result;

	for (size_t i = 0; i < gate->count; i++)
		memcpy(hashes[i], gate->candidates[i].origin.sender,
		       CRYPTO_HASH_SIZE);
	result = registry_sender_marked(
	    registry, (const uint8_t(*)[CRYPTO_HASH_SIZE])hashes, gate->count,
	    gate->marked, err);
	free(hashes);
	return result;
}

int challenge_gate(struct registry *registry, const struct cloud_config *config,
                   struct challenge_candidate *candidates, size_t count,
                   struct error *err)
{
	struct gate gate = {
	    .candidates = candidates,
	    .count = count,
	    .marked = mem_alloc_array(count + 1, sizeof(*gate.marked)),
	    .tallies = {
	        .all = mem_alloc_array(count * (CHALLENGES_OF_ALL + 1) + 1,
	                               sizeof(*gate.tallies.all)),
	        .of = mem_alloc_array(count + 1, sizeof(*gate.tallies.of))}};
	int result;
	size_t i;

	for (i = 0; i < count; i++)
		if (id_is_none(&candidates[i].open.id))
			list_tallies(config, &candidates[i], i, &gate.tallies);
	result = find_marked(registry, &gate, err);
	if (!result && config->challenge_enabled)
		result = count_window(registry, config, &gate.tallies, false, 0,
		                      err);
	if (!result && config->challenge_enabled)
		result = count_window(registry, config, &gate.tallies, true,
		                      count, err);
	for (i = 0; i < count && !result; i++)
		result = judge(registry, config, &gate, i, err);
	free(gate.marked);
	free(gate.tallies.all);
	free(gate.tallies.of);
	return result;
}
