/*
 * The SQLite registry finds by index what it is asked for: every statement
 * that a tour of all operations runs is explained, and none but a few that are
 * named here may read through a table.
 */
#include <sqlite3.h>

#include "store/registry/sqlite/addresses.h"
#include "tests/conformance/registry/fixture.h"

#define MAXIMUM 200

static char *statements[MAXIMUM];
static size_t statement_count;
static bool tracing = true;

static int note(unsigned kind, void *context, void *statement, void *text)
{
	const char *sql = sqlite3_sql(statement);

	(void)kind;
	(void)context;
	(void)text;
	for (size_t i = 0; i < statement_count; i++)
		if (!strcmp(statements[i], sql))
			return 0;
	ck_assert_uint_lt(statement_count, MAXIMUM);
	statements[statement_count++] = strdup(sql);
	return 0;
}

/* SQLite calls it for every connection that is opened. */
static int trace(sqlite3 *db, char **message, const void *routines)
{
	(void)message;
	(void)routines;
	if (tracing)
		(void)sqlite3_trace_v2(db, SQLITE_TRACE_STMT, note, NULL);
	return SQLITE_OK;
}

static void ignore_tenant(const struct registry_tenant *tenant, void *context)
{
	(void)tenant;
	(void)context;
}

static void ignore_domain(const char *domain, void *context)
{
	(void)domain;
	(void)context;
}

static void ignore_key(const struct registry_key *key, void *context)
{
	(void)key;
	(void)context;
}

static void ignore_line(const struct registry_audit *line, void *context)
{
	(void)line;
	(void)context;
}

static void tour_accounts(void)
{
	struct registry_key key = {.id = id_of(1),
	                           .tenant = tenant_a,
	                           .agent = (char *)"mx",
	                           .prefix = (char *)"p"};
	struct registry_user user = {.id = id_of(1),
	                             .tenant = tenant_a,
	                             .login = (char *)"u@a",
	                             .role = (char *)"admin",
	                             .password = (char *)"x"};
	struct registry_audit line = {
	    .id = id_of(1), .actor = (char *)"cli", .action = (char *)"x"};
	struct registry_tenant tenant;
	struct registry_totals totals;
	struct registry_usage usage;
	uint8_t secret[32];

	ok(registry_tenant_find(registry, "a", &tenant, E));
	registry_tenant_release(&tenant);
	ok(registry_tenant_read(registry, &tenant_a, &tenant, E));
	ok(registry_tenant_change(registry, &tenant, E));
	registry_tenant_release(&tenant);
	ok(registry_tenant_usage(registry, &tenant_a, &usage, E));
	ok(registry_tenant_each(registry, ignore_tenant, NULL, E));
	ok(registry_domain_add(registry, &tenant_a, "d", E));
	ok(registry_domain_each(registry, &tenant_a, ignore_domain, NULL, E));
	ok(registry_domain_remove(registry, &tenant_a, "d", E));
	ok(registry_key_add(registry, &key, E));
	ok(registry_key_find(registry, "p", &key, E));
	registry_key_release(&key);
	ok(registry_key_each(registry, &tenant_a, ignore_key, NULL, E));
	ok(registry_key_revoke(registry, &tenant_a, "p", NOW, E));
	fails(ERR_CONFLICT,
	      registry_key_revoke(registry, &tenant_a, "p", NOW, NULL));
	ok(registry_user_add(registry, &user, E));
	ok(registry_user_find(registry, "u@a", &user, E));
	registry_user_release(&user);
	ok(registry_audit_add(registry, &line, E));
	ok(registry_audit_each(registry, &no_id, NULL, 9, ignore_line, NULL,
	                       E));
	ok(registry_count(registry, &totals, E));
	ok(registry_lease(registry, "l", "o", NOW, 5, E));
	ok(registry_secret(registry, "s", secret, E));
}

static void tour_entries(void)
{
	struct entry entry = entry_of(1, "s@x.org"), found;
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "r@a",
	                                .client_address = "192.0.2.1",
	                                .now_ms = NOW};
	struct registry_entries page;
	struct registry_policy_cursor cursor = {0};

	mail_identity_find(&identity, "s@x.org", "", NULL);
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	ok(match_one(registry, &tenant_a, &subject, &found, E));
	entry_release(&found);
	ok(registry_entry_list(registry, &tenant_a, NULL, 9, &page, E));
	registry_entries_release(&page);
	ok(registry_entry_changes(registry, &tenant_a, &cursor, 9, &page, E));
	registry_entries_release(&page);
	ok(registry_policy_revision(registry, &tenant_a, &cursor, E));
	ok(registry_entry_remove(registry, &tenant_a, &entry.id, E));
	entry.id = id_of(2);
	entry.scope = ENTRY_SCOPE_GLOBAL;
	ok(registry_entry_put(registry, &no_id, &entry, NULL, E));
}

