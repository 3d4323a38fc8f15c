/* Copies, comparisons and restores of spools: from SQLite to SQLite, and to
 * MongoDB where a server is named. */
#include <check.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "store/copy/spool.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/remove-tree.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define MESSAGES  130 /* more than a page */
#define ENTRIES   1100
#define LARGE     (3 << 20)
#define BODY_SIZE 700

static struct spool_fixture fixture; /* the source */
static struct spool *copy;
static char copy_directory[64], *uri; /* of the copy, in MongoDB */

static void open_copy(bool mongodb)
{
	struct spool_options options;
	struct error err = {.text = ""};

	ck_assert_int_eq(crypto_init(), 0);
	fixture_open(&fixture);
	options = fixture.options;
	(void)snprintf(copy_directory, sizeof(copy_directory),
	               "/tmp/turing-copy-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(copy_directory));
	uri = mongodb ? mongodb_fixture_uri() : NULL;
	options.backend = mongodb ? "mongodb" : "sqlite";
	options.location = mongodb ? uri : copy_directory;
	ck_assert_msg(!spool_open(&copy, &options, &err), "%s", err.text);
}

static void set_up_sqlite(void)
{
	open_copy(false);
}

static void set_up_mongodb(void)
{
	open_copy(true);
}

static void tear_down(void)
{
	struct error err = {.text = ""};

	ck_assert_msg(!spool_check(copy, &err), "%s", err.text);
	spool_close(copy);
	mongodb_fixture_drop(uri);
	(void)remove_tree(copy_directory);
	fixture_close(&fixture);
}

/* --- what is in the source ---------------------------------------------- */

/* Bytes that are no UTF-8, with NULs and lone CRs and LFs. */
static char *wild_bytes(size_t size, unsigned seed)
{
	char *bytes = mem_alloc(size + 1);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)((i * 31 + seed * 7 + (i >> 9)) & 0xff);
	return bytes;
}

static struct id add(unsigned number, size_t size, enum spool_state state)
{
	struct spool_message message = fixture_message(1 + number % 3, state);
	char *bytes = wild_bytes(size, number);
	struct id id = message.id;

	message.size = (int64_t)size;
	free(message.subject);
	message.subject = mem_format("%u \xff\xfe caf\xe9", number);
	ck_assert_int_eq(
	    fixture_commit(&fixture, fixture_add_change(&message, bytes, size)),
	    0);
	free(bytes);
	spool_message_release(&message);
	return id;
}

static void set(struct spool *spool, const char *name, const char *value)
{
	struct spool_change change = {.kind = SPOOL_SET,
	                              .set = {.name = name, .value = value}};
	struct error err = {.text = ""};

	ck_assert_msg(!spool_commit(spool, &change, 1, &err), "%s", err.text);
	ck_assert_int_eq(change.result, 0);
}

static void put_entries(struct spool *spool, int64_t count, int64_t revision)
{
	struct entry *entries =
	    mem_alloc_array((size_t)count, sizeof(*entries));
	struct error err = {.text = ""};

	for (int64_t i = 0; i < count; i++)
		entries[i] = (struct entry){
		    .id = id_new(),
		    .scope = ENTRY_SCOPE_TENANT,
		    .kind = ENTRY_ADDRESS,
		    .revision = i + 1,
		    .scope_value = mem_copy_string(""),
		    .value = mem_format("sender%lld@example.org", (long long)i),
		    .note = mem_copy_string("n\xff")};
	ck_assert_msg(!spool_entries_apply(spool, true, entries, (size_t)count,
	                                   revision, &err),
	              "%s", err.text);
	for (int64_t i = 0; i < count; i++)
		entry_release(&entries[i]);
	free(entries);
}

static void fill(void)
{
	static const enum spool_state states[] = {SPOOL_HELD, SPOOL_QUEUED,
	                                          SPOOL_QUARANTINED};

	for (unsigned i = 0; i < MESSAGES; i++) {
		struct id id =
		    add(i, i == 5 ? LARGE : i * 83 % BODY_SIZE, states[i % 3]);

		if (i % 5 == 1)
			ck_assert_int_eq(
			    fixture_move(&fixture, id, 0, SPOOL_DISCARDED), 0);
		if (i % 3 == 1 && i % 5 != 1)
			ck_assert_int_eq(
			    fixture_move(&fixture, id, 0, SPOOL_DEFERRED), 0);
	}
	set(fixture.spool, "decisions.after", "17");
	set(fixture.spool, "other", "");
	put_entries(fixture.spool, ENTRIES, 4711);
}

/* --- runs --------------------------------------------------------------- */

static struct copy_report report;

static struct copy_part *part(const char *name)
{
	return copy_report_part(&report, name);
}

static void run(int (*what)(struct spool *, struct spool *,
                            const struct copy_control *, struct copy_report *,
                            struct error *))
{
	struct error err = {.text = ""};

