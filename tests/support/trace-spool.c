/* A long seeded trace of operations on a spool. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/support/trace.h"

#define MESSAGES   60 /* ids that the trace uses */
#define RECIPIENTS 4
#define BATCH      5

struct spool_trace {
	struct spool_fixture *fixture;
	struct spool *spool;
	struct trace_random random;
	FILE *out;
	int64_t now_ms;
};

static const char *const owners[] = {FIXTURE_OWNER, "worker-1", "worker-2"};
static const char *const texts[] = {"",
                                    "plain",
                                    "Caf\xc3\xa9",
                                    "not UTF-8: \xff\xfe",
                                    "quote'\";--",
                                    "$dollar.x",
                                    "a\tb",
                                    "very@long.example"};

static unsigned below(struct spool_trace *trace, unsigned count)
{
	return trace_below(&trace->random, count);
}

static const char *any_text(struct spool_trace *trace)
{
	return texts[below(trace, sizeof(texts) / sizeof(*texts))];
}

static struct id any_id(struct spool_trace *trace)
{
	return trace_id(1 + below(trace, MESSAGES));
}

/* --- results ------------------------------------------------------------ */

static void print_recipient(FILE *out, const struct spool_recipient *recipient)
{
	trace_print_text(out, recipient->address);
	(void)fprintf(out, " %s %" PRId64, spool_state_name(recipient->state),
	              recipient->changed_ms - TRACE_NOW);
	trace_print_text(out, recipient->by);
	trace_print_text(out, recipient->why);
	trace_print_text(out, recipient->history);
	(void)fprintf(out, " %u %" PRId64, recipient->attempts,
	              recipient->next_attempt_ms
	                  ? recipient->next_attempt_ms - TRACE_NOW
	                  : 0);
	trace_print_text(out, recipient->reply);
	trace_print_text(out, recipient->lease_owner);
	(void)fprintf(
	    out, " %" PRId64 "%s\n",
	    *recipient->lease_owner ? recipient->lease_until_ms - TRACE_NOW : 0,
	    recipient->event_pending ? " event" : "");
	if (recipient->keep_until_ms || recipient->dsn || *recipient->next_hop)
		(void)fprintf(out, "    kept %" PRId64 " dsn %s next hop %s\n",
		              recipient->keep_until_ms
		                  ? recipient->keep_until_ms - TRACE_NOW
		                  : 0,
		              spool_dsn_name(recipient->dsn),
		              recipient->next_hop);
}

static void print_message(FILE *out, const struct spool_message *message)
{
	const char *const fields[] = {message->sender,
	                              message->sender_normal,
	                              message->header_from,
	                              message->subject,
	                              message->message_id,
	                              message->client_address,
	                              message->client_name,
	                              message->helo,
	                              message->protocol,
	                              message->challenge_reason,
	                              message->auth_notice,
	                              message->auth.spf_domain,
	                              message->auth.dkim_domain,
	                              message->auth.dmarc_domain,
	                              message->registration_refusal};

	trace_print_id(out, &message->id);
	(void)fprintf(out,
	              " %" PRId64 " %" PRId64 " %" PRId64
	              " %d%d%d%d refused %u %" PRId64 " auth %d %d %d %d %d",
	              message->received_ms - TRACE_NOW,
	              message->expires_ms - TRACE_NOW, message->size,
	              message->eight_bit, message->smtputf8,
	              message->registered, message->body_present,
	              message->registration_attempts,
	              message->registration_retry_ms, message->auth.stated,
	              (int)message->auth.spf, (int)message->auth.dkim,
	              (int)message->auth.dmarc, message->auth.aligned);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		trace_print_text(out, fields[i]);
	(void)fputc('\n', out);
	for (size_t i = 0; i < message->recipient_count; i++) {
		(void)fputs("   ", out);
		print_recipient(out, &message->recipients[i]);
	}
}

static void print_page(FILE *out, struct spool_page *page)
{
	(void)fprintf(out, "  %zu%s\n", page->count, page->more ? " more" : "");
	for (size_t i = 0; i < page->count; i++)
		print_message(out, &page->messages[i]);
	spool_page_release(page);
}

/* --- changes ------------------------------------------------------------ */

