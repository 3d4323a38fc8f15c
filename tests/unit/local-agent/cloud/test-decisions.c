/* Tests of the decisions, against a cloud that repeats itself and errs. */
#include "local-agent/cloud/decisions.h"

#include <string.h>

#include "tests/support/failing-spool.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/fake-cloud.h"

static struct spool_fixture store;
static struct failing_spool failing; /* between the agent and the store */
static struct fake_cloud cloud;
static struct agent_config config;
static struct writer *writer;
static struct decisions *decisions;
static _Atomic unsigned releases;
static struct id message_id;
static char id_text[ID_TEXT_SIZE], address[2][64];

/* What the cloud says, by the number of the call; then nothing. */
static json_t *answers[8];
static json_t *always; /* when there is no other; or NULL */
static unsigned statuses[8], answer_next;
static char last_query[64];

static json_t *answer(struct fake_cloud *fake, struct http_request *request,
                      json_t *body, unsigned *status)
{
	json_t *next = answers[answer_next];
	const char *after = http_query(request, "after");

	(void)fake;
	(void)body;
	(void)snprintf(last_query, sizeof(last_query), "%s",
	               after ? after : "");
	if (!next && always)
		*status = 200;
	if (!next)
		return always ? json_deep_copy(always) : NULL;
	*status = statuses[answer_next] ? statuses[answer_next] : 200;
	answers[answer_next++] = NULL;
	return next;
}

static void on_released(void *context)
{
	(void)context;
	atomic_fetch_add(&releases, 1);
}

static void add_message(void)
{
	struct spool_message message = fixture_message(2, SPOOL_HELD);
	int i;

	message_id = message.id;
	(void)id_format(&message_id, id_text);
	for (i = 0; i < 2; i++)
		(void)snprintf(address[i], sizeof(address[i]), "%s",
		               message.recipients[i].address);
	ck_assert_int_eq(
	    fixture_commit(&store, fixture_add_change(&message, "b\r\n", 3)),
	    0);
	spool_message_release(&message);
}

static void setup(void)
{
	lab_init();
	fixture_open(&store);
	failing_spool_init(&failing, store.spool);
	cloud = (struct fake_cloud){.decisions = answer};
	memset(answers, 0, sizeof(answers));
	memset(statuses, 0, sizeof(statuses));
	answer_next = 0;
	atomic_store(&releases, 0);
	add_message();
}

static void start(void)
{
	struct decisions_options options = {&config, &failing.spool, NULL,
	                                    on_released, NULL};
	struct error err = {.text = ""};

	if (!cloud.server)
		fake_start(&cloud);
	lab_config(&config, cloud.port, LAB_POLICY);
	writer = lab_writer(&failing.spool);
	options.writer = writer;
	ck_assert_msg(decisions_start(&decisions, &options, &err) == 0, "%s",
	              err.text);
}

static void stop(void)
{
	decisions_stop(decisions);
	writer_stop(writer);
	agent_config_release(&config);
	decisions = NULL;
}

static void teardown(void)
{
	int i;

	stop();
	fake_stop(&cloud);
	failing_spool_release(&failing);
	fixture_close(&store);
	for (i = 0; i < 8; i++)
		json_decref(answers[i]);
	json_decref(always);
	always = NULL;
}

static json_t *decision(int sequence, const char *id, const char *recipient,
                        const char *verdict)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "sequence", sequence,
	                 "message", id, "recipient", recipient, "verdict",
	                 verdict, "by", "captcha", "why", "solved");
}

static json_t *page(json_t *list)
{
	return json_pack("{s:o, s:b, s:i}", "decisions", list, "more", 0,
	                 "last", 99);
}

/* Waits until the cloud was asked for what follows this cursor. */
static void await_cursor(const char *cursor)
{
	char *stored = NULL;
	int64_t until_ms = clock_monotonic_ms() + LAB_PATIENCE_MS;

	while (clock_monotonic_ms() < until_ms) {
		bool asked;

		(void)pthread_mutex_lock(&cloud.lock);
		asked = strcmp(last_query, cursor) == 0;
		(void)pthread_mutex_unlock(&cloud.lock);
		if (asked)
			break;
		(void)poll(NULL, 0, 2);
	}
	ck_assert_int_eq(
	    spool_get(store.spool, DECISIONS_CURSOR_VALUE, &stored, NULL), 0);
	ck_assert_str_eq(stored, cursor);
	free(stored);
}

static const struct {
	const char *verdict;
	enum spool_state state;
	unsigned releases;
} verdicts[] = {
    {"release", SPOOL_QUEUED, 1},
    {"discard", SPOOL_DISCARDED, 0},
    {"expire", SPOOL_EXPIRED, 0},
};

