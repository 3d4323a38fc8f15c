/* Entries: canonical form, words, copies; networks. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/policy/entry.h"
#include "common/network.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	enum entry_scope scope;
	const char *scope_value;
	enum entry_kind kind;
	const char *value;
	const char *scope_folded, *folded; /* NULL: ERR_INVALID */
} rows[] = {
    {ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "Alice@Example.ORG", "",
     "alice@example.org"},
    {ENTRY_SCOPE_GLOBAL, "", ENTRY_ADDRESS, "\"a\"@b.c", "", "a@b.c"},
    {ENTRY_SCOPE_DOMAIN, "Own.Example", ENTRY_ADDRESS, "a@b.c", "own.example",
     "a@b.c"},
    {ENTRY_SCOPE_MAILBOX, "Bob@Own.Example", ENTRY_ADDRESS, "a@b.c",
     "bob@own.example", "a@b.c"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_DOMAIN,
     "B\xc3\xbc"
     "cher.example",
     "", "xn--bcher-kva.example"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_DOMAIN, "@Example.org", "", "example.org"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, ".Example.org", "",
     "example.org"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, "*.Example.org", "",
     "example.org"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, "@*.Example.org", "",
     "example.org"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, "top", "", "top"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.77/24", "",
     "192.0.2.0/24"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.1/32", "", "192.0.2.1"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.1", "", "192.0.2.1"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "2001:DB8:0:0::1/32", "",
     "2001:db8::/32"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "::ffff:192.0.2.1", "",
     "192.0.2.1"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "::ffff:192.0.2.1/120", "",
     "192.0.2.0/24"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "0.0.0.0/0", "", "0.0.0.0/0"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "::/0", "", "::/0"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, "*@*.Example.ORG", "",
     "*@*.example.org"},
    {ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, "a***b?", "", "a*b?"},
    /* refused */
    {ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "example.org", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_ADDRESS, "a@b@c", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_DOMAIN, "a@example.org", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_DOMAIN, "*.example.org", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_DOMAIN, "", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, "*", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_SUBDOMAINS, "..", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.0/33", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.0/", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.0/-1", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.0/0x8", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2.0/2400", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "192.0.2", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "2001:db8::/129", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "example.org", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_NETWORK, "/8", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, "", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, "a b", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, "a\nb", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "x", ENTRY_ADDRESS, "a@b.c", NULL, NULL},
    {ENTRY_SCOPE_GLOBAL, "x", ENTRY_ADDRESS, "a@b.c", NULL, NULL},
    {ENTRY_SCOPE_DOMAIN, "", ENTRY_ADDRESS, "a@b.c", NULL, NULL},
    {ENTRY_SCOPE_DOMAIN, "b@own.example", ENTRY_ADDRESS, "a@b.c", NULL, NULL},
    {ENTRY_SCOPE_MAILBOX, "own.example", ENTRY_ADDRESS, "a@b.c", NULL, NULL},
    {(enum entry_scope)9, "", ENTRY_ADDRESS, "a@b.c", NULL, NULL},
    {ENTRY_SCOPE_TENANT, "", (enum entry_kind)9, "a@b.c", NULL, NULL},
};

START_TEST(canonicalise)
{
	struct entry entry = {.scope = rows[_i].scope,
	                      .kind = rows[_i].kind,
	                      .scope_value =
	                          mem_copy_string(rows[_i].scope_value),
	                      .value = mem_copy_string(rows[_i].value)};
	struct error err = {0};
	int result = entry_canonicalise(&entry, &err);

	if (rows[_i].folded) {
		ck_assert_int_eq(result, 0);
		ck_assert_str_eq(entry.value, rows[_i].folded);
		ck_assert_str_eq(entry.scope_value, rows[_i].scope_folded);
		ck_assert_str_eq(entry.note, "");
	} else {
		ck_assert_int_eq(result, ERR_INVALID);
		ck_assert_str_eq(entry.value, rows[_i].value);
		ck_assert_str_eq(entry.scope_value, rows[_i].scope_value);
		ck_assert(strstr(err.text, "value") != NULL);
	}
	entry_release(&entry);
}
END_TEST

/* The canonical form stays as it is. */
START_TEST(idempotent)
{
	struct entry entry = {.scope = rows[_i].scope,
	                      .kind = rows[_i].kind,
	                      .scope_value =
	                          mem_copy_string(rows[_i].scope_folded),
	                      .value = mem_copy_string(rows[_i].folded)};

	if (rows[_i].folded) {
		ck_assert_int_eq(entry_canonicalise(&entry, NULL), 0);
		ck_assert_str_eq(entry.value, rows[_i].folded);
	}
	entry_release(&entry);
}
END_TEST

START_TEST(without_strings)
{
	struct entry entry = {.scope = ENTRY_SCOPE_TENANT}, copy;

	ck_assert_int_eq(entry_canonicalise(&entry, NULL), ERR_INVALID);
	ck_assert_ptr_null(entry.value);
	entry_copy(&copy, &entry);
	ck_assert_str_eq(copy.value, "");
	ck_assert_str_eq(copy.note, "");
	entry_release(&copy);
	entry_release(&copy);
	entry_release(&entry);
}
END_TEST

START_TEST(copies)
{
	char scope_value[] = "own.example", value[] = "a@b.c", note[] = "why";
	struct entry entry = {.id = {{1, 2, 3}},
	                      .scope = ENTRY_SCOPE_DOMAIN,
	                      .colour = ENTRY_BLACK,
	                      .kind = ENTRY_ADDRESS,
	                      .origin = ENTRY_FROM_IMPORT,
	                      .demand = MAIL_PASS_DKIM,
	                      .expires_ms = 5,
	                      .revision = 7,
	                      .scope_value = scope_value,
	                      .value = value,
	                      .note = note};
	struct entry copy;

	entry_copy(&copy, &entry);
	memset(value, 'x', 5);
	memset(note, 'x', 3);
	ck_assert_str_eq(copy.scope_value, "own.example");
	ck_assert_str_eq(copy.value, "a@b.c");
	ck_assert_str_eq(copy.note, "why");
	ck_assert(id_equal(&copy.id, &entry.id));
	ck_assert_int_eq(copy.revision, 7);
	ck_assert_int_eq(copy.demand, MAIL_PASS_DKIM);
	entry_release(&copy);
	ck_assert_ptr_null(copy.value);
}
END_TEST

START_TEST(words)
{
	int i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(
		    entry_scope_parse(entry_scope_name((enum entry_scope)i)),
		    i);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(
		    entry_colour_parse(entry_colour_name((enum entry_colour)i)),
		    i);
	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(
		    entry_kind_parse(entry_kind_name((enum entry_kind)i)), i);
		ck_assert_int_eq(
		    entry_origin_parse(entry_origin_name((enum entry_origin)i)),
		    i);
	}
	ck_assert_str_eq(entry_kind_name(ENTRY_ADDRESS), "address");
	ck_assert_str_eq(entry_scope_name(ENTRY_SCOPE_MAILBOX), "mailbox");
	ck_assert_str_eq(entry_colour_name(ENTRY_BLACK), "black");
	ck_assert_str_eq(entry_origin_name(ENTRY_FROM_OUTBOUND), "outbound");
	ck_assert_int_eq(entry_scope_parse("White"), -1);
	ck_assert_int_eq(entry_colour_parse(""), -1);
	ck_assert_int_eq(entry_kind_parse("ip"), -1);
	ck_assert_int_eq(entry_origin_parse("captch"), -1);
}
END_TEST

