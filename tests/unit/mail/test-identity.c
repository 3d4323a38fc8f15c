/* Who is behind a mail, by its envelope, its From and what the MX found. */
#include <stdio.h>
#include <string.h>

#include "common/mail/identity.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* A pass of each method for the domain; NULL: none. */
static const struct {
	const char *sender, *from;
	const char *spf, *dkim, *dmarc;
	const char *person;
	enum mail_pass pass;
} rows[] = {
    /* the envelope sender itself */
    {"a@s.example", "a@s.example", "s.example", NULL, NULL, "a@s.example",
     MAIL_PASS_SPF},
    {"A@S.Example", "a@s.example", "s.example", NULL, NULL, "a@s.example",
     MAIL_PASS_SPF},
    {"\"a\"@s.example", "", "s.example", NULL, NULL, "a@s.example",
     MAIL_PASS_SPF},
    {"a@s.example", "a@s.example", NULL, "s.example", NULL, "a@s.example",
     MAIL_PASS_DKIM},
    {"a@s.example", "a@s.example", "s.example", "mail.s.example", "s.example",
     "a@s.example", MAIL_PASS_DMARC},
    {"a@s.example", "a@s.example", NULL, NULL, NULL, "a@s.example",
     MAIL_PASS_NONE},
    {"a@s.example", "b@f.example", "s.example", NULL, NULL, "a@s.example",
     MAIL_PASS_SPF},
    {"a@s.example", "a@s.example", "mail.s.example", NULL, NULL, "a@s.example",
     MAIL_PASS_NONE},
    {"a@m\xc3\xbcller.example", "", "xn--mller-kva.example", NULL, NULL,
     "a@xn--mller-kva.example", MAIL_PASS_SPF},
    /* BATV of the domain itself */
    {"prvs=0123456789=a@s.example", "", "s.example", NULL, NULL, "a@s.example",
     MAIL_PASS_SPF},
    {"prvs=a=0123456789@s.example", "a@s.example", NULL, "s.example", NULL,
     "a@s.example", MAIL_PASS_DKIM},
    {"btv1==0123456789a==a@s.example", "", "s.example", NULL, NULL,
     "a@s.example", MAIL_PASS_SPF},
    {"msprvs1=12345ABCDE=a@s.example", "", "s.example", NULL, NULL,
     "a@s.example", MAIL_PASS_SPF},
    /* a wrapping gives nobody's identity but by a signature of his From */
    {"x+a=p.example@evil.example", "a@evil.example", "evil.example",
     "evil.example", "evil.example", "x+a=p.example@evil.example",
     MAIL_PASS_SPF},
    {"SRS0=h=t=p.example=a@evil.example", "a@p.example", "evil.example",
     "evil.example", NULL, "srs0=h=t=p.example=a@evil.example", MAIL_PASS_SPF},
    {"SRS1=h=f.example==h=t=p.example=a@evil.example", "", "evil.example",
     "p.example", NULL, "srs1=h=f.example==h=t=p.example=a@evil.example",
     MAIL_PASS_SPF},
    {"x+prvs=0123456789=a=p.example@evil.example", "", "evil.example", NULL,
     NULL, "x+prvs=0123456789=a=p.example@evil.example", MAIL_PASS_SPF},
    {"SRS0=h=t=p.example=a@fwd.example", "a@p.example", "fwd.example",
     "p.example", NULL, "a@p.example", MAIL_PASS_DKIM},
    {"SRS0=h=t=p.example=a@fwd.example", "a@p.example", "fwd.example",
     "fwd.example", "p.example", "a@p.example", MAIL_PASS_DMARC},
    {"x+a=p.example@evil.example", "a@p.example", NULL, NULL, NULL,
     "x+a=p.example@evil.example", MAIL_PASS_NONE},
    {"a%p.example@evil.example", "", "evil.example", NULL, NULL,
     "a%p.example@evil.example", MAIL_PASS_SPF},
    {"p.example!a@evil.example", "", "evil.example", NULL, NULL,
     "p.example!a@evil.example", MAIL_PASS_SPF},
    /* never another mailbox of a shared domain */
    {"evil+victor=big.example@big.example", "evil@big.example", "big.example",
     "big.example", "big.example", "evil+victor=big.example@big.example",
     MAIL_PASS_SPF},
    {"carol+caf_=x=y.example@big.example", "carol@big.example", "big.example",
     "big.example", "big.example", "carol+caf_=x=y.example@big.example",
     MAIL_PASS_SPF},
    {"SRS0=h=t=big.example=victor@big.example", "", "big.example",
     "big.example", NULL, "srs0=h=t=big.example=victor@big.example",
     MAIL_PASS_SPF},
    {"evil+victor=big.example@sub.big.example", "evil@sub.big.example",
     "sub.big.example", "big.example", NULL,
     "evil+victor=big.example@sub.big.example", MAIL_PASS_SPF},
    {"evil@big.example", "victor@big.example", "big.example", "big.example",
     "big.example", "evil@big.example", MAIL_PASS_SPF},
    /* a signed mail sent again with another's envelope, or another's From */
    {"victor@big.example", "evil@big.example", NULL, "big.example",
     "big.example", "victor@big.example", MAIL_PASS_NONE},
    {"evil@big.example", "victor@big.example", NULL, "big.example", NULL,
     "evil@big.example", MAIL_PASS_NONE},
    {"SRS0=h=t=big.example=victor@fwd.example", "evil@big.example",
     "fwd.example", "big.example", NULL, "evil@big.example", MAIL_PASS_DKIM},
    {"a@s.example", "b@f.example", NULL, "s.example", NULL, "a@s.example",
     MAIL_PASS_NONE},
    /* a mailer with a return path for each mail */
    {"0102-1@eu.mailer.example", "ann@c.example", "eu.mailer.example",
     "c.example", "c.example", "ann@c.example", MAIL_PASS_DMARC},
    {"0102-2@eu.mailer.example", "ann@c.example", "eu.mailer.example",
     "c.example", NULL, "ann@c.example", MAIL_PASS_DKIM},
    {"b-3@bounce.c.example", "ann@c.example", "bounce.c.example",
     "mail.c.example", NULL, "ann@c.example", MAIL_PASS_DKIM},
    {"b-3@bounce.c.example", "ann@c.example", "bounce.c.example", NULL, NULL,
     "b-3@bounce.c.example", MAIL_PASS_SPF},
    {"0102-4@eu.mailer.example", "ann@c.example", "eu.mailer.example",
     "eu.mailer.example", NULL, "0102-4@eu.mailer.example", MAIL_PASS_SPF},
    {"", "ann@c.example", NULL, "c.example", NULL, "ann@c.example",
     MAIL_PASS_DKIM},
    /* the pass is another's */
    {"a@s.example", "b@f.example", "f.example", NULL, NULL, "a@s.example",
     MAIL_PASS_NONE},
    {"a@s.example", "b@f.example", NULL, NULL, "g.example", "a@s.example",
     MAIL_PASS_NONE},
    {"", "", NULL, NULL, NULL, "", MAIL_PASS_NONE},
    {"", "ann@c.example", "c.example", NULL, NULL, "", MAIL_PASS_NONE},
    {"#@[]", "", "s.example", NULL, NULL, "", MAIL_PASS_NONE},
};

