/* Plays the cases of programs' mail, and of people whose mail looks so. */
#include <stdio.h>
#include <string.h>

#include "common/mail/address.h"
#include "common/mail/challenge-rule.h"
#include "common/mail/parts.h"
#include "tests/support/cases.h"
#include "tests/support/suite.h"

static bool is_own(const char *domain, void *context)
{
	(void)context;
	return strcmp(domain, "acme.example") == 0;
}

static void feed(struct mail_header *header, struct mail_parts *parts,
                 const char *text)
{
	mail_header_feed(header, text, strlen(text));
	mail_parts_feed(parts, text, strlen(text));
}

/* What the rules say of the case's mail, with a pass for its sender. */
static enum challenge_reason reason_of(const json_t *item)
{
	static const char *const recipients[] = {"jean@acme.example"};
	struct mail_auth auth = {.stated = true, .spf = AUTH_PASS};
	struct mail_header header;
	struct mail_parts parts;
	struct mail_identity identity;
	char from[MAIL_ADDRESS_SIZE] = "";
	const char *sender = case_text(item, "mail_from", NULL), *value;
	enum challenge_reason reason;
	size_t i;

	mail_header_init(&header);
	mail_parts_init(&parts);
	for (i = 0; i < json_array_size(json_object_get(item, "header")); i++) {
		feed(&header, &parts,
		     json_string_value(
		         json_array_get(json_object_get(item, "header"), i)));
		feed(&header, &parts, "\r\n");
	}
	feed(&header, &parts, "\r\n");
	feed(&header, &parts, case_text(item, "body", NULL));
	mail_header_parse(&header);
	value = mail_header_get(&header, "From");
	ck_assert(value && !mail_header_mailbox(value, from, sizeof(from)));
	(void)snprintf(auth.spf_domain, sizeof(auth.spf_domain), "%s",
	               mail_address_domain(sender));
	mail_identity_find(&identity, sender, from, &auth);
	struct challenge_facts facts = {.sender = sender,
	                                .identity = &identity,
	                                .header = &header,
	                                .parts = parts.classes,
	                                .demand_authentication = true,
	                                .own_domain = is_own,
	                                .recipients = recipients,
	                                .recipient_count = 1};
	reason = challenge_rule_apply(&facts);
	mail_header_release(&header);
	return reason;
}

struct tally {
	unsigned wrong, hard_wrong;
};

static void count(const json_t *item, bool right, const char *said,
                  struct tally *tally)
{
	if (right)
		return;
	if (json_is_true(json_object_get(item, "hard")))
		tally->hard_wrong++;
	else
		tally->wrong++;
	(void)printf("%s: %s: %s\n", case_text(item, "id", NULL),
	             case_text(item, "mail_from", NULL), said);
}

static void play_automatic(const json_t *item, void *context)
{
	const char *said = challenge_reason_name(reason_of(item));
	const json_t *fine =
	    json_object_get(json_object_get(item, "right"), "reason");
	bool right = false;
	size_t i;

	for (i = 0; i < json_array_size(fine); i++)
		right |=
		    !strcmp(json_string_value(json_array_get(fine, i)), said);
	count(item, right, *said ? said : "may be sent", context);
}

static void play_person(const json_t *item, void *context)
{
	const char *said = challenge_reason_name(reason_of(item));

	count(item, !*said, said, context);
}

START_TEST(automatic_mail)
{
	struct tally tally = {0};

	cases_each("automatic-mail", play_automatic, &tally);
	ck_assert_uint_eq(tally.wrong, 0);
}
END_TEST

START_TEST(people)
{
	struct tally tally = {0};

	cases_each("people-who-look-automatic", play_person, &tally);
	ck_assert_uint_eq(tally.wrong, 0);
	ck_assert_uint_le(tally.hard_wrong, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cases-automatic");
	TCase *tests = tcase_create("cases");

	tcase_add_test(tests, automatic_mail);
	tcase_add_test(tests, people);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
