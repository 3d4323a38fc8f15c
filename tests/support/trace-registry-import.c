/* Steps of the registry's trace: imports of made up records, refused calls. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/trace-registry.h"
#include "tests/support/registry-one.h"

#define BATCH 5
#define TEXT  24

static unsigned below(struct registry_trace *trace, unsigned count)
{
	return trace_below(&trace->random, count);
}

/* Texts that records borrow. */
struct made {
	struct registry_record record;
	struct registry_recipient recipients[2];
	char text[TEXT], other[TEXT];
};

static struct id any_id(struct registry_trace *trace, unsigned from,
                        unsigned count)
{
	return trace_id(from + below(trace, count));
}

/* One of the two that are there, or none that is. */
static struct id any_tenant(struct registry_trace *trace)
{
	return trace_id(1 + (below(trace, 12) ? below(trace, 2) : 2));
}

static void make_tenant(struct registry_trace *trace, struct made *made)
{
	static const char *const names[] = {"one", "two", "four", "five"};

	(void)snprintf(made->text, TEXT, "%s", names[below(trace, 4)]);
	made->record.account = (struct registry_tenant){
	    .id = trace_id(below(trace, 2) ? 1 + below(trace, 2)
	                                   : 4 + below(trace, 2)),
	    .name = made->text,
	    .language = (char *)"en",
	    .display_name = (char *)(below(trace, 2) ? "Acme SA" : NULL),
	    .time_zone = (char *)(below(trace, 2) ? "Europe/Paris" : ""),
	    .from_name = (char *)(below(trace, 2) ? "The desk" : NULL),
	    .quota_messages = (int64_t)below(trace, 9),
	    .quota_bytes = (int64_t)below(trace, 9),
	    .created_ms = trace->now_ms};
}

static void make_domain(struct registry_trace *trace, struct made *made)
{
	static const char *const domains[] = {"acme.test", "b.test", "c.test",
	                                      "d.test"};

	made->record.tenant = trace_id(1 + below(trace, 2));
	made->record.domain = (char *)domains[below(trace, 4)];
}

static void make_key(struct registry_trace *trace, struct made *made)
{
	(void)snprintf(made->text, TEXT, "tk_%u", below(trace, 40));
	(void)snprintf(made->other, TEXT, "agent%u", below(trace, 4));
	made->record.key = (struct registry_key){
	    .id = any_id(trace, 0x3000, 40),
	    .tenant = trace_id(1 + below(trace, 2)),
	    .agent = made->other,
	    .prefix = made->text,
	    .created_ms = trace->now_ms,
	    .revoked_ms = below(trace, 2) ? trace->now_ms : 0};
}

static void make_user(struct registry_trace *trace, struct made *made)
{
	(void)snprintf(made->text, TEXT, "u%u@a", below(trace, 30));
	made->record.user =
	    (struct registry_user){.id = any_id(trace, 0x4000, 30),
	                           .tenant = trace_id(1 + below(trace, 2)),
	                           .login = made->text,
	                           .role = (char *)"recipient",
	                           .password = (char *)"y",
	                           .created_ms = trace->now_ms};
}

/* Revisions of an order are never given twice: each is above all before. */
static void make_entry(struct registry_trace *trace, struct made *made,
                       int64_t revision)
{
	bool is_global = !below(trace, 4);

	made->record.tenant =
	    is_global ? trace_id(0) : trace_id(1 + below(trace, 2));
	(void)snprintf(made->text, TEXT, "i%u@x.example", below(trace, 12));
	made->record.entry = (struct entry){
	    .id = any_id(trace, 0x5000, 60),
	    .scope = is_global ? ENTRY_SCOPE_GLOBAL : ENTRY_SCOPE_TENANT,
	    .colour = (enum entry_colour)below(trace, 2),
	    .kind = ENTRY_ADDRESS,
	    .deleted = !below(trace, 4),
	    .created_ms = trace->now_ms,
	    .revision = revision,
	    .value = made->text};
}

