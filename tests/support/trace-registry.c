/* A long seeded trace of operations on a registry. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/support/trace-registry.h"
#include "tests/support/registry-one.h"

#define TENANTS    3 /* of which the last is never made */
#define MESSAGES   50
#define CHALLENGES 40
#define SENDERS    8
#define BATCH      4

static const char *const owners[] = {"one", "two", "three"};
static const char *const words[] = {"",
                                    "list",
                                    "captcha",
                                    "Caf\xc3\xa9",
                                    "not \xff\xfe UTF-8",
                                    "quote'\";--",
                                    "$dollar.x"};
static const char *const rcpts[] = {"a@acme.test", "b@acme.test", "c@acme.test",
                                    "d@acme.test"};
static const char *const senders[SENDERS] = {
    "s0@x.example",     "s1@x.example", "s2@y.example", "s3@y.example",
    "s4@sub.y.example", "s5@z.example", "s6@z.example", ""};

static unsigned below(struct registry_trace *trace, unsigned count)
{
	return trace_below(&trace->random, count);
}

static char *any_word(struct registry_trace *trace)
{
	return (char *)words[below(trace, sizeof(words) / sizeof(*words))];
}

static struct id tenant_id(struct registry_trace *trace)
{
	return trace_id(1 + (trace_once_in(&trace->random, 25)
	                         ? TENANTS - 1
	                         : below(trace, TENANTS - 1)));
}

static struct id message_id(struct registry_trace *trace)
{
	return trace_id(0x1000 + below(trace, MESSAGES));
}

static struct id challenge_id(struct registry_trace *trace)
{
	return trace_id(0x2000 + below(trace, CHALLENGES));
}

static void print_code(struct registry_trace *trace, int code)
{
	(void)fprintf(trace->out, "  %s\n", error_name(code));
}

static int64_t since(int64_t time_ms)
{
	return time_ms ? time_ms - TRACE_NOW : 0;
}

/* --- accounts ----------------------------------------------------------- */

static void print_domain(const char *domain, void *context)
{
	(void)fprintf(context, "  domain %s\n", domain);
}

static void step_domain(struct registry_trace *trace)
{
	static const char *const domains[] = {"acme.test", "b.test", "c.test"};
	struct id tenant = tenant_id(trace);
	const char *domain = domains[below(trace, 3)];

	print_code(trace, below(trace, 2)
	                      ? registry_domain_add(trace->registry, &tenant,
	                                            domain, NULL)
	                      : registry_domain_remove(trace->registry, &tenant,
	                                               domain, NULL));
	print_code(trace, registry_domain_each(trace->registry, &tenant,
	                                       print_domain, trace->out, NULL));
}

static void print_key(const struct registry_key *key, void *context)
{
	trace_print_id(context, &key->id);
	(void)fprintf(context, " key %s %s %02x %" PRId64 "\n", key->agent,
	              key->prefix, key->hash[3], since(key->revoked_ms));
}

static void step_key(struct registry_trace *trace)
{
	char prefix[20], agent[20];
	struct registry_key key = {.id = trace_id(0x3000 + below(trace, 40)),
	                           .tenant = tenant_id(trace),
	                           .prefix = prefix,
	                           .agent = agent,
	                           .created_ms = trace->now_ms};

	(void)snprintf(prefix, sizeof(prefix), "tk_%u", below(trace, 40));
	(void)snprintf(agent, sizeof(agent), "agent%u", below(trace, 4));
	memset(key.hash, (int)below(trace, 256), sizeof(key.hash));
	if (below(trace, 2))
		print_code(trace,
		           registry_key_add(trace->registry, &key, NULL));
	else
		print_code(trace,
		           registry_key_revoke(trace->registry, &key.tenant,
		                               prefix, trace->now_ms, NULL));
	print_code(trace, registry_key_each(trace->registry, &key.tenant,
	                                    print_key, trace->out, NULL));
}

static void print_user(const struct registry_user *user, void *context)
{
	trace_print_id(context, &user->id);
	(void)fprintf(context, " user %s %s %s\n", user->login, user->role,
	              user->password);
}

