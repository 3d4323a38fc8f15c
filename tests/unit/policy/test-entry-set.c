/* The set in memory: the same answers as a scan of all entries, and fast. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/policy/entry-set.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Entries of the big set; TURING_SET_ENTRIES asks for another number. */
#define MANY 200000

static struct id id_of(uint32_t number)
{
	struct id id = {{0}};

	memcpy(id.bytes, &number, sizeof(number));
	id.bytes[15] = 1;
	return id;
}

static char *text(const char *literal)
{
	return (char *)(uintptr_t)literal;
}

static struct entry entry_of(uint32_t number, enum entry_kind kind,
                             const char *value)
{
	return (struct entry){.id = id_of(number),
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .kind = kind,
	                      .origin = ENTRY_FROM_ADMIN,
	                      .scope_value = text(""),
	                      .value = text(value),
	                      .note = text("")};
}

static struct entry_subject subject_of(struct mail_identity *identity,
                                       const char *sender)
{
	mail_identity_find(identity, sender, "", NULL);
	return (struct entry_subject){.identity = identity,
	                              .recipient = "bob@own.example",
	                              .client_address = "192.0.2.1",
	                              .now_ms = 1000};
}

static const char *found_value(const struct entry_set *set, const char *sender)
{
	struct mail_identity identity;
	struct entry_subject subject = subject_of(&identity, sender);
	const struct entry *found = entry_set_find(set, &subject);

	return found ? found->value : "";
}

START_TEST(kinds)
{
	struct entry_set *set = entry_set_new();
	const struct entry entries[] = {
	    entry_of(1, ENTRY_PATTERN, "*@pattern.example"),
	    entry_of(2, ENTRY_SUBDOMAINS, "sub.example"),
	    entry_of(3, ENTRY_SUBDOMAINS, "deep.sub.example"),
	    entry_of(4, ENTRY_DOMAIN, "deep.sub.example"),
	    entry_of(5, ENTRY_ADDRESS, "a@deep.sub.example"),
	    entry_of(6, ENTRY_NETWORK, "198.51.100.0/24"),
	    entry_of(7, ENTRY_NETWORK, "not a network")};
	size_t i;

	ck_assert_str_eq(found_value(set, "a@deep.sub.example"), "");
	for (i = 0; i < COUNT(entries); i++)
		entry_set_put(set, &entries[i]);
	ck_assert_uint_eq(entry_set_count(set), COUNT(entries));
	ck_assert_str_eq(found_value(set, "a@deep.sub.example"),
	                 "a@deep.sub.example");
	ck_assert_str_eq(found_value(set, "b@deep.sub.example"),
	                 "deep.sub.example");
	ck_assert_str_eq(found_value(set, "b@x.deep.sub.example"),
	                 "deep.sub.example");
	ck_assert_str_eq(found_value(set, "b@y.sub.example"), "sub.example");
	ck_assert_str_eq(found_value(set, "b@sub.example"), "sub.example");
	ck_assert_str_eq(found_value(set, "b@bsub.example"), "");
	ck_assert_str_eq(found_value(set, "b@pattern.example"),
	                 "*@pattern.example");
	ck_assert_str_eq(found_value(set, ""), "");
	entry_set_free(set);
	entry_set_free(NULL);
}
END_TEST

START_TEST(networks)
{
	struct entry_set *set = entry_set_new();
	struct entry wide = entry_of(1, ENTRY_NETWORK, "192.0.0.0/8");
	struct entry narrow = entry_of(2, ENTRY_NETWORK, "192.0.2.0/24");
	struct entry pattern = entry_of(3, ENTRY_PATTERN, "*");

	entry_set_put(set, &wide);
	entry_set_put(set, &narrow);
	entry_set_put(set, &pattern);
	ck_assert_str_eq(found_value(set, "a@b.example"), "192.0.2.0/24");
	narrow.deleted = true;
	entry_set_put(set, &narrow);
	ck_assert_str_eq(found_value(set, "a@b.example"), "192.0.0.0/8");
	wide.deleted = true;
	entry_set_put(set, &wide);
	ck_assert_str_eq(found_value(set, "a@b.example"), "*");
	pattern.deleted = true;
	entry_set_put(set, &pattern);
	ck_assert_str_eq(found_value(set, "a@b.example"), "");
	ck_assert_uint_eq(entry_set_count(set), 0);
	entry_set_free(set);
}
END_TEST

