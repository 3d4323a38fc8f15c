/*
 * The registry's functions for messages, decisions, challenges and the audit:
 * they check what they are given and call the backend.
 */
#include "store/registry/input.h"

#include <stdlib.h>
#include <string.h>

int registry_message_add(struct registry *registry,
                         const struct registry_message *messages, size_t count,
                         int *results, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		results[i] = input_message(&messages[i], NULL);
	if (!count)
		return 0;
	return registry->backend->message_add(registry, messages, count,
	                                      results, err);
}

int registry_message_read(struct registry *registry, const struct id *tenant,
                          const struct id *id, struct registry_message *message,
                          struct error *err)
{
	return registry->backend->message_read(registry, tenant, id, message,
	                                       err);
}

int registry_message_attach(struct registry *registry, const struct id *tenant,
                            const struct registry_attachment *attachments,
                            size_t count, struct error *err)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = input_optional("reason", attachments[i].reason, err);
	if (error || !count)
		return error;
	return registry->backend->message_attach(registry, tenant, attachments,
	                                         count, err);
}

int registry_message_list(struct registry *registry,
                          const struct registry_query *query,
                          struct registry_messages *page, struct error *err)
{
	int error;

	if ((error = input_limit(query->limit, REGISTRY_PAGE_MAXIMUM, err)) ||
	    (error =
	         input_optional("sender_normal", query->sender_normal, err)) ||
	    (error = input_optional("recipient", query->recipient, err)))
		return error;
	return registry->backend->message_list(registry, query, page, err);
}

int registry_decide(struct registry *registry, const struct id *tenant,
                    const struct registry_decision *decision, struct error *err)
{
	int error;

	if ((error = input_required("recipient", decision->recipient, err)) ||
	    (error = input_optional("by", decision->by, err)) ||
	    (error = input_optional("why", decision->why, err)))
		return error;
	if ((unsigned)decision->verdict > REGISTRY_EXPIRE)
		return error_set(err, ERR_INVALID, "verdict: unknown");
	return registry->backend->decide(registry, tenant, decision, err);
}

int registry_decision_list(struct registry *registry, const struct id *tenant,
                           int64_t after, size_t limit,
                           struct registry_decisions *page, struct error *err)
{
	int error = input_limit(limit, REGISTRY_LIMIT_MAXIMUM, err);

	return error ? error
	             : registry->backend->decision_list(registry, tenant, after,
	                                                limit, page, err);
}

int registry_decision_last(struct registry *registry, const struct id *tenant,
                           int64_t *sequence, struct error *err)
{
	return registry->backend->decision_last(registry, tenant, sequence,
	                                        err);
}

int registry_message_event(struct registry *registry, const struct id *tenant,
                           const struct id *id, const char *recipient,
                           enum registry_state state, int64_t now_ms,
                           const char *why, struct error *err)
{
	int error;

	if ((error = input_required("recipient", recipient, err)) ||
	    (error = input_optional("why", why, err)))
		return error;
	if (state == REGISTRY_HELD || (unsigned)state >= REGISTRY_STATE_COUNT)
		return error_set(err, ERR_INVALID, "state: not an event's");
	return registry->backend->message_event(registry, tenant, id, recipient,
	                                        state, now_ms, why, err);
}

int registry_challenge_open(struct registry *registry,
                            const struct registry_challenge *challenges,
                            size_t count, int *results,
                            struct registry_opened *existing, struct error *err)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = input_challenge(&challenges[i], err);
	if (error || !count)
		return error;
	return registry->backend->challenge_open(registry, challenges, count,
	                                         results, existing, err);
}

int registry_challenge_find(struct registry *registry,
                            const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                            size_t count, struct registry_opened *found,
                            struct error *err)
{
	memset(found, 0, count * sizeof(*found));
	return count ? registry->backend->challenge_find(registry, hashes,
	                                                 count, found, err)
	             : 0;
}

int registry_challenge_states(struct registry *registry, const struct id *ids,
                              size_t count, int *states, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		states[i] = -1;
	return count ? registry->backend->challenge_states(registry, ids, count,
	                                                   states, err)
	             : 0;
}

