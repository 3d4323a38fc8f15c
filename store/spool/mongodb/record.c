/* A message of the spool out of its document in MongoDB, without its bytes. */
#include "store/spool/history.h"
#include "store/spool/mongodb/private.h"

#define RECIPIENTS_MAXIMUM 100000

/* Texts of a message and their fields below "turing". */
static const struct {
	const char *key;
	size_t offset;
} texts[] = {
    {"sender", offsetof(struct spool_message, sender)},
    {"sender_normal", offsetof(struct spool_message, sender_normal)},
    {"header_from", offsetof(struct spool_message, header_from)},
    {"subject", offsetof(struct spool_message, subject)},
    {"message_id", offsetof(struct spool_message, message_id)},
    {"client_address", offsetof(struct spool_message, client_address)},
    {"client_name", offsetof(struct spool_message, client_name)},
    {"helo", offsetof(struct spool_message, helo)},
    {"protocol", offsetof(struct spool_message, protocol)},
    {"challenge_reason", offsetof(struct spool_message, challenge_reason)},
    {"auth_notice", offsetof(struct spool_message, auth_notice)},
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

void spool_mongodb_record_release(struct spool_mongodb_record *record)
{
	spool_message_release(&record->message);
	free(record->tokens);
	free(record->touched);
	memset(record, 0, sizeof(*record));
}

/* --- reading ----------------------------------------------------------- */

static int corrupt(struct error *err, const char *what)
{
	return error_set(err, ERR_CORRUPT, "a message's %s", what);
}

static int read_texts(const bson_t *turing, struct spool_message *message)
{
	int result = 0;

	for (size_t i = 0; i < TEXTS && !result; i++)
		result = mongodb_get_text(
		    turing, texts[i].key,
		    (char **)((char *)message + texts[i].offset));
	return result;
}

/* The result in a field; ERR_CORRUPT for a word that is none. */
static int read_auth_result(const bson_t *auth, const char *key,
                            enum auth_result *found)
{
	char *word = NULL;
	int result = mongodb_get_text(auth, key, &word);

	if (!result) {
		*found = auth_result_parse(word);
		if (strcmp(auth_result_name(*found), word) != 0)
			result = ERR_CORRUPT;
	}
	free(word);
	return result;
}

static int read_domain(const bson_t *auth, const char *key, char *domain,
                       size_t size)
{
	char *text = NULL;
	int result = mongodb_get_text(auth, key, &text);

	if (!result)
		(void)snprintf(domain, size, "%s", text);
	free(text);
	return result;
}

static int read_auth(const bson_t *turing, struct mail_auth *auth)
{
	bson_t view;
	int result;

	if (!mongodb_get_document(turing, "auth", &view))
		return ERR_CORRUPT;
	auth->stated = mongodb_get_bool(&view, "stated");
	auth->aligned = mongodb_get_bool(&view, "aligned");
	result = read_auth_result(&view, "spf", &auth->spf);
	if (!result)
		result = read_auth_result(&view, "dkim", &auth->dkim);
	if (!result)
		result = read_auth_result(&view, "dmarc", &auth->dmarc);
	if (!result)
		result = read_domain(&view, "spf_domain", auth->spf_domain,
		                     sizeof(auth->spf_domain));
	if (!result)
		result = read_domain(&view, "dkim_domain", auth->dkim_domain,
		                     sizeof(auth->dkim_domain));
	if (!result)
		result = read_domain(&view, "dmarc_domain", auth->dmarc_domain,
		                     sizeof(auth->dmarc_domain));
	return result;
}

static int read_state(const bson_t *recipient, enum spool_state *state)
{
	char *word = NULL;
	int result = mongodb_get_text(recipient, "state", &word);
	int found = result < 0 ? -1 : spool_state_parse(word);

	free(word);
	if (result < 0)
		return result;
	if (found < 0)
		return ERR_CORRUPT;
	*state = (enum spool_state)found;
	return 0;
}

/* A recipient without the field has no DSN. */
static int read_dsn(const bson_t *view, struct spool_recipient *recipient)
{
	char *word = NULL;
	int result = mongodb_get_text(view, "dsn", &word);
	int found = SPOOL_DSN_NONE;

	if (!result && *word)
		found = spool_dsn_parse(word);
	free(word);
	if (result < 0)
		return result;
	if (found < 0)
		return ERR_CORRUPT;
	recipient->dsn = (enum spool_dsn)found;
	recipient->dsn_id = mongodb_get_id(view, "dsn_id");
	recipient->keep_until_ms = mongodb_get_int(view, "keep_until");
	return 0;
}

static int read_recipient(const bson_t *view, struct spool_recipient *recipient)
{
	int result = read_state(view, &recipient->state);

	recipient->changed_ms = mongodb_get_int(view, "changed");
	recipient->attempts = (unsigned)mongodb_get_int(view, "attempts");
	recipient->next_attempt_ms = mongodb_get_int(view, "next_attempt");
	recipient->event_pending = mongodb_get_bool(view, "event_pending");
	recipient->lease_until_ms = mongodb_get_int(view, "lease.until");
	if (!result)
		result = mongodb_get_text(view, "lease.owner",
		                          &recipient->lease_owner);
	if (!result)
		result = mongodb_get_text(view, "address", &recipient->address);
	if (!result)
		result = mongodb_get_text(view, "by", &recipient->by);
	if (!result)
		result = mongodb_get_text(view, "why", &recipient->why);
	if (!result)
		result = mongodb_get_text(view, "reply", &recipient->reply);
	if (!result)
		result = mongodb_get_text(view, "history", &recipient->history);
	if (!result)
		result =
		    mongodb_get_text(view, "next_hop", &recipient->next_hop);
	return result < 0 ? result : read_dsn(view, recipient);
}

static int make_room(struct spool_mongodb_record *record, size_t count)
{
	struct spool_message *message = &record->message;

	message->recipients = calloc(count, sizeof(*message->recipients));
	record->tokens = calloc(count, sizeof(*record->tokens));
	record->touched = calloc(count, sizeof(*record->touched));
	return message->recipients && record->tokens && record->touched
	           ? 0
	           : ERR_MEMORY;
}

/* Reads the elements of the array that iter stands before. */
static int fill_recipients(bson_iter_t *iter,
                           struct spool_mongodb_record *record, size_t room)
{
	struct spool_message *message = &record->message;
	int result = 0;

	while (!result && bson_iter_next(iter)) {
		const uint8_t *bytes;
		uint32_t length;
		bson_t view;

		if (!BSON_ITER_HOLDS_DOCUMENT(iter) ||
		    message->recipient_count == room)
			return ERR_CORRUPT;
		bson_iter_document(iter, &length, &bytes);
		if (!bson_init_static(&view, bytes, length))
			return ERR_CORRUPT;
		record->tokens[message->recipient_count] =
		    mongodb_get_id(&view, "last_change");
		result = read_recipient(
		    &view, &message->recipients[message->recipient_count++]);
	}
	return result;
}

static int read_recipients(const bson_t *turing,
                           struct spool_mongodb_record *record)
{
	bson_t view;
	bson_iter_t iter;
	size_t count;
	int result;

	if (!mongodb_get_document(turing, "recipients", &view))
		return ERR_CORRUPT;
	count = bson_count_keys(&view);
	if (!count || count > RECIPIENTS_MAXIMUM ||
	    !bson_iter_init(&iter, &view))
		return ERR_CORRUPT;
	result = make_room(record, count);
	return result < 0 ? result : fill_recipients(&iter, record, count);
}

static void read_numbers(const bson_t *turing,
                         struct spool_mongodb_record *record)
{
	struct spool_message *message = &record->message;
	bson_t body;

	record->version = mongodb_get_id(turing, "version");
	message->received_ms = mongodb_get_int(turing, "received");
	message->expires_ms = mongodb_get_int(turing, "expires");
	message->size = mongodb_get_int(turing, "size");
	message->eight_bit = mongodb_get_bool(turing, "eight_bit");
	message->smtputf8 = mongodb_get_bool(turing, "smtputf8");
	message->registered = mongodb_get_bool(turing, "registered");
	message->registration_attempts =
	    (unsigned)mongodb_get_int(turing, "registration.attempts");
	message->registration_retry_ms =
	    mongodb_get_int(turing, "registration.retry");
	message->dsn_of = mongodb_get_id(turing, "dsn_of");
	message->body_present = mongodb_get_document(turing, "body", &body);
	if (message->body_present) {
		record->body_size = mongodb_get_int(&body, "size");
		record->body_file = mongodb_get_id(&body, "file");
	}
}

int spool_mongodb_record_read(const bson_t *document,
                              struct spool_mongodb_record *record,
                              struct error *err)
{
	struct spool_mongodb_record read = {.body_size = 0};
	const char *what = "document";
	bson_t turing;
	int result = ERR_CORRUPT;

	read.message.id = mongodb_get_id(document, "_id");
	if (!id_is_none(&read.message.id) &&
	    mongodb_get_document(document, "turing", &turing)) {
		read_numbers(&turing, &read);
		what = "texts";
		result = read_texts(&turing, &read.message);
		if (!result)
			result = mongodb_get_text(
			    &turing, "registration.refusal",
			    &read.message.registration_refusal);
		if (!result) {
			what = "auth";
			result = read_auth(&turing, &read.message.auth);
		}
		if (!result) {
			what = "recipients";
			result = read_recipients(&turing, &read);
		}
	}
	if (!result && id_is_none(&read.version)) {
		what = "version";
		result = ERR_CORRUPT;
	}
	if (result < 0) {
		spool_mongodb_record_release(&read);
		return result == ERR_CORRUPT
		           ? corrupt(err, what)
		           : error_set(err, ERR_MEMORY, "out of memory");
	}
	*record = read;
	return 0;
}

int spool_mongodb_record_publish(struct spool_mongodb_record *record,
                                 struct spool_message *message,
                                 struct error *err)
{
	for (size_t i = 0; i < record->message.recipient_count; i++) {
		struct spool_recipient *recipient =
		    &record->message.recipients[i];
		char *whole = NULL;

		if (spool_history_read(recipient->history, recipient->by,
		                       recipient->why, &whole))
			return error_set(err, ERR_MEMORY, "out of memory");
		free(recipient->history);
		recipient->history = whole;
	}
	*message = record->message;
	memset(&record->message, 0, sizeof(record->message));
	spool_mongodb_record_release(record);
	return 0;
}

bson_t *spool_mongodb_projection(void)
{
	bson_t *projection = bson_new();

	BSON_APPEND_INT32(projection, "from", 0);
	BSON_APPEND_INT32(projection, "to", 0);
	BSON_APPEND_INT32(projection, "content", 0);
	BSON_APPEND_INT32(projection, "mime", 0);
	BSON_APPEND_INT32(projection, "raw", 0);
	BSON_APPEND_INT32(projection, "turing.body.bytes", 0);
	return projection;
}

void spool_mongodb_append_texts(bson_t *document,
                                const struct spool_message *message)
{
	for (size_t i = 0; i < TEXTS; i++)
		(void)mongodb_append_text(
		    document, texts[i].key,
		    *(char *const *)((const char *)message + texts[i].offset));
}
