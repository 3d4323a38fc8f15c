/* The rows of the challenge table, for the files that read and change them. */
#ifndef STORE_REGISTRY_SQLITE_CHALLENGE_ROWS_H
#define STORE_REGISTRY_SQLITE_CHALLENGE_ROWS_H

#include "store/registry/sqlite/private.h"

/* In the order in which the rows are read. */
#define CHALLENGE_COLUMNS                                                      \
	"id, tenant, message, sender_hash, token_hash, state, created_ms,"     \
	" expires_ms, changed_ms, attempts, code_serial, mail, mail_attempts," \
	" mail_next_ms, mail_lease_ms, sender, code, mail_owner, mail_reply,"  \
	" end_reason, client_hash, domain_hash"

/* With the parameters that registry_sqlite_bind_challenge() binds. */
#define CHALLENGE_INSERT                                                       \
	"INSERT INTO challenge (" CHALLENGE_COLUMNS                            \
	") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"    \
	" ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)"

/* Binds a challenge that nobody has claimed. */
void registry_sqlite_bind_challenge(struct sqlite_query *query,
                                    const struct registry_challenge *challenge);

/* Reads a column that holds a hash. ERR_CORRUPT for another size. */
int registry_sqlite_read_hash(struct sqlite_query *query, int index,
                              uint8_t hash[CRYPTO_HASH_SIZE],
                              struct error *err);

/*
 * Reads the query's row into a zeroed challenge, which the caller releases, on
 * failure too.
 */
int registry_sqlite_read_challenge(struct sqlite_query *query,
                                   struct registry_challenge *challenge,
                                   struct error *err);

struct registry_challenge_page {
	struct registry_challenges page;
	size_t capacity;
};

/* Reads the rows that a query of CHALLENGE_COLUMNS gives, to its end. */
int registry_sqlite_collect_challenges(struct sqlite_query *query,
                                       struct registry_challenge_page *page,
                                       struct error *err);

/* Gives the page to the caller, or frees it when error is one; error. */
int registry_sqlite_finish_challenges(int error,
                                      struct registry_challenge_page *page,
                                      struct registry_challenges *out);

/*
 * What a conditional change that changed no row comes to: ERR_NOT_FOUND, or
 * ERR_CONFLICT with the text what.
 */
int registry_sqlite_challenge_unchanged(struct sqlite_db *db,
                                        const struct id *id, const char *what,
                                        struct error *err);

/* In the order in which registry_sqlite_read_dead() reads them. */
#define DEAD_COLUMNS "hash, marked_ms, challenge, reason"

/* With the parameters that registry_sqlite_bind_dead() binds. */
#define DEAD_INSERT                                                            \
	"INSERT INTO dead_sender (" DEAD_COLUMNS ") VALUES (?1, ?2, ?3, ?4)"
/* Behind it: the mark takes the place of an older one. */
#define DEAD_REPLACE                                                           \
	" ON CONFLICT (hash) DO UPDATE SET marked_ms = excluded.marked_ms,"    \
	" challenge = excluded.challenge, reason = excluded.reason"

/* Binds a dead sender's mark to the parameters 1 to 4. */
void registry_sqlite_bind_dead(struct sqlite_query *query,
                               const struct registry_dead_sender *dead);

/* Reads the query's row into a zeroed mark, which the caller releases, on
 * failure too. */
int registry_sqlite_read_dead(struct sqlite_query *query,
                              struct registry_dead_sender *dead,
                              struct error *err);

#endif
