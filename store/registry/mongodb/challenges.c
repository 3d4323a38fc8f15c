/* Challenges in MongoDB: reading, counting, their states and codes. */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/challenge-documents.h"

/* --- reading ------------------------------------------------------------ */

int registry_mongodb_challenge_read(struct registry *registry,
                                    const struct id *id,
                                    struct registry_challenge *challenge,
                                    struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct registry_challenge read = {0};
	bson_t selector = BSON_INITIALIZER;
	bson_t *document = NULL;
	int error;

	(void)mongodb_append_id(&selector, "_id", id);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_CHALLENGE, &selector, NULL,
	                         &document, err);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such challenge");
	if (!error)
		error = registry_mongodb_challenge_parse(document, &read, err);
	bson_destroy(document);
	if (error)
		registry_challenge_release(&read);
	else
		*challenge = read;
	return error;
}

struct states {
	const struct id *ids;
	size_t count;
	int *states;
};

static int note_state(const bson_t *document, void *context, struct error *err)
{
	const struct states *states = context;
	struct id id = mongodb_get_id(document, "_id");
	enum registry_challenge_state state;
	int error = registry_mongodb_challenge_state(document, &state, err);

	for (size_t i = 0; i < states->count && !error; i++)
		if (id_equal(&states->ids[i], &id))
			states->states[i] = (int)state;
	return error;
}

int registry_mongodb_challenge_states(struct registry *registry,
                                      const struct id *ids, size_t count,
                                      int *states, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_CHALLENGE,
	                            .selector = &selector,
	                            .projection = &projection};
	struct states wanted = {ids, count, states};
	int error;

	(void)registry_mongodb_append_in(&selector, "_id", ids, count);
	(void)BSON_APPEND_INT32(&projection, "state", 1);
	/* Index: _id. */
	error = mongodb_find_each(registry_mongodb(registry)->db, &find,
	                          note_state, &wanted, err);
	bson_destroy(&projection);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_challenge_due(struct registry *registry,
                                   enum registry_challenge_state state,
                                   int64_t before_ms, size_t limit,
                                   struct registry_challenges *page,
                                   struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bool open = state == CHALLENGE_STATE_OPEN;
	const char *time = open ? "expires" : "changed";
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER, part;
	struct mongodb_find find = {
	    .collection = REGISTRY_CHALLENGE,
	    .selector = &selector,
	    .sort = &sort,
	    .limit = (int64_t)limit,
	    .hint = open ? "challenge_expiry" : "challenge_changed",
	};
	struct registry_mongodb_challenges list = {.capacity = 0};
	int error;

	(void)BSON_APPEND_UTF8(&selector, "state",
	                       registry_mongodb_challenge_word(state));
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, time, &part);
	(void)mongodb_append_time(&part, "$lt", before_ms);
	(void)bson_append_document_end(&selector, &part);
	(void)BSON_APPEND_INT32(&sort, time, 1);
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	/* Index: challenge_expiry or challenge_changed. */
	error = mongodb_find_each(
	    mongo->db, &find, registry_mongodb_challenge_collect, &list, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	if (error)
		registry_challenges_release(&list.page);
	else
		*page = list.page;
	return error;
}

/* --- moving ------------------------------------------------------------- */

struct move {
	const struct id *id;
	enum registry_challenge_state from, to;
	const int64_t *serial; /* NULL: whatever its code's is */
	const char *reason;    /* NULL: none */
	int64_t now_ms;
	struct id token;
};

/* A challenge is closed once and settled once: each keeps its token. */
static const char *token_key(const struct move *move)
{
	return move->from == CHALLENGE_STATE_OPEN ? "closing" : "settling";
}

static enum mongodb_made moved(const bson_t *document, const void *context)
{
	const struct move *move = context;
	struct id token = mongodb_get_id(document, token_key(move));

	return id_equal(&token, &move->token) ? MONGODB_MADE : MONGODB_NOT_MADE;
}

static void move_update(bson_t *update, const struct move *move)
{
	char slot[ID_TEXT_SIZE];
	bson_t set;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	(void)BSON_APPEND_UTF8(&set, "state",
	                       registry_mongodb_challenge_word(move->to));
	(void)mongodb_append_time(&set, "changed", move->now_ms);
	(void)mongodb_append_text(&set, "end_reason", move->reason);
	(void)mongodb_append_id(&set, token_key(move), &move->token);
	/* The sender's place is free for another. */
	if (move->from == CHALLENGE_STATE_OPEN)
		(void)BSON_APPEND_UTF8(&set, "slot", id_format(move->id, slot));
	(void)bson_append_document_end(update, &set);
}

