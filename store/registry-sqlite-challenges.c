/* Challenges in SQLite, the claims of their mails, and dead senders. */
#include "store/registry-sqlite.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS                                                                \
	"id, tenant, message, sender_hash, token_hash, state, created_ms,"     \
	" expires_ms, changed_ms, attempts, code_serial, mail, mail_attempts," \
	" mail_next_ms, mail_lease_ms, sender, code, mail_owner, mail_reply"

#define CHALLENGES "SELECT " COLUMNS " FROM challenge "

/* --- opening ------------------------------------------------------------ */

struct opening {
	const struct registry_challenge *challenge;
	struct id existing;
};

/* 0 when none is in the way, else ERR_EXISTS with its id. */
static int need_none_open(struct sqlite_db *db, struct opening *opening,
                          struct error *err)
{
	const struct registry_challenge *challenge = opening->challenge;
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT id FROM challenge WHERE sender_hash = ?1"
	                     " AND state = 0");
	int result;

	sqlite_bind_blob(query, 1, challenge->sender_hash, CRYPTO_HASH_SIZE);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (result) {
		opening->existing = sqlite_column_id(query, 0);
		sqlite_reset(query);
	} else {
		result = registry_sqlite_exists(
		    db, "SELECT 1 FROM challenge WHERE id = ?1", &challenge->id,
		    err);
		if (result <= 0)
			return result;
		opening->existing = challenge->id;
	}
	return error_set(err, ERR_EXISTS, "a challenge is there already");
}

static void bind_challenge(struct sqlite_query *query,
                           const struct registry_challenge *challenge)
{
	const int64_t numbers[] = {
	    challenge->state,
	    challenge->created_ms,
	    challenge->expires_ms,
	    challenge->changed_ms ? challenge->changed_ms
	                          : challenge->created_ms,
	    challenge->attempts,
	    challenge->code_serial,
	    challenge->mail,
	    challenge->mail_attempts,
	    challenge->mail_next_ms,
	    0, /* nobody's claim yet */
	};

	sqlite_bind_id(query, 1, &challenge->id);
	sqlite_bind_id(query, 2, &challenge->tenant);
	sqlite_bind_id(query, 3, &challenge->message);
	sqlite_bind_blob(query, 4, challenge->sender_hash, CRYPTO_HASH_SIZE);
	sqlite_bind_blob(query, 5, challenge->token_hash, CRYPTO_HASH_SIZE);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sqlite_bind_int(query, 6 + (int)i, numbers[i]);
	sqlite_bind_text(query, 16, challenge->sender);
	registry_sqlite_bind(query, 17, challenge->code);
	registry_sqlite_bind(query, 18, "");
	registry_sqlite_bind(query, 19, challenge->mail_reply);
}

static int open_challenge(struct sqlite_db *db, void *context,
                          struct error *err)
{
	struct opening *opening = context;
	struct sqlite_query *query;
	int error = need_none_open(db, opening, err);

	if (error)
		return error;
	query = sqlite_query(db, "INSERT INTO challenge (" COLUMNS
	                         ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
	                         " ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
	                         " ?18, ?19)");
	bind_challenge(query, opening->challenge);
	return sqlite_run(query, err);
}

int registry_sqlite_challenge_open(struct registry *registry,
                                   const struct registry_challenge *challenge,
                                   struct id *existing, struct error *err)
{
	struct opening opening = {.challenge = challenge};
	int error =
	    registry_sqlite_write(registry, open_challenge, &opening, err);

	if (error == ERR_EXISTS && existing)
		*existing = opening.existing;
	return error;
}

/* --- reading ------------------------------------------------------------ */

static int read_hash(struct sqlite_query *query, int index,
                     uint8_t hash[CRYPTO_HASH_SIZE], struct error *err)
{
	size_t size;
	const void *bytes = sqlite_column_blob(query, index, &size);

	if (size != CRYPTO_HASH_SIZE)
		return error_set(err, ERR_CORRUPT,
		                 "challenge: hash of %zu bytes", size);
	memcpy(hash, bytes, size);
	return 0;
}

static int read_challenge(struct sqlite_query *query,
                          struct registry_challenge *challenge,
                          struct error *err)
{
	char **const texts[] = {&challenge->sender, &challenge->code,
	                        &challenge->mail_owner, &challenge->mail_reply};
	int error;

