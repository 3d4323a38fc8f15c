/* Tenants, keys and users as documents in MongoDB, and back. */
#include "store/registry/mongodb/account-documents.h"

int registry_mongodb_read_tenant(const bson_t *document,
                                 struct registry_tenant *tenant,
                                 struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"name", &tenant->name},
	    {"language", &tenant->language},
	    {"display_name", &tenant->display_name},
	    {"time_zone", &tenant->time_zone},
	    {"from_name", &tenant->from_name}};

	tenant->id = mongodb_get_id(document, "_id");
	tenant->created_ms = mongodb_get_int(document, "created");
	tenant->quota_messages = mongodb_get_int(document, "quota_messages");
	tenant->quota_bytes = mongodb_get_int(document, "quota_bytes");
	return registry_mongodb_texts(document, texts, 5, err);
}

bool registry_mongodb_append_settings(bson_t *document,
                                      const struct registry_tenant *tenant)
{
	return mongodb_append_text(document, "language", tenant->language) &&
	       mongodb_append_text(document, "display_name",
	                           tenant->display_name) &&
	       mongodb_append_text(document, "time_zone", tenant->time_zone) &&
	       mongodb_append_text(document, "from_name", tenant->from_name) &&
	       BSON_APPEND_INT64(document, "quota_messages",
	                         tenant->quota_messages) &&
	       BSON_APPEND_INT64(document, "quota_bytes", tenant->quota_bytes);
}

bool registry_mongodb_append_tenant(bson_t *document,
                                    const struct registry_tenant *tenant)
{
	return mongodb_append_text(document, "name", tenant->name) &&
	       registry_mongodb_append_settings(document, tenant) &&
	       mongodb_append_time(document, "created", tenant->created_ms);
}

int registry_mongodb_read_key(const bson_t *document, struct registry_key *key,
                              struct error *err)
{
	const struct registry_mongodb_text texts[] = {{"agent", &key->agent},
	                                              {"prefix", &key->prefix}};

	key->id = mongodb_get_id(document, "_id");
	key->tenant = mongodb_get_id(document, "tenant");
	key->created_ms = mongodb_get_int(document, "created");
	key->revoked_ms = mongodb_get_int(document, "revoked");
	if (registry_mongodb_texts(document, texts, 2, err))
		return ERR_MEMORY;
	return registry_mongodb_bytes(document, "hash", key->hash,
	                              sizeof(key->hash), err);
}

const char *registry_mongodb_key_slot(int index)
{
	return index ? "2" : "1";
}

bool registry_mongodb_append_key(bson_t *document,
                                 const struct registry_key *key,
                                 const char *slot)
{
	return mongodb_append_id(document, "tenant", &key->tenant) &&
	       mongodb_append_text(document, "agent", key->agent) &&
	       mongodb_append_text(document, "prefix", key->prefix) &&
	       mongodb_append_text(document, "slot",
	                           key->revoked_ms ? key->prefix : slot) &&
	       mongodb_append_bytes(document, "hash", key->hash,
	                            sizeof(key->hash)) &&
	       mongodb_append_time(document, "created", key->created_ms) &&
	       (!key->revoked_ms ||
	        mongodb_append_time(document, "revoked", key->revoked_ms));
}

int registry_mongodb_read_user(const bson_t *document,
                               struct registry_user *user, struct error *err)
{
	const struct registry_mongodb_text texts[] = {
	    {"login", &user->login},
	    {"role", &user->role},
	    {"password", &user->password}};

	user->id = mongodb_get_id(document, "_id");
	user->tenant = mongodb_get_id(document, "tenant");
	user->created_ms = mongodb_get_int(document, "created");
	return registry_mongodb_texts(document, texts, 3, err);
}

bool registry_mongodb_append_user(bson_t *document,
                                  const struct registry_user *user)
{
	return mongodb_append_id(document, "tenant", &user->tenant) &&
	       mongodb_append_text(document, "login", user->login) &&
	       mongodb_append_text(document, "role", user->role) &&
	       mongodb_append_text(document, "password", user->password) &&
	       mongodb_append_time(document, "created", user->created_ms);
}
