/* Leases on recipients in MongoDB's spool: taken, told of, dropped. */
#include "store/spool/mongodb/private.h"

#include "common/crypto.h"

#define ROUNDS_MAXIMUM 20 /* of looking for what others did not take */
#define DROP_AT_ONCE   500

/* Messages that were read, in the order they were found in. */
struct found {
	struct spool_mongodb_record *records;
	size_t count, room;
};

static int make_found(struct found *found, size_t room, struct error *err)
{
	found->records = calloc(room, sizeof(*found->records));
	found->room = room;
	return found->records ? 0 : error_set(err, ERR_MEMORY, "out of memory");
}

static void free_found(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		spool_mongodb_record_release(&found->records[i]);
	free(found->records);
}

static int see(const bson_t *document, void *context, struct error *err)
{
	struct found *found = context;
	int result;

	if (found->count == found->room)
		return 0;
	result = spool_mongodb_record_read(document,
	                                   &found->records[found->count], err);
	if (!result)
		found->count++;
	return result;
}

static int find_all(struct spool_mongodb *spool, const bson_t *selector,
                    const bson_t *sort, struct found *found, struct error *err)
{
	bson_t *projection = spool_mongodb_projection();
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection,
	                            .sort = sort,
	                            .limit = (int64_t)found->room};
	int result = mongodb_find_each(spool->db, &find, see, found, err);

	bson_destroy(projection);
	return result;
}

/* The messages with a recipient due, the longest due first. */
static int find_due(struct spool_mongodb *spool, int64_t now_ms,
                    struct found *found, struct error *err)
{
	bson_t *sort =
	    BCON_NEW("turing.due", BCON_INT32(1), "_id", BCON_INT32(1));
	bson_t *selector = bson_new();
	bson_t range;
	int result;

	BSON_APPEND_DOCUMENT_BEGIN(selector, "turing.due", &range);
	(void)mongodb_append_time(&range, "$lte", now_ms);
	bson_append_document_end(selector, &range);
	/* Index: due. */
	result = find_all(spool, selector, sort, found, err);
	bson_destroy(selector);
	bson_destroy(sort);
	return result;
}

static int find_ids(struct spool_mongodb *spool, const struct id *ids,
                    size_t count, struct found *found, struct error *err)
{
	bson_t *selector = bson_new();
	int result;

	spool_mongodb_append_in(selector, "_id", ids, count);
	/* Index: _id. */
	result = find_all(spool, selector, NULL, found, err);
	bson_destroy(selector);
	return result;
}

/* --- claiming ---------------------------------------------------------- */

struct claim {
	struct spool_mongodb *spool;
	const char *owner;
	int64_t now_ms, until_ms;
	size_t limit;
	struct spool_page page; /* what was claimed so far */
};

static bool is_due(const struct spool_recipient *recipient, int64_t now_ms)
{
	bool claimed = *recipient->lease_owner != '\0';

	return (recipient->state == SPOOL_QUEUED ||
	        recipient->state == SPOOL_DEFERRED) &&
	       recipient->next_attempt_ms <= now_ms &&
	       (!claimed || recipient->lease_until_ms <= now_ms);
}

/* Puts leases on what is due in a record; whether there was something. */
static bool lease(const struct claim *claim,
                  struct spool_mongodb_record *record, const struct id *token,
                  int *result)
{
	bool any = false;

	for (size_t i = 0; i < record->message.recipient_count; i++) {
		struct spool_recipient *recipient =
		    &record->message.recipients[i];
		char *owner;

		if (!is_due(recipient, claim->now_ms))
			continue;
		owner = strdup(claim->owner);
		if (!owner) {
			*result = ERR_MEMORY;
			return false;
		}
		free(recipient->lease_owner);
		recipient->lease_owner = owner;
		recipient->lease_until_ms = claim->until_ms;
		record->touched[i] = true;
		record->tokens[i] = *token;
		any = true;
	}
	return any;
}

