/* What only the spool in MongoDB has: its documents, GridFS, several agents. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "store/spool/mongodb/private.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define LARGE ((size_t)(700 * 1024)) /* three chunks */

static struct spool_fixture fixture;

static void setup(void)
{
	fixture_open(&fixture);
}

static void teardown(void)
{
	fixture_close(&fixture);
}

static struct spool_mongodb *inside(struct spool *spool)
{
	return (struct spool_mongodb *)spool;
}

static struct mongodb_db *db(void)
{
	return inside(fixture.spool)->db;
}

/* Another agent on the same spool, in a folder of its own. */
static struct spool *open_other(const char *owner)
{
	struct spool_options options = fixture.options;
	struct error err = {.text = ""};
	struct spool *other = NULL;

	options.owner = owner;
	options.incoming = NULL;
	ck_assert_msg(!spool_open(&other, &options, &err), "%s", err.text);
	return other;
}

static int64_t count_in(const char *collection)
{
	bson_t selector = BSON_INITIALIZER;
	struct error err = {.text = ""};
	int64_t count = -1;

	ck_assert_msg(
	    !mongodb_count(db(), collection, &selector, NULL, 0, &count, &err),
	    "%s", err.text);
	return count;
}

static bson_t *read_document(struct id id)
{
	bson_t selector = BSON_INITIALIZER;
	struct error err = {.text = ""};
	bson_t *found = NULL;

	(void)mongodb_append_id(&selector, "_id", &id);
	ck_assert_msg(!mongodb_find_one(db(), SPOOL_MONGODB_MESSAGES, &selector,
	                                NULL, &found, &err),
	              "%s", err.text);
	bson_destroy(&selector);
	return found;
}

/* Changes the document behind the spool's back. */
static void change_document(struct id id, const char *operation,
                            const char *key, int32_t value)
{
	bson_t selector = BSON_INITIALIZER;
	bson_t *update = BCON_NEW(operation, "{", key, BCON_INT32(value), "}");
	struct error err = {.text = ""};
	bool matched = false;

	(void)mongodb_append_id(&selector, "_id", &id);
	ck_assert_msg(!mongodb_update(db(), SPOOL_MONGODB_MESSAGES, &selector,
	                              update, false, true, &matched, &err),
	              "%s", err.text);
	ck_assert(matched);
	bson_destroy(update);
	bson_destroy(&selector);
}

static struct id add_body(const char *bytes, size_t size)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	struct id id = message.id;

	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&message, bytes, size)),
	    0);
	spool_message_release(&message);
	return id;
}

static char *make_large(void)
{
	static const char head[] = "Subject: large\r\nA.b: 1\r\n\r\n";
	char *bytes = mem_alloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i * 2654435761U >> 13);
	memcpy(bytes, head, sizeof(head) - 1);
	return bytes;
}

/* --- documents --------------------------------------------------------- */

/* MailHog finds by "id" and shows from, to, content and raw. */
START_TEST(found_as_mailhog_does)
{
	struct id id = add_body("Subject: Hi\r\n\r\nbody\r\n", 21);
	bson_t selector = BSON_INITIALIZER;
	struct error err = {.text = ""};
	char text[ID_TEXT_SIZE];
	bson_t *found = NULL;
	char *word = NULL;

	BSON_APPEND_UTF8(&selector, "id", id_format(&id, text));
	ck_assert_int_eq(
	    mongodb_find_one(db(), "message", &selector, NULL, &found, &err),
	    0);
	ck_assert_int_eq(
	    mongodb_get_text(found, "content.headers.Subject.0", &word), 0);
	ck_assert_str_eq(word, "Hi");
	ck_assert_int_eq(mongodb_get_text(found, "to.0.domain", &word), 0);
	ck_assert_str_eq(word, "customer.example");
	ck_assert_int_eq(
	    mongodb_get_text(found, "turing.recipients.0.state", &word), 0);
	ck_assert_str_eq(word, "held");
	free(word);
	bson_destroy(found);
	bson_destroy(&selector);
}
END_TEST

static void expect_none(const bson_t *document, const char *key)
{
	bson_iter_t iter, found;

	ck_assert(bson_iter_init(&iter, document));
	ck_assert_msg(!bson_iter_find_descendant(&iter, key, &found), "%s",
	              key);
}

