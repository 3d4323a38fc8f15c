/* The claims of challenges' mails, and dead senders, in SQLite. */
#include "store/registry/sqlite/challenge-rows.h"

/* --- claims ------------------------------------------------------------- */

struct claim {
	const char *owner;
	int64_t now_ms, until_ms;
	size_t limit;
	struct registry_challenge_page page;
};

static int claim_mails(struct sqlite_db *db, void *context, struct error *err)
{
	struct claim *claim = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE challenge SET mail_owner = ?1, mail_lease_ms = ?2,"
	        " mail_attempts = mail_attempts + 1 WHERE id IN"
	        " (SELECT id FROM challenge INDEXED BY challenge_mail"
	        " WHERE state = 0 AND mail = 0 AND mail_next_ms <= ?3"
	        " AND mail_lease_ms <= ?3 ORDER BY mail_next_ms, id LIMIT ?4)"
	        " RETURNING " CHALLENGE_COLUMNS);

	sqlite_bind_text(query, 1, claim->owner);
	sqlite_bind_int(query, 2, claim->until_ms);
	sqlite_bind_int(query, 3, claim->now_ms);
	sqlite_bind_int(query, 4, (int64_t)claim->limit);
	return registry_sqlite_collect_challenges(query, &claim->page, err);
}

int registry_sqlite_challenge_claim_mail(struct registry *registry,
                                         const char *owner, int64_t now_ms,
                                         int64_t lease_ms, size_t limit,
                                         struct registry_challenges *page,
                                         struct error *err)
{
	struct claim claim = {.owner = owner,
	                      .now_ms = now_ms,
	                      .until_ms = now_ms + lease_ms,
	                      .limit = limit};
	int error =
	    registry_sqlite_write_quietly(registry, claim_mails, &claim, err);

	return registry_sqlite_finish_challenges(error, &claim.page, page);
}

struct renewal {
	const struct id *id;
	const char *owner;
	int64_t until_ms;
};

static int renew_mail(struct sqlite_db *db, void *context, struct error *err)
{
	const struct renewal *renewal = context;
	struct sqlite_query *query =
	    sqlite_query(db, "UPDATE challenge SET mail_lease_ms = ?3"
	                     " WHERE id = ?1 AND mail_owner = ?2 AND mail = 0");
	int error;

	sqlite_bind_id(query, 1, renewal->id);
	sqlite_bind_text(query, 2, renewal->owner);
	sqlite_bind_int(query, 3, renewal->until_ms);
	if ((error = sqlite_run(query, err)) || sqlite_db_changes(db))
		return error;
	return registry_sqlite_challenge_unchanged(
	    db, renewal->id, "the claim is another's", err);
}

int registry_sqlite_challenge_mail_renew(struct registry *registry,
                                         const struct id *id, const char *owner,
                                         int64_t until_ms, struct error *err)
{
	struct renewal renewal = {id, owner, until_ms};

	return registry_sqlite_write_quietly(registry, renew_mail, &renewal,
	                                     err);
}

struct mail_end {
	const struct id *id;
	const char *owner;
	enum registry_mail_state state;
	int64_t next_ms;
	bool counted;
	const char *reply;
};

static int end_mail(struct sqlite_db *db, void *context, struct error *err)
{
	const struct mail_end *end = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE challenge SET mail = ?3, mail_next_ms = ?4,"
	        " mail_reply = ?5, mail_owner = '', mail_lease_ms = 0,"
	        " mail_attempts = mail_attempts - ?6"
	        " WHERE id = ?1 AND mail_owner = ?2 AND mail = 0");
	int error;

	sqlite_bind_id(query, 1, end->id);
	sqlite_bind_text(query, 2, end->owner);
	sqlite_bind_int(query, 3, end->state);
	sqlite_bind_int(query, 4, end->next_ms);
	registry_sqlite_bind(query, 5, end->reply);
	sqlite_bind_int(query, 6, !end->counted);
	if ((error = sqlite_run(query, err)) || sqlite_db_changes(db))
		return error;
	return registry_sqlite_challenge_unchanged(
	    db, end->id, "the claim is another's", err);
}

int registry_sqlite_challenge_mail_done(struct registry *registry,
                                        const struct id *id, const char *owner,
                                        enum registry_mail_state state,
                                        int64_t next_ms, bool counted,
                                        const char *reply, struct error *err)
{
	struct mail_end end = {id, owner, state, next_ms, counted, reply};

	return registry_sqlite_write(registry, end_mail, &end, err);
}

/* --- dead senders ------------------------------------------------------- */

