/* The order of a registry's records, and the canonical form of each kind. */
#include "store/copy/registry-record.h"

#include <string.h>

/* --- order -------------------------------------------------------------- */

static int order_ids(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static int order_audit(const struct registry_audit *a,
                       const struct registry_audit *b)
{
	int order = order_ids(&a->tenant, &b->tenant);

	return order ? order : order_ids(&a->id, &b->id);
}

/* Of two records that lie below their tenants. */
static int order_in_tenant(const struct registry_record *a,
                           const struct registry_record *b)
{
	int order = order_ids(&a->tenant, &b->tenant);

	if (order)
		return order;
	if (a->kind == REGISTRY_DOMAINS)
		return strcmp(a->domain, b->domain);
	return (a->decision.sequence > b->decision.sequence) -
	       (a->decision.sequence < b->decision.sequence);
}

int copy_record_order(const struct registry_record *a,
                      const struct registry_record *b)
{
	switch (a->kind) {
	case REGISTRY_DOMAINS:
	case REGISTRY_DECISIONS:
		return order_in_tenant(a, b);
	case REGISTRY_AUDIT:
		return order_audit(&a->audit, &b->audit);
	case REGISTRY_DEAD_SENDERS:
		return memcmp(a->dead_sender.hash, b->dead_sender.hash,
		              sizeof(a->dead_sender.hash));
	case REGISTRY_SECRETS:
		return strcmp(a->secret.name, b->secret.name);
	default:
		return order_ids(registry_record_id(a), registry_record_id(b));
	}
}

/* --- retention ---------------------------------------------------------- */

static bool has_held(const struct registry_message *message)
{
	for (size_t i = 0; i < message->recipient_count; i++)
		if (message->recipients[i].state == REGISTRY_HELD)
			return true;
	return false;
}

bool copy_record_is_over(const struct registry_record *record,
                         int64_t *since_ms)
{
	switch (record->kind) {
	case REGISTRY_MESSAGES:
		*since_ms = record->message.expires_ms;
		return !has_held(&record->message);
	case REGISTRY_DECISIONS:
		*since_ms = record->decision.decided_ms;
		return true;
	case REGISTRY_CHALLENGES:
		*since_ms = record->challenge.changed_ms;
		return record->challenge.state != CHALLENGE_STATE_OPEN &&
		       record->challenge.state != CHALLENGE_STATE_SOLVED;
	case REGISTRY_DEAD_SENDERS:
		*since_ms = record->dead_sender.marked_ms;
		return true;
	case REGISTRY_AUDIT:
		*since_ms = record->audit.at_ms;
		return true;
	default:
		return false;
	}
}

/* --- hashes ------------------------------------------------------------- */

static void hash_account(struct copy_hash *hash,
                         const struct registry_tenant *tenant)
{
	copy_hash_id(hash, &tenant->id);
	copy_hash_text(hash, tenant->name);
	copy_hash_text(hash, tenant->language);
	copy_hash_text(hash, tenant->display_name);
	copy_hash_text(hash, tenant->time_zone);
	copy_hash_text(hash, tenant->from_name);
	copy_hash_int(hash, tenant->created_ms);
	copy_hash_int(hash, tenant->quota_messages);
	copy_hash_int(hash, tenant->quota_bytes);
}

static void hash_key(struct copy_hash *hash, const struct registry_key *key)
{
	copy_hash_id(hash, &key->id);
	copy_hash_id(hash, &key->tenant);
	copy_hash_text(hash, key->agent);
	copy_hash_text(hash, key->prefix);
	copy_hash_bytes(hash, key->hash, sizeof(key->hash));
	copy_hash_int(hash, key->created_ms);
	copy_hash_int(hash, key->revoked_ms);
}

static void hash_user(struct copy_hash *hash, const struct registry_user *user)
{
	copy_hash_id(hash, &user->id);
	copy_hash_id(hash, &user->tenant);
	copy_hash_text(hash, user->login);
	copy_hash_text(hash, user->role);
	copy_hash_text(hash, user->password);
	copy_hash_int(hash, user->created_ms);
}

static void hash_message(struct copy_hash *hash,
                         const struct registry_message *message)
{
	copy_hash_id(hash, &message->id);
	copy_hash_id(hash, &message->tenant);
	copy_hash_id(hash, &message->challenge);
	copy_hash_int(hash, message->received_ms);
	copy_hash_int(hash, message->registered_ms);
	copy_hash_int(hash, message->expires_ms);
	copy_hash_int(hash, message->size);
	copy_hash_text(hash, message->sender);
	copy_hash_text(hash, message->sender_normal);
	copy_hash_text(hash, message->header_from);
	copy_hash_text(hash, message->subject);
	copy_hash_text(hash, message->message_id);
	copy_hash_text(hash, message->client_address);
	copy_hash_text(hash, message->helo);
	copy_hash_text(hash, message->challenge_reason);
	copy_hash_auth(hash, &message->auth);
	copy_hash_int(hash, (int64_t)message->recipient_count);
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct registry_recipient *one = &message->recipients[i];

		copy_hash_text(hash, one->address);
		copy_hash_int(hash, (int64_t)one->state);
		copy_hash_int(hash, one->changed_ms);
		copy_hash_text(hash, one->by);
		copy_hash_text(hash, one->why);
	}
}

