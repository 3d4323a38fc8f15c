/* Decisions and their log in SQLite. */
#include "store/registry/sqlite/rows.h"

#include <stdlib.h>

#include "common/array.h"

struct decide {
	const struct id *tenant;
	const struct registry_decision *decision;
};

/* Why no held recipient was found. */
static int explain(struct sqlite_db *db, const struct decide *decide,
                   struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT state FROM recipient"
	        " WHERE message = ?1 AND address = ?2 AND tenant = ?3");
	enum registry_state state;
	int result;

	sqlite_bind_id(query, 1, &decide->decision->message);
	sqlite_bind_text(query, 2, decide->decision->recipient);
	sqlite_bind_id(query, 3, decide->tenant);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such recipient");
	state = (enum registry_state)sqlite_column_int(query, 0);
	sqlite_reset(query);
	return error_set(err, ERR_CONFLICT, "the recipient is %s",
	                 registry_state_name(state));
}

static int move_recipient(struct sqlite_db *db, const struct decide *decide,
                          struct error *err)
{
	const struct registry_decision *decision = decide->decision;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE recipient SET state = ?4, changed_ms = ?5, by = ?6,"
	        " why = ?7 WHERE message = ?1 AND address = ?2"
	        " AND tenant = ?3 AND state = 0");
	int error;

	sqlite_bind_id(query, 1, &decision->message);
	sqlite_bind_text(query, 2, decision->recipient);
	sqlite_bind_id(query, 3, decide->tenant);
	sqlite_bind_int(query, 4, registry_verdict_state(decision->verdict));
	sqlite_bind_int(query, 5, decision->decided_ms);
	registry_sqlite_bind(query, 6, decision->by);
	registry_sqlite_bind(query, 7, decision->why);
	if ((error = sqlite_run(query, err)))
		return error;
	if (!sqlite_db_changes(db))
		return explain(db, decide, err);
	return registry_sqlite_unhold(db, &decision->message, err);
}

static int next_sequence(struct sqlite_db *db, const struct id *tenant,
                         int64_t *sequence, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE tenant SET decision_sequence = decision_sequence + 1"
	        " WHERE id = ?1 RETURNING decision_sequence");
	int result;

	sqlite_bind_id(query, 1, tenant);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such tenant");
	*sequence = sqlite_column_int(query, 0);
	return sqlite_run(query, err);
}

static int decide_one(struct sqlite_db *db, void *context, struct error *err)
{
	const struct decide *decide = context;
	const struct registry_decision *decision = decide->decision;
	struct sqlite_query *query;
	int64_t sequence = 0;
	int error;

	if ((error = move_recipient(db, decide, err)) ||
	    (error = next_sequence(db, decide->tenant, &sequence, err)))
		return error;
	query = sqlite_query(
	    db, "INSERT INTO decision (tenant, sequence, message, recipient,"
	        " verdict, by, why, decided_ms)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
	sqlite_bind_id(query, 1, decide->tenant);
	sqlite_bind_int(query, 2, sequence);
	sqlite_bind_id(query, 3, &decision->message);
	sqlite_bind_text(query, 4, decision->recipient);
	sqlite_bind_int(query, 5, decision->verdict);
	registry_sqlite_bind(query, 6, decision->by);
	registry_sqlite_bind(query, 7, decision->why);
	sqlite_bind_int(query, 8, decision->decided_ms);
	return sqlite_run(query, err);
}

int registry_sqlite_decide(struct registry *registry, const struct id *tenant,
                           const struct registry_decision *decision,
                           struct error *err)
{
	struct decide decide = {tenant, decision};

	return registry_sqlite_write(registry, decide_one, &decide, err);
}

struct listing {
	const struct id *tenant;
	int64_t after;
	size_t limit;
	struct registry_decisions page;
};

int registry_sqlite_read_decision(struct sqlite_query *query,
                                  struct registry_decision *decision,
                                  struct error *err)
{
	char **const texts[] = {&decision->recipient, &decision->by,
	                        &decision->why};

	decision->sequence = sqlite_column_int(query, 0);
	decision->message = sqlite_column_id(query, 1);
	decision->verdict = (enum registry_verdict)sqlite_column_int(query, 2);
	decision->decided_ms = sqlite_column_int(query, 3);
	return registry_sqlite_copy(query, 4, texts, 3, err);
}

static int list_decisions(struct sqlite_db *db, void *context,
                          struct error *err)
{
	struct listing *listing = context;
	struct registry_decisions *page = &listing->page;
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT " DECISION_COLUMNS
	        " FROM decision WHERE tenant = ?1 AND sequence > ?2"
	        " ORDER BY sequence LIMIT ?3");
	size_t capacity = 0;
	int result, error;

	sqlite_bind_id(query, 1, listing->tenant);
	sqlite_bind_int(query, 2, listing->after);
	sqlite_bind_int(query, 3, (int64_t)listing->limit + 1);
	while ((result = sqlite_step(query, err)) > 0) {
		if (page->count == listing->limit) {
			page->more = true;
			return 0;
		}
		error = array_grow((void **)&page->decisions, page->count,
		                   &capacity, sizeof(*page->decisions), err);
		if (error)
			return error;
		error = registry_sqlite_read_decision(
		    query, &page->decisions[page->count++], err);
		if (error)
			return error;
	}
	return result;
}

int registry_sqlite_decision_list(struct registry *registry,
                                  const struct id *tenant, int64_t after,
                                  size_t limit, struct registry_decisions *page,
                                  struct error *err)
{
	struct listing listing = {
	    .tenant = tenant, .after = after, .limit = limit};
	int error =
	    registry_sqlite_read(registry, list_decisions, &listing, err);

	if (error)
		registry_decisions_release(&listing.page);
	else
		*page = listing.page;
	return error;
}

struct last {
	const struct id *tenant;
	int64_t sequence;
};

static int read_last(struct sqlite_db *db, void *context, struct error *err)
{
	struct last *last = context;
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT decision_sequence FROM tenant WHERE id = ?1");
	int result;

	sqlite_bind_id(query, 1, last->tenant);
	if ((result = sqlite_step(query, err)) > 0)
		last->sequence = sqlite_column_int(query, 0);
	return result < 0 ? result : 0;
}

int registry_sqlite_decision_last(struct registry *registry,
                                  const struct id *tenant, int64_t *sequence,
                                  struct error *err)
{
	struct last last = {.tenant = tenant};
	int error = registry_sqlite_read(registry, read_last, &last, err);

	if (!error)
		*sequence = last.sequence;
	return error;
}
