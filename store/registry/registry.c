/*
 * The registry's functions for tenants, lists and the store itself: they check
 * what they are given and call the backend.
 */
#include "store/registry/input.h"

#include <stdlib.h>
#include <string.h>

static const struct id none;

const char *const registry_backend_names[] = {"sqlite", "mongodb", NULL};

static const struct registry_backend *const backends[] = {
    &registry_sqlite_backend,
    &registry_mongodb_backend,
    NULL,
};

int registry_open(struct registry **registry,
                  const struct registry_options *options, struct error *err)
{
	int error;

	if ((error = input_required("backend", options->backend, err)) ||
	    (error = input_required("location", options->location, err)))
		return error;
	for (size_t i = 0; backends[i]; i++)
		if (strcmp(backends[i]->name, options->backend) == 0)
			return backends[i]->open(registry, options, err);
	return error_set(err, ERR_INVALID, "backend: %s is not known",
	                 options->backend);
}

void registry_close(struct registry *registry)
{
	if (registry)
		registry->backend->close(registry);
}

const char *registry_engine(const struct registry *registry)
{
	return registry->backend->engine(registry);
}

int registry_watch(struct registry *registry, int64_t *version,
                   int64_t timeout_ms, struct error *err)
{
	return registry->backend->watch(registry, version, timeout_ms, err);
}

void registry_watch_cancel(struct registry *registry)
{
	registry->backend->watch_cancel(registry);
}

int registry_lease(struct registry *registry, const char *name,
                   const char *owner, int64_t now_ms, int64_t lease_ms,
                   struct error *err)
{
	int error;

	if ((error = input_required("name", name, err)) ||
	    (error = input_required("owner", owner, err)))
		return error;
	return registry->backend->lease(registry, name, owner, now_ms, lease_ms,
	                                err);
}

int registry_secret(struct registry *registry, const char *name,
                    uint8_t secret[32], struct error *err)
{
	uint8_t candidate[32];
	int error = input_required("name", name, err);

	if (error)
		return error;
	random_bytes(candidate, sizeof(candidate));
	error =
	    registry->backend->secret(registry, name, candidate, secret, err);
	explicit_bzero(candidate, sizeof(candidate));
	return error;
}

int registry_check(struct registry *registry, struct error *err)
{
	return registry->backend->check(registry, err);
}

int registry_tenant_add(struct registry *registry,
                        const struct registry_tenant *tenant, struct error *err)
{
	int error = input_tenant(tenant, err);

	return error ? error
	             : registry->backend->tenant_add(registry, tenant, err);
}

int registry_tenant_change(struct registry *registry,
                           const struct registry_tenant *tenant,
                           struct error *err)
{
	int error = input_tenant(tenant, err);

	return error ? error
	             : registry->backend->tenant_change(registry, tenant, err);
}

int registry_tenant_usage(struct registry *registry, const struct id *tenant,
                          struct registry_usage *usage, struct error *err)
{
	return registry->backend->tenant_usage(registry, tenant, usage, err);
}

int registry_tenant_find(struct registry *registry, const char *name,
                         struct registry_tenant *tenant, struct error *err)
{
	int error = input_required("name", name, err);

	return error ? error
	             : registry->backend->tenant_find(registry, name, tenant,
	                                              err);
}

int registry_tenant_read(struct registry *registry, const struct id *id,
                         struct registry_tenant *tenant, struct error *err)
{
	return registry->backend->tenant_read(registry, id, tenant, err);
}

int registry_tenant_each(struct registry *registry,
                         void (*each)(const struct registry_tenant *tenant,
                                      void *context),
                         void *context, struct error *err)
{
	return registry->backend->tenant_each(registry, each, context, err);
}

int registry_domain_add(struct registry *registry, const struct id *tenant,
                        const char *domain, struct error *err)
{
	int error;

	if ((error = input_id("tenant", tenant, err)) ||
	    (error = input_required("domain", domain, err)))
		return error;
	return registry->backend->domain_add(registry, tenant, domain, err);
}

int registry_domain_remove(struct registry *registry, const struct id *tenant,
                           const char *domain, struct error *err)
{
	int error;

	if ((error = input_id("tenant", tenant, err)) ||
	    (error = input_required("domain", domain, err)))
		return error;
	return registry->backend->domain_remove(registry, tenant, domain, err);
}

int registry_domain_each(struct registry *registry, const struct id *tenant,
                         void (*each)(const char *domain, void *context),
                         void *context, struct error *err)
{
	return registry->backend->domain_each(registry, tenant, each, context,
	                                      err);
}

int registry_key_add(struct registry *registry, const struct registry_key *key,
                     struct error *err)
{
	int error;

	if ((error = input_id("id", &key->id, err)) ||
	    (error = input_id("tenant", &key->tenant, err)) ||
	    (error = input_required("agent", key->agent, err)) ||
	    (error = input_required("prefix", key->prefix, err)))
		return error;
	return registry->backend->key_add(registry, key, err);
}

int registry_key_find(struct registry *registry, const char *prefix,
                      struct registry_key *key, struct error *err)
{
	int error = input_required("prefix", prefix, err);

	return error ? error
	             : registry->backend->key_find(registry, prefix, key, err);
}

