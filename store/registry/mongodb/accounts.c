/* The API keys of agents, and users, in MongoDB. */
#include <string.h>

#include "common/crypto.h"
#include "store/registry/mongodb/account-documents.h"

/* The document that one field names; ERR_NOT_FOUND naming what. */
static int find_by_text(struct registry_mongodb *mongo, const char *collection,
                        const char *key, const char *value, const char *what,
                        bson_t **document, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_text(&selector, key, value);
	/* Index: key_prefix or user_login. */
	error = mongodb_find_one(mongo->db, collection, &selector, NULL,
	                         document, err);
	bson_destroy(&selector);
	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such %s", what);
	return error;
}

/* --- API keys ----------------------------------------------------------- */

static int insert_key(struct registry_mongodb *mongo,
                      const struct registry_key *key, const char *slot,
                      struct error *err)
{
	bson_t document = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_id(&document, "_id", &key->id);
	(void)registry_mongodb_append_key(&document, key, slot);
	error = mongodb_insert(mongo->db, REGISTRY_KEY, &document, err);
	bson_destroy(&document);
	return error;
}

/* Whether the prefix or id is in use. */
static int is_key_taken(struct registry_mongodb *mongo,
                        const struct registry_key *key, bool *taken,
                        struct error *err)
{
	bson_t selector = BSON_INITIALIZER, either, one;
	int64_t count = 0;
	int error;

	(void)BSON_APPEND_ARRAY_BEGIN(&selector, "$or", &either);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&either, "0", &one);
	(void)mongodb_append_text(&one, "prefix", key->prefix);
	(void)bson_append_document_end(&either, &one);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&either, "1", &one);
	(void)mongodb_append_id(&one, "_id", &key->id);
	(void)bson_append_document_end(&either, &one);
	(void)bson_append_array_end(&selector, &either);
	/* Indexes: key_prefix, _id. */
	error = mongodb_count(mongo->db, REGISTRY_KEY, &selector, NULL, 0,
	                      &count, err);
	bson_destroy(&selector);
	*taken = count > 0;
	return error;
}

/* A slot that is taken leaves the next one; the index key_slot is what keeps
 * the agent from having more keys than slots. */
static int add_key(struct registry_mongodb *mongo,
                   const struct registry_key *key, struct error *err)
{
	bool taken = false;
	int error = registry_mongodb_need_tenant(mongo, &key->tenant, err);

	for (int i = 0; !error && i < REGISTRY_MONGODB_KEY_SLOTS; i++) {
		error =
		    insert_key(mongo, key, registry_mongodb_key_slot(i), err);
		if (error != ERR_EXISTS)
			return error;
		error = is_key_taken(mongo, key, &taken, err);
		if (!error && taken)
			return error_set(err, ERR_EXISTS, "%s: in use",
			                 key->prefix);
	}
	return error ? error
	             : error_set(err, ERR_LIMIT, "%s has %d valid keys",
	                         key->agent, REGISTRY_MONGODB_KEY_SLOTS);
}

int registry_mongodb_key_add(struct registry *registry,
                             const struct registry_key *key, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	int error = add_key(mongo, key, err);

	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_key_find(struct registry *registry, const char *prefix,
                              struct registry_key *key, struct error *err)
{
	struct registry_key found = {.created_ms = 0};
	bson_t *document = NULL;
	int error = find_by_text(registry_mongodb(registry), REGISTRY_KEY,
	                         "prefix", prefix, "key", &document, err);

	if (error)
		return error;
	error = registry_mongodb_read_key(document, &found, err);
	bson_destroy(document);
	if (error)
		registry_key_release(&found);
	else
		*key = found;
	return error;
}

/* The token of the revocation tells whose it was. */
static enum mongodb_made made_revocation(const bson_t *document,
                                         const void *context)
{
	struct id token = mongodb_get_id(document, "revocation");

	return id_equal(&token, context) ? MONGODB_MADE : MONGODB_NOT_MADE;
}

static int revoke_key(struct registry_mongodb *mongo, const struct id *id,
                      const char *prefix, int64_t now_ms, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, part;
	struct id token = id_new();
	struct mongodb_change change = {.collection = REGISTRY_KEY,
	                                .selector = &selector,
	                                .update = &update,
	                                .made = made_revocation,
	                                .context = &token};
	bool made = false;
	int error;

	(void)mongodb_append_id(&selector, "_id", id);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&selector, "revoked", &part);
	(void)BSON_APPEND_BOOL(&part, "$exists", false);
	(void)bson_append_document_end(&selector, &part);
	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &part);
	(void)mongodb_append_time(&part, "revoked", now_ms);
	(void)mongodb_append_text(&part, "slot", prefix);
	(void)mongodb_append_id(&part, "revocation", &token);
	(void)bson_append_document_end(&update, &part);
	/* Index: _id. */
	error = mongodb_change(mongo->db, &change, &made, err);
	bson_destroy(&update);
	bson_destroy(&selector);
	if (!error && !made)
		return error_set(err, ERR_CONFLICT, "%s is revoked already",
		                 prefix);
	return error;
}

