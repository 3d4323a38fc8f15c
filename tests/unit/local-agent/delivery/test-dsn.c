/* DSNs: who may get one, their text, and one a recipient whatever happens. */
#include "local-agent/delivery/dsn.h"

#include <stdlib.h>
#include <string.h>

#include "local-agent/delivery/dsn-queue.h"
#include "tests/support/spool-fixture.h"
#include "tests/unit/local-agent/lab.h"

static struct spool_fixture store;
static struct agent_config config;
static struct dsn_queue_options options;

static void setup(void)
{
	lab_init();
	fixture_open(&store);
	lab_config(&config, 1, LAB_POLICY "dsn { relay = \"127.0.0.9:26\"; }");
	options = (struct dsn_queue_options){.config = &config,
	                                     .spool = store.spool,
	                                     .writer = lab_writer(store.spool),
	                                     .replica = replica_new()};
}

static void teardown(void)
{
	writer_stop(options.writer);
	replica_free(options.replica);
	agent_config_release(&config);
	fixture_close(&store);
}

static void set(char **text, const char *value)
{
	free(*text);
	*text = mem_copy_string(value);
}

/* --- who may get one ---------------------------------------------------- */

static bool is_own(const char *domain, void *context)
{
	(void)context;
	return strcmp(domain, "customer.example") == 0;
}

static const struct {
	const char *sender, *from, *reason;
	struct mail_auth auth;
	bool may;
} senders[] = {
    {"a@x.example",
     "",
     "",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     true},
    {"a@X.Example",
     "",
     "",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     true},
    {"a@x.example",
     "",
     "list",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     true},
    /* A pass for what was unwrapped out of it, or for another domain. */
    {"l+a=x.example@list.example",
     "",
     "",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     false},
    {"a@x.example",
     "a@y.example",
     "",
     {.dkim = AUTH_PASS, .dkim_domain = "y.example", .aligned = true},
     false},
    {"a@x.example",
     "a@x.example",
     "",
     {.dkim = AUTH_PASS, .dkim_domain = "x.example", .aligned = true},
     true},
    /* A signature vouches for the From that was signed. */
    {"a@x.example",
     "b@x.example",
     "",
     {.dkim = AUTH_PASS, .dkim_domain = "x.example", .aligned = true},
     false},
    {"a@x.example", "a@x.example", "", {.dmarc = AUTH_PASS}, true},
    {"a@x.example", "a@y.example", "", {.dmarc = AUTH_PASS}, false},
    {"a@x.example", "", "", {.spf = AUTH_NONE}, false},
    {"a@x.example",
     "",
     "",
     {.spf = AUTH_SOFTFAIL, .spf_domain = "x.example"},
     false},
    {"a@x.example",
     "",
     "",
     {.spf = AUTH_PASS, .dmarc = AUTH_FAIL, .spf_domain = "x.example"},
     false},
    {"", "", "", {.spf = AUTH_PASS}, false},
    {"mailer-daemon@x.example",
     "",
     "",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     false},
    {"a@customer.example",
     "",
     "",
     {.spf = AUTH_PASS, .spf_domain = "customer.example"},
     false},
    {"a@x.example",
     "",
     "auto-submitted",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     false},
    {"a@x.example",
     "",
     "null-sender",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     false},
    {"\xc3\xa9@x.example",
     "",
     "",
     {.spf = AUTH_PASS, .spf_domain = "x.example"},
     false},
};

START_TEST(who_may_get_one)
{
	struct spool_message message = fixture_message(1, SPOOL_FAILED);
	const char *why;

	set(&message.sender, senders[_i].sender);
	set(&message.header_from, senders[_i].from);
	set(&message.challenge_reason, senders[_i].reason);
	message.auth = senders[_i].auth;
	message.auth.stated = true;
	why = dsn_forbidden(&message, is_own, NULL);
	ck_assert_msg(!why == senders[_i].may, "%s: %s", senders[_i].sender,
	              why ? why : "may");
	message.dsn_of = id_new();
	ck_assert_ptr_nonnull(dsn_forbidden(&message, is_own, NULL));
	spool_message_release(&message);
}
END_TEST

