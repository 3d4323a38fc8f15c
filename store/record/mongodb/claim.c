/* Claims by lease of records in MongoDB that are worked off. */
#include <string.h>

#include "store/record/mongodb/private.h"

/* How often others may be faster with all candidates before it is given up. */
#define ROUNDS 10

struct claim {
	struct record_mongodb *mongo;
	const struct record_kind *kind;
	const struct record_field *due, *until, *owner, *attempts, *version;
	const char *claimant;
	int64_t now_ms, until_ms;
	struct record_page found;
};

static int collect(const bson_t *document, void *context, struct error *err)
{
	struct claim *claim = context;
	void *record = record_page_add(claim->kind, &claim->found, err);

	return record ? record_mongodb_read_document(claim->kind, document,
	                                             record, err)
	              : ERR_MEMORY;
}

/* Those that could be claimed now, the longest due first. */
static int find_candidates(struct claim *claim, size_t limit, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER, range;
	char index[RECORD_MONGODB_INDEX_SIZE];
	struct mongodb_find find = {.collection = claim->kind->name,
	                            .selector = &selector,
	                            .sort = &sort,
	                            .limit = (int64_t)limit,
	                            .hint = index};
	int error;

	record_mongodb_index_name(
	    claim->kind, record_mongodb_index_by(claim->kind, claim->due->name),
	    index);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, claim->due->name, &range);
	(void)mongodb_append_time(&range, "$gt", 0);
	(void)mongodb_append_time(&range, "$lte", claim->now_ms);
	(void)bson_append_document_end(&selector, &range);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, claim->until->name, &range);
	(void)mongodb_append_time(&range, "$lte", claim->now_ms);
	(void)bson_append_document_end(&selector, &range);
	(void)BSON_APPEND_INT32(&sort, claim->due->name, 1);
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	/* Index: the one that begins with due. */
	error = mongodb_find_each(claim->mongo->db, &find, collect, claim, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

/* Whether it can be claimed as it was read: a server may give a document as it
 * became right after it was found. */
static bool is_due(const struct claim *claim, const void *record)
{
	int64_t due_ms = record_number(record, claim->due);

	return due_ms > 0 && due_ms <= claim->now_ms &&
	       record_number(record, claim->until) <= claim->now_ms;
}

/* Claims one as it was read, unless another is faster; the record is then as
 * the claim made it. */
static int claim_one(struct claim *claim, void *record, bool *made,
                     struct error *err)
{
	int64_t attempts = record_number(record, claim->attempts) + 1;
	bson_t set = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_text(&set, claim->owner->name, claim->claimant);
	(void)mongodb_append_time(&set, claim->until->name, claim->until_ms);
	(void)BSON_APPEND_INT64(&set, claim->attempts->name, attempts);
	error = record_mongodb_change(claim->mongo, claim->kind, record, &set,
	                              made, err);
	bson_destroy(&set);
	if (error || !*made)
		return error;
	record_set_number(record, claim->until, claim->until_ms);
	record_set_number(record, claim->attempts, attempts);
	record_set_number(record, claim->version,
	                  record_number(record, claim->version) + 1);
	return record_set_text(record, claim->owner, claim->claimant,
	                       strlen(claim->claimant), err);
}

/* One look and what could be claimed of it: *again when there may be more. */
static int claim_round(struct claim *claim, size_t wanted,
                       struct record_page *page, bool *again, struct error *err)
{
	size_t size = claim->kind->size, lost = 0;
	int error = find_candidates(claim, wanted, err);

	for (size_t i = 0; !error && i < claim->found.count; i++) {
		void *one = record_at(claim->kind, &claim->found, i), *place;
		bool made = false;

		if (is_due(claim, one))
			error = claim_one(claim, one, &made, err);
		lost += !made;
		if (error || !made)
			continue;
		place = record_page_add(claim->kind, page, err);
		if (!place)
			return ERR_MEMORY;
		memcpy(place, one, size);
		memset(one, 0, size);
	}
	*again = lost > 0 && claim->found.count == wanted;
	return error;
}

int record_mongodb_claim(struct record_store *store,
                         const struct record_kind *kind, const char *owner,
                         int64_t now_ms, int64_t lease_ms, size_t limit,
                         struct record_page *page, struct error *err)
{
	struct claim claim = {
	    .mongo = record_mongodb(store),
	    .kind = kind,
	    .due = record_field(kind, "due"),
	    .until = record_field(kind, "until"),
	    .owner = record_field(kind, "owner"),
	    .attempts = record_field(kind, "attempts"),
	    .version = record_field(kind, "version"),
	    .claimant = owner,
	    .now_ms = now_ms,
	    .until_ms = now_ms + lease_ms,
	};
	bool again = true;
	int error = 0;

	for (int i = 0; !error && again && i < ROUNDS; i++) {
		error =
		    claim_round(&claim, limit - page->count, page, &again, err);
		record_page_release(kind, &claim.found);
	}
	/* What was claimed is the caller's, whatever became of the rest. */
	return page->count ? 0 : error;
}
