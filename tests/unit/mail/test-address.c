/* Addresses: syntax, folding, normal form, null senders, alignment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/fs.h"
#include "common/mail/address.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *text;
	bool valid, valid_utf8;
} syntax_rows[] = {
    {"a@b", true, true},
    {"alice@example.org", true, true},
    {"Alice.B+tag@Sub.Example.ORG", true, true},
    {"!#$%&'*+-/=?^_`{|}~@example.org", true, true},
    {"\"a b\"@example.org", true, true},
    {"\"\"@example.org", true, true},
    {"\"a\\\"b\"@example.org", true, true},
    {"\"a@b\"@example.org", true, true},
    {"a@[192.0.2.1]", true, true},
    {"a@[IPv6:2001:db8::1]", true, true},
    {"a@1.2.3.4", true, true},
    {"", false, false},
    {"@", false, false},
    {"a@", false, false},
    {"@b", false, false},
    {"a", false, false},
    {"postmaster", false, false},
    {"a b@example.org", false, false},
    {"a@b@example.org", false, false},
    {".a@example.org", true, true},
    {"a.@example.org", true, true},
    {"a..b@example.org", true, true},
    {"\"a@example.org", false, false},
    {"\"@example.org", false, false},
    {"\"a\"b@example.org", false, false},
    {"\"a\\\"@example.org", false, false},
    {"a@example..org", false, false},
    {"a@.example.org", false, false},
    {"a@example.org.", false, false},
    {"a@-example.org", true, true},
    {"a@example-.org", true, true},
    {"a@exam_ple.org", true, true},
    {"a@[192.0.2.256]", false, false},
    {"a@[192.0.2.1", false, false},
    {"a@192.0.2.1]", false, false},
    {"a@[]", false, false},
    {"a@[x]", false, false},
    {"a@[IPv6:zz]", false, false},
    {"a@[192.0.2.1]x", false, false},
    {"<a@example.org>", false, false},
    {"a@example.org\r\nRCPT TO:<b@c>", false, false},
    {"a\n@example.org", false, false},
    {"a\x7f@example.org", false, false},
    {"\"a\nb\"@example.org", false, false},
    {"\"a\\\nb\"@example.org", false, false},
    {"(c)a@example.org", false, false},
    {"\xc3\xa9@example.org", false, true},
    {"\"\xc3\xa9\"@example.org", false, true},
    {"a@\xc3\xa9.example", false, true},
    {"\xc2\x85@example.org", false, false},
    {"\xc3@example.org", false, false},
    {"\xc0\xae@example.org", false, false},
    {"\xed\xa0\x80@example.org", false, false},
    {"a@\xff.example", false, false},
};

static const struct {
	const char *address;
	bool routed;
} routed_rows[] = {
    {"jean@acme.example", false},
    {"a..b@acme.example", false},
    {"user%elsewhere.example@acme.example", true},
    {"elsewhere.example!user@acme.example", true},
    {"\"user@elsewhere.example\"@acme.example", true},
    {"\"a b\"@acme.example", false},
    {"postmaster", false},
};

START_TEST(routes_are_told)
{
	ck_assert_msg(mail_address_is_routed(routed_rows[_i].address) ==
	                  routed_rows[_i].routed,
	              "%s", routed_rows[_i].address);
}
END_TEST

START_TEST(syntax)
{
	ck_assert_msg(mail_address_valid(syntax_rows[_i].text, false) ==
	                  syntax_rows[_i].valid,
	              "ASCII: %s", syntax_rows[_i].text);
	ck_assert_msg(mail_address_valid(syntax_rows[_i].text, true) ==
	                  syntax_rows[_i].valid_utf8,
	              "UTF-8: %s", syntax_rows[_i].text);
}
END_TEST

/* Fills text with local x's, "@", and a domain of domain bytes. */
static void long_address(char *text, size_t local, size_t domain)
{
	size_t i;

	memset(text, 'x', local);
	text[local] = '@';
	for (i = 0; i < domain; i++)
		text[local + 1 + i] = i % 60 == 59 ? '.' : 'd';
	text[local + 1 + domain] = '\0';
}

