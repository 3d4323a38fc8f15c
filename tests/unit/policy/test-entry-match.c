/* Which entries match, which wins, and under which keys they are found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/policy/entry.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* What a test says of authentication. */
enum scene {
	PASSES,    /* SPF for the sender */
	FROM_ONLY, /* DKIM for From alone: the sender may be made up */
	NOTHING,
	SPF_FAIL,
	DMARC_FAIL /* with an SPF pass */
};

static const struct mail_auth auths[] = {
    [PASSES] = {.stated = true,
                .spf = AUTH_PASS,
                .spf_domain = "mail.sender.example"},
    [FROM_ONLY] = {.stated = true,
                   .dkim = AUTH_PASS,
                   .dkim_domain = "from.example"},
    [NOTHING] = {.stated = true},
    [SPF_FAIL] = {.stated = true, .spf = AUTH_FAIL},
    [DMARC_FAIL] = {.stated = true, .spf = AUTH_PASS, .dmarc = AUTH_FAIL}};

static struct mail_identity identity;

static struct entry_subject subject_of(enum scene scene)
{
	mail_identity_find(&identity, "alice@mail.sender.example",
	                   "alice@from.example", &auths[scene]);
	return (struct entry_subject){.identity = &identity,
	                              .recipient = "bob@own.example",
	                              .client_address = "192.0.2.1",
	                              .now_ms = 1000};
}

/* "" for a row's scope_value means the tenant's scope. */
static const struct {
	enum entry_kind kind;
	const char *value;
	enum scene scene;
	enum entry_colour colour;
	bool demands_pass, matches;
} rows[] = {
    {ENTRY_ADDRESS, "alice@mail.sender.example", NOTHING, 0, false, true},
    {ENTRY_ADDRESS, "alice@sender.example", NOTHING, 0, false, false},
    {ENTRY_ADDRESS, "lice@mail.sender.example", NOTHING, 0, false, false},
    {ENTRY_DOMAIN, "mail.sender.example", NOTHING, 0, false, true},
    {ENTRY_DOMAIN, "sender.example", NOTHING, 0, false, false},
    {ENTRY_SUBDOMAINS, "mail.sender.example", NOTHING, 0, false, true},
    {ENTRY_SUBDOMAINS, "sender.example", NOTHING, 0, false, true},
    {ENTRY_SUBDOMAINS, "example", NOTHING, 0, false, true},
    {ENTRY_SUBDOMAINS, "ender.example", NOTHING, 0, false, false},
    {ENTRY_SUBDOMAINS, "x.mail.sender.example", NOTHING, 0, false, false},
    {ENTRY_SUBDOMAINS, "", NOTHING, 0, false, false},
    {ENTRY_NETWORK, "192.0.2.0/24", NOTHING, 0, false, true},
    {ENTRY_NETWORK, "192.0.3.0/24", NOTHING, 0, false, false},
    {ENTRY_NETWORK, "nonsense", NOTHING, 0, false, false},
    {ENTRY_PATTERN, "*", NOTHING, 0, false, true},
    {ENTRY_PATTERN, "*@*.sender.example", NOTHING, 0, false, true},
    {ENTRY_PATTERN, "a?ice@*", NOTHING, 0, false, true},
    {ENTRY_PATTERN, "*@*@*", NOTHING, 0, false, false},
    {ENTRY_PATTERN, "alice@mail.sender.exampl", NOTHING, 0, false, false},
    {ENTRY_PATTERN, "alice@mail.sender.example?", NOTHING, 0, false, false},
    {ENTRY_PATTERN, "lice*", NOTHING, 0, false, false},
    /* From counts only when the authentication covers it */
    {ENTRY_ADDRESS, "alice@from.example", NOTHING, 0, false, false},
    {ENTRY_ADDRESS, "alice@from.example", PASSES, 0, false, false},
    {ENTRY_ADDRESS, "alice@from.example", FROM_ONLY, 0, false, true},
    {ENTRY_DOMAIN, "from.example", FROM_ONLY, 1, false, true},
    {ENTRY_SUBDOMAINS, "from.example", FROM_ONLY, 0, true, true},
    /* a demanded pass has to cover what matched */
    {ENTRY_ADDRESS, "alice@mail.sender.example", PASSES, 0, true, true},
    {ENTRY_ADDRESS, "alice@mail.sender.example", NOTHING, 0, true, false},
    {ENTRY_ADDRESS, "alice@mail.sender.example", FROM_ONLY, 0, true, false},
    {ENTRY_ADDRESS, "alice@from.example", FROM_ONLY, 0, true, true},
    {ENTRY_DOMAIN, "from.example", NOTHING, 1, false, false},
    {ENTRY_ADDRESS, "alice@mail.sender.example", FROM_ONLY, 0, false, true},
    {ENTRY_NETWORK, "192.0.2.1", NOTHING, 0, true, false},
    {ENTRY_NETWORK, "192.0.2.1", PASSES, 0, true, true},
    /* white is ignored where SPF or DMARC fails; black is not */
    {ENTRY_ADDRESS, "alice@mail.sender.example", SPF_FAIL, 0, false, false},
    {ENTRY_ADDRESS, "alice@mail.sender.example", SPF_FAIL, 1, false, true},
    {ENTRY_ADDRESS, "alice@mail.sender.example", DMARC_FAIL, 0, false, false},
    {ENTRY_ADDRESS, "alice@mail.sender.example", DMARC_FAIL, 1, false, true},
    {ENTRY_NETWORK, "192.0.2.1", SPF_FAIL, 0, false, false},
};

