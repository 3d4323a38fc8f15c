/* The spool's contract: every change of state, allowed and refused. */
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

/* A row a state, in the order of the enumeration; a column a new state. */
static const char *const allowed[SPOOL_STATE_COUNT] = {
    /* to: held queued deferred delivered failed discarded expired quar. */
    [SPOOL_HELD] = "-q---xe-",     [SPOOL_QUEUED] = "-qdDFx--",
    [SPOOL_DEFERRED] = "-qdDFx--", [SPOOL_DELIVERED] = "--------",
    [SPOOL_FAILED] = "-q---xe-",   [SPOOL_DISCARDED] = "--------",
    [SPOOL_EXPIRED] = "--------",  [SPOOL_QUARANTINED] = "-q---xe-",
};

/* A message in a state, kept if it is one that failed. */
static struct id add_kept(enum spool_state state)
{
	struct spool_message message = fixture_message(1, state);
	struct id id = message.id;

	if (state == SPOOL_FAILED)
		message.recipients[0].keep_until_ms = FIXTURE_NOW_MS + 1000;
	ck_assert_int_eq(fixture_commit(&fixture, fixture_add_change(
	                                              &message, "body\r\n", 6)),
	                 0);
	spool_message_release(&message);
	return id;
}

START_TEST(every_change)
{
	for (int from = 0; from < SPOOL_STATE_COUNT; from++) {
		for (int to = 0; to < SPOOL_STATE_COUNT; to++) {
			bool may = allowed[from][to] != '-';
			struct id id = add_kept((enum spool_state)from);
			int result =
			    fixture_move(&fixture, id, 0, (enum spool_state)to);

			ck_assert_msg(result == (may ? 0 : ERR_INVALID),
			              "%d to %d: %d", from, to, result);
			ck_assert_int_eq(fixture_state(&fixture, id, 0),
			                 may ? to : from);
			ck_assert_int_eq(
			    spool_state_may_become((enum spool_state)from,
			                           (enum spool_state)to),
			    may);
		}
	}
}
END_TEST

START_TEST(only_from_the_states_named)
{
	for (int from = 0; from < SPOOL_STATE_COUNT; from++) {
		struct id id = fixture_add(&fixture, 1, (enum spool_state)from);
		struct spool_change change =
		    fixture_move_change(id, 0, SPOOL_QUEUED);

		change.move.from &= ~SPOOL_IN(from);
		ck_assert_int_eq(fixture_commit(&fixture, change),
		                 ERR_CONFLICT);
		ck_assert_int_eq(fixture_state(&fixture, id, 0), from);
	}
}
END_TEST

START_TEST(what_a_move_records)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct spool_change change = fixture_move_change(id, 0, SPOOL_DEFERRED);
	struct spool_message message;

	change.move.attempted = true;
	change.move.event = true; /* of final states only */
	change.move.reply = "451 4.3.0 later";
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	change.move.to = SPOOL_QUEUED;
	change.move.attempted = false;
	change.move.reply = NULL;
	change.move.why = NULL;
	change.move.now_ms += 10;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	message = fixture_read(&fixture, id);
	ck_assert_uint_eq(message.recipients[0].attempts, 1);
	ck_assert_int_eq(message.recipients[0].changed_ms, FIXTURE_NOW_MS + 15);
	ck_assert_int_eq(message.recipients[0].next_attempt_ms,
	                 FIXTURE_NOW_MS + 7);
	ck_assert_str_eq(message.recipients[0].by, "admin");
	ck_assert_str_eq(message.recipients[0].why, "");
	ck_assert_str_eq(message.recipients[0].reply, "451 4.3.0 later");
	ck_assert(!message.recipients[0].event_pending);
	spool_message_release(&message);
}
END_TEST

/* Moves the first recipient and compares its whole history with this. */
static void move_and_compare(struct id id, enum spool_state to, int64_t now_ms,
                             const char *by, const char *why,
                             const char *expected)
{
	struct spool_change change = fixture_move_change(id, 0, to);
	struct spool_message message;

	change.move.now_ms = now_ms;
	change.move.by = by;
	change.move.why = why;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	message = fixture_read(&fixture, id);
	ck_assert_str_eq(message.recipients[0].history, expected);
	ck_assert_str_eq(message.recipients[0].by, by ? by : "");
	ck_assert_str_eq(message.recipients[0].why, why ? why : "");
	spool_message_release(&message);
}

