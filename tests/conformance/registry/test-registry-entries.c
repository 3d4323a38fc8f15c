/* Conformance of the registry: the lists, their revisions and look-ups. */
#include "tests/conformance/registry/fixture.h"

static int64_t put(const struct id *tenant, const struct entry *entry)
{
	struct entry stored = {0};

	ok(registry_entry_put(registry, tenant, entry, &stored, E));
	ck_assert_int_gt(stored.revision, 0);
	ck_assert_ptr_null(stored.value);
	return stored.revision;
}

static int64_t revision_of(const struct id *tenant)
{
	struct registry_policy_cursor revision = {-1, -1};

	ok(registry_policy_revision(registry, tenant, &revision, E));
	return revision.own;
}

START_TEST(entry_reads_back)
{
	struct registry_entries page = {0};
	struct entry *found, entry = entry_of(3, "s@example.org");
	int64_t revision;

	entry.scope = ENTRY_SCOPE_MAILBOX;
	entry.scope_value = (char *)"r@a.example";
	entry.colour = ENTRY_BLACK;
	entry.origin = ENTRY_FROM_RECIPIENT;
	entry.demand = MAIL_PASS_DMARC;
	entry.expires_ms = NOW + 77;
	entry.note = (char *)"a note; it's long";
	ck_assert_int_eq(revision_of(&tenant_a), 0);
	revision = put(&tenant_a, &entry);
	ok(registry_entry_list(registry, &tenant_a, NULL, 10, &page, E));
	ck_assert_uint_eq(page.count, 1);
	found = &page.entries[0];
	ck_assert(id_equal(&found->id, &entry.id));
	ck_assert_int_eq(found->scope, ENTRY_SCOPE_MAILBOX);
	ck_assert_str_eq(found->scope_value, "r@a.example");
	ck_assert_int_eq(found->colour, ENTRY_BLACK);
	ck_assert_int_eq(found->kind, ENTRY_ADDRESS);
	ck_assert_int_eq(found->origin, ENTRY_FROM_RECIPIENT);
	ck_assert_int_eq(found->demand, MAIL_PASS_DMARC);
	ck_assert(!found->deleted);
	ck_assert_int_eq(found->expires_ms, NOW + 77);
	ck_assert_int_eq(found->created_ms, NOW);
	ck_assert_int_eq(found->revision, revision);
	ck_assert_str_eq(found->value, "s@example.org");
	ck_assert_str_eq(found->note, "a note; it's long");
	registry_entries_release(&page);
	ck_assert_int_eq(revision_of(&tenant_a), revision);
	ck_assert_int_eq(revision_of(&tenant_b), 0);
}
END_TEST

/* The same key takes the place and the id; another value does not. */
START_TEST(entry_takes_the_place)
{
	struct registry_entries page = {0};
	struct entry first = entry_of(3, "s@x"), second = entry_of(4, "s@x"),
	             other = entry_of(5, "t@x"), stored = {0};
	int64_t revision = put(&tenant_a, &first);

	second.colour = ENTRY_BLACK;
	ok(registry_entry_put(registry, &tenant_a, &second, &stored, E));
	ck_assert(id_equal(&stored.id, &first.id));
	ck_assert_int_gt(stored.revision, revision);
	put(&tenant_a, &other);
	put(&tenant_b, &(struct entry){.id = id_of(6),
	                               .scope = ENTRY_SCOPE_TENANT,
	                               .kind = ENTRY_ADDRESS,
	                               .value = (char *)"s@x"});
	ok(registry_entry_list(registry, &tenant_a, NULL, 10, &page, E));
	ck_assert_uint_eq(page.count, 2);
	ck_assert_int_eq(page.entries[0].colour, ENTRY_BLACK);
	registry_entries_release(&page);
	/* The id of another key's entry is taken. */
	other = entry_of(3, "u@x");
	fails(ERR_EXISTS,
	      registry_entry_put(registry, &tenant_a, &other, NULL, NULL));
	ok(registry_check(registry, E));
}
END_TEST