static void make_message(struct registry_trace *trace, struct made *made)
{
	static const char *const addresses[] = {"a@acme.test", "b@acme.test"};

	for (size_t i = 0; i < 2; i++)
		made->recipients[i] = (struct registry_recipient){
		    .address = (char *)addresses[i],
		    .state =
		        (enum registry_state)below(trace, REGISTRY_STATE_COUNT),
		    .changed_ms = trace->now_ms,
		    .by = (char *)"import",
		    .why = (char *)"\xe9"};
	made->record.message = (struct registry_message){
	    .id = any_id(trace, 0x1000, 50),
	    .tenant = trace_id(1 + below(trace, 2)),
	    .challenge =
	        below(trace, 2) ? trace_id(0) : any_id(trace, 0x2000, 40),
	    .received_ms = trace->now_ms,
	    .expires_ms = trace->now_ms + 1000 * (int64_t)below(trace, 300),
	    .sender = (char *)"s1@x.example",
	    .sender_normal = (char *)"s1@x.example",
	    .recipients = made->recipients,
	    .recipient_count = 1 + below(trace, 2)};
}

static void make_decision(struct registry_trace *trace, struct made *made,
                          int64_t sequence)
{
	made->record.tenant = trace_id(1 + below(trace, 2));
	made->record.decision = (struct registry_decision){
	    .sequence = below(trace, 2) ? sequence : 1 + below(trace, 40),
	    .message = any_id(trace, 0x9000, 50),
	    .recipient = (char *)"z@acme.test",
	    .verdict = (enum registry_verdict)below(trace, 3),
	    .by = (char *)"import",
	    .decided_ms = trace->now_ms};
}

static void make_challenge(struct registry_trace *trace, struct made *made)
{
	struct registry_challenge *challenge = &made->record.challenge;

	*challenge = (struct registry_challenge){
	    .id = any_id(trace, 0x2000, 40),
	    .tenant = any_tenant(trace),
	    .message = any_id(trace, 0x1000, 50),
	    .state = (enum registry_challenge_state)below(trace, 5),
	    .created_ms = trace->now_ms,
	    .expires_ms = trace->now_ms + 1000 * (int64_t)below(trace, 99),
	    .changed_ms = trace->now_ms,
	    .sender = (char *)"s@x",
	    .code = (char *)"CODE",
	    .code_serial = below(trace, 3),
	    .mail = (enum registry_mail_state)below(trace, 3),
	    .mail_next_ms = trace->now_ms,
	    .end_reason = (char *)"550",
	    .client_hash = {1}};
	memset(challenge->sender_hash, (int)below(trace, 8),
	       sizeof(challenge->sender_hash));
}

static void make_rest(struct registry_trace *trace, struct made *made)
{
	struct registry_record *record = &made->record;

	switch (record->kind) {
	case REGISTRY_DEAD_SENDERS:
		memset(record->dead_sender.hash, (int)below(trace, 20),
		       sizeof(record->dead_sender.hash));
		record->dead_sender.marked_ms = trace->now_ms;
		record->dead_sender.challenge = any_id(trace, 0x2000, 40);
		record->dead_sender.reason = (char *)"5.1.1";
		break;
	case REGISTRY_AUDIT:
		record->audit =
		    (struct registry_audit){.id = any_id(trace, 0x6000, 400),
		                            .tenant = any_tenant(trace),
		                            .at_ms = trace->now_ms,
		                            .actor = (char *)"import",
		                            .action = (char *)"x"};
		break;
	case REGISTRY_SECRETS:
		(void)snprintf(made->text, TEXT, "secret%u", below(trace, 5));
		record->secret.name = made->text;
		record->secret.bytes[0] = (uint8_t)below(trace, 256);
		break;
	default:
		record->tenant = trace_id(below(trace, 3));
		record->counters.policy_revision = below(trace, 30);
		record->counters.decision_sequence = below(trace, 30);
	}
}

static void make_record(struct registry_trace *trace, struct made *made,
                        int64_t highest)
{
	switch (made->record.kind) {
	case REGISTRY_TENANTS:
		make_tenant(trace, made);
		break;
	case REGISTRY_DOMAINS:
		make_domain(trace, made);
		break;
	case REGISTRY_KEYS:
		make_key(trace, made);
		break;
	case REGISTRY_USERS:
		make_user(trace, made);
		break;
	case REGISTRY_ENTRIES:
		make_entry(trace, made, highest);
		break;
	case REGISTRY_MESSAGES:
		make_message(trace, made);
		break;
	case REGISTRY_DECISIONS:
		make_decision(trace, made, highest);
		break;
	case REGISTRY_CHALLENGES:
		make_challenge(trace, made);
		break;
	default:
		make_rest(trace, made);
	}
}

