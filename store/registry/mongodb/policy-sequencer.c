/*
 * The sequencers of policy changes in MongoDB: a document for each tenant, and
 * one (of the tenant none) for the global policy, made with the first change:
 *
 *   {_id: tenant, revision, waiting: N, pending: [{collection, document}],
 *    turns: [...]}
 *
 * A turn replaces it, while its revision is what it was, by one with a higher
 * revision and the changes that lead to it in pending; puts each of these
 * documents into its collection, unless a newer one is there; and empties
 * pending. Whoever finds pending not empty does the rest first, so that what
 * can be read is never followed by a smaller revision, and a crash loses
 * nothing. turns has the tokens of the last turns: whether one was won can be
 * read when its answer was lost.
 */
#include "store/registry/mongodb/policy-sequencer.h"

#include <stdlib.h>
#include <string.h>

static const struct id none;

/* --- reading and applying ----------------------------------------------- */

void registry_mongodb_policy_select(bson_t *selector, const struct id *tenant)
{
	bson_init(selector);
	(void)mongodb_append_id(selector, "_id", tenant);
}

int registry_mongodb_policy_apply(struct mongodb_db *db, const char *collection,
                                  const bson_t *document, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, older;
	bson_iter_t id;
	int error;

	if (!bson_iter_init_find(&id, document, "_id"))
		return error_set(err, ERR_CORRUPT, "policy: no _id");
	(void)bson_append_iter(&selector, "_id", -1, &id);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "revision", &older);
	(void)BSON_APPEND_INT64(&older, "$lt",
	                        mongodb_get_int(document, "revision"));
	(void)bson_append_document_end(&selector, &older);
	/* Index: _id. Its _id is taken where a newer one is there. */
	error = mongodb_update(db, collection, &selector, document, true, true,
	                       NULL, err);
	bson_destroy(&selector);
	return error == ERR_EXISTS ? 0 : error;
}

/* Applies one member of pending. */
static int apply_pending(struct mongodb_db *db, const bson_iter_t *iter,
                         struct error *err)
{
	char word[REGISTRY_MONGODB_WORD];
	const uint8_t *data;
	uint32_t size;
	bson_t change, document;

	if (!BSON_ITER_HOLDS_DOCUMENT(iter))
		return error_set(err, ERR_CORRUPT, "policy: bad pending");
	bson_iter_document(iter, &size, &data);
	if (!bson_init_static(&change, data, size) ||
	    !mongodb_get_document(&change, "document", &document))
		return error_set(err, ERR_CORRUPT, "policy: bad pending");
	registry_mongodb_word(&change, "collection", word);
	return registry_mongodb_policy_apply(
	    db,
	    !strcmp(word, REGISTRY_DOMAIN) ? REGISTRY_DOMAIN : REGISTRY_ENTRY,
	    &document, err);
}

/* Applies what is pending in an order's document; *any tells whether anything
 * was. */
static int apply_all(struct mongodb_db *db, const bson_t *policy, bool *any,
                     struct error *err)
{
	bson_t pending;
	bson_iter_t iter;
	int error = 0;

	*any = mongodb_get_document(policy, "pending", &pending) &&
	       bson_count_keys(&pending);
	if (!*any)
		return 0;
	if (!bson_iter_init(&iter, &pending))
		return error_set(err, ERR_CORRUPT, "policy: bad pending");
	while (!error && bson_iter_next(&iter))
		error = apply_pending(db, &iter, err);
	return error;
}

int registry_mongodb_policy_clear(struct registry_mongodb *mongo,
                                  const struct id *tenant, int64_t revision,
                                  struct error *err)
{
	bson_t selector, update = BSON_INITIALIZER, set, empty;
	int error;

	registry_mongodb_policy_select(&selector, tenant);
	(void)BSON_APPEND_INT64(&selector, "revision", revision);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)BSON_APPEND_INT64(&set, "waiting", 0);
	(void)BSON_APPEND_ARRAY_BEGIN(&set, "pending", &empty);
	(void)bson_append_array_end(&set, &empty);
	(void)bson_append_document_end(&update, &set);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_POLICY, &selector, &update,
	                       false, true, NULL, err);
	bson_destroy(&selector);
	bson_destroy(&update);
	return error;
}

