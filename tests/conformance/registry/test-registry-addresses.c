/*
 * The SQLite registry finds messages by the addresses of their senders and
 * recipients, whether these wait in memory or stand in their table: against a
 * list of all messages, with more or fewer that wait, over rollbacks,
 * deletions, starts and other instances.
 */
#include <pthread.h>
#include <sqlite3.h>

#include "common/mem.h"
#include "store/registry/sqlite/addresses.h"
#include "tests/conformance/registry/fixture.h"

#define PEOPLE    7
#define MESSAGES  400
#define MOST_EACH 3 /* recipients */
#define THREADS   2
#define BY_THREAD 150

static struct registry_sqlite *sqlite_of(struct registry *opened)
{
	return (struct registry_sqlite *)opened;
}

static void let_wait(struct registry *opened, size_t most)
{
	sqlite_of(opened)->addresses->most = most;
}

/* --- a list of all messages ----------------------------------------------- */

static struct known {
	struct id id;
	unsigned sender, recipients[MOST_EACH];
	size_t count;
	bool gone;
} known[MESSAGES];
static size_t known_count;

static const char *sender_name(unsigned number, char name[32])
{
	(void)snprintf(name, 32, "s%u@elsewhere.example", number);
	return name;
}

static const char *recipient_name(unsigned number, char name[32])
{
	(void)snprintf(name, 32, "r%u@a.example", number);
	return name;
}

/* Ids of three kinds: in order, with a stamp that others have, of any kind. */
static struct id any_id(size_t number)
{
	struct id id = id_of((unsigned)number + 1);

	if (number % 3 == 1)
		id = id_new();
	if (number % 3 == 2)
		random_bytes(id.bytes, sizeof(id.bytes));
	return id;
}

static void put_known(struct registry *opened, struct known *made)
{
	char sender[32], names[MOST_EACH][32];
	struct registry_recipient recipients[MOST_EACH] = {{0}};
	struct registry_message message = {.id = made->id,
	                                   .tenant = tenant_a,
	                                   .received_ms = NOW,
	                                   .registered_ms = NOW,
	                                   .expires_ms = NOW,
	                                   .sender = sender,
	                                   .sender_normal = sender,
	                                   .recipients = recipients,
	                                   .recipient_count = made->count};
	int result = 1;

	(void)sender_name(made->sender, sender);
	for (size_t i = 0; i < made->count; i++)
		recipients[i].address =
		    (char *)recipient_name(made->recipients[i], names[i]);
	ok(registry_message_add(opened, &message, 1, &result, E));
	ck_assert_int_eq(result, 0);
}

static void put_any(struct registry *opened)
{
	struct known *made = &known[known_count];

	*made = (struct known){.id = any_id(known_count),
	                       .sender = random_below(PEOPLE),
	                       .count = 1 + random_below(MOST_EACH)};
	/* Each once: neighbours. */
	made->recipients[0] = random_below(PEOPLE);
	for (size_t i = 1; i < made->count; i++)
		made->recipients[i] =
		    (made->recipients[0] + (unsigned)i) % PEOPLE;
	put_known(opened, made);
	known_count++;
}

