/* Tests of the SMTP side: nobody gets a 250 for what is not stored. */
#include "tests/unit/local-agent/intake/intake-lab.h"

#define ENVELOPE "MAIL FROM:<s@x.test>\r\nRCPT TO:<a@ours.test>\r\n"
#define MESSAGE  "From: s@x.test\r\n\r\nhello\r\n"

static struct lab_spool lab;
static _Atomic unsigned held;

static void on_held(void *context)
{
	(void)context;
	atomic_fetch_add(&held, 1);
}

static void setup(void)
{
	struct intake_options options = {
	    .config = &config, .spool = &lab.spool, .held = on_held};
	struct writer_options writing = {.spool = &lab.spool,
	                                 .maximum_requests = 2,
	                                 .maximum_bytes = 1 << 20};

	lab_init();
	lab_spool_init(&lab);
	lab_config(&config, 1, LAB_POLICY);
	atomic_store(&held, 0);
	ck_assert_int_eq(writer_start(&writer, &writing, NULL), 0);
	replica = replica_new();
	options.writer = writer;
	options.replica = replica;
	intake = intake_new(&options);
	give_policy();
	listen_for_mail();
}

static void teardown(void)
{
	lab_gate(&lab, false);
	smtp_listener_stop(listener, 2000);
	writer_stop(writer);
	loop_stop(loop);
	intake_free(intake);
	replica_free(replica);
	agent_config_release(&config);
	lab_spool_release(&lab);
}

/* --- what may come in ----------------------------------------------------- */

static const struct {
	const char *recipient;
	const char *reply;
} recipients[] = {
    {"a@ours.test", "250 2.1.5"},
    {"A@OURS.Test", "250 2.1.5"},
    {"postmaster", "250 2.1.5"},
    {"Postmaster", "250 2.1.5"},
    {"a@elsewhere.test", "550 5.7.1"},
    {"a@sub.ours.test", "550 5.7.1"},
    {"a@ours.test.evil.test", "550 5.7.1"},
    {"a@[127.0.0.1]", "550 5.7.1"},
    {"a..b@ours.test", "250 2.1.5"},
    {".a@ours.test", "250 2.1.5"},
    /* They ask to be sent on. */
    {"a%elsewhere.test@ours.test", "550 5.7.1"},
    {"elsewhere.test!a@ours.test", "550 5.7.1"},
    {"\"a@elsewhere.test\"@ours.test", "550 5.7.1"},
};

START_TEST(takes_mail_for_our_domains_alone)
{
	char text[200], reply[256];

	(void)snprintf(text, sizeof(text),
	               "MAIL FROM:<s@x.test>\r\nRCPT TO:<%s>\r\n",
	               recipients[_i].recipient);
	last_reply(text, reply);
	ck_assert_msg(strncmp(reply, recipients[_i].reply, 9) == 0, "%s: %s",
	              recipients[_i].recipient, reply);
}
END_TEST

START_TEST(takes_nothing_before_a_policy_came)
{
	struct intake_options options = {.config = &config,
	                                 .spool = &lab.spool,
	                                 .writer = writer,
	                                 .replica = replica_new()};
	char reply[256];

	smtp_listener_stop(listener, 2000);
	loop_stop(loop);
	intake_free(intake);
	replica_free(replica);
	replica = options.replica;
	intake = intake_new(&options);
	listen_for_mail();
	last_reply(ENVELOPE, reply);
	ck_assert_msg(strncmp(reply, "451 4.3.0", 9) == 0, "%s", reply);
}
END_TEST

START_TEST(refuses_when_space_is_low_or_the_spool_broken)
{
	char reply[256];

	intake_set_low_space(intake, true);
	last_reply("MAIL FROM:<s@x.test>\r\n", reply);
	ck_assert_msg(strncmp(reply, "452 4.3.1", 9) == 0, "%s", reply);
	intake_set_low_space(intake, false);
	last_reply("MAIL FROM:<s@x.test>\r\n", reply);
	ck_assert_msg(strncmp(reply, "250 ", 4) == 0, "%s", reply);
	intake_refuse(intake);
	last_reply("MAIL FROM:<s@x.test>\r\n", reply);
	ck_assert_msg(strncmp(reply, "451 4.3.0", 9) == 0, "%s", reply);
}
END_TEST

/* --- what is answered after the dot --------------------------------------- */

