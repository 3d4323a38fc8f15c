/* A message on its way out: its bytes, and the outcome of each recipient. */
#include "local-agent/delivery/parcel.h"

#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/delivery/trace.h"

static bool is_open(const struct spool_recipient *recipient)
{
	return recipient->state == SPOOL_QUEUED ||
	       recipient->state == SPOOL_DEFERRED;
}

static const char *next_hop_of(const struct spool_recipient *recipient)
{
	return recipient->next_hop ? recipient->next_hop : "";
}

static bool is_ours(const struct parcel *parcel,
                    const struct spool_recipient *recipient,
                    int64_t lease_until_ms)
{
	const char *owner = parcel->config->agent_name;

	return is_open(recipient) &&
	       recipient->lease_until_ms == lease_until_ms &&
	       strcmp(recipient->lease_owner, owner) == 0;
}

/*
 * Notes which recipients are ours in this claim, those with the first one's
 * next hop before the others.
 */
static void pick_recipients(struct parcel *parcel, int64_t lease_until_ms)
{
	const struct spool_message *message = &parcel->message;

	for (int others = 0; others < 2; others++) {
		for (size_t i = 0; i < message->recipient_count; i++) {
			const struct spool_recipient *recipient =
			    &message->recipients[i];
			const char *next_hop = next_hop_of(recipient);

			if (!is_ours(parcel, recipient, lease_until_ms))
				continue;
			if (!parcel->next_hop)
				parcel->next_hop = next_hop;
			if (strcmp(parcel->next_hop, next_hop) != 0 ? !others
			                                            : others)
				continue;
			parcel->indices[parcel->count] = i;
			parcel->addresses[parcel->count++] = recipient->address;
		}
		if (!others)
			parcel->sending = parcel->count;
	}
}

struct parcel *parcel_new(const struct agent_config *config,
                          struct spool_message *message, int64_t lease_until_ms)
{
	struct parcel *parcel = mem_alloc(sizeof(*parcel));
	size_t count = message->recipient_count;

	parcel->config = config;
	parcel->message = *message;
	*message = (struct spool_message){0};
	parcel->indices = mem_alloc_array(count, sizeof(*parcel->indices));
	parcel->addresses = mem_alloc_array(count, sizeof(*parcel->addresses));
	pick_recipients(parcel, lease_until_ms);
	buffer_init(&parcel->trace, TRACE_MAXIMUM);
	count = parcel->count;
	if (count == 0) {
		parcel_free(parcel);
		return NULL;
	}
	parcel->changes = mem_alloc_array(count, sizeof(*parcel->changes));
	parcel->replies = mem_alloc_array(count, sizeof(*parcel->replies));
	parcel->outcomes = mem_alloc_array(count, sizeof(*parcel->outcomes));
	parcel->ended = mem_alloc_array(count, sizeof(*parcel->ended));
	return parcel;
}

static void free_replies(struct parcel *parcel)
{
	size_t i;

	for (i = 0; parcel->replies && i < parcel->count; i++) {
		free(parcel->replies[i]);
		parcel->replies[i] = NULL;
	}
}

void parcel_free(struct parcel *parcel)
{
	free_replies(parcel);
	spool_body_close(parcel->file);
	buffer_release(&parcel->trace);
	spool_message_release(&parcel->message);
	free(parcel->body);
	free(parcel->indices);
	free(parcel->addresses);
	free(parcel->changes);
	free(parcel->replies);
	free(parcel->outcomes);
	free(parcel->ended);
	free(parcel);
}

/* --- the bytes ---------------------------------------------------------- */

static long read_body(struct parcel *parcel, char *bytes, size_t size)
{
	size_t start = parcel->offset - parcel->trace.length;
	long count;

	if (parcel->body) {
		size_t left = parcel->body_size - start;

		count = (long)(left < size ? left : size);
		memcpy(bytes, parcel->body + start, (size_t)count);
		return count;
	}
	count = spool_body_read(parcel->file, bytes, size);
	/* A body cut short must never look like a whole one. */
	if (count == 0 && (int64_t)start != parcel->message.size)
		return ERR_CORRUPT;
	return count;
}