int registry_challenge_read(struct registry *registry, const struct id *id,
                            struct registry_challenge *challenge,
                            struct error *err)
{
	return registry->backend->challenge_read(registry, id, challenge, err);
}

/* Whether a challenge may ever go from one state to the other. */
static bool move_allowed(enum registry_challenge_state from,
                         enum registry_challenge_state to)
{
	if (from == CHALLENGE_STATE_OPEN)
		return to == CHALLENGE_STATE_SOLVED ||
		       to == CHALLENGE_STATE_EXPIRED ||
		       to == CHALLENGE_STATE_BOUNCED;
	return from == CHALLENGE_STATE_SOLVED && to == CHALLENGE_STATE_SETTLED;
}

int registry_challenge_move(struct registry *registry, const struct id *id,
                            enum registry_challenge_state from,
                            enum registry_challenge_state to, int64_t now_ms,
                            struct error *err)
{
	if (!move_allowed(from, to))
		return error_set(err, ERR_INVALID,
		                 "state: no challenge goes from %d to %d",
		                 (int)from, (int)to);
	return registry->backend->challenge_move(registry, id, from, to, "",
	                                         now_ms, err);
}

int registry_challenge_end(struct registry *registry, const struct id *id,
                           enum registry_challenge_state to, const char *reason,
                           int64_t now_ms, struct error *err)
{
	int error = input_optional("reason", reason, err);

	if (error)
		return error;
	if (to != CHALLENGE_STATE_EXPIRED && to != CHALLENGE_STATE_BOUNCED)
		return error_set(err, ERR_INVALID,
		                 "state: no challenge ends in %d", (int)to);
	return registry->backend->challenge_move(
	    registry, id, CHALLENGE_STATE_OPEN, to, reason, now_ms, err);
}

int registry_challenge_recode(struct registry *registry, const struct id *id,
                              int64_t serial, bool wrong, const char *code,
                              struct error *err)
{
	int error = input_required("code", code, err);

	return error ? error
	             : registry->backend->challenge_recode(registry, id, serial,
	                                                   wrong, code, err);
}

int registry_challenge_solve(struct registry *registry, const struct id *id,
                             int64_t serial, int64_t now_ms, struct error *err)
{
	return registry->backend->challenge_solve(registry, id, serial, now_ms,
	                                          err);
}

/* The longest due first, whatever order a backend claims them in. */
static int compare_due(const void *a, const void *b)
{
	const struct registry_challenge *left = a, *right = b;

	if (left->mail_next_ms != right->mail_next_ms)
		return left->mail_next_ms < right->mail_next_ms ? -1 : 1;
	return memcmp(left->id.bytes, right->id.bytes, sizeof(left->id.bytes));
}

int registry_challenge_claim_mail(struct registry *registry, const char *owner,
                                  int64_t now_ms, int64_t lease_ms,
                                  size_t limit,
                                  struct registry_challenges *page,
                                  struct error *err)
{
	int error;

	if ((error = input_required("owner", owner, err)) ||
	    (error = input_limit(limit, REGISTRY_PAGE_MAXIMUM, err)))
		return error;
	if (lease_ms <= 0)
		return error_set(err, ERR_INVALID, "lease_ms: not positive");
	error = registry->backend->challenge_claim_mail(
	    registry, owner, now_ms, lease_ms, limit, page, err);
	if (!error && page->count > 1)
		qsort(page->challenges, page->count, sizeof(*page->challenges),
		      compare_due);
	return error;
}

int registry_challenge_mail_renew(struct registry *registry,
                                  const struct id *id, const char *owner,
                                  int64_t until_ms, struct error *err)
{
	int error;

	if ((error = input_id("id", id, err)) ||
	    (error = input_required("owner", owner, err)))
		return error;
	if (until_ms <= 0)
		return error_set(err, ERR_INVALID, "until_ms: not positive");
	return registry->backend->challenge_mail_renew(registry, id, owner,
	                                               until_ms, err);
}

