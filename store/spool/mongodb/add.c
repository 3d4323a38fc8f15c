/* New messages in MongoDB's spool: their records, and batches of inserts. */
#include "store/spool/mongodb/private.h"

#include <unistd.h>

#include "common/crypto.h"
#include "store/mongodb/db.h"
#include "store/spool/history.h"

#define BATCH_DOCUMENTS 500
#define BATCH_BYTES     (16U << 20) /* of documents in memory at once */

/* --- records ----------------------------------------------------------- */

static int copy_text(char **to, const char *from)
{
	*to = strdup(from ? from : "");
	return *to ? 0 : ERR_MEMORY;
}

/* Only what is queued has a next attempt, or a lease when it is added. */
static void settle_times(const struct spool_change *change,
                         struct spool_recipient *to)
{
	bool queue = to->state == SPOOL_QUEUED || to->state == SPOOL_DEFERRED;

	if (!queue)
		to->next_attempt_ms = 0;
	if (change->kind == SPOOL_ADD && queue && *to->lease_owner)
		return;
	to->lease_owner[0] = '\0';
	to->lease_until_ms = 0;
}

static int copy_recipient(const struct spool_change *change,
                          const struct spool_recipient *from,
                          struct spool_recipient *to)
{
	char history[SPOOL_HISTORY_SIZE] = "";
	int result;

	*to = (struct spool_recipient){.state = from->state,
	                               .changed_ms = from->changed_ms,
	                               .attempts = from->attempts,
	                               .next_attempt_ms = from->next_attempt_ms,
	                               .lease_until_ms = from->lease_until_ms,
	                               .event_pending = from->event_pending,
	                               .dsn = from->dsn,
	                               .dsn_id = from->dsn_id};
	if (from->state == SPOOL_FAILED)
		to->keep_until_ms = from->keep_until_ms;
	result = copy_text(&to->address, from->address);
	if (!result)
		result = copy_text(&to->by, from->by);
	if (!result)
		result = copy_text(&to->why, from->why);
	if (!result)
		result = copy_text(&to->reply, from->reply);
	if (!result)
		result = copy_text(&to->lease_owner, from->lease_owner);
	if (!result)
		result = copy_text(&to->next_hop, from->next_hop);
	if (!result && change->kind == SPOOL_COPY)
		spool_history_keep(from->history ? from->history : "", to->by,
		                   to->why, history);
	if (!result)
		result = copy_text(&to->history, history);
	if (!result)
		settle_times(change, to);
	return result;
}

/* The fields that are no texts; the texts stay the caller's. Nobody has
 * refused a message that is new. */
static void borrow_fields(const struct spool_change *change,
                          struct spool_message *to)
{
	*to = *change->add.message;
	to->recipients = NULL;
	to->recipient_count = 0;
	if (change->kind != SPOOL_COPY) {
		to->registration_attempts = 0;
		to->registration_retry_ms = 0;
		to->registration_refusal = NULL;
	}
}

/* Copies of all texts in the place of the borrowed ones. */
static int own_texts(struct spool_message *message)
{
	char **const texts[] = {
	    &message->sender,      &message->sender_normal,
	    &message->header_from, &message->subject,
	    &message->message_id,  &message->client_address,
	    &message->client_name, &message->helo,
	    &message->protocol,    &message->challenge_reason,
	    &message->auth_notice, &message->registration_refusal,
	};
	int result = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *from = result < 0 ? NULL : *texts[i];

		/* Each is a copy or NULL from here on. */
		*texts[i] = NULL;
		if (!result)
			result = copy_text(texts[i], from);
	}
	return result;
}

static int copy_recipients(const struct spool_change *change,
                           struct spool_mongodb_record *record)
{
	const struct spool_message *from = change->add.message;
	struct spool_message *to = &record->message;
	size_t count = from->recipient_count;
	int result = 0;

	to->recipients = calloc(count, sizeof(*to->recipients));
	record->tokens = calloc(count, sizeof(*record->tokens));
	record->touched = calloc(count, sizeof(*record->touched));
	if (!to->recipients || !record->tokens || !record->touched)
		return ERR_MEMORY;
	for (size_t i = 0; i < count && !result; i++) {
		record->tokens[i] = record->version;
		to->recipient_count++;
		result = copy_recipient(change, &from->recipients[i],
		                        &to->recipients[i]);
	}
	return result;
}

int spool_mongodb_record_of(const struct spool_change *change,
                            const struct spool_mongodb_body *body,
                            struct spool_mongodb_record *record,
                            struct error *err)
{
	struct spool_mongodb_record made = {.body_size = body->size,
	                                    .body_file = body->file};
	struct spool_mongodb_summary summary;
	int result;

