/* Conformance of the registry: searches in registered mail, page by page. */
#include "tests/conformance/registry/fixture.h"

/*
 * What every search below is made in: messages 1 to 9 of both tenants, of
 * three senders, to one or two recipients, some attached, some decided. Each
 * expires at NOW + its number.
 */
static const struct stored {
	char tenant;
	const char *sender, *first, *second;
	unsigned challenge;
	bool first_decided, second_decided;
} stored[] = {
    {'a', "s1", "r1@a", NULL, 0, false, false},   /* 1 */
    {'a', "s1", "r1@a", "r2@a", 50, true, false}, /* 2 */
    {'a', "s2", "r2@a", NULL, 50, true, false},   /* 3 */
    {'b', "s1", "r1@a", NULL, 50, false, false},  /* 4: as if for a's */
    {'a', "s1", "r2@a", NULL, 0, false, false},   /* 5 */
    {'b', "s3", "r1@b", "r2@b", 51, true, true},  /* 6 */
    {'a', "s3", "r1@a", "r2@a", 51, false, true}, /* 7 */
    {'a', "s2", "r1@a", NULL, 0, false, false},   /* 8 */
    {'b', "s1", "r1@b", NULL, 0, false, false},   /* 9 */
};

#define STORED (sizeof(stored) / sizeof(*stored))

static const struct id *tenant_of(char name)
{
	return name == 'a' ? &tenant_a : name == 'b' ? &tenant_b : NULL;
}

static void fill(void)
{
	set_up();
	for (unsigned i = 0; i < STORED; i++) {
		const struct stored *row = &stored[i];
		const struct id *tenant = tenant_of(row->tenant);
		struct id id = id_of(i + 1), challenge = id_of(row->challenge);

		put_message(tenant, i + 1, row->sender, row->first,
		            row->second);
		if (row->challenge)
			ok(attach_one(registry, tenant, &id, &challenge, "",
			              E));
		if (row->first_decided)
			ok(decide(tenant, i + 1, row->first, REGISTRY_RELEASE));
		if (row->second_decided)
			ok(decide(tenant, i + 1, row->second,
			          REGISTRY_DISCARD));
	}
}

static const struct {
	char tenant; /* '-': any */
	bool held;
	const char *sender, *recipient;
	unsigned challenge;
	int64_t expires_before; /* after NOW */
	const char *found;
} searches[] = {
    {'-', false, NULL, NULL, 0, 0, "123456789"},
    {'a', false, NULL, NULL, 0, 0, "123578"},
    {'b', false, NULL, NULL, 0, 0, "469"},
    {'-', true, NULL, NULL, 0, 0, "1245789"},
    {'a', true, NULL, NULL, 0, 0, "12578"},
    {'b', true, NULL, NULL, 0, 0, "49"},
    {'-', false, "s1", NULL, 0, 0, "12459"},
    {'a', false, "s1", NULL, 0, 0, "125"},
    {'b', true, "s1", NULL, 0, 0, "49"},
    {'a', true, "s2", NULL, 0, 0, "8"},
    {'a', false, "S1", NULL, 0, 0, ""},
    {'a', false, "", NULL, 0, 0, ""},
    {'-', false, NULL, "r1@a", 0, 0, "12478"},
    {'a', false, NULL, "r1@a", 0, 0, "1278"},
    {'b', false, NULL, "r1@a", 0, 0, "4"},
    {'a', true, NULL, "r1@a", 0, 0, "178"},
    {'a', true, NULL, "r2@a", 0, 0, "25"},
    {'-', true, NULL, "r2@b", 0, 0, ""},
    {'-', false, NULL, NULL, 50, 0, "234"},
    {'a', false, NULL, NULL, 50, 0, "23"},
    {'a', true, NULL, NULL, 50, 0, "2"},
    {'b', false, NULL, NULL, 50, 0, "4"},
    {'a', false, NULL, NULL, 52, 0, ""},
    {'-', false, NULL, NULL, 0, 5, "124"},
    {'a', false, NULL, NULL, 0, 5, "12"},
    {'-', true, NULL, NULL, 0, 100, "1245789"},
    {'b', true, NULL, NULL, 0, 9, "4"},
    {'a', true, "s1", "r1@a", 0, 0, "1"},
    {'a', false, "s1", "r1@a", 50, 0, "2"},
    {'a', true, "s1", "r2@a", 50, 100, "2"},
    {'-', true, "s1", "r1@a", 50, 100, "4"},
    {'a', true, "s3", "r1@a", 51, 7, ""},
    {'a', true, "s3", "r1@a", 51, 8, "7"},
    {'a', false, NULL, "' OR 1=1 --", 0, 0, ""},
};

/* Lists all that matches with pages of limit; the numbers into found. */
static void search(size_t row, size_t limit, char *found)
{
	struct id challenge = id_of(searches[row].challenge);
	struct registry_query query = {
	    .tenant = tenant_of(searches[row].tenant),
	    .held = searches[row].held,
	    .sender_normal = searches[row].sender,
	    .recipient = searches[row].recipient,
	    .challenge = searches[row].challenge ? &challenge : NULL,
	    .expires_before_ms = searches[row].expires_before
	                             ? NOW + searches[row].expires_before
	                             : 0,
	    .limit = limit,
	};
	bool more = true;

	while (more) {
		struct registry_messages page = {0};

		ok(registry_message_list(registry, &query, &page, E));
		ck_assert_uint_le(page.count, limit);
		more = page.more;
		ck_assert(!more || page.count == limit);
		for (size_t i = 0; i < page.count; i++) {
			query.after = page.messages[i].id;
			ck_assert_uint_gt(page.messages[i].recipient_count, 0);
			*found++ = (char)('0' + query.after.bytes[15]);
		}
		registry_messages_release(&page);
	}
	*found = '\0';
}

START_TEST(search_finds)
{
	for (size_t limit = 1; limit < 4; limit++) {
		char found[32];

		search((size_t)_i, limit, found);
		ck_assert_str_eq(found, searches[_i].found);
	}
}
END_TEST

START_TEST(limit_is_checked)
{
	struct registry_messages page = {0};
	struct registry_query query = {.tenant = &tenant_a, .limit = 0};

	fails(ERR_INVALID,
	      registry_message_list(registry, &query, &page, NULL));
	query.limit = 1001;
	fails(ERR_INVALID,
	      registry_message_list(registry, &query, &page, NULL));
	query.limit = 1000;
	ok(registry_message_list(registry, &query, &page, E));
	ck_assert_uint_eq(page.count, 6);
	registry_messages_release(&page);
	registry_messages_release(&page);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-list");
	TCase *tcase = tcase_create("searches");

	tcase_add_checked_fixture(tcase, fill, tear_down);
	tcase_add_loop_test(tcase, search_finds, 0,
	                    sizeof(searches) / sizeof(*searches));
	tcase_add_test(tcase, limit_is_checked);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
