/*
 * The tables of spool.db as earlier versions of the schema had them. Frozen:
 * what files of those versions look like does not change any more.
 */
#ifndef TESTS_UNIT_STORE_SPOOL_SCHEMAS_H
#define TESTS_UNIT_STORE_SPOOL_SCHEMAS_H

/* clang-format off */
#define SPOOL_SCHEMA_1 \
	"PRAGMA user_version = 1;" \
	"CREATE TABLE message (" \
	" seq INTEGER PRIMARY KEY," \
	" id BLOB NOT NULL UNIQUE," \
	" received_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL," \
	" size INTEGER NOT NULL, eight_bit INTEGER NOT NULL," \
	" sender TEXT NOT NULL, sender_normal TEXT NOT NULL," \
	" header_from TEXT NOT NULL, subject TEXT NOT NULL," \
	" message_id TEXT NOT NULL, client_address TEXT NOT NULL," \
	" client_name TEXT NOT NULL, helo TEXT NOT NULL," \
	" protocol TEXT NOT NULL, challenge_reason TEXT NOT NULL," \
	" auth_stated INTEGER NOT NULL, auth_spf INTEGER NOT NULL," \
	" auth_dkim INTEGER NOT NULL, auth_dmarc INTEGER NOT NULL," \
	" auth_aligned INTEGER NOT NULL, auth_spf_domain TEXT NOT NULL," \
	" auth_dkim_domain TEXT NOT NULL);" \
	"CREATE TABLE body (" \
	" message INTEGER PRIMARY KEY, size INTEGER NOT NULL," \
	" file TEXT, bytes BLOB);" \
	"CREATE INDEX body_file ON body (file) WHERE file IS NOT NULL;" \
	"CREATE TABLE recipient (" \
	" message BLOB NOT NULL, position INTEGER NOT NULL," \
	" state INTEGER NOT NULL, changed_ms INTEGER NOT NULL," \
	" attempts INTEGER NOT NULL, next_attempt_ms INTEGER NOT NULL," \
	" due_ms INTEGER, hold_until_ms INTEGER," \
	" event_pending INTEGER NOT NULL," \
	" lease_until_ms INTEGER NOT NULL, lease_owner TEXT NOT NULL," \
	" address TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL," \
	" reply TEXT NOT NULL, history TEXT NOT NULL," \
	" PRIMARY KEY (message, position)) WITHOUT ROWID;" \
	"CREATE INDEX recipient_due ON recipient (due_ms)" \
	" WHERE due_ms IS NOT NULL;" \
	"CREATE INDEX recipient_hold ON recipient (hold_until_ms)" \
	" WHERE hold_until_ms IS NOT NULL;" \
	"CREATE INDEX recipient_event ON recipient (message)" \
	" WHERE event_pending = 1;" \
	"CREATE TABLE unregistered (message BLOB PRIMARY KEY) WITHOUT ROWID;" \
	"CREATE TABLE ended (" \
	" at_ms INTEGER NOT NULL, message BLOB NOT NULL," \
	" PRIMARY KEY (at_ms, message)) WITHOUT ROWID;" \
	"CREATE TABLE total (" \
	" one INTEGER PRIMARY KEY, held INTEGER NOT NULL," \
	" queued INTEGER NOT NULL, deferred INTEGER NOT NULL," \
	" delivered INTEGER NOT NULL, failed INTEGER NOT NULL," \
	" discarded INTEGER NOT NULL, expired INTEGER NOT NULL," \
	" quarantined INTEGER NOT NULL, unregistered INTEGER NOT NULL," \
	" body_bytes INTEGER NOT NULL);" \
	"INSERT INTO total VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);" \
	"CREATE TABLE value (" \
	" name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;" \
	"CREATE TABLE entry (" \
	" id BLOB PRIMARY KEY, scope INTEGER NOT NULL," \
	" colour INTEGER NOT NULL, kind INTEGER NOT NULL," \
	" origin INTEGER NOT NULL, demands_pass INTEGER NOT NULL," \
	" expires_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL," \
	" revision INTEGER NOT NULL, scope_value TEXT NOT NULL," \
	" value TEXT NOT NULL, note TEXT NOT NULL) WITHOUT ROWID;"
/* clang-format on */

#endif
