/* Lists of recipients: the forms of their files, and what is found in them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "local-agent/intake/recipient-list.h"
#include "tests/support/suite.h"

static char path[64];

static void write_file(const char *text, size_t size)
{
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/turing-list-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
	(void)close(fd);
}

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

/* Rows: a file, and an address that is listed in it or not. */
static const struct {
	const char *text, *address, *delimiters;
	bool found;
} rows[] = {
    {"jean@acme.test OK\n", "jean@acme.test", "", true},
    {"jean@acme.test", "jean@acme.test", "", true},
    {"Jean@ACME.test\tx y z\r\n", "jean@acme.test", "", true},
    {"jean@acme.test\n", "paul@acme.test", "", false},
    {"jean@acme.test\n", "jean@beta.test", "", false},
    {"", "jean@acme.test", "", false},
    {"# jean@acme.test\n\n", "jean@acme.test", "", false},
    {"x@acme.test y\n  jean@acme.test\n", "jean@acme.test", "", false},
    {"x@acme.test y\n\tz\njean@acme.test 1\n", "jean@acme.test", "", true},
    {"@acme.test x\n", "anybody@acme.test", "", true},
    {"@ACME.test x\n", "anybody@sub.acme.test", "", false},
    {"\"a b\"@acme.test x\n", "\"a b\"@acme.test", "", true},
    {"\"a..b\"@acme.test x\n", "a..b@acme.test", "", true},
    {"a@b\xc3\xbc"
     "cher.test x\n",
     "a@xn--bcher-kva.test", "", true},
    {"jean@acme.test x\n", "jean+tag@acme.test", "", false},
    {"jean@acme.test x\n", "jean+tag@acme.test", "+", true},
    {"jean@acme.test x\n", "jean-tag+x@acme.test", "+-", true},
    {"jean@acme.test x\n", "+tag@acme.test", "+", false},
    {"jean@acme.test x\n", "jean@acme+x.test", "+", false},
};

START_TEST(finds_what_is_listed)
{
	struct recipient_list *list = NULL;
	struct error err = {.text = ""};

	write_file(rows[_i].text, strlen(rows[_i].text));
	ck_assert_msg(recipient_list_load(&list, path, &err) == 0, "%s",
	              err.text);
	ck_assert_msg(recipient_list_has(list, rows[_i].address,
	                                 rows[_i].delimiters) == rows[_i].found,
	              "%s in %s", rows[_i].address, rows[_i].text);
	recipient_list_free(list);
	(void)unlink(path);
}
END_TEST

/* Rows: a file that is refused, and the line that is named. */
static const struct {
	const char *text;
	size_t size;
	const char *place;
} bad_rows[] = {
    {"jean@acme.test x\nnobody\n", 24, ":2:"},
    {"# c\n\njean@\n", 11, ":3:"},
    {"@\n", 2, ":1:"},
    {"a b@acme.test\n", 14, ":1:"},
    {"jean@acme.test \0\n", 17, ":1:"},
    {"jean@acme..test\n", 16, ":1:"},
};

START_TEST(names_the_bad_line)
{
	struct recipient_list *list = NULL;
	struct error err = {.text = ""};

	write_file(bad_rows[_i].text, bad_rows[_i].size);
	ck_assert_int_eq(recipient_list_load(&list, path, &err), ERR_INVALID);
	ck_assert_ptr_null(list);
	ck_assert_msg(strstr(err.text, bad_rows[_i].place) != NULL, "%s",
	              err.text);
	(void)unlink(path);
}
END_TEST

START_TEST(many_are_found)
{
	struct recipient_list *list = NULL;
	char *text = mem_alloc(1 << 20), *at = text, address[64];

	for (int i = 9999; i >= 0; i--)
		at += snprintf(at, 64, "user%d@acme.test x\n", i * 7 % 10007);
	write_file(text, (size_t)(at - text));
	ck_assert_int_eq(recipient_list_load(&list, path, NULL), 0);
	ck_assert_uint_eq(recipient_list_count(list), 10000);
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(address, sizeof(address), "user%d@acme.test",
		               i * 7 % 10007);
		ck_assert(recipient_list_has(list, address, ""));
	}
	ck_assert(!recipient_list_has(list, "user@acme.test", ""));
	recipient_list_free(list);
	(void)unlink(path);
	free(text);
}
END_TEST

START_TEST(absent_file)
{
	struct recipient_list *list = NULL;
	struct error err = {.text = ""};

	ck_assert_int_lt(recipient_list_load(&list, "/nonexistent", &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recipient list");
	TCase *tests = tcase_create("all");

	tcase_add_loop_test(tests, finds_what_is_listed, 0, COUNT(rows));
	tcase_add_loop_test(tests, names_the_bad_line, 0, COUNT(bad_rows));
	tcase_add_test(tests, many_are_found);
	tcase_add_test(tests, absent_file);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
