/* Decisions on held mail as changes of the spool. */
#include "local-agent/cloud/decision.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "common/text.h"
#include "local-agent/queue/trouble.h"

#define BY_MAXIMUM  64
#define WHY_MAXIMUM 500

void decision_batch_release(struct decision_batch *batch)
{
	size_t i;

	for (i = 0; i < batch->text_count; i++)
		free(batch->texts[i]);
	free(batch->texts);
	free(batch->changes);
	*batch = (struct decision_batch){0};
}

static struct spool_change *add_change(struct decision_batch *batch)
{
	batch->changes = mem_grow(batch->changes, batch->count,
	                          &batch->capacity, sizeof(*batch->changes));
	return &batch->changes[batch->count++];
}

/* Keeps a copy of at most maximum bytes, not cut within a character. */
static const char *keep_text(struct decision_batch *batch, const char *text,
                             size_t maximum)
{
	size_t length = text_utf8_cut(text, maximum);

	batch->texts = mem_grow(batch->texts, batch->text_count,
	                        &batch->text_capacity, sizeof(*batch->texts));
	batch->texts[batch->text_count] = mem_copy_bytes(text, length);
	return batch->texts[batch->text_count++];
}

void decision_add_registered(struct decision_batch *batch, const struct id *id,
                             const char *refusal)
{
	struct spool_change *change = add_change(batch);

	change->kind = SPOOL_REGISTERED;
	change->mark.id = *id;
	if (refusal)
		change->mark.refusal =
		    keep_text(batch, refusal, SPOOL_REFUSAL_MAXIMUM);
}

void decision_add_refused(struct decision_batch *batch, const struct id *id,
                          int64_t retry_ms, const char *refusal)
{
	struct spool_change *change = add_change(batch);

	change->kind = SPOOL_REFUSED;
	change->refuse.id = *id;
	change->refuse.retry_ms = retry_ms;
	change->refuse.refusal =
	    keep_text(batch, refusal, SPOOL_REFUSAL_MAXIMUM);
}

static int verdict_state(const char *verdict)
{
	if (strcmp(verdict, "release") == 0)
		return SPOOL_QUEUED;
	if (strcmp(verdict, "discard") == 0)
		return SPOOL_DISCARDED;
	if (strcmp(verdict, "expire") == 0)
		return SPOOL_EXPIRED;
	return -1;
}

static bool same_address(const char *a, const char *b)
{
	char folded_a[MAIL_ADDRESS_SIZE], folded_b[MAIL_ADDRESS_SIZE];

	if (strcmp(a, b) == 0)
		return true;
	return mail_address_fold(a, folded_a) == 0 &&
	       mail_address_fold(b, folded_b) == 0 &&
	       strcmp(folded_a, folded_b) == 0;
}

static void add_move(struct decision_batch *batch, const struct id *id,
                     size_t recipient, enum spool_state state, const char *by,
                     const char *why)
{
	struct spool_change *change = add_change(batch);
	int64_t now_ms = clock_wall_ms();

	change->kind = SPOOL_MOVE;
	change->move.id = *id;
	change->move.recipient = recipient;
	change->move.from = SPOOL_IN(SPOOL_HELD);
	change->move.to = state;
	change->move.now_ms = now_ms;
	change->move.next_attempt_ms = now_ms;
	change->move.by = keep_text(batch, by, BY_MAXIMUM);
	change->move.why = keep_text(batch, why, WHY_MAXIMUM);
	/* No event: the cloud knows what it decided. */
	batch->released += state == SPOOL_QUEUED;
}

int decision_add(struct decision_batch *batch,
                 const struct spool_message *message, const char *address,
                 const char *verdict, const char *by, const char *why)
{
	int state = verdict_state(verdict);
	size_t i;

	if (state < 0)
		return ERR_INVALID;
	for (i = 0; i < message->recipient_count; i++)
		if (message->recipients[i].state == SPOOL_HELD &&
		    same_address(message->recipients[i].address, address))
			add_move(batch, &message->id, i,
			         (enum spool_state)state, by, why);
	return 0;
}

static void log_change(const struct spool_change *change)
{
	char id[ID_TEXT_SIZE];

	if (change->kind != SPOOL_MOVE)
		return;
	(void)id_format(&change->move.id, id);
	if (change->result)
		log_info(id, "recipient %zu was decided before: %s",
		         change->move.recipient, error_name(change->result));
	else
		log_info(id, "recipient %zu %s by %s: %s",
		         change->move.recipient,
		         change->move.to == SPOOL_QUEUED
		             ? "released"
		             : spool_state_name(change->move.to),
		         change->move.by, change->move.why);
}

int decision_commit(struct decision_batch *batch, struct writer *writer)
{
	int result;
	size_t i;

	if (batch->count == 0)
		return 0;
	result = writer_commit(writer, batch->changes, batch->count);
	for (i = 0; result == 0 && i < batch->count; i++) {
		if (trouble_is_passing(batch->changes[i].result))
			result = batch->changes[i].result;
		else
			log_change(&batch->changes[i]);
	}
	return result;
}