/* Moves a claimed record into the page. */
static int take(struct claim *claim, struct spool_mongodb_record *record,
                struct error *err)
{
	struct spool_page *page = &claim->page;
	int result = spool_mongodb_record_publish(
	    record, &page->messages[page->count], err);

	if (!result)
		page->count++;
	return result;
}

/* Takes those of the edits that were made, as they are read again. */
static int take_made(struct claim *claim,
                     const struct spool_mongodb_edit *edits, size_t count,
                     struct error *err)
{
	struct id *ids = calloc(count, sizeof(*ids));
	struct found again = {.count = 0};
	int result = ids ? make_found(&again, count, err)
	                 : error_set(err, ERR_MEMORY, "out of memory");

	for (size_t i = 0; i < count && !result; i++)
		ids[i] = edits[i].record->message.id;
	if (!result)
		result = find_ids(claim->spool, ids, count, &again, err);
	for (size_t i = 0; i < again.count && !result; i++)
		if (spool_mongodb_edit_is_made(&again.records[i],
		                               &edits[0].token))
			result = take(claim, &again.records[i], err);
	free_found(&again);
	free(ids);
	return result;
}

static int send_claims(struct claim *claim,
                       const struct spool_mongodb_edit *edits, size_t count,
                       struct error *err)
{
	int result = spool_mongodb_edits_send(claim->spool, edits, count, err);

	if (result == ERR_CONFLICT || result == ERR_UNCERTAIN)
		return take_made(claim, edits, count, err);
	for (size_t i = 0; i < count && !result; i++)
		result = take(claim, edits[i].record, err);
	return result;
}

/* Claims of what was found as much as there is room for. */
static int claim_found(struct claim *claim, struct found *found, size_t room,
                       struct error *err)
{
	struct spool_mongodb_edit *edits = calloc(found->count, sizeof(*edits));
	struct id token; /* one for all: each record has its own version */
	size_t count = 0;
	int result = 0;

	if (!edits)
		return error_set(err, ERR_MEMORY, "out of memory");
	random_bytes(&token, sizeof(token));
	for (size_t i = 0; i < found->count && i < room && !result; i++)
		if (lease(claim, &found->records[i], &token, &result))
			edits[count++] = (struct spool_mongodb_edit){
			    .record = &found->records[i], .token = token};
	if (result < 0)
		result = error_set(err, ERR_MEMORY, "out of memory");
	else if (count)
		result = send_claims(claim, edits, count, err);
	free(edits);
	return result;
}

/* One look; sets *over when there is nothing more to look for. */
static int claim_once(struct claim *claim, bool *over, struct error *err)
{
	size_t room = claim->limit - claim->page.count;
	size_t before = claim->page.count;
	struct found found = {.count = 0};
	int result = make_found(&found, room + 1, err);

	if (!result)
		result = find_due(claim->spool, claim->now_ms, &found, err);
	if (!result) {
		size_t count = found.count;
		size_t wanted = count < room ? count : room;

		claim->page.more = count > room;
		if (count)
			result = claim_found(claim, &found, room, err);
		/* Others took some: what they left may be enough. */
		*over = claim->page.count - before == wanted && count <= room;
		*over = *over || claim->page.count == claim->limit;
	}
	free_found(&found);
	return result;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(&((const struct spool_message *)a)->id,
	              &((const struct spool_message *)b)->id,
	              sizeof(struct id));
}

int spool_mongodb_claim(struct spool *base, const char *owner, int64_t now_ms,
                        int64_t lease_ms, size_t limit, struct spool_page *page,
                        struct error *err)
{
	struct claim claim = {.spool = (struct spool_mongodb *)base,
	                      .owner = owner,
	                      .now_ms = now_ms,
	                      .until_ms = now_ms + lease_ms,
	                      .limit = limit};
	bool over = false;
	int result = 0;

