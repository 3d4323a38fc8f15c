/* Challenges in SQLite: opening, reading, their states and codes. */
#include "store/registry/sqlite/challenge-rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"

#define CHALLENGES "SELECT " CHALLENGE_COLUMNS " FROM challenge "

/* --- opening ------------------------------------------------------------ */

/* The challenge that is open for the sender; an id of none: there is none. */
static int find_open(struct sqlite_db *db, const uint8_t *hash,
                     struct registry_opened *found, struct error *err)
{
	struct sqlite_query *query =
	    sqlite_query(db, "SELECT id, message FROM challenge"
	                     " WHERE sender_hash = ?1 AND state = 0");
	int result;

	sqlite_bind_blob(query, 1, hash, CRYPTO_HASH_SIZE);
	if ((result = sqlite_step(query, err)) <= 0)
		return result;
	found->id = sqlite_column_id(query, 0);
	found->message = sqlite_column_id(query, 1);
	sqlite_reset(query);
	return 0;
}

struct finding {
	const uint8_t (*hashes)[CRYPTO_HASH_SIZE];
	size_t count;
	struct registry_opened *found;
};

static int find_all(struct sqlite_db *db, void *context, struct error *err)
{
	const struct finding *finding = context;
	int error = 0;

	for (size_t i = 0; i < finding->count && !error; i++)
		error =
		    find_open(db, finding->hashes[i], &finding->found[i], err);
	return error;
}

int registry_sqlite_challenge_find(struct registry *registry,
                                   const uint8_t (*hashes)[CRYPTO_HASH_SIZE],
                                   size_t count, struct registry_opened *found,
                                   struct error *err)
{
	struct finding finding = {hashes, count, found};

	return registry_sqlite_read(registry, find_all, &finding, err);
}

/* 0 when none is in the way, else ERR_EXISTS with the one that is. */
static int need_none_open(struct sqlite_db *db,
                          const struct registry_challenge *challenge,
                          struct registry_opened *existing, struct error *err)
{
	struct registry_opened found = {.id = {{0}}};
	struct sqlite_query *query;
	int result = find_open(db, challenge->sender_hash, &found, err);

	if (result)
		return result;
	if (id_is_none(&found.id)) {
		query = sqlite_query(
		    db, "SELECT message FROM challenge WHERE id = ?1");
		sqlite_bind_id(query, 1, &challenge->id);
		if ((result = sqlite_step(query, err)) <= 0)
			return result;
		found.id = challenge->id;
		found.message = sqlite_column_id(query, 0);
		sqlite_reset(query);
	}
	*existing = found;
	return ERR_EXISTS;
}

void registry_sqlite_bind_challenge(struct sqlite_query *query,
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
	registry_sqlite_bind(query, 20, challenge->end_reason);
	sqlite_bind_blob(query, 21, challenge->client_hash, CRYPTO_HASH_SIZE);
	sqlite_bind_blob(query, 22, challenge->domain_hash, CRYPTO_HASH_SIZE);
}

struct opening {
	const struct registry_challenge *challenges;
	size_t count;
	int *results;
	struct registry_opened *existing;
};

static int open_challenges(struct sqlite_db *db, void *context,
                           struct error *err)
{
	const struct opening *opening = context;
	int error;

	for (size_t i = 0; i < opening->count; i++) {
		const struct registry_challenge *challenge =
		    &opening->challenges[i];
		struct sqlite_query *query;

		error =
		    need_none_open(db, challenge, &opening->existing[i], err);
		if (!error) {
			query = sqlite_query(db, CHALLENGE_INSERT);
			registry_sqlite_bind_challenge(query, challenge);
			error = sqlite_run(query, err);
		}
		if (error && error != ERR_EXISTS)
			return error;
		opening->results[i] = error;
	}
	return 0;
}

int registry_sqlite_challenge_open(struct registry *registry,
                                   const struct registry_challenge *challenges,
                                   size_t count, int *results,
                                   struct registry_opened *existing,
                                   struct error *err)
{
	struct opening opening = {challenges, count, results, existing};

	return registry_sqlite_write(registry, open_challenges, &opening, err);
}

/* --- reading ------------------------------------------------------------ */

int registry_sqlite_read_hash(struct sqlite_query *query, int index,
                              uint8_t hash[CRYPTO_HASH_SIZE], struct error *err)
{
	size_t size;
	const void *bytes = sqlite_column_blob(query, index, &size);

	if (size != CRYPTO_HASH_SIZE)
		return error_set(err, ERR_CORRUPT, "a hash of %zu bytes", size);
	memcpy(hash, bytes, size);
	return 0;
}

