/* The registry's records: their words, their releases and their state rules. */
#include "store/registry/ops.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_names[REGISTRY_STATE_COUNT] = {
    [REGISTRY_HELD] = "held",           [REGISTRY_RELEASED] = "released",
    [REGISTRY_DISCARDED] = "discarded", [REGISTRY_EXPIRED] = "expired",
    [REGISTRY_DELIVERED] = "delivered", [REGISTRY_FAILED] = "failed",
};

const char *registry_state_name(enum registry_state state)
{
	return (unsigned)state < REGISTRY_STATE_COUNT ? state_names[state]
	                                              : "unknown";
}

int registry_state_parse(const char *name)
{
	for (int i = 0; i < REGISTRY_STATE_COUNT; i++)
		if (!strcmp(name, state_names[i]))
			return i;
	return -1;
}

const char *registry_kind_name(enum registry_kind kind)
{
	static const char *const names[REGISTRY_KIND_COUNT] = {
	    [REGISTRY_TENANTS] = "tenants",
	    [REGISTRY_DOMAINS] = "domains",
	    [REGISTRY_KEYS] = "keys",
	    [REGISTRY_USERS] = "users",
	    [REGISTRY_ENTRIES] = "entries",
	    [REGISTRY_MESSAGES] = "messages",
	    [REGISTRY_DECISIONS] = "decisions",
	    [REGISTRY_CHALLENGES] = "challenges",
	    [REGISTRY_DEAD_SENDERS] = "dead-senders",
	    [REGISTRY_AUDIT] = "audit",
	    [REGISTRY_SECRETS] = "secrets",
	    [REGISTRY_COUNTERS] = "counters",
	};

	return (unsigned)kind < REGISTRY_KIND_COUNT ? names[kind] : "unknown";
}

const char *registry_verdict_name(enum registry_verdict verdict)
{
	switch (verdict) {
	case REGISTRY_RELEASE:
		return "release";
	case REGISTRY_DISCARD:
		return "discard";
	case REGISTRY_EXPIRE:
		return "expire";
	}
	return "unknown";
}

enum registry_state registry_verdict_state(enum registry_verdict verdict)
{
	switch (verdict) {
	case REGISTRY_RELEASE:
		return REGISTRY_RELEASED;
	case REGISTRY_DISCARD:
		return REGISTRY_DISCARDED;
	case REGISTRY_EXPIRE:
		break;
	}
	return REGISTRY_EXPIRED;
}

bool registry_event_allowed(enum registry_state from, enum registry_state to)
{
	/*
	 * The agent has the mail, so what it says of an end is so, also where
	 * its own admin or expiry was faster than a release from here.
	 */
	if (to == REGISTRY_RELEASED)
		return from == REGISTRY_HELD;
	/* It keeps what failed, until it is tried again, discarded, expires. */
	if (from == REGISTRY_FAILED)
		return to == REGISTRY_DELIVERED || to == REGISTRY_DISCARDED ||
		       to == REGISTRY_EXPIRED;
	return to != REGISTRY_HELD &&
	       (from == REGISTRY_HELD || from == REGISTRY_RELEASED);
}

bool registry_event_keeps_release(enum registry_state from,
                                  enum registry_state to)
{
	if (from == REGISTRY_FAILED)
		return to == REGISTRY_DELIVERED;
	return from == REGISTRY_RELEASED &&
	       (to == REGISTRY_DELIVERED || to == REGISTRY_FAILED);
}

void registry_tenant_release(struct registry_tenant *tenant)
{
	free(tenant->name);
	free(tenant->language);
	free(tenant->display_name);
	free(tenant->time_zone);
	free(tenant->from_name);
	tenant->name = tenant->language = NULL;
	tenant->display_name = tenant->time_zone = tenant->from_name = NULL;
}

void registry_key_release(struct registry_key *key)
{
	free(key->agent);
	free(key->prefix);
	key->agent = key->prefix = NULL;
}

void registry_user_release(struct registry_user *user)
{
	free(user->login);
	free(user->role);
	free(user->password);
	user->login = user->role = user->password = NULL;
}

