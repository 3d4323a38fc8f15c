/*
 * What the conformance tests of the registry cannot see of MongoDB: what a
 * crash left half done is finished, the logs of decisions keep their numbers
 * among several writers and purges, and a check finds what is wrong.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "store/registry/mongodb/private.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/ok.h"
#include "tests/support/registry-one.h"
#include "tests/support/suite.h"

#define NOW INT64_C(1700000000000)

static char *uri;
static struct registry *registry;
static struct mongodb_db *db; /* past the registry's back */
static struct id tenant;

static struct id id_of(unsigned number)
{
	struct id id = {{1}};

	for (int i = 15; number; i--, number >>= 8)
		id.bytes[i] = (uint8_t)(number & 0xff);
	return id;
}

static struct registry *open_again(void)
{
	struct registry_options options = {"mongodb", uri};
	struct registry *opened = NULL;

	ok(registry_open(&opened, &options, E));
	return opened;
}

static void set_up(void)
{
	struct registry_tenant added = {.id = id_of(0xa0),
	                                .name = (char *)"a",
	                                .language = (char *)"fr",
	                                .created_ms = NOW};
	struct mongodb_options options = {.program = "test"};

	ck_assert_int_eq(crypto_init(), 0);
	uri = mongodb_fixture_uri();
	options.uri = uri;
	ok(mongodb_db_open(&db, &options, E));
	registry = open_again();
	ok(registry_tenant_add(registry, &added, E));
	tenant = added.id;
}

static void tear_down(void)
{
	registry_close(registry);
	mongodb_db_close(db);
	mongodb_fixture_drop(uri);
}

static void put(unsigned number, const char *recipient)
{
	struct registry_recipient recipients[] = {
	    {.address = (char *)(uintptr_t)recipient},
	    {.address = (char *)"other@a"},
	};
	struct registry_message message = {
	    .id = id_of(number),
	    .tenant = tenant,
	    .registered_ms = NOW,
	    .expires_ms = NOW + number,
	    .sender = (char *)"s\xe9nder@x",
	    .sender_normal = (char *)"s\xe9nder@x",
	    .recipients = recipients,
	    .recipient_count = 2,
	};
	int result = 1;

	ok(registry_message_add(registry, &message, 1, &result, E));
	ck_assert_int_eq(result, 0);
}

static int decide(struct registry *by, unsigned number, const char *recipient)
{
	struct registry_decision decision = {
	    .message = id_of(number),
	    .recipient = (char *)(uintptr_t)recipient,
	    .verdict = REGISTRY_DISCARD,
	    .by = (char *)"list",
	    .why = (char *)"black",
	    .decided_ms = NOW + 5,
	};

	return registry_decide(by, &tenant, &decision, NULL);
}

static bson_t *from_json(const char *json)
{
	bson_error_t error;
	bson_t *made = bson_new_from_json((const uint8_t *)json, -1, &error);

	ck_assert_msg(made != NULL, "%s", error.message);
	return made;
}

/* Changes the document with this id as an update in JSON says. */
static void change(const char *collection, const struct id *id,
                   const char *json)
{
	bson_t selector = BSON_INITIALIZER, *update = from_json(json);
	bool matched = false;

	ck_assert(mongodb_append_id(&selector, "_id", id));
	ok(mongodb_update(db, collection, &selector, update, false, false,
	                  &matched, E));
	ck_assert(matched);
	bson_destroy(update);
	bson_destroy(&selector);
}

static bson_t *read_message(unsigned number)
{
	bson_t selector = BSON_INITIALIZER, *found = NULL;
	struct id id = id_of(number);

	ck_assert(mongodb_append_id(&selector, "_id", &id));
	ok(mongodb_find_one(db, "message", &selector, NULL, &found, E));
	bson_destroy(&selector);
	return found;
}

static int64_t field_of_message(unsigned number, const char *field)
{
	bson_t *found = read_message(number);
	int64_t value = mongodb_get_int(found, field);

	bson_destroy(found);
	return value;
}

