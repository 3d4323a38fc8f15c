/* The claims on what waits or is under way, prolonged until each has its
 * outcome. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/delivery/private.h"

#define CHANGES_MAXIMUM 512 /* of one request, but one parcel at least */

/* Claims that are being prolonged, all with one commit. */
struct renewal {
	struct writer_request request; /* first */
	struct delivery *delivery;
	int64_t until_ms;
	struct spool_change *changes;
	size_t count, capacity;
	bool more; /* others are to be prolonged too */
};

/* --- what is kept ------------------------------------------------------- */

static struct parcel **bucket_of(struct delivery *delivery, const struct id *id)
{
	uint64_t hash = crypto_table_hash(0, id->bytes, sizeof(id->bytes));

	return &delivery->kept[hash % DELIVERY_BUCKETS];
}

void lease_keep(struct parcel *parcel)
{
	struct parcel **bucket =
	    bucket_of(parcel->delivery, &parcel->message.id);

	parcel->next_kept = *bucket;
	*bucket = parcel;
	parcel->kept = true;
}

void lease_drop(struct parcel *parcel)
{
	struct parcel **link;

	if (!parcel->kept)
		return;
	link = bucket_of(parcel->delivery, &parcel->message.id);
	while (*link != parcel)
		link = &(*link)->next_kept;
	*link = parcel->next_kept;
	parcel->kept = false;
}

/* The parcel that has this recipient, or NULL. */
static struct parcel *find(struct delivery *delivery, const struct id *id,
                           size_t recipient)
{
	struct parcel *parcel = *bucket_of(delivery, id);

	for (; parcel; parcel = parcel->next_kept) {
		if (!id_equal(&parcel->message.id, id))
			continue;
		for (size_t i = 0; i < parcel->count; i++)
			if (parcel->indices[i] == recipient)
				return parcel;
	}
	return NULL;
}

void lease_skip_kept(struct delivery *delivery, struct spool_message *message)
{
	for (size_t i = 0; i < message->recipient_count; i++)
		if (find(delivery, &message->id, i))
			message->recipients[i].lease_owner[0] = '\0';
}

static int64_t lease_ms(const struct delivery *delivery)
{
	return delivery->options.config->queue_lease_ms;
}

static int64_t left_ms(const struct parcel *parcel)
{
	return parcel->lease_until_ms - clock_wall_ms();
}

bool lease_is_safe(const struct parcel *parcel)
{
	return !parcel->lost &&
	       left_ms(parcel) > lease_ms(parcel->delivery) / 3;
}

/* --- prolonging --------------------------------------------------------- */

static void add_parcel(struct renewal *renewal, const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->count; i++) {
		struct spool_change *change;

		renewal->changes =
		    mem_grow(renewal->changes, renewal->count,
		             &renewal->capacity, sizeof(*change));
		change = &renewal->changes[renewal->count++];
		change->kind = SPOOL_RENEW;
		change->renew.id = parcel->message.id;
		change->renew.recipient = parcel->indices[i];
		change->renew.lease_owner =
		    parcel->delivery->options.config->agent_name;
		change->renew.until_ms = renewal->until_ms;
	}
}

/* Those that have lost a third of their time, as many as go together. */
static void collect(struct renewal *renewal)
{
	struct delivery *delivery = renewal->delivery;
	int64_t enough_ms = lease_ms(delivery) / 3 * 2;

	for (size_t i = 0; i < DELIVERY_BUCKETS; i++) {
		const struct parcel *parcel = delivery->kept[i];

		for (; parcel; parcel = parcel->next_kept) {
			if (parcel->lost || left_ms(parcel) > enough_ms)
				continue;
			renewal->more =
			    renewal->count &&
			    renewal->count + parcel->count > CHANGES_MAXIMUM;
			if (renewal->more)
				return;
			add_parcel(renewal, parcel);
		}
	}
}

/*
 * What is lost is not begun; what is under way goes on, for it may be at its
 * end. A claim that ended because its outcome was recorded is not lost.
 */
static void note_loss(struct parcel *parcel, size_t recipient)
{
	char id[ID_TEXT_SIZE];

	if (parcel->settling)
		return;
	parcel->lost = true;
	metric_add(parcel->delivery->lost, 1);
	log_warning(id_format(&parcel->message.id, id),
	            "the claim on <%s> ended and is not ours any more",
	            parcel->message.recipients[recipient].address);
}

static void note_renewed(struct renewal *renewal)
{
	for (size_t i = 0; i < renewal->count; i++) {
		const struct spool_change *change = &renewal->changes[i];
		struct parcel *parcel =
		    find(renewal->delivery, &change->renew.id,
		         change->renew.recipient);

		if (!parcel)
			continue;
		if (change->result == ERR_CONFLICT ||
		    change->result == ERR_NOT_FOUND)
			note_loss(parcel, change->renew.recipient);
		else if (change->result == 0)
			parcel->lease_until_ms = renewal->until_ms;
	}
}

static void free_renewal(struct renewal *renewal)
{
	renewal->delivery->renewing = NULL;
	free(renewal->changes);
	free(renewal);
}

/* Those that were not prolonged are tried again; the writer tells of it. */
static void on_renewed(struct writer_request *request, int result)
{
	struct renewal *renewal = (struct renewal *)request;
	struct delivery *delivery = renewal->delivery;

	if (result == 0)
		note_renewed(renewal);
	if (delivery->renewal && result == 0 && renewal->more)
		loop_timer_start(delivery->renewal, 0);
	free_renewal(renewal);
	delivery_pump(delivery);
}

static void submit(struct renewal *renewal)
{
	struct delivery *delivery = renewal->delivery;

	renewal->request =
	    (struct writer_request){.changes = renewal->changes,
	                            .count = renewal->count,
	                            .loop = delivery->options.loop,
	                            .done = on_renewed};
	delivery->renewing = renewal;
	if (!renewal->count ||
	    writer_submit(delivery->options.writer, &renewal->request))
		free_renewal(renewal);
}

static void on_renewal(void *argument)
{
	struct delivery *delivery = argument;
	struct renewal *renewal;

	loop_timer_start(delivery->renewal, lease_ms(delivery) / 6);
	if (delivery->renewing)
		return;
	renewal = mem_alloc(sizeof(*renewal));
	renewal->delivery = delivery;
	renewal->until_ms = clock_wall_ms() + lease_ms(delivery);
	collect(renewal);
	submit(renewal);
}

void lease_start(struct delivery *delivery)
{
	delivery->renewal =
	    loop_timer_new(delivery->options.loop, on_renewal, delivery);
	loop_timer_start(delivery->renewal, lease_ms(delivery) / 6);
}

void lease_stop(struct delivery *delivery)
{
	loop_timer_free(delivery->renewal);
	delivery->renewal = NULL;
}
