/* What retention deletes, what it leaves, and who does it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cloud-service/jobs/jobs.h"
#include "cloud-service/jobs/retention.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "tests/support/cloud-fixture.h"
#include "tests/support/suite.h"

#define DAY_MS INT64_C(86400000)

static struct cloud_fixture fixture;
static int64_t now_ms;

static void setup(void)
{
	cloud_fixture_open(&fixture, NULL);
	now_ms = clock_wall_ms();
}

static void teardown(void)
{
	cloud_fixture_close(&fixture);
}

static void import(const struct registry_record *record)
{
	struct error err = {0};
	int result;

	ck_assert_msg(!registry_import(fixture.cloud.registry, record, 1, false,
	                               &result, &err) &&
	                  !result,
	              "%s", err.text);
}

static void add_message(enum registry_state state, int64_t expired_days)
{
	struct registry_record record = {
	    .kind = REGISTRY_MESSAGES,
	    .message = cloud_fixture_message(&fixture.tenant, "s@example.org",
	                                     "bob@acme.test")};

	record.message.expires_ms = now_ms - expired_days * DAY_MS;
	record.message.recipients[0].state = state;
	import(&record);
	registry_record_release(&record);
}

static void add_decision(int64_t sequence, int64_t days)
{
	struct registry_record record = {
	    .kind = REGISTRY_DECISIONS,
	    .tenant = fixture.tenant,
	    .decision = {.sequence = sequence,
	                 .message = id_new(),
	                 .recipient = (char *)"bob@acme.test",
	                 .decided_ms = now_ms - days * DAY_MS}};

	import(&record);
}

static void add_challenge(enum registry_challenge_state state, int64_t days)
{
	struct registry_record record = {
	    .kind = REGISTRY_CHALLENGES,
	    .challenge = {.id = id_new(),
	                  .tenant = fixture.tenant,
	                  .message = id_new(),
	                  .state = state,
	                  .expires_ms = now_ms + DAY_MS,
	                  .changed_ms = now_ms - days * DAY_MS,
	                  .sender = (char *)"s@example.org"}};

	memcpy(record.challenge.sender_hash, record.challenge.id.bytes, 16);
	import(&record);
}

static void add_dead_sender(uint8_t first, int64_t days)
{
	struct registry_record record = {
	    .kind = REGISTRY_DEAD_SENDERS,
	    .dead_sender = {.hash = {first},
	                    .marked_ms = now_ms - days * DAY_MS}};

	import(&record);
}

static void add_audit(int64_t days)
{
	struct registry_record record = {
	    .kind = REGISTRY_AUDIT,
	    .audit = {.id = id_new(),
	              .tenant = fixture.tenant,
	              .at_ms = now_ms - days * DAY_MS,
	              .actor = (char *)"cli",
	              .action = (char *)"test"}};

	import(&record);
}

static size_t count(enum registry_kind kind)
{
	struct registry_records page = {0};
	struct error err = {0};
	size_t found;

	ck_assert_msg(!registry_export(fixture.cloud.registry, kind, NULL, 1000,
	                               &page, &err),
	              "%s", err.text);
	found = page.count;
	registry_records_release(&page);
	return found;
}

static void expect_counted(const char *line)
{
	struct buffer text;

	buffer_init(&text, 1 << 20);
	metrics_print(&text);
	ck_assert_int_eq(buffer_append(&text, "", 1), 0);
	ck_assert_msg(strstr(text.data, line), "%s", text.data);
	buffer_release(&text);
}

/* Two of each kind that are old enough, and some that are not. */
START_TEST(what_is_old_goes)
{
	struct error err = {0};

	for (int i = 0; i < 2; i++) {
		add_message(REGISTRY_DELIVERED, 91);
		add_challenge(CHALLENGE_STATE_SETTLED, 91);
		add_audit(401);
	}
	add_message(REGISTRY_HELD, 91);
	add_message(REGISTRY_RELEASED, 89);
	add_decision(1, 91);
	add_decision(2, 91);
	add_decision(3, 89);
	add_challenge(CHALLENGE_STATE_OPEN, 500);
	add_challenge(CHALLENGE_STATE_SOLVED, 500);
	add_challenge(CHALLENGE_STATE_EXPIRED, 89);
	add_dead_sender(1, 181);
	add_dead_sender(2, 179);
	add_audit(399);
	ck_assert_msg(!retention_run(fixture.cloud.registry, &fixture.config,
	                             now_ms, NULL, NULL, &err),
	              "%s", err.text);
	ck_assert_uint_eq(count(REGISTRY_MESSAGES), 2);
	ck_assert_uint_eq(count(REGISTRY_DECISIONS), 1);
	ck_assert_uint_eq(count(REGISTRY_CHALLENGES), 3);
	ck_assert_uint_eq(count(REGISTRY_DEAD_SENDERS), 1);
	ck_assert_uint_eq(count(REGISTRY_AUDIT), 1);
	expect_counted("turing_cloud_purged_total{kind=\"messages\"} 2");
	expect_counted("turing_cloud_purged_total{kind=\"dead-senders\"} 1");
}
END_TEST

static bool rest(void *context)
{
	int *left = context;

	return --*left > 0;
}

/* A step at a time, with pauses; told to end, the rest is left to later. */
START_TEST(steps_with_pauses)
{
	int left = 2;
	struct error err = {0};

	for (int i = 0; i < 450; i++)
		add_audit(500);
	ck_assert_int_eq(retention_run(fixture.cloud.registry, &fixture.config,
	                               now_ms, rest, &left, &err),
	                 0);
	ck_assert_int_eq(left, 0);
	ck_assert_uint_eq(count(REGISTRY_AUDIT), 50);
	left = 100;
	ck_assert_int_eq(retention_run(fixture.cloud.registry, &fixture.config,
	                               now_ms, rest, &left, &err),
	                 0);
	ck_assert_uint_eq(count(REGISTRY_AUDIT), 0);
	ck_assert_int_eq(left, 100);
}
END_TEST

START_TEST(one_instance_does_it)
{
	struct error err = {0};

	add_audit(500);
	ck_assert_int_eq(registry_lease(fixture.cloud.registry, "job-purge",
	                                "another", clock_wall_ms(), 60000,
	                                &err),
	                 0);
	ck_assert_int_eq(jobs_run(fixture.cloud.jobs_options, now_ms, &err), 0);
	ck_assert_uint_eq(count(REGISTRY_AUDIT), 1);
	ck_assert_int_eq(registry_lease(fixture.cloud.registry, "job-purge",
	                                "another", clock_wall_ms(), -1, &err),
	                 0);
	ck_assert_int_eq(jobs_run(fixture.cloud.jobs_options, now_ms, &err), 0);
	ck_assert_uint_eq(count(REGISTRY_AUDIT), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloud-retention");
	TCase *tests = tcase_create("retention");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, what_is_old_goes);
	tcase_add_test(tests, steps_with_pauses);
	tcase_add_test(tests, one_instance_does_it);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