/* What a stranger earned does not take the place of what somebody wrote. */
START_TEST(captcha_takes_no_written_place)
{
	struct registry_entries page = {0};
	struct entry written = entry_of(3, "s@x"), earned = entry_of(4, "s@x");
	int64_t revision;

	written.origin = ENTRY_FROM_ADMIN;
	written.colour = ENTRY_BLACK;
	written.expires_ms = NOW + 50;
	revision = put(&tenant_a, &written);
	earned.origin = ENTRY_FROM_CAPTCHA;
	fails(ERR_CONFLICT,
	      registry_entry_put(registry, &tenant_a, &earned, NULL, NULL));
	ck_assert_int_eq(revision_of(&tenant_a), revision);
	ok(registry_entry_list(registry, &tenant_a, NULL, 10, &page, E));
	ck_assert_int_eq(page.entries[0].colour, ENTRY_BLACK);
	ck_assert_int_eq(page.entries[0].origin, ENTRY_FROM_ADMIN);
	registry_entries_release(&page);
	/* Once that one has expired, or is deleted, it does. */
	earned.created_ms = NOW + 50;
	put(&tenant_a, &earned);
	put(&tenant_a, &written);
	ok(registry_entry_remove(registry, &tenant_a, &written.id, E));
	earned.created_ms = NOW;
	put(&tenant_a, &earned);
	/* And its own place, whoever wrote there takes over. */
	put(&tenant_a, &earned);
	put(&tenant_a, &written);
	ok(registry_check(registry, E));
}
END_TEST

START_TEST(removal_leaves_a_tombstone)
{
	struct registry_entries page = {0};
	struct entry entry = entry_of(3, "s@x"), again = entry_of(9, "s@x"),
	             stored = {0};
	int64_t revision = put(&tenant_a, &entry);
	struct registry_policy_cursor cursor = {.own = revision}, first = {0};

	fails(ERR_NOT_FOUND,
	      registry_entry_remove(registry, &tenant_b, &entry.id, NULL));
	fails(ERR_NOT_FOUND,
	      registry_entry_remove(registry, &tenant_a, &again.id, NULL));
	ck_assert_int_eq(revision_of(&tenant_a), revision);
	ok(registry_entry_remove(registry, &tenant_a, &entry.id, E));
	fails(ERR_NOT_FOUND,
	      registry_entry_remove(registry, &tenant_a, &entry.id, NULL));
	ok(registry_entry_list(registry, &tenant_a, NULL, 10, &page, E));
	ck_assert_uint_eq(page.count, 0);
	registry_entries_release(&page);
	ok(registry_entry_changes(registry, &tenant_a, &cursor, 10, &page, E));
	ck_assert_uint_eq(page.count, 1);
	ck_assert(page.entries[0].deleted);
	ck_assert_int_gt(page.entries[0].revision, revision);
	registry_entries_release(&page);
	/* It comes back under its id. */
	ok(registry_entry_put(registry, &tenant_a, &again, &stored, E));
	ck_assert(id_equal(&stored.id, &entry.id));
	ok(registry_entry_changes(registry, &tenant_a, &first, 10, &page, E));
	ck_assert_uint_eq(page.count, 1);
	ck_assert(!page.entries[0].deleted);
	registry_entries_release(&page);
}
END_TEST

static const struct {
	unsigned id;
	enum entry_scope scope;
	const char *scope_value, *value;
	char tenant;
	int code;
} bad_entries[] = {
    {0, ENTRY_SCOPE_TENANT, "", "s@x", 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_TENANT, "", "", 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_TENANT, "", NULL, 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_TENANT, "x", "s@x", 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_DOMAIN, "", "s@x", 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_MAILBOX, NULL, "s@x", 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_GLOBAL, "", "s@x", 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_TENANT, "", "s@x", '-', ERR_INVALID},
    {1, (enum entry_scope)9, "", "s@x", 'a', ERR_INVALID},
    {1, ENTRY_SCOPE_TENANT, "", "s@x", '?', ERR_NOT_FOUND},
    {1, ENTRY_SCOPE_GLOBAL, "", "s@x", '-', 0},
    {1, ENTRY_SCOPE_TENANT, NULL, "s@x", 'a', 0},
};

START_TEST(entry_is_checked)
{
	struct entry entry = entry_of(bad_entries[_i].id, "");
	struct id nobody = id_of(99);
	const struct id *tenant = bad_entries[_i].tenant == 'a'   ? &tenant_a
	                          : bad_entries[_i].tenant == '-' ? &no_id
	                                                          : &nobody;

	if (!bad_entries[_i].id)
		entry.id = no_id;
	entry.scope = bad_entries[_i].scope;
	entry.scope_value = (char *)bad_entries[_i].scope_value;
	entry.value = (char *)bad_entries[_i].value;
	fails(bad_entries[_i].code,
	      registry_entry_put(registry, tenant, &entry, NULL, NULL));
}
END_TEST