static void step_user(struct registry_trace *trace)
{
	char login[20];
	struct registry_user user = {.id = trace_id(0x4000 + below(trace, 30)),
	                             .tenant = tenant_id(trace),
	                             .login = login,
	                             .role = (char *)"admin",
	                             .password = (char *)"x",
	                             .created_ms = trace->now_ms};

	(void)snprintf(login, sizeof(login), "u%u@a", below(trace, 30));
	print_code(trace, registry_user_add(trace->registry, &user, NULL));
	print_code(trace, registry_user_each(trace->registry, &user.tenant,
	                                     print_user, trace->out, NULL));
}

/* --- lists -------------------------------------------------------------- */

static void print_entry(FILE *out, const struct entry *entry)
{
	trace_print_id(out, &entry->id);
	(void)fprintf(out, " %s %s %s %s", entry_scope_name(entry->scope),
	              entry_colour_name(entry->colour),
	              entry_kind_name(entry->kind),
	              entry_origin_name(entry->origin));
	trace_print_text(out, entry->scope_value);
	trace_print_text(out, entry->value);
	trace_print_text(out, entry->note);
	(void)fprintf(out, " %d%d %" PRId64 " %" PRId64 " r%" PRId64 "\n",
	              (int)entry->demand, entry->deleted,
	              since(entry->expires_ms), since(entry->created_ms),
	              entry->revision);
}

static void print_entries(struct registry_trace *trace, int code,
                          struct registry_entries *page)
{
	print_code(trace, code);
	if (code)
		return;
	(void)fprintf(trace->out, "  %zu%s\n", page->count,
	              page->more ? " more" : "");
	for (size_t i = 0; i < page->count; i++)
		print_entry(trace->out, &page->entries[i]);
	registry_entries_release(page);
}

static void step_put(struct registry_trace *trace)
{
	static const struct {
		enum entry_kind kind;
		const char *value;
	} values[] = {
	    {ENTRY_ADDRESS, "s0@x.example"}, {ENTRY_ADDRESS, "s2@y.example"},
	    {ENTRY_DOMAIN, "y.example"},     {ENTRY_SUBDOMAINS, "y.example"},
	    {ENTRY_DOMAIN, "z.example"},     {ENTRY_NETWORK, "192.0.2.0/24"},
	    {ENTRY_PATTERN, "s5@*"},         {ENTRY_ADDRESS, "s6@z.example"}};
	unsigned drawn = below(trace, sizeof(values) / sizeof(*values));
	struct id tenant = tenant_id(trace), none = {{0}};
	struct entry entry = {
	    .id = trace_id(0x5000 + below(trace, 60)),
	    .scope = (enum entry_scope)below(trace, 4),
	    .colour = (enum entry_colour)below(trace, 2),
	    .kind = values[drawn].kind,
	    .origin = (enum entry_origin)below(trace, 5),
	    .demand = trace_once_in(&trace->random, 4) ? MAIL_PASS_DKIM
	                                               : MAIL_PASS_NONE,
	    .expires_ms =
	        below(trace, 3)
	            ? 0
	            : trace->now_ms + 1000 * (int64_t)below(trace, 99),
	    .created_ms = trace->now_ms,
	    .value = (char *)values[drawn].value,
	    .note = any_word(trace)};
	struct entry stored = entry;
	int code;

	entry.scope_value =
	    (char *)(entry.scope == ENTRY_SCOPE_DOMAIN ? "acme.test"
	             : entry.scope == ENTRY_SCOPE_MAILBOX
	                 ? rcpts[below(trace, 2)]
	                 : "");
	code = registry_entry_put(trace->registry,
	                          entry.scope == ENTRY_SCOPE_GLOBAL ? &none
	                                                            : &tenant,
	                          &entry, &stored, NULL);
	print_code(trace, code);
	if (!code) {
		trace_print_id(trace->out, &stored.id);
		(void)fprintf(trace->out, " r%" PRId64 "\n", stored.revision);
	}
}

static void step_remove(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace), none = {{0}};
	struct id id = trace_id(0x5000 + below(trace, 60));

	print_code(trace, registry_entry_remove(
	                      trace->registry,
	                      below(trace, 4) ? &tenant : &none, &id, NULL));
}

