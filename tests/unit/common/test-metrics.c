/* Metrics: their sums under threads, and the text that is printed. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/metrics.h"
#include "tests/support/suite.h"

static char *print(void)
{
	struct buffer text;

	buffer_init(&text, 1 << 22);
	ck_assert_int_eq(metrics_print(&text), 0);
	return buffer_take(&text);
}

START_TEST(test_text)
{
	struct metric *held, *failed, *gauge;
	char *text;

	gauge = metric_gauge("t_waiting", "", "Waiting.");
	held = metric_counter("t_mail_total", "state=\"held\"", "Mail.");
	failed = metric_counter("t_mail_total", "state=\"failed\"", "Mail.");
	metric_add(held, 3);
	metric_add(held, 2);
	metric_add(failed, 1);
	metric_set(gauge, 9);
	metric_add(gauge, -2);
	ck_assert_ptr_eq(
	    metric_counter("t_mail_total", "state=\"held\"", "Other."), held);
	ck_assert_ptr_ne(held, failed);
	ck_assert_int_eq(metric_value(gauge), 7);
	text = print();
	ck_assert_str_eq(text, "# HELP t_mail_total Mail.\n"
	                       "# TYPE t_mail_total counter\n"
	                       "t_mail_total{state=\"failed\"} 1\n"
	                       "t_mail_total{state=\"held\"} 5\n"
	                       "# HELP t_waiting Waiting.\n"
	                       "# TYPE t_waiting gauge\n"
	                       "t_waiting 7\n");
	free(text);
}
END_TEST

START_TEST(test_histogram)
{
	struct metric *plain = metric_histogram("t_seconds", "", "Time.");
	struct metric *labelled =
	    metric_histogram("t_seconds", "step=\"a\"", "Time.");
	static const char *const lines[] = {
	    "# TYPE t_seconds histogram\n",
	    "t_seconds_bucket{le=\"0.0005\"} 2\n",
	    "t_seconds_bucket{le=\"0.001\"} 3\n",
	    "t_seconds_bucket{le=\"30\"} 3\n",
	    "t_seconds_bucket{le=\"60\"} 4\n",
	    "t_seconds_bucket{le=\"+Inf\"} 5\n",
	    "t_seconds_sum 121.001001\n",
	    "t_seconds_count 5\n",
	    "t_seconds_bucket{step=\"a\",le=\"+Inf\"} 1\n",
	    "t_seconds_sum{step=\"a\"} 0.000001\n",
	    "t_seconds_count{step=\"a\"} 1\n",
	};
	char *text;
	size_t i;

	metric_observe_us(plain, 0);
	metric_observe_us(plain, 500);
	metric_observe_us(plain, 501);
	metric_observe_us(plain, 60000000);
	metric_observe_us(plain, 61000000);
	metric_observe_us(labelled, 1);
	text = print();
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(strstr(text, lines[i]) != NULL, "%s\n%s",
		              lines[i], text);
	free(text);
}
END_TEST

static void *add_many(void *argument)
{
	struct metric *counter = metric_counter("t_sum_total", "", "Sum.");
	struct metric *histogram = metric_histogram("t_h", "", "H.");
	int i;

	(void)argument;
	for (i = 0; i < 100000; i++) {
		metric_add(counter, 1);
		metric_observe_us(histogram, 10);
	}
	return NULL;
}

START_TEST(test_threads)
{
	pthread_t threads[4];
	char *text;
	int i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, add_many, NULL), 0);
	text = print();
	free(text);
	for (i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	ck_assert_int_eq(metric_value(metric_counter("t_sum_total", "", "")),
	                 400000);
	text = print();
	ck_assert_ptr_nonnull(strstr(text, "t_h_count 400000\n"));
	free(text);
}
END_TEST

START_TEST(test_overflow)
{
	struct metric *first, *metric = NULL;
	struct buffer small;
	char labels[32], *text;
	int i;

	first = metric_counter("t_many", "n=\"0\"", "Many.");
	for (i = 0; i < 6000; i++) {
		(void)snprintf(labels, sizeof(labels), "n=\"%d\"", i);
		metric = metric_counter("t_many", labels, "Many.");
		metric_add(metric, 1);
	}
	ck_assert_int_eq(metric_value(first), 1);
	/* One for all the others, whatever their kind. */
	ck_assert_int_eq(metric_value(metric), 6000 - 4095);
	ck_assert_ptr_eq(metric_histogram("t_new", "", "New."), metric);
	metric_observe_us(metric, 5);
	text = print();
	ck_assert_ptr_nonnull(strstr(text, "turing_metrics_overflow"));
	free(text);
	buffer_init(&small, 100);
	ck_assert_int_eq(metrics_print(&small), ERR_LIMIT);
	buffer_release(&small);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, test_text);
	tcase_add_test(cases, test_histogram);
	tcase_add_test(cases, test_threads);
	tcase_add_test(cases, test_overflow);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
