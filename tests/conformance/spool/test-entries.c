/* The spool's contract: the replica of the lists. */
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

static struct entry make_entry(uint8_t number)
{
	return (struct entry){.id = {{number}},
	                      .scope = ENTRY_SCOPE_MAILBOX,
	                      .colour = ENTRY_BLACK,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_OUTBOUND,
	                      .demand = MAIL_PASS_DMARC,
	                      .expires_ms = 5,
	                      .created_ms = 4,
	                      .revision = 3,
	                      .scope_value = (char *)"me@customer.example",
	                      .value = (char *)"you@elsewhere.example",
	                      .note = (char *)"caf\xc3\xa9"};
}

static void apply(bool clear, const struct entry *entries, size_t count,
                  int64_t revision)
{
	struct error err = {.text = ""};

	ck_assert_msg(!spool_entries_apply(fixture.spool, clear, entries, count,
	                                   revision, &err),
	              "%s", err.text);
}

struct seen {
	unsigned ids;
	size_t count;
	struct entry last; /* without strings */
};

static void see(const struct entry *entry, void *context)
{
	struct seen *seen = context;

	ck_assert_ptr_nonnull(entry->scope_value);
	ck_assert_ptr_nonnull(entry->note);
	seen->ids |= 1U << entry->id.bytes[0];
	seen->count++;
	seen->last = *entry;
}

static struct seen look(void)
{
	struct seen seen = {.count = 0};
	struct error err;

	ck_assert_int_eq(spool_entries_each(fixture.spool, see, &seen, &err),
	                 0);
	return seen;
}

static void expect_revision(const char *revision)
{
	char *value = NULL;
	struct error err;

	ck_assert_int_eq(
	    spool_get(fixture.spool, "policy.revision", &value, &err), 0);
	ck_assert_str_eq(value, revision);
	free(value);
}

START_TEST(put_replace_remove_clear)
{
	struct entry entries[] = {make_entry(1), make_entry(2), make_entry(3)};
	struct entry tombstone = make_entry(2);
	struct entry unknown = make_entry(9);

	ck_assert_uint_eq(look().count, 0);
	apply(false, entries, 3, 7);
	ck_assert_uint_eq(look().ids, 0xe);
	expect_revision("7");
	entries[0].colour = ENTRY_WHITE;
	apply(false, entries, 1, 8);
	ck_assert_uint_eq(look().count, 3);
	tombstone.deleted = unknown.deleted = true;
	apply(false, &tombstone, 1, 9);
	apply(false, &unknown, 1, 10);
	ck_assert_uint_eq(look().ids, 0xa);
	fixture_reopen(&fixture);
	ck_assert_uint_eq(look().ids, 0xa);
	expect_revision("10");
	apply(true, &entries[1], 1, 2);
	ck_assert_uint_eq(look().ids, 0x4);
	expect_revision("2");
	apply(true, NULL, 0, 0);
	ck_assert_uint_eq(look().count, 0);
	expect_revision("0");
}
END_TEST

static void compare(const struct entry *entry, void *context)
{
	const struct entry *expected = context;

	ck_assert(id_equal(&entry->id, &expected->id));
	ck_assert_int_eq(entry->scope, expected->scope);
	ck_assert_int_eq(entry->colour, expected->colour);
	ck_assert_int_eq(entry->kind, expected->kind);
	ck_assert_int_eq(entry->origin, expected->origin);
	ck_assert_int_eq(entry->demand, expected->demand);
	ck_assert(!entry->deleted);
	ck_assert_int_eq(entry->expires_ms, expected->expires_ms);
	ck_assert_int_eq(entry->created_ms, expected->created_ms);
	ck_assert_int_eq(entry->revision, expected->revision);
	ck_assert_str_eq(entry->scope_value, expected->scope_value);
	ck_assert_str_eq(entry->value, expected->value);
	ck_assert_str_eq(entry->note, expected->note);
}

START_TEST(every_field_comes_back)
{
	struct entry entry = make_entry(1);
	struct error err;

	apply(false, &entry, 1, 1);
	ck_assert_int_eq(
	    spool_entries_each(fixture.spool, compare, &entry, &err), 0);
}
END_TEST

/* In one batch the later one counts. */
START_TEST(same_entry_twice_in_one_batch)
{
	struct entry entries[] = {make_entry(1), make_entry(1), make_entry(2),
	                          make_entry(2)};

	entries[1].revision = 4;
	entries[3].deleted = true;
	apply(false, entries, 4, 4);
	ck_assert_uint_eq(look().count, 1);
	ck_assert_int_eq(look().last.revision, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-entries");
	TCase *tests = tcase_create("entries");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, put_replace_remove_clear);
	tcase_add_test(tests, every_field_comes_back);
	tcase_add_test(tests, same_entry_twice_in_one_batch);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