static void step_entries(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace);
	struct id after =
	    below(trace, 2) ? trace_id(0x5000 + below(trace, 60)) : trace_id(0);
	struct registry_entries page = {.count = 0};
	struct registry_policy_cursor cursor = {-1, -1};
	int code = registry_entry_list(trace->registry, &tenant, &after,
	                               1 + below(trace, 30), &page, NULL);

	print_entries(trace, code, &page);
	code =
	    registry_policy_revision(trace->registry, &tenant, &cursor, NULL);
	(void)fprintf(trace->out, "  %d r%" PRId64 " g%" PRId64 "\n", code,
	              cursor.own, cursor.global);
	cursor.own -= (int64_t)below(trace, 20);
	cursor.global -= (int64_t)below(trace, 5);
	code = registry_entry_changes(trace->registry, &tenant, &cursor,
	                              1 + below(trace, 10), &page, NULL);
	(void)fprintf(trace->out, "  to r%" PRId64 " g%" PRId64 "\n",
	              cursor.own, cursor.global);
	print_entries(trace, code, &page);
}

static void step_match(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace);
	struct mail_auth auth = {.stated = true,
	                         .spf = below(trace, 2)
	                                    ? AUTH_PASS
	                                    : (enum auth_result)below(trace, 4),
	                         .aligned = below(trace, 2)};
	struct mail_identity identity;
	const char *sender = senders[below(trace, SENDERS)];
	const char *from = senders[below(trace, SENDERS)];
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = rcpts[below(trace, 4)],
	                                .client_address = "192.0.2.7",
	                                .now_ms = trace->now_ms};
	struct entry entry;
	int code;

	mail_identity_find(&identity, sender, from, &auth);
	code = match_one(trace->registry, &tenant, &subject, &entry, NULL);
	print_code(trace, code);
	if (code)
		return;
	print_entry(trace->out, &entry);
	entry_release(&entry);
}

/* --- mail --------------------------------------------------------------- */

static void print_message(FILE *out, const struct registry_message *message)
{
	const char *const fields[] = {message->sender,
	                              message->sender_normal,
	                              message->header_from,
	                              message->subject,
	                              message->message_id,
	                              message->client_address,
	                              message->helo,
	                              message->challenge_reason,
	                              message->auth.dmarc_domain};

	trace_print_id(out, &message->id);
	trace_print_id(out, &message->tenant);
	trace_print_id(out, &message->challenge);
	(void)fprintf(
	    out,
	    " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " auth %d %d %d",
	    since(message->received_ms), since(message->registered_ms),
	    since(message->expires_ms), message->size, message->auth.stated,
	    (int)message->auth.spf, message->auth.aligned);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		trace_print_text(out, fields[i]);
	(void)fputc('\n', out);
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct registry_recipient *r = &message->recipients[i];

		(void)fprintf(out, "    %s %s %" PRId64, r->address,
		              registry_state_name(r->state),
		              since(r->changed_ms));
		trace_print_text(out, r->by);
		trace_print_text(out, r->why);
		(void)fputc('\n', out);
	}
}

struct made_message {
	struct registry_message message;
	struct registry_recipient recipients[4];
};

static void make_message(struct registry_trace *trace,
                         struct made_message *made)
{
	const char *sender = senders[below(trace, SENDERS)];

	made->message = (struct registry_message){
	    .id = message_id(trace),
	    .tenant = tenant_id(trace),
	    .received_ms = trace->now_ms,
	    .registered_ms = trace->now_ms,
	    .expires_ms = trace->now_ms + 1000 * (int64_t)below(trace, 300),
	    .size = 1 + below(trace, 10000),
	    .sender = (char *)sender,
	    .sender_normal = (char *)sender,
	    .header_from = any_word(trace),
	    .subject = any_word(trace),
	    .message_id = any_word(trace),
	    .client_address = (char *)"192.0.2.1",
	    .helo = any_word(trace),
	    .challenge_reason = any_word(trace),
	    .auth = {.stated = true,
	             .spf = AUTH_PASS,
	             .dmarc_domain = "f.example",
	             .aligned = true},
	    .recipients = made->recipients,
	    .recipient_count =
	        trace_once_in(&trace->random, 30) ? 0 : 1 + below(trace, 4)};
	memset(made->recipients, 0, sizeof(made->recipients));
	for (size_t i = 0; i < 4; i++)
		made->recipients[i].address = (char *)rcpts[below(trace, 4)];
	if (trace_once_in(&trace->random, 30))
		made->recipients[0].state = REGISTRY_RELEASED;
}

