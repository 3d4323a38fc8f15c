/*
 * Conformance of the registry: what no backend takes, and what is not there;
 * nothing changes by it, and no output is touched.
 */
#include "common/mem.h"
#include "store/copy/registry.h"
#include "tests/conformance/registry/fixture.h"

/* One byte more than any text may have. */
static char *too_long;

static struct id unknown;

/* --- calls that are refused ---------------------------------------------- */

static int lease_no_name(void)
{
	return registry_lease(registry, "", "o", NOW, 9, NULL);
}

static int lease_no_owner(void)
{
	return registry_lease(registry, "n", NULL, NOW, 9, NULL);
}

static int secret_no_name(void)
{
	uint8_t secret[32];

	return registry_secret(registry, "", secret, NULL);
}

static int find_tenant_empty(void)
{
	return registry_tenant_find(registry, "", NULL, NULL);
}

static int find_tenant_unknown(void)
{
	return registry_tenant_find(registry, "nobody", NULL, NULL);
}

static int read_tenant_none(void)
{
	return registry_tenant_read(registry, &no_id, NULL, NULL);
}

static int domain_no_tenant(void)
{
	return registry_domain_add(registry, &no_id, "x.example", NULL);
}

static int domain_empty(void)
{
	return registry_domain_add(registry, &tenant_a, "", NULL);
}

static int domain_long(void)
{
	return registry_domain_add(registry, &tenant_a, too_long, NULL);
}

static int domain_remove_empty(void)
{
	return registry_domain_remove(registry, &tenant_a, NULL, NULL);
}

static int domain_remove_unknown(void)
{
	return registry_domain_remove(registry, &tenant_a, "x", NULL);
}

static int add_key(const struct id *id, const struct id *tenant,
                   const char *agent, const char *prefix)
{
	struct registry_key key = {.id = *id,
	                           .tenant = *tenant,
	                           .agent = (char *)agent,
	                           .prefix = (char *)prefix};

	return registry_key_add(registry, &key, NULL);
}

static int key_no_id(void)
{
	return add_key(&no_id, &tenant_a, "a", "tk");
}

static int key_no_tenant(void)
{
	return add_key(&unknown, &no_id, "a", "tk");
}

static int key_unknown_tenant(void)
{
	return add_key(&unknown, &unknown, "a", "tk");
}

static int key_no_agent(void)
{
	return add_key(&unknown, &tenant_a, "", "tk");
}

static int key_no_prefix(void)
{
	return add_key(&unknown, &tenant_a, "a", NULL);
}

static int find_key_empty(void)
{
	return registry_key_find(registry, NULL, NULL, NULL);
}

static int find_key_unknown(void)
{
	return registry_key_find(registry, "tk", NULL, NULL);
}

static int revoke_at_zero(void)
{
	return registry_key_revoke(registry, &tenant_a, "tk", 0, NULL);
}

static int revoke_unknown(void)
{
	return registry_key_revoke(registry, &tenant_a, "tk", NOW, NULL);
}

static int revoke_no_tenant(void)
{
	return registry_key_revoke(registry, &no_id, "tk", NOW, NULL);
}

static int find_user_empty(void)
{
	return registry_user_find(registry, "", NULL, NULL);
}

static int find_user_unknown(void)
{
	return registry_user_find(registry, "u", NULL, NULL);
}

static int remove_entry_unknown(void)
{
	return registry_entry_remove(registry, &tenant_a, &unknown, NULL);
}

static int remove_entry_none(void)
{
	return registry_entry_remove(registry, &no_id, &no_id, NULL);
}

static int put_entry_unknown_tenant(void)
{
	struct entry entry = entry_of(9, "x@x");

	return registry_entry_put(registry, &unknown, &entry, NULL, NULL);
}

static int put_entry_long(void)
{
	struct entry entry = entry_of(9, too_long);

	return registry_entry_put(registry, &tenant_a, &entry, NULL, NULL);
}

static int list_entries(size_t limit)
{
	return registry_entry_list(registry, &tenant_a, NULL, limit, NULL,
	                           NULL);
}

