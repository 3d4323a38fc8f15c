/* What the SQLite registry's files share: rows, counters, leases, secrets. */
#include "store/registry/sqlite/private.h"

#include <stdlib.h>
#include <string.h>

void registry_sqlite_bind(struct sqlite_query *query, int index,
                          const char *text)
{
	sqlite_bind_text(query, index, text ? text : "");
}

int registry_sqlite_copy(struct sqlite_query *query, int first,
                         char **const texts[], size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (sqlite_column_copy(query, first + (int)i, texts[i]))
			return error_set(err, ERR_MEMORY, "out of memory");
	return 0;
}

int registry_sqlite_look_up(struct sqlite_query *query,
                            const struct registry_lookup *lookup,
                            const char *what, struct error *err)
{
	int result;

	if (lookup->name)
		sqlite_bind_text(query, 1, lookup->name);
	else
		sqlite_bind_id(query, 1, lookup->id);
	result = sqlite_step(query, err);
	return result ? result
	              : error_set(err, ERR_NOT_FOUND, "no such %s", what);
}

int registry_sqlite_exists(struct sqlite_db *db, const char *sql,
                           const struct id *id, struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, sql);
	int result;

	sqlite_bind_id(query, 1, id);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	return result;
}

int registry_sqlite_need_tenant(struct sqlite_db *db, const struct id *tenant,
                                struct error *err)
{
	int result = registry_sqlite_exists(
	    db, "SELECT 1 FROM tenant WHERE id = ?1", tenant, err);

	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such tenant");
	return result < 0 ? result : 0;
}

int registry_sqlite_count_up(struct sqlite_db *db, const char *name,
                             int64_t delta, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE counter SET value = value + ?2 WHERE name = ?1");

	if (!delta)
		return 0;
	sqlite_bind_text(query, 1, name);
	sqlite_bind_int(query, 2, delta);
	return sqlite_run(query, err);
}

int registry_sqlite_number(struct sqlite_query *query, int64_t *number,
                           struct error *err)
{
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	if (!result)
		return error_set(err, ERR_CORRUPT, "a counter is missing");
	*number = sqlite_column_int(query, 0);
	return sqlite_run(query, err);
}

int registry_sqlite_read_changes(struct sqlite_db *db, int64_t *changes,
                                 struct error *err)
{
	return registry_sqlite_number(sqlite_query(db,
	                                           "SELECT value FROM counter"
	                                           " WHERE name = 'changes'"),
	                              changes, err);
}

int registry_sqlite_next_revision(struct sqlite_db *db, const struct id *tenant,
                                  int64_t *revision, struct error *err)
{
	struct sqlite_query *query;
	int error;

	if (id_is_none(tenant))
		return registry_sqlite_number(
		    sqlite_query(db, "UPDATE counter SET value = value + 1"
		                     " WHERE name = 'global-policy'"
		                     " RETURNING value"),
		    revision, err);
	if ((error = registry_sqlite_need_tenant(db, tenant, err)))
		return error;
	query = sqlite_query(db, "UPDATE tenant"
	                         " SET policy_revision = policy_revision + 1"
	                         " WHERE id = ?1 RETURNING policy_revision");
	sqlite_bind_id(query, 1, tenant);
	return registry_sqlite_number(query, revision, err);
}

struct lease {
	const char *name, *owner;
	int64_t now_ms, until_ms;
};

static int take_lease(struct sqlite_db *db, void *context, struct error *err)
{
	const struct lease *lease = context;
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT INTO lease (name, owner, until_ms) VALUES (?1, ?2, ?3)"
	        " ON CONFLICT (name) DO UPDATE"
	        " SET owner = excluded.owner, until_ms = excluded.until_ms"
	        " WHERE lease.owner = excluded.owner"
	        " OR lease.until_ms <= ?4");
	int error;

	sqlite_bind_text(query, 1, lease->name);
	sqlite_bind_text(query, 2, lease->owner);
	sqlite_bind_int(query, 3, lease->until_ms);
	sqlite_bind_int(query, 4, lease->now_ms);
	if ((error = sqlite_run(query, err)))
		return error;
	if (!sqlite_db_changes(db))
		return error_set(err, ERR_CONFLICT, "%s: leased to another",
		                 lease->name);
	return 0;
}

int registry_sqlite_lease(struct registry *registry, const char *name,
                          const char *owner, int64_t now_ms, int64_t lease_ms,
                          struct error *err)
{
	struct lease lease = {name, owner, now_ms, now_ms + lease_ms};

	return registry_sqlite_write_quietly(registry, take_lease, &lease, err);
}

struct secret {
	const char *name;
	const uint8_t *candidate;
	uint8_t bytes[32];
};

static int read_secret(struct sqlite_db *db, void *context, struct error *err)
{
	struct secret *secret = context;
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT bytes FROM secret WHERE name = ?1");
	const void *bytes;
	size_t size;
	int result;

	sqlite_bind_text(query, 1, secret->name);
	result = sqlite_step(query, err);
	if (result < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such secret");
	bytes = sqlite_column_blob(query, 0, &size);
	if (size == sizeof(secret->bytes))
		memcpy(secret->bytes, bytes, size);
	sqlite_reset(query);
	if (size != sizeof(secret->bytes))
		return error_set(err, ERR_CORRUPT, "secret %s: %zu bytes",
		                 secret->name, size);
	return 0;
}

static int make_secret(struct sqlite_db *db, void *context, struct error *err)
{
	struct secret *secret = context;
	struct sqlite_query *query =
	    sqlite_query(db, "INSERT INTO secret (name, bytes) VALUES (?1, ?2)"
	                     " ON CONFLICT (name) DO NOTHING");
	int error;

	sqlite_bind_text(query, 1, secret->name);
	sqlite_bind_blob(query, 2, secret->candidate, sizeof(secret->bytes));
	error = sqlite_run(query, err);
	return error ? error : read_secret(db, context, err);
}

int registry_sqlite_secret(struct registry *registry, const char *name,
                           const uint8_t candidate[32], uint8_t secret[32],
                           struct error *err)
{
	struct secret wanted = {.name = name, .candidate = candidate};
	int error = registry_sqlite_read(registry, read_secret, &wanted, err);

	if (error == ERR_NOT_FOUND)
		error =
		    registry_sqlite_write(registry, make_secret, &wanted, err);
	if (!error)
		memcpy(secret, wanted.bytes, sizeof(wanted.bytes));
	explicit_bzero(wanted.bytes, sizeof(wanted.bytes));
	return error;
}