START_TEST(decision_is_applied)
{
	struct spool_message message;

	answers[0] = page(json_pack(
	    "[o]", decision(7, id_text, address[0], verdicts[_i].verdict)));
	start();
	await_cursor("7");
	ck_assert_int_eq(fixture_state(&store, message_id, 0),
	                 verdicts[_i].state);
	ck_assert_int_eq(fixture_state(&store, message_id, 1), SPOOL_HELD);
	ck_assert_uint_eq(atomic_load(&releases), verdicts[_i].releases);
	ck_assert_int_eq(spool_read(store.spool, &message_id, &message, NULL),
	                 0);
	ck_assert_str_eq(message.recipients[0].by, "captcha");
	ck_assert_str_eq(message.recipients[0].why, "solved");
	ck_assert(!message.recipients[0].event_pending);
	spool_message_release(&message);
}
END_TEST

START_TEST(repeated_and_contrary_decisions_change_nothing)
{
	answers[0] = page(
	    json_pack("[o, o]", decision(1, id_text, address[0], "discard"),
	              decision(2, id_text, address[0], "release")));
	answers[1] = page(json_pack(
	    "[o, o, o, o]", decision(1, id_text, address[0], "discard"),
	    decision(3, id_text, address[0], "release"),
	    decision(4, id_text, address[1], "release"),
	    decision(5, id_text, address[1], "discard")));
	start();
	await_cursor("5");
	/* Of two for the same recipient the first one holds. */
	ck_assert_int_eq(fixture_state(&store, message_id, 0), SPOOL_DISCARDED);
	ck_assert_int_eq(fixture_state(&store, message_id, 1), SPOOL_QUEUED);
}
END_TEST

START_TEST(case_of_the_address_does_not_matter)
{
	char *upper;

	for (upper = address[0]; *upper; upper++)
		if (*upper >= 'a' && *upper <= 'z')
			*upper = (char)(*upper - 'a' + 'A');
	answers[0] =
	    page(json_pack("[o]", decision(1, id_text, address[0], "release")));
	start();
	await_cursor("1");
	ck_assert_int_eq(fixture_state(&store, message_id, 0), SPOOL_QUEUED);
}
END_TEST

/* One that makes no sense does not keep those after it from being applied. */
static const char *const nonsense[] = {
    "{\"sequence\": 1}",
    "{\"sequence\": 1, \"message\": 5, \"recipient\": \"a@b\","
    " \"verdict\": \"release\"}",
    "{\"sequence\": 1, \"message\": \"no id\", \"recipient\": \"a@b\","
    " \"verdict\": \"release\"}",
    "{\"sequence\": 1, \"message\": \"01020304-0506-7708-890a-0b0c0d0e0f10\","
    " \"recipient\": \"a@b\", \"verdict\": \"release\"}",
    "{\"sequence\": 1, \"message\": \"%ID\", \"recipient\": \"a@b\","
    " \"verdict\": \"deliver\"}",
    "{\"sequence\": 1, \"message\": \"%ID\", \"recipient\": \"x@elsewhere\","
    " \"verdict\": \"release\"}",
    "{\"sequence\": 1, \"message\": \"%ID\", \"recipient\": null,"
    " \"verdict\": \"release\"}",
    "\"text\"",
    "null",
};

START_TEST(nonsense_is_passed_over)
{
	const char *text = nonsense[_i], *place = strstr(text, "%ID");
	char *whole = place ? mem_format("%.*s%s%s", (int)(place - text), text,
	                                 id_text, place + 3)
	                    : mem_copy_string(text);
	json_t *bad = json_loads(whole, JSON_DECODE_ANY, NULL);

	free(whole);
	ck_assert_ptr_nonnull(bad);
	answers[0] = page(json_pack(
	    "[o, o]", bad, decision(2, id_text, address[0], "release")));
	start();
	await_cursor("2");
	ck_assert_int_eq(fixture_state(&store, message_id, 0), SPOOL_QUEUED);
	ck_assert_int_eq(fixture_state(&store, message_id, 1), SPOOL_HELD);
}
END_TEST

/* Whole answers that make no sense, and failures: asked again. */
static const struct {
	unsigned status;
	const char *body;
} failures[] = {
    {500, "{}"},
    {401, "{}"},
    {200, "[]"},
    {200, "{}"},
    {200, "{\"decisions\": 5}"},
    {200, "{\"decisions\": [{\"sequence\": \"9\"}]}"},
    {200, "{\"decisions\": [{\"sequence\": -5}]}"},
};

START_TEST(failure_is_followed_by_another_try)
{
	statuses[0] = failures[_i].status;
	answers[0] = json_loads(failures[_i].body, 0, NULL);
	answers[1] =
	    page(json_pack("[o]", decision(3, id_text, address[0], "release")));
	start();
	await_cursor("3");
	ck_assert_int_eq(fixture_state(&store, message_id, 0), SPOOL_QUEUED);
}
END_TEST

