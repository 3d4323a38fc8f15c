/* Copies, comparisons and restores of registries: from SQLite to SQLite, and
 * to MongoDB where a server is named. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "store/copy/registry.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/ok.h"
#include "tests/support/remove-tree.h"
#include "tests/support/registry-one.h"
#include "tests/support/suite.h"

#define NOW      INT64_C(1795248000000)
#define MESSAGES 1010 /* more than two pages */

static struct registry *source, *copy;
static char folder[64], *uri; /* of the copy, in MongoDB */
static struct id tenant, other_tenant;
static struct copy_report report;

static struct registry *open_at(const char *backend, const char *location)
{
	struct registry_options options = {backend, location};
	struct registry *opened = NULL;

	ok(registry_open(&opened, &options, E));
	return opened;
}

static struct registry *open_folder(const char *name)
{
	char *location = mem_format("%s/%s", folder, name);
	struct registry *opened = open_at("sqlite", location);

	free(location);
	return opened;
}

static void set_up_source(void)
{
	ck_assert_int_eq(crypto_init(), 0);
	(void)snprintf(folder, sizeof(folder), "/tmp/turing-copy-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	source = open_folder("source");
}

static void set_up_sqlite(void)
{
	set_up_source();
	copy = open_folder("copy");
}

static void set_up_mongodb(void)
{
	set_up_source();
	uri = mongodb_fixture_uri();
	copy = open_at("mongodb", uri);
}

static void tear_down(void)
{
	ok(registry_check(copy, E));
	registry_close(source);
	registry_close(copy);
	mongodb_fixture_drop(uri);
	uri = NULL;
	(void)remove_tree(folder);
}

/* --- what is in the source ---------------------------------------------- */

static char text[] = "caf\xc3\xa9 \xff\xfe", empty[] = "";

static struct id add_tenant(struct registry *registry, const char *name)
{
	char language[] = "en";
	char *copied = mem_copy_string(name);
	struct registry_tenant added = {.id = id_new(),
	                                .name = copied,
	                                .language = language,
	                                .created_ms = NOW,
	                                .quota_messages = 7,
	                                .quota_bytes = 8};

	ok(registry_tenant_add(registry, &added, E));
	free(copied);
	return added.id;
}

static struct id add_message(const struct id *owner, unsigned number)
{
	char first[] = "a@acme.test", second[] = "b@acme.test";
	char *sender = mem_format("sender%u@example.org", number);
	struct registry_recipient recipients[] = {
	    {.address = first, .by = text, .why = text},
	    {.address = second, .by = empty, .why = empty}};
	struct registry_message message = {
	    .id = id_new(),
	    .tenant = *owner,
	    .received_ms = NOW + number,
	    .registered_ms = NOW,
	    .expires_ms = NOW + 1000,
	    .size = 12,
	    .sender = sender,
	    .sender_normal = sender,
	    .header_from = sender,
	    .subject = text,
	    .message_id = empty,
	    .client_address = empty,
	    .helo = empty,
	    .challenge_reason = empty,
	    .auth = {.stated = true, .spf = AUTH_PASS},
	    .recipients = recipients,
	    .recipient_count = 1 + number % 2};
	int added = ERR_INVALID;

	ok(registry_message_add(source, &message, 1, &added, E));
	ck_assert_int_eq(added, 0);
	free(sender);
	return message.id;
}

static void decide_at(const struct id *owner, const struct id *message,
                      int64_t at_ms)
{
	char recipient[] = "a@acme.test", by[] = "admin";
	struct registry_decision decision = {.message = *message,
	                                     .recipient = recipient,
	                                     .verdict = REGISTRY_RELEASE,
	                                     .by = by,
	                                     .why = text,
	                                     .decided_ms = at_ms};

	ok(registry_decide(source, owner, &decision, E));
}

static void decide(const struct id *owner, const struct id *message)
{
	decide_at(owner, message, NOW);
}

static void put_entry(struct registry *registry, const struct id *owner,
                      const char *value)
{
	char *address = mem_copy_string(value);
	struct entry entry = {.id = id_new(),
	                      .scope = id_is_none(owner) ? ENTRY_SCOPE_GLOBAL
	                                                 : ENTRY_SCOPE_TENANT,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_ADMIN,
	                      .created_ms = NOW,
	                      .scope_value = empty,
	                      .value = address,
	                      .note = text};

	ok(registry_entry_put(registry, owner, &entry, NULL, E));
	free(address);
}

static struct id open_challenge(const struct id *message, uint8_t sender)
{
	char to[] = "s@example.org", code[] = "abcd";
	struct registry_challenge challenge = {.id = id_new(),
	                                       .tenant = tenant,
	                                       .message = *message,
	                                       .sender_hash = {sender},
	                                       .token_hash = {7, sender},
	                                       .created_ms = NOW,
	                                       .changed_ms = NOW,
	                                       .expires_ms = NOW + 1000,
	                                       .sender = to,
	                                       .code = code,
	                                       .mail_next_ms = NOW,
	                                       .mail_owner = empty,
	                                       .mail_reply = empty};
	struct id existing;

	ok(open_one(source, &challenge, &existing, E));
	return challenge.id;
}

static void add_accounts(void)
{
	char agent[] = "mx1", prefix[] = "tk_12345678", login[] = "a@acme.test";
	char role[] = "admin", password[] = "$argon2id$x",
	     name[] = "tenant-add";
	struct registry_key key = {.id = id_new(),
	                           .tenant = tenant,
	                           .agent = agent,
	                           .prefix = prefix,
	                           .hash = {1, 2, 3},
	                           .created_ms = NOW};
	struct registry_user user = {.id = id_new(),
	                             .tenant = tenant,
	                             .login = login,
	                             .role = role,
	                             .password = password,
	                             .created_ms = NOW};
	struct registry_audit line = {.id = id_new(),
	                              .tenant = tenant,
	                              .at_ms = NOW,
	                              .actor = role,
	                              .action = name,
	                              .object = text,
	                              .detail = empty};
	struct registry_dead_sender dead = {
	    .hash = {9}, .marked_ms = NOW, .challenge = tenant, .reason = name};
	uint8_t secret[32];

	ok(registry_domain_add(source, &tenant, "acme.test", E));
	ok(registry_domain_add(source, &other_tenant, "beta.test", E));
	ok(registry_key_add(source, &key, E));
	ok(registry_user_add(source, &user, E));
	ok(registry_audit_add(source, &line, E));
	ok(registry_secret(source, "token", secret, E));
	ok(registry_sender_mark(source, &dead, E));
}

static void fill(void)
{
	static const struct id none;
	struct id message = {{0}};

	tenant = add_tenant(source, "acme");
	other_tenant = add_tenant(source, "beta");
	add_accounts();
	put_entry(source, &tenant, "friend@example.org");
	put_entry(source, &none, "all@example.org");
	for (unsigned i = 0; i < MESSAGES; i++) {
		message = add_message(i % 4 ? &tenant : &other_tenant, i);
		if (i % 10 == 1)
			decide(&tenant, &message);
	}
	(void)open_challenge(&message, 1);
}

/* --- runs --------------------------------------------------------------- */

static struct copy_part *part(enum registry_kind kind)
{
	return copy_report_part(&report, registry_kind_name(kind));
}

static void run(int (*what)(struct registry *, struct registry *,
                            const struct copy_control *, struct copy_report *,
                            struct error *))
{
	memset(&report, 0, sizeof(report));
	ok(what(source, copy, NULL, &report, E));
}

static void copied_whole(void)
{
	run(registry_copy);
	run(registry_compare);
	ck_assert(copy_report_equal(&report));
}

START_TEST(a_copy_is_the_same)
{
	fill();
	copied_whole();
	ck_assert_uint_eq(report.count, REGISTRY_KIND_COUNT);
	for (size_t i = 0; i < report.count; i++) {
		ck_assert_int_gt(report.parts[i].source.count, 0);
		ck_assert(copy_digest_equal(&report.parts[i].source,
		                            &report.parts[i].destination));
	}
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->source.count, MESSAGES);
	run(registry_copy);
	for (size_t i = 0; i < report.count; i++)
		ck_assert_int_eq(report.parts[i].written, 0);
}
END_TEST

