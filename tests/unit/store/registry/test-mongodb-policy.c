/*
 * The sequencer of policy changes in MongoDB: what a process that died left
 * pending is done by whoever comes next, once, and a late helper undoes
 * nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "store/registry/mongodb/policy-sequencer.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/suite.h"

static char *uri;
static struct registry *registry;
static struct mongodb_db *db;
static struct error err;
static const struct id tenant_id = {{1}};

#define must(call) ck_assert_msg(!(call), "%s", err.text)

static struct entry entry_of(enum entry_colour colour)
{
	return (struct entry){.id = {{3}},
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .kind = ENTRY_ADDRESS,
	                      .colour = colour,
	                      .scope_value = (char *)"",
	                      .value = (char *)"a@example.org",
	                      .note = (char *)""};
}

static void setup(void)
{
	struct registry_options options = {.backend = "mongodb"};
	struct mongodb_options other = {.program = "turing-test"};
	struct registry_tenant tenant = {
	    .id = tenant_id, .name = (char *)"acme", .language = (char *)"en"};
	struct entry entry = entry_of(ENTRY_WHITE);

	uri = mongodb_fixture_uri();
	options.location = other.uri = uri;
	must(registry_open(&registry, &options, &err));
	must(mongodb_db_open(&db, &other, &err));
	must(registry_tenant_add(registry, &tenant, &err));
	must(registry_entry_put(registry, &tenant_id, &entry, NULL, &err));
	must(registry_domain_add(registry, &tenant_id, "example.org", &err));
	must(registry_domain_remove(registry, &tenant_id, "example.org", &err));
}

static void teardown(void)
{
	must(registry_check(registry, &err));
	registry_close(registry);
	mongodb_db_close(db);
	mongodb_fixture_drop(uri);
}

/* As a process leaves the policy that won a turn and then died. */
static void leave_pending(const char *collection, const bson_t *document,
                          int64_t revision)
{
	bson_t selector, update = BSON_INITIALIZER, set, list, one;

	registry_mongodb_policy_select(&selector, &tenant_id);
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
	BSON_APPEND_INT64(&set, "revision", revision);
	BSON_APPEND_INT64(&set, "waiting", 1);
	BSON_APPEND_ARRAY_BEGIN(&set, "pending", &list);
	BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &one);
	BSON_APPEND_UTF8(&one, "collection", collection);
	BSON_APPEND_DOCUMENT(&one, "document", document);
	bson_append_document_end(&list, &one);
	bson_append_array_end(&set, &list);
	bson_append_document_end(&update, &set);
	must(mongodb_update(db, REGISTRY_POLICY, &selector, &update, false,
	                    true, NULL, &err));
	bson_destroy(&selector);
	bson_destroy(&update);
}

static void leave_entry(enum entry_colour colour, int64_t of, int64_t revision)
{
	struct entry entry = entry_of(colour);
	bson_t *document;

	entry.revision = of;
	document = registry_mongodb_entry_document(&tenant_id, &entry);
	leave_pending(REGISTRY_ENTRY, document, revision);
	bson_destroy(document);
}

static void expect_entry(enum entry_colour colour, int64_t revision)
{
	struct registry_policy_cursor cursor = {0};
	struct registry_entries page = {.count = 0};

	must(registry_entry_changes(registry, &tenant_id, &cursor, 10, &page,
	                            &err));
	ck_assert_uint_eq(page.count, 1);
	ck_assert_int_eq(page.entries[0].colour, colour);
	ck_assert_int_eq(page.entries[0].revision, revision);
	registry_entries_release(&page);
}

static void expect_nothing_pending(void)
{
	bson_t selector, *found = NULL, pending;

	registry_mongodb_policy_select(&selector, &tenant_id);
	must(mongodb_find_one(db, REGISTRY_POLICY, &selector, NULL, &found,
	                      &err));
	ck_assert(mongodb_get_document(found, "pending", &pending));
	ck_assert_uint_eq(bson_count_keys(&pending), 0);
	bson_destroy(found);
	bson_destroy(&selector);
}

START_TEST(readers_help)
{
	struct registry_policy_cursor revision;

	leave_entry(ENTRY_BLACK, 4, 4);
	must(registry_policy_revision(registry, &tenant_id, &revision, &err));
	ck_assert_int_eq(revision.own, 4);
	expect_nothing_pending();
	expect_entry(ENTRY_BLACK, 4);
}
END_TEST

/* The writer has seen the policy before, and loses his turn to the dead. */
START_TEST(writers_help)
{
	struct entry entry = entry_of(ENTRY_WHITE), stored = entry;

	leave_entry(ENTRY_BLACK, 4, 4);
	must(registry_entry_put(registry, &tenant_id, &entry, &stored, &err));
	ck_assert_int_eq(stored.revision, 5);
	expect_nothing_pending();
	expect_entry(ENTRY_WHITE, 5);
}
END_TEST

START_TEST(opening_helps)
{
	struct registry_options options = {"mongodb", uri};

	registry_close(registry);
	leave_entry(ENTRY_BLACK, 4, 4);
	must(registry_open(&registry, &options, &err));
	expect_nothing_pending();
}
END_TEST