static void put_as(const struct id *tenant, unsigned id, const char *value)
{
	struct entry entry = entry_of(id, value);

	if (id_is_none(tenant))
		entry.scope = ENTRY_SCOPE_GLOBAL;
	(void)put(tenant, &entry);
}

/* The last digits of the ids of all changes after the cursor, a page of each
 * size behind the other; where the cursor is at the end. */
static void expect_changes(const struct id *tenant,
                           struct registry_policy_cursor *cursor, size_t limit,
                           const char *wanted)
{
	struct registry_entries page = {0};
	char got[32] = "", *next = got;

	do {
		struct registry_policy_cursor before = *cursor;

		registry_entries_release(&page);
		ok(registry_entry_changes(registry, tenant, cursor, limit,
		                          &page, E));
		ck_assert_uint_le(page.count, limit);
		for (size_t i = 0; i < page.count; i++) {
			const struct entry *entry = &page.entries[i];
			int64_t *at = entry->scope == ENTRY_SCOPE_GLOBAL
			                  ? &before.global
			                  : &before.own;

			ck_assert_int_gt(entry->revision, *at);
			*at = entry->revision;
			*next++ = (char)('0' + entry->id.bytes[15]);
		}
		ck_assert_int_eq(before.own, cursor->own);
		ck_assert_int_eq(before.global, cursor->global);
	} while (page.more);
	registry_entries_release(&page);
	ck_assert_str_eq(got, wanted);
}

/* Changes are the tenant's, then the global ones, each in order, in pages. */
START_TEST(changes_page_in_order)
{
	struct registry_policy_cursor revision, cursor = {0}, other = {0},
	                                        global = {0};
	struct registry_entries page = {0};
	size_t limit = (size_t)_i;

	put_as(&tenant_a, 1, "one@x");
	put_as(&tenant_b, 2, "two@x");
	put_as(&no_id, 3, "three@x");
	put_as(&tenant_a, 4, "four@x");
	put_as(&no_id, 5, "five@x");
	expect_changes(&tenant_a, &cursor, limit, "1435");
	ok(registry_policy_revision(registry, &tenant_a, &revision, E));
	ck_assert_int_eq(cursor.own, revision.own);
	ck_assert_int_eq(cursor.global, revision.global);
	expect_changes(&tenant_b, &other, limit, "235");
	expect_changes(&no_id, &global, limit, "35");
	ck_assert_int_eq(global.own, 0);
	/* Each goes on from where it is. */
	put_as(&no_id, 6, "six@x");
	expect_changes(&tenant_a, &cursor, limit, "6");
	put_as(&tenant_a, 7, "seven@x");
	expect_changes(&tenant_a, &cursor, limit, "7");
	expect_changes(&tenant_b, &other, limit, "6");
	revision = cursor;
	fails(ERR_INVALID, registry_entry_changes(registry, &tenant_a, &cursor,
	                                          0, &page, NULL));
	ck_assert_int_eq(cursor.own, revision.own);
}
END_TEST

/* What one tenant changes, and what is global, is in no other's order. */
START_TEST(orders_are_apart)
{
	struct registry_policy_cursor a, b, global;

	put_as(&tenant_a, 1, "one@x");
	put_as(&tenant_a, 2, "two@x");
	put_as(&tenant_a, 3, "three@x");
	ok(registry_domain_add(registry, &tenant_b, "b.example", E));
	put_as(&no_id, 4, "four@x");
	put_as(&no_id, 5, "five@x");
	ok(registry_policy_revision(registry, &tenant_a, &a, E));
	ok(registry_policy_revision(registry, &tenant_b, &b, E));
	ok(registry_policy_revision(registry, &no_id, &global, E));
	ck_assert_int_eq(a.own, 3);
	ck_assert_int_eq(b.own, 1);
	ck_assert_int_eq(global.own, 0);
	ck_assert_int_eq(a.global, 2);
	ck_assert_int_eq(b.global, 2);
	ck_assert_int_eq(global.global, 2);
	ok(registry_check(registry, E));
}
END_TEST

