/* The full check of MongoDB's spool: documents, summaries, files. */
#include "store/spool/mongodb/private.h"

static int wrong(struct error *err, const struct spool_message *message,
                 const char *what)
{
	char text[ID_TEXT_SIZE];

	return error_set(err, ERR_CORRUPT, "message %s: %s",
	                 id_format(&message->id, text), what);
}

/* The time at key, or that it has none. */
static int64_t time_at(const bson_t *document, const char *key)
{
	bson_iter_t iter, found;

	if (bson_iter_init(&iter, document) &&
	    bson_iter_find_descendant(&iter, key, &found))
		return mongodb_get_int(document, key);
	return SPOOL_MONGODB_NEVER;
}

/* Whether the words of "lists" are those of the summary, in order. */
static bool same_lists(const bson_t *document,
                       const struct spool_mongodb_summary *summary)
{
	bson_iter_t iter;
	bson_t lists;
	size_t i = 0;

	if (!mongodb_get_document(document, "turing.lists", &lists) ||
	    !bson_iter_init(&iter, &lists))
		return false;
	for (; bson_iter_next(&iter); i++)
		if (i == summary->list_count || !BSON_ITER_HOLDS_UTF8(&iter) ||
		    strcmp(bson_iter_utf8(&iter, NULL), summary->lists[i]) != 0)
			return false;
	return i == summary->list_count;
}

/* What the indexes find the message by has to be what it is. */
static int check_summary(const bson_t *document,
                         const struct spool_message *message, struct error *err)
{
	struct spool_mongodb_summary summary;
	char *tally = NULL;
	bool same;

	spool_mongodb_summarise(message, &summary);
	if (mongodb_get_text(document, "turing.tally", &tally))
		return error_set(err, ERR_MEMORY, "out of memory");
	same =
	    !strcmp(tally, summary.tally) && same_lists(document, &summary) &&
	    time_at(document, "turing.due") == summary.due_ms &&
	    time_at(document, "turing.unclaimed") == summary.unclaimed_ms &&
	    time_at(document, "turing.hold_until") == summary.hold_until_ms &&
	    time_at(document, "turing.over") == summary.over_ms;
	free(tally);
	if (!same)
		return wrong(err, message, "its summary is not what it is");
	if (summary.over && message->body_present)
		return wrong(err, message, "a body after its end");
	if (!summary.over && !message->body_present &&
	    !mongodb_get_bool(document, "turing.bodiless"))
		return wrong(err, message, "its body is gone");
	return 0;
}

/* A file may go while it is looked at: then the message has none any more. */
static int check_file(struct spool_mongodb *spool,
                      const struct spool_mongodb_record *record,
                      struct error *err)
{
	struct spool_message now = {.recipient_count = 0};
	int result = spool_mongodb_file_check(spool, &record->body_file,
	                                      record->body_size, err);
	bool present;

	if (result)
		return result < 0 ? result : 0;
	result =
	    spool_mongodb_read(&spool->base, &record->message.id, &now, err);
	if (result == ERR_NOT_FOUND)
		return 0;
	if (result < 0)
		return result;
	present = now.body_present;
	spool_message_release(&now);
	return present ? wrong(err, &record->message,
	                       "the file of its body is missing")
	               : 0;
}

static int check_one(const bson_t *document, void *context, struct error *err)
{
	struct spool_mongodb_record record = {.body_size = 0};
	int result = spool_mongodb_record_read(document, &record, err);

	if (!result)
		result = check_summary(document, &record.message, err);
	if (!result && !id_is_none(&record.body_file))
		result = check_file(context, &record, err);
	spool_mongodb_record_release(&record);
	return result;
}

static void ignore(const struct entry *entry, void *context)
{
	(void)entry;
	(void)context;
}

int spool_mongodb_check(struct spool *base, struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	bson_t *projection = spool_mongodb_projection();
	bson_t *selector = bson_new();
	/* All documents. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection};
	int result = mongodb_find_each(spool->db, &find, check_one, spool, err);

	bson_destroy(selector);
	bson_destroy(projection);
	return result < 0 ? result
	                  : spool_mongodb_entries_each(base, ignore, NULL, err);
}
