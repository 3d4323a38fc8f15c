/* What the store has of messages that their senders were told to keep. */
#include "local-agent/queue/disowned.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/queue/trouble.h"

#define BATCH   100
#define BY      "agent"
#define WHY     "answered 451: the sender keeps it"
#define WAITING (SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED))
#define QUEUE   (SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED))

/* After a look that found nothing, until the next; then it is forgotten. */
static const int64_t pauses_ms[] = {1000, 10000, 60000, 300000, 600000};

#define LOOKS (sizeof(pauses_ms) / sizeof(pauses_ms[0]))

struct item {
	struct id id;
	unsigned looks;
	int64_t next_ms; /* monotonic */
};

struct disowned {
	pthread_mutex_t lock;
	struct item *items;
	size_t capacity;
	atomic_size_t count; /* changes under the lock */
	struct trouble lost;
	struct metric *discarded;
};

struct disowned *disowned_new(void)
{
	struct disowned *disowned = mem_alloc(sizeof(*disowned));

	(void)pthread_mutex_init(&disowned->lock, NULL);
	atomic_init(&disowned->count, 0);
	disowned->lost.part = "intake";
	disowned->discarded =
	    metric_counter("turing_agent_uncertain_discarded_total", "",
	                   "Recipients found stored although their sender was "
	                   "answered 451, and discarded");
	return disowned;
}

void disowned_free(struct disowned *disowned)
{
	if (!disowned)
		return;
	(void)pthread_mutex_destroy(&disowned->lock);
	free(disowned->items);
	free(disowned);
}

/* The lock is held, as below. */
static void remove_at(struct disowned *disowned, size_t index)
{
	size_t count = atomic_load(&disowned->count) - 1;

	memmove(&disowned->items[index], &disowned->items[index + 1],
	        (count - index) * sizeof(*disowned->items));
	atomic_store(&disowned->count, count);
}

static struct item *find(struct disowned *disowned, const struct id *id)
{
	size_t count = atomic_load(&disowned->count);

	for (size_t i = 0; i < count; i++)
		if (id_equal(&disowned->items[i].id, id))
			return &disowned->items[i];
	return NULL;
}

void disowned_add(struct disowned *disowned, const struct id *id)
{
	size_t count;

	(void)pthread_mutex_lock(&disowned->lock);
	if (atomic_load(&disowned->count) == DISOWNED_MAXIMUM) {
		trouble_tell(&disowned->lost, ERR_LIMIT,
		             "messages that may be stored",
		             "too many to keep in mind: some may be delivered "
		             "twice");
		remove_at(disowned, 0);
	}
	count = atomic_load(&disowned->count);
	disowned->items = mem_grow(disowned->items, count, &disowned->capacity,
	                           sizeof(*disowned->items));
	disowned->items[count] =
	    (struct item){.id = *id, .next_ms = clock_monotonic_ms()};
	atomic_store(&disowned->count, count + 1);
	(void)pthread_mutex_unlock(&disowned->lock);
}

bool disowned_has(struct disowned *disowned, const struct id *id)
{
	struct item *item;

	if (!disowned || !atomic_load(&disowned->count))
		return false;
	(void)pthread_mutex_lock(&disowned->lock);
	item = find(disowned, id);
	if (item)
		item->next_ms = 0; /* who asks has seen it */
	(void)pthread_mutex_unlock(&disowned->lock);
	return item != NULL;
}

size_t disowned_count(struct disowned *disowned)
{
	return atomic_load(&disowned->count);
}

/* The ids that it is time to look for. */
static size_t take_due(struct disowned *disowned, struct id ids[BATCH])
{
	int64_t now_ms = clock_monotonic_ms();
	size_t due = 0, count;

	(void)pthread_mutex_lock(&disowned->lock);
	count = atomic_load(&disowned->count);
	for (size_t i = 0; i < count && due < BATCH; i++)
		if (disowned->items[i].next_ms <= now_ms)
			ids[due++] = disowned->items[i].id;
	(void)pthread_mutex_unlock(&disowned->lock);
	return due;
}

/* A look is over: the message is settled, or looked for again. */
static void looked(struct disowned *disowned, const struct id *id, bool settled)
{
	struct item *item;

	(void)pthread_mutex_lock(&disowned->lock);
	item = find(disowned, id);
	if (item && (settled || item->looks == LOOKS))
		remove_at(disowned, (size_t)(item - disowned->items));
	else if (item)
		item->next_ms = clock_monotonic_ms() + pauses_ms[item->looks++];
	(void)pthread_mutex_unlock(&disowned->lock);
}

