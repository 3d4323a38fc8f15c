/*
 * Conformance of the registry: exports, imports and purges that are refused,
 * keys that are taken, counters that only grow.
 */
#include "tests/conformance/registry/fixture.h"

/* The number of tenant a's id, see the fixture. */
#define A 0xa0000000U

static struct registry_record tenant_record(unsigned last, const char *name)
{
	return (struct registry_record){.kind = REGISTRY_TENANTS,
	                                .account = {.id = id_of(last),
	                                            .name = (char *)name,
	                                            .language = (char *)"en",
	                                            .created_ms = 5}};
}

static struct registry_record entry_record(unsigned last, const char *value,
                                           int64_t revision)
{
	return (struct registry_record){.kind = REGISTRY_ENTRIES,
	                                .tenant = tenant_a,
	                                .entry = {.id = id_of(last),
	                                          .scope = ENTRY_SCOPE_TENANT,
	                                          .kind = ENTRY_ADDRESS,
	                                          .revision = revision,
	                                          .value = (char *)value}};
}

static struct registry_record decision_record(int64_t sequence)
{
	return (struct registry_record){
	    .kind = REGISTRY_DECISIONS,
	    .tenant = tenant_a,
	    .decision = {.sequence = sequence,
	                 .message = id_of(9),
	                 .recipient = (char *)"r@a"}};
}

static struct registry_record challenge_record(unsigned last, uint8_t sender)
{
	return (struct registry_record){.kind = REGISTRY_CHALLENGES,
	                                .challenge = {.id = id_of(last),
	                                              .tenant = tenant_a,
	                                              .message = id_of(9),
	                                              .sender_hash = {sender},
	                                              .sender = (char *)"s@x"}};
}

static struct registry_record counters_record(int64_t revision,
                                              int64_t sequence)
{
	return (struct registry_record){
	    .kind = REGISTRY_COUNTERS,
	    .tenant = tenant_a,
	    .counters = {.policy_revision = revision,
	                 .decision_sequence = sequence}};
}

static int import(struct registry_record record, bool replace)
{
	struct error err = {.text = ""};
	int result = 99;
	int error =
	    registry_import(registry, &record, 1, replace, &result, &err);

	ck_assert_msg(!error, "%s", err.text);
	return result;
}

/* --- what is refused ---------------------------------------------------- */

static const struct {
	enum registry_kind kind;
	size_t limit;
} purges[] = {
    {REGISTRY_TENANTS, 10},  {REGISTRY_DOMAINS, 10},
    {REGISTRY_KEYS, 10},     {REGISTRY_USERS, 10},
    {REGISTRY_ENTRIES, 10},  {REGISTRY_SECRETS, 10},
    {REGISTRY_COUNTERS, 10}, {REGISTRY_KIND_COUNT, 10},
    {REGISTRY_AUDIT, 0},     {REGISTRY_AUDIT, SIZE_MAX},
};

START_TEST(purges_that_are_refused)
{
	struct error err = {.text = ""};
	size_t deleted = 7;

	ck_assert_int_eq(registry_purge(registry, purges[_i].kind, 1,
	                                purges[_i].limit, &deleted, &err),
	                 ERR_INVALID);
	ck_assert_str_ne(err.text, "");
	ck_assert_uint_eq(deleted, 7);
}
END_TEST

START_TEST(exports_that_are_refused)
{
	struct registry_record after = tenant_record(A, "a");
	struct registry_records page = {.count = 7};
	struct error err;

	ck_assert_int_eq(registry_export(registry, REGISTRY_KIND_COUNT, NULL,
	                                 10, &page, &err),
	                 ERR_INVALID);
	ck_assert_int_eq(
	    registry_export(registry, REGISTRY_KEYS, &after, 10, &page, &err),
	    ERR_INVALID);
	ck_assert_int_eq(
	    registry_export(registry, REGISTRY_TENANTS, NULL, 0, &page, &err),
	    ERR_INVALID);
	ck_assert_int_eq(registry_export(registry, REGISTRY_TENANTS, NULL, 1001,
	                                 &page, &err),
	                 ERR_INVALID);
	ck_assert_uint_eq(page.count, 7);
}
END_TEST

