/*
 * Conformance of the registry: every kind of record given out and put in, in
 * pages, stopped in the middle, once more, and replaced.
 */

#include "store/copy/registry.h"
#include "tests/conformance/registry/fixture.h"
#include "tests/support/remove-tree.h"

/* Where the copy goes: a registry of the same backend. */
static struct registry *other;
static char other_folder[64];
static char other_location[512];

/* Run with other in the place of the registry, for the fixture's functions. */
static void swap(void)
{
	struct registry *first = registry;

	registry = other;
	other = first;
}

static void open_other(void)
{
	struct registry_options options = {backend(), other_location};

	ok(registry_open(&other, &options, E));
}

static void set_up_both(void)
{
	char *uri;

	set_up();
	if (is_sqlite()) {
		(void)snprintf(other_folder, sizeof(other_folder),
		               "/tmp/turing-registry-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(other_folder));
		(void)snprintf(other_location, sizeof(other_location),
		               "%s/data", other_folder);
	} else {
		uri = mongodb_fixture_uri();
		(void)snprintf(other_location, sizeof(other_location), "%s",
		               uri);
		free(uri);
	}
	open_other();
}

static void tear_down_both(void)
{
	registry_close(other);
	other = NULL;
	if (is_sqlite())
		(void)remove_tree(other_folder);
	else
		mongodb_fixture_drop(strdup(other_location));
	tear_down();
}

/* --- what is copied ------------------------------------------------------ */

static void put_accounts(void)
{
	struct registry_key key = {
	    .tenant = tenant_a, .agent = (char *)"agent", .created_ms = NOW};
	struct registry_user user = {.id = id_of(1),
	                             .tenant = tenant_a,
	                             .login = (char *)"u@a.example",
	                             .role = (char *)"admin",
	                             .password = (char *)"$argon2id$x"};
	char prefix[] = "tk_0";

	ok(registry_domain_add(registry, &tenant_a, "a.example", E));
	ok(registry_domain_add(registry, &tenant_a, "z.example", E));
	ok(registry_domain_add(registry, &tenant_b, "b.example", E));
	ok(registry_domain_add(registry, &tenant_b, "gone.example", E));
	ok(registry_domain_remove(registry, &tenant_b, "gone.example", E));
	key.prefix = prefix;
	for (unsigned i = 0; i < 3; i++) {
		key.id = id_of(10 - i);
		prefix[3] = (char)('0' + i);
		ok(registry_key_add(registry, &key, E));
		if (!i)
			ok(registry_key_revoke(registry, &tenant_a, prefix, NOW,
			                       E));
	}
	ok(registry_user_add(registry, &user, E));
	user.id = id_of(2);
	user.login = (char *)"operator";
	user.role = (char *)"operator";
	user.tenant = no_id;
	ok(registry_user_add(registry, &user, E));
}

static void put_entries(void)
{
	struct entry entry = entry_of(5, "s@x.example");
	struct id id = id_of(4);

	entry.note = (char *)"caf\xc3\xa9 \xff";
	entry.expires_ms = NOW + 7;
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	entry = entry_of(4, "gone@x.example");
	ok(registry_entry_put(registry, &tenant_a, &entry, NULL, E));
	ok(registry_entry_remove(registry, &tenant_a, &id, E));
	entry = entry_of(3, "*@spam.example");
	entry.kind = ENTRY_PATTERN;
	entry.colour = ENTRY_BLACK;
	entry.scope = ENTRY_SCOPE_GLOBAL;
	ok(registry_entry_put(registry, &no_id, &entry, NULL, E));
	entry = entry_of(2, "192.0.2.0/24");
	entry.kind = ENTRY_NETWORK;
	entry.scope = ENTRY_SCOPE_MAILBOX;
	entry.scope_value = (char *)"r@b.example";
	entry.demand = MAIL_PASS_DKIM;
	ok(registry_entry_put(registry, &tenant_b, &entry, NULL, E));
}

static void put_mail(void)
{
	struct id id = id_of(2);

	for (unsigned i = 1; i <= 5; i++)
		ck_assert_int_eq(put_message(&tenant_a, i, "s\xff@x",
		                             "r@a.example", "q@a.example"),
		                 0);
	ck_assert_int_eq(put_message(&tenant_b, 6, "s@x", "r@b.example", NULL),
	                 0);
	ck_assert_int_eq(decide(&tenant_a, 1, "r@a.example", REGISTRY_RELEASE),
	                 0);
	ck_assert_int_eq(decide(&tenant_a, 2, "r@a.example", REGISTRY_RELEASE),
	                 0);
	ck_assert_int_eq(decide(&tenant_a, 2, "q@a.example", REGISTRY_DISCARD),
	                 0);
	ck_assert_int_eq(decide(&tenant_b, 6, "r@b.example", REGISTRY_EXPIRE),
	                 0);
	ok(registry_message_event(registry, &tenant_a, &id, "r@a.example",
	                          REGISTRY_DELIVERED, NOW + 9, "250", E));
	id = id_of(3);
	ok(registry_message_event(registry, &tenant_a, &id, "r@a.example",
	                          REGISTRY_FAILED, NOW + 9, "550", E));
}

static void put_challenges(void)
{
	static const enum registry_challenge_state states[] = {
	    CHALLENGE_STATE_OPEN, CHALLENGE_STATE_SOLVED,
	    CHALLENGE_STATE_EXPIRED, CHALLENGE_STATE_BOUNCED};
	struct id id = id_of(1), attached = id_of(4);
	struct registry_dead_sender dead = {.challenge = id,
	                                    .reason = (char *)"5.1.1 caf\xe9"};

	for (unsigned i = 0; i < 4; i++) {
		struct registry_challenge challenge =
		    challenge_of(i + 1, (uint8_t)(i + 1));

		ok(open_one(registry, &challenge, NULL, E));
		if (states[i] == CHALLENGE_STATE_BOUNCED)
			ok(registry_challenge_end(registry, &challenge.id,
			                          states[i], "550", NOW + 3,
			                          E));
		else if (states[i] != CHALLENGE_STATE_OPEN)
			ok(registry_challenge_move(registry, &challenge.id,
			                           CHALLENGE_STATE_OPEN,
			                           states[i], NOW + 3, E));
	}
	ok(registry_challenge_recode(registry, &id, 0, true, "NEWCODE", E));
	ok(attach_one(registry, &tenant_a, &attached, &id, "open-challenge",
	              E));
	for (uint8_t i = 9; i > 6; i--) {
		dead.hash[0] = i;
		dead.marked_ms = NOW + i;
		ok(registry_sender_mark(registry, &dead, E));
	}
}

static void put_rest(void)
{
	struct registry_audit line = {.at_ms = NOW,
	                              .actor = (char *)"cli",
	                              .action = (char *)"tenant-add",
	                              .object = (char *)"caf\xe9"};
	uint8_t secret[32];

	for (unsigned i = 0; i < 6; i++) {
		line.id = id_of(9 - i);
		line.tenant = i % 3 == 0   ? no_id
		              : i % 3 == 1 ? tenant_a
		                           : tenant_b;
		ok(registry_audit_add(registry, &line, E));
	}
	ok(registry_secret(registry, "sender-hash", secret, E));
	ok(registry_secret(registry, "another", secret, E));
	ok(registry_secret(registry, "token", secret, E));
}

static void put_everything(void)
{
	put_accounts();
	put_entries();
	put_mail();
	put_challenges();
	put_rest();
}

/* --- copying ------------------------------------------------------------- */

/* Each has what the other has, to the letter. */
static void expect_same(void)
{
	struct copy_report report = {.count = 0};

	ok(registry_compare(registry, other, NULL, &report, E));
	ck_assert(copy_report_equal(&report));
	ok(registry_check(other, E));
}

static void expect_results(const struct registry_records *page,
                           const int *results, int wanted)
{
	for (size_t i = 0; i < page->count; i++)
		ck_assert_msg(results[i] == wanted, "%s: %s, wanted %s",
		              registry_kind_name(page->records[i].kind),
		              error_name(results[i]), error_name(wanted));
}

/* What importing a page once more says: counters have no key that is taken. */
static int taken(enum registry_kind kind, bool replace)
{
	return replace || kind == REGISTRY_COUNTERS ? 0 : ERR_EXISTS;
}

struct way {
	bool restarts; /* the copy is closed behind each page, which then comes
	                  a second time */
	bool replace;
	int wanted; /* 0: new; 1: as taken() says */
};

/* Copies one kind in pages; how many records it has. */
static size_t copy_kind(enum registry_kind kind, size_t limit,
                        const struct way *way)
{
	struct registry_records page, last = {.count = 0};
	size_t count = 0;
	bool more = true;
	int results[16];

	while (more) {
		ok(registry_export(registry, kind,
		                   last.count ? &last.records[last.count - 1]
		                              : NULL,
		                   limit, &page, E));
		registry_records_release(&last);
		ck_assert_uint_le(page.count, limit);
		ck_assert(page.count == limit || !page.more);
		ok(registry_import(other, page.records, page.count,
		                   way->replace, results, E));
		expect_results(&page, results,
		               way->wanted ? taken(kind, way->replace) : 0);
		if (way->restarts) {
			registry_close(other);
			open_other();
			ok(registry_import(other, page.records, page.count,
			                   way->replace, results, E));
			expect_results(&page, results,
			               taken(kind, way->replace));
		}
		count += page.count;
		more = page.more;
		last = page;
	}
	registry_records_release(&last);
	return count;
}

static void copy_all(size_t limit, const struct way *way)
{
	for (int kind = 0; kind < REGISTRY_KIND_COUNT; kind++) {
		size_t count = copy_kind((enum registry_kind)kind, limit, way);

		ck_assert_msg(count >= 2, "%s: only %zu",
		              registry_kind_name((enum registry_kind)kind),
		              count);
	}
}

START_TEST(every_kind_is_copied)
{
	static const size_t limits[] = {1, 2, 3, 16};
	const struct way first = {false, false, 0}, again = {false, false, 1};

	put_everything();
	copy_all(limits[_i], &first);
	expect_same();
	copy_all(limits[_i], &again);
	expect_same();
}
END_TEST

/* A page whose import was not known to be done is put in once more. */
START_TEST(stopped_copies_go_on)
{
	const struct way way = {true, _i == 1, 0}, again = {false, true, 1};

	put_everything();
	copy_all(3, &way);
	expect_same();
	copy_all(16, &again);
	expect_same();
}
END_TEST

/* What was copied is worked on as if it had been made there. */
START_TEST(copies_go_on_living)
{
	const struct way way = {false, false, 0};
	struct entry stored, entry = entry_of(9, "s@x.example");
	struct registry_challenge challenge = challenge_of(9, 1);
	struct registry_challenges page;
	struct id existing = {{0}}, first = id_of(1), old = id_of(5);
	uint8_t ours[32], theirs[32];
	int64_t sequence;

	put_everything();
	copy_all(16, &way);
	ok(registry_secret(registry, "token", ours, E));
	swap();
	ok(registry_secret(registry, "token", theirs, E));
	ck_assert_mem_eq(ours, theirs, sizeof(ours));
	fails(ERR_CONFLICT, decide(&tenant_a, 1, "r@a.example", 0));
	ck_assert_int_eq(decide(&tenant_a, 1, "q@a.example", REGISTRY_DISCARD),
	                 0);
	ok(registry_decision_last(registry, &tenant_a, &sequence, E));
	ck_assert_int_eq(sequence, 4);
	ok(registry_entry_put(registry, &tenant_a, &entry, &stored, E));
	ck_assert(id_equal(&stored.id, &old));
	fails(ERR_EXISTS, open_one(registry, &challenge, &existing, NULL));
	ck_assert(id_equal(&existing, &first));
	ok(registry_challenge_claim_mail(registry, "w", NOW, 5, 9, &page, E));
	ck_assert_uint_eq(page.count, 1);
	registry_challenges_release(&page);
	fails(ERR_EXISTS,
	      registry_domain_add(registry, &tenant_b, "a.example", NULL));
	ok(registry_check(registry, E));
	swap();
}
END_TEST

/* --- replacing ----------------------------------------------------------- */

static void export_one(enum registry_kind kind, struct registry_records *page)
{
	ok(registry_export(registry, kind, NULL, 1, page, E));
	ck_assert_uint_eq(page->count, 1);
}

static void change_text(char **text)
{
	free(*text);
	*text = strdup("changed");
}

/* Changes something of the record that is no part of its key. */
static bool change_record(struct registry_record *record)
{
	switch (record->kind) {
	case REGISTRY_TENANTS:
		change_text(&record->account.name);
		return true;
	case REGISTRY_KEYS:
		record->key.revoked_ms = NOW + 99;
		return true;
	case REGISTRY_USERS:
		change_text(&record->user.password);
		return true;
	case REGISTRY_ENTRIES:
		record->entry.deleted = !record->entry.deleted;
		change_text(&record->entry.note);
		return true;
	case REGISTRY_MESSAGES:
		change_text(&record->message.subject);
		record->message.recipients[0].state = REGISTRY_EXPIRED;
		return true;
	case REGISTRY_DECISIONS:
		change_text(&record->decision.why);
		return true;
	case REGISTRY_CHALLENGES:
		record->challenge.state = CHALLENGE_STATE_SETTLED;
		change_text(&record->challenge.end_reason);
		record->challenge.client_hash[1] ^= 1;
		record->challenge.domain_hash[1] ^= 1;
		return true;
	case REGISTRY_DEAD_SENDERS:
		record->dead_sender.marked_ms += 5;
		record->dead_sender.challenge = id_of(77);
		change_text(&record->dead_sender.reason);
		return true;
	case REGISTRY_AUDIT:
		change_text(&record->audit.detail);
		return true;
	case REGISTRY_SECRETS:
		record->secret.bytes[0] ^= 1;
		return true;
	case REGISTRY_DOMAINS: /* all key */
	case REGISTRY_COUNTERS:
	case REGISTRY_KIND_COUNT:
		break;
	}
	return false;
}

/* A record that differs is put in place with replace alone. */
START_TEST(records_are_replaced)
{
	const struct way way = {false, false, 0};
	enum registry_kind kind = (enum registry_kind)_i;
	struct copy_report report = {.count = 0};
	struct registry_records page;
	int result;

	put_everything();
	copy_all(16, &way);
	export_one(kind, &page);
	if (!change_record(&page.records[0])) {
		registry_records_release(&page);
		return;
	}
	ok(registry_import(other, page.records, 1, false, &result, E));
	ck_assert_int_eq(result, ERR_EXISTS);
	expect_same();
	ok(registry_import(other, page.records, 1, true, &result, E));
	ck_assert_int_eq(result, 0);
	ok(registry_compare(registry, other, NULL, &report, E));
	ck_assert(!copy_report_equal(&report));
	/* The same on this side: alike again. */
	ok(registry_import(registry, page.records, 1, true, &result, E));
	ck_assert_int_eq(result, 0);
	expect_same();
	registry_records_release(&page);
}
END_TEST

/* --- entries: what depends on the order of a batch ----------------------- */

static struct registry_record entry_record(unsigned number, const char *value,
                                           int64_t revision)
{
	struct registry_record record = {.kind = REGISTRY_ENTRIES,
	                                 .tenant = tenant_a,
	                                 .entry = entry_of(number, value)};

	record.entry.revision = revision;
	return record;
}

/* Entries 1 "a" and 2 "b" are there; the batch is ids and values: "1c 3a". */
static const struct {
	const char *batch;
	bool replace;
	const char *results; /* o: put in, e: exists */
	const char *then;    /* all entries by id */
} orders[] = {
    {"3c 4d", false, "oo", "1a2b3c4d"},
    {"1a 2b", false, "ee", "1a2b"},
    {"1a 2b", true, "oo", "1a2b"},
    {"1c", false, "e", "1a2b"},
    {"1c", true, "o", "1c2b"},
    {"1b", true, "e", "1a2b"},
    {"3a", true, "e", "1a2b"},
    {"3a 1c", true, "eo", "1c2b"},
    {"1c 3a", true, "oo", "1c2b3a"},
    {"1c 3a 2a", true, "ooe", "1c2b3a"},
    {"3c 3d", false, "oe", "1a2b3c"},
    {"3c 3d", true, "oo", "1a2b3d"},
    {"3c 4c", true, "oe", "1a2b3c"},
    {"3c 4c 3d 4c", true, "oeoo", "1a2b3d4c"},
    {"3a 3c", false, "eo", "1a2b3c"},
    {"3a 3a 3c 4a 1d 4a", true, "eeoeoo", "1d2b3c4a"},
    {"1c 2a 1b", true, "ooo", "1b2a"},
    {"1c 1a 1c 1a", true, "oooo", "1a2b"},
};

static void expect_entries(const char *wanted)
{
	struct registry_records page;
	char got[32] = "";

	ok(registry_export(registry, REGISTRY_ENTRIES, NULL, 15, &page, E));
	for (size_t i = 0; i < page.count; i++) {
		got[2 * i] = (char)('0' + page.records[i].entry.id.bytes[15]);
		got[2 * i + 1] = page.records[i].entry.value[0];
	}
	got[2 * page.count] = '\0';
	ck_assert_str_eq(got, wanted);
	registry_records_release(&page);
}

START_TEST(entries_keep_their_order)
{
	struct registry_record there[] = {entry_record(1, "a", 1),
	                                  entry_record(2, "b", 2)};
	struct registry_record batch[8];
	char values[8][2];
	const char *text = orders[_i].batch;
	size_t count = 0;
	int results[8] = {0};

	ok(registry_import(registry, there, 2, false, results, E));
	for (; *text; text += text[2] ? 3 : 2, count++) {
		values[count][0] = text[1];
		values[count][1] = '\0';
		batch[count] = entry_record((unsigned)(text[0] - '0'),
		                            values[count], (int64_t)count + 3);
	}
	ok(registry_import(registry, batch, count, orders[_i].replace, results,
	                   E));
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(
		    results[i] ==
		        (orders[_i].results[i] == 'o' ? 0 : ERR_EXISTS),
		    "%s: %zu: %s", orders[_i].batch, i, error_name(results[i]));
	expect_entries(orders[_i].then);
	ok(registry_check(registry, E));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-records");
	TCase *tcase = tcase_create("records");

	tcase_add_checked_fixture(tcase, set_up_both, tear_down_both);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, every_kind_is_copied, 0, 4);
	tcase_add_loop_test(tcase, stopped_copies_go_on, 0, 2);
	tcase_add_test(tcase, copies_go_on_living);
	tcase_add_loop_test(tcase, records_are_replaced, 0,
	                    REGISTRY_KIND_COUNT);
	tcase = case_in(suite, "entries");
	tcase_add_loop_test(tcase, entries_keep_their_order, 0,
	                    sizeof(orders) / sizeof(*orders));
	return suite_main(suite, NULL);
}