/* --- the text ----------------------------------------------------------- */

static char *print(const struct spool_message *message, const char *header)
{
	const size_t all[] = {0, 1, 2};
	struct dsn dsn = {.id = message->id,
	                  .now_ms = FIXTURE_NOW_MS + 60000,
	                  .failed = message,
	                  .recipients = all,
	                  .count = message->recipient_count,
	                  .header = header,
	                  .header_size = strlen(header)};
	struct buffer out;

	buffer_init(&out, DSN_MAXIMUM);
	dsn_print(&config, &dsn, &out);
	ck_assert_uint_eq(strlen(buffer_text(&out)), out.length);
	return buffer_take(&out);
}

/* SMTP carries it, and nothing that others chose made a line of its own. */
static void expect_carried(const char *text)
{
	for (const char *line = text; *line;) {
		const char *end = strstr(line, "\r\n");

		ck_assert_ptr_nonnull(end);
		ck_assert_ptr_null(memchr(line, '\n', (size_t)(end - line)));
		ck_assert_ptr_null(memchr(line, '\r', (size_t)(end - line)));
		ck_assert_int_le(end - line, 998);
		line = end + 2;
	}
}

static const struct {
	const char *reply, *status, *diagnostic;
} replies[] = {
    {"550 5.1.1 no such user", "Status: 5.1.1\r\n",
     "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"},
    {"550 no", "Status: 5.0.0\r\n", "Diagnostic-Code: smtp; 550 no\r\n"},
    {"550", "Status: 5.0.0\r\n", "Diagnostic-Code: smtp; 550\r\n"},
    {"554 4.7.1 odd", "Status: 5.0.0\r\n", "554 4.7.1 odd"},
    {"550 5.1", "Status: 5.0.0\r\n", "550 5.1"},
    {"451 4.3.0 later", "Status: 4.4.7\r\n", "451 4.3.0 later"},
    {"the server closed the connection", "Status: 4.4.7\r\n", NULL},
    {"", "Status: 4.4.7\r\n", NULL},
    {"550 5.1.1 a\r\nAction: delivered\r\n\r\n.--turing", "Status: 5.1.1\r\n",
     "smtp; 550 5.1.1 a?\?Action: delivered?\?\?\?.--turing\r\n"},
};

START_TEST(status_and_diagnostic)
{
	struct spool_message message = fixture_message(1, SPOOL_FAILED);
	char *text;

	set(&message.recipients[0].reply, replies[_i].reply);
	text = print(&message, "");
	expect_carried(text);
	ck_assert_msg(strstr(text, replies[_i].status), "%s", text);
	if (replies[_i].diagnostic)
		ck_assert_msg(strstr(text, replies[_i].diagnostic), "%s", text);
	else
		ck_assert_ptr_null(strstr(text, "Diagnostic-Code"));
	ck_assert_ptr_null(strstr(text, "\r\nAction: delivered"));
	free(text);
	spool_message_release(&message);
}
END_TEST