static int list_no_entries(void)
{
	return list_entries(0);
}

static int list_too_many_entries(void)
{
	return list_entries(100001);
}

static int no_changes(void)
{
	struct registry_policy_cursor cursor = {0};

	return registry_entry_changes(registry, &tenant_a, &cursor, 0, NULL,
	                              NULL);
}

static int revision_unknown_tenant(void)
{
	struct registry_policy_cursor revision;

	return registry_policy_revision(registry, &unknown, &revision, NULL);
}

static int read_message_unknown(void)
{
	return registry_message_read(registry, &tenant_a, &unknown, NULL, NULL);
}

static int read_message_of_another(void)
{
	struct id id = id_of(1);

	return registry_message_read(registry, &tenant_b, &id, NULL, NULL);
}

static int attach(const struct id *tenant, const struct id *id,
                  const char *reason)
{
	return attach_one(registry, tenant, id, NULL, reason, NULL);
}

static int attach_unknown(void)
{
	return attach(&tenant_a, &unknown, "list");
}

static int attach_of_another(void)
{
	struct id id = id_of(1);

	return attach(&tenant_b, &id, "list");
}

static int attach_long(void)
{
	struct id id = id_of(1);

	return attach(&tenant_a, &id, too_long);
}

static int list_messages(size_t limit, const char *sender)
{
	struct registry_query query = {
	    .tenant = &tenant_a, .sender_normal = sender, .limit = limit};

	return registry_message_list(registry, &query, NULL, NULL);
}

static int list_no_messages(void)
{
	return list_messages(0, NULL);
}

static int list_too_many_messages(void)
{
	return list_messages(1001, NULL);
}

static int list_messages_long(void)
{
	return list_messages(10, too_long);
}

static int decide_as(const struct id *tenant, unsigned message,
                     const char *recipient, int verdict, const char *why)
{
	struct registry_decision decision = {.message = id_of(message),
	                                     .recipient = (char *)recipient,
	                                     .verdict =
	                                         (enum registry_verdict)verdict,
	                                     .why = (char *)why,
	                                     .decided_ms = NOW};

	return registry_decide(registry, tenant, &decision, NULL);
}

static int decide_no_recipient(void)
{
	return decide_as(&tenant_a, 1, "", REGISTRY_RELEASE, "");
}

static int decide_another_recipient(void)
{
	return decide_as(&tenant_a, 1, "x@a.example", REGISTRY_RELEASE, "");
}

static int decide_unknown_message(void)
{
	return decide_as(&tenant_a, 99, "r@a.example", REGISTRY_RELEASE, "");
}

static int decide_unknown_tenant(void)
{
	return decide_as(&unknown, 1, "r@a.example", REGISTRY_RELEASE, "");
}

static int decide_unknown_verdict(void)
{
	return decide_as(&tenant_a, 1, "r@a.example", REGISTRY_EXPIRE + 1, "");
}

static int decide_long(void)
{
	return decide_as(&tenant_a, 1, "r@a.example", REGISTRY_RELEASE,
	                 too_long);
}

static int list_no_decisions(void)
{
	return registry_decision_list(registry, &tenant_a, 0, 0, NULL, NULL);
}

static int tell(const struct id *tenant, unsigned message,
                const char *recipient, int state, const char *why)
{
	struct id id = id_of(message);

	return registry_message_event(registry, tenant, &id, recipient,
	                              (enum registry_state)state, NOW, why,
	                              NULL);
}

static int event_held(void)
{
	return tell(&tenant_a, 1, "r@a.example", REGISTRY_HELD, "");
}

static int event_unknown_state(void)
{
	return tell(&tenant_a, 1, "r@a.example", REGISTRY_STATE_COUNT, "");
}

static int event_no_recipient(void)
{
	return tell(&tenant_a, 1, NULL, REGISTRY_DELIVERED, "");
}

static int event_another_recipient(void)
{
	return tell(&tenant_a, 1, "x@a.example", REGISTRY_DELIVERED, "");
}