static void step_message_add(struct registry_trace *trace)
{
	struct made_message made[BATCH];
	struct registry_message messages[BATCH];
	int results[BATCH] = {1, 1, 1, 1};
	size_t count = 1 + below(trace, BATCH);
	int code;

	for (size_t i = 0; i < count; i++) {
		make_message(trace, &made[i]);
		messages[i] = made[i].message;
	}
	code = registry_message_add(trace->registry, messages, count, results,
	                            NULL);
	print_code(trace, code);
	for (size_t i = 0; i < count; i++) {
		trace_print_id(trace->out, &messages[i].id);
		print_code(trace, results[i]);
	}
}

static void step_message_read(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace), id = message_id(trace);
	struct registry_message message;
	int code = registry_message_read(trace->registry, &tenant, &id,
	                                 &message, NULL);

	print_code(trace, code);
	if (code)
		return;
	print_message(trace->out, &message);
	registry_message_release(&message);
}

static void step_attach(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace), id = message_id(trace);
	struct id challenge =
	    below(trace, 3) ? challenge_id(trace) : trace_id(0);

	print_code(trace, attach_one(trace->registry, &tenant, &id,
	                             id_is_none(&challenge) ? NULL : &challenge,
	                             any_word(trace), NULL));
}

static void step_message_list(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace), challenge = challenge_id(trace);
	struct registry_query query = {
	    .tenant = below(trace, 4) ? &tenant : NULL,
	    .held = below(trace, 2),
	    .sender_normal =
	        below(trace, 3) ? NULL : senders[below(trace, SENDERS)],
	    .recipient = below(trace, 3) ? NULL : rcpts[below(trace, 4)],
	    .challenge = below(trace, 6) ? NULL : &challenge,
	    .expires_before_ms = below(trace, 4) ? 0 : trace->now_ms,
	    .after = below(trace, 2) ? trace_id(0) : message_id(trace),
	    .limit = below(trace, 2) ? 1000 : 1 + below(trace, 8)};
	struct registry_messages page = {.count = 0};
	int code = registry_message_list(trace->registry, &query, &page, NULL);

	print_code(trace, code);
	if (code)
		return;
	(void)fprintf(trace->out, "  %zu%s\n", page.count,
	              page.more ? " more" : "");
	for (size_t i = 0; i < page.count; i++)
		print_message(trace->out, &page.messages[i]);
	registry_messages_release(&page);
}

static void step_decide(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace);
	struct registry_decision decision = {
	    .message = message_id(trace),
	    .recipient = (char *)rcpts[below(trace, 4)],
	    .verdict = (enum registry_verdict)below(trace, 3),
	    .by = any_word(trace),
	    .why = any_word(trace),
	    .decided_ms = trace->now_ms};

	print_code(trace,
	           registry_decide(trace->registry, &tenant, &decision, NULL));
}

static void step_decisions(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace);
	struct registry_decisions page = {.count = 0};
	int64_t last = -1;
	int code =
	    registry_decision_last(trace->registry, &tenant, &last, NULL);

	(void)fprintf(trace->out, "  %s %" PRId64 "\n", error_name(code), last);
	code = registry_decision_list(
	    trace->registry, &tenant,
	    last > 10 ? last - (int64_t)below(trace, 10) : 0,
	    1 + below(trace, 9), &page, NULL);
	print_code(trace, code);
	if (code)
		return;
	for (size_t i = 0; i < page.count; i++) {
		const struct registry_decision *d = &page.decisions[i];

		(void)fprintf(trace->out, "  %" PRId64, d->sequence);
		trace_print_id(trace->out, &d->message);
		(void)fprintf(trace->out, " %s %s %" PRId64, d->recipient,
		              registry_verdict_name(d->verdict),
		              since(d->decided_ms));
		trace_print_text(trace->out, d->by);
		trace_print_text(trace->out, d->why);
		(void)fputc('\n', trace->out);
	}
	(void)fprintf(trace->out, "  %zu%s\n", page.count,
	              page.more ? " more" : "");
	registry_decisions_release(&page);
}

static void step_event(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace), id = message_id(trace);
	const char *recipient = rcpts[below(trace, 4)];
	enum registry_state state =
	    (enum registry_state)below(trace, REGISTRY_STATE_COUNT);

	trace_print_id(trace->out, &id);
	(void)fprintf(trace->out, " %s %s", recipient,
	              registry_state_name(state));
	print_code(trace, registry_message_event(
	                      trace->registry, &tenant, &id, recipient, state,
	                      trace->now_ms, any_word(trace), NULL));
}