/* The log of the tenant, as "message:sequence " of each. */
static const char *log_of(struct registry *by)
{
	static char text[4096];
	struct registry_decisions page = {0};
	size_t length = 0;

	ok(registry_decision_list(by, &tenant, 0, 1000, &page, E));
	text[0] = '\0';
	for (size_t i = 0; i < page.count && length < sizeof(text) - 32; i++)
		length += (size_t)snprintf(
		    text + length, sizeof(text) - length, "%u:%d ",
		    (unsigned)page.decisions[i].message.bytes[15],
		    (int)page.decisions[i].sequence);
	registry_decisions_release(&page);
	return text;
}

/* --- what a crash left -------------------------------------------------- */

/*
 * As a process leaves it that dies between its change of the recipient and the
 * log, so many milliseconds ago.
 */
static void crash_in_decision(unsigned number, int64_t age_ms)
{
	struct id id = id_of(number), decision = id_of(number + 100);
	bson_t selector = BSON_INITIALIZER, update = BSON_INITIALIZER, part,
	       pending;

	ck_assert(mongodb_append_id(&selector, "_id", &id));
	BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &part);
	BSON_APPEND_UTF8(&part, "recipients.0.state", "released");
	mongodb_append_id(&part, "recipients.0.decision", &decision);
	BSON_APPEND_DOCUMENT_BEGIN(&part, "recipients.0.pending", &pending);
	BSON_APPEND_UTF8(&pending, "verdict", "release");
	BSON_APPEND_UTF8(&pending, "by", "captcha");
	BSON_APPEND_UTF8(&pending, "why", "solved");
	mongodb_append_time(&pending, "decided", NOW + 7);
	mongodb_append_time(&pending, "since", clock_wall_ms() - age_ms);
	bson_append_document_end(&part, &pending);
	BSON_APPEND_INT32(&part, "held", 1);
	BSON_APPEND_INT32(&part, "pending", 1);
	bson_append_document_end(&update, &part);
	ok(mongodb_update(db, "message", &selector, &update, false, false, NULL,
	                  E));
	bson_destroy(&update);
	bson_destroy(&selector);
}

START_TEST(pending_is_finished_at_the_start)
{
	struct registry_decisions page = {0};
	struct registry *other;

	put(1, "r@a");
	crash_in_decision(1, 0);
	other = open_again();
	ok(registry_decision_list(registry, &tenant, 0, 10, &page, E));
	ck_assert_uint_eq(page.count, 1);
	ck_assert_int_eq(page.decisions[0].sequence, 1);
	ck_assert_int_eq(page.decisions[0].verdict, REGISTRY_RELEASE);
	ck_assert_str_eq(page.decisions[0].recipient, "r@a");
	ck_assert_str_eq(page.decisions[0].by, "captcha");
	ck_assert_str_eq(page.decisions[0].why, "solved");
	ck_assert_int_eq(page.decisions[0].decided_ms, NOW + 7);
	registry_decisions_release(&page);
	ck_assert_int_eq(field_of_message(1, "pending"), 0);
	ok(registry_check(other, E));
	registry_close(other);
}
END_TEST

START_TEST(pending_is_finished_by_a_look)
{
	put(1, "r@a");
	crash_in_decision(1, 10000);
	ck_assert_str_eq(log_of(registry), "1:1 ");
	ck_assert_str_eq(log_of(registry), "1:1 ");
	ck_assert_int_eq(field_of_message(1, "pending"), 0);
}
END_TEST

/* What the agent told of it meanwhile stays, and so does the decision. */
START_TEST(pending_survives_events)
{
	struct id id = id_of(1);

	put(1, "r@a");
	crash_in_decision(1, 10000);
	ok(registry_message_event(registry, &tenant, &id, "r@a",
	                          REGISTRY_DELIVERED, NOW, "250", E));
	ck_assert_int_eq(field_of_message(1, "pending"), 1);
	ck_assert_str_eq(log_of(registry), "1:1 ");
	ck_assert_int_eq(field_of_message(1, "pending"), 0);
	ok(registry_check(registry, E));
}
END_TEST