static int event_unknown_message(void)
{
	return tell(&tenant_a, 99, "r@a.example", REGISTRY_DELIVERED, "");
}

static int event_of_another(void)
{
	return tell(&tenant_b, 1, "r@a.example", REGISTRY_DELIVERED, "");
}

static int event_long(void)
{
	return tell(&tenant_a, 1, "r@a.example", REGISTRY_DELIVERED, too_long);
}

static int open_taken_id(void)
{
	struct registry_challenge challenge = challenge_of(1, 77);

	return open_one(registry, &challenge, NULL, NULL);
}

static int read_challenge_unknown(void)
{
	return registry_challenge_read(registry, &unknown, NULL, NULL);
}

static int move_unknown(void)
{
	return registry_challenge_move(registry, &unknown, CHALLENGE_STATE_OPEN,
	                               CHALLENGE_STATE_EXPIRED, NOW, NULL);
}

static int recode_empty(void)
{
	struct id id = id_of(1);

	return registry_challenge_recode(registry, &id, 0, false, "", NULL);
}

static int recode_unknown(void)
{
	return registry_challenge_recode(registry, &unknown, 0, false, "C",
	                                 NULL);
}

static int recode_late(void)
{
	struct id id = id_of(1);

	return registry_challenge_recode(registry, &id, 5, true, "C", NULL);
}

static int solve_unknown(void)
{
	return registry_challenge_solve(registry, &unknown, 0, NOW, NULL);
}

static int solve_late(void)
{
	struct id id = id_of(1);

	return registry_challenge_solve(registry, &id, 5, NOW, NULL);
}

static int claim_too_many(void)
{
	return registry_challenge_claim_mail(registry, "w", NOW, 9, 1001, NULL,
	                                     NULL);
}

static int claim_long(void)
{
	return registry_challenge_claim_mail(registry, too_long, NOW, 9, 1,
	                                     NULL, NULL);
}

static int end_unclaimed(void)
{
	struct id id = id_of(1);

	return registry_challenge_mail_done(registry, &id, "w", MAIL_STATE_SENT,
	                                    0, true, "", NULL);
}

static int end_long(void)
{
	struct id id = id_of(1);

	return registry_challenge_mail_done(registry, &id, "w", MAIL_STATE_SENT,
	                                    0, true, too_long, NULL);
}

static int due_in_no_state(void)
{
	return registry_challenge_due(
	    registry, (enum registry_challenge_state)99, NOW, 9, NULL, NULL);
}

static int none_due(void)
{
	return registry_challenge_due(registry, CHALLENGE_STATE_OPEN, NOW, 0,
	                              NULL, NULL);
}

static int audit_as(const struct id *id, const char *actor, const char *action,
                    const char *detail)
{
	struct registry_audit line = {.id = *id,
	                              .tenant = tenant_a,
	                              .actor = (char *)actor,
	                              .action = (char *)action,
	                              .detail = (char *)detail};

	return registry_audit_add(registry, &line, NULL);
}

static int audit_no_id(void)
{
	return audit_as(&no_id, "cli", "x", "");
}

static int audit_no_action(void)
{
	return audit_as(&unknown, "cli", "", "");
}

static int audit_long(void)
{
	return audit_as(&unknown, "cli", "x", too_long);
}

static int backup_nowhere(void)
{
	return registry_backup(registry, "", NULL, NULL);
}

#define ROW(call, code)                                                        \
	{                                                                      \
#call, call, code                                              \
	}