/* With the last recipient all that was received goes, but not who wrote. */
START_TEST(ends_without_bytes)
{
	struct id id = add_body("Subject: Hi\r\n\r\n\xff", 16);
	bson_t *found;
	char *word = NULL;

	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_EXPIRED), 0);
	found = read_document(id);
	expect_none(found, "raw.data");
	expect_none(found, "content.body");
	expect_none(found, "turing.body");
	expect_none(found, "mime.parts");
	ck_assert_int_eq(mongodb_get_text(found, "raw.from", &word), 0);
	ck_assert_str_eq(word, "Stranger@Elsewhere.example");
	free(word);
	bson_destroy(found);
}
END_TEST

/* Rows: what a document is damaged by. */
static const struct {
	const char *operation, *key;
	int32_t value;
} damages[] = {
    {"$set", "turing.tally", 1},
    {"$set", "turing.due", 1},
    {"$set", "turing.over", 1},
    {"$set", "turing.lists.0", 1},
    {"$unset", "turing.hold_until", 1},
    {"$unset", "turing.version", 1},
    {"$unset", "turing.body", 1},
    {"$unset", "turing.recipients", 1},
    {"$unset", "turing.auth", 1},
    {"$unset", "turing.recipients.0.state", 1},
    {"$set", "turing.recipients.0.state", 7},
    {"$set", "turing.recipients.0", 7},
    {"$set", "turing.auth.spf", 7},
    {"$set", "turing", 7},
};

START_TEST(damage_is_found)
{
	struct id id = fixture_add(&fixture, 2, SPOOL_HELD);
	bson_t selector = BSON_INITIALIZER;
	struct error err = {.text = ""};

	ck_assert_int_eq(spool_check(fixture.spool, &err), 0);
	change_document(id, damages[_i].operation, damages[_i].key,
	                damages[_i].value);
	ck_assert_int_eq(spool_check(fixture.spool, &err), ERR_CORRUPT);
	ck_assert_str_ne(err.text, "");
	ck_assert_int_eq(mongodb_delete(db(), SPOOL_MONGODB_MESSAGES, &selector,
	                                false, NULL, &err),
	                 0);
}
END_TEST

/* --- GridFS ------------------------------------------------------------ */

START_TEST(large_bodies_are_in_gridfs)
{
	char *bytes = make_large();
	struct id id = add_body(bytes, LARGE);
	bson_t *found = read_document(id);
	char *word = NULL;
	size_t size;
	char *body;

	ck_assert_int_eq(count_in("bodies.files"), 1);
	ck_assert_int_eq(count_in("bodies.chunks"), 3);
	/* The head stays in the document. */
	ck_assert_int_eq(
	    mongodb_get_text(found, "content.headers.Subject.0", &word), 0);
	ck_assert_str_eq(word, "large");
	ck_assert_int_eq(mongodb_get_text(found, "raw.data", &word), 0);
	ck_assert_str_eq(word, "Subject: large\r\nA.b: 1\r\n\r\n");
	ck_assert_int_eq(mongodb_get_int(found, "content.size"), LARGE);
	ck_assert_uint_lt(found->len, 8192);
	body = fixture_body(&fixture, id, &size);
	ck_assert_uint_eq(size, LARGE);
	ck_assert(!memcmp(body, bytes, LARGE));
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_EXPIRED), 0);
	ck_assert_int_eq(count_in("bodies.files"), 0);
	ck_assert_int_eq(count_in("bodies.chunks"), 0);
	bson_destroy(found);
	free(word);
	free(body);
	free(bytes);
}
END_TEST