static void pass(enum auth_result *result, char domain[256], const char *of)
{
	if (!of)
		return;
	*result = AUTH_PASS;
	(void)snprintf(domain, 256, "%s", of);
}

static struct mail_auth auth_of(int row)
{
	struct mail_auth auth = {.stated = true};

	pass(&auth.spf, auth.spf_domain, rows[row].spf);
	pass(&auth.dkim, auth.dkim_domain, rows[row].dkim);
	pass(&auth.dmarc, auth.dmarc_domain, rows[row].dmarc);
	return auth;
}

START_TEST(persons)
{
	struct mail_auth auth = auth_of(_i);
	struct mail_identity identity;

	mail_identity_find(&identity, rows[_i].sender, rows[_i].from, &auth);
	ck_assert_str_eq(identity.person, rows[_i].person);
	ck_assert_str_eq(mail_pass_name(identity.person_pass),
	                 mail_pass_name(rows[_i].pass));
	/* Where DMARC fails nothing vouches for anybody. */
	auth.dmarc = AUTH_FAIL;
	mail_identity_find(&identity, rows[_i].sender, rows[_i].from, &auth);
	ck_assert_int_eq(identity.person_pass, MAIL_PASS_NONE);
	ck_assert_str_eq(identity.person, identity.given);
	mail_identity_find(&identity, rows[_i].sender, rows[_i].from, NULL);
	ck_assert_int_eq(identity.person_pass, MAIL_PASS_NONE);
}
END_TEST