/* Entries of tests point into literals; nothing writes through them. */
static char *text(const char *literal)
{
	return (char *)(uintptr_t)literal;
}

static struct entry entry_of(enum entry_scope scope, const char *scope_value,
                             enum entry_kind kind, const char *value)
{
	return (struct entry){.scope = scope,
	                      .origin = ENTRY_FROM_ADMIN,
	                      .kind = kind,
	                      .scope_value = text(scope_value),
	                      .value = text(value),
	                      .note = text("")};
}

START_TEST(matching)
{
	struct entry entry =
	    entry_of(ENTRY_SCOPE_TENANT, "", rows[_i].kind, rows[_i].value);
	struct entry_subject subject = subject_of(rows[_i].scene);

	entry.colour = rows[_i].colour;
	entry.demand = rows[_i].demands_pass ? MAIL_PASS_SPF : MAIL_PASS_NONE;
	ck_assert_msg(entry_matches(&entry, &subject) == rows[_i].matches,
	              "row %d: %s", _i, rows[_i].value);
	entry.deleted = true;
	ck_assert(!entry_matches(&entry, &subject));
}
END_TEST

static const struct {
	enum entry_scope scope;
	const char *scope_value;
	bool matches;
} scope_rows[] = {
    {ENTRY_SCOPE_GLOBAL, "", true},
    {ENTRY_SCOPE_TENANT, "", true},
    {ENTRY_SCOPE_DOMAIN, "own.example", true},
    {ENTRY_SCOPE_DOMAIN, "wn.example", false},
    {ENTRY_SCOPE_DOMAIN, "example", false},
    {ENTRY_SCOPE_MAILBOX, "bob@own.example", true},
    {ENTRY_SCOPE_MAILBOX, "dave@own.example", false},
    {ENTRY_SCOPE_MAILBOX, "", false},
};

START_TEST(scopes)
{
	struct entry entry =
	    entry_of(scope_rows[_i].scope, scope_rows[_i].scope_value,
	             ENTRY_PATTERN, "*");
	struct entry_subject subject = subject_of(NOTHING);

	ck_assert_msg(entry_matches(&entry, &subject) == scope_rows[_i].matches,
	              "row %d", _i);
}
END_TEST

START_TEST(expiry)
{
	struct entry entry =
	    entry_of(ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, "*");
	struct entry_subject subject = subject_of(NOTHING);

	entry.expires_ms = 1001;
	ck_assert(entry_matches(&entry, &subject));
	entry.expires_ms = 1000;
	ck_assert(!entry_matches(&entry, &subject));
	entry.expires_ms = 1;
	ck_assert(!entry_matches(&entry, &subject));
}
END_TEST