START_TEST(cursor_survives_a_restart)
{
	answers[0] = page(
	    json_pack("[o]", decision(12, id_text, address[0], "release")));
	start();
	await_cursor("12");
	stop();
	last_query[0] = '\0';
	start();
	await_cursor("12");
}
END_TEST

START_TEST(corrupt_cursor_is_told)
{
	struct spool_change change = {.kind = SPOOL_SET};
	struct decisions_options options = {&config, store.spool, NULL, NULL,
	                                    NULL};
	struct decisions *none = NULL;
	struct error err;

	start();
	stop();
	change.set.name = DECISIONS_CURSOR_VALUE;
	change.set.value = "12x";
	ck_assert_int_eq(fixture_commit(&store, change), 0);
	lab_config(&config, cloud.port, LAB_POLICY);
	ck_assert_int_eq(decisions_start(&none, &options, &err), ERR_CORRUPT);
	agent_config_release(&config);
	change.set.value = "0";
	ck_assert_int_eq(fixture_commit(&store, change), 0);
	start();
}
END_TEST

/* A poll that is answered at once, with nothing, is not repeated in a rush. */
START_TEST(hasty_cloud_is_not_hurried)
{
	start();
	LAB_AWAIT(fake_asked(&cloud, FAKE_DECISIONS) >= 2);
	(void)poll(NULL, 0, 200);
	ck_assert_uint_lt(fake_asked(&cloud, FAKE_DECISIONS), 40);
}
END_TEST

static json_t *same_again(struct fake_cloud *fake, struct http_request *request,
                          json_t *body, unsigned *status)
{
	(void)fake;
	(void)request;
	(void)body;
	*status = 200;
	return page(
	    json_pack("[o]", decision(1, id_text, address[0], "release")));
}

/* Nor one that repeats what is behind the cursor. */
START_TEST(cloud_that_repeats_itself_is_not_hurried)
{
	cloud.decisions = same_again;
	start();
	LAB_AWAIT(fake_asked(&cloud, FAKE_DECISIONS) >= 3);
	(void)poll(NULL, 0, 200);
	ck_assert_uint_lt(fake_asked(&cloud, FAKE_DECISIONS), 60);
	ck_assert_int_eq(fixture_state(&store, message_id, 0), SPOOL_QUEUED);
}
END_TEST

/* What a store that is away gives, to the moves and to the reading before. */
static const struct {
	int commit, read;
} absences[] = {
    {ERR_UNAVAILABLE, 0}, {ERR_UNCERTAIN, 0}, {ERR_FULL, 0},
    {0, ERR_UNAVAILABLE}, {0, ERR_TIMEOUT},   {0, ERR_PROTOCOL},
};

/* No decision is passed over: the cursor stays where the store is. */
START_TEST(store_that_is_away_keeps_the_cursor)
{
	start();
	failing_spool_commits(&failing, absences[_i].commit, false);
	failing_spool_reads(&failing, absences[_i].read);
	(void)pthread_mutex_lock(&cloud.lock);
	always =
	    page(json_pack("[o]", decision(7, id_text, address[0], "release")));
	(void)pthread_mutex_unlock(&cloud.lock);
	(void)poll(NULL, 0, 300);
	ck_assert_int_eq(
	    spool_get(store.spool, DECISIONS_CURSOR_VALUE, NULL, NULL),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(fixture_state(&store, message_id, 0), SPOOL_HELD);
	failing_spool_away(&failing, 0);
	await_cursor("7");
	ck_assert_int_eq(fixture_state(&store, message_id, 0), SPOOL_QUEUED);
	ck_assert_uint_eq(atomic_load(&releases), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent decisions");
	TCase *tests = tcase_create("poll");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, decision_is_applied, 0, LAB_COUNT(verdicts));
	tcase_add_test(tests, repeated_and_contrary_decisions_change_nothing);
	tcase_add_test(tests, case_of_the_address_does_not_matter);
	tcase_add_loop_test(tests, nonsense_is_passed_over, 0,
	                    LAB_COUNT(nonsense));
	tcase_add_loop_test(tests, failure_is_followed_by_another_try, 0,
	                    LAB_COUNT(failures));
	tcase_add_test(tests, cursor_survives_a_restart);
	tcase_add_test(tests, corrupt_cursor_is_told);
	tcase_add_loop_test(tests, store_that_is_away_keeps_the_cursor, 0,
	                    LAB_COUNT(absences));
	tcase_add_test(tests, hasty_cloud_is_not_hurried);
	tcase_add_test(tests, cloud_that_repeats_itself_is_not_hurried);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