/* One that is under way is left to the one who is at it. */
START_TEST(young_pending_is_left_alone)
{
	put(1, "r@a");
	crash_in_decision(1, 0);
	ck_assert_str_eq(log_of(registry), "");
	ck_assert_int_eq(field_of_message(1, "pending"), 1);
	ok(registry_check(registry, E));
}
END_TEST

START_TEST(forgotten_pending_is_found)
{
	put(1, "r@a");
	crash_in_decision(1, 3600000);
	ck_assert_int_eq(registry_check(registry, NULL), ERR_CORRUPT);
	ck_assert_str_eq(log_of(registry), "1:1 ");
	ok(registry_check(registry, E));
}
END_TEST

/* The crash came between the log and the end of pending. */
START_TEST(logged_pending_is_not_doubled)
{
	struct registry *other;
	struct id id = id_of(1);

	put(1, "r@a");
	crash_in_decision(1, 0);
	registry_close(open_again());
	ck_assert_str_eq(log_of(registry), "1:1 ");
	/* The same decision pending once more. */
	change("message", &id,
	       "{\"$set\": {\"pending\": 1, \"recipients.0.pending\":"
	       " {\"verdict\": \"release\", \"by\": \"\", \"why\": \"\"}}}");
	put(2, "r@a");
	ok(decide(registry, 2, "r@a"));
	other = open_again();
	ck_assert_str_eq(log_of(other), "1:1 2:2 ");
	ck_assert_int_eq(field_of_message(1, "pending"), 0);
	ok(registry_check(other, E));
	registry_close(other);
}
END_TEST

/* A message whose decision is pending is not purged before it is logged. */
START_TEST(purge_finishes_pending)
{
	size_t deleted = 99;

	put(1, "r@a");
	ok(decide(registry, 1, "other@a"));
	crash_in_decision(1, 0);
	{
		struct id id = id_of(1);

		change("message", &id, "{\"$set\": {\"held\": 0}}");
	}
	ok(registry_purge(registry, REGISTRY_MESSAGES, NOW + 100, 10, &deleted,
	                  E));
	ck_assert_uint_eq(deleted, 1);
	ck_assert_str_eq(log_of(registry), "1:1 1:2 ");
}
END_TEST

/* --- numbers ------------------------------------------------------------ */

/* What each writer knows of the log is old whenever it is his turn. */
START_TEST(writers_take_turns)
{
	struct registry *other = open_again();
	char wanted[512] = "";

	for (unsigned i = 1; i <= 20; i++) {
		put(i, "r@a");
		ok(decide(i % 3 ? registry : other, i, "r@a"));
		(void)snprintf(wanted + strlen(wanted),
		               sizeof(wanted) - strlen(wanted), "%u:%u ", i, i);
	}
	ck_assert_str_eq(log_of(registry), wanted);
	registry_close(other);
}
END_TEST

/* A number below one that a purge took away is never given again. */
START_TEST(numbers_survive_a_purge)
{
	struct registry *other = open_again();
	size_t deleted = 0;
	int64_t last = 0;

	for (unsigned i = 1; i <= 6; i++)
		put(i, "r@a");
	ok(decide(registry, 1, "r@a"));
	for (unsigned i = 2; i <= 4; i++)
		ok(decide(other, i, "r@a"));
	ok(registry_purge(other, REGISTRY_DECISIONS, NOW + 100, 3, &deleted,
	                  E));
	ck_assert_uint_eq(deleted, 3);
	ok(registry_purge(other, REGISTRY_DECISIONS, NOW + 100, 100, &deleted,
	                  E));
	ck_assert_uint_eq(deleted, 1);
	ok(registry_decision_last(registry, &tenant, &last, E));
	ck_assert_int_eq(last, 4);
	/* The one who only knew of the first. */
	ok(decide(registry, 5, "r@a"));
	ck_assert_str_eq(log_of(registry), "5:5 ");
	ok(decide(other, 6, "r@a"));
	ck_assert_str_eq(log_of(registry), "5:5 6:6 ");
	ok(registry_check(registry, E));
	registry_close(other);
}
END_TEST

#define THREADS 8
#define EACH    15