#define HELD     "2026-11-21T08:00:00.000Z held list: no entry\n"
#define QUEUED   "2026-11-21T08:00:01.000Z queued captcha: solved\n"
#define DEFERRED "2026-11-21T08:00:02.000Z deferred captcha: solved"

START_TEST(history_has_every_state_before)
{
	struct id id = fixture_add(&fixture, 2, SPOOL_HELD);
	struct spool_message message = fixture_read(&fixture, id);
	int64_t now_ms = FIXTURE_NOW_MS + 1000;

	ck_assert_str_eq(message.recipients[0].history, "");
	spool_message_release(&message);
	move_and_compare(id, SPOOL_QUEUED, now_ms, "captcha", "solved", HELD);
	now_ms += 1000;
	move_and_compare(id, SPOOL_DEFERRED, now_ms, "captcha", "solved",
	                 HELD QUEUED);
	fixture_reopen(&fixture);
	/* Tries that follow each other are counted, others are not. */
	move_and_compare(id, SPOOL_DEFERRED, now_ms + 1, "captcha", "solved",
	                 HELD QUEUED DEFERRED "\n");
	move_and_compare(id, SPOOL_DEFERRED, now_ms + 2, "captcha", "solved",
	                 HELD QUEUED DEFERRED " (2 times)\n");
	move_and_compare(id, SPOOL_DEFERRED, now_ms + 3, "admin", "",
	                 HELD QUEUED DEFERRED " (3 times)\n");
	move_and_compare(id, SPOOL_QUEUED, now_ms + 4, NULL, NULL,
	                 HELD QUEUED DEFERRED " (3 times)\n"
	                                      "2026-11-21T08:00:02.003Z "
	                                      "deferred admin: \n");
	move_and_compare(id, SPOOL_DELIVERED, now_ms + 5, "", "",
	                 HELD QUEUED DEFERRED
	                 " (3 times)\n"
	                 "2026-11-21T08:00:02.003Z deferred admin: \n"
	                 "2026-11-21T08:00:02.004Z queued : \n");
	message = fixture_read(&fixture, id);
	ck_assert_str_eq(message.recipients[1].history, "");
	spool_message_release(&message);
}
END_TEST

START_TEST(history_is_that_of_the_changes_made)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct spool_change change = fixture_move_change(id, 0, SPOOL_QUEUED);
	struct spool_message message;

	change.move.from = SPOOL_IN(SPOOL_QUARANTINED);
	ck_assert_int_eq(fixture_commit(&fixture, change), ERR_CONFLICT);
	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DELIVERED),
	                 ERR_INVALID);
	message = fixture_read(&fixture, id);
	ck_assert_str_eq(message.recipients[0].history, "");
	spool_message_release(&message);
}
END_TEST

/* Texts that would look like lines, or like what is kept of one. */
static const struct {
	const char *by, *why, *line;
} hostile[] = {
    {"a", "b\n2026-11-21T08:00:00.000Z held x: y",
     "deferred a: b 2026-11-21T08:00:00.000Z held x: y\n"},
    {"a\r", "\t\x7f\x01", "deferred a :    \n"},
    {"", "\n", "deferred :  \n"},
    {"...", "\n...\n", "deferred ...:  ... \n"},
    {"x: y", " : z", "deferred x: y:  : z\n"},
    {"%s%n", "'; DROP TABLE recipient; --",
     "deferred %s%n: '; DROP TABLE recipient; --\n"},
    {"a", "b (4294967295 times)", "deferred a: b (4294967295 times)\n"},
};

START_TEST(history_keeps_to_its_lines)
{
	const char *by = hostile[_i].by;
	const char *why = hostile[_i].why;
	const char *start = HELD "2026-11-21T08:00:01.000Z ";
	struct id id = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct spool_change change = fixture_move_change(id, 0, SPOOL_DEFERRED);
	struct spool_message message;
	const char *line;

	change.move.by = by;
	change.move.why = why;
	change.move.now_ms = FIXTURE_NOW_MS + 1000;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	/* The same again, so that the record could leave it out. */
	change.move.to = SPOOL_FAILED;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	message = fixture_read(&fixture, id);
	line = strchr(message.recipients[0].history, '\n') + 1;
	ck_assert_uint_eq((size_t)(line - message.recipients[0].history),
	                  strlen(HELD) + strlen("queued") - strlen("held"));
	ck_assert_uint_gt(strlen(line), strlen(start) - strlen(HELD));
	ck_assert_str_eq(line + strlen(start) - strlen(HELD), hostile[_i].line);
	spool_message_release(&message);
}
END_TEST