START_TEST(a_later_run_brings_changes)
{
	struct id message;

	fill();
	copied_whole();
	message = add_message(&tenant, 5000);
	decide(&tenant, &message);
	put_entry(source, &tenant, "late@example.org");
	run(registry_compare);
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->only_source, 1);
	ck_assert_int_eq(part(REGISTRY_DECISIONS)->only_source, 1);
	ck_assert_int_eq(part(REGISTRY_COUNTERS)->different, 1);
	ck_assert(!copy_report_equal(&report));
	run(registry_copy);
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->written, 1);
	run(registry_compare);
	ck_assert(copy_report_equal(&report));
}
END_TEST

/* The decision of an earlier run is purged at the source. */
START_TEST(retention_is_followed)
{
	struct id old, young;
	size_t deleted;

	fill();
	old = add_message(&tenant, 1);
	young = add_message(&other_tenant, 3);
	decide_at(&tenant, &old, NOW - 5000);
	decide_at(&other_tenant, &young, NOW + 5);
	copied_whole();
	ok(registry_purge(source, REGISTRY_DECISIONS, NOW - 1000, 10, &deleted,
	                  E));
	ck_assert_uint_eq(deleted, 1);
	run(registry_copy);
	ck_assert_int_eq(part(REGISTRY_DECISIONS)->removed, 1);
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->removed, 0);
	run(registry_compare);
	ck_assert(copy_report_equal(&report));
}
END_TEST