static enum spool_state first_state(struct spool_trace *trace)
{
	static const enum spool_state states[] = {
	    SPOOL_HELD,   SPOOL_HELD,     SPOOL_HELD,
	    SPOOL_QUEUED, SPOOL_DEFERRED, SPOOL_QUARANTINED};

	return states[below(trace, sizeof(states) / sizeof(*states))];
}

static void make_recipient(struct spool_trace *trace, bool copy,
                           struct spool_recipient *recipient)
{
	enum spool_state state =
	    copy ? (enum spool_state)below(trace, SPOOL_STATE_COUNT)
	         : first_state(trace);

	recipient->state = state;
	recipient->address =
	    mem_format("Rcpt%u@customer.example", below(trace, 9));
	recipient->changed_ms = trace->now_ms;
	recipient->by = mem_copy_string(any_text(trace));
	recipient->why = mem_copy_string(any_text(trace));
	recipient->reply = mem_copy_string(any_text(trace));
	recipient->history = mem_copy_string(
	    copy && below(trace, 2) ? "2026-11-21T08:00:00Z held list: x\n"
	                            : "");
	recipient->next_attempt_ms = trace->now_ms + below(trace, 20) * 1000;
	if (copy) {
		recipient->attempts = below(trace, 4);
		recipient->event_pending =
		    spool_state_is_final(state) && below(trace, 2);
		recipient->dsn = (enum spool_dsn)below(trace, SPOOL_DSN_COUNT);
		recipient->dsn_id = any_id(trace);
		recipient->next_hop = mem_copy_string("192.0.2.1:25");
		recipient->keep_until_ms =
		    below(trace, 2) ? trace->now_ms + 1000 : 0;
	} else if (state == SPOOL_QUEUED && trace_once_in(&trace->random, 3)) {
		recipient->lease_owner =
		    mem_copy_string(owners[below(trace, 3)]);
		recipient->lease_until_ms = trace->now_ms + 5000;
	}
}

static void make_texts(struct spool_trace *trace, struct spool_message *message)
{
	message->sender = mem_copy_string(any_text(trace));
	message->sender_normal = mem_copy_string(any_text(trace));
	message->header_from = mem_copy_string(any_text(trace));
	message->subject = mem_copy_string(any_text(trace));
	message->message_id = mem_copy_string("<1@x>");
	message->client_address = mem_copy_string("192.0.2.1");
	message->client_name = mem_copy_string(any_text(trace));
	message->helo = mem_copy_string(any_text(trace));
	message->protocol = mem_copy_string("ESMTP");
	message->challenge_reason = mem_copy_string(any_text(trace));
	message->auth_notice = mem_copy_string(any_text(trace));
	message->registration_refusal = mem_copy_string(any_text(trace));
}

static struct spool_message *make_message(struct spool_trace *trace, bool copy)
{
	struct spool_message *message = mem_alloc_array(1, sizeof(*message));

	message->id = any_id(trace);
	message->received_ms = trace->now_ms;
	message->expires_ms = trace->now_ms + below(trace, 100) * 1000;
	message->eight_bit = below(trace, 2);
	message->smtputf8 = below(trace, 2);
	message->registered = below(trace, 2);
	if (copy && below(trace, 2)) {
		message->registration_attempts = below(trace, 9);
		message->registration_retry_ms =
		    trace->now_ms + below(trace, 30) * 1000;
	}
	message->auth.stated = true;
	message->auth.spf = (enum auth_result)below(trace, 3);
	message->auth.aligned = below(trace, 2);
	(void)snprintf(message->auth.spf_domain,
	               sizeof(message->auth.spf_domain), "x.example");
	(void)snprintf(message->auth.dmarc_domain,
	               sizeof(message->auth.dmarc_domain), "f.example");
	make_texts(trace, message);
	message->recipient_count = trace_once_in(&trace->random, 30)
	                               ? 0
	                               : 1 + below(trace, RECIPIENTS);
	message->recipients = mem_alloc_array(message->recipient_count + 1,
	                                      sizeof(*message->recipients));
	for (size_t i = 0; i < message->recipient_count; i++)
		make_recipient(trace, copy, &message->recipients[i]);
	return message;
}