struct writer {
	pthread_t thread;
	struct registry *registry;
	unsigned number, failed;
};

static void *write_share(void *context)
{
	struct writer *writer = context;

	for (unsigned i = 0; i < EACH; i++)
		writer->failed +=
		    decide(writer->registry, 1 + writer->number * EACH + i,
		           "r@a") != 0;
	return NULL;
}

/* Threads of two processes append to one log: no gap, no number twice. */
START_TEST(threads_share_a_log)
{
	struct registry *other = open_again();
	struct writer writers[THREADS];
	struct registry_decisions page = {0};

	for (unsigned i = 1; i <= THREADS * EACH; i++)
		put(i, "r@a");
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){
		    .registry = i % 2 ? registry : other, .number = i};
		ck_assert_int_eq(pthread_create(&writers[i].thread, NULL,
		                                write_share, &writers[i]),
		                 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
		ck_assert_uint_eq(writers[i].failed, 0);
	}
	ok(registry_decision_list(registry, &tenant, 0, 1000, &page, E));
	ck_assert_uint_eq(page.count, THREADS * EACH);
	for (size_t i = 0; i < page.count; i++)
		ck_assert_int_eq(page.decisions[i].sequence, (int64_t)i + 1);
	registry_decisions_release(&page);
	for (unsigned i = 1; i <= THREADS * EACH; i++)
		ck_assert_int_eq(field_of_message(i, "pending"), 0);
	ok(registry_check(registry, E));
	registry_close(other);
}
END_TEST

/* --- what must not be there twice --------------------------------------- */

static struct registry_challenge challenge_of(unsigned number)
{
	struct registry_challenge challenge = {
	    .id = id_of(number),
	    .tenant = tenant,
	    .message = id_of(1),
	    .created_ms = NOW,
	    .expires_ms = NOW + 1000,
	    .sender = (char *)"s@x",
	    .code = (char *)"ABC",
	};

	memset(challenge.sender_hash, 7, sizeof(challenge.sender_hash));
	return challenge;
}

/* The index itself refuses a second open one, whoever writes it. */
START_TEST(slot_is_taken_once)
{
	struct registry_challenge first = challenge_of(1),
	                          second = challenge_of(2);
	bson_t document = BSON_INITIALIZER;

	ok(open_one(registry, &first, NULL, E));
	mongodb_append_id(&document, "_id", &second.id);
	mongodb_append_bytes(&document, "sender_hash", second.sender_hash, 32);
	BSON_APPEND_UTF8(&document, "slot", "");
	ck_assert_int_eq(mongodb_insert(db, "challenge", &document, NULL),
	                 ERR_EXISTS);
	ok(registry_challenge_move(registry, &first.id, CHALLENGE_STATE_OPEN,
	                           CHALLENGE_STATE_BOUNCED, NOW, E));
	ok(mongodb_insert(db, "challenge", &document, E));
	bson_destroy(&document);
}
END_TEST

/* --- the database ------------------------------------------------------- */

START_TEST(spool_and_registry_live_apart)
{
	struct registry_options options = {"mongodb", uri};
	struct registry *opened = NULL;
	bson_t *schema = from_json("{\"_id\": \"spool\", \"version\": 1}");
	struct error err = {0};

	ok(mongodb_insert(db, "schema", schema, E));
	ck_assert_int_eq(registry_open(&opened, &options, &err), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "another store"));
	bson_destroy(schema);
}
END_TEST

START_TEST(newer_schema_is_refused)
{
	struct registry_options options = {"mongodb", uri};
	struct registry *opened = NULL;
	bson_t selector = BSON_INITIALIZER;
	bson_t *update = from_json("{\"$set\": {\"version\": 99}}");

	BSON_APPEND_UTF8(&selector, "_id", "registry");
	ok(mongodb_update(db, "schema", &selector, update, false, false, NULL,
	                  E));
	ck_assert_int_eq(registry_open(&opened, &options, NULL), ERR_VERSION);
	bson_destroy(update);
	bson_destroy(&selector);
}
END_TEST

/* --- texts -------------------------------------------------------------- */

