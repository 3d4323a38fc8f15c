/* Records of a copy put into the registry in SQLite as they are. */
#include "store/registry/sqlite/challenge-rows.h"
#include "store/registry/sqlite/import.h"
#include "store/registry/sqlite/rows.h"

/*
 * Each kind has two statements, with the same parameters: one for a record
 * that must be new, and what it is followed by where one with the same key is
 * to be replaced. What another record holds is ERR_EXISTS in both.
 */
#define CHOOSE(db, insert, otherwise)                                          \
	(replace ? sqlite_query(db, insert otherwise)                          \
	         : sqlite_query(db, insert))

static int import_tenant(struct sqlite_db *db,
                         const struct registry_record *record, bool replace,
                         struct error *err)
{
	const struct registry_tenant *tenant = &record->account;
	struct sqlite_query *query =
	    CHOOSE(db, TENANT_INSERT,
	           " ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
	           " language = excluded.language,"
	           " display_name = excluded.display_name,"
	           " time_zone = excluded.time_zone,"
	           " from_name = excluded.from_name,"
	           " quota_messages = excluded.quota_messages,"
	           " quota_bytes = excluded.quota_bytes,"
	           " created_ms = excluded.created_ms");

	registry_sqlite_bind_tenant(query, tenant);
	return sqlite_run(query, err);
}

/* A domain is all key: replacing it changes nothing. */
static int import_domain(struct sqlite_db *db,
                         const struct registry_record *record, bool replace,
                         struct error *err)
{
	struct sqlite_query *query =
	    CHOOSE(db, "INSERT INTO domain (name, tenant) VALUES (?1, ?2)",
	           " ON CONFLICT (name) DO UPDATE SET tenant = tenant"
	           " WHERE tenant = excluded.tenant");
	int error;

	sqlite_bind_text(query, 1, record->domain);
	sqlite_bind_id(query, 2, &record->tenant);
	if ((error = sqlite_run(query, err)))
		return error;
	return sqlite_db_changes(db) ? 0 : ERR_EXISTS;
}

#define KEY_INSERT                                                             \
	"INSERT INTO agent_key (" KEY_COLUMNS ")"                              \
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"

/* ERR_EXISTS where the agent has as many other valid keys as he may. */
static int need_place_of_key(struct sqlite_db *db,
                             const struct registry_key *key, struct error *err)
{
	struct sqlite_query *query;
	int result;

	if (key->revoked_ms)
		return 0;
	query = sqlite_query(db, "SELECT count(*) FROM agent_key"
	                         " WHERE tenant = ?1 AND agent = ?2"
	                         " AND revoked_ms = 0 AND id <> ?3");
	sqlite_bind_id(query, 1, &key->tenant);
	sqlite_bind_text(query, 2, key->agent);
	sqlite_bind_id(query, 3, &key->id);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	result = sqlite_column_int(query, 0) >= REGISTRY_SQLITE_VALID_KEYS
	             ? ERR_EXISTS
	             : 0;
	sqlite_reset(query);
	return result;
}

static int import_key(struct sqlite_db *db,
                      const struct registry_record *record, bool replace,
                      struct error *err)
{
	const struct registry_key *key = &record->key;
	struct sqlite_query *query =
	    CHOOSE(db, KEY_INSERT,
	           " ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant,"
	           " agent = excluded.agent, prefix = excluded.prefix,"
	           " hash = excluded.hash, created_ms = excluded.created_ms,"
	           " revoked_ms = excluded.revoked_ms");
	int error = need_place_of_key(db, key, err);

	if (error)
		return error;
	sqlite_bind_id(query, 1, &key->id);
	sqlite_bind_id(query, 2, &key->tenant);
	sqlite_bind_text(query, 3, key->agent);
	sqlite_bind_text(query, 4, key->prefix);
	sqlite_bind_blob(query, 5, key->hash, sizeof(key->hash));
	sqlite_bind_int(query, 6, key->created_ms);
	sqlite_bind_int(query, 7, key->revoked_ms);
	return sqlite_run(query, err);
}

#define USER_INSERT                                                            \
	"INSERT INTO user (" USER_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)"

