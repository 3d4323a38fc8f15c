/* A new message in the spool, or a copy: its row, its recipients, its body. */
#include "store/spool/history.h"
#include "store/spool/sqlite/private.h"

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void bind_texts(struct sqlite_query *query,
                       const struct spool_message *message)
{
	sqlite_bind_text(query, 6, or_empty(message->sender));
	sqlite_bind_text(query, 7, or_empty(message->sender_normal));
	sqlite_bind_text(query, 8, or_empty(message->header_from));
	sqlite_bind_text(query, 9, or_empty(message->subject));
	sqlite_bind_text(query, 10, or_empty(message->message_id));
	sqlite_bind_text(query, 11, or_empty(message->client_address));
	sqlite_bind_text(query, 12, or_empty(message->client_name));
	sqlite_bind_text(query, 13, or_empty(message->helo));
	sqlite_bind_text(query, 14, or_empty(message->protocol));
	sqlite_bind_text(query, 15, or_empty(message->challenge_reason));
	sqlite_bind_text(query, 26, or_empty(message->auth_notice));
}

static void bind_auth(struct sqlite_query *query, const struct mail_auth *auth)
{
	sqlite_bind_int(query, 16, auth->stated);
	sqlite_bind_int(query, 17, auth->spf);
	sqlite_bind_int(query, 18, auth->dkim);
	sqlite_bind_int(query, 19, auth->dmarc);
	sqlite_bind_int(query, 20, auth->aligned);
	sqlite_bind_text(query, 21, auth->spf_domain);
	sqlite_bind_text(query, 22, auth->dkim_domain);
	sqlite_bind_text(query, 25, auth->dmarc_domain);
}

/* The id of another message, or NULL for none. */
static void bind_other(struct sqlite_query *query, int parameter,
                       const struct id *id)
{
	if (!id_is_none(id))
		sqlite_bind_id(query, parameter, id);
}

/* Sets *seq, or leaves it 0 when the id is taken. */
static int insert_message(struct sqlite_db *db,
                          const struct spool_message *message, int64_t *seq,
                          struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT OR IGNORE INTO message VALUES"
	        " (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
	        " ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,"
	        " ?23, ?24, ?25, ?26)");
	int result;

	sqlite_bind_id(query, 1, &message->id);
	sqlite_bind_int(query, 2, message->received_ms);
	sqlite_bind_int(query, 3, message->expires_ms);
	sqlite_bind_int(query, 4, message->size);
	sqlite_bind_int(query, 5, message->eight_bit);
	bind_texts(query, message);
	bind_auth(query, &message->auth);
	sqlite_bind_int(query, 23, message->smtputf8);
	bind_other(query, 24, &message->dsn_of);
	result = sqlite_run(query, err);
	if (!result && sqlite_db_changes(db) > 0)
		*seq = sqlite_db_last_rowid(db);
	return result;
}

/*
 * A recipient that is added claimed, for whoever adds it to deliver it. A
 * lease of another spool means nothing here.
 */
static void bind_lease(struct sqlite_query *query,
                       const struct spool_recipient *recipient, bool copy)
{
	const char *owner = copy ? "" : or_empty(recipient->lease_owner);
	int64_t until_ms = *owner ? recipient->lease_until_ms : 0;
	int64_t next_ms = recipient->next_attempt_ms;

	sqlite_bind_int(query, 7, until_ms > next_ms ? until_ms : next_ms);
	sqlite_bind_int(query, 14, until_ms);
	sqlite_bind_text(query, 15, owner);
}

/*
 * Sets due_ms (?7) and the lease, or hold_until_ms (?8), as the state asks.
 */
static void bind_times(struct sqlite_query *query,
                       const struct spool_message *message,
                       const struct spool_recipient *recipient, bool copy)
{
	sqlite_bind_int(query, 14, 0);
	sqlite_bind_text(query, 15, "");
	switch (recipient->state) {
	case SPOOL_QUEUED:
	case SPOOL_DEFERRED:
		sqlite_bind_int(query, 6, recipient->next_attempt_ms);
		bind_lease(query, recipient, copy);
		break;
	case SPOOL_HELD:
	case SPOOL_QUARANTINED:
		sqlite_bind_int(query, 6, 0);
		sqlite_bind_int(query, 8, message->expires_ms);
		break;
	case SPOOL_FAILED:
		sqlite_bind_int(query, 6, 0);
		if (recipient->keep_until_ms)
			sqlite_bind_int(query, 8, recipient->keep_until_ms);
		break;
	default:
		sqlite_bind_int(query, 6, 0);
		break;
	}
}

