/* Names of one organisation, by the public suffix list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mail/suffix.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static char path[64];

static void write_list(const char *text)
{
	FILE *out;
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/turing-suffixes-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	out = fdopen(fd, "w");
	ck_assert_ptr_nonnull(out);
	(void)fputs(text, out);
	ck_assert_int_eq(fclose(out), 0);
}

static const struct {
	const char *a, *b;
	bool align;
} rows[] = {
    {"example.org", "example.org", true},
    {"Example.ORG", "example.org", true},
    {"mail.example.org", "example.org", true},
    {"Mail.Example.org", "news.eXample.org", true},
    {"a.b.example.org", "c.example.org", true},
    {"badexample.org", "example.org", false},
    {"example.com", "example.org", false},
    {"example.org", "org", false},
    {"example.org", "", false},
    {"", "", false},
    {"localhost", "localhost", true},
    {"a.localhost", "localhost", false},
    {"example.org", ".org", false},
    {"[192.0.2.1]", "[192.0.2.1]", true},
    {"[192.0.2.1]", "[198.51.2.1]", false},
    {"a.[192.0.2.1]", "[192.0.2.1]", false},
    /* of the list below */
    {"user.hosting.example", "hosting.example", false},
    {"one.hosting.example", "two.hosting.example", false},
    {"www.one.hosting.example", "one.hosting.example", true},
    {"hosting.example", "hosting.example", true},
    {"firm.co.example", "other.co.example", false},
    {"mail.firm.co.example", "www.firm.co.example", true},
    {"a.wild.example", "b.wild.example", false},
    {"x.a.wild.example", "y.a.wild.example", false},
    {"m.x.a.wild.example", "x.a.wild.example", true},
    {"m.city.wild.example", "n.city.wild.example", true},
    {"corp.example", "mail.corp.example", true},
    {"corp.example", "other.example", false},
};

START_TEST(alignment)
{
	struct error err = {.text = ""};

	write_list("// of the test\nexample\norg\ncom\nhosting.example\n"
	           "co.example\n*.wild.example\n!city.wild.example\n");
	ck_assert_msg(mail_suffixes_load(path, &err) == 0, "%s", err.text);
	(void)unlink(path);
	ck_assert_msg(mail_domains_align(rows[_i].a, rows[_i].b) ==
	                  rows[_i].align,
	              "%s %s", rows[_i].a, rows[_i].b);
	ck_assert(mail_domains_align(rows[_i].b, rows[_i].a) == rows[_i].align);
}
END_TEST

/* Without a file the system's list is in force. */
START_TEST(standard)
{
	ck_assert_int_eq(mail_suffixes_load(NULL, NULL), 0);
	ck_assert_int_eq(mail_suffixes_load("", NULL), 0);
	ck_assert(!mail_domains_align("one.github.io", "two.github.io"));
	ck_assert(!mail_domains_align("one.co.uk", "two.co.uk"));
	ck_assert(!mail_domains_align("one.co.uk", "co.uk"));
	ck_assert(mail_domains_align("a.one.co.uk", "b.one.co.uk"));
	ck_assert(mail_domains_align("mail.example.com", "example.com"));
}
END_TEST

static const struct {
	const char *domain, *organisation;
} organisations[] = {
    {"example.com", "example.com"},
    {"a.b.Example.COM", "example.com"},
    {"one.co.uk", "one.co.uk"},
    {"a.one.co.uk", "one.co.uk"},
    {"co.uk", "co.uk"},
    {"a.one.github.io", "one.github.io"},
    {"a.b.unknown-tld", "b.unknown-tld"},
    {"[192.0.2.1]", "[192.0.2.1]"},
    {"[IPv6:2001:db8::1]", "[ipv6:2001:db8::1]"},
    {"", ""},
};

START_TEST(organisation)
{
	char found[MAIL_ORGANISATION_SIZE];

	ck_assert_str_eq(
	    mail_domain_organisation(organisations[_i].domain, found),
	    organisations[_i].organisation);
}
END_TEST

START_TEST(overlong_domain_has_none)
{
	char domain[400], found[MAIL_ORGANISATION_SIZE];

	memset(domain, 'a', sizeof(domain));
	domain[sizeof(domain) - 1] = '\0';
	ck_assert_str_eq(mail_domain_organisation(domain, found), "");
}
END_TEST

START_TEST(bad_files)
{
	struct error err = {.text = ""};

	ck_assert_int_eq(mail_suffixes_load("/nonexistent/list", &err),
	                 ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/list"));
	write_list("// nothing\n");
	ck_assert_int_eq(mail_suffixes_load(path, &err), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	(void)unlink(path);
	/* The list that was in force stays. */
	ck_assert(!mail_domains_align("one.co.uk", "two.co.uk"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("public suffixes");
	TCase *tests = tcase_create("suffix");

	tcase_add_loop_test(tests, alignment, 0, COUNT(rows));
	tcase_add_test(tests, standard);
	tcase_add_loop_test(tests, organisation, 0, COUNT(organisations));
	tcase_add_test(tests, overlong_domain_has_none);
	tcase_add_test(tests, bad_files);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
