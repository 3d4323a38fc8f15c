/* Tenants and their domains in SQLite. */
#include "store/registry/sqlite/rows.h"

#include <stdlib.h>

#include "common/array.h"

/* --- tenants ------------------------------------------------------------ */

#define TENANT "SELECT " TENANT_COLUMNS " FROM tenant "

void registry_sqlite_bind_tenant(struct sqlite_query *query,
                                 const struct registry_tenant *tenant)
{
	sqlite_bind_id(query, 1, &tenant->id);
	sqlite_bind_int(query, 2, tenant->created_ms);
	sqlite_bind_text(query, 3, tenant->name);
	sqlite_bind_text(query, 4, tenant->language);
	registry_sqlite_bind(query, 5, tenant->display_name);
	registry_sqlite_bind(query, 6, tenant->time_zone);
	registry_sqlite_bind(query, 7, tenant->from_name);
	sqlite_bind_int(query, 8, tenant->quota_messages);
	sqlite_bind_int(query, 9, tenant->quota_bytes);
}

static int add_tenant(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_tenant *tenant = context;
	struct sqlite_query *query = sqlite_query(db, TENANT_INSERT);

	registry_sqlite_bind_tenant(query, tenant);
	return sqlite_run(query, err);
}

int registry_sqlite_tenant_add(struct registry *registry,
                               const struct registry_tenant *tenant,
                               struct error *err)
{
	return registry_sqlite_write(registry, add_tenant, (void *)tenant, err);
}

static int change_tenant(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_tenant *tenant = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE tenant SET language = ?4, display_name = ?5,"
	        " time_zone = ?6, from_name = ?7, quota_messages = ?8,"
	        " quota_bytes = ?9 WHERE id = ?1");
	int error;

	registry_sqlite_bind_tenant(query, tenant);
	if ((error = sqlite_run(query, err)))
		return error;
	return sqlite_db_changes(db)
	           ? 0
	           : error_set(err, ERR_NOT_FOUND, "no such tenant");
}

int registry_sqlite_tenant_change(struct registry *registry,
                                  const struct registry_tenant *tenant,
                                  struct error *err)
{
	return registry_sqlite_write(registry, change_tenant, (void *)tenant,
	                             err);
}

int registry_sqlite_read_tenant(struct sqlite_query *query,
                                struct registry_tenant *tenant,
                                struct error *err)
{
	char **const texts[] = {&tenant->name, &tenant->language,
	                        &tenant->display_name, &tenant->time_zone,
	                        &tenant->from_name};

	tenant->id = sqlite_column_id(query, 0);
	tenant->created_ms = sqlite_column_int(query, 1);
	tenant->quota_messages = sqlite_column_int(query, 7);
	tenant->quota_bytes = sqlite_column_int(query, 8);
	return registry_sqlite_copy(query, 2, texts, 5, err);
}

static int find_tenant(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_lookup *lookup = context;
	struct sqlite_query *query =
	    lookup->name ? sqlite_query(db, TENANT "WHERE name = ?1")
	                 : sqlite_query(db, TENANT "WHERE id = ?1");
	int result = registry_sqlite_look_up(query, lookup, "tenant", err);

	return result < 0
	           ? result
	           : registry_sqlite_read_tenant(query, lookup->found, err);
}

static int look_for_tenant(struct registry *registry, const char *name,
                           const struct id *id, struct registry_tenant *tenant,
                           struct error *err)
{
	struct registry_tenant found = {0};
	struct registry_lookup lookup = {name, id, &found};
	int error = registry_sqlite_read(registry, find_tenant, &lookup, err);

	if (error)
		registry_tenant_release(&found);
	else
		*tenant = found;
	return error;
}

int registry_sqlite_tenant_find(struct registry *registry, const char *name,
                                struct registry_tenant *tenant,
                                struct error *err)
{
	return look_for_tenant(registry, name, NULL, tenant, err);
}

int registry_sqlite_tenant_read(struct registry *registry, const struct id *id,
                                struct registry_tenant *tenant,
                                struct error *err)
{
	return look_for_tenant(registry, NULL, id, tenant, err);
}

struct count {
	const struct id *tenant;
	struct registry_usage usage;
};

static int count_held(struct sqlite_db *db, void *context, struct error *err)
{
	struct count *count = context;
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT count(*), coalesce(sum(size), 0)"
	                     " FROM message INDEXED BY message_held"
	                     " WHERE tenant = ?1 AND held > 0");
	int result;

	sqlite_bind_id(query, 1, count->tenant);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	count->usage.messages = sqlite_column_int(query, 0);
	count->usage.bytes = sqlite_column_int(query, 1);
	return 0;
}

