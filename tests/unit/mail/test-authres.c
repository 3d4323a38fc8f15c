/* Authentication-Results: the grammar, trust, alignment and forgeries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/authres.h"
#include "common/mem.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define AR           "Authentication-Results: "
#define MX           AR "mx.example; "
#define SPF_PASS     "spf=pass smtp.mailfrom=alice@sender.example"

static void read_header(const char *text, const char *sender, const char *from,
                        struct mail_auth *auth)
{
	struct mail_header header;

	mail_header_init(&header);
	mail_header_feed(&header, text, strlen(text));
	mail_header_parse(&header);
	mail_auth_read(&header, "mx.example", sender, from, auth);
	mail_header_release(&header);
}

/* Sender alice@sender.example, From alice@from.example, unless said. */
static const struct {
	const char *header;
	bool stated;
	enum auth_result spf, dkim, dmarc;
	bool passes, fails;
} rows[] = {
    /* nothing to trust */
    {"", false, 0, 0, 0, false, false},
    {"From: x@y\r\n", false, 0, 0, 0, false, false},
    {AR "mx.example; none", true, 0, 0, 0, false, false},
    {AR "mx.example", true, 0, 0, 0, false, false},
    {AR "", false, 0, 0, 0, false, false},
    {AR ";", false, 0, 0, 0, false, false},
    /* plain results */
    {MX SPF_PASS, true, AUTH_PASS, 0, 0, true, false},
    {MX "spf=pass smtp.mailfrom=sender.example", true, AUTH_PASS, 0, 0, true,
     false},
    {MX "spf=fail smtp.mailfrom=sender.example", true, AUTH_FAIL, 0, 0, false,
     true},
    {MX "spf=softfail smtp.mailfrom=sender.example", true, AUTH_SOFTFAIL, 0, 0,
     false, false},
    {MX "spf=hardfail", true, AUTH_FAIL, 0, 0, false, true},
    {MX "dkim=pass header.d=sender.example", true, 0, AUTH_PASS, 0, true,
     false},
    {MX "dkim=pass header.d=mail.sender.example", true, 0, AUTH_PASS, 0, true,
     false},
    {MX "dkim=pass header.i=@from.example", true, 0, AUTH_PASS, 0, true, false},
    {MX "dkim=pass header.i=alice@x.from.example", true, 0, AUTH_PASS, 0, true,
     false},
    {MX "dkim=pass header.d=other.example", true, 0, AUTH_POLICY, 0, false,
     false},
    {MX "dkim=pass", true, 0, AUTH_POLICY, 0, false, false},
    {MX "dkim=fail header.d=sender.example", true, 0, AUTH_FAIL, 0, false,
     false},
    {MX "dmarc=pass header.from=from.example", true, 0, 0, AUTH_PASS, true,
     false},
    {MX "dmarc=pass", true, 0, 0, AUTH_PASS, true, false},
    {MX "dmarc=pass header.from=other.example", true, 0, 0, 0, false, false},
    {MX "dmarc=fail (p=none) header.from=from.example; " SPF_PASS, true,
     AUTH_PASS, 0, AUTH_FAIL, false, true},
    {MX "dmarc=bestguesspass header.from=from.example", true, 0, 0, 0, false,
     false},
    {MX "iprev=pass; auth=pass smtp.auth=x; arc=pass", true, 0, 0, 0, false,
     false},
    /* two From fields: which one passed has to be said */
    {MX "dmarc=pass\r\nFrom: a@from.example\r\nFrom: b@evil.example", true, 0,
     0, 0, false, false},
    {MX "dmarc=pass header.from=from.example\r\nFrom: a@from.example\r\n"
        "From: b@evil.example",
     true, 0, 0, AUTH_PASS, true, false},
    /* several methods, several fields */
    {MX SPF_PASS "; dkim=pass header.d=x.example; dmarc=fail", true, AUTH_PASS,
     AUTH_POLICY, AUTH_FAIL, false, true},
    {MX SPF_PASS "\r\n" MX "dkim=pass header.d=from.example\r\n" MX
                 "dmarc=pass header.from=from.example",
     true, AUTH_PASS, AUTH_PASS, AUTH_PASS, true, false},
    {MX "dkim=fail header.d=a.example; dkim=pass header.d=from.example; "
        "dkim=pass header.d=b.example",
     true, 0, AUTH_PASS, 0, true, false},
    {MX "dkim=pass header.d=a.example; dkim=pass header.d=from.example", true,
     0, AUTH_PASS, 0, true, false},
    /* an SPF pass of another domain: SRS, HELO, no domain */
    {MX "spf=pass smtp.mailfrom=forwarder.example", true, 0, 0, 0, false,
     false},
    {MX "spf=pass smtp.mailfrom=x.sender.example", true, 0, 0, 0, false, false},
    {MX "spf=pass smtp.helo=sender.example", true, 0, 0, 0, false, false},
    {MX "spf=pass", true, 0, 0, 0, false, false},
    {MX "spf=pass smtp.mailfrom=", true, 0, 0, 0, false, false},
    {MX "spf=pass smtp.helo=h.example; spf=fail smtp.mailfrom=sender.example",
     true, AUTH_FAIL, 0, 0, false, true},
    /* comments, quotes, case, folding, versions */
    {AR "(a (nested; spf=fail) comment) MX.Example (c) 1 (c) ; (c) SPF (c) = "
        "(c) PASS (; spf=fail) smtp.mailfrom (c) = (c) sender.example",
     true, AUTH_PASS, 0, 0, true, false},
    {AR "\"mx.example\"; " SPF_PASS, true, AUTH_PASS, 0, 0, true, false},
    {AR "mx.example;\r\n\tspf=pass\r\n\tsmtp.mailfrom=sender.example", true,
     AUTH_PASS, 0, 0, true, false},
    {AR "mx.example;spf=pass smtp.mailfrom=\"a b\"@sender.example", true,
     AUTH_PASS, 0, 0, true, false},
    {"AUTHENTICATION-RESULTS:mx.example;" SPF_PASS, true, AUTH_PASS, 0, 0, true,
     false},
    {MX "spf/1=pass smtp.mailfrom=sender.example", true, AUTH_PASS, 0, 0, true,
     false},
    {MX "spf/2=pass smtp.mailfrom=sender.example", true, 0, 0, 0, false, false},
    {AR "mx.example 1; " SPF_PASS, true, AUTH_PASS, 0, 0, true, false},
    {AR "mx.example 2; " SPF_PASS, true, 0, 0, 0, false, false},
    {MX "spf=pass reason=\"good; spf=fail\" smtp.mailfrom=sender.example", true,
     AUTH_PASS, 0, 0, true, false},
    {MX "spf=pass smtp.mailfrom=\"sender.example\"", true, AUTH_PASS, 0, 0,
     true, false},
    {MX "; ;; " SPF_PASS ";", true, AUTH_PASS, 0, 0, true, false},
    {MX "spf=pass smtp.mailfrom=SENDER.Example", true, AUTH_PASS, 0, 0, true,
     false},
    {MX "dkim=pass header.b=\"ab/c=\" header.d=sender.example header.s=a.b",
     true, 0, AUTH_PASS, 0, true, false},
    {MX "dkim=pass (2048-bit key; unprotected) header.d=sender.example "
        "header.i=@sender.example header.b=k/w+8=",
     true, 0, AUTH_PASS, 0, true, false},
    /* forged or foreign: the wrong id alone, above, below, among */
    {AR "other.example; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "mx.example.evil; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "xmx.example; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "mx.example@evil; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "mx.example=1; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "mx.example evil; " SPF_PASS, true, 0, 0, 0, false, false},
    {AR "mx.example 1 evil; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "(mx.example;) evil; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "evil (\r\n mx.example; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "spf=pass smtp.mailfrom=sender.example", false, 0, 0, 0, false, false},
    {MX "spf=fail smtp.mailfrom=sender.example\r\n" AR
        "other.example; " SPF_PASS,
     true, AUTH_FAIL, 0, 0, false, true},
    {AR "other.example; spf=fail\r\n" MX SPF_PASS, false, 0, 0, 0, false,
     false},
    {MX "spf=neutral\r\n" AR "other.example; none\r\n" MX
        "dkim=pass header.d=sender.example",
     true, AUTH_NEUTRAL, 0, 0, false, false},
    {MX SPF_PASS "\r\n" AR "other.example; dmarc=fail", true, AUTH_PASS, 0, 0,
     true, false},
    /* the same method twice: the topmost counts */
    {MX "spf=fail smtp.mailfrom=sender.example\r\n" MX SPF_PASS, true,
     AUTH_FAIL, 0, 0, false, true},
    {MX SPF_PASS "\r\n" MX "spf=fail smtp.mailfrom=sender.example", true,
     AUTH_PASS, 0, 0, true, false},
    {MX "dkim=none\r\n" MX "dkim=pass header.d=sender.example", true, 0, 0, 0,
     false, false},
    {MX "dmarc=fail\r\n" MX "dmarc=pass", true, 0, 0, AUTH_FAIL, false, true},
    {MX "spf=fail smtp.mailfrom=sender.example; " SPF_PASS, true, AUTH_FAIL, 0,
     0, false, true},
    /* other fields do not break the run */
    {"Received: a\r\n" MX "spf=neutral\r\nReturn-Path: <x@y>\r\nReceived: b\r\n"
     "X-A: b\r\n" MX "dkim=pass header.d=sender.example",
     true, AUTH_NEUTRAL, AUTH_PASS, 0, true, false},
    /* look-alikes of the field's name */
    {"X-" MX SPF_PASS, false, 0, 0, 0, false, false},
    {"ARC-" AR "i=1; mx.example; " SPF_PASS, false, 0, 0, 0, false, false},
    {"Authentication-Results-Original: mx.example; " SPF_PASS, false, 0, 0, 0,
     false, false},
    {"Subject: x\r\n " MX SPF_PASS, false, 0, 0, 0, false, false},
    /* broken */
    {MX "spf", true, 0, 0, 0, false, false},
    {MX "spf=", true, 0, 0, 0, false, false},
    {MX "=pass; " SPF_PASS, true, AUTH_PASS, 0, 0, true, false},
    {MX "spf==pass smtp.mailfrom=sender.example", true, 0, 0, 0, false, false},
    {MX "spf=passed smtp.mailfrom=sender.example", true, 0, 0, 0, false, false},
    {MX "spf=\"pass\" smtp.mailfrom=sender.example", true, AUTH_PASS, 0, 0,
     true, false},
    {MX "spf=pass (open smtp.mailfrom=sender.example", true, 0, 0, 0, false,
     false},
    {MX "xspf=pass smtp.mailfrom=sender.example", true, 0, 0, 0, false, false},
    {MX "garbage here; " SPF_PASS, true, AUTH_PASS, 0, 0, true, false},
    {MX "spf=pass garbage smtp.mailfrom=sender.example", true, 0, 0, 0, false,
     false},
    {MX "spf=pass smtp.mailfrom=evil.example smtp.mailfrom=sender.example",
     true, 0, 0, 0, false, false},
    {MX "spf=pass smtp.mailfrom=sender.example\xff", true, 0, 0, 0, false,
     false},
};

START_TEST(results)
{
	struct mail_auth auth;

	read_header(rows[_i].header, "alice@sender.example",
	            "alice@from.example", &auth);
	ck_assert_msg(auth.stated == rows[_i].stated, "%s", rows[_i].header);
	ck_assert_str_eq(auth_result_name(auth.spf),
	                 auth_result_name(rows[_i].spf));
	ck_assert_str_eq(auth_result_name(auth.dkim),
	                 auth_result_name(rows[_i].dkim));
	ck_assert_str_eq(auth_result_name(auth.dmarc),
	                 auth_result_name(rows[_i].dmarc));
	ck_assert_msg(mail_auth_passes(&auth) == rows[_i].passes, "%s",
	              rows[_i].header);
	ck_assert_msg(mail_auth_fails(&auth) == rows[_i].fails, "%s",
	              rows[_i].header);
}
END_TEST

/* No authserv-id configured: nothing is believed, not even an empty one. */
START_TEST(no_authserv_id)
{
	static const char text[] = AR "; " SPF_PASS "\r\n";
	struct mail_header header;
	struct mail_auth auth;

	mail_header_init(&header);
	mail_header_feed(&header, text, sizeof(text) - 1);
	mail_header_parse(&header);
	mail_auth_read(&header, "", "alice@sender.example", "", &auth);
	ck_assert(!auth.stated);
	mail_auth_read(&header, NULL, "alice@sender.example", "", &auth);
	ck_assert(!auth.stated);
	mail_header_release(&header);
}
END_TEST

/* Whom a pass covers: the attacker's own From covers no made-up sender. */
static const struct {
	const char *header, *sender, *from;
	bool sender_covered, from_covered;
} cover_rows[] = {
    {MX "spf=pass smtp.mailfrom=a@s.example", "a@s.example", "b@f.example",
     true, false},
    {MX "spf=pass smtp.mailfrom=a@s.example", "a@s.example", "b@s.example",
     true, true},
    {MX "dkim=pass header.d=f.example", "a@s.example", "b@f.example", false,
     true},
    {MX "dkim=pass header.d=s.example", "a@s.example", "b@f.example", true,
     false},
    {MX "dkim=pass header.d=f.example; dkim=pass header.d=s.example",
     "a@s.example", "b@f.example", true, false},
    {MX "dmarc=pass header.from=f.example", "a@s.example", "b@f.example", false,
     true},
    {MX "dmarc=pass header.from=s.example", "a@bounce.s.example", "b@s.example",
     true, true},
    {MX "dmarc=pass", "a@s.example", "", false, false},
    {MX "dmarc=fail; spf=pass smtp.mailfrom=s.example", "a@s.example",
     "b@s.example", false, false},
    {MX "spf=pass smtp.mailfrom=fwd.example", "a@s.example", "a@s.example",
     false, false},
    {MX "spf=pass", "", "", false, false},
    {"", "a@s.example", "a@s.example", false, false},
};

START_TEST(coverage)
{
	struct mail_auth auth;

	read_header(cover_rows[_i].header, cover_rows[_i].sender,
	            cover_rows[_i].from, &auth);
	ck_assert_msg(mail_auth_covers_sender(&auth, cover_rows[_i].sender,
	                                      cover_rows[_i].from) ==
	                  cover_rows[_i].sender_covered,
	              "sender: %s", cover_rows[_i].header);
	ck_assert_msg(mail_auth_covers_from(&auth, cover_rows[_i].from) ==
	                  cover_rows[_i].from_covered,
	              "From: %s", cover_rows[_i].header);
}
END_TEST

START_TEST(domains)
{
	struct mail_auth auth;

	read_header(MX "spf=pass smtp.mailfrom=a@S.Example; "
	               "dkim=pass header.d=F.Example",
	            "a@s.example", "b@f.example", &auth);
	ck_assert_str_eq(auth.spf_domain, "s.example");
	ck_assert_str_eq(auth.dkim_domain, "f.example");
	ck_assert(auth.aligned);
	read_header(MX "dkim=pass header.d=else.example", "a@s.example",
	            "b@f.example", &auth);
	ck_assert_str_eq(auth.dkim_domain, "else.example");
	ck_assert(!auth.aligned);
}
END_TEST

START_TEST(names)
{
	int i;

	for (i = AUTH_NONE; i <= AUTH_POLICY; i++)
		ck_assert_int_eq(
		    auth_result_parse(auth_result_name((enum auth_result)i)),
		    i);
	ck_assert_int_eq(auth_result_parse("PASS"), AUTH_PASS);
	ck_assert_int_eq(auth_result_parse(""), AUTH_NONE);
	ck_assert_int_eq(auth_result_parse("passx"), AUTH_NONE);
	ck_assert_str_eq(auth_result_name((enum auth_result)99), "none");
}
END_TEST

static const char *const floods[] = {"(",
                                     ";",
                                     "=",
                                     "a=b;",
                                     "\"",
                                     "a=",
                                     "a=b ",
                                     "/",
                                     "()",
                                     "a/1=",
                                     "\\",
                                     "a=(b",
                                     "dkim=pass header.d=a.example;",
                                     "spf=pass "};

START_TEST(flood)
{
	size_t size = 200 * 1024, length = strlen(floods[_i]), i;
	char *text = mem_alloc(size + 64);
	size_t start = (size_t)snprintf(text, 64, "%s", MX);
	struct mail_auth auth;

	for (i = 0; i < size; i++)
		text[start + i] = floods[_i][i % length];
	read_header(text, "alice@sender.example", "alice@from.example", &auth);
	ck_assert(auth.stated);
	ck_assert(!mail_auth_passes(&auth));
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("authentication results");
	TCase *tests = tcase_create("authres");

	tcase_add_loop_test(tests, results, 0, COUNT(rows));
	tcase_add_test(tests, no_authserv_id);
	tcase_add_loop_test(tests, coverage, 0, COUNT(cover_rows));
	tcase_add_test(tests, domains);
	tcase_add_test(tests, names);
	tcase_add_loop_test(tests, flood, 0, COUNT(floods));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
