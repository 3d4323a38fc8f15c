/*
 * The sequencer of all policy changes in MongoDB: one document,
 *
 *   {_id: "policy", revision, global, pending: [{collection, tenant,
 *    document}], turns: [...]}
 *
 * A turn replaces it, while its revision is what it was, by one with higher
 * revisions and the changes that have them in pending; puts each of these
 * documents into its collection, unless a newer one is there; and empties
 * pending. Whoever finds pending not empty does the rest first, so that what
 * can be read is never followed by a smaller revision, and a crash loses
 * nothing. turns has the tokens of the last turns: whether one was won can be
 * read when its answer was lost.
 */
#include "store/registry/mongodb/policy-sequencer.h"

#include <stdlib.h>
#include <string.h>

#define ID "policy"

/* --- reading and applying ----------------------------------------------- */

void registry_mongodb_policy_select(bson_t *selector)
{
	bson_init(selector);
	(void)BSON_APPEND_UTF8(selector, "_id", ID);
}

/* Puts a document in the place of an older one; a newer one stays. */
static int apply_document(struct registry_mongodb *mongo,
                          const char *collection, const bson_t *document,
                          struct error *err)
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
	error = mongodb_update(mongo->db, collection, &selector, document, true,
	                       true, NULL, err);
	bson_destroy(&selector);
	return error == ERR_EXISTS ? 0 : error;
}

static int raise_tenant(struct registry_mongodb *mongo, const struct id *tenant,
                        int64_t revision, struct error *err)
{
	bson_t update = BSON_INITIALIZER, max;
	int error;

	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$max", &max);
	(void)BSON_APPEND_INT64(&max, "policy_revision", revision);
	(void)bson_append_document_end(&update, &max);
	error = registry_mongodb_update_tenant(mongo, tenant, &update, err);
	bson_destroy(&update);
	/* It may be gone. */
	return error == ERR_NOT_FOUND ? 0 : error;
}

int registry_mongodb_policy_apply(struct registry_mongodb *mongo,
                                  const char *collection,
                                  const struct id *tenant,
                                  const bson_t *document, struct error *err)
{
	int error = apply_document(mongo, collection, document, err);

	if (error || id_is_none(tenant))
		return error;
	return raise_tenant(mongo, tenant,
	                    mongodb_get_int(document, "revision"), err);
}

/* Applies one member of pending. */
static int apply_pending(struct registry_mongodb *mongo,
                         const bson_iter_t *iter, struct error *err)
{
	char word[REGISTRY_MONGODB_WORD];
	const char *collection;
	const uint8_t *data;
	uint32_t size;
	bson_t change, document;
	struct id tenant;

	if (!BSON_ITER_HOLDS_DOCUMENT(iter))
		return error_set(err, ERR_CORRUPT, "policy: bad pending");
	bson_iter_document(iter, &size, &data);
	if (!bson_init_static(&change, data, size) ||
	    !mongodb_get_document(&change, "document", &document))
		return error_set(err, ERR_CORRUPT, "policy: bad pending");
	registry_mongodb_word(&change, "collection", word);
	collection =
	    !strcmp(word, REGISTRY_DOMAIN) ? REGISTRY_DOMAIN : REGISTRY_ENTRY;
	tenant = mongodb_get_id(&change, "tenant");
	return registry_mongodb_policy_apply(mongo, collection, &tenant,
	                                     &document, err);
}

int registry_mongodb_policy_clear(struct registry_mongodb *mongo,
                                  int64_t revision, struct error *err)
{
	bson_t selector, update = BSON_INITIALIZER, set, empty;
	int error;

	registry_mongodb_policy_select(&selector);
	(void)BSON_APPEND_INT64(&selector, "revision", revision);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
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
	bson_t pending;
	bson_iter_t iter;
	int error = 0;

	if (!mongodb_get_document(policy, "pending", &pending) ||
	    !bson_count_keys(&pending))
		return 0;
	if (!bson_iter_init(&iter, &pending))
		return error_set(err, ERR_CORRUPT, "policy: bad pending");
	while (!error && bson_iter_next(&iter))
		error = apply_pending(mongo, &iter, err);
	return error ? error
	             : registry_mongodb_policy_clear(
	                   mongo, mongodb_get_int(policy, "revision"), err);
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
                                 struct registry_mongodb_policy_state *state,
                                 struct error *err)
{
	bson_t selector, *policy = NULL;
	int error;

	registry_mongodb_policy_select(&selector);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_POLICY, &selector, NULL,
	                         &policy, err);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_CORRUPT,
		                 "the policy's document is missing");
	if (error)
		return error;
	state->revision = mongodb_get_int(policy, "revision");
	state->global = mongodb_get_int(policy, "global");
	read_turns(policy, state);
	error = help(mongo, policy, err);
	bson_destroy(policy);
	return error;
}