/* What a helper does late is older than what is there. */
START_TEST(late_help_undoes_nothing)
{
	struct registry_policy_cursor cursor = {0};
	struct registry_entries page = {.count = 0};

	must(registry_entry_list(registry, &tenant_id, &(struct id){{0}}, 1,
	                         &page, &err));
	must(registry_entry_remove(registry, &tenant_id, &page.entries[0].id,
	                           &err));
	registry_entries_release(&page);
	leave_entry(ENTRY_BLACK, 1, 4);
	must(registry_entry_changes(registry, &tenant_id, &cursor, 10, &page,
	                            &err));
	ck_assert_uint_eq(page.count, 1);
	ck_assert(page.entries[0].deleted);
	ck_assert_int_eq(page.entries[0].revision, 4);
	registry_entries_release(&page);
}
END_TEST

static void count_domain(const char *domain, void *context)
{
	(void)domain;
	(*(int *)context)++;
}

START_TEST(late_help_revives_no_domain)
{
	bson_t *document =
	    BCON_NEW("_id", BCON_UTF8("example.org"), "tenant",
	             BCON_BIN(BSON_SUBTYPE_UUID, tenant_id.bytes, 16),
	             "deleted", BCON_BOOL(false), "revision", BCON_INT64(2));
	struct registry_policy_cursor revision;
	int domains = 0;

	leave_pending(REGISTRY_DOMAIN, document, 3);
	must(registry_policy_revision(registry, &tenant_id, &revision, &err));
	expect_nothing_pending();
	must(registry_domain_each(registry, &tenant_id, count_domain, &domains,
	                          &err));
	ck_assert_int_eq(domains, 0);
	must(registry_domain_add(registry, &tenant_id, "example.org", &err));
	must(registry_domain_each(registry, &tenant_id, count_domain, &domains,
	                          &err));
	ck_assert_int_eq(domains, 1);
	bson_destroy(document);
}
END_TEST

/* Version 2 had one document for all tenants; here with a change pending that
 * the tenant's document has not heard of. */
static void make_version_2(void)
{
	bson_t all = BSON_INITIALIZER, *document, *update;
	struct entry entry = entry_of(ENTRY_BLACK);

	must(mongodb_delete(db, REGISTRY_POLICY, &all, false, NULL, &err));
	update = BCON_NEW("$set", "{", "policy_revision", BCON_INT64(5), "}");
	must(
	    mongodb_update_many(db, REGISTRY_TENANT, &all, update, NULL, &err));
	bson_destroy(update);
	entry.revision = 8;
	document = registry_mongodb_entry_document(&tenant_id, &entry);
	update = BCON_NEW("_id", BCON_UTF8("policy"), "revision", BCON_INT64(8),
	                  "global", BCON_INT64(7), "pending", "[", "{",
	                  "collection", BCON_UTF8(REGISTRY_ENTRY), "tenant",
	                  BCON_BIN(BSON_SUBTYPE_UUID, tenant_id.bytes, 16),
	                  "document", BCON_DOCUMENT(document), "}", "]",
	                  "turns", "[", "]");
	must(mongodb_insert(db, REGISTRY_POLICY, update, &err));
	bson_destroy(update);
	bson_destroy(document);
	document = BCON_NEW("_id", BCON_UTF8("registry"));
	update = BCON_NEW("$set", "{", "version", BCON_INT64(2), "}");
	must(mongodb_update(db, "schema", document, update, false, true, NULL,
	                    &err));
	bson_destroy(update);
	bson_destroy(document);
	bson_destroy(&all);
}

START_TEST(version_2_is_split)
{
	struct registry_options options = {"mongodb", uri};
	struct entry entry = entry_of(ENTRY_WHITE), stored = entry;
	struct registry_policy_cursor revision;
	static const struct id none;
	bson_t all = BSON_INITIALIZER;
	int64_t documents = 0;

	registry_close(registry);
	make_version_2();
	must(registry_open(&registry, &options, &err));
	expect_entry(ENTRY_BLACK, 8);
	must(registry_policy_revision(registry, &tenant_id, &revision, &err));
	ck_assert_int_eq(revision.own, 8);
	ck_assert_int_eq(revision.global, 7);
	must(mongodb_count(db, REGISTRY_POLICY, &all, NULL, 0, &documents,
	                   &err));
	ck_assert_int_eq(documents, 2);
	must(registry_entry_put(registry, &tenant_id, &entry, &stored, &err));
	ck_assert_int_eq(stored.revision, 9);
	entry.id = id_new();
	entry.scope = ENTRY_SCOPE_GLOBAL;
	stored = entry;
	must(registry_entry_put(registry, &none, &entry, &stored, &err));
	ck_assert_int_eq(stored.revision, 8);
	bson_destroy(&all);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-mongodb-policy");
	TCase *all = tcase_create("helping");

	if (!mongodb_fixture_present())
		return EXIT_SUCCESS;
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_set_timeout(all, 60);
	tcase_add_test(all, readers_help);
	tcase_add_test(all, writers_help);
	tcase_add_test(all, opening_helps);
	tcase_add_test(all, late_help_undoes_nothing);
	tcase_add_test(all, late_help_revives_no_domain);
	tcase_add_test(all, version_2_is_split);
	suite_add_tcase(suite, all);
	return suite_main(suite, NULL);
}