static bool has_recipient(const struct known *one, unsigned number)
{
	for (size_t i = 0; i < one->count; i++)
		if (one->recipients[i] == number)
			return true;
	return false;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

/* The ids that a search must give, in their order. */
static size_t list_known(bool by_sender, unsigned number, struct id *ids)
{
	size_t count = 0;

	for (size_t i = 0; i < known_count; i++)
		if (!known[i].gone &&
		    (by_sender ? known[i].sender == number
		               : has_recipient(&known[i], number)))
			ids[count++] = known[i].id;
	qsort(ids, count, sizeof(*ids), compare_ids);
	return count;
}

/* Reads the search to its end, page by page, and compares. */
static void expect_search(struct registry *opened, bool by_sender,
                          unsigned number, size_t limit)
{
	struct id wanted[MESSAGES];
	size_t count = list_known(by_sender, number, wanted), at = 0;
	char name[32];
	struct registry_query query = {.tenant = number % 2 ? &tenant_a : NULL,
	                               .limit = limit};
	struct registry_messages page;
	bool more = true;

	if (by_sender)
		query.sender_normal = sender_name(number, name);
	else
		query.recipient = recipient_name(number, name);
	while (more) {
		ok(registry_message_list(opened, &query, &page, E));
		ck_assert_uint_le(page.count, limit);
		ck_assert_uint_le(at + page.count, count);
		for (size_t i = 0; i < page.count; i++)
			ck_assert(
			    id_equal(&page.messages[i].id, &wanted[at++]));
		if (page.count)
			query.after = page.messages[page.count - 1].id;
		more = page.more;
		ck_assert(more == (at < count));
		registry_messages_release(&page);
	}
	ck_assert_uint_eq(at, count);
}

static void expect_all(struct registry *opened)
{
	for (unsigned i = 0; i < PEOPLE; i++) {
		expect_search(opened, true, i, 1 + random_below(20));
		expect_search(opened, false, i, 1 + random_below(20));
	}
}

static void delete_any(struct registry *opened)
{
	struct registry_record record = {.kind = REGISTRY_MESSAGES};
	struct known *one = &known[random_below((uint32_t)known_count)];
	char sender[32], address[32];
	int result = 1;

	/* Replaced by itself with another sender and one recipient. */
	if (one->gone)
		return;
	one->sender = random_below(PEOPLE);
	one->recipients[0] = random_below(PEOPLE);
	one->count = 1;
	record.message = (struct registry_message){
	    .id = one->id,
	    .tenant = tenant_a,
	    .expires_ms = NOW,
	    .sender = (char *)sender_name(one->sender, sender),
	    .sender_normal = sender,
	    .recipients =
	        &(struct registry_recipient){.address = (char *)recipient_name(
	                                         one->recipients[0], address)},
	    .recipient_count = 1};
	ok(registry_import(opened, &record, 1, true, &result, E));
	ck_assert_int_eq(result, 0);
}

/* --- the table itself ----------------------------------------------------- */

static sqlite3 *open_raw(void)
{
	char path[600];
	sqlite3 *db = NULL;

	(void)snprintf(path, sizeof(path), "%s/registry.db", location);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	return db;
}

static int64_t number(const char *sql)
{
	sqlite3 *db = open_raw();
	sqlite3_stmt *statement = NULL;
	int64_t found = -1;

	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL),
	                 SQLITE_OK);
	if (sqlite3_step(statement) == SQLITE_ROW)
		found = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	return found;
}

static int64_t rows_written(void)
{
	return number("SELECT count(*) FROM message_address");
}

