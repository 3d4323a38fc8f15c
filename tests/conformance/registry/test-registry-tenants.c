/*
 * Conformance of the registry: nothing of one tenant is seen or changed by
 * another. A row for every operation that takes a tenant; each is asked as b
 * for what is a's, and must say that there is nothing.
 */
#include "tests/conformance/registry/fixture.h"

static void count_domain(const char *domain, void *context)
{
	(void)domain;
	++*(size_t *)context;
}

static void count_key(const struct registry_key *key, void *context)
{
	(void)key;
	++*(size_t *)context;
}

static void count_line(const struct registry_audit *line, void *context)
{
	(void)line;
	++*(size_t *)context;
}

/* Each returns what the operation says, or how many records it showed. */

static int domain_remove(const struct id *tenant)
{
	return registry_domain_remove(registry, tenant, "a.example", NULL);
}

static int domain_each(const struct id *tenant)
{
	size_t count = 0;

	ok(registry_domain_each(registry, tenant, count_domain, &count, E));
	return (int)count;
}

static int key_revoke(const struct id *tenant)
{
	return registry_key_revoke(registry, tenant, "p", NOW, NULL);
}

static int key_each(const struct id *tenant)
{
	size_t count = 0;

	ok(registry_key_each(registry, tenant, count_key, &count, E));
	return (int)count;
}

static int entry_remove(const struct id *tenant)
{
	struct id id = id_of(1);

	return registry_entry_remove(registry, tenant, &id, NULL);
}

static int entry_list(const struct id *tenant)
{
	struct registry_entries page = {0};
	int count;

	ok(registry_entry_list(registry, tenant, NULL, 9, &page, E));
	count = (int)page.count;
	registry_entries_release(&page);
	return count;
}

static int entry_changes(const struct id *tenant)
{
	struct registry_policy_cursor cursor = {0};
	struct registry_entries page = {0};
	int count;

	ok(registry_entry_changes(registry, tenant, &cursor, 9, &page, E));
	count = (int)page.count;
	registry_entries_release(&page);
	return count;
}

static int policy_revision(const struct id *tenant)
{
	struct registry_policy_cursor revision = {-1, -1};

	ok(registry_policy_revision(registry, tenant, &revision, E));
	return revision.own > 0 || revision.global > 0;
}

static int match(const struct id *tenant, const char *sender)
{
	struct mail_identity identity;
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "r@a.example",
	                                .client_address = "192.0.2.1",
	                                .now_ms = NOW};
	struct entry entry = {0};
	int code;

	mail_identity_find(&identity, sender, "", NULL);
	code = match_one(registry, tenant, &subject, &entry, NULL);
	entry_release(&entry);
	return code;
}

static int entry_match(const struct id *tenant)
{
	return match(tenant, "s@x.example");
}

static int entry_match_scanned(const struct id *tenant)
{
	return match(tenant, "pattern@y.example");
}

/* An entry of b in the scope of a's mailbox is no business of a's mail. */
static int entry_put_elsewhere(const struct id *tenant)
{
	struct entry entry =
	    entry_of(tenant == &tenant_a ? 7 : 8, "victim@z.example");

	entry.scope = ENTRY_SCOPE_MAILBOX;
	entry.scope_value = (char *)"r@a.example";
	entry.colour = ENTRY_BLACK;
	ok(registry_entry_put(registry, tenant, &entry, NULL, E));
	return match(&tenant_a, "victim@z.example");
}

/* Nor does a put with a's key or id touch a's entry. */
static int entry_put_over(const struct id *tenant)
{
	struct entry entry = entry_of(1, "s@x.example");
	int code = registry_entry_put(registry, tenant, &entry, NULL, NULL);

	return code ? ERR_NOT_FOUND : 0;
}

static int message_add(const struct id *tenant)
{
	return put_message(tenant, 1, "other", "x@b", NULL);
}

static int message_read(const struct id *tenant)
{
	struct registry_message message = {0};
	struct id id = id_of(1);
	int code = registry_message_read(registry, tenant, &id, &message, NULL);

	registry_message_release(&message);
	return code;
}

static int message_attach(const struct id *tenant)
{
	struct id id = id_of(1);

	return attach_one(registry, tenant, &id, &id, "x", NULL);
}

static int list(struct registry_query query, const struct id *tenant)
{
	struct registry_messages page = {0};
	int count;

	query.tenant = tenant;
	query.limit = 9;
	ok(registry_message_list(registry, &query, &page, E));
	count = (int)page.count;
	registry_messages_release(&page);
	return count;
}

static int list_all(const struct id *tenant)
{
	return list((struct registry_query){0}, tenant);
}

static int list_held(const struct id *tenant)
{
	return list((struct registry_query){.held = true}, tenant);
}

static int list_sender(const struct id *tenant)
{
	return list((struct registry_query){.sender_normal = "s@x.example"},
	            tenant);
}

static int list_recipient(const struct id *tenant)
{
	return list((struct registry_query){.recipient = "r@a.example"},
	            tenant);
}

static int list_challenge(const struct id *tenant)
{
	struct id challenge = id_of(5);

	return list((struct registry_query){.challenge = &challenge}, tenant);
}