START_TEST(lengths)
{
	static const struct {
		size_t local, domain;
		bool valid;
	} rows[] = {{64, 255, true},  {64, 256, false},   {65, 255, false},
	            {65, 254, true},  {300, 11, true},    {310, 11, false},
	            {1, 1000, false}, {100000, 10, false}};
	char *text = malloc(200000), folded[MAIL_ADDRESS_SIZE];
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		bool folds;

		long_address(text, rows[i].local, rows[i].domain);
		ck_assert_msg(mail_address_valid(text, false) == rows[i].valid,
		              "row %zu", i);
		folds = mail_address_fold(text, folded) == 0;
		ck_assert_msg(folds == rows[i].valid, "fold of row %zu", i);
	}
	free(text);
}
END_TEST

static const struct {
	const char *address, *folded; /* NULL: ERR_INVALID */
} fold_rows[] = {
    {"Alice@Example.ORG", "alice@example.org"},
    {"alice@example.org.", "alice@example.org"},
    {"\"Alice\"@example.org", "alice@example.org"},
    {"\"al\\ice\"@example.org", "alice@example.org"},
    {"\"A B\"@example.org", "\"a b\"@example.org"},
    {"\"a..b\"@example.org", "a..b@example.org"},
    {"\".a\"@example.org", ".a@example.org"},
    {"\"a.\"@example.org", "a.@example.org"},
    {"\"\"@example.org", "\"\"@example.org"},
    {"\"a\\ b\"@example.org", "\"a b\"@example.org"},
    {"\"x\\\"y\"@example.org", "\"x\\\"y\"@example.org"},
    {"\"a\\\\b\"@example.org", "\"a\\\\b\"@example.org"},
    {"\"J\xc3\xa9\"@example.org", "j\xc3\xa9@example.org"},
    {"\"a\x01\"@example.org", NULL},
    {"a..b@docomo.example", "a..b@docomo.example"},
    {"a@B\xc3\xbc"
     "cher.example",
     "a@xn--bcher-kva.example"},
    {"a@xn--bcher-kva.example", "a@xn--bcher-kva.example"},
    {"J\xc3\xa9@example.org", "j\xc3\xa9@example.org"},
    {"a@[192.0.2.1]", "a@[192.0.2.1]"},
    {"a@host_name.example.org", "a@host_name.example.org"},
    {"", NULL},
    {"alice", NULL},
    {"@example.org", NULL},
    {"alice@", NULL},
    {"a@b@example.org", NULL},
    {"a b@example.org", NULL},
    {"<a@example.org>", NULL},
    {"a@exa mple.org", NULL},
    {"a@example..org", NULL},
    {"a\r@example.org", NULL},
    {"a\xff@example.org", NULL},
    {"a@\xff.org", NULL},
    {"a@[192.0.2.1", NULL},
    {"a@[]", NULL},
};

START_TEST(fold)
{
	char folded[MAIL_ADDRESS_SIZE] = "untouched";
	int result = mail_address_fold(fold_rows[_i].address, folded);

	ck_assert_int_eq(result, fold_rows[_i].folded ? 0 : ERR_INVALID);
	ck_assert_str_eq(folded, fold_rows[_i].folded ? fold_rows[_i].folded
	                                              : "untouched");
}
END_TEST

