/* Imported messages in SQLite, and the counters that imports raise. */
#include "store/registry/sqlite/import.h"

#include "store/registry/sqlite/message-rows.h"

/* How many recipients are held of the message that is there now. */
static int count_held(struct sqlite_db *db, const struct id *id, bool *found,
                      int64_t *held, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT held FROM message WHERE id = ?1");
	int result;

	sqlite_bind_id(query, 1, id);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	*found = result > 0;
	if (*found)
		*held = sqlite_column_int(query, 0);
	sqlite_reset(query);
	return 0;
}

static int insert_recipient(struct sqlite_db *db,
                            const struct registry_message *message,
                            size_t position, struct error *err)
{
	const struct registry_recipient *recipient =
	    &message->recipients[position];
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT INTO recipient (message, address, tenant, position,"
	        " state, changed_ms, by, why)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	        " ON CONFLICT (message, address) DO NOTHING");

	sqlite_bind_id(query, 1, &message->id);
	sqlite_bind_text(query, 2, recipient->address);
	sqlite_bind_id(query, 3, &message->tenant);
	sqlite_bind_int(query, 4, (int64_t)position);
	sqlite_bind_int(query, 5, recipient->state);
	sqlite_bind_int(query, 6, recipient->changed_ms);
	registry_sqlite_bind(query, 7, recipient->by);
	registry_sqlite_bind(query, 8, recipient->why);
	return sqlite_run(query, err);
}

static int insert_message(struct sqlite_db *db,
                          const struct registry_message *message, int64_t *held,
                          struct error *err)
{
	struct sqlite_query *query;
	int error = 0;

	for (size_t i = 0; i < message->recipient_count; i++) {
		if ((error = insert_recipient(db, message, i, err)))
			return error;
		if (message->recipients[i].state == REGISTRY_HELD)
			*held += sqlite_db_changes(db);
	}
	query = sqlite_query(db, MESSAGE_INSERT);
	registry_sqlite_bind_message(query, message);
	sqlite_bind_int(query, 24, *held);
	return sqlite_run(query, err);
}

int registry_sqlite_import_message(struct sqlite_db *db,
                                   const struct registry_record *record,
                                   bool replace, struct error *err)
{
	const struct registry_message *message = &record->message;
	int64_t before = 0, after = 0, rows = 0;
	bool found = false;
	int error = count_held(db, &message->id, &found, &before, err);

	if (error)
		return error;
	if (found && !replace)
		return ERR_EXISTS;
	if (found && (error = registry_sqlite_delete_message(db, &message->id,
	                                                     &rows, err)))
		return error;
	if ((error = insert_message(db, message, &after, err)) ||
	    (error =
	         registry_sqlite_count_up(db, "messages", found ? 0 : 1, err)))
		return error;
	return registry_sqlite_count_up(db, "recipients-held", after - before,
	                                err);
}

int registry_sqlite_raise_policy(struct sqlite_db *db, const struct id *tenant,
                                 int64_t revision, struct error *err)
{
	struct sqlite_query *query;

	if (id_is_none(tenant)) {
		query = sqlite_query(db, "UPDATE counter SET value = ?2"
		                         " WHERE name = 'global-policy'"
		                         " AND value < ?2");
	} else {
		query =
		    sqlite_query(db, "UPDATE tenant SET policy_revision = ?2"
		                     " WHERE id = ?1 AND policy_revision < ?2");
		sqlite_bind_id(query, 1, tenant);
	}
	sqlite_bind_int(query, 2, revision);
	return sqlite_run(query, err);
}

int registry_sqlite_raise_sequence(struct sqlite_db *db,
                                   const struct id *tenant, int64_t sequence,
                                   struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "UPDATE tenant SET decision_sequence = ?2"
	                     " WHERE id = ?1 AND decision_sequence < ?2");

	sqlite_bind_id(query, 1, tenant);
	sqlite_bind_int(query, 2, sequence);
	return sqlite_run(query, err);
}