static const struct {
	int result, change_result;
	const char *reply;
} outcomes[] = {
    {0, 0, "250 2.0.0"},
    {ERR_FULL, 0, "452 4.3.1"},
    {ERR_IO, 0, "451 4.3.0"},
    {ERR_CORRUPT, 0, "451 4.3.0"},
    {ERR_UNCERTAIN, 0, "451 4.3.0"},
    {ERR_MEMORY, 0, "451 4.3.0"},
    {ERR_TIMEOUT, 0, "451 4.3.0"},
    {0, ERR_EXISTS, "451 4.3.0"},
    {0, ERR_UNCERTAIN, "451 4.3.0"},
    {0, ERR_INVALID, "451 4.3.0"},
};

START_TEST(answers_as_the_commit_went)
{
	bool stored =
	    outcomes[_i].result == 0 && outcomes[_i].change_result == 0;
	char reply[256];

	lab_fail(&lab, outcomes[_i].result, 0);
	lab.change_result = outcomes[_i].change_result;
	last_reply(ENVELOPE "DATA\r\n" MESSAGE ".\r\n", reply);
	ck_assert_msg(strncmp(reply, outcomes[_i].reply, 9) == 0, "%s", reply);
	ck_assert_uint_eq(lab.kinds[SPOOL_ADD], stored);
	ck_assert_uint_eq(atomic_load(&held), stored);
	ck_assert_uint_eq(intake_pending(intake), 0);
}
END_TEST

START_TEST(no_answer_before_the_commit)
{
	char answer[4096];
	int fd = peer_connect(smtp_listener_port(listener));

	lab_gate(&lab, true);
	(void)peer_send_text(fd, "EHLO c\r\n" ENVELOPE "DATA\r\n" MESSAGE
	                         ".\r\nNOOP\r\n");
	lab_await_commit(&lab);
	(void)peer_read(fd, answer, sizeof(answer), 100);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n354 "));
	ck_assert_ptr_null(strstr(answer, "250 2.0.0 Ok: taken"));
	lab_gate(&lab, false);
	(void)peer_send_text(fd, "QUIT\r\n");
	(void)peer_read(fd, answer, sizeof(answer), 5000);
	ck_assert_ptr_eq(strstr(answer, "250 2.0.0 Ok: taken"), answer);
	(void)close(fd);
}
END_TEST

/* Beyond what may wait for its commit: 451, and nothing is lost of the rest. */
START_TEST(too_much_at_once_is_put_off)
{
	char answer[4096];
	int fds[6], i, taken = 0, put_off = 0;

	lab_gate(&lab, true);
	for (i = 0; i < 6; i++) {
		fds[i] = peer_connect(smtp_listener_port(listener));
		(void)peer_send_text(fds[i], "EHLO c\r\n" ENVELOPE
		                             "DATA\r\n" MESSAGE ".\r\n");
		if (i == 0)
			lab_await_commit(&lab);
	}
	(void)poll(NULL, 0, 200);
	lab_gate(&lab, false);
	for (i = 0; i < 6; i++) {
		(void)peer_send_text(fds[i], "QUIT\r\n");
		(void)peer_read(fds[i], answer, sizeof(answer), 5000);
		taken += strstr(answer, "\r\n250 2.0.0 Ok: taken") != NULL;
		put_off += strstr(answer, "\r\n451 4.3.1 ") != NULL;
		(void)close(fds[i]);
	}
	ck_assert_int_eq(taken, 3);
	ck_assert_int_eq(put_off, 3);
	ck_assert_uint_eq(lab.kinds[SPOOL_ADD], 3);
}
END_TEST

/* The message is stored all the same; its answer has nowhere to go. */
START_TEST(session_that_ended_is_not_answered)
{
	int fd = peer_connect(smtp_listener_port(listener));

	lab_gate(&lab, true);
	(void)peer_send_text(fd,
	                     "EHLO c\r\n" ENVELOPE "DATA\r\n" MESSAGE ".\r\n");
	lab_await_commit(&lab);
	if (_i)
		(void)close(fd);
	else
		smtp_listener_stop(listener, 20); /* cuts it off */
	lab_gate(&lab, false);
	LAB_AWAIT(intake_pending(intake) == 0);
	ck_assert_uint_eq(lab.kinds[SPOOL_ADD], 1);
	if (_i) {
		LAB_AWAIT(smtp_listener_sessions(listener) == 0);
		return;
	}
	(void)close(fd);
	listener = NULL;
}
END_TEST

/* --- verdicts and bodies -------------------------------------------------- */

