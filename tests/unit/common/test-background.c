/* Threads in rounds and waits by the monotonic clock. */
#include <sched.h>
#include <stdatomic.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/condition.h"
#include "tests/support/suite.h"

#define LONG_MS (600 * 1000)

struct rounds {
	struct background background;
	int64_t pause_ms;
	atomic_int count;
};

static void *run(void *context)
{
	struct rounds *rounds = context;

	do
		atomic_fetch_add(&rounds->count, 1);
	while (background_rest(&rounds->background, rounds->pause_ms));
	return NULL;
}

static void start(struct rounds *rounds, int64_t pause_ms)
{
	struct error err = {0};

	rounds->pause_ms = pause_ms;
	ck_assert_int_eq(
	    background_start(&rounds->background, "rounds", run, rounds, &err),
	    0);
}

static void await_rounds(struct rounds *rounds, int count)
{
	while (atomic_load(&rounds->count) < count)
		sched_yield();
}

START_TEST(test_rounds_go_on)
{
	struct rounds rounds = {0};

	start(&rounds, 1);
	await_rounds(&rounds, 5);
	background_stop(&rounds.background);
}
END_TEST

START_TEST(test_a_long_rest_is_cut_short)
{
	int64_t begin_ms = clock_monotonic_ms();
	struct rounds rounds = {0};

	start(&rounds, LONG_MS);
	await_rounds(&rounds, 1);
	background_stop(&rounds.background);
	ck_assert_int_eq(atomic_load(&rounds.count), 1);
	ck_assert_int_lt(clock_monotonic_ms() - begin_ms, 10 * 1000);
}
END_TEST

START_TEST(test_end_comes_before_stop)
{
	struct rounds rounds = {0};

	start(&rounds, LONG_MS);
	background_end(&rounds.background);
	background_end(&rounds.background);
	background_stop(&rounds.background);
	ck_assert_int_eq(atomic_load(&rounds.count), 1);
}
END_TEST

START_TEST(test_what_never_started_stops)
{
	struct background background = {0};

	background_end(&background);
	background_stop(&background);
	ck_assert(!background.started);
}
END_TEST

START_TEST(test_it_starts_again)
{
	struct rounds rounds = {0};

	start(&rounds, LONG_MS);
	background_stop(&rounds.background);
	start(&rounds, 1);
	await_rounds(&rounds, 4);
	background_stop(&rounds.background);
}
END_TEST

START_TEST(test_a_wait_ends_at_its_moment)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t condition;
	int64_t until_ms = clock_monotonic_ms() + 30;

	condition_init(&condition);
	(void)pthread_mutex_lock(&lock);
	while (condition_wait_until(&condition, &lock, until_ms))
		;
	ck_assert_int_ge(clock_monotonic_ms(), until_ms);
	/* A moment that has passed is no wait at all. */
	ck_assert(!condition_wait_until(&condition, &lock, 1));
	(void)pthread_mutex_unlock(&lock);
	(void)pthread_cond_destroy(&condition);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("background");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, test_rounds_go_on);
	tcase_add_test(cases, test_a_long_rest_is_cut_short);
	tcase_add_test(cases, test_end_comes_before_stop);
	tcase_add_test(cases, test_what_never_started_stops);
	tcase_add_test(cases, test_it_starts_again);
	tcase_add_test(cases, test_a_wait_ends_at_its_moment);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
