/* What a solved challenge releases, and the jobs that repair and expire. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/challenge/page.h"
#include "cloud-service/jobs/jobs.h"
#include "cloud-service/decide/register.h"
#include "cloud-service/decide/settle.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)

static struct cloud_fixture fixture;

static void set_up(void)
{
	cloud_fixture_open(&fixture, NULL);
}

static void tear_down(void)
{
	cloud_fixture_close(&fixture);
}

static struct id hold(const struct id *tenant, const char *sender,
                      const char *recipient, const char *reason,
                      enum auth_result spf)
{
	struct registry_message message =
	    cloud_fixture_message(tenant, sender, recipient);
	struct id id = message.id;
	enum register_status status;
	struct error err = {0};

	free(message.challenge_reason);
	message.challenge_reason = mem_copy_string(reason);
	message.auth.spf = spf;
	ck_assert_msg(!register_messages(&fixture.cloud, &fixture.domains,
	                                 &message, 1, &status, &err),
	              "%s", err.text);
	registry_message_release(&message);
	return id;
}

static void solve(struct registry_challenge *challenge)
{
	struct error err = {0};

	ck_assert_msg(!registry_challenge_move(
	                  fixture.cloud.registry, &challenge->id,
	                  CHALLENGE_STATE_OPEN, CHALLENGE_STATE_SOLVED,
	                  clock_wall_ms(), &err),
	              "%s", err.text);
}

static void expect(const struct id *tenant, const struct id *message,
                   enum registry_state state)
{
	ck_assert_int_eq(cloud_fixture_state(&fixture, tenant, message), state);
}

static size_t count_entries(const struct id *tenant)
{
	struct registry_entries page = {0};
	struct id none = {{0}};
	struct error err = {0};
	size_t count;

	ck_assert_int_eq(registry_entry_list(fixture.cloud.registry, tenant,
	                                     &none, 100, &page, &err),
	                 0);
	count = page.count;
	registry_entries_release(&page);
	return count;
}

START_TEST(releases_what_is_due_and_no_more)
{
	struct id other = cloud_fixture_tenant(&fixture, "other", "other.test");
	struct id bystander =
	    cloud_fixture_tenant(&fixture, "by", "bystander.test");
	struct id *acme = &fixture.tenant;
	const char *sender = "person@example.org";
	struct id first = hold(acme, sender, "bob@acme.test", "", AUTH_PASS);
	struct id joined =
	    hold(acme, "Person@example.org", "eve@acme.test", "", AUTH_PASS);
	struct id listed =
	    hold(acme, sender, "bob@acme.test", "list", AUTH_PASS);
	struct id forged =
	    hold(acme, sender, "bob@acme.test", "unauthenticated", AUTH_FAIL);
	struct id stranger =
	    hold(acme, "x@example.org", "bob@acme.test", "list", AUTH_PASS);
	struct id elsewhere =
	    hold(&other, sender, "x@other.test", "", AUTH_PASS);
	struct id unattached =
	    hold(&bystander, sender, "x@bystander.test", "list", AUTH_PASS);
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	struct error err = {0};

	solve(&challenge);
	ck_assert_msg(
	    !settle_challenge(fixture.cloud.settler, &challenge, &err), "%s",
	    err.text);
	expect(acme, &first, REGISTRY_RELEASED);
	expect(acme, &joined, REGISTRY_RELEASED);
	expect(acme, &listed, REGISTRY_RELEASED);
	expect(acme, &forged, REGISTRY_HELD);
	expect(acme, &stranger, REGISTRY_HELD);
	expect(&other, &elsewhere, REGISTRY_RELEASED);
	expect(&bystander, &unattached, REGISTRY_HELD);
	ck_assert_uint_eq(count_entries(acme), 1);
	ck_assert_uint_eq(count_entries(&other), 1);
	ck_assert_uint_eq(count_entries(&bystander), 0);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_SETTLED), 1);
	registry_challenge_release(&challenge);
}
END_TEST

START_TEST(settling_twice_is_settling_once)
{
	struct id message = hold(&fixture.tenant, "person@example.org",
	                         "bob@acme.test", "", AUTH_PASS);
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	struct registry_decisions page = {0};
	struct error err = {0};
	int i;

	solve(&challenge);
	for (i = 0; i < 3; i++)
		ck_assert_msg(
		    !settle_challenge(fixture.cloud.settler, &challenge, &err),
		    "%s", err.text);
	expect(&fixture.tenant, &message, REGISTRY_RELEASED);
	ck_assert_int_eq(registry_decision_list(fixture.cloud.registry,
	                                        &fixture.tenant, 0, 100, &page,
	                                        &err),
	                 0);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_uint_eq(count_entries(&fixture.tenant), 1);
	registry_decisions_release(&page);
	registry_challenge_release(&challenge);
}
END_TEST

/* The next mail of the sender passes at once. */
START_TEST(next_mail_passes)
{
	struct registry_challenge challenge;
	struct id next;

	hold(&fixture.tenant, "person@example.org", "bob@acme.test", "",
	     AUTH_PASS);
	challenge = cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	solve(&challenge);
	settle_solved(fixture.cloud.settler, &challenge);
	next = hold(&fixture.tenant, "person@example.org", "eve@acme.test", "",
	            AUTH_PASS);
	expect(&fixture.tenant, &next, REGISTRY_RELEASED);
	registry_challenge_release(&challenge);
}
END_TEST