/* Agents that did not say which From a DMARC pass was about had checked it. */
START_TEST(older_agents)
{
	struct mail_auth auth = {.stated = true, .dmarc = AUTH_PASS};
	struct mail_identity identity;

	mail_identity_find(&identity, "a@s.example", "b@f.example", &auth);
	ck_assert_str_eq(identity.person, "b@f.example");
	ck_assert_int_eq(identity.person_pass, MAIL_PASS_DMARC);
}
END_TEST

START_TEST(forms)
{
	static const char *const wanted[] = {
	    "srs0=h=t=fwd.example=x+prvs=0123456789=a=p.example@second.example",
	    "x+prvs=0123456789=a=p.example@fwd.example",
	    "prvs=0123456789=a@p.example", "a@p.example"};
	struct mail_identity identity;
	size_t i;

	mail_identity_find(&identity,
	                   "SRS0=h=t=fwd.example=x+prvs=0123456789=a=p.example"
	                   "@second.example",
	                   "", NULL);
	ck_assert_uint_eq(identity.form_count, COUNT(wanted));
	for (i = 0; i < COUNT(wanted); i++)
		ck_assert_str_eq(identity.forms[i], wanted[i]);
	/* However deep it is stacked. */
	mail_identity_find(&identity, "a+b=c+d=e+f=g+h=i+j=k.example@l.example",
	                   "", NULL);
	ck_assert_uint_le(identity.form_count, 1 + MAIL_UNWRAP_MAXIMUM);
}
END_TEST

static bool is_own(const char *domain, void *context)
{
	(void)context;
	return strcmp(domain, "own.example") == 0;
}

static const struct {
	const char *sender, *from;
	bool claims;
} claims[] = {
    {"a@own.example", "", true},
    {"a@OWN.example", "", true},
    {"a@s.example", "b@own.example", true},
    {"x+a=own.example@s.example", "", true},
    {"SRS0=h=t=own.example=a@s.example", "", true},
    {"x+a=s.example@own.example", "", true},
    {"a@sub.own.example", "b@sub.own.example", false},
    {"a@s.example", "b@f.example", false},
    {"", "b@own.example", true},
    {"", "", false},
};

START_TEST(claims_of_own_domains)
{
	struct mail_identity identity;

	mail_identity_find(&identity, claims[_i].sender, claims[_i].from, NULL);
	ck_assert(mail_identity_names(&identity, is_own, NULL) ==
	          claims[_i].claims);
}
END_TEST

START_TEST(names)
{
	int i;

	for (i = MAIL_PASS_NONE; i <= MAIL_PASS_DMARC; i++)
		ck_assert_int_eq(
		    mail_pass_parse(mail_pass_name((enum mail_pass)i)), i);
	ck_assert_int_eq(mail_pass_parse("spf"), -1);
	ck_assert_int_eq(mail_pass_parse(""), -1);
	ck_assert_str_eq(mail_pass_name((enum mail_pass)99), "none");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("identity");
	TCase *tests = tcase_create("identity");

	tcase_add_loop_test(tests, persons, 0, COUNT(rows));
	tcase_add_test(tests, older_agents);
	tcase_add_test(tests, forms);
	tcase_add_loop_test(tests, claims_of_own_domains, 0, COUNT(claims));
	tcase_add_test(tests, names);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