/* The highest number given out to any tenant: of revisions or of sequences. */
static int64_t highest_of(struct registry_trace *trace, enum registry_kind kind)
{
	struct registry_policy_cursor revision = {0};
	int64_t highest = 0, number = 0;

	for (unsigned i = 1; i <= 2; i++) {
		struct id tenant = trace_id(i);

		if (kind != REGISTRY_ENTRIES)
			(void)registry_decision_last(trace->registry, &tenant,
			                             &number, NULL);
		else if (!registry_policy_revision(trace->registry, &tenant,
		                                   &revision, NULL))
			number = revision.own > revision.global
			             ? revision.own
			             : revision.global;
		if (number > highest)
			highest = number;
	}
	return highest;
}

void trace_registry_import(struct registry_trace *trace)
{
	enum registry_kind kind =
	    (enum registry_kind)below(trace, REGISTRY_KIND_COUNT);
	struct made made[BATCH];
	struct registry_record records[BATCH];
	size_t count = 1 + below(trace, BATCH);
	int64_t highest = highest_of(trace, kind);
	bool replace = below(trace, 2);
	int results[BATCH], code;

	memset(made, 0, sizeof(made));
	for (size_t i = 0; i < count; i++) {
		made[i].record.kind = kind;
		make_record(trace, &made[i], highest + 1 + (int64_t)i);
		records[i] = made[i].record;
	}
	code = registry_import(trace->registry, records, count, replace,
	                       results, NULL);
	(void)fprintf(trace->out, "  %s%s: %s", registry_kind_name(kind),
	              replace ? " replaced" : "", error_name(code));
	for (size_t i = 0; !code && i < count; i++)
		(void)fprintf(trace->out, " %s", error_name(results[i]));
	(void)fputc('\n', trace->out);
}

/* --- refused ------------------------------------------------------------- */

static int refused_record(struct registry_trace *trace, struct error *err)
{
	struct made made[3];
	struct registry_record records[3];
	enum registry_kind kind =
	    (enum registry_kind)below(trace, REGISTRY_DEAD_SENDERS);
	unsigned bad = below(trace, 3);
	int results[3];

	memset(made, 0, sizeof(made));
	for (size_t i = 0; i < 3; i++) {
		made[i].record.kind = kind;
		make_record(trace, &made[i], 1000000 + (int64_t)i);
		records[i] = made[i].record;
	}
	records[bad] = (struct registry_record){.kind = kind};
	return registry_import(trace->registry, records, 3, true, results, err);
}

static int refused_call(struct registry_trace *trace, struct error *err)
{
	struct registry_records page;
	struct registry_messages messages;
	struct registry_query query = {.limit = 1001};
	struct id tenant = trace_id(1), none = trace_id(0);
	struct id unknown = trace_id(0xffff);
	struct registry_decision decision = {.message = unknown};

	switch (below(trace, 8)) {
	case 0:
		return registry_export(trace->registry, REGISTRY_KEYS, NULL,
		                       1001, &page, err);
	case 1:
		return registry_message_list(trace->registry, &query, &messages,
		                             err);
	case 2:
		return registry_decide(trace->registry, &tenant, &decision,
		                       err);
	case 3:
		return registry_domain_add(trace->registry, &none, "x", err);
	case 4:
		return registry_challenge_mail_renew(trace->registry, &unknown,
		                                     "w", 1, err);
	case 5:
		return registry_lease(trace->registry, "", "o", 1, 1, err);
	case 6:
		return attach_one(trace->registry, &tenant, &unknown, NULL, "",
		                  err);
	default:
		return refused_record(trace, err);
	}
}

/* Arguments are judged before any backend is asked: the words are the same. */
void trace_registry_refused(struct registry_trace *trace)
{
	struct error err = {.text = ""};
	int code = refused_call(trace, &err);

	(void)fprintf(trace->out, "  %s %s\n", error_name(code),
	              code == ERR_INVALID ? err.text : "");
}