static struct registry_recipient odd_recipients[] = {
    {.address = (char *)"r@a", .state = REGISTRY_STATE_COUNT}};
static struct registry_recipient sound_recipients[] = {
    {.address = (char *)"r@a", .state = REGISTRY_DELIVERED}};
static struct registry_recipient nameless_recipients[] = {
    {.address = (char *)"", .state = REGISTRY_DELIVERED}};

/* A record of each kind that is taken, with an id of its own. */
static struct registry_record good_record(enum registry_kind kind)
{
	struct registry_record record = {.kind = kind, .tenant = tenant_a};

	switch (kind) {
	case REGISTRY_TENANTS:
		return tenant_record(9, "nine");
	case REGISTRY_DOMAINS:
		record.domain = (char *)"nine.example";
		break;
	case REGISTRY_KEYS:
		record.key = (struct registry_key){.id = id_of(9),
		                                   .tenant = tenant_a,
		                                   .agent = (char *)"agent",
		                                   .prefix = (char *)"tk_9"};
		break;
	case REGISTRY_USERS:
		record.user = (struct registry_user){.id = id_of(9),
		                                     .tenant = tenant_a,
		                                     .login = (char *)"9@a",
		                                     .role = (char *)"admin",
		                                     .password = (char *)"x"};
		break;
	case REGISTRY_ENTRIES:
		return entry_record(9, "nine@x", 9);
	case REGISTRY_MESSAGES:
		record.message =
		    (struct registry_message){.id = id_of(9),
		                              .tenant = tenant_a,
		                              .recipients = sound_recipients,
		                              .recipient_count = 1};
		break;
	case REGISTRY_DECISIONS:
		return decision_record(9);
	case REGISTRY_CHALLENGES:
		return challenge_record(9, 9);
	case REGISTRY_DEAD_SENDERS:
		record.dead_sender.hash[0] = 9;
		break;
	case REGISTRY_AUDIT:
		record.audit = (struct registry_audit){.id = id_of(9),
		                                       .actor = (char *)"cli",
		                                       .action = (char *)"x"};
		break;
	case REGISTRY_SECRETS:
		record.secret.name = (char *)"nine";
		break;
	case REGISTRY_COUNTERS:
	case REGISTRY_KIND_COUNT:
		return counters_record(9, 9);
	}
	return record;
}