static const struct {
	const char *network, *address;
	bool contains;
} network_rows[] = {
    {"192.0.2.0/24", "192.0.2.0", true},
    {"192.0.2.0/24", "192.0.2.255", true},
    {"192.0.2.0/24", "192.0.3.0", false},
    {"192.0.2.0/23", "192.0.3.255", true},
    {"192.0.2.0/25", "192.0.2.128", false},
    {"192.0.2.7", "192.0.2.7", true},
    {"192.0.2.7", "192.0.2.6", false},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "192.0.2.1", false},
    {"192.0.2.0/24", "::ffff:192.0.2.9", true},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"2001:db8::1", "2001:db8::1", true},
};

START_TEST(networks)
{
	struct network network, address;

	ck_assert_int_eq(network_parse(network_rows[_i].network, &network), 0);
	ck_assert_int_eq(network_parse(network_rows[_i].address, &address), 0);
	ck_assert_msg(
	    network_contains(&network, &address) == network_rows[_i].contains,
	    "%s %s", network_rows[_i].network, network_rows[_i].address);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("entry");
	TCase *tests = tcase_create("entry");

	tcase_add_loop_test(tests, canonicalise, 0, COUNT(rows));
	tcase_add_loop_test(tests, idempotent, 0, COUNT(rows));
	tcase_add_test(tests, without_strings);
	tcase_add_test(tests, copies);
	tcase_add_test(tests, words);
	tcase_add_loop_test(tests, networks, 0, COUNT(network_rows));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
