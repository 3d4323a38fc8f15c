/* UUIDv7: order, form, and what is not one. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/id.h"
#include "tests/support/suite.h"

#define THREADS 4
#define IDS     20000

static struct id ids[THREADS][IDS];

static void *make_ids(void *argument)
{
	struct id *mine = argument;
	int i;

	for (i = 0; i < IDS; i++)
		mine[i] = id_new();
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

START_TEST(test_order)
{
	pthread_t threads[THREADS];
	int i, j;

	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, make_ids, ids[i]), 0);
	for (i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	for (i = 0; i < THREADS; i++)
		for (j = 1; j < IDS; j++)
			ck_assert_int_gt(compare(&ids[i][j], &ids[i][j - 1]),
			                 0);
	/* All differ, in their stamps already. */
	qsort(ids, (size_t)THREADS * IDS, sizeof(struct id), compare);
	for (j = 1; j < THREADS * IDS; j++)
		ck_assert_int_ne(memcmp(&ids[0][0] + j, &ids[0][0] + j - 1, 8),
		                 0);
}
END_TEST

START_TEST(test_form)
{
	int64_t before = clock_wall_ms();
	struct id id = id_new(), read;
	char text[ID_TEXT_SIZE];
	int i;

	ck_assert_uint_eq(strlen(id_format(&id, text)), 36);
	ck_assert_int_eq(text[14], '7');
	ck_assert_ptr_nonnull(strchr("89ab", text[19]));
	ck_assert_int_eq(id_parse(text, &read), 0);
	ck_assert(id_equal(&id, &read));
	for (i = 0; text[i]; i++)
		if (text[i] >= 'a')
			text[i] = (char)(text[i] - 'a' + 'A');
	ck_assert_int_eq(id_parse(text, &read), 0);
	ck_assert(id_equal(&id, &read));
	ck_assert_int_ge(id_time_ms(&id), before);
	ck_assert_int_lt(id_time_ms(&id), before + 10000);
	ck_assert(!id_is_none(&id));
	read.bytes[15] ^= 1;
	ck_assert(!id_equal(&id, &read));
	ck_assert_int_eq(id_parse("00000000-0000-0000-0000-000000000000", &id),
	                 0);
	ck_assert(id_is_none(&id));
}
END_TEST

START_TEST(test_wrong)
{
	static const char *const wrong[] = {
	    "",
	    "-",
	    "01909a1b2c3d7e4f8091a2b3c4d5e6f7",
	    "01909a1b-2c3d-7e4f-8091-a2b3c4d5e6f",
	    "01909a1b-2c3d-7e4f-8091-a2b3c4d5e6f77",
	    "01909a1b-2c3d-7e4f-8091-a2b3c4d5e6fg",
	    "01909a1b-2c3d-7e4f-8091a-2b3c4d5e6f7",
	    "01909a1b+2c3d-7e4f-8091-a2b3c4d5e6f7",
	    "01909a1-b2c3d-7e4f-8091-a2b3c4d5e6f7",
	    "{1909a1b-2c3d-7e4f-8091-a2b3c4d5e6f}",
	    "0-909a1b-2c3d-7e4f-8091-a2b3c4d5e6f7",
	};
	struct id id = {{1}};
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(id_parse(wrong[i], &id) == ERR_INVALID, "%s",
		              wrong[i]);
		ck_assert_int_eq(id.bytes[0], 1);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("id");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, test_order);
	tcase_add_test(cases, test_form);
	tcase_add_test(cases, test_wrong);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