/*
 * Whether nobody can be delivering it: a claim of our own is that with which
 * it was added, for what is in the list is not claimed by us again.
 */
static bool is_idle(const struct spool_recipient *recipient, const char *owner)
{
	unsigned state = SPOOL_IN(recipient->state);
	const char *lease = recipient->lease_owner;

	if (state & WAITING)
		return true;
	return (state & QUEUE) && (!*lease || strcmp(lease, owner) == 0);
}

static struct spool_change discard(const struct spool_message *message,
                                   size_t index)
{
	const struct spool_recipient *recipient = &message->recipients[index];
	struct spool_change change = {.kind = SPOOL_MOVE};

	change.move.id = message->id;
	change.move.recipient = index;
	change.move.from = SPOOL_IN(recipient->state);
	change.move.lease_owner = recipient->lease_owner;
	change.move.to = SPOOL_DISCARDED;
	change.move.now_ms = clock_wall_ms();
	change.move.by = BY;
	change.move.why = WHY;
	/* The cloud may have heard of it meanwhile. */
	change.move.event = message->registered;
	return change;
}

/* Logs a recipient that could not be kept from being delivered. */
static void tell_rest(const struct spool_message *message, const char *owner)
{
	char id[ID_TEXT_SIZE];

	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct spool_recipient *recipient =
		    &message->recipients[i];

		if (is_idle(recipient, owner) ||
		    recipient->state == SPOOL_DISCARDED)
			continue;
		log_warning(id_format(&message->id, id),
		            "stored after its sender was answered 451, and "
		            "%s for <%s> already: a duplicate is possible",
		            recipient->lease_owner[0]
		                ? "claimed"
		                : spool_state_name(recipient->state),
		            recipient->address);
	}
}

/* Moves what is idle; *settled when nothing is left to do. */
static int discard_all(struct disowned *disowned,
                       const struct spool_message *message,
                       struct writer *writer, const char *owner, bool *settled)
{
	struct spool_change *changes =
	    mem_alloc_array(message->recipient_count, sizeof(*changes));
	size_t count = 0;
	int result = 0;

	for (size_t i = 0; i < message->recipient_count; i++)
		if (is_idle(&message->recipients[i], owner))
			changes[count++] = discard(message, i);
	if (count)
		result = writer_commit(writer, changes, count);
	*settled = result == 0;
	for (size_t i = 0; i < count && result == 0; i++) {
		if (changes[i].result)
			*settled = false; /* changed meanwhile: look again */
		else
			metric_add(disowned->discarded, 1);
		if (trouble_is_passing(changes[i].result))
			result = changes[i].result;
	}
	free(changes);
	return result;
}

static int settle_one(struct disowned *disowned, const struct id *id,
                      struct spool *spool, struct writer *writer,
                      const char *owner, struct error *err)
{
	struct spool_message message;
	struct error local = {.text = ""};
	bool settled = false;
	int result = spool_read(spool, id, &message, &local);

	if (result && result != ERR_NOT_FOUND)
		return error_set(err, (enum error_code)result, "%s",
		                 local.text);
	if (result == 0) {
		char text[ID_TEXT_SIZE];

		result =
		    discard_all(disowned, &message, writer, owner, &settled);
		if (result)
			(void)error_set(err, (enum error_code)result,
			                "the commit failed");
		else if (settled)
			tell_rest(&message, owner);
		if (settled)
			log_info(id_format(id, text),
			         "was stored although answered 451: discarded, "
			         "the sender keeps it");
		spool_message_release(&message);
		if (result)
			return result;
	}
	looked(disowned, id, settled);
	return 0;
}

int disowned_settle(struct disowned *disowned, struct spool *spool,
                    struct writer *writer, const char *owner, struct error *err)
{
	struct id ids[BATCH];
	size_t count;
	int result = 0;

	if (!disowned_count(disowned))
		return 0;
	count = take_due(disowned, ids);
	for (size_t i = 0; i < count && result == 0; i++)
		result =
		    settle_one(disowned, &ids[i], spool, writer, owner, err);
	return result;
}