/* The same id again replaces, with another key, kind or colour. */
START_TEST(replacing)
{
	struct entry_set *set = entry_set_new();
	struct entry entry = entry_of(1, ENTRY_ADDRESS, "a@b.example");
	struct mail_identity identity;
	struct entry_subject subject = subject_of(&identity, "a@b.example");
	const struct entry *found;

	entry_set_put(set, &entry);
	entry.value = text("c@d.example");
	entry.note = text("changed");
	entry_set_put(set, &entry);
	ck_assert_uint_eq(entry_set_count(set), 1);
	ck_assert_str_eq(found_value(set, "a@b.example"), "");
	ck_assert_str_eq(found_value(set, "c@d.example"), "c@d.example");
	entry.kind = ENTRY_NETWORK;
	entry.value = text("192.0.2.0/24");
	entry_set_put(set, &entry);
	entry.kind = ENTRY_PATTERN;
	entry.value = text("a@*");
	entry_set_put(set, &entry);
	found = entry_set_find(set, &subject);
	ck_assert_str_eq(found->value, "a@*");
	ck_assert_str_eq(found->note, "changed");
	/* Putting back what was found must not read freed memory. */
	entry_set_put(set, found);
	ck_assert_uint_eq(entry_set_count(set), 1);
	ck_assert_str_eq(found_value(set, "a@b.example"), "a@*");
	entry.deleted = true;
	entry_set_put(set, &entry);
	entry_set_put(set, &entry);
	ck_assert_uint_eq(entry_set_count(set), 0);
	ck_assert_ptr_null(entry_set_find(set, &subject));
	entry_set_free(set);
}
END_TEST

START_TEST(same_key)
{
	struct entry_set *set = entry_set_new();
	struct entry white = entry_of(1, ENTRY_ADDRESS, "a@b.example");
	struct entry black = entry_of(2, ENTRY_ADDRESS, "a@b.example");
	struct mail_identity identity;
	struct entry_subject subject = subject_of(&identity, "a@b.example");

	black.colour = ENTRY_BLACK;
	entry_set_put(set, &white);
	entry_set_put(set, &black);
	ck_assert_int_eq(entry_set_find(set, &subject)->colour, ENTRY_BLACK);
	black.expires_ms = 500;
	entry_set_put(set, &black);
	ck_assert_int_eq(entry_set_find(set, &subject)->colour, ENTRY_WHITE);
	white.scope = ENTRY_SCOPE_MAILBOX;
	white.scope_value = text("dave@own.example");
	entry_set_put(set, &white);
	ck_assert_ptr_null(entry_set_find(set, &subject));
	white.scope_value = text("bob@own.example");
	entry_set_put(set, &white);
	ck_assert_int_eq(entry_set_find(set, &subject)->scope,
	                 ENTRY_SCOPE_MAILBOX);
	entry_set_free(set);
}
END_TEST