static const struct {
	const char *sender;
	enum spool_state state;
	bool held;
	int64_t bytes;
} verdicts[] = {
    {"s@x.test", SPOOL_HELD, true, (int64_t)sizeof(MESSAGE) - 1},
    {"white@x.test", SPOOL_QUEUED, false, (int64_t)sizeof(MESSAGE) - 1},
    {"prvs=1234abcdef=white@x.test", SPOOL_QUEUED, false,
     (int64_t)sizeof(MESSAGE) - 1},
    {"black@x.test", SPOOL_DISCARDED, false, 0},
    {"", SPOOL_HELD, true, (int64_t)sizeof(MESSAGE) - 1},
};

START_TEST(stores_with_its_verdict)
{
	char text[400], reply[256];

	(void)snprintf(text, sizeof(text),
	               "MAIL FROM:<%s>\r\nRCPT TO:<a@ours.test>\r\n"
	               "RCPT TO:<a@ours.test>\r\nRCPT TO:<b@ours.test>\r\n"
	               "DATA\r\n" MESSAGE ".\r\n",
	               verdicts[_i].sender);
	last_reply(text, reply);
	ck_assert_msg(strncmp(reply, "250 2.0.0", 9) == 0, "%s", reply);
	/* A recipient named twice gets it once. */
	ck_assert_uint_eq(lab.state_count, 2);
	ck_assert_int_eq(lab.states[0], verdicts[_i].state);
	ck_assert_int_eq(lab.states[1], verdicts[_i].state);
	ck_assert_int_eq(lab.body_bytes, verdicts[_i].bytes);
	ck_assert_uint_eq(atomic_load(&held), verdicts[_i].held);
}
END_TEST

#define OWN   "Received: from x by agent.test\r\n\t(turing-agent) id 1; z\r\n"
#define OTHER "Received: from x by other.test (turing-agent) id 1; z\r\n"
#define TEN   OTHER OTHER OTHER OTHER OTHER OTHER OTHER OTHER OTHER OTHER

/* Mail that has been here, and what would go round once more. */
static const struct {
	const char *sender, *header;
	enum spool_state state;
} hops[] = {
    {"white@x.test", OWN OWN, SPOOL_QUEUED},
    {"white@x.test", OWN OTHER OWN OTHER OWN, SPOOL_FAILED},
    {"white@x.test", OTHER OTHER OTHER OTHER, SPOOL_QUEUED},
    {"white@x.test", TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN, SPOOL_QUEUED},
    {"white@x.test", TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN OTHER,
     SPOOL_FAILED},
    {"s@x.test", OWN OWN OWN, SPOOL_HELD},
    {"black@x.test", OWN OWN OWN, SPOOL_DISCARDED},
};

START_TEST(loops_are_broken)
{
	char text[8000], reply[256];

	(void)snprintf(text, sizeof(text),
	               "MAIL FROM:<%s>\r\nRCPT TO:<a@ours.test>\r\nDATA\r\n"
	               "%sSubject: x\r\n\r\nbody\r\n.\r\n",
	               hops[_i].sender, hops[_i].header);
	last_reply(text, reply);
	/* Never a refusal: the MX would bounce it. */
	ck_assert_msg(strncmp(reply, "250 2.0.0", 9) == 0, "%s", reply);
	ck_assert_uint_eq(lab.state_count, 1);
	ck_assert_int_eq(lab.states[0], hops[_i].state);
	ck_assert_int_eq(lab.body_bytes > 0, hops[_i].state != SPOOL_DISCARDED);
}
END_TEST

static char *large_message(size_t size)
{
	char *text = mem_alloc(size + 1);
	size_t i;

	for (i = 0; i < size; i++)
		text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'a';
	memcpy(text, "A: b\r\n\r\n", 8);
	return text;
}

static const struct {
	int result;
	size_t size;
	unsigned files;
} bodies[] = {
    {0, 64 * 1000, 0},        {0, 64 * 3000, 1},      {0, 64 * 40000, 1},
    {ERR_FULL, 64 * 3000, 0}, {ERR_IO, 64 * 3000, 0},
};