/* Every combination of what a search can ask for. */
static void tour_lists(void)
{
	struct id challenge = id_of(7);

	for (unsigned i = 0; i < 64; i++) {
		struct registry_query query = {
		    .tenant = i & 1 ? &tenant_a : NULL,
		    .held = (i & 2) != 0,
		    .sender_normal = i & 4 ? "s" : NULL,
		    .recipient = i & 8 ? "r@a" : NULL,
		    .challenge = i & 16 ? &challenge : NULL,
		    .expires_before_ms = i & 32 ? NOW : 0,
		    .limit = 10,
		};
		struct registry_messages page;

		ok(registry_message_list(registry, &query, &page, E));
		registry_messages_release(&page);
	}
}

static void tour_messages(void)
{
	struct registry_decisions page;
	struct registry_message message;
	struct id id = id_of(1), challenge = id_of(7);
	int64_t last;

	put_message(&tenant_a, 1, "s", "r@a", "q@a");
	put_message(&tenant_a, 1, "s", "r@a", "q@a");
	ok(attach_one(registry, &tenant_a, &id, &challenge, "x", E));
	ok(registry_message_read(registry, &tenant_a, &id, &message, E));
	registry_message_release(&message);
	tour_lists();
	ok(decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
	fails(ERR_CONFLICT, decide(&tenant_a, 1, "r@a", REGISTRY_RELEASE));
	ok(registry_decision_list(registry, &tenant_a, 0, 9, &page, E));
	registry_decisions_release(&page);
	ok(registry_decision_last(registry, &tenant_a, &last, E));
	ok(registry_message_event(registry, &tenant_a, &id, "q@a",
	                          REGISTRY_FAILED, NOW, "", E));
}

static void tour_challenges(void)
{
	struct registry_challenge found, challenge = challenge_of(7, 7);
	struct registry_challenges page;
	const struct id *id = &challenge.id;
	struct registry_dead_sender dead = {.marked_ms = NOW};
	size_t count;

	ok(open_one(registry, &challenge, NULL, E));
	fails(ERR_EXISTS, open_one(registry, &challenge, NULL, NULL));
	ok(registry_challenge_read(registry, id, &found, E));
	registry_challenge_release(&found);
	ok(find_one(registry, challenge.sender_hash, &found.id, E));
	ok(registry_challenge_recode(registry, id, 0, true, "X", E));
	ok(registry_challenge_claim_mail(registry, "w", NOW, 9, 9, &page, E));
	registry_challenges_release(&page);
	ok(registry_challenge_mail_done(registry, id, "w", MAIL_STATE_SENT, 0,
	                                true, "", E));
	for (int state = 0; state < 5; state++) {
		ok(registry_challenge_due(registry,
		                          (enum registry_challenge_state)state,
		                          NOW, 9, &page, E));
		registry_challenges_release(&page);
	}
	ok(registry_challenge_solve(registry, id, 1, NOW, E));
	ok(registry_challenge_move(registry, id, CHALLENGE_STATE_SOLVED,
	                           CHALLENGE_STATE_SETTLED, NOW, E));
	for (int group = 0; group <= CHALLENGES_OF_ALL; group++) {
		struct registry_challenge_query query = {
		    .group = (enum registry_challenge_group)group, .limit = 9};

		ok(registry_challenge_count(registry, &query, 1, &count, E));
	}
	memcpy(dead.hash, challenge.sender_hash, sizeof(dead.hash));
	ok(registry_sender_clear(registry, dead.hash, NOW, NULL, E));
	ok(registry_sender_mark(registry, &dead, E));
	ok(registry_sender_read(registry, dead.hash, &dead, E));
	registry_dead_sender_release(&dead);
}

static void tour_purges(void)
{
	static const enum registry_kind kinds[] = {
	    REGISTRY_MESSAGES, REGISTRY_DECISIONS, REGISTRY_CHALLENGES,
	    REGISTRY_DEAD_SENDERS, REGISTRY_AUDIT};
	size_t deleted, messages = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		ok(registry_purge(registry, kinds[i], INT64_MAX, 9, &deleted,
		                  E));
		messages += kinds[i] == REGISTRY_MESSAGES ? deleted : 0;
	}
	ck_assert_uint_gt(messages, 0);
}

/* A step of a plan that may stand, and in which statement ("": in any); in the
 * words of SQLite 3.40, and of 3.46 where it has others. */
