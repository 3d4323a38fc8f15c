/* The tables of the spool, and how older ones become today's. */
#include "store/spool/sqlite/private.h"

/*
 * message     what never changes after it was added; seq keys its body
 * body        the bytes, or the name of their file; no row: dropped
 * recipient   all that changes. due_ms: when a claim may take it (queued and
 *             deferred; the lease's end when claimed); hold_until_ms: when it
 *             expires (held and quarantined) or is kept no longer (failed);
 *             NULL in all other states, and when it is not kept;
 *             history: see spool-history.h
 * unregistered  messages that the cloud is still to hear of
 * refusal     what the cloud did not take: of messages that are unregistered,
 *             and of single recipients of others
 * ended       messages whose recipients are all over, by the last change
 * total       how many recipients are in each state (one row)
 */
/* clang-format off */
static const char version_1[] =
	"CREATE TABLE message ("
	" seq INTEGER PRIMARY KEY,"
	" id BLOB NOT NULL UNIQUE,"
	" received_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
	" size INTEGER NOT NULL, eight_bit INTEGER NOT NULL,"
	" sender TEXT NOT NULL, sender_normal TEXT NOT NULL,"
	" header_from TEXT NOT NULL, subject TEXT NOT NULL,"
	" message_id TEXT NOT NULL, client_address TEXT NOT NULL,"
	" client_name TEXT NOT NULL, helo TEXT NOT NULL,"
	" protocol TEXT NOT NULL, challenge_reason TEXT NOT NULL,"
	" auth_stated INTEGER NOT NULL, auth_spf INTEGER NOT NULL,"
	" auth_dkim INTEGER NOT NULL, auth_dmarc INTEGER NOT NULL,"
	" auth_aligned INTEGER NOT NULL, auth_spf_domain TEXT NOT NULL,"
	" auth_dkim_domain TEXT NOT NULL);"

	"CREATE TABLE body ("
	" message INTEGER PRIMARY KEY, size INTEGER NOT NULL,"
	" file TEXT, bytes BLOB);"
	"CREATE INDEX body_file ON body (file) WHERE file IS NOT NULL;"

	"CREATE TABLE recipient ("
	" message BLOB NOT NULL, position INTEGER NOT NULL,"
	" state INTEGER NOT NULL, changed_ms INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL, next_attempt_ms INTEGER NOT NULL,"
	" due_ms INTEGER, hold_until_ms INTEGER,"
	" event_pending INTEGER NOT NULL,"
	" lease_until_ms INTEGER NOT NULL, lease_owner TEXT NOT NULL,"
	" address TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL,"
	" reply TEXT NOT NULL, history TEXT NOT NULL,"
	" PRIMARY KEY (message, position)) WITHOUT ROWID;"
	"CREATE INDEX recipient_due ON recipient (due_ms)"
	" WHERE due_ms IS NOT NULL;"
	"CREATE INDEX recipient_hold ON recipient (hold_until_ms)"
	" WHERE hold_until_ms IS NOT NULL;"
	"CREATE INDEX recipient_event ON recipient (message)"
	" WHERE event_pending = 1;"

	"CREATE TABLE unregistered (message BLOB PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE ended ("
	" at_ms INTEGER NOT NULL, message BLOB NOT NULL,"
	" PRIMARY KEY (at_ms, message)) WITHOUT ROWID;"

	"CREATE TABLE total ("
	" one INTEGER PRIMARY KEY, held INTEGER NOT NULL,"
	" queued INTEGER NOT NULL, deferred INTEGER NOT NULL,"
	" delivered INTEGER NOT NULL, failed INTEGER NOT NULL,"
	" discarded INTEGER NOT NULL, expired INTEGER NOT NULL,"
	" quarantined INTEGER NOT NULL, unregistered INTEGER NOT NULL,"
	" body_bytes INTEGER NOT NULL);"
	"INSERT INTO total VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);"

	"CREATE TABLE value ("
	" name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE entry ("
	" id BLOB PRIMARY KEY, scope INTEGER NOT NULL,"
	" colour INTEGER NOT NULL, kind INTEGER NOT NULL,"
	" origin INTEGER NOT NULL, demands_pass INTEGER NOT NULL,"
	" expires_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
	" revision INTEGER NOT NULL, scope_value TEXT NOT NULL,"
	" value TEXT NOT NULL, note TEXT NOT NULL) WITHOUT ROWID;";

static const char version_2[] =
	"ALTER TABLE message ADD COLUMN smtputf8 INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE refusal ("
	" message BLOB PRIMARY KEY, attempts INTEGER NOT NULL,"
	" retry_ms INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;"

	/* Failed mail is kept; what failed until now had lost its body. */
	"ALTER TABLE message ADD COLUMN dsn_of BLOB;"
	"ALTER TABLE recipient ADD COLUMN dsn INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE recipient ADD COLUMN dsn_id BLOB;"
	"ALTER TABLE recipient ADD COLUMN next_hop TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX recipient_dsn ON recipient (message)"
	" WHERE dsn IN (1, 2);"
	"ALTER TABLE total ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;"

	/* Which From a DMARC result is about. */
	"ALTER TABLE message ADD COLUMN"
	" auth_dmarc_domain TEXT NOT NULL DEFAULT '';"

	"ALTER TABLE message ADD COLUMN auth_notice TEXT NOT NULL DEFAULT '';";
/* clang-format on */

const char *const spool_sqlite_steps[] = {version_1, version_2};
const size_t spool_sqlite_version =
    sizeof(spool_sqlite_steps) / sizeof(spool_sqlite_steps[0]);
