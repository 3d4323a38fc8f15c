/* What the spool writes of a message into its document in MongoDB. */
#include "store/spool/mongodb/private.h"

#include "common/clock.h"

#define WAITING (SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED))
#define QUEUE   (SPOOL_IN(SPOOL_QUEUED) | SPOOL_IN(SPOOL_DEFERRED))

#define KEY_SIZE 64

/* The largest document with a body in it: the histories and replies of a
 * thousand recipients are to find room below the server's 16 MiB. */
#define DOCUMENT_MAXIMUM (8U << 20)

/* --- the summary ------------------------------------------------------- */

static void lower(int64_t *least, int64_t value)
{
	if (value < *least)
		*least = value;
}

static void summarise_recipient(const struct spool_message *message,
                                const struct spool_recipient *recipient,
                                struct spool_mongodb_summary *summary)
{
	unsigned in = SPOOL_IN(recipient->state);
	bool claimed = recipient->lease_owner && *recipient->lease_owner;
	int64_t due_ms = recipient->next_attempt_ms;

	if (in & WAITING)
		lower(&summary->hold_until_ms, message->expires_ms);
	if (spool_recipient_is_kept(recipient))
		lower(&summary->hold_until_ms, recipient->keep_until_ms);
	if (!(in & QUEUE))
		return;
	if (claimed && recipient->lease_until_ms > due_ms)
		due_ms = recipient->lease_until_ms;
	lower(&summary->due_ms, due_ms);
	if (!claimed)
		lower(&summary->unclaimed_ms, due_ms);
}

static void add_tally(struct spool_mongodb_summary *summary, const char *word,
                      size_t count)
{
	size_t length = strlen(summary->tally);

	summary->lists[summary->list_count++] = word;
	(void)snprintf(summary->tally + length, sizeof(summary->tally) - length,
	               "%s%s %zu", length ? "," : "", word, count);
}

/* Sets when the message was over: all recipients are, and all told. */
static void summarise_end(const struct spool_message *message,
                          struct spool_mongodb_summary *summary, bool reports)
{
	int64_t last_ms = INT64_MIN;

	summary->over = true;
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct spool_recipient *recipient =
		    &message->recipients[i];

		if (!spool_recipient_is_over(recipient))
			summary->over = false;
		if (recipient->changed_ms > last_ms)
			last_ms = recipient->changed_ms;
	}
	if (summary->over && !reports)
		summary->over_ms = last_ms;
}

void spool_mongodb_summarise(const struct spool_message *message,
                             struct spool_mongodb_summary *summary)
{
	size_t states[SPOOL_STATE_COUNT] = {0};
	bool reports = false, claimed = false, dsn = false;
	size_t kept = 0;

	*summary =
	    (struct spool_mongodb_summary){.due_ms = SPOOL_MONGODB_NEVER,
	                                   .unclaimed_ms = SPOOL_MONGODB_NEVER,
	                                   .hold_until_ms = SPOOL_MONGODB_NEVER,
	                                   .over_ms = SPOOL_MONGODB_NEVER};
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct spool_recipient *recipient =
		    &message->recipients[i];

		states[recipient->state]++;
		reports = reports || recipient->event_pending;
		dsn = dsn || recipient->dsn == SPOOL_DSN_DUE ||
		      recipient->dsn == SPOOL_DSN_QUEUED;
		kept += spool_recipient_is_kept(recipient);
		claimed = claimed ||
		          (recipient->lease_owner && *recipient->lease_owner);
		summarise_recipient(message, recipient, summary);
	}
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		if (states[i])
			add_tally(summary,
			          spool_state_name((enum spool_state)i),
			          states[i]);
	if (!message->registered)
		add_tally(summary, SPOOL_MONGODB_UNREGISTERED, 1);
	if (kept)
		add_tally(summary, SPOOL_MONGODB_KEPT, kept);
	if (reports)
		summary->lists[summary->list_count++] = SPOOL_MONGODB_REPORTS;
	if (claimed)
		summary->lists[summary->list_count++] = SPOOL_MONGODB_CLAIMED;
	if (dsn)
		summary->lists[summary->list_count++] = SPOOL_MONGODB_DSN;
	summarise_end(message, summary, reports);
}

