/* Log lines: whole, safe, and of the level asked for. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/support/suite.h"

static FILE *capture;
static int kept;

static void start(void)
{
	capture = tmpfile();
	ck_assert_ptr_nonnull(capture);
	kept = dup(STDERR_FILENO);
	(void)dup2(fileno(capture), STDERR_FILENO);
	log_set_level(LOG_LEVEL_INFO);
}

/* What was written since start(). */
static char *written(void)
{
	static char text[1 << 20];
	ssize_t size;

	(void)dup2(kept, STDERR_FILENO);
	size = pread(fileno(capture), text, sizeof(text) - 1, 0);
	ck_assert_int_ge(size, 0);
	text[size] = '\0';
	return text;
}

START_TEST(test_form)
{
	char *text;

	log_info("queue", "%d held", 3);
	text = written();
	ck_assert_int_eq(text[10], 'T');
	ck_assert_int_eq(text[23], 'Z');
	ck_assert_str_eq(text + 24, " info queue: 3 held\n");
}
END_TEST

/* Under systemd: a priority, and no second time. */
START_TEST(test_journal)
{
	struct stat info;
	char stream[64];

	ck_assert_int_eq(fstat(STDERR_FILENO, &info), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu",
	               (unsigned long long)info.st_dev,
	               (unsigned long long)info.st_ino + (unsigned)_i);
	(void)setenv("JOURNAL_STREAM", stream, 1);
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a", "one");
	log_warning("a", "two");
	log_info("a", "three");
	log_debug("a", "four");
	if (_i == 0)
		ck_assert_str_eq(
		    written(),
		    "<3>a: one\n<4>a: two\n<6>a: three\n<7>a: four\n");
	else /* it is that of another program */
		ck_assert_ptr_nonnull(strstr(written(), "Z error a: one\n"));
}
END_TEST

START_TEST(test_levels)
{
	char *text;

	ck_assert(log_enabled(LOG_LEVEL_INFO));
	ck_assert(!log_enabled(LOG_LEVEL_DEBUG));
	log_debug("a", "no");
	log_warning("a", "one");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("a", "no");
	log_error("a", "two");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("a", "three");
	text = written();
	ck_assert_ptr_null(strstr(text, "no\n"));
	ck_assert_ptr_nonnull(strstr(text, " warning a: one\n"));
	ck_assert_ptr_nonnull(strstr(text, " error a: two\n"));
	ck_assert_ptr_nonnull(strstr(text, " debug a: three\n"));
}
END_TEST

/* No peer writes a line of his own. */
START_TEST(test_forgery)
{
	char *text;

	log_info("a\nb", "x\r\n2026 error root: forged\033[2J\x7f");
	text = written();
	ck_assert_ptr_nonnull(strstr(text, "a\\x0ab: x\\x0d\\x0a2026 error "
	                                   "root: forged\\x1b[2J\\x7f\n"));
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

START_TEST(test_long)
{
	static char longer[10000];
	char *text;

	memset(longer, 'x', sizeof(longer) - 1);
	log_info("a", "%s", longer);
	memset(longer, '\n', sizeof(longer) - 1);
	log_info(longer, "%s", longer);
	text = written();
	ck_assert_uint_le(strlen(text), 4000);
	ck_assert_ptr_eq(strchr(strchr(text, '\n') + 1, '\n'),
	                 text + strlen(text) - 1);
}
END_TEST

static void *write_lines(void *argument)
{
	int i;

	for (i = 0; i < 500; i++)
		log_info(argument, "%0100d", i);
	return NULL;
}

START_TEST(test_threads)
{
	static char ids[4][2] = {"a", "b", "c", "d"};
	pthread_t threads[4];
	char *text, *line, *state = NULL;
	int i, count = 0;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, write_lines, ids[i]), 0);
	for (i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	text = written();
	for (line = strtok_r(text, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state), count++)
		ck_assert_uint_eq(strlen(line), 24 + 6 + 3 + 100);
	ck_assert_int_eq(count, 2000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *cases = tcase_create("cases");

	tcase_add_checked_fixture(cases, start, NULL);
	tcase_add_test(cases, test_form);
	tcase_add_loop_test(cases, test_journal, 0, 2);
	tcase_add_test(cases, test_levels);
	tcase_add_test(cases, test_forgery);
	tcase_add_test(cases, test_long);
	tcase_add_test(cases, test_threads);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
