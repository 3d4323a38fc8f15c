/* The rules of challenging, on real mail: TURING_CORPUS or ../shared/corpus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/mail/address.h"
#include "common/mail/challenge-rule.h"
#include "tests/support/suite.h"

#define FIELDS        24
#define COLUMN_SENDER 13
#define COLUMN_FROM   14

static const char *corpus_path(void)
{
	const char *path = getenv("TURING_CORPUS");

	return path ? path : "../shared/corpus";
}

/* Feeds the file in pieces of an odd size, an mbox "From " line included. */
static bool read_header(const char *folder, const char *name,
                        struct mail_header *header)
{
	char path[1024], bytes[1021];
	size_t size;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", corpus_path(), folder,
	               name);
	file = fopen(path, "rb");
	if (!file)
		return false;
	mail_header_init(header);
	while ((size = fread(bytes, 1, sizeof(bytes), file)) > 0)
		mail_header_feed(header, bytes, size);
	(void)fclose(file);
	mail_header_parse(header);
	return true;
}

/*
 * The reason when authentication passes. Where the manifest does not know the
 * envelope sender, From stands for it: the rules get no help by a null sender
 * that was never seen.
 */
static enum challenge_reason reason_of(const struct mail_header *header,
                                       const char *sender, const char *from)
{
	char own[MAIL_ADDRESS_SIZE] = "";
	char folded[MAIL_ADDRESS_SIZE] = "";
	struct mail_auth auth = {.stated = true, .spf = AUTH_PASS};
	struct mail_identity identity;
	struct challenge_facts facts = {.header = header,
	                                .identity = &identity,
	                                .demand_authentication = true};
	const char *value = mail_header_get(header, "From");

	if (value && mail_header_mailbox(value, own, sizeof(own)) == 0)
		(void)mail_address_fold(own, folded);
	if (!*sender)
		sender = *folded ? folded : *from ? from : "unknown@unknown";
	if (strcmp(sender, "<>") == 0)
		sender = "";
	mail_identity_find(&identity, sender, folded, &auth);
	(void)snprintf(auth.spf_domain, sizeof(auth.spf_domain), "%s",
	               mail_address_domain(identity.given));
	mail_identity_find(&identity, sender, folded, &auth);
	facts.sender = sender;
	return challenge_rule_apply(&facts);
}

struct tally {
	unsigned total;
	unsigned by_reason[CHALLENGE_REASON_COUNT];
	unsigned direct, direct_allowed,
	    direct_automatic; /* of the class "ham-direct" */
};

static bool split_row(char *line, char *columns[FIELDS])
{
	size_t i;

	line[strcspn(line, "\r\n")] = '\0';
	for (i = 0; i < FIELDS; i++) {
		columns[i] = strsep(&line, "\t");
		if (!columns[i])
			return i > COLUMN_FROM;
	}
	return true;
}

/* Calls allowed with each file of the folder that nothing forbids. */
static bool walk(const char *folder, struct tally *tally,
                 void (*allowed)(const char *name))
{
	char path[1024], line[8192];
	FILE *manifest;

	(void)snprintf(path, sizeof(path), "%s/%s/MANIFEST.tsv", corpus_path(),
	               folder);
	manifest = fopen(path, "r");
	if (!manifest) {
		(void)printf("corpus absent: %s\n", path);
		return false;
	}
	while (fgets(line, sizeof(line), manifest)) {
		char *columns[FIELDS];
		struct mail_header header;
		enum challenge_reason reason;

		if (strncmp(line, "file\t", 5) == 0 ||
		    !split_row(line, columns) ||
		    !read_header(folder, columns[0], &header))
			continue;
		reason = reason_of(&header, columns[COLUMN_SENDER],
		                   columns[COLUMN_FROM]);
		mail_header_release(&header);
		tally->total++;
		tally->by_reason[reason]++;
		if (strcmp(columns[1], "ham-direct") == 0) {
			tally->direct++;
			tally->direct_allowed += reason == CHALLENGE_ALLOWED;
			tally->direct_automatic +=
			    reason == CHALLENGE_AUTO_HEADER;
		}
		if (reason == CHALLENGE_ALLOWED && allowed)
			allowed(columns[0]);
	}
	(void)fclose(manifest);
	return true;
}

static void print_tally(const char *folder, const struct tally *tally)
{
	int i;

	(void)printf("%s: %u messages", folder, tally->total);
	for (i = 0; i < CHALLENGE_REASON_COUNT; i++)
		if (tally->by_reason[i])
			(void)printf(
			    ", %s %u",
			    i ? challenge_reason_name((enum challenge_reason)i)
			      : "allowed",
			    tally->by_reason[i]);
	(void)printf("\n");
}

/*
 * No header of these tells a program from a person: the calendar part stands
 * in the body, three are bulk mail of 2002 under a plain address, one is a
 * password sent by a web page, and one a person forwarded a shop's mail.
 */
static const char *const without_sign[] = {
    "calendar/nextcloud-request_outlook_com-80bd362.eml",
    "newsletter/satest-ibm_enews_de-0974593.eml",
    "newsletter/satest-oracle_net_techblast-b238316.eml",
    "newsletter/satest-orbitz.com-50dcb30.eml",
    "newsletter/satest-register.com_password-6973a66.eml",
    "noreply/hamail-amazon_fwd-497c370.eml"};

static void must_be_listed(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(without_sign) / sizeof(*without_sign); i++)
		if (strcmp(name, without_sign[i]) == 0)
			return;
	ck_abort_msg("a challenge would go out for %s", name);
}

START_TEST(never_challenge)
{
	struct tally tally = {0};

	if (!walk("never-challenge", &tally, must_be_listed))
		return;
	print_tally("never-challenge", &tally);
	ck_assert_uint_eq(tally.total, 286);
}
END_TEST

/*
 * All ten came through a mailing list or are a newsletter, which forbids the
 * challenge; none is refused for the words of its subject.
 */
START_TEST(lookalike)
{
	struct tally tally = {0};

	if (!walk("lookalike", &tally, NULL))
		return;
	print_tally("lookalike", &tally);
	ck_assert_uint_eq(tally.by_reason[CHALLENGE_LIST], 9);
	ck_assert_uint_eq(tally.by_reason[CHALLENGE_ROLE_SENDER], 1);
}
END_TEST

/* Malformed and hostile mail: read to its end, whatever the answer. */
START_TEST(malformed)
{
	struct tally tally = {0};

	if (!walk("mime-edge", &tally, NULL) || !walk("spam", &tally, NULL))
		return;
	print_tally("mime-edge and spam", &tally);
	ck_assert_uint_eq(tally.total, 814);
}
END_TEST

/* The rules must not swallow people: those that are left are no persons. */
START_TEST(ham)
{
	struct tally tally = {0};

	if (!walk("ham", &tally, NULL))
		return;
	print_tally("ham", &tally);
	(void)printf("ham-direct: %u of %u allowed\n", tally.direct_allowed,
	             tally.direct);
	ck_assert_uint_ge(tally.by_reason[CHALLENGE_ALLOWED], 99);
	ck_assert_uint_ge(tally.direct_allowed, 77);
	ck_assert_uint_eq(tally.by_reason[CHALLENGE_TRANSACTIONAL], 0);
	ck_assert_uint_eq(tally.direct_automatic, 3); /* cron's */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("challenge corpus");
	TCase *tests = tcase_create("corpus");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, never_challenge);
	tcase_add_test(tests, lookalike);
	tcase_add_test(tests, malformed);
	tcase_add_test(tests, ham);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