/* The times of a summary and their fields. */
static const struct {
	const char *key;
	size_t offset;
} times[] = {
    {"due", offsetof(struct spool_mongodb_summary, due_ms)},
    {"unclaimed", offsetof(struct spool_mongodb_summary, unclaimed_ms)},
    {"hold_until", offsetof(struct spool_mongodb_summary, hold_until_ms)},
    {"over", offsetof(struct spool_mongodb_summary, over_ms)},
};
#define TIMES (sizeof(times) / sizeof(times[0]))

static int64_t time_of(const struct spool_mongodb_summary *summary, size_t i)
{
	return *(const int64_t *)((const char *)summary + times[i].offset);
}

/* Appends what a summary has, with prefix ("" or "turing.") before names. */
static void append_summary(bson_t *document, const char *prefix,
                           const struct spool_mongodb_summary *summary)
{
	char key[KEY_SIZE];
	bson_t lists;

	for (size_t i = 0; i < TIMES; i++) {
		if (time_of(summary, i) == SPOOL_MONGODB_NEVER)
			continue;
		(void)snprintf(key, sizeof(key), "%s%s", prefix, times[i].key);
		(void)mongodb_append_time(document, key, time_of(summary, i));
	}
	(void)snprintf(key, sizeof(key), "%slists", prefix);
	bson_append_array_begin(document, key, -1, &lists);
	for (size_t i = 0; i < summary->list_count; i++) {
		char index[24];

		(void)snprintf(index, sizeof(index), "%zu", i);
		BSON_APPEND_UTF8(&lists, index, summary->lists[i]);
	}
	bson_append_array_end(document, &lists);
	(void)snprintf(key, sizeof(key), "%stally", prefix);
	BSON_APPEND_UTF8(document, key, summary->tally);
}

/* --- recipients and the rest ------------------------------------------- */

static void append_lease(bson_t *document,
                         const struct spool_recipient *recipient)
{
	bson_t lease;

	if (!recipient->lease_owner || !*recipient->lease_owner)
		return;
	BSON_APPEND_DOCUMENT_BEGIN(document, "lease", &lease);
	(void)mongodb_append_text(&lease, "owner", recipient->lease_owner);
	(void)mongodb_append_time(&lease, "until", recipient->lease_until_ms);
	bson_append_document_end(document, &lease);
}

/* What only those have that failed or go elsewhere. */
static void append_failure(bson_t *document,
                           const struct spool_recipient *recipient)
{
	if (spool_recipient_is_kept(recipient))
		(void)mongodb_append_time(document, "keep_until",
		                          recipient->keep_until_ms);
	if (recipient->dsn != SPOOL_DSN_NONE)
		BSON_APPEND_UTF8(document, "dsn",
		                 spool_dsn_name(recipient->dsn));
	if (!id_is_none(&recipient->dsn_id))
		(void)mongodb_append_id(document, "dsn_id", &recipient->dsn_id);
	if (recipient->next_hop && *recipient->next_hop)
		(void)mongodb_append_text(document, "next_hop",
		                          recipient->next_hop);
}

static void append_recipient(bson_t *parent, const char *key,
                             const struct spool_recipient *recipient,
                             const struct id *token)
{
	bson_t view;

	bson_append_document_begin(parent, key, -1, &view);
	(void)mongodb_append_text(&view, "address", recipient->address);
	BSON_APPEND_UTF8(&view, "state", spool_state_name(recipient->state));
	(void)mongodb_append_time(&view, "changed", recipient->changed_ms);
	(void)mongodb_append_text(&view, "by", recipient->by);
	(void)mongodb_append_text(&view, "why", recipient->why);
	(void)mongodb_append_text(&view, "history", recipient->history);
	BSON_APPEND_INT64(&view, "attempts", recipient->attempts);
	if (recipient->next_attempt_ms)
		(void)mongodb_append_time(&view, "next_attempt",
		                          recipient->next_attempt_ms);
	(void)mongodb_append_text(&view, "reply", recipient->reply);
	append_lease(&view, recipient);
	BSON_APPEND_BOOL(&view, "event_pending", recipient->event_pending);
	append_failure(&view, recipient);
	(void)mongodb_append_id(&view, "last_change", token);
	bson_append_document_end(parent, &view);
}

