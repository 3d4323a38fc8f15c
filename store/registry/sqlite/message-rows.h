/* The rows of the message table, for the files that read them. */
#ifndef STORE_REGISTRY_SQLITE_MESSAGE_ROWS_H
#define STORE_REGISTRY_SQLITE_MESSAGE_ROWS_H

#include "store/registry/sqlite/private.h"

/* In the order in which registry_sqlite_read_message() takes them. */
#define MESSAGE_COLUMNS                                                        \
	"id, tenant, challenge, received_ms, registered_ms, expires_ms, size," \
	" sender, sender_normal, header_from, subject, message_id,"            \
	" client_address, helo, challenge_reason, auth_stated, auth_aligned,"  \
	" spf, dkim, dmarc, spf_domain, dkim_domain, dmarc_domain"

/* With the parameters that registry_sqlite_bind_message() binds; ?24 is how
 * many recipients are held. */
#define MESSAGE_INSERT                                                         \
	"INSERT INTO message (" MESSAGE_COLUMNS ", held) VALUES (?1, ?2, ?3,"  \
	" ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"     \
	" ?18, ?19, ?20, ?21, ?22, ?23, ?24)"

/* Binds all but the count of the held. */
void registry_sqlite_bind_message(struct sqlite_query *query,
                                  const struct registry_message *message);

/*
 * Reads the query's row and then its recipients into a zeroed message, which
 * the caller releases, on failure too.
 */
int registry_sqlite_read_message(struct sqlite_db *db,
                                 struct sqlite_query *query,
                                 struct registry_message *message,
                                 struct error *err);

/*
 * Deletes the message with its recipients and what it is found by; the counters
 * are the caller's. Adds to *rows how many messages and recipients that were.
 */
int registry_sqlite_delete_message(struct sqlite_db *db, const struct id *id,
                                   int64_t *rows, struct error *err);

#endif