/* A body of any size, in memory or in a file, as the contract allows. */
static void give_body(struct spool_trace *trace, struct spool_message *message,
                      struct spool_body_source *body)
{
	size_t size = 1 + below(trace, trace_once_in(&trace->random, 4)
	                                   ? 3 * FIXTURE_LARGE
	                                   : 300);
	char *bytes = mem_alloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)((i * 7 + message->id.bytes[15]) & 0xff);
	message->size = (int64_t)size;
	body->size = size;
	if (size <= FIXTURE_LARGE && below(trace, 2)) {
		body->bytes = bytes;
		return;
	}
	body->path = fixture_incoming(trace->fixture, bytes, size);
	free(bytes);
}

static bool all_over(const struct spool_message *message)
{
	for (size_t i = 0; i < message->recipient_count; i++)
		if (!spool_recipient_is_over(&message->recipients[i]))
			return false;
	return true;
}

static void make_add(struct spool_trace *trace, struct spool_change *change,
                     bool copy)
{
	struct spool_message *message = make_message(trace, copy);

	change->add.message = message;
	change->add.replace = copy && below(trace, 2);
	message->body_present = !copy || !all_over(message);
	if (message->body_present)
		give_body(trace, message, &change->add.body);
	else
		message->size = 17;
	(void)fprintf(trace->out, "  %s", copy ? "copy" : "add");
	trace_print_id(trace->out, &message->id);
	(void)fputc('\n', trace->out);
}

static void make_move(struct spool_trace *trace, struct spool_change *change)
{
	change->move.id = any_id(trace);
	change->move.recipient = below(trace, RECIPIENTS);
	change->move.from = trace_once_in(&trace->random, 3)
	                        ? below(trace, SPOOL_IN(SPOOL_STATE_COUNT))
	                        : SPOOL_IN(SPOOL_STATE_COUNT) - 1;
	change->move.lease_owner =
	    trace_once_in(&trace->random, 3) ? owners[below(trace, 3)] : NULL;
	change->move.to = (enum spool_state)below(
	    trace, SPOOL_STATE_COUNT + (below(trace, 20) == 0));
	change->move.now_ms = trace->now_ms;
	change->move.by = below(trace, 2) ? any_text(trace) : NULL;
	change->move.why = below(trace, 2) ? any_text(trace) : NULL;
	change->move.reply = below(trace, 2) ? any_text(trace) : NULL;
	change->move.next_attempt_ms = trace->now_ms + below(trace, 30) * 1000;
	change->move.attempted = below(trace, 2);
	change->move.event = below(trace, 2);
	change->move.keep_until_ms = below(trace, 2) ? trace->now_ms + 2000 : 0;
	change->move.dsn = below(trace, 2);
	change->move.next_hop = below(trace, 4) ? NULL : any_text(trace);
	(void)fputs("  move", trace->out);
	trace_print_id(trace->out, &change->move.id);
	(void)fprintf(trace->out, " %zu from %x owner %s to %d\n",
	              change->move.recipient, change->move.from,
	              change->move.lease_owner ? change->move.lease_owner : "-",
	              (int)change->move.to);
}

static void make_renew(struct spool_trace *trace, struct spool_change *change)
{
	change->renew.id = any_id(trace);
	change->renew.recipient = below(trace, RECIPIENTS);
	change->renew.lease_owner = owners[below(trace, 3)];
	change->renew.until_ms =
	    trace->now_ms + 1000 * (int64_t)below(trace, 9);
	(void)fputs("  renew", trace->out);
	trace_print_id(trace->out, &change->renew.id);
	(void)fprintf(trace->out, " %zu owner %s\n", change->renew.recipient,
	              change->renew.lease_owner);
}

static void make_dsn(struct spool_trace *trace, struct spool_change *change)
{
	change->dsn.id = any_id(trace);
	change->dsn.recipient = below(trace, RECIPIENTS);
	change->dsn.from = (enum spool_dsn)below(trace, SPOOL_DSN_COUNT);
	change->dsn.to = (enum spool_dsn)below(trace, SPOOL_DSN_COUNT);
	if (below(trace, 4))
		change->dsn.dsn_id = trace_id(1 + below(trace, 2));
	(void)fputs("  dsn", trace->out);
	trace_print_id(trace->out, &change->dsn.id);
	(void)fprintf(trace->out, " %zu from %d to %d\n", change->dsn.recipient,
	              (int)change->dsn.from, (int)change->dsn.to);
}