START_TEST(list_pages_by_id)
{
	struct registry_entries page = {0};
	struct entry entry;
	struct id after = no_id;
	unsigned number = 0;
	bool more = true;

	for (unsigned i = 9; i > 0; i--) {
		char value[16];

		(void)snprintf(value, sizeof(value), "s%u@x", i);
		entry = entry_of(i, value);
		put(&tenant_a, &entry);
	}
	entry = entry_of(10, "g@x");
	entry.scope = ENTRY_SCOPE_GLOBAL;
	put(&no_id, &entry);
	for (; more; registry_entries_release(&page)) {
		ok(registry_entry_list(registry, &tenant_a, &after, 4, &page,
		                       E));
		for (size_t i = 0; i < page.count; i++) {
			after = page.entries[i].id;
			ck_assert_uint_eq(after.bytes[15], ++number);
		}
		more = page.more;
	}
	ck_assert_uint_eq(number, 9);
	ok(registry_entry_list(registry, &no_id, NULL, 4, &page, E));
	ck_assert_uint_eq(page.count, 1);
	registry_entries_release(&page);
}
END_TEST

/* What the look-ups below choose from. */
static const struct {
	char tenant; /* '-': global */
	enum entry_scope scope;
	const char *scope_value;
	enum entry_kind kind;
	const char *value;
	enum entry_colour colour;
	bool demands_pass;
	int64_t expires; /* after NOW */
} lists[] = {
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "s@x.org", ENTRY_WHITE, false,
     0}, /* 1 */
    {'b', ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "s@x.org", ENTRY_BLACK, false,
     0}, /* 2 */
    {'-', ENTRY_SCOPE_GLOBAL, "", ENTRY_DOMAIN, "x.org", ENTRY_BLACK, false,
     0}, /* 3 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, "y.org", ENTRY_WHITE, false,
     0}, /* 4 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, "b.y.org", ENTRY_BLACK,
     false, 0}, /* 5 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.0/24", ENTRY_BLACK,
     false, 0}, /* 6 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.7", ENTRY_WHITE,
     false, 0}, /* 7 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, "*@z*.org", ENTRY_BLACK, false,
     0}, /* 8 */
    {'-', ENTRY_SCOPE_GLOBAL, "", ENTRY_PATTERN, "bad@*", ENTRY_BLACK, false,
     0}, /* 9 */
    {'a', ENTRY_SCOPE_MAILBOX, "r@a", ENTRY_DOMAIN, "x.org", ENTRY_BLACK, false,
     0}, /* 10 */
    {'a', ENTRY_SCOPE_DOMAIN, "d.a", ENTRY_ADDRESS, "s@x.org", ENTRY_BLACK,
     false, 0}, /* 11 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "p@p.org", ENTRY_WHITE, true,
     0}, /* 12 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "e@e.org", ENTRY_WHITE, false,
     10}, /* 13 */
    {'-', ENTRY_SCOPE_GLOBAL, "", ENTRY_NETWORK, "2001:db8::/32", ENTRY_BLACK,
     false, 0}, /* 14 */
    {'a', ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "gone@x.org", ENTRY_WHITE,
     false, 0}, /* 15, removed */
};

static void fill_lists(void)
{
	struct id gone = id_of(15);

	set_up();
	for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		struct entry entry = entry_of(i + 1, lists[i].value);

		entry.scope = lists[i].scope;
		entry.scope_value = (char *)lists[i].scope_value;
		entry.kind = lists[i].kind;
		entry.colour = lists[i].colour;
		entry.demand =
		    lists[i].demands_pass ? MAIL_PASS_SPF : MAIL_PASS_NONE;
		entry.expires_ms =
		    lists[i].expires ? NOW + lists[i].expires : 0;
		put(lists[i].tenant == 'a'   ? &tenant_a
		    : lists[i].tenant == 'b' ? &tenant_b
		                             : &no_id,
		    &entry);
	}
	ok(registry_entry_remove(registry, &tenant_a, &gone, E));
}

