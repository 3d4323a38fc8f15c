/* Checks of the records that registry_import() is given. */
#include "store/registry/input.h"

struct text {
	const char *field, *text;
};

static int input_texts(const struct text *texts, size_t count,
                       struct error *err)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = input_optional(texts[i].field, texts[i].text, err);
	return error;
}

static int input_key(const struct registry_key *key, struct error *err)
{
	int error;

	if ((error = input_id("id", &key->id, err)) ||
	    (error = input_id("tenant", &key->tenant, err)) ||
	    (error = input_required("agent", key->agent, err)))
		return error;
	return input_required("prefix", key->prefix, err);
}

static int input_user(const struct registry_user *user, struct error *err)
{
	int error;

	if ((error = input_id("id", &user->id, err)) ||
	    (error = input_required("login", user->login, err)) ||
	    (error = input_required("password", user->password, err)))
		return error;
	return input_role(user->role, &user->tenant, err);
}

/* A tombstone is judged as the entry it was. */
static int input_any_entry(const struct id *tenant, const struct entry *entry,
                           struct error *err)
{
	struct entry alive = *entry;

	alive.deleted = false;
	if (entry->revision < 1)
		return error_set(err, ERR_INVALID, "revision: not positive");
	return input_entry(tenant, &alive, err);
}

static int input_any_message(const struct registry_message *message,
                             struct error *err)
{
	int error = input_message_head(message, err);

	for (size_t i = 0; !error && i < message->recipient_count; i++) {
		const struct registry_recipient *recipient =
		    &message->recipients[i];
		const struct text texts[] = {{"by", recipient->by},
		                             {"why", recipient->why}};

		if ((unsigned)recipient->state >= REGISTRY_STATE_COUNT)
			return error_set(err, ERR_INVALID,
			                 "recipient: unknown state");
		error = input_required("recipient", recipient->address, err);
		if (!error)
			error = input_texts(texts, 2, err);
	}
	return error;
}

static int input_decision(const struct id *tenant,
                          const struct registry_decision *decision,
                          struct error *err)
{
	const struct text texts[] = {{"by", decision->by},
	                             {"why", decision->why}};
	int error;

	if ((error = input_id("tenant", tenant, err)) ||
	    (error = input_id("message", &decision->message, err)) ||
	    (error = input_required("recipient", decision->recipient, err)))
		return error;
	if (decision->sequence < 1)
		return error_set(err, ERR_INVALID, "sequence: not positive");
	if ((unsigned)decision->verdict > REGISTRY_EXPIRE)
		return error_set(err, ERR_INVALID, "verdict: unknown");
	return input_texts(texts, 2, err);
}

/* In any state, where one to be opened must be open. */
static int input_any_challenge(const struct registry_challenge *challenge,
                               struct error *err)
{
	struct registry_challenge open = *challenge;

	open.state = CHALLENGE_STATE_OPEN;
	if ((unsigned)challenge->state > CHALLENGE_STATE_BOUNCED)
		return error_set(err, ERR_INVALID, "state: unknown");
	return input_challenge(&open, err);
}

static int input_audit(const struct registry_audit *line, struct error *err)
{
	const struct text texts[] = {{"object", line->object},
	                             {"detail", line->detail}};
	int error;

	if ((error = input_id("id", &line->id, err)) ||
	    (error = input_required("actor", line->actor, err)) ||
	    (error = input_required("action", line->action, err)))
		return error;
	return input_texts(texts, 2, err);
}

static int input_domain(const struct registry_record *record, struct error *err)
{
	int error = input_id("tenant", &record->tenant, err);

	return error ? error : input_required("domain", record->domain, err);
}

int input_record(const struct registry_record *record, struct error *err)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		return input_tenant(&record->account, err);
	case REGISTRY_DOMAINS:
		return input_domain(record, err);
	case REGISTRY_KEYS:
		return input_key(&record->key, err);
	case REGISTRY_USERS:
		return input_user(&record->user, err);
	case REGISTRY_ENTRIES:
		return input_any_entry(&record->tenant, &record->entry, err);
	case REGISTRY_MESSAGES:
		return input_any_message(&record->message, err);
	case REGISTRY_DECISIONS:
		return input_decision(&record->tenant, &record->decision, err);
	case REGISTRY_CHALLENGES:
		return input_any_challenge(&record->challenge, err);
	case REGISTRY_AUDIT:
		return input_audit(&record->audit, err);
	case REGISTRY_SECRETS:
		return input_required("name", record->secret.name, err);
	case REGISTRY_DEAD_SENDERS:
		return input_optional("reason", record->dead_sender.reason,
		                      err);
	case REGISTRY_COUNTERS:
		return 0;
	case REGISTRY_KIND_COUNT:
		break;
	}
	return error_set(err, ERR_INVALID, "kind: unknown");
}
