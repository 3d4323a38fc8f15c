/* The claims of challenges' mails in MongoDB. */
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "store/registry/mongodb/challenge-documents.h"

/* How often others may be faster with all candidates before it is given up. */
#define ROUNDS 10

static void append_pending(bson_t *selector)
{
	(void)BSON_APPEND_UTF8(
	    selector, "state",
	    registry_mongodb_challenge_word(CHALLENGE_STATE_OPEN));
	(void)BSON_APPEND_UTF8(selector, "mail",
	                       registry_mongodb_mail_word(MAIL_STATE_PENDING));
}

/* {key: {$lte: time}} */
static void append_until(bson_t *selector, const char *key, int64_t time_ms)
{
	bson_t part;

	(void)BSON_APPEND_DOCUMENT_BEGIN(selector, key, &part);
	(void)mongodb_append_time(&part, "$lte", time_ms);
	(void)bson_append_document_end(selector, &part);
}

/* --- claiming ----------------------------------------------------------- */

struct claim {
	const char *owner;
	int64_t now_ms, until_ms;
	size_t limit;
	struct id token;
};

/* Those that could be claimed now, the longest due first. */
static int find_candidates(struct registry_mongodb *mongo,
                           const struct claim *claim, size_t limit,
                           struct registry_mongodb_challenges *list,
                           struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_CHALLENGE,
	                            .selector = &selector,
	                            .sort = &sort,
	                            .limit = (int64_t)limit,
	                            .hint = "challenge_mail"};
	int error;

	append_pending(&selector);
	append_until(&selector, "mail_next", claim->now_ms);
	append_until(&selector, "mail_lease", claim->now_ms);
	(void)BSON_APPEND_INT32(&sort, "mail_next", 1);
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	/* Index: challenge_mail. */
	error = mongodb_find_each(
	    mongo->db, &find, registry_mongodb_challenge_collect, list, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

/* Whether it can be claimed as it was read: a server may give a document as it
 * became right after it was found. */
static bool is_due(const struct claim *claim,
                   const struct registry_challenge *challenge)
{
	return challenge->state == CHALLENGE_STATE_OPEN &&
	       challenge->mail == MAIL_STATE_PENDING &&
	       challenge->mail_next_ms <= claim->now_ms &&
	       challenge->mail_lease_ms <= claim->now_ms;
}

/* Another's claim that came later hides this one, which has ended then. */
static enum mongodb_made claimed(const bson_t *document, const void *context)
{
	const struct claim *claim = context;
	struct id token = mongodb_get_id(document, "claiming");

	return id_equal(&token, &claim->token) ? MONGODB_MADE
	                                       : MONGODB_NOT_MADE;
}

static void claim_update(bson_t *update, const struct claim *claim)
{
	bson_t part;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &part);
	(void)mongodb_append_text(&part, "mail_owner", claim->owner);
	(void)mongodb_append_time(&part, "mail_lease", claim->until_ms);
	(void)mongodb_append_id(&part, "claiming", &claim->token);
	(void)bson_append_document_end(update, &part);
	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$inc", &part);
	(void)BSON_APPEND_INT64(&part, "mail_attempts", 1);
	(void)bson_append_document_end(update, &part);
}

/* All that may change of it is as it was read, so it need not be read again. */
static void claim_selector(bson_t *selector,
                           const struct registry_challenge *challenge)
{
	(void)mongodb_append_id(selector, "_id", &challenge->id);
	(void)mongodb_append_bytes(selector, "sender_hash",
	                           challenge->sender_hash, CRYPTO_HASH_SIZE);
	append_pending(selector);
	(void)mongodb_append_text(selector, "mail_owner",
	                          challenge->mail_owner);
	(void)mongodb_append_time(selector, "mail_lease",
	                          challenge->mail_lease_ms);
	(void)BSON_APPEND_INT64(selector, "mail_attempts",
	                        challenge->mail_attempts);
	(void)BSON_APPEND_INT64(selector, "code_serial",
	                        challenge->code_serial);
}

