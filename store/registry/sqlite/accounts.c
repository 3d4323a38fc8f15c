/* The API keys of agents, and users, in SQLite. */
#include "store/registry/sqlite/rows.h"

#include <string.h>

/* --- API keys ----------------------------------------------------------- */

#define KEY "SELECT " KEY_COLUMNS " FROM agent_key "

/* ERR_LIMIT when the agent has its share of valid keys. */
static int need_room_for_key(struct sqlite_db *db,
                             const struct registry_key *key, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT count(*) FROM agent_key"
	        " WHERE tenant = ?1 AND agent = ?2 AND revoked_ms = 0");
	int64_t valid;
	int result;

	sqlite_bind_id(query, 1, &key->tenant);
	sqlite_bind_text(query, 2, key->agent);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	valid = sqlite_column_int(query, 0);
	sqlite_reset(query);
	if (valid >= REGISTRY_SQLITE_VALID_KEYS)
		return error_set(err, ERR_LIMIT, "%s has %d valid keys",
		                 key->agent, REGISTRY_SQLITE_VALID_KEYS);
	return 0;
}

/* ERR_EXISTS when the prefix or id is in use, which counts before the limit. */
static int need_free_key(struct sqlite_db *db, const struct registry_key *key,
                         struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT 1 FROM agent_key WHERE prefix = ?1"
	        " UNION ALL SELECT 1 FROM agent_key WHERE id = ?2");
	int result;

	sqlite_bind_text(query, 1, key->prefix);
	sqlite_bind_id(query, 2, &key->id);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	if (result > 0)
		return error_set(err, ERR_EXISTS, "%s: in use", key->prefix);
	return result;
}

static int add_key(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_key *key = context;
	struct sqlite_query *query;
	int error;

	if ((error = registry_sqlite_need_tenant(db, &key->tenant, err)) ||
	    (error = need_free_key(db, key, err)) ||
	    (error = need_room_for_key(db, key, err)))
		return error;
	query = sqlite_query(
	    db, "INSERT INTO agent_key (id, tenant, agent, prefix, hash,"
	        " created_ms, revoked_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
	sqlite_bind_id(query, 1, &key->id);
	sqlite_bind_id(query, 2, &key->tenant);
	sqlite_bind_text(query, 3, key->agent);
	sqlite_bind_text(query, 4, key->prefix);
	sqlite_bind_blob(query, 5, key->hash, sizeof(key->hash));
	sqlite_bind_int(query, 6, key->created_ms);
	sqlite_bind_int(query, 7, key->revoked_ms);
	return sqlite_run(query, err);
}

int registry_sqlite_key_add(struct registry *registry,
                            const struct registry_key *key, struct error *err)
{
	return registry_sqlite_write(registry, add_key, (void *)key, err);
}

/* All but the texts. ERR_CORRUPT when the hash is none. */
static int read_key_numbers(struct sqlite_query *query,
                            struct registry_key *key, struct error *err)
{
	size_t size;
	const void *hash = sqlite_column_blob(query, 4, &size);

	if (size != sizeof(key->hash))
		return error_set(err, ERR_CORRUPT, "key %s: hash of %zu bytes",
		                 sqlite_column_text(query, 3), size);
	memcpy(key->hash, hash, size);
	key->id = sqlite_column_id(query, 0);
	key->tenant = sqlite_column_id(query, 1);
	key->created_ms = sqlite_column_int(query, 5);
	key->revoked_ms = sqlite_column_int(query, 6);
	return 0;
}

int registry_sqlite_read_key(struct sqlite_query *query,
                             struct registry_key *key, struct error *err)
{
	char **const texts[] = {&key->agent, &key->prefix};
	int error = read_key_numbers(query, key, err);

	return error ? error : registry_sqlite_copy(query, 2, texts, 2, err);
}

static int find_key(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_lookup *lookup = context;
	struct sqlite_query *query = sqlite_query(db, KEY "WHERE prefix = ?1");
	int result = registry_sqlite_look_up(query, lookup, "key", err);

	return result < 0 ? result
	                  : registry_sqlite_read_key(query, lookup->found, err);
}

int registry_sqlite_key_find(struct registry *registry, const char *prefix,
                             struct registry_key *key, struct error *err)
{
	struct registry_key found = {0};
	struct registry_lookup lookup = {prefix, NULL, &found};
	int error = registry_sqlite_read(registry, find_key, &lookup, err);

	if (error)
		registry_key_release(&found);
	else
		*key = found;
	return error;
}

struct revocation {
	const struct id *tenant;
	const char *prefix;
	int64_t now_ms;
};

static int revoke_key(struct sqlite_db *db, void *context, struct error *err)
{
	const struct revocation *revoked = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE agent_key SET revoked_ms = ?3"
	        " WHERE prefix = ?1 AND tenant = ?2 AND revoked_ms = 0");
	int result;

	sqlite_bind_text(query, 1, revoked->prefix);
	sqlite_bind_id(query, 2, revoked->tenant);
	sqlite_bind_int(query, 3, revoked->now_ms);
	if ((result = sqlite_run(query, err)) || sqlite_db_changes(db))
		return result;
	query = sqlite_query(db, "SELECT 1 FROM agent_key"
	                         " WHERE prefix = ?1 AND tenant = ?2");
	sqlite_bind_text(query, 1, revoked->prefix);
	sqlite_bind_id(query, 2, revoked->tenant);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	if (result < 0)
		return result;
	return error_set(err, result ? ERR_CONFLICT : ERR_NOT_FOUND,
	                 "key %s: %s", revoked->prefix,
	                 result ? "revoked already" : "no such key");
}

