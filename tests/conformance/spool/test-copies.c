/* Messages copied from another spool as they stand, and what else a copy of a
 * spool needs. */
#include <unistd.h>

#include "common/mem.h"
#include "tests/support/same-message.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define LARGE       (FIXTURE_LARGE + 1000)
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static struct spool_fixture from, to;

static void setup(void)
{
	fixture_open(&from);
	fixture_open(&to);
}

static void teardown(void)
{
	fixture_close(&from);
	fixture_close(&to);
}

/* Where large bodies are files of the test's directory. */
static void expect_files(size_t count)
{
	if (strcmp(to.options.backend, "sqlite") == 0)
		ck_assert_uint_eq(fixture_count_files(&to, "bodies"), count);
}

static struct spool_change copy_change(const struct spool_message *message,
                                       const char *body, size_t size)
{
	struct spool_change change = fixture_add_change(message, body, size);

	change.kind = SPOOL_COPY;
	return change;
}

/* Recipients in every state that moves lead to. */
static struct id add_eventful(void)
{
	static const enum spool_state ways[][4] = {
	    {SPOOL_QUEUED, SPOOL_DEFERRED, SPOOL_DEFERRED, SPOOL_DELIVERED},
	    {SPOOL_QUEUED, SPOOL_DEFERRED, SPOOL_DEFERRED, SPOOL_DEFERRED},
	    {SPOOL_QUEUED, SPOOL_FAILED, SPOOL_FAILED, SPOOL_FAILED},
	    {SPOOL_EXPIRED, SPOOL_EXPIRED, SPOOL_EXPIRED, SPOOL_EXPIRED},
	    {SPOOL_QUEUED, SPOOL_QUEUED, SPOOL_QUEUED, SPOOL_QUEUED},
	};
	struct id id = fixture_add(&from, COUNT(ways) + 1, SPOOL_HELD);

	for (size_t i = 0; i < COUNT(ways); i++)
		for (size_t step = 0; step < 4; step++) {
			struct spool_change change =
			    fixture_move_change(id, i, ways[i][step]);

			change.move.by = step % 2 ? "captcha" : "admin";
			change.move.reply = "450 4.2.0 later";
			change.move.attempted = step > 0;
			change.move.event = true;
			(void)fixture_commit(&from, change);
		}
	return id;
}

/* What is copied reads the same, and goes on the same. */
START_TEST(reads_the_same_and_goes_on_the_same)
{
	struct id id = add_eventful();
	struct spool_message source = fixture_read(&from, id), copied;
	size_t size;
	char *body = fixture_body(&from, id, &size);

	ck_assert_int_eq(fixture_commit(&to, copy_change(&source, body, size)),
	                 0);
	copied = fixture_read(&to, id);
	expect_same_message(&source, &copied);
	spool_message_release(&copied);
	spool_message_release(&source);
	for (size_t i = 0; i < 6; i++)
		ck_assert_int_eq(fixture_move(&from, id, i, SPOOL_DISCARDED),
		                 fixture_move(&to, id, i, SPOOL_DISCARDED));
	source = fixture_read(&from, id);
	copied = fixture_read(&to, id);
	expect_same_message(&source, &copied);
	ck_assert(!copied.body_present);
	spool_message_release(&copied);
	spool_message_release(&source);
	free(body);
}
END_TEST

static const struct {
	const char *history;
	int result;
} histories[] = {
    {"", 0},
    {"2026-11-21T08:00:00Z held list: no entry\n", 0},
    {"2026-11-21T08:00:00Z held captcha: solved\n", 0},
    {"2026-11-21T08:00:00Z deferred list: no entry (3 times)\n", 0},
    {"a\n...\n2026-11-21T08:00:00Z queued list: no entry\n", 0},
    /* None of ours; the text stays all the same. */
    {"2026-11-21T08:00:00Z held\n list: no entry\n", 0},
    {" list: no entry\n", 0},
    {"\n", 0},
    {"2026-11-21T08:00:00Z held list: no entry", ERR_INVALID},
};

START_TEST(history_stays_as_it_is)
{
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);

	message.body_present = true;
	message.smtputf8 = true;
	message.recipients[0].history = mem_copy_string(histories[_i].history);
	ck_assert_int_eq(fixture_commit(&to, copy_change(&message, "b\r\n", 3)),
	                 histories[_i].result);
	if (!histories[_i].result) {
		struct spool_message copied = fixture_read(&to, message.id);

		ck_assert_str_eq(copied.recipients[0].history,
		                 histories[_i].history);
		ck_assert(copied.smtputf8);
		spool_message_release(&copied);
	}
	spool_message_release(&message);
}
END_TEST

