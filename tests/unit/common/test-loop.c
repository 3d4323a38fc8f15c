/* The event loop: order of what is posted, timers, and its end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/loop.h"
#include "tests/support/await.h"
#include "tests/support/suite.h"

static struct loop *loop;
static _Atomic int count;
static int last[4], out_of_order;

static void start(void)
{
	struct error err;

	count = 0;
	out_of_order = 0;
	memset(last, 0, sizeof(last));
	ck_assert_int_eq(loop_start(&loop, "test", &err), 0);
}

static void stop(void)
{
	loop_stop(loop);
}

struct step {
	int thread, number;
};

static void take_step(void *argument)
{
	struct step *step = argument;

	if (step->number != last[step->thread] + 1 || !loop_is_current(loop))
		out_of_order++;
	last[step->thread] = step->number;
	count++;
	free(step);
}

static void *post_steps(void *argument)
{
	int i;

	for (i = 1; i <= 5000; i++) {
		struct step *step = malloc(sizeof(*step));

		step->thread = *(int *)argument;
		step->number = i;
		loop_post(loop, take_step, step);
	}
	return NULL;
}

START_TEST(test_posts)
{
	static int numbers[4] = {0, 1, 2, 3};
	pthread_t threads[4];
	int i;

	ck_assert(!loop_is_current(loop));
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, post_steps, &numbers[i]),
		    0);
	for (i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	/* The end comes after all that was posted before. */
	stop();
	ck_assert_int_eq(count, 20000);
	ck_assert_int_eq(out_of_order, 0);
	start();
}
END_TEST

static void post_another(void *argument)
{
	int *left = argument;

	count++;
	if ((*left)-- > 0)
		loop_post(loop, post_another, argument);
}

/* What runs at the end may post, and that runs too. */
START_TEST(test_posts_at_the_end)
{
	int left = 100;

	loop_post(loop, post_another, &left);
	stop();
	ck_assert_int_eq(count, 101);
	start();
}
END_TEST

static struct loop_timer *timers[3];
static int64_t fired_ms[3];
static int fired[3];

static void fire(void *argument)
{
	int number = *(int *)argument;

	fired[number]++;
	fired_ms[number] = clock_monotonic_ms();
	count++;
	/* The first stops the second and starts itself once more. */
	if (number == 0 && fired[0] == 1) {
		loop_timer_stop(timers[1]);
		loop_timer_start(timers[0], 30);
	}
}

static void start_timers(void *argument)
{
	static int numbers[3] = {0, 1, 2};
	int i;

	(void)argument;
	for (i = 0; i < 3; i++)
		timers[i] = loop_timer_new(loop, fire, &numbers[i]);
	loop_timer_start(timers[0], 50);
	loop_timer_start(timers[1], 150);
	loop_timer_start(timers[2], 10);
	loop_timer_start(timers[2], 200); /* set anew: once, later */
	loop_timer_stop(timers[1]);
	loop_timer_start(timers[1], 150);
}

static void free_timers(void *argument)
{
	int i;

	(void)argument;
	for (i = 0; i < 3; i++)
		loop_timer_free(timers[i]);
	loop_timer_free(NULL);
}

START_TEST(test_timers)
{
	int64_t begin = clock_monotonic_ms();

	loop_post(loop, start_timers, NULL);
	await(count >= 3);
	loop_post(loop, free_timers, NULL);
	stop();
	ck_assert_int_eq(fired[0], 2);
	ck_assert_int_eq(fired[1], 0);
	ck_assert_int_eq(fired[2], 1);
	ck_assert_int_ge(fired_ms[0] - begin, 75);
	ck_assert_int_ge(fired_ms[2] - begin, 195);
	/* Loose: a busy machine is late. */
	ck_assert_int_lt(fired_ms[2] - begin, 10000);
	start();
}
END_TEST

START_TEST(test_many_loops)
{
	struct loop *loops[20];
	struct error err;
	int i;

	for (i = 0; i < 20; i++) {
		ck_assert_int_eq(
		    loop_start(&loops[i], "a name that is much too long", &err),
		    0);
		ck_assert_ptr_nonnull(loop_base(loops[i]));
	}
	for (i = 0; i < 20; i++)
		loop_stop(loops[i]);
	loop_stop(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, start, stop);
	tcase_set_timeout(cases, 20);
	tcase_add_test(cases, test_posts);
	tcase_add_test(cases, test_posts_at_the_end);
	tcase_add_test(cases, test_timers);
	tcase_add_test(cases, test_many_loops);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