/* Does the rest of another's turn. */
static int help(struct registry_mongodb *mongo, const bson_t *policy,
                struct error *err)
{
	struct id tenant = mongodb_get_id(policy, "_id");
	bool any;
	int error = apply_all(mongo->db, policy, &any, err);

	if (error || !any)
		return error;
	return registry_mongodb_policy_clear(
	    mongo, &tenant, mongodb_get_int(policy, "revision"), err);
}

static void read_turns(const bson_t *policy,
                       struct registry_mongodb_policy_state *state)
{
	bson_t turns;
	char key[24];

	state->turn_count = 0;
	if (!mongodb_get_document(policy, "turns", &turns))
		return;
	for (size_t i = 0; i < REGISTRY_MONGODB_TURNS_KEPT; i++) {
		struct id turn;

		snprintf(key, sizeof(key), "%zu", i);
		turn = mongodb_get_id(&turns, key);
		if (id_is_none(&turn))
			return;
		state->turns[state->turn_count++] = turn;
	}
}

int registry_mongodb_policy_read(struct registry_mongodb *mongo,
                                 const struct id *tenant,
                                 struct registry_mongodb_policy_state *state,
                                 struct error *err)
{
	bson_t selector, *policy = NULL;
	int error;

	registry_mongodb_policy_select(&selector, tenant);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_POLICY, &selector, NULL,
	                         &policy, err);
	bson_destroy(&selector);
	*state = (struct registry_mongodb_policy_state){
	    .missing = error == ERR_NOT_FOUND};
	if (error)
		return state->missing ? 0 : error;
	state->revision = mongodb_get_int(policy, "revision");
	read_turns(policy, state);
	error = help(mongo, policy, err);
	bson_destroy(policy);
	return error;
}

static int help_found(const bson_t *policy, void *context, struct error *err)
{
	return help(context, policy, err);
}

int registry_mongodb_policy_finish_all(struct registry_mongodb *mongo,
                                       struct error *err)
{
	bson_t selector = BSON_INITIALIZER, some;
	struct mongodb_find find = {.collection = REGISTRY_POLICY,
	                            .selector = &selector,
	                            .hint = "policy_waiting"};
	int error;

	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "waiting", &some);
	(void)BSON_APPEND_INT64(&some, "$gt", 0);
	(void)bson_append_document_end(&selector, &some);
	/* Index: policy_waiting. */
	error = mongodb_find_each(mongo->db, &find, help_found, mongo, err);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_policy_revision(struct registry *registry,
                                     const struct id *tenant, int64_t *revision,
                                     struct error *err)
{
	struct registry_mongodb_policy_state state;
	int error = registry_mongodb_policy_read(registry_mongodb(registry),
	                                         tenant, &state, err);

	if (!error)
		*revision = state.revision;
	return error;
}

/* --- copying, checking, migrating --------------------------------------- */

static int raise_to(struct mongodb_db *db, const struct id *tenant,
                    int64_t revision, struct error *err)
{
	bson_t selector, update = BSON_INITIALIZER, max;
	int error;

	registry_mongodb_policy_select(&selector, tenant);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$max", &max);
	(void)BSON_APPEND_INT64(&max, "revision", revision);
	(void)bson_append_document_end(&update, &max);
	/* Index: _id. */
	error = mongodb_update(db, REGISTRY_POLICY, &selector, &update, true,
	                       true, NULL, err);
	bson_destroy(&selector);
	bson_destroy(&update);
	return error;
}

int registry_mongodb_policy_raise(struct registry_mongodb *mongo,
                                  const struct id *tenant, int64_t revision,
                                  struct error *err)
{
	if (!id_is_none(tenant)) {
		int error = registry_mongodb_need_tenant(mongo, tenant, err);

		if (error)
			return error == ERR_NOT_FOUND ? 0 : error;
	}
	return raise_to(mongo->db, tenant, revision, err);
}

static int split_tenant(const bson_t *account, void *context, struct error *err)
{
	struct id tenant = mongodb_get_id(account, "_id");

	return raise_to(context, &tenant,
	                mongodb_get_int(account, "policy_revision"), err);
}

