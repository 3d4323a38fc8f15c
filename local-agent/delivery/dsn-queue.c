/* Puts DSNs into the spool and notes what became of them. */
#include "local-agent/delivery/dsn-queue.h"

#include <stdlib.h>
#include <string.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mail/address.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "local-agent/delivery/dsn.h"
#include "local-agent/queue/trouble.h"

#define ROUND_MS   1000
#define PAGE_LIMIT 100

struct dsn_queue {
	struct dsn_queue_options options;
	struct background background;
	struct trouble trouble;
};

/* A message some of whose recipients have a DSN under way, being worked on. */
struct job {
	const struct dsn_queue_options *options;
	const struct spool_message *message;
	size_t *recipients; /* indices of those that are worked on */
	size_t count;
};

static void count_outcome(const char *outcome)
{
	char labels[40];

	(void)snprintf(labels, sizeof(labels), "outcome=\"%s\"", outcome);
	metric_add(metric_counter("turing_agent_dsn_total", labels,
	                          "Failed recipients whose sender is told, by "
	                          "how far that came"),
	           1);
}

/* --- changes of the failed message ------------------------------------- */

/*
 * Moves the job's recipients from one step to another. Keeps those in the job
 * that were moved: what another agent did, or an admin, is none of ours.
 */
static int move_on(struct job *job, enum spool_dsn from, enum spool_dsn to,
                   const struct id *dsn_id, struct error *err)
{
	struct spool_change *changes =
	    mem_alloc_array(job->count, sizeof(*changes));
	size_t i, moved = 0;
	int result;

	for (i = 0; i < job->count; i++) {
		changes[i].kind = SPOOL_DSN;
		changes[i].dsn.id = job->message->id;
		changes[i].dsn.recipient = job->recipients[i];
		changes[i].dsn.from = from;
		changes[i].dsn.to = to;
		changes[i].dsn.dsn_id = *dsn_id;
	}
	result = writer_commit(job->options->writer, changes, job->count);
	for (i = 0; i < job->count && !result; i++)
		if (changes[i].result == 0)
			job->recipients[moved++] = job->recipients[i];
	job->count = moved;
	free(changes);
	return result ? error_set(err, (enum error_code)result,
	                          "the commit failed")
	              : 0;
}

/* --- the DSN as a message ---------------------------------------------- */

/* Reads how the message begins, as far as there is a body. */
static int read_header(struct spool *spool, const struct id *id,
                       struct buffer *header, struct error *err)
{
	struct spool_body *body = NULL;
	char bytes[4096];
	long got = 1;
	int result = spool_body_open(spool, id, &body, err);

	if (result)
		return result == ERR_NOT_FOUND ? 0 : result;
	while (got > 0 && header->length + sizeof(bytes) <= header->maximum) {
		got = spool_body_read(body, bytes, sizeof(bytes));
		if (got > 0)
			(void)buffer_append(header, bytes, (size_t)got);
	}
	spool_body_close(body);
	return got < 0 ? error_set(err, (enum error_code)got, "reading a body")
	               : 0;
}

static struct spool_message make_message(const struct job *job,
                                         const struct id *id, int64_t now_ms)
{
	const struct agent_config *config = job->options->config;
	char text[ID_TEXT_SIZE];
	struct spool_message message = {
	    .id = *id,
	    .received_ms = now_ms,
	    .expires_ms = now_ms + config->policy_hold_for_ms,
	    .eight_bit = true,
	    .registered = true, /* the cloud need not know it */
	    .body_present = true,
	    .dsn_of = job->message->id,
	    .subject = mem_copy_string("Undelivered mail"),
	    .challenge_reason = mem_copy_string("null-sender"),
	    .recipient_count = 1,
	};

	message.recipients = mem_alloc_array(1, sizeof(*message.recipients));
	message.recipients[0] = (struct spool_recipient){
	    .address = mem_copy_string(job->message->sender),
	    .state = SPOOL_QUEUED,
	    .changed_ms = now_ms,
	    .next_attempt_ms = now_ms,
	    .by = mem_copy_string("dsn"),
	    .why = mem_format("tells of message %s",
	                      id_format(&job->message->id, text)),
	    .next_hop = config->dsn_relay.address
	                    ? agent_endpoint_text(&config->dsn_relay)
	                    : mem_copy_string(""),
	};
	return message;
}

/* Adds the DSN, which may be there already. */
static int add_message(const struct job *job, const struct id *id,
                       const struct buffer *text, int64_t now_ms,
                       struct error *err)
{
	struct spool_message message = make_message(job, id, now_ms);
	struct spool_change change = {.kind = SPOOL_ADD};
	int result;