START_TEST(places_that_changed_hands)
{
	struct id message, first;

	fill();
	message = add_message(&tenant, 1);
	first = open_challenge(&message, 200);
	copied_whole();
	ok(registry_domain_remove(source, &other_tenant, "beta.test", E));
	ok(registry_domain_add(source, &tenant, "beta.test", E));
	ok(registry_challenge_move(source, &first, CHALLENGE_STATE_OPEN,
	                           CHALLENGE_STATE_EXPIRED, NOW, E));
	(void)open_challenge(&message, 200);
	copied_whole();
}
END_TEST

START_TEST(counters_may_be_higher_there)
{
	fill();
	copied_whole();
	put_entry(copy, &tenant, "friend@example.org"); /* as it was */
	run(registry_compare);
	ck_assert(copy_part_equal(part(REGISTRY_COUNTERS)));
	ck_assert(!copy_part_equal(part(REGISTRY_ENTRIES)));
}
END_TEST

/* The message of the copy alone is decided there. */
START_TEST(a_copy_in_use_is_refused)
{
	struct registry *swap;
	struct error err = {0};
	struct id message;

	fill();
	copied_whole();
	message = add_message(&tenant, 5000);
	decide(&tenant, &message);
	swap = source;
	source = copy;
	copy = swap;
	memset(&report, 0, sizeof(report));
	ck_assert_int_eq(registry_copy(source, copy, NULL, &report, &err),
	                 ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(err.text, "in use"));
}
END_TEST

START_TEST(another_tenant_of_the_name_is_refused)
{
	struct error err = {0};

	fill();
	(void)add_tenant(copy, "beta");
	memset(&report, 0, sizeof(report));
	ck_assert_int_eq(registry_copy(source, copy, NULL, &report, &err),
	                 ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(err.text, "beta"));
	ck_assert_int_eq(registry_restore(source, copy, NULL, &report, &err),
	                 ERR_CONFLICT);
}
END_TEST

START_TEST(claims_stay_behind)
{
	struct registry_challenges page = {0};

	fill();
	ok(registry_challenge_claim_mail(source, "worker", NOW, 60000, 10,
	                                 &page, E));
	ck_assert_uint_eq(page.count, 1);
	registry_challenges_release(&page);
	copied_whole();
	ok(registry_challenge_claim_mail(copy, "another", NOW + 1, 60000, 10,
	                                 &page, E));
	ck_assert_uint_eq(page.count, 1);
	registry_challenges_release(&page);
}
END_TEST

/* --- stopping ----------------------------------------------------------- */

static volatile sig_atomic_t stop_flag;