/* Whether text is whole lines, each with a time or the gap. */
static void check_lines(const char *text, size_t *lines, size_t *gaps)
{
	*lines = *gaps = 0;
	while (*text) {
		size_t length = strcspn(text, "\n");

		ck_assert_int_eq(text[length], '\n');
		ck_assert_uint_lt(length, 1024);
		if (!strncmp(text, "...\n", 4))
			++*gaps;
		else
			ck_assert(!strncmp(text, "2026-11-21T", 11));
		++*lines;
		text += length + 1;
	}
}

/* Rows: how long the reasons are; the last is cut within a character. */
static const size_t reasons[] = {0, 1, 100, 900, 1000, 5000};

START_TEST(history_is_bounded)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct spool_change change = fixture_move_change(id, 0, SPOOL_QUEUED);
	char why[6000] = "", by[32];
	size_t lines = 0, gaps = 0;
	struct spool_message message;

	for (size_t i = 0; i + 1 < reasons[_i]; i += 2)
		memcpy(why + i, "\xc3\xa9", 3);
	change.move.by = by;
	change.move.why = why;
	for (int i = 0; i < 200; i++) {
		char expected[64];

		(void)snprintf(by, sizeof(by), "number-%d", i);
		change.move.now_ms = FIXTURE_NOW_MS + i;
		ck_assert_int_eq(fixture_commit(&fixture, change), 0);
		message = fixture_read(&fixture, id);
		check_lines(message.recipients[0].history, &lines, &gaps);
		ck_assert_uint_le(strlen(message.recipients[0].history),
		                  SPOOL_HISTORY_MAXIMUM);
		ck_assert_uint_le(gaps, 1);
		ck_assert(!strncmp(message.recipients[0].history, HELD,
		                   strlen(HELD)));
		/* What was last is there, one before the present. */
		(void)snprintf(expected, sizeof(expected),
		               " queued number-%d: ", i - 1);
		ck_assert(i == 0 ||
		          strstr(message.recipients[0].history, expected));
		spool_message_release(&message);
	}
	ck_assert_uint_eq(gaps, 1);
	/* As many as there is room for. */
	ck_assert_uint_ge(lines, reasons[_i] <= 1 ? 60 : 5);
}
END_TEST

START_TEST(body_goes_with_the_last_recipient)
{
	struct id id = fixture_add(&fixture, 3, SPOOL_QUEUED);
	struct spool_body *body = NULL;
	struct spool_totals totals;
	struct spool_message message;
	struct error err;

	ck_assert_int_eq(fixture_move(&fixture, id, 0, SPOOL_DELIVERED), 0);
	ck_assert_int_eq(fixture_move(&fixture, id, 2, SPOOL_FAILED), 0);
	ck_assert_int_eq(spool_body_open(fixture.spool, &id, &body, &err), 0);
	spool_body_close(body);
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_DEFERRED), 0);
	message = fixture_read(&fixture, id);
	ck_assert(message.body_present);
	spool_message_release(&message);
	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_DISCARDED), 0);
	ck_assert_int_eq(spool_body_open(fixture.spool, &id, &body, &err),
	                 ERR_NOT_FOUND);
	message = fixture_read(&fixture, id);
	ck_assert(!message.body_present);
	spool_message_release(&message);
	ck_assert_int_eq(spool_count(fixture.spool, &totals, &err), 0);
	ck_assert_int_eq(totals.body_bytes, 0);
}
END_TEST

START_TEST(final_at_once_keeps_no_body)
{
	struct id id = fixture_add(&fixture, 2, SPOOL_DISCARDED);
	struct spool_message message = fixture_read(&fixture, id);
	size_t deleted = 9;
	struct error err;

	ck_assert(!message.body_present);
	spool_message_release(&message);
	ck_assert_int_eq(
	    spool_purge(fixture.spool, FIXTURE_NOW_MS + 1, 10, &deleted, &err),
	    0);
	ck_assert_uint_eq(deleted, 1);
}
END_TEST

static size_t count_events(void)
{
	return fixture_count(&fixture,
	                     (struct spool_query){.event_pending = true});
}