static int move_challenge(struct registry_mongodb *mongo, struct move *move,
                          const char *conflict, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct mongodb_change change = {
	    .collection = REGISTRY_CHALLENGE,
	    .selector = &selector,
	    .update = &update,
	    .made = moved,
	    .context = move,
	};
	bool made = false;
	int error;

	move->token = id_new();
	(void)mongodb_append_id(&selector, "_id", move->id);
	(void)BSON_APPEND_UTF8(&selector, "state",
	                       registry_mongodb_challenge_word(move->from));
	if (move->serial)
		(void)BSON_APPEND_INT64(&selector, "code_serial",
		                        *move->serial);
	move_update(&update, move);
	/* Index: _id. */
	error = mongodb_change(mongo->db, &change, &made, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error && !made)
		return registry_mongodb_challenge_unchanged(mongo, move->id,
		                                            conflict, err);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_challenge_move(struct registry *registry,
                                    const struct id *id,
                                    enum registry_challenge_state from,
                                    enum registry_challenge_state to,
                                    const char *reason, int64_t now_ms,
                                    struct error *err)
{
	struct move move = {.id = id,
	                    .from = from,
	                    .to = to,
	                    .reason = reason,
	                    .now_ms = now_ms};

	return move_challenge(registry_mongodb(registry), &move,
	                      "the challenge is in another state", err);
}

int registry_mongodb_challenge_solve(struct registry *registry,
                                     const struct id *id, int64_t serial,
                                     int64_t now_ms, struct error *err)
{
	struct move move = {.id = id,
	                    .from = CHALLENGE_STATE_OPEN,
	                    .to = CHALLENGE_STATE_SOLVED,
	                    .serial = &serial,
	                    .now_ms = now_ms};

	return move_challenge(registry_mongodb(registry), &move,
	                      "the challenge is closed or has a newer code",
	                      err);
}

/* --- codes -------------------------------------------------------------- */

struct recode {
	int64_t serial;
	struct id token;
};

/* The next code's token hides this one's. */
static enum mongodb_made recoded(const bson_t *document, const void *context)
{
	const struct recode *recode = context;
	struct id token = mongodb_get_id(document, "recoding");

	if (id_equal(&token, &recode->token))
		return MONGODB_MADE;
	return mongodb_get_int(document, "code_serial") > recode->serial + 1
	           ? MONGODB_UNKNOWN
	           : MONGODB_NOT_MADE;
}

static void recode_update(bson_t *update, const struct recode *recode,
                          bool wrong, const char *code)
{
	bson_t part;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &part);
	(void)mongodb_append_text(&part, "code", code);
	(void)mongodb_append_id(&part, "recoding", &recode->token);
	(void)bson_append_document_end(update, &part);
	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$inc", &part);
	(void)BSON_APPEND_INT64(&part, "code_serial", 1);
	(void)BSON_APPEND_INT64(&part, "attempts", wrong);
	(void)bson_append_document_end(update, &part);
}