static void make_other(struct spool_trace *trace, struct spool_change *change)
{
	static const char *const names[] = {"decisions.after", "policy.x", "",
	                                    "n"};

	if (change->kind == SPOOL_SET) {
		change->set.name = names[below(trace, 4)];
		change->set.value = any_text(trace);
		return;
	}
	if (change->kind == SPOOL_REFUSED) {
		change->refuse.id = any_id(trace);
		change->refuse.retry_ms =
		    trace->now_ms + below(trace, 30) * 1000;
		change->refuse.refusal = any_text(trace);
		(void)fputs("  refuse", trace->out);
		trace_print_id(trace->out, &change->refuse.id);
		(void)fputc('\n', trace->out);
		return;
	}
	change->mark.id = any_id(trace);
	if (change->kind == SPOOL_REGISTERED && below(trace, 2))
		change->mark.refusal = any_text(trace);
	change->mark.recipient = below(trace, RECIPIENTS);
	(void)fprintf(trace->out, "  mark %d", (int)change->kind);
	trace_print_id(trace->out, &change->mark.id);
	(void)fprintf(trace->out, " %zu\n", change->mark.recipient);
}

static void make_change(struct spool_trace *trace, struct spool_change *change)
{
	static const enum spool_change_kind kinds[] = {
	    SPOOL_ADD,      SPOOL_ADD,      SPOOL_MOVE, SPOOL_MOVE,
	    SPOOL_MOVE,     SPOOL_MOVE,     SPOOL_MOVE, SPOOL_REGISTERED,
	    SPOOL_REPORTED, SPOOL_REPORTED, SPOOL_SET,  SPOOL_COPY,
	    SPOOL_RENEW,    SPOOL_REFUSED,  SPOOL_DSN};

	memset(change, 0, sizeof(*change));
	change->kind = kinds[below(trace, sizeof(kinds) / sizeof(*kinds))];
	change->result = 1;
	if (change->kind == SPOOL_ADD || change->kind == SPOOL_COPY)
		make_add(trace, change, change->kind == SPOOL_COPY);
	else if (change->kind == SPOOL_MOVE)
		make_move(trace, change);
	else if (change->kind == SPOOL_DSN)
		make_dsn(trace, change);
	else if (change->kind == SPOOL_RENEW)
		make_renew(trace, change);
	else
		make_other(trace, change);
}

static void release_change(struct spool_change *change)
{
	if (change->kind != SPOOL_ADD && change->kind != SPOOL_COPY)
		return;
	spool_message_release((struct spool_message *)change->add.message);
	free((void *)change->add.message);
	free((void *)change->add.body.bytes);
	free((char *)change->add.body.path);
}

static void step_commit(struct spool_trace *trace)
{
	struct spool_change changes[BATCH];
	size_t count = 1 + below(trace, BATCH);
	int code;

	for (size_t i = 0; i < count; i++)
		make_change(trace, &changes[i]);
	code = spool_commit(trace->spool, changes, count, NULL);
	(void)fprintf(trace->out, "  %d:", code);
	for (size_t i = 0; i < count; i++) {
		(void)fprintf(trace->out, " %d", changes[i].result);
		release_change(&changes[i]);
	}
	(void)fputc('\n', trace->out);
}

/* --- reads -------------------------------------------------------------- */

static void step_claim(struct spool_trace *trace)
{
	struct spool_page page = {.count = 0};
	int code = spool_claim(trace->spool, owners[below(trace, 3)],
	                       trace->now_ms, 1000 * (int64_t)below(trace, 9),
	                       below(trace, 6), &page, NULL);

	(void)fprintf(trace->out, "  %d\n", code);
	if (!code)
		print_page(trace->out, &page);
}

static void step_next_due(struct spool_trace *trace)
{
	int64_t due_ms = 0;
	int code = spool_next_due(trace->spool, &due_ms, NULL);

	(void)fprintf(trace->out, "  %d %" PRId64 "\n", code, due_ms);
}