static const struct {
	const char *field;
	struct registry_record record;
} wrong[] = {
    {"id", {.kind = REGISTRY_TENANTS, .account = {.name = (char *)"x"}}},
    {"name",
     {.kind = REGISTRY_TENANTS,
      .account = {.id = {{1}}, .name = (char *)"No Name"}}},
    {"language",
     {.kind = REGISTRY_TENANTS, .account = {.id = {{1}}, .name = (char *)"x"}}},
    {"language",
     {.kind = REGISTRY_TENANTS,
      .account = {.id = {{1}}, .name = (char *)"x", .language = (char *)"de"}}},
    {"tenant", {.kind = REGISTRY_DOMAINS, .domain = (char *)"x"}},
    {"domain", {.kind = REGISTRY_DOMAINS, .tenant = {{1}}}},
    {"tenant",
     {.kind = REGISTRY_KEYS,
      .key = {.id = {{1}}, .agent = (char *)"x", .prefix = (char *)"tk_x"}}},
    {"agent",
     {.kind = REGISTRY_KEYS,
      .key = {.id = {{1}}, .tenant = {{1}}, .prefix = (char *)"tk_x"}}},
    {"prefix",
     {.kind = REGISTRY_KEYS,
      .key = {.id = {{1}}, .tenant = {{1}}, .agent = (char *)"x"}}},
    {"login", {.kind = REGISTRY_USERS, .user = {.id = {{1}}}}},
    {"password",
     {.kind = REGISTRY_USERS,
      .user = {.id = {{1}}, .login = (char *)"x", .role = (char *)"operator"}}},
    {"role",
     {.kind = REGISTRY_USERS,
      .user = {.id = {{1}},
               .login = (char *)"x",
               .role = (char *)"root",
               .password = (char *)"x"}}},
    {"role",
     {.kind = REGISTRY_USERS,
      .user = {.id = {{1}},
               .login = (char *)"x",
               .role = (char *)"admin",
               .password = (char *)"x"}}},
    {"revision",
     {.kind = REGISTRY_ENTRIES, .entry = {.id = {{1}}, .value = (char *)"x"}}},
    {"scope",
     {.kind = REGISTRY_ENTRIES,
      .entry = {.id = {{1}},
                .scope = ENTRY_SCOPE_TENANT,
                .value = (char *)"x",
                .revision = 1}}},
    {"value",
     {.kind = REGISTRY_ENTRIES, .entry = {.id = {{1}}, .revision = 1}}},
    {"entry",
     {.kind = REGISTRY_ENTRIES,
      .entry = {.id = {{1}},
                .kind = (enum entry_kind)99,
                .value = (char *)"x",
                .revision = 1}}},
    {"recipients",
     {.kind = REGISTRY_MESSAGES, .message = {.id = {{1}}, .tenant = {{1}}}}},
    {"recipient",
     {.kind = REGISTRY_MESSAGES,
      .message = {.id = {{1}},
                  .tenant = {{1}},
                  .recipients = odd_recipients,
                  .recipient_count = 1}}},
    {"recipient",
     {.kind = REGISTRY_MESSAGES,
      .message = {.id = {{1}},
                  .tenant = {{1}},
                  .recipients = nameless_recipients,
                  .recipient_count = 1}}},
    {"size",
     {.kind = REGISTRY_MESSAGES,
      .message = {.id = {{1}},
                  .tenant = {{1}},
                  .size = -1,
                  .recipients = sound_recipients,
                  .recipient_count = 1}}},
    {"sequence",
     {.kind = REGISTRY_DECISIONS,
      .tenant = {{1}},
      .decision = {.message = {{1}}, .recipient = (char *)"x"}}},
    {"verdict",
     {.kind = REGISTRY_DECISIONS,
      .tenant = {{1}},
      .decision = {.message = {{1}},
                   .recipient = (char *)"x",
                   .sequence = 1,
                   .verdict = (enum registry_verdict)9}}},
    {"state",
     {.kind = REGISTRY_CHALLENGES,
      .challenge = {.state = (enum registry_challenge_state)9}}},
    {"mail",
     {.kind = REGISTRY_CHALLENGES,
      .challenge = {.id = {{1}},
                    .tenant = {{1}},
                    .message = {{1}},
                    .sender = (char *)"x",
                    .mail = (enum registry_mail_state)9}}},
    {"actor", {.kind = REGISTRY_AUDIT, .audit = {.id = {{1}}}}},
    {"name", {.kind = REGISTRY_SECRETS}},
};

static size_t records_of(enum registry_kind kind)
{
	struct registry_records page;
	size_t count;

	ok(registry_export(registry, kind, NULL, 100, &page, E));
	count = page.count;
	registry_records_release(&page);
	return count;
}

/* One bad record, and no other is put in: nor before it, nor behind it. */
START_TEST(records_that_are_refused)
{
	enum registry_kind kind = wrong[_i].record.kind;
	struct registry_record records[] = {good_record(kind), wrong[_i].record,
	                                    good_record(kind)};
	size_t before = records_of(kind);
	struct error err = {.text = ""};
	int results[3];

	ck_assert_int_eq(
	    registry_import(registry, records, 3, true, results, &err),
	    ERR_INVALID);
	ck_assert_msg(
	    !strncmp(err.text, wrong[_i].field, strlen(wrong[_i].field)),
	    "%s, wanted %s", err.text, wrong[_i].field);
	ck_assert_uint_eq(records_of(kind), before);
	ck_assert_int_eq(import(records[0], false), 0);
	ck_assert_uint_eq(records_of(kind), before + 1);
	ok(registry_check(registry, E));
}
END_TEST