static void run_raw(const char *sql)
{
	sqlite3 *db = open_raw();

	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

/* --- tests --------------------------------------------------------------- */

static void start_anew(size_t most)
{
	registry_close(registry);
	registry = open_again();
	let_wait(registry, most);
}

static const size_t mosts[] = {0, 1, 20, 150, 100000};

START_TEST(finds_what_was_registered)
{
	size_t most = mosts[_i];

	let_wait(registry, most);
	while (known_count < MESSAGES) {
		put_any(registry);
		if (!random_below(10))
			delete_any(registry);
		if (!random_below(25))
			expect_all(registry);
		if (!random_below(60))
			start_anew(most);
	}
	expect_all(registry);
	ok(registry_check(registry, E));
	if (most < 10)
		ck_assert_int_gt(rows_written(), MESSAGES);
	else if (most > MESSAGES * 4)
		ck_assert_int_eq(rows_written(), 0);
	else
		ck_assert_int_gt(rows_written(), 0);
}
END_TEST

/* A round's end is kept: what it wrote is not read again by the next start. */
START_TEST(rounds_end)
{
	size_t count;
	int64_t row;

	let_wait(registry, 10);
	while (known_count < MESSAGES)
		put_any(registry);
	expect_all(registry);
	count = sqlite_of(registry)->addresses->count;
	row = number("SELECT written FROM address_state");
	ck_assert_int_gt(row, MESSAGES / 2);
	registry_close(registry);
	registry = open_again();
	expect_all(registry);
	/* Nor what its unfinished round had written. */
	ck_assert_uint_le(sqlite_of(registry)->addresses->count, count + 20);
}
END_TEST

static int refuse(struct sqlite_db *db, void *context, struct error *err)
{
	(void)db;
	(void)context;
	return error_set(err, ERR_FULL, "refused");
}

/* What a transaction wrote that was rolled back waits as before. */
START_TEST(a_rollback_loses_none)
{
	let_wait(registry, 5);
	while (known_count < MESSAGES) {
		put_any(registry);
		if (known_count % 3)
			continue;
		fails(ERR_FULL,
		      registry_sqlite_write(registry, refuse, NULL, NULL));
		expect_search(registry, true, (unsigned)known_count % PEOPLE,
		              9);
		if (!random_below(20))
			start_anew(5);
	}
	expect_all(registry);
	ck_assert_int_gt(rows_written(), MESSAGES);
	ok(registry_check(registry, E));
}
END_TEST

/* Each writes, and each finds what the other wrote. */
START_TEST(two_instances)
{
	struct registry *other = open_again();

	let_wait(registry, 30);
	let_wait(other, 3);
	while (known_count < MESSAGES) {
		put_any(random_below(2) ? registry : other);
		if (!random_below(25))
			expect_all(random_below(2) ? registry : other);
	}
	expect_all(registry);
	expect_all(other);
	ok(registry_check(other, E));
	registry_close(other);
}
END_TEST

/* One that never writes need not keep what the other has written. */
START_TEST(a_reader_forgets)
{
	struct registry *other = open_again();

	let_wait(registry, 10);
	let_wait(other, 10);
	while (known_count < MESSAGES) {
		put_any(registry);
		expect_search(other, true, (unsigned)known_count % PEOPLE, 50);
	}
	expect_all(other);
	ck_assert_uint_lt(sqlite_of(other)->addresses->count, MESSAGES);
	registry_close(other);
}
END_TEST

/* What is purged leaves nothing in the table, whether it waited or not. */
START_TEST(purged)
{
	size_t deleted = 0;

	let_wait(registry, 40);
	while (known_count < MESSAGES)
		put_any(registry);
	for (size_t i = 0; i < known_count; i++)
		for (size_t j = 0; j < known[i].count; j++) {
			char name[32];

			ok(registry_message_event(
			    registry, &tenant_a, &known[i].id,
			    recipient_name(known[i].recipients[j], name),
			    REGISTRY_EXPIRED, NOW, "", E));
		}
	ok(registry_purge(registry, REGISTRY_MESSAGES, NOW + 1, MESSAGES / 2,
	                  &deleted, E));
	ck_assert_uint_eq(deleted, MESSAGES / 2);
	ok(registry_check(registry, E));
	ok(registry_purge(registry, REGISTRY_MESSAGES, NOW + 1, MESSAGES,
	                  &deleted, E));
	for (size_t i = 0; i < known_count; i++)
		known[i].gone = true;
	expect_all(registry);
	let_wait(registry, 0);
	put_message(&tenant_a, 9999, "last", "last", NULL);
	put_message(&tenant_a, 9998, "last", "last", NULL);
	ok(registry_check(registry, E));
	ck_assert_int_le(rows_written(), 4);
}
END_TEST

/* A sender of very many: each page costs what it has, and none is left out. */
START_TEST(one_address_of_very_many)
{
	size_t seen = 0;
	struct registry_query query = {.sender_normal = "many@x", .limit = 7};
	struct registry_messages page;
	bool more = true;

	let_wait(registry, 100);
	for (unsigned i = 0; i < 2000; i++)
		put_message(&tenant_a, i + 1, "many@x", "r", NULL);
	while (more) {
		ok(registry_message_list(registry, &query, &page, E));
		more = page.more;
		for (size_t i = 0; i < page.count; i++) {
			struct id wanted = id_of((unsigned)++seen);

			ck_assert(id_equal(&page.messages[i].id, &wanted));
		}
		query.after = page.messages[page.count - 1].id;
		registry_messages_release(&page);
		/* Meanwhile more of them move from memory to the table. */
		put_message(&tenant_a, 10000 + (unsigned)seen, "x", "y", NULL);
	}
	ck_assert_uint_eq(seen, 2000);
	ok(registry_check(registry, E));
}
END_TEST

START_TEST(damage_is_found)
{
	let_wait(registry, 0);
	while (known_count < 50)
		put_any(registry);
	ok(registry_check(registry, E));
	run_raw("INSERT INTO message_address VALUES (1, 2, 99999)");
	fails(ERR_CORRUPT, registry_check(registry, NULL));
	run_raw("DELETE FROM message_address WHERE row = 99999");
	ok(registry_check(registry, E));
	run_raw("DELETE FROM message_address WHERE row = 20");
	fails(ERR_CORRUPT, registry_check(registry, NULL));
}
END_TEST

/* Who has registered a message finds it at once, whatever others do. */
struct worker {
	pthread_t thread;
	unsigned number;
	unsigned missed;
};

static void *register_and_search(void *context)
{
	struct worker *worker = context;

	for (unsigned i = 0; i < BY_THREAD; i++) {
		unsigned id = (worker->number + 1) * 100000 + i;
		char name[32];
		struct registry_query query = {
		    .recipient = recipient_name(id, name), .limit = 5};
		struct registry_messages page = {0};

		put_message(&tenant_a, id, "same@x", name, NULL);
		ok(registry_message_list(registry, &query, &page, E));
		worker->missed += page.count != 1;
		registry_messages_release(&page);
	}
	return NULL;
}

START_TEST(found_at_once)
{
	struct worker workers[THREADS] = {{0}};

	let_wait(registry, 20);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].number = i;
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL,
		                                register_and_search,
		                                &workers[i]),
		                 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
		ck_assert_uint_eq(workers[i].missed, 0);
	}
	ck_assert_int_gt(rows_written(), THREADS * BY_THREAD);
	ok(registry_check(registry, E));
}
END_TEST

