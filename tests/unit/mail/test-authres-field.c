/* The grammar of one Authentication-Results field: all of it or nothing. */
#include <stdio.h>
#include <string.h>

#include "common/mail/authres-field.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define D10          "(((((((((("
#define U10          "))))))))))"

/* Collects "method=result" with what is named, separated by blanks. */
static void collect(const struct authres_result *result, void *context)
{
	char *text = context;
	size_t used = strlen(text);

	(void)snprintf(
	    text + used, 1024 - used, "%s%s=%s%s%s%s%s%s%s%s", used ? " " : "",
	    result->method, auth_result_name(result->result),
	    result->has_mailfrom ? "<" : "", result->mailfrom,
	    result->has_helo ? "h" : "", *result->signer ? "!" : "",
	    result->signer, result->has_from ? "@" : "", result->from);
}

static const struct {
	const char *value;
	const char *found; /* NULL: the field counts for nothing */
	const char *id;
} rows[] = {
    /* what verifiers write */
    {"mx.example; none", "", "mx.example"},
    {"mx.example; none (no signatures)", "", "mx.example"},
    {"mx.example 1; none", "", "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a@b.example", "spf=pass<b.example",
     "mx.example"},
    {"mx.example; spf=pass (mailfrom) smtp.mailfrom=b.example "
     "(client-ip=192.0.2.1; helo=h.example; envelope-from=a@b.example; "
     "receiver=<UNKNOWN>)",
     "spf=pass<b.example", "mx.example"},
    {"mx.example; spf=pass smtp.helo=h.example", "spf=passh", "mx.example"},
    {"mx.example;\t\tdkim=pass (2048-bit key; unprotected) header.d=B.example "
     "header.i=@b.example header.a=rsa-sha256 header.s=s header.b=ab/cd+e=",
     "dkim=pass!b.example", "mx.example"},
    {"mx.example; dkim=pass header.i=x@m.b.example header.d=b.example",
     "dkim=pass!b.example", "mx.example"},
    {"mx.example; dkim=fail reason=\"bad (signature; here)\" (1024-bit key) "
     "header.d=b.example header.b=\"a/b\"; dkim-atps=neutral",
     "dkim=fail!b.example dkim-atps=neutral", "mx.example"},
    {"mx.example; dmarc=fail (p=none dis=none) header.from=b.example",
     "dmarc=fail@b.example", "mx.example"},
    {"mx.example; dmarc=fail reason=\"No valid SPF, No valid DKIM\" "
     "header.from=b.example (policy=reject)",
     "dmarc=fail@b.example", "mx.example"},
    {"mx.example; arc=none smtp.remote-ip=2001:db8:0:1::3; "
     "iprev=pass policy.iprev=192.0.2.1 (a.example)",
     "arc=none iprev=pass", "mx.example"},
    {"mx.example; auth=pass smtp.auth=a smtp.mailfrom=a@b.example", "auth=pass",
     "mx.example"},
    {"mx.example; x-a-b=ok zone.id=7 body.x=\"\"", "x-a-b=none", "mx.example"},
    /* comments and white space wherever the grammar has them */
    {"(c) mx.example (c) 1 (c) ; (c) spf (c) / (c) 1 (c) = (c) pass (c) "
     "reason (c) = (c) x (c) smtp (c) . (c) mailfrom (c) = (c) b.example (c)",
     "spf=pass<b.example", "mx.example"},
    {"mx.example;spf=pass(c)smtp.mailfrom=b.example", "spf=pass<b.example",
     "mx.example"},
    {"mx.example; spf=pass (a\\)b) smtp.mailfrom=b.example",
     "spf=pass<b.example", "mx.example"},
    {"mx.example; spf=pass (\\\\) smtp.mailfrom=b.example",
     "spf=pass<b.example", "mx.example"},
    {"mx.example; spf=pass (\") smtp.mailfrom=b.example", "spf=pass<b.example",
     "mx.example"},
    {"mx.example; spf=pass " D10 U10 " smtp.mailfrom=b.example",
     "spf=pass<b.example", "mx.example"},
    {"mx.example; spf=pass (" D10 U10 ") smtp.mailfrom=b.example", NULL,
     "mx.example"},
    /* ids */
    {"\"mx\\.example\"; none", "", "mx.example"},
    {"\"a b\"; none", "", "a b"},
    {"mx.example/4Zq9; none", "", "mx.example"},
    {"mx.example/4Zq9 1; none", "", "mx.example"},
    {"m\xc3\xbc.example; none", "", "m\xc3\xbc.example"},
    {"mx.example", NULL, "mx.example"},
    {"mx.example;", NULL, "mx.example"},
    {"mx.example none", NULL, "mx.example"},
    {"mx.example 1", NULL, "mx.example"},
    {"mx.example 2; none", NULL, "mx.example"},
    {"mx.example 01; none", NULL, "mx.example"},
    {"mx.example 11; none", NULL, "mx.example"},
    {"mx.example 1 1; none", NULL, "mx.example"},
    {"mx.example, other.example; none", NULL, ""},
    {"mx.example@x; none", NULL, ""},
    {"<mx.example>; none", NULL, ""},
    {"\"mx.example; none", NULL, ""},
    {"\"mx\".example; none", NULL, ""},
    {"\"\"; none", NULL, ""},
    {"(mx.example; none", NULL, ""},
    {"; none", NULL, ""},
    {"", NULL, ""},
    /* no id */
    {"spf=pass smtp.mailfrom=b.example; dkim=none",
     "spf=pass<b.example dkim=none", ""},
    {"dmarc=pass action=none header.from=b.example", "dmarc=pass@b.example",
     ""},
    {"mx.example; dmarc=pass action=none header.from=b.example", NULL,
     "mx.example"},
    {"none", NULL, "none"},
    /* results left out, or too many marks */
    {"mx.example;;; spf=pass", NULL, "mx.example"},
    {"mx.example; ; spf=pass", NULL, "mx.example"},
    {"mx.example; spf=pass;", NULL, "mx.example"},
    {"mx.example; none; spf=pass", NULL, "mx.example"},
    {"mx.example; spf=pass; none", NULL, "mx.example"},
    {"mx.example; none none", NULL, "mx.example"},
    {"mx.example; None", "", "mx.example"},
    /* methods and results */
    {"mx.example; SPF=Pass", "spf=pass", "mx.example"},
    {"mx.example; spf/1=pass", "spf=pass", "mx.example"},
    {"mx.example; spf/2=pass; dkim=none", "dkim=none", "mx.example"},
    {"mx.example; spf/01=pass", "", "mx.example"},
    {"mx.example; spf/=pass", NULL, "mx.example"},
    {"mx.example; spf/x=pass", NULL, "mx.example"},
    {"mx.example; spf/1/1=pass", NULL, "mx.example"},
    {"mx.example; spf=", NULL, "mx.example"},
    {"mx.example; spf", NULL, "mx.example"},
    {"mx.example; =pass", NULL, "mx.example"},
    {"mx.example; spf==pass", NULL, "mx.example"},
    {"mx.example; spf=\"pass\"", NULL, "mx.example"},
    {"mx.example; \"spf\"=pass", NULL, "mx.example"},
    {"mx.example; spf=pass-", NULL, "mx.example"},
    {"mx.example; s_f=pass", NULL, "mx.example"},
    {"mx.example; spf.x=pass", NULL, "mx.example"},
    {"mx.example; spf=best_guess_pass", NULL, "mx.example"},
    {"mx.example; dmarc=bestguesspass", "dmarc=none", "mx.example"},
    {"mx.example; spf=pass,dkim=pass", NULL, "mx.example"},
    /* what is left over */
    {"mx.example; spf=pass foo", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=b.example also; dkim=none", NULL,
     "mx.example"},
    {"mx.example; dkim=pass header.d=b.example, arc=none", NULL, "mx.example"},
    {"mx.example; dkim=pass header.d=b.example dmarc=pass", NULL, "mx.example"},
    {"mx.example; dkim=pass header.d=b.example)", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=b.example \"x\"", NULL, "mx.example"},
    {"mx.example; spf=pass\\ smtp.mailfrom=b.example", NULL, "mx.example"},
    /* reasons */
    {"mx.example; spf=pass reason=\"x; dkim=pass\" smtp.mailfrom=b.example",
     "spf=pass<b.example", "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=b.example reason=x", NULL,
     "mx.example"},
    {"mx.example; spf=pass reason=x reason=y", NULL, "mx.example"},
    {"mx.example; spf=pass reason=", NULL, "mx.example"},
    {"mx.example; spf=pass reason", NULL, "mx.example"},
    {"mx.example; spf=pass because=x", NULL, "mx.example"},
    /* properties */
    {"mx.example; spf=pass smtp.mailfrom", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=;", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.=b.example", NULL, "mx.example"},
    {"mx.example; spf=pass .mailfrom=b.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp..mailfrom=b.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mail.from=b.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=<a@b.example>", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a@b@c.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a,b@c.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a@b.example(a.c.example", NULL,
     "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a@b.example(a.c.example\"",
     "spf=pass<", "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=@b.example,@x.example:'a@c.example",
     NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a\\@b.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=(x)b.example", "spf=pass<b.example",
     "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=(a@b.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a b\"@c.example",
     "spf=pass<c.example", "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a@b\"@c.example",
     "spf=pass<c.example", "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a\".b.\"c\"@d.example",
     "spf=pass<d.example", "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a\"b@c.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a\"b\"@c.example", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a\"\"b\"@c.example", NULL,
     "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a@\"b.example\"", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a; x=y\"@c.example",
     "spf=pass<c.example", "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a\\", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=\"a\"smtp.helo=x", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=a@b.example smtp.mail=c.example", NULL,
     "mx.example"},
    {"mx.example; spf=pass smtp.helo=x smtp.helo=x", NULL, "mx.example"},
    {"mx.example; spf=pass smtp.mailfrom=no/domain", "spf=pass<", "mx.example"},
    {"mx.example; dkim=pass header.d=b.example'a.c.example", "dkim=pass",
     "mx.example"},
    {"mx.example; dkim=pass header.d=b.example header.i=@c.example",
     "dkim=pass", "mx.example"},
    {"mx.example; dkim=pass header.d=b.example header.i=@xb.example",
     "dkim=pass", "mx.example"},
    {"mx.example; dkim=pass header.d=b.example header.d=b.example", NULL,
     "mx.example"},
    /* properties that belong to another method */
    {"mx.example; spf=fail (helo=x); dkim=pass header.d=b.example (y) "
     "smtp.mailfrom=b.example",
     NULL, "mx.example"},
    {"mx.example; dmarc=pass header.from=b.example smtp.mailfrom=b.example",
     NULL, "mx.example"},
    {"mx.example; spf=pass header.from=b.example", NULL, "mx.example"},
    /* bytes */
    {"mx.example; spf=pass (\x01) smtp.mailfrom=b.example", NULL, ""},
    {"mx.example; spf=pass\rsmtp.mailfrom=b.example", NULL, ""},
    {"mx.example; spf=pass (\x7f) smtp.mailfrom=b.example", NULL, ""},
    {"mx.example; spf=pass (\xc3\xa9) smtp.mailfrom=\xc3\xa9@b.example",
     "spf=pass<b.example", "mx.example"},
    {"mx.example; spf=pass (\xc3) smtp.mailfrom=b.example", NULL, ""},
    {"mx.example; spf=pass (\xe9t\xe9) smtp.mailfrom=b.example", NULL, ""},
    {"mx.example; spf=pass (\xc0\xa9) smtp.mailfrom=b.example", NULL, ""},
    {"mx.example; sp\xc3\xa9=pass", NULL, "mx.example"},
};

START_TEST(grammar)
{
	struct authres_id id;
	char found[1024] = "";
	bool good = authres_field_read(rows[_i].value, &id, collect, found);

	ck_assert_msg(good == (rows[_i].found != NULL), "%s", rows[_i].value);
	ck_assert_str_eq(found, rows[_i].found ? rows[_i].found : "");
	ck_assert_str_eq(id.text, rows[_i].id);
}
END_TEST

/* One byte more than there is room for: refused, never cut. */
START_TEST(long_words)
{
	static const struct {
		const char *before, *after;
		int fits;
	} words[] = {
	    {"", "; none", AUTHRES_ID_SIZE - 1},
	    {"mx.example; ", "=pass", AUTHRES_WORD_SIZE - 1},
	    {"mx.example; spf=", "", AUTHRES_WORD_SIZE - 1},
	    {"mx.example; spf=pass smtp.", "=x", AUTHRES_WORD_SIZE - 1},
	    {"mx.example; spf=pass smtp.mailfrom=", "", 1023},
	    {"mx.example; spf=pass reason=\"", "\"", 1023},
	};
	struct authres_id id;
	char value[4096], word[2048];

	memset(word, 'a', sizeof(word));
	(void)snprintf(value, sizeof(value), "%s%.*s%s", words[_i].before,
	               words[_i].fits, word, words[_i].after);
	ck_assert(authres_field_read(value, &id, NULL, NULL));
	(void)snprintf(value, sizeof(value), "%s%.*s%s", words[_i].before,
	               words[_i].fits + 1, word, words[_i].after);
	ck_assert(!authres_field_read(value, &id, NULL, NULL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("authentication results, one field");
	TCase *tests = tcase_create("field");

	tcase_add_loop_test(tests, grammar, 0, COUNT(rows));
	tcase_add_loop_test(tests, long_words, 0, 6);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