static const struct {
	char tenant;
	const char *sender, *recipient, *client;
	enum auth_result spf;
	int64_t now;    /* after NOW */
	unsigned found; /* 0: none */
} matches[] = {
    {'a', "s@x.org", "q@a", "", AUTH_NONE, 0, 1},
    {'a', "s@x.org", "r@a", "", AUTH_NONE, 0, 10},
    {'a', "s@x.org", "q@d.a", "", AUTH_NONE, 0, 11},
    {'b', "s@x.org", "q@b", "", AUTH_NONE, 0, 2},
    {'b', "s@x.org", "r@a", "", AUTH_NONE, 0, 2},
    {'b', "t@x.org", "q@b", "", AUTH_NONE, 0, 3},
    {'a', "gone@x.org", "q@a", "", AUTH_NONE, 0, 3},
    {'a', "t@y.org", "q@a", "", AUTH_NONE, 0, 4},
    {'a', "t@a.y.org", "q@a", "", AUTH_NONE, 0, 4},
    {'a', "t@a.b.y.org", "q@a", "", AUTH_NONE, 0, 5},
    {'b', "t@y.org", "q@b", "", AUTH_NONE, 0, 0},
    {'a', "t@noty.org", "q@a", "", AUTH_NONE, 0, 0},
    {'a', "t@v.org", "q@a", "192.0.2.8", AUTH_NONE, 0, 6},
    {'a', "t@v.org", "q@a", "192.0.2.7", AUTH_NONE, 0, 7},
    {'b', "t@v.org", "q@b", "192.0.2.8", AUTH_NONE, 0, 0},
    {'b', "t@v.org", "q@b", "2001:db8::5", AUTH_NONE, 0, 14},
    {'a', "t@zz.org", "q@a", "", AUTH_NONE, 0, 8},
    {'b', "t@zz.org", "q@b", "", AUTH_NONE, 0, 0},
    {'b', "bad@v.org", "q@b", "", AUTH_NONE, 0, 9},
    /* A forger does not come in by a white entry. */
    {'a', "s@x.org", "q@a", "", AUTH_FAIL, 0, 3},
    {'a', "p@p.org", "q@a", "", AUTH_NONE, 0, 0},
    {'a', "p@p.org", "q@a", "", AUTH_PASS, 0, 12},
    {'a', "e@e.org", "q@a", "", AUTH_NONE, 9, 13},
    {'a', "e@e.org", "q@a", "", AUTH_NONE, 11, 0},
    {'a', "", "q@a", "", AUTH_NONE, 0, 0},
    {'a', "s' OR '1'='1", "q@a", "", AUTH_NONE, 0, 0},
};

START_TEST(match_finds_the_strongest)
{
	struct mail_auth auth = {.stated = true, .spf = matches[_i].spf};
	struct mail_identity identity;
	struct entry_subject subject = {
	    .identity = &identity,
	    .recipient = matches[_i].recipient,
	    .client_address = matches[_i].client,
	    .now_ms = NOW + matches[_i].now,
	};
	const struct id *tenant =
	    matches[_i].tenant == 'a' ? &tenant_a : &tenant_b;
	struct id wanted = id_of(matches[_i].found);
	struct entry entry;

	(void)snprintf(auth.spf_domain, sizeof(auth.spf_domain), "%s",
	               mail_address_domain(matches[_i].sender));
	mail_identity_find(&identity, matches[_i].sender, "", &auth);
	if (!matches[_i].found) {
		fails(ERR_NOT_FOUND,
		      match_one(registry, tenant, &subject, &entry, NULL));
		return;
	}
	ok(match_one(registry, tenant, &subject, &entry, E));
	ck_assert_msg(id_equal(&entry.id, &wanted), "entry %d",
	              entry.id.bytes[15]);
	ck_assert_str_eq(entry.value, lists[matches[_i].found - 1].value);
	entry_release(&entry);
}
END_TEST

START_TEST(subject_is_checked)
{
	struct mail_identity identity = {.form_count = 0};
	struct entry_subject subject = {.identity = &identity};
	struct entry entry;

	fails(ERR_INVALID,
	      match_one(registry, &tenant_a, &subject, &entry, NULL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-entries");
	TCase *tcase = case_in(suite, "entries");

	tcase_add_test(tcase, entry_reads_back);
	tcase_add_test(tcase, entry_takes_the_place);
	tcase_add_test(tcase, captcha_takes_no_written_place);
	tcase_add_test(tcase, captcha_takes_no_written_place);
	tcase_add_test(tcase, removal_leaves_a_tombstone);
	tcase_add_loop_test(tcase, entry_is_checked, 0,
	                    sizeof(bad_entries) / sizeof(*bad_entries));
	tcase_add_loop_test(tcase, changes_page_in_order, 1, 6);
	tcase_add_test(tcase, orders_are_apart);
	tcase_add_test(tcase, list_pages_by_id);
	tcase = tcase_create("look-ups");
	tcase_add_checked_fixture(tcase, fill_lists, tear_down);
	tcase_add_loop_test(tcase, match_finds_the_strongest, 0,
	                    sizeof(matches) / sizeof(*matches));
	tcase_add_test(tcase, subject_is_checked);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