static int mark_sender(struct sqlite_db *db, void *context, struct error *err)
{
	const struct registry_dead_sender *dead = context;
	struct sqlite_query *query = sqlite_query(db, DEAD_INSERT DEAD_REPLACE);

	registry_sqlite_bind_dead(query, dead);
	return sqlite_run(query, err);
}

int registry_sqlite_sender_mark(struct registry *registry,
                                const struct registry_dead_sender *dead,
                                struct error *err)
{
	return registry_sqlite_write(registry, mark_sender,
	                             (void *)(uintptr_t)dead, err);
}

void registry_sqlite_bind_dead(struct sqlite_query *query,
                               const struct registry_dead_sender *dead)
{
	sqlite_bind_blob(query, 1, dead->hash, CRYPTO_HASH_SIZE);
	sqlite_bind_int(query, 2, dead->marked_ms);
	sqlite_bind_id(query, 3, &dead->challenge);
	registry_sqlite_bind(query, 4, dead->reason);
}

int registry_sqlite_read_dead(struct sqlite_query *query,
                              struct registry_dead_sender *dead,
                              struct error *err)
{
	char **const texts[] = {&dead->reason};
	int error = registry_sqlite_read_hash(query, 0, dead->hash, err);

	dead->marked_ms = sqlite_column_int(query, 1);
	dead->challenge = sqlite_column_id(query, 2);
	return error ? error : registry_sqlite_copy(query, 3, texts, 1, err);
}

struct dead_reading {
	const uint8_t *hash;
	struct registry_dead_sender dead;
};

static int read_mark(struct sqlite_db *db, void *context, struct error *err)
{
	struct dead_reading *reading = context;
	struct sqlite_query *query = sqlite_query(
	    db, "SELECT " DEAD_COLUMNS " FROM dead_sender WHERE hash = ?1");
	int result;

	sqlite_bind_blob(query, 1, reading->hash, CRYPTO_HASH_SIZE);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "the sender has no mark");
	return registry_sqlite_read_dead(query, &reading->dead, err);
}

int registry_sqlite_sender_read(struct registry *registry,
                                const uint8_t hash[CRYPTO_HASH_SIZE],
                                struct registry_dead_sender *dead,
                                struct error *err)
{
	struct dead_reading reading = {.hash = hash};
	int error = registry_sqlite_read(registry, read_mark, &reading, err);

	if (error)
		registry_dead_sender_release(&reading.dead);
	else
		*dead = reading.dead;
	return error;
}

struct marks {
	const uint8_t (*hashes)[CRYPTO_HASH_SIZE];
	size_t count;
	bool *marked;
};

static int find_marks(struct sqlite_db *db, void *context, struct error *err)
{
	const struct marks *marks = context;
	int result = 0;

	for (size_t i = 0; i < marks->count && result >= 0; i++) {
		struct sqlite_query *query = sqlite_query(
		    db, "SELECT 1 FROM dead_sender WHERE hash = ?1");

		sqlite_bind_blob(query, 1, marks->hashes[i], CRYPTO_HASH_SIZE);
		if ((result = sqlite_step(query, err)) > 0) {
			marks->marked[i] = true;
			sqlite_reset(query);
		}
	}
	return result < 0 ? result : 0;
}

int registry_sqlite_sender_marked(struct registry *registry,
                                  const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                  size_t count, bool *marked, struct error *err)
{
	struct marks marks = {hashes, count, marked};

	return registry_sqlite_read(registry, find_marks, &marks, err);
}

struct clearing {
	const uint8_t *hash;
	int64_t until_ms;
	bool cleared;
};

static int clear_mark(struct sqlite_db *db, void *context, struct error *err)
{
	struct clearing *clearing = context;
	struct sqlite_query *query =
	    sqlite_query(db, "DELETE FROM dead_sender"
	                     " WHERE hash = ?1 AND marked_ms <= ?2");
	int error;

	sqlite_bind_blob(query, 1, clearing->hash, CRYPTO_HASH_SIZE);
	sqlite_bind_int(query, 2, clearing->until_ms);
	error = sqlite_run(query, err);
	clearing->cleared = !error && sqlite_db_changes(db) > 0;
	return error;
}

int registry_sqlite_sender_clear(struct registry *registry,
                                 const uint8_t hash[CRYPTO_HASH_SIZE],
                                 int64_t until_ms, bool *cleared,
                                 struct error *err)
{
	struct clearing clearing = {.hash = hash, .until_ms = until_ms};
	int error = registry_sqlite_write(registry, clear_mark, &clearing, err);

	if (!error && cleared)
		*cleared = clearing.cleared;
	return error;
}