START_TEST(history_is_bounded)
{
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);
	char *history = mem_alloc(SPOOL_HISTORY_MAXIMUM + 2);
	struct spool_message copied;

	memset(history, 'x', SPOOL_HISTORY_MAXIMUM + 1);
	history[SPOOL_HISTORY_MAXIMUM] = '\n';
	message.body_present = true;
	message.recipients[0].history = history;
	ck_assert_int_eq(fixture_commit(&to, copy_change(&message, "b\r\n", 3)),
	                 ERR_INVALID);
	history[SPOOL_HISTORY_MAXIMUM - 1] = '\n';
	history[SPOOL_HISTORY_MAXIMUM] = '\0';
	ck_assert_int_eq(fixture_commit(&to, copy_change(&message, "b\r\n", 3)),
	                 0);
	copied = fixture_read(&to, message.id);
	ck_assert_str_eq(copied.recipients[0].history, history);
	spool_message_release(&copied);
	spool_message_release(&message);
}
END_TEST

/* A claim of another spool means nothing. */
START_TEST(leases_are_dropped)
{
	struct spool_message message = fixture_message(1, SPOOL_QUEUED);
	struct spool_message copied;
	int64_t due_ms = 0;

	message.body_present = true;
	message.recipients[0].lease_owner = mem_copy_string("another");
	message.recipients[0].lease_until_ms = FIXTURE_NOW_MS + 99999;
	ck_assert_int_eq(fixture_commit(&to, copy_change(&message, "b\r\n", 3)),
	                 0);
	copied = fixture_read(&to, message.id);
	ck_assert_str_eq(copied.recipients[0].lease_owner, "");
	ck_assert_int_eq(copied.recipients[0].lease_until_ms, 0);
	ck_assert_int_eq(spool_next_due(to.spool, &due_ms, NULL), 0);
	ck_assert_int_eq(due_ms, FIXTURE_NOW_MS);
	spool_message_release(&copied);
	spool_message_release(&message);
}
END_TEST

/* Only when told so does it take another's place, with body and all. */
START_TEST(replaces_what_is_there)
{
	struct spool_message message = fixture_message(2, SPOOL_HELD);
	char *body = mem_alloc(LARGE);
	struct spool_change change = copy_change(&message, body, LARGE);
	struct spool_message copied;
	size_t size, deleted = 0;

	message.body_present = true;
	ck_assert_int_eq(fixture_commit(&to, change), 0);
	ck_assert_int_eq(fixture_commit(&to, change), ERR_EXISTS);
	expect_files(1);
	change = copy_change(&message, "short\r\n", 7);
	change.add.replace = true;
	message.registered = true;
	message.recipients[1].state = SPOOL_QUEUED;
	message.recipients[1].attempts = 12;
	ck_assert_int_eq(fixture_commit(&to, change), 0);
	expect_files(0);
	copied = fixture_read(&to, message.id);
	ck_assert(copied.registered);
	ck_assert_uint_eq(copied.recipients[1].attempts, 12);
	spool_message_release(&copied);
	free(fixture_body(&to, message.id, &size));
	ck_assert_uint_eq(size, 7);
	/* An ended one too, which the purge then finds no more. */
	ck_assert_int_eq(fixture_move(&to, message.id, 0, SPOOL_EXPIRED), 0);
	ck_assert_int_eq(fixture_move(&to, message.id, 1, SPOOL_DISCARDED), 0);
	ck_assert_int_eq(fixture_commit(&to, change), 0);
	ck_assert_int_eq(
	    spool_purge(to.spool, FIXTURE_NOW_MS + 99, 10, &deleted, NULL), 0);
	ck_assert_uint_eq(deleted, 0);
	ck_assert_int_eq(fixture_state(&to, message.id, 0), SPOOL_HELD);
	spool_message_release(&message);
	free(body);
}
END_TEST