static const struct {
	const char *step, *statement;
} allowed[] = {
    {"SCAN CONSTANT ROW", ""},
    {"SCAN 5 CONSTANT ROWS", "INSERT INTO counter"},
    {"SCAN 5-ROW VALUES CLAUSE", "INSERT INTO counter"},
    {"SCAN 8 CONSTANT ROWS", "INTO message_address"},
    {"SCAN 8-ROW VALUES CLAUSE", "INTO message_address"},
    {"SCAN (subquery", ""},
    /* Of one row. */
    {"SCAN address_state", ""},
    /* All tenants are asked for, or counted. */
    {"SCAN tenant", "FROM tenant ORDER BY name"},
    {"SCAN tenant", "SELECT (SELECT count(*) FROM tenant)"},
    /* Those of one millisecond are put in the order of their ids. */
    {"USE TEMP B-TREE FOR RIGHT PART OF ORDER BY", "ORDER BY mail_next_ms, id"},
    {"USE TEMP B-TREE FOR RIGHT PART OF ORDER BY", "ORDER BY expires_ms, id"},
    {"USE TEMP B-TREE FOR RIGHT PART OF ORDER BY", "ORDER BY changed_ms, id"},
    {"USE TEMP B-TREE FOR LAST TERM OF ORDER BY", "ORDER BY mail_next_ms, id"},
    {"USE TEMP B-TREE FOR LAST TERM OF ORDER BY", "ORDER BY expires_ms, id"},
    {"USE TEMP B-TREE FOR LAST TERM OF ORDER BY", "ORDER BY changed_ms, id"},
    /* Only what is pending is in it. */
    {"SCAN challenge USING INDEX challenge_mail", "count(*)"},
    {"SCAN challenge USING COVERING INDEX challenge_mail", "count(*)"},
    /* A message's recipients; searches of the cloud's own jobs. */
    {"USE TEMP B-TREE FOR ORDER BY", "FROM recipient WHERE message = ?1"},
    {"USE TEMP B-TREE FOR ORDER BY", "INDEXED BY message_expiry"},
};

static bool is_allowed(const char *step, const char *sql)
{
	if (strncmp(step, "SCAN", 4) != 0 && !strstr(step, "TEMP B-TREE"))
		return true;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (!strncmp(step, allowed[i].step, strlen(allowed[i].step)) &&
		    strstr(sql, allowed[i].statement))
			return true;
	return false;
}

/* The writer's own functions: a plan needs their names alone. */
static void no_function(sqlite3_context *context, int count,
                        sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_null(context);
}

static sqlite3 *open_raw(void)
{
	sqlite3 *db = NULL;
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/registry.db", location);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	(void)sqlite3_create_function(db, "address_key", 2, SQLITE_UTF8, NULL,
	                              no_function, NULL, NULL);
	(void)sqlite3_create_function(db, "id_stamp", 1, SQLITE_UTF8, NULL,
	                              no_function, NULL, NULL);
	return db;
}

/* How many steps of the statement's plan are not allowed; told to out. */
static int explain(sqlite3 *db, const char *sql, FILE *out)
{
	char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
	sqlite3_stmt *plan = NULL;
	int bad = 0;

	ck_assert_int_eq(sqlite3_prepare_v2(db, text, -1, &plan, NULL),
	                 SQLITE_OK);
	while (sqlite3_step(plan) == SQLITE_ROW) {
		const char *step = (const char *)sqlite3_column_text(plan, 3);

		if (is_allowed(step, sql))
			continue;
		if (out)
			(void)fprintf(out, "%s\n  by: %s\n", sql, step);
		bad++;
	}
	(void)sqlite3_finalize(plan);
	sqlite3_free(text);
	return bad;
}

/* Not what a migration did once, to a table that is gone. */
static bool is_explainable(const char *sql)
{
	if (strstr(sql, "message_2"))
		return false;
	return !strncmp(sql, "SELECT", 6) || !strncmp(sql, "UPDATE", 6) ||
	       !strncmp(sql, "DELETE", 6) || !strncmp(sql, "INSERT", 6);
}

START_TEST(no_statement_reads_a_whole_table)
{
	int bad = 0, explained = 0;
	sqlite3 *db;

	/* Addresses are written at once, so that their statements are seen. */
	((struct registry_sqlite *)registry)->addresses->most = 0;
	tour_accounts();
	tour_entries();
	tour_messages();
	tour_challenges();
	tour_purges();
	tracing = false;
	db = open_raw();
	for (size_t i = 0; i < statement_count; i++) {
		if (!is_explainable(statements[i]))
			continue;
		bad += explain(db, statements[i], stderr);
		explained++;
	}
	(void)sqlite3_close(db);
	ck_assert_int_eq(bad, 0);
	/* The tour was traced at all. */
	ck_assert_int_gt(explained, 60);
}
END_TEST

/* The check itself: it must see a scan where there is one. */
START_TEST(a_scan_is_seen)
{
	sqlite3 *db = open_raw();

	ck_assert_int_eq(explain(db,
	                         "SELECT * FROM message"
	                         " WHERE subject = 'x'",
	                         NULL),
	                 1);
	ck_assert_int_eq(
	    explain(db, "SELECT * FROM message WHERE id = ?1", NULL), 0);
	(void)sqlite3_close(db);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-plans");
	TCase *tcase = case_in(suite, "plans");

	if (!is_sqlite())
		return 0;
	(void)sqlite3_auto_extension((void (*)(void))trace);
	tcase_add_test(tcase, no_statement_reads_a_whole_table);
	tcase_add_test(tcase, a_scan_is_seen);
	return suite_main(suite, NULL);
}