START_TEST(parts_and_header)
{
	static const char header[] =
	    "Subject: x\r\nX-Odd: a\rb\nX-Bare: c\r\n"
	    "Received: from y\r\n\tby z\r\n\r\nthe body\r\n";
	struct spool_message message = fixture_message(3, SPOOL_FAILED);
	char *text, id[ID_TEXT_SIZE], expected[200];

	(void)id_format(&message.id, id);
	text = print(&message, header);
	expect_carried(text);
	ck_assert_int_eq(
	    strncmp(text, "Date: Sat, 21 Nov 2026 08:01:00 +0000\r\n", 39), 0);
	ck_assert_ptr_nonnull(strstr(text, "Auto-Submitted: auto-replied\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "From: Mail Delivery System <postmaster@agent.test>"));
	ck_assert_ptr_nonnull(
	    strstr(text, "In-Reply-To: <1@elsewhere.example>\r\nReferences: "));
	(void)snprintf(expected, sizeof(expected),
	               "report-type=delivery-status;\r\n\tboundary=\"turing-%s"
	               "\"\r\n",
	               id);
	ck_assert_ptr_nonnull(strstr(text, expected));
	ck_assert_ptr_nonnull(
	    strstr(text, "Reporting-MTA: dns; agent.test\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "Final-Recipient: rfc822; "
	                                   "User2@customer.example\r\n"
	                                   "Action: failed\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "\r\nSubject: x\r\nX-Odd: a?b\r\n"
	                                   "X-Bare: c\r\nReceived: from y\r\n"
	                                   "\tby z\r\n\r\n--turing-"));
	ck_assert_ptr_null(strstr(text, "the body"));
	(void)snprintf(expected, sizeof(expected), "\r\n--turing-%s--\r\n", id);
	ck_assert_str_eq(text + strlen(text) - strlen(expected), expected);
	free(text);
	spool_message_release(&message);
}
END_TEST

/* --- the queue ---------------------------------------------------------- */

static struct id fail_message(size_t count)
{
	struct spool_message message = fixture_message(count, SPOOL_FAILED);
	struct id id = message.id;

	set(&message.sender, "ann@elsewhere.example");
	set(&message.challenge_reason, "");
	message.auth.dmarc = AUTH_PASS;
	for (size_t i = 0; i < count; i++) {
		message.recipients[i].keep_until_ms = INT64_C(1) << 50;
		message.recipients[i].dsn = SPOOL_DSN_DUE;
		set(&message.recipients[i].reply, "550 5.1.1 nobody");
	}
	message.size = 11;
	ck_assert_int_eq(
	    fixture_commit(
	        &store, fixture_add_change(&message, "A: b\r\n\r\nx\r\n", 11)),
	    0);
	spool_message_release(&message);
	return id;
}

static void work(void)
{
	struct id after = {{0}};
	struct error err = {.text = ""};

	do
		ck_assert_msg(!dsn_queue_work(&options, &after, &err), "%s",
		              err.text);
	while (!id_is_none(&after));
}

static struct spool_message read_message(const struct id *id)
{
	struct spool_message message = {.recipient_count = 0};

	ck_assert_int_eq(spool_read(store.spool, id, &message, NULL), 0);
	return message;
}

/* How many DSNs are in the spool; *last gets one's id. */
static size_t count_dsns(struct id *last)
{
	const struct spool_query query = {.recipient = "ann@", .limit = 100};
	struct spool_page page = {.count = 0};
	size_t count;

	ck_assert_int_eq(spool_list(store.spool, &query, &page, NULL), 0);
	count = page.count;
	if (count)
		*last = page.messages[count - 1].id;
	spool_page_release(&page);
	return count;
}

START_TEST(one_dsn_until_it_is_sent)
{
	struct id id = fail_message(2), dsn;
	struct spool_message message;
	size_t size;
	char *body;

	work();
	work();
	ck_assert_uint_eq(count_dsns(&dsn), 1);
	message = read_message(&dsn);
	ck_assert_str_eq(message.sender, "");
	ck_assert(id_equal(&message.dsn_of, &id));
	ck_assert(message.registered);
	ck_assert_str_eq(message.recipients[0].address,
	                 "ann@elsewhere.example");
	ck_assert_str_eq(message.recipients[0].next_hop, "127.0.0.9:26");
	ck_assert_int_eq(message.recipients[0].state, SPOOL_QUEUED);
	spool_message_release(&message);
	body = fixture_body(&store, dsn, &size);
	ck_assert_ptr_nonnull(memmem(body, size, "\r\nA: b\r\n", 8));
	ck_assert_ptr_nonnull(memmem(body, size, "User1@customer.example", 22));
	free(body);
	ck_assert_int_eq(fixture_move(&store, dsn, 0, SPOOL_DELIVERED), 0);
	work();
	message = read_message(&id);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(message.recipients[i].dsn, SPOOL_DSN_SENT);
		ck_assert_int_eq(message.recipients[i].state, SPOOL_FAILED);
	}
	ck_assert(!message.body_present);
	spool_message_release(&message);
	work();
	ck_assert_uint_eq(count_dsns(&dsn), 1);
}
END_TEST

/* Killed after the id went on record. */
START_TEST(a_dsn_that_was_not_written_is_written)
{
	struct id id = fail_message(1), dsn = id_new(), found;
	struct spool_change change = {.kind = SPOOL_DSN};

	change.dsn.id = id;
	change.dsn.from = SPOOL_DSN_DUE;
	change.dsn.to = SPOOL_DSN_QUEUED;
	change.dsn.dsn_id = dsn;
	ck_assert_int_eq(fixture_commit(&store, change), 0);
	work();
	ck_assert_uint_eq(count_dsns(&found), 1);
	ck_assert(id_equal(&found, &dsn));
}
END_TEST

static const enum spool_state ends[] = {SPOOL_FAILED, SPOOL_DISCARDED};

/* It was not delivered: the mail waits for the admin, and nobody is told. */
START_TEST(a_dsn_is_given_up)
{
	struct id id = fail_message(1), dsn;
	struct spool_message message;

	work();
	ck_assert_uint_eq(count_dsns(&dsn), 1);
	ck_assert_int_eq(fixture_move(&store, dsn, 0, ends[_i]), 0);
	work();
	message = read_message(&id);
	ck_assert_int_eq(message.recipients[0].dsn, SPOOL_DSN_NONE);
	ck_assert(message.body_present);
	ck_assert_int_gt(message.recipients[0].keep_until_ms, 0);
	spool_message_release(&message);
	work();
	ck_assert_uint_eq(count_dsns(&dsn), 1);
}
END_TEST

START_TEST(not_for_those_who_may_get_none)
{
	struct id id, dsn;
	struct spool_message message;

	config.dsn_enabled = _i == 0;
	id = fail_message(2);
	if (_i == 0) { /* tried again meanwhile */
		ck_assert_int_eq(fixture_move(&store, id, 0, SPOOL_QUEUED), 0);
		ck_assert_int_eq(fixture_move(&store, id, 1, SPOOL_DISCARDED),
		                 0);
	}
	work();
	ck_assert_uint_eq(count_dsns(&dsn), 0);
	message = read_message(&id);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(message.recipients[i].dsn, SPOOL_DSN_NONE);
	ck_assert(message.body_present);
	spool_message_release(&message);
}
END_TEST

#define AGENTS 3
#define FAILED 40

static void *work_as_agent(void *argument)
{
	struct dsn_queue_options *own = argument;
	struct id after = {{0}};
	struct error err = {.text = ""};

	for (int round = 0; round < 4; round++)
		do
			ck_assert_msg(!dsn_queue_work(own, &after, &err), "%s",
			              err.text);
		while (!id_is_none(&after));
	return NULL;
}

/* Those that share a spool find the same mail at the same time. */
START_TEST(agents_beside_each_other)
{
	struct dsn_queue_options agents[AGENTS];
	pthread_t threads[AGENTS];
	struct id last;

	for (int i = 0; i < FAILED; i++)
		(void)fail_message(2);
	for (size_t i = 0; i < AGENTS; i++) {
		agents[i] = options;
		agents[i].writer = lab_writer(store.spool);
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
		                                work_as_agent, &agents[i]),
		                 0);
	}
	for (size_t i = 0; i < AGENTS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		writer_stop(agents[i].writer);
	}
	ck_assert_uint_eq(count_dsns(&last), FAILED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent dsn");
	TCase *tests = tcase_create("dsn");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, who_may_get_one, 0, LAB_COUNT(senders));
	tcase_add_loop_test(tests, status_and_diagnostic, 0,
	                    LAB_COUNT(replies));
	tcase_add_test(tests, parts_and_header);
	tcase_add_test(tests, one_dsn_until_it_is_sent);
	tcase_add_test(tests, a_dsn_that_was_not_written_is_written);
	tcase_add_loop_test(tests, a_dsn_is_given_up, 0, LAB_COUNT(ends));
	tcase_add_loop_test(tests, not_for_those_who_may_get_none, 0, 2);
	tcase_add_test(tests, agents_beside_each_other);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