static void step_list(struct spool_trace *trace)
{
	static const char *const parts[] = {NULL, "LONG", "rcpt3", "'\"",
	                                    "caf"};
	struct spool_query query = {
	    .states =
	        below(trace, 2) ? below(trace, SPOOL_IN(SPOOL_STATE_COUNT)) : 0,
	    .sender = parts[below(trace, 5) * below(trace, 2)],
	    .recipient = parts[below(trace, 5) * below(trace, 2)],
	    .expired_before_ms = below(trace, 3) ? 0 : trace->now_ms,
	    .unregistered = trace_once_in(&trace->random, 4),
	    .retry_until_ms = below(trace, 2) ? trace->now_ms : 0,
	    .event_pending = trace_once_in(&trace->random, 4),
	    .kept = trace_once_in(&trace->random, 4),
	    .dsn = trace_once_in(&trace->random, 4),
	    .limit = below(trace, 2) ? 1000 : below(trace, 9)};
	struct spool_page page = {.count = 0};
	int code;

	if (below(trace, 2))
		query.after = any_id(trace);
	code = spool_list(trace->spool, &query, &page, NULL);
	(void)fprintf(trace->out, "  %d states %x\n", code, query.states);
	if (!code)
		print_page(trace->out, &page);
}

static void step_count(struct spool_trace *trace)
{
	struct spool_totals totals = {.unregistered = 0};
	int code = spool_count(trace->spool, &totals, NULL);

	(void)fprintf(trace->out, "  %d", code);
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		(void)fprintf(trace->out, " %" PRId64, totals.recipients[i]);
	(void)fprintf(trace->out, " %" PRId64 " %" PRId64 " %" PRId64 "\n",
	              totals.unregistered, totals.body_bytes, totals.kept);
}

static void step_purge(struct spool_trace *trace)
{
	size_t deleted = 0;
	int code = spool_purge(trace->spool,
	                       trace->now_ms - 1000 * (int64_t)below(trace, 99),
	                       1 + below(trace, 5), &deleted, NULL);

	(void)fprintf(trace->out, "  %d %zu\n", code, deleted);
}

static void step_body(struct spool_trace *trace)
{
	struct id id = any_id(trace);
	struct spool_body *body = NULL;
	int code = spool_body_open(trace->spool, &id, &body, NULL);
	unsigned char bytes[3000];
	unsigned sum = 0;
	size_t size = 0;
	long got;

	trace_print_id(trace->out, &id);
	(void)fprintf(trace->out, "  %d", code);
	if (!code) {
		while ((got = spool_body_read(body, bytes, sizeof(bytes))) >
		       0) {
			for (long i = 0; i < got; i++)
				sum = sum * 31 + bytes[i];
			size += (size_t)got;
		}
		(void)fprintf(trace->out, " %ld %zu %08x", got, size, sum);
		spool_body_close(body);
	}
	(void)fputc('\n', trace->out);
}

static void step_read(struct spool_trace *trace)
{
	struct id id = any_id(trace);
	struct spool_message message;
	int code = spool_read(trace->spool, &id, &message, NULL);

	(void)fprintf(trace->out, "  %d\n", code);
	if (code)
		return;
	print_message(trace->out, &message);
	spool_message_release(&message);
}

static void print_value(const char *name, const char *value, void *context)
{
	struct spool_trace *trace = context;

	(void)fprintf(trace->out, "  %s =", name);
	trace_print_text(trace->out, value);
	(void)fputc('\n', trace->out);
}

static void step_values(struct spool_trace *trace)
{
	char *value = NULL;
	int code = spool_values_each(trace->spool, print_value, trace, NULL);

	(void)fprintf(trace->out, "  %d", code);
	code = spool_get(trace->spool, "decisions.after", &value, NULL);
	(void)fprintf(trace->out, " %d %s\n", code, value ? value : "");
	free(value);
}

/* --- the replica -------------------------------------------------------- */