int registry_mongodb_policy_settled(struct registry_mongodb *mongo,
                                    int64_t *revision, int64_t *global,
                                    struct error *err)
{
	struct registry_mongodb_policy_state state;
	int error = registry_mongodb_policy_read(mongo, &state, err);

	if (error)
		return error;
	*revision = state.revision;
	if (global)
		*global = state.global;
	return 0;
}

/* --- opening, copying, checking ----------------------------------------- */

int registry_mongodb_policy_make_document(struct registry_mongodb *mongo,
                                          struct error *err)
{
	bson_t document, empty;
	int error;

	registry_mongodb_policy_select(&document);
	(void)BSON_APPEND_INT64(&document, "revision", 0);
	(void)BSON_APPEND_INT64(&document, "global", 0);
	(void)BSON_APPEND_ARRAY_BEGIN(&document, "pending", &empty);
	(void)bson_append_array_end(&document, &empty);
	(void)BSON_APPEND_ARRAY_BEGIN(&document, "turns", &empty);
	(void)bson_append_array_end(&document, &empty);
	error = mongodb_insert(mongo->db, REGISTRY_POLICY, &document, err);
	bson_destroy(&document);
	return error == ERR_EXISTS ? 0 : error;
}

int registry_mongodb_policy_tenant(struct registry_mongodb *mongo,
                                   const struct id *tenant, int64_t *revision,
                                   struct error *err)
{
	bson_t selector = BSON_INITIALIZER, *found = NULL;
	int error;

	(void)mongodb_append_id(&selector, "_id", tenant);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_TENANT, &selector, NULL,
	                         &found, err);
	bson_destroy(&selector);
	if (error)
		return error;
	*revision = mongodb_get_int(found, "policy_revision");
	bson_destroy(found);
	return 0;
}

int registry_mongodb_policy_highest(struct registry_mongodb *mongo,
                                    const struct id *tenant, int64_t *revision,
                                    struct error *err)
{
	int64_t all, global;
	int error = registry_mongodb_policy_settled(mongo, &all, &global, err);

	if (error)
		return error;
	if (!id_is_none(tenant))
		return registry_mongodb_policy_tenant(mongo, tenant, revision,
		                                      err);
	*revision = global;
	return 0;
}

int registry_mongodb_policy_raise(struct registry_mongodb *mongo,
                                  const struct id *tenant, int64_t revision,
                                  struct error *err)
{
	bson_t selector, update = BSON_INITIALIZER, max;
	int error;

	registry_mongodb_policy_select(&selector);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$max", &max);
	(void)BSON_APPEND_INT64(&max, "revision", revision);
	if (id_is_none(tenant))
		(void)BSON_APPEND_INT64(&max, "global", revision);
	(void)bson_append_document_end(&update, &max);
	/* Index: _id. */
	error = mongodb_update(mongo->db, REGISTRY_POLICY, &selector, &update,
	                       false, true, NULL, err);
	bson_destroy(&selector);
	bson_destroy(&update);
	if (error || id_is_none(tenant))
		return error;
	return raise_tenant(mongo, tenant, revision, err);
}

static int see_revision(const bson_t *document, void *context,
                        struct error *err)
{
	(void)err;
	*(int64_t *)context = mongodb_get_int(document, "revision");
	return 0;
}

/* The highest revision of a collection's documents; a full check may read all
 * of them. */
static int find_highest(struct registry_mongodb *mongo, const char *collection,
                        int64_t *revision, struct error *err)
{
	bson_t all = BSON_INITIALIZER, down = BSON_INITIALIZER;
	struct mongodb_find find = {.collection = collection,
	                            .selector = &all,
	                            .sort = &down,
	                            .limit = 1};
	int error;

	(void)BSON_APPEND_INT32(&down, "revision", -1);
	error =
	    mongodb_find_each(mongo->db, &find, see_revision, revision, err);
	bson_destroy(&down);
	bson_destroy(&all);
	return error;
}

/* The documents first: what others change meanwhile only adds to the count. */
int registry_mongodb_policy_check(struct registry_mongodb *mongo,
                                  struct error *err)
{
	int64_t entries = 0, domains = 0, settled = 0;
	int error = find_highest(mongo, REGISTRY_ENTRY, &entries, err);

	if (!error)
		error = find_highest(mongo, REGISTRY_DOMAIN, &domains, err);
	if (!error)
		error =
		    registry_mongodb_policy_settled(mongo, &settled, NULL, err);
	if (!error && (entries > settled || domains > settled))
		return error_set(err, ERR_CORRUPT,
		                 "an entry or a domain has a revision that "
		                 "was never given");
	return error;
}