static int import_user(struct sqlite_db *db,
                       const struct registry_record *record, bool replace,
                       struct error *err)
{
	const struct registry_user *user = &record->user;
	struct sqlite_query *query =
	    CHOOSE(db, USER_INSERT,
	           " ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant,"
	           " created_ms = excluded.created_ms, login = excluded.login,"
	           " role = excluded.role, password = excluded.password");

	sqlite_bind_id(query, 1, &user->id);
	sqlite_bind_id(query, 2, &user->tenant);
	sqlite_bind_int(query, 3, user->created_ms);
	sqlite_bind_text(query, 4, user->login);
	sqlite_bind_text(query, 5, user->role);
	sqlite_bind_text(query, 6, user->password);
	return sqlite_run(query, err);
}

/* A revision counts as given out, whatever becomes of the entry: so it is on
 * every backend. */
static int import_entry(struct sqlite_db *db,
                        const struct registry_record *record, bool replace,
                        struct error *err)
{
	struct sqlite_query *query = CHOOSE(
	    db, ENTRY_INSERT,
	    " ON CONFLICT (id) DO UPDATE SET scope = excluded.scope,"
	    " scope_value = excluded.scope_value, kind = excluded.kind,"
	    " value = excluded.value, colour = excluded.colour,"
	    " origin = excluded.origin, demands_pass = excluded.demands_pass,"
	    " deleted = excluded.deleted, expires_ms = excluded.expires_ms,"
	    " created_ms = excluded.created_ms, revision = excluded.revision,"
	    " note = excluded.note, tenant = excluded.tenant");
	int error = registry_sqlite_raise_policy(db, &record->tenant,
	                                         record->entry.revision, err);

	if (error)
		return error;
	registry_sqlite_bind_entry(query, &record->entry);
	sqlite_bind_id(query, 14, &record->tenant);
	return sqlite_run(query, err);
}

#define DECISION_INSERT                                                        \
	"INSERT INTO decision (" DECISION_COLUMNS ", tenant)"                  \
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"

/* As a revision is, so is a sequence. */
static int import_decision(struct sqlite_db *db,
                           const struct registry_record *record, bool replace,
                           struct error *err)
{
	const struct registry_decision *decision = &record->decision;
	struct sqlite_query *query =
	    CHOOSE(db, DECISION_INSERT,
	           " ON CONFLICT (tenant, sequence) DO UPDATE"
	           " SET message = excluded.message,"
	           " verdict = excluded.verdict,"
	           " decided_ms = excluded.decided_ms,"
	           " recipient = excluded.recipient, by = excluded.by,"
	           " why = excluded.why");
	int error = registry_sqlite_raise_sequence(db, &record->tenant,
	                                           decision->sequence, err);

	if (error)
		return error;
	sqlite_bind_int(query, 1, decision->sequence);
	sqlite_bind_id(query, 2, &decision->message);
	sqlite_bind_int(query, 3, decision->verdict);
	sqlite_bind_int(query, 4, decision->decided_ms);
	sqlite_bind_text(query, 5, decision->recipient);
	registry_sqlite_bind(query, 6, decision->by);
	registry_sqlite_bind(query, 7, decision->why);
	sqlite_bind_id(query, 8, &record->tenant);
	return sqlite_run(query, err);
}

static int import_challenge(struct sqlite_db *db,
                            const struct registry_record *record, bool replace,
                            struct error *err)
{
	struct sqlite_query *query = CHOOSE(
	    db, CHALLENGE_INSERT,
	    " ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant,"
	    " message = excluded.message, sender_hash = excluded.sender_hash,"
	    " token_hash = excluded.token_hash, state = excluded.state,"
	    " created_ms = excluded.created_ms,"
	    " expires_ms = excluded.expires_ms,"
	    " changed_ms = excluded.changed_ms, attempts = excluded.attempts,"
	    " code_serial = excluded.code_serial, mail = excluded.mail,"
	    " mail_attempts = excluded.mail_attempts,"
	    " mail_next_ms = excluded.mail_next_ms,"
	    " mail_lease_ms = excluded.mail_lease_ms,"
	    " sender = excluded.sender, code = excluded.code,"
	    " mail_owner = excluded.mail_owner,"
	    " mail_reply = excluded.mail_reply,"
	    " end_reason = excluded.end_reason,"
	    " client_hash = excluded.client_hash,"
	    " domain_hash = excluded.domain_hash");