static const struct {
	const char *name;
	int (*call)(void);
	int code;
} refused[] = {
    ROW(lease_no_name, ERR_INVALID),
    ROW(lease_no_owner, ERR_INVALID),
    ROW(secret_no_name, ERR_INVALID),
    ROW(find_tenant_empty, ERR_INVALID),
    ROW(find_tenant_unknown, ERR_NOT_FOUND),
    ROW(read_tenant_none, ERR_NOT_FOUND),
    ROW(domain_no_tenant, ERR_INVALID),
    ROW(domain_empty, ERR_INVALID),
    ROW(domain_long, ERR_INVALID),
    ROW(domain_remove_empty, ERR_INVALID),
    ROW(domain_remove_unknown, ERR_NOT_FOUND),
    ROW(key_no_id, ERR_INVALID),
    ROW(key_no_tenant, ERR_INVALID),
    ROW(key_unknown_tenant, ERR_NOT_FOUND),
    ROW(key_no_agent, ERR_INVALID),
    ROW(key_no_prefix, ERR_INVALID),
    ROW(find_key_empty, ERR_INVALID),
    ROW(find_key_unknown, ERR_NOT_FOUND),
    ROW(revoke_at_zero, ERR_INVALID),
    ROW(revoke_unknown, ERR_NOT_FOUND),
    ROW(revoke_no_tenant, ERR_INVALID),
    ROW(find_user_empty, ERR_INVALID),
    ROW(find_user_unknown, ERR_NOT_FOUND),
    ROW(remove_entry_unknown, ERR_NOT_FOUND),
    ROW(remove_entry_none, ERR_NOT_FOUND),
    ROW(put_entry_unknown_tenant, ERR_NOT_FOUND),
    ROW(put_entry_long, ERR_INVALID),
    ROW(list_no_entries, ERR_INVALID),
    ROW(list_too_many_entries, ERR_INVALID),
    ROW(no_changes, ERR_INVALID),
    ROW(revision_unknown_tenant, 0),
    ROW(read_message_unknown, ERR_NOT_FOUND),
    ROW(read_message_of_another, ERR_NOT_FOUND),
    ROW(attach_unknown, ERR_NOT_FOUND),
    ROW(attach_of_another, ERR_NOT_FOUND),
    ROW(attach_long, ERR_INVALID),
    ROW(list_no_messages, ERR_INVALID),
    ROW(list_too_many_messages, ERR_INVALID),
    ROW(list_messages_long, ERR_INVALID),
    ROW(decide_no_recipient, ERR_INVALID),
    ROW(decide_another_recipient, ERR_NOT_FOUND),
    ROW(decide_unknown_message, ERR_NOT_FOUND),
    ROW(decide_unknown_tenant, ERR_NOT_FOUND),
    ROW(decide_unknown_verdict, ERR_INVALID),
    ROW(decide_long, ERR_INVALID),
    ROW(list_no_decisions, ERR_INVALID),
    ROW(event_held, ERR_INVALID),
    ROW(event_unknown_state, ERR_INVALID),
    ROW(event_no_recipient, ERR_INVALID),
    ROW(event_another_recipient, ERR_NOT_FOUND),
    ROW(event_unknown_message, ERR_NOT_FOUND),
    ROW(event_of_another, ERR_NOT_FOUND),
    ROW(event_long, ERR_INVALID),
    ROW(open_taken_id, ERR_EXISTS),
    ROW(read_challenge_unknown, ERR_NOT_FOUND),
    ROW(move_unknown, ERR_NOT_FOUND),
    ROW(recode_empty, ERR_INVALID),
    ROW(recode_unknown, ERR_NOT_FOUND),
    ROW(recode_late, ERR_CONFLICT),
    ROW(solve_unknown, ERR_NOT_FOUND),
    ROW(solve_late, ERR_CONFLICT),
    ROW(claim_too_many, ERR_INVALID),
    ROW(claim_long, ERR_INVALID),
    ROW(end_unclaimed, ERR_CONFLICT),
    ROW(end_long, ERR_INVALID),
    ROW(due_in_no_state, ERR_INVALID),
    ROW(none_due, ERR_INVALID),
    ROW(audit_no_id, ERR_INVALID),
    ROW(audit_no_action, ERR_INVALID),
    ROW(audit_long, ERR_INVALID),
    ROW(backup_nowhere, ERR_INVALID),
};

static void look(struct copy_report *report)
{
	*report = (struct copy_report){.count = 0};
	ok(registry_compare(registry, NULL, NULL, report, E));
}