/* An admin's black entry, written after the mail was held, stays in force. */
START_TEST(a_captcha_does_not_undo_an_admin)
{
	struct id message = hold(&fixture.tenant, "person@example.org",
	                         "bob@acme.test", "", AUTH_PASS);
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);

	cloud_fixture_entry(&fixture, &fixture.tenant, ENTRY_BLACK,
	                    "person@example.org");
	solve(&challenge);
	settle_solved(fixture.cloud.settler, &challenge);
	expect(&fixture.tenant, &message, REGISTRY_DISCARDED);
	ck_assert_uint_eq(count_entries(&fixture.tenant), 1);
	registry_challenge_release(&challenge);
}
END_TEST

/* A message to bob@acme.test, changed before it is registered. */
static struct registry_message mail_of(const char *sender, const char *from)
{
	struct registry_message message =
	    cloud_fixture_message(&fixture.tenant, sender, "bob@acme.test");

	free(message.header_from);
	message.header_from = mem_copy_string(from);
	return message;
}

static struct id take(struct registry_message *message)
{
	struct mail_identity identity;
	struct id id = message->id;

	mail_identity_find(&identity, message->sender, message->header_from,
	                   &message->auth);
	free(message->sender_normal);
	message->sender_normal = mem_copy_string(identity.person);
	(void)cloud_fixture_register(&fixture, message);
	registry_message_release(message);
	return id;
}

static struct id take_with(const char *sender, const char *from,
                           enum auth_result spf, const char *dkim,
                           const char *dmarc)
{
	struct registry_message message = mail_of(sender, from);
	struct mail_auth *auth = &message.auth;

	auth->spf = spf;
	auth->dkim = dkim ? AUTH_PASS : AUTH_NONE;
	auth->dmarc = dmarc ? AUTH_PASS : AUTH_NONE;
	(void)snprintf(auth->dkim_domain, sizeof(auth->dkim_domain), "%s",
	               dkim ? dkim : "");
	(void)snprintf(auth->dmarc_domain, sizeof(auth->dmarc_domain), "%s",
	               dmarc ? dmarc : "");
	return take(&message);
}

static void solve_and_settle(void)
{
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);

	solve(&challenge);
	settle_solved(fixture.cloud.settler, &challenge);
	registry_challenge_release(&challenge);
}

