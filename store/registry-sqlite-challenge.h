/* The rows of the challenge table, for the files that read and change them. */
#ifndef STORE_REGISTRY_SQLITE_CHALLENGE_H
#define STORE_REGISTRY_SQLITE_CHALLENGE_H

#include "store/registry-sqlite.h"

/* In the order in which the rows are read. */
#define CHALLENGE_COLUMNS                                                      \
	"id, tenant, message, sender_hash, token_hash, state, created_ms,"     \
	" expires_ms, changed_ms, attempts, code_serial, mail, mail_attempts," \
	" mail_next_ms, mail_lease_ms, sender, code, mail_owner, mail_reply"

/* With the parameters that registry_sqlite_bind_challenge() binds. */
#define CHALLENGE_INSERT                                                       \
	"INSERT INTO challenge (" CHALLENGE_COLUMNS                            \
	") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"    \
	" ?14, ?15, ?16, ?17, ?18, ?19)"

/* Binds a challenge that nobody has claimed. */
void registry_sqlite_bind_challenge(struct sqlite_query *query,
                                    const struct registry_challenge *challenge);

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

#endif