/* One store for all rows: none of them leaves a trace. */
START_TEST(refused_calls_change_nothing)
{
	struct registry_challenge challenge = challenge_of(1, 1);
	struct entry entry = entry_of(1, "s@x");
	struct copy_report before, after;

	unknown = id_of(99);
	too_long = mem_alloc(65538);
	memset(too_long, 'x', 65537);
	too_long[65537] = '\0';
	ck_assert_int_eq(put_message(&tenant_a, 1, "s@x", "r@a.example", NULL),
	                 0);
	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	look(&before);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		int code = refused[i].call();

		ck_assert_msg(code == refused[i].code, "%s: %s, wanted %s",
		              refused[i].name, error_name(code),
		              error_name(refused[i].code));
	}
	look(&after);
	ck_assert_uint_eq(before.count, after.count);
	for (size_t i = 0; i < before.count; i++)
		ck_assert_mem_eq(&before.parts[i], &after.parts[i],
		                 sizeof(before.parts[i]));
	ok(registry_check(registry, E));
	free(too_long);
}
END_TEST

/* --- the store itself ---------------------------------------------------- */

/* What it is kept in has a name and a version, and tells no secret. */
START_TEST(engine_is_named)
{
	const char *engine = registry_engine(registry);

	ck_assert_int_eq(strncmp(engine, is_sqlite() ? "SQLite 3." : "MongoDB ",
	                         is_sqlite() ? 9 : 8),
	                 0);
	ck_assert_ptr_null(strstr(engine, "://"));
	ck_assert_ptr_null(strstr(engine, folder));
}
END_TEST

static void count_steps(void *context, const char *what, int64_t done,
                        int64_t total)
{
	ck_assert_str_ne(what, "");
	ck_assert_int_le(done, total);
	++*(int *)context;
}

/* A backup is another registry, with all that this one had at one moment. */
static void expect_backup(const char *saved)
{
	struct registry_options options = {backend(), saved};
	struct copy_report report = {.count = 0};
	struct registry *opened = NULL;

	ok(registry_open(&opened, &options, E));
	ok(registry_check(opened, E));
	ok(registry_compare(registry, opened, NULL, &report, E));
	ck_assert(copy_report_equal(&report));
	registry_close(opened);
}

START_TEST(backup_is_a_registry)
{
	int steps = 0;
	struct store_progress progress = {count_steps, &steps};
	char saved[128], file[160];
	struct error err = {.text = ""};

	(void)snprintf(saved, sizeof(saved), "%s/saved", folder);
	ck_assert_int_eq(put_message(&tenant_a, 1, "s@x", "r@a.example", NULL),
	                 0);
	if (!is_sqlite()) {
		fails(ERR_INVALID,
		      registry_backup(registry, saved, &progress, &err));
		ck_assert_str_ne(err.text, "");
		ck_assert_int_ne(access(saved, F_OK), 0);
		return;
	}
	ok(registry_backup(registry, saved, &progress, E));
	ck_assert_int_gt(steps, 0);
	expect_backup(saved);
	fails(ERR_EXISTS, registry_backup(registry, saved, NULL, &err));
	ck_assert_str_ne(err.text, "");
	expect_backup(saved);
	(void)snprintf(file, sizeof(file), "%s/registry.db", saved);
	ck_assert_int_eq(remove(file), 0);
	(void)snprintf(file, sizeof(file), "%s/registry.db-wal", saved);
	(void)remove(file);
	(void)snprintf(file, sizeof(file), "%s/registry.db-shm", saved);
	(void)remove(file);
	/* An empty directory will do. */
	ok(registry_backup(registry, saved, NULL, E));
	(void)snprintf(file, sizeof(file), "%s/registry.db", saved);
	ck_assert_int_eq(remove(file), 0);
	ck_assert_int_eq(rmdir(saved), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-input");
	TCase *tcase = case_in(suite, "input");

	tcase_add_test(tcase, refused_calls_change_nothing);
	tcase = case_in(suite, "store");
	tcase_add_test(tcase, engine_is_named);
	tcase_add_test(tcase, backup_is_a_registry);
	return suite_main(suite, NULL);
}