static void step_apply(struct spool_trace *trace)
{
	struct entry entries[BATCH];
	char values[BATCH][40];
	size_t count = below(trace, BATCH + 1);
	bool clear = trace_once_in(&trace->random, 8);
	int code;

	for (size_t i = 0; i < count; i++) {
		unsigned number = below(trace, 30);

		(void)snprintf(values[i], sizeof(values[i]), "s%u@x.example",
		               number);
		entries[i] = (struct entry){
		    .id = trace_id(1000 + number),
		    .scope = ENTRY_SCOPE_TENANT,
		    .colour = (enum entry_colour)below(trace, 2),
		    .kind = ENTRY_ADDRESS,
		    .origin = (enum entry_origin)below(trace, 5),
		    .demand = (enum mail_pass)below(trace, 4),
		    .deleted = below(trace, 3) == 0,
		    .expires_ms = below(trace, 2) ? trace->now_ms : 0,
		    .created_ms = trace->now_ms,
		    .revision = (int64_t)(trace->now_ms - TRACE_NOW) / 1000 + 1,
		    .scope_value = (char *)"",
		    .value = values[i],
		    .note = (char *)any_text(trace)};
	}
	code = spool_entries_apply(trace->spool, clear, entries, count,
	                           (trace->now_ms - TRACE_NOW) / 1000, NULL);
	(void)fprintf(trace->out, "  %d %zu%s\n", code, count,
	              clear ? " clear" : "");
}

struct lines {
	char *lines[64];
	size_t count;
};

/* In no order that the contract tells: sorted before it is written. */
static void keep_entry(const struct entry *entry, void *context)
{
	struct lines *lines = context;
	char *line = mem_format(
	    "%02x%02x %d %d %d %d %" PRId64 " %" PRId64 " %" PRId64 " %s",
	    entry->id.bytes[14], entry->id.bytes[15], (int)entry->colour,
	    (int)entry->origin, (int)entry->demand, entry->deleted,
	    entry->expires_ms, entry->created_ms, entry->revision,
	    entry->value);

	if (lines->count < sizeof(lines->lines) / sizeof(*lines->lines))
		lines->lines[lines->count++] = line;
	else
		free(line);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void step_entries(struct spool_trace *trace)
{
	struct lines lines = {.count = 0};
	int code = spool_entries_each(trace->spool, keep_entry, &lines, NULL);

	qsort(lines.lines, lines.count, sizeof(*lines.lines), by_text);
	(void)fprintf(trace->out, "  %d\n", code);
	for (size_t i = 0; i < lines.count; i++) {
		(void)fprintf(trace->out, "  %s\n", lines.lines[i]);
		free(lines.lines[i]);
	}
}

/* --- the trace ---------------------------------------------------------- */

static void step_check(struct spool_trace *trace)
{
	(void)fprintf(trace->out, "  %d\n", spool_check(trace->spool, NULL));
}

static void step_reopen(struct spool_trace *trace)
{
	fixture_reopen(trace->fixture);
	trace->spool = trace->fixture->spool;
}

static const struct {
	const char *name;
	unsigned weight;
	void (*run)(struct spool_trace *trace);
} steps_of_spool[] = {{"commit", 60, step_commit},    {"claim", 12, step_claim},
                      {"next-due", 3, step_next_due}, {"list", 8, step_list},
                      {"count", 3, step_count},       {"purge", 3, step_purge},
                      {"body", 5, step_body},         {"read", 6, step_read},
                      {"values", 2, step_values},     {"apply", 4, step_apply},
                      {"entries", 2, step_entries},   {"check", 1, step_check},
                      {"reopen", 1, step_reopen}};

#define KINDS (sizeof(steps_of_spool) / sizeof(*steps_of_spool))

void trace_spool(struct spool_fixture *fixture, uint64_t seed, unsigned steps,
                 FILE *out)
{
	struct spool_trace trace = {.fixture = fixture,
	                            .spool = fixture->spool,
	                            .random = {.state = seed},
	                            .out = out};
	unsigned all = 0;

	for (size_t i = 0; i < KINDS; i++)
		all += steps_of_spool[i].weight;
	for (unsigned step = 0; step < steps; step++) {
		unsigned drawn = trace_below(&trace.random, all);
		size_t kind = 0;

		while (drawn >= steps_of_spool[kind].weight)
			drawn -= steps_of_spool[kind++].weight;
		trace.now_ms = TRACE_NOW + (int64_t)step * 1000;
		(void)fprintf(out, "%u %s\n", step, steps_of_spool[kind].name);
		steps_of_spool[kind].run(&trace);
	}
}