START_TEST(ends_are_told_once)
{
	struct id id = fixture_add(&fixture, 2, SPOOL_QUEUED);
	struct spool_change change =
	    fixture_move_change(id, 0, SPOOL_DELIVERED);
	struct spool_change reported = {.kind = SPOOL_REPORTED,
	                                .mark = {.id = id, .recipient = 0}};

	ck_assert_int_eq(fixture_move(&fixture, id, 1, SPOOL_DELIVERED), 0);
	ck_assert_uint_eq(count_events(), 0);
	change.move.event = true;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	ck_assert_uint_eq(count_events(), 1);
	ck_assert_int_eq(fixture_commit(&fixture, reported), 0);
	ck_assert_uint_eq(count_events(), 0);
	ck_assert_int_eq(fixture_commit(&fixture, reported), 0);
}
END_TEST

START_TEST(registered_once)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct spool_change registered = {.kind = SPOOL_REGISTERED,
	                                  .mark = {.id = id}};
	struct spool_message message;

	ck_assert_int_eq(fixture_commit(&fixture, registered), 0);
	ck_assert_int_eq(fixture_commit(&fixture, registered), 0);
	message = fixture_read(&fixture, id);
	ck_assert(message.registered);
	spool_message_release(&message);
}
END_TEST

static size_t count_unregistered(int64_t retry_until_ms)
{
	return fixture_count(
	    &fixture, (struct spool_query){.unregistered = true,
	                                   .retry_until_ms = retry_until_ms});
}

static void expect_refusal(struct id id, unsigned attempts, int64_t retry_ms,
                           const char *refusal)
{
	struct spool_message message = fixture_read(&fixture, id);

	ck_assert_uint_eq(message.registration_attempts, attempts);
	ck_assert_int_eq(message.registration_retry_ms, retry_ms);
	ck_assert_str_eq(message.registration_refusal, refusal);
	spool_message_release(&message);
}

static struct spool_change refusal_of(struct id id, int64_t retry_ms,
                                      const char *refusal)
{
	return (struct spool_change){
	    .kind = SPOOL_REFUSED,
	    .refuse = {.id = id, .retry_ms = retry_ms, .refusal = refusal}};
}

START_TEST(refusals_outlive_a_restart_and_wait)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);

	expect_refusal(id, 0, 0, "");
	ck_assert_int_eq(
	    fixture_commit(&fixture, refusal_of(id, FIXTURE_NOW_MS + 5, "no")),
	    0);
	ck_assert_int_eq(
	    fixture_commit(&fixture,
	                   refusal_of(id, FIXTURE_NOW_MS + 9, "never")),
	    0);
	fixture_reopen(&fixture);
	expect_refusal(id, 2, FIXTURE_NOW_MS + 9, "never");
	ck_assert_uint_eq(count_unregistered(0), 1);
	ck_assert_uint_eq(count_unregistered(FIXTURE_NOW_MS + 8), 0);
	ck_assert_uint_eq(count_unregistered(FIXTURE_NOW_MS + 9), 1);
}
END_TEST

/* A later success clears it; what single recipients were told stays. */
START_TEST(refusals_end_with_the_registration)
{
	static const char *const refusals[] = {NULL, "", "x@y: no"};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
		struct spool_change registered = {
		    .kind = SPOOL_REGISTERED,
		    .mark = {.id = id, .refusal = refusals[i]}};

		(void)fixture_commit(&fixture,
		                     refusal_of(id, FIXTURE_NOW_MS, "no"));
		ck_assert_int_eq(fixture_commit(&fixture, registered), 0);
		expect_refusal(id, 0, 0, refusals[i] ? refusals[i] : "");
		/* Said once more, it changes nothing. */
		registered.mark.refusal = "another";
		ck_assert_int_eq(fixture_commit(&fixture, registered), 0);
		expect_refusal(id, 0, 0, refusals[i] ? refusals[i] : "");
		ck_assert_int_eq(
		    fixture_commit(&fixture, refusal_of(id, 1, "no")),
		    ERR_CONFLICT);
	}
}
END_TEST