	registry_sqlite_bind_challenge(query, &record->challenge);
	return sqlite_run(query, err);
}

static int import_dead_sender(struct sqlite_db *db,
                              const struct registry_record *record,
                              bool replace, struct error *err)
{
	struct sqlite_query *query = CHOOSE(db, DEAD_INSERT, DEAD_REPLACE);

	registry_sqlite_bind_dead(query, &record->dead_sender);
	return sqlite_run(query, err);
}

#define AUDIT_INSERT                                                           \
	"INSERT INTO audit (" AUDIT_COLUMNS ")"                                \
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"

static int import_audit(struct sqlite_db *db,
                        const struct registry_record *record, bool replace,
                        struct error *err)
{
	const struct registry_audit *line = &record->audit;
	struct sqlite_query *query =
	    CHOOSE(db, AUDIT_INSERT,
	           " ON CONFLICT (tenant, id) DO UPDATE"
	           " SET at_ms = excluded.at_ms, actor = excluded.actor,"
	           " action = excluded.action, object = excluded.object,"
	           " detail = excluded.detail");

	sqlite_bind_id(query, 1, &line->tenant);
	sqlite_bind_id(query, 2, &line->id);
	sqlite_bind_int(query, 3, line->at_ms);
	sqlite_bind_text(query, 4, line->actor);
	sqlite_bind_text(query, 5, line->action);
	registry_sqlite_bind(query, 6, line->object);
	registry_sqlite_bind(query, 7, line->detail);
	return sqlite_run(query, err);
}

static int import_secret(struct sqlite_db *db,
                         const struct registry_record *record, bool replace,
                         struct error *err)
{
	struct sqlite_query *query =
	    CHOOSE(db, "INSERT INTO secret (name, bytes) VALUES (?1, ?2)",
	           " ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes");

	sqlite_bind_text(query, 1, record->secret.name);
	sqlite_bind_blob(query, 2, record->secret.bytes,
	                 sizeof(record->secret.bytes));
	return sqlite_run(query, err);
}

static int import_counters(struct sqlite_db *db,
                           const struct registry_record *record, bool replace,
                           struct error *err)
{
	int error = registry_sqlite_raise_policy(
	    db, &record->tenant, record->counters.policy_revision, err);

	(void)replace; /* the higher value stays, so or so */
	if (error || id_is_none(&record->tenant))
		return error;
	return registry_sqlite_raise_sequence(
	    db, &record->tenant, record->counters.decision_sequence, err);
}

typedef int (*importer)(struct sqlite_db *db,
                        const struct registry_record *record, bool replace,
                        struct error *err);

static const importer importers[REGISTRY_KIND_COUNT] = {
    [REGISTRY_TENANTS] = import_tenant,
    [REGISTRY_DOMAINS] = import_domain,
    [REGISTRY_KEYS] = import_key,
    [REGISTRY_USERS] = import_user,
    [REGISTRY_ENTRIES] = import_entry,
    [REGISTRY_MESSAGES] = registry_sqlite_import_message,
    [REGISTRY_DECISIONS] = import_decision,
    [REGISTRY_CHALLENGES] = import_challenge,
    [REGISTRY_DEAD_SENDERS] = import_dead_sender,
    [REGISTRY_AUDIT] = import_audit,
    [REGISTRY_SECRETS] = import_secret,
    [REGISTRY_COUNTERS] = import_counters,
};

struct import {
	const struct registry_record *records;
	size_t count;
	bool replace;
	int *results;
};

static int import_all(struct sqlite_db *db, void *context, struct error *err)
{
	const struct import *import = context;

	for (size_t i = 0; i < import->count; i++) {
		const struct registry_record *record = &import->records[i];
		int error =
		    importers[record->kind](db, record, import->replace, err);

		if (error && error != ERR_EXISTS)
			return error;
		import->results[i] = error;
	}
	return 0;
}

int registry_sqlite_import(struct registry *registry,
                           const struct registry_record *records, size_t count,
                           bool replace, int *results, struct error *err)
{
	struct import import = {records, count, replace, results};

	return registry_sqlite_write(registry, import_all, &import, err);
}