/* Bytes that are no UTF-8 are found by every search and change. */
START_TEST(any_bytes_are_a_text)
{
	static const char recipient[] = "r\xff\xfe@a";
	struct registry_query queries[] = {
	    {.tenant = &tenant, .sender_normal = "s\xe9nder@x", .limit = 9},
	    {.tenant = &tenant, .recipient = recipient, .limit = 9},
	    {.recipient = recipient, .held = true, .limit = 9},
	};
	struct id id = id_of(1);

	put(1, recipient);
	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
		struct registry_messages page = {0};

		ok(registry_message_list(registry, &queries[i], &page, E));
		ck_assert_uint_eq(page.count, 1);
		ck_assert_str_eq(page.messages[0].sender, "s\xe9nder@x");
		ck_assert_str_eq(page.messages[0].recipients[0].address,
		                 recipient);
		registry_messages_release(&page);
	}
	ok(decide(registry, 1, recipient));
	ok(registry_check(registry, E));
	ck_assert_int_eq(registry_message_event(registry, &tenant, &id,
	                                        recipient, REGISTRY_DELIVERED,
	                                        NOW, "x", NULL),
	                 ERR_CONFLICT);
}
END_TEST

/* --- the check ---------------------------------------------------------- */

static const struct {
	const char *collection;
	unsigned id; /* 0: the decision's, which is its recipient's */
	const char *damage;
} damages[] = {
    {"message", 1, "{\"$set\": {\"held\": 2}}"},
    {"message", 1, "{\"$set\": {\"pending\": 1}}"},
    {"message", 1, "{\"$set\": {\"recipients.0.state\": \"lost\"}}"},
    {"message", 1, "{\"$set\": {\"recipients\": \"none\"}}"},
    {"challenge", 7, "{\"$set\": {\"slot\": \"x\"}}"},
    {"challenge", 7, "{\"$set\": {\"state\": \"settled\"}}"},
    {"challenge", 7, "{\"$set\": {\"mail\": 3}}"},
    {"challenge", 7, "{\"$set\": {\"sender_hash\": \"short\"}}"},
    {"decision", 0, "{\"$set\": {\"sequence\": 9}}"},
    {"decision", 0, "{\"$set\": {\"verdict\": \"maybe\"}}"},
};

START_TEST(check_finds_damage)
{
	struct registry_challenge challenge = challenge_of(7);
	struct error err = {0};
	struct id id;

	put(1, "r@a");
	ok(decide(registry, 1, "r@a"));
	ok(open_one(registry, &challenge, NULL, E));
	ok(registry_check(registry, E));
	id = id_of(damages[_i].id);
	if (!damages[_i].id) {
		bson_t *message = read_message(1);

		id = mongodb_get_id(message, "recipients.0.decision");
		bson_destroy(message);
	}
	change(damages[_i].collection, &id, damages[_i].damage);
	ck_assert_int_eq(registry_check(registry, &err), ERR_CORRUPT);
	ck_assert_str_ne(err.text, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry-mongodb");
	TCase *tcase = tcase_create("registry-mongodb");

	if (!mongodb_fixture_present())
		return 0;
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, pending_is_finished_at_the_start);
	tcase_add_test(tcase, pending_is_finished_by_a_look);
	tcase_add_test(tcase, pending_survives_events);
	tcase_add_test(tcase, young_pending_is_left_alone);
	tcase_add_test(tcase, forgotten_pending_is_found);
	tcase_add_test(tcase, logged_pending_is_not_doubled);
	tcase_add_test(tcase, purge_finishes_pending);
	tcase_add_test(tcase, writers_take_turns);
	tcase_add_test(tcase, numbers_survive_a_purge);
	tcase_add_test(tcase, threads_share_a_log);
	tcase_add_test(tcase, slot_is_taken_once);
	tcase_add_test(tcase, spool_and_registry_live_apart);
	tcase_add_test(tcase, newer_schema_is_refused);
	tcase_add_test(tcase, any_bytes_are_a_text);
	tcase_add_loop_test(tcase, check_finds_damage, 0,
	                    (int)(sizeof(damages) / sizeof(*damages)));
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