static void expect_entry(const char *value, enum mail_pass demand)
{
	struct registry_entries page = {0};
	struct id none = {{0}};

	ck_assert_int_eq(registry_entry_list(fixture.cloud.registry,
	                                     &fixture.tenant, &none, 100, &page,
	                                     NULL),
	                 0);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_str_eq(page.entries[0].value, value);
	ck_assert_int_eq(page.entries[0].origin, ENTRY_FROM_CAPTCHA);
	ck_assert_str_eq(mail_pass_name(page.entries[0].demand),
	                 mail_pass_name(demand));
	registry_entries_release(&page);
}

/* Forged mail of every kind waits beside the genuine one, before and after. */
START_TEST(a_solution_releases_what_a_pass_covers)
{
	const char *person = "real@soon.test";
	struct id forged[] = {
	    take_with(person, person, AUTH_SOFTFAIL, NULL, NULL),
	    take_with(person, person, AUTH_NONE, NULL, NULL),
	    take_with("x+real=soon.test@evil.test", "e@evil.test", AUTH_PASS,
	              NULL, "evil.test"),
	    take_with("SRS0=a=b=soon.test=real@evil.test", person, AUTH_PASS,
	              "evil.test", NULL),
	};
	struct id genuine = take_with(person, person, AUTH_PASS, NULL, NULL);
	struct id late;
	size_t i;

	/* Those who wrote to themselves have challenges of their own. */
	for (i = 0; i < 2; i++)
		expect(&fixture.tenant, &forged[i], REGISTRY_HELD);
	{
		struct registry_message message;
		struct registry_challenge challenge;

		ck_assert_int_eq(registry_message_read(
		                     fixture.cloud.registry, &fixture.tenant,
		                     &genuine, &message, NULL),
		                 0);
		ck_assert_int_eq(registry_challenge_read(fixture.cloud.registry,
		                                         &message.challenge,
		                                         &challenge, NULL),
		                 0);
		ck_assert_str_eq(challenge.sender, person);
		solve(&challenge);
		settle_solved(fixture.cloud.settler, &challenge);
		registry_challenge_release(&challenge);
		registry_message_release(&message);
	}
	expect(&fixture.tenant, &genuine, REGISTRY_RELEASED);
	for (i = 0; i < sizeof(forged) / sizeof(*forged); i++)
		expect(&fixture.tenant, &forged[i], REGISTRY_HELD);
	late = take_with(person, person, AUTH_NEUTRAL, NULL, NULL);
	expect(&fixture.tenant, &late, REGISTRY_HELD);
	late = take_with(person, person, AUTH_PASS, NULL, NULL);
	expect(&fixture.tenant, &late, REGISTRY_RELEASED);
}
END_TEST

/* The entry demands what vouched for him, or better. */
START_TEST(the_entry_demands_what_passed)
{
	const char *person = "real@soon.test";
	struct id genuine =
	              take_with(person, person, AUTH_PASS, "soon.test", NULL),
	          next;

	/* Known to the challenge before it is solved, with less. */
	next = take_with(person, person, AUTH_PASS, NULL, NULL);
	solve_and_settle();
	expect(&fixture.tenant, &genuine, REGISTRY_RELEASED);
	expect(&fixture.tenant, &next, REGISTRY_HELD);
	expect_entry(person, MAIL_PASS_DKIM);
	next = take_with(person, person, AUTH_NONE, NULL, "soon.test");
	expect(&fixture.tenant, &next, REGISTRY_RELEASED);
	/* He comes another way and shows once more that he is a person. */
	next = take_with(person, person, AUTH_PASS, NULL, NULL);
	expect(&fixture.tenant, &next, REGISTRY_HELD);
	solve_and_settle();
	expect(&fixture.tenant, &next, REGISTRY_RELEASED);
	expect_entry(person, MAIL_PASS_SPF);
}
END_TEST