/* The tenants' documents had their revisions, and of the changes pending these
 * may not have come there yet. */
static int split_pending(struct mongodb_db *db, const bson_t *policy,
                         struct error *err)
{
	bson_t pending;
	bson_iter_t iter;
	bool any;
	int error = apply_all(db, policy, &any, err);

	if (error || !any || !mongodb_get_document(policy, "pending", &pending))
		return error;
	(void)bson_iter_init(&iter, &pending);
	while (!error && bson_iter_next(&iter)) {
		const uint8_t *data;
		uint32_t size;
		bson_t change, document;
		struct id tenant;

		bson_iter_document(&iter, &size, &data);
		(void)bson_init_static(&change, data, size);
		(void)mongodb_get_document(&change, "document", &document);
		tenant = mongodb_get_id(&change, "tenant");
		error = raise_to(db, &tenant,
		                 mongodb_get_int(&document, "revision"), err);
	}
	return error;
}

/* Step by step what can be done again: the old document goes last. */
int registry_mongodb_policy_split(struct mongodb_db *db, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, all = BSON_INITIALIZER;
	struct mongodb_find tenants = {.collection = REGISTRY_TENANT,
	                               .selector = &all};
	bson_t *policy = NULL;
	int error;

	(void)BSON_APPEND_UTF8(&selector, "_id", "policy");
	/* Index: _id. */
	error = mongodb_find_one(db, REGISTRY_POLICY, &selector, NULL, &policy,
	                         err);
	if (!error)
		error = split_pending(db, policy, err);
	if (!error)
		error = mongodb_find_each(db, &tenants, split_tenant, db, err);
	if (!error)
		error =
		    raise_to(db, &none, mongodb_get_int(policy, "global"), err);
	if (!error)
		error = mongodb_delete(db, REGISTRY_POLICY, &selector, true,
		                       NULL, err);
	bson_destroy(policy);
	bson_destroy(&selector);
	bson_destroy(&all);
	return error == ERR_NOT_FOUND ? 0 : error;
}

static int see_revision(const bson_t *document, void *context,
                        struct error *err)
{
	(void)err;
	*(int64_t *)context = mongodb_get_int(document, "revision");
	return 0;
}

/* The entries first: what others change meanwhile only adds to the order. */
static int check_order(struct registry_mongodb *mongo, const struct id *tenant,
                       struct error *err)
{
	bson_t selector = BSON_INITIALIZER, down = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = REGISTRY_ENTRY,
	                            .selector = &selector,
	                            .sort = &down,
	                            .limit = 1,
	                            .hint = "entry_by_revision"};
	struct registry_mongodb_policy_state state;
	int64_t highest = 0;
	int error;

	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_INT32(&down, "revision", -1);
	/* Index: entry_by_revision. */
	error =
	    mongodb_find_each(mongo->db, &find, see_revision, &highest, err);
	bson_destroy(&down);
	bson_destroy(&selector);
	if (!error)
		error =
		    registry_mongodb_policy_read(mongo, tenant, &state, err);
	if (!error && highest > state.revision)
		return error_set(err, ERR_CORRUPT,
		                 "an entry has a revision that was never "
		                 "given");
	return error;
}

static int check_tenant(const bson_t *account, void *context, struct error *err)
{
	struct id tenant = mongodb_get_id(account, "_id");

	return check_order(context, &tenant, err);
}

int registry_mongodb_policy_check(struct registry_mongodb *mongo,
                                  struct error *err)
{
	bson_t all = BSON_INITIALIZER, by_id = BSON_INITIALIZER;
	struct mongodb_find tenants = {
	    .collection = REGISTRY_TENANT, .selector = &all, .sort = &by_id};
	int error = check_order(mongo, &none, err);

	(void)BSON_APPEND_INT32(&by_id, "_id", 1);
	/* Index: _id. */
	if (!error)
		error = mongodb_find_each(mongo->db, &tenants, check_tenant,
		                          mongo, err);
	bson_destroy(&by_id);
	bson_destroy(&all);
	return error;
}
