/* Messages of MongoDB's spool, read by id and page by page. */
#include "store/spool/mongodb/private.h"

#define WAITING (SPOOL_IN(SPOOL_HELD) | SPOOL_IN(SPOOL_QUARANTINED))

#define BATCH_MAXIMUM 1000 /* ids looked at in one go */

int spool_mongodb_read(struct spool *base, const struct id *id,
                       struct spool_message *message, struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	struct spool_mongodb_record record = {.body_size = 0};
	bson_t *projection = spool_mongodb_projection();
	bson_t *selector = bson_new();
	bson_t *found = NULL;
	int result;

	(void)mongodb_append_id(selector, "_id", id);
	/* Index: _id. */
	result = mongodb_find_one(spool->db, SPOOL_MONGODB_MESSAGES, selector,
	                          projection, &found, err);
	if (!result)
		result = spool_mongodb_record_read(found, &record, err);
	if (!result)
		result = spool_mongodb_record_publish(&record, message, err);
	spool_mongodb_record_release(&record);
	bson_destroy(found);
	bson_destroy(selector);
	bson_destroy(projection);
	return result;
}

/* --- what is looked for ------------------------------------------------ */

static char lower(char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

/* Whether part is in text, ASCII letters of either case. */
static bool contains(const char *text, const char *part)
{
	size_t length = strlen(part);

	for (;; text++) {
		size_t same = 0;

		while (same < length && text[same] &&
		       lower(text[same]) == lower(part[same]))
			same++;
		if (same == length)
			return true;
		if (!*text)
			return false;
	}
}

/* When a recipient that is held or kept expires. */
static int64_t waits_until(const struct spool_message *message,
                           const struct spool_recipient *recipient)
{
	if (SPOOL_IN(recipient->state) & WAITING)
		return message->expires_ms;
	if (spool_recipient_is_kept(recipient))
		return recipient->keep_until_ms;
	return SPOOL_MONGODB_NEVER;
}

static bool fits_recipient(const struct spool_query *query,
                           const struct spool_message *message,
                           const struct spool_recipient *recipient)
{
	if (query->states && !(SPOOL_IN(recipient->state) & query->states))
		return false;
	if (query->event_pending && !recipient->event_pending)
		return false;
	if (query->kept && recipient->state == SPOOL_FAILED &&
	    !spool_recipient_is_kept(recipient))
		return false;
	if (query->dsn && recipient->dsn != SPOOL_DSN_DUE &&
	    recipient->dsn != SPOOL_DSN_QUEUED)
		return false;
	if (query->expired_before_ms > 0 &&
	    waits_until(message, recipient) >= query->expired_before_ms)
		return false;
	return !query->recipient ||
	       contains(recipient->address, query->recipient);
}

/* One recipient has to have it all: state, address, event. */
static bool fits(const struct spool_query *query,
                 const struct spool_message *message)
{
	if (query->sender && !contains(message->sender, query->sender))
		return false;
	if (query->unregistered &&
	    (message->registered ||
	     (query->retry_until_ms > 0 &&
	      message->registration_retry_ms > query->retry_until_ms)))
		return false;
	for (size_t i = 0; i < message->recipient_count; i++)
		if (fits_recipient(query, message, &message->recipients[i]))
			return true;
	return false;
}

/* --- candidates -------------------------------------------------------- */

/* Words of the states; the failed ones that are kept have their own. */
static void append_states(bson_t *selector, unsigned states, bool kept)
{
	unsigned number = 0;
	bson_t outer, list;

	BSON_APPEND_DOCUMENT_BEGIN(selector, "turing.lists", &outer);
	BSON_APPEND_ARRAY_BEGIN(&outer, "$in", &list);
	for (int i = 0; i < SPOOL_STATE_COUNT; i++) {
		char index[24];

		if (!(SPOOL_IN(i) & states))
			continue;
		(void)snprintf(index, sizeof(index), "%u", number++);
		BSON_APPEND_UTF8(&list, index,
		                 kept && i == SPOOL_FAILED
		                     ? SPOOL_MONGODB_KEPT
		                     : spool_state_name((enum spool_state)i));
	}
	bson_append_array_end(&outer, &list);
	bson_append_document_end(selector, &outer);
}

/* Leaves out what the cloud has refused and is asked of later. */
static void append_retry(bson_t *selector, int64_t until_ms)
{
	bson_t outer, inner;

	if (until_ms <= 0)
		return;
	BSON_APPEND_DOCUMENT_BEGIN(selector, "turing.registration.retry",
	                           &outer);
	BSON_APPEND_DOCUMENT_BEGIN(&outer, "$not", &inner);
	(void)mongodb_append_time(&inner, "$gt", until_ms);
	bson_append_document_end(&outer, &inner);
	bson_append_document_end(selector, &outer);
}

/* Narrows by the index made for each periodic job; fits() sees to the rest. */
static void append_narrow(bson_t *selector, const struct spool_query *query)
{
	unsigned kept = query->kept ? SPOOL_IN(SPOOL_FAILED) : 0;
	bool waiting = query->states && !(query->states & ~(WAITING | kept));
	bson_t range;

	if (query->unregistered) { /* index: lists */
		BSON_APPEND_UTF8(selector, "turing.lists",
		                 SPOOL_MONGODB_UNREGISTERED);
		append_retry(selector, query->retry_until_ms);
	} else if (query->event_pending) { /* index: lists */
		BSON_APPEND_UTF8(selector, "turing.lists",
		                 SPOOL_MONGODB_REPORTS);
	} else if (query->dsn) { /* index: lists */
		BSON_APPEND_UTF8(selector, "turing.lists", SPOOL_MONGODB_DSN);
	} else if (waiting && query->expired_before_ms > 0) {
		/* index: hold_until */
		BSON_APPEND_DOCUMENT_BEGIN(selector, "turing.hold_until",
		                           &range);
		(void)mongodb_append_time(&range, "$lt",
		                          query->expired_before_ms);
		bson_append_document_end(selector, &range);
	} else if (query->states) { /* index: lists */
		append_states(selector, query->states, query->kept);
	} /* else index: _id */
}

struct ids {
	struct id ids[BATCH_MAXIMUM];
	size_t count;
};

static int see_id(const bson_t *document, void *context, struct error *err)
{
	struct ids *ids = context;

	(void)err;
	if (ids->count < BATCH_MAXIMUM)
		ids->ids[ids->count++] = mongodb_get_id(document, "_id");
	return 0;
}

/* The ids of the next candidates, in order. */
static int find_ids(struct spool_mongodb *spool,
                    const struct spool_query *query, const struct id *after,
                    size_t limit, struct ids *ids, struct error *err)
{
	bson_t *projection = BCON_NEW("_id", BCON_INT32(1));
	bson_t *sort = BCON_NEW("_id", BCON_INT32(1));
	bson_t *selector = bson_new();
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection,
	                            .sort = sort,
	                            .limit = (int64_t)limit};
	bson_t range;
	int result;

	append_narrow(selector, query);
	BSON_APPEND_DOCUMENT_BEGIN(selector, "_id", &range);
	(void)mongodb_append_id(&range, "$gt", after);
	bson_append_document_end(selector, &range);
	ids->count = 0;
	result = mongodb_find_each(spool->db, &find, see_id, ids, err);
	bson_destroy(selector);
	bson_destroy(sort);
	bson_destroy(projection);
	return result;
}