	challenge->id = sqlite_column_id(query, 0);
	challenge->tenant = sqlite_column_id(query, 1);
	challenge->message = sqlite_column_id(query, 2);
	challenge->state =
	    (enum registry_challenge_state)sqlite_column_int(query, 5);
	challenge->created_ms = sqlite_column_int(query, 6);
	challenge->expires_ms = sqlite_column_int(query, 7);
	challenge->changed_ms = sqlite_column_int(query, 8);
	challenge->attempts = sqlite_column_int(query, 9);
	challenge->code_serial = sqlite_column_int(query, 10);
	challenge->mail =
	    (enum registry_mail_state)sqlite_column_int(query, 11);
	challenge->mail_attempts = sqlite_column_int(query, 12);
	challenge->mail_next_ms = sqlite_column_int(query, 13);
	challenge->mail_lease_ms = sqlite_column_int(query, 14);
	if ((error = read_hash(query, 3, challenge->sender_hash, err)) ||
	    (error = read_hash(query, 4, challenge->token_hash, err)))
		return error;
	return registry_sqlite_copy(query, 15, texts, 4, err);
}

struct reading {
	const struct id *id;
	struct registry_challenge challenge;
};

static int read_one(struct sqlite_db *db, void *context, struct error *err)
{
	struct reading *reading = context;
	struct sqlite_query *query =
	    sqlite_query(db, CHALLENGES "WHERE id = ?1");
	int result;

	sqlite_bind_id(query, 1, reading->id);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such challenge");
	return read_challenge(query, &reading->challenge, err);
}

int registry_sqlite_challenge_read(struct registry *registry,
                                   const struct id *id,
                                   struct registry_challenge *challenge,
                                   struct error *err)
{
	struct reading reading = {.id = id};
	int error = registry_sqlite_read(registry, read_one, &reading, err);

	if (error)
		registry_challenge_release(&reading.challenge);
	else
		*challenge = reading.challenge;
	return error;
}

struct page {
	struct registry_challenges page;
	size_t capacity;
};

/* Reads the rows that a query gives. */
static int collect(struct sqlite_query *query, struct page *page,
                   struct error *err)
{
	struct registry_challenges *list = &page->page;
	int result, error = 0;

	while (!error && (result = sqlite_step(query, err)) > 0) {
		error = registry_sqlite_grow((void **)&list->challenges,
		                             list->count, &page->capacity,
		                             sizeof(*list->challenges), err);
		if (!error)
			error = read_challenge(
			    query, &list->challenges[list->count++], err);
	}
	if (error)
		sqlite_reset(query);
	return error ? error : result;
}

/* Gives the page to the caller, or frees it. */
static int finish(int error, struct page *page, struct registry_challenges *out)
{
	if (error)
		registry_challenges_release(&page->page);
	else
		*out = page->page;
	return error;
}

struct due {
	enum registry_challenge_state state;
	int64_t before_ms;
	size_t limit;
	struct page page;
};

static int list_due(struct sqlite_db *db, void *context, struct error *err)
{
	struct due *due = context;
	struct sqlite_query *query =
	    due->state == CHALLENGE_STATE_OPEN
	        ? sqlite_query(db,
	                       CHALLENGES "INDEXED BY challenge_expiry"
	                                  " WHERE state = 0 AND expires_ms < ?2"
	                                  " ORDER BY expires_ms LIMIT ?3")
	        : sqlite_query(db, CHALLENGES
	                       "INDEXED BY challenge_changed"
	                       " WHERE state = ?1 AND changed_ms < ?2"
	                       " ORDER BY changed_ms LIMIT ?3");

	if (due->state != CHALLENGE_STATE_OPEN)
		sqlite_bind_int(query, 1, due->state);
	sqlite_bind_int(query, 2, due->before_ms);
	sqlite_bind_int(query, 3, (int64_t)due->limit);
	return collect(query, &due->page, err);
}

int registry_sqlite_challenge_due(struct registry *registry,
                                  enum registry_challenge_state state,
                                  int64_t before_ms, size_t limit,
                                  struct registry_challenges *page,
                                  struct error *err)
{
	struct due due = {
	    .state = state, .before_ms = before_ms, .limit = limit};
	int error = registry_sqlite_read(registry, list_due, &due, err);

