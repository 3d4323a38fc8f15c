/* The audit, the totals and the full check of the registry in SQLite. */
#include "store/registry/sqlite/addresses.h"
#include "store/registry/sqlite/rows.h"

static int add_line(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_audit *line = context;
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT INTO audit (tenant, id, at_ms, actor, action, object,"
	        " detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

	sqlite_bind_id(query, 1, &line->tenant);
	sqlite_bind_id(query, 2, &line->id);
	sqlite_bind_int(query, 3, line->at_ms);
	sqlite_bind_text(query, 4, line->actor);
	sqlite_bind_text(query, 5, line->action);
	registry_sqlite_bind(query, 6, line->object);
	registry_sqlite_bind(query, 7, line->detail);
	return sqlite_run(query, err);
}

int registry_sqlite_audit_add(struct registry *registry,
                              const struct registry_audit *line,
                              struct error *err)
{
	return registry_sqlite_write(registry, add_line, (void *)line, err);
}

void registry_sqlite_borrow_audit(struct sqlite_query *query,
                                  struct registry_audit *line)
{
	*line = (struct registry_audit){
	    .tenant = sqlite_column_id(query, 0),
	    .id = sqlite_column_id(query, 1),
	    .at_ms = sqlite_column_int(query, 2),
	    .actor = (char *)sqlite_column_text(query, 3),
	    .action = (char *)sqlite_column_text(query, 4),
	    .object = (char *)sqlite_column_text(query, 5),
	    .detail = (char *)sqlite_column_text(query, 6),
	};
}

struct walk {
	const struct id *tenant, *after;
	size_t limit;
	void (*each)(const struct registry_audit *line, void *context);
	void *context;
};

static int walk_lines(struct sqlite_db *db, void *context, struct error *err)
{
	const struct walk *walk = context;
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT " AUDIT_COLUMNS
	                     " FROM audit WHERE tenant = ?1 AND id > ?2"
	                     " ORDER BY id LIMIT ?3");
	int result;

	sqlite_bind_id(query, 1, walk->tenant);
	sqlite_bind_id(query, 2, walk->after);
	sqlite_bind_int(query, 3, (int64_t)walk->limit);
	while ((result = sqlite_step(query, err)) > 0) {
		struct registry_audit line;

		registry_sqlite_borrow_audit(query, &line);
		walk->each(&line, walk->context);
	}
	return result;
}

int registry_sqlite_audit_each(
    struct registry *registry, const struct id *tenant, const struct id *after,
    size_t limit, void (*each)(const struct registry_audit *, void *),
    void *context, struct error *err)
{
	struct walk walk = {tenant, after, limit, each, context};

	return registry_sqlite_read(registry, walk_lines, &walk, err);
}

static int read_totals(struct sqlite_db *db, void *context, struct error *err)
{
	struct registry_totals *totals = context;
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT (SELECT count(*) FROM tenant),"
	        " (SELECT value FROM counter WHERE name = 'messages'),"
	        " (SELECT value FROM counter WHERE name = 'recipients-held'),"
	        " (SELECT count(*) FROM challenge INDEXED BY challenge_changed"
	        " WHERE state = 0),"
	        " (SELECT count(*) FROM challenge INDEXED BY challenge_mail"
	        " WHERE state = 0 AND mail = 0)");
	int result = sqlite_step(query, err);

	if (result < 0)
		return result;
	totals->tenants = sqlite_column_int(query, 0);
	totals->messages = sqlite_column_int(query, 1);
	totals->recipients_held = sqlite_column_int(query, 2);
	totals->challenges_open = sqlite_column_int(query, 3);
	totals->mails_pending = sqlite_column_int(query, 4);
	return 0;
}

int registry_sqlite_count(struct registry *registry,
                          struct registry_totals *totals, struct error *err)
{
	struct registry_totals read = {0};
	int error = registry_sqlite_read(registry, read_totals, &read, err);

	if (!error)
		*totals = read;
	return error;
}

/* What is wrong where the statement gives a row. */
struct finding {
	const char *sql;
	const char *text;
};

static const struct finding findings[] = {
    {"SELECT 1 FROM message m WHERE held <> (SELECT count(*) FROM recipient r"
     " WHERE r.message = m.id AND r.state = 0) LIMIT 1",
     "a message miscounts its held recipients"},
    {"SELECT 1 FROM recipient r WHERE NOT EXISTS (SELECT 1 FROM message m"
     " WHERE m.id = r.message AND m.tenant = r.tenant) LIMIT 1",
     "a recipient without its message"},
    {"SELECT 1 FROM counter WHERE name = 'messages'"
     " AND value <> (SELECT count(*) FROM message)",
     "the count of messages is wrong"},
    {"SELECT 1 FROM counter WHERE name = 'recipients-held'"
     " AND value <> (SELECT count(*) FROM recipient WHERE state = 0)",
     "the count of held recipients is wrong"},
    {"SELECT 1 FROM tenant t WHERE decision_sequence < (SELECT"
     " ifnull(max(sequence), 0) FROM decision d WHERE d.tenant = t.id) LIMIT 1",
     "a decision has a sequence that was never given"},
    {"SELECT 1 FROM (SELECT id, policy_revision FROM tenant"
     " UNION ALL SELECT zeroblob(16), value FROM counter"
     " WHERE name = 'global-policy') o WHERE policy_revision < (SELECT"
     " ifnull(max(revision), 0) FROM entry e WHERE e.tenant = o.id) LIMIT 1",
     "an entry has a revision that was never given"},
};

static int check(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_sqlite *sqlite = context;
	int result = sqlite_db_check(db, err);

	for (size_t i = 0; !result && i < sizeof(findings) / sizeof(*findings);
	     i++) {
		result = sqlite_step(sqlite_query(db, findings[i].sql), err);
		if (result > 0)
			result =
			    error_set(err, ERR_CORRUPT, "%s", findings[i].text);
	}
	if (!result)
		result =
		    registry_sqlite_addresses_check(sqlite->addresses, db, err);
	return result;
}

int registry_sqlite_check(struct registry *registry, struct error *err)
{
	return registry_sqlite_read(registry, check, registry, err);
}
