/* Changes of messages that are in the spool: states, marks, the end. */
#include "store/spool/history.h"
#include "store/spool/sqlite/private.h"

/* What decides whether a recipient may be moved, and what it then keeps. */
struct found {
	enum spool_state state;
	bool leased_by_caller;
	bool kept;                        /* a failed one */
	char history[SPOOL_HISTORY_SIZE]; /* with the state found */
};

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void keep_history(struct sqlite_query *query,
                         const struct spool_change *change, struct found *found)
{
	const struct spool_history_step left = {
	    .state = found->state,
	    .changed_ms = sqlite_column_int(query, 2),
	    .by = sqlite_column_text(query, 3),
	    .why = sqlite_column_text(query, 4),
	    .history = sqlite_column_text(query, 5)};

	spool_history_append(&left, or_empty(change->move.by),
	                     or_empty(change->move.why), found->history);
}

/* 0, ERR_NOT_FOUND without a text, or a failure of the store. */
static int find_recipient(struct sqlite_db *db,
                          const struct spool_change *change,
                          struct found *found, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT state, lease_owner = ?3, changed_ms, by,"
	                     " why, history, hold_until_ms IS NOT NULL"
	                     " FROM recipient"
	                     " WHERE message = ?1 AND position = ?2");
	int64_t state;
	int result;

	sqlite_bind_id(query, 1, &change->move.id);
	sqlite_bind_int(query, 2, (int64_t)change->move.recipient);
	sqlite_bind_text(query, 3, change->move.lease_owner);
	result = sqlite_step(query, err);
	if (result <= 0)
		return result < 0 ? result : ERR_NOT_FOUND;
	state = sqlite_column_int(query, 0);
	if (state < 0 || state >= SPOOL_STATE_COUNT) {
		sqlite_reset(query);
		return error_set(err, ERR_CORRUPT, "state of a recipient");
	}
	found->state = (enum spool_state)state;
	found->leased_by_caller = sqlite_column_int(query, 1) == 1;
	found->kept =
	    found->state == SPOOL_FAILED && sqlite_column_int(query, 6) == 1;
	keep_history(query, change, found);
	sqlite_reset(query);
	return 0;
}

/* What the move gets as its result. */
static int judge(const struct spool_change *change, const struct found *found)
{
	if (!(SPOOL_IN(found->state) & change->move.from))
		return ERR_CONFLICT;
	if (!spool_state_may_become(found->state, change->move.to) ||
	    (found->state == SPOOL_FAILED && !found->kept))
		return ERR_INVALID;
	if (change->move.lease_owner && !found->leased_by_caller)
		return ERR_CONFLICT;
	return 0;
}

static int update_recipient(struct sqlite_db *db,
                            const struct spool_change *change,
                            const char *history, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE recipient SET state = ?3, changed_ms = ?4, by = ?5,"
	        " why = ?6, reply = coalesce(?7, reply),"
	        " attempts = iif(state = 4, 0, attempts + ?8),"
	        " next_attempt_ms = ?9,"
	        " due_ms = ?10, hold_until_ms = ?13, event_pending = ?11,"
	        " lease_owner = '', lease_until_ms = 0, history = ?12,"
	        " dsn = max(dsn, ?14), next_hop = coalesce(?15, next_hop)"
	        " WHERE message = ?1 AND position = ?2");
	bool failed = change->move.to == SPOOL_FAILED;
	bool final = spool_state_is_final(change->move.to);

	sqlite_bind_id(query, 1, &change->move.id);
	sqlite_bind_int(query, 2, (int64_t)change->move.recipient);
	sqlite_bind_int(query, 3, change->move.to);
	sqlite_bind_int(query, 4, change->move.now_ms);
	sqlite_bind_text(query, 5, or_empty(change->move.by));
	sqlite_bind_text(query, 6, or_empty(change->move.why));
	sqlite_bind_text(query, 7, change->move.reply);
	sqlite_bind_int(query, 8, change->move.attempted);
	sqlite_bind_int(query, 9, final ? 0 : change->move.next_attempt_ms);
	if (!final)
		sqlite_bind_int(query, 10, change->move.next_attempt_ms);
	sqlite_bind_int(query, 11, final && change->move.event);
	sqlite_bind_text(query, 12, history);
	if (failed && change->move.keep_until_ms)
		sqlite_bind_int(query, 13, change->move.keep_until_ms);
	sqlite_bind_int(query, 14,
	                failed && change->move.dsn ? SPOOL_DSN_DUE
	                                           : SPOOL_DSN_NONE);
	sqlite_bind_text(query, 15, change->move.next_hop);
	return sqlite_run(query, err);
}

