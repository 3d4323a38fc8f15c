/*
 * Delivery to the next hop: claims due mail, sends it over a pool of
 * connections that are used for many messages, and records the outcome of
 * every recipient. One event loop.
 *
 * A claim lasts for queue.lease and is prolonged as long as the message waits
 * here or is under way. Nothing is begun whose claim may end meanwhile. So when
 * the store is away for longer than that, and another agent delivers what this
 * one has claimed, what is delivered by both is at the most what this one had
 * open then, under way or not yet recorded: two messages a connection. That a
 * recipient was delivered is recorded whoever has the claim by then, for no
 * third delivery to follow; any other outcome only while the claim is ours.
 */
#ifndef LOCAL_AGENT_DELIVERY_DELIVERY_H
#define LOCAL_AGENT_DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/loop.h"
#include "local-agent/agent-config.h"
#include "local-agent/queue/disowned.h"
#include "local-agent/queue/writer.h"
#include "store/spool/spool.h"

struct delivery;

struct delivery_options {
	const struct agent_config *config;
	struct spool *spool;
	struct writer *writer;
	struct loop *loop; /* outlives delivery_stop(), runs its callbacks */
	struct disowned *disowned; /* not to be delivered; NULL: none */
	size_t memory_bytes; /* of mail that is handed over after its commit */
	void (*ended)(void *context); /* an end to be told to the cloud */
	void *context;
};

/* Starts. The caller ends it with delivery_stop(), then delivery_free(). */
int delivery_start(struct delivery **delivery,
                   const struct delivery_options *options, struct error *err);

/*
 * Begins nothing more, waits timeout_ms at the most for what is under way and
 * cuts the rest, whose outcomes still go to the writer. Afterwards the writer
 * is used no more. Not from the loop, which has to run.
 */
void delivery_stop(struct delivery *delivery, int64_t timeout_ms);

/* Frees, once the writer and the loop have ended. NULL is allowed. */
void delivery_free(struct delivery *delivery);

/*
 * Whether mail of this many bytes may be handed over in memory: false when
 * there is no room or the next hop is away. Any thread.
 */
bool delivery_reserve(struct delivery *delivery, size_t bytes);

/* Gives back what delivery_reserve() granted. Any thread. */
void delivery_unreserve(struct delivery *delivery, size_t bytes);

/*
 * Takes over a message that was stored with its queued recipients claimed for
 * us: the content of *message, which is cleared, and body, of body_size bytes
 * (NULL: read it from the spool). reserved as granted. Any thread.
 */
void delivery_take(struct delivery *delivery, struct spool_message *message,
                   char *body, size_t body_size, size_t reserved);

/* Something may be due in the spool: look now. Any thread. */
void delivery_wake(struct delivery *delivery);

#endif