/* Reads the only file with libmongoc's own GridFS. */
static size_t download(char *bytes, size_t room)
{
	struct error err = {.text = ""};
	mongoc_client_t *client = mongodb_take(db(), &err);
	mongoc_database_t *database =
	    mongoc_client_get_database(client, mongodb_db_name(db()));
	bson_t *options = BCON_NEW("bucketName", BCON_UTF8("bodies"));
	mongoc_gridfs_bucket_t *bucket =
	    mongoc_gridfs_bucket_new(database, options, NULL, NULL);
	bson_t selector = BSON_INITIALIZER;
	mongoc_cursor_t *cursor =
	    mongoc_gridfs_bucket_find(bucket, &selector, NULL);
	mongoc_stream_t *stream;
	const bson_t *file;
	bson_iter_t iter;
	size_t size = 0;
	ssize_t got;

	ck_assert(mongoc_cursor_next(cursor, &file));
	ck_assert(bson_iter_init_find(&iter, file, "_id"));
	stream = mongoc_gridfs_bucket_open_download_stream(
	    bucket, bson_iter_value(&iter), NULL);
	ck_assert_ptr_nonnull(stream);
	while (size < room && (got = mongoc_stream_read(stream, bytes + size,
	                                                room - size, 1, 0)) > 0)
		size += (size_t)got;
	mongoc_stream_destroy(stream);
	mongoc_cursor_destroy(cursor);
	mongoc_gridfs_bucket_destroy(bucket);
	mongoc_database_destroy(database);
	mongodb_give(db(), client);
	bson_destroy(options);
	return size;
}

START_TEST(other_tools_read_the_files)
{
	char *bytes = make_large();
	char *got = mem_alloc(LARGE + 1);

	(void)add_body(bytes, LARGE);
	ck_assert_uint_eq(download(got, LARGE + 1), LARGE);
	ck_assert(!memcmp(got, bytes, LARGE));
	free(got);
	free(bytes);
}
END_TEST

START_TEST(orphans_are_swept)
{
	char *bytes = make_large();
	struct id kept = add_body(bytes, LARGE);
	struct spool_mongodb *spool = inside(fixture.spool);
	const struct spool_mongodb_source source = {.bytes = bytes,
	                                            .size = LARGE};
	struct error err = {.text = ""};
	struct id nobody = id_new();
	size_t size;

	/* One of a message that never came, one of an earlier attempt. */
	for (int i = 0; i < 2; i++) {
		struct id file = id_new();

		ck_assert_int_eq(spool_mongodb_file_put(spool, &file,
		                                        i ? &kept : &nobody,
		                                        &source, &err),
		                 0);
	}
	ck_assert_int_eq(count_in("bodies.files"), 3);
	fixture_reopen(&fixture); /* too young */
	ck_assert_int_eq(count_in("bodies.files"), 3);
	spool = inside(fixture.spool);
	ck_assert_int_eq(spool_mongodb_sweep(spool, -1000, &err), 0);
	ck_assert_int_eq(count_in("bodies.files"), 1);
	ck_assert_int_eq(count_in("bodies.chunks"), 3);
	free(fixture_body(&fixture, kept, &size));
	ck_assert_uint_eq(size, LARGE);
	free(bytes);
}
END_TEST

/* A body with a chunk missing is not handed out, nor is it called sound. */
START_TEST(missing_chunks)
{
	char *bytes = make_large();
	struct id id = add_body(bytes, LARGE);
	bson_t selector = BSON_INITIALIZER;
	struct spool_body *body = NULL;
	struct error err = {.text = ""};

	BSON_APPEND_INT32(&selector, "n", _i);
	ck_assert_int_eq(
	    mongodb_delete(db(), "bodies.chunks", &selector, true, NULL, &err),
	    0);
	ck_assert_int_eq(spool_body_open(fixture.spool, &id, &body, &err),
	                 ERR_CORRUPT);
	ck_assert_ptr_null(body);
	ck_assert_int_eq(spool_check(fixture.spool, &err), ERR_CORRUPT);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_EXPIRED), 0);
	free(bytes);
}
END_TEST

/* The same message twice: the first keeps its file, the second leaves none. */
START_TEST(repeated_large_message)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	char *bytes = make_large();
	struct spool_change change = fixture_add_change(&message, bytes, LARGE);
	size_t size;

	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_EXISTS);
	ck_assert_int_eq(count_in("bodies.files"), 1);
	free(fixture_body(&fixture, message.id, &size));
	ck_assert_uint_eq(size, LARGE);
	spool_message_release(&message);
	free(bytes);
}
END_TEST