static const struct {
	const char *address, *normal;
} normal_rows[] = {
    {"Bob@Example.org", "bob@example.org"},
    /* BATV */
    {"prvs=0123456789=bob@example.org", "bob@example.org"},
    {"prvs=7542478BC9=Bob@example.org", "bob@example.org"},
    {"prvs=46201db6f9=John.Smith@b.example", "john.smith@b.example"},
    {"prvs=701fd58e1=www-data@b.example", "www-data@b.example"},
    {"prvs=bob=0123456789@example.org", "bob@example.org"},
    {"prvs=b=o=0123456789@example.org", "b=o@example.org"},
    {"btv1==0123456789a==bob@example.org", "bob@example.org"},
    {"msprvs1=17988LmVfRbuI=bob@example.org", "bob@example.org"},
    {"prvs=bob@example.org", "prvs=bob@example.org"},
    {"prvs=xyz=bob@example.org", "prvs=xyz=bob@example.org"},
    {"prvs=0123456789=@example.org", "prvs=0123456789=@example.org"},
    {"prvs==@example.org", "prvs==@example.org"},
    {"prvs=@example.org", "prvs=@example.org"},
    {"btv1==@example.org", "btv1==@example.org"},
    {"btv1==a==@example.org", "btv1==a==@example.org"},
    /* SRS */
    {"SRS0=HHH=TT=origin.example=bob@forwarder.example", "bob@origin.example"},
    {"SRS0+HHH=TT=origin.example=bob@forwarder.example", "bob@origin.example"},
    {"SRS0-HHH=TT=origin.example=bob@forwarder.example", "bob@origin.example"},
    {"srs0=h=t=origin.example=b=o=b@forwarder.example", "b=o=b@origin.example"},
    {"SRS1=HHH=first.example==HHH=TT=origin.example=bob@second.example",
     "bob@origin.example"},
    {"SRS1=HHH=first.example=+HHH=TT=origin.example=bob@second.example",
     "bob@origin.example"},
    {"SRS1+HHH=first.example=-HHH=TT=origin.example=bob@second.example",
     "bob@origin.example"},
    {"SRS0=h=t=origin.example=@f.example",
     "srs0=h=t=origin.example=@f.example"},
    {"SRS0=h=t=nodot=bob@f.example", "srs0=h=t=nodot=bob@f.example"},
    {"SRS0=h=t@f.example", "srs0=h=t@f.example"},
    {"SRS0=@f.example", "srs0=@f.example"},
    {"SRS1=h=x=@f.example", "srs1=h=x=@f.example"},
    {"SRS1=@f.example", "srs1=@f.example"},
    {"srsly@f.example", "srsly@f.example"},
    /* one inside of another */
    {"prvs=0123456789=SRS0=H=T=origin.example=bob@f.example",
     "bob@origin.example"},
    {"SRS0=H=T=origin.example=prvs=0123456789=bob@f.example",
     "bob@origin.example"},
    /* VERP */
    {"list-bounces+bob=origin.example@lists.example", "bob@origin.example"},
    {"list-bounces+lists+x=lfdr.example@lists.example", "lists+x@lfdr.example"},
    {"bob+tag@example.org", "bob+tag@example.org"},
    {"list=bob@example.org", "list=bob@example.org"},
    {"bob+a=b@example.org", "bob+a=b@example.org"},
    {"+bob=origin.example@example.org", "+bob=origin.example@example.org"},
    {"bob+=origin.example@example.org", "bob+=origin.example@example.org"},
    {"bob+caf_=me=other.example@mail.example", "bob@mail.example"},
    {"a+b=c..d@example.org", "a+b=c..d@example.org"},
};

/* All wrappings taken off. */
START_TEST(unwrap)
{
	char text[MAIL_ADDRESS_SIZE], inside[MAIL_ADDRESS_SIZE];
	int rounds = 0;

	ck_assert_int_eq(mail_address_fold(normal_rows[_i].address, text), 0);
	while (mail_sender_unwrap(text, inside) && ++rounds < 10)
		memcpy(text, inside, sizeof(text));
	ck_assert_str_eq(text, normal_rows[_i].normal);
	ck_assert_int_le(rounds, MAIL_UNWRAP_MAXIMUM);
}
END_TEST