int registry_sqlite_read_challenge(struct sqlite_query *query,
                                   struct registry_challenge *challenge,
                                   struct error *err)
{
	char **const texts[] = {&challenge->sender, &challenge->code,
	                        &challenge->mail_owner, &challenge->mail_reply,
	                        &challenge->end_reason};
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
	if ((error = registry_sqlite_read_hash(query, 3, challenge->sender_hash,
	                                       err)) ||
	    (error = registry_sqlite_read_hash(query, 4, challenge->token_hash,
	                                       err)) ||
	    (error = registry_sqlite_read_hash(query, 20,
	                                       challenge->client_hash, err)) ||
	    (error = registry_sqlite_read_hash(query, 21,
	                                       challenge->domain_hash, err)))
		return error;
	return registry_sqlite_copy(query, 15, texts, 5, err);
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
	return registry_sqlite_read_challenge(query, &reading->challenge, err);
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

struct states {
	const struct id *ids;
	size_t count;
	int *states;
};

static int read_states(struct sqlite_db *db, void *context, struct error *err)
{
	const struct states *states = context;
	int result = 0;

	for (size_t i = 0; i < states->count && result >= 0; i++) {
		struct sqlite_query *query = sqlite_query(
		    db, "SELECT state FROM challenge WHERE id = ?1");

		sqlite_bind_id(query, 1, &states->ids[i]);
		if ((result = sqlite_step(query, err)) > 0) {
			states->states[i] = (int)sqlite_column_int(query, 0);
			sqlite_reset(query);
		}
	}
	return result < 0 ? result : 0;
}

int registry_sqlite_challenge_states(struct registry *registry,
                                     const struct id *ids, size_t count,
                                     int *states, struct error *err)
{
	struct states wanted = {ids, count, states};

	return registry_sqlite_read(registry, read_states, &wanted, err);
}

int registry_sqlite_collect_challenges(struct sqlite_query *query,
                                       struct registry_challenge_page *page,
                                       struct error *err)
{
	struct registry_challenges *list = &page->page;
	int result, error = 0;

	while (!error && (result = sqlite_step(query, err)) > 0) {
		error =
		    array_grow((void **)&list->challenges, list->count,
		               &page->capacity, sizeof(*list->challenges), err);
		if (!error)
			error = registry_sqlite_read_challenge(
			    query, &list->challenges[list->count++], err);
	}
	if (error)
		sqlite_reset(query);
	return error ? error : result;
}

int registry_sqlite_finish_challenges(int error,
                                      struct registry_challenge_page *page,
                                      struct registry_challenges *out)
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
	struct registry_challenge_page page;
};

static int list_due(struct sqlite_db *db, void *context, struct error *err)
{
	struct due *due = context;
	struct sqlite_query *query =
	    due->state == CHALLENGE_STATE_OPEN
	        ? sqlite_query(db,
	                       CHALLENGES "INDEXED BY challenge_expiry"
	                                  " WHERE state = 0 AND expires_ms < ?2"
	                                  " ORDER BY expires_ms, id LIMIT ?3")
	        : sqlite_query(db, CHALLENGES
	                       "INDEXED BY challenge_changed"
	                       " WHERE state = ?1 AND changed_ms < ?2"
	                       " ORDER BY changed_ms, id LIMIT ?3");

	if (due->state != CHALLENGE_STATE_OPEN)
		sqlite_bind_int(query, 1, due->state);
	sqlite_bind_int(query, 2, due->before_ms);
	sqlite_bind_int(query, 3, (int64_t)due->limit);
	return registry_sqlite_collect_challenges(query, &due->page, err);
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

	return registry_sqlite_finish_challenges(error, &due.page, page);
}

/* --- changes ------------------------------------------------------------ */

int registry_sqlite_challenge_unchanged(struct sqlite_db *db,
                                        const struct id *id, const char *what,
                                        struct error *err)
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
	const char *reason;
	int64_t now_ms;
};

static int move_challenge(struct sqlite_db *db, void *context,
                          struct error *err)
{
	const struct move *move = context;
	struct sqlite_query *query =
	    sqlite_query(db, "UPDATE challenge SET state = ?3, changed_ms = ?4,"
	                     " end_reason = ?5"
	                     " WHERE id = ?1 AND state = ?2");
	int error;

	sqlite_bind_id(query, 1, move->id);
	sqlite_bind_int(query, 2, move->from);
	sqlite_bind_int(query, 3, move->to);
	sqlite_bind_int(query, 4, move->now_ms);
	registry_sqlite_bind(query, 5, move->reason);
	if ((error = sqlite_run(query, err)) || sqlite_db_changes(db))
		return error;
	return registry_sqlite_challenge_unchanged(
	    db, move->id, "the challenge is in another state", err);
}