int registry_sqlite_key_revoke(struct registry *registry,
                               const struct id *tenant, const char *prefix,
                               int64_t now_ms, struct error *err)
{
	struct revocation revoked = {tenant, prefix, now_ms};

	return registry_sqlite_write(registry, revoke_key, &revoked, err);
}

struct key_walk {
	const struct id *tenant;
	void (*each)(const struct registry_key *key, void *context);
	void *context;
};

static int walk_keys(struct sqlite_db *db, void *context, struct error *err)
{
	const struct key_walk *walk = context;
	struct sqlite_query *query =
	    sqlite_query(db, KEY "WHERE tenant = ?1 ORDER BY agent, prefix");
	int result;

	sqlite_bind_id(query, 1, walk->tenant);
	while ((result = sqlite_step(query, err)) > 0) {
		struct registry_key key = {
		    .agent = (char *)sqlite_column_text(query, 2),
		    .prefix = (char *)sqlite_column_text(query, 3),
		};
		int error = read_key_numbers(query, &key, err);

		if (error)
			return error;
		walk->each(&key, walk->context);
	}
	return result;
}

int registry_sqlite_key_each(struct registry *registry, const struct id *tenant,
                             void (*each)(const struct registry_key *, void *),
                             void *context, struct error *err)
{
	struct key_walk walk = {tenant, each, context};

	return registry_sqlite_read(registry, walk_keys, &walk, err);
}

/* --- users -------------------------------------------------------------- */

#define USER "SELECT " USER_COLUMNS " FROM user "

static int add_user(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_user *user = context;
	struct sqlite_query *query;
	int error = 0;

	if (!id_is_none(&user->tenant))
		error = registry_sqlite_need_tenant(db, &user->tenant, err);
	if (error)
		return error;
	query = sqlite_query(
	    db, "INSERT INTO user (id, tenant, login, role, password,"
	        " created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
	sqlite_bind_id(query, 1, &user->id);
	sqlite_bind_id(query, 2, &user->tenant);
	sqlite_bind_text(query, 3, user->login);
	sqlite_bind_text(query, 4, user->role);
	sqlite_bind_text(query, 5, user->password);
	sqlite_bind_int(query, 6, user->created_ms);
	return sqlite_run(query, err);
}

int registry_sqlite_user_add(struct registry *registry,
                             const struct registry_user *user,
                             struct error *err)
{
	return registry_sqlite_write(registry, add_user, (void *)user, err);
}

int registry_sqlite_read_user(struct sqlite_query *query,
                              struct registry_user *user, struct error *err)
{
	char **const texts[] = {&user->login, &user->role, &user->password};

	user->id = sqlite_column_id(query, 0);
	user->tenant = sqlite_column_id(query, 1);
	user->created_ms = sqlite_column_int(query, 2);
	return registry_sqlite_copy(query, 3, texts, 3, err);
}

static int find_user(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_lookup *lookup = context;
	struct sqlite_query *query = sqlite_query(db, USER "WHERE login = ?1");
	int result = registry_sqlite_look_up(query, lookup, "user", err);

	return result < 0
	           ? result
	           : registry_sqlite_read_user(query, lookup->found, err);
}

int registry_sqlite_user_find(struct registry *registry, const char *login,
                              struct registry_user *user, struct error *err)
{
	struct registry_user found = {0};
	struct registry_lookup lookup = {login, NULL, &found};
	int error = registry_sqlite_read(registry, find_user, &lookup, err);

	if (error)
		registry_user_release(&found);
	else
		*user = found;
	return error;
}

struct user_walk {
	const struct id *tenant;
	void (*each)(const struct registry_user *user, void *context);
	void *context;
};

static int walk_users(struct sqlite_db *db, void *context, struct error *err)
{
	const struct user_walk *walk = context;
	struct sqlite_query *query =
	    sqlite_query(db, USER "WHERE tenant = ?1 ORDER BY login");
	int result;

	sqlite_bind_id(query, 1, walk->tenant);
	while ((result = sqlite_step(query, err)) > 0) {
		struct registry_user user = {
		    .id = sqlite_column_id(query, 0),
		    .tenant = sqlite_column_id(query, 1),
		    .created_ms = sqlite_column_int(query, 2),
		    .login = (char *)sqlite_column_text(query, 3),
		    .role = (char *)sqlite_column_text(query, 4),
		    .password = (char *)sqlite_column_text(query, 5),
		};

		walk->each(&user, walk->context);
	}
	return result;
}

int registry_sqlite_user_each(struct registry *registry,
                              const struct id *tenant,
                              void (*each)(const struct registry_user *,
                                           void *),
                              void *context, struct error *err)
{
	struct user_walk walk = {tenant, each, context};

	return registry_sqlite_read(registry, walk_users, &walk, err);
}
