/* The same random life on a spool in SQLite and on one in MongoDB: every result
 * and everything that can be read is the same. */
#include "common/mem.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/same-message.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define ROUNDS   60
#define MESSAGES 25 /* ids in use */
#define BATCH    8
#define ANY      (SPOOL_IN(SPOOL_STATE_COUNT) - 1)

static struct spool_fixture twins[2];
static struct id ids[MESSAGES];
static uint32_t seed;

static void setup(void)
{
	(void)setenv("TURING_TEST_BACKEND", "sqlite", 1);
	fixture_open(&twins[0]);
	(void)setenv("TURING_TEST_BACKEND", "mongodb", 1);
	fixture_open(&twins[1]);
	for (size_t i = 0; i < MESSAGES; i++) {
		ids[i] = id_new();
		ids[i].bytes[0] = (uint8_t)(i * 37);
	}
}

static void teardown(void)
{
	fixture_close(&twins[0]);
	fixture_close(&twins[1]);
}

static unsigned draw(unsigned limit)
{
	seed = seed * 1664525U + 1013904223U;
	return (seed >> 8) % limit;
}

static const char *word(void)
{
	static const char *const words[] = {
	    "", "admin", "list", "caf\xc3\xa9", "\xff\xfe", "a\nb: c", "User1"};

	return words[draw(sizeof(words) / sizeof(words[0]))];
}

static void replace(char **text, const char *by)
{
	free(*text);
	*text = mem_copy_string(by);
}

/* --- changes ----------------------------------------------------------- */

static struct spool_message make_message(void)
{
	struct spool_message message = fixture_message(
	    1 + draw(4), (enum spool_state)draw(SPOOL_STATE_COUNT));

	message.id = ids[draw(MESSAGES)];
	message.registered = draw(2);
	message.expires_ms += draw(2000);
	replace(&message.sender, word());
	replace(&message.subject, word());
	for (size_t i = 0; i < message.recipient_count; i++) {
		struct spool_recipient *recipient = &message.recipients[i];

		if (draw(3))
			recipient->state =
			    (enum spool_state)draw(SPOOL_STATE_COUNT);
		recipient->next_attempt_ms += draw(50);
		recipient->changed_ms += draw(50);
		recipient->attempts = draw(3);
		recipient->event_pending = !draw(4);
		recipient->keep_until_ms =
		    draw(2) ? FIXTURE_NOW_MS + 1 + draw(2000) : 0;
		recipient->dsn = (enum spool_dsn)draw(SPOOL_DSN_COUNT);
		recipient->dsn_id = ids[draw(2)];
		replace(&recipient->reply, word());
		if (!draw(4)) {
			replace(&recipient->lease_owner, word());
			recipient->lease_until_ms = FIXTURE_NOW_MS + draw(100);
		}
	}
	return message;
}

/* A copy: of what one of the twins has, or made up. */
static struct spool_change make_add(struct spool_message *message,
                                    const char *body)
{
	struct spool_change change;

	*message = make_message();
	change = fixture_add_change(message, body, 1 + draw(9000));
	if (draw(4))
		return change;
	change.kind = SPOOL_COPY;
	change.add.replace = draw(2);
	message->body_present = draw(2);
	for (size_t i = 0; i < message->recipient_count; i++) {
		if (spool_recipient_is_over(&message->recipients[i]) &&
		    message->recipient_count == 1)
			message->body_present = false;
		if (draw(2))
			message->recipients[i].history = mem_copy_string(
			    "2026-11-21T08:00:00.000Z held list: x\n");
	}
	if (!message->body_present)
		change.add.body = (struct spool_body_source){.size = 0};
	return change;
}

static struct spool_change make_move(void)
{
	struct spool_change change =
	    fixture_move_change(ids[draw(MESSAGES)], draw(5),
	                        (enum spool_state)draw(SPOOL_STATE_COUNT));

