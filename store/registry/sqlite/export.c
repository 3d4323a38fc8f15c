/* Every record of the registry in SQLite, in pages, for copies. */
#include "store/registry/sqlite/challenge-rows.h"
#include "store/registry/sqlite/message-rows.h"
#include "store/registry/sqlite/rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"

/* --- one row each ------------------------------------------------------- */

typedef int (*row_reader)(struct sqlite_db *db, struct sqlite_query *query,
                          struct registry_record *record, struct error *err);

static int read_account(struct sqlite_db *db, struct sqlite_query *query,
                        struct registry_record *record, struct error *err)
{
	(void)db;
	return registry_sqlite_read_tenant(query, &record->account, err);
}

static int read_domain(struct sqlite_db *db, struct sqlite_query *query,
                       struct registry_record *record, struct error *err)
{
	char **const texts[] = {&record->domain};

	(void)db;
	record->tenant = sqlite_column_id(query, 0);
	return registry_sqlite_copy(query, 1, texts, 1, err);
}

static int read_key(struct sqlite_db *db, struct sqlite_query *query,
                    struct registry_record *record, struct error *err)
{
	(void)db;
	return registry_sqlite_read_key(query, &record->key, err);
}

static int read_user(struct sqlite_db *db, struct sqlite_query *query,
                     struct registry_record *record, struct error *err)
{
	(void)db;
	return registry_sqlite_read_user(query, &record->user, err);
}

static int read_entry(struct sqlite_db *db, struct sqlite_query *query,
                      struct registry_record *record, struct error *err)
{
	(void)db;
	record->tenant = sqlite_column_id(query, 13);
	return registry_sqlite_read_entry(query, &record->entry, err);
}

static int read_message(struct sqlite_db *db, struct sqlite_query *query,
                        struct registry_record *record, struct error *err)
{
	return registry_sqlite_read_message(db, query, &record->message, err);
}

static int read_decision(struct sqlite_db *db, struct sqlite_query *query,
                         struct registry_record *record, struct error *err)
{
	(void)db;
	record->tenant = sqlite_column_id(query, 7);
	return registry_sqlite_read_decision(query, &record->decision, err);
}

static int read_challenge(struct sqlite_db *db, struct sqlite_query *query,
                          struct registry_record *record, struct error *err)
{
	(void)db;
	return registry_sqlite_read_challenge(query, &record->challenge, err);
}

static int copy_bytes(struct sqlite_query *query, int index, uint8_t bytes[32],
                      struct error *err)
{
	size_t size;
	const void *stored = sqlite_column_blob(query, index, &size);

	if (size != 32)
		return error_set(err, ERR_CORRUPT,
		                 "%zu bytes in the place of 32", size);
	memcpy(bytes, stored, size);
	return 0;
}

static int read_dead_sender(struct sqlite_db *db, struct sqlite_query *query,
                            struct registry_record *record, struct error *err)
{
	(void)db;
	return registry_sqlite_read_dead(query, &record->dead_sender, err);
}

static int read_audit(struct sqlite_db *db, struct sqlite_query *query,
                      struct registry_record *record, struct error *err)
{
	struct registry_audit *line = &record->audit;
	char **const texts[] = {&line->actor, &line->action, &line->object,
	                        &line->detail};

	(void)db;
	line->tenant = sqlite_column_id(query, 0);
	line->id = sqlite_column_id(query, 1);
	line->at_ms = sqlite_column_int(query, 2);
	return registry_sqlite_copy(query, 3, texts, 4, err);
}

static int read_secret(struct sqlite_db *db, struct sqlite_query *query,
                       struct registry_record *record, struct error *err)
{
	char **const texts[] = {&record->secret.name};
	int error = copy_bytes(query, 1, record->secret.bytes, err);

	(void)db;
	return error ? error : registry_sqlite_copy(query, 0, texts, 1, err);
}

static int read_counters(struct sqlite_db *db, struct sqlite_query *query,
                         struct registry_record *record, struct error *err)
{
	(void)db;
	(void)err;
	record->tenant = sqlite_column_id(query, 0);
	record->counters.policy_revision = sqlite_column_int(query, 1);
	record->counters.decision_sequence = sqlite_column_int(query, 2);
	return 0;
}

/* --- pages -------------------------------------------------------------- */

#define BY_ID " WHERE id > ?1 ORDER BY id LIMIT ?3"

/* ?1 and ?2 are the key of the record before; ?1 is x'' for the first page,
 * which is less than any other. */
