/* Deletes from MongoDB's spool what is over and told. */
#include "store/spool/mongodb/private.h"

struct over {
	struct id *ids;
	size_t count, limit;
};

static int see(const bson_t *document, void *context, struct error *err)
{
	struct over *over = context;

	(void)err;
	if (over->count < over->limit)
		over->ids[over->count++] = mongodb_get_id(document, "_id");
	return 0;
}

static void append_before(bson_t *selector, int64_t before_ms)
{
	bson_t range;

	BSON_APPEND_DOCUMENT_BEGIN(selector, "turing.over", &range);
	(void)mongodb_append_time(&range, "$lt", before_ms);
	bson_append_document_end(selector, &range);
}

/* The oldest that are over. */
static int find_over(struct spool_mongodb *spool, int64_t before_ms,
                     struct over *over, struct error *err)
{
	bson_t *projection = BCON_NEW("_id", BCON_INT32(1));
	bson_t *sort =
	    BCON_NEW("turing.over", BCON_INT32(1), "_id", BCON_INT32(1));
	bson_t *selector = bson_new();
	/* Index: over, without the documents. */
	struct mongodb_find find = {.collection = SPOOL_MONGODB_MESSAGES,
	                            .selector = selector,
	                            .projection = projection,
	                            .sort = sort,
	                            .limit = (int64_t)over->limit};
	int result;

	append_before(selector, before_ms);
	result = mongodb_find_each(spool->db, &find, see, over, err);
	bson_destroy(selector);
	bson_destroy(sort);
	bson_destroy(projection);
	return result;
}

/* Deletes those that are over still; their bodies went when they ended. */
static int delete_over(struct spool_mongodb *spool, int64_t before_ms,
                       const struct over *over, int64_t *count,
                       struct error *err)
{
	bson_t *selector = bson_new();
	int result;

	spool_mongodb_append_in(selector, "_id", over->ids, over->count);
	append_before(selector, before_ms);
	/* Index: _id. */
	result = mongodb_delete(spool->db, SPOOL_MONGODB_MESSAGES, selector,
	                        false, count, err);
	bson_destroy(selector);
	return result;
}

int spool_mongodb_purge(struct spool *base, int64_t before_ms, size_t limit,
                        size_t *deleted, struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	struct over over = {.ids = calloc(limit, sizeof(struct id)),
	                    .limit = limit};
	int64_t count = 0;
	int result;

	if (!over.ids)
		return error_set(err, ERR_MEMORY, "out of memory");
	result = find_over(spool, before_ms, &over, err);
	if (!result && over.count)
		result = delete_over(spool, before_ms, &over, &count, err);
	if (!result)
		*deleted = (size_t)count;
	free(over.ids);
	return result;
}