void registry_entries_release(struct registry_entries *page)
{
	for (size_t i = 0; i < page->count; i++)
		entry_release(&page->entries[i]);
	free(page->entries);
	memset(page, 0, sizeof(*page));
}

void registry_message_release(struct registry_message *message)
{
	for (size_t i = 0; i < message->recipient_count; i++) {
		free(message->recipients[i].address);
		free(message->recipients[i].by);
		free(message->recipients[i].why);
	}
	free(message->recipients);
	free(message->sender);
	free(message->sender_normal);
	free(message->header_from);
	free(message->subject);
	free(message->message_id);
	free(message->client_address);
	free(message->helo);
	free(message->challenge_reason);
	memset(message, 0, sizeof(*message));
}

void registry_messages_release(struct registry_messages *page)
{
	for (size_t i = 0; i < page->count; i++)
		registry_message_release(&page->messages[i]);
	free(page->messages);
	memset(page, 0, sizeof(*page));
}

static void release_decision(struct registry_decision *decision)
{
	free(decision->recipient);
	free(decision->by);
	free(decision->why);
}

void registry_decisions_release(struct registry_decisions *page)
{
	for (size_t i = 0; i < page->count; i++)
		release_decision(&page->decisions[i]);
	free(page->decisions);
	memset(page, 0, sizeof(*page));
}

void registry_challenge_release(struct registry_challenge *challenge)
{
	free(challenge->sender);
	free(challenge->code);
	free(challenge->mail_owner);
	free(challenge->mail_reply);
	free(challenge->end_reason);
	challenge->sender = challenge->code = NULL;
	challenge->mail_owner = challenge->mail_reply = NULL;
	challenge->end_reason = NULL;
}

void registry_dead_sender_release(struct registry_dead_sender *dead)
{
	free(dead->reason);
	dead->reason = NULL;
}

void registry_challenges_release(struct registry_challenges *page)
{
	for (size_t i = 0; i < page->count; i++)
		registry_challenge_release(&page->challenges[i]);
	free(page->challenges);
	memset(page, 0, sizeof(*page));
}

static void release_audit(struct registry_audit *line)
{
	free(line->actor);
	free(line->action);
	free(line->object);
	free(line->detail);
}

const struct id *registry_record_id(const struct registry_record *record)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		return &record->account.id;
	case REGISTRY_KEYS:
		return &record->key.id;
	case REGISTRY_USERS:
		return &record->user.id;
	case REGISTRY_ENTRIES:
		return &record->entry.id;
	case REGISTRY_MESSAGES:
		return &record->message.id;
	case REGISTRY_CHALLENGES:
		return &record->challenge.id;
	case REGISTRY_AUDIT:
		return &record->audit.id;
	default:
		return &record->tenant;
	}
}

void registry_record_release(struct registry_record *record)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		registry_tenant_release(&record->account);
		break;
	case REGISTRY_DOMAINS:
		free(record->domain);
		break;
	case REGISTRY_KEYS:
		registry_key_release(&record->key);
		break;
	case REGISTRY_USERS:
		registry_user_release(&record->user);
		break;
	case REGISTRY_ENTRIES:
		entry_release(&record->entry);
		break;
	case REGISTRY_MESSAGES:
		registry_message_release(&record->message);
		break;
	case REGISTRY_DECISIONS:
		release_decision(&record->decision);
		break;
	case REGISTRY_CHALLENGES:
		registry_challenge_release(&record->challenge);
		break;
	case REGISTRY_AUDIT:
		release_audit(&record->audit);
		break;
	case REGISTRY_SECRETS:
		free(record->secret.name);
		explicit_bzero(record->secret.bytes,
		               sizeof(record->secret.bytes));
		break;
	case REGISTRY_DEAD_SENDERS:
		registry_dead_sender_release(&record->dead_sender);
		break;
	case REGISTRY_COUNTERS:
	case REGISTRY_KIND_COUNT:
		break;
	}
	*record = (struct registry_record){.kind = record->kind};
}

void registry_records_release(struct registry_records *page)
{
	for (size_t i = 0; i < page->count; i++)
		registry_record_release(&page->records[i]);
	free(page->records);
	memset(page, 0, sizeof(*page));
}