/*
 * The first piece. A line that begins with a blank would join the field above
 * it (RFC 5322 section 2.2.3): an empty line in between leaves it in the body.
 */
static long read_first(struct parcel *parcel, char *bytes, size_t size)
{
	static const char separator[] = "\r\n";
	const size_t length = sizeof(separator) - 1;
	long count = read_body(parcel, bytes, size - length);

	if (count <= 0 || (*bytes != ' ' && *bytes != '\t'))
		return count;
	memmove(bytes + length, bytes, (size_t)count);
	memcpy(bytes, separator, length);
	(void)buffer_append(&parcel->trace, separator, length);
	return count + (long)length;
}

static long read_bytes(void *context, char *bytes, size_t size)
{
	struct parcel *parcel = context;
	size_t left;
	long count;

	if (parcel->offset < parcel->trace.length) {
		left = parcel->trace.length - parcel->offset;
		count = (long)(left < size ? left : size);
		memcpy(bytes, parcel->trace.data + parcel->offset,
		       (size_t)count);
	} else if (parcel->offset == parcel->trace.length) {
		count = read_first(parcel, bytes, size);
	} else {
		count = read_body(parcel, bytes, size);
	}
	if (count > 0)
		parcel->offset += (size_t)count;
	return count;
}

int parcel_open(struct parcel *parcel, struct spool *spool)
{
	buffer_reset(&parcel->trace);
	trace_print(&parcel->message, parcel->indices, parcel->sending,
	            parcel->config->hostname, &parcel->trace);
	parcel->offset = 0;
	parcel->answered = false;
	return parcel->body ? 0
	                    : spool_body_open(spool, &parcel->message.id,
	                                      &parcel->file, NULL);
}

void parcel_close(struct parcel *parcel)
{
	spool_body_close(parcel->file);
	parcel->file = NULL;
}

struct smtp_source parcel_source(struct parcel *parcel)
{
	return (struct smtp_source){
	    .read = read_bytes,
	    .context = parcel,
	    .size = (int64_t)parcel->trace.length + parcel->message.size,
	    .eight_bit = parcel->message.eight_bit,
	    .utf8 = parcel->message.smtputf8,
	};
}

/* --- the outcome -------------------------------------------------------- */

static struct backoff backoff_of(const struct parcel *parcel)
{
	return (struct backoff){
	    .minimum_ms = parcel->config->queue_retry_min_ms,
	    .maximum_ms = parcel->config->queue_retry_max_ms,
	    .give_up_ms = parcel->config->queue_give_up_ms,
	};
}

static enum spool_state state_after(const struct parcel *parcel,
                                    enum smtp_outcome outcome,
                                    unsigned attempts)
{
	struct backoff backoff = backoff_of(parcel);

	if (outcome == SMTP_DELIVERED)
		return SPOOL_DELIVERED;
	if (outcome == SMTP_REFUSED || backoff_exhausted(&backoff, attempts))
		return SPOOL_FAILED;
	return SPOOL_DEFERRED;
}

/* The change that records what became of one recipient. */
static void set_change(struct parcel *parcel, size_t index,
                       enum spool_state state)
{
	const struct spool_recipient *recipient =
	    &parcel->message.recipients[parcel->indices[index]];
	struct spool_change *change = &parcel->changes[index];

	*change = (struct spool_change){.kind = SPOOL_MOVE};
	change->move.id = parcel->message.id;
	change->move.recipient = parcel->indices[index];
	change->move.from = SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED);
	/* What was delivered is delivered, whoever has the lease now. */
	if (state != SPOOL_DELIVERED)
		change->move.lease_owner = parcel->config->agent_name;
	change->move.to = state;
	change->move.now_ms = clock_wall_ms();
	/* Who let it through stays on record to the end. */
	change->move.by = recipient->by;
	change->move.why = recipient->why;
	change->move.reply = parcel->replies[index];
	/* Of a DSN nobody hears, and nobody is kept waiting for. */
	if (!id_is_none(&parcel->message.dsn_of))
		return;
	change->move.event = spool_state_is_final(state) && !parcel->fresh;
	if (state != SPOOL_FAILED)
		return;
	change->move.keep_until_ms =
	    change->move.now_ms + parcel->config->queue_keep_failed_ms;
	/* Whether the sender may be told is found out later. */
	change->move.dsn = *parcel->message.sender != '\0';
}

