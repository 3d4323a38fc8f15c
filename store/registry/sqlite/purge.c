/* Deleting in SQLite what nothing needs any more, in small writes. */
#include "store/registry/sqlite/message-rows.h"

/* Rows deleted in one write: a message's and a recipient's touch some ten
 * pages each. */
#define MESSAGE_ROWS 40
#define RECORD_STEP  100

struct purge {
	enum registry_kind kind;
	int64_t before_ms;
	int64_t step;
	int64_t deleted; /* by one write */
	bool more;       /* there may be others */
};

/* ?1 before, ?2 how many; what has no message is purged as one statement. */
static const char *statement(enum registry_kind kind)
{
	switch (kind) {
	case REGISTRY_DECISIONS:
		return "DELETE FROM decision WHERE (tenant, sequence) IN"
		       " (SELECT tenant, sequence FROM decision"
		       " INDEXED BY decision_by_time WHERE decided_ms < ?1"
		       " ORDER BY decided_ms LIMIT ?2)";
	case REGISTRY_CHALLENGES:
		return "DELETE FROM challenge WHERE rowid IN"
		       " (SELECT rowid FROM challenge"
		       " INDEXED BY challenge_changed WHERE state IN (2, 3, 4)"
		       " AND changed_ms < ?1 LIMIT ?2)";
	case REGISTRY_DEAD_SENDERS:
		return "DELETE FROM dead_sender WHERE hash IN"
		       " (SELECT hash FROM dead_sender"
		       " INDEXED BY dead_sender_by_time WHERE marked_ms < ?1"
		       " ORDER BY marked_ms LIMIT ?2)";
	default:
		return "DELETE FROM audit WHERE (tenant, id) IN"
		       " (SELECT tenant, id FROM audit"
		       " INDEXED BY audit_by_time WHERE at_ms < ?1"
		       " ORDER BY at_ms LIMIT ?2)";
	}
}

static int delete_records(struct sqlite_db *db, void *context,
                          struct error *err)
{
	struct purge *purge = context;
	struct sqlite_query *query = sqlite_query(db, statement(purge->kind));
	int error;

	sqlite_bind_int(query, 1, purge->before_ms);
	sqlite_bind_int(query, 2, purge->step);
	if ((error = sqlite_run(query, err)))
		return error;
	purge->deleted = sqlite_db_changes(db);
	purge->more = purge->deleted == purge->step;
	return 0;
}

/* The next message that ended before, if there is one: 1, 0 or an error. */
static int find_ended(struct sqlite_db *db, const struct purge *purge,
                      struct id *id, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT id FROM message INDEXED BY message_ended"
	                     " WHERE held = 0 AND expires_ms < ?1"
	                     " ORDER BY expires_ms LIMIT 1");
	int result;

	sqlite_bind_int(query, 1, purge->before_ms);
	if ((result = sqlite_step(query, err)) > 0)
		*id = sqlite_column_id(query, 0);
	sqlite_reset(query);
	return result;
}

/* Some have a thousand recipients: rows are counted, not messages. */
static int delete_messages(struct sqlite_db *db, void *context,
                           struct error *err)
{
	struct purge *purge = context;
	int64_t rows = 0;

	purge->more = true;
	while (purge->more && purge->deleted < purge->step &&
	       rows < MESSAGE_ROWS) {
		struct id id;
		int result = find_ended(db, purge, &id, err);

		if (result > 0)
			result =
			    registry_sqlite_delete_message(db, &id, &rows, err);
		else
			purge->more = false;
		if (result < 0)
			return result;
		purge->deleted += purge->more;
	}
	return registry_sqlite_count_up(db, "messages", -purge->deleted, err);
}

int registry_sqlite_purge(struct registry *registry, enum registry_kind kind,
                          int64_t before_ms, size_t limit, size_t *deleted,
                          struct error *err)
{
	registry_sqlite_job job =
	    kind == REGISTRY_MESSAGES ? delete_messages : delete_records;
	size_t total = 0;
	struct purge purge = {.kind = kind, .before_ms = before_ms};

	do {
		size_t left = limit - total;
		int error;

		purge.step = (int64_t)(left < RECORD_STEP ? left : RECORD_STEP);
		purge.deleted = 0;
		error = registry_sqlite_write(registry, job, &purge, err);
		if (error && !total)
			return error;
		if (error)
			break; /* what was deleted before counts */
		total += (size_t)purge.deleted;
	} while (purge.more && total < limit);
	*deleted = total;
	return 0;
}