	message.size = (int64_t)text->length;
	change.add.message = &message;
	change.add.body.bytes = text->data;
	change.add.body.size = text->length;
	result = writer_commit(job->options->writer, &change, 1);
	if (!result)
		result = change.result;
	spool_message_release(&message);
	if (result && result != ERR_EXISTS)
		return error_set(err, (enum error_code)result,
		                 "a DSN cannot be stored");
	return 0;
}

/* Writes the DSN with this id for the job's recipients. */
static int write_dsn(const struct job *job, const struct id *id,
                     struct error *err)
{
	struct dsn dsn = {.id = *id,
	                  .now_ms = clock_wall_ms(),
	                  .failed = job->message,
	                  .recipients = job->recipients,
	                  .count = job->count};
	char text[ID_TEXT_SIZE], of[ID_TEXT_SIZE];
	struct buffer header, out;
	int result;

	buffer_init(&header, DSN_HEADER_MAXIMUM);
	buffer_init(&out, DSN_MAXIMUM);
	result =
	    read_header(job->options->spool, &job->message->id, &header, err);
	if (!result) {
		dsn.header = buffer_text(&header);
		dsn.header_size = header.length;
		dsn_print(job->options->config, &dsn, &out);
		result = add_message(job, id, &out, dsn.now_ms, err);
	}
	if (!result)
		log_info(id_format(&job->message->id, of),
		         "the sender <%s> is told by the DSN %s of %zu "
		         "recipients that failed",
		         job->message->sender, id_format(id, text), job->count);
	buffer_release(&header);
	buffer_release(&out);
	return result;
}

/* --- steps ------------------------------------------------------------- */

static bool own_domain(const char *domain, void *context)
{
	return replica_view_has_domain(context, domain);
}

static const char *forbidden(const struct job *job)
{
	struct replica *replica = job->options->replica;
	const struct replica_view *view = replica_acquire(replica);
	const char *why = "DSNs are switched off";

	if (job->options->config->dsn_enabled)
		why = dsn_forbidden(job->message, own_domain,
		                    (void *)(uintptr_t)view);
	replica_release(replica, view);
	return why;
}

/* Picks the recipients at a step, of one DSN where an id is given. */
static void pick(struct job *job, enum spool_dsn step, const struct id *dsn_id)
{
	job->count = 0;
	for (size_t i = 0;
	     i < job->message->recipient_count && job->count < DSN_RECIPIENTS;
	     i++) {
		const struct spool_recipient *recipient =
		    &job->message->recipients[i];

		if (recipient->dsn == step &&
		    (!dsn_id || id_equal(&recipient->dsn_id, dsn_id)))
			job->recipients[job->count++] = i;
	}
}

/* Leaves those in the job that failed, or those that did not. */
static void pick_failed(struct job *job, bool failed)
{
	size_t count = 0;

	for (size_t i = 0; i < job->count; i++) {
		const struct spool_recipient *recipient =
		    &job->message->recipients[job->recipients[i]];

		if ((recipient->state == SPOOL_FAILED) == failed)
			job->recipients[count++] = job->recipients[i];
	}
	job->count = count;
}

/* Nobody is to be told of the job's recipients (any more). */
static int drop(struct job *job, enum spool_dsn from, const struct id *dsn_id,
                const char *why, struct error *err)
{
	char text[ID_TEXT_SIZE];
	int result = 0;

	if (job->count > 0)
		result = move_on(job, from, SPOOL_DSN_NONE, dsn_id, err);
	if (!result && job->count > 0 && why)
		log_warning(id_format(&job->message->id, text),
		            "the sender <%s> is not told of %zu recipients "
		            "that failed: %s; see queue list",
		            job->message->sender, job->count, why);
	return result;
}

/* What failed and has a DSN due: its id goes on record, then it is written. */
static int begin(struct job *job, struct error *err)
{
	const struct id none = {{0}};
	const char *why = forbidden(job);
	struct id id = id_new();
	int result;

	/* What is on its way again, by an admin's hand, has not failed. */
	pick(job, SPOOL_DSN_DUE, NULL);
	pick_failed(job, false);
	result = drop(job, SPOOL_DSN_DUE, &none, NULL, err);
	pick(job, SPOOL_DSN_DUE, NULL);
	pick_failed(job, true);
	if (result || job->count == 0)
		return result;
	if (why) {
		count_outcome("forbidden");
		return drop(job, SPOOL_DSN_DUE, &none, why, err);
	}
	result = move_on(job, SPOOL_DSN_DUE, SPOOL_DSN_QUEUED, &id, err);
	if (result || job->count == 0)
		return result;
	count_outcome("queued");
	return write_dsn(job, &id, err);
}