	random_bytes(&made.version, sizeof(made.version));
	borrow_fields(change, &made.message);
	result = own_texts(&made.message);
	if (!result)
		result = copy_recipients(change, &made);
	if (result < 0) {
		spool_mongodb_record_release(&made);
		return error_set(err, ERR_MEMORY, "out of memory");
	}
	spool_mongodb_summarise(&made.message, &summary);
	made.message.body_present = body->present && !summary.over;
	*record = made;
	return 0;
}

/* --- batches ----------------------------------------------------------- */

/* Documents that go in one write. */
struct inserts {
	struct spool_mongodb *spool;
	struct spool_change *changes;
	bool *done;
	bson_t *documents[BATCH_DOCUMENTS];
	struct id files[BATCH_DOCUMENTS]; /* in GridFS, of each */
	size_t indexes[BATCH_DOCUMENTS];  /* of the changes */
	size_t count, bytes;
};

static void drop_file(struct spool_mongodb *spool, const struct id *file)
{
	struct error ignored;

	/* What stays behind is swept at a later open. */
	if (!id_is_none(file))
		(void)spool_mongodb_file_delete(spool, file, &ignored);
}

static void clear(struct inserts *inserts)
{
	for (size_t i = 0; i < inserts->count; i++)
		bson_destroy(inserts->documents[i]);
	inserts->count = inserts->bytes = 0;
}

/* The file of a message before it is replaced; ERR_NOT_FOUND. */
static int find_file(struct spool_mongodb *spool, const struct id *id,
                     struct id *file, struct error *err)
{
	bson_t *projection =
	    BCON_NEW("_id", BCON_INT32(1), "turing.body.file", BCON_INT32(1));
	bson_t *selector = bson_new();
	bson_t *found = NULL;
	int result;

	(void)mongodb_append_id(selector, "_id", id);
	/* Index: _id. */
	result = mongodb_find_one(spool->db, SPOOL_MONGODB_MESSAGES, selector,
	                          projection, &found, err);
	if (!result)
		*file = mongodb_get_id(found, "turing.body.file");
	bson_destroy(found);
	bson_destroy(selector);
	bson_destroy(projection);
	return result;
}

/* Puts the document in the place of one with its id, or adds it. */
static int replace_one(struct spool_mongodb *spool, const struct id *id,
                       const bson_t *document, struct error *err)
{
	mongoc_client_t *client = mongodb_take(spool->db, err);
	bson_t *selector, *options, reply;
	mongoc_collection_t *collection;
	bson_error_t error;
	int result = 0;

	if (!client)
		return ERR_UNAVAILABLE;
	collection = mongoc_client_get_collection(
	    client, mongodb_db_name(spool->db), SPOOL_MONGODB_MESSAGES);
	selector = bson_new();
	(void)mongodb_append_id(selector, "_id", id);
	options = BCON_NEW("upsert", BCON_BOOL(true));
	/* Index: _id. */
	if (!mongoc_collection_replace_one(collection, selector, document,
	                                   options, &reply, &error))
		result = mongodb_write_failure(spool->db, "replacing a message",
		                               &error, &reply, err);
	bson_destroy(&reply);
	bson_destroy(options);
	bson_destroy(selector);
	mongoc_collection_destroy(collection);
	mongodb_give(spool->db, client);
	return result;
}

static int replace(struct spool_mongodb *spool, struct spool_change *change,
                   const bson_t *document, struct error *err)
{
	const struct id *id = &change->add.message->id;
	struct id old = {{0}};
	int result = find_file(spool, id, &old, err);

	if (result == ERR_NOT_FOUND)
		result = 0;
	if (!result)
		result = replace_one(spool, id, document, err);
	if (result == ERR_UNCERTAIN) /* doing it again is doing it once */
		result = replace_one(spool, id, document, err);
	if (!result)
		drop_file(spool, &old);
	return result;
}

/* Gives every document's change its result. */
static void hand_out(struct inserts *inserts, const int *results)
{
	for (size_t i = 0; i < inserts->count; i++) {
		struct spool_change *change =
		    &inserts->changes[inserts->indexes[i]];

		change->result =
		    results[i] == ERR_LIMIT ? ERR_INVALID : results[i];
		inserts->done[inserts->indexes[i]] = true;
		if (results[i] < 0)
			drop_file(inserts->spool, &inserts->files[i]);
	}
}

/* Marks the change of a document that is in the store as it was sent. */
static int see_inserted(const bson_t *document, void *context,
                        struct error *err)
{
	struct inserts *inserts = context;
	struct id id = mongodb_get_id(document, "_id");
	struct id version = mongodb_get_id(document, "turing.version");