int registry_key_revoke(struct registry *registry, const struct id *tenant,
                        const char *prefix, int64_t now_ms, struct error *err)
{
	int error;

	if ((error = input_id("tenant", tenant, err)) ||
	    (error = input_required("prefix", prefix, err)))
		return error;
	if (now_ms <= 0)
		return error_set(err, ERR_INVALID, "now_ms: not positive");
	return registry->backend->key_revoke(registry, tenant, prefix, now_ms,
	                                     err);
}

int registry_key_each(struct registry *registry, const struct id *tenant,
                      void (*each)(const struct registry_key *key,
                                   void *context),
                      void *context, struct error *err)
{
	return registry->backend->key_each(registry, tenant, each, context,
	                                   err);
}

int registry_user_add(struct registry *registry,
                      const struct registry_user *user, struct error *err)
{
	int error;

	if ((error = input_id("id", &user->id, err)) ||
	    (error = input_required("login", user->login, err)) ||
	    (error = input_required("password", user->password, err)) ||
	    (error = input_role(user->role, &user->tenant, err)))
		return error;
	return registry->backend->user_add(registry, user, err);
}

int registry_user_find(struct registry *registry, const char *login,
                       struct registry_user *user, struct error *err)
{
	int error = input_required("login", login, err);

	return error ? error
	             : registry->backend->user_find(registry, login, user, err);
}

int registry_user_each(struct registry *registry, const struct id *tenant,
                       void (*each)(const struct registry_user *user,
                                    void *context),
                       void *context, struct error *err)
{
	return registry->backend->user_each(registry, tenant, each, context,
	                                    err);
}

int registry_entry_put(struct registry *registry, const struct id *tenant,
                       const struct entry *entry, struct entry *stored,
                       struct error *err)
{
	int error = input_entry(tenant, entry, err);

	return error ? error
	             : registry->backend->entry_put(registry, tenant, entry,
	                                            stored, err);
}

int registry_entry_remove(struct registry *registry, const struct id *tenant,
                          const struct id *id, struct error *err)
{
	return registry->backend->entry_remove(registry, tenant, id, err);
}

int registry_entry_list(struct registry *registry, const struct id *tenant,
                        const struct id *after, size_t limit,
                        struct registry_entries *page, struct error *err)
{
	int error = input_limit(limit, REGISTRY_LIMIT_MAXIMUM, err);

	return error ? error
	             : registry->backend->entry_list(registry, tenant,
	                                             after ? after : &none,
	                                             limit, page, err);
}

/* Adds at most limit changes of one order to the page, and moves *after behind
 * them; limit may be 0, to see whether there are more. */
static int add_changes(struct registry *registry, const struct id *tenant,
                       int64_t *after, size_t limit,
                       struct registry_entries *page, struct error *err)
{
	struct registry_entries found = {0};
	struct entry *all;
	int error = registry->backend->entry_changes(registry, tenant, *after,
	                                             limit, &found, err);

	if (error)
		return error;
	page->more = found.more;
	if (!found.count)
		return 0;
	all =
	    realloc(page->entries, (page->count + found.count) * sizeof(*all));
	if (!all) {
		registry_entries_release(&found);
		return error_set(err, ERR_MEMORY, "out of memory");
	}
	*after = found.entries[found.count - 1].revision;
	memcpy(all + page->count, found.entries, found.count * sizeof(*all));
	page->entries = all;
	page->count += found.count;
	free(found.entries);
	return 0;
}

int registry_entry_changes(struct registry *registry, const struct id *tenant,
                           struct registry_policy_cursor *cursor, size_t limit,
                           struct registry_entries *page, struct error *err)
{
	struct registry_policy_cursor next = *cursor;
	struct registry_entries all = {0};
	int error = input_limit(limit, REGISTRY_LIMIT_MAXIMUM, err);

	if (error)
		return error;
	if (!id_is_none(tenant))
		error =
		    add_changes(registry, tenant, &next.own, limit, &all, err);
	if (!error && !all.more)
		error = add_changes(registry, &none, &next.global,
		                    limit - all.count, &all, err);
	if (error) {
		registry_entries_release(&all);
		return error;
	}
	*cursor = next;
	*page = all;
	return 0;
}

int registry_policy_revision(struct registry *registry, const struct id *tenant,
                             struct registry_policy_cursor *revision,
                             struct error *err)
{
	struct registry_policy_cursor read = {0};
	int error = registry->backend->policy_revision(registry, &none,
	                                               &read.global, err);

	if (!error && !id_is_none(tenant))
		error = registry->backend->policy_revision(registry, tenant,
		                                           &read.own, err);
	if (!error)
		*revision = read;
	return error;
}

int registry_entry_match(struct registry *registry, const struct id *tenant,
                         const struct entry_subject *subjects, size_t count,
                         struct entry *entries, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (!subjects[i].identity || !subjects[i].recipient ||
		    !subjects[i].client_address)
			return error_set(err, ERR_INVALID,
			                 "subject: a part is missing");
	memset(entries, 0, count * sizeof(*entries));
	if (!count)
		return 0;
	return registry->backend->entry_match(registry, tenant, subjects, count,
	                                      entries, err);
}