/* Mail that is over has no body, and is purged in its time. */
START_TEST(what_is_over_is_purged)
{
	struct spool_message message = fixture_message(2, SPOOL_EXPIRED);
	struct spool_change change = copy_change(&message, NULL, 0);
	struct spool_body *body = NULL;
	size_t deleted = 0;

	message.recipients[1].state = SPOOL_DELIVERED;
	message.recipients[1].changed_ms = FIXTURE_NOW_MS + 10;
	message.size = LARGE;
	change.add.body.size = 4;
	change.add.body.bytes = "body";
	ck_assert_int_eq(fixture_commit(&to, change), ERR_INVALID);
	change.add.body.size = 0;
	change.add.body.bytes = NULL;
	ck_assert_int_eq(fixture_commit(&to, change), 0);
	ck_assert_int_eq(spool_body_open(to.spool, &message.id, &body, NULL),
	                 ERR_NOT_FOUND);
	ck_assert_int_eq(
	    spool_purge(to.spool, FIXTURE_NOW_MS + 5, 10, &deleted, NULL), 0);
	ck_assert_uint_eq(deleted, 0);
	ck_assert_int_eq(
	    spool_purge(to.spool, FIXTURE_NOW_MS + 11, 10, &deleted, NULL), 0);
	ck_assert_uint_eq(deleted, 1);
	spool_message_release(&message);
}
END_TEST

/* More than one step of it, and only what was told. */
START_TEST(purge_in_steps)
{
	struct id told = fixture_add(&to, 1, SPOOL_EXPIRED);
	struct id untold = fixture_add(&to, 1, SPOOL_HELD);
	struct spool_change change =
	    fixture_move_change(untold, 0, SPOOL_EXPIRED);
	size_t deleted = 0;

	change.move.event = true;
	ck_assert_int_eq(fixture_commit(&to, change), 0);
	for (int i = 0; i < 99; i++)
		(void)fixture_add(&to, 1, SPOOL_FAILED);
	ck_assert_int_eq(
	    spool_purge(to.spool, FIXTURE_NOW_MS + 99, 70, &deleted, NULL), 0);
	ck_assert_uint_eq(deleted, 70);
	ck_assert_int_eq(
	    spool_purge(to.spool, FIXTURE_NOW_MS + 99, 70, &deleted, NULL), 0);
	ck_assert_uint_eq(deleted, 30);
	ck_assert_int_eq(fixture_state(&to, untold, 0), SPOOL_EXPIRED);
	ck_assert_int_eq(spool_read(to.spool, &told, NULL, NULL),
	                 ERR_NOT_FOUND);
}
END_TEST

static void note_value(const char *name, const char *value, void *context)
{
	char *seen = context;
	size_t length = strlen(seen);

	(void)snprintf(seen + length, 200 - length, "%s=%s;", name, value);
}

START_TEST(values_and_engine)
{
	static const char *const names[] = {"b", "a", "c.d"};
	char seen[200] = "";

	for (size_t i = 0; i < COUNT(names); i++) {
		struct spool_change change = {.kind = SPOOL_SET};

		change.set.name = names[i];
		change.set.value = i ? "x y" : "";
		ck_assert_int_eq(fixture_commit(&to, change), 0);
	}
	ck_assert_int_eq(spool_values_each(to.spool, note_value, seen, NULL),
	                 0);
	ck_assert_str_eq(seen, "a=x y;b=;c.d=x y;");
	ck_assert_ptr_nonnull(strchr(spool_engine(to.spool), ' '));
}
END_TEST

/* "": only where nobody has claimed it. */
START_TEST(move_of_the_unclaimed)
{
	struct id id = fixture_add(&to, 1, SPOOL_QUEUED);
	struct spool_change change =
	    fixture_move_change(id, 0, SPOOL_DISCARDED);
	struct spool_page page = {0};

	ck_assert_int_eq(
	    spool_claim(to.spool, "a", FIXTURE_NOW_MS, 1000, 1, &page, NULL),
	    0);
	spool_page_release(&page);
	change.move.lease_owner = "";
	ck_assert_int_eq(fixture_commit(&to, change), ERR_CONFLICT);
	change.move.lease_owner = "a";
	change.move.to = SPOOL_DEFERRED;
	ck_assert_int_eq(fixture_commit(&to, change), 0);
	change.move.lease_owner = "";
	change.move.to = SPOOL_DISCARDED;
	ck_assert_int_eq(fixture_commit(&to, change), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-copies");
	TCase *tests = tcase_create("copy");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, reads_the_same_and_goes_on_the_same);
	tcase_add_loop_test(tests, history_stays_as_it_is, 0, COUNT(histories));
	tcase_add_test(tests, history_is_bounded);
	tcase_add_test(tests, leases_are_dropped);
	tcase_add_test(tests, replaces_what_is_there);
	tcase_add_test(tests, what_is_over_is_purged);
	tcase_add_test(tests, purge_in_steps);
	tcase_add_test(tests, values_and_engine);
	tcase_add_test(tests, move_of_the_unclaimed);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
