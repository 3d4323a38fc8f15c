/*
 * A spool in MongoDB whose connection is hurt at every exchange in turn: what
 * was acknowledged is there, nothing is done twice, every error says that it
 * may be tried again, and the spool goes on without being opened anew.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/mem.h"
#include "tests/support/fault-control.h"
#include "tests/support/mongodb-fixture.h"
#include "tests/support/spool-fixture.h"
#include "tests/support/suite.h"

#define OWNER   "worker"
#define RETRIES 8
#define STALL   0.9 /* seconds: more than the client waits for an answer */

static struct spool_fixture fixture;
static struct spool *direct; /* past the proxy, to look at */
static int refused[2];       /* ERR_UNAVAILABLE, ERR_UNCERTAIN */
static int64_t longest_ms;

static void note(int code, int64_t started_ms)
{
	int64_t took_ms = clock_monotonic_ms() - started_ms;

	if (took_ms > longest_ms)
		longest_ms = took_ms;
	if (!code)
		return;
	ck_assert_msg(code == ERR_UNAVAILABLE || code == ERR_UNCERTAIN ||
	                  code == ERR_TIMEOUT,
	              "an error that says nothing of trying again: %s",
	              error_name(code));
	refused[code == ERR_UNCERTAIN]++;
}

/* One change as a daemon makes it: again while nothing is known. Whether an
 * earlier try may have been done is in *doubt. */
static int change_surely(struct spool_change change, bool *doubt)
{
	*doubt = false;
	for (int i = 0; i < RETRIES; i++) {
		struct error err = {.text = ""};
		int64_t started_ms = clock_monotonic_ms();
		int code;

		change.result = 0;
		code = spool_commit(fixture.spool, &change, 1, &err);
		if (!code && change.result == ERR_UNCERTAIN)
			code = ERR_UNCERTAIN;
		note(code, started_ms);
		if (!code)
			return change.result;
		*doubt = *doubt || code == ERR_UNCERTAIN;
	}
	ck_abort_msg("does not recover");
	return 0;
}

static void add(const struct spool_message *message, const char *body,
                size_t size)
{
	bool doubt;
	int result =
	    change_surely(fixture_add_change(message, body, size), &doubt);

	ck_assert_msg(!result || (result == ERR_EXISTS && doubt), "add: %s",
	              error_name(result));
}

static void move(struct id id, size_t recipient, enum spool_state from,
                 enum spool_state to)
{
	struct spool_change change = fixture_move_change(id, recipient, to);
	bool doubt;
	int result;

	change.move.from = SPOOL_IN(from);
	change.move.attempted = true;
	change.move.event = spool_state_is_final(to);
	result = change_surely(change, &doubt);
	ck_assert_msg(!result || (result == ERR_CONFLICT && doubt), "move: %s",
	              error_name(result));
}

static void mark(enum spool_change_kind kind, struct id id)
{
	struct spool_change change = {.kind = kind, .mark = {.id = id}};
	bool doubt;
	int result = change_surely(change, &doubt);

	ck_assert_msg(!result || doubt, "mark: %s", error_name(result));
}

static void set_value(const char *value)
{
	struct spool_change change = {.kind = SPOOL_SET,
	                              .set = {.name = "n", .value = value}};
	bool doubt;

	ck_assert_int_eq(change_surely(change, &doubt), 0);
}

/* Claims until the message is claimed; a claim in doubt ends in a second. */
static void claim(struct id id, int64_t *now_ms)
{
	for (int i = 0; i < RETRIES; i++) {
		struct spool_page page = {.count = 0};
		int64_t started_ms = clock_monotonic_ms();
		bool found = false;
		int code = spool_claim(fixture.spool, OWNER, *now_ms, 1000, 100,
		                       &page, NULL);

		note(code, started_ms);
		for (size_t k = 0; !code && k < page.count; k++)
			if (!memcmp(&page.messages[k].id, &id, sizeof(id)))
				found = true;
		spool_page_release(&page);
		if (found)
			return;
		*now_ms += 1001;
	}
	ck_abort_msg("never claimed");
}

static void read_back(struct id id)
{
	for (int i = 0; i < RETRIES; i++) {
		struct spool_message message;
		int64_t started_ms = clock_monotonic_ms();
		int code = spool_read(fixture.spool, &id, &message, NULL);

		note(code, started_ms);
		if (code)
			continue;
		spool_message_release(&message);
		return;
	}
	ck_abort_msg("cannot be read");
}