	change.move.from = draw(3) ? ANY : 1 + draw(ANY);
	change.move.lease_owner = draw(3) ? NULL : word();
	change.move.now_ms = FIXTURE_NOW_MS + draw(1000);
	change.move.by = draw(4) ? word() : NULL;
	change.move.why = draw(4) ? word() : NULL;
	change.move.reply = draw(2) ? word() : NULL;
	change.move.next_attempt_ms = FIXTURE_NOW_MS + draw(100);
	change.move.attempted = draw(2);
	change.move.event = draw(2);
	change.move.keep_until_ms =
	    draw(2) ? FIXTURE_NOW_MS + 1 + draw(2000) : 0;
	change.move.dsn = draw(2);
	change.move.next_hop = draw(3) ? NULL : word();
	return change;
}

static struct spool_change make_dsn(void)
{
	return (struct spool_change){
	    .kind = SPOOL_DSN,
	    .dsn = {.id = ids[draw(MESSAGES)],
	            .recipient = draw(5),
	            .from = (enum spool_dsn)draw(SPOOL_DSN_COUNT),
	            .to = (enum spool_dsn)draw(SPOOL_DSN_COUNT),
	            .dsn_id = ids[draw(2)]}};
}

static struct spool_change make_change(struct spool_message *message,
                                       const char *body)
{
	switch (draw(9)) {
	case 0:
	case 1:
		return make_add(message, body);
	case 2:
		return (struct spool_change){
		    .kind = SPOOL_REGISTERED,
		    .mark = {.id = ids[draw(MESSAGES)]}};
	case 3:
		return (struct spool_change){
		    .kind = SPOOL_REPORTED,
		    .mark = {.id = ids[draw(MESSAGES)], .recipient = draw(5)}};
	case 4:
		return (struct spool_change){
		    .kind = SPOOL_SET,
		    .set = {.name = word(), .value = word()}};
	case 5:
		return make_dsn();
	default:
		return make_move();
	}
}

static void commit(const char *body)
{
	struct spool_message messages[BATCH] = {{.size = 0}};
	struct spool_change changes[2][BATCH];
	struct error err = {.text = ""};

	for (size_t i = 0; i < BATCH; i++)
		changes[0][i] = make_change(&messages[i], body);
	memcpy(changes[1], changes[0], sizeof(changes[0]));
	for (int t = 0; t < 2; t++)
		ck_assert_msg(
		    !spool_commit(twins[t].spool, changes[t], BATCH, &err),
		    "%s", err.text);
	for (size_t i = 0; i < BATCH; i++) {
		ck_assert_msg(changes[0][i].result == changes[1][i].result,
		              "change %zu of kind %d: %d and %d", i,
		              changes[0][i].kind, changes[0][i].result,
		              changes[1][i].result);
		spool_message_release(&messages[i]);
	}
}

/* --- comparing --------------------------------------------------------- */

static void compare_leases(const struct spool_recipient *a,
                           const struct spool_recipient *b)
{
	ck_assert_str_eq(a->lease_owner, b->lease_owner);
	ck_assert_int_eq(a->lease_until_ms, b->lease_until_ms);
}

static void compare_bodies(struct id id)
{
	size_t sizes[2];
	char *bodies[2];

	for (int t = 0; t < 2; t++)
		bodies[t] = fixture_body(&twins[t], id, &sizes[t]);
	ck_assert_uint_eq(sizes[0], sizes[1]);
	ck_assert(!memcmp(bodies[0], bodies[1], sizes[0]));
	free(bodies[0]);
	free(bodies[1]);
}

static void compare_messages(const struct spool_message *a,
                             const struct spool_message *b)
{
	expect_same_message(a, b);
	for (size_t i = 0; i < a->recipient_count; i++)
		compare_leases(&a->recipients[i], &b->recipients[i]);
	if (a->body_present)
		compare_bodies(a->id);
}

static void compare_pages(struct spool_page pages[2])
{
	ck_assert_uint_eq(pages[0].count, pages[1].count);
	ck_assert_int_eq(pages[0].more, pages[1].more);
	for (size_t i = 0; i < pages[0].count; i++)
		compare_messages(&pages[0].messages[i], &pages[1].messages[i]);
	spool_page_release(&pages[0]);
	spool_page_release(&pages[1]);
}