static int insert_recipient(struct sqlite_db *db,
                            const struct spool_message *message,
                            size_t position, bool copy, struct error *err)
{
	const struct spool_recipient *recipient =
	    &message->recipients[position];
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT INTO recipient VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
	        " ?8, ?9, ?14, ?15, ?10, ?11, ?12, ?13, ?16, ?17, ?18,"
	        " ?19)");
	char history[SPOOL_HISTORY_SIZE];

	history[0] = '\0';
	if (copy)
		spool_history_keep(or_empty(recipient->history),
		                   or_empty(recipient->by),
		                   or_empty(recipient->why), history);
	sqlite_bind_id(query, 1, &message->id);
	sqlite_bind_int(query, 2, (int64_t)position);
	sqlite_bind_int(query, 3, recipient->state);
	sqlite_bind_int(query, 4, recipient->changed_ms);
	sqlite_bind_int(query, 5, recipient->attempts);
	bind_times(query, message, recipient, copy);
	sqlite_bind_int(query, 9, recipient->event_pending);
	sqlite_bind_text(query, 10, recipient->address);
	sqlite_bind_text(query, 11, or_empty(recipient->by));
	sqlite_bind_text(query, 12, or_empty(recipient->why));
	sqlite_bind_text(query, 13, or_empty(recipient->reply));
	sqlite_bind_text(query, 16, history);
	sqlite_bind_int(query, 17, recipient->dsn);
	bind_other(query, 18, &recipient->dsn_id);
	sqlite_bind_text(query, 19, or_empty(recipient->next_hop));
	return sqlite_run(query, err);
}

static int insert_recipients(struct spool_sqlite_batch *batch,
                             const struct spool_message *message, bool copy,
                             struct error *err)
{
	bool over = true;

	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct spool_recipient *recipient =
		    &message->recipients[i];
		int result = insert_recipient(batch->db, message, i, copy, err);

		if (result < 0)
			return result;
		batch->delta.recipients[recipient->state]++;
		batch->delta.kept += spool_recipient_is_kept(recipient);
		over = over && spool_recipient_is_over(recipient);
	}
	if (over)
		spool_sqlite_ended(batch, &message->id);
	return 0;
}

static int insert_body(struct spool_sqlite_batch *batch, int64_t seq,
                       const struct spool_sqlite_body *body, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(batch->db, "INSERT INTO body VALUES (?1, ?2, ?3, ?4)");

	sqlite_bind_int(query, 1, seq);
	sqlite_bind_int(query, 2, (int64_t)body->size);
	sqlite_bind_text(query, 3, body->file);
	if (!body->file)
		sqlite_bind_blob(query, 4, body->bytes, body->size);
	batch->delta.body_bytes += (int64_t)body->size;
	return sqlite_run(query, err);
}

static int insert_unregistered(struct spool_sqlite_batch *batch,
                               const struct id *id, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(batch->db, "INSERT INTO unregistered VALUES (?1)");

	sqlite_bind_id(query, 1, id);
	batch->delta.unregistered++;
	return sqlite_run(query, err);
}

/* Of a copy: a new message was refused by nobody. */
static int insert_refusal(struct sqlite_db *db,
                          const struct spool_message *message,
                          struct error *err)
{
	const char *why = or_empty(message->registration_refusal);
	struct sqlite_query *query;

	if (!message->registration_attempts && !*why)
		return 0;
	query = sqlite_query(db, "INSERT INTO refusal VALUES (?1, ?2, ?3, ?4)");
	sqlite_bind_id(query, 1, &message->id);
	sqlite_bind_int(query, 2, message->registration_attempts);
	sqlite_bind_int(query, 3, message->registration_retry_ms);
	sqlite_bind_text(query, 4, why);
	return sqlite_run(query, err);
}

int spool_sqlite_add(struct spool_sqlite_batch *batch,
                     struct spool_change *change,
                     const struct spool_sqlite_body *body, struct error *err)
{
	const struct spool_message *message = change->add.message;
	bool copy = change->kind == SPOOL_COPY;
	int64_t seq = 0;
	int result = 0;

	if (copy && change->add.replace)
		result = spool_sqlite_delete(batch, &message->id, err);
	if (!result)
		result = insert_message(batch->db, message, &seq, err);
	if (!result && !seq) {
		change->result = ERR_EXISTS;
		return 0;
	}
	if (!result)
		result = insert_recipients(batch, message, copy, err);
	if (!result && (!copy || message->body_present))
		result = insert_body(batch, seq, body, err);
	if (!result && !message->registered)
		result = insert_unregistered(batch, &message->id, err);
	if (!result && copy)
		result = insert_refusal(batch->db, message, err);
	return result;
}