int registry_sqlite_tenant_usage(struct registry *registry,
                                 const struct id *tenant,
                                 struct registry_usage *usage,
                                 struct error *err)
{
	struct count count = {.tenant = tenant};
	int error = registry_sqlite_read(registry, count_held, &count, err);

	if (!error)
		*usage = count.usage;
	return error;
}

struct tenant_list {
	struct registry_tenant *tenants;
	size_t count, capacity;
};

static int list_tenants(struct sqlite_db *db, void *context, struct error *err)
{
	struct tenant_list *list = context;
	struct sqlite_query *query = sqlite_query(db, TENANT "ORDER BY name");
	int result, error;

	while ((result = sqlite_step(query, err)) > 0) {
		error =
		    array_grow((void **)&list->tenants, list->count,
		               &list->capacity, sizeof(*list->tenants), err);
		if (error)
			return error;
		error = registry_sqlite_read_tenant(
		    query, &list->tenants[list->count++], err);
		if (error)
			return error;
	}
	return result;
}

/* Tenants are listed first, so that each may use the registry again without
 * a connection being held meanwhile. */
int registry_sqlite_tenant_each(struct registry *registry,
                                void (*each)(const struct registry_tenant *,
                                             void *),
                                void *context, struct error *err)
{
	struct tenant_list list = {0};
	int error = registry_sqlite_read(registry, list_tenants, &list, err);

	for (size_t i = 0; i < list.count; i++) {
		if (!error)
			each(&list.tenants[i], context);
		registry_tenant_release(&list.tenants[i]);
	}
	free(list.tenants);
	return error;
}

/* --- domains ------------------------------------------------------------ */

struct domain {
	const struct id *tenant;
	const char *name;
};

static int add_domain(struct sqlite_db *db, void *context, struct error *err)
{
	const struct domain *domain = context;
	struct sqlite_query *query;
	int64_t revision;
	int error;

	if ((error = registry_sqlite_next_revision(db, domain->tenant,
	                                           &revision, err)))
		return error;
	query = sqlite_query(
	    db, "INSERT INTO domain (name, tenant) VALUES (?1, ?2)");
	sqlite_bind_text(query, 1, domain->name);
	sqlite_bind_id(query, 2, domain->tenant);
	return sqlite_run(query, err);
}

int registry_sqlite_domain_add(struct registry *registry,
                               const struct id *tenant, const char *domain,
                               struct error *err)
{
	struct domain added = {tenant, domain};

	return registry_sqlite_write(registry, add_domain, &added, err);
}

static int remove_domain(struct sqlite_db *db, void *context, struct error *err)
{
	const struct domain *domain = context;
	struct sqlite_query *query = sqlite_query(
	    db, "DELETE FROM domain WHERE name = ?1 AND tenant = ?2");
	int64_t revision;
	int error;

	sqlite_bind_text(query, 1, domain->name);
	sqlite_bind_id(query, 2, domain->tenant);
	if ((error = sqlite_run(query, err)))
		return error;
	if (!sqlite_db_changes(db))
		return error_set(err, ERR_NOT_FOUND, "%s: no such domain",
		                 domain->name);
	return registry_sqlite_next_revision(db, domain->tenant, &revision,
	                                     err);
}

int registry_sqlite_domain_remove(struct registry *registry,
                                  const struct id *tenant, const char *domain,
                                  struct error *err)
{
	struct domain removed = {tenant, domain};

	return registry_sqlite_write(registry, remove_domain, &removed, err);
}

struct domain_walk {
	const struct id *tenant;
	void (*each)(const char *domain, void *context);
	void *context;
};

static int walk_domains(struct sqlite_db *db, void *context, struct error *err)
{
	const struct domain_walk *walk = context;
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT name FROM domain WHERE tenant = ?1 ORDER BY name");
	int result;

	sqlite_bind_id(query, 1, walk->tenant);
	while ((result = sqlite_step(query, err)) > 0)
		walk->each(sqlite_column_text(query, 0), walk->context);
	return result;
}

int registry_sqlite_domain_each(struct registry *registry,
                                const struct id *tenant,
                                void (*each)(const char *, void *),
                                void *context, struct error *err)
{
	struct domain_walk walk = {tenant, each, context};

	return registry_sqlite_read(registry, walk_domains, &walk, err);
}
