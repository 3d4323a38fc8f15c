/* The claims of challenges' mails, and dead senders, in SQLite. */
#include "store/registry-sqlite-challenge.h"

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
	const char *reply;
};

static int end_mail(struct sqlite_db *db, void *context, struct error *err)
{
	const struct mail_end *end = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE challenge SET mail = ?3, mail_next_ms = ?4,"
	        " mail_reply = ?5, mail_owner = '', mail_lease_ms = 0"
	        " WHERE id = ?1 AND mail_owner = ?2 AND mail = 0");
	int error;

	sqlite_bind_id(query, 1, end->id);
	sqlite_bind_text(query, 2, end->owner);
	sqlite_bind_int(query, 3, end->state);
	sqlite_bind_int(query, 4, end->next_ms);
	registry_sqlite_bind(query, 5, end->reply);
	if ((error = sqlite_run(query, err)) || sqlite_db_changes(db))
		return error;
	return registry_sqlite_challenge_unchanged(
	    db, end->id, "the claim is another's", err);
}

int registry_sqlite_challenge_mail_done(struct registry *registry,
                                        const struct id *id, const char *owner,
                                        enum registry_mail_state state,
                                        int64_t next_ms, const char *reply,
                                        struct error *err)
{
	struct mail_end end = {id, owner, state, next_ms, reply};

	return registry_sqlite_write(registry, end_mail, &end, err);
}

/* --- dead senders ------------------------------------------------------- */

struct dead {
	const uint8_t *hash;
	int64_t now_ms;
	bool dead;
};

static int set_dead(struct sqlite_db *db, void *context, struct error *err)
{
	const struct dead *dead = context;
	struct sqlite_query *query = sqlite_query(
	    db, "INSERT INTO dead_sender (hash, marked_ms) VALUES (?1, ?2)"
	        " ON CONFLICT (hash) DO UPDATE"
	        " SET marked_ms = excluded.marked_ms");

	sqlite_bind_blob(query, 1, dead->hash, CRYPTO_HASH_SIZE);
	sqlite_bind_int(query, 2, dead->now_ms);
	return sqlite_run(query, err);
}

int registry_sqlite_sender_set_dead(struct registry *registry,
                                    const uint8_t hash[CRYPTO_HASH_SIZE],
                                    int64_t now_ms, struct error *err)
{
	struct dead dead = {hash, now_ms, true};

	return registry_sqlite_write(registry, set_dead, &dead, err);
}

static int look_for_dead(struct sqlite_db *db, void *context, struct error *err)
{
	struct dead *dead = context;
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT 1 FROM dead_sender WHERE hash = ?1");
	int result;

	sqlite_bind_blob(query, 1, dead->hash, CRYPTO_HASH_SIZE);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	dead->dead = result > 0;
	return 0;
}

int registry_sqlite_sender_is_dead(struct registry *registry,
                                   const uint8_t hash[CRYPTO_HASH_SIZE],
                                   bool *dead, struct error *err)
{
	struct dead looked = {.hash = hash};
	int error = registry_sqlite_read(registry, look_for_dead, &looked, err);

	if (!error)
		*dead = looked.dead;
	return error;
}