static void stop_in_messages(void *context, const char *what, int64_t done,
                             int64_t total)
{
	(void)context;
	(void)total;
	if (strcmp(what, "messages") == 0 && done > 0)
		stop_flag = 1;
}

START_TEST(a_stopped_copy_is_run_again)
{
	const struct store_progress progress = {stop_in_messages, NULL};
	const struct copy_control control = {&progress, &stop_flag};
	struct error err = {0};

	fill();
	memset(&report, 0, sizeof(report));
	ck_assert_int_eq(registry_copy(source, copy, &control, &report, &err),
	                 ERR_UNAVAILABLE);
	run(registry_compare);
	ck_assert_int_gt(part(REGISTRY_MESSAGES)->only_source, 0);
	ck_assert_int_gt(part(REGISTRY_MESSAGES)->destination.count, 0);
	copied_whole();
}
END_TEST

/* --- restoring ---------------------------------------------------------- */

START_TEST(a_restore_raises_the_counters)
{
	struct registry *swap;
	struct id message;
	struct registry_policy_cursor before, revision;
	int64_t sequence = 0, last = 0;

	fill();
	ok(registry_decision_last(source, &tenant, &last, E));
	ok(registry_policy_revision(source, &tenant, &before, E));
	run(registry_restore);
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->written, MESSAGES);
	run(registry_compare);
	ck_assert(copy_report_equal(&report));
	swap = source; /* what is decided next in the restored one */
	source = copy;
	copy = swap;
	message = add_message(&tenant, 5000);
	decide(&tenant, &message);
	ok(registry_decision_last(source, &tenant, &sequence, E));
	ck_assert_int_eq(sequence, last + COPY_COUNTER_LEAP + 1);
	put_entry(source, &tenant, "late@example.org");
	ok(registry_policy_revision(source, &tenant, &revision, E));
	ck_assert_int_eq(revision.own, before.own + COPY_COUNTER_LEAP + 1);
	ck_assert_int_eq(revision.global, before.global + COPY_COUNTER_LEAP);
}
END_TEST

START_TEST(a_restore_changes_nothing_that_is_there)
{
	struct registry_message read = {.recipient_count = 0};
	struct registry_decision decision;
	char recipient[] = "a@acme.test", by[] = "admin";
	struct id message;

	fill();
	message = add_message(&tenant, 5001);
	copied_whole();
	decision = (struct registry_decision){.message = message,
	                                      .recipient = recipient,
	                                      .verdict = REGISTRY_DISCARD,
	                                      .by = by,
	                                      .why = text,
	                                      .decided_ms = NOW};
	ok(registry_decide(copy, &tenant, &decision, E));
	(void)add_message(&tenant, 5002);
	run(registry_restore);
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->written, 1);
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->there, MESSAGES + 1);
	ok(registry_message_read(copy, &tenant, &message, &read, E));
	ck_assert_int_eq(read.recipients[0].state, REGISTRY_DISCARDED);
	registry_message_release(&read);
	run(registry_restore);
	ck_assert_int_eq(part(REGISTRY_MESSAGES)->written, 0);
}
END_TEST

static TCase *copies(const char *name, void (*set_up)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_copy_is_the_same);
	tcase_add_test(tcase, a_later_run_brings_changes);
	tcase_add_test(tcase, retention_is_followed);
	tcase_add_test(tcase, places_that_changed_hands);
	tcase_add_test(tcase, counters_may_be_higher_there);
	tcase_add_test(tcase, a_copy_in_use_is_refused);
	tcase_add_test(tcase, another_tenant_of_the_name_is_refused);
	tcase_add_test(tcase, claims_stay_behind);
	tcase_add_test(tcase, a_stopped_copy_is_run_again);
	tcase_add_test(tcase, a_restore_raises_the_counters);
	tcase_add_test(tcase, a_restore_changes_nothing_that_is_there);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("copy-registry");

	suite_add_tcase(suite, copies("to SQLite", set_up_sqlite));
	if (mongodb_fixture_present())
		suite_add_tcase(suite, copies("to MongoDB", set_up_mongodb));
	return suite_main(suite, NULL);
}
