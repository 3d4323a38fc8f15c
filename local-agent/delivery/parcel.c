/* A message on its way out: its bytes, and the outcome of each recipient. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "local-agent/delivery/private.h"
#include "local-agent/delivery/trace.h"

#define COMMIT_RETRY_MS 1000

void parcel_list_append(struct parcel_list *list, struct parcel *parcel)
{
	parcel->next = NULL;
	if (list->last)
		list->last->next = parcel;
	else
		list->first = parcel;
	list->last = parcel;
	list->count++;
}

void parcel_list_prepend(struct parcel_list *list, struct parcel *parcel)
{
	parcel->next = list->first;
	list->first = parcel;
	if (!list->last)
		list->last = parcel;
	list->count++;
}

struct parcel *parcel_list_take(struct parcel_list *list)
{
	struct parcel *parcel = list->first;

	if (!parcel)
		return NULL;
	list->first = parcel->next;
	if (!list->first)
		list->last = NULL;
	list->count--;
	parcel->next = NULL;
	return parcel;
}

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
	const char *owner = parcel->delivery->options.config->agent_name;

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

struct parcel *parcel_new(struct delivery *delivery,
                          struct spool_message *message, int64_t lease_until_ms)
{
	struct parcel *parcel = mem_alloc(sizeof(*parcel));
	size_t count = message->recipient_count;

	parcel->delivery = delivery;
	parcel->message = *message;
	parcel->lease_until_ms = lease_until_ms;
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
	lease_drop(parcel);
	delivery_closed(parcel->delivery, parcel);
	free_replies(parcel);
	loop_timer_free(parcel->retry);
	spool_body_close(parcel->file);
	buffer_release(&parcel->trace);
	spool_message_release(&parcel->message);
	if (parcel->reserved)
		delivery_unreserve(parcel->delivery, parcel->reserved);
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

/* --- the outcome -------------------------------------------------------- */

static enum spool_state state_after(const struct parcel *parcel,
                                    enum smtp_outcome outcome,
                                    unsigned attempts)
{
	if (outcome == SMTP_DELIVERED)
		return SPOOL_DELIVERED;
	if (outcome == SMTP_REFUSED ||
	    backoff_exhausted(&parcel->delivery->backoff, attempts))
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
		change->move.lease_owner =
		    parcel->delivery->options.config->agent_name;
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
	    change->move.now_ms +
	    parcel->delivery->options.config->queue_keep_failed_ms;
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

	parcel->outcomes[index] = outcome;
	set_change(parcel, index, state);
	change->move.attempted = true;
	if (state == SPOOL_DEFERRED)
		change->move.next_attempt_ms =
		    change->move.now_ms +
		    backoff_delay_ms(&parcel->delivery->backoff, attempts);
}

static void on_recipient(void *context, size_t index, enum smtp_outcome outcome,
                         const struct smtp_reply *reply)
{
	struct parcel *parcel = context;

	free(parcel->replies[index]);
	parcel->replies[index] = smtp_reply_line(reply);
	parcel->ended[index] = reply->code == 421;
	if ((reply->code != 0 && reply->code != 421) ||
	    outcome != SMTP_DEFERRED)
		parcel->answered = true;
	set_outcome(parcel, index, outcome);
}

static struct metric *metric_of(const struct delivery *delivery,
                                enum spool_state state,
                                enum smtp_outcome outcome)
{
	if (outcome == SMTP_UNCERTAIN)
		metric_add(delivery->uncertain, 1);
	if (state == SPOOL_DELIVERED)
		return delivery->delivered;
	return state == SPOOL_FAILED ? delivery->failed : delivery->deferred;
}

static void tell_recipient(struct parcel *parcel, size_t index)
{
	const struct spool_change *change = &parcel->changes[index];
	enum spool_state state = change->move.to;
	char id[ID_TEXT_SIZE];

	(void)id_format(&parcel->message.id, id);
	if (change->result) {
		log_warning(id, "%s to=<%s> but not recorded: %s; next hop: %s",
		            spool_state_name(state), parcel->addresses[index],
		            error_name(change->result),
		            parcel->replies[index] ? parcel->replies[index]
		                                   : "");
		return;
	}
	if (change->move.attempted)
		metric_add(
		    metric_of(parcel->delivery, state, parcel->outcomes[index]),
		    1);
	log_write(state == SPOOL_FAILED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
	          id, "%s to=<%s> next hop: %s", spool_state_name(state),
	          parcel->addresses[index],
	          parcel->replies[index] ? parcel->replies[index] : "");
}

static void on_commit(struct writer_request *request, int result);

static void submit(struct parcel *parcel)
{
	struct delivery *delivery = parcel->delivery;

	parcel->settling = true;
	parcel->request = (struct writer_request){
	    .changes = parcel->changes,
	    .count = parcel->count,
	    .loop = delivery->options.loop,
	    .done = on_commit,
	};
	if (!delivery->is_over &&
	    writer_submit(delivery->options.writer, &parcel->request) == 0)
		return;
	parcel_free(parcel);
	delivery_parcel_ended(delivery);
}

static void on_retry(void *argument)
{
	submit(argument);
}

static bool any_passing(const struct parcel *parcel)
{
	size_t i;

	for (i = 0; i < parcel->count; i++)
		if (trouble_is_passing(parcel->changes[i].result))
			return true;
	return false;
}

/*
 * What happened cannot be undone, so a commit that failed for want of space
 * or without an answer is made again until it holds.
 */