START_TEST(large_bodies_go_to_a_file)
{
	char answer[4096], *message = large_message(bodies[_i].size);
	int fd = peer_connect(smtp_listener_port(listener));

	lab_fail(&lab, bodies[_i].result, 0);
	(void)peer_send_text(fd, "EHLO c\r\n" ENVELOPE "DATA\r\n");
	(void)peer_send(fd, message, bodies[_i].size);
	(void)peer_send_text(fd, ".\r\nQUIT\r\n");
	(void)peer_read(fd, answer, sizeof(answer), 5000);
	ck_assert_ptr_nonnull(strstr(
	    answer, bodies[_i].result ? "\r\n45" : "\r\n250 2.0.0 Ok: taken"));
	ck_assert_uint_eq(lab.files, bodies[_i].files);
	ck_assert_int_eq(lab.body_bytes,
	                 bodies[_i].result ? 0 : (int64_t)bodies[_i].size);
	(void)close(fd);
	free(message);
	/* teardown removes the directory: no file may be left in it */
}
END_TEST

START_TEST(smallest_limit_loses_no_byte)
{
	char answer[4096], *message = large_message(64 * 20000);
	int fd = peer_connect(smtp_listener_port(listener));

	config.spool_large_body = 1024;
	(void)peer_send_text(fd, "EHLO c\r\n" ENVELOPE "DATA\r\n");
	(void)peer_send(fd, message, 64 * 20000);
	(void)peer_send_text(fd, ".\r\nQUIT\r\n");
	(void)peer_read(fd, answer, sizeof(answer), 5000);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n250 2.0.0 Ok: taken"));
	ck_assert_int_eq(lab.body_bytes, 64 * 20000);
	(void)close(fd);
	free(message);
}
END_TEST

START_TEST(large_body_cut_off_leaves_no_file)
{
	char *message = large_message(64 * 3000);
	int fd = peer_connect(smtp_listener_port(listener));

	(void)peer_send_text(fd, "EHLO c\r\n" ENVELOPE "DATA\r\n");
	(void)peer_send(fd, message, 64 * 3000);
	(void)close(fd);
	LAB_AWAIT(smtp_listener_sessions(listener) == 0);
	ck_assert_uint_eq(lab.commits, 0);
	free(message);
}
END_TEST

START_TEST(unwritable_directory_is_a_fault_of_ours)
{
	char answer[4096], *message = large_message(64 * 3000);
	int fd = peer_connect(smtp_listener_port(listener));

	ck_assert_int_eq(rmdir(lab.directory), 0);
	(void)peer_send_text(fd, "EHLO c\r\n" ENVELOPE "DATA\r\n");
	(void)peer_send(fd, message, 64 * 3000);
	(void)peer_send_text(fd, ".\r\nQUIT\r\n");
	(void)peer_read(fd, answer, sizeof(answer), 5000);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n451 4.3.0"));
	ck_assert_uint_eq(lab.commits, 0);
	(void)close(fd);
	free(message);
	(void)snprintf(lab.directory, sizeof(lab.directory),
	               "/tmp/turing-agent-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(lab.directory));
}
END_TEST

START_TEST(xforward_is_believed_from_listed_peers)
{
	ck_assert(intake_is_listed("127.0.0.1", intake));
	ck_assert(intake_is_listed("::1", intake));
	ck_assert(!intake_is_listed("127.0.0.2", intake));
	ck_assert(!intake_is_listed("", intake));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent intake");
	TCase *tests = tcase_create("smtp");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, takes_mail_for_our_domains_alone, 0,
	                    LAB_COUNT(recipients));
	tcase_add_test(tests, takes_nothing_before_a_policy_came);
	tcase_add_test(tests, refuses_when_space_is_low_or_the_spool_broken);
	tcase_add_loop_test(tests, answers_as_the_commit_went, 0,
	                    LAB_COUNT(outcomes));
	tcase_add_test(tests, no_answer_before_the_commit);
	tcase_add_test(tests, too_much_at_once_is_put_off);
	tcase_add_loop_test(tests, session_that_ended_is_not_answered, 0, 2);
	tcase_add_loop_test(tests, stores_with_its_verdict, 0,
	                    LAB_COUNT(verdicts));
	tcase_add_loop_test(tests, loops_are_broken, 0, LAB_COUNT(hops));
	tcase_add_loop_test(tests, large_bodies_go_to_a_file, 0,
	                    LAB_COUNT(bodies));
	tcase_add_test(tests, smallest_limit_loses_no_byte);
	tcase_add_test(tests, large_body_cut_off_leaves_no_file);
	tcase_add_test(tests, unwritable_directory_is_a_fault_of_ours);
	tcase_add_test(tests, xforward_is_believed_from_listed_peers);
	suite_add_tcase(suite, tests);
	return suite_main(suite, NULL);
}