static void list(struct spool_query query)
{
	struct spool_page pages[2];
	struct error err = {.text = ""};

	for (int t = 0; t < 2; t++)
		ck_assert_msg(
		    !spool_list(twins[t].spool, &query, &pages[t], &err), "%s",
		    err.text);
	compare_pages(pages);
}

static void list_some(void)
{
	struct spool_query query = {
	    .states = draw(2) ? draw(ANY + 1) : 0,
	    .sender = draw(3) ? NULL : word(),
	    .recipient = draw(3) ? NULL : word(),
	    .expired_before_ms = draw(2) ? 0 : FIXTURE_NOW_MS + draw(4000),
	    .unregistered = !draw(4),
	    .event_pending = !draw(4),
	    .kept = !draw(3),
	    .dsn = !draw(4),
	    .limit = 1 + draw(MESSAGES)};

	if (!draw(3))
		query.after = ids[draw(MESSAGES)];
	list(query);
}

static void claim(void)
{
	int64_t now_ms = FIXTURE_NOW_MS + draw(120), lease_ms = 1 + draw(60);
	struct spool_page pages[2];
	struct error err = {.text = ""};
	int64_t due_ms[2];

	/* All that is due: which of those that are due at the same moment come
	 * first is nobody's business. */
	for (int t = 0; t < 2; t++) {
		ck_assert_msg(!spool_claim(twins[t].spool, "a", now_ms,
		                           lease_ms, MESSAGES, &pages[t], &err),
		              "%s", err.text);
		ck_assert_int_eq(
		    spool_next_due(twins[t].spool, &due_ms[t], &err), 0);
	}
	compare_pages(pages);
	ck_assert_int_eq(due_ms[0], due_ms[1]);
}

static void collect(const char *name, const char *value, void *context)
{
	char *text = context;
	size_t length = strlen(text);

	(void)snprintf(text + length, 1000 - length, "%s=%s;", name, value);
}

static void compare_totals(void)
{
	struct spool_totals totals[2];
	char values[2][1000] = {"", ""};
	struct error err = {.text = ""};

	for (int t = 0; t < 2; t++) {
		ck_assert_int_eq(spool_count(twins[t].spool, &totals[t], &err),
		                 0);
		ck_assert_int_eq(
		    spool_values_each(twins[t].spool, collect, values[t], &err),
		    0);
	}
	for (int i = 0; i < SPOOL_STATE_COUNT; i++)
		ck_assert_int_eq(totals[0].recipients[i],
		                 totals[1].recipients[i]);
	ck_assert_int_eq(totals[0].unregistered, totals[1].unregistered);
	ck_assert_int_eq(totals[0].body_bytes, totals[1].body_bytes);
	ck_assert_str_eq(values[0], values[1]);
}

static void purge(void)
{
	int64_t before_ms = FIXTURE_NOW_MS + draw(1000);
	size_t deleted[2] = {0, 0};
	struct error err = {.text = ""};

	for (int t = 0; t < 2; t++)
		ck_assert_msg(!spool_purge(twins[t].spool, before_ms, 1000,
		                           &deleted[t], &err),
		              "%s", err.text);
	ck_assert_uint_eq(deleted[0], deleted[1]);
}

START_TEST(same_life)
{
	char *body = mem_alloc(9001);

	seed = (uint32_t)_i + 1;
	for (size_t i = 0; i < 9001; i++)
		body[i] = (char)draw(_i % 2 ? 256 : 128);
	for (int round = 0; round < ROUNDS; round++) {
		commit(body);
		list_some();
		if (!draw(3))
			claim();
		if (!draw(10))
			purge();
		if (!draw(10)) {
			fixture_reopen(&twins[0]);
			fixture_reopen(&twins[1]);
		}
		list((struct spool_query){.limit = 100});
		compare_totals();
	}
	free(body);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("spool-twins");
	TCase *tests = tcase_create("twins");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, same_life, 0, 6);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	if (!mongodb_fixture_present())
		return 0;
	return suite_main(make_suite(), NULL);
}
