/* The bounded buffer. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/error.h"
#include "tests/support/suite.h"

START_TEST(test_append)
{
	struct buffer buffer;

	buffer_init(&buffer, 100);
	ck_assert_str_eq(buffer_text(&buffer), "");
	ck_assert_int_eq(buffer_append(&buffer, NULL, 0), 0);
	ck_assert_int_eq(buffer_append(&buffer, "a\0b", 3), 0);
	ck_assert_int_eq(buffer_append_text(&buffer, "cd"), 0);
	ck_assert_int_eq(buffer_append_format(&buffer, "%03d", 7), 0);
	ck_assert_uint_eq(buffer.length, 8);
	ck_assert_mem_eq(buffer.data, "a\0bcd007\0", 9);
	buffer_release(&buffer);
	buffer_release(&buffer);
	ck_assert_uint_eq(buffer.maximum, 100);
}
END_TEST

START_TEST(test_maximum)
{
	struct buffer buffer;

	buffer_init(&buffer, 4);
	ck_assert_int_eq(buffer_append_text(&buffer, "abc"), 0);
	ck_assert_int_eq(buffer_append_text(&buffer, "de"), ERR_LIMIT);
	ck_assert_int_eq(buffer_append_format(&buffer, "%s", "de"), ERR_LIMIT);
	ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX), ERR_LIMIT);
	ck_assert_str_eq(buffer_text(&buffer), "abc");
	ck_assert_int_eq(buffer_append_text(&buffer, "d"), 0);
	ck_assert_int_eq(buffer_append_text(&buffer, ""), 0);
	ck_assert_int_eq(buffer_append_text(&buffer, "e"), ERR_LIMIT);
	buffer_release(&buffer);
	buffer_init(&buffer, SIZE_MAX);
	ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX), ERR_LIMIT);
	ck_assert_int_eq(buffer_append_text(&buffer, "e"), 0);
	buffer_release(&buffer);
	buffer_init(&buffer, 0);
	ck_assert_int_eq(buffer_append_text(&buffer, "e"), ERR_LIMIT);
	ck_assert_int_eq(buffer_append_text(&buffer, ""), 0);
	buffer_release(&buffer);
}
END_TEST

START_TEST(test_growth)
{
	struct buffer buffer;
	size_t i;

	buffer_init(&buffer, 1000000);
	for (i = 0; i < 1000000; i++)
		ck_assert_int_eq(buffer_append(&buffer, "x", 1), 0);
	ck_assert_int_eq(buffer_append(&buffer, "x", 1), ERR_LIMIT);
	ck_assert_uint_eq(strlen(buffer.data), 1000000);
	buffer_reset(&buffer);
	ck_assert_str_eq(buffer_text(&buffer), "");
	ck_assert_uint_ge(buffer.capacity, 1000000);
	buffer_release(&buffer);
}
END_TEST

START_TEST(test_consume)
{
	struct buffer buffer;

	buffer_init(&buffer, 100);
	buffer_consume(&buffer, 5);
	(void)buffer_append_text(&buffer, "abcdef");
	buffer_consume(&buffer, 0);
	buffer_consume(&buffer, 2);
	ck_assert_str_eq(buffer_text(&buffer), "cdef");
	buffer_consume(&buffer, 99);
	ck_assert_uint_eq(buffer.length, 0);
	ck_assert_str_eq(buffer_text(&buffer), "");
	buffer_release(&buffer);
}
END_TEST

START_TEST(test_take)
{
	struct buffer buffer;
	char *text;

	buffer_init(&buffer, 100);
	text = buffer_take(&buffer);
	ck_assert_str_eq(text, "");
	free(text);
	(void)buffer_append_text(&buffer, "abc");
	text = buffer_take(&buffer);
	ck_assert_str_eq(text, "abc");
	ck_assert_uint_eq(buffer.length, 0);
	ck_assert_int_eq(buffer_append_text(&buffer, "d"), 0);
	ck_assert_str_eq(text, "abc");
	free(text);
	buffer_release(&buffer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buffer");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, test_append);
	tcase_add_test(cases, test_maximum);
	tcase_add_test(cases, test_growth);
	tcase_add_test(cases, test_consume);
	tcase_add_test(cases, test_take);
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