static const struct {
	const char *sql;
	row_reader read;
} kinds[REGISTRY_KIND_COUNT] = {
    [REGISTRY_TENANTS] = {"SELECT " TENANT_COLUMNS " FROM tenant" BY_ID,
                          read_account},
    [REGISTRY_DOMAINS] = {"SELECT tenant, name FROM domain"
                          " INDEXED BY domain_of_tenant"
                          " WHERE (tenant, name) > (?1, ?2)"
                          " ORDER BY tenant, name LIMIT ?3",
                          read_domain},
    [REGISTRY_KEYS] = {"SELECT " KEY_COLUMNS " FROM agent_key" BY_ID, read_key},
    [REGISTRY_USERS] = {"SELECT " USER_COLUMNS " FROM user" BY_ID, read_user},
    [REGISTRY_ENTRIES] = {"SELECT " ENTRY_COLUMNS ", tenant FROM entry" BY_ID,
                          read_entry},
    [REGISTRY_MESSAGES] = {"SELECT " MESSAGE_COLUMNS " FROM message" BY_ID,
                           read_message},
    [REGISTRY_DECISIONS] = {"SELECT " DECISION_COLUMNS ", tenant FROM decision"
                            " WHERE (tenant, sequence) > (?1, ?2)"
                            " ORDER BY tenant, sequence LIMIT ?3",
                            read_decision},
    [REGISTRY_CHALLENGES] = {"SELECT " CHALLENGE_COLUMNS
                             " FROM challenge" BY_ID,
                             read_challenge},
    [REGISTRY_DEAD_SENDERS] = {"SELECT " DEAD_COLUMNS " FROM dead_sender"
                               " WHERE hash > ?1 ORDER BY hash LIMIT ?3",
                               read_dead_sender},
    [REGISTRY_AUDIT] = {"SELECT " AUDIT_COLUMNS " FROM audit"
                        " WHERE (tenant, id) > (?1, ?2)"
                        " ORDER BY tenant, id LIMIT ?3",
                        read_audit},
    [REGISTRY_SECRETS] = {"SELECT name, bytes FROM secret"
                          " WHERE name > ?1 ORDER BY name LIMIT ?3",
                          read_secret},
    [REGISTRY_COUNTERS] = {"SELECT * FROM (SELECT zeroblob(16) AS id, value, 0"
                           " FROM counter WHERE name = 'global-policy'"
                           " UNION ALL SELECT id, policy_revision,"
                           " decision_sequence FROM tenant)" BY_ID,
                           read_counters},
};

struct listing {
	enum registry_kind kind;
	const struct registry_record *after;
	size_t limit;
	struct registry_records page;
};

static void bind_start(struct sqlite_query *query, enum registry_kind kind)
{
	if (kind == REGISTRY_SECRETS)
		sqlite_bind_text(query, 1, "");
	else
		sqlite_bind_blob(query, 1, NULL, 0);
	/* NULL would make the comparison of a pair unknown. */
	sqlite_bind_blob(query, 2, NULL, 0);
}

static void bind_after(struct sqlite_query *query,
                       const struct registry_record *after)
{
	switch (after->kind) {
	case REGISTRY_DOMAINS:
		sqlite_bind_id(query, 1, &after->tenant);
		registry_sqlite_bind(query, 2, after->domain);
		break;
	case REGISTRY_DECISIONS:
		sqlite_bind_id(query, 1, &after->tenant);
		sqlite_bind_int(query, 2, after->decision.sequence);
		break;
	case REGISTRY_AUDIT:
		sqlite_bind_id(query, 1, &after->audit.tenant);
		sqlite_bind_id(query, 2, &after->audit.id);
		break;
	case REGISTRY_DEAD_SENDERS:
		sqlite_bind_blob(query, 1, after->dead_sender.hash,
		                 sizeof(after->dead_sender.hash));
		break;
	case REGISTRY_SECRETS:
		registry_sqlite_bind(query, 1, after->secret.name);
		break;
	default:
		sqlite_bind_id(query, 1, registry_record_id(after));
		break;
	}
}

static int export_rows(struct sqlite_db *db, void *context, struct error *err)
{
	struct listing *listing = context;
	struct registry_records *page = &listing->page;
	struct sqlite_query *query = sqlite_query(db, kinds[listing->kind].sql);
	size_t capacity = 0;
	int result, error;

	if (listing->after)
		bind_after(query, listing->after);
	else
		bind_start(query, listing->kind);
	sqlite_bind_int(query, 3, (int64_t)listing->limit + 1);
	while ((result = sqlite_step(query, err)) > 0) {
		struct registry_record *record;

		if (page->count == listing->limit) {
			page->more = true;
			return 0;
		}
		error = array_grow((void **)&page->records, page->count,
		                   &capacity, sizeof(*page->records), err);
		if (error)
			return error;
		record = &page->records[page->count++];
		record->kind = listing->kind;
		error = kinds[listing->kind].read(db, query, record, err);
		if (error)
			return error;
	}
	return result;
}

int registry_sqlite_export(struct registry *registry, enum registry_kind kind,
                           const struct registry_record *after, size_t limit,
                           struct registry_records *page, struct error *err)
{
	struct listing listing = {.kind = kind, .after = after, .limit = limit};
	int error = registry_sqlite_read(registry, export_rows, &listing, err);

	if (error)
		registry_records_release(&listing.page);
	else
		*page = listing.page;
	return error;
}