static bool commit_again(struct parcel *parcel, int result)
{
	struct delivery *delivery = parcel->delivery;

	if (delivery->cut || result == ERR_IO || result == ERR_CORRUPT)
		return false;
	if (result == 0 && !any_passing(parcel))
		return false;
	if (!parcel->retry)
		parcel->retry =
		    loop_timer_new(delivery->options.loop, on_retry, parcel);
	loop_timer_start(parcel->retry, COMMIT_RETRY_MS);
	return true;
}

static void on_commit(struct writer_request *request, int result)
{
	struct parcel *parcel = (struct parcel *)request;
	struct delivery *delivery = parcel->delivery;
	bool event = false;
	size_t i;

	if (commit_again(parcel, result))
		return;
	for (i = 0; i < parcel->count; i++) {
		if (result)
			parcel->changes[i].result = result;
		tell_recipient(parcel, i);
		event = event || parcel->changes[i].move.event;
	}
	if (event && delivery->options.ended)
		delivery->options.ended(delivery->options.context);
	parcel_free(parcel);
	delivery_parcel_ended(delivery);
	delivery_pump(delivery);
}

static void end_transaction(struct parcel *parcel)
{
	spool_body_close(parcel->file);
	parcel->file = NULL;
	parcel->connection = NULL;
}

/* The recipient waits, without having been tried. */
static void set_postponed(struct parcel *parcel, size_t index, int64_t due_ms)
{
	parcel->outcomes[index] = SMTP_DEFERRED;
	set_change(parcel, index, SPOOL_DEFERRED);
	parcel->changes[index].move.next_attempt_ms = due_ms;
}

static bool any_ended(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->sending; i++)
		if (parcel->ended[i])
			return true;
	return false;
}

/*
 * Whether the parcel goes out again at once over another session: the next hop
 * has ended one that we used again, and said nothing of the mail. By closing
 * it; or by a 421, which closes the channel (RFC 5321 sections 3.8, 4.2.1),
 * such as after so many messages. Each such 421 costs a used session, and what
 * met it is the first to get the next one: it may meet those that are open.
 */
static bool goes_again(struct parcel *parcel,
                       const struct delivery_connection *connection)
{
	const struct agent_config *config = parcel->delivery->options.config;
	int64_t most = 2 * config->next_hop_connections;
	bool again;

	if (connection->sent == 0 || parcel->answered ||
	    parcel->delivery->stopping)
		return false;
	if (any_ended(parcel)) {
		/* After DATA was taken it may have been the message. */
		again = parcel->offset == 0 && parcel->turned_away < most;
		parcel->turned_away += again;
	} else {
		again = !parcel->put_back;
		parcel->put_back = true;
	}
	return again;
}

/* Those that a 421 ended beside others that were answered are due now. */
static void hasten(struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->sending; i++)
		if (parcel->ended[i] && parcel->offset == 0 &&
		    parcel->changes[i].move.to == SPOOL_DEFERRED)
			parcel->changes[i].move.next_attempt_ms =
			    parcel->changes[i].move.now_ms;
}

static void on_done(void *context)
{
	struct parcel *parcel = context;
	struct delivery_connection *connection = parcel->connection;
	bool used = connection->sent > 0;
	bool again = goes_again(parcel, connection);

	end_transaction(parcel);
	connection_release(connection);
	for (size_t i = parcel->sending; i < parcel->count; i++)
		set_postponed(parcel, i, clock_wall_ms());
	if (again) {
		delivery_closed(parcel->delivery, parcel);
		delivery_requeue(parcel->delivery, parcel);
		return;
	}
	if (used && parcel->answered)
		hasten(parcel);
	submit(parcel);
}

int parcel_begin(struct parcel *parcel, struct delivery_connection *connection)
{
	const struct delivery_options *options = &parcel->delivery->options;
	struct error err = {.text = ""};
	int result = 0;

	buffer_reset(&parcel->trace);
	trace_print(&parcel->message, parcel->indices, parcel->sending,
	            options->config->hostname, &parcel->trace);
	parcel->offset = 0;
	parcel->answered = false;
	if (!parcel->body)
		result = spool_body_open(options->spool, &parcel->message.id,
		                         &parcel->file, &err);
	if (result)
		return result;
	parcel->connection = connection;
	parcel->transaction = (struct smtp_transaction){
	    .sender = parcel->message.sender,
	    .recipients = parcel->addresses,
	    .recipient_count = parcel->sending,
	    .source = {.read = read_bytes,
	               .context = parcel,
	               .size =
	                   (int64_t)parcel->trace.length + parcel->message.size,
	               .eight_bit = parcel->message.eight_bit,
	               .utf8 = parcel->message.smtputf8},
	    .recipient = on_recipient,
	    .done = on_done,
	    .context = parcel,
	};
	delivery_opened(parcel->delivery, parcel);
	result = smtp_dialer_begin(connection->dialer, &parcel->transaction);
	if (result) {
		delivery_closed(parcel->delivery, parcel);
		end_transaction(parcel);
	}
	return result;
}

void parcel_defer(struct parcel *parcel, const char *why)
{
	size_t i;

	for (i = 0; i < parcel->count; i++) {
		free(parcel->replies[i]);
		parcel->replies[i] = mem_copy_string(why);
		set_outcome(parcel, i, SMTP_DEFERRED);
	}
	submit(parcel);
}

void parcel_postpone(struct parcel *parcel, int64_t due_ms, const char *why)
{
	size_t i;

	for (i = 0; i < parcel->count; i++) {
		free(parcel->replies[i]);
		parcel->replies[i] = mem_copy_string(why);
		set_postponed(parcel, i, due_ms);
	}
	submit(parcel);
}