/* A generator of its own, so that a failure can be seen again. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static const char *const values[][4] = {
    [ENTRY_PATTERN] = {"*@b.example", "a@*", "*.example", "?@a.b.example"},
    [ENTRY_NETWORK] = {"192.0.2.0/24", "192.0.2.1", "10.0.0.0/8", "::/0"},
    [ENTRY_SUBDOMAINS] = {"example", "b.example", "a.b.example", "c.example"},
    [ENTRY_DOMAIN] = {"b.example", "a.b.example", "c.example", "example"},
    [ENTRY_ADDRESS] = {"a@b.example", "b@a.b.example", "a@c.example",
                       "c@example"}};
static const char *const scopes[][2] = {
    [ENTRY_SCOPE_GLOBAL] = {"", ""},
    [ENTRY_SCOPE_TENANT] = {"", ""},
    [ENTRY_SCOPE_DOMAIN] = {"own.example", "other.example"},
    [ENTRY_SCOPE_MAILBOX] = {"bob@own.example", "dave@own.example"}};

static struct entry random_entry(uint32_t *state)
{
	enum entry_kind kind = (enum entry_kind)(next_random(state) % 5);
	enum entry_scope scope = (enum entry_scope)(next_random(state) % 4);
	struct entry entry = entry_of(next_random(state) % 64, kind,
	                              values[kind][next_random(state) % 4]);

	entry.scope = scope;
	entry.scope_value = text(scopes[scope][next_random(state) % 2]);
	entry.colour = (enum entry_colour)(next_random(state) % 2);
	entry.expires_ms = next_random(state) % 4 ? 0 : 500;
	entry.deleted = next_random(state) % 4 == 0;
	return entry;
}

/* Thousands of random changes; each time the answer of a plain scan. */
START_TEST(like_a_scan)
{
	static const char *const senders[] = {"a@b.example", "b@a.b.example",
	                                      "x@y.c.example", "c@example",
	                                      "z@z.test"};
	struct entry model[64] = {{.deleted = false}};
	bool present[64] = {false};
	struct entry_set *set = entry_set_new();
	uint32_t state = 42, step;

	for (step = 0; step < 20000; step++) {
		struct entry entry = random_entry(&state);
		uint32_t number;
		struct mail_identity identity;
		struct entry_subject subject =
		    subject_of(&identity, senders[next_random(&state) % 5]);
		const struct entry *expected = NULL, *found;
		size_t i, count = 0;

		memcpy(&number, entry.id.bytes, sizeof(number));
		entry_set_put(set, &entry);
		model[number] = entry;
		present[number] = !entry.deleted;
		for (i = 0; i < 64; i++) {
			count += present[i];
			if (present[i] && entry_matches(&model[i], &subject))
				expected = entry_stronger(expected, &model[i]);
		}
		found = entry_set_find(set, &subject);
		ck_assert_uint_eq(entry_set_count(set), count);
		ck_assert(!found == !expected);
		ck_assert(!found || id_equal(&found->id, &expected->id));
	}
	entry_set_free(set);
}
END_TEST

START_TEST(many_entries)
{
	const char *asked = getenv("TURING_SET_ENTRIES");
	uint32_t total = asked ? (uint32_t)atoi(asked) : MANY, i;
	struct entry_set *set = entry_set_new();
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	int64_t start = clock_monotonic_ms(), filled;
	char value[64];

	for (i = 0; i < total; i++) {
		struct entry entry = entry_of(i, ENTRY_ADDRESS, value);

		(void)snprintf(value, sizeof(value),
		               "user%u@host%u.domain.example", i, i % 1000);
		entry_set_put(set, &entry);
	}
	filled = clock_monotonic_ms();
	(void)printf("%u entries: %zu bytes each, put in %lld ns each", total,
	             (mallinfo2().uordblks + mallinfo2().hblkhd - before) /
	                 total,
	             (long long)(filled - start) * 1000000 / total);
	for (i = 0; i < total; i++) {
		(void)snprintf(value, sizeof(value),
		               "user%u@host%u.domain.example", i, i % 1000);
		ck_assert_str_eq(found_value(set, value), value);
	}
	(void)printf(", found in %lld ns\n",
	             (long long)(clock_monotonic_ms() - filled) * 1000000 /
	                 total);
	ck_assert_str_eq(found_value(set, "user0@host1.domain.example"), "");
	entry_set_free(set);
}
END_TEST

/* A sender of 127 labels costs its look-ups, not more. */
START_TEST(many_labels)
{
	struct entry_set *set = entry_set_new();
	struct entry entry = entry_of(1, ENTRY_SUBDOMAINS, "a.a");
	char sender[320] = "x@";
	size_t i;

	for (i = 0; i < 126; i++)
		memcpy(sender + 2 + 2 * i, "a.", 3);
	memcpy(sender + 2 + 2 * i, "a", 2);
	entry_set_put(set, &entry);
	for (i = 0; i < 1000; i++)
		ck_assert_str_eq(found_value(set, sender), "a.a");
	entry_set_free(set);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("entry set");
	TCase *tests = tcase_create("set");

	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, kinds);
	tcase_add_test(tests, networks);
	tcase_add_test(tests, replacing);
	tcase_add_test(tests, same_key);
	tcase_add_test(tests, like_a_scan);
	tcase_add_test(tests, many_entries);
	tcase_add_test(tests, many_labels);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