	(void)err;
	for (size_t i = 0; i < inserts->count; i++) {
		size_t index = inserts->indexes[i];
		struct id sent =
		    mongodb_get_id(inserts->documents[i], "turing.version");

		if (!id_equal(&inserts->changes[index].add.message->id, &id) ||
		    !id_equal(&sent, &version))
			continue;
		inserts->changes[index].result = 0;
		inserts->done[index] = true;
	}
	return 0;
}

/* Of a write that failed as a whole some documents may be there all the same:
 * with a full disk, or when the answer was lost. */
static void find_inserted(struct inserts *inserts)
{
	bson_t *projection =
	    BCON_NEW("_id", BCON_INT32(1), "turing.version", BCON_INT32(1));
	bson_t *selector = bson_new();
	/* Index: _id. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection};
	struct id ids[BATCH_DOCUMENTS];
	struct error ignored;

	for (size_t i = 0; i < inserts->count; i++)
		ids[i] = inserts->changes[inserts->indexes[i]].add.message->id;
	spool_mongodb_append_in(selector, "_id", ids, inserts->count);
	(void)mongodb_find_each(inserts->spool->db, &find, see_inserted,
	                        inserts, &ignored);
	bson_destroy(selector);
	bson_destroy(projection);
}

static int flush(struct inserts *inserts, struct error *err)
{
	int results[BATCH_DOCUMENTS];
	int result;

	if (!inserts->count)
		return 0;
	result = mongodb_insert_many(inserts->spool->db, SPOOL_MONGODB_MESSAGES,
	                             (const bson_t *const *)inserts->documents,
	                             inserts->count, false, results, err);
	if (!result)
		hand_out(inserts, results);
	else if (result != ERR_UNAVAILABLE && result != ERR_DENIED)
		find_inserted(inserts);
	/* Files of what is not there are swept at a later open. */
	clear(inserts);
	return result;
}

/* Makes body and document; a document that is too large is made anew. */
static int prepare(struct spool_mongodb *spool,
                   const struct spool_change *change, bson_t **document,
                   struct id *file, struct error *err)
{
	int result = 0;

	for (int large = 0; large < 2 && !result && !*document; large++) {
		struct spool_mongodb_body body = {.size = 0};

		result = spool_mongodb_body_prepare(spool, change, large, &body,
		                                    err);
		*file = body.file;
		if (!result)
			result = spool_mongodb_make_document(change, &body,
			                                     document, err);
		spool_mongodb_body_release(&body);
	}
	if (!result && !*document)
		result = error_set(err, ERR_INVALID, "too large a document");
	return result;
}

static int add(struct inserts *inserts, size_t index, struct error *err)
{
	struct spool_change *change = &inserts->changes[index];
	struct spool_mongodb *spool = inserts->spool;
	bson_t *document = NULL;
	struct id file = {{0}};
	int result = prepare(spool, change, &document, &file, err);

	if (!result && change->kind == SPOOL_COPY && change->add.replace) {
		result = replace(spool, change, document, err);
		inserts->done[index] = !result;
	} else if (!result) {
		inserts->documents[inserts->count] = document;
		inserts->files[inserts->count] = file;
		inserts->indexes[inserts->count++] = index;
		inserts->bytes += document->len;
		document = NULL;
	}
	bson_destroy(document);
	if (result < 0 && result != ERR_UNCERTAIN)
		drop_file(spool, &file);
	if (result != ERR_INVALID)
		return result;
	change->result = ERR_INVALID;
	inserts->done[index] = true;
	return 0;
}

int spool_mongodb_add_messages(struct spool_mongodb *spool,
                               struct spool_change *changes, bool *done,
                               size_t first, size_t end, struct error *err)
{
	struct inserts *inserts = calloc(1, sizeof(*inserts));
	int result = 0;

	if (!inserts)
		return error_set(err, ERR_MEMORY, "out of memory");
	inserts->spool = spool;
	inserts->changes = changes;
	inserts->done = done;
	for (size_t i = first; i < end && !result; i++) {
		if (done[i] || (changes[i].kind != SPOOL_ADD &&
		                changes[i].kind != SPOOL_COPY))
			continue;
		result = add(inserts, i, err);
		if (!result && (inserts->count == BATCH_DOCUMENTS ||
		                inserts->bytes >= BATCH_BYTES))
			result = flush(inserts, err);
	}
	if (!result)
		result = flush(inserts, err);
	for (size_t i = 0; i < inserts->count; i++) /* never sent */
		drop_file(spool, &inserts->files[i]);
	clear(inserts);
	free(inserts);
	return result;
}