static int list_expired(const struct id *tenant)
{
	return list((struct registry_query){.expires_before_ms = NOW + 99},
	            tenant);
}

static int decide_it(const struct id *tenant)
{
	return decide(tenant, 1, "r@a.example", REGISTRY_RELEASE);
}

static int decision_list(const struct id *tenant)
{
	struct registry_decisions page = {0};
	int count;

	ok(registry_decision_list(registry, tenant, 0, 9, &page, E));
	count = (int)page.count;
	registry_decisions_release(&page);
	return count;
}

static int decision_last(const struct id *tenant)
{
	int64_t sequence = -1;

	ok(registry_decision_last(registry, tenant, &sequence, E));
	return (int)sequence;
}

static int message_event(const struct id *tenant)
{
	struct id id = id_of(1);

	return registry_message_event(registry, tenant, &id, "r@a.example",
	                              REGISTRY_DELIVERED, NOW, "", NULL);
}

static int audit_each(const struct id *tenant)
{
	size_t count = 0;

	ok(registry_audit_each(registry, tenant, NULL, 9, count_line, &count,
	                       E));
	return (int)count;
}

static const struct {
	const char *name;
	int (*ask)(const struct id *tenant);
	int other; /* what b hears; a hears something else */
	int own;
} operations[] = {
    {"domain_remove", domain_remove, ERR_NOT_FOUND, 0},
    {"domain_each", domain_each, 0, 1},
    {"key_revoke", key_revoke, ERR_NOT_FOUND, 0},
    {"key_each", key_each, 0, 1},
    {"entry_remove", entry_remove, ERR_NOT_FOUND, 0},
    {"entry_list", entry_list, 0, 2},
    {"entry_changes", entry_changes, 0, 2},
    {"policy_revision", policy_revision, 0, 1},
    {"entry_match", entry_match, ERR_NOT_FOUND, 0},
    {"entry_match, scanned", entry_match_scanned, ERR_NOT_FOUND, 0},
    {"entry_put elsewhere", entry_put_elsewhere, ERR_NOT_FOUND, 0},
    {"entry_put over", entry_put_over, ERR_NOT_FOUND, 0},
    {"message_add", message_add, ERR_DENIED, ERR_EXISTS},
    {"message_read", message_read, ERR_NOT_FOUND, 0},
    {"message_attach", message_attach, ERR_NOT_FOUND, 0},
    {"message_list", list_all, 0, 2},
    {"message_list, held", list_held, 0, 1},
    {"message_list, sender", list_sender, 0, 2},
    {"message_list, recipient", list_recipient, 0, 2},
    {"message_list, challenge", list_challenge, 0, 1},
    {"message_list, expired", list_expired, 0, 1},
    {"decide", decide_it, ERR_NOT_FOUND, 0},
    {"decision_list", decision_list, 0, 1},
    {"decision_last", decision_last, 0, 1},
    {"message_event", message_event, ERR_NOT_FOUND, 0},
    {"audit_each", audit_each, 0, 1},
};

/* One of everything for a; nothing for b. */
static void fill(void)
{
	struct registry_key key = {
	    .id = id_of(1), .agent = (char *)"mx", .prefix = (char *)"p"};
	struct registry_audit line = {
	    .id = id_of(1), .actor = (char *)"cli", .action = (char *)"x"};
	struct entry entry = entry_of(1, "s@x.example");
	struct id id = id_of(1), challenge = id_of(5);

	set_up();
	key.tenant = line.tenant = tenant_a;
	ok(registry_domain_add(registry, &tenant_a, "a.example", E));
	ok(registry_key_add(registry, &key, E));
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	entry = entry_of(2, "pattern@*");
	entry.kind = ENTRY_PATTERN;
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	put_message(&tenant_a, 1, "s@x.example", "r@a.example", NULL);
	ok(attach_one(registry, &tenant_a, &id, &challenge, "", E));
	put_message(&tenant_a, 2, "s@x.example", "r@a.example", NULL);
	ok(decide(&tenant_a, 2, "r@a.example", REGISTRY_RELEASE));
	ok(registry_audit_add(registry, &line, E));
}

START_TEST(other_tenant_hears_nothing)
{
	struct id unknown = id_of(99);
	int other = operations[_i].ask(&tenant_b), own;

	ck_assert_msg(other == operations[_i].other, "%s: %d to b",
	              operations[_i].name, other);
	if (operations[_i].ask != entry_put_elsewhere &&
	    operations[_i].ask != message_add)
		ck_assert_msg(operations[_i].ask(&unknown) ==
		                  operations[_i].other,
		              "%s: to nobody", operations[_i].name);
	ck_assert_int_eq(state_of(&tenant_a, 1, "r@a.example"), REGISTRY_HELD);
	own = operations[_i].ask(&tenant_a);
	ck_assert_msg(own == operations[_i].own, "%s: %d to a",
	              operations[_i].name, own);
	ok(registry_check(registry, E));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-tenants");
	TCase *tcase = tcase_create("isolation");

	tcase_add_checked_fixture(tcase, fill, tear_down);
	tcase_add_loop_test(tcase, other_tenant_hears_nothing, 0,
	                    sizeof(operations) / sizeof(*operations));
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