/* No sender, no authentication, no client: matched by a network at most. */
START_TEST(null_sender)
{
	struct entry_subject subject = {.identity = &identity,
	                                .recipient = "bob@own.example",
	                                .client_address = "",
	                                .now_ms = 1};
	static const struct {
		enum entry_kind kind;
		const char *value;
	} all[] = {{ENTRY_PATTERN, "*"},    {ENTRY_ADDRESS, ""},
	           {ENTRY_DOMAIN, ""},      {ENTRY_SUBDOMAINS, ""},
	           {ENTRY_NETWORK, "::/0"}, {ENTRY_NETWORK, "0.0.0.0/0"}};
	size_t i;

	mail_identity_find(&identity, "", "", NULL);
	for (i = 0; i < COUNT(all); i++) {
		struct entry entry =
		    entry_of(ENTRY_SCOPE_TENANT, "", all[i].kind, all[i].value);

		ck_assert(!entry_matches(&entry, &subject));
	}
	subject.client_address = "192.0.2.1";
	{
		struct entry entry = entry_of(ENTRY_SCOPE_TENANT, "",
		                              ENTRY_NETWORK, "0.0.0.0/0");

		ck_assert(entry_matches(&entry, &subject));
	}
}
END_TEST

/* A pattern of many stars against a long address ends in time. */
START_TEST(slow_pattern)
{
	char pattern[320], sender[320];
	struct entry_subject subject = subject_of(NOTHING);
	struct entry entry =
	    entry_of(ENTRY_SCOPE_TENANT, "", ENTRY_PATTERN, pattern);
	int i;

	for (i = 0; i < 318; i++)
		pattern[i] = i % 2 ? 'a' : '*';
	memcpy(pattern + 318, "b", 2);
	memset(sender, 'a', 319);
	memcpy(sender + 100, "@", 1);
	sender[319] = '\0';
	memcpy(identity.given, sender, sizeof(sender));
	memcpy(identity.person, sender, sizeof(sender));
	for (i = 0; i < 1000; i++)
		ck_assert(!entry_matches(&entry, &subject));
}
END_TEST

/* Each row is stronger than the next one. */
static const struct entry ladder[] = {
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_ADDRESS,
     .colour = 1},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_ADDRESS,
     .colour = 0},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_DOMAIN,
     .colour = 1},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_SUBDOMAINS,
     .colour = 0,
     .value = (char[]){"a.example"}},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_SUBDOMAINS,
     .colour = 1,
     .value = (char[]){"example"}},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_NETWORK,
     .colour = 0,
     .value = (char[]){"192.0.2.0/28"}},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_NETWORK,
     .colour = 1,
     .value = (char[]){"192.0.2.0/24"}},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_PATTERN,
     .colour = 1},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_DOMAIN,
     .kind = ENTRY_ADDRESS,
     .colour = 0},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_TENANT,
     .kind = ENTRY_ADDRESS,
     .colour = 1},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_TENANT,
     .kind = ENTRY_PATTERN,
     .colour = 0},
    {.origin = ENTRY_FROM_ADMIN,
     .scope = ENTRY_SCOPE_GLOBAL,
     .kind = ENTRY_ADDRESS,
     .colour = 1},
    {.origin = ENTRY_FROM_OUTBOUND,
     .scope = ENTRY_SCOPE_GLOBAL,
     .kind = ENTRY_PATTERN,
     .colour = 0},
    /* What a stranger earned comes last, narrower or not. */
    {.origin = ENTRY_FROM_CAPTCHA,
     .scope = ENTRY_SCOPE_MAILBOX,
     .kind = ENTRY_ADDRESS,
     .colour = 0},
    {.origin = ENTRY_FROM_CAPTCHA,
     .scope = ENTRY_SCOPE_TENANT,
     .kind = ENTRY_ADDRESS,
     .colour = 0}};

