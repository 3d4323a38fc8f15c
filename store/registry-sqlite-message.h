/* The rows of the message table, for the files that read them. */
#ifndef STORE_REGISTRY_SQLITE_MESSAGE_H
#define STORE_REGISTRY_SQLITE_MESSAGE_H

#include "store/registry-sqlite.h"

/* In the order in which registry_sqlite_read_message() takes them. */
#define MESSAGE_COLUMNS                                                        \
	"id, tenant, challenge, received_ms, registered_ms, expires_ms, size," \
	" sender, sender_normal, header_from, subject, message_id,"            \
	" client_address, helo, challenge_reason, auth_stated, auth_aligned,"  \
	" spf, dkim, dmarc, spf_domain, dkim_domain"

/*
 * Reads the query's row and then its recipients into a zeroed message, which
 * the caller releases, on failure too.
 */
int registry_sqlite_read_message(struct sqlite_db *db,
                                 struct sqlite_query *query,
                                 struct registry_message *message,
                                 struct error *err);

#endif