/* Over at once: nothing is stored, and the file in incoming/ goes. */
START_TEST(final_at_once_stores_no_file)
{
	struct spool_message message = fixture_message(1, SPOOL_DISCARDED);
	char *bytes = make_large();

	ck_assert_int_eq(fixture_commit(&fixture, fixture_add_change(
	                                              &message, bytes, LARGE)),
	                 0);
	ck_assert_int_eq(count_in("bodies.files"), 0);
	spool_message_release(&message);
	free(bytes);
}
END_TEST

/* --- copies ------------------------------------------------------------ */

START_TEST(copies_replace)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	char *bytes = make_large();
	struct spool_change change = fixture_add_change(&message, bytes, LARGE);
	struct spool_message got = {.recipient_count = 0};
	struct error err = {.text = ""};

	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	change.kind = SPOOL_COPY;
	message.body_present = true;
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_EXISTS);
	ck_assert_int_eq(count_in("bodies.files"), 1);
	change.add.replace = true;
	message.recipients[0].state = SPOOL_DELIVERED;
	message.recipients[0].history =
	    mem_copy_string("2026-11-21T08:00:00.000Z held list: no entry\n");
	message.recipients[0].attempts = 3;
	message.recipients[0].event_pending = true;
	message.registered = true;
	message.body_present = false;
	change.add.body = (struct spool_body_source){.size = 0};
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_int_eq(count_in("bodies.files"), 0);
	ck_assert_int_eq(spool_read(fixture.spool, &message.id, &got, &err), 0);
	ck_assert(!got.body_present && got.registered);
	ck_assert_str_eq(got.recipients[0].history,
	                 message.recipients[0].history);
	ck_assert_uint_eq(got.recipients[0].attempts, 3);
	ck_assert(got.recipients[0].event_pending);
	spool_message_release(&got);
	spool_message_release(&message);
	free(bytes);
}
END_TEST

/* --- several agents ---------------------------------------------------- */

static size_t claim_with(struct spool *spool, const char *owner, size_t limit)
{
	struct spool_page page = {.count = 0};
	struct error err = {.text = ""};
	size_t count;

	ck_assert_msg(!spool_claim(spool, owner, FIXTURE_NOW_MS, 60000, limit,
	                           &page, &err),
	              "%s", err.text);
	count = page.count;
	spool_page_release(&page);
	return count;
}

START_TEST(leases_of_others_stand)
{
	struct spool *other = open_other("agent-2");

	for (int i = 0; i < 4; i++)
		(void)fixture_add(&fixture, 2, SPOOL_QUEUED);
	ck_assert_uint_eq(claim_with(fixture.spool, FIXTURE_OWNER, 2), 2);
	ck_assert_uint_eq(claim_with(other, "agent-2", 9), 2);
	fixture_reopen(&fixture); /* drops its own */
	ck_assert_uint_eq(claim_with(other, "agent-2", 9), 2);
	spool_close(other);
	ck_assert_uint_eq(claim_with(fixture.spool, FIXTURE_OWNER, 9), 0);
	other = open_other("agent-2");
	ck_assert_uint_eq(claim_with(fixture.spool, FIXTURE_OWNER, 9), 4);
	spool_close(other);
}
END_TEST

static void set_value(struct spool *spool, const char *name, const char *value)
{
	struct spool_change change = {.kind = SPOOL_SET,
	                              .set = {.name = name, .value = value}};
	struct error err = {.text = ""};

	ck_assert_msg(!spool_commit(spool, &change, 1, &err), "%s", err.text);
}

static void collect(const char *name, const char *value, void *context)
{
	char *text = context;
	size_t length = strlen(text);

	(void)snprintf(text + length, 200 - length, "%s=%s;", name, value);
}

static void see_entry(const struct entry *entry, void *context)
{
	*(unsigned *)context |= 1U << entry->id.bytes[0];
}

static unsigned entries_of(struct spool *spool)
{
	struct error err = {.text = ""};
	unsigned seen = 0;

	ck_assert_msg(!spool_entries_each(spool, see_entry, &seen, &err), "%s",
	              err.text);
	return seen;
}

static struct entry make_entry(uint8_t number)
{
	return (struct entry){.id = {{number}},
	                      .scope_value = (char *)"",
	                      .value = (char *)"a@b.example",
	                      .note = (char *)"\xff"};
}

