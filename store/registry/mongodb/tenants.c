/* Tenants and their domains in MongoDB. */
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "store/registry/mongodb/account-documents.h"
#include "store/registry/mongodb/policy-sequencer.h"

/* --- tenants ------------------------------------------------------------ */

int registry_mongodb_tenant_add(struct registry *registry,
                                const struct registry_tenant *tenant,
                                struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t document = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_id(&document, "_id", &tenant->id);
	(void)registry_mongodb_append_tenant(&document, tenant);
	(void)BSON_APPEND_INT64(&document, "decision_sequence", 0);
	error = mongodb_insert(mongo->db, REGISTRY_TENANT, &document, err);
	bson_destroy(&document);
	if (error == ERR_EXISTS)
		return error_set(err, ERR_EXISTS, "%s: the name or id is taken",
		                 tenant->name);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

int registry_mongodb_tenant_change(struct registry *registry,
                                   const struct registry_tenant *tenant,
                                   struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	bson_t update = BSON_INITIALIZER, set;
	int error;

	(void)BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	(void)registry_mongodb_append_settings(&set, tenant);
	(void)bson_append_document_end(&update, &set);
	error =
	    registry_mongodb_update_tenant(mongo, &tenant->id, &update, err);
	bson_destroy(&update);
	if (!error)
		registry_mongodb_changed(mongo);
	return error;
}

static int find_tenant(struct registry_mongodb *mongo, const bson_t *selector,
                       struct registry_tenant *tenant, struct error *err)
{
	struct registry_tenant found = {.created_ms = 0};
	bson_t *document = NULL;
	int error = mongodb_find_one(mongo->db, REGISTRY_TENANT, selector, NULL,
	                             &document, err);

	if (error == ERR_NOT_FOUND)
		return error_set(err, ERR_NOT_FOUND, "no such tenant");
	if (error)
		return error;
	error = registry_mongodb_read_tenant(document, &found, err);
	bson_destroy(document);
	if (error)
		registry_tenant_release(&found);
	else
		*tenant = found;
	return error;
}

int registry_mongodb_tenant_find(struct registry *registry, const char *name,
                                 struct registry_tenant *tenant,
                                 struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_text(&selector, "name", name);
	/* Index: tenant_name. */
	error = find_tenant(registry_mongodb(registry), &selector, tenant, err);
	bson_destroy(&selector);
	return error;
}

int registry_mongodb_tenant_read(struct registry *registry, const struct id *id,
                                 struct registry_tenant *tenant,
                                 struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_id(&selector, "_id", id);
	/* Index: _id. */
	error = find_tenant(registry_mongodb(registry), &selector, tenant, err);
	bson_destroy(&selector);
	return error;
}

struct tenant_list {
	struct registry_tenant *tenants;
	size_t count, capacity;
};

static int collect_tenant(const bson_t *document, void *context,
                          struct error *err)
{
	struct tenant_list *list = context;
	int error = array_grow((void **)&list->tenants, list->count,
	                       &list->capacity, sizeof(*list->tenants), err);

	if (error)
		return error;
	return registry_mongodb_read_tenant(document,
	                                    &list->tenants[list->count++], err);
}

/* Tenants are listed first, so that each may use the registry again without
 * a connection being held meanwhile. */
int registry_mongodb_tenant_each(struct registry *registry,
                                 void (*each)(const struct registry_tenant *,
                                              void *),
                                 void *context, struct error *err)
{
	bson_t all = BSON_INITIALIZER, by_name = BSON_INITIALIZER;
	struct tenant_list list = {.count = 0};
	struct mongodb_find find = {
	    .collection = REGISTRY_TENANT, .selector = &all, .sort = &by_name};
	int error;

	(void)BSON_APPEND_INT32(&by_name, "name", 1);
	/* Index: tenant_name. */
	error = mongodb_find_each(registry_mongodb(registry)->db, &find,
	                          collect_tenant, &list, err);
	bson_destroy(&by_name);
	bson_destroy(&all);
	for (size_t i = 0; i < list.count; i++) {
		if (!error)
			each(&list.tenants[i], context);
		registry_tenant_release(&list.tenants[i]);
	}
	free(list.tenants);
	return error;
}

/* --- domains ------------------------------------------------------------ */

/*
 * A domain is {_id: name, tenant, deleted, revision}. One that was taken away
 * stays as a tombstone, so that a late helper does not bring it back. The
 * revision counts the domain's own changes: of two tenants that add it at once,
 * each by a turn of its own order, the first to put its document there has it.
 */
struct domain {
	const char *name;
	bool deleted;      /* what is to be made of it */
	int64_t *revision; /* out: of the document that was made */
};

/* ERR_NOT_FOUND where it never was anybody's. */
static int read_domain(struct registry_mongodb *mongo, const char *name,
                       bson_t **found, struct error *err)
{
	bson_t selector = BSON_INITIALIZER;
	int error;

	(void)mongodb_append_text(&selector, "_id", name);
	/* Index: _id. */
	error = mongodb_find_one(mongo->db, REGISTRY_DOMAIN, &selector, NULL,
	                         found, err);
	bson_destroy(&selector);
	return error;
}

static int prepare_domain(struct registry_mongodb *mongo,
                          struct registry_mongodb_policy_change *change,
                          int64_t revision, struct error *err)
{
	const struct domain *domain = change->context;
	bson_t *found = NULL;
	bool is_live = false, is_own = false;
	int error = 0;

	(void)revision;
	if (!domain->deleted)
		error =
		    registry_mongodb_need_tenant(mongo, change->tenant, err);
	if (error)
		return error;
	error = read_domain(mongo, domain->name, &found, err);
	if (error && error != ERR_NOT_FOUND)
		return error;
	*domain->revision = 1;
	if (!error) {
		struct id owner = mongodb_get_id(found, "tenant");

		is_live = !mongodb_get_bool(found, "deleted");
		is_own = id_equal(&owner, change->tenant);
		*domain->revision = mongodb_get_int(found, "revision") + 1;
		bson_destroy(found);
	}
	if (domain->deleted && (!is_live || !is_own))
		return error_set(err, ERR_NOT_FOUND, "%s: no such domain",
		                 domain->name);
	if (!domain->deleted && is_live)
		return error_set(err, ERR_EXISTS, "%s: the domain is taken",
		                 domain->name);
	change->document = bson_new();
	(void)mongodb_append_text(change->document, "_id", domain->name);
	(void)mongodb_append_id(change->document, "tenant", change->tenant);
	(void)BSON_APPEND_BOOL(change->document, "deleted", domain->deleted);
	(void)BSON_APPEND_INT64(change->document, "revision",
	                        *domain->revision);
	return 0;
}

/* Whose document of this revision it was that came to its place first. */
static int check_owner(struct registry_mongodb *mongo, const char *name,
                       const struct id *tenant, int64_t revision,
                       struct error *err)
{
	bson_t *found = NULL;
	int error = read_domain(mongo, name, &found, err);
	struct id owner;
	bool changed;

	if (error)
		return error;
	owner = mongodb_get_id(found, "tenant");
	changed = mongodb_get_int(found, "revision") > revision;
	bson_destroy(found);
	if (changed)
		return error_set(err, ERR_UNCERTAIN,
		                 "%s: the domain was changed meanwhile", name);
	return id_equal(&owner, tenant)
	           ? 0
	           : error_set(err, ERR_EXISTS, "%s: the domain is taken",
	                       name);
}

static int change_domain(struct registry *registry, const struct id *tenant,
                         const char *name, bool deleted, struct error *err)
{
	struct registry_mongodb *mongo = registry_mongodb(registry);
	int64_t revision = 0;
	struct domain domain = {name, deleted, &revision};
	struct registry_mongodb_policy_change change = {
	    .collection = REGISTRY_DOMAIN,
	    .tenant = tenant,
	    .prepare = prepare_domain,
	    .context = &domain};
	int error = registry_mongodb_policy_make(mongo, &change, err);

	return error || deleted
	           ? error
	           : check_owner(mongo, name, tenant, revision, err);
}

int registry_mongodb_domain_add(struct registry *registry,
                                const struct id *tenant, const char *domain,
                                struct error *err)
{
	return change_domain(registry, tenant, domain, false, err);
}

int registry_mongodb_domain_remove(struct registry *registry,
                                   const struct id *tenant, const char *domain,
                                   struct error *err)
{
	return change_domain(registry, tenant, domain, true, err);
}

struct domain_walk {
	void (*each)(const char *domain, void *context);
	void *context;
};

static int tell_domain(const bson_t *document, void *context, struct error *err)
{
	const struct domain_walk *walk = context;
	char *name = NULL;

	if (mongodb_get_text(document, "_id", &name))
		return registry_mongodb_memory(err);
	walk->each(name, walk->context);
	free(name);
	return 0;
}

int registry_mongodb_domain_each(struct registry *registry,
                                 const struct id *tenant,
                                 void (*each)(const char *, void *),
                                 void *context, struct error *err)
{
	bson_t selector = BSON_INITIALIZER, sort = BSON_INITIALIZER;
	struct domain_walk walk = {each, context};
	struct mongodb_find find = {.collection = REGISTRY_DOMAIN,
	                            .selector = &selector,
	                            .sort = &sort};
	int error;

	(void)mongodb_append_id(&selector, "tenant", tenant);
	(void)BSON_APPEND_BOOL(&selector, "deleted", false);
	(void)BSON_APPEND_INT32(&sort, "_id", 1);
	/* Index: domain_of_tenant. */
	error = mongodb_find_each(registry_mongodb(registry)->db, &find,
	                          tell_domain, &walk, err);
	bson_destroy(&sort);
	bson_destroy(&selector);
	return error;
}
