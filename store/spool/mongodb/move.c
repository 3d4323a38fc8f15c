/* Changes of a message of the spool, made in its record before it is written
 * back to MongoDB. */
#include "store/spool/history.h"
#include "store/spool/mongodb/private.h"

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* Puts a copy in the place of *text; NULL leaves it. */
static int replace(char **text, const char *by)
{
	char *copy;

	if (!by)
		return 0;
	copy = strdup(by);
	if (!copy)
		return ERR_MEMORY;
	free(*text);
	*text = copy;
	return 0;
}

static void touch(struct spool_mongodb_record *record, size_t index,
                  const struct id *token)
{
	record->touched[index] = true;
	record->tokens[index] = *token;
}

/* What the move gets as its result. */
static int judge(const struct spool_change *change,
                 const struct spool_recipient *recipient)
{
	const char *owner = change->move.lease_owner;

	if (!(SPOOL_IN(recipient->state) & change->move.from))
		return ERR_CONFLICT;
	if (!spool_state_may_become(recipient->state, change->move.to) ||
	    (recipient->state == SPOOL_FAILED &&
	     !spool_recipient_is_kept(recipient)))
		return ERR_INVALID;
	if (owner && strcmp(owner, or_empty(recipient->lease_owner)) != 0)
		return ERR_CONFLICT;
	return 0;
}

static int move_texts(const struct spool_change *change,
                      struct spool_recipient *recipient)
{
	const char *by = or_empty(change->move.by);
	const char *why = or_empty(change->move.why);
	const struct spool_history_step left = {.state = recipient->state,
	                                        .changed_ms =
	                                            recipient->changed_ms,
	                                        .by = recipient->by,
	                                        .why = recipient->why,
	                                        .history = recipient->history};
	char kept[SPOOL_HISTORY_SIZE];
	int result;

	spool_history_append(&left, by, why, kept);
	result = replace(&recipient->history, kept);
	if (!result)
		result = replace(&recipient->by, by);
	if (!result)
		result = replace(&recipient->why, why);
	if (!result)
		result = replace(&recipient->reply, change->move.reply);
	if (!result)
		result = replace(&recipient->next_hop, change->move.next_hop);
	if (!result)
		result = replace(&recipient->lease_owner, "");
	return result;
}

static int move(struct spool_mongodb_record *record,
                const struct spool_change *change, const struct id *token,
                bool *changed)
{
	size_t index = change->move.recipient;
	bool final = spool_state_is_final(change->move.to);
	struct spool_recipient *recipient;
	int result;

	if (index >= record->message.recipient_count)
		return ERR_NOT_FOUND;
	recipient = &record->message.recipients[index];
	result = judge(change, recipient);
	if (!result)
		result = move_texts(change, recipient);
	if (result < 0)
		return result;
	if (recipient->state == SPOOL_FAILED)
		recipient->attempts = 0;
	else
		recipient->attempts += change->move.attempted;
	recipient->state = change->move.to;
	recipient->changed_ms = change->move.now_ms;
	recipient->next_attempt_ms = final ? 0 : change->move.next_attempt_ms;
	recipient->event_pending = final && change->move.event;
	recipient->lease_until_ms = 0;
	recipient->keep_until_ms = 0;
	if (change->move.to == SPOOL_FAILED) {
		recipient->keep_until_ms = change->move.keep_until_ms;
		if (change->move.dsn && recipient->dsn == SPOOL_DSN_NONE)
			recipient->dsn = SPOOL_DSN_DUE;
	}
	touch(record, index, token);
	*changed = true;
	return 0;
}

static int set_dsn(struct spool_mongodb_record *record,
                   const struct spool_change *change, const struct id *token,
                   bool *changed)
{
	size_t index = change->dsn.recipient;
	struct spool_recipient *recipient;

	if (index >= record->message.recipient_count)
		return ERR_NOT_FOUND;
	recipient = &record->message.recipients[index];
	if (recipient->dsn != change->dsn.from ||
	    (recipient->dsn == SPOOL_DSN_QUEUED &&
	     !id_equal(&recipient->dsn_id, &change->dsn.dsn_id)))
		return ERR_CONFLICT;
	recipient->dsn = change->dsn.to;
	if (!id_is_none(&change->dsn.dsn_id))
		recipient->dsn_id = change->dsn.dsn_id;
	if (change->dsn.to == SPOOL_DSN_SENT)
		recipient->keep_until_ms = 0;
	touch(record, index, token);
	*changed = true;
	return 0;
}

static int report(struct spool_mongodb_record *record, size_t index,
                  const struct id *token, bool *changed)
{
	if (index >= record->message.recipient_count)
		return ERR_NOT_FOUND;
	if (!record->message.recipients[index].event_pending)
		return 0;
	record->message.recipients[index].event_pending = false;
	touch(record, index, token);
	*changed = true;
	return 0;
}

/* What has a lease is queued or deferred: every move drops it. */
static int renew(struct spool_mongodb_record *record,
                 const struct spool_change *change, const struct id *token,
                 bool *changed)
{
	size_t index = change->renew.recipient;
	struct spool_recipient *recipient;

	if (index >= record->message.recipient_count)
		return ERR_NOT_FOUND;
	recipient = &record->message.recipients[index];
	if (strcmp(change->renew.lease_owner,
	           or_empty(recipient->lease_owner)) != 0)
		return ERR_CONFLICT;
	if (recipient->lease_until_ms >= change->renew.until_ms)
		return 0;
	recipient->lease_until_ms = change->renew.until_ms;
	touch(record, index, token);
	*changed = true;
	return 0;
}

static int mark_registered(struct spool_message *message,
                           const struct spool_change *change, bool *changed)
{
	int result;

	if (message->registered)
		return 0;
	result = replace(&message->registration_refusal,
	                 or_empty(change->mark.refusal));
	if (result < 0)
		return result;
	message->registered = true;
	message->registration_attempts = 0;
	message->registration_retry_ms = 0;
	*changed = true;
	return 0;
}

static int refuse(struct spool_message *message,
                  const struct spool_change *change, bool *changed)
{
	int result;

	if (message->registered)
		return ERR_CONFLICT;
	result =
	    replace(&message->registration_refusal, change->refuse.refusal);
	if (result < 0)
		return result;
	message->registration_attempts++;
	message->registration_retry_ms = change->refuse.retry_ms;
	*changed = true;
	return 0;
}

int spool_mongodb_apply(struct spool_mongodb_record *record,
                        const struct spool_change *change,
                        const struct id *token, bool *changed)
{
	switch (change->kind) {
	case SPOOL_MOVE:
		return move(record, change, token, changed);
	case SPOOL_REPORTED:
		return report(record, change->mark.recipient, token, changed);
	case SPOOL_RENEW:
		return renew(record, change, token, changed);
	case SPOOL_DSN:
		return set_dsn(record, change, token, changed);
	case SPOOL_REGISTERED:
		return mark_registered(&record->message, change, changed);
	case SPOOL_REFUSED:
		return refuse(&record->message, change, changed);
	default:
		return ERR_INVALID;
	}
}
