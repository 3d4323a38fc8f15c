/* How much is in MongoDB's spool, counted by an index. */
#include "store/spool/mongodb/private.h"

#include "common/clock.h"

/*
 * Every document has its tally ("held 2,queued 1") and there are few different
 * ones: the index "tally" alone tells how many messages have each, and how
 * many bytes their bodies take. No counter is kept that a crash could leave
 * wrong. Where that scan takes long its result stands for a while.
 */
#define CHEAP_MS          250 /* counted anew each time up to here */
#define STANDS_TIMES      20  /* otherwise for so often its duration */
#define STANDS_MAXIMUM_MS 60000

static void add_words(struct spool_totals *totals, const char *word,
                      size_t length, int64_t count)
{
	char name[32];
	int state;

	if (length >= sizeof(name))
		return;
	memcpy(name, word, length);
	name[length] = '\0';
	state = spool_state_parse(name);
	if (state >= 0)
		totals->recipients[state] += count;
	else if (!strcmp(name, SPOOL_MONGODB_UNREGISTERED))
		totals->unregistered += count;
	else if (!strcmp(name, SPOOL_MONGODB_KEPT))
		totals->kept += count;
}

/* Adds what so many messages with this tally have. */
static void add_tally(struct spool_totals *totals, const char *tally,
                      int64_t messages)
{
	while (*tally) {
		size_t length = strcspn(tally, " ,");
		char *end = (char *)tally + length;
		int64_t each = *end == ' ' ? strtoll(end, &end, 10) : 1;

		add_words(totals, tally, length, each * messages);
		tally = *end ? end + 1 : end;
	}
}

static int add_group(struct spool_totals *totals, const bson_t *group,
                     struct error *err)
{
	char *tally = NULL;

	if (mongodb_get_text(group, "_id", &tally))
		return error_set(err, ERR_MEMORY, "out of memory");
	add_tally(totals, tally, mongodb_get_int(group, "messages"));
	totals->body_bytes += mongodb_get_int(group, "bytes");
	free(tally);
	return 0;
}

/* Messages and bytes of each tally. */
static bson_t *make_pipeline(void)
{
	return BCON_NEW("pipeline", "[", "{", "$match", "{", "turing.tally",
	                "{", "$gte", BCON_UTF8(""), "}", "}", "}", "{",
	                "$group", "{", "_id", BCON_UTF8("$turing.tally"),
	                "messages", "{", "$sum", BCON_INT64(1), "}", "bytes",
	                "{", "$sum", BCON_UTF8("$turing.body.size"), "}", "}",
	                "}", "]");
}

static int count_groups(mongoc_collection_t *collection,
                        struct spool_totals *totals, struct error *err)
{
	bson_t *pipeline = make_pipeline();
	/* Index: tally, without the documents. */
	mongoc_cursor_t *cursor = mongoc_collection_aggregate(
	    collection, MONGOC_QUERY_NONE, pipeline, NULL, NULL);
	const bson_t *group, *reply = NULL;
	bson_error_t error;
	int result = 0;

	while (!result && mongoc_cursor_next(cursor, &group))
		result = add_group(totals, group, err);
	if (!result && mongoc_cursor_error_document(cursor, &error, &reply))
		result = mongodb_failure("counting messages", &error, reply,
		                         false, err);
	mongoc_cursor_destroy(cursor);
	bson_destroy(pipeline);
	return result;
}

static int count_now(struct spool_mongodb *spool, struct spool_totals *totals,
                     struct error *err)
{
	mongoc_client_t *client = mongodb_take(spool->db, err);
	mongoc_collection_t *collection;
	int result;

	if (!client)
		return ERR_UNAVAILABLE;
	collection = mongoc_client_get_collection(
	    client, mongodb_db_name(spool->db), SPOOL_MONGODB_MESSAGES);
	result = count_groups(collection, totals, err);
	mongoc_collection_destroy(collection);
	mongodb_give(spool->db, client);
	return result;
}

/* How long totals stand that took so long to count. */
static int64_t stands_ms(int64_t took_ms)
{
	if (took_ms <= CHEAP_MS)
		return 0;
	took_ms *= STANDS_TIMES;
	return took_ms < STANDS_MAXIMUM_MS ? took_ms : STANDS_MAXIMUM_MS;
}

int spool_mongodb_count(struct spool *base, struct spool_totals *totals,
                        struct error *err)
{
	struct spool_mongodb *spool = (struct spool_mongodb *)base;
	struct spool_totals counted = {.unregistered = 0};
	int64_t start_ms = clock_monotonic_ms();
	int64_t end_ms;
	int result = 0;

	(void)pthread_mutex_lock(&spool->counting);
	if (start_ms >= spool->totals_until_ms) {
		result = count_now(spool, &counted, err);
		end_ms = clock_monotonic_ms();
		if (!result) {
			spool->totals = counted;
			spool->totals_until_ms =
			    end_ms + stands_ms(end_ms - start_ms);
		}
	}
	if (!result)
		*totals = spool->totals;
	(void)pthread_mutex_unlock(&spool->counting);
	return result;
}
