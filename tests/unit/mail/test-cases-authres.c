/* Plays the cases of forged Authentication-Results, and their controls. */
#include <stdio.h>
#include <string.h>

#include "common/mail/authres.h"
#include "tests/support/cases.h"
#include "tests/support/suite.h"

/* What is believed of a case's mail; the MX is mx.acme.example. */
static void read_case(const json_t *item, struct mail_auth *auth)
{
	const json_t *lines = json_object_get(
	    json_object_get(json_object_get(item, "in"), "mail"),
	    "header_from_top");
	const char *sender = case_text(item, "in", "mail", "mail_from", NULL);
	struct mail_auth_source source = {
	    .authserv_id = "mx.acme.example",
	    .below = *case_text(item, "before", "agent_setting", NULL)};
	/* The people write as themselves: From is the envelope sender. */
	struct mail_auth_claims claims = {
	    .reverse_path = sender,
	    .from = sender,
	    .helo = case_text(item, "in", "mail", "helo", NULL)};
	struct mail_auth_notice notice;
	struct mail_header header;
	size_t i;

	mail_header_init(&header);
	for (i = 0; i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);

		mail_header_feed(&header, json_string_value(line),
		                 json_string_length(line));
		mail_header_feed(&header, "\r\n", 2);
	}
	mail_header_parse(&header);
	mail_auth_read(&header, &source, &claims, auth, &notice);
	mail_header_release(&header);
}

static void play(const json_t *item, void *context)
{
	bool wanted = strcmp(case_text(item, "right", "challenge", NULL),
	                     "may be sent") == 0;
	unsigned *wrong = context;
	struct mail_auth auth;
	bool passes;

	read_case(item, &auth);
	passes = auth.spf == AUTH_PASS || auth.dkim == AUTH_PASS ||
	         auth.dmarc == AUTH_PASS;
	if (passes == wanted)
		return;
	(*wrong)++;
	(void)printf("%s (%s): %s\n", case_text(item, "id", NULL),
	             case_text(item, "sub", NULL),
	             passes ? "believed" : "not believed");
}

START_TEST(forged_fields)
{
	unsigned wrong = 0;

	cases_each("forged-authentication-results", play, &wrong);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cases-authres");
	TCase *tests = tcase_create("cases");

	tcase_add_test(tests, forged_fields);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