/* Each mail has a return path of its own; the person is asked once. */
START_TEST(a_person_behind_a_mailer)
{
	const char *person = "ann@company.test";
	struct id first = take_with("0102-1@eu.mailer.test", person, AUTH_PASS,
	                            "company.test", "company.test");
	struct id second = take_with("0102-2@eu.mailer.test", person, AUTH_PASS,
	                             "company.test", "company.test");
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);

	ck_assert_str_eq(challenge.sender, person);
	registry_challenge_release(&challenge);
	solve_and_settle();
	expect(&fixture.tenant, &first, REGISTRY_RELEASED);
	expect(&fixture.tenant, &second, REGISTRY_RELEASED);
	expect_entry(person, MAIL_PASS_DMARC);
}
END_TEST

/* A neighbour's challenge neither mutes nor whitens another of his domain. */
START_TEST(neighbours_of_a_provider)
{
	struct id evil =
	    take_with("evil+victor=big.test@big.test", "evil@big.test",
	              AUTH_PASS, "big.test", NULL);
	struct id victim;

	solve_and_settle();
	expect(&fixture.tenant, &evil, REGISTRY_RELEASED);
	expect_entry("evil+victor=big.test@big.test", MAIL_PASS_SPF);
	victim = take_with("victor@big.test", "victor@big.test", AUTH_PASS,
	                   "big.test", NULL);
	expect(&fixture.tenant, &victim, REGISTRY_HELD);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 1);
}
END_TEST

static const struct {
	const char *sender, *from;
} claims[] = {{"real@soon.test", "boss@acme.test"},
              {"x+real=soon.test@acme.test", "real@soon.test"}};

/* Who solved it once does not speak for the tenant. */
START_TEST(own_domains_are_not_a_strangers)
{
	struct id later;

	(void)take_with("real@soon.test", "", AUTH_PASS, NULL, NULL);
	solve_and_settle();
	expect_entry("real@soon.test", MAIL_PASS_SPF);
	later = take_with(claims[_i].sender, claims[_i].from, AUTH_PASS,
	                  "soon.test", NULL);
	expect(&fixture.tenant, &later, REGISTRY_HELD);
}
END_TEST

/* An admin's wider black entry wins over what a captcha gave. */
START_TEST(who_wrote_wins_over_who_solved)
{
	struct entry black = {.id = id_new(),
	                      .scope = ENTRY_SCOPE_TENANT,
	                      .colour = ENTRY_BLACK,
	                      .kind = _i ? ENTRY_NETWORK : ENTRY_DOMAIN,
	                      .origin = ENTRY_FROM_ADMIN};
	struct id later;

	(void)take_with("joe@soon.test", "", AUTH_PASS, NULL, NULL);
	solve_and_settle();
	black.value = mem_copy_string(_i ? "192.0.2.0/28" : "soon.test");
	ck_assert_int_eq(entry_canonicalise(&black, NULL), 0);
	ck_assert_int_eq(registry_entry_put(fixture.cloud.registry,
	                                    &fixture.tenant, &black, NULL,
	                                    NULL),
	                 0);
	entry_release(&black);
	later = take_with("joe@soon.test", "", AUTH_PASS, NULL, NULL);
	expect(&fixture.tenant, &later, REGISTRY_DISCARDED);
}
END_TEST

static void run_jobs(int64_t now_ms)
{
	struct error err = {0};

	ck_assert_msg(!jobs_run(fixture.cloud.jobs_options, now_ms, &err), "%s",
	              err.text);
}