START_TEST(unknown_kind_is_refused)
{
	struct registry_record record = {.kind = REGISTRY_KIND_COUNT};
	struct error err = {.text = ""};
	int result;

	ck_assert_int_eq(
	    registry_import(registry, &record, 1, true, &result, &err),
	    ERR_INVALID);
	ck_assert_str_eq(err.text, "kind: unknown");
}
END_TEST

START_TEST(kinds_are_not_mixed)
{
	struct registry_record records[] = {tenant_record(2, "two"),
	                                    decision_record(1)};
	struct error err;
	int results[2];

	ck_assert_int_eq(
	    registry_import(registry, records, 2, false, results, &err),
	    ERR_INVALID);
	ck_assert_int_eq(
	    registry_import(registry, records, 0, false, results, &err), 0);
	ck_assert_int_eq(import(records[0], false), 0);
}
END_TEST

/* --- what is taken ------------------------------------------------------ */

START_TEST(keys_that_are_taken)
{
	ck_assert_int_eq(import(tenant_record(A, "new"), false), ERR_EXISTS);
	ck_assert_int_eq(import(tenant_record(2, "a"), false), ERR_EXISTS);
	ck_assert_int_eq(import(tenant_record(2, "a"), true), ERR_EXISTS);
	ck_assert_int_eq(import(tenant_record(A, "new"), true), 0);
	ck_assert_int_eq(import(entry_record(3, "s@x", 1), false), 0);
	ck_assert_int_eq(import(entry_record(3, "t@x", 2), false), ERR_EXISTS);
	ck_assert_int_eq(import(entry_record(4, "s@x", 2), true), ERR_EXISTS);
	ck_assert_int_eq(import(entry_record(3, "t@x", 2), true), 0);
	ck_assert_int_eq(import(decision_record(4), false), 0);
	ck_assert_int_eq(import(decision_record(4), false), ERR_EXISTS);
	ck_assert_int_eq(import(decision_record(4), true), 0);
	ck_assert_int_eq(import(challenge_record(5, 1), false), 0);
	ck_assert_int_eq(import(challenge_record(6, 1), true), ERR_EXISTS);
	ck_assert_int_eq(import(challenge_record(6, 2), true), 0);
}
END_TEST

static struct registry_record key_record(unsigned last, char *prefix,
                                         bool revoked)
{
	return (struct registry_record){
	    .kind = REGISTRY_KEYS,
	    .key = {.id = id_of(last),
	            .tenant = tenant_a,
	            .agent = (char *)"agent",
	            .prefix = prefix,
	            .created_ms = NOW,
	            .revoked_ms = revoked ? NOW : 0}};
}

/* An agent has two valid keys at the most, by whatever way they came. */
START_TEST(keys_of_an_agent)
{
	char prefixes[][3] = {"k1", "k2", "k3", "k4"};

	ck_assert_int_eq(import(key_record(1, prefixes[0], false), false), 0);
	ck_assert_int_eq(import(key_record(2, prefixes[1], false), true), 0);
	ck_assert_int_eq(import(key_record(3, prefixes[2], false), false),
	                 ERR_EXISTS);
	ck_assert_int_eq(import(key_record(3, prefixes[2], false), true),
	                 ERR_EXISTS);
	ck_assert_int_eq(import(key_record(4, prefixes[3], true), false), 0);
	ck_assert_int_eq(import(key_record(4, prefixes[3], false), true),
	                 ERR_EXISTS);
	ck_assert_int_eq(import(key_record(1, prefixes[0], false), true), 0);
	ck_assert_int_eq(import(key_record(5, prefixes[0], true), true),
	                 ERR_EXISTS);
	ck_assert_int_eq(import(key_record(1, prefixes[0], true), true), 0);
	ck_assert_int_eq(import(key_record(3, prefixes[2], false), false), 0);
}
END_TEST

