/* Authentication-Results: the grammar, trust, alignment and forgeries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/identity.h"
#include "common/mem.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define AR           "Authentication-Results: "
#define MX           AR "mx.example; "
#define SPF_PASS     "spf=pass smtp.mailfrom=alice@sender.example"

/* A reading with all that it depends on, and what came of it. */
struct setting {
	const char *id;
	bool below, missing;
	unsigned hops;
	const char *helo, *reverse_path; /* NULL: nothing odd */
	struct mail_auth auth;
	struct mail_auth_notice notice;
};

/* The text, and a From line unless it has one. */
static void feed_with_from(struct mail_header *header, const char *text,
                           const char *from)
{
	char line[100];

	mail_header_feed(header, text, strlen(text));
	if (strstr(text, "From:"))
		return;
	(void)snprintf(
	    line, sizeof(line), "%sFrom: %s\r\n",
	    strlen(text) > 1 && text[strlen(text) - 1] == '\n' ? "" : "\r\n",
	    from);
	mail_header_feed(header, line, strlen(line));
}

static void read_with(struct setting *setting, const char *text)
{
	struct mail_auth_source source = {.authserv_id = setting->id,
	                                  .accept_missing_id = setting->missing,
	                                  .below = setting->below,
	                                  .trusted_hops = setting->hops};
	struct mail_auth_claims claims = {
	    .reverse_path = setting->reverse_path ? setting->reverse_path
	                                          : "alice@sender.example",
	    .from = "alice@from.example",
	    .helo = setting->helo ? setting->helo : "out.sender.example"};
	struct mail_header header;

	mail_header_init(&header);
	feed_with_from(&header, text, claims.from);
	mail_header_parse(&header);
	mail_auth_read(&header, &source, &claims, &setting->auth,
	               &setting->notice);
	mail_header_release(&header);
}

static void read_header(const char *text, const char *from,
                        struct mail_auth *auth)
{
	static const struct mail_auth_source source = {.authserv_id =
	                                                   "mx.example"};
	struct mail_auth_notice notice;
	struct mail_header header;

	mail_header_init(&header);
	feed_with_from(&header, text, from);
	mail_header_parse(&header);
	mail_auth_read(
	    &header, &source,
	    &(struct mail_auth_claims){.reverse_path = "alice@sender.example",
	                               .from = from,
	                               .helo = "out.example"},
	    auth, &notice);
	mail_header_release(&header);
}