/* Cursors and the replica are each agent's own. */
START_TEST(values_are_the_owners)
{
	struct spool *other = open_other("agent-2");
	struct entry entry = make_entry(1);
	struct error err = {.text = ""};
	char text[200] = "";

	set_value(fixture.spool, "b", "1");
	set_value(fixture.spool, "\xff", "3");
	set_value(fixture.spool, "a", "2");
	set_value(other, "a", "other");
	ck_assert_int_eq(
	    spool_entries_apply(fixture.spool, false, &entry, 1, 7, &err), 0);
	ck_assert_int_eq(spool_values_each(fixture.spool, collect, text, &err),
	                 0);
	ck_assert_str_eq(text, "a=2;b=1;policy.revision=7;\xff=3;");
	text[0] = '\0';
	ck_assert_int_eq(spool_values_each(other, collect, text, &err), 0);
	ck_assert_str_eq(text, "a=other;");
	ck_assert_uint_eq(entries_of(fixture.spool), 2);
	ck_assert_uint_eq(entries_of(other), 0);
	ck_assert_int_eq(spool_entries_apply(other, true, NULL, 0, 1, &err), 0);
	ck_assert_uint_eq(entries_of(fixture.spool), 2);
	spool_close(other);
}
END_TEST

/* What a crash left between writing an apply down and making it. */
static void write_pending(bool clear)
{
	bson_t selector = BSON_INITIALIZER;
	struct error err = {.text = ""};
	struct id id = {{3}};
	bson_t entry = BSON_INITIALIZER;
	bson_t *update;

	(void)mongodb_append_id(&entry, "entry", &id);
	BSON_APPEND_UTF8(&entry, "scope", "tenant");
	BSON_APPEND_UTF8(&entry, "colour", "black");
	BSON_APPEND_UTF8(&entry, "kind", "address");
	BSON_APPEND_UTF8(&entry, "origin", "admin");
	update = BCON_NEW("$set", "{", "pending", "{", "clear",
	                  BCON_BOOL(clear), "revision", BCON_INT64(9),
	                  "entries", "[", BCON_DOCUMENT(&entry), "]", "}", "}");
	BSON_APPEND_UTF8(&selector, "_id", FIXTURE_OWNER);
	ck_assert_int_eq(mongodb_update(db(), SPOOL_MONGODB_AGENTS, &selector,
	                                update, true, true, NULL, &err),
	                 0);
	bson_destroy(update);
	bson_destroy(&selector);
	bson_destroy(&entry);
}

START_TEST(crash_of_an_apply_is_mended)
{
	struct entry entries[] = {make_entry(1), make_entry(2)};
	struct error err = {.text = ""};
	char *value = NULL;

	ck_assert_int_eq(
	    spool_entries_apply(fixture.spool, false, entries, 2, 7, &err), 0);
	write_pending(_i);
	fixture_reopen(&fixture);
	ck_assert_uint_eq(entries_of(fixture.spool), _i ? 8 : 0xe);
	ck_assert_int_eq(
	    spool_get(fixture.spool, "policy.revision", &value, &err), 0);
	ck_assert_str_eq(value, "9");
	free(value);
	/* It is made once. */
	ck_assert_int_eq(
	    spool_entries_apply(fixture.spool, true, entries, 1, 10, &err), 0);
	fixture_reopen(&fixture);
	ck_assert_uint_eq(entries_of(fixture.spool), 2);
}
END_TEST

START_TEST(too_many_entries)
{
	struct entry *entries = mem_alloc_array(20000, sizeof(*entries));
	char note[1001];
	struct error err = {.text = ""};

	memset(note, 'n', 1000);
	note[1000] = '\0';
	for (size_t i = 0; i < 20000; i++) {
		entries[i] = make_entry((uint8_t)i);
		entries[i].note = note;
	}
	ck_assert_int_eq(
	    spool_entries_apply(fixture.spool, true, entries, 20000, 1, &err),
	    ERR_LIMIT);
	ck_assert_uint_eq(entries_of(fixture.spool), 0);
	free(entries);
}
END_TEST

/* --- two agents at the same message ------------------------------------ */

#define RECIPIENTS 60