/* More than may wait, as a migration leaves them: written by the opening. */
START_TEST(very_many_are_written_when_opened)
{
	struct registry_query query = {.sender_normal = "s5", .limit = 500};
	struct registry_messages page;

	registry_close(registry);
	run_raw(
	    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL"
	    " SELECT i + 1 FROM n WHERE i < 200000)"
	    " INSERT INTO message SELECT i,"
	    " CAST(printf('%016d', i) AS BLOB), (SELECT id FROM tenant"
	    " WHERE name = 'a'), NULL, 1, 1, 1, 1, 1, '', 's' || (i % 1000),"
	    " '', '', '', '', '', '', 0, 0, 0, 0, 0, '', '', '' FROM n;"
	    "INSERT INTO recipient SELECT id, 'r' || (row % 1000), tenant,"
	    " 0, 0, 1, '', '' FROM message;"
	    "UPDATE counter SET value = 200000"
	    " WHERE name IN ('messages', 'recipients-held')");
	registry = open_again();
	ck_assert_int_gt(rows_written(), 2 * 60000);
	for (size_t i = 0; i < 2; i++) {
		ok(registry_message_list(registry, &query, &page, E));
		ck_assert_uint_eq(page.count, 200);
		registry_messages_release(&page);
		query.sender_normal = NULL;
		query.recipient = "r5";
	}
	ok(registry_check(registry, E));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-addresses");
	TCase *tcase = case_in(suite, "addresses");

	if (!is_sqlite())
		return 0;
	tcase_add_loop_test(tcase, finds_what_was_registered, 0,
	                    (int)(sizeof(mosts) / sizeof(*mosts)));
	tcase_add_test(tcase, rounds_end);
	tcase_add_test(tcase, a_rollback_loses_none);
	tcase_add_test(tcase, two_instances);
	tcase_add_test(tcase, a_reader_forgets);
	tcase_add_test(tcase, purged);
	tcase_add_test(tcase, one_address_of_very_many);
	tcase_add_test(tcase, damage_is_found);
	tcase_add_test(tcase, found_at_once);
	tcase_add_test(tcase, very_many_are_written_when_opened);
	return suite_main(suite, NULL);
}
