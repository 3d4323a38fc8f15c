/* Claims on mail that is being delivered, and how they are prolonged. */
#include "local-agent/delivery/lease.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"

#define CHANGES_MAXIMUM 512 /* of one request, but one lease at least */
#define BUCKETS         1024

/* Claims that are being prolonged, all with one commit. */
struct renewal {
	struct writer_request request; /* first */
	struct leases *leases;
	int64_t until_ms;
	struct spool_change *changes;
	size_t count, capacity;
	bool more; /* others are to be prolonged too */
};

struct leases {
	struct leases_options options;
	struct lease *buckets[BUCKETS]; /* by message */
	struct loop_timer *timer;
	struct renewal *renewing; /* with the writer, or NULL */
	struct metric *lost;
};

/* --- what is kept ------------------------------------------------------- */

static size_t bucket_of(const struct id *id)
{
	return crypto_table_hash(0, id->bytes, sizeof(id->bytes)) % BUCKETS;
}

void lease_keep(struct leases *leases, struct lease *lease)
{
	struct lease **bucket = &leases->buckets[bucket_of(&lease->message)];

	lease->next = *bucket;
	*bucket = lease;
	lease->kept = true;
}

void lease_drop(struct leases *leases, struct lease *lease)
{
	struct lease **link;

	if (!lease->kept)
		return;
	link = &leases->buckets[bucket_of(&lease->message)];
	while (*link != lease)
		link = &(*link)->next;
	*link = lease->next;
	lease->kept = false;
}

/* The lease that has this recipient, with its place in it, or NULL. */
static struct lease *find(const struct leases *leases, const struct id *id,
                          size_t recipient, size_t *place)
{
	struct lease *lease = leases->buckets[bucket_of(id)];

	for (; lease; lease = lease->next) {
		if (!id_equal(&lease->message, id))
			continue;
		for (*place = 0; *place < lease->count; ++*place)
			if (lease->recipients[*place] == recipient)
				return lease;
	}
	return NULL;
}

void lease_skip_kept(const struct leases *leases, struct spool_message *message)
{
	size_t place;

	for (size_t i = 0; i < message->recipient_count; i++)
		if (find(leases, &message->id, i, &place))
			message->recipients[i].lease_owner[0] = '\0';
}

static int64_t length_ms(const struct leases *leases)
{
	return leases->options.config->queue_lease_ms;
}

static int64_t left_ms(const struct lease *lease)
{
	return lease->until_ms - clock_wall_ms();
}

bool lease_is_safe(const struct leases *leases, const struct lease *lease)
{
	return !lease->lost && left_ms(lease) > length_ms(leases) / 3;
}

/* --- prolonging --------------------------------------------------------- */

static void add_lease(struct renewal *renewal, const struct lease *lease)
{
	for (size_t i = 0; i < lease->count; i++) {
		struct spool_change *change;

		renewal->changes =
		    mem_grow(renewal->changes, renewal->count,
		             &renewal->capacity, sizeof(*change));
		change = &renewal->changes[renewal->count++];
		change->kind = SPOOL_RENEW;
		change->renew.id = lease->message;
		change->renew.recipient = lease->recipients[i];
		change->renew.lease_owner =
		    renewal->leases->options.config->agent_name;
		change->renew.until_ms = renewal->until_ms;
	}
}

/* Those that have lost a third of their time, as many as go together. */
static void collect(struct renewal *renewal)
{
	struct leases *leases = renewal->leases;
	int64_t enough_ms = length_ms(leases) / 3 * 2;

	for (size_t i = 0; i < BUCKETS; i++) {
		const struct lease *lease = leases->buckets[i];

		for (; lease; lease = lease->next) {
			if (lease->lost || left_ms(lease) > enough_ms)
				continue;
			renewal->more =
			    renewal->count &&
			    renewal->count + lease->count > CHANGES_MAXIMUM;
			if (renewal->more)
				return;
			add_lease(renewal, lease);
		}
	}
}

/*
 * A message whose lease was lost is not started; one in transmission is
 * finished, because the next hop may have accepted it. A claim that ended
 * because its outcome was recorded is not lost.
 */
static void note_loss(struct leases *leases, struct lease *lease, size_t place)
{
	char id[ID_TEXT_SIZE];

	if (lease->settling)
		return;
	lease->lost = true;
	metric_add(leases->lost, 1);
	log_warning(id_format(&lease->message, id),
	            "the claim on <%s> ended and is not ours any more",
	            lease->addresses[place]);
}

static void note_renewed(struct renewal *renewal)
{
	for (size_t i = 0; i < renewal->count; i++) {
		const struct spool_change *change = &renewal->changes[i];
		size_t place;
		struct lease *lease = find(renewal->leases, &change->renew.id,
		                           change->renew.recipient, &place);

		if (!lease)
			continue;
		if (change->result == ERR_CONFLICT ||
		    change->result == ERR_NOT_FOUND)
			note_loss(renewal->leases, lease, place);
		else if (change->result == 0)
			lease->until_ms = renewal->until_ms;
	}
}

static void free_renewal(struct renewal *renewal)
{
	renewal->leases->renewing = NULL;
	free(renewal->changes);
	free(renewal);
}

/* Those that were not prolonged are tried again; the writer tells of it. */
static void on_renewed(struct writer_request *request, int result)
{
	struct renewal *renewal = (struct renewal *)request;
	struct leases *leases = renewal->leases;

	if (result == 0)
		note_renewed(renewal);
	if (leases->timer && result == 0 && renewal->more)
		loop_timer_start(leases->timer, 0);
	free_renewal(renewal);
	leases->options.renewed(leases->options.context);
}

static void submit(struct renewal *renewal)
{
	struct leases *leases = renewal->leases;

	renewal->request = (struct writer_request){.changes = renewal->changes,
	                                           .count = renewal->count,
	                                           .loop = leases->options.loop,
	                                           .done = on_renewed};
	leases->renewing = renewal;
	if (!renewal->count ||
	    writer_submit(leases->options.writer, &renewal->request))
		free_renewal(renewal);
}

static void on_timer(void *argument)
{
	struct leases *leases = argument;
	struct renewal *renewal;

	loop_timer_start(leases->timer, length_ms(leases) / 6);
	if (leases->renewing)
		return;
	renewal = mem_alloc(sizeof(*renewal));
	renewal->leases = leases;
	renewal->until_ms = clock_wall_ms() + length_ms(leases);
	collect(renewal);
	submit(renewal);
}

struct leases *leases_new(const struct leases_options *options)
{
	struct leases *leases = mem_alloc(sizeof(*leases));

	leases->options = *options;
	leases->lost = metric_counter(
	    "turing_agent_delivery_claims_lost_total", "",
	    "Recipients that another agent claimed while they were ours: a "
	    "duplicate is possible");
	return leases;
}

void leases_free(struct leases *leases)
{
	free(leases);
}

void leases_start(struct leases *leases)
{
	leases->timer = loop_timer_new(leases->options.loop, on_timer, leases);
	loop_timer_start(leases->timer, length_ms(leases) / 6);
}

void leases_stop(struct leases *leases)
{
	loop_timer_free(leases->timer);
	leases->timer = NULL;
}