/* From alice@from.example, unless said; passes: some method did, and DMARC did
 * not fail. */
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
    {AR "mx.example", false, 0, 0, 0, false, false},
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
    {MX "dkim=pass header.d=other.example", true, 0, AUTH_PASS, 0, true, false},
    {MX "dkim=pass", true, 0, AUTH_POLICY, 0, false, false},
    {MX "dkim=fail header.d=sender.example", true, 0, AUTH_FAIL, 0, false,
     false},
    {MX "dmarc=pass header.from=from.example", true, 0, 0, AUTH_PASS, true,
     false},
    {MX "dmarc=pass", true, 0, 0, AUTH_PASS, true, false},
    {MX "dmarc=pass header.from=other.example", true, 0, 0, AUTH_PASS, true,
     false},
    {MX "dmarc=fail (p=none) header.from=from.example; " SPF_PASS, true,
     AUTH_PASS, 0, AUTH_FAIL, false, true},
    {MX "dmarc=bestguesspass header.from=from.example", true, 0, 0, 0, false,
     false},
    {MX "iprev=pass; auth=pass smtp.auth=x; arc=pass", true, 0, 0, 0, false,
     false},
    /* two From fields: the mail has no author that a pass could be for */
    {MX "dmarc=pass\r\nFrom: a@from.example\r\nFrom: b@evil.example", true, 0,
     0, 0, false, false},
    {MX "dmarc=pass header.from=from.example\r\nFrom: a@from.example\r\n"
        "From: b@evil.example",
     true, 0, 0, 0, false, false},
    /* several methods, several fields */
    {MX SPF_PASS "; dkim=pass header.d=x.example; dmarc=fail", true, AUTH_PASS,
     AUTH_PASS, AUTH_FAIL, false, true},
    {MX SPF_PASS "\r\n" MX "dkim=pass header.d=from.example\r\n" MX
                 "dmarc=pass header.from=from.example",
     true, AUTH_PASS, AUTH_PASS, AUTH_PASS, true, false},
    {MX "dkim=fail header.d=a.example; dkim=pass header.d=from.example; "
        "dkim=pass header.d=b.example",
     true, 0, AUTH_PASS, 0, true, false},
    {MX "dkim=pass header.d=a.example; dkim=pass header.d=from.example", true,
     0, AUTH_PASS, 0, true, false},
    /* an SPF pass of whatever domain, but not of HELO or of none */
    {MX "spf=pass smtp.mailfrom=forwarder.example", true, AUTH_PASS, 0, 0, true,
     false},
    {MX "spf=pass smtp.helo=sender.example", true, 0, 0, 0, false, false},
    {MX "spf=pass", true, 0, 0, 0, false, false},
    {MX "spf=pass smtp.mailfrom=", false, 0, 0, 0, false, false},
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
    {AR "mx.example 2; " SPF_PASS, false, 0, 0, 0, false, false},
    {MX "spf=pass reason=\"good; spf=fail\" smtp.mailfrom=sender.example", true,
     AUTH_PASS, 0, 0, true, false},
    {MX "spf=pass smtp.mailfrom=\"sender.example\"", true, AUTH_PASS, 0, 0,
     true, false},
    {MX "; ;; " SPF_PASS ";", false, 0, 0, 0, false, false},
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
    {AR "mx.example evil; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "mx.example 1 evil; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "(mx.example;) evil; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "evil (\r\n mx.example; " SPF_PASS, false, 0, 0, 0, false, false},
    {AR "spf=pass smtp.mailfrom=sender.example", false, 0, 0, 0, false, false},
    {MX "spf=fail smtp.mailfrom=sender.example\r\n" AR
        "other.example; " SPF_PASS,
     true, AUTH_FAIL, 0, 0, false, true},
    {AR "other.example; spf=fail\r\n" MX SPF_PASS, true, AUTH_PASS, 0, 0, true,
     false},
    {MX "spf=neutral\r\n" AR "other.example; none\r\n" MX
        "dkim=pass header.d=sender.example",
     true, AUTH_NEUTRAL, AUTH_PASS, 0, true, false},
    {MX SPF_PASS "\r\n" AR "other.example; dmarc=fail", true, AUTH_PASS, 0, 0,
     true, false},
    /* the same method twice: the worse counts, the best signature */
    {MX "spf=fail smtp.mailfrom=sender.example\r\n" MX SPF_PASS, true,
     AUTH_FAIL, 0, 0, false, true},
    {MX SPF_PASS "\r\n" MX "spf=fail smtp.mailfrom=sender.example", true,
     AUTH_FAIL, 0, 0, false, true},
    {MX SPF_PASS "; spf=softfail smtp.mailfrom=sender.example", true,
     AUTH_SOFTFAIL, 0, 0, false, false},
    {MX SPF_PASS "; spf=none", true, AUTH_NONE, 0, 0, false, false},
    {MX SPF_PASS "; spf=pass", true, AUTH_NONE, 0, 0, false, false},
    {MX SPF_PASS "; spf=pass smtp.mailfrom=other.example", true, AUTH_NONE, 0,
     0, false, false},
    {MX SPF_PASS "\r\n" MX SPF_PASS, true, AUTH_PASS, 0, 0, true, false},
    {MX "spf=pass smtp.helo=x.example; " SPF_PASS, true, AUTH_PASS, 0, 0, true,
     false},
    {MX "dkim=none\r\n" MX "dkim=pass header.d=sender.example", true, 0,
     AUTH_PASS, 0, true, false},
    {MX "dmarc=pass header.from=from.example; dmarc=pass header.from=x.example",
     true, 0, 0, 0, false, false},
    {MX "dmarc=pass header.from=from.example; dmarc=none", true, 0, 0, 0, false,
     false},
    {MX "dmarc=fail\r\n" MX "dmarc=pass", true, 0, 0, AUTH_FAIL, false, true},
    {MX "spf=fail smtp.mailfrom=sender.example; " SPF_PASS, true, AUTH_FAIL, 0,
     0, false, true},
    /* look-alikes of the field's name */
    {"X-" MX SPF_PASS, false, 0, 0, 0, false, false},
    {"ARC-" AR "i=1; mx.example; " SPF_PASS, false, 0, 0, 0, false, false},
    {"Authentication-Results-Original: mx.example; " SPF_PASS, false, 0, 0, 0,
     false, false},
    {"Subject: x\r\n " MX SPF_PASS, false, 0, 0, 0, false, false},
    /* broken */
    {MX "spf", false, 0, 0, 0, false, false},
    {MX "spf=", false, 0, 0, 0, false, false},
    {MX "=pass; " SPF_PASS, false, 0, 0, 0, false, false},
    {MX "spf==pass smtp.mailfrom=sender.example", false, 0, 0, 0, false, false},
    {MX "spf=passed smtp.mailfrom=sender.example", true, 0, 0, 0, false, false},
    {MX "spf=\"pass\" smtp.mailfrom=sender.example", false, 0, 0, 0, false,
     false},
    {MX "spf=pass (open smtp.mailfrom=sender.example", false, 0, 0, 0, false,
     false},
    {MX "xspf=pass smtp.mailfrom=sender.example", true, 0, 0, 0, false, false},
    {MX "garbage here; " SPF_PASS, false, 0, 0, 0, false, false},
    {MX "spf=pass garbage smtp.mailfrom=sender.example", false, 0, 0, 0, false,
     false},
    {MX "spf=pass smtp.mailfrom=evil.example smtp.mailfrom=sender.example",
     false, 0, 0, 0, false, false},
    {MX "spf=pass smtp.mailfrom=sender.example\xff", false, 0, 0, 0, false,
     false},
};

static bool passes(const struct mail_auth *auth)
{
	return auth->dmarc != AUTH_FAIL &&
	       (auth->spf == AUTH_PASS || auth->dkim == AUTH_PASS ||
	        auth->dmarc == AUTH_PASS);
}

START_TEST(results)
{
	struct mail_auth auth;

	read_header(rows[_i].header, "alice@from.example", &auth);
	ck_assert_msg(auth.stated == rows[_i].stated, "%s", rows[_i].header);
	ck_assert_str_eq(auth_result_name(auth.spf),
	                 auth_result_name(rows[_i].spf));
	ck_assert_str_eq(auth_result_name(auth.dkim),
	                 auth_result_name(rows[_i].dkim));
	ck_assert_str_eq(auth_result_name(auth.dmarc),
	                 auth_result_name(rows[_i].dmarc));
	ck_assert_msg(passes(&auth) == rows[_i].passes, "%s", rows[_i].header);
	ck_assert_msg(mail_auth_fails(&auth) == rows[_i].fails, "%s",
	              rows[_i].header);
}
END_TEST

/* No authserv-id configured: nothing is believed, not even an empty one. */
START_TEST(no_authserv_id)
{
	static const char text[] = AR "; " SPF_PASS "\r\n" AR "\"\"; " SPF_PASS;
	struct setting setting = {.id = ""};

	read_with(&setting, text);
	ck_assert(!setting.auth.stated);
	setting.id = NULL;
	read_with(&setting, text);
	ck_assert(!setting.auth.stated);
}
END_TEST

/* Each result with the domain that it is about. */
START_TEST(domains)
{
	struct mail_auth auth;

	read_header(MX "spf=pass smtp.mailfrom=a@S.Example; "
	               "dkim=pass header.d=F.Example; "
	               "dmarc=pass header.from=G.Example",
	            "b@f.example", &auth);
	ck_assert_str_eq(auth.spf_domain, "s.example");
	ck_assert_str_eq(auth.dkim_domain, "f.example");
	ck_assert_str_eq(auth.dmarc_domain, "g.example");
	read_header(MX "dkim=pass header.d=else.example; dmarc=pass",
	            "b@f.example", &auth);
	ck_assert_str_eq(auth.dkim_domain, "else.example");
	ck_assert_str_eq(auth.dmarc_domain, "f.example");
	/* Of several signatures the one that is aligned with From. */
	read_header(MX "dkim=pass header.d=a.example; "
	               "dkim=pass header.d=mail.f.example; "
	               "dkim=pass header.d=b.example",
	            "b@f.example", &auth);
	ck_assert_str_eq(auth.dkim_domain, "mail.f.example");
}
END_TEST

static const char *const froms[] = {
    "From: a@f.example\r\nFrom: b@f.example\r\n",
    "From: a@f.example, b@f.example\r\n",
    "From: team: a@f.example, b@f.example;\r\n",
    "From: undisclosed:;\r\n",
    "From: \r\n",
    "Sender: a@f.example\r\nX-From: a@f.example\r\n",
};

/* Nobody knows which of several authors the MX looked at. */
START_TEST(several_authors)
{
	char text[400];
	struct mail_auth auth;

	(void)snprintf(text, sizeof(text),
	               MX "spf=pass smtp.mailfrom=f.example; "
	                  "dkim=pass header.d=f.example; "
	                  "dmarc=pass header.from=f.example\r\n%s",
	               froms[_i]);
	read_header(text, "a@f.example", &auth);
	ck_assert_int_eq(auth.spf, AUTH_PASS);
	ck_assert_int_eq(auth.dkim, AUTH_POLICY);
	ck_assert_int_eq(auth.dmarc, AUTH_NONE);
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

/* --- the place ---------------------------------------------------------- */

#define RECEIVED  "Received: from a by b\r\n"
#define OTHER     AR "other.example; "
#define ABOVE     false, false, 0
#define BELOW     true, false, 0
#define HOPS(n)   false, false, (n)
#define SPF_FAIL  "spf=fail smtp.mailfrom=sender.example"
#define DKIM_PASS "dkim=pass header.d=sender.example"

static const struct {
	const char *header;
	bool below, missing;
	unsigned hops;
	bool passes;
	enum mail_auth_notice_kind notice;
} places[] = {
    /* above: what stands above the first Received line, all of it */
    {MX SPF_PASS "\r\n" RECEIVED, ABOVE, true, MAIL_AUTH_TRUSTED},
    {"X-A: b\r\n" MX SPF_PASS "\r\nX-B: c\r\n" RECEIVED, ABOVE, true,
     MAIL_AUTH_TRUSTED},
    {MX "spf=none\r\nX-A: b\r\n" MX DKIM_PASS "\r\n" RECEIVED, ABOVE, true,
     MAIL_AUTH_TRUSTED},
    {OTHER "none\r\n" MX SPF_PASS "\r\n" RECEIVED, ABOVE, true,
     MAIL_AUTH_TRUSTED},
    {MX SPF_PASS "\r\n" RECEIVED MX SPF_FAIL "\r\n", ABOVE, true,
     MAIL_AUTH_TRUSTED},
    {MX "none\r\n" RECEIVED MX SPF_PASS "\r\n", ABOVE, false,
     MAIL_AUTH_TRUSTED},
    {MX "dkim=none\r\n" RECEIVED MX SPF_PASS "\r\n", ABOVE, false,
     MAIL_AUTH_TRUSTED},
    {RECEIVED MX SPF_PASS "\r\n", ABOVE, false, MAIL_AUTH_MISPLACED},
    {RECEIVED MX SPF_PASS "\r\n" RECEIVED, ABOVE, false, MAIL_AUTH_MISPLACED},
    {RECEIVED OTHER "none\r\n" MX SPF_PASS "\r\n", ABOVE, false,
     MAIL_AUTH_ABSENT},
    {RECEIVED RECEIVED MX SPF_PASS "\r\n", ABOVE, false, MAIL_AUTH_ABSENT},
    {"X-A: b\r\n" RECEIVED, ABOVE, false, MAIL_AUTH_ABSENT},
    {OTHER SPF_PASS "\r\n" RECEIVED MX SPF_PASS "\r\n", ABOVE, false,
     MAIL_AUTH_FOREIGN},
    {MX "garbage\r\n" RECEIVED MX SPF_PASS "\r\n", ABOVE, false,
     MAIL_AUTH_MALFORMED},
    {MX SPF_PASS "; x\r\n" MX DKIM_PASS "\r\n" RECEIVED, ABOVE, true,
     MAIL_AUTH_MALFORMED},
    {"received : x\r\n" MX SPF_PASS "\r\n", ABOVE, false, MAIL_AUTH_MISPLACED},
    {"Received-SPF: pass\r\n" MX SPF_PASS "\r\n" RECEIVED, ABOVE, true,
     MAIL_AUTH_TRUSTED},
    /* no Received line at all: the run at the top */
    {MX SPF_PASS "\r\nFrom: x@y\r\n", ABOVE, true, MAIL_AUTH_TRUSTED},
    {"From: x@y\r\n" MX SPF_PASS "\r\n", ABOVE, false, MAIL_AUTH_ABSENT},
    {MX "none\r\nFrom: x@y\r\n" MX SPF_PASS "\r\n", ABOVE, false,
     MAIL_AUTH_TRUSTED},
    /* more machines of the company's behind the MX */
    {RECEIVED MX SPF_PASS "\r\n" RECEIVED, HOPS(2), true, MAIL_AUTH_TRUSTED},
    {MX SPF_PASS "\r\n" RECEIVED RECEIVED, HOPS(2), true, MAIL_AUTH_TRUSTED},
    {RECEIVED RECEIVED MX SPF_PASS "\r\n", HOPS(2), false, MAIL_AUTH_MISPLACED},
    {RECEIVED MX SPF_PASS "\r\n", HOPS(2), false, MAIL_AUTH_ABSENT},
    {RECEIVED RECEIVED MX SPF_PASS "\r\n" RECEIVED, HOPS(3), true,
     MAIL_AUTH_TRUSTED},
    {MX SPF_PASS "\r\n", HOPS(2), true, MAIL_AUTH_TRUSTED},
    /* below: the first field under the line, alone */
    {RECEIVED MX SPF_PASS "\r\n", BELOW, true, MAIL_AUTH_TRUSTED},
    {RECEIVED "X-Spam: no\r\n" MX SPF_PASS "\r\n" RECEIVED, BELOW, true,
     MAIL_AUTH_TRUSTED},
    {RECEIVED MX "none\r\n" MX SPF_PASS "\r\n", BELOW, false,
     MAIL_AUTH_TRUSTED},
    {RECEIVED OTHER "none\r\n" MX SPF_PASS "\r\n", BELOW, false,
     MAIL_AUTH_FOREIGN},
    {RECEIVED MX "garbage\r\n" MX SPF_PASS "\r\n", BELOW, false,
     MAIL_AUTH_MALFORMED},
    {RECEIVED "X-A: b\r\n" RECEIVED MX SPF_PASS "\r\n", BELOW, false,
     MAIL_AUTH_ABSENT},
    {MX SPF_PASS "\r\n" RECEIVED, BELOW, false, MAIL_AUTH_MISPLACED},
    {MX SPF_PASS "\r\n" RECEIVED MX SPF_FAIL "\r\n", BELOW, false,
     MAIL_AUTH_TRUSTED},
    {MX SPF_PASS "\r\n", BELOW, false, MAIL_AUTH_MISPLACED},
    {RECEIVED MX "none\r\n" RECEIVED MX SPF_PASS "\r\n", true, false, 2, true,
     MAIL_AUTH_TRUSTED},
    {RECEIVED MX SPF_PASS "\r\n" RECEIVED, true, false, 2, false,
     MAIL_AUTH_MISPLACED},
    /* an MX that writes no id */
    {AR SPF_PASS "\r\n" RECEIVED, ABOVE, false, MAIL_AUTH_FOREIGN},
    {AR SPF_PASS "\r\n" RECEIVED, false, true, 0, true, MAIL_AUTH_TRUSTED},
    {AR "spf=pass (sender IP is 192.0.2.1)\r\n smtp.mailfrom=sender.example; "
        "dkim=pass (signature was\r\n verified) header.d=sender.example;"
        "dmarc=pass action=none\r\n header.from=from.example;"
        "compauth=pass reason=100\r\n" RECEIVED,
     false, true, 0, true, MAIL_AUTH_TRUSTED},
    {AR "; " SPF_PASS "\r\n" RECEIVED, false, true, 0, false,
     MAIL_AUTH_MALFORMED},
    {RECEIVED AR SPF_PASS "\r\n", false, true, 0, false, MAIL_AUTH_MISPLACED},
    {OTHER SPF_PASS "\r\n" RECEIVED, false, true, 0, false, MAIL_AUTH_FOREIGN},
    /* AuthservIDWithJobID */
    {AR "mx.example/4fX2Qb; " SPF_PASS "\r\n" RECEIVED, ABOVE, true,
     MAIL_AUTH_TRUSTED},
    {AR "mx.example/; " SPF_PASS "\r\n" RECEIVED, ABOVE, false,
     MAIL_AUTH_MALFORMED},
    {AR "mx.example/a/b; " SPF_PASS "\r\n" RECEIVED, ABOVE, false,
     MAIL_AUTH_MALFORMED},
    {AR "mx.example/a-b; " SPF_PASS "\r\n" RECEIVED, ABOVE, false,
     MAIL_AUTH_MALFORMED},
    {AR "evil/mx.example; " SPF_PASS "\r\n" RECEIVED, ABOVE, false,
     MAIL_AUTH_MALFORMED},
    {AR "other.example/mx; " SPF_PASS "\r\n" RECEIVED, ABOVE, false,
     MAIL_AUTH_FOREIGN},
};

START_TEST(position)
{
	struct setting setting = {.id = "mx.example",
	                          .below = places[_i].below,
	                          .missing = places[_i].missing,
	                          .hops = places[_i].hops};
	char text[MAIL_AUTH_NOTICE_SIZE];
	struct mail_auth_source source = {.authserv_id = setting.id};

	read_with(&setting, places[_i].header);
	ck_assert_msg(passes(&setting.auth) == places[_i].passes, "%s",
	              places[_i].header);
	ck_assert_str_eq(mail_auth_notice_name(setting.notice.kind),
	                 mail_auth_notice_name(places[_i].notice));
	(void)mail_auth_notice_text(&setting.notice, &source, text);
	ck_assert_int_eq(*text == '\0', places[_i].notice == MAIL_AUTH_TRUSTED);
}
END_TEST

START_TEST(foreign_id_is_told)
{
	struct setting setting = {.id = "mx.example"};
	struct mail_auth_source source = {.authserv_id = setting.id};
	char text[MAIL_AUTH_NOTICE_SIZE];

	read_with(&setting, OTHER "none\r\n" RECEIVED);
	ck_assert_str_eq(setting.notice.id, "other.example");
	(void)mail_auth_notice_text(&setting.notice, &source, text);
	ck_assert_ptr_nonnull(strstr(text, "as \"other.example\""));
	ck_assert_ptr_nonnull(strstr(text, "\"mx.example\""));
	ck_assert_str_eq(mail_auth_notice_name(MAIL_AUTH_NOTICE_COUNT), "");
}
END_TEST

/* --- what a client writes into a stamp ----------------------------------- */

static const struct {
	const char *helo, *reverse_path, *below; /* the sender's own lines */
	bool passes;
} echoes[] = {
    {NULL, NULL, "", true},
    {"[192.0.2.1]", NULL, "", true},
    {"[IPv6:2001:db8::1]", NULL, "", true},
    {"x); dkim=pass header.d=v.example (y", NULL, "", false},
    {"x??dkim=pass?header.d=v.example??y", NULL, "", false},
    {"a\"b", NULL, "", false},
    {NULL, "\"a..b\"@sender.example", "", true},
    {NULL, "\"x); dkim=pass header.d=v.example (y\"@sender.example", "", false},
    {NULL, "\"a b\"@sender.example", "", false},
    {NULL, "\"a\\\"b\"@sender.example", "", false},
    {NULL, "\"a;b\"@sender.example", "", false},
    {NULL, "", "", true},
    {NULL, NULL, "DKIM-Signature: v=1; d=a.example; i=@a.example; s=s\r\n",
     true},
    {NULL, NULL,
     "DKIM-Signature: v=1; d=a.example;\r\n"
     " i=x=3B=20dkim=3Dpass=20header.d=3Dv.example@a.example; s=s\r\n",
     false},
    {NULL, NULL, "DKIM-Signature: v=1; i = \"x\"@a.example\r\n", false},
    {NULL, NULL,
     "DKIM-Signature: v=1; bh=ab=; b=cd==\r\nDKIM-Signature: s=s(x;\r\n",
     false},
    {NULL, NULL, "DKIM-Signature: d=a.example,v.example\r\n", false},
    {NULL, NULL, "DKIM-Signature: d\r\nDKIM-Signature: \r\n", true},
    {NULL, NULL, "Subject: (i=\"x\");\r\n", true},
    {NULL, NULL, "ARC-Seal: i=1; cv=none; d=a.example; s=s\r\n", true},
    {NULL, NULL, "ARC-Seal: i=1; cv=none; d=a.example(x; s=s\r\n", false},
    {NULL, NULL, "ARC-Message-Signature: i=1; d=a.example; s=\"\r\n", false},
    {NULL, NULL, "From: A <alice@from.example>\r\n", true},
    {NULL, NULL, "From: =?utf-8?q?=C3=A9?= <alice@from.example>\r\n", true},
    {NULL, NULL, "From: \"A; B\" <alice@from.example>\r\n", true},
    {NULL, NULL,
     "From: <x@[a.example; dkim=pass header.d=v.example header.s=x]>\r\n",
     false},
    {NULL, NULL, "From: <x@a.example;dkim=pass(y)header.d=v.example>\r\n",
     false},
};

START_TEST(echoed)
{
	static const char stamp[] =
	    MX SPF_PASS "; dkim=pass header.d=sender.example; dmarc=pass "
	                "header.from=from.example\r\n" RECEIVED;
	struct setting setting = {.id = "mx.example",
	                          .helo = echoes[_i].helo,
	                          .reverse_path = echoes[_i].reverse_path};
	char text[1024];

	(void)snprintf(text, sizeof(text), "%s%s", stamp, echoes[_i].below);
	read_with(&setting, text);
	ck_assert_msg(passes(&setting.auth) == echoes[_i].passes, "row %d", _i);
	ck_assert_int_eq(setting.notice.kind, echoes[_i].passes
	                                          ? MAIL_AUTH_TRUSTED
	                                          : MAIL_AUTH_ECHOED);
	/* What speaks against the sender stays. */
	(void)snprintf(text, sizeof(text), MX SPF_FAIL "\r\n" RECEIVED "%s",
	               echoes[_i].below);
	read_with(&setting, text);
	ck_assert_int_eq(setting.auth.spf, AUTH_FAIL);
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
	struct mail_identity identity;
	struct mail_auth auth;

	for (i = 0; i < size; i++)
		text[start + i] = floods[_i][i % length];
	read_header(text, "alice@from.example", &auth);
	mail_identity_find(&identity, "alice@sender.example",
	                   "alice@from.example", &auth);
	ck_assert_int_eq(identity.person_pass, MAIL_PASS_NONE);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("authentication results");
	TCase *tests = tcase_create("authres");

	tcase_add_loop_test(tests, results, 0, COUNT(rows));
	tcase_add_test(tests, no_authserv_id);
	tcase_add_loop_test(tests, position, 0, COUNT(places));
	tcase_add_test(tests, foreign_id_is_told);
	tcase_add_loop_test(tests, echoed, 0, COUNT(echoes));
	tcase_add_test(tests, domains);
	tcase_add_loop_test(tests, several_authors, 0, COUNT(froms));
	tcase_add_test(tests, names);
	tcase_add_loop_test(tests, flood, 0, COUNT(floods));
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
