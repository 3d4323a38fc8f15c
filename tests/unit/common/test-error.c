/* Error values and memory. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"
#include "tests/support/suite.h"

START_TEST(test_set)
{
	struct error err;
	char longer[2000];

	ck_assert_int_eq(error_set(&err, ERR_LIMIT, "%d of %s", 3, "x"),
	                 ERR_LIMIT);
	ck_assert_int_eq(err.code, ERR_LIMIT);
	ck_assert_str_eq(err.text, "3 of x");
	ck_assert_int_eq(error_set(NULL, ERR_IO, "ignored"), ERR_IO);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(void)error_set(&err, ERR_IO, "%s", longer);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	(void)error_set_errno(&err, ERR_IO, ENOENT, "%s", longer);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
}
END_TEST

START_TEST(test_set_errno)
{
	struct error err;

	ck_assert_int_eq(error_set_errno(&err, ERR_IO, ENOENT, "open %s", "f"),
	                 ERR_IO);
	ck_assert_str_eq(err.text, "open f: No such file or directory");
	ck_assert_int_eq(error_set_errno(NULL, ERR_FULL, ENOSPC, "x"),
	                 ERR_FULL);
}
END_TEST

START_TEST(test_names)
{
	int code, other;

	for (code = ERR_MEMORY; code <= 0; code++) {
		ck_assert_str_ne(error_name(code), "unknown error");
		for (other = ERR_MEMORY; other < code; other++)
			ck_assert_str_ne(error_name(code), error_name(other));
	}
	ck_assert_str_eq(error_name(1), "unknown error");
	ck_assert_str_eq(error_name(ERR_MEMORY - 1), "unknown error");
}
END_TEST

START_TEST(test_memory)
{
	char *block = mem_alloc(0), *text;

	ck_assert_ptr_nonnull(block);
	free(block);
	block = mem_alloc_array(10, 10);
	ck_assert_int_eq(block[99], 0);
	block = mem_resize_array(block, 1000, 3);
	ck_assert_int_eq(block[99], 0);
	free(block);
	ck_assert_ptr_null(mem_copy_string(NULL));
	text = mem_copy_bytes("a\0b", 3);
	ck_assert_mem_eq(text, "a\0b\0", 4);
	free(text);
	text = mem_format("%d-%s", 5, "x");
	ck_assert_str_eq(text, "5-x");
	free(text);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* Volatile, so that no compiler sees through it. */
static volatile size_t huge = SIZE_MAX / 2;

START_TEST(test_overflow_aborts)
{
	free(mem_resize_array(NULL, huge, 3));
}
END_TEST
#endif /* a sanitizer ends the program before we do */

int main(void)
{
	Suite *suite = suite_create("error");
	TCase *cases = tcase_create("cases");

	tcase_add_test(cases, test_set);
	tcase_add_test(cases, test_set_errno);
	tcase_add_test(cases, test_names);
	tcase_add_test(cases, test_memory);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_test_raise_signal(cases, test_overflow_aborts, SIGABRT);
#endif
	suite_add_tcase(suite, cases);
	return suite_main(suite, NULL);
}