/* Claims one as it was read, unless another is faster. */
static int claim_one(struct registry_mongodb *mongo, struct claim *claim,
                     struct registry_challenge *challenge, bool *made,
                     struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct mongodb_change change = {
	    .collection = REGISTRY_CHALLENGE,
	    .selector = &selector,
	    .update = &update,
	    .made = claimed,
	    .context = claim,
	};
	char *owner = strdup(claim->owner);
	int error;

	if (!owner)
		return registry_mongodb_memory(err);
	claim->token = id_new();
	claim_selector(&selector, challenge);
	claim_update(&update, claim);
	/* Index: challenge_slot's sender_hash, or _id. */
	error = mongodb_change(mongo->db, &change, made, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (error || !*made) {
		free(owner);
		return error;
	}
	free(challenge->mail_owner);
	challenge->mail_owner = owner;
	challenge->mail_lease_ms = claim->until_ms;
	challenge->mail_attempts++;
	return 0;
}

/* One look and what could be claimed of it: *again when there may be more. */
static int claim_round(struct registry_mongodb *mongo, struct claim *claim,
                       struct registry_mongodb_challenges *got, bool *again,
                       struct error *err)
{
	size_t wanted = claim->limit - got->page.count;
	struct registry_mongodb_challenges found = {.capacity = 0};
	int error = find_candidates(mongo, claim, wanted, &found, err);
	size_t lost = 0;

	for (size_t i = 0; !error && i < found.page.count; i++) {
		struct registry_challenge *one = &found.page.challenges[i];
		bool made = false;

		error =
		    array_grow((void **)&got->page.challenges, got->page.count,
		               &got->capacity, sizeof(*one), err);
		if (!error && is_due(claim, one))
			error = claim_one(mongo, claim, one, &made, err);
		lost += !made;
		if (!made)
			continue;
		got->page.challenges[got->page.count++] = *one;
		memset(one, 0, sizeof(*one));
	}
	*again = lost > 0 && found.page.count == wanted;
	registry_challenges_release(&found.page);
	return error;
}

int registry_mongodb_challenge_claim_mail(struct registry *registry,
                                          const char *owner, int64_t now_ms,
                                          int64_t lease_ms, size_t limit,
                                          struct registry_challenges *page,
                                          struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct claim claim = {.owner = owner,
	                      .now_ms = now_ms,
	                      .until_ms = now_ms + lease_ms,
	                      .limit = limit};
	struct registry_mongodb_challenges got = {.capacity = 0};
	bool again = true;
	int error = 0;

	registry_mongodb_mend(mongo);
	for (int i = 0; !error && again && i < ROUNDS; i++)
		error = claim_round(mongo, &claim, &got, &again, err);
	/* What was claimed is the caller's, whatever became of the rest. */
	if (error && !got.page.count) {
		registry_challenges_release(&got.page);
		return error;
	}
	*page = got.page;
	return 0;
}

/* --- prolonging and ending ---------------------------------------------- */

static void owner_selector(bson_t *selector, const struct id *id,
                           const char *owner)
{
	(void)mongodb_append_id(selector, "_id", id);
	(void)mongodb_append_text(selector, "mail_owner", owner);
	(void)BSON_APPEND_UTF8(selector, "mail",
	                       registry_mongodb_mail_word(MAIL_STATE_PENDING));
}

int registry_mongodb_challenge_mail_renew(struct registry *registry,
                                          const struct id *id,
                                          const char *owner, int64_t until_ms,
                                          struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
	bool matched = false;
	int error;

	owner_selector(&selector, id, owner);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)mongodb_append_time(&set, "mail_lease", until_ms);
	(void)bson_append_document_end(&update, &set);
	/* Index: _id. Done twice it is as done once. */
	error = mongodb_update(mongo->db, REGISTRY_CHALLENGE, &selector,
	                       &update, false, true, &matched, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error && !matched)
		return registry_mongodb_challenge_unchanged(
		    mongo, id, "the claim is another's", err);
	return error;
}

struct mail_end {
	const char *owner;
	enum registry_mail_state state;
	int64_t next_ms;
	bool counted;
	const char *reply;
	struct id token;
};

static enum mongodb_made ended(const bson_t *document, const void *context)
{
	const struct mail_end *end = context;
	struct id token = mongodb_get_id(document, "ending");

	return id_equal(&token, &end->token) ? MONGODB_MADE : MONGODB_UNKNOWN;
}

static void end_update(bson_t *update, const struct mail_end *end)
{
	bson_t set;

	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$set", &set);
	(void)BSON_APPEND_UTF8(&set, "mail",
	                       registry_mongodb_mail_word(end->state));
	(void)mongodb_append_time(&set, "mail_next", end->next_ms);
	(void)mongodb_append_text(&set, "mail_reply", end->reply);
	(void)mongodb_append_text(&set, "mail_owner", "");
	(void)mongodb_append_time(&set, "mail_lease", 0);
	(void)mongodb_append_id(&set, "ending", &end->token);
	(void)bson_append_document_end(update, &set);
	if (end->counted)
		return;
	(void)BSON_APPEND_DOCUMENT_BEGIN(update, "$inc", &set);
	(void)BSON_APPEND_INT64(&set, "mail_attempts", -1);
	(void)bson_append_document_end(update, &set);
}

int registry_mongodb_challenge_mail_done(struct registry *registry,
                                         const struct id *id, const char *owner,
                                         enum registry_mail_state state,
                                         int64_t next_ms, bool counted,
                                         const char *reply, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	struct mail_end end = {owner, state, next_ms, counted, reply, id_new()};
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER;
	struct mongodb_change change = {
	    .collection = REGISTRY_CHALLENGE,
	    .selector = &selector,
	    .update = &update,
	    .made = ended,
	    .context = &end,
	};
	bool made = false;
	int error;

	owner_selector(&selector, id, owner);
	end_update(&update, &end);
	/* Index: _id. */
	error = mongodb_change(mongo->db, &change, &made, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error && !made)
		return registry_mongodb_challenge_unchanged(
		    mongo, id, "the claim is another's", err);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}