	memset(&report, 0, sizeof(report));
	ck_assert_msg(!what(fixture.spool, copy, NULL, &report, &err), "%s",
	              err.text);
}

START_TEST(a_copy_is_the_same)
{
	fill();
	run(spool_copy);
	ck_assert_int_eq(part("messages")->written, MESSAGES);
	ck_assert_int_eq(part("entries")->written, ENTRIES);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
	ck_assert_int_eq(part("messages")->source.count, MESSAGES);
	ck_assert_int_eq(part("entries")->source.count, ENTRIES);
	ck_assert_int_ge(part("values")->source.count, 3);
	ck_assert(copy_digest_equal(&part("messages")->source,
	                            &part("messages")->destination));
	run(spool_copy);
	ck_assert_int_eq(part("messages")->written, 0);
	ck_assert_int_eq(part("messages")->there, MESSAGES);
	ck_assert_int_eq(part("entries")->written, 0);
	ck_assert_int_eq(part("values")->written, 0);
}
END_TEST

START_TEST(a_later_run_brings_changes)
{
	struct id id;

	fill();
	id = add(1000, 10, SPOOL_HELD);
	run(spool_copy);
	(void)add(1001, 10, SPOOL_HELD);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_QUEUED), 0);
	set(fixture.spool, "decisions.after", "18");
	run(spool_compare);
	ck_assert(!copy_report_equal(&report));
	ck_assert_int_eq(part("messages")->only_source, 1);
	ck_assert_int_eq(part("messages")->different, 1);
	ck_assert_int_eq(part("values")->different, 1);
	run(spool_copy);
	ck_assert_int_eq(part("messages")->written, 2);
	ck_assert_int_eq(part("values")->written, 1);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
}
END_TEST

/* Puts a message with this body into the copy alone. */
static void put_in_copy(const struct spool_message *message, const char *body)
{
	struct spool_change change =
	    fixture_add_change(message, body, (size_t)message->size);
	struct error err = {.text = ""};

	change.kind = SPOOL_COPY;
	change.add.replace = true;
	ck_assert_msg(!spool_commit(copy, &change, 1, &err), "%s", err.text);
	ck_assert_int_eq(change.result, 0);
}

START_TEST(a_body_that_differs_is_found_and_mended)
{
	struct spool_message message = {.recipient_count = 0};
	struct error err = {.text = ""};
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);

	run(spool_copy);
	ck_assert_int_eq(spool_read(fixture.spool, &id, &message, &err), 0);
	put_in_copy(&message, "bodx\r\n");
	run(spool_compare);
	ck_assert_int_eq(part("messages")->different, 1);
	ck_assert(!copy_report_equal(&report));
	run(spool_copy);
	ck_assert_int_eq(part("messages")->written, 1);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
	spool_message_release(&message);
}
END_TEST

/* Takes the files of all large bodies away. */
static void lose_bodies(void)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/bodies", fixture.directory);
	ck_assert_int_eq(remove_tree(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

START_TEST(a_body_that_is_lost_is_named)
{
	struct error err = {.text = ""};
	char text[ID_TEXT_SIZE];
	struct id id;

	if (strcmp(fixture.options.backend, "sqlite") != 0)
		return;
	(void)add(1, 100, SPOOL_HELD);
	id = add(3, LARGE, SPOOL_HELD);
	lose_bodies();
	memset(&report, 0, sizeof(report));
	ck_assert_int_lt(spool_copy(fixture.spool, copy, NULL, &report, &err),
	                 0);
	ck_assert_ptr_nonnull(strstr(err.text, id_format(&id, text)));
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DISCARDED), 0);
	run(spool_copy);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
	ck_assert_int_eq(part("messages")->source.count, 2);
}
END_TEST

START_TEST(what_is_only_in_the_copy_is_told)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);

	message.body_present = true;
	put_in_copy(&message, "body\r\n");
	spool_message_release(&message);
	put_entries(copy, 2, 3);
	set(copy, "mine", "x");
	run(spool_compare);
	ck_assert_int_eq(part("messages")->only_destination, 1);
	ck_assert_int_eq(part("entries")->only_destination, 2);
	ck_assert_int_eq(part("values")->only_destination, 2);
	ck_assert(!copy_report_equal(&report));
	run(spool_copy);
	run(spool_compare);
	ck_assert_int_eq(part("messages")->only_destination, 1);
}
END_TEST

START_TEST(leases_stay_behind)
{
	struct spool_message message = {.recipient_count = 0};
	struct spool_page page = {0};
	struct error err = {.text = ""};
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);

	ck_assert_int_eq(spool_claim(fixture.spool, FIXTURE_OWNER,
	                             FIXTURE_NOW_MS, 60000, 10, &page, &err),
	                 0);
	ck_assert_uint_eq(page.count, 1);
	spool_page_release(&page);
	run(spool_copy);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
	ck_assert_int_eq(spool_read(copy, &id, &message, &err), 0);
	ck_assert_str_eq(message.recipients[0].lease_owner, "");
	spool_message_release(&message);
}
END_TEST

