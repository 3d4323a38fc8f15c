/* The rows of the challenge table, for the files that read and change them. */
#ifndef STORE_REGISTRY_SQLITE_CHALLENGE_H
#define STORE_REGISTRY_SQLITE_CHALLENGE_H

#include "store/registry-sqlite.h"

/* In the order in which the rows are read. */
#define CHALLENGE_COLUMNS                                                      \
	"id, tenant, message, sender_hash, token_hash, state, created_ms,"     \
	" expires_ms, changed_ms, attempts, code_serial, mail, mail_attempts," \
	" mail_next_ms, mail_lease_ms, sender, code, mail_owner, mail_reply"

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