struct mover {
	pthread_t thread;
	struct spool *spool;
	struct id id;
	int results[RECIPIENTS];
};

/* All recipients in one batch, some of which the other has moved already. */
static void *move_all(void *context)
{
	struct mover *mover = context;
	struct spool_change changes[RECIPIENTS];
	struct error err;

	for (size_t i = 0; i < RECIPIENTS; i += 6) {
		for (size_t k = 0; k < 6; k++) {
			changes[k] =
			    fixture_move_change(mover->id, i + k, SPOOL_QUEUED);
			changes[k].move.from = SPOOL_IN(SPOOL_HELD);
		}
		if (spool_commit(mover->spool, changes, 6, &err))
			return NULL;
		for (size_t k = 0; k < 6; k++)
			mover->results[i + k] = changes[k].result;
	}
	return NULL;
}

START_TEST(one_agent_wins)
{
	struct spool *other = open_other("agent-2");
	struct id id = fixture_add(&fixture, RECIPIENTS, SPOOL_HELD);
	struct mover movers[2] = {{.spool = fixture.spool, .id = id},
	                          {.spool = other, .id = id}};

	for (int i = 0; i < 2; i++) {
		memset(movers[i].results, 77, sizeof(movers[i].results));
		ck_assert_int_eq(pthread_create(&movers[i].thread, NULL,
		                                move_all, &movers[i]),
		                 0);
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(movers[i].thread, NULL), 0);
	for (size_t i = 0; i < RECIPIENTS; i++)
		ck_assert_msg((movers[0].results[i] == 0 &&
		               movers[1].results[i] == ERR_CONFLICT) ||
		                  (movers[1].results[i] == 0 &&
		                   movers[0].results[i] == ERR_CONFLICT),
		              "recipient %zu: %d %d", i, movers[0].results[i],
		              movers[1].results[i]);
	spool_close(other);
}
END_TEST

/* A message that is added after it was changed is not found before. */
START_TEST(order_within_a_batch)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	struct spool_change changes[] = {
	    fixture_move_change(message.id, 0, SPOOL_QUEUED),
	    fixture_add_change(&message, "x", 1),
	    fixture_move_change(message.id, 0, SPOOL_QUEUED),
	    fixture_add_change(&message, "y", 1),
	    fixture_move_change(message.id, 0, SPOOL_DELIVERED),
	};
	static const int expected[] = {ERR_NOT_FOUND, 0, 0, ERR_EXISTS, 0};
	struct error err = {.text = ""};

	ck_assert_int_eq(spool_commit(fixture.spool, changes, 5, &err), 0);
	for (size_t i = 0; i < 5; i++)
		ck_assert_msg(changes[i].result == expected[i],
		              "change %zu: %d", i, changes[i].result);
	spool_message_release(&message);
}
END_TEST

/* --- opening ----------------------------------------------------------- */

START_TEST(newer_schema_is_refused)
{
	bson_t *selector = BCON_NEW("_id", BCON_UTF8("spool"));
	bson_t *newer = BCON_NEW("$set", "{", "version", BCON_INT32(99), "}");
	bson_t *own = BCON_NEW("$set", "{", "version", BCON_INT32(1), "}");
	struct spool *other = NULL;
	struct error err = {.text = ""};

	ck_assert_int_eq(mongodb_update(db(), "schema", selector, newer, false,
	                                true, NULL, &err),
	                 0);
	ck_assert_int_eq(spool_open_shared(&other, &fixture.options, &err),
	                 ERR_VERSION);
	ck_assert_ptr_null(other);
	ck_assert_int_eq(mongodb_update(db(), "schema", selector, own, false,
	                                true, NULL, &err),
	                 0);
	bson_destroy(selector);
	bson_destroy(newer);
	bson_destroy(own);
}
END_TEST

/* A registry's database is no spool's. */
START_TEST(registry_is_refused)
{
	bson_t *document = BCON_NEW("_id", BCON_UTF8("registry"));
	struct spool *other = NULL;
	struct error err = {.text = ""};

	ck_assert_int_eq(mongodb_insert(db(), "schema", document, &err), 0);
	ck_assert_int_eq(spool_open_shared(&other, &fixture.options, &err),
	                 ERR_INVALID);
	ck_assert_str_ne(err.text, "");
	ck_assert_ptr_null(other);
	bson_destroy(document);
}
END_TEST