static const struct {
	const char *address, *normal;
} mailbox_rows[] = {
    {"Bob@Example.ORG", "bob@example.org"},
    {"prvs=0123456789=Bob@example.org", "bob@example.org"},
    {"prvs=bob=0123456789@example.org", "bob@example.org"},
    {"btv1==0123456789a==bob@example.org", "bob@example.org"},
    {"msprvs1=17988LmVfRbuI=bob@example.org", "bob@example.org"},
    {"prvs=0123456789=prvs=0123456789=bob@example.org", "bob@example.org"},
    /* only by the domain itself, and never another mailbox of it */
    {"x+bob=example.org@example.org", "x+bob=example.org@example.org"},
    {"bob+caf_=x=y.example@example.org", "bob+caf_=x=y.example@example.org"},
    {"SRS0=h=t=example.org=bob@example.org",
     "srs0=h=t=example.org=bob@example.org"},
    {"prvs=0123456789=x+bob=example.org@example.org",
     "x+bob=example.org@example.org"},
    {"x+bob=other.example@example.org", "x+bob=other.example@example.org"},
};

START_TEST(normalise)
{
	char normal[MAIL_ADDRESS_SIZE];

	ck_assert_int_eq(
	    mail_sender_normalise(mailbox_rows[_i].address, normal), 0);
	ck_assert_str_eq(normal, mailbox_rows[_i].normal);
}
END_TEST

START_TEST(normalise_refuses)
{
	char normal[MAIL_ADDRESS_SIZE] = "untouched";

	ck_assert_int_eq(mail_sender_normalise("", normal), ERR_INVALID);
	ck_assert_int_eq(mail_sender_normalise("<>", normal), ERR_INVALID);
	ck_assert_int_eq(mail_sender_normalise("#@[]", normal), ERR_INVALID);
	ck_assert_str_eq(normal, "untouched");
}
END_TEST

START_TEST(domains_below)
{
	ck_assert(mail_domain_is_within("example.org", "example.org"));
	ck_assert(mail_domain_is_within("a.example.org", "example.org"));
	ck_assert(!mail_domain_is_within("badexample.org", "example.org"));
	ck_assert(!mail_domain_is_within("example.org", "a.example.org"));
	ck_assert(!mail_domain_is_within("org", "example.org"));
	ck_assert(!mail_domain_is_within("example.org", ""));
	ck_assert(!mail_domain_is_within("", ""));
	ck_assert(!mail_domain_is_within("", "example.org"));
}
END_TEST

static const struct {
	const char *address;
	bool null;
} null_rows[] = {
    {"alice@example.org", false},
    {"noreply@example.org", false},
    {"", true},
    {"<>", true},
    {"#@[]", true},
    {"MAILER-DAEMON", true},
    {"Mailer-Daemon@example.org", true},
    {"postmaster@example.org", true},
    {"postmaster", true},
    {"mailer-daemons@example.org", false},
    {"not-postmaster@example.org", false},
};

START_TEST(null_senders)
{
	ck_assert_msg(mail_address_is_null_sender(null_rows[_i].address) ==
	                  null_rows[_i].null,
	              "%s", null_rows[_i].address);
}
END_TEST