int registry_mongodb_key_revoke(struct registry *registry,
                                const struct id *tenant, const char *prefix,
                                int64_t now_ms, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t *document = NULL;
	struct id id, owner;
	int error = find_by_text(mongo, REGISTRY_KEY, "prefix", prefix, "key",
	                         &document, err);

	if (error)
		return error;
	id = mongodb_get_id(document, "_id");
	owner = mongodb_get_id(document, "tenant");
	bson_destroy(document);
	if (!id_equal(&owner, tenant))
		return error_set(err, ERR_NOT_FOUND, "no such key");
	error = revoke_key(mongo, &id, prefix, now_ms, err);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

struct key_walk {
	void (*each)(const struct registry_key *key, void *context);
	void *context;
};

static int tell_key(const bson_t *document, void *context, struct error *err)
{
	const struct key_walk *walk = context;
	struct registry_key key = {.created_ms = 0};
	int error = registry_mongodb_read_key(document, &key, err);

	if (!error)
		walk->each(&key, walk->context);
	registry_key_release(&key);
	return error;
}

/* What a tenant has, in the order of two fields, the second NULL for none. */
static int walk(struct registry_mongodb *mongo, const char *collection,
                const struct id *tenant, const char *first, const char *second,
                int (*each)(const bson_t *document, void *context,
                            struct error *err),
                void *context, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER;
	struct mongodb_find find = {
	    .collection = collection, .selector = &selector, .sort = &sort};
	int error;

	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_INT32(&sort, first, 1);
	if (second)
		(void)BSON_APPEND_INT32(&sort, second, 1);
	/* Indexes: key_slot, after which some keys are sorted; or
	 * user_of_tenant. */
	error = mongodb_find_each(mongo->db, &find, each, context, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_key_each(struct registry *registry,
                              const struct id *tenant,
                              void (*each)(const struct registry_key *, void *),
                              void *context, struct error *err)
{
	struct key_walk keys = {each, context};

	return walk(registry_mongodb(registry), REGISTRY_KEY, tenant, "agent",
	            "prefix", tell_key, &keys, err);
}

/* --- users -------------------------------------------------------------- */

int registry_mongodb_user_add(struct registry *registry,
                              const struct registry_user *user,
                              struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t document = BSON_INITIALIZER;
	int error = 0;

	if (!id_is_none(&user->tenant))
		error = registry_mongodb_need_tenant(mongo, &user->tenant, err);
	if (!error) {
		(void)mongodb_append_id(&document, "_id", &user->id);
		(void)registry_mongodb_append_user(&document, user);
		error =
		    mongodb_insert(mongo->db, REGISTRY_USER, &document, err);
	}
	bson_destroy(&document);
	if (error == ERR_EXISTS)
		return error_set(err, ERR_EXISTS, "%s: the login is taken",
		                 user->login);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_user_find(struct registry *registry, const char *login,
                               struct registry_user *user, struct error *err)
{
	struct registry_user found = {.created_ms = 0};
	bson_t *document = NULL;
	int error = find_by_text(registry_mongodb(registry), REGISTRY_USER,
	                         "login", login, "user", &document, err);

	if (error)
		return error;
	error = registry_mongodb_read_user(document, &found, err);
	bson_destroy(document);
	if (error)
		registry_user_release(&found);
	else
		*user = found;
	return error;
}

struct user_walk {
	void (*each)(const struct registry_user *user, void *context);
	void *context;
};

static int tell_user(const bson_t *document, void *context, struct error *err)
{
	const struct user_walk *users = context;
	struct registry_user user = {.created_ms = 0};
	int error = registry_mongodb_read_user(document, &user, err);

	if (!error)
		users->each(&user, users->context);
	registry_user_release(&user);
	return error;
}

int registry_mongodb_user_each(struct registry *registry,
                               const struct id *tenant,
                               void (*each)(const struct registry_user *,
                                            void *),
                               void *context, struct error *err)
{
	struct user_walk users = {each, context};

	return walk(registry_mongodb(registry), REGISTRY_USER, tenant, "login",
	            NULL, tell_user, &users, err);
}