	claim.page.messages = calloc(limit, sizeof(*claim.page.messages));
	if (!claim.page.messages)
		return error_set(err, ERR_MEMORY, "out of memory");
	for (int i = 0; i < ROUNDS_MAXIMUM && !over && !result; i++)
		result = claim_once(&claim, &over, err);
	/* What is claimed already is worth more than the failure. */
	if (result < 0 && !claim.page.count) {
		spool_page_release(&claim.page);
		return result;
	}
	if (claim.page.count)
		qsort(claim.page.messages, claim.page.count,
		      sizeof(*claim.page.messages), by_id);
	*page = claim.page;
	return 0;
}

static int see_due(const bson_t *document, void *context, struct error *err)
{
	(void)err;
	*(int64_t *)context = mongodb_get_int(document, "turing.unclaimed");
	return 0;
}

int spool_mongodb_next_due(struct spool *base, int64_t *due_ms,
                           struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	bson_t *selector = bson_new();
	bson_t *sort = BCON_NEW("turing.unclaimed", BCON_INT32(1));
	bson_t *projection =
	    BCON_NEW("_id", BCON_INT32(0), "turing.unclaimed", BCON_INT32(1));
	/* Index: unclaimed. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection,
	                            .sort = sort,
	                            .limit = 1};
	int64_t found_ms = INT64_MAX;
	bson_t range;
	int result;

	BSON_APPEND_DOCUMENT_BEGIN(selector, "turing.unclaimed", &range);
	(void)mongodb_append_time(&range, "$gt", INT64_MIN);
	bson_append_document_end(selector, &range);
	result = mongodb_find_each(spool->db, &find, see_due, &found_ms, err);
	if (!result)
		*due_ms = found_ms;
	bson_destroy(projection);
	bson_destroy(sort);
	bson_destroy(selector);
	return result;
}

/* --- dropping ---------------------------------------------------------- */

static int find_claimed(struct spool_mongodb *spool, struct found *found,
                        struct error *err)
{
	bson_t *selector = bson_new();
	int result;

	BSON_APPEND_UTF8(selector, "turing.lists", SPOOL_MONGODB_CLAIMED);
	(void)mongodb_append_text(selector, "turing.recipients.lease.owner",
	                          spool->owner);
	/* Index: lists. */
	result = find_all(spool, selector, NULL, found, err);
	bson_destroy(selector);
	return result;
}

/* Takes the owner's leases off a record. */
static void release(const struct spool_mongodb *spool,
                    struct spool_mongodb_record *record, const struct id *token)
{
	for (size_t i = 0; i < record->message.recipient_count; i++) {
		struct spool_recipient *recipient =
		    &record->message.recipients[i];

		if (strcmp(recipient->lease_owner, spool->owner) != 0)
			continue;
		recipient->lease_owner[0] = '\0';
		recipient->lease_until_ms = 0;
		record->touched[i] = true;
		record->tokens[i] = *token;
	}
}

static int drop_some(struct spool_mongodb *spool, struct found *found,
                     struct error *err)
{
	struct spool_mongodb_edit *edits;
	int result = find_claimed(spool, found, err);

	if (result < 0 || !found->count)
		return result;
	edits = calloc(found->count, sizeof(*edits));
	if (!edits)
		return error_set(err, ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < found->count; i++) {
		edits[i].record = &found->records[i];
		random_bytes(&edits[i].token, sizeof(edits[i].token));
		release(spool, edits[i].record, &edits[i].token);
	}
	result = spool_mongodb_edits_send(spool, edits, found->count, err);
	free(edits);
	/* What another changed meanwhile is found again. */
	return result == ERR_CONFLICT || result == ERR_UNCERTAIN ? 0 : result;
}

int spool_mongodb_drop_leases(struct spool_mongodb *spool, struct error *err)
{
	size_t dropped;
	int result;

	do {
		struct found found = {.count = 0};

		result = make_found(&found, DROP_AT_ONCE, err);
		if (!result)
			result = drop_some(spool, &found, err);
		dropped = found.count;
		free_found(&found);
	} while (!result && dropped);
	return result;
}