static void hash_decision(struct copy_hash *hash,
                          const struct registry_decision *decision)
{
	copy_hash_int(hash, decision->sequence);
	copy_hash_id(hash, &decision->message);
	copy_hash_text(hash, decision->recipient);
	copy_hash_int(hash, (int64_t)decision->verdict);
	copy_hash_text(hash, decision->by);
	copy_hash_text(hash, decision->why);
	copy_hash_int(hash, decision->decided_ms);
}

static void hash_challenge(struct copy_hash *hash,
                           const struct registry_challenge *challenge)
{
	copy_hash_id(hash, &challenge->id);
	copy_hash_id(hash, &challenge->tenant);
	copy_hash_id(hash, &challenge->message);
	copy_hash_bytes(hash, challenge->sender_hash,
	                sizeof(challenge->sender_hash));
	copy_hash_bytes(hash, challenge->token_hash,
	                sizeof(challenge->token_hash));
	copy_hash_int(hash, (int64_t)challenge->state);
	copy_hash_int(hash, challenge->created_ms);
	copy_hash_int(hash, challenge->expires_ms);
	copy_hash_int(hash, challenge->changed_ms);
	copy_hash_text(hash, challenge->sender);
	copy_hash_text(hash, challenge->code);
	copy_hash_int(hash, challenge->attempts);
	copy_hash_int(hash, challenge->code_serial);
	copy_hash_int(hash, (int64_t)challenge->mail);
	copy_hash_int(hash, challenge->mail_attempts);
	copy_hash_int(hash, challenge->mail_next_ms);
	copy_hash_text(hash, challenge->mail_reply);
	copy_hash_text(hash, challenge->end_reason);
	copy_hash_bytes(hash, challenge->client_hash,
	                sizeof(challenge->client_hash));
	copy_hash_bytes(hash, challenge->domain_hash,
	                sizeof(challenge->domain_hash));
}

static void hash_audit(struct copy_hash *hash,
                       const struct registry_audit *line)
{
	copy_hash_id(hash, &line->id);
	copy_hash_id(hash, &line->tenant);
	copy_hash_int(hash, line->at_ms);
	copy_hash_text(hash, line->actor);
	copy_hash_text(hash, line->action);
	copy_hash_text(hash, line->object);
	copy_hash_text(hash, line->detail);
}

/* Dead senders, secrets and counters. */
static void hash_small(struct copy_hash *hash,
                       const struct registry_record *record)
{
	if (record->kind == REGISTRY_DEAD_SENDERS) {
		copy_hash_bytes(hash, record->dead_sender.hash,
		                sizeof(record->dead_sender.hash));
		copy_hash_int(hash, record->dead_sender.marked_ms);
		copy_hash_id(hash, &record->dead_sender.challenge);
		copy_hash_text(hash, record->dead_sender.reason);
	} else if (record->kind == REGISTRY_SECRETS) {
		copy_hash_text(hash, record->secret.name);
		copy_hash_bytes(hash, record->secret.bytes,
		                sizeof(record->secret.bytes));
	} else {
		copy_hash_id(hash, &record->tenant);
		copy_hash_int(hash, record->counters.policy_revision);
		copy_hash_int(hash, record->counters.decision_sequence);
	}
}

static void hash_fields(struct copy_hash *hash,
                        const struct registry_record *record)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		hash_account(hash, &record->account);
		break;
	case REGISTRY_DOMAINS:
		copy_hash_id(hash, &record->tenant);
		copy_hash_text(hash, record->domain);
		break;
	case REGISTRY_KEYS:
		hash_key(hash, &record->key);
		break;
	case REGISTRY_USERS:
		hash_user(hash, &record->user);
		break;
	case REGISTRY_ENTRIES:
		copy_hash_id(hash, &record->tenant);
		copy_hash_entry(hash, &record->entry);
		break;
	case REGISTRY_MESSAGES:
		hash_message(hash, &record->message);
		break;
	case REGISTRY_DECISIONS:
		copy_hash_id(hash, &record->tenant);
		hash_decision(hash, &record->decision);
		break;
	case REGISTRY_CHALLENGES:
		hash_challenge(hash, &record->challenge);
		break;
	case REGISTRY_AUDIT:
		hash_audit(hash, &record->audit);
		break;
	default:
		hash_small(hash, record);
		break;
	}
}

void copy_record_hash(const struct registry_record *record,
                      uint8_t hash[CRYPTO_HASH_SIZE])
{
	struct copy_hash form;

	copy_hash_begin(&form, registry_kind_name(record->kind));
	hash_fields(&form, record);
	copy_hash_end(&form, hash);
}