/* --- challenges --------------------------------------------------------- */

static void print_challenge(FILE *out, const struct registry_challenge *c)
{
	trace_print_id(out, &c->id);
	trace_print_id(out, &c->tenant);
	trace_print_id(out, &c->message);
	(void)fprintf(out,
	              " %02x %02x state %d %" PRId64 " %" PRId64 " %" PRId64
	              " attempts %" PRId64 " serial %" PRId64
	              " mail %d %" PRId64 " %" PRId64 " %" PRId64,
	              c->sender_hash[0], c->token_hash[0], (int)c->state,
	              since(c->created_ms), since(c->expires_ms),
	              since(c->changed_ms), c->attempts, c->code_serial,
	              (int)c->mail, c->mail_attempts, since(c->mail_next_ms),
	              since(c->mail_lease_ms));
	trace_print_text(out, c->sender);
	trace_print_text(out, c->code);
	trace_print_text(out, c->mail_owner);
	trace_print_text(out, c->mail_reply);
	trace_print_text(out, c->end_reason);
	(void)fprintf(out, " %02x %02x", c->client_hash[0], c->domain_hash[0]);
	(void)fputc('\n', out);
}

static int by_id(const void *a, const void *b)
{
	return memcmp(((const struct registry_challenge *)a)->id.bytes,
	              ((const struct registry_challenge *)b)->id.bytes,
	              sizeof(struct id));
}

/* The contract leaves the order within a page open. */
static void print_challenges(struct registry_trace *trace, int code,
                             struct registry_challenges *page)
{
	print_code(trace, code);
	if (code)
		return;
	if (page->count)
		qsort(page->challenges, page->count, sizeof(*page->challenges),
		      by_id);
	(void)fprintf(trace->out, "  %zu\n", page->count);
	for (size_t i = 0; i < page->count; i++)
		print_challenge(trace->out, &page->challenges[i]);
	registry_challenges_release(page);
}

static void step_open(struct registry_trace *trace)
{
	unsigned sender = below(trace, SENDERS - 1);
	struct registry_challenge challenge = {
	    .id = challenge_id(trace),
	    .tenant = tenant_id(trace),
	    .message = message_id(trace),
	    .created_ms = trace->now_ms,
	    .expires_ms = trace->now_ms + 1000 * (int64_t)below(trace, 400),
	    .changed_ms = trace->now_ms,
	    .sender = (char *)senders[sender],
	    .code = (char *)"ABCDEF",
	    .mail_next_ms = trace->now_ms + 1000 * (int64_t)below(trace, 20),
	    .mail_owner = (char *)"",
	    .mail_reply = (char *)""};
	struct id existing = trace_id(0);
	int code;

	memset(challenge.sender_hash, (int)sender + 1, CRYPTO_HASH_SIZE);
	memset(challenge.token_hash, challenge.id.bytes[15], CRYPTO_HASH_SIZE);
	challenge.client_hash[0] = (uint8_t)below(trace, 3);
	challenge.domain_hash[0] = (uint8_t)below(trace, 3);
	code = open_one(trace->registry, &challenge, &existing, NULL);
	trace_print_id(trace->out, &challenge.id);
	trace_print_id(trace->out, &existing);
	print_code(trace, code);
}

static void step_challenge_read(struct registry_trace *trace)
{
	struct id id = challenge_id(trace);
	struct registry_challenge challenge;
	int code =
	    registry_challenge_read(trace->registry, &id, &challenge, NULL);

	print_code(trace, code);
	if (code)
		return;
	print_challenge(trace->out, &challenge);
	registry_challenge_release(&challenge);
}

static void step_challenge_move(struct registry_trace *trace)
{
	struct id id = challenge_id(trace);
	enum registry_challenge_state from =
	    (enum registry_challenge_state)below(trace, 3);
	enum registry_challenge_state to =
	    (enum registry_challenge_state)below(trace, 5);

	trace_print_id(trace->out, &id);
	(void)fprintf(trace->out, " %d to %d", (int)from, (int)to);
	print_code(trace, registry_challenge_move(trace->registry, &id, from,
	                                          to, trace->now_ms, NULL));
}