static void append_recipients(bson_t *document,
                              const struct spool_mongodb_record *record)
{
	const struct spool_message *message = &record->message;
	bson_t recipients;

	BSON_APPEND_ARRAY_BEGIN(document, "recipients", &recipients);
	for (size_t i = 0; i < message->recipient_count; i++) {
		char index[24];

		(void)snprintf(index, sizeof(index), "%zu", i);
		append_recipient(&recipients, index, &message->recipients[i],
		                 &record->tokens[i]);
	}
	bson_append_array_end(document, &recipients);
}

static void append_auth(bson_t *document, const struct mail_auth *auth)
{
	bson_t view;

	BSON_APPEND_DOCUMENT_BEGIN(document, "auth", &view);
	BSON_APPEND_BOOL(&view, "stated", auth->stated);
	BSON_APPEND_UTF8(&view, "spf", auth_result_name(auth->spf));
	BSON_APPEND_UTF8(&view, "dkim", auth_result_name(auth->dkim));
	BSON_APPEND_UTF8(&view, "dmarc", auth_result_name(auth->dmarc));
	(void)mongodb_append_text(&view, "spf_domain", auth->spf_domain);
	(void)mongodb_append_text(&view, "dkim_domain", auth->dkim_domain);
	(void)mongodb_append_text(&view, "dmarc_domain", auth->dmarc_domain);
	BSON_APPEND_BOOL(&view, "aligned", auth->aligned);
	bson_append_document_end(document, &view);
}

static void append_body(bson_t *document, const struct spool_mongodb_body *body)
{
	bson_t view;

	BSON_APPEND_DOCUMENT_BEGIN(document, "body", &view);
	BSON_APPEND_INT64(&view, "size", body->size);
	if (!id_is_none(&body->file))
		(void)mongodb_append_id(&view, "file", &body->file);
	else if (!mongodb_is_text(body->bytes, body->length))
		(void)mongodb_append_bytes(&view, "bytes", body->bytes,
		                           body->length);
	bson_append_document_end(document, &view);
}

static bool has_refusal(const struct spool_message *message)
{
	return message->registration_attempts ||
	       (message->registration_refusal &&
	        *message->registration_refusal);
}

/* Only where the cloud has refused something. */
static void append_registration(bson_t *document, const char *key,
                                const struct spool_message *message)
{
	bson_t view;

	if (!has_refusal(message))
		return;
	bson_append_document_begin(document, key, -1, &view);
	BSON_APPEND_INT64(&view, "attempts", message->registration_attempts);
	if (message->registration_retry_ms)
		(void)mongodb_append_time(&view, "retry",
		                          message->registration_retry_ms);
	(void)mongodb_append_text(&view, "refusal",
	                          message->registration_refusal);
	bson_append_document_end(document, &view);
}

void spool_mongodb_append_turing(bson_t *document,
                                 const struct spool_mongodb_record *record,
                                 const struct spool_mongodb_body *body)
{
	const struct spool_message *message = &record->message;
	struct spool_mongodb_summary summary;
	bson_t turing;

	spool_mongodb_summarise(message, &summary);
	BSON_APPEND_DOCUMENT_BEGIN(document, "turing", &turing);
	(void)mongodb_append_id(&turing, "version", &record->version);
	(void)mongodb_append_time(&turing, "received", message->received_ms);
	(void)mongodb_append_time(&turing, "expires", message->expires_ms);
	BSON_APPEND_INT64(&turing, "size", message->size);
	BSON_APPEND_BOOL(&turing, "eight_bit", message->eight_bit);
	BSON_APPEND_BOOL(&turing, "smtputf8", message->smtputf8);
	BSON_APPEND_BOOL(&turing, "registered", message->registered);
	append_registration(&turing, "registration", message);
	if (!id_is_none(&message->dsn_of))
		(void)mongodb_append_id(&turing, "dsn_of", &message->dsn_of);
	spool_mongodb_append_texts(&turing, message);
	append_auth(&turing, &message->auth);
	if (body->present)
		append_body(&turing, body);
	else if (!summary.over) /* a copy of what had none */
		BSON_APPEND_BOOL(&turing, "bodiless", true);
	append_recipients(&turing, record);
	append_summary(&turing, "", &summary);
	bson_append_document_end(document, &turing);
}

