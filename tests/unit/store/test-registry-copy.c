/* Exports, imports and purges: what is refused, what is taken, what stays. */
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/mem.h"
#include "store/registry.h"
#include "tests/support/suite.h"

static char folder[] = "/tmp/turing-registry-XXXXXX";
static struct registry *registry;
static struct id acme;

static struct id id_of(uint8_t last)
{
	struct id id = {{0}};

	id.bytes[15] = last;
	return id;
}

static struct registry_record tenant_record(uint8_t last, const char *name)
{
	return (struct registry_record){.kind = REGISTRY_TENANTS,
	                                .account = {.id = id_of(last),
	                                            .name = (char *)name,
	                                            .language = (char *)"en",
	                                            .created_ms = 5}};
}

static struct registry_record entry_record(uint8_t last, const char *value,
                                           int64_t revision)
{
	return (struct registry_record){.kind = REGISTRY_ENTRIES,
	                                .tenant = acme,
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
	    .tenant = acme,
	    .decision = {.sequence = sequence,
	                 .message = id_of(9),
	                 .recipient = (char *)"r@a"}};
}

static struct registry_record challenge_record(uint8_t last, uint8_t sender)
{
	return (struct registry_record){.kind = REGISTRY_CHALLENGES,
	                                .challenge = {.id = id_of(last),
	                                              .tenant = acme,
	                                              .message = id_of(9),
	                                              .sender_hash = {sender},
	                                              .sender = (char *)"s@x"}};
}

static struct registry_record counters_record(int64_t revision,
                                              int64_t sequence)
{
	return (struct registry_record){
	    .kind = REGISTRY_COUNTERS,
	    .tenant = acme,
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

static void setup(void)
{
	struct registry_options options = {"sqlite", folder};
	struct error err = {.text = ""};

	ck_assert_int_eq(crypto_init(), 0);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_msg(!registry_open(&registry, &options, &err), "%s",
	              err.text);
	acme = id_of(1);
	ck_assert_int_eq(import(tenant_record(1, "acme"), false), 0);
}

static int remove_path(const char *name, const struct stat *info, int type,
                       struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(name);
}

static void teardown(void)
{
	registry_close(registry);
	(void)nftw(folder, remove_path, 16, FTW_DEPTH | FTW_PHYS);
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
	struct registry_record after = tenant_record(1, "acme");
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

static const struct {
	const char *field;
	struct registry_record record;
} wrong[] = {
    {"id", {.kind = REGISTRY_TENANTS, .account = {.name = (char *)"x"}}},
    {"name",
     {.kind = REGISTRY_TENANTS,
      .account = {.id = {{1}}, .name = (char *)"No Name"}}},
    {"tenant", {.kind = REGISTRY_DOMAINS, .domain = (char *)"x"}},
    {"domain", {.kind = REGISTRY_DOMAINS, .tenant = {{1}}}},
    {"prefix",
     {.kind = REGISTRY_KEYS,
      .key = {.id = {{1}}, .tenant = {{1}}, .agent = (char *)"x"}}},
    {"login", {.kind = REGISTRY_USERS, .user = {.id = {{1}}}}},
    {"revision",
     {.kind = REGISTRY_ENTRIES, .entry = {.id = {{1}}, .value = (char *)"x"}}},
    {"recipients",
     {.kind = REGISTRY_MESSAGES, .message = {.id = {{1}}, .tenant = {{1}}}}},
    {"recipient",
     {.kind = REGISTRY_MESSAGES,
      .message = {.id = {{1}},
                  .tenant = {{1}},
                  .recipients = odd_recipients,
                  .recipient_count = 1}}},
    {"sequence",
     {.kind = REGISTRY_DECISIONS,
      .tenant = {{1}},
      .decision = {.message = {{1}}, .recipient = (char *)"x"}}},
    {"state",
     {.kind = REGISTRY_CHALLENGES,
      .challenge = {.state = (enum registry_challenge_state)9}}},
    {"actor", {.kind = REGISTRY_AUDIT, .audit = {.id = {{1}}}}},
    {"name", {.kind = REGISTRY_SECRETS}},
    {"kind", {.kind = REGISTRY_KIND_COUNT}},
};

START_TEST(records_that_are_refused)
{
	struct error err = {.text = ""};
	int result = 7;

	ck_assert_int_eq(registry_import(registry, &wrong[_i].record, 1, true,
	                                 &result, &err),
	                 ERR_INVALID);
	ck_assert_msg(
	    !strncmp(err.text, wrong[_i].field, strlen(wrong[_i].field)),
	    "%s, wanted %s", err.text, wrong[_i].field);
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
	ck_assert_int_eq(import(tenant_record(1, "new"), false), ERR_EXISTS);
	ck_assert_int_eq(import(tenant_record(2, "acme"), false), ERR_EXISTS);
	ck_assert_int_eq(import(tenant_record(2, "acme"), true), ERR_EXISTS);
	ck_assert_int_eq(import(tenant_record(1, "new"), true), 0);
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

/* Of a batch, what is taken is told and the rest is put in. */
START_TEST(batches_have_a_result_each)
{
	struct registry_record records[] = {tenant_record(2, "two"),
	                                    tenant_record(3, "acme"),
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
	registry_records_release(&page);
	ck_assert_int_eq(registry_export(registry, REGISTRY_TENANTS,
	                                 &records[0], 2, &page, &err),
	                 0);
	ck_assert_uint_eq(page.count, 1);
	ck_assert(!page.more);
	ck_assert_str_eq(page.records[0].account.name, "four");
	registry_records_release(&page);
}
END_TEST

static void expect_counters(int64_t revision, int64_t sequence)
{
	struct error err;
	int64_t number;

	ck_assert_int_eq(
	    registry_policy_revision(registry, &acme, &number, &err), 0);
	ck_assert_int_eq(number, revision);
	ck_assert_int_eq(registry_decision_last(registry, &acme, &number, &err),
	                 0);
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
	ck_assert_int_eq(import(tenant_record(1, "renamed"), true), 0);
	expect_counters(12, 31);
	ck_assert_int_eq(registry_entry_put(registry, &acme, &put, &put, &err),
	                 0);
	ck_assert_int_eq(put.revision, 13);
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
	TCase *tests = tcase_create("copy");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, purges_that_are_refused, 0,
	                    (int)(sizeof(purges) / sizeof(*purges)));
	tcase_add_test(tests, exports_that_are_refused);
	tcase_add_loop_test(tests, records_that_are_refused, 0,
	                    (int)(sizeof(wrong) / sizeof(*wrong)));
	tcase_add_test(tests, kinds_are_not_mixed);
	tcase_add_test(tests, keys_that_are_taken);
	tcase_add_test(tests, batches_have_a_result_each);
	tcase_add_test(tests, counters_only_grow);
	tcase_add_test(tests, kinds_have_names);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
