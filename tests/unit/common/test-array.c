/* Growing arrays: what stands in them stays, what is new is zeroed. */
#include <stdint.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/mem.h"
#include "tests/support/suite.h"

START_TEST(test_grow)
{
	size_t capacity = 0, before = 0, moves = 0;
	uint64_t *numbers = NULL;

	for (size_t i = 0; i < 1000; i++) {
		ck_assert_int_eq(array_grow((void **)&numbers, i, &capacity,
		                            sizeof(*numbers), NULL),
		                 0);
		ck_assert_uint_lt(i, capacity);
		moves += capacity != before;
		before = capacity;
		ck_assert_uint_eq(numbers[i], 0);
		numbers[i] = ~(uint64_t)i;
	}
	for (size_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(numbers[i], ~(uint64_t)i);
	/* By doubling: 4, 8 ... 1024. */
	ck_assert_uint_eq(moves, 9);
	free(numbers);
}
END_TEST

START_TEST(test_aborting)
{
	size_t capacity = 0;
	char *bytes = NULL;

	for (size_t i = 0; i < 100; i++) {
		bytes = mem_grow(bytes, i, &capacity, 1);
		ck_assert_int_eq(bytes[i], 0);
		bytes[i] = 'x';
	}
	ck_assert_uint_eq(capacity, 128);
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("array");
	TCase *cases = tcase_create("array");

	tcase_add_test(cases, test_grow);
	tcase_add_test(cases, test_aborting);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