/* What became of the DSN, which is in the spool. */
static int settle(struct job *job, const struct id *dsn_id,
                  enum spool_state state, struct error *err)
{
	char text[ID_TEXT_SIZE];
	int result;

	if (!spool_state_is_final(state))
		return 0;
	if (state != SPOOL_DELIVERED) {
		count_outcome("given_up");
		return drop(job, SPOOL_DSN_QUEUED, dsn_id,
		            "the DSN was not delivered", err);
	}
	result = move_on(job, SPOOL_DSN_QUEUED, SPOOL_DSN_SENT, dsn_id, err);
	if (!result && job->count > 0) {
		count_outcome("sent");
		log_info(id_format(&job->message->id, text),
		         "the sender <%s> was told of %zu recipients that "
		         "failed",
		         job->message->sender, job->count);
	}
	return result;
}

/* Looks for a DSN whose id is on record. */
static int follow(struct job *job, const struct id *dsn_id, struct error *err)
{
	struct spool_message found;
	int result = spool_read(job->options->spool, dsn_id, &found, err);

	pick(job, SPOOL_DSN_QUEUED, dsn_id);
	if (result == ERR_NOT_FOUND) {
		/* Whoever noted the id died before he wrote the DSN. */
		pick_failed(job, true);
		if (job->count > 0)
			return write_dsn(job, dsn_id, err);
		pick(job, SPOOL_DSN_QUEUED, dsn_id);
		return drop(job, SPOOL_DSN_QUEUED, dsn_id, NULL, err);
	}
	if (result)
		return result;
	result = settle(job, dsn_id, found.recipients[0].state, err);
	spool_message_release(&found);
	return result;
}

/* Whether an earlier recipient has the same DSN. */
static bool seen_before(const struct spool_message *message, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (message->recipients[i].dsn == SPOOL_DSN_QUEUED &&
		    id_equal(&message->recipients[i].dsn_id,
		             &message->recipients[index].dsn_id))
			return true;
	return false;
}

static int work_on(const struct dsn_queue_options *options,
                   const struct spool_message *message, struct error *err)
{
	struct job job = {.options = options, .message = message};
	int result;

	job.recipients =
	    mem_alloc_array(message->recipient_count, sizeof(*job.recipients));
	result = begin(&job, err);
	for (size_t i = 0; i < message->recipient_count && !result; i++)
		if (message->recipients[i].dsn == SPOOL_DSN_QUEUED &&
		    !seen_before(message, i))
			result =
			    follow(&job, &message->recipients[i].dsn_id, err);
	free(job.recipients);
	return result;
}

int dsn_queue_work(const struct dsn_queue_options *options, struct id *after,
                   struct error *err)
{
	const struct spool_query query = {
	    .dsn = true, .after = *after, .limit = PAGE_LIMIT};
	struct spool_page page = {.count = 0};
	int result = spool_list(options->spool, &query, &page, err);

	*after = (struct id){{0}};
	if (!result && page.more)
		*after = page.messages[page.count - 1].id;
	for (size_t i = 0; i < page.count && !result; i++)
		result = work_on(options, &page.messages[i], err);
	spool_page_release(&page);
	return result;
}

/* --- the thread -------------------------------------------------------- */

static void *queue_run(void *argument)
{
	struct dsn_queue *queue = argument;
	struct id after = {{0}};

	do {
		struct error err = {.text = ""};
		int result = 0;

		/* Asked while it is away, the store would only be waited for.
		 */
		if (writer_away(queue->options.writer))
			continue;
		result = dsn_queue_work(&queue->options, &after, &err);
		if (result)
			trouble_note(&queue->trouble, result,
			             "cannot tell senders of mail that failed",
			             err.text);
		else
			trouble_over(&queue->trouble);
	} while (background_rest(&queue->background, ROUND_MS));
	return NULL;
}

int dsn_queue_start(struct dsn_queue **queue,
                    const struct dsn_queue_options *options, struct error *err)
{
	struct dsn_queue *made = mem_alloc(sizeof(*made));
	int result;

	made->options = *options;
	made->trouble.part = "dsn";
	result =
	    background_start(&made->background, "dsn", queue_run, made, err);
	if (result) {
		free(made);
		return result;
	}
	*queue = made;
	return 0;
}

void dsn_queue_stop(struct dsn_queue *queue)
{
	if (!queue)
		return;
	background_stop(&queue->background);
	free(queue);
}