	return finish(error, &due.page, page);
}

/* --- changes ------------------------------------------------------------ */

/* What a conditional change that changed no row comes to. */
static int unchanged(struct sqlite_db *db, const struct id *id,
                     const char *what, struct error *err)
{
	int result = registry_sqlite_exists(
	    db, "SELECT 1 FROM challenge WHERE id = ?1", id, err);

	if (result < 0)
		return result;
	if (!result)
		return error_set(err, ERR_NOT_FOUND, "no such challenge");
	return error_set(err, ERR_CONFLICT, "%s", what);
}

struct move {
	const struct id *id;
	enum registry_challenge_state from, to;
	int64_t now_ms;
};

static int move_challenge(struct sqlite_db *db, void *context,
                          struct error *err)
{
	const struct move *move = context;
	struct sqlite_query *query =
	    sqlite_query(db, "UPDATE challenge SET state = ?3, changed_ms = ?4"
	                     " WHERE id = ?1 AND state = ?2");
	int error;

	sqlite_bind_id(query, 1, move->id);
	sqlite_bind_int(query, 2, move->from);
	sqlite_bind_int(query, 3, move->to);
	sqlite_bind_int(query, 4, move->now_ms);
	if ((error = sqlite_run(query, err)) || sqlite_db_changes(db))
		return error;
	return unchanged(db, move->id, "the challenge is in another state",
	                 err);
}

int registry_sqlite_challenge_move(struct registry *registry,
                                   const struct id *id,
                                   enum registry_challenge_state from,
                                   enum registry_challenge_state to,
                                   int64_t now_ms, struct error *err)
{
	struct move move = {id, from, to, now_ms};

	return registry_sqlite_write(registry, move_challenge, &move, err);
}

struct recode {
	const struct id *id;
	int64_t serial;
	bool wrong;
	const char *code;
};

static int recode_challenge(struct sqlite_db *db, void *context,
                            struct error *err)
{
	const struct recode *recode = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE challenge SET code = ?3, attempts = attempts + ?4,"
	        " code_serial = code_serial + 1"
	        " WHERE id = ?1 AND state = 0 AND code_serial = ?2");
	int error;

	sqlite_bind_id(query, 1, recode->id);
	sqlite_bind_int(query, 2, recode->serial);
	sqlite_bind_text(query, 3, recode->code);
	sqlite_bind_int(query, 4, recode->wrong);
	if ((error = sqlite_run(query, err)) || sqlite_db_changes(db))
		return error;
	return unchanged(db, recode->id,
	                 "the challenge is closed or has a newer code", err);
}

int registry_sqlite_challenge_recode(struct registry *registry,
                                     const struct id *id, int64_t serial,
                                     bool wrong, const char *code,
                                     struct error *err)
{
	struct recode recode = {id, serial, wrong, code};

	return registry_sqlite_write(registry, recode_challenge, &recode, err);
}

/* --- the mails ---------------------------------------------------------- */

struct claim {
	const char *owner;
	int64_t now_ms, until_ms;
	size_t limit;
	struct page page;
};

static int claim_mails(struct sqlite_db *db, void *context, struct error *err)
{
	struct claim *claim = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE challenge SET mail_owner = ?1, mail_lease_ms = ?2,"
	        " mail_attempts = mail_attempts + 1 WHERE id IN"
	        " (SELECT id FROM challenge INDEXED BY challenge_mail"
	        " WHERE state = 0 AND mail = 0 AND mail_next_ms <= ?3"
	        " AND mail_lease_ms <= ?3 ORDER BY mail_next_ms LIMIT ?4)"
	        " RETURNING " COLUMNS);

	sqlite_bind_text(query, 1, claim->owner);
	sqlite_bind_int(query, 2, claim->until_ms);
	sqlite_bind_int(query, 3, claim->now_ms);
	sqlite_bind_int(query, 4, (int64_t)claim->limit);
	return collect(query, &claim->page, err);
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
	int error = registry_sqlite_write(registry, claim_mails, &claim, err);

	return finish(error, &claim.page, page);
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
	return unchanged(db, end->id, "the claim is another's", err);
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