/* --- pages ------------------------------------------------------------- */

struct listing {
	struct spool_mongodb *spool;
	const struct spool_query *query;
	struct spool_page page;
};

static int see_message(const bson_t *document, void *context, struct error *err)
{
	struct listing *listing = context;
	struct spool_page *page = &listing->page;
	struct spool_mongodb_record record = {.body_size = 0};
	int result;

	if (page->more)
		return 0;
	result = spool_mongodb_record_read(document, &record, err);
	if (result < 0)
		return result;
	if (!fits(listing->query, &record.message)) {
		spool_mongodb_record_release(&record);
		return 0;
	}
	if (page->count == listing->query->limit) {
		page->more = true;
	} else {
		result = spool_mongodb_record_publish(
		    &record, &page->messages[page->count], err);
		if (!result)
			page->count++;
	}
	spool_mongodb_record_release(&record);
	return result;
}

/* Reads candidates and keeps those that are looked for. */
static int load(struct listing *listing, const struct ids *ids,
                struct error *err)
{
	bson_t *projection = spool_mongodb_projection();
	bson_t *sort = BCON_NEW("_id", BCON_INT32(1));
	bson_t *selector = bson_new();
	/* Index: _id. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection,
	                            .sort = sort};
	int result;

	spool_mongodb_append_in(selector, "_id", ids->ids, ids->count);
	result = mongodb_find_each(listing->spool->db, &find, see_message,
	                           listing, err);
	bson_destroy(selector);
	bson_destroy(sort);
	bson_destroy(projection);
	return result;
}

/* Filters on addresses drop many candidates: then more are read at once. */
static size_t batch_size(const struct spool_query *query)
{
	if (query->sender || query->recipient || query->limit >= BATCH_MAXIMUM)
		return BATCH_MAXIMUM;
	return query->limit + 1;
}

static int fill(struct listing *listing, struct ids *ids, struct error *err)
{
	size_t batch = batch_size(listing->query);
	struct id after = listing->query->after;
	int result;

	do {
		result = find_ids(listing->spool, listing->query, &after, batch,
		                  ids, err);
		if (result < 0 || !ids->count)
			return result;
		result = load(listing, ids, err);
		after = ids->ids[ids->count - 1];
	} while (!result && !listing->page.more && ids->count == batch);
	return result;
}

int spool_mongodb_list(struct spool *base, const struct spool_query *query,
                       struct spool_page *page, struct error *err)
{
	struct listing listing = {.spool = (struct spool_mongodb *)base,
	                          .query = query};
	struct ids *ids = calloc(1, sizeof(*ids));
	int result = 0;

	listing.page.messages =
	    calloc(query->limit, sizeof(*listing.page.messages));
	if (!ids || !listing.page.messages)
		result = error_set(err, ERR_MEMORY, "out of memory");
	if (!result)
		result = fill(&listing, ids, err);
	free(ids);
	if (result < 0)
		spool_page_release(&listing.page);
	else
		*page = listing.page;
	return result;
}