/* --- stopping ----------------------------------------------------------- */

static volatile sig_atomic_t stop_flag;

static void stop_soon(void *context, const char *what, int64_t done,
                      int64_t total)
{
	int64_t *calls = context;

	(void)what;
	(void)done;
	(void)total;
	stop_flag = ++*calls > 1;
}

START_TEST(a_stopped_copy_is_run_again)
{
	int64_t calls = 0;
	const struct store_progress progress = {stop_soon, &calls};
	const struct copy_control control = {&progress, &stop_flag};
	struct error err = {.text = ""};

	fill();
	memset(&report, 0, sizeof(report));
	ck_assert_int_eq(
	    spool_copy(fixture.spool, copy, &control, &report, &err),
	    ERR_UNAVAILABLE);
	run(spool_compare);
	ck_assert(!copy_report_equal(&report));
	ck_assert_int_gt(part("messages")->destination.count, 0);
	ck_assert_int_gt(part("messages")->only_source, 0);
	run(spool_copy);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
}
END_TEST

/* --- restoring ---------------------------------------------------------- */

START_TEST(a_restore_puts_back_what_is_missing)
{
	fill();
	run(spool_restore);
	ck_assert_int_eq(part("messages")->written, MESSAGES);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
	run(spool_restore);
	ck_assert_int_eq(part("messages")->written, 0);
	ck_assert_int_eq(part("messages")->there, MESSAGES);
}
END_TEST

/* What was delivered since the backup is not queued again. */
START_TEST(a_restore_changes_nothing_that_is_there)
{
	struct spool_message message = {.recipient_count = 0};
	struct spool_change move;
	struct error err = {.text = ""};
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);
	char *value = NULL;

	set(fixture.spool, "decisions.after", "17");
	put_entries(fixture.spool, 3, 3);
	run(spool_restore);
	move = fixture_move_change(id, 0, SPOOL_DELIVERED);
	ck_assert_int_eq(spool_commit(copy, &move, 1, &err), 0);
	set(copy, "decisions.after", "20");
	put_entries(copy, 2, 9);
	(void)fixture_add(&fixture, 1, SPOOL_HELD);
	run(spool_restore);
	ck_assert_int_eq(part("messages")->written, 1);
	ck_assert_int_eq(part("messages")->there, 1);
	ck_assert_int_eq(part("entries")->written, 0);
	ck_assert_int_eq(spool_read(copy, &id, &message, &err), 0);
	ck_assert_int_eq(message.recipients[0].state, SPOOL_DELIVERED);
	ck_assert_int_eq(spool_get(copy, "decisions.after", &value, &err), 0);
	ck_assert_str_eq(value, "20");
	free(value);
	spool_message_release(&message);
}
END_TEST

START_TEST(a_backup_is_a_source)
{
	struct spool_options options = fixture.options;
	struct spool *saved = NULL;
	struct error err = {.text = ""};
	char directory[96];

	fill();
	(void)snprintf(directory, sizeof(directory), "%s/saved",
	               copy_directory);
	ck_assert_msg(!spool_backup(fixture.spool, directory, NULL, &err), "%s",
	              err.text);
	options.location = directory;
	ck_assert_msg(!spool_open_shared(&saved, &options, &err), "%s",
	              err.text);
	memset(&report, 0, sizeof(report));
	ck_assert_int_eq(spool_restore(saved, copy, NULL, &report, &err), 0);
	spool_close(saved);
	ck_assert_int_eq(part("messages")->written, MESSAGES);
	run(spool_compare);
	ck_assert(copy_report_equal(&report));
}
END_TEST

static TCase *copies(const char *name, void (*set_up)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_copy_is_the_same);
	tcase_add_test(tcase, a_later_run_brings_changes);
	tcase_add_test(tcase, a_body_that_differs_is_found_and_mended);
	tcase_add_test(tcase, a_body_that_is_lost_is_named);
	tcase_add_test(tcase, what_is_only_in_the_copy_is_told);
	tcase_add_test(tcase, leases_stay_behind);
	tcase_add_test(tcase, a_stopped_copy_is_run_again);
	tcase_add_test(tcase, a_restore_puts_back_what_is_missing);
	tcase_add_test(tcase, a_restore_changes_nothing_that_is_there);
	tcase_add_test(tcase, a_backup_is_a_source);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("copy-spool");

	suite_add_tcase(suite, copies("to SQLite", set_up_sqlite));
	if (mongodb_fixture_present())
		suite_add_tcase(suite, copies("to MongoDB", set_up_mongodb));
	return suite_main(suite, NULL);
}
