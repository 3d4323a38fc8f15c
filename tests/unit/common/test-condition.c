/* Waits on conditions: signals, their time, and a clock that is moved. */
#include <pthread.h>
#include <stdatomic.h>

#include "common/background.h"
#include "common/clock.h"
#include "common/condition.h"
#include "tests/support/await.h"
#include "tests/support/suite.h"

#define HOUR_MS  INT64_C(3600000)
#define SLEEPERS 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;
static atomic_int waiting, over;
static bool signalled;

static void setup(void)
{
	condition_init(&condition);
	signalled = false;
	waiting = over = 0;
}

static void teardown(void)
{
	(void)pthread_cond_destroy(&condition);
}

/* Waits for the signal until the moment that context points to. */
static void *wait_for_signal(void *context)
{
	const int64_t *until_ms = context;

	(void)pthread_mutex_lock(&lock);
	waiting++;
	while (!signalled && condition_wait_until(&condition, &lock, *until_ms))
		;
	over++;
	(void)pthread_mutex_unlock(&lock);
	return NULL;
}

static void *move_on(void *context)
{
	(void)context;
	condition_move_clock_ms(HOUR_MS);
	return NULL;
}

static void start(pthread_t *thread, void *(*run)(void *), void *context)
{
	ck_assert_int_eq(pthread_create(thread, NULL, run, context), 0);
}

START_TEST(test_signal)
{
	int64_t until_ms = clock_monotonic_ms() + HOUR_MS;
	pthread_t thread;

	start(&thread, wait_for_signal, &until_ms);
	await(waiting == 1);
	(void)pthread_mutex_lock(&lock);
	signalled = true;
	(void)pthread_cond_signal(&condition);
	(void)pthread_mutex_unlock(&lock);
	(void)pthread_join(thread, NULL);
	ck_assert_int_lt(clock_monotonic_ms(), until_ms);
}
END_TEST

START_TEST(test_time)
{
	int64_t begin_ms = clock_monotonic_ms(), until_ms = begin_ms + 20;

	wait_for_signal(&until_ms);
	ck_assert_int_ge(clock_monotonic_ms(), until_ms);
	until_ms = begin_ms;
	wait_for_signal(&until_ms);
}
END_TEST

/* Whose moment has come ends, and the others wait on. */
START_TEST(test_moved_clock)
{
	int64_t now_ms = clock_monotonic_ms(), wall_ms = clock_wall_ms();
	int64_t until_ms[] = {now_ms + HOUR_MS / 2, now_ms + 3 * HOUR_MS / 2};
	pthread_t threads[2 * SLEEPERS];
	int i;

	for (i = 0; i < 2 * SLEEPERS; i++)
		start(&threads[i], wait_for_signal, &until_ms[i % 2]);
	await(waiting == 2 * SLEEPERS);
	condition_move_clock_ms(HOUR_MS);
	ck_assert_int_ge(clock_wall_ms() - wall_ms, HOUR_MS);
	ck_assert_int_eq(clock_moved_ms(), HOUR_MS);
	for (i = 0; i < 2 * SLEEPERS; i += 2)
		(void)pthread_join(threads[i], NULL);
	ck_assert_int_eq(over, SLEEPERS);
	condition_move_clock_ms(HOUR_MS);
	for (i = 1; i < 2 * SLEEPERS; i += 2)
		(void)pthread_join(threads[i], NULL);
}
END_TEST

/* However the move and the wait's beginning fall together, none sleeps on. */
START_TEST(test_moved_while_it_begins)
{
	int64_t until_ms[SLEEPERS];
	pthread_t threads[SLEEPERS], mover;
	int i;

	for (i = 0; i < SLEEPERS; i++) {
		until_ms[i] = clock_monotonic_ms() + HOUR_MS;
		start(&threads[i], wait_for_signal, &until_ms[i]);
	}
	start(&mover, move_on, NULL);
	for (i = 0; i < SLEEPERS; i++)
		(void)pthread_join(threads[i], NULL);
	(void)pthread_join(mover, NULL);
	ck_assert_int_eq(over, SLEEPERS);
}
END_TEST

static struct background rounds;

static void *count_rounds(void *context)
{
	(void)context;
	while (background_rest(&rounds, HOUR_MS))
		over++;
	return NULL;
}

/* A thread of the daemons that works in rounds makes one when it is moved. */
START_TEST(test_rounds)
{
	struct error err;
	int i;

	ck_assert_int_eq(
	    background_start(&rounds, "rounds", count_rounds, NULL, &err), 0);
	for (i = 1; i <= 3; i++) {
		await((condition_move_clock_ms(HOUR_MS), over >= i));
		ck_assert_int_ge(over, i);
	}
	background_stop(&rounds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("condition");
	TCase *tests = tcase_create("waits");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_signal);
	tcase_add_test(tests, test_time);
	tcase_add_test(tests, test_moved_clock);
	tcase_add_loop_test(tests, test_moved_while_it_begins, 0, 20);
	tcase_add_test(tests, test_rounds);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