int spool_mongodb_make_document(const struct spool_change *change,
                                const struct spool_mongodb_body *body,
                                bson_t **document, struct error *err)
{
	const struct spool_message *message = change->add.message;
	struct spool_mongodb_record record = {.body_size = 0};
	int result = spool_mongodb_record_of(change, body, &record, err);
	struct spool_mongodb_body kept = *body;
	bson_t *made;

	if (result < 0)
		return result;
	kept.present = record.message.body_present;
	made = bson_new();
	(void)mongodb_append_id(made, "_id", &message->id);
	result = spool_mongodb_append_mailhog(made, message, &kept);
	if (!result)
		spool_mongodb_append_turing(made, &record, &kept);
	spool_mongodb_record_release(&record);
	if (result < 0) {
		bson_destroy(made);
		return error_set(err, ERR_MEMORY, "out of memory");
	}
	if (id_is_none(&body->file) && made->len > DOCUMENT_MAXIMUM) {
		bson_destroy(made);
		made = NULL;
	}
	*document = made;
	return 0;
}

/* --- updates ----------------------------------------------------------- */

static void set_recipients(bson_t *set,
                           const struct spool_mongodb_record *record)
{
	const struct spool_message *message = &record->message;

	for (size_t i = 0; i < message->recipient_count; i++) {
		char key[KEY_SIZE];

		if (!record->touched[i])
			continue;
		(void)snprintf(key, sizeof(key), "turing.recipients.%zu", i);
		append_recipient(set, key, &message->recipients[i],
		                 &record->tokens[i]);
	}
}

static void unset_rest(bson_t *unset, const struct spool_message *message,
                       const struct spool_mongodb_summary *summary,
                       bool drop_body)
{
	if (!has_refusal(message))
		BSON_APPEND_INT32(unset, "turing.registration", 1);
	for (size_t i = 0; i < TIMES; i++) {
		char key[KEY_SIZE];

		if (time_of(summary, i) != SPOOL_MONGODB_NEVER)
			continue;
		(void)snprintf(key, sizeof(key), "turing.%s", times[i].key);
		BSON_APPEND_INT32(unset, key, 1);
	}
	if (drop_body) {
		BSON_APPEND_INT32(unset, "raw.data", 1);
		BSON_APPEND_INT32(unset, "content.body", 1);
		BSON_APPEND_INT32(unset, "turing.body", 1);
	}
}

bson_t *spool_mongodb_make_update(const struct spool_mongodb_record *record,
                                  const struct id *token, bool drop_body)
{
	bson_t *update = bson_new();
	struct spool_mongodb_summary summary;
	bson_t part;

	spool_mongodb_summarise(&record->message, &summary);
	BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &part);
	(void)mongodb_append_id(&part, "turing.version", token);
	BSON_APPEND_BOOL(&part, "turing.registered",
	                 record->message.registered);
	append_registration(&part, "turing.registration", &record->message);
	set_recipients(&part, record);
	append_summary(&part, "turing.", &summary);
	if (drop_body)
		BSON_APPEND_NULL(&part, "mime");
	bson_append_document_end(update, &part);
	/* Never empty: what is due is not over. */
	BSON_APPEND_DOCUMENT_BEGIN(update, "$unset", &part);
	unset_rest(&part, &record->message, &summary, drop_body);
	bson_append_document_end(update, &part);
	return update;
}

void spool_mongodb_append_in(bson_t *selector, const char *key,
                             const struct id *ids, size_t count)
{
	bson_t outer, list;

	bson_append_document_begin(selector, key, -1, &outer);
	BSON_APPEND_ARRAY_BEGIN(&outer, "$in", &list);
	for (size_t i = 0; i < count; i++) {
		char index[24];

		(void)snprintf(index, sizeof(index), "%zu", i);
		(void)mongodb_append_id(&list, index, &ids[i]);
	}
	bson_append_array_end(&outer, &list);
	bson_append_document_end(selector, &outer);
}