/* Of a batch, what is taken is told and the rest is put in. */
START_TEST(batches_have_a_result_each)
{
	struct registry_record records[] = {tenant_record(2, "two"),
	                                    tenant_record(3, "a"),
	                                    tenant_record(4, "four")};
	struct registry_records page = {0};
	struct error err;
	int results[3];

	ck_assert_int_eq(
	    registry_import(registry, records, 3, false, results, &err), 0);
	ck_assert_int_eq(results[0], 0);
	ck_assert_int_eq(results[1], ERR_EXISTS);
	ck_assert_int_eq(results[2], 0);
	ck_assert_int_eq(
	    registry_export(registry, REGISTRY_TENANTS, NULL, 2, &page, &err),
	    0);
	ck_assert_uint_eq(page.count, 2);
	ck_assert(page.more);
	ck_assert_str_eq(page.records[0].account.name, "two");
	registry_records_release(&page);
	ck_assert_int_eq(registry_export(registry, REGISTRY_TENANTS,
	                                 &records[0], 3, &page, &err),
	                 0);
	ck_assert_uint_eq(page.count, 3);
	ck_assert(!page.more);
	ck_assert_str_eq(page.records[0].account.name, "four");
	registry_records_release(&page);
}
END_TEST

static void expect_counters(int64_t revision, int64_t sequence)
{
	struct registry_policy_cursor cursor;
	struct error err;
	int64_t number;

	ck_assert_int_eq(
	    registry_policy_revision(registry, &tenant_a, &cursor, &err), 0);
	ck_assert_int_eq(cursor.own, revision);
	ck_assert_int_eq(cursor.global, 0);
	ck_assert_int_eq(
	    registry_decision_last(registry, &tenant_a, &number, &err), 0);
	ck_assert_int_eq(number, sequence);
}

/* Whatever is imported, nothing is given out twice. */
START_TEST(counters_only_grow)
{
	struct entry put = {.id = id_of(8),
	                    .scope = ENTRY_SCOPE_TENANT,
	                    .kind = ENTRY_ADDRESS,
	                    .value = (char *)"next@x"};
	struct error err;

	ck_assert_int_eq(import(counters_record(10, 20), false), 0);
	expect_counters(10, 20);
	ck_assert_int_eq(import(counters_record(5, 30), true), 0);
	expect_counters(10, 30);
	ck_assert_int_eq(import(entry_record(3, "s@x", 12), false), 0);
	ck_assert_int_eq(import(decision_record(31), false), 0);
	expect_counters(12, 31);
	ck_assert_int_eq(import(tenant_record(A, "renamed"), true), 0);
	expect_counters(12, 31);
	/* What is not put in was given out all the same. */
	ck_assert_int_eq(import(entry_record(4, "s@x", 15), true), ERR_EXISTS);
	ck_assert_int_eq(import(decision_record(31), false), ERR_EXISTS);
	expect_counters(15, 31);
	ck_assert_int_eq(
	    registry_entry_put(registry, &tenant_a, &put, &put, &err), 0);
	ck_assert_int_eq(put.revision, 16);
	ck_assert_int_eq(registry_check(registry, &err), 0);
}
END_TEST

/* Words for the command line and the metrics. */
START_TEST(kinds_have_names)
{
	for (int i = 0; i < REGISTRY_KIND_COUNT; i++)
		ck_assert_str_ne(registry_kind_name((enum registry_kind)i),
		                 "unknown");
	ck_assert_str_eq(registry_kind_name(REGISTRY_KIND_COUNT), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-copy");
	TCase *tcase = case_in(suite, "refused");

	tcase_add_loop_test(tcase, purges_that_are_refused, 0,
	                    sizeof(purges) / sizeof(*purges));
	tcase_add_test(tcase, exports_that_are_refused);
	tcase_add_loop_test(tcase, records_that_are_refused, 0,
	                    sizeof(wrong) / sizeof(*wrong));
	tcase_add_test(tcase, unknown_kind_is_refused);
	tcase_add_test(tcase, kinds_are_not_mixed);
	tcase = case_in(suite, "taken");
	tcase_add_test(tcase, keys_that_are_taken);
	tcase_add_test(tcase, keys_of_an_agent);
	tcase_add_test(tcase, batches_have_a_result_each);
	tcase_add_test(tcase, counters_only_grow);
	tcase_add_test(tcase, kinds_have_names);
	return suite_main(suite, NULL);
}