int registry_challenge_mail_done(struct registry *registry, const struct id *id,
                                 const char *owner,
                                 enum registry_mail_state state,
                                 int64_t next_ms, bool counted,
                                 const char *reply, struct error *err)
{
	int error;

	if ((error = input_required("owner", owner, err)) ||
	    (error = input_optional("reply", reply, err)))
		return error;
	if ((unsigned)state > MAIL_STATE_FAILED)
		return error_set(err, ERR_INVALID, "state: unknown");
	return registry->backend->challenge_mail_done(
	    registry, id, owner, state, next_ms, counted, reply, err);
}

int registry_challenge_due(struct registry *registry,
                           enum registry_challenge_state state,
                           int64_t before_ms, size_t limit,
                           struct registry_challenges *page, struct error *err)
{
	int error = input_limit(limit, REGISTRY_PAGE_MAXIMUM, err);

	if (error)
		return error;
	if ((unsigned)state > CHALLENGE_STATE_BOUNCED)
		return error_set(err, ERR_INVALID, "state: unknown");
	return registry->backend->challenge_due(registry, state, before_ms,
	                                        limit, page, err);
}

int registry_challenge_count(struct registry *registry,
                             const struct registry_challenge_query *queries,
                             size_t count, size_t *counts, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if ((unsigned)queries[i].group > CHALLENGES_OF_ALL)
			return error_set(err, ERR_INVALID, "group: unknown");
		if (!queries[i].limit || queries[i].limit > INT32_MAX)
			return error_set(err, ERR_INVALID,
			                 "limit: not between 1 and %d",
			                 INT32_MAX);
	}
	return count ? registry->backend->challenge_count(registry, queries,
	                                                  count, counts, err)
	             : 0;
}

int registry_sender_mark(struct registry *registry,
                         const struct registry_dead_sender *dead,
                         struct error *err)
{
	int error = input_optional("reason", dead->reason, err);

	return error ? error
	             : registry->backend->sender_mark(registry, dead, err);
}

int registry_sender_read(struct registry *registry,
                         const uint8_t hash[CRYPTO_HASH_SIZE],
                         struct registry_dead_sender *dead, struct error *err)
{
	return registry->backend->sender_read(registry, hash, dead, err);
}

int registry_sender_marked(struct registry *registry,
                           const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                           size_t count, bool *marked, struct error *err)
{
	memset(marked, 0, count * sizeof(*marked));
	return count ? registry->backend->sender_marked(registry, hashes, count,
	                                                marked, err)
	             : 0;
}

int registry_sender_is_dead(struct registry *registry,
                            const uint8_t hash[CRYPTO_HASH_SIZE], bool *dead,
                            struct error *err)
{
	struct registry_dead_sender mark = {.reason = NULL};
	int error = registry->backend->sender_read(registry, hash, &mark, err);

	registry_dead_sender_release(&mark);
	if (error && error != ERR_NOT_FOUND)
		return error;
	*dead = !error;
	return 0;
}

int registry_sender_clear(struct registry *registry,
                          const uint8_t hash[CRYPTO_HASH_SIZE],
                          int64_t until_ms, bool *cleared, struct error *err)
{
	return registry->backend->sender_clear(registry, hash, until_ms,
	                                       cleared, err);
}

int registry_audit_add(struct registry *registry,
                       const struct registry_audit *line, struct error *err)
{
	int error;

	if ((error = input_id("id", &line->id, err)) ||
	    (error = input_required("actor", line->actor, err)) ||
	    (error = input_required("action", line->action, err)) ||
	    (error = input_optional("object", line->object, err)) ||
	    (error = input_optional("detail", line->detail, err)))
		return error;
	return registry->backend->audit_add(registry, line, err);
}

int registry_audit_each(struct registry *registry, const struct id *tenant,
                        const struct id *after, size_t limit,
                        void (*each)(const struct registry_audit *line,
                                     void *context),
                        void *context, struct error *err)
{
	static const struct id none;
	int error = input_limit(limit, REGISTRY_LIMIT_MAXIMUM, err);

	return error ? error
	             : registry->backend->audit_each(registry, tenant,
	                                             after ? after : &none,
	                                             limit, each, context, err);
}

int registry_count(struct registry *registry, struct registry_totals *totals,
                   struct error *err)
{
	return registry->backend->count(registry, totals, err);
}
