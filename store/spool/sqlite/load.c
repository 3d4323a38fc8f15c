/* Messages of the spool, out of their rows. */
#include "common/array.h"
#include "store/spool/history.h"
#include "store/spool/sqlite/private.h"

/* Copies columns to strings; the first failure stays in *result. */
static void copy(struct sqlite_query *query, int column, char **text,
                 int *result)
{
	if (!*result)
		*result = sqlite_column_copy(query, column, text);
}

/* A column that holds an enumeration with count values. */
static unsigned bounded(struct sqlite_query *query, int column, unsigned count,
                        int *result)
{
	int64_t value = sqlite_column_int(query, column);

	if (value >= 0 && value < (int64_t)count)
		return (unsigned)value;
	if (!*result)
		*result = ERR_CORRUPT;
	return 0;
}

static void fill_auth(struct sqlite_query *query, struct mail_auth *auth,
                      int *result)
{
	auth->stated = sqlite_column_int(query, 14) != 0;
	auth->spf = bounded(query, 15, AUTH_POLICY + 1, result);
	auth->dkim = bounded(query, 16, AUTH_POLICY + 1, result);
	auth->dmarc = bounded(query, 17, AUTH_POLICY + 1, result);
	auth->aligned = sqlite_column_int(query, 18) != 0;
	(void)snprintf(auth->spf_domain, sizeof(auth->spf_domain), "%s",
	               sqlite_column_text(query, 19));
	(void)snprintf(auth->dkim_domain, sizeof(auth->dkim_domain), "%s",
	               sqlite_column_text(query, 20));
	(void)snprintf(auth->dmarc_domain, sizeof(auth->dmarc_domain), "%s",
	               sqlite_column_text(query, 21));
}

static int fill_message(struct sqlite_query *query,
                        struct spool_message *message)
{
	int result = 0;

	message->received_ms = sqlite_column_int(query, 0);
	message->expires_ms = sqlite_column_int(query, 1);
	message->size = sqlite_column_int(query, 2);
	message->eight_bit = sqlite_column_int(query, 3) != 0;
	copy(query, 4, &message->sender, &result);
	copy(query, 5, &message->sender_normal, &result);
	copy(query, 6, &message->header_from, &result);
	copy(query, 7, &message->subject, &result);
	copy(query, 8, &message->message_id, &result);
	copy(query, 9, &message->client_address, &result);
	copy(query, 10, &message->client_name, &result);
	copy(query, 11, &message->helo, &result);
	copy(query, 12, &message->protocol, &result);
	copy(query, 13, &message->challenge_reason, &result);
	fill_auth(query, &message->auth, &result);
	message->body_present = sqlite_column_int(query, 22) != 0;
	message->registered = sqlite_column_int(query, 23) != 0;
	message->smtputf8 = sqlite_column_int(query, 24) != 0;
	message->registration_attempts = (unsigned)sqlite_column_int(query, 25);
	message->registration_retry_ms = sqlite_column_int(query, 26);
	copy(query, 27, &message->registration_refusal, &result);
	message->dsn_of = sqlite_column_id(query, 28);
	copy(query, 29, &message->auth_notice, &result);
	return result;
}

static int load_message(struct sqlite_db *db, struct spool_message *message,
                        struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT received_ms, expires_ms, size, eight_bit, sender,"
	        " sender_normal, header_from, subject, message_id,"
	        " client_address, client_name, helo, protocol,"
	        " challenge_reason, auth_stated, auth_spf, auth_dkim,"
	        " auth_dmarc, auth_aligned, auth_spf_domain, auth_dkim_domain,"
	        " auth_dmarc_domain,"
	        " EXISTS (SELECT 1 FROM body WHERE body.message = seq),"
	        " NOT EXISTS (SELECT 1 FROM unregistered AS u"
	        " WHERE u.message = id), smtputf8, f.attempts, f.retry_ms,"
	        " f.why, dsn_of, auth_notice FROM message"
	        " LEFT JOIN refusal AS f ON f.message = id"
	        " WHERE id = ?1");
	int result;

	sqlite_bind_id(query, 1, &message->id);
	result = sqlite_step(query, err);
	if (result < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such message");
	result = fill_message(query, message);
	sqlite_reset(query);
	if (result < 0)
		return error_set(err, (enum error_code)result, "message: %s",
		                 error_name(result));
	return 0;
}