START_TEST(refusals_are_checked)
{
	struct id id = fixture_add(&fixture, 1, SPOOL_HELD);
	struct id none = {{0}};
	char longest[SPOOL_REFUSAL_MAXIMUM + 2];

	memset(longest, 'x', sizeof(longest));
	longest[SPOOL_REFUSAL_MAXIMUM + 1] = '\0';
	ck_assert_int_eq(fixture_commit(&fixture, refusal_of(id, 1, longest)),
	                 ERR_INVALID);
	ck_assert_int_eq(fixture_commit(&fixture, refusal_of(id, 1, NULL)),
	                 ERR_INVALID);
	ck_assert_int_eq(fixture_commit(&fixture, refusal_of(none, 1, "no")),
	                 ERR_INVALID);
	ck_assert_int_eq(
	    fixture_commit(&fixture, refusal_of(id_new(), 1, "no")),
	    ERR_NOT_FOUND);
	longest[SPOOL_REFUSAL_MAXIMUM] = '\0';
	ck_assert_int_eq(fixture_commit(&fixture, refusal_of(id, 1, longest)),
	                 0);
	expect_refusal(id, 1, 1, longest);
}
END_TEST

START_TEST(purge_takes_what_is_over_and_told)
{
	struct id told = fixture_add(&fixture, 2, SPOOL_QUEUED);
	struct id untold = fixture_add(&fixture, 1, SPOOL_QUEUED);
	struct id open = fixture_add(&fixture, 2, SPOOL_QUEUED);
	struct spool_change change;
	struct spool_totals totals;
	struct spool_message message;
	size_t deleted = 9;
	struct error err;

	ck_assert_int_eq(fixture_move(&fixture, told, 0, SPOOL_DELIVERED), 0);
	ck_assert_int_eq(fixture_move(&fixture, told, 1, SPOOL_FAILED), 0);
	ck_assert_int_eq(fixture_move(&fixture, open, 1, SPOOL_FAILED), 0);
	change = fixture_move_change(untold, 0, SPOOL_DELIVERED);
	change.move.event = true;
	ck_assert_int_eq(fixture_commit(&fixture, change), 0);
	/* Changed at NOW + 5: not before that. */
	ck_assert_int_eq(
	    spool_purge(fixture.spool, FIXTURE_NOW_MS + 5, 10, &deleted, &err),
	    0);
	ck_assert_uint_eq(deleted, 0);
	ck_assert_int_eq(
	    spool_purge(fixture.spool, FIXTURE_NOW_MS + 6, 10, &deleted, &err),
	    0);
	ck_assert_uint_eq(deleted, 1);
	ck_assert_int_eq(spool_read(fixture.spool, &told, &message, &err),
	                 ERR_NOT_FOUND);
	ck_assert_int_eq(spool_count(fixture.spool, &totals, &err), 0);
	ck_assert_int_eq(totals.recipients[SPOOL_DELIVERED], 1);
	ck_assert_int_eq(totals.recipients[SPOOL_FAILED], 1);
	ck_assert_int_eq(totals.recipients[SPOOL_QUEUED], 1);
	ck_assert_int_eq(totals.unregistered, 2);
}
END_TEST

START_TEST(purge_keeps_to_its_limit)
{
	size_t deleted = 0;
	size_t sum = 0;
	struct error err;

	for (int i = 0; i < 7; i++)
		(void)fixture_add(&fixture, 1, SPOOL_EXPIRED);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(spool_purge(fixture.spool, FIXTURE_NOW_MS + 1,
		                             3, &deleted, &err),
		                 0);
		ck_assert_uint_le(deleted, 3);
		sum += deleted;
	}
	ck_assert_uint_eq(sum, 7);
	ck_assert_uint_eq(deleted, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spool-states");
	TCase *tests = tcase_create("states");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, every_change);
	tcase_add_test(tests, only_from_the_states_named);
	tcase_add_test(tests, what_a_move_records);
	tcase_add_test(tests, history_has_every_state_before);
	tcase_add_test(tests, history_is_that_of_the_changes_made);
	tcase_add_loop_test(tests, history_keeps_to_its_lines, 0,
	                    (int)(sizeof(hostile) / sizeof(hostile[0])));
	tcase_add_loop_test(tests, history_is_bounded, 0,
	                    (int)(sizeof(reasons) / sizeof(reasons[0])));
	tcase_add_test(tests, body_goes_with_the_last_recipient);
	tcase_add_test(tests, final_at_once_keeps_no_body);
	tcase_add_test(tests, ends_are_told_once);
	tcase_add_test(tests, registered_once);
	tcase_add_test(tests, refusals_outlive_a_restart_and_wait);
	tcase_add_test(tests, refusals_end_with_the_registration);
	tcase_add_test(tests, refusals_are_checked);
	tcase_add_test(tests, purge_takes_what_is_over_and_told);
	tcase_add_test(tests, purge_keeps_to_its_limit);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