int registry_mongodb_challenge_recode(struct registry *registry,
                                      const struct id *id, int64_t serial,
                                      bool wrong, const char *code,
                                      struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct recode recode = {serial, id_new()};
	struct mongodb_change change = {
	    .collection = REGISTRY_CHALLENGE,
	    .selector = &selector,
	    .update = &update,
	    .made = recoded,
	    .context = &recode,
	};
	bool made = false;
	int error;

	(void)mongodb_append_id(&selector, "_id", id);
	(void)BSON_APPEND_UTF8(
	    &selector, "state",
	    registry_mongodb_challenge_word(CHALLENGE_STATE_OPEN));
	(void)BSON_APPEND_INT64(&selector, "code_serial", serial);
	recode_update(&update, &recode, wrong, code);
	/* Index: _id. */
	error = mongodb_change(mongo->db, &change, &made, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error && !made)
		return registry_mongodb_challenge_unchanged(
		    mongo, id, "the challenge is closed or has a newer code",
		    err);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

/* --- counting ----------------------------------------------------------- */

static const struct {
	const char *key, *index;
} groups[] = {
    [CHALLENGES_OF_SENDER] = {"sender_hash", "challenge_of_sender"},
    [CHALLENGES_OF_CLIENT] = {"client_hash", "challenge_of_client"},
    [CHALLENGES_OF_DOMAIN] = {"domain_hash", "challenge_of_domain"},
    [CHALLENGES_OF_TENANT] = {"tenant", "challenge_of_tenant"},
    [CHALLENGES_OF_ALL] = {NULL, "challenge_created"},
};

static void append_since(bson_t *selector, int64_t since_ms)
{
	bson_t part;

	(void)BSON_APPEND_DOCUMENT_BEGIN(selector, "created", &part);
	(void)mongodb_append_time(&part, "$gte", since_ms);
	(void)bson_append_document_end(selector, &part);
}

/* Counts for one query on the server. */
static int count_one(struct registry_mongodb *mongo,
                     const struct registry_challenge_query *query,
                     size_t *count, struct error *err)
{
	const char *key = groups[query->group].key;
	bson_t selector = BSON_INITIALIZER;
	int64_t counted;
	int error;

	if (query->group == CHALLENGES_OF_TENANT)
		(void)mongodb_append_id(&selector, key, &query->tenant);
	else if (key)
		(void)mongodb_append_bytes(&selector, key, query->hash,
		                           CRYPTO_HASH_SIZE);
	append_since(&selector, query->since_ms);
	/* Index: the group's, which has all that is needed in it. */
	error = mongodb_count(mongo->db, REGISTRY_CHALLENGE, &selector,
	                      groups[query->group].index, (int64_t)query->limit,
	                      &counted, err);
	bson_destroy(&selector);
	if (!error)
		*count = (size_t)counted;
	return error;
}

/* Queries of one group that has hashes. */
struct counting {
	enum registry_challenge_group group;
	const struct registry_challenge_query *queries;
	size_t count;
	size_t *counts;
};

static int count_document(const bson_t *document, void *context,
                          struct error *err)
{
	const struct counting *counting = context;
	int64_t created_ms = mongodb_get_int(document, "created");
	uint8_t hash[CRYPTO_HASH_SIZE];
	int error = registry_mongodb_bytes(
	    document, groups[counting->group].key, hash, sizeof(hash), err);

	for (size_t i = 0; i < counting->count && !error; i++) {
		const struct registry_challenge_query *query =
		    &counting->queries[i];

		if (query->group == counting->group &&
		    !memcmp(query->hash, hash, sizeof(hash)) &&
		    created_ms >= query->since_ms &&
		    counting->counts[i] < query->limit)
			counting->counts[i]++;
	}
	return error;
}

/* Counts for all queries of a group by one read of what is in their hashes,
 * which caps keep small. */
static int count_group(struct registry_mongodb *mongo,
                       struct counting *counting, struct error *err)
{
	const char *key = groups[counting->group].key;
	bson_t selector = BSON_INITIALIZER, projection = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_CHALLENGE,
	                            .selector = &selector,
	                            .projection = &projection,
	                            .hint = groups[counting->group].index};
	uint8_t(*hashes)[CRYPTO_HASH_SIZE] =
	    calloc(counting->count, sizeof(*hashes));
	int64_t since_ms = INT64_MAX;
	size_t count = 0;
	int error;

	if (!hashes)
		return registry_mongodb_memory(err);
	for (size_t i = 0; i < counting->count; i++) {
		const struct registry_challenge_query *query =
		    &counting->queries[i];

		if (query->group != counting->group)
			continue;
		counting->counts[i] = 0;
		memcpy(hashes[count++], query->hash, CRYPTO_HASH_SIZE);
		if (query->since_ms < since_ms)
			since_ms = query->since_ms;
	}
	(void)registry_mongodb_append_in_hashes(
	    &selector, key, (const uint8_t(*)[CRYPTO_HASH_SIZE])hashes, count);
	append_since(&selector, since_ms);
	(void)BSON_APPEND_INT32(&projection, key, 1);
	(void)BSON_APPEND_INT32(&projection, "created", 1);
	(void)BSON_APPEND_INT32(&projection, "_id", 0);
	/* Index: the group's, which has all that is needed in it. */
	error =
	    mongodb_find_each(mongo->db, &find, count_document, counting, err);
	bson_destroy(&projection);
	bson_destroy(&selector);
	free(hashes);
	return error;
}

int registry_mongodb_challenge_count(
    struct registry *registry, const struct registry_challenge_query *queries,
    size_t count, size_t *counts, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	size_t asked[CHALLENGES_OF_ALL + 1] = {0};
	int error = 0;

	for (size_t i = 0; i < count; i++)
		asked[queries[i].group]++;
	for (size_t i = 0; i < count && !error; i++)
		if (queries[i].group > CHALLENGES_OF_DOMAIN ||
		    asked[queries[i].group] == 1)
			error = count_one(mongo, &queries[i], &counts[i], err);
	for (int group = 0; group <= CHALLENGES_OF_DOMAIN && !error; group++) {
		struct counting counting = {
		    (enum registry_challenge_group)group, queries, count,
		    counts};

		if (asked[group] > 1)
			error = count_group(mongo, &counting, err);
	}
	return error;
}