/* Solved, and then the process died: at once, or with half of it done. */
START_TEST(repair_settles_what_a_crash_left)
{
	struct id message = hold(&fixture.tenant, "person@example.org",
	                         "bob@acme.test", "", AUTH_PASS);
	struct registry_challenge challenge =
	    cloud_fixture_challenge(&fixture, CHALLENGE_STATE_OPEN);
	struct error err = {0};

	solve(&challenge);
	if (_i == 1)
		cloud_fixture_entry(&fixture, &fixture.tenant, ENTRY_WHITE,
		                    "person@example.org");
	if (_i == 2)
		ck_assert_int_eq(settle_tenant(fixture.cloud.settler,
		                               &challenge, &fixture.tenant,
		                               &err),
		                 0);
	cloud_fixture_reopen(&fixture);
	/* Not at once: whoever solved it may still be at it. */
	run_jobs(clock_wall_ms());
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_SOLVED), 1);
	run_jobs(clock_wall_ms() + MINUTE_MS);
	expect(&fixture.tenant, &message, REGISTRY_RELEASED);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_SETTLED), 1);
	registry_challenge_release(&challenge);
}
END_TEST

START_TEST(expiry_of_mail_and_challenges)
{
	struct id message = hold(&fixture.tenant, "person@example.org",
	                         "bob@acme.test", "", AUTH_PASS);

	run_jobs(clock_wall_ms());
	expect(&fixture.tenant, &message, REGISTRY_HELD);
	run_jobs(clock_wall_ms() + 30 * 24 * HOUR_MS);
	expect(&fixture.tenant, &message, REGISTRY_EXPIRED);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_OPEN), 0);
	ck_assert_uint_eq(
	    cloud_fixture_challenges(&fixture, CHALLENGE_STATE_EXPIRED), 1);
}
END_TEST

START_TEST(jobs_keep_off_where_another_has_the_lease)
{
	static const char *const names[] = {
	    "job-challenge-expiry", "job-message-expiry", "job-settle-repair"};
	struct id message = hold(&fixture.tenant, "person@example.org",
	                         "bob@acme.test", "", AUTH_PASS);
	struct error err = {0};
	size_t i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(registry_lease(fixture.cloud.registry,
		                                names[i], "another",
		                                clock_wall_ms(), HOUR_MS, &err),
		                 0);
	run_jobs(clock_wall_ms() + 30 * 24 * HOUR_MS);
	expect(&fixture.tenant, &message, REGISTRY_HELD);
}
END_TEST

START_TEST(page_sees_the_same_cloud)
{
	const struct challenge_page_context *page =
	    challenge_page_context_of(&fixture.cloud);

	ck_assert_ptr_eq(page->registry, fixture.cloud.registry);
	ck_assert_mem_eq(page->token_key, fixture.cloud.token_key,
	                 sizeof(page->token_key));
	ck_assert_ptr_eq(page->context, fixture.cloud.settler);
	ck_assert_int_eq(page->max_attempts, 10);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-settle");
	TCase *settle = tcase_create("settle");
	TCase *jobs = tcase_create("jobs");

	tcase_add_checked_fixture(settle, set_up, tear_down);
	tcase_add_checked_fixture(jobs, set_up, tear_down);
	tcase_add_test(settle, releases_what_is_due_and_no_more);
	tcase_add_test(settle, settling_twice_is_settling_once);
	tcase_add_test(settle, next_mail_passes);
	tcase_add_test(settle, a_captcha_does_not_undo_an_admin);
	tcase_add_test(settle, a_solution_releases_what_a_pass_covers);
	tcase_add_test(settle, the_entry_demands_what_passed);
	tcase_add_test(settle, a_person_behind_a_mailer);
	tcase_add_test(settle, neighbours_of_a_provider);
	tcase_add_loop_test(settle, own_domains_are_not_a_strangers, 0, 2);
	tcase_add_loop_test(settle, who_wrote_wins_over_who_solved, 0, 2);
	tcase_add_test(settle, page_sees_the_same_cloud);
	tcase_add_loop_test(jobs, repair_settles_what_a_crash_left, 0, 3);
	tcase_add_test(jobs, expiry_of_mail_and_challenges);
	tcase_add_test(jobs, jobs_keep_off_where_another_has_the_lease);
	suite_add_tcase(suite, settle);
	suite_add_tcase(suite, jobs);
	return suite_main(suite, NULL);
}
