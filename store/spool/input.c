/* What every backend of the spool refuses before it touches its store. */
#include "store/spool/input.h"

#define ALL_STATES   (SPOOL_IN(SPOOL_STATE_COUNT) - 1)
#define PART_MAXIMUM 1000

int spool_options_check(const struct spool_options *options, struct error *err)
{
	const char *wrong = NULL;

	if (!options->backend || !*options->backend)
		wrong = "backend";
	else if (!options->location || !*options->location)
		wrong = "location";
	else if (!options->owner || !*options->owner ||
	         strlen(options->owner) > SPOOL_OWNER_MAXIMUM)
		wrong = "owner";
	else if (options->large_body_bytes < 0)
		wrong = "large_body_bytes";
	if (wrong)
		return error_set(err, ERR_INVALID, "spool: %s", wrong);
	return 0;
}

static int check_recipients(const struct spool_message *message)
{
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct spool_recipient *recipient =
		    &message->recipients[i];

		if (!recipient->address || !*recipient->address ||
		    (unsigned)recipient->state >= SPOOL_STATE_COUNT ||
		    (unsigned)recipient->dsn >= SPOOL_DSN_COUNT ||
		    recipient->keep_until_ms < 0 ||
		    (recipient->lease_owner &&
		     strlen(recipient->lease_owner) > SPOOL_OWNER_MAXIMUM))
			return ERR_INVALID;
	}
	return message->recipient_count ? 0 : ERR_INVALID;
}

static int check_add(const struct spool_change *change)
{
	const struct spool_message *message = change->add.message;
	const struct spool_body_source *body = &change->add.body;

	if (!message || id_is_none(&message->id) || message->size < 0)
		return ERR_INVALID;
	if (body->bytes ? body->path != NULL : !body->path && body->size)
		return ERR_INVALID;
	return check_recipients(message);
}

/* Of a COPY: a history that no backend can have made could not be kept. */
static int check_history(const char *history)
{
	size_t length = history ? strlen(history) : 0;

	if (length > SPOOL_HISTORY_MAXIMUM)
		return ERR_INVALID;
	return length && history[length - 1] != '\n' ? ERR_INVALID : 0;
}

static int check_refusal(const struct id *id, const char *refusal)
{
	if (id_is_none(id) ||
	    (refusal && strlen(refusal) > SPOOL_REFUSAL_MAXIMUM))
		return ERR_INVALID;
	return 0;
}

static int check_copy(const struct spool_change *change)
{
	const struct spool_message *message = change->add.message;
	const struct spool_body_source *body = &change->add.body;
	int result = check_add(change);

	for (size_t i = 0; !result && i < message->recipient_count; i++)
		result = check_history(message->recipients[i].history);
	if (!result)
		result =
		    check_refusal(&message->id, message->registration_refusal);
	if (!result && !message->body_present && (body->size || body->path))
		result = ERR_INVALID;
	return result;
}

static int check_move(const struct spool_change *change)
{
	if (id_is_none(&change->move.id) || !change->move.from ||
	    (change->move.from & ~ALL_STATES) ||
	    (unsigned)change->move.to >= SPOOL_STATE_COUNT ||
	    change->move.keep_until_ms < 0)
		return ERR_INVALID;
	return 0;
}

static int check_dsn(const struct spool_change *change)
{
	enum spool_dsn from = change->dsn.from, to = change->dsn.to;

	if (id_is_none(&change->dsn.id) || (unsigned)from >= SPOOL_DSN_COUNT ||
	    (unsigned)to >= SPOOL_DSN_COUNT)
		return ERR_INVALID;
	return (from == SPOOL_DSN_QUEUED || to == SPOOL_DSN_QUEUED) &&
	               id_is_none(&change->dsn.dsn_id)
	           ? ERR_INVALID
	           : 0;
}

static int check_set(const struct spool_change *change)
{
	const char *name = change->set.name;
	const char *value = change->set.value;

	if (!name || !*name || !value || strlen(name) > SPOOL_NAME_MAXIMUM ||
	    strlen(value) > SPOOL_VALUE_MAXIMUM)
		return ERR_INVALID;
	return 0;
}

static int check_renew(const struct spool_change *change)
{
	const char *owner = change->renew.lease_owner;

	if (id_is_none(&change->renew.id) || !owner || !*owner ||
	    strlen(owner) > SPOOL_OWNER_MAXIMUM || change->renew.until_ms < 1)
		return ERR_INVALID;
	return 0;
}

int spool_change_check(const struct spool_change *change)
{
	switch (change->kind) {
	case SPOOL_ADD:
		return check_add(change);
	case SPOOL_COPY:
		return check_copy(change);
	case SPOOL_MOVE:
		return check_move(change);
	case SPOOL_REGISTERED:
		return check_refusal(&change->mark.id, change->mark.refusal);
	case SPOOL_REPORTED:
		return id_is_none(&change->mark.id) ? ERR_INVALID : 0;
	case SPOOL_REFUSED:
		return change->refuse.refusal
		           ? check_refusal(&change->refuse.id,
		                           change->refuse.refusal)
		           : ERR_INVALID;
	case SPOOL_SET:
		return check_set(change);
	case SPOOL_RENEW:
		return check_renew(change);
	case SPOOL_DSN:
		return check_dsn(change);
	default:
		return ERR_INVALID;
	}
}

int spool_limit_check(size_t limit, struct error *err)
{
	if (limit < 1 || limit > SPOOL_LIMIT_MAXIMUM)
		return error_set(err, ERR_INVALID, "limit: 1 to %d",
		                 SPOOL_LIMIT_MAXIMUM);
	return 0;
}

static int check_part(const char *name, const char *part, struct error *err)
{
	if (part && strlen(part) > PART_MAXIMUM)
		return error_set(err, ERR_INVALID, "%s: at most %d bytes", name,
		                 PART_MAXIMUM);
	return 0;
}

int spool_query_check(const struct spool_query *query, struct error *err)
{
	int result = spool_limit_check(query->limit, err);

	if (!result)
		result = check_part("sender", query->sender, err);
	if (!result)
		result = check_part("recipient", query->recipient, err);
	if (!result && (query->states & ~ALL_STATES))
		result = error_set(err, ERR_INVALID, "states: unknown");
	return result;
}

int spool_claim_check(const char *owner, int64_t now_ms, int64_t lease_ms,
                      size_t limit, struct error *err)
{
	if (!owner || !*owner || strlen(owner) > SPOOL_OWNER_MAXIMUM)
		return error_set(err, ERR_INVALID, "owner");
	if (lease_ms < 1 || now_ms < 0 || now_ms > INT64_MAX - lease_ms)
		return error_set(err, ERR_INVALID, "lease");
	return spool_limit_check(limit, err);
}
