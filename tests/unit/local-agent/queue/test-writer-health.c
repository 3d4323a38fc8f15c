/* Tests of what the writer makes of the results of its commits. */
#include "local-agent/queue/writer-health.h"

#include "tests/unit/local-agent/lab.h"

static struct writer_health health;

static void setup(void)
{
	lab_init();
	writer_health_init(&health, 20, 0);
}

static bool end(const struct spool_change *changes, size_t count, int result)
{
	static const struct error detail = {.text = "detail"};

	writer_health_begin(&health);
	return writer_health_end(&health, changes, count, result, &detail);
}

/* A commit of two changes: its result, theirs, and what is known then. */
static const struct {
	int result, changes[2];
	int failure, away;
	bool broken;
} commits[] = {
    {0, {0, 0}, 0, 0, false},
    {0, {ERR_CONFLICT, ERR_NOT_FOUND}, 0, 0, false},
    {ERR_FULL, {0, 0}, ERR_FULL, 0, false},
    {ERR_MEMORY, {0, 0}, ERR_MEMORY, 0, false},
    {ERR_UNAVAILABLE, {0, 0}, ERR_UNAVAILABLE, ERR_UNAVAILABLE, false},
    {ERR_TIMEOUT, {0, 0}, ERR_TIMEOUT, ERR_UNAVAILABLE, false},
    {ERR_UNCERTAIN, {0, 0}, ERR_UNCERTAIN, ERR_UNAVAILABLE, false},
    {ERR_DENIED, {0, 0}, ERR_DENIED, ERR_DENIED, false},
    {ERR_IO, {0, 0}, ERR_IO, 0, true},
    {ERR_CORRUPT, {0, 0}, ERR_CORRUPT, 0, true},
    /* The store committed nothing, and told each change so. */
    {0, {ERR_TIMEOUT, ERR_FULL}, ERR_TIMEOUT, ERR_UNAVAILABLE, false},
    {0, {ERR_FULL, ERR_TIMEOUT}, ERR_FULL, 0, false},
    {0, {ERR_TIMEOUT, ERR_CONFLICT}, 0, 0, false},
    {0, {0, ERR_TIMEOUT}, 0, 0, false},
};

START_TEST(commit_tells)
{
	const struct spool_change changes[] = {
	    {.result = commits[_i].changes[0]},
	    {.result = commits[_i].changes[1]}};
	const struct spool_change good = {.result = 0};

	ck_assert_int_eq(end(changes, 2, commits[_i].result),
	                 commits[_i].broken);
	ck_assert_int_eq(writer_health_failure(&health), commits[_i].failure);
	ck_assert_int_eq(writer_health_away(&health), commits[_i].away);
	ck_assert_int_eq(writer_health_is_broken(&health), commits[_i].broken);
	/* The next success ends it, but nothing mends a broken spool. */
	ck_assert(!end(&good, 1, 0));
	ck_assert_int_eq(writer_health_failure(&health), 0);
	ck_assert_int_eq(writer_health_away(&health), 0);
	ck_assert_int_eq(writer_health_is_broken(&health), commits[_i].broken);
}
END_TEST

START_TEST(breaks_once)
{
	ck_assert(end(NULL, 0, ERR_IO));
	ck_assert(!end(NULL, 0, ERR_CORRUPT));
	ck_assert(writer_health_is_broken(&health));
}
END_TEST

/* What is full does not make a store near that was away. */
START_TEST(away_until_a_commit_succeeds)
{
	ck_assert(!end(NULL, 0, ERR_TIMEOUT));
	ck_assert(!end(NULL, 0, ERR_FULL));
	ck_assert_int_eq(writer_health_failure(&health), ERR_FULL);
	ck_assert_int_eq(writer_health_away(&health), ERR_UNAVAILABLE);
	ck_assert(!end(NULL, 0, 0));
	ck_assert_int_eq(writer_health_away(&health), 0);
}
END_TEST

START_TEST(pauses_grow_to_their_maximum)
{
	int64_t before_ms, pause_ms = 0;
	int i;

	for (i = 0; i < 20; i++) {
		before_ms = clock_monotonic_ms();
		ck_assert(!end(NULL, 0, ERR_FULL));
		pause_ms = health.try_again_ms - before_ms;
		ck_assert_int_gt(pause_ms, 0);
		ck_assert_int_le(pause_ms,
		                 2100 + clock_monotonic_ms() - before_ms);
		if (i == 0)
			ck_assert_int_le(pause_ms, 1000);
	}
	ck_assert_int_ge(pause_ms, 2000);
}
END_TEST

START_TEST(long_commit_is_as_if_away)
{
	writer_health_begin(&health);
	ck_assert_int_eq(writer_health_failure(&health), 0);
	LAB_AWAIT(writer_health_away(&health) == ERR_UNAVAILABLE);
	ck_assert(!writer_health_end(&health, NULL, 0, 0, NULL));
	ck_assert_int_eq(writer_health_away(&health), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent writer: health");
	TCase *tests = tcase_create("health");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_loop_test(tests, commit_tells, 0, LAB_COUNT(commits));
	tcase_add_test(tests, breaks_once);
	tcase_add_test(tests, away_until_a_commit_succeeds);
	tcase_add_test(tests, pauses_grow_to_their_maximum);
	tcase_add_test(tests, long_commit_is_as_if_away);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