static void step_answer(struct registry_trace *trace)
{
	struct id id = challenge_id(trace);
	int64_t serial = below(trace, 4);
	char code[8];

	(void)snprintf(code, sizeof(code), "C%u", below(trace, 1000));
	trace_print_id(trace->out, &id);
	if (below(trace, 4))
		print_code(trace, registry_challenge_recode(
		                      trace->registry, &id, serial,
		                      below(trace, 2), code, NULL));
	else
		print_code(trace, registry_challenge_solve(
		                      trace->registry, &id, serial,
		                      trace->now_ms, NULL));
}

static void step_claim(struct registry_trace *trace)
{
	struct registry_challenges page = {.count = 0};
	int code = registry_challenge_claim_mail(
	    trace->registry, owners[below(trace, 3)], trace->now_ms,
	    1000 * (int64_t)(1 + below(trace, 30)), 1 + below(trace, 4), &page,
	    NULL);

	print_challenges(trace, code, &page);
}

static void step_mail(struct registry_trace *trace)
{
	struct id id = challenge_id(trace);
	const char *owner = owners[below(trace, 3)];

	trace_print_id(trace->out, &id);
	if (below(trace, 2))
		print_code(trace, registry_challenge_mail_renew(
		                      trace->registry, &id, owner,
		                      trace->now_ms + 9000, NULL));
	else
		print_code(trace, registry_challenge_mail_done(
		                      trace->registry, &id, owner,
		                      (enum registry_mail_state)below(trace, 3),
		                      trace->now_ms + 5000, true,
		                      any_word(trace), NULL));
}

static void step_due(struct registry_trace *trace)
{
	struct registry_challenges page = {.count = 0};
	int code = registry_challenge_due(
	    trace->registry, (enum registry_challenge_state)below(trace, 2),
	    trace->now_ms, 1 + below(trace, 9), &page, NULL);

	print_challenges(trace, code, &page);
}

static void print_dead(FILE *out, const struct registry_dead_sender *dead)
{
	(void)fprintf(out, " %02x %" PRId64, dead->hash[0],
	              since(dead->marked_ms));
	trace_print_id(out, &dead->challenge);
	trace_print_text(out, dead->reason);
	(void)fputc('\n', out);
}

static void step_dead(struct registry_trace *trace)
{
	struct registry_dead_sender dead = {.marked_ms = trace->now_ms,
	                                    .challenge = challenge_id(trace)};
	bool cleared = false;
	int code;

	memset(dead.hash, (int)below(trace, 20), sizeof(dead.hash));
	dead.reason = any_word(trace);
	switch (below(trace, 3)) {
	case 0:
		print_code(trace,
		           registry_sender_mark(trace->registry, &dead, NULL));
		break;
	case 1:
		print_code(trace,
		           registry_sender_clear(
		               trace->registry, dead.hash,
		               trace->now_ms - 1000 * (int64_t)below(trace, 60),
		               &cleared, NULL));
		(void)fprintf(trace->out, "  %d\n", cleared);
		break;
	default:
		code = registry_sender_read(trace->registry, dead.hash, &dead,
		                            NULL);
		print_code(trace, code);
		if (code)
			break;
		print_dead(trace->out, &dead);
		registry_dead_sender_release(&dead);
	}
}

static void step_challenge_count(struct registry_trace *trace)
{
	struct registry_challenge_query query = {
	    .group = (enum registry_challenge_group)below(trace, 5),
	    .tenant = tenant_id(trace),
	    .since_ms = trace->now_ms - 1000 * (int64_t)below(trace, 400),
	    .limit = 1 + below(trace, 20)};
	size_t count = 0;
	int code;

	if (query.group == CHALLENGES_OF_SENDER)
		memset(query.hash, (int)below(trace, SENDERS - 1) + 1,
		       sizeof(query.hash));
	else
		query.hash[0] = (uint8_t)below(trace, 3);
	code =
	    registry_challenge_count(trace->registry, &query, 1, &count, NULL);
	print_code(trace, code);
	(void)fprintf(trace->out, "  %zu\n", count);
}

/* --- the rest ----------------------------------------------------------- */

static void print_line(const struct registry_audit *line, void *context)
{
	FILE *out = context;

	trace_print_id(out, &line->id);
	(void)fprintf(out, " %" PRId64 " %s %s", since(line->at_ms),
	              line->actor, line->action);
	trace_print_text(out, line->object);
	trace_print_text(out, line->detail);
	(void)fputc('\n', out);
}