int spool_sqlite_move(struct spool_sqlite_batch *batch,
                      struct spool_change *change, struct error *err)
{
	struct found found;
	int result = find_recipient(batch->db, change, &found, err);
	bool kept;

	if (!result)
		change->result = judge(change, &found);
	if (result == ERR_NOT_FOUND)
		change->result = result;
	if (change->result < 0)
		return 0;
	if (!result)
		result =
		    update_recipient(batch->db, change, found.history, err);
	if (result < 0)
		return result;
	batch->delta.recipients[found.state]--;
	batch->delta.recipients[change->move.to]++;
	kept = change->move.to == SPOOL_FAILED && change->move.keep_until_ms;
	batch->delta.kept += kept - found.kept;
	if (spool_state_is_final(change->move.to) && !kept)
		spool_sqlite_ended(batch, &change->move.id);
	return 0;
}

/* Ends the keeping of a failed recipient whose sender was told. */
static int end_keeping(struct spool_sqlite_batch *batch,
                       const struct spool_change *change, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    batch->db, "UPDATE recipient SET hold_until_ms = NULL"
	               " WHERE message = ?1 AND position = ?2 AND state = 4"
	               " AND hold_until_ms IS NOT NULL");
	int result;

	sqlite_bind_id(query, 1, &change->dsn.id);
	sqlite_bind_int(query, 2, (int64_t)change->dsn.recipient);
	result = sqlite_run(query, err);
	if (result < 0 || !sqlite_db_changes(batch->db))
		return result;
	batch->delta.kept--;
	spool_sqlite_ended(batch, &change->dsn.id);
	return 0;
}

/* Why the update of a DSN changed nothing. */
static int recipient_exists(struct sqlite_db *db,
                            const struct spool_change *change,
                            struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT 1 FROM recipient"
	                     " WHERE message = ?1 AND position = ?2");
	int result;

	sqlite_bind_id(query, 1, &change->dsn.id);
	sqlite_bind_int(query, 2, (int64_t)change->dsn.recipient);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	return result;
}

int spool_sqlite_dsn(struct spool_sqlite_batch *batch,
                     struct spool_change *change, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    batch->db,
	    "UPDATE recipient SET dsn = ?4, dsn_id = coalesce(?5, dsn_id)"
	    " WHERE message = ?1 AND position = ?2 AND dsn = ?3"
	    " AND (?3 <> 2 OR dsn_id = ?5)");
	int result;

	sqlite_bind_id(query, 1, &change->dsn.id);
	sqlite_bind_int(query, 2, (int64_t)change->dsn.recipient);
	sqlite_bind_int(query, 3, change->dsn.from);
	sqlite_bind_int(query, 4, change->dsn.to);
	if (!id_is_none(&change->dsn.dsn_id))
		sqlite_bind_id(query, 5, &change->dsn.dsn_id);
	result = sqlite_run(query, err);
	if (result < 0)
		return result;
	if (!sqlite_db_changes(batch->db)) {
		result = recipient_exists(batch->db, change, err);
		change->result = result ? ERR_CONFLICT : ERR_NOT_FOUND;
		return result < 0 ? result : 0;
	}
	return change->dsn.to == SPOOL_DSN_SENT
	           ? end_keeping(batch, change, err)
	           : 0;
}

/* 1 when the statement finds something by the id, 0 when not. */
static int exists(struct sqlite_db *db, const char *sql, const struct id *id,
                  struct error *err)
{
	struct sqlite_query *query = sqlite_query(db, sql);
	int result;

	sqlite_bind_id(query, 1, id);
	result = sqlite_step(query, err);
	sqlite_reset(query);
	return result;
}

static int message_exists(struct sqlite_db *db, const struct id *id,
                          struct error *err)
{
	return exists(db, "SELECT 1 FROM message WHERE id = ?1", id, err);
}

/* What was refused before is over; what is refused still is kept. */
static int replace_refusal(struct sqlite_db *db, const struct id *id,
                           const char *why, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "DELETE FROM refusal WHERE message = ?1");
	int result;

	sqlite_bind_id(query, 1, id);
	result = sqlite_run(query, err);
	if (result < 0 || !why || !*why)
		return result;
	query = sqlite_query(db, "INSERT INTO refusal VALUES (?1, 0, 0, ?2)");
	sqlite_bind_id(query, 1, id);
	sqlite_bind_text(query, 2, why);
	return sqlite_run(query, err);
}