static int fill_recipient(struct sqlite_query *query,
                          struct spool_recipient *recipient)
{
	int result = 0;

	recipient->state = bounded(query, 0, SPOOL_STATE_COUNT, &result);
	recipient->changed_ms = sqlite_column_int(query, 1);
	recipient->attempts = (unsigned)sqlite_column_int(query, 2);
	recipient->next_attempt_ms = sqlite_column_int(query, 3);
	recipient->event_pending = sqlite_column_int(query, 4) != 0;
	recipient->lease_until_ms = sqlite_column_int(query, 5);
	copy(query, 6, &recipient->lease_owner, &result);
	copy(query, 7, &recipient->address, &result);
	copy(query, 8, &recipient->by, &result);
	copy(query, 9, &recipient->why, &result);
	copy(query, 10, &recipient->reply, &result);
	if (recipient->state == SPOOL_FAILED)
		recipient->keep_until_ms = sqlite_column_int(query, 12);
	recipient->dsn = bounded(query, 13, SPOOL_DSN_COUNT, &result);
	recipient->dsn_id = sqlite_column_id(query, 14);
	copy(query, 15, &recipient->next_hop, &result);
	if (!result)
		result = spool_history_read(sqlite_column_text(query, 11),
		                            recipient->by, recipient->why,
		                            &recipient->history);
	return result;
}

static int add_recipient(struct sqlite_query *query,
                         struct spool_message *message, size_t *capacity)
{
	struct spool_recipient *recipient;

	if (array_grow((void **)&message->recipients, message->recipient_count,
	               capacity, sizeof(*recipient), NULL))
		return ERR_MEMORY;
	recipient = &message->recipients[message->recipient_count++];
	return fill_recipient(query, recipient);
}

static int load_recipients(struct sqlite_db *db, struct spool_message *message,
                           struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT state, changed_ms, attempts, next_attempt_ms,"
	        " event_pending, lease_until_ms, lease_owner, address, by,"
	        " why, reply, history, hold_until_ms, dsn, dsn_id, next_hop"
	        " FROM recipient WHERE message = ?1 ORDER BY position");
	size_t capacity = 0;
	int result;

	sqlite_bind_id(query, 1, &message->id);
	while ((result = sqlite_step(query, err)) > 0) {
		result = add_recipient(query, message, &capacity);
		if (result < 0) {
			sqlite_reset(query);
			return error_set(err, (enum error_code)result,
			                 "recipient: %s", error_name(result));
		}
	}
	return result;
}

int spool_sqlite_load(struct sqlite_db *db, const struct id *id,
                      struct spool_message *message, struct error *err)
{
	struct spool_message loaded = {.id = *id};
	int result = load_message(db, &loaded, err);

	if (!result)
		result = load_recipients(db, &loaded, err);
	if (result < 0) {
		spool_message_release(&loaded);
		return result;
	}
	*message = loaded;
	return 0;
}

int spool_sqlite_load_page(struct sqlite_db *db, const struct id *ids,
                           size_t count, bool more, struct spool_page *page,
                           struct error *err)
{
	struct spool_page loaded = {.more = more};
	int result = 0;

	loaded.messages = calloc(count ? count : 1, sizeof(*loaded.messages));
	if (!loaded.messages)
		return error_set(err, ERR_MEMORY, "out of memory");
	while (loaded.count < count && !result) {
		result = spool_sqlite_load(db, &ids[loaded.count],
		                           &loaded.messages[loaded.count], err);
		if (!result)
			loaded.count++;
	}
	if (result == ERR_NOT_FOUND)
		result =
		    error_set(err, ERR_CORRUPT, "a record without message");
	if (result < 0) {
		spool_page_release(&loaded);
		return result;
	}
	*page = loaded;
	return 0;
}

int spool_sqlite_read(struct spool *base, const struct id *id,
                      struct spool_message *message, struct error *err)
{
	struct spool_sqlite *spool = (struct spool_sqlite *)base;
	struct sqlite_db *db = NULL;
	int result = sqlite_pool_take(spool->readers, &db, err);

	if (!result)
		result = sqlite_db_begin_read(db, err);
	if (!result)
		result = spool_sqlite_load(db, id, message, err);
	sqlite_pool_give(spool->readers, db);
	return result;
}