/* How many lines a text has. */
static unsigned lines(const char *text)
{
	unsigned count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* Every move counts an attempt and appends a line: once done, one each. */
static void expect(struct id id, size_t recipient, enum spool_state state,
                   unsigned moves)
{
	struct spool_message message;
	const struct spool_recipient *found;
	struct error err = {.text = ""};

	ck_assert_msg(!spool_read(direct, &id, &message, &err), "lost: %s",
	              err.text);
	found = &message.recipients[recipient];
	ck_assert_msg(found->state == state, "lost: %s instead of %s",
	              spool_state_name(found->state), spool_state_name(state));
	ck_assert_msg(found->attempts == moves &&
	                  lines(found->history) == moves,
	              "done twice: %u moves, %u attempts, history %s", moves,
	              found->attempts, found->history);
	spool_message_release(&message);
}

static void expect_body(struct id id, const char *body, size_t size)
{
	struct spool_fixture looking = {.spool = direct};
	size_t found;
	char *bytes = fixture_body(&looking, id, &found);

	ck_assert_uint_eq(found, size);
	ck_assert_mem_eq(bytes, body, size);
	free(bytes);
}

/* What a message goes through, and what has to be there then. */
static void workload(int64_t *now_ms)
{
	static char large[3 * FIXTURE_LARGE];
	struct spool_message first = fixture_message(2, SPOOL_HELD);
	struct spool_message second = fixture_message(1, SPOOL_QUEUED);
	char value[20];

	memset(large, 'x', sizeof(large));
	second.size = sizeof(large);
	first.recipients[0].next_attempt_ms = *now_ms;
	(void)snprintf(value, sizeof(value), "%d", (int)(*now_ms & 0xffffff));
	add(&first, "body\r\n", 6);
	add(&second, large, sizeof(large));
	move(first.id, 0, SPOOL_HELD, SPOOL_QUEUED);
	move(first.id, 1, SPOOL_HELD, SPOOL_DISCARDED);
	mark(SPOOL_REGISTERED, first.id);
	claim(first.id, now_ms);
	move(first.id, 0, SPOOL_QUEUED, SPOOL_DEFERRED);
	expect_body(first.id, "body\r\n", 6);
	move(first.id, 0, SPOOL_DEFERRED, SPOOL_DELIVERED);
	mark(SPOOL_REPORTED, first.id);
	set_value(value);
	read_back(second.id);
	expect(first.id, 0, SPOOL_DELIVERED, 3);
	expect(first.id, 1, SPOOL_DISCARDED, 1);
	expect(second.id, 0, SPOOL_QUEUED, 0);
	expect_body(second.id, large, sizeof(large));
	spool_message_release(&first);
	spool_message_release(&second);
}

static void open_direct(void)
{
	struct spool_options options = fixture.options;
	struct error err = {.text = ""};
	char *uri = fault_direct_uri(fixture.uri);

	options.location = uri;
	ck_assert_msg(!spool_open_shared(&direct, &options, &err), "%s",
	              err.text);
	free(uri);
}

START_TEST(every_exchange_is_hurt)
{
	const char *fault = fault_names[_i];
	int64_t now_ms = FIXTURE_NOW_MS;
	int exchanges, hurt = 0;

	ck_assert_int_eq(crypto_init(), 0);
	fixture_open(&fixture);
	open_direct();
	workload(&now_ms);
	fault_reset();
	workload(&now_ms);
	exchanges = fault_exchanges();
	for (int at = 1; at <= exchanges;
	     at += strncmp(fault, "st", 2) ? 1 : 3) {
		fault_arm(fault, at, STALL);
		workload(&now_ms);
		hurt += fault_disarm();
	}
	(void)printf("told: spool, %s: %d of %d exchanges hurt, 0 lost, 0 done "
	             "twice, %d unavailable, %d uncertain, at most %d ms\n",
	             fault, hurt, exchanges, refused[0], refused[1],
	             (int)longest_ms);
	(void)fflush(stdout);
	ck_assert_int_ge(hurt, exchanges / 4);
	spool_close(direct);
	fixture_close(&fixture);
}
END_TEST

/* Nobody gets through for a while: errors until then, and work after it. */
START_TEST(server_is_away)
{
	struct spool_message message = fixture_message(1, SPOOL_HELD);
	struct spool_change change =
	    fixture_add_change(&message, "body\r\n", 6);
	int64_t started_ms, now_ms = FIXTURE_NOW_MS;
	int code;

	ck_assert_int_eq(crypto_init(), 0);
	fixture_open(&fixture);
	open_direct();
	fault_set_down(true);
	started_ms = clock_monotonic_ms();
	code = spool_commit(fixture.spool, &change, 1, NULL);
	ck_assert_msg(code == ERR_UNAVAILABLE || code == ERR_UNCERTAIN ||
	                  code == ERR_TIMEOUT,
	              "%s", error_name(code));
	(void)printf("told: spool, server away: refused after %d ms\n",
	             (int)(clock_monotonic_ms() - started_ms));
	fault_set_down(false);
	started_ms = clock_monotonic_ms();
	add(&message, "body\r\n", 6);
	(void)printf("told: spool, server back: works after %d ms\n",
	             (int)(clock_monotonic_ms() - started_ms));
	(void)fflush(stdout);
	workload(&now_ms);
	spool_message_release(&message);
	spool_close(direct);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mongodb-spool-faults");
	TCase *tcase = tcase_create("faults");

	if (!mongodb_fixture_present() || !fault_control_present())
		return 0;
	(void)setenv("TURING_TEST_BACKEND", "mongodb", 1);
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, every_exchange_is_hurt, 0, fault_count);
	tcase_add_test(tcase, server_is_away);
	suite_add_tcase(suite, tcase);
	return suite_main(suite, NULL);
}