int registry_sqlite_challenge_move(struct registry *registry,
                                   const struct id *id,
                                   enum registry_challenge_state from,
                                   enum registry_challenge_state to,
                                   const char *reason, int64_t now_ms,
                                   struct error *err)
{
	struct move move = {id, from, to, reason, now_ms};

	return registry_sqlite_write(registry, move_challenge, &move, err);
}

struct solve {
	const struct id *id;
	int64_t serial, now_ms;
};

static int solve_challenge(struct sqlite_db *db, void *context,
                           struct error *err)
{
	const struct solve *solve = context;
	struct sqlite_query *query = sqlite_query(
	    db, "UPDATE challenge SET state = 1, changed_ms = ?3"
	        " WHERE id = ?1 AND state = 0 AND code_serial = ?2");
	int error;

	sqlite_bind_id(query, 1, solve->id);
	sqlite_bind_int(query, 2, solve->serial);
	sqlite_bind_int(query, 3, solve->now_ms);
	if ((error = sqlite_run(query, err)) || sqlite_db_changes(db))
		return error;
	return registry_sqlite_challenge_unchanged(
	    db, solve->id, "the challenge is closed or has a newer code", err);
}

int registry_sqlite_challenge_solve(struct registry *registry,
                                    const struct id *id, int64_t serial,
                                    int64_t now_ms, struct error *err)
{
	struct solve solve = {id, serial, now_ms};

	return registry_sqlite_write(registry, solve_challenge, &solve, err);
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
	return registry_sqlite_challenge_unchanged(
	    db, recode->id, "the challenge is closed or has a newer code", err);
}

int registry_sqlite_challenge_recode(struct registry *registry,
                                     const struct id *id, int64_t serial,
                                     bool wrong, const char *code,
                                     struct error *err)
{
	struct recode recode = {id, serial, wrong, code};

	return registry_sqlite_write(registry, recode_challenge, &recode, err);
}

/* --- counting ----------------------------------------------------------- */

#define COUNT_SINCE(index, key)                                                \
	"SELECT count(*) FROM (SELECT 1 FROM challenge INDEXED BY " index      \
	" WHERE " key "created_ms >= ?2 LIMIT ?3)"

static int count_group(struct sqlite_db *db,
                       const struct registry_challenge_query *asked,
                       size_t *count, struct error *err)
{
	static const char *const statements[] = {
	    [CHALLENGES_OF_SENDER] =
	        COUNT_SINCE("challenge_of_sender", "sender_hash = ?1 AND "),
	    [CHALLENGES_OF_CLIENT] =
	        COUNT_SINCE("challenge_of_client", "client_hash = ?1 AND "),
	    [CHALLENGES_OF_DOMAIN] =
	        COUNT_SINCE("challenge_of_domain", "domain_hash = ?1 AND "),
	    [CHALLENGES_OF_TENANT] =
	        COUNT_SINCE("challenge_of_tenant", "tenant = ?1 AND "),
	    [CHALLENGES_OF_ALL] = COUNT_SINCE("challenge_created", ""),
	};
	struct sqlite_query *query = sqlite_query(db, statements[asked->group]);
	int result;

	if (asked->group == CHALLENGES_OF_TENANT)
		sqlite_bind_id(query, 1, &asked->tenant);
	else if (asked->group != CHALLENGES_OF_ALL)
		sqlite_bind_blob(query, 1, asked->hash, CRYPTO_HASH_SIZE);
	sqlite_bind_int(query, 2, asked->since_ms);
	sqlite_bind_int(query, 3, (int64_t)asked->limit);
	if ((result = sqlite_step(query, err)) < 0)
		return result;
	*count = (size_t)sqlite_column_int(query, 0);
	sqlite_reset(query);
	return 0;
}

struct counting {
	const struct registry_challenge_query *queries;
	size_t count;
	size_t *counts;
};

static int count_groups(struct sqlite_db *db, void *context, struct error *err)
{
	const struct counting *counting = context;
	int error = 0;

	for (size_t i = 0; i < counting->count && !error; i++)
		error = count_group(db, &counting->queries[i],
		                    &counting->counts[i], err);
	return error;
}

int registry_sqlite_challenge_count(
    struct registry *registry, const struct registry_challenge_query *queries,
    size_t count, size_t *counts, struct error *err)
{
	struct counting counting = {queries, count, counts};

	return registry_sqlite_read(registry, count_groups, &counting, err);
}