/* The folder for bodies: one process's, emptied when it is opened. */
START_TEST(incoming_folder)
{
	struct spool_options options = fixture.options;
	char *stale = fixture_incoming(&fixture, "x", 1);
	struct spool *other = NULL;
	struct error err = {.text = ""};
	char *own;

	ck_assert_int_eq(spool_open(&other, &options, &err), ERR_EXISTS);
	ck_assert_int_eq(access(stale, F_OK), 0);
	fixture_reopen(&fixture);
	ck_assert_int_eq(access(stale, F_OK), -1);
	options.incoming = NULL;
	ck_assert_int_eq(spool_open_shared(&other, &options, &err), 0);
	own = mem_copy_string(spool_incoming_directory(other));
	ck_assert_int_eq(access(own, W_OK), 0);
	spool_close(other);
	ck_assert_int_eq(access(own, F_OK), -1);
	free(own);
	free(stale);
}
END_TEST

/* A start without a configured folder removes what a killed one left, not what
 * another has. (Whoever else starts meanwhile may be faster.) */
START_TEST(folder_of_a_killed_one)
{
	char left[] = "/var/tmp/turing-incoming-XXXXXX";
	struct spool *other;

	ck_assert_ptr_nonnull(mkdtemp(left));
	other = open_other("first");
	ck_assert_int_eq(access(left, F_OK), -1);
	spool_close(open_other("second"));
	ck_assert_int_eq(access(spool_incoming_directory(other), W_OK), 0);
	spool_close(other);
}
END_TEST

/* Nobody listens there: not now, and no word of the password. */
START_TEST(server_is_away)
{
	struct spool_options options = fixture.options;
	struct spool *other = NULL;
	struct error err = {.text = ""};

	options.location = "mongodb://me:s3cret@127.0.0.1:1/x"
	                   "?serverSelectionTimeoutMS=300";
	options.incoming = NULL;
	ck_assert_int_eq(spool_open(&other, &options, &err), ERR_UNAVAILABLE);
	ck_assert_ptr_null(other);
	ck_assert_ptr_null(strstr(err.text, "s3cret"));
}
END_TEST

START_TEST(engine_is_named)
{
	ck_assert_ptr_nonnull(strstr(spool_engine(fixture.spool), "MongoDB"));
	ck_assert_int_eq(spool_backup(fixture.spool, "/tmp/none", NULL, NULL),
	                 ERR_INVALID);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("spool-mongodb");
	TCase *tests = tcase_create("mongodb");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, found_as_mailhog_does);
	tcase_add_test(tests, ends_without_bytes);
	tcase_add_loop_test(tests, damage_is_found, 0,
	                    (int)(sizeof(damages) / sizeof(damages[0])));
	tcase_add_test(tests, large_bodies_are_in_gridfs);
	tcase_add_test(tests, other_tools_read_the_files);
	tcase_add_test(tests, orphans_are_swept);
	tcase_add_loop_test(tests, missing_chunks, 0, 3);
	tcase_add_test(tests, repeated_large_message);
	tcase_add_test(tests, final_at_once_stores_no_file);
	tcase_add_test(tests, copies_replace);
	tcase_add_test(tests, leases_of_others_stand);
	tcase_add_test(tests, values_are_the_owners);
	tcase_add_loop_test(tests, crash_of_an_apply_is_mended, 0, 2);
	tcase_add_test(tests, too_many_entries);
	tcase_add_test(tests, one_agent_wins);
	tcase_add_test(tests, order_within_a_batch);
	tcase_add_test(tests, newer_schema_is_refused);
	tcase_add_test(tests, registry_is_refused);
	tcase_add_test(tests, incoming_folder);
	tcase_add_test(tests, folder_of_a_killed_one);
	tcase_add_test(tests, server_is_away);
	tcase_add_test(tests, engine_is_named);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	if (!mongodb_fixture_present())
		return 0;
	(void)setenv("TURING_TEST_BACKEND", "mongodb", 1);
	return suite_main(make_suite(), NULL);
}
