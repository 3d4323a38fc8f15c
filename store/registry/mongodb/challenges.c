/* Challenges in MongoDB: opening, reading, their states and codes. */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/challenge-documents.h"

/* --- opening ------------------------------------------------------------ */

/* How often the one that is in the way may be gone when it is looked for. */
#define OPEN_TRIES 20

/* Reads the id of the challenge that selector finds. ERR_NOT_FOUND. */
static int find_existing(struct registry_mongodb *mongo, const bson_t *selector,
                         struct id *existing, struct error *err)
{
	bson_t projection = BSON_INITIALIZER;
	bson_t *found = NULL;
	int error;

	(void)BSON_APPEND_INT32(&projection, "_id", 1);
	error = mongodb_find_one(mongo->db, REGISTRY_CHALLENGE, selector,
	                         &projection, &found, err);
	if (!error)
		*existing = mongodb_get_id(found, "_id");
	bson_destroy(found);
	bson_destroy(&projection);
	return error;
}

int registry_mongodb_challenge_find(struct registry *registry,
                                    const uint8_t hash[CRYPTO_HASH_SIZE],
                                    struct id *id, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_bytes(&selector, "sender_hash", hash,
	                           CRYPTO_HASH_SIZE);
	(void)BSON_APPEND_UTF8(&selector, "slot", "");
	/* Index: challenge_slot. */
	error = find_existing(registry_mongodb(registry), &selector, id, err);
	bson_destroy(&selector);
	return error;
}

/* Which one is in the way: the sender's open one, or one with the same id. */
static int find_rival(struct registry_mongodb *mongo,
                      const struct registry_challenge *challenge,
                      struct id *existing, struct error *err)
{
	int error = registry_mongodb_challenge_find(
	    &mongo->registry, challenge->sender_hash, existing, err);
	bson_t selector = BSON_INITIALIZER;

	if (error == ERR_NOT_FOUND) {
		(void)mongodb_append_id(&selector, "_id", &challenge->id);
		/* Index: _id. */
		error = find_existing(mongo, &selector, existing, err);
	}
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_challenge_open(struct registry *registry,
                                    const struct registry_challenge *challenge,
                                    struct id *existing, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t document = BSON_INITIALIZER;
	int error = ERR_NOT_FOUND;

	(void)registry_mongodb_challenge_document(&document, challenge);
	for (int i = 0; error == ERR_NOT_FOUND && i < OPEN_TRIES; i++) {
		struct id rival;

		error = mongodb_insert(mongo->db, REGISTRY_CHALLENGE, &document,
		                       err);
		if (error != ERR_EXISTS)
			break;
		error = find_rival(mongo, challenge, &rival, err);
		if (error)
			continue;
		if (existing)
			*existing = rival;
		error =
		    error_set(err, ERR_EXISTS, "a challenge is there already");
	}
	bson_destroy(&document);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_UNAVAILABLE,
		                 "challenges of the sender come and go");
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

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

int registry_mongodb_challenge_count(
    struct registry *registry, const struct registry_challenge_query *query,
    size_t *count, struct error *err)
{
	static const struct {
		const char *key, *index;
	} groups[] = {
	    [CHALLENGES_OF_SENDER] = {"sender_hash", "challenge_of_sender"},
	    [CHALLENGES_OF_CLIENT] = {"client_hash", "challenge_of_client"},
	    [CHALLENGES_OF_DOMAIN] = {"domain_hash", "challenge_of_domain"},
	    [CHALLENGES_OF_TENANT] = {"tenant", "challenge_of_tenant"},
	    [CHALLENGES_OF_ALL] = {NULL, "challenge_created"},
	};
	struct registry_mongodb *mongo = registry_mongodb(registry);
	const char *key = groups[query->group].key;
	bson_t selector = BSON_INITIALIZER, part;
	int64_t counted;
	int error;

	if (query->group == CHALLENGES_OF_TENANT)
		(void)mongodb_append_id(&selector, key, &query->tenant);
	else if (key)
		(void)mongodb_append_bytes(&selector, key, query->hash,
		                           CRYPTO_HASH_SIZE);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "created", &part);
	(void)mongodb_append_time(&part, "$gte", query->since_ms);
	(void)bson_append_document_end(&selector, &part);
	/* Index: the group's, which has all that is needed in it. */
	error = mongodb_count(mongo->db, REGISTRY_CHALLENGE, &selector,
	                      groups[query->group].index, (int64_t)query->limit,
	                      &counted, err);
	bson_destroy(&selector);
	if (!error)
		*count = (size_t)counted;
	return error;
}