static int mark_registered(struct spool_sqlite_batch *batch,
                           struct spool_change *change, struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    batch->db, "DELETE FROM unregistered WHERE message = ?1");
	int result;

	sqlite_bind_id(query, 1, &change->mark.id);
	result = sqlite_run(query, err);
	if (result < 0)
		return result;
	if (sqlite_db_changes(batch->db)) {
		batch->delta.unregistered--;
		return replace_refusal(batch->db, &change->mark.id,
		                       change->mark.refusal, err);
	}
	result = message_exists(batch->db, &change->mark.id, err);
	if (!result)
		change->result = ERR_NOT_FOUND;
	return result < 0 ? result : 0;
}

static int mark_reported(struct spool_sqlite_batch *batch,
                         struct spool_change *change, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(batch->db, "UPDATE recipient SET event_pending = 0"
	                            " WHERE message = ?1 AND position = ?2");
	int result;

	sqlite_bind_id(query, 1, &change->mark.id);
	sqlite_bind_int(query, 2, (int64_t)change->mark.recipient);
	result = sqlite_run(query, err);
	if (!result && !sqlite_db_changes(batch->db))
		change->result = ERR_NOT_FOUND;
	return result;
}

int spool_sqlite_mark(struct spool_sqlite_batch *batch,
                      struct spool_change *change, struct error *err)
{
	return change->kind == SPOOL_REGISTERED
	           ? mark_registered(batch, change, err)
	           : mark_reported(batch, change, err);
}

int spool_sqlite_refuse(struct spool_sqlite_batch *batch,
                        struct spool_change *change, struct error *err)
{
	const struct id *id = &change->refuse.id;
	struct sqlite_query *query;
	int result =
	    exists(batch->db, "SELECT 1 FROM unregistered WHERE message = ?1",
	           id, err);

	if (!result) {
		result = message_exists(batch->db, id, err);
		if (result >= 0)
			change->result = result ? ERR_CONFLICT : ERR_NOT_FOUND;
		return result < 0 ? result : 0;
	}
	if (result < 0)
		return result;
	query = sqlite_query(
	    batch->db, "INSERT INTO refusal VALUES (?1, 1, ?2, ?3)"
	               " ON CONFLICT (message) DO UPDATE SET"
	               " attempts = attempts + 1, retry_ms = ?2, why = ?3");
	sqlite_bind_id(query, 1, id);
	sqlite_bind_int(query, 2, change->refuse.retry_ms);
	sqlite_bind_text(query, 3, change->refuse.refusal);
	return sqlite_run(query, err);
}

/* Whether all recipients are over: 1 or 0; *at_ms gets the last change. */
static int find_end(struct sqlite_db *db, const struct id *id, int64_t *at_ms,
                    struct error *err)
{
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT state, changed_ms, hold_until_ms IS NOT NULL"
	        " FROM recipient WHERE message = ?1");
	int result;

	sqlite_bind_id(query, 1, id);
	while ((result = sqlite_step(query, err)) > 0) {
		int64_t changed_ms = sqlite_column_int(query, 1);
		int64_t state = sqlite_column_int(query, 0);

		if (!spool_state_is_final((enum spool_state)state) ||
		    sqlite_column_int(query, 2)) {
			sqlite_reset(query);
			return 0;
		}
		if (changed_ms > *at_ms)
			*at_ms = changed_ms;
	}
	return result < 0 ? result : 1;
}

void spool_sqlite_ended(struct spool_sqlite_batch *batch, const struct id *id)
{
	size_t count = batch->ended_count;

	/* One message's recipients mostly follow each other. */
	if (!count || !id_equal(&batch->ended[count - 1], id))
		batch->ended[batch->ended_count++] = *id;
}

int spool_sqlite_settle(struct spool_sqlite_batch *batch, const struct id *id,
                        struct error *err)
{
	struct sqlite_query *query;
	int64_t at_ms = 0;
	int result = find_end(batch->db, id, &at_ms, err);

	if (result <= 0)
		return result;
	query = sqlite_query(batch->db,
	                     "INSERT OR IGNORE INTO ended VALUES (?1, ?2)");
	sqlite_bind_int(query, 1, at_ms);
	sqlite_bind_id(query, 2, id);
	result = sqlite_run(query, err);
	return result < 0 ? result : spool_sqlite_body_drop(batch, id, err);
}