static void set_outcome(struct parcel *parcel, size_t index,
                        enum smtp_outcome outcome)
{
	unsigned attempts =
	    parcel->message.recipients[parcel->indices[index]].attempts + 1;
	enum spool_state state = state_after(parcel, outcome, attempts);
	struct spool_change *change = &parcel->changes[index];
	struct backoff backoff = backoff_of(parcel);

	parcel->outcomes[index] = outcome;
	set_change(parcel, index, state);
	change->move.attempted = true;
	if (state == SPOOL_DEFERRED)
		change->move.next_attempt_ms =
		    change->move.now_ms + backoff_delay_ms(&backoff, attempts);
}

void parcel_set_reply(struct parcel *parcel, size_t index,
                      enum smtp_outcome outcome, const struct smtp_reply *reply)
{
	free(parcel->replies[index]);
	parcel->replies[index] = smtp_reply_line(reply);
	parcel->ended[index] = reply->code == 421;
	if ((reply->code != 0 && reply->code != 421) ||
	    outcome != SMTP_DEFERRED)
		parcel->answered = true;
	set_outcome(parcel, index, outcome);
}

/* The recipient waits, without having been tried. */
static void set_postponed(struct parcel *parcel, size_t index, int64_t due_ms)
{
	parcel->outcomes[index] = SMTP_DEFERRED;
	set_change(parcel, index, SPOOL_DEFERRED);
	parcel->changes[index].move.next_attempt_ms = due_ms;
}

void parcel_defer(struct parcel *parcel, const char *why)
{
	for (size_t i = 0; i < parcel->count; i++) {
		free(parcel->replies[i]);
		parcel->replies[i] = mem_copy_string(why);
		set_outcome(parcel, i, SMTP_DEFERRED);
	}
}

void parcel_postpone(struct parcel *parcel, int64_t due_ms, const char *why)
{
	for (size_t i = 0; i < parcel->count; i++) {
		free(parcel->replies[i]);
		parcel->replies[i] = mem_copy_string(why);
		set_postponed(parcel, i, due_ms);
	}
}

void parcel_postpone_others(struct parcel *parcel)
{
	for (size_t i = parcel->sending; i < parcel->count; i++)
		set_postponed(parcel, i, clock_wall_ms());
}

bool parcel_was_cut(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->sending; i++)
		if (parcel->ended[i])
			return true;
	return false;
}

void parcel_hasten(struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->sending; i++)
		if (parcel->ended[i] && parcel->offset == 0 &&
		    parcel->changes[i].move.to == SPOOL_DEFERRED)
			parcel->changes[i].move.next_attempt_ms =
			    parcel->changes[i].move.now_ms;
}

void parcel_log(const struct parcel *parcel, size_t index)
{
	const struct spool_change *change = &parcel->changes[index];
	const char *state = spool_state_name(change->move.to);
	const char *reply =
	    parcel->replies[index] ? parcel->replies[index] : "";
	char id[ID_TEXT_SIZE];

	(void)id_format(&parcel->message.id, id);
	if (change->result)
		log_warning(id, "%s to=<%s> but not recorded: %s; next hop: %s",
		            state, parcel->addresses[index],
		            error_name(change->result), reply);
	else
		log_write(change->move.to == SPOOL_FAILED ? LOG_LEVEL_WARNING
		                                          : LOG_LEVEL_INFO,
		          id, "%s to=<%s> next hop: %s", state,
		          parcel->addresses[index], reply);
}