/* Appends the UTF-8 of a code below 0x10000; control pictures are controls. */
static size_t put_code(char *out, unsigned code)
{
	if (code >= 0x2400 && code < 0x2420)
		code -= 0x2400;
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* Replaces the entities of XML; false when the result holds a NUL. */
static bool decode_xml(const char *text, size_t size, char *out)
{
	static const struct {
		const char *name;
		char value;
	} entities[] = {{"&lt;", '<'},
	                {"&gt;", '>'},
	                {"&amp;", '&'},
	                {"&quot;", '"'},
	                {"&apos;", '\''}};
	const char *end = text + size;
	size_t length = 0, i;

	while (text < end) {
		if (strncmp(text, "&#x", 3) == 0) {
			char *next;
			unsigned long code = strtoul(text + 3, &next, 16);

			if (code == 0x2400)
				return false;
			length += put_code(out + length, (unsigned)code);
			text = next + 1;
			continue;
		}
		for (i = 0; i < COUNT(entities); i++)
			if (strncmp(text, entities[i].name,
			            strlen(entities[i].name)) == 0)
				break;
		out[length++] = i < COUNT(entities) ? entities[i].value : *text;
		text += i < COUNT(entities) ? strlen(entities[i].name) : 1;
	}
	out[length] = '\0';
	return true;
}

/*
 * Where we differ from isemail, and why. RFC 5321 (the envelope) is narrower
 * than RFC 5322 (the header): comments, folding white space, obsolete local
 * parts ("a"."b"), free domain literals and quoted controls are of the header
 * alone, so categories CFWS, DEPREC and RFC5322 are refused. But:
 */
static const struct {
	int id;
	bool valid;
	const char *why;
} differences[] = {
    {15, true, "dots stand anywhere in mail that is in use"},
    {16, true, "as 15"},
    {30, true, "a label may begin or end with a hyphen, as host names do"},
    {31, true, "as 30"},
    {102, true, "as 30"},
    {26, true, "long local parts of real bounce addresses are taken"},
    {59, true, "as 26, quoted"},
    {60, true, "as 26, quoted"},
    {39, true, "the path's 256 octets are no limit of ours"},
    {40, true, "as 39"},
    {71, true, "\"::\" for one group: deprecated, but one address"},
};

static bool expected(int id, const char *category)
{
	size_t i;

	for (i = 0; i < COUNT(differences); i++)
		if (differences[i].id == id)
			return differences[i].valid;
	return strncmp(category, "ISEMAIL_VALID_CATEGORY<", 23) == 0 ||
	       strncmp(category, "ISEMAIL_DNSWARN<", 16) == 0 ||
	       strncmp(category, "ISEMAIL_RFC5321<", 16) == 0;
}

/* Checks one <test>; returns whether it could be tested. */
static bool check_isemail(const char *test)
{
	const char *start = strstr(test, "<address>");
	const char *end = start ? strstr(start, "</address>") : NULL;
	const char *category = strstr(test, "<category>");
	const char *stop = strstr(test, "</test>");
	char address[2048];
	int id = atoi(test + strlen("<test id=\""));

	if (!end || end > stop || end - start > 1500)
		return false;
	start += strlen("<address>");
	if (!decode_xml(start, (size_t)(end - start), address))
		return false;
	ck_assert_msg(mail_address_valid(address, false) ==
	                  expected(id, category + strlen("<category>")),
	              "isemail test %d: %s", id, address);
	return true;
}

START_TEST(isemail)
{
	const char *corpus = getenv("TURING_CORPUS");
	char path[1024];
	struct buffer xml;
	const char *test;
	unsigned tested = 0;

	(void)snprintf(path, sizeof(path), "%s/addresses/isemail-tests.xml",
	               corpus ? corpus : "../shared/corpus");
	buffer_init(&xml, 1 << 20);
	if (fs_read_file(path, &xml, NULL) != 0) {
		(void)printf("corpus absent: %s\n", path);
		return;
	}
	test = strstr(buffer_text(&xml), "<test id=\"");
	for (; test; test = strstr(test + 1, "<test id=\""))
		tested += check_isemail(test);
	(void)printf("isemail: %u addresses\n", tested);
	ck_assert_uint_ge(tested, 155);
	buffer_release(&xml);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *tests = tcase_create("address");

	tcase_add_loop_test(tests, syntax, 0, COUNT(syntax_rows));
	tcase_add_loop_test(tests, routes_are_told, 0, COUNT(routed_rows));
	tcase_add_test(tests, lengths);
	tcase_add_loop_test(tests, fold, 0, COUNT(fold_rows));
	tcase_add_loop_test(tests, unwrap, 0, COUNT(normal_rows));
	tcase_add_loop_test(tests, normalise, 0, COUNT(mailbox_rows));
	tcase_add_test(tests, normalise_refuses);
	tcase_add_test(tests, domains_below);
	tcase_add_loop_test(tests, null_senders, 0, COUNT(null_rows));
	tcase_add_test(tests, isemail);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