static void step_audit(struct registry_trace *trace)
{
	struct id tenant = tenant_id(trace);
	struct id after = trace_id(below(trace, 2) ? 0x6000 : 0);
	struct registry_audit line = {
	    .id = trace_id(0x6000 +
	                   (unsigned)((trace->now_ms - TRACE_NOW) / 1000)),
	    .tenant = below(trace, 5) ? tenant : trace_id(0),
	    .at_ms = trace->now_ms,
	    .actor = (char *)"cli",
	    .action = (char *)"tenant-add",
	    .object = any_word(trace),
	    .detail = any_word(trace)};

	print_code(trace, registry_audit_add(trace->registry, &line, NULL));
	print_code(trace, registry_audit_each(trace->registry, &tenant, &after,
	                                      1 + below(trace, 5), print_line,
	                                      trace->out, NULL));
}

static void step_lease(struct registry_trace *trace)
{
	print_code(trace,
	           registry_lease(trace->registry,
	                          below(trace, 2) ? "mail" : "expiry",
	                          owners[below(trace, 3)], trace->now_ms,
	                          1000 * (int64_t)below(trace, 60), NULL));
}

static void step_count(struct registry_trace *trace)
{
	struct registry_totals totals = {.tenants = -1};
	int code = registry_count(trace->registry, &totals, NULL);

	(void)fprintf(trace->out,
	              "  %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
	              " %" PRId64 "\n",
	              code, totals.tenants, totals.messages,
	              totals.recipients_held, totals.challenges_open,
	              totals.mails_pending);
}

/* Which of those of one moment go first is a backend's affair, so all go. */
static void step_purge(struct registry_trace *trace)
{
	enum registry_kind kind =
	    (enum registry_kind)below(trace, REGISTRY_KIND_COUNT);
	int64_t before = trace->now_ms - 1000 * (int64_t)below(trace, 200);
	size_t limit = below(trace, 8), deleted;
	int code;

	do {
		deleted = 99;
		code = registry_purge(trace->registry, kind, before, limit,
		                      &deleted, NULL);
		(void)fprintf(trace->out, "  %s %s %zu\n",
		              registry_kind_name(kind), error_name(code),
		              deleted);
	} while (!code && deleted == limit);
}

static void print_record(FILE *out, const struct registry_record *record)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		(void)fprintf(out, " %s %s %s %s\n", record->account.name,
		              record->account.display_name,
		              record->account.time_zone,
		              record->account.from_name);
		break;
	case REGISTRY_DOMAINS:
		trace_print_id(out, &record->tenant);
		(void)fprintf(out, " %s\n", record->domain);
		break;
	case REGISTRY_KEYS:
		print_key(&record->key, out);
		break;
	case REGISTRY_USERS:
		print_user(&record->user, out);
		break;
	case REGISTRY_ENTRIES:
		trace_print_id(out, &record->tenant);
		print_entry(out, &record->entry);
		break;
	case REGISTRY_MESSAGES:
		print_message(out, &record->message);
		break;
	case REGISTRY_DECISIONS:
		trace_print_id(out, &record->tenant);
		(void)fprintf(out, " %" PRId64 " %s\n",
		              record->decision.sequence,
		              record->decision.recipient);
		break;
	case REGISTRY_CHALLENGES:
		print_challenge(out, &record->challenge);
		break;
	case REGISTRY_DEAD_SENDERS:
		print_dead(out, &record->dead_sender);
		break;
	case REGISTRY_AUDIT:
		trace_print_id(out, &record->audit.tenant);
		print_line(&record->audit, out);
		break;
	case REGISTRY_SECRETS:
		(void)fprintf(out, " %s\n", record->secret.name);
		break;
	default:
		trace_print_id(out, &record->tenant);
		(void)fprintf(out, " %" PRId64 " %" PRId64 "\n",
		              record->counters.policy_revision,
		              record->counters.decision_sequence);
	}
}