START_TEST(stronger)
{
	size_t i, j;

	for (i = 0; i < COUNT(ladder); i++) {
		ck_assert_ptr_eq(entry_stronger(NULL, &ladder[i]), &ladder[i]);
		ck_assert_ptr_eq(entry_stronger(&ladder[i], NULL), &ladder[i]);
		for (j = i + 1; j < COUNT(ladder); j++) {
			ck_assert_ptr_eq(entry_stronger(&ladder[i], &ladder[j]),
			                 &ladder[i]);
			ck_assert_ptr_eq(entry_stronger(&ladder[j], &ladder[i]),
			                 &ladder[i]);
		}
	}
	ck_assert_ptr_null(entry_stronger(NULL, NULL));
}
END_TEST

/* Of two equal ones the choice does not depend on their order. */
START_TEST(tie)
{
	struct entry a = {.id = {{1}}}, b = {.id = {{2}}};

	ck_assert_ptr_eq(entry_stronger(&a, &b), &a);
	ck_assert_ptr_eq(entry_stronger(&b, &a), &a);
}
END_TEST

static void append_key(enum entry_scope scope, const char *scope_value,
                       enum entry_kind kind, const char *value, void *context)
{
	(void)buffer_append_format(context, "%s %s %s %s\n",
	                           entry_scope_name(scope), scope_value,
	                           entry_kind_name(kind), value);
}

START_TEST(all_keys)
{
	struct entry_subject subject = subject_of(NOTHING);
	struct buffer keys;

	mail_identity_find(&identity, "a@s.example", "", NULL);
	buffer_init(&keys, 1 << 16);
	entry_each_key(&subject, append_key, &keys);
	ck_assert_str_eq(buffer_text(&keys),
	                 "mailbox bob@own.example address a@s.example\n"
	                 "mailbox bob@own.example domain s.example\n"
	                 "mailbox bob@own.example subdomains s.example\n"
	                 "mailbox bob@own.example subdomains example\n"
	                 "domain own.example address a@s.example\n"
	                 "domain own.example domain s.example\n"
	                 "domain own.example subdomains s.example\n"
	                 "domain own.example subdomains example\n"
	                 "tenant  address a@s.example\n"
	                 "tenant  domain s.example\n"
	                 "tenant  subdomains s.example\n"
	                 "tenant  subdomains example\n"
	                 "global  address a@s.example\n"
	                 "global  domain s.example\n"
	                 "global  subdomains s.example\n"
	                 "global  subdomains example\n");
	buffer_reset(&keys);
	mail_identity_find(&identity, "a@s.example", "a@s.example",
	                   &auths[FROM_ONLY]);
	entry_each_key(&subject, append_key, &keys);
	ck_assert_ptr_null(strstr(buffer_text(&keys), "from.example"));
	buffer_reset(&keys);
	mail_identity_find(&identity, "x+b=inner.example@s.example",
	                   "a@from.example", &auths[FROM_ONLY]);
	entry_each_key(&subject, append_key, &keys);
	ck_assert_ptr_nonnull(
	    strstr(buffer_text(&keys), "global  subdomains from.example\n"));
	ck_assert_ptr_nonnull(
	    strstr(buffer_text(&keys), "global  address b@inner.example\n"));
	buffer_reset(&keys);
	mail_identity_find(&identity, "", "", NULL);
	entry_each_key(&subject, append_key, &keys);
	ck_assert_str_eq(buffer_text(&keys), "");
	buffer_release(&keys);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("entry match");
	TCase *tests = tcase_create("match");

	tcase_add_loop_test(tests, matching, 0, COUNT(rows));
	tcase_add_loop_test(tests, scopes, 0, COUNT(scope_rows));
	tcase_add_test(tests, expiry);
	tcase_add_test(tests, null_sender);
	tcase_add_test(tests, slow_pattern);
	tcase_add_test(tests, stronger);
	tcase_add_test(tests, tie);
	tcase_add_test(tests, all_keys);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