/* Exports in pages, and puts some of it in again. */
static void step_copy(struct registry_trace *trace)
{
	enum registry_kind kind =
	    (enum registry_kind)below(trace, REGISTRY_KIND_COUNT);
	size_t limit = 1 + below(trace, 9);
	struct registry_records page = {.count = 0}, last = {.count = 0};
	int results[9];
	int code;

	(void)fprintf(trace->out, "  %s\n", registry_kind_name(kind));
	do {
		code = registry_export(
		    trace->registry, kind,
		    last.count ? &last.records[last.count - 1] : NULL, limit,
		    &page, NULL);
		registry_records_release(&last);
		(void)fprintf(trace->out, "  %d %zu %d\n", code, page.count,
		              page.more);
		for (size_t i = 0; !code && i < page.count; i++)
			print_record(trace->out, &page.records[i]);
		last = page;
		memset(&page, 0, sizeof(page));
	} while (!code && last.more && last.count);
	if (!code && last.count) {
		code =
		    registry_import(trace->registry, last.records, last.count,
		                    below(trace, 2), results, NULL);
		(void)fprintf(trace->out, "  import %d", code);
		for (size_t i = 0; !code && i < last.count; i++)
			(void)fprintf(trace->out, " %d", results[i]);
		(void)fputc('\n', trace->out);
	}
	registry_records_release(&last);
}

static void step_check(struct registry_trace *trace)
{
	print_code(trace, registry_check(trace->registry, NULL));
}

static void open_registry(struct registry_trace *trace)
{
	struct error err = {.text = ""};

	ck_assert_msg(!registry_open(&trace->registry, trace->options, &err),
	              "%s", err.text);
}

static void step_reopen(struct registry_trace *trace)
{
	registry_close(trace->registry);
	open_registry(trace);
}

static const struct {
	const char *name;
	unsigned weight;
	void (*run)(struct registry_trace *trace);
} steps_of_registry[] = {{"domain", 3, step_domain},
                         {"key", 3, step_key},
                         {"user", 2, step_user},
                         {"put", 10, step_put},
                         {"remove", 4, step_remove},
                         {"entries", 4, step_entries},
                         {"match", 8, step_match},
                         {"message-add", 16, step_message_add},
                         {"message-read", 5, step_message_read},
                         {"attach", 5, step_attach},
                         {"message-list", 8, step_message_list},
                         {"decide", 25, step_decide},
                         {"decisions", 4, step_decisions},
                         {"event", 20, step_event},
                         {"open", 8, step_open},
                         {"challenge-read", 5, step_challenge_read},
                         {"challenge-move", 6, step_challenge_move},
                         {"answer", 8, step_answer},
                         {"claim", 5, step_claim},
                         {"mail", 8, step_mail},
                         {"due", 3, step_due},
                         {"dead", 3, step_dead},
                         {"challenge-count", 2, step_challenge_count},
                         {"audit", 3, step_audit},
                         {"lease", 3, step_lease},
                         {"count", 3, step_count},
                         {"purge", 3, step_purge},
                         {"copy", 4, step_copy},
                         {"import", 10, trace_registry_import},
                         {"refused", 4, trace_registry_refused},
                         {"check", 1, step_check},
                         {"reopen", 1, step_reopen}};

#define KINDS (sizeof(steps_of_registry) / sizeof(*steps_of_registry))

static void add_tenants(struct registry_trace *trace)
{
	for (unsigned i = 1; i < TENANTS; i++) {
		struct registry_tenant tenant = {
		    .id = trace_id(i),
		    .name = (char *)(i == 1 ? "one" : "two"),
		    .language = (char *)"fr",
		    .created_ms = TRACE_NOW};

		ck_assert_int_eq(
		    registry_tenant_add(trace->registry, &tenant, NULL), 0);
	}
}

void trace_registry(const struct registry_options *options, uint64_t seed,
                    unsigned steps, FILE *out)
{
	struct registry_trace trace = {
	    .options = options, .random = {.state = seed}, .out = out};
	unsigned all = 0;

	open_registry(&trace);
	add_tenants(&trace);
	for (size_t i = 0; i < KINDS; i++)
		all += steps_of_registry[i].weight;
	for (unsigned step = 0; step < steps; step++) {
		unsigned drawn = trace_below(&trace.random, all);
		size_t kind = 0;

		while (drawn >= steps_of_registry[kind].weight)
			drawn -= steps_of_registry[kind++].weight;
		/* Some steps are of one moment. */
		trace.now_ms = TRACE_NOW + (int64_t)(step / 3) * 1000;
		(void)fprintf(out, "%u %s\n", step,
		              steps_of_registry[kind].name);
		steps_of_registry[kind].run(&trace);
	}
	registry_close(trace.registry);
}
